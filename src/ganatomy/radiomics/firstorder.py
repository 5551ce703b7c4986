"""First-order statistics: of a region's values, whatever their places.

Knows pyradiomics' definitions and the standard's intensity statistics, which differ in the kurtosis only. Order
statistics come from a histogram and a selection within the few bins that hold them, not from sorting.
"""

import math

import numpy as np

from ganatomy.radiomics.compiled import compiled, inner, reassociated
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.glcm import C_LOG_C, c_log_c, span
from ganatomy.radiomics.lanes import WIDTH, at, lane_sum, load, maximum, minimum, splat
from ganatomy.radiomics.region import Float, Regions

FEATURES = (
    Feature("Energy", "stat_energy", "N8CA"),
    Feature("TotalEnergy"),
    Feature("Entropy"),  # of the grey levels, as Uniformity; the standard has both among its histogram's
    Feature("Minimum", "stat_min", "1GSF"),
    Feature("10Percentile", "stat_p10", "QG58"),
    Feature("90Percentile", "stat_p90", "8DWT"),
    Feature("Maximum", "stat_max", "84IY"),
    Feature("Mean", "stat_mean", "Q4LE"),
    Feature("Median", "stat_median", "Y12H"),
    Feature("InterquartileRange", "stat_iqr", "SALO"),
    Feature("Range", "stat_range", "2OJQ"),
    Feature("MeanAbsoluteDeviation", "stat_mad", "4FUA"),
    Feature("RobustMeanAbsoluteDeviation", "stat_rmad", "1128"),
    Feature("RootMeanSquared", "stat_rms", "5ZWQ"),
    Feature("Skewness", "stat_skew", "KE2A"),
    Feature("Kurtosis"),  # m4 / m2^2; the standard's is 3 less
    Feature("Variance", "stat_var", "ECT3"),
    Feature("Uniformity"),
    Feature("StandardDeviation"),
    Feature("", "stat_kurt", "IPH6"),
    Feature("", "stat_medad", "N72L"),
    Feature("", "stat_cov", "7TET"),
    Feature("", "stat_qcod", "9S40"),
)
COUNT = len(FEATURES)
BINS = 512
QUANTILES = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


