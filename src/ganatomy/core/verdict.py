"""The verdict: one of four words, from the findings alone. Knows the precedence, not the measurements.

do not use   copying or privacy fails, whatever the utility; or harm is shown
use          a gain is shown; the integrity failures it carries are named as limits
no gain shown  neither gain nor harm
undecided    the test set is too small to tell; the note says what size would decide
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding

DO_NOT_USE, USE, NO_GAIN, UNDECIDED = "do not use", "use", "no gain shown", "undecided at this size"
WORDS = (DO_NOT_USE, USE, NO_GAIN, UNDECIDED)

FORBIDDING = ("copying", "privacy")  # gates whose failure no gain outweighs
EQUAL = (("hygiene", "equal images, train and synthetic"), ("hygiene", "equal rows, train and synthetic"))  # copies too
ASIDE = ("utility", "augmentation")  # the trial decides by itself; what was only tried is no limit of the set
GAIN, HARM = "gain", "harm"  # names of the two findings of the utility gate that decide


@dataclass(frozen=True)
class Verdict:
    """word: one of WORDS; sentence: the word with its reason; limits: integrity failures the set carries, and copying
    or privacy questions that this cohort is too small to answer
    """

    word: str
    sentence: str
    limits: tuple[str, ...] = ()


def decide(
    findings: Sequence[Finding], untried: str = "the utility trial has not been run (ganatomy prove)"
) -> Verdict:
    """Apply the precedence. The utility gate must hold one finding named 'gain' and one named 'harm'.

    untried: the reason where it holds none
    """
    failed = [f for f in findings if f.state == FAIL and f.gate not in ASIDE]
    limits = [_label(f) for f in failed if f.gate not in FORBIDDING]
    limits += [
        f"not excluded: {_label(f)}"
        for f in findings
        if f.gate in FORBIDDING and f.state in (INCONCLUSIVE, NOT_COMPUTED)
    ]

    def verdict(word: str, reason: str) -> Verdict:
        return Verdict(word, f"{word[0].upper()}{word[1:]}: {reason}.", tuple(limits))

    if forbidden := [f for f in failed if f.gate in FORBIDDING or (f.gate, f.name) in EQUAL]:
        more = f", and {len(forbidden) - 1} more findings of copying or privacy" if len(forbidden) > 1 else ""
        return verdict(DO_NOT_USE, _reason(forbidden[0]) + more)
    gain, harm = (next((f for f in findings if f.gate == "utility" and f.name == n), None) for n in (GAIN, HARM))
    if gain is None or harm is None:
        return verdict(UNDECIDED, untried)
    if harm.state == FAIL:
        return verdict(DO_NOT_USE, _reason(harm))
    if not any(f.gate in FORBIDDING for f in findings):
        return verdict(UNDECIDED, "nobody has looked for copies of training images (ganatomy check)")
    if gain.state == PASS:
        return verdict(USE, _reason(gain))
    unclear = next((f for f in (gain, harm) if f.state in (INCONCLUSIVE, NOT_COMPUTED)), None)
    return verdict(UNDECIDED, _reason(unclear)) if unclear else verdict(NO_GAIN, _reason(gain))


def _label(finding: Finding) -> str:
    return f"{finding.name} ({finding.subject})" if finding.subject else finding.name


def _reason(finding: Finding) -> str:
    return finding.note or _label(finding)
