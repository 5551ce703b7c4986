"""Intensity histogram against the standard's phantom, numpy and what must hold for any region."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ganatomy.radiomics import histogram
from ganatomy.radiomics.region import Regions

TABLE = csv.DictReader((Path(__file__).parent / "ibsi_1.csv").read_text(encoding="utf-8").splitlines())
IBSI = [row for row in TABLE if row["family"] == "intensity_histogram"]
TAGS = [feature.tag for feature in histogram.FEATURES]


def regions(levels, n=None) -> Regions:
    """Regions (B, D, H, W) of grey levels, 0 outside."""
    levels = np.asarray(levels, np.uint16)
    levels = levels.reshape((1,) * (4 - levels.ndim) + levels.shape)
    inside = levels > 0
    n = levels.max((1, 2, 3)).astype(np.int64) if n is None else np.array(n, np.int64)
    frame = ((0, 0), (1, 1), (1, 1), (1, 1))
    return Regions(levels.astype(np.float64), inside, inside, np.pad(levels, frame), n, (1.0, 1.0, 1.0))


def test_names():
    assert {row["tag"]: row["code"] for row in IBSI} == {f.tag: f.code for f in histogram.FEATURES}
    assert len({f.name for f in histogram.FEATURES}) == 23


@pytest.mark.parametrize("row", IBSI, ids=lambda row: row["tag"])
def test_standard(row, phantom, agrees):
    value = histogram.measure(phantom)[0, TAGS.index(row["tag"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint16, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(0, 7)))
def test_against_numpy(levels):
    value = dict(zip(TAGS, histogram.measure(regions(levels))[0], strict=True))
    x = levels[levels > 0].astype(float)
    if len(x) == 0:
        assert np.isnan(list(value.values())).all()
        return
    p10, p25, p50, p75, p90 = np.percentile(x, [10, 25, 50, 75, 90])
    middle = x[(x >= p10) & (x <= p90)]
    assert [value[f"ih_{name}"] for name in ("mean", "var", "median", "min", "max", "p10", "p90")] == pytest.approx(
        [x.mean(), x.var(), p50, x.min(), x.max(), p10, p90], rel=1e-12, abs=1e-14
    )
    assert [value[f"ih_{name}"] for name in ("iqr", "mad", "rmad", "medad", "qcod", "cov")] == pytest.approx(
        [
            p75 - p25,
            abs(x - x.mean()).mean(),
            abs(middle - middle.mean()).mean() if len(middle) else np.nan,
            abs(x - p50).mean(),
            (p75 - p25) / (p75 + p25),
            x.std() / x.mean(),
        ],
        rel=1e-12,
        abs=1e-14,
        nan_ok=True,
    )
    counts = np.bincount(x.astype(int))[1:]
    modes = np.flatnonzero(counts == counts.max()) + 1
    assert value["ih_mode"] == modes[np.argmin(abs(modes - x.mean()))]
    if len(counts) > 1:
        slope = np.gradient(counts.astype(float))
        assert (value["ih_max_grad"], value["ih_max_grad_g"]) == (slope.max(), slope.argmax() + 1)
        assert (value["ih_min_grad"], value["ih_min_grad_g"]) == (slope.min(), slope.argmin() + 1)
    if x.std() > 0:
        z = (x - x.mean()) / x.std()
        assert (value["ih_skew"], value["ih_kurt"]) == pytest.approx(((z**3).mean(), (z**4).mean() - 3), abs=1e-12)


def test_degenerate():
    batch = np.zeros((4, 1, 3, 3), np.uint16)
    batch[1, 0, 1, 1] = 1
    batch[2] = 5
    batch[3] = 1
    batch[3, 0, 0, 0] = 10_000
    found = histogram.measure(regions(batch))
    assert np.isnan(found[0]).all()
    undefined = {"ih_skew", "ih_kurt"}
    slopes = {"ih_max_grad", "ih_max_grad_g", "ih_min_grad", "ih_min_grad_g"}
    assert {tag for tag, value in zip(TAGS, found[1], strict=True) if np.isnan(value)} == undefined | slopes
    assert {tag for tag, value in zip(TAGS, found[2], strict=True) if np.isnan(value)} == undefined
    assert found[2, TAGS.index("ih_entropy")] == 0
    assert np.isfinite(found[3]).all()
    assert found[3, TAGS.index("ih_max")] == 10_000
    assert "empty" in histogram.reason("Mean", 0, 0)
    assert "gradient" in histogram.reason("MaximumGradient", 1, 1)
    assert "90th" in histogram.reason("RobustMeanAbsoluteDeviation", 2, 2)
    assert "skewness" in histogram.reason("Skewness", 9, 1)


def test_the_batch_does_not_matter():
    levels = np.random.default_rng(0).integers(0, 9, (5, 2, 7, 9))
    found = histogram.measure(regions(levels))
    assert np.array_equal(histogram.measure(regions(levels[::-1])), found[::-1])
    assert np.array_equal(histogram.measure(regions(levels[2:3])), found[2:3])
    assert np.array_equal(histogram.measure(regions(np.rot90(levels, axes=(2, 3)))), found)
