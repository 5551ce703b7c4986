"""Run lengths: against the standard, pyradiomics, runs counted one by one, and at the edges.

glrlm_pyradiomics.json: see test_glcm.py.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ganatomy.core.errors import InputError
from ganatomy.radiomics.glcm import directions
from ganatomy.radiomics.glrlm import FEATURES, measure, reason

from .conftest import regions

HERE = Path(__file__).parent
with (HERE / "ibsi_1.csv").open() as file:
    REFERENCES = [row for row in csv.DictReader(file) if row["family"] == "glrlm"]
ORACLE = json.loads((HERE / "glrlm_pyradiomics.json").read_text())
CODES, NAMES = [f.code for f in FEATURES], [f.name for f in FEATURES]
AGGREGATIONS = ("2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb")
BOXES = arrays(np.uint16, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 3))


def runs(levels, offset):
    """(level, length) of every run: from a voxel whose predecessor differs, on while the level stays."""

    def level(place):
        inside = all(0 <= k < size for k, size in zip(place, levels.shape, strict=True))
        return levels[tuple(place)] if inside else 0

    found = []
    for place in np.argwhere(levels):
        if level(place - offset) != level(place):
            length = 1
            while level(place + length * np.array(offset)) == level(place):
                length += 1
            found.append((level(place), length))
    return found


def formulas(found):
    """Features of runs, as written in the standard."""
    i, j = np.array(found, float).T
    _, count = np.unique(found, axis=0, return_counts=True)
    p, by_level, by_length = count / len(i), np.unique(i, return_counts=True)[1], np.unique(j, return_counts=True)[1]
    return [
        (1 / j**2).mean(),
        (j**2).mean(),
        (by_level**2).sum() / len(i),
        (by_level**2).sum() / len(i) ** 2,
        (by_length**2).sum() / len(i),
        (by_length**2).sum() / len(i) ** 2,
        len(i) / j.sum(),
        i.var(),
        j.var(),
        -(p * np.log2(p)).sum(),
        (1 / i**2).mean(),
        (i**2).mean(),
        (1 / (i * j) ** 2).mean(),
        (i**2 / j**2).mean(),
        (j**2 / i**2).mean(),
        (i**2 * j**2).mean(),
    ]


def plain(levels, aggregation):
    """The features of one box by `runs` and `formulas`."""
    offsets = directions((1,), planar=not aggregation.startswith("3D"))
    rows = []
    for box in levels[:, None] if aggregation.startswith("2D") else [levels]:
        lists = [runs(box, np.array(offset)) for offset in offsets]
        if aggregation.endswith("comb"):
            lists = [[run for found in lists for run in found]]
        rows += [formulas(found) for found in lists if found]
    return np.mean(rows, 0) if rows else np.full(len(FEATURES), np.nan)


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: f"{row['tag']}-{row['aggregation']}")
def test_the_standard(row, phantom, agrees):
    value = measure(phantom, aggregation=row["aggregation"])[0, CODES.index(row["code"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


def test_the_standard_has_every_code():
    assert {row["code"] for row in REFERENCES} == set(CODES) and len(REFERENCES) == 96


@pytest.mark.parametrize("case", ORACLE, ids=lambda case: f"{len(np.shape(case['levels']))}D {case['settings']}")
def test_pyradiomics(case):
    levels = np.array(case["levels"])
    box = levels if levels.ndim == 3 else levels[None]
    row = measure(regions(box[None], spacing=tuple(case["spacing"])), **case["settings"])[0]
    assert dict(zip(NAMES, row, strict=True)) == pytest.approx(case["values"], rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(BOXES, st.sampled_from(AGGREGATIONS))
def test_formulas(levels, aggregation):
    if len(levels) == 1:
        aggregation = aggregation.replace("3D", "2_5D")
    np.testing.assert_allclose(
        measure(regions(levels[None], 2), aggregation=aggregation)[0],
        plain(levels, aggregation),
        rtol=1e-10,
        atol=1e-12,
    )


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint16, (4, 3, 4, 5), elements=st.integers(0, 4)), st.permutations(range(4)))
def test_a_region_does_not_know_its_batch(levels, order):
    rows = measure(regions(levels))
    np.testing.assert_array_equal(measure(regions(levels[list(order)])), rows[list(order)])
    np.testing.assert_array_equal(measure(regions(levels[1:2])), rows[1:2])


def test_gaps_in_wide_regions_are_no_runs():
    """Rows of more than 16 voxels are counted 16 at a time; gaps in a slice's last row once met what lay behind."""
    random = np.random.default_rng(0)
    levels = random.integers(1, 4, (60, 6, 5, 24)).astype(np.uint16)
    levels[random.random(levels.shape) < 0.6] = 0
    levels[:, :, :, 0] = levels[:, :, :, -1] = levels[:, :, :1] = levels[:, :, -1:, ::7] = (
        1  # every row is gone through
    )
    rows = measure(regions(levels))
    for k in (0, 1, 31, 59):
        np.testing.assert_allclose(rows[k], plain(levels[k], "3D_avg"), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(measure(regions(levels[::-1]))[::-1], rows)


def test_gaps_do_not_grow_from_one_region_to_the_next():
    levels = np.zeros((2, 3, 4, 5), np.uint16)
    levels[0, 0, :2, ::2][:, :2] = levels[0, 1, ::2, ::2][:, :2] = levels[1, 0, 2, ::2][:2] = 1
    np.testing.assert_array_equal(measure(regions(levels))[1:], measure(regions(levels[1:])))
    np.testing.assert_allclose(measure(regions(levels))[1], plain(levels[1], "3D_avg"), rtol=1e-10, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(BOXES, st.tuples(*[st.integers(0, 3)] * 6), st.sampled_from(AGGREGATIONS))
def test_a_region_may_lie_anywhere_and_any_way_round(levels, room, aggregation):
    if len(levels) == 1:
        room = (0, 0, *room[2:])
    moved = np.rot90(np.pad(levels, [room[:2], room[2:4], room[4:]]), axes=(1, 2))
    np.testing.assert_allclose(
        measure(regions(moved[None]), aggregation=aggregation),
        measure(regions(levels[None]), aggregation=aggregation),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("turned", [False, True])
def test_more_voxels_than_a_count_holds(turned):
    """Stripes in an image of 96 000 pixels: runs of one direction go on across every part that is counted."""
    levels = np.ones((1, 320, 300), np.uint16)
    levels[0, :, ::3] = 2
    if turned:
        levels = levels.transpose(0, 2, 1)
    row = measure(regions(levels[None]), aggregation="3D_comb")[0]
    found = [*runs_of(levels[0]), *runs_of(levels[0].T)]
    for image in (levels[0], levels[0][:, ::-1]):
        found += runs_of([np.diagonal(image, k) for k in range(-319, 320)])
    assert sum(level == 2 for level, _ in found) == 3 * 32_000 + 100  # stripes, else single pixels
    assert row == pytest.approx(formulas(found), rel=1e-12)


def line_runs(line):
    if not len(line):
        return []
    starts = np.flatnonzero(np.r_[True, np.diff(line.astype(int)) != 0])
    return list(zip(line[starts], np.diff(np.r_[starts, len(line)]), strict=True))


def runs_of(image):
    return [run for line in image for run in line_runs(line)]


def test_flat_single_and_empty():
    levels = np.zeros((4, 2, 3, 4), int)
    levels[0] = 3  # flat
    levels[1, 0, 1, 1] = 2  # one voxel
    levels[2, 0, 0, :] = (1, 1, 2, 5)  # one line; the fourth is empty
    flat, single, line, empty = measure(regions(levels))
    assert np.isnan(empty).all() and not np.isnan(flat).any()
    assert dict(zip(NAMES, single, strict=True))["RunPercentage"] == 1 and single[NAMES.index("RunEntropy")] == 0
    np.testing.assert_allclose(flat, plain(levels[0], "3D_avg"), rtol=1e-12)
    np.testing.assert_allclose(line, plain(levels[2], "3D_avg"), rtol=1e-12, atol=1e-15)
    assert len(measure(regions(np.zeros((0, 1, 3, 3))))) == 0


def test_many_levels_with_gaps():
    rng = np.random.Generator(np.random.PCG64(3))
    levels = rng.integers(1, 5, (2, 6, 7)) ** 6 * 2
    levels[0, 0, 0] = 10_000
    np.testing.assert_allclose(measure(regions(levels[None]))[0], plain(levels, "3D_avg"), rtol=1e-10)


def test_wrong_words():
    with pytest.raises(InputError, match="2_5D_comb"):
        measure(regions(np.ones((1, 1, 3, 3))), aggregation="3D")
    with pytest.raises(InputError, match="manhattan"):
        measure(regions(np.ones((1, 1, 3, 3))), weighting="taxi")


def test_reason():
    assert "empty" in reason("RunEntropy", 0, 0)
