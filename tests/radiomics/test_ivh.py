"""Intensity-volume histogram against the standard's phantom and its definition, in the three kinds of units."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ganatomy.radiomics import ivh
from ganatomy.radiomics.region import Regions

TABLE = csv.DictReader((Path(__file__).parent / "ibsi_1.csv").read_text(encoding="utf-8").splitlines())
IBSI = [row for row in TABLE if row["family"] == "intensity_volume_histogram"]
TAGS = [feature.tag for feature in ivh.FEATURES]


def regions(values, levels, width=0.0, pad=1) -> Regions:
    values, levels = np.asarray(values, np.float64), np.asarray(levels, np.uint16)
    values, levels = (x.reshape((1,) * (4 - x.ndim) + x.shape) for x in (values, levels))
    inside = levels > 0
    frame = ((0, 0), (pad, pad), (pad, pad), (pad, pad))
    n = levels.max((1, 2, 3)).astype(np.int64)
    return Regions(values, inside, inside, np.pad(levels, frame), n, (1.0, 1.0, 1.0), pad, width)


def by_definition(x, intensities):
    """x: the region's intensities, at the levels `intensities` from the lowest to the highest of the range."""
    step = intensities[1] - intensities[0]
    share = np.array([(x >= i - step / 4).mean() for i in intensities])
    assert x.max() < intensities[-1] + step / 2
    fraction = (intensities - intensities[0]) / (intensities[-1] - intensities[0])
    v10, v90 = (share[np.flatnonzero(fraction >= q - 1e-12)[0]] for q in (0.1, 0.9))
    reached = np.append(share, 0), np.append(intensities, intensities[-1] + step)
    i10, i90 = (reached[1][np.flatnonzero(reached[0] <= q + 1e-12)[0]] for q in (0.1, 0.9))
    return [v10, v90, i10, i90, v10 - v90, i10 - i90, np.trapezoid(share, fraction)]


@pytest.mark.parametrize("row", IBSI, ids=lambda row: row["tag"])
def test_standard(row, phantom, agrees):
    assert len(IBSI) == 6
    value = ivh.measure(phantom)[0, TAGS.index(row["tag"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint16, (2, 4, 5), elements=st.integers(0, 12)).filter(lambda levels: levels.max() > 1))
def test_arbitrary_units(levels):
    expected = by_definition(levels[levels > 0], np.arange(1.0, levels.max() + 1))
    assert ivh.measure(regions(levels, levels))[0] == pytest.approx(expected, abs=1e-12)


def test_discrete_units():
    """Hounsfield units, one level each: intensities are the values, with and without a range."""
    values = np.random.default_rng(0).integers(-40, 60, (3, 9, 10)).astype(float)
    values[0, 0, :2] = -40, 59
    low = values.min()
    found = ivh.measure(regions(values, values - low + 1, 1.0))[0]
    assert found == pytest.approx(by_definition(values, np.arange(low, 60.0)), abs=1e-12)
    found = ivh.measure(regions(values, values + 100 + 1, 1.0), bounds=(-100, 100))[0]
    assert found == pytest.approx(by_definition(values, np.arange(-100.0, 101.0)), abs=1e-12)


@pytest.mark.parametrize("pad", [1, 3])
def test_continuous_units(pad):
    """The middles of the levels, counted from the region's minimum, or from the range's."""
    values = np.random.default_rng(1).normal(size=(3, 9, 10))
    width, low = 0.125, values.min()
    levels = np.floor((values - low) / width) + 1
    middles = low + (np.arange(levels.max()) + 0.5) * width
    found = ivh.measure(regions(values, levels, width, pad))[0]
    assert found == pytest.approx(by_definition(low + (levels - 0.5) * width, middles), abs=1e-12)
    levels = np.floor((values + 8) / width) + 1
    middles = -8 + (np.arange(128) + 0.5) * width  # to half a width below the high end
    found = ivh.measure(regions(values, levels, width, pad), bounds=(-8, 8))[0]
    assert found == pytest.approx(by_definition(-8 + (levels - 0.5) * width, middles), abs=1e-12)
    half_open = ivh.measure(regions(values, levels, width, pad), bounds=(-8, np.inf))[0]
    middles = middles[: int(levels.max())]
    assert half_open == pytest.approx(by_definition(-8 + (levels - 0.5) * width, middles), abs=1e-12)


def test_a_value_at_the_high_end_of_a_range():
    """-1000 to 400 HU by 2.5 HU: 560 levels, to 398.75 HU; 400 HU itself is a level beyond, of a fraction above 1."""
    values = np.array([-1000.0] * 5 + [-860, 257, 259.9, 260, 400])
    found = ivh.measure(regions(values[None], np.floor((values[None] + 1000) / 2.5) + 1, 2.5), bounds=(-1000, 400))[0]
    assert found[:4] == pytest.approx([0.5, 0.2, 263.75, -996.25])
    share = [(values >= low).mean() for low in np.arange(-1000, 400, 2.5)]
    assert found[6] == pytest.approx(np.trapezoid(share) / 559, rel=1e-12)


def test_degenerate():
    batch = np.zeros((3, 1, 3, 3))
    batch[1, 0, 1, 1] = 1
    batch[2] = 4
    found = ivh.measure(regions(batch, batch))
    assert np.isnan(found[0]).all()
    assert list(np.isnan(found[1])) == [True, True, False, False, True, False, True]
    assert found[2] == pytest.approx([1, 1, 5, 5, 0, 0, 1])
    assert "empty" in ivh.reason("AreaUnderCurve", 0, 0)
    assert "one intensity" in ivh.reason("AreaUnderCurve", 1, 1)


def test_the_batch_does_not_matter():
    levels = np.random.default_rng(2).integers(0, 9, (5, 2, 7, 9))
    found = ivh.measure(regions(levels * 0.5, levels, 0.5))
    assert np.array_equal(ivh.measure(regions(levels[::-1] * 0.5, levels[::-1], 0.5)), found[::-1])
    assert np.array_equal(ivh.measure(regions(levels[3:4] * 0.5, levels[3:4], 0.5)), found[3:4])
