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
GAIN, HARM = "gain", "harm"  # names of the two findings of the utility gate that decide


@dataclass(frozen=True)
class Verdict:
    """word: one of WORDS; sentence: the word with its reason; limits: integrity failures the set carries, and copying or
    privacy questions that this cohort is too small to answer
    """

    word: str
    sentence: str
    limits: tuple[str, ...] = ()


def decide(findings: Sequence[Finding]) -> Verdict:
    """Apply the precedence. The utility gate must hold one finding named 'gain' and one named 'harm'."""
    label = lambda f: f"{f.name} ({f.subject})" if f.subject else f.name  # noqa: E731
    forbidden = [f for f in findings if f.gate in FORBIDDING and f.state == FAIL]
    open_ = [f for f in findings if f.gate in FORBIDDING and f.state in (INCONCLUSIVE, NOT_COMPUTED)]
    limits = tuple(label(f) for f in findings if f.gate not in (*FORBIDDING, "utility") and f.state == FAIL)
    limits += tuple(f"not excluded: {label(f)}" for f in open_)
    if forbidden:
        reasons = "; ".join(f.note or label(f) for f in forbidden)
        return Verdict(DO_NOT_USE, f"Do not use: {reasons}.", limits)
    gain, harm = (next((f for f in findings if f.gate == "utility" and f.name == n), None) for n in (GAIN, HARM))
    if gain is None or harm is None:
        return Verdict(UNDECIDED, "Undecided: the utility trial has not been run (ganatomy prove).", limits)
    if harm.state == FAIL:
        return Verdict(DO_NOT_USE, f"Do not use: {harm.note}.", limits)
    if gain.state == PASS:
        return Verdict(USE, f"Use: {gain.note}.", limits)
    if NOT_COMPUTED in (gain.state, harm.state) or INCONCLUSIVE == harm.state:
        return Verdict(UNDECIDED, f"Undecided at this size: {harm.note}.", limits)
    return Verdict(NO_GAIN, f"No gain shown: {gain.note}.", limits)
