"""The cohort: an ordered table of images whose pixels are read only when asked for.

A folder, an npz, a phantom, a synthetic set are all cohorts. Knows columns, classes and patients; does not know
where pixels live (data.pixels reads them) nor who may learn from which row (data.split decides).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.errors import InputError, nearest
from ganatomy.core.run import write_text

TRAIN, SELECT, HOLDOUT, TEST = "train", "select", "holdout", "test"
ROLES = (TRAIN, SELECT, HOLDOUT, TEST)

# the columns a manifest may have with a meaning of their own; every further column is a group
COLUMNS = (
    "path",
    "class",
    "patient",
    "fold",
    "role",
    "unit",
    "spacing",
    "slope",
    "intercept",
    "sha256",
    "seed",
    "weights",
)


@dataclass(frozen=True)
class Cohort:
    """An ordered table of images.

    table: one row per image; the columns of COLUMNS that are known, then the groups. All text but fold.
        path: a file (absolute, or relative to the manifest), `file.npz#key/row`, or `phantom:...#row`
        class, patient: "" where unknown; role: one of ROLES
        slope, intercept: value = stored * slope + intercept, for 16-bit files that hold signed units
    name: how the user called it, for messages
    """

    table: pd.DataFrame
    name: str = ""

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> list[str]:
        """A column as texts; empty texts where the column is absent or says nothing."""
        if name not in self.table:
            return [""] * len(self)
        values = self.table[name]
        return ["" if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]

    @property
    def labels(self) -> list[str]:
        """The class of each image."""
        return self.column("class")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in alphabetical order: the order of every probability and every table."""
        return tuple(sorted(set(self.labels)))

    @property
    def codes(self) -> list[int]:
        """The class of each image as an index into `classes`."""
        index = {name: i for i, name in enumerate(self.classes)}
        return [index[name] for name in self.labels]

    @property
    def counts(self) -> dict[str, int]:
        """Images per class."""
        labels = self.labels
        return {name: labels.count(name) for name in self.classes}

    @property
    def patients_known(self) -> bool:
        """Whether every image names its patient. If not, leakage between roles cannot be excluded."""
        return all(self.column("patient"))

    @property
    def patients(self) -> list[str]:
        """The patient of each image; an image of unknown patient counts as a patient of its own."""
        return [who or f"?{path}" for who, path in zip(self.column("patient"), self.column("path"), strict=True)]

    @property
    def groups(self) -> list[str]:
        """The further columns: sex, site, scanner, diameter, ..."""
        return [name for name in self.table.columns if name not in COLUMNS]

    def where(self, role: str | None = None, label: str | None = None) -> "Cohort":
        """The rows of one role and/or one class, in order."""
        keep = pd.Series(True, index=self.table.index)
        if role is not None:
            if "role" not in self.table:
                raise InputError(f"{self.name} has not been split into roles yet")
            keep &= self.table["role"] == role
        if label is not None:
            if label not in self.classes:
                raise InputError(f"{self.name} has no class '{label}'; {nearest(label, self.classes)}")
            keep &= np.array(self.labels) == label
        return Cohort(self.table[keep].reset_index(drop=True), self.name)

    def take(self, rows: Sequence[int]) -> "Cohort":
        """The given rows, in the given order."""
        return Cohort(self.table.iloc[list(rows)].reset_index(drop=True), self.name)


def write_manifest(cohort: Cohort, path: Path) -> Path:
    """Write a cohort's table as CSV."""
    return write_text(path, cohort.table.to_csv(index=False, lineterminator="\n"))


def read_manifest(path: Path) -> Cohort:
    """Read a manifest; paths relative to it become paths that can be opened from anywhere.

    Raises InputError where the file is missing, is no CSV, or has no 'path' column.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(f"cannot read the manifest {path}: {error.strerror}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"the manifest {path} is not a CSV table ({error}); save it as CSV in UTF-8") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first column for names of rows
        raise InputError(f"the manifest {path} has lines with more values than its header; name every column")
    table.columns = table.columns.str.strip()
    if "path" not in table:
        raise InputError(
            f"the manifest {path} has no column 'path'; its columns, split at commas, are: {', '.join(table.columns)}; "
            "rename the column that names the files, or save the table with commas"
        )
    here = path.resolve().parent
    table["path"] = [text if text.startswith("phantom:") else str(here / text) for text in table["path"]]
    return Cohort(table, str(path))
