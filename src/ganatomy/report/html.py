"""A run folder as one page and one JSON record. Knows what goes on the page; the template knows where.

The page needs no network and no script, and the same run gives the same bytes wherever it lies.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ganatomy.core import __version__
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS
from ganatomy.core.verdict import DO_NOT_USE, NO_GAIN, UNDECIDED, USE, Verdict, decide
from ganatomy.report import words
from ganatomy.report.drawings import chosen, picture, suspected
from ganatomy.report.gates import DESCRIBED, NOT_SHOWN, gates
from ganatomy.report.read import MADE_BY, Part, Run, Stage, read_run, roles_of
from ganatomy.report.tables import plain
from ganatomy.report.training import curves, training
from ganatomy.report.trial import trials

HERE = Path(__file__).parent
FORMAT = 1  # of report.json

ICONS = {
    PASS: "tick",
    FAIL: "cross",
    INCONCLUSIVE: "query",
    NOT_COMPUTED: "dash",
    DESCRIBED: "dot",
    NOT_SHOWN: "dash",
}
SEALS = {DO_NOT_USE: "cross", USE: "tick", NO_GAIN: "dash", UNDECIDED: "query"}
OPEN = "not excluded: "  # how a limit of the verdict begins that could not be settled

View = dict[str, Any]


FOREIGN = (
    "these images were made elsewhere, and whether they help a classifier was not tried (ganatomy prove tries those "
    "of its own runs); what speaks against them stands below"
)


def render(run: Path) -> tuple[str, View]:
    """The page and the record of a run folder; RunError where there is none."""
    found = read_run(run)
    return page(found), record(found)


def page(run: Run) -> str:
    """The HTML page of a run."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, icons=ICONS)
    environment.filters["written"] = lambda value: json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    verdict = judged(run)
    return environment.get_template("report.html.j2").render(
        run=run,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),  # our own file
        verdict=verdict,
        seal=SEALS[verdict.word],
        tone=verdict.word.split()[0],
        sentence=_halves(verdict),
        limits=_limits(run, verdict),
        cautions=cautions(run),
        gates=gates(run),
        unmade=_unmade(run),
        training=training(run),
        curves=curves(run),
        ours=ours(run),
        roles=roles_of(run.facts.value) if run.facts.value else [],
        grids=[picture(p) for p in run.pictures.value or () if not p.gate],
        samples=[picture(p) for p in run.samples.value or ()],
        trials=trials(run),
        commands=_commands(run.stages),
        version=__version__,
    )


def record(run: Run) -> View:
    """What report.json holds: the verdict, every finding, what they rest on. No NaN, no time, no place."""
    verdict = judged(run)
    return {
        "format": FORMAT,
        "version": __version__,
        "verdict": asdict(verdict),
        "cautions": cautions(run),
        "cohort": asdict(run.facts.value) if run.facts.value else None,
        "synthetic": dict(run.made.value) if run.made.value else None,
        "findings": [asdict(finding) for finding in run.findings],
        "protocol": asdict(run.protocol.value) if run.protocol.value else None,
        "scores": _rows(run.scores),
        "differences": _rows(run.differences),
        "features": chosen(run),
        "suspects": _rows(run.suspects),
        "gaps": {name: part.gap for name, part in sorted(vars(run).items()) if isinstance(part, Part) and part.gap},
        "stages": {name: {**asdict(stage), "done": stage.done} for name, stage in run.stages.items()},
    }


def ours(run: Run) -> bool:
    """Whether the images are of a run of ganatomy; of somebody else's neither training nor trial are known."""
    return run.stages["data"].job != "check"


def judged(run: Run) -> Verdict:
    """The verdict, with the reason why there was no trial."""
    return decide(run.findings) if ours(run) else decide(run.findings, FOREIGN)


def cautions(run: Run) -> list[str]:
    """What a reader must know beside the verdict: gates without answer, unknown patients, changed files."""
    out = []
    if not any(finding.gate == "copying" for finding in run.findings):
        out.append(f"Whether images were copied has not been tested ({MADE_BY['check']}).")
    facts = run.facts.value
    if facts and not facts.patients_known:
        out.append("The patients are unknown: leakage of a patient from training into the test could not be excluded.")
    if facts and facts.duplicates_across:
        found = words.count(facts.duplicates_across, "image")
        out.append(f"{found} lay in more than one role as an exact duplicate.")
    if copies := suspected(run):
        found = words.count(copies, "synthetic image")
        what = "a copy of a training image" if copies == 1 else "copies of training images"
        out.append(f"{found} may be {what}: see 'Copying'.")
    out += training(run)[1:]
    return out + [f"{sentence}." for sentence in run.altered]


def _halves(verdict: Verdict) -> tuple[str, str]:
    """The verdict's sentence as its word and its reason; together they are the sentence."""
    word, _, reason = verdict.sentence.partition(":")
    return word, reason.strip()


def _limits(run: Run, verdict: Verdict) -> list[View]:
    """The limits, each with the finding behind it: one that failed, or a question of copying left open."""
    known = {f"{f.name} ({f.subject})" if f.subject else f.name: f for f in run.findings if f.state != PASS}
    out: list[View] = []
    for name in verdict.limits:
        finding, is_open = known.get(name.removeprefix(OPEN)), name.startswith(OPEN)
        again = bool(out and finding and is_open and out[-1]["finding"] and out[-1]["finding"].note == finding.note)
        out.append({"name": name, "finding": finding, "open": is_open, "again": again})
    return out


def _unmade(run: Run) -> list[str]:
    """Classes of which no synthetic image was made."""
    facts, made = run.facts.value, run.made.value
    return [] if facts is None or made is None else [label for label in facts.classes if not made.get(label)]


def _rows(part: Part[pd.DataFrame]) -> list[View]:
    return [] if part.value is None else plain(part.value)


def _commands(stages: Mapping[str, Stage]) -> str:
    """The commands of the chain with every setting, so that later defaults change nothing."""
    out = []
    data, train = stages["data"], stages["train"]
    if train.done or data.done:
        settings = {**words.flat(data.settings), **words.flat(train.settings)}
        task, cohort = settings.pop("task", "synthesis"), settings.pop("data", "DATA")
        start = [
            "ganatomy",
            "train",
            words.setting(task),
            shlex.quote(words.setting(cohort)),
            "-o",
            "RUN",
        ]
        out.append(words.command(start, settings))
    for name, verb in (("synthetic", "generate"), ("check", "check"), ("prove", "prove")):
        if stages[name].done:
            settings = {
                key: value for key, value in words.flat(stages[name].settings).items() if key not in ("run", "data")
            }
            out.append(words.command(["ganatomy", verb, "RUN"], settings))
    return "\n".join([*out, "ganatomy report RUN"])
