"""Grey level run lengths: how far a level goes on unchanged along a direction.

Knows the definitions of Galloway (1975) and Tang (1998) as the standard and pyradiomics write them. Runs are counted
without looking for their ends: a voxel that is the r-th of its run so far counts at r, and what counts at r but not at
r + 1 are the runs of length r.
"""

import math

import numpy as np

from ganatomy.radiomics.compiled import compiled, inner
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.glcm import (
    ANY_WEIGHT,
    C_LOG_C,
    WIDTH,
    add_defined,
    c_log_c,
    check_width,
    countable,
    directions,
    find_spans,
    lags,
    lengths,
    planar,
)
from ganatomy.radiomics.lanes import SHORTS, at, clear_counts, count_on, lane_sum, load, load_counts, pack, splat, store
from ganatomy.radiomics.region import Float, Regions

FEATURES = (
    Feature("ShortRunEmphasis", "rlm_sre", "22OV"),
    Feature("LongRunEmphasis", "rlm_lre", "W4KF"),
    Feature("GrayLevelNonUniformity", "rlm_glnu", "R5YN"),
    Feature("GrayLevelNonUniformityNormalized", "rlm_glnu_norm", "OVBL"),
    Feature("RunLengthNonUniformity", "rlm_rlnu", "W92Y"),
    Feature("RunLengthNonUniformityNormalized", "rlm_rlnu_norm", "IC23"),
    Feature("RunPercentage", "rlm_r_perc", "9ZK5"),
    Feature("GrayLevelVariance", "rlm_gl_var", "8CE5"),
    Feature("RunVariance", "rlm_rl_var", "SXLW"),
    Feature("RunEntropy", "rlm_rl_entr", "HJ9O"),
    Feature("LowGrayLevelRunEmphasis", "rlm_lgre", "V3SW"),
    Feature("HighGrayLevelRunEmphasis", "rlm_hgre", "G3QZ"),
    Feature("ShortRunLowGrayLevelEmphasis", "rlm_srlge", "HTZT"),
    Feature("ShortRunHighGrayLevelEmphasis", "rlm_srhge", "GD3A"),
    Feature("LongRunLowGrayLevelEmphasis", "rlm_lrlge", "IVPO"),
    Feature("LongRunHighGrayLevelEmphasis", "rlm_lrhge", "3KUM"),
)
COUNT = len(FEATURES)
GROUP = WIDTH - 1  # directions across rows at a time; the first lane is for the runs along a row

# What is kept of the matrices of four directions, lanes each: sums over runs c(i, r) of level i and length r.
RUNS, VOXELS, LEVELS_2, LENGTHS_2, JOINT = 0, 1, 2, 3, 4  # of c, c r, c(i)^2, c(r)^2, c log2 c
LEVEL_SPREAD, LENGTH_SPREAD = 5, 6  # of c (i - mean)^2, c (r - mean)^2
SHORT, LONG, LOW, HIGH, SHORT_LOW, SHORT_HIGH, LONG_LOW, LONG_HIGH = 7, 8, 9, 10, 11, 12, 13, 14
FACTS = 15


