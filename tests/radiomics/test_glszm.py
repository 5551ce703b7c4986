"""Zones by size: against the standard, pyradiomics, a plain labelling, and at the edges of what is defined.

glszm_pyradiomics.json, gldm_... and ngtdm_...: pyradiomics 3.0.1 on the arrays in them (0 = outside the mask), framed
by a voxel of outside along each axis, binWidth=1; "2_5D" is force2D=True, distance 2 is distances=[1, 2], and alpha is
gldm_a.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from ganatomy.core.errors import InputError
from ganatomy.radiomics.emphasis import QUANTITIES, emphases, logarithms
from ganatomy.radiomics.glszm import FEATURES, measure, reason

from .conftest import regions

HERE = Path(__file__).parent
with (HERE / "ibsi_1.csv").open() as file:
    REFERENCES = [row for row in csv.DictReader(file) if row["family"] == "glszm"]
ORACLE = json.loads((HERE / "glszm_pyradiomics.json").read_text())
CODES, NAMES = [f.code for f in FEATURES], [f.name for f in FEATURES]
BOXES = arrays(np.uint16, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(0, 3))


def zones(levels, connected):
    """Level and size of each zone, by labelling each level by itself."""
    found = []
    for g in np.unique(levels[levels > 0]):
        labels, _ = ndimage.label(levels == g, connected)
        found += [(int(g), int(size)) for size in np.bincount(labels.ravel())[1:]]
    return np.array(found, float).reshape(-1, 2)


def test_the_standard_has_sixteen_features_in_three_aggregations():
    assert len(REFERENCES) == 48


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: f"{row['tag']}-{row['aggregation']}")
def test_agrees_with_the_standard(row, phantom, agrees):
    value = measure(phantom, aggregation=row["aggregation"])[0, CODES.index(row["code"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


@pytest.mark.parametrize("run", ORACLE["runs"], ids=lambda run: "-".join(run["settings"].values()))
@pytest.mark.parametrize("pad", [1, 3])
def test_agrees_with_pyradiomics(run, pad):
    box = regions([ORACLE["arrays"][run["settings"]["array"]]], pad)
    values = dict(zip(NAMES, measure(box, aggregation=run["settings"]["aggregation"])[0], strict=True))
    assert set(values) == set(run["values"])
    for name, expected in run["values"].items():
        assert values[name] == pytest.approx(expected, rel=1e-9, abs=1e-12), name


@settings(deadline=None, max_examples=60)
@given(BOXES, st.sampled_from(["2D", "2_5D", "3D"]))
def test_zones_are_those_of_a_plain_labelling(levels, aggregation):
    square, cube = np.zeros((3, 3, 3)), np.ones((3, 3, 3))
    square[1] = 1
    connected = cube if aggregation == "3D" else square
    parts = [s[None] for s in levels if s.any()] if aggregation == "2D" else [levels] if levels.any() else []
    expected = []
    for part in parts:
        g, size = zones(part, connected).T
        expected.append([(size**2).mean(), (g**2 / size**2).mean(), len(size) / (part > 0).sum(), size.var()])
    values = measure(regions([levels]), aggregation=aggregation)[0]
    columns = ["LargeAreaEmphasis", "SmallAreaHighGrayLevelEmphasis", "ZonePercentage", "ZoneVariance"]
    if parts:
        found = values[[NAMES.index(name) for name in columns]]
        np.testing.assert_allclose(found, np.mean(expected, 0), rtol=1e-12, atol=1e-12)
    else:
        assert np.isnan(values).all()


def test_a_winding_zone_is_one():
    """A spiral's arms get labels of their own in a raster pass, and are joined late; a second level fills the gaps."""
    spiral = np.array([[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 1, 2, 1], [1, 2, 1, 2, 1], [1, 2, 1, 1, 1]])
    values = dict(zip(NAMES, measure(regions([[np.kron(spiral, np.ones((3, 3)))]]))[0], strict=True))
    assert values["ZonePercentage"] == 2 / 225
    assert values["LargeAreaEmphasis"] == ((9 * 17) ** 2 + (9 * 8) ** 2) / 2


