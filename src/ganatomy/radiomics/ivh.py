"""Intensity-volume histogram: which share of a region has at least some intensity, and the reverse.

Knows the three kinds of units of the standard. Source: El Naqa et al. 2009, Pattern Recognition 42(6); IBSI reference
manual (Zwanenburg et al. 2020), family P88C.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.histogram import count
from ganatomy.radiomics.region import Float, Regions

FEATURES = (
    Feature("VolumeAtIntensityFraction10", "ivh_v10", "BC2M"),
    Feature("VolumeAtIntensityFraction90", "ivh_v90", "BC2M"),
    Feature("IntensityAtVolumeFraction10", "ivh_i10", "GBPN"),
    Feature("IntensityAtVolumeFraction90", "ivh_i90", "GBPN"),
    Feature("VolumeFractionDifference", "ivh_diff_v10_v90", "DDTU"),
    Feature("IntensityFractionDifference", "ivh_diff_i10_i90", "CNV2"),
    Feature("AreaUnderCurve", "ivh_auc", "9CMM"),
)


def measure(regions: Regions, *, bounds: tuple[float, float] | None = None) -> Float:
    """FEATURES of each region: (B, 7).

    Intensities are grey levels where regions.width is 0 (arbitrary units: the standard wants 1000 levels).
    With a width they are the middles of the levels, in the image's units (continuous units), or the levels' own values
    where the width is 1 and all values are whole (discrete units, as Hounsfield's: every unit a level).
    bounds: range to which values were resegmented, in the image's units, infinite where open; levels are counted from
        its low end, and intensity fractions refer to it; where it is not given, to the region's own range. Not looked
        at without a width. In discrete units the range is from its low to its high end (-500 to 400 HU: 901 levels), in
        continuous ones from half a width above its low end to half a width below its high end (-1000 to 400 HU by
        2.5 HU: 560); a value at the high end itself is one level beyond.
    """
    low, high = bounds or (-math.inf, math.inf)
    levels = np.ascontiguousarray(regions.levels).reshape(len(regions.levels), -1)
    return _measure(
        levels,
        np.ascontiguousarray(regions.n, np.int64),
        np.ascontiguousarray(regions.values, np.float64),
        np.array(regions.levels.shape[1:], np.int64),
        regions.pad,
        float(regions.width),
        float(low),
        float(high),
    )


@compiled
def _measure(
    levels: NDArray[np.uint16],
    n: NDArray[np.int64],
    values: Float,
    padded: NDArray[np.int64],
    pad: int,
    width: float,
    low: float,
    high: float,
) -> Float:
    batch = len(levels)
    found = np.full((batch, 7), np.nan)
    highest = 0
    for b in range(batch):
        highest = max(highest, n[b])
    tables = np.empty((4, highest + 1), np.int64)
    for b in range(batch):
        top = n[b]
        if top == 0:
            continue
        count(levels[b], tables[:, : top + 1])
        first, step, number = 1.0, 1.0, top
        if width > 0:
            edge, end, whole = _edge(levels[b], values[b], padded, pad, width)
            if math.isfinite(low):
                edge = low
            if math.isfinite(high):
                end = high
            step = width
            if whole and width == 1:
                first, number = edge, math.floor(end - edge) + 1
            else:
                first, number = edge + width / 2, math.ceil((end - edge) / width - 1e-9)
            number = max(number, min(top, 2))
        _curve(tables[0, : top + 1], number, first, step, found[b])
    return found


@compiled
def _edge(
    levels: NDArray[np.uint16], values: Float, padded: NDArray[np.int64], pad: int, width: float
) -> tuple[float, float, bool]:
    """The highest lower edge of level 1 that suits all voxels (the least value, if levels start there), the greatest
    value, and whether all are whole."""
    depth, height, length = values.shape
    edge, end, whole = math.inf, -math.inf, True
    for z in range(depth):
        for y in range(height):
            start = ((z + pad) * padded[1] + y + pad) * padded[2] + pad
            for x in range(length):
                level = np.int64(levels[start + x])
                if level == 0:
                    continue
                value = values[z, y, x]
                edge = min(edge, value - (level - 1) * width)
                end = max(end, value)
                whole = whole and value == math.floor(value)
    return edge, end, whole


@compiled
def _curve(counts: NDArray[np.int64], number: int, first: float, step: float, found: Float) -> None:
    """The features of a histogram; counts[g] from 1, `number` levels in the range, of which those beyond counts are
    empty. Levels beyond the range have fractions of intensity above 1."""
    top = len(counts) - 1
    last = max(top, number)
    voxels = 0
    for g in range(1, top + 1):
        voxels += counts[g]
    if voxels == 0:
        return
    above, area = voxels, 0.0  # voxels of at least this level
    # the level beyond the last is reached by no voxel
    tenth, most = last + 1, last + 1
    for g in range(1, last + 1):
        fraction = (g - 1) / (number - 1)  # NaN for one level
        if fraction >= 0.1 and math.isnan(found[0]):
            found[0] = above / voxels
        if fraction >= 0.9 and math.isnan(found[1]):
            found[1] = above / voxels
        if 10 * above <= voxels:
            tenth = min(tenth, g)
        if 10 * above <= 9 * voxels:
            most = min(most, g)
        before = above
        if g <= top:
            above -= counts[g]
        if g < number:
            area += before + above
    found[2] = first + (tenth - 1) * step
    found[3] = first + (most - 1) * step
    found[4] = found[0] - found[1]
    found[5] = found[2] - found[3]
    if number > 1:
        found[6] = area / (2 * voxels * (number - 1))


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    return "an empty region has no histogram" if voxels == 0 else "a region of one intensity has no intensity fractions"
