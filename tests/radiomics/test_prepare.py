"""Preparing regions: against pyradiomics' and mirp's numbers, at the edges of the definitions, and on bad input.

prepare_pyradiomics.json was made with pyradiomics 3.0.1 on SimpleITK 2.5: a random whole image (5, 6, 7) and
mask through resampleImage, normalizeImage, resegmentMask and binImage. filters_mirp.json (its part
"resampled") with mirp 2.7.0, extract_images with new_spacing and anti_aliasing=False.
"""

import ast
import csv
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganatomy.core.errors import InputError
from ganatomy.radiomics.prepare import MOST_LEVELS, box, normalise, regions, resegment
from ganatomy.radiomics.region import Regions
from ganatomy.radiomics.resample import resample, resample_standard

HERE = Path(__file__).parent
ORACLE = json.loads((HERE / "prepare_pyradiomics.json").read_text(encoding="utf-8"))
MIRP = json.loads((HERE / "filters_mirp.json").read_text(encoding="utf-8"))["resampled"]
IMAGE, MASK = np.array(ORACLE["image"], np.int16), np.array(ORACLE["mask"], bool)
CASES = Path(__file__).parents[2].parent / "shared" / "data" / "pyradiomics_cases"


def bits(text: str, shape: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([c == "1" for c in text]).reshape(shape)


def line(values: Any, **settings: Any) -> Regions:
    """One region: a row of voxels, all inside."""
    row = np.asarray(values, float).reshape(1, 1, 1, -1)
    return regions(row, np.ones(row.shape, bool), None, (1, 1, 1), **settings)


# --- discretisation


@pytest.mark.parametrize("case", ORACLE["levels"])
def test_levels_are_pyradiomics_to_the_bit(case: dict[str, Any]) -> None:
    rule = {key: case[key] for key in ("bin_width", "bin_count") if key in case}
    made = line(case["values"], **rule)
    assert made.levels[0, 1, 1, 1:-1].tolist() == case["levels"]
    assert made.n[0] == max(case["levels"])
    assert made.levels.dtype == np.uint16
    assert made.levels.sum() == sum(case["levels"]), "the frame is 0"
    assert made.width == rule.get("bin_width", 0)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(-3000, 3000), min_size=1, max_size=40),
    st.sampled_from([1.0, 0.1, 0.3, 7.0, 1 / 3, 25.0]),
    st.integers(1, 70),
    st.sampled_from([1.0, 0.1, 0.7]),
)
def test_levels_are_numpy_digitize_at_every_edge(whole: list[int], width: float, count: int, unit: float) -> None:
    """Values on a lattice, so that many lie on edges."""
    values = np.array(whole) * unit
    low = values.min() - values.min() % width
    edges = np.arange(low, values.max() + 2 * width, width)
    if (values.max() - low) / width < MOST_LEVELS - 1:
        assert line(values, bin_width=width).levels[0, 1, 1, 1:-1].tolist() == np.digitize(values, edges).tolist()
    edges = np.histogram(values, count)[1]
    edges[-1] += 1
    assert line(values, bin_count=count).levels[0, 1, 1, 1:-1].tolist() == np.digitize(values, edges).tolist()


def test_the_standards_levels() -> None:
    values = [-10.0, -0.5, 0.0, 14.9, 15.0, 40.0]
    assert line(values, bin_width=25, ibsi=True).levels[0, 1, 1, 1:-1].tolist() == [1, 1, 1, 1, 2, 3]
    assert line(values, bin_width=25, ibsi=True, lowest=-25).levels[0, 1, 1, 1:-1].tolist() == [1, 1, 2, 2, 2, 3]
    assert line(values, bin_width=25, lowest=-25).levels[0, 1, 1, 1:-1].tolist() == [1, 1, 2, 2, 2, 3], "edges from 0"
    assert line(values, bin_count=5, ibsi=True).levels[0, 1, 1, 1:-1].tolist() == [1, 1, 2, 3, 3, 5]
    flat = line([3.0, 3.0], bin_count=8, ibsi=True)
    assert flat.levels[0, 1, 1, 1:-1].tolist() == [1, 1]
    assert flat.n[0] == 1
    assert line([3.0, 3.0], bin_count=8).n[0] == 5, "pyradiomics puts a flat region into the middle"
    assert line(values, bin_width=25, ibsi=True, lowest=-math.inf).n[0] == 3, "an open range begins at the minimum"


