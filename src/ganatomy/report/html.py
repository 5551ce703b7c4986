"""A run folder as one page and one JSON record. Knows what goes on the page; the template knows where.

The page needs no network and no script, and the same run gives the same bytes wherever it lies.
"""

import base64
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ganatomy.core import __version__
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.verdict import DO_NOT_USE, GAIN, NO_GAIN, UNDECIDED, USE, Verdict, decide
from ganatomy.report import charts, words
from ganatomy.report.read import MADE_BY, Part, Picture, Protocol, Run, Stage, read_run, roles_of

HERE = Path(__file__).parent
FORMAT = 1  # of report.json

ICONS = {
    PASS: "tick",
    FAIL: "cross",
    INCONCLUSIVE: "query",
    NOT_COMPUTED: "dash",
    "described": "dot",
    "not shown": "dash",
}
SEALS = {DO_NOT_USE: "cross", USE: "tick", NO_GAIN: "dash", UNDECIDED: "query"}
FIRST = (FAIL, INCONCLUSIVE, NOT_COMPUTED, "not shown", PASS)  # what a reader must see comes first
SHOWN = 12  # passed findings of one gate that are shown unfolded
PANELS = 24  # distributions drawn, about; more classes means fewer features

NONE: charts.Triple = (None, None, None)
OPEN = "not excluded: "  # how a limit of the verdict begins that could not be settled
NOT_SHOWN = "not shown"  # for a gain that the trial did not show: nothing went wrong
USUAL = 96_000  # images shown in a training of default length: 3,000 steps of 32
LAST = 5  # lines of the log, 250 steps, that say how a training ended
LISTED = 20  # suspected copies on the page
DESCRIBED = "described"  # shown for a value that has no bar: nothing was judged

View = dict[str, Any]


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
    verdict = decide(run.findings)
    return environment.get_template("report.html.j2").render(
        run=run,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),  # our own file
        verdict=verdict,
        seal=SEALS[verdict.word],
        tone=verdict.word.split()[0],
        sentence=_halves(verdict),
        limits=_limits(run, verdict),
        cautions=cautions(run),
        gates=_gates(run),
        unmade=_unmade(run),
        suspects=_suspects(run),
        training=training(run),
        roles=roles_of(run.facts.value) if run.facts.value else [],
        grids=[_picture(p) for p in run.pictures.value or () if not p.pairs],
        pairs=[_picture(p) for p in run.pictures.value or () if p.pairs],
        samples=[_picture(p) for p in run.samples.value or ()],
        features=_features(run),
        trials=_trials(run),
        curves=_curves(run),
        commands=_commands(run.stages),
        version=__version__,
    )


def record(run: Run) -> View:
    """What report.json holds: the verdict, every finding, what they rest on. No NaN, no time, no place."""
    verdict = decide(run.findings)
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
        "features": _chosen(run),
        "suspects": _rows(run.suspects),
        "gaps": {name: part.gap for name, part in sorted(vars(run).items()) if isinstance(part, Part) and part.gap},
        "stages": {name: {**asdict(stage), "done": stage.done} for name, stage in run.stages.items()},
    }


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
    if suspected := _suspected(run):
        found = words.count(suspected, "synthetic image")
        what = "a copy of a training image" if suspected == 1 else "copies of training images"
        out.append(f"{found} may be {what}: see 'The closest pairs'.")
    out += training(run)[1:]
    return out + [f"{sentence}." for sentence in run.altered]


def training(run: Run) -> list[str]:
    """How long the generator was trained, in a sentence; then one for each thing that a reader must know of it."""
    log, train = run.log.value, run.stages["train"]
    if log is None or not train.done or "images" not in log:
        return []
    settings = words.flat(train.settings)
    steps, images = int(log["step"].iloc[-1]), int(log["images"].iloc[-1])
    out = [f"The generator was trained for {words.count(steps, 'step')}, which showed it {images:,} images in all."]
    if images < USUAL:
        out.append(
            f"Training was short: {images:,} images were shown, {USUAL:,} are usual. A longer one may make better "
            "images."
        )
    last = log.tail(LAST).mean()
    highest, sure = (float(settings.get(name) or given) for name, given in (("most_chance", 0.8), ("overfit", 0.6)))
    for label in sorted(_kind(name)[1] for name in log.columns if "." in name and _kind(name)[0] == "augment"):
        chance, sign = (last.get(f"D.{kind}.{label}", math.nan) for kind in ("augment", "sign"))
        if chance >= 0.99 * highest and sign > sure:
            out.append(
                f"Training went on for too long for the class {label}, or its images are too few: the network that "
                "tells real from synthetic images came to know the training images by heart. Copies of them become "
                "likelier; fewer steps or more real images help."
            )
    return out


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


