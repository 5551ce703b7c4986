"""Grey tone differences: against the standard, pyradiomics (see test_glszm.py for its settings), and at the edges."""

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ganatomy.core.errors import InputError
from ganatomy.radiomics.ngtdm import FEATURES, measure, reason

from .conftest import regions

HERE = Path(__file__).parent
with (HERE / "ibsi_1.csv").open() as file:
    REFERENCES = [row for row in csv.DictReader(file) if row["family"] == "ngtdm"]
ORACLE = json.loads((HERE / "ngtdm_pyradiomics.json").read_text())
CODES, NAMES = [f.code for f in FEATURES], [f.name for f in FEATURES]
BOXES = arrays(np.uint16, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 6))


def plain(levels, reach):
    """The standard's five features by its formulas, double sums and all; None where no voxel has a neighbour."""
    depth, height, width = levels.shape
    framed = np.pad(levels.astype(float), [(r, r) for r in reach])
    total, number = -levels.astype(float), -(levels > 0).astype(int)
    for z, y, x in product(*(range(2 * r + 1) for r in reach)):
        other = framed[z : z + depth, y : y + height, x : x + width]
        total += other
        number += other > 0
    valid = (levels > 0) & (number > 0)
    if not valid.any():
        return None
    g, difference = levels[valid].astype(float), abs(levels - total / np.maximum(number, 1))[valid]
    i = np.unique(g)
    p, s = np.array([(g == level).mean() for level in i]), np.array([difference[g == level].sum() for level in i])
    a, b = np.meshgrid(i, i)
    pa, pb = np.meshgrid(p, p)
    sa, sb = np.meshgrid(s, s)
    busy, m = abs(a * pa - b * pb).sum(), len(i)
    return [
        1 / (p @ s) if p @ s else 1e6,
        (pa * pb * (a - b) ** 2).sum() / (m * (m - 1)) * s.sum() / len(g) if m > 1 else 0,
        p @ s / busy if busy > 1e-12 else 0,
        (abs(a - b) * (pa * sa + pb * sb) / (pa + pb)).sum() / len(g),
        ((pa + pb) * (a - b) ** 2).sum() / s.sum() if s.sum() else 0,
    ]


def test_the_standard_has_five_features_in_three_aggregations():
    assert len(REFERENCES) == 15


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: f"{row['tag']}-{row['aggregation']}")
def test_agrees_with_the_standard(row, phantom, agrees):
    value = measure(phantom, aggregation=row["aggregation"])[0, CODES.index(row["code"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


@pytest.mark.parametrize("run", ORACLE["runs"], ids=lambda run: "-".join(map(str, run["settings"].values())))
def test_agrees_with_pyradiomics(run):
    choices = dict(run["settings"])
    box = regions([ORACLE["arrays"][choices.pop("array")]], pad=2)
    values = {name: x for name, x in zip(NAMES, measure(box, **choices)[0], strict=True) if name}
    assert set(values) == set(run["values"])
    for name, expected in run["values"].items():
        assert values[name] == pytest.approx(expected, rel=1e-9, abs=1e-12), name


@settings(deadline=None, max_examples=60)
@given(BOXES, st.sampled_from(["2D", "2_5D", "3D"]), st.integers(1, 2))
def test_values_are_those_of_the_formulas(levels, aggregation, distance):
    reach = (distance if aggregation == "3D" else 0, distance, distance)
    parts = [s[None] for s in levels] if aggregation == "2D" else [levels]
    expected = [found for part in parts if (found := plain(part, reach)) is not None]
    found = measure(regions([levels], pad=2), aggregation=aggregation, distance=distance)[0]
    if expected:
        np.testing.assert_allclose(found[5:], np.mean(expected, 0), rtol=1e-10, atol=1e-10)
    else:
        assert np.isnan(found).all()


def test_a_voxel_without_neighbours_counts_for_pyradiomics_only():
    levels = np.zeros((1, 1, 6, 6))
    levels[0, 0, 0, :2] = 1, 3
    pair = measure(regions(levels))[0]
    np.testing.assert_array_equal(pair[:5], pair[5:])
    levels[0, 0, 4, 4] = 2
    found = measure(regions(levels))[0]
    np.testing.assert_array_equal(found[5:], pair[5:])
    assert found[0] == pytest.approx(0.75)  # what pyradiomics gives for these three voxels
    assert found[1] == pytest.approx(8 / 27)


def test_a_flat_region_has_the_values_that_the_standard_sets():
    assert measure(regions(np.full((1, 3, 4, 5), 4)))[0].tolist() == [1e6, 0, 0, 0, 0] * 2


@pytest.mark.parametrize("aggregation", ["2D", "2_5D", "3D"])
def test_without_neighbours_there_is_no_number(aggregation):
    levels = np.zeros((3, 3, 3, 5))
    levels[1, 1, 1, 1] = 2
    levels[2, 0, 0, ::2] = 1, 2, 3
    assert np.isnan(measure(regions(levels), aggregation=aggregation)).all()
    assert "empty region" in reason("Coarseness", 0, 0)
    assert "no voxel" in reason("Coarseness", 1, 1)


@settings(deadline=None, max_examples=30)
@given(BOXES, st.sampled_from(["2D", "2_5D", "3D"]))
def test_neither_place_nor_turn_nor_company_matters(levels, aggregation):
    alone = measure(regions([levels]), aggregation=aggregation)[0]
    moved, turned = np.pad(levels, ((1, 0), (0, 2), (3, 1))), np.rot90(levels, axes=(1, 2))
    for other in (moved, turned, levels[:, ::-1]):
        found = measure(regions([other]), aggregation=aggregation)[0]
        np.testing.assert_allclose(found, alone, rtol=1e-12, atol=1e-12)
    batch = measure(regions([levels[:, :, ::-1], levels, np.zeros_like(levels)]), aggregation=aggregation)
    assert np.array_equal(batch[1], alone, equal_nan=True)
    assert np.isnan(batch[2]).all()


def test_levels_far_from_zero_keep_their_digits():
    near = np.random.default_rng(0).integers(1, 3, (1, 1, 20, 20))
    low, high = measure(regions(near))[0], measure(regions(near + 9_998))[0]
    shift = [name not in ("Busyness",) for name in NAMES[:5]]  # busyness alone depends on the level itself
    np.testing.assert_allclose(high[:5][shift], low[:5][shift], rtol=1e-12)


def test_ten_thousand_levels():
    levels = np.random.default_rng(0).permutation(10_000).reshape(1, 1, 100, 100) + 1
    found = measure(regions(levels))[0]
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(2 * (10_000**2 - 1) / 12 / (10_000 * 9_999) / found[0], rel=1e-9)


@pytest.mark.parametrize("distance", [0, 2])
def test_a_distance_beyond_the_frame_is_refused(distance):
    with pytest.raises(InputError, match="distance"):
        measure(regions(np.ones((1, 1, 4, 4))), distance=distance)