def test_levels_as_they_are_and_their_gaps() -> None:
    made = line([1, 6, 4, 1])
    assert made.levels[0, 1, 1, 1:-1].tolist() == [1, 6, 4, 1]
    assert made.n[0] == 6


def test_a_batch_is_its_images_and_the_outside_does_not_count() -> None:
    values = np.random.default_rng(0).normal(size=(4, 2, 5, 6)) * 50
    inside = np.random.default_rng(1).random(values.shape) < 0.6
    inside[2] = False
    inside[3] = False
    inside[3, 1, 2, 3] = True
    values[~inside] = np.nan
    for rule in ({"bin_width": 10.0}, {"bin_count": 7}, {"bin_width": 10.0, "ibsi": True}):
        made = regions(values, inside, None, (3, 1, 1), pad=2, **rule)  # type: ignore[arg-type]
        assert made.levels.shape == (4, 6, 9, 10)
        assert ((made.levels[:, 2:-2, 2:-2, 2:-2] > 0) == inside).all()
        assert made.n[2] == 0, "an empty region has no levels"
        assert made.shape is made.inside
        for b in range(4):
            alone = regions(values[b : b + 1], inside[b : b + 1], None, (3, 1, 1), pad=2, **rule)  # type: ignore[arg-type]
            assert np.array_equal(alone.levels[0], made.levels[b])
            assert alone.n[0] == made.n[b]
    none = regions(values[:0], inside[:0], None, (3, 1, 1), bin_width=1)
    assert none.levels.shape == (0, 4, 7, 8)


@pytest.mark.parametrize(
    ("values", "rule", "words"),
    [
        ([0.0, 1e6], {"bin_width": 1.0}, ["a bin width of 1", "1,000,000 grey levels", "10000 would give about 100"]),
        ([0.0, 1e6], {"bin_width": 1.0, "ibsi": True, "lowest": -1e6}, ["2,000,000 grey levels"]),
        ([0.0, 12.0], {"bin_width": 1e-300}, ["a bin width of 1e-300"]),
        ([1e17, 1e17 + 64], {"bin_width": 1.0}, ["a bin width of 1"]),  # below the spacing of such numbers
        ([1.0, np.nan, np.inf], {"bin_width": 1.0}, ["2 NaN or infinite voxels", "leave them out"]),
        ([1.0, np.nan], {}, ["1 NaN or infinite voxels"]),
        ([1.0, 2.5], {}, ["from 1 to 2.5", "give a bin width or a bin count"]),
        ([0.0, 2.0], {}, ["from 0 to 2", "whole numbers from 1"]),
        ([1.0, 20000.0], {}, ["values up to 20000", "a bin width of 200"]),
        ([1.0, 5.0], {"bin_width": 1.0, "ibsi": True, "lowest": 3.0}, ["holds 1, below 3", "resegment"]),
        ([1.0, 5.0], {"bin_width": 0.0}, ["above 0", "not 0.0"]),
        ([1.0, 5.0], {"bin_width": math.nan}, ["above 0"]),
        ([1.0, 5.0], {"bin_count": 0}, ["from 1 to 10000", "not 0"]),
        ([1.0, 5.0], {"bin_count": 20_000}, ["from 1 to 10000"]),
        ([1.0, 5.0], {"bin_count": 5, "bin_width": 1.0}, ["not both"]),
        ([1.0, 5.0], {"bin_count": 5, "pad": -1}, ["0 voxels or wider"]),
    ],
)
def test_bad_levels_are_one_sentence(values: list[float], rule: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        line(values, **rule)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_the_width_that_is_named_would_do() -> None:
    values = np.array([-3.0, 1e5])
    with pytest.raises(InputError) as error:
        line(values, bin_width=0.5)
    named = float(str(error.value).split("; ")[1].split()[0])
    assert line(values, bin_width=named).n[0] <= 102


def test_most_levels_is_allowed_and_one_more_is_not() -> None:
    assert line([0.0, MOST_LEVELS - 1], bin_width=1).n[0] == MOST_LEVELS
    with pytest.raises(InputError, match=r"10,001|10,000 grey levels"):
        line([0.0, MOST_LEVELS], bin_width=1)


def test_the_region_at_fault_is_named() -> None:
    values = np.ones((3, 1, 2, 2))
    values[1, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="region 2 of 3"):
        regions(values, np.ones(values.shape, bool), None, (1, 1, 1), bin_width=1)


@pytest.mark.parametrize("spacing", [(1, 0, 1), (1, 1, -2), (1, 1), (math.nan, 1, 1), (1, 1, math.inf)])
def test_spacing_that_cannot_be(spacing: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="above 0"):
        regions(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2), bool), None, spacing, bin_width=1)
    with pytest.raises(InputError, match="above 0"):
        resample(IMAGE, MASK, spacing, (1, 1, 1))


