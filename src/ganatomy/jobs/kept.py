"""How the files of a check name images, and the synthetic set without its suspects, RUN/check/kept.csv.

Knows paths and manifests; does not know why an image is suspected.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ganatomy.core.cohort import TRAIN, Cohort, read_manifest, write_manifest
from ganatomy.core.progress import say
from ganatomy.core.run import read_json, write_text
from ganatomy.integrity.copying import drop_suspects
from ganatomy.jobs import tables
from ganatomy.jobs.drawings import SYNTHETIC

KEPT = "kept.csv"


def paths(cohort: Cohort, run: Path) -> list[str]:
    """The images' paths, relative to the run folder where they lie in it: a run may be moved."""
    here = run.resolve()
    found = [Path(text) for text in cohort.column("path")]
    return [path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path) for path in found]


def with_paths(files: Mapping[str, np.ndarray], patients: np.ndarray) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Tables whose columns `image` and `original` are rows of sets -> the same with the images' paths.

    image: a row of the set that the column `set` names, of synthetic where there is no such column -> path
    original: a row of train -> nearest and nearest_patient. patients: (n,) of train
    """

    def named(table: pd.DataFrame) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        for name in table:
            if name == "image":
                whose = table["set"] if "set" in table else [SYNTHETIC] * len(table)
                columns["path"] = [files[of][int(row)] for of, row in zip(whose, table[name], strict=True)]
            elif name == "original":
                rows = table[name].to_numpy(np.int64)
                columns |= {"nearest": files[TRAIN][rows], "nearest_patient": patients[rows]}
            else:
                columns[str(name)] = table[name].to_numpy()
        return pd.DataFrame(columns)

    return named


def write_kept(folder: Path) -> Path:
    """RUN/check/kept.csv: the synthetic set without the suspects, a manifest as the set's own (of tables: its rows).

    InputError where no image of a class would be left.
    """
    target = folder / "check"
    made = read_manifest(folder / SYNTHETIC / "manifest.csv")
    table = pd.read_csv(target / "suspects.csv", dtype=str, keep_default_na=False)
    at = pd.Series(range(len(made)), index=paths(made, folder))
    at = at[at.index.isin(table["path"])]
    labels = np.array(made.labels, dtype=object)
    suspects = pd.DataFrame({"class": labels[at.to_numpy(np.int64)], "image": at.to_numpy(np.int64)})
    gone = np.concatenate([np.zeros(0, np.int64), *drop_suspects(suspects, made.counts).values()])
    rest = made.take([row for row in range(len(made)) if row not in {*gone.tolist()}])
    if read_json(folder / "data" / "facts.json").get("features"):
        written = write_text(target / KEPT, tables.rows(rest).to_csv(index=False, lineterminator="\n"))
    else:
        here, whole = target.resolve(), folder.resolve()
        near = [
            Path(os.path.relpath(path, here)).as_posix() if Path(path).is_relative_to(whole) else path
            for path in rest.column("path")
        ]
        written = write_manifest(Cohort(rest.table.assign(path=near)), target / KEPT)
    say(f"check: {len(gone)} of {len(made)} synthetic images are suspected copies; the others are in {written}")
    return written
