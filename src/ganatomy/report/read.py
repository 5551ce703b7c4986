"""A run folder as values a page can be made of; what is missing or damaged becomes a gap with its reason.

Reads only what finished stages left (their done.json stands), and compares each file with the hash its stage
recorded. Never raises for a missing or damaged file, only where there is no run folder at all. Draws nothing.
"""

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Generic, TypeVar

import pandas as pd

from ganatomy.core.cohort import ROLES
from ganatomy.core.errors import GanatomyError, RunError
from ganatomy.core.finding import Finding, read_findings
from ganatomy.core.run import FORMAT, file_hash, read_json
from ganatomy.report import tables

MADE_BY = {
    "data": "ganatomy train synthesis DATA -o RUN",
    "train": "ganatomy train synthesis DATA -o RUN",
    "synthetic": "ganatomy generate RUN",
    "check": "ganatomy check RUN",
    "prove": "ganatomy prove RUN",
}  # the command that makes a stage, in the order of the chain

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """One thing a page shows, or the sentence that says why it cannot."""

    value: T | None = None
    gap: str = ""


@dataclass(frozen=True)
class Stage:
    """What done.json of a stage says; `gap` is set where the stage has not finished."""

    name: str
    gap: str = ""
    job: str = ""
    version: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the stage has finished."""
        return not self.gap


@dataclass(frozen=True)
class Facts:
    """data/facts.json: what the real cohort held. `classes` maps class -> role -> (images, patients)."""

    name: str
    images: int
    patients: int
    patients_known: bool
    classes: Mapping[str, Mapping[str, tuple[int, int]]]
    shape: tuple[int, ...] = ()
    dtype: str = ""
    unit: str = ""
    spacing: tuple[float, ...] = ()
    range: tuple[float, ...] = ()
    groups: tuple[str, ...] = ()
    features: int = 0  # columns, where the sets are tables of features and there are no images
    duplicates_within: int = 0
    duplicates_across: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG that a stage drew. width, height: pixels; data: the file's bytes; gate: on whose page it stands, or ""."""

    stage: str
    file: str
    title: str
    caption: str
    width: int
    height: int
    data: bytes
    gate: str = ""


@dataclass(frozen=True)
class Protocol:
    """prove/protocol.json: the trial as it was fixed before the test set was opened."""

    arms: tuple[str, ...]
    classifier: str  # with metric: the primary endpoint
    metric: str
    control: str
    margin: float
    seeds: tuple[int, ...]
    classifiers: tuple[str, ...]
    metrics: tuple[str, ...]
    test_images: int
    test_patients: int
    definitions: Mapping[str, str]
    notes: Mapping[str, str]  # arm -> what it could not do as defined
    smallest: float | None  # difference of the primary metric that a trial of this size shows, power 0.8


@dataclass(frozen=True, eq=False)  # tables have no single truth value, so runs are not compared
class Run:
    """A run folder. `altered` names files that are not the ones their stage recorded."""

    stages: Mapping[str, Stage]
    facts: Part[Facts]
    made: Part[Mapping[str, int]]  # class -> synthetic images
    pictures: Part[Sequence[Picture]]  # of check
    samples: Part[Sequence[Picture]]  # of train
    features: Part[pd.DataFrame]  # columns IDENTITY as text, then numbers
    suspects: Part[pd.DataFrame]  # tables.SUSPECTS; no row where nothing stands out as a copy
    drawn: Mapping[str, pd.DataFrame]  # the tables of check that the gates' drawings are made of, by name
    integrity: Part[Sequence[Finding]]
    utility: Part[Sequence[Finding]]
    protocol: Part[Protocol]
    scores: Part[pd.DataFrame]  # classifier, arm, metric, value, low, high
    differences: Part[pd.DataFrame]  # classifier, arm, against, metric, value, low, high
    log: Part[pd.DataFrame]  # step, then one column per logged number
    altered: tuple[str, ...]

    @property
    def findings(self) -> list[Finding]:
        """Every finding of check and prove, in the order they were written."""
        return [*(self.integrity.value or ()), *(self.utility.value or ())]


