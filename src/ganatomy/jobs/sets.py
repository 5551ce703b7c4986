"""Anyone's real and synthetic images, in folders or manifests -> a run folder that check and report read.

Writes OUT/data (train, holdout and, as the role select, the reference) and OUT/synthetic. Knows sources and roles;
measures nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import COLUMNS, HOLDOUT, SELECT, TRAIN, Cohort, write_manifest
from ganatomy.core.errors import InputError, SettingsError
from ganatomy.core.run import stage, write_json
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.read import hashed, pixels
from ganatomy.data.scan import Read, read, source_hash
from ganatomy.jobs.inspect import look

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Sets(Settings):
    """Three or four sets of images, each a folder by class, a manifest (.csv), or an .npz file."""

    train: str = option("", "real images that the generator learned from", local=True)
    holdout: str = option("", "real images of other patients, the yardstick", local=True)
    synthetic: str = option("", "synthetic images", local=True)
    reference: str = option("", "real images of a third group of patients, for attacks on privacy", local=True)
    out: Path | None = option(None, "folder to write to", local=True)
    read: Read = Read()

    @property
    def given(self) -> bool:
        """Whether any set is named."""
        return bool(self.train or self.holdout or self.synthetic or self.reference)


def gather(sets: Sets, overwrite: bool = False) -> Path:
    """Write OUT/data and OUT/synthetic; returns OUT.

    InputError in one sentence: a set is missing, a class is in one set alone, images differ in size, channels or type.
    """
    if not sets.train or not sets.synthetic:
        missing = "--train" if not sets.train else "--synthetic"
        raise SettingsError(f"{missing} is missing: check compares --synthetic with --train and --holdout")
    if not sets.holdout:
        raise SettingsError(
            "without --holdout (real images of patients that the generator never saw) no gate has a yardstick, and "
            "copies cannot be told from likeness; hold out a fifth of the patients before training, or give other real "
            "images"
        )
    if sets.out is None:
        raise SettingsError("-o is missing: name the folder to write the comparison to")
    sources = {TRAIN: sets.train, HOLDOUT: sets.holdout, SELECT: sets.reference, SYNTHETIC: sets.synthetic}
    found = {role: read(source, sets.read) for role, source in sources.items() if source}
    _same_classes(found)
    out, settings = sets.out, record(sets)
    real = _joined({role: cohort for role, cohort in found.items() if role != SYNTHETIC})
    hashes = {role: source_hash(cohort) for role, cohort in found.items()}

    def data() -> list[Path]:
        done, facts = look(real)
        return [
            write_manifest(done, out / "data" / "manifest.csv"),
            write_json(out / "data" / "facts.json", facts),
        ]

    def synthetic() -> list[Path]:
        made = found[SYNTHETIC]
        values, like = pixels(made), pixels(real.take([0]))
        if values.shape[1:] != like.shape[1:] or values.dtype != like.dtype:
            raise InputError(
                f"the images of {made.name} are {_form(values)} and those of {sets.train} {_form(like)}; bring them to "
                "one size, channel count and type"
            )
        return [write_manifest(_absolute(hashed(made, values)), out / SYNTHETIC / "manifest.csv")]

    inputs = {role: value for role, value in hashes.items() if role != SYNTHETIC}
    stage(out / "data", "check", settings, inputs, data, run=out, overwrite=overwrite)
    stage(out / SYNTHETIC, "check", settings, {SYNTHETIC: hashes[SYNTHETIC]}, synthetic, run=out, overwrite=overwrite)
    return out


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
