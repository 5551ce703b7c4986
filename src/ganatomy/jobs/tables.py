"""Tables of features that somebody measured, as cohorts: a row stands for an image, and its path is `table.csv#row`.

Knows which columns of a table are features, which say whose row it is, and which are neither. Measures nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.core.cohort import COLUMNS, TRAIN, Cohort
from ganatomy.core.errors import InputError, RunError, nearest
from ganatomy.core.progress import say
from ganatomy.data.scan import Read
from ganatomy.data.split import duplicates, summary
from ganatomy.data.table import load, numbers
from ganatomy.radiomics.files import ABOUT

Array = NDArray[np.float64]

# what ganatomy radiomics and pyradiomics write beside features; pyradiomics' begin with a capital
BESIDE = ("image", "mask", *ABOUT)
OURS = ("image", "mask", "label", "settings")  # a table with these was written by ganatomy radiomics
DIAGNOSTICS = "diagnostics_"
ASIDE = tuple(name for name in COLUMNS if name not in ("path", "class", "patient"))
FEW = 0.5  # share of words beyond which a column is one of words, and not numbers with slips


@dataclass(frozen=True, eq=False)
class Table:
    """One set. cohort: path, class, patient and groups of each row; values: (n, d) of the columns `names`."""

    cohort: Cohort
    names: tuple[str, ...]
    values: Array


def is_table(source: str) -> bool:
    """Whether a source is a table of features: a .parquet, or a .csv without a column that names files."""
    path = Path(source)
    if path.suffix.lower() != ".csv" or not path.is_file():
        return path.suffix.lower() == ".parquet"
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        names = [name.strip().strip('"') for name in lines.readline().split(",")]
    return "path" not in names and len(names) > 1  # one name alone: it is split at something else than commas


def read_tables(sources: Mapping[str, str], how: Read) -> dict[str, Table]:
    """The sets of a comparison, by role; their features are the columns of numbers that train has.

    how: labels, patients: names of the columns for class and patient; groups: columns that are no features
    InputError in one sentence: a column is missing in one set, has no value at all, or holds words among numbers.
    """
    raw = {role: load(Path(source)) for role, source in sources.items()}
    marks = {role: _marked(table, sources[role], how) for role, table in raw.items()}
    if unknown := [name for name in how.groups if name not in raw[TRAIN]]:
        raise InputError(
            f"{sources[TRAIN]} has no column '{unknown[0]}' (asked for with --groups); "
            f"{nearest(unknown[0], raw[TRAIN].columns)}"
        )
    names, words = _features(raw[TRAIN], sources[TRAIN], how)
    for role, table in raw.items():
        if lacking := [name for name in names if name not in table]:
            shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
            raise InputError(
                f"{sources[role]} ({role}) has no column {shown}, which {sources[TRAIN]} has; measure all sets with "
                "the same settings, or name what is no feature in --groups"
            )
    groups = [*how.groups] or words
    say(f"check: {len(names)} columns are features, groups: {', '.join(groups) or 'none'}")
    found = {}
    for role, table in raw.items():
        kept = [name for name in groups if name in table]
        cohort = Cohort(marks[role].assign(**{name: table[name].str.strip() for name in kept}), sources[role])
        values = _values(table, names, sources[role])
        if gone := [name for name, column in zip(names, values.T, strict=True) if np.isnan(column).all()]:
            raise InputError(
                f"the column '{gone[0]}' of {sources[role]} ({role}) has no value in any row; fill it in, or remove it "
                "from all tables"
            )
        found[role] = Table(hashed(cohort, tuple(names), values), tuple(names), values)
    return found


def _features(table: pd.DataFrame, source: str, how: Read) -> tuple[list[str], list[str]]:
    """The columns of train that are numbers, and those that are words; one without any value is left out, and said."""
    aside = {how.labels or "class", how.patients or "patient", *how.groups, *_aside(table)}
    names: list[str] = []
    words: list[str] = []
    empty: list[str] = []
    for name in map(str, table.columns):
        if name in aside:
            continue
        values, slips = numbers(table[name].tolist())
        if slips and len(slips) <= FEW * len(values):
            raise _slip(source, name, table, slips[0])
        (words if slips else empty if np.isnan(values).all() else names).append(name)
    if not names:
        raise InputError(
            f"{source} has no column 'path' that names images and no column of numbers; "
            "give a manifest of images, or a table with a column for each feature"
        )
    if empty:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        say(f"note: in {source} no row has a value of {', '.join(empty[:3])}{more}: left out")
    return names, words


def _aside(table: pd.DataFrame) -> set[str]:
    """Columns that are neither features nor groups."""
    names = [str(name) for name in table.columns]
    measured = {*OURS} <= {*names} or {"Image", "Mask"} <= {*names}
    beside = {name for name in names if measured and name.lower() in BESIDE}
    return beside | {name for name in names if name.lower().startswith(DIAGNOSTICS) or name in (*ASIDE, "set")}


def _marked(table: pd.DataFrame, source: str, how: Read) -> pd.DataFrame:
    """path, class and patient of each row; InputError where a class, or some patients, are not named."""
    label, patient = how.labels or "class", how.patients or "patient"
    image = next((name for name in ("image", "Image") if name in table), "")
    if label in table:
        labels = table[label].str.strip().tolist()
    elif image and not how.labels:
        labels = [Path(text.partition("#")[0]).parent.name for text in table[image]]
        say(f"note: {source} has no column 'class': a row's class is the name of the folder its image lies in")
    else:
        raise InputError(
            f"the table {source} has no column '{label}' ({nearest(label, table.columns)}); "
            "name the column that holds the classes with --labels"
        )
    if "" in labels:
        raise InputError(f"the table {source} names no class in row {labels.index('') + 1}; fill it in or remove it")
    if how.patients and patient not in table:
        raise InputError(
            f"the table {source} has no column '{patient}' (asked for with --patients); "
            f"{nearest(patient, table.columns)}"
        )
    whose = table[patient].str.strip().tolist() if patient in table else [""] * len(table)
    if "" in whose and any(whose):
        raise InputError(
            f"the table {source} names no patient in row {whose.index('') + 1}, though others do; fill it in, or "
            "remove the column if each row is of another patient"
        )
    file = Path(source).absolute()
    return pd.DataFrame({"path": [f"{file}#{row}" for row in range(len(table))], "class": labels, "patient": whose})


def _values(table: pd.DataFrame, names: Sequence[str], source: str) -> Array:
    """(n, d) numbers, NaN where undefined."""
    columns = []
    for name in names:
        values, slips = numbers(table[name].tolist())
        if slips:
            raise _slip(source, name, table, slips[0])
        columns.append(values)
    return np.stack(columns, axis=1)


def _slip(source: str, name: str, table: pd.DataFrame, row: int) -> InputError:
    return InputError(
        f"the column '{name}' of {source} holds '{table[name].iloc[row].strip()}' in row {row + 1}, which is no "
        "number; correct it, leave it empty if it is undefined, or name the column in --groups if it is no feature"
    )


def hashed(cohort: Cohort, names: Sequence[str], values: Array) -> Cohort:
    """The cohort with a column sha256 of each row's names and numbers."""
    kind = "\n".join(names).encode()
    table = cohort.table.assign(sha256=[hashlib.sha256(kind + row.tobytes()).hexdigest() for row in values])
    first = [name for name in COLUMNS if name in table]
    return Cohort(table[[*first, *(name for name in table.columns if name not in first)]], cohort.name)