def read_run(run: Path) -> Run:
    """Read a run folder; RunError only where there is none."""
    if not run.is_dir():
        raise RunError(f"there is no run folder {run}; make one with: ganatomy augment DATA -o {run}")
    stages = {name: _stage(run / name, name) for name in MADE_BY}
    short = Short(str(stages["data"].settings.get("data", "")))
    stages = {name: replace(stage, settings=short.all(stage.settings)) for name, stage in stages.items()}

    def part(file: str, parse: Callable[[Path], T]) -> Part[T]:
        return _part(run, stages[file.split("/", maxsplit=1)[0]], file, parse)

    return Run(
        stages=stages,
        facts=part("data/facts.json", lambda path: _facts(path, short)),
        made=part("synthetic/manifest.csv", _made),
        pictures=part("check/pictures.json", _pictures),
        samples=part("train/pictures.json", _pictures),
        features=part("check/features.csv", tables.features),
        suspects=part("check/suspects.csv", lambda path: tables.suspects(path, short.path)),
        drawn={
            name: found
            for name in tables.NEEDED
            if (found := part(f"check/{name}.csv", partial(tables.drawn, name)).value) is not None
        },
        integrity=part("check/findings.json", _findings),
        utility=part("prove/findings.json", _findings),
        protocol=part("prove/protocol.json", _protocol),
        scores=part("prove/scores.csv", lambda path: tables.scores(path, ("classifier", "arm", "metric"))),
        differences=part(
            "prove/differences.csv", lambda path: tables.scores(path, ("classifier", "arm", "against", "metric"))
        ),
        log=part("train/log.jsonl", tables.log),
        altered=tuple(sentence for stage in stages.values() for sentence in _altered(run, stage)),
    )


