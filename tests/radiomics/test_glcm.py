"""Co-occurrence: against the standard, pyradiomics, the formulas written out, and at the edges.

glcm_pyradiomics.json: made-up grey levels (0 outside), settings, and what pyradiomics 3.0.1 gave for them with a bin
width of 1, the image padded by one voxel.
"""

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
from ganatomy.radiomics import glcm
from ganatomy.radiomics.glcm import FEATURES, directions, measure, reason

from .conftest import regions

HERE = Path(__file__).parent
with (HERE / "ibsi_1.csv").open() as file:
    REFERENCES = [row for row in csv.DictReader(file) if row["family"] == "glcm"]
ORACLE = json.loads((HERE / "glcm_pyradiomics.json").read_text())
CODES, NAMES = [f.code for f in FEATURES], [f.name for f in FEATURES]
AGGREGATIONS = ("2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb")
BOXES = arrays(np.uint16, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 6))


def of(row, name):
    return row[NAMES.index(name)]


def pairs(levels, offset):
    """Matrix of the pairs (level, level at the offset from it), rows and columns 0 for the outside taken off."""
    matrix = np.zeros((levels.max(initial=0) + 1,) * 2)
    for place in np.argwhere(levels):
        there = place + offset
        if (there >= 0).all() and (there < levels.shape).all():
            matrix[levels[tuple(place)], levels[tuple(there)]] += 1
    return matrix[1:, 1:]


def entropy(p):
    p = p[p > 0]
    return -(p * np.log2(p)).sum()


def formulas(matrix):
    """Features of one matrix, as written in the standard, sums over all cells."""
    p, n = matrix / matrix.sum(), len(matrix)
    i, j = np.indices(p.shape) + 1.0
    px, py = p.sum(1), p.sum(0)
    mean_x, mean_y = (i * p).sum(), (j * p).sum()
    plus = np.bincount((i + j).astype(int).ravel(), p.ravel())
    minus = np.bincount(abs(i - j).astype(int).ravel(), p.ravel())
    k, s = np.arange(len(minus)), np.arange(len(plus))
    var_x, var_y = ((i - mean_x) ** 2 * p).sum(), ((j - mean_y) ** 2 * p).sum()
    some = np.ix_(px > 0, py > 0)
    singular = np.linalg.svd((p / np.sqrt(np.outer(px, py) + (np.outer(px, py) == 0)))[some], compute_uv=False)
    shared = entropy(px) + entropy(py) - entropy(p)
    flat = (px > 0).sum() == 1 or (py > 0).sum() == 1
    both = (px > 0).sum() == 1 and (py > 0).sum() == 1
    off = i != j
    return [
        (i * j * p).sum(),
        mean_x,
        ((i + j - mean_x - mean_y) ** 4 * p).sum(),
        ((i + j - mean_x - mean_y) ** 3 * p).sum(),
        ((i + j - mean_x - mean_y) ** 2 * p).sum(),
        ((i - j) ** 2 * p).sum(),
        np.nan if flat else ((i - mean_x) * (j - mean_y) * p).sum() / np.sqrt(var_x * var_y),
        minus @ k,
        entropy(minus),
        minus @ (k - minus @ k) ** 2,
        (p**2).sum(),
        entropy(p),
        np.nan if both else -shared / max(entropy(px), entropy(py)),
        np.sqrt(max(1 - np.exp(-2 * shared), 0)),
        (p / (1 + (i - j) ** 2)).sum(),
        np.nan if flat else singular[1],
        (p / (1 + (i - j) ** 2 / n**2)).sum(),
        (p / (1 + abs(i - j))).sum(),
        (p / (1 + abs(i - j) / n)).sum(),
        (p[off] / (i - j)[off] ** 2).sum(),
        p.max(),
        plus @ s,
        entropy(plus),
        var_x,
        minus @ k,
        plus @ (s - plus @ s) ** 2,
    ]


def plain(levels, aggregation, distances=(1,), symmetric=True):
    """The features of one box by `pairs` and `formulas`."""
    offsets = directions(distances, planar=not aggregation.startswith("3D"))
    boxes = levels[:, None] if aggregation.startswith("2D") else [levels]
    rows, n = [], levels.max(initial=0)
    for box in boxes:
        matrices = []
        for offset in offsets:
            matrix = np.zeros((n, n))
            found = pairs(box, offset)
            matrix[: len(found), : len(found)] = found
            matrices.append(matrix + matrix.T if symmetric else matrix)
        if aggregation.endswith("comb"):
            matrices = [np.sum(matrices, 0)]
        rows += [formulas(matrix) for matrix in matrices if matrix.sum()]
    table = np.array(rows).reshape(-1, len(FEATURES))
    defined = ~np.isnan(table)
    return np.where(defined.any(0), np.where(defined, table, 0).sum(0) / np.maximum(defined.sum(0), 1), np.nan)


