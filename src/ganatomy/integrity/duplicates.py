"""Which images are equal, and which show the same picture, within and across sets: a table of pairs.

Knows arrays, paths and patients of sets. Does not know how many pairs are too many (hygiene.py).
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.data.near import near_duplicates

Images = NDArray[np.generic]  # (N, C, H, W), in the type they were stored in

SYNTHETIC = "synthetic"
ROWS = 2500  # images of each set in the search for near duplicates
COLUMNS = ("kind", "set", "row", "path", "other_set", "other_row", "other_path", "correlation")


def searched(n: int) -> NDArray[np.int64]:
    """The rows of a set of n images that are searched for near duplicates: all, or ROWS spread evenly over it."""
    return np.arange(n) if n <= ROWS else np.linspace(0, n - 1, ROWS).round().astype(np.int64)


def duplicate_table(
    images: Mapping[str, Images], paths: Mapping[str, Sequence[str]], patients: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """A row per pair of images that are equal (`kind` exact) or show the same picture (near, data/near.py).

    Columns: COLUMNS. Near ones are of different patients and `searched`: ROWS of each set at most. Of several equal
    images each is paired with the first of each set. Constant images are nobody's copies. Bytes are compared after
    conversion to float64, so that a change of type hides nothing.
    """
    names = [(name, row) for name, stack in images.items() for row in range(len(stack))]
    hashes = [_hash(one) for stack in images.values() for one in stack]
    first: dict[tuple[str, str], int] = {}
    found: list[tuple[str, int, int, float]] = []
    for i, ((name, _), code) in enumerate(zip(names, hashes, strict=True)):
        if not code:
            continue
        found += [("exact", first[key], i, 1.0) for key in ((other, code) for other in images) if key in first]
        first.setdefault((name, code), i)
    starts = dict(zip(images, np.cumsum([0, *(len(stack) for stack in images.values())][:-1]), strict=True))
    at: list[int] = []
    for name, stack in images.items():
        some = searched(len(stack))
        at += (starts[name] + some[np.ptp(stack[some], (1, 2, 3)) > 0]).tolist() if len(some) else []
    if at:
        values = np.stack([np.asarray(images[name][row], np.float32) for name, row in (names[k] for k in at)])
        who = [_owner(patients, *names[k]) for k in at]
        for i, j, correlation in near_duplicates(values, who, [hashes[k] for k in at]):
            found.append(("near", at[i], at[j], correlation))

    def told(i: int) -> tuple[str, int, str]:
        name, row = names[i]
        return name, row, paths[name][row] if len(paths.get(name, ())) else str(row)

    return pd.DataFrame([(kind, *told(i), *told(j), value) for kind, i, j, value in found], columns=list(COLUMNS))


def _hash(image: Images) -> str:
    """Of the values, not of their type; "" for a constant image."""
    values = np.asarray(image, np.float64) + 0.0  # + 0: there is one zero
    return "" if values.min() == values.max() else hashlib.sha256(values.tobytes()).hexdigest()


def _owner(patients: Mapping[str, Sequence[str]], name: str, row: int) -> str:
    """The patient; an image of unknown patient is its own. Real sets share their patients' names."""
    own = patients.get(name, ())
    return f"patient {own[row]}" if len(own) and own[row] and name != SYNTHETIC else f"{name} {row}"