def measure(regions: Regions, *, aggregation: str = "3D_avg", weighting: str = "") -> Float:
    """Run length features (B, 16), columns FEATURES; NaN where undefined (an empty region).

    weighting: pyradiomics' weightingNorm; directions are added up, weighted by the distance in mm ("no_weighting": 1)
    Averages run over slices and directions.
    """
    levels = np.ascontiguousarray(regions.levels)
    offsets = directions((1,), planar=planar(regions, aggregation))
    weights = lengths(offsets, regions.spacing, weighting) if weighting else np.ones(len(offsets))
    merged = bool(weighting) or aggregation.endswith("comb")
    table = C_LOG_C if weighting in ("", "no_weighting") else ANY_WEIGHT
    check_width(levels.shape[3])
    out = np.full((len(levels), COUNT), np.nan)
    single = aggregation.startswith("2D")
    most, lag = int(regions.n.max(initial=1)), lags(offsets, levels.shape)
    _measure(levels, regions.n, most, regions.pad, lag, weights, single, merged, table, out)
    return out


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and so many distinct levels."""
    return "an empty region has no runs"


@compiled
def _measure(levels, n, most, pad, lag, weight, single, merged, table, out):  # type: ignore[no-untyped-def]
    """Features of regions (B, D, H, W) -> out (B, COUNT); see `glcm._measure`. The first direction is along a row."""
    depth, height, width = levels.shape[1:]
    longest = max(depth, height, width) - 2 * pad + 2  # one more, so that the count at r + 1 is always there
    counts = np.zeros((most + 1) * longest * WIDTH, np.uint16)
    cells, reach = np.zeros((most + 1) * longest * WIDTH), np.zeros(most + 1, np.int64)
    by_level, by_length = np.empty((most + 1) * WIDTH), np.empty(longest * WIDTH)
    run = np.zeros(GROUP * 2 * height * width + 2 * width + SHORTS, np.uint16)  # room for what is read behind the end
    facts, factor, feature = np.empty(FACTS * WIDTH), np.empty(WIDTH), np.empty(COUNT)
    sums, times = np.empty(COUNT), np.empty(COUNT)
    slices, high, shape = depth - 2 * pad, height - 2 * pad, (height, width, pad)
    starts, stops = np.empty(slices * high, np.uint64), np.empty(slices * high, np.uint64)
    rows = high if single else slices * high  # of a matrix
    for b in range(len(levels)):
        if n[b] == 0:
            continue
        box = levels[b].reshape(-1)
        find_spans(box, slices * high, shape, starts, stops)
        sums[:], times[:] = 0.0, 0.0
        for first in range(0, slices * high, rows):
            for a in range(1, len(lag), GROUP):
                factor[0] = weight[0] if a == 1 else 0.0
                for lane in range(1, WIDTH):
                    factor[lane] = weight[a + lane - 1]
                row = first
                while row < first + rows:
                    stop = countable(starts, stops, row, first + rows)
                    partly = row > first or stop < first + rows
                    _count(box, (row, stop), shape, starts, stops, longest, lag, a, run, counts)
                    _collect(counts, longest, n[b], partly, factor, merged, cells, reach)
                    row = stop
                if not merged or a + GROUP >= len(lag):
                    furthest = _describe(cells, longest, n[b], reach, table, by_level, by_length, facts)
                    _lengths(by_length, furthest, facts)
                    for lane in range(WIDTH):
                        _features(facts, lane, feature)
                        add_defined(feature, sums, times)
        for k in range(COUNT):
            out[b, k] = sums[k] / times[k]


@inner
def _count(box, rows, shape, starts, stops, longest, lag, a, run, counts):  # type: ignore[no-untyped-def]
    """Count voxels by level and place in their run -> counts[(i longest + place) 4 + lane].

    Lanes 1..3 are directions a .. a + 2, lane 0 is along the row (with the first of them only).
    run: places in the runs of three directions, in this slice and the one before; see `_advance`
    """
    height, width, pad = shape
    high, size = height - 2 * pad, height * width
    zero, one, two, three = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
    four, stride, second = np.uint64(WIDTH), np.uint64(longest), np.uint64(2 * size)
    third = second + second
    for row in range(rows[0], rows[1]):
        start, stop = starts[row], stops[row]
        here, below = _slot(row // high + pad, size), _slot(row // high + pad - 1, size)
        _advance(box, width, start, stop, lag[a], run, here, below)
        _advance(box, width, start, stop, lag[a + 1], run, here + second, below + second)
        _advance(box, width, start, stop, lag[a + 2], run, here + third, below + third)
        along, before = zero, zero
        for k in range(start, stop):
            i, place = np.uint64(box[k]), k + here
            along = (along & (zero - np.uint64(i == before))) + one
            before, first = i, i * stride
            if a == 1:
                counts[(first + along) * four] += 1
            counts[(first + np.uint64(run[place])) * four + one] += 1
            counts[(first + np.uint64(run[place + second])) * four + two] += 1
            counts[(first + np.uint64(run[place + third])) * four + three] += 1


@inner
def _slot(z, size):  # type: ignore[no-untyped-def]
    """What to add to a voxel's place in memory for its place in `run`, where slices take turns; may wrap below 0."""
    return np.uint64((z % 2 - z) * size)


@inner
def _advance(box, width, start, stop, lag, run, here, below):  # type: ignore[no-untyped-def]
    """Places of the voxels start .. stop - 1 in their runs: one more than the voxel before, if of the same level.

    run: see `_count`; here, below: the slots of this slice and the one before
    A run is looked up only where the voxel before has the same level, hence was visited: `run` needs no clearing. That
    does not hold outside the region, so there every voxel is a run of its own.
    """
    source = here if lag <= np.uint64(width + 1) else below  # a larger lag leads to the slice before
    many = np.uint64(SHORTS)
    if np.uint64(width) > many:
        # Writes behind `stop` too, which is outside or still to be visited.
        while start < stop:
            count_on(box, start, lag, run, start + here, start + source - lag)
            start += many
    for k in range(start, stop):
        same = (box[k] == box[k - lag]) & (box[k] != 0)
        run[k + here] = run[k + source - lag] * np.uint16(same) + np.uint16(1)