def measure(regions: Regions, *, shift: float = 0.0) -> Float:
    """First-order features (B, 23), columns FEATURES; NaN where undefined.

    shift: pyradiomics' voxelArrayShift, added to the values for the energies and the root mean square; the standard's
        is 0
    Values inside a region are finite. Standard deviations are the population's (divided by the number of voxels).
    """
    out = np.full((len(regions.values), COUNT), np.nan)
    values, inside = np.ascontiguousarray(regions.values), np.ascontiguousarray(regions.inside)
    levels = np.ascontiguousarray(regions.levels)
    n, most, volume = regions.n, int(regions.n.max(initial=1)), math.prod(regions.spacing)
    _measure(values, inside, levels, n, most, regions.pad, float(shift), volume, C_LOG_C, QUANTILES, out)
    return out


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and so many distinct levels."""
    if voxels == 0:
        return "an empty region has no values"
    if name in ("Skewness", "Kurtosis", "stat_skew", "stat_kurt"):
        return "a region of one value has no skewness and no kurtosis"
    if name == "stat_cov":
        return "the mean is 0"
    return "the quartiles add up to 0"


@compiled
def _measure(values, inside, levels, n, most, pad, shift, volume, table, quantiles, out):  # type: ignore[no-untyped-def]
    """Features of regions (B, D, H, W), levels framed by `pad` -> out (B, COUNT)."""
    size = values[0].size if len(values) else 0
    gathered, bins, chosen = np.empty(size), np.empty(size, np.uint16), np.empty(size)
    histogram = np.empty(BINS, np.uint32)
    counts = np.empty(2 * (most + 1), np.uint32)
    quantile = np.empty(len(quantiles))
    for b in range(len(values)):
        x = _gather(values[b].reshape(-1), inside[b].reshape(-1), gathered)
        if len(x) == 0:
            continue
        low, high, total, energy = _extent(x, shift)
        mean = low if low == high else total / len(x)
        _quantiles(x, low, high, quantiles, bins, histogram, chosen, quantile)
        moments = _moments(x, mean, quantile)
        entropy, uniformity = _level_shares(levels[b], n[b], pad, len(x), counts, table)
        _features(len(x), low, high, mean, energy, volume, quantile, moments, entropy, uniformity, out[b])


@inner
def _features(n, low, high, mean, energy, volume, quantile, moments, entropy, uniformity, row):  # type: ignore[no-untyped-def]
    """The features of one region -> row (COUNT,)."""
    p10, p25, median, p75, p90 = quantile
    m2, m3, m4, deviation, median_deviation, robust = moments
    row[0] = energy
    row[1] = energy * volume
    row[2] = entropy
    row[3] = low
    row[4] = p10
    row[5] = p90
    row[6] = high
    row[7] = mean
    row[8] = median
    row[9] = p75 - p25
    row[10] = high - low
    row[11] = deviation
    row[12] = robust
    row[13] = math.sqrt(energy / n)
    row[16] = m2
    row[17] = uniformity
    row[18] = math.sqrt(m2)
    if m2 > 0:
        row[14] = m3 / m2**1.5
        row[15] = m4 / (m2 * m2)
        row[19] = m4 / (m2 * m2) - 3
    row[20] = median_deviation
    if mean != 0:
        row[21] = math.sqrt(m2) / mean
    if p75 + p25 != 0:
        row[22] = (p75 - p25) / (p75 + p25)


@inner
def _gather(values, inside, gathered):  # type: ignore[no-untyped-def]
    """The values inside, in order; `values` itself where all are."""
    n = 0
    for k in range(len(inside)):
        n += inside[k]
    if n == len(values):
        return values
    n = 0
    for k in range(len(inside)):
        gathered[n] = values[k]
        n += inside[k]
    return gathered[:n]


@inner
def _extent(x, shift):  # type: ignore[no-untyped-def]
    """Minimum, maximum, sum, and sum of squares after the shift, in lanes: a compiler leaves minima scalar."""
    whole = len(x) // (2 * WIDTH) * 2
    low, high, total, energy = x[0], x[0], 0.0, 0.0
    if whole:
        move = splat(shift)
        low_a = high_a = load(x, 0)
        low_b = high_b = load(x, 1)
        total_a = total_b = energy_a = energy_b = splat(0.0)
        for k in range(0, whole, 2):
            a, b = load(x, k), load(x, k + 1)
            low_a, low_b = minimum(a, low_a), minimum(b, low_b)
            high_a, high_b = maximum(a, high_a), maximum(b, high_b)
            total_a, total_b = total_a + a, total_b + b
            a, b = a + move, b + move
            energy_a, energy_b = energy_a + a * a, energy_b + b * b
        low_a, high_a = minimum(low_a, low_b), maximum(high_a, high_b)
        total, energy = lane_sum(total_a + total_b), lane_sum(energy_a + energy_b)
        low = min(at(low_a, 0), at(low_a, 1), at(low_a, 2), at(low_a, 3))
        high = max(at(high_a, 0), at(high_a, 1), at(high_a, 2), at(high_a, 3))
    for k in range(whole * WIDTH, len(x)):
        low, high = min(low, x[k]), max(high, x[k])
        total += x[k]
        energy += (x[k] + shift) * (x[k] + shift)
    return low, high, total, energy


@reassociated
def _moments(x, mean, quantile):  # type: ignore[no-untyped-def]
    """Central moments 2, 3, 4; mean absolute deviations from the mean, from the median, and, of the values from the
    10th to the 90th percentile, from their own mean."""
    p10, median, p90 = quantile[0], quantile[2], quantile[4]
    m2, m3, m4, deviation, median_deviation, robust, kept = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(len(x)):
        away = x[k] - mean
        square = away * away
        m2 += square
        m3 += square * away
        m4 += square * square
        deviation += abs(away)
        median_deviation += abs(x[k] - median)
        within = 1.0 if p10 <= x[k] <= p90 else 0.0
        robust += within * x[k]
        kept += within
    centre, robust = robust / kept, 0.0
    for k in range(len(x)):
        within = 1.0 if p10 <= x[k] <= p90 else 0.0
        robust += within * abs(x[k] - centre)
    n = len(x)
    return m2 / n, m3 / n, m4 / n, deviation / n, median_deviation / n, robust / kept


@inner
def _level_shares(levels, n, pad, voxels, counts, table):  # type: ignore[no-untyped-def]
    """Entropy and uniformity of the grey levels.

    Two tables, for even and odd voxels: the same level twice in a row would wait for its own count to be written.
    """
    counts[: 2 * (n + 1)] = 0
    depth, height, width = levels.shape
    box = levels.reshape(-1)
    two, one = np.uint64(2), np.uint64(1)
    for row in range((depth - 2 * pad) * (height - 2 * pad)):
        start, stop = span(box, row, (height, width, pad))
        if (stop - start) & one:
            counts[np.uint64(box[start]) * two] += 1
            start += one
        for k in range(start, stop, two):
            counts[np.uint64(box[k]) * two] += 1
            counts[np.uint64(box[k + one]) * two + one] += 1
    joint, squares = 0.0, 0.0
    for level in range(1, n + 1):
        c = float(counts[2 * level]) + float(counts[2 * level + 1])
        joint += c_log_c(c, table)
        squares += c * c
    return max(math.log2(voxels) - joint / voxels, 0.0), squares / (float(voxels) * voxels)


@inner
def _quantiles(x, low, high, quantiles, bins, histogram, chosen, out):  # type: ignore[no-untyped-def]
    """Quantiles by linear interpolation between the two order statistics around each -> out."""
    if low == high:
        out[:] = low
        return
    n = len(x)
    ranks, values = np.empty(2 * len(quantiles), np.int64), np.empty(2 * len(quantiles))
    for k in range(len(quantiles)):
        ranks[2 * k] = int((n - 1) * quantiles[k])
        ranks[2 * k + 1] = min(ranks[2 * k] + 1, n - 1)
    _into_bins(x, low, BINS / (high - low), bins, histogram)
    _order_statistics(x, ranks, bins, histogram, chosen, values)
    for k in range(len(quantiles)):
        below, above = values[2 * k], values[2 * k + 1]
        t = (n - 1) * quantiles[k] - ranks[2 * k]
        out[k] = below + (above - below) * t if t < 0.5 else above - (above - below) * (1 - t)


@inner
def _into_bins(x, low, scale, bins, histogram):  # type: ignore[no-untyped-def]
    """The bin of each value, and how many fall into each."""
    last = BINS - 1.0
    for k in range(len(x)):
        place = (x[k] - low) * scale
        bins[k] = np.uint16(np.int32(place if place < last else last))
    histogram[:] = 0
    for k in range(len(x)):
        histogram[bins[k]] += 1


@inner
def _order_statistics(x, ranks, bins, histogram, chosen, values):  # type: ignore[no-untyped-def]
    """The values of these ranks (from 0) -> values. Destroys the histogram.

    Brings the members of the bins that hold a rank together in `chosen`, and selects there.
    """
    first, count, within = np.empty_like(ranks), np.empty_like(ranks), np.empty_like(ranks)
    below, used = np.empty(BINS + 1, np.int64), 0
    below[0] = 0
    for h in range(BINS):
        below[h + 1] = below[h] + histogram[h]
        histogram[h] = 0  # from here: where a chosen bin's next member goes, plus 1
    for k in range(len(ranks)):
        low, high = 0, BINS  # below[low] <= rank < below[high]
        while high - low > 1:
            middle = (low + high) // 2
            if below[middle] <= ranks[k]:
                low = middle
            else:
                high = middle
        if histogram[low] == 0:
            histogram[low] = used + 1
            used += below[high] - below[low]
        first[k], count[k], within[k] = histogram[low] - 1, below[high] - below[low], ranks[k] - below[low]
    for k in range(len(x)):
        place = histogram[bins[k]]
        if place:
            chosen[place - 1] = x[k]
            histogram[bins[k]] = place + 1
    for k in range(len(ranks)):
        values[k] = _select(chosen[first[k] : first[k] + count[k]], within[k])


@inner
def _select(a, rank):  # type: ignore[no-untyped-def]
    """The value of this rank (Hoare's selection); reorders a."""
    low, high = 0, len(a) - 1
    while low < high:
        pivot = a[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while a[i] < pivot:
                i += 1
            while a[j] > pivot:
                j -= 1
            if i <= j:
                a[i], a[j] = a[j], a[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return a[rank]
