"""Dependences: against the standard, pyradiomics (see test_glszm.py for its settings), a plain count; the edges."""

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
from ganatomy.radiomics.gldm import FEATURES, measure, reason

from .conftest import regions

HERE = Path(__file__).parent
with (HERE / "ibsi_1.csv").open() as file:
    REFERENCES = [row for row in csv.DictReader(file) if row["family"] == "ngldm"]
ORACLE = json.loads((HERE / "gldm_pyradiomics.json").read_text())
CODES, NAMES = [f.code for f in FEATURES], [f.name for f in FEATURES]
BOXES = arrays(np.uint16, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 5))


def dependences(levels, alpha, reach):
    """Grey level of each voxel and 1 + its dependent neighbours, one offset at a time."""
    depth, height, width = levels.shape
    framed = np.pad(levels.astype(int), [(r, r) for r in reach])
    count = np.zeros(levels.shape, int)
    for z, y, x in product(*(range(2 * r + 1) for r in reach)):
        other = framed[z : z + depth, y : y + height, x : x + width]
        count += (other > 0) & (abs(other - levels.astype(int)) <= alpha)
    return levels[levels > 0].astype(float), count[levels > 0].astype(float)  # the voxel itself is one of them


def test_the_standard_has_seventeen_features_in_three_aggregations():
    assert len(REFERENCES) == 51


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
@given(BOXES, st.sampled_from(["2D", "2_5D", "3D"]), st.integers(0, 3), st.integers(1, 3))
def test_dependences_are_those_of_a_plain_count(levels, aggregation, alpha, distance):
    parts = [s[None] for s in levels if s.any()] if aggregation == "2D" else [levels] if levels.any() else []
    reach = (distance if aggregation == "3D" else 0, distance, distance)
    expected = []
    for part in parts:
        g, k = dependences(part, alpha, reach)
        sizes = np.unique(k, return_counts=True)[1]
        expected.append([(k**2).mean(), (g**2 / k**2).mean(), k.var(), g.var(), (sizes**2).sum() / len(k), 1])
    found = measure(regions([levels], pad=3), aggregation=aggregation, alpha=alpha, distance=distance)[0]
    columns = [CODES.index(code) for code in ("IMOQ", "JA6D", "DNX2", "1PFV", "Z87G", "6XV8")]
    if parts:
        np.testing.assert_allclose(found[columns], np.mean(expected, 0), rtol=1e-12, atol=1e-12)
    else:
        assert np.isnan(found).all()


def test_the_outside_depends_on_nothing():
    levels = np.zeros((1, 1, 3, 3))
    levels[0, 0, 1, 1] = 2
    found = dict(zip(NAMES, measure(regions(levels), alpha=5)[0], strict=True))
    assert found["LargeDependenceEmphasis"] == found["SmallDependenceEmphasis"] == 1
    assert found["DependenceEntropy"] == 0


def test_a_large_alpha_makes_all_depend():
    levels = np.array([[[[1, 65535], [40000, 3]]]])
    assert measure(regions(levels), alpha=1e9)[0, NAMES.index("LargeDependenceEmphasis")] == 16
    assert measure(regions(levels), alpha=2.7)[0, NAMES.index("LargeDependenceEmphasis")] == (4 + 4 + 1 + 1) / 4


def test_a_flat_plane():
    found = dict(zip(NAMES, measure(regions(np.full((1, 1, 3, 3), 7)))[0], strict=True))
    assert found["LargeDependenceEmphasis"] == pytest.approx((4 * 16 + 4 * 36 + 81) / 9, rel=1e-12)
    assert found["GrayLevelVariance"] == 0


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
    assert "empty region" in reason("DependenceEntropy", 0, 0)


def test_ten_thousand_levels():
    levels = np.random.default_rng(0).permutation(10_000).reshape(1, 1, 100, 100) + 1
    found = measure(regions(levels))[0]
    assert found[CODES.index("FCBV")] == pytest.approx(np.log2(10_000))
    assert found[CODES.index("CAS9")] == pytest.approx(1e-4)


@pytest.mark.parametrize("choices", [{"distance": 2}, {"distance": 0}, {"alpha": -1}, {"alpha": float("nan")}])
def test_what_cannot_be_asked_for(choices):
    with pytest.raises(InputError, match=next(iter(choices))):
        measure(regions(np.ones((1, 1, 4, 4))), **choices)
