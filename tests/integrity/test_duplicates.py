"""Pairs are found whatever the type, in the order of the sets, and the search is capped."""

import numpy as np
import pytest

from ganatomy.integrity import duplicates
from ganatomy.integrity.duplicates import COLUMNS, duplicate_table, searched


def noise(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, (n, 1, 24, 24)).astype(np.int16)


def test_equal_and_near_pairs() -> None:
    images = {"train": noise(8, 0), "holdout": noise(8, 1), "synthetic": noise(8, 2).astype(np.float32)}
    images["synthetic"][3] = images["train"][2]
    images["synthetic"][5] = images["holdout"][6] * 1.1 + 7  # of other contrast
    images["holdout"][1] = images["holdout"][0] + 3
    people = {"train": list("aabbccdd"), "holdout": list("eeffgghh"), "synthetic": [""] * 8}
    table = duplicate_table(images, {"train": [f"t{i}" for i in range(8)]}, people)
    assert tuple(table.columns) == COLUMNS
    assert table[["kind", "set", "row", "path", "other_set", "other_row", "other_path"]].to_numpy().tolist() == [
        ["exact", "train", 2, "t2", "synthetic", 3, "3"],
        ["near", "holdout", 6, "6", "synthetic", 5, "5"],
    ]  # two images of one patient are no pair
    people["holdout"][1] = "other"
    assert len(duplicate_table(images, {}, people)) == 3


def test_constant_and_no_images() -> None:
    flat = {"train": np.zeros((5, 1, 8, 8)), "synthetic": np.zeros((5, 1, 8, 8)), "holdout": np.zeros((0, 1, 8, 8))}
    assert duplicate_table(flat, {}, {}).empty


def test_the_search_is_spread_over_a_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert searched(7).tolist() == list(range(7))
    monkeypatch.setattr(duplicates, "ROWS", 10)
    assert len(set(searched(95).tolist())) == 10
    assert searched(95)[[0, -1]].tolist() == [0, 94]
    images = {"train": noise(95, 0), "synthetic": noise(95, 1)}
    for row in (0, 1, 94):
        images["synthetic"][row] = images["train"][row] + 5
    table = duplicate_table(images, {}, {})
    assert table["row"].tolist() == [0, 94]  # 1 is not searched
    images["synthetic"][1] = images["train"][1]
    assert duplicate_table(images, {}, {})["kind"].tolist().count("exact") == 1  # equal ones are, in all
