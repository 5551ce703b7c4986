"""First-order statistics: against the standard, pyradiomics, NumPy, and at the edges.

firstorder_pyradiomics.json: made-up values and their grey levels (0 outside), settings, and what pyradiomics 3.0.1
gave for them with the bin width that made the levels, the image padded by one voxel.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ganatomy.radiomics.firstorder import FEATURES, measure, reason
from ganatomy.radiomics.region import Regions

HERE = Path(__file__).parent
with (HERE / "ibsi_1.csv").open() as file:
    REFERENCES = [row for row in csv.DictReader(file) if row["family"] == "intensity_statistics"]
ORACLE = json.loads((HERE / "firstorder_pyradiomics.json").read_text())
CODES, NAMES, TAGS = [f.code for f in FEATURES], [f.name for f in FEATURES], [f.tag for f in FEATURES]


def regions(values, levels=None, spacing=(1.0, 1.0, 1.0)):
    """Regions of values (B, D, H, W); grey levels 1 where none are given, 0 outside."""
    values = np.asarray(values, float)
    levels = np.ones(values.shape, np.uint16) if levels is None else np.asarray(levels, np.uint16)
    framed = np.pad(levels, ((0, 0), (1, 1), (1, 1), (1, 1)))
    n = levels.max((1, 2, 3), initial=0).astype(np.int64)
    return Regions(values, levels > 0, levels > 0, framed, n, spacing)


def of(row, name):
    return row[NAMES.index(name) if name in NAMES else TAGS.index(name)]


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: row["tag"])
def test_the_standard(row, phantom, agrees):
    value = measure(phantom)[0, CODES.index(row["code"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


def test_the_standard_has_every_code():
    assert {row["code"] for row in REFERENCES} == set(CODES) - {""} and len(REFERENCES) == 18


@pytest.mark.parametrize("case", ORACLE, ids=lambda case: f"{np.shape(case['image'])} {case['settings']}")
def test_pyradiomics(case):
    image, levels = np.array(case["image"]), np.array(case["levels"])
    if image.ndim == 2:
        image, levels = image[None], levels[None]
    row = measure(regions(image[None], levels[None], tuple(case["spacing"])), **case["settings"])[0]
    assert set(case["values"]) == set(NAMES) - {"", "StandardDeviation"}
    for name, value in case["values"].items():
        assert of(row, name) == pytest.approx(value, rel=1e-9, abs=1e-9), name


VALUES = st.one_of(
    arrays(np.float64, st.integers(1, 40), elements=st.integers(-3, 3).map(float)),
    arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32)),
    arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 1e-300, 1.0, 1e12])),  # bins of no use
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_numpy(x):
    row = measure(regions(x[None, None, None]))[0]
    p10, p25, p50, p75, p90 = np.percentile(x, [10, 25, 50, 75, 90])
    scale = np.abs(x).max() + 1e-300
    expected = {
        "Minimum": x.min(),
        "Maximum": x.max(),
        "Mean": x.mean(),
        "Median": p50,
        "10Percentile": p10,
        "90Percentile": p90,
        "InterquartileRange": p75 - p25,
        "MeanAbsoluteDeviation": abs(x - x.mean()).mean(),
        "StandardDeviation": x.std(),
        "RootMeanSquared": np.sqrt((x**2).mean()),
        "stat_medad": abs(x - p50).mean(),
    }
    for name, value in expected.items():
        assert of(row, name) == pytest.approx(value, rel=1e-11, abs=1e-12 * scale), name
    middle = x[(x >= p10) & (x <= p90)]
    if len(middle):
        assert of(row, "RobustMeanAbsoluteDeviation") == pytest.approx(
            abs(middle - middle.mean()).mean(), rel=1e-9, abs=1e-12 * scale
        )


def test_a_large_region_has_the_same_order_statistics():
    """Thousands of values in few bins, since one is far out."""
    x = np.random.Generator(np.random.PCG64(0)).standard_normal((1, 4, 50, 50))
    x[0, 0, 0, 0] = 1e9
    row = measure(regions(x))[0]
    assert [of(row, "10Percentile"), of(row, "Median"), of(row, "90Percentile")] == list(np.percentile(x, [10, 50, 90]))


def test_what_lies_outside_does_not_matter():
    x, levels = np.arange(24.0).reshape(1, 2, 3, 4), np.ones((1, 2, 3, 4), int)
    levels[0, 1, :, 2:] = 0
    row = measure(regions(x, levels))
    x[levels == 0] = np.nan
    np.testing.assert_array_equal(measure(regions(x, levels)), row)
    np.testing.assert_array_equal(measure(regions(x[:, :, :, ::-1], levels[:, :, :, ::-1]))[0, :8], row[0, :8])


def test_a_region_does_not_know_its_batch():
    x = np.random.Generator(np.random.PCG64(2)).standard_normal((3, 1, 7, 9))
    levels = np.floor(2 * x).astype(int) + 20
    rows = measure(regions(x, levels))
    np.testing.assert_array_equal(measure(regions(x[::-1], levels[::-1])), rows[::-1])
    np.testing.assert_array_equal(measure(regions(x[1:2], levels[1:2])), rows[1:2])


def test_entropy_and_uniformity_of_levels_with_gaps():
    levels = np.array([1, 1, 1, 1, 7, 7, 10_000, 10_000])
    row = measure(regions(np.arange(8.0)[None, None, None], levels[None, None, None]))[0]
    assert of(row, "Entropy") == 1.5 and of(row, "Uniformity") == 0.25 + 2 / 16


def test_flat_single_and_empty():
    levels = np.ones((4, 1, 2, 3), int)
    levels[1, 0, 1], levels[1, 0, 0, 1:] = 0, 0
    levels[2] = 0
    values = np.full((4, 1, 2, 3), 0.1)  # its sum over n is not 0.1
    values[3] = [[-1, 1, -1], [1, -1, 1]]  # mean and quartiles cancel
    flat, single, empty, balanced = measure(regions(values, levels))
    assert np.isnan(empty).all()
    for row in (flat, single):
        undefined = {f.name or f.tag for f, value in zip(FEATURES, row, strict=True) if np.isnan(value)}
        assert undefined == {"Skewness", "Kurtosis", "stat_kurt"}
        assert of(row, "Variance") == 0 and of(row, "Mean") == 0.1 and of(row, "stat_cov") == 0
    assert np.isnan(of(balanced, "stat_cov")) and np.isnan(of(balanced, "stat_qcod")) and of(balanced, "Skewness") == 0
    assert len(measure(regions(np.zeros((0, 1, 3, 3))))) == 0


def test_reasons():
    assert "empty" in reason("Mean", 0, 0) and "one value" in reason("Kurtosis", 5, 1)
    assert "mean" in reason("stat_cov", 5, 2) and "quartiles" in reason("stat_qcod", 5, 2)