def test_masks_of_another_shape() -> None:
    with pytest.raises(InputError, match="one grid"):
        regions(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 3), bool), None, (1, 1, 1), bin_width=1)
    with pytest.raises(InputError, match="B, D, H, W"):
        regions(np.ones((1, 2, 2)), np.ones((1, 2, 2), bool), None, (1, 1, 1), bin_width=1)
    with pytest.raises(InputError, match="one \\(D, H, W\\)"):
        resample(IMAGE, MASK[:-1], (1, 1, 1), (2, 2, 2))


# --- normalising, resegmenting, cropping


def test_normalised_as_pyradiomics() -> None:
    assert normalise(IMAGE, 10, 1.5)[0, 0] == pytest.approx(ORACLE["normalised"], rel=1e-9)
    assert np.abs(normalise(IMAGE, 10, 1.5)).max() == 15
    with pytest.raises(InputError, match="one value"):
        normalise(np.full((2, 2), 7))
    with pytest.raises(InputError, match="NaN"):
        normalise(np.array([1, np.nan]))


@pytest.mark.parametrize("case", ORACLE["resegmented"], ids=lambda case: f"{case[1]} {case[0]}")
def test_resegmented_as_pyradiomics(case: list[Any]) -> None:
    bounds, mode, text = case
    before = MASK.copy()
    assert np.array_equal(resegment(IMAGE, MASK, bounds, mode), bits(text, MASK.shape))
    assert np.array_equal(MASK, before), "the mask given is left as it was"


def test_resegmenting_at_its_ends() -> None:
    values, mask = np.array([[-4.0, -2.0, 0.0, 9.0]]), np.array([[True, True, True, False]])
    assert resegment(values, mask, (-2, 0)).tolist() == [[False, True, True, False]], "both ends are inside"
    assert resegment(values, mask, (-math.inf, -2)).tolist() == [[True, True, False, False]]
    assert resegment(values - 1, mask, (0.5, 3), "relative").tolist() == [[False, True, True, False]]
    assert not resegment(values, ~mask & mask, (0, 1)).any()
    flat = np.full((1, 3), 0.1)
    assert resegment(flat, np.ones((1, 3), bool), (-3, 3), "sigma").all()
    for bounds, mode in (((), "absolute"), ((1, 2, 3), "absolute"), ((math.nan,), "absolute"), ((1, 2), "percent")):
        with pytest.raises(InputError):
            resegment(values, mask, bounds, mode)  # type: ignore[arg-type]


def test_boxes() -> None:
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 2:4, 6] = True
    assert box(mask) == (slice(1, 2), slice(2, 4), slice(6, 7))
    assert box(mask, 2) == (slice(0, 4), slice(0, 6), slice(4, 7))
    assert box(~mask) == (slice(0, 5), slice(0, 6), slice(0, 7))
    assert mask[box(mask & ~mask, 3)].shape == (1, 1, 1)


# --- resampling