@settings(deadline=None, max_examples=30)
@given(BOXES, st.sampled_from(["2D", "2_5D", "3D"]))
def test_neither_place_nor_turn_nor_company_matters(levels, aggregation):
    alone = measure(regions([levels]), aggregation=aggregation)[0]
    moved = np.pad(levels, ((1, 0), (0, 2), (3, 1)))
    turned = np.rot90(levels, axes=(0, 1) if aggregation == "3D" else (1, 2))
    for other in (moved, turned, levels[:, ::-1]):
        found = measure(regions([other]), aggregation=aggregation)[0]
        np.testing.assert_allclose(found, alone, rtol=1e-12, atol=1e-12)
    batch = measure(regions([levels[:, :, ::-1], levels, np.zeros_like(levels)]), aggregation=aggregation)
    assert np.array_equal(batch[1], alone, equal_nan=True)
    assert np.isnan(batch[2]).all()


def test_a_flat_region_is_one_zone():
    values = dict(zip(NAMES, measure(regions([np.full((3, 4, 5), 2)]))[0], strict=True))
    assert values["LargeAreaEmphasis"] == 60**2
    assert values["ZonePercentage"] == 1 / 60
    assert values["ZoneEntropy"] == values["ZoneVariance"] == values["GrayLevelVariance"] == 0


@pytest.mark.parametrize("aggregation", ["2D", "2_5D", "3D"])
def test_one_voxel_is_a_zone_and_none_are_no_number(aggregation):
    box = np.zeros((2, 3, 3, 3))
    box[0, 1, 2, 0] = 3
    one, none = measure(regions(box), aggregation=aggregation)
    assert one[NAMES.index("SmallAreaEmphasis")] == 1
    assert one[NAMES.index("HighGrayLevelZoneEmphasis")] == 9
    assert np.isfinite(one).all()
    assert np.isnan(none).all()
    assert "empty region" in reason("ZoneEntropy", 0, 0)


def test_ten_thousand_levels():
    levels = np.random.default_rng(0).permutation(10_000).reshape(1, 1, 100, 100) + 1
    values = dict(zip(NAMES, measure(regions(levels))[0], strict=True))
    assert values["ZonePercentage"] == 1
    assert values["GrayLevelNonUniformity"] == pytest.approx(1)
    assert values["ZoneEntropy"] == pytest.approx(np.log2(10_000))
    assert values["GrayLevelVariance"] == pytest.approx((10_000**2 - 1) / 12)


def test_no_regions_give_no_rows():
    assert measure(regions(np.zeros((0, 1, 4, 4)))).shape == (0, 16)


def test_an_unknown_aggregation_is_named():
    with pytest.raises(InputError, match="3D_avg"):
        measure(regions(np.ones((1, 1, 2, 2))), aggregation="3D_avg")


def test_emphases_of_a_small_matrix():
    """Cells (level, size, count): (1, 1, 4), (1, 3, 2), (4, 3, 2); eight things of thirty voxels."""
    i, j, c = (np.array(column, np.int32) for column in ([1, 1, 4], [1, 3, 3], [4, 2, 2]))
    out, tally = np.empty(17), np.zeros(8, np.int32)
    emphases(i, j, c, 3, 30.0, logarithms(), tally, out)
    expected = {
        "small size emphasis": (4 + 4 / 9) / 8,
        "large size high grey level emphasis": (4 + 18 + 2 * 9 * 16) / 8,
        "grey level non-uniformity": (36 + 4) / 8,
        "normalised size non-uniformity": (16 + 16) / 64,
        "percentage": 8 / 30,
        "grey level variance": 9 * 0.25 * 0.75,
        "size variance": 1,
        "entropy": 1.5,
        "energy": 0.25 + 1 / 16 + 1 / 16,
    }
    for name, value in expected.items():
        assert out[QUANTITIES.index(name)] == pytest.approx(value, rel=1e-12), name
    assert not tally.any()
    many = np.array([5000], np.int32)  # more than the table of logarithms holds
    emphases(
        np.array([1, 2], np.int32), np.array([1, 1], np.int32), np.repeat(many, 2), 2, 1e4, logarithms(), tally, out
    )
    assert out[QUANTITIES.index("entropy")] == pytest.approx(1, rel=1e-12)
