"""Zones by distance to the border: against the standard, a plain distance transform, and small regions done by hand."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ganatomy.radiomics import glszm
from ganatomy.radiomics.gldzm import FEATURES, measure, reason
from ganatomy.radiomics.region import Regions

with (Path(__file__).parent / "ibsi_1.csv").open() as file:
    REFERENCES = [row for row in csv.DictReader(file) if row["family"] == "gldzm"]
CODES, NAMES = [f.code for f in FEATURES], [f.name for f in FEATURES]
SHAPES = st.tuples(st.integers(2, 7), st.integers(1, 9), st.integers(1, 9))


def regions(levels: object, shape: object = None) -> Regions:
    """Regions of grey levels (B, D, H, W), 0 outside, and their form where it is another."""
    given_levels = np.asarray(levels, np.uint16)
    inside = given_levels > 0
    form = inside if shape is None else np.asarray(shape, bool)
    n = given_levels.max((1, 2, 3), initial=0).astype(np.int64)
    framed = np.pad(given_levels, ((0, 0), (1, 1), (1, 1), (1, 1)))
    return Regions(given_levels.astype(float), inside, form, framed, n, (1.0, 1.0, 1.0))


def table(box: Regions, aggregation: str = "3D") -> dict[str, float]:
    return dict(zip(NAMES, measure(box, aggregation=aggregation)[0], strict=True))


def test_the_standard_has_sixteen_features_in_three_aggregations():
    assert len(REFERENCES) == 48


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: f"{row['tag']}-{row['aggregation']}")
def test_agrees_with_the_standard(row, phantom, agrees):
    value = measure(phantom, aggregation=row["aggregation"])[0, CODES.index(row["code"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


@settings(deadline=None, max_examples=100)
@given(SHAPES, st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from(["2_5D", "3D"]))
def test_distances_are_those_of_a_plain_transform(shape, seed, highest, aggregation):
    """The form has holes of its own; some of it is resegmented away."""
    draw = np.random.default_rng(seed)
    form = draw.random(shape) < draw.choice([0.8, 0.97])
    levels = np.where(form & (draw.random(shape) < 0.9), draw.integers(1, highest + 1, shape), 0)
    if not levels.any():
        return
    connected = np.ones((3, 3, 3)) if aggregation == "3D" else np.pad(np.ones((1, 3, 3)), ((1, 1), (0, 0), (0, 0)))
    if aggregation == "3D":
        distance = ndimage.distance_transform_cdt(np.pad(form, 1), "taxicab")[1:-1, 1:-1, 1:-1]
    else:
        distance = np.stack([ndimage.distance_transform_cdt(np.pad(s, 1), "taxicab")[1:-1, 1:-1] for s in form])
    near = []
    for g in np.unique(levels[levels > 0]):
        labels, n = ndimage.label(levels == g, connected)
        near += [(g, d) for d in ndimage.minimum(distance, labels, range(1, n + 1))]
    g, d = np.array(near, float).T
    found = table(regions([levels], [form]), aggregation)
    assert found["LargeDistanceEmphasis"] == pytest.approx((d**2).mean(), rel=1e-12)
    assert found["LargeDistanceHighGrayLevelEmphasis"] == pytest.approx((g**2 * d**2).mean(), rel=1e-12)
    assert found["ZoneDistanceVariance"] == pytest.approx(d.var(), rel=1e-12, abs=1e-12)
    assert found["ZonePercentage"] == pytest.approx(len(d) / (levels > 0).sum(), rel=1e-12)


def test_distance_is_to_the_border_of_the_form():
    levels = np.ones((1, 1, 5, 5))
    levels[0, 0, 2, 2] = 2
    whole = table(regions(levels))
    assert whole["LargeDistanceEmphasis"] == (1 + 9) / 2
    assert whole["LargeDistanceHighGrayLevelEmphasis"] == (1 + 4 * 9) / 2
    centre = levels * (levels == 2)
    assert table(regions(centre, levels > 0))["LargeDistanceEmphasis"] == 9
    assert table(regions(centre))["LargeDistanceEmphasis"] == 1


def test_a_zone_that_is_joined_late_is_as_near_as_its_nearer_part():
    levels = np.ones((1, 1, 7, 7))
    levels[0, 0, [2, 3, 3], [3, 1, 2]] = 2  # 3, 2 and 3 steps from the outside; the last joins the first two
    assert table(regions(levels))["LargeDistanceHighGrayLevelEmphasis"] == (1 + 4 * 2**2) / 2


def test_slices_are_planes_only_where_asked():
    levels = np.ones((1, 3, 5, 5))
    levels[0, :, 2, 2] = 2
    assert table(regions(levels), "3D")["LargeDistanceEmphasis"] == 1  # the zone's ends are at the border
    assert table(regions(levels), "2_5D")["LargeDistanceEmphasis"] == 5
    assert table(regions(levels), "2D")["LargeDistanceEmphasis"] == 5
    assert table(regions(levels[:, :1]), "3D")["LargeDistanceEmphasis"] == 5  # one slice is a plane


def test_distances_far_beyond_the_small_ones():
    levels = np.ones((1, 1, 129, 201))
    levels[0, 0, 64, 64:137] = np.arange(2, 75)
    found = table(regions(levels))
    assert found["LargeDistanceEmphasis"] == pytest.approx((1 + 73 * 65**2) / 74, rel=1e-12)
    assert found["ZoneDistanceNonUniformity"] == pytest.approx((1 + 73**2) / 74, rel=1e-12)


def test_the_grey_level_columns_are_those_of_zones_by_size():
    levels = np.random.default_rng(1).integers(0, 4, (3, 4, 6, 7))
    box = regions(levels)
    sizes = dict(zip((f.name for f in glszm.FEATURES), glszm.measure(box).T, strict=True))
    distances = dict(zip(NAMES, measure(box).T, strict=True))
    for name in ("LowGrayLevelZoneEmphasis", "GrayLevelNonUniformity", "ZonePercentage", "GrayLevelVariance"):
        np.testing.assert_allclose(sizes[name], distances[name], rtol=1e-14)


def test_regions_do_not_disturb_each_other():
    levels = np.random.default_rng(2).integers(0, 4, (3, 4, 6, 7))
    levels[1] = 0
    box = regions(levels)
    together = measure(box)
    assert np.isnan(together[1]).all()
    assert "empty region" in reason("ZoneDistanceEntropy", 0, 0)
    for b in (0, 2):
        np.testing.assert_array_equal(measure(regions(levels[b : b + 1]))[0], together[b])
    backwards = replace(
        box, **{name: getattr(box, name)[::-1] for name in ("values", "inside", "shape", "levels", "n")}
    )
    np.testing.assert_array_equal(measure(backwards), together[::-1])


def test_one_voxel_is_a_zone_at_the_border():
    box = np.zeros((1, 3, 3, 3))
    box[0, 1, 1, 1] = 3
    found = table(regions(box))
    assert found["SmallDistanceEmphasis"] == found["LargeDistanceEmphasis"] == found["ZonePercentage"] == 1
    assert found["ZoneDistanceEntropy"] == found["ZoneDistanceVariance"] == 0