@pytest.mark.parametrize("case", ORACLE["resampled"], ids=lambda case: case["interpolator"])
def test_resampled_as_pyradiomics(case: dict[str, Any]) -> None:
    given = (MASK, ORACLE["spacing"], case["target"])
    rest = {"interpolator": case["interpolator"], "margin": case["margin"]}
    image, mask, spacing = resample(IMAGE.astype(float), *given, **rest)
    assert np.array_equal(mask, bits(case["mask"], case["shape"]))
    assert image.ravel() == pytest.approx(case["values"], abs=1e-6, rel=1e-8)
    assert spacing == tuple(t or s for t, s in zip(case["target"], ORACLE["spacing"], strict=True))
    if "whole" in case:
        assert resample(IMAGE, *given, **rest)[0].ravel().tolist() == case["whole"], "fractions are cut off"
        assert np.array_equal(resample(IMAGE.astype(float), *given, whole=True, **rest)[0], np.trunc(image))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("old", "new", "count", "corner", "taken"),
    [
        (2.1, 2.0, 21, 9.45, [*range(11), *range(10, 21)]),
        (2.1, 2.0, 21, 9.45000000000003, [*range(10), *range(9, 21)]),  # breast1 of pyradiomics lies there
        (0.7, 1.0, 20, -31.7, [0, 2, 3, 4, 6, 7, 9, 10, 12, 13, 14, 16, 17, 19]),
    ],
)
def test_a_voxel_midway_goes_where_simpleitk_puts_it(
    axis: int, old: float, new: float, count: int, corner: float, taken: list[int]
) -> None:
    """Voxels that pyradiomics 3.0.1 takes with SimpleITK 2.5.7; its rounding in mm, and so the origin, decides."""
    shape, spacing, target, affine = [3, 3, 3], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], np.eye(4)[[2, 1, 0, 3]]
    shape[axis], spacing[axis], target[axis] = count, old, new
    affine[:3, :3] *= spacing
    affine[2 - axis, 3] = corner
    image = np.moveaxis(np.broadcast_to(np.arange(float(count)), (3, 3, count)), 2, axis)
    kept = {"interpolator": "sitkNearestNeighbor", "affine": affine}
    values, _, _ = resample(image, np.ones(shape, bool), spacing, target, **kept)
    line = np.moveaxis(values, axis, 0)[:, 1, 1]
    assert line[: len(taken)].tolist() == taken and not line[len(taken) :].any()


def test_resampling_that_changes_nothing_crops() -> None:
    image, mask, spacing = resample(IMAGE, MASK, (2, 1, 1), (2, 0, 1), margin=1)
    around = box(MASK, 1)
    assert np.array_equal(image, IMAGE[around])
    assert np.array_equal(mask, MASK[around])
    assert spacing == (2, 1, 1)


def test_one_slice_is_not_resampled_across() -> None:
    image, mask = IMAGE[:1].astype(float), np.ones((1, 6, 7), bool)
    new, inside, spacing = resample(image, mask, (5, 1, 1), (1, 0.5, 0.5))
    assert new.shape == (1, 12, 14)
    assert spacing == (5, 0.5, 0.5)
    assert inside.all()


def test_an_empty_mask_cannot_be_resampled_around() -> None:
    with pytest.raises(InputError, match="empty"):
        resample(IMAGE, MASK & ~MASK, (1, 1, 1), (2, 2, 2))
    with pytest.raises(InputError, match=r"did you mean 'sitkBSpline'|known are"):
        resample(IMAGE, MASK, (1, 1, 1), (2, 2, 2), interpolator="sitkBspline")


@pytest.mark.parametrize(("name", "order"), [("linear", 1), ("cubic", 3)])
def test_resampled_as_the_standard(name: str, order: int) -> None:
    image, mask = np.array(MIRP["image"]), np.array(MIRP["mask"], bool)
    new, inside, spacing = resample_standard(image, mask, (1, 1, 1), MIRP["target"], order=order)
    assert new.ravel() == pytest.approx(MIRP[name], abs=1e-7)
    assert np.array_equal(inside, bits(MIRP["inside"], MIRP["shape"]))
    assert spacing == tuple(MIRP["target"])
    rounded = resample_standard(image, mask, (1, 1, 1), MIRP["target"], order=order, whole=True)[0]
    assert np.array_equal(rounded, np.round(new))


def test_the_standards_grid_shares_the_centre() -> None:
    ramp = np.broadcast_to(np.arange(9.0), (4, 5, 9))
    new, inside, _ = resample_standard(ramp, np.ones((4, 5, 9), bool), (1, 1, 1), (1, 1, 2), order=1)
    assert new[0, 0].tolist() == [0, 2, 4, 6, 8]
    assert inside.all()
    new, _, _ = resample_standard(ramp, np.ones((4, 5, 9), bool), (1, 1, 1), (0, 0, 3), order=0)
    assert new[0, 0].tolist() == [1, 4, 7]
    half = np.zeros((1, 1, 4), bool)
    half[..., :2] = True
    assert resample_standard(half * 1.0, half, (1, 1, 1), (0, 0, 4))[1].tolist() == [[[True]]], "half a voxel is inside"
    with pytest.raises(InputError, match="0, 1 or 3"):
        resample_standard(ramp, ramp > 0, (1, 1, 1), (1, 1, 2), order=2)