def _suspected(run: Run) -> int:
    return 0 if run.suspects.value is None else int(run.suspects.value["path"].nunique())


def _suspects(run: Run) -> View:
    """The first suspected copies, each image once, and how many there are."""
    table = run.suspects.value
    if table is None:
        return {"rows": [], "count": 0}
    rows: dict[str, View] = {}
    for row in _plain(table.sort_values("ratio", kind="stable")):
        if row["path"] in rows:
            rows[row["path"]]["by"] += f", {row['compared_by']}"
        else:
            rows[row["path"]] = {**row, "by": row["compared_by"]}
    return {"rows": list(rows.values())[:LISTED], "count": len(rows)}


def _shown(finding: Finding) -> str:
    """The word a reader sees for a state: what passed without a bar was described, not judged."""
    if finding.gate == "utility" and finding.name == GAIN and finding.state == FAIL:
        return NOT_SHOWN
    return DESCRIBED if finding.state == PASS and finding.bar is None else finding.state


def _gates(run: Run) -> list[View]:
    """The gates in the order of the page, each with question, counts and findings, worst first."""
    found: dict[str, list[Finding]] = {}
    for finding in run.findings:
        found.setdefault(finding.gate, []).append(finding)
    missing = {gate: part.gap for gate, part in (("copying", run.integrity), ("utility", run.utility)) if part.gap}
    order = [gate for gate in words.QUESTIONS if gate in found or gate in missing]
    out = []
    for gate in order + sorted(set(found) - set(order)):
        views = sorted(({"finding": f, "state": _shown(f)} for f in found.get(gate, [])), key=_rank)
        kept = min(SHOWN, sum(view["state"] == PASS for view in views))
        fold = [view for view in views if view["state"] in (PASS, DESCRIBED)][kept:]
        out.append(
            {
                "name": words.title(gate),
                "question": words.QUESTIONS.get(gate, ""),
                "gap": missing.get(gate, ""),
                "counts": [(state, n) for state in FIRST if (n := sum(v["state"] == state for v in views))],
                "shown": views[: len(views) - len(fold)],
                "folded": fold,
            }
        )
    return out


def _rank(view: View) -> int:
    return (*FIRST, DESCRIBED).index(view["state"])


