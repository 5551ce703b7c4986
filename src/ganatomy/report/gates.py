"""A section for each gate: what was asked, what came out, what it means, what to do.

Knows how findings become sentences and in which order they stand; the wording of a gate is guide.py's.
"""

import re
from collections.abc import Sequence
from typing import Any

from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.verdict import GAIN
from ganatomy.report import words
from ganatomy.report.drawings import drawings
from ganatomy.report.guide import GUIDES, cases
from ganatomy.report.read import Run

NOT_SHOWN = "not shown"  # for a gain that the trial did not show: nothing went wrong
DESCRIBED = "described"  # shown for a value that has no bar: nothing was judged
FIRST = (FAIL, INCONCLUSIVE, NOT_COMPUTED, NOT_SHOWN, PASS)  # what a reader must see comes first
SHOWN = 12  # passed findings of one gate that are shown unfolded
UNFOLDED = 30  # findings of one gate that are shown unfolded, whatever their state
NAMED = 4  # checks that a sentence names, and classes of one check
REASONS = 2  # notes that are quoted in part
NEEDS = re.compile(r"\b(would|needs?|needed|enough|decide|settle)\b")  # in the part of a note that says what is missing
ALWAYS = ("copying", "marginals")  # have a section even without findings: closest pairs, distributions
TRIAL = "utility"  # has a section of its own
INTO = {"invariance": "labels"}  # gates that stand on another one's page
ASIDE = {"augmentation": "labels"}  # as well, but say nothing of the synthetic images and are not counted

View = dict[str, Any]


def gates(run: Run) -> list[View]:
    """The gates in the order of the page, each with question, counts, sentences, findings (worst first), drawings."""
    found: dict[str, list[Finding]] = {}
    aside: dict[str, list[Finding]] = {}
    for finding in run.findings:
        if finding.gate in ASIDE:
            aside.setdefault(ASIDE[finding.gate], []).append(finding)
            found.setdefault(ASIDE[finding.gate], [])
        else:
            found.setdefault(INTO.get(finding.gate, finding.gate), []).append(finding)
    missing = {gate: part.gap for gate, part in (("copying", run.integrity), (TRIAL, run.utility)) if part.gap}
    order = [gate for gate in words.QUESTIONS if gate in found or gate in ALWAYS or gate == TRIAL]
    return [
        _gate(gate, found.get(gate, []), aside.get(gate, []), missing.get(gate, ""), run)
        for gate in order + sorted(set(found) - set(order))
    ]


def _gate(gate: str, findings: Sequence[Finding], aside: Sequence[Finding], gap: str, run: Run) -> View:
    views = _views(findings)
    kept = min(SHOWN, sum(view["state"] == PASS for view in views))
    fold = [view for view in views if view["state"] in (PASS, DESCRIBED)][kept:]
    above = views[: len(views) - len(fold)]
    guide = GUIDES.get(gate)
    return {
        "key": gate,
        "anchor": "trial" if gate == TRIAL else "gate-" + re.sub(r"[^a-z0-9]+", "-", gate.lower()),
        "name": words.title(gate),
        "question": words.QUESTIONS.get(gate, ""),
        "asked": bool(findings or gap),
        "gap": gap,
        "counts": [(state, n) for state in FIRST if (n := sum(v["state"] == state for v in views))],
        "shown": above[:UNFOLDED],
        "folded": above[UNFOLDED:] + fold,
        "guide": guide,
        "came": came(findings),
        "cases": cases(gate, findings) if findings and guide else [],
        "drawings": drawings(gate, run, [*findings, *aside]),
        "aside": _views(aside),
    }


def _views(findings: Sequence[Finding]) -> list[View]:
    """Findings with the word that is shown, worst first."""
    return sorted(({"finding": f, "state": shown(f)} for f in findings), key=_rank)


def shown(finding: Finding) -> str:
    """The word a reader sees for a state: what passed without a bar was described, not judged."""
    if finding.gate == TRIAL and finding.name == GAIN and finding.state == FAIL:
        return NOT_SHOWN
    return DESCRIBED if finding.state == PASS and finding.bar is None else finding.state


def _rank(view: View) -> int:
    return (*FIRST, DESCRIBED).index(view["state"])


def came(findings: Sequence[Finding]) -> list[str]:
    """What came out in sentences: what failed and for which class, what stays open and what it needs, what passed."""
    of = {state: [f for f in findings if shown(f) == state] for state in (*FIRST, DESCRIBED)}
    judged = sum(len(of[state]) for state in FIRST)
    out = []

    def told(state: str, verb: str, reasons: int) -> None:
        if of[state]:
            how_many = "The one check" if judged == 1 else f"{len(of[state])} of {judged} checks"
            out.append(f"{how_many} {verb}{_named(of[state])}.")
            out.extend(_reasons(of[state])[:reasons])

    told(FAIL, "failed", 0)
    told(INCONCLUSIVE, "could not be decided", REASONS)
    if len(of[NOT_COMPUTED]) == judged > 1:
        out += [f"None of the {judged} checks gave a number.", *_reasons(of[NOT_COMPUTED])[:REASONS]]
    else:
        told(NOT_COMPUTED, "gave no number", 1)
    if passed := len(of[PASS]):
        whole = {1: "The one check passed.", 2: "Both checks passed."}.get(judged, f"All {judged} checks passed.")
        out.append(whole if passed == judged else f"{passed} passed.")
    if not judged and of[DESCRIBED]:
        out.append(f"{words.count(len(of[DESCRIBED]), 'value')} described; nothing was judged.")
    return out


def _named(findings: Sequence[Finding]) -> str:
    """` for malignant: a; b`, or `: a (malignant, benign); b (malignant)`: the checks with what they are about."""
    about: dict[str, list[str]] = {}
    for finding in findings:
        about.setdefault(finding.name, []).append(finding.subject)
    first = next(iter(about.values()))
    if any(first) and all(whom == first for whom in about.values()):
        return f" for {_some(first, ', ')}: {_some(list(about), '; ')}"
    parts = [f"{name} ({_some(whom, ', ')})" if any(whom) else name for name, whom in about.items()]
    return f": {_some(parts, '; ')}"


def _some(parts: Sequence[str], sign: str) -> str:
    """The first of them, and how many more there are."""
    more = len(parts) - NAMED
    return sign.join(filter(None, parts[:NAMED])) + (f"{sign}and {more} more" if more > 0 else "")


def _reasons(findings: Sequence[Finding]) -> list[str]:
    """What is missing, as the notes say it, each once."""
    clauses = (words.readable(finding.note).split("; ") for finding in findings)
    wanted = (next((c for c in some if NEEDS.search(c)), some[0]) for some in clauses)
    return [f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in dict.fromkeys(wanted)]
