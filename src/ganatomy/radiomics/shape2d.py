"""Shape of regions in a plane (pyradiomics' shape2D): area, perimeter, diameter and axes, from outline and pixels.

Knows regions of one slice only. Source: van Griethuysen et al. 2017, Cancer Research 77(21).
"""

import math

import numpy as np

from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.mesh import Byte, Int, Small, extent, plane_diameter
from ganatomy.radiomics.region import Float, Regions

FEATURES_2D = (
    Feature("MeshSurface"),
    Feature("PixelSurface"),
    Feature("Perimeter"),
    Feature("PerimeterSurfaceRatio"),
    Feature("Sphericity"),
    Feature("SphericalDisproportion"),
    Feature("MaximumDiameter"),
    Feature("MajorAxisLength"),
    Feature("MinorAxisLength"),
    Feature("Elongation"),
)


def measure_2d(regions: Regions) -> Float:
    """FEATURES_2D of each region of one slice: (B, 10); NaN for all where boxes are deeper than that."""
    batch, depth, _, _ = regions.shape.shape
    if depth != 1:
        return np.full((batch, len(FEATURES_2D)), np.nan)
    return _measure(np.ascontiguousarray(regions.shape).view(np.uint8), np.array(regions.spacing, np.float64))


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    if voxels == 0:
        return "an empty region has no shape"
    return "one pixel has no axes" if voxels == 1 else "a region of several slices has no outline"


@compiled
def _measure(shape: Byte, spacing: Float) -> Float:
    batch, _, height, _ = shape.shape
    found = np.full((batch, 10), np.nan)
    box = np.empty(16, np.int64)
    counts = np.empty(16, np.int64)
    lines = np.empty((2, 2 * height + 2), np.int32)
    kept = np.empty((2, 2 * height + 2), np.uint8)
    stack = np.empty(2 * height + 2, np.int64)
    points = np.empty((4 * height + 4, 2))
    dy, dx = spacing[1], spacing[2]
    for b in range(batch):
        extent(shape[b], box)
        n = box[6]
        if n == 0:
            continue
        _outline(shape[b, 0], box, counts, lines)
        # squares of one corner inside, of three, of two on a side, of two across: these last hold two corners
        one = counts[1] + counts[2] + counts[4] + counts[8]
        three = counts[7] + counts[11] + counts[13] + counts[14]
        across = counts[6] + counts[9]
        level, upright = counts[3] + counts[12], counts[5] + counts[10]
        area = (one / 8 + across / 4 + (level + upright) / 2 + three * 7 / 8 + counts[15]) * dy * dx
        perimeter = level * dx + upright * dy + (one + three + 2 * across) * math.sqrt(dy * dy + dx * dx) / 2
        found[b, 0] = area
        found[b, 1] = n * dy * dx
        found[b, 2] = perimeter
        found[b, 3] = perimeter / area
        found[b, 4] = 2 * math.sqrt(math.pi * area) / perimeter
        found[b, 5] = perimeter / (2 * math.sqrt(math.pi * area))
        rows = 2 * (box[3] - box[2] + 1) + 2
        found[b, 6] = math.sqrt(plane_diameter(lines[:, :rows], kept[:, :rows], 1, dy, dx, 0.0, stack, points)) / 2
        mean_y, mean_x = box[8] / n, box[9] / n
        yy = (box[11] / n - mean_y * mean_y) * dy * dy / 4
        xx = (box[12] / n - mean_x * mean_x) * dx * dx / 4
        yx = (box[15] / n - mean_y * mean_x) * dy * dx / 4
        major = (yy + xx) / 2 + math.sqrt((yy - xx) ** 2 / 4 + yx * yx)
        minor = (yy * xx - yx * yx) / major if major > 0 else 0.0
        if minor < 1e-13 * major:
            minor = 0.0
        found[b, 7] = 4 * math.sqrt(major)
        found[b, 8] = 4 * math.sqrt(minor)
        if major > 0:
            found[b, 9] = math.sqrt(minor / major)
    return found


@compiled
def _outline(mask: Byte, box: Int, counts: Int, lines: Small) -> None:
    """How many squares of each of 16 kinds (bit 2 y + x for a corner inside); first and last vertex on each row."""
    y0, x0 = box[2], box[4]
    height, width = box[3] - y0 + 1, box[5] - x0 + 1
    counts[:] = 0
    lines[:] = -1
    outside = np.zeros(width, np.uint8)
    codes = np.zeros(width + 2, np.uint8)
    for y in range(height + 1):
        a = mask[y0 + y - 1, x0 : x0 + width] if y > 0 else outside
        b = mask[y0 + y, x0 : x0 + width] if y < height else outside
        for x in range(width):
            codes[x + 1] = a[x] | b[x] << 2
        full = 0
        for x in range(width + 1):
            square = np.int64(codes[x]) | np.int64(codes[x + 1]) << 1
            if square == 15:
                full += 1
                continue
            if square == 0:
                continue
            counts[square] += 1
            if square & 1:
                square = 15 - square
            for axis in range(2):  # the vertices on the edges from the square's first corner
                if square >> (1 << axis) & 1:
                    row, place = 2 * y + axis, 2 * x + 1 - axis
                    if lines[0, row] < 0:
                        lines[0, row] = place
                    lines[1, row] = place
        counts[15] += full
