"""The tables of a run folder as pandas reads them for a page: which columns each must have, numbers as numbers.

Raises what pandas raises on a damaged file. Knows neither stages nor the page.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SUSPECTS = ("class", "path", "nearest", "compared_by", "ratio")  # the columns of check/suspects.csv that are shown
SETS = ("train", "holdout", "synthetic")  # the values of the column `set` in check/features.csv
IDENTITY = ("set", "class", "patient", "path")  # its columns that are no features

# the tables of check that drawings are made of: name -> columns of text, columns of numbers that a drawing needs
NEEDED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "marginals": (("class", "feature"), ("D", "D_real")),
    "dependence": (("class", "a", "b"), ("rho_holdout", "rho_synthetic")),
    "labels": (("class", "feature"), ("AUC", "AUC_real")),
    "separation": (("class", "feature"), ("importance",)),
    "missed": (("class",), ()),
    "fairness": (("class", "column", "value"), ("train_patients", "holdout_patients")),
    "invariance": (("transform", "kind", "name", "associated"), ("change",)),
}
TEXT = (
    "class",
    "feature",
    "a",
    "b",
    "column",
    "value",
    "note",
    "set",
    "transform",
    "kind",
    "name",
    "state",
    "associated",
)


def _numbers(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table with some columns as numbers; what is none becomes NaN."""
    table = table.copy()
    table[list(names)] = table[list(names)].apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    return table


def _text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def features(path: Path) -> pd.DataFrame:
    """check/features.csv: IDENTITY as text, then a column of numbers per feature."""
    table = pd.read_csv(path, dtype=dict.fromkeys(IDENTITY, str), keep_default_na=False, na_values={})
    if "set" not in table or "class" not in table:
        raise ValueError("no column 'set' or 'class'")
    return _numbers(table, [name for name in table.columns if name not in IDENTITY])


def suspects(path: Path, short: Callable[[str], str]) -> pd.DataFrame:
    """check/suspects.csv: SUSPECTS, paths made short, and `image`, whose row it is: short names may be alike."""
    table = _text(path)[[*SUSPECTS]]
    table["ratio"] = pd.to_numeric(table["ratio"])
    table["image"] = pd.factorize(table["path"])[0]
    for name in ("path", "nearest"):
        table[name] = table[name].map(short)
    return table


def scores(path: Path, keys: tuple[str, ...]) -> pd.DataFrame:
    """prove/scores.csv and prove/differences.csv: keys as text, then value, low, high."""
    numbers = ["value", "low", "high"]
    return _numbers(_text(path)[[*keys, *numbers]], numbers)


def log(path: Path) -> pd.DataFrame:
    """train/log.jsonl: step, then a column per logged number; of a step logged twice the last line."""
    table = pd.DataFrame([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()])
    if not len(table) or "step" not in table:
        raise ValueError("no steps")
    return (
        _numbers(table, list(table.columns)).drop_duplicates("step", keep="last").sort_values("step", ignore_index=True)
    )


def drawn(name: str, path: Path) -> pd.DataFrame:
    """A table of NEEDED: its columns of text, all others as numbers; rows without a number it needs are left out."""
    table = _text(path)
    text, numbers = NEEDED.get(name, ((), ()))
    table = _numbers(table, [column for column in table.columns if column not in TEXT])
    if missing := {*text, *numbers} - {*table.columns}:
        raise KeyError(f"{path} has no column {', '.join(sorted(missing))}")
    return table.dropna(subset=list(numbers)).reset_index(drop=True)


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table with None where there is no number."""
    return [
        {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]