def close(a, b):
    """To 1e-9, but a shared information of nearly 0 has a root that rounding moves further."""
    loose = np.array(NAMES) == "Imc2"
    np.testing.assert_allclose(a[~loose], b[~loose], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a[loose], b[loose], rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: f"{row['tag']}-{row['aggregation']}")
def test_the_standard(row, phantom, agrees):
    value = measure(phantom, aggregation=row["aggregation"])[0, CODES.index(row["code"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


def test_the_standard_has_every_code():
    assert {row["code"] for row in REFERENCES} == set(CODES) - {""} and len(REFERENCES) == 150


@pytest.mark.parametrize("case", ORACLE, ids=lambda case: f"{len(np.shape(case['levels']))}D {case['settings']}")
def test_pyradiomics(case):
    levels = np.array(case["levels"])
    box = levels if levels.ndim == 3 else levels[None]
    row = measure(regions(box[None], pad=3, spacing=tuple(case["spacing"])), **case["settings"])[0]
    assert set(case["values"]) == set(NAMES) - {""}
    for name, value in case["values"].items():
        assert of(row, name) == pytest.approx(value, rel=1e-9, abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(BOXES, st.sampled_from(AGGREGATIONS), st.booleans(), st.sampled_from([(1,), (2,), (1, 2)]))
def test_formulas(levels, aggregation, symmetric, distances):
    if len(levels) == 1:
        aggregation = aggregation.replace("3D", "2_5D")
    row = measure(regions(levels[None], 2), aggregation=aggregation, symmetric=symmetric, distances=distances)[0]
    close(row, plain(levels, aggregation, distances, symmetric))


@settings(max_examples=20, deadline=None)
@given(BOXES, st.sampled_from(AGGREGATIONS), st.sampled_from(["", "euclidean"]))
def test_a_list_of_pairs_gives_what_the_arrays_give(levels, aggregation, weighting):
    few = regions(levels[None], spacing=(0.5, 0.3, 0.2))
    arrays_say = measure(few, aggregation=aggregation, weighting=weighting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glcm, "DENSE", 0)
        close(measure(few, aggregation=aggregation, weighting=weighting)[0], arrays_say[0])


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint16, (4, 3, 4, 5), elements=st.integers(0, 9)), st.permutations(range(4)))
def test_a_region_does_not_know_its_batch(levels, order):
    rows = measure(regions(levels))
    np.testing.assert_array_equal(measure(regions(levels[list(order)])), rows[list(order)])
    np.testing.assert_array_equal(measure(regions(levels[1:2])), rows[1:2])


@settings(max_examples=20, deadline=None)
@given(BOXES, st.tuples(*[st.integers(0, 3)] * 6), st.sampled_from(AGGREGATIONS))
def test_a_region_may_lie_anywhere_in_its_box(levels, room, aggregation):
    if len(levels) == 1:
        room = (0, 0, *room[2:])
    moved = np.pad(levels, [room[:2], room[2:4], room[4:]])
    close(
        measure(regions(moved[None]), aggregation=aggregation)[0],
        measure(regions(levels[None]), aggregation=aggregation)[0],
    )


@settings(max_examples=20, deadline=None)
@given(BOXES, st.sampled_from(AGGREGATIONS))
def test_a_quarter_turn_changes_nothing(levels, aggregation):
    turned = np.rot90(levels, axes=(1, 2))
    close(
        measure(regions(turned[None]), aggregation=aggregation)[0],
        measure(regions(levels[None]), aggregation=aggregation)[0],
    )


def test_a_turn_of_one_direction_is_seen():
    """The property above can fail: one direction alone does not survive a turn."""
    stripes = np.tile([[1, 2, 3, 1, 2, 3]], (6, 1))
    assert not np.allclose(formulas(pairs(stripes[None], (0, 0, 1))), formulas(pairs(stripes.T[None], (0, 0, 1))))


@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_many_levels(n):
    """Gaps between levels, more levels than arrays are made for, memory far below n^2."""
    rng = np.random.Generator(np.random.PCG64(n))
    levels = rng.integers(1, 40, (1, 9, 9)) ** 2 % n + 1
    levels[0, 0, 0] = n
    small = measure(regions(levels[None]))[0]
    i, matrices = np.unique(levels), []
    for offset in directions((1,), planar=True):
        index = np.searchsorted(i, levels) + 1
        matrix = pairs(index, offset)
        matrices.append(matrix + matrix.T)
    p = [matrix / matrix.sum() for matrix in matrices]
    assert of(small, "Contrast") == pytest.approx(np.mean([((i[:, None] - i) ** 2.0 * q).sum() for q in p]))
    assert of(small, "Autocorrelation") == pytest.approx(np.mean([(np.multiply.outer(i, i) * q).sum() for q in p]))
    assert of(small, "Idn") == pytest.approx(np.mean([(q / (1 + abs(i[:, None] - i) / n)).sum() for q in p]))
    assert of(small, "MCC") == pytest.approx(np.mean([formulas(q)[NAMES.index("MCC")] for q in p]), abs=1e-9)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_correlation_of_a_long_list(symmetric):
    """Found without decomposing the whole matrix, as with it."""
    rng = np.random.Generator(np.random.PCG64(1))
    levels = np.arange(500) + rng.integers(1, 60, 500)
    few = regions(levels.reshape(1, 1, 20, 25))
    assert len(np.unique(levels)) > 300
    values = []
    for most in (1, 10_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(glcm, "DECOMPOSED", most)
            values.append(of(measure(few, symmetric=symmetric, aggregation="2D_comb")[0], "MCC"))
    assert values[0] == pytest.approx(values[1], abs=1e-9) and 0.5 < values[0] < 1


def test_more_voxels_than_a_count_holds():
    """A nearly flat image of 90 000 pixels: the pairs of level 1 are more than 65 535."""
    levels = np.ones((1, 300, 300), np.uint16)
    levels[0, 150:153, 100:200] = 2
    row = measure(regions(levels[None]), aggregation="3D_comb")[0]
    total = 2 * sum((300 - abs(dy)) * (300 - abs(dx)) for _, dy, dx in directions((1,), planar=True))
    twos = sum((3 - abs(dy)) * (100 - abs(dx)) for _, dy, dx in directions((1,), planar=True))
    mixed = sum(4 * (300 - (3 - abs(dy)) * (100 - abs(dx))) for _, dy, dx in directions((1,), planar=True))
    assert of(row, "Contrast") == pytest.approx(mixed / total, rel=1e-12)
    assert of(row, "MaximumProbability") == pytest.approx(1 - (2 * twos + mixed) / total, rel=1e-12)


def test_flat_single_and_empty():
    levels = np.zeros((4, 2, 3, 4), int)
    levels[0] = 3  # flat
    levels[1, 0, 1, 1] = 2  # one voxel
    levels[2, 0, 0, :] = (1, 1, 2, 5)  # one line; the fourth is empty
    flat, single, line, empty = measure(regions(levels))
    assert np.isnan(single).all() and np.isnan(empty).all()
    assert {name for name, value in zip(NAMES, flat, strict=True) if np.isnan(value)} == {"Correlation", "Imc1", "MCC"}
    assert of(flat, "Autocorrelation") == 9 and of(flat, "JointEnergy") == 1 and of(flat, "Contrast") == 0
    close(line, np.array(formulas(pairs(levels[2], (0, 0, 1)) + pairs(levels[2], (0, 0, 1)).T)))
    assert len(measure(regions(np.zeros((0, 1, 3, 3))))) == 0


def test_a_checkerboard_is_wholly_determined():
    """Of the four directions, two know the neighbour's level exactly, and two see one level of each pair: all 1."""
    row = measure(regions(np.indices((6, 6)).sum(0)[None, None] % 2 + 1))[0]
    assert of(row, "MCC") == pytest.approx(1) and of(row, "Correlation") == pytest.approx(0)


def test_without_mcc():
    levels = np.indices((5, 5)).prod(0)[None, None] % 4 + 1
    with_it, without = measure(regions(levels))[0], measure(regions(levels), mcc=False)[0]
    assert np.isnan(of(without, "MCC")) and not np.isnan(of(with_it, "MCC"))
    np.testing.assert_array_equal(np.delete(without, NAMES.index("MCC")), np.delete(with_it, NAMES.index("MCC")))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"aggregation": "3D"}, "2_5D_comb"),
        ({"weighting": "taxi"}, "manhattan"),
        ({"distances": (0,)}, "from 1"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(InputError, match=message):
        measure(regions(np.ones((1, 1, 3, 3))), **words)


def test_directions_are_half_of_the_neighbours():
    assert [len(directions((r,), planar=False)) for r in (1, 2)] == [13, 49]
    half = set(directions((1,), planar=False))
    both = half | {(-z, -y, -x) for z, y, x in half}
    assert both == set(product((-1, 0, 1), repeat=3)) - {(0, 0, 0)}


def test_reasons():
    for name, voxels, levels in product([*NAMES, *CODES], (0, 1, 9), (0, 1, 3)):
        assert reason(name, voxels, levels)
    assert "one grey level" in reason("Correlation", 9, 1) and "empty" in reason("MCC", 0, 0)
