"""Local intensity against the standard's phantom and against all distances."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from ganatomy.radiomics import local
from ganatomy.radiomics.region import Regions

TABLE = csv.DictReader((Path(__file__).parent / "ibsi_1.csv").read_text(encoding="utf-8").splitlines())
IBSI = [row for row in TABLE if row["family"] == "local_intensity"]
TAGS = [feature.tag for feature in local.FEATURES]


def regions(values, inside, spacing=(1.0, 1.0, 1.0)) -> Regions:
    values, inside = np.asarray(values, np.float64), np.asarray(inside, bool)
    levels = np.pad(inside.astype(np.uint16), ((0, 0), (1, 1), (1, 1), (1, 1)))
    return Regions(values, inside, inside, levels, np.ones(len(values), np.int64), spacing)


@pytest.mark.parametrize("row", IBSI, ids=lambda row: row["tag"])
def test_standard(row, phantom, agrees):
    assert len(IBSI) == len(TAGS) == 2
    value = local.measure(phantom)[0, TAGS.index(row["tag"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


@settings(max_examples=40, deadline=None)
@given(
    array_shapes(min_dims=3, max_dims=3, max_side=7),
    st.tuples(*[st.floats(0.5, 9)] * 3),
    st.integers(0, 999),
)
def test_by_trying_all_distances(size, spacing, seed):
    rng = np.random.default_rng(seed)
    values, inside = rng.integers(0, 9, size).astype(float), rng.random(size) < 0.5
    values[rng.random(size) < 0.2] = np.nan
    values[inside & np.isnan(values)] = 3
    if not inside.any():
        inside[0, 0, 0], values[0, 0, 0] = True, 1
    places = np.argwhere(np.ones(size)) * spacing
    flat = values.ravel()
    mean = np.array(
        [np.nanmean(flat[((places - p) ** 2).sum(1) <= local.RADIUS**2]) for p in np.argwhere(inside) * spacing]
    )
    picked = values[inside]
    found = local.measure(regions(values[None], inside[None], spacing))[0]
    assert found == pytest.approx([mean[picked == picked.max()].max(), mean.max()], rel=1e-12)


def test_surroundings_count_and_gaps_do_not():
    values, inside = np.zeros((1, 1, 1, 5)), np.zeros((1, 1, 1, 5), bool)
    values[..., 2], values[..., 3] = 6, 9
    inside[..., 2] = True
    assert local.measure(regions(values, inside, (3.0, 3.0, 4.0))) == pytest.approx(5)  # of 0, 6, 9
    values[..., 1] = np.nan
    values[..., 3] = np.inf
    assert local.measure(regions(values, inside, (3.0, 3.0, 4.0))) == pytest.approx(6)


def test_empty_and_batch():
    rng = np.random.default_rng(0)
    values, inside = rng.normal(size=(4, 3, 5, 6)), rng.random((4, 3, 5, 6)) < 0.6
    inside[1] = False
    found = local.measure(regions(values, inside, (2.0, 1.0, 3.0)))
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2, 3]]).all()
    assert "empty" in local.reason("LocalPeak", 0, 0)
    assert np.array_equal(
        local.measure(regions(values[::-1], inside[::-1], (2.0, 1.0, 3.0))), found[::-1], equal_nan=True
    )