def _picture(picture: Picture) -> View:
    """A picture as a data URI; small ones are enlarged by a whole factor, pixels kept."""
    times = max(1, min(4, 480 // picture.width))
    return {
        "title": picture.title,
        "caption": picture.caption,
        "width": picture.width * times,
        "height": picture.height * times,
        "enlarged": times > 1,
        "wide": picture.width * times > 520,
        "uri": "data:image/png;base64," + base64.b64encode(picture.data).decode("ascii"),
    }


def _chosen(run: Run) -> list[str]:
    """The features drawn: the plain ones, then those in which real and synthetic differ most."""
    table = run.features.value
    if table is None:
        return []
    plain = charts.basic(table)
    most = min(8, max(4, PANELS // max(1, table["class"].nunique()) - len(plain)))
    return [*plain, *charts.differing(table, most, plain)]


def _features(run: Run) -> list[View]:
    table = run.features.value
    out = []
    for name in _chosen(run):
        assert table is not None
        low, high = charts.limits(table[name].quantile([0.01, 0.99], interpolation="nearest"))
        text, family = words.feature(name)
        panels = []
        for label in sorted(set(table["class"])):
            rows = table[table["class"] == label]
            made = bool((rows["set"] == "synthetic").any())
            panels.append((label, charts.distribution(rows, name, low, high, f"{text}, {label}"), made))
        unit = run.facts.value.unit if run.facts.value and words.has_unit(name) else ""
        out.append({"name": name, "words": text, "family": ", ".join(filter(None, (family, unit))), "panels": panels})
    return out


def _trials(run: Run) -> list[View]:
    """One forest plot per classifier, metric and arm whose differences were taken; the primary endpoint first."""
    protocol, scores, differences = run.protocol.value, run.scores.value, run.differences.value
    if protocol is None or scores is None or differences is None:
        return []
    primary = (protocol.classifier, protocol.metric)
    out = []
    for pair in sorted(
        dict.fromkeys(zip(scores["classifier"], scores["metric"], strict=True)), key=lambda pair: pair != primary
    ):
        own, gaps = (
            table[(table["classifier"] == pair[0]) & (table["metric"] == pair[1])] for table in (scores, differences)
        )
        for tested in dict.fromkeys(gaps["arm"]) or [""]:
            view = _trial(
                protocol, _by(own, "arm"), _by(gaps[gaps["arm"] == tested], "against"), tested, pair == primary
            )
            out.append({"classifier": pair[0], "metric": pair[1], **view})
    return out


def _trial(
    protocol: Protocol,
    levels: Mapping[str, charts.Triple],
    changes: Mapping[str, charts.Triple],
    tested: str,
    primary: bool,
) -> View:
    """A row per arm: its score, and the tested arm minus it. levels, changes: by arm."""
    marks = {"zero": 0.0, "margin": -protocol.margin} if primary else {"zero": 0.0}
    numbers = [x for triple in changes.values() for x in triple if x is not None]
    level_scale = charts.limits([x for triple in levels.values() for x in triple if x is not None], 0.06)
    change_scale = charts.limits([*marks.values(), *numbers], 0.06)
    rows = [
        {
            "arm": arm,
            "tested": arm == tested,
            "control": primary and arm == protocol.control,
            "definition": " ".join(filter(None, (protocol.definitions.get(arm), protocol.notes.get(arm)))),
            "level": words.interval(*level),
            "level_strip": charts.strip(level, level_scale, {}, f"{arm}, score"),
            "change": words.interval(*changes.get(arm, NONE), sign=True),
            "change_strip": charts.strip(changes.get(arm, NONE), change_scale, marks, f"{tested} minus {arm}"),
        }
        for arm, level in levels.items()
    ]
    return {
        "tested": tested,
        "primary": primary,
        "rows": rows,
        "level_axis": charts.scale_axis(level_scale, {}),
        "change_axis": charts.scale_axis(change_scale, marks, sign=True),
    }


def _by(table: pd.DataFrame, key: str) -> dict[str, charts.Triple]:
    """key -> value, low, high, in the order of the table."""
    return {row[key]: (row["value"], row["low"], row["high"]) for row in _plain(table)}


def _plain(table: pd.DataFrame) -> list[View]:
    """Rows of a table with None where there is no number."""
    return [
        {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _rows(part: Part[pd.DataFrame]) -> list[View]:
    return [] if part.value is None else _plain(part.value)


def _curves(run: Run) -> list[View]:
    """A panel per logged number: losses first, then what the augmentation did per class."""
    log = run.log.value
    if log is None:
        return []
    groups: list[tuple[str, str, tuple[float, float] | None, list[str]]] = [
        (
            "Losses",
            "Two networks work against each other, so losses need not fall. "
            "Look for jumps and for drifts that do not end.",
            None,
            [],
        ),
        (
            "Augmentation",
            "The chance that an image is augmented before the discriminator sees it, set per class.",
            (0.0, 1.0),
            [],
        ),
        (
            "Discriminator's sign",
            "How surely the discriminator takes training images for real. "
            "Values that stay near 1 mean that it knows them by heart.",
            (-1.0, 1.0),
            [],
        ),
    ]
    for name in sorted(column for column in log.columns if "." in column):
        kind = _kind(name)[0]
        groups[{"augment": 1, "sign": 2}.get(kind, 0)][3].append(name)
    return [
        {
            "name": title,
            "about": about,
            "panels": [
                (_curve_name(name), charts.curve(log["step"].tolist(), log[name].tolist(), bounds, name))
                for name in names
            ],
        }
        for title, about, bounds, names in groups
        if names
    ]


def _kind(name: str) -> tuple[str, str]:
    """What a logged name is about, and of what: D.augment.<class>, D.sign.<class>, else a net's loss."""
    parts = name.split(".")
    at = next((i for i in (0, 1) if parts[i] in ("augment", "sign") and len(parts) > i + 1), None)
    return ("", name) if at is None else (parts[at], ".".join(parts[at + 1 :]))


def _curve_name(name: str) -> str:
    """The class where a curve belongs to one; `Discriminator: logistic` otherwise."""
    kind, label = _kind(name)
    if kind:
        return label
    net, _, rest = name.partition(".")
    return f"{ {'D': 'Discriminator', 'G': 'Generator'}.get(net, net) }: {words.term(rest)}"


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
