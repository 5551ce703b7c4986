"""Anyone's real and synthetic images, or tables of features -> a run folder that check and report read.

Writes OUT/data (train, holdout and, as the role select, the reference) and OUT/synthetic. Knows sources and roles;
measures nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import COLUMNS, HOLDOUT, SELECT, TRAIN, Cohort, write_manifest
from ganatomy.core.errors import InputError, RunError, SettingsError
from ganatomy.core.progress import say
from ganatomy.core.run import read_json, stage, write_json
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.intensity import fit
from ganatomy.data.read import hashed, pixels
from ganatomy.data.scan import Read, read, source_hash
from ganatomy.jobs import tables
from ganatomy.jobs.groups import group_columns
from ganatomy.jobs.inspect import apart, look

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Sets(Settings):
    """Three or four sets, each images (a folder by class, a manifest, an .npz) or a table of features."""

    train: str = option("", "real images that the generator learned from, or a table of their features", local=True)
    holdout: str = option("", "real images of other patients, the yardstick", local=True)
    synthetic: str = option("", "synthetic images", local=True)
    reference: str = option("", "real images of a third group of patients, for attacks on privacy", local=True)
    out: Path | None = option(None, "folder to write to", local=True)
    read: Read = Read()

    @property
    def given(self) -> bool:
        """Whether any set is named."""
        return bool(self.train or self.holdout or self.synthetic or self.reference)


def gather(
    sets: Sets,
    overwrite: bool = False,
    suits: Callable[[np.ndarray], object] = lambda _: None,
    counts: Callable[[dict[str, int]], object] = lambda _: None,
) -> Path:
    """Write OUT/data and OUT/synthetic; returns OUT.

    counts: the same of the number of images of each set
    suits: raises InputError where training images (n, C, H, W) cannot be compared; then nothing is written
    InputError in one sentence: a set is missing, a class is in one set alone, images differ in size, channels or type,
    tables in columns.
    """
    sources, out = _named(sets), _out(sets)
    found, features = _read(sources, sets.read)
    _enough(found)
    _same_classes(found)
    counts({role: len(cohort) for role, cohort in found.items()})
    for source in sources.values():
        apart(out, source)
    settings = record(sets)
    # another set is another comparison: it must not take the place of a finished one unasked
    settings["sources"] = {role: Path(source).name for role, source in sources.items()}
    if not any(source.lower().endswith(".npz") for source in sources.values()):
        settings["read"].pop("groups")  # it changes what is compared, and not what is read
    real = _joined({role: cohort for role, cohort in found.items() if role != SYNTHETIC})
    if sets.read.groups:  # is said before anything is written
        group_columns(_joined({role: found[role] for role in (TRAIN, HOLDOUT)}), sets.read.groups)
    made = _absolute(found[SYNTHETIC])
    hashes = {role: source_hash(cohort) for role, cohort in found.items()}

    @cache
    def fitting() -> Cohort:
        """The synthetic set with hashes; InputError where it does not fit the real one."""
        if features:
            return made
        values, like = pixels(made), pixels(real.take([0]))
        if values.shape[1:] != like.shape[1:] or values.dtype != like.dtype:
            raise InputError(
                f"the images of {made.name} are {_form(values)} and those of {sets.train} {_form(like)}; bring them to "
                "one size, channel count and type"
            )
        return hashed(made, values)

    def data() -> list[Path]:
        fitting()  # before anything is written
        done, facts = (real, tables.facts(real, features)) if features else look(real, suits=learned)
        return [
            write_manifest(done, out / "data" / "manifest.csv"),
            write_json(out / "data" / "facts.json", facts),
        ]

    def learned(_: Cohort, values: np.ndarray) -> None:
        fit(values)
        suits(values)

    def synthetic() -> list[Path]:
        return [write_manifest(fitting(), out / SYNTHETIC / "manifest.csv")]

    inputs = {role: value for role, value in hashes.items() if role != SYNTHETIC}
    stage(out / "data", "check", settings, inputs, data, run=out, overwrite=overwrite)
    stage(out / SYNTHETIC, "check", settings, {SYNTHETIC: hashes[SYNTHETIC]}, synthetic, run=out, overwrite=overwrite)
    _say_unknown(found)
    if missing := sorted({*found[TRAIN].classes} - {*found[SYNTHETIC].classes}):
        say(f"note: there is no synthetic image of {', '.join(missing)}; nothing is asked of what is not there")
    return out


def own(run: Path, verb: str) -> None:
    """RunError where a run folder holds a comparison of somebody else's sets: nothing was trained there."""
    done = run / "data" / "done.json"
    if done.exists() and read_json(done).get("job") == "check":
        raise RunError(
            f"{run} holds a comparison of sets that were made elsewhere, and {verb} needs a run that trained one; "
            "to compare again, give check --train, --holdout and --synthetic again"
        )


