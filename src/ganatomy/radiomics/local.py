"""Local intensity: mean intensity in a ball of 1 cm3 around voxels, and where it peaks.

Sources: Wahl et al. 2009, Journal of Nuclear Medicine 50(S1); IBSI manual (Zwanenburg et al. 2020), family 9ST6.
"""

import numpy as np
from numpy.typing import NDArray

from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.region import Float, Regions

FEATURES = (
    Feature("LocalPeak", "loc_peak_loc", "VJGA"),
    Feature("GlobalPeak", "loc_peak_glob", "0F91"),
)
RADIUS = 10 * (3 / (4 * np.pi)) ** (1 / 3)  # mm, of a ball of 1 cm3: 6.2


def measure(regions: Regions) -> Float:
    """FEATURES of each region: (B, 2).

    Balls reach beyond the region: all finite values of the box count, so the box must hold what is within 6.2 mm.
    The local peak is the mean around the brightest voxel (the highest, of several); the global one the highest of all.
    """
    return _measure(
        np.ascontiguousarray(regions.values, np.float64),
        np.ascontiguousarray(regions.inside).view(np.uint8),
        _lines(regions.values.shape[1:], regions.spacing),
    )


def _lines(shape: tuple[int, ...], spacing: tuple[float, float, float]) -> NDArray[np.int64]:
    """The ball as lines along x: (lines, 3), offset in z and in y, and how many voxels it reaches to either side in x.

    Distances are compared with room for rounding, so that a voxel at 6.2035 mm sharp is in.
    """
    reach = [min(int(RADIUS / step), length) for step, length in zip(spacing, shape, strict=True)]
    z, y = np.meshgrid(*(np.arange(-r, r + 1) for r in reach[:2]), indexing="ij")
    rest = RADIUS**2 * (1 + 1e-12) - (z * spacing[0]) ** 2 - (y * spacing[1]) ** 2
    half = np.floor(np.sqrt(np.maximum(rest, 0)) / spacing[2]).astype(np.int64)
    lines: NDArray[np.int64] = np.stack([z, y, half], -1)[rest >= 0]
    return lines


@compiled
def _measure(values: Float, inside: NDArray[np.uint8], lines: NDArray[np.int64]) -> Float:
    batch, depth, height, width = values.shape
    found = np.full((batch, 2), np.nan)
    margin = 0
    for i in range(len(lines)):
        margin = max(margin, min(lines[i, 2], width))
    sums = np.empty((2, depth, height, width + 2 * margin + 1))
    for b in range(batch):
        _add_up(values[b], sums, margin)
        _peaks(values[b], inside[b], lines, sums, margin, found[b])
    return found


@compiled
def _add_up(values: Float, sums: Float, margin: int) -> None:
    """Running sums along x of the finite values, and of their number: (2, D, H, margin + 1 + W + margin).

    They go on, flat, on both sides: lines reach beyond rows.
    """
    depth, height, width = values.shape
    for z in range(depth):
        for y in range(height):
            total, number = 0.0, 0.0
            sums[:, z, y, : margin + 1] = 0
            for x in range(width):
                value = values[z, y, x]
                if np.isfinite(value):
                    total += value
                    number += 1
                sums[0, z, y, margin + 1 + x] = total
                sums[1, z, y, margin + 1 + x] = number
            sums[0, z, y, margin + 1 + width :] = total
            sums[1, z, y, margin + 1 + width :] = number


@compiled
def _peaks(
    values: Float, inside: NDArray[np.uint8], lines: NDArray[np.int64], sums: Float, margin: int, found: Float
) -> None:
    """The two features, from running sums."""
    depth, height, width = values.shape
    ball = np.empty((2, width))  # sum and number of the values around each voxel of a row
    brightest, local, highest = -np.inf, np.nan, -np.inf
    for z in range(depth):
        for y in range(height):
            first, last = width, -1
            for x in range(width):
                if inside[z, y, x]:
                    first, last = min(first, x), x
            if last < 0:
                continue
            ball[:, first : last + 1] = 0
            for i in range(len(lines)):
                at_z, at_y, half = z + lines[i, 0], y + lines[i, 1], min(lines[i, 2], width)
                if 0 <= at_z < depth and 0 <= at_y < height:
                    for x in range(first, last + 1):
                        after, before = x + margin + 1 + half, x + margin - half
                        ball[0, x] += sums[0, at_z, at_y, after] - sums[0, at_z, at_y, before]
                        ball[1, x] += sums[1, at_z, at_y, after] - sums[1, at_z, at_y, before]
            for x in range(first, last + 1):
                if inside[z, y, x] and ball[1, x] > 0:
                    mean, value = ball[0, x] / ball[1, x], values[z, y, x]
                    highest = max(highest, mean)
                    local = max(local, mean) if value == brightest else (mean if value > brightest else local)
                    brightest = max(brightest, value)
    if highest > -np.inf:
        found[0], found[1] = local, highest


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    return "an empty region has no intensity"