class Short:
    """Takes from a text what it tells of the machine: a report is passed on, the folders' names are not.

    A path within the folder that holds the cohort's source begins there; of any other absolute path the name is left.
    """

    def __init__(self, source: str) -> None:
        parent = str(_pure(source).parent) if _absolute(source) else ""
        self.inside = re.compile(re.escape(parent) + r"[/\\]") if len(parent) > 3 else None

    def path(self, text: str) -> str:
        """A text that is a path, or is none at all."""
        text = self.inside.sub("", text) if self.inside else text
        file, sign, member = text.partition("#")
        return _pure(file).name + sign + member if _absolute(file) else text

    def sentence(self, text: str) -> str:
        """A text that may hold paths."""
        text = self.inside.sub("", text) if self.inside else text
        return ELSEWHERE.sub("", text)

    def all(self, value: Any) -> Any:
        """Nested settings, of which some are paths."""
        if isinstance(value, Mapping):
            return {key: self.all(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.all(item) for item in value]
        return self.path(value) if isinstance(value, str) else value


# an absolute path up to its last name, as it stands in a sentence
ELSEWHERE = re.compile(r"(?<![\w.~#:/\\)-])(?:/|[A-Za-z]:[/\\]|\\\\)(?:[^\s/\\'\"<>|]+[/\\])+(?=[^\s/\\])")


def _pure(path: str) -> PurePosixPath | PureWindowsPath:
    """A path of either kind of machine: a run may have been made on the other."""
    windows = PureWindowsPath(path)
    return windows if windows.drive else PurePosixPath(path)


def _absolute(path: str) -> bool:
    return _pure(path).is_absolute()


def _stage(folder: Path, name: str) -> Stage:
    command = MADE_BY[name]
    if not (folder / "done.json").exists():
        begun = (folder / "begun.json").exists()
        return Stage(
            name,
            f"The stage '{name}' {'has begun but not finished' if begun else 'has not been run'}: {command}",
        )
    try:
        done = read_json(folder / "done.json")
        if done.get("format", 0) > FORMAT:
            return Stage(
                name,
                f"The stage '{name}' was made by ganatomy {done.get('version')}, which is newer: install it",
            )
        return Stage(
            name,
            "",
            str(done["job"]),
            str(done["version"]),
            dict(done["settings"]),
            dict(done["inputs"]),
            dict(done["outputs"]),
        )
    except (GanatomyError, AttributeError, KeyError, TypeError, ValueError):
        return Stage(name, f"The file {name}/done.json is damaged; make the stage again: {command} --overwrite")


def _part(run: Path, stage: Stage, file: str, parse: Callable[[Path], T]) -> Part[T]:
    if stage.gap:
        return Part(gap=stage.gap)
    if not (run / file).is_file():
        return Part(gap=f"The file {file} is missing; make the stage again: {MADE_BY[stage.name]} --overwrite")
    try:
        return Part(parse(run / file))
    except (GanatomyError, OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # the reason is in the file, and a person mends it in one way only
        return Part(gap=f"The file {file} is damaged; make the stage again: {MADE_BY[stage.name]} --overwrite")


def _altered(run: Path, stage: Stage) -> list[str]:
    """Sentences about files the page reads that differ from the hashes in done.json."""
    out = []
    for name, sha256 in sorted(stage.outputs.items()):
        path = run / stage.name / name
        read = (
            name == "manifest.csv" if stage.name == "synthetic" else path.suffix in (".json", ".jsonl", ".csv", ".png")
        )
        if read and path.is_file() and file_hash(path) != sha256:
            out.append(f"The file {stage.name}/{name} was changed after the stage '{stage.name}' had finished")
    return out


def _facts(path: Path, short: Short) -> Facts:
    raw = read_json(path)
    duplicates = raw.get("duplicates") or {}
    warnings = [str(text) for text in raw.get("warnings") or ()]
    for pair in (raw.get("near_duplicates") or {}).get("pairs") or ():
        for image in pair[:2]:  # whole, for a folder's name may hold spaces
            warnings = [text.replace(str(image), short.path(str(image))) for text in warnings]
    return Facts(
        name=short.path(str(raw.get("name", ""))),
        images=int(raw["images"]),
        patients=int(raw["patients"]),
        patients_known=bool(raw["patients_known"]),
        classes={
            str(label): {str(role): (int(n[0]), int(n[1])) for role, n in roles.items()}
            for label, roles in sorted(raw["classes"].items())
        },
        shape=tuple(int(n) for n in raw.get("shape") or ()),
        dtype=str(raw.get("dtype", "")),
        unit=str(raw.get("unit", "")),
        spacing=tuple(float(x) for x in raw.get("spacing") or ()),
        range=tuple(float(x) for x in raw.get("range") or ()),
        groups=tuple(str(name) for name in raw.get("groups") or ()),
        features=len(raw.get("features") or ()),
        duplicates_within=int(duplicates.get("within", 0)),
        duplicates_across=int(duplicates.get("across", 0)),
        warnings=tuple(short.sentence(text) for text in warnings),
    )


def roles_of(facts: Facts) -> list[str]:
    """The roles that hold an image, in the order of ROLES."""
    return [role for role in ROLES if any(roles.get(role, (0, 0))[0] for roles in facts.classes.values())]


def _made(path: Path) -> Mapping[str, int]:
    labels = pd.read_csv(path, dtype=str, keep_default_na=False)["class"]
    return {str(label): int(n) for label, n in sorted(labels.value_counts().items())}


def _list(path: Path) -> list[Any]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise TypeError(f"{path} holds no list")  # an empty object would pass for no findings
    return rows


def _findings(path: Path) -> Sequence[Finding]:
    _list(path)
    return read_findings(path)


def _pictures(path: Path) -> Sequence[Picture]:
    folder = path.parent
    out = []
    for row in _list(path):
        file = folder / str(row["file"])
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{file} lies outside {folder}"
            )  # a run from elsewhere shall not make us embed our own files
        data = file.read_bytes()
        if data[:8] != b"\x89PNG\r\n\x1a\n":
            raise ValueError(f"{file} is not a PNG")
        width, height = struct.unpack(">II", data[16:24])
        name = f"{folder.name}/{row['file']}"
        title, caption = str(row["title"]), str(row.get("caption", ""))
        gate = str(row.get("gate") or _gate(f"{name} {title}".lower()))
        out.append(Picture(folder.name, name, title, caption, width, height, data, gate))
    return out


def _gate(text: str) -> str:
    """The gate of a picture that names none: images beside their nearest real ones belong to copying."""
    return "copying" if any(word in text for word in ("pair", "closest", "nearest", "suspect")) else ""


def _protocol(path: Path) -> Protocol:
    raw = read_json(path)
    smallest = raw.get("smallest_visible_effect")
    return Protocol(
        arms=tuple(str(name) for name in raw["arms"]),
        classifier=str(raw["primary"]["classifier"]),
        metric=str(raw["primary"]["metric"]),
        control=str(raw["control"]),
        margin=float(raw["margin"]),
        seeds=tuple(int(seed) for seed in raw["seeds"]),
        classifiers=tuple(str(name) for name in raw["classifiers"]),
        metrics=tuple(str(name) for name in raw["metrics"]),
        test_images=int(raw["test"]["images"]),
        test_patients=int(raw["test"]["patients"]),
        definitions={str(arm): str(text) for arm, text in (raw.get("definitions") or {}).items()},
        notes={str(arm): str(text) for arm, text in (raw.get("notes") or {}).items()},
        smallest=smallest if smallest is not None and math.isfinite(smallest) else None,
    )