@inner
def _collect(counts, longest, n, partly, factor, merged, cells, reach):  # type: ignore[no-untyped-def]
    """Add the runs of levels 1..n to cells[(i longest + length) 4 + lane]; clears the counts.

    partly: a part of the rows was counted, so that a place may have none while a later one has
    reach: the longest run of each level so far. merged: all directions into the first lane
    """
    weight = load(factor, 0)
    for i in range(1, n + 1):
        k = i * longest + 1
        c = load_counts(counts, k)
        for r in range(1, longest):
            after = load_counts(counts, k + 1) if r + 1 < longest else splat(0.0)
            if lane_sum(c) + lane_sum(after) > 0:
                reach[i] = max(reach[i], r)
                runs = (c - after) * weight
                if merged:
                    cells[k * WIDTH] += lane_sum(runs)
                else:
                    store(cells, k, load(cells, k) + runs)
                clear_counts(counts, k)
            elif not partly:
                break
            c = after
            k += 1


@inner
def _describe(cells, longest, n, reach, table, by_level, by_length, facts):  # type: ignore[no-untyped-def]
    """Facts of the runs and of their levels, and how many there are of each length; clears cells and reach."""
    zero = splat(0.0)
    furthest = 0
    for i in range(1, n + 1):
        furthest = max(furthest, reach[i])
    by_length[: (furthest + 1) * WIDTH] = 0.0
    short_low, short_high, long_low, long_high, low, high, squares = zero, zero, zero, zero, zero, zero, zero
    runs, level_sum = zero, zero
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(1, n + 1):
        count, short, long = zero, zero, zero
        for r in range(1, reach[i] + 1):
            k = i * longest + r
            cell, square = load(cells, k), float(r * r)
            count = count + cell
            short = short + cell * splat(1 / square)
            long = long + cell * splat(square)
            store(by_length, r, load(by_length, r) + cell)
            store(cells, k, zero)
            a += c_log_c(at(cell, 0), table)
            b += c_log_c(at(cell, 1), table)
            c += c_log_c(at(cell, 2), table)
            d += c_log_c(at(cell, 3), table)
        reach[i] = 0
        level = float(i)
        square, inverse = splat(level * level), splat(1 / (level * level))
        store(by_level, i, count)
        runs = runs + count
        level_sum = level_sum + count * splat(level)
        squares = squares + count * count
        low = low + count * inverse
        high = high + count * square
        short_low = short_low + short * inverse
        short_high = short_high + short * square
        long_low = long_low + long * inverse
        long_high = long_high + long * square
    store(facts, RUNS, runs)
    store(facts, LEVELS_2, squares)
    store(facts, LOW, low)
    store(facts, HIGH, high)
    store(facts, SHORT_LOW, short_low)
    store(facts, SHORT_HIGH, short_high)
    store(facts, LONG_LOW, long_low)
    store(facts, LONG_HIGH, long_high)
    store(facts, JOINT, pack(a, b, c, d))
    level_mean, spread = level_sum / runs, zero
    for i in range(1, n + 1):
        away = splat(float(i)) - level_mean
        spread = spread + load(by_level, i) * away * away
    store(facts, LEVEL_SPREAD, spread)
    return furthest


@inner
def _lengths(by_length, furthest, facts):  # type: ignore[no-untyped-def]
    """Facts of the lengths of runs, given how many there are of each."""
    zero = splat(0.0)
    short, long, voxels, squares = zero, zero, zero, zero
    for r in range(1, furthest + 1):
        cell, length = load(by_length, r), float(r)
        voxels = voxels + cell * splat(length)
        squares = squares + cell * cell
        short = short + cell * splat(1 / (length * length))
        long = long + cell * splat(length * length)
    store(facts, VOXELS, voxels)
    store(facts, LENGTHS_2, squares)
    store(facts, SHORT, short)
    store(facts, LONG, long)
    mean, spread = voxels / load(facts, RUNS), zero
    for r in range(1, furthest + 1):
        away = splat(float(r)) - mean
        spread = spread + load(by_length, r) * away * away
    store(facts, LENGTH_SPREAD, spread)


@inner
def _features(facts, lane, row):  # type: ignore[no-untyped-def]
    """The features of one lane -> row (COUNT,); NaN without runs."""
    row[:] = np.nan
    f = facts[lane::WIDTH]
    if not f[RUNS] > 0:
        return
    share = 1 / f[RUNS]
    row[0] = f[SHORT] * share
    row[1] = f[LONG] * share
    row[2] = f[LEVELS_2] * share
    row[3] = f[LEVELS_2] * share * share
    row[4] = f[LENGTHS_2] * share
    row[5] = f[LENGTHS_2] * share * share
    row[6] = f[RUNS] / f[VOXELS]
    row[7] = f[LEVEL_SPREAD] * share
    row[8] = f[LENGTH_SPREAD] * share
    row[9] = max(math.log2(f[RUNS]) - f[JOINT] * share, 0.0)
    row[10] = f[LOW] * share
    row[11] = f[HIGH] * share
    row[12] = f[SHORT_LOW] * share
    row[13] = f[SHORT_HIGH] * share
    row[14] = f[LONG_LOW] * share
    row[15] = f[LONG_HIGH] * share
