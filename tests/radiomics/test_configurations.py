"""The standard's processing configurations A to E, of its lung cancer CT, on a small phantom, against mirp 2.7.0.

configurations_mirp.json: what mirp gave for `phantom`, handed to its StandardWorkflow as a CTImage of float64 and a
BaseMask (by_slice in A and B, no_approximation, ngldm_difference_level 0, no anti-aliasing, masks linearly;
resegmentation "range" in A, B, C, E and "sigma" in D, E), to 13 digits. "slices" and "volumes" hold the columns, the
configurations their values; "crc32" is the phantom's. null: ivh_auc of C, which mirp marks as outside the standard
and integrates over one level more than the manual's range, X_min + w/2 to X_max - w/2, has.
"""

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from ganatomy.radiomics import RadiomicsSettings, extract

ORACLE = json.loads((Path(__file__).parent / "configurations_mirp.json").read_text(encoding="utf-8"))
SPACING = (3.0, 0.98, 0.98)
SLICES = RadiomicsSettings(ibsi=True, quadratic=True, aggregation=("2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb"))
VOLUMES = RadiomicsSettings(ibsi=True, quadratic=True, aggregation=("3D_avg", "3D_comb"), spacing=(2.0, 2.0, 2.0))
CONFIGURATIONS = {
    "A": SLICES.replace(resegment=(-500.0, 400.0), bin_width=25.0),
    "B": SLICES.replace(spacing=(0.0, 2.0, 2.0), interpolator="linear", resegment=(-500.0, 400.0), bin_count=32),
    "C": VOLUMES.replace(interpolator="linear", resegment=(-1000.0, 400.0), bin_width=25.0, ivh_width=2.5),
    "D": VOLUMES.replace(interpolator="linear", outliers=3.0, bin_count=32),
    "E": VOLUMES.replace(
        interpolator="bspline", resegment=(-1000.0, 400.0), outliers=3.0, bin_count=32, ivh_count=1000
    ),
}

Whole = NDArray[np.int64]


def smooth(noise: Whole, reach: tuple[int, int, int]) -> Whole:
    """Noise summed over boxes and brought to -100..100, in whole numbers, so that no platform rounds otherwise."""
    for axis, r in enumerate(reach):
        width = [(r + 1, r) if a == axis else (0, 0) for a in range(3)]
        total = np.cumsum(np.pad(noise, width, mode="edge"), axis)
        size = total.shape[axis]
        noise = np.take(total, range(2 * r + 1, size), axis) - np.take(total, range(size - 2 * r - 1), axis)
    brought: Whole = noise * 100 // int(np.abs(noise).max())
    return brought


@pytest.fixture(scope="module")
def phantom() -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """HU and region, (14, 44, 48): a tumour of soft tissue with a chalky core, half in lung, drawn too wide and with a
    hole of air; its border is irregular. Voxels inside lie below -500 HU and above 400 HU."""
    shape, radius, draw = (14, 44, 48), 1250, np.random.default_rng(7)  # lengths in 0.01 mm
    coarse = smooth(draw.integers(-1000, 1001, shape), (1, 3, 3))
    fine = smooth(draw.integers(-1000, 1001, shape), (0, 1, 1))
    z, y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    away = (300 * z) ** 2 + (98 * y) ** 2 + (98 * x) ** 2
    ball = away * 100 // radius**2 + coarse * 6 // 10  # 100 at the border
    lung = 2 * x + y > 5
    image = np.where(lung, -820 + coarse * 4 // 10, 40 + coarse // 5)
    soft = 45 + coarse // 3 - np.where(lung, 9, 0) * np.maximum(away * 100 // radius**2 - 70, 0)
    image = np.where(ball < 100, soft, image)
    image[away < (radius // 4) ** 2] += 440
    image += fine // 2
    hole = (np.abs(z) <= 1) & ((y + 5) ** 2 + (x + 4) ** 2 <= 6)
    image[hole] = -900
    hu, region = image.astype(np.int16), (ball + fine // 6 < 106) & ~hole
    assert crc32(hu.tobytes() + region.tobytes()) == ORACLE["crc32"], (
        "numpy draws other numbers than when mirp measured"
    )
    return hu, region


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_value_is_mirps(name: str, phantom: tuple[NDArray[np.int16], NDArray[np.bool_]]) -> None:
    hu, region = phantom
    row = extract([hu], [region], settings=CONFIGURATIONS[name], spacing=SPACING).iloc[0]
    columns = [f"original_{column}" for column in ORACLE["slices" if name in "AB" else "volumes"]]
    expected = dict(zip(columns, ORACLE[name], strict=True))
    left = set(row.index) ^ set(expected)
    assert not left, left
    wrong = {
        column: (float(row[column]), value)
        for column, value in expected.items()
        if value is not None and row[column] != pytest.approx(value, rel=1e-9, abs=1e-12)
    }
    assert not wrong, wrong


def test_whole_values_are_rounded_in_whatever_type(phantom: tuple[NDArray[np.int16], NDArray[np.bool_]]) -> None:
    """A file may hold Hounsfield units as floating point; resampled ones are rounded as the standard asks."""
    hu, region = phantom
    settings = CONFIGURATIONS["C"].replace(families=("firstorder", "ivh"))
    as_int = extract([hu], [region], settings=settings, spacing=SPACING)
    assert as_int.equals(extract([hu.astype(np.float32)], [region], settings=settings, spacing=SPACING))
    off = hu + np.random.default_rng(0).uniform(-0.01, 0.01, hu.shape)
    assert not as_int.equals(extract([off], [region], settings=settings, spacing=SPACING))
    rounded = extract([off], [region], settings=settings.replace(round_values=True), spacing=SPACING)
    assert as_int.equals(rounded)


def test_spacing_in_single_precision_adds_no_voxel() -> None:
    """200 voxels of 0.8 mm, as NIfTI stores it, are 80 of 2 mm, not 81; a region's place would move by 1 mm."""
    from ganatomy.radiomics.resample import resample_standard

    image, mask = np.zeros((1, 1, 200)), np.ones((1, 1, 200), bool)
    spacing = (1.0, 1.0, float(np.float32(0.8)))
    assert resample_standard(image, mask, spacing, (0, 0, 2.0))[0].shape == (1, 1, 80)
    assert resample_standard(image, mask, (1.0, 1.0, 0.801), (0, 0, 2.0))[0].shape == (1, 1, 81)
