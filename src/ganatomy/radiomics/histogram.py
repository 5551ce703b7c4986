"""Intensity histogram: statistics of grey levels, each level standing for its number.

Knows levels only, neither units nor places. Source: IBSI reference manual (Zwanenburg et al. 2020), family ZVCW.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.region import Float, Regions

FEATURES = (
    Feature("Mean", "ih_mean", "X6K6"),
    Feature("Variance", "ih_var", "CH89"),
    Feature("Skewness", "ih_skew", "88K1"),
    Feature("Kurtosis", "ih_kurt", "C3I7"),
    Feature("Median", "ih_median", "WIFQ"),
    Feature("Minimum", "ih_min", "1PR8"),
    Feature("10Percentile", "ih_p10", "GPMT"),
    Feature("90Percentile", "ih_p90", "OZ0C"),
    Feature("Maximum", "ih_max", "3NCY"),
    Feature("Mode", "ih_mode", "AMMC"),
    Feature("InterquartileRange", "ih_iqr", "WR0O"),
    Feature("Range", "ih_range", "5Z3W"),
    Feature("MeanAbsoluteDeviation", "ih_mad", "D2ZX"),
    Feature("RobustMeanAbsoluteDeviation", "ih_rmad", "WRZB"),
    Feature("MedianAbsoluteDeviation", "ih_medad", "4RNL"),
    Feature("CoefficientOfVariation", "ih_cov", "CWYJ"),
    Feature("QuartileCoefficientOfDispersion", "ih_qcod", "SLWD"),
    Feature("Entropy", "ih_entropy", "TLU2"),
    Feature("Uniformity", "ih_uniformity", "BJ5W"),
    Feature("MaximumGradient", "ih_max_grad", "12CE"),
    Feature("MaximumGradientGrayLevel", "ih_max_grad_g", "8E6O"),
    Feature("MinimumGradient", "ih_min_grad", "VQB3"),
    Feature("MinimumGradientGrayLevel", "ih_min_grad_g", "RHQZ"),
)


def measure(regions: Regions) -> Float:
    """FEATURES of each region: (B, 23). Kurtosis is in excess of the normal distribution's; gradients are in voxels."""
    levels = np.ascontiguousarray(regions.levels).reshape(len(regions.levels), -1)
    return _measure(levels, np.ascontiguousarray(regions.n, np.int64))


@compiled
def count(levels: NDArray[np.uint16], tables: NDArray[np.int64]) -> None:
    """Voxels of each grey level into tables[0], level 0 (outside) too; the other three are scratch.

    Four tables take turns, so that a run of one level does not wait for its own sum.
    """
    tables[:] = 0
    whole = len(levels) // 4 * 4
    for i in range(0, whole, 4):
        tables[0, levels[i]] += 1
        tables[1, levels[i + 1]] += 1
        tables[2, levels[i + 2]] += 1
        tables[3, levels[i + 3]] += 1
    for i in range(whole, len(levels)):
        tables[0, levels[i]] += 1
    for g in range(tables.shape[1]):
        tables[0, g] += tables[1, g] + tables[2, g] + tables[3, g]


@compiled
def _measure(levels: NDArray[np.uint16], n: NDArray[np.int64]) -> Float:
    batch = len(levels)
    found = np.full((batch, 23), np.nan)
    highest = 0
    for b in range(batch):
        highest = max(highest, n[b])
    tables = np.empty((4, highest + 1), np.int64)
    for b in range(batch):
        top = n[b]
        if top == 0:
            continue
        count(levels[b], tables[:, : top + 1])
        _statistics(tables[0, : top + 1], found[b])
    return found


@compiled
def _statistics(counts: NDArray[np.int64], found: Float) -> None:
    """The features of a histogram; counts[g] for levels from 1, counts[0] is not looked at."""
    top = len(counts) - 1
    voxels, mean, low, high = 0, 0.0, 0, 0
    for g in range(1, top + 1):
        if counts[g]:
            voxels += counts[g]
            mean += counts[g] * g
            high = g
            if low == 0:
                low = g
    if voxels == 0:
        return
    mean /= voxels
    quantiles = np.empty(5)
    for k, q in enumerate((0.1, 0.25, 0.5, 0.75, 0.9)):
        quantiles[k] = _quantile(counts, q * (voxels - 1))
    median = quantiles[2]
    second, third, fourth, absolute, around, entropy, uniformity = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    mode = low
    for g in range(low, high + 1):
        if counts[g] == 0:
            continue
        p = counts[g] / voxels
        d = g - mean
        second += p * d * d
        third += p * d * d * d
        fourth += p * d * d * d * d
        absolute += p * abs(d)
        around += p * abs(g - median)
        entropy -= p * math.log2(p)
        uniformity += p * p
        # of several modes the one nearest the mean
        if counts[g] > counts[mode] or (counts[g] == counts[mode] and abs(d) < abs(mode - mean)):
            mode = g
    found[0], found[1] = mean, second
    if low < high:
        found[2] = third / second**1.5
        found[3] = fourth / second**2 - 3
    found[4], found[5], found[6], found[7], found[8], found[9] = median, low, quantiles[0], quantiles[4], high, mode
    found[10] = quantiles[3] - quantiles[1]
    found[11] = high - low
    found[12] = absolute
    found[13] = _spread(counts, quantiles[0], quantiles[4])
    found[14] = around
    found[15] = math.sqrt(second) / mean
    found[16] = (quantiles[3] - quantiles[1]) / (quantiles[3] + quantiles[1])
    found[17], found[18] = entropy, uniformity
    if top > 1:
        _gradient(counts, found[19:])


@compiled
def _spread(counts: NDArray[np.int64], least: float, most: float) -> float:
    """Mean absolute deviation from their mean of the levels least..most; NaN where there are none."""
    voxels, mean, spread = 0, 0.0, 0.0
    first, last = math.ceil(least), math.floor(most)
    for g in range(first, last + 1):
        voxels += counts[g]
        mean += counts[g] * g
    mean /= voxels
    for g in range(first, last + 1):
        spread += counts[g] * abs(g - mean)
    return spread / voxels


@compiled
def _gradient(counts: NDArray[np.int64], found: Float) -> None:
    """Steepest rise of a histogram and its level, steepest fall and its level: (4,). One-sided at both ends."""
    top = len(counts) - 1
    for g in range(1, top + 1):
        before, after = max(g - 1, 1), min(g + 1, top)
        slope = (counts[after] - counts[before]) / (after - before)
        if g == 1 or slope > found[0]:
            found[0], found[1] = slope, g
        if g == 1 or slope < found[2]:
            found[2], found[3] = slope, g


@compiled
def _quantile(counts: NDArray[np.int64], position: float) -> float:
    """The level at a position (from 0) among the sorted voxels, between two of them in proportion."""
    below = int(position)
    share = position - below
    seen, first = 0, -1
    for g in range(1, len(counts)):
        seen += counts[g]
        if first < 0 and seen > below:
            first = g
        if first >= 0 and (share == 0 or seen > below + 1):
            return first + share * (g - first)
    return float(first)


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    if voxels == 0:
        return "an empty region has no histogram"
    if "Gradient" in name or "grad" in name:
        return "a histogram of one level has no gradient"
    if "Robust" in name or "rmad" in name:
        return "no voxel lies between the 10th and the 90th percentile"
    return "a region of one grey level has no skewness or kurtosis"