def rows(cohort: Cohort) -> pd.DataFrame:
    """The rows of tables that a cohort lists, as texts; InputError where one is gone."""
    at = [path.rpartition("#") for path in cohort.column("path")]
    found = {file: load(Path(file)) for file in dict.fromkeys(file for file, _, _ in at)}
    begin = dict(zip(found, np.cumsum([0, *map(len, found.values())]).tolist(), strict=False))
    for file, _, row in at:
        if int(row) >= len(found[file]):
            raise InputError(f"{file} has no row {int(row) + 1} any more, which {cohort.name} lists; restore it")
    whole = pd.concat(found.values(), ignore_index=True)
    return whole.iloc[[begin[file] + int(row) for file, _, row in at]].reset_index(drop=True)


def unchanged(cohort: Cohort, names: Sequence[str]) -> Array:
    """(n, d) numbers of the rows that a cohort lists; RunError where they are not those its manifest has hashes of."""
    table = rows(cohort)
    if gone := [name for name in names if name not in table]:
        raise InputError(f"the tables of {cohort.name} have no column '{gone[0]}' any more; restore it")
    values = _values(table, names, cohort.name)
    now = hashed(cohort, names, values).column("sha256")
    for path, listed, found in zip(cohort.column("path"), cohort.column("sha256"), now, strict=True):
        if listed not in ("", found):
            raise RunError(f"{path} is not the row that {cohort.name} lists; restore it, or give the sets once more")
    return values


def facts(done: Cohort, names: Sequence[str]) -> dict[str, object]:
    """What the report says of the real rows; `features` names their columns."""
    twins = duplicates(done)
    told = []
    if not done.patients_known:
        told.append("The patients are not known: every row counts as a patient of its own.")
    if twins["across"]:
        told.append(f"{twins['across']} rows have an exact copy in another set.")
    if twins["within"]:
        told.append(f"{twins['within']} rows are exact copies of another in their set: they count more than others.")
    return {
        "name": done.name,
        "images": len(done),
        "patients": len(set(done.patients)),
        "patients_known": done.patients_known,
        "unnamed": done.column("patient").count(""),
        "classes": summary(done),
        "groups": done.groups,
        "duplicates": twins,
        "features": list(names),
        "warnings": told,
    }