# --- pyradiomics' published baselines


def prepared(case: str, setting: dict[str, Any]) -> Regions:
    nrrd = pytest.importorskip("nrrd")
    image, header = nrrd.read(str(CASES / f"{case}_image.nrrd"))
    mask = nrrd.read(str(CASES / f"{case}_label.nrrd"))[0].T == 1
    image, spacing = image.T, np.linalg.norm(header["space directions"], axis=1)[::-1]
    if setting["normalize"]:
        image = normalise(image, setting["normalizeScale"], setting["removeOutliers"])
    if setting["interpolator"] and setting["resampledPixelSpacing"]:
        target = setting["resampledPixelSpacing"][::-1]
        rest = {"interpolator": setting["interpolator"], "margin": setting["padDistance"]}
        image, mask, spacing = resample(image, mask, spacing, target, **rest)
    form = mask
    if setting["resegmentRange"]:
        mask = resegment(image, mask, setting["resegmentRange"], setting.get("resegmentMode", "absolute"))
    around = (None, *box(form))
    bins = {"bin_count": setting["binCount"]} if "binCount" in setting else {"bin_width": setting.get("binWidth", 25)}
    return regions(image[around], mask[around], form[around], spacing, **bins)


def first_order(made: Regions, shift: float) -> dict[str, float]:
    x, levels = made.values[made.inside], made.levels[made.levels > 0]
    p = np.unique(levels, return_counts=True)[1] / levels.size
    plain = {"Mean": x.mean(), "Minimum": x.min(), "Maximum": x.max(), "Variance": x.var(), "Median": np.median(x)}
    return plain | {"Energy": ((x + shift) ** 2).sum(), "Entropy": -(p * np.log2(p)).sum(), "Uniformity": (p**2).sum()}


def cooccurrence(made: Regions, flat: bool, merged: bool) -> dict[str, float]:
    levels, n, matrices = made.levels[0].astype(int), int(made.n[0]), []
    for step in itertools.product((-1, 0, 1), repeat=3):
        if step > (0, 0, 0) and not (flat and step[0]):
            other = np.roll(levels, [-s for s in step], (0, 1, 2))  # the frame keeps the ends apart
            pairs = (levels > 0) & (other > 0)
            one = np.bincount((levels[pairs] - 1) * n + other[pairs] - 1, minlength=n * n).reshape(n, n)
            matrices += [one + one.T] if one.any() else []
    i, j = np.indices((n, n)) + 1
    rows = []
    for matrix in [sum(matrices)] if merged else matrices:
        p = matrix / matrix.sum()
        rows.append((-(p * np.log2(np.where(p > 0, p, 1))).sum(), (p * (i - j) ** 2).sum(), (p * i * j).sum()))
    return dict(zip(("JointEntropy", "Contrast", "Autocorrelation"), np.mean(rows, 0), strict=True))


@pytest.mark.parametrize("case", ["brain1", "brain2", "breast1"])
@pytest.mark.skipif(not CASES.exists(), reason="pyradiomics' test cases are not beside the project")
def test_regions_meet_pyradiomics_baselines(case: str) -> None:
    """Every published setting, on features simple enough to be written out here."""
    met = []
    for family in ("firstorder", "glcm"):
        with (CASES / "baseline" / f"baseline_{family}.csv").open(encoding="utf-8", newline="") as file:
            table = {row.pop("featureName"): row for row in csv.DictReader(file)}
        for column, text in table["diagnostics_Configuration_Settings"].items():
            if column.split("_")[0] != case:
                continue
            setting = ast.literal_eval(text)
            made = prepared(case, setting)
            if family == "firstorder":
                values = first_order(made, setting.get("voxelArrayShift", 0))
            else:
                values = cooccurrence(made, setting["force2D"], setting.get("weightingNorm") == "no_weighting")
            for name, value in values.items():
                (key,) = (key for key in table if key.endswith(f"_{family}_{name}"))
                if table[key][column]:
                    assert value == pytest.approx(float(table[key][column]), rel=1e-9, abs=1e-12), (column, name)
                    met.append(column)
    assert len(set(met)) == 8, "plain, 2d, FBN, combined, flatRegion, normalization, resampling, resegmentation"