def _named(sets: Sets) -> dict[str, str]:
    """The sources by role; SettingsError where one is missing."""
    if not sets.train or not sets.synthetic:
        missing = "--train" if not sets.train else "--synthetic"
        raise SettingsError(f"{missing} is missing: check compares --synthetic with --train and --holdout")
    if not sets.holdout:
        raise SettingsError(
            "without --holdout (real images of patients that the generator never saw) no gate has a yardstick, and "
            "copies cannot be told from likeness; hold out a fifth of the patients before training, or give other real "
            "images"
        )
    sources = {TRAIN: sets.train, HOLDOUT: sets.holdout, SELECT: sets.reference, SYNTHETIC: sets.synthetic}
    return {role: source for role, source in sources.items() if source}


def _out(sets: Sets) -> Path:
    if sets.out is None:
        raise SettingsError("-o is missing: name the folder to write the comparison to")
    return sets.out


def _read(sources: dict[str, str], how: Read) -> tuple[dict[str, Cohort], tuple[str, ...]]:
    """The sets as cohorts, and the features of tables, () of images; InputError where some are images and some not."""
    are_tables = {role: tables.is_table(source) for role, source in sources.items()}
    if any(are_tables.values()):
        for role, source in sources.items():
            if not Path(source).exists():
                flag = "reference" if role == SELECT else role
                raise InputError(f"there is no file or folder {source}; give the table that --{flag} stands for")
        if images := [source for role, source in sources.items() if not are_tables[role]]:
            table = next(source for role, source in sources.items() if are_tables[role])
            raise InputError(
                f"{table} has no column 'path', so it is a table of features, and {images[0]} is a set of images; "
                "give images, or tables, for all sets"
            )
        read_in = tables.read_tables(sources, how)
        return {role: one.cohort for role, one in read_in.items()}, read_in[TRAIN].names
    plain = replace(how, groups=())  # a synthetic set need not have the groups of real ones
    return {role: read(source, plain if role == SYNTHETIC else how) for role, source in sources.items()}, ()


def _enough(found: dict[str, Cohort]) -> None:
    """InputError where a set is a single image."""
    for role, cohort in found.items():
        if len(cohort) < 2:
            raise InputError(
                f"{cohort.name} ({role}) holds one image only, and nothing can be said of a set of one; give more: "
                "from about 100 patients of each class the gates can tell"
            )


def _say_unknown(found: dict[str, Cohort]) -> None:
    """Real sets whose patients nobody named."""
    unknown = [cohort.name for role, cohort in found.items() if role != SYNTHETIC and not cohort.patients_known]
    if unknown:
        say(
            f"note: {', '.join(unknown)} name no patient for each image, so every such image counts as a patient of "
            "its own; if a patient has several, the tests are too sure: name them with --pattern or a column 'patient'"
        )


def _same_classes(found: dict[str, Cohort]) -> None:
    """InputError where a class of one set is unknown to train or holdout."""
    for role, cohort in found.items():
        for other in (TRAIN, HOLDOUT):
            if alone := sorted(set(cohort.classes) - set(found[other].classes)):
                raise InputError(
                    f"{cohort.name} ({role}) has the class '{alone[0]}' and {found[other].name} ({other}) has not; "
                    "name classes alike in all sets, or leave that class out"
                )


def _joined(found: dict[str, Cohort]) -> Cohort:
    """One cohort of several, the set as role."""
    tables = [_absolute(cohort).table.assign(role=role) for role, cohort in found.items()]
    table = pd.concat(tables, ignore_index=True)
    first = [name for name in COLUMNS if name in table]
    return Cohort(table[[*first, *(name for name in table.columns if name not in first)]], found[TRAIN].name)


def _absolute(cohort: Cohort) -> Cohort:
    """The cohort with paths that hold from any folder; those of .npz rows, frames and phantoms keep their ends."""
    paths = [path if path.startswith("phantom:") else str(Path(path).absolute()) for path in cohort.column("path")]
    return Cohort(cohort.table.assign(path=paths), cohort.name)


def _form(values: np.ndarray) -> str:
    return f"{' x '.join(map(str, values.shape[2:]))} with {values.shape[1]} channels of {values.dtype}"
