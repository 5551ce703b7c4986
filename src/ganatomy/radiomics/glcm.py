"""Grey level co-occurrence: how often two levels are neighbours, and what follows from it.

Knows the definitions of Haralick (1973) as the standard and pyradiomics write them. Every quantity but four follows
from the distributions of i, i + j and |i - j|; entropies from a table of c log2 c of whole counts; the maximal
correlation coefficient is an eigenvalue (see `eigen`). Four directions are counted and evaluated side by side.
"""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, svds

from ganatomy.core.errors import InputError
from ganatomy.radiomics.compiled import compiled, inner
from ganatomy.radiomics.eigen import spectral_radius
from ganatomy.radiomics.feature import DIRECTIONAL, Feature
from ganatomy.radiomics.lanes import lane_sum, load, load_counts, maximum, pack, splat, store, where_positive
from ganatomy.radiomics.region import Float, Regions

Ints = NDArray[np.int64]
Offset = tuple[int, int, int]  # voxels along z, y, x

FEATURES = (
    Feature("Autocorrelation", "cm_auto_corr", "QWB0"),
    Feature("JointAverage", "cm_joint_avg", "60VM"),
    Feature("ClusterProminence", "cm_clust_prom", "AE86"),
    Feature("ClusterShade", "cm_clust_shade", "7NFM"),
    Feature("ClusterTendency", "cm_clust_tend", "DG8W"),
    Feature("Contrast", "cm_contrast", "ACUI"),
    Feature("Correlation", "cm_corr", "NI2N"),
    Feature("DifferenceAverage", "cm_diff_avg", "TF7R"),
    Feature("DifferenceEntropy", "cm_diff_entr", "NTRS"),
    Feature("DifferenceVariance", "cm_diff_var", "D3YU"),
    Feature("JointEnergy", "cm_energy", "8ZQL"),
    Feature("JointEntropy", "cm_joint_entr", "TU9B"),
    Feature("Imc1", "cm_info_corr1", "R8DG"),
    Feature("Imc2", "cm_info_corr2", "JN9H"),
    Feature("Idm", "cm_inv_diff_mom", "WF0Z"),
    Feature("MCC"),
    Feature("Idmn", "cm_inv_diff_mom_norm", "1QCO"),
    Feature("Id", "cm_inv_diff", "IB1Z"),
    Feature("Idn", "cm_inv_diff_norm", "NDRX"),
    Feature("InverseVariance", "cm_inv_var", "E8JP"),
    Feature("MaximumProbability", "cm_joint_max", "GYBY"),
    Feature("SumAverage", "cm_sum_avg", "ZGXS"),
    Feature("SumEntropy", "cm_sum_entr", "P6QZ"),
    Feature("SumSquares", "cm_joint_var", "UR99"),
    Feature("", "cm_dissimilarity", "8S9J"),  # the difference average under a second name
    Feature("", "cm_sum_var", "OEEB"),  # the cluster tendency under a second name
)
COUNT = len(FEATURES)
WIDTH = 4  # directions side by side
MOST = 65535  # that a count can hold: it is narrow so that more of them stay near the processor
DECOMPOSED = 512  # levels up to which a list's matrix is decomposed whole
DENSE = 384  # levels up to which matrices are arrays; beyond it they are lists of pairs
C_LOG_C = np.array([0.0, *(c * math.log2(c) for c in range(1, 8192))])
ANY_WEIGHT = np.empty(0)  # no table: counts that are not whole
NORMS = ("manhattan", "euclidean", "infinity", "no_weighting")

# What is kept of the matrices of four directions, lanes each: sums over cells, levels, i + j, and |i - j|.
PAIRS, SQUARES, PEAK, JOINT = 0, 1, 2, 3  # sum of c, of c^2, largest c, sum of c log2 c
MEAN_X, SPREAD_X, LOG_X, MEAN_Y, SPREAD_Y, LOG_Y = 4, 5, 6, 7, 8, 9  # spread: sum of c (i - mean)^2
PLUS_2, PLUS_3, PLUS_4, PLUS_LOG = 10, 11, 12, 13  # central moments of i + j
MINUS_1, MINUS_2, MINUS_LOG = 14, 15, 16  # moments of |i - j|
INVERSE_1, INVERSE_2, NORMED_1, NORMED_2, INVERSE_VARIANCE, CORRELATION = 17, 18, 19, 20, 21, 22
FACTS = 23


def measure(
    regions: Regions,
    *,
    aggregation: str = "3D_avg",
    distances: Sequence[int] = (1,),
    symmetric: bool = True,
    weighting: str = "",
    mcc: bool = True,
) -> Float:
    """Co-occurrence features (B, 26), columns FEATURES; NaN where undefined.

    distances: of neighbours, in voxels, by the largest coordinate (Chebyshev), each with all its directions
    symmetric: count every pair both ways (the standard does)
    weighting: pyradiomics' weightingNorm; directions are added up, weighted by exp(-distance^2), in mm (none with
        "no_weighting")
    Averages run over the slices and directions at which a value is defined.
    """
    levels, pad = np.ascontiguousarray(regions.levels), regions.pad
    offsets = directions(distances, planar=planar(regions, aggregation))
    if pad < max(distances):
        levels, pad = np.pad(levels, [(0, 0), *[(max(distances) - pad,) * 2] * 3]), max(distances)
    weights = np.ones(len(offsets))
    if weighting and weighting != "no_weighting":
        weights = np.exp(-(lengths(offsets, regions.spacing, weighting) ** 2))
    merged = bool(weighting) or aggregation.endswith("comb")
    check_width(levels.shape[3])
    single = aggregation.startswith("2D")
    out = np.full((len(levels), COUNT), np.nan)
    if symmetric:
        few = np.where(regions.n <= DENSE, regions.n, 0)  # the others are skipped
        table = ANY_WEIGHT if weighting and weighting != "no_weighting" else C_LOG_C
        most = int(few.max(initial=1))
        _measure(levels, few, most, pad, lags(offsets, levels.shape), weights, single, merged, mcc, table, out)
    for b in np.flatnonzero((regions.n > DENSE) | (not symmetric)):
        out[b] = _listed(levels[b], pad, offsets, weights, single, merged, symmetric, mcc)
    return out


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and so many distinct levels."""
    if voxels == 0:
        return "an empty region has no neighbours"
    if voxels == 1:
        return "a region of one voxel has no neighbours"
    if levels == 1 and name in ("Correlation", "cm_corr"):
        return "a region of one grey level has no correlation"
    if levels == 1 and name in ("Imc1", "Imc2", "cm_info_corr1", "cm_info_corr2", "MCC"):
        return "a region of one grey level carries no information to share"
    if name == "MCC" and levels > 1:
        return "no two neighbours have different grey levels, or it was not asked for"
    return "no two voxels of the region are neighbours at that distance"


def check_width(width: int) -> None:
    """InputError for a row whose pairs of one kind could be too many to count."""
    if width > MOST:
        raise InputError(f"a region of {width} voxels along a row is too wide to be measured; {MOST} are the most")


def planar(regions: Regions, aggregation: str) -> bool:
    """Whether neighbours lie in a slice only."""
    if aggregation not in DIRECTIONAL:
        raise InputError(f"aggregation {aggregation!r} is not one of {', '.join(DIRECTIONAL)}")
    return not aggregation.startswith("3D") or regions.levels.shape[1] - 2 * regions.pad == 1


def directions(distances: Sequence[int], *, planar: bool) -> list[Offset]:
    """Offsets of one half of the neighbours at these Chebyshev distances, each after (0, 0, 0) in raster order."""
    offsets: list[Offset] = []
    for r in distances:
        if r < 1:
            raise InputError(f"a distance of {r} voxels has no neighbours; distances are whole numbers from 1")
        around = range(-r, r + 1)
        cube = product((0,) if planar else around, around, around)
        offsets += [step for step in cube if step > (0, 0, 0) and max(map(abs, step)) == r]
    return offsets


def lengths(offsets: Sequence[Offset], spacing: tuple[float, float, float], norm: str) -> Float:
    """How far each offset reaches, in mm by a norm."""
    if norm not in NORMS:
        raise InputError(f"weighting {norm!r} is not one of {', '.join(NORMS)}, or empty for none")
    reach = np.abs(np.array(offsets, np.float64)) * spacing
    if norm == "no_weighting":
        return np.ones(len(reach))
    length: Float = np.linalg.norm(reach, {"manhattan": 1, "euclidean": 2, "infinity": np.inf}[norm], axis=1)
    return length


def lags(offsets: Sequence[Offset], shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """The offsets as distances in memory within boxes of shape (B, D, H, W)."""
    strides = np.array([shape[2] * shape[3], shape[3], 1])
    steps: Ints = np.array(offsets, np.int64).reshape(-1, 3) @ strides
    return steps.astype(np.uint64)


def _listed(
    levels: NDArray[np.uint16],
    pad: int,
    offsets: Sequence[Offset],
    weights: Float,
    single: bool,
    merged: bool,
    symmetric: bool,
    mcc: bool,
) -> Float:
    """`_measure` for one region of any number of levels, and for matrices that are not symmetric.

    Lists the pairs that occur, one matrix at a time: memory grows with the voxels and the levels, not with levels^2.
    """
    n, depth = int(levels.max()), levels.shape[0] - 2 * pad
    sums, times, row = np.zeros(COUNT), np.zeros(COUNT), np.empty(COUNT)
    for z in range(pad, pad + depth, 1 if single else depth):
        lists = [_pairs(levels, (z, z + 1 if single else z + depth), pad, step, n + 1) for step in offsets]
        groups = [list(zip(lists, weights, strict=True))] if merged else [[(codes, 1.0)] for codes in lists]
        for group in groups:
            codes = np.concatenate([codes for codes, _ in group])
            if not codes.size:
                continue
            shares = np.concatenate([np.full(codes.size, weight) for codes, weight in group])
            if symmetric:
                codes, shares = np.r_[codes, codes % (n + 1) * (n + 1) + codes // (n + 1)], np.r_[shares, shares]
            codes, which = np.unique(codes, return_inverse=True)
            facts = _facts(codes // (n + 1), codes % (n + 1), np.bincount(which, shares).astype(np.float64), n, mcc)
            _features(facts, 0, n, mcc, row)
            add_defined(row, sums, times)
    with np.errstate(invalid="ignore"):
        return sums / times


def _pairs(levels: NDArray[np.uint16], slices: tuple[int, int], pad: int, offset: Offset, stride: int) -> Ints:
    """Codes i * stride + j of the pairs inside: level i and the level j at the offset from it."""
    ranges = [slices, *((pad, size - pad) for size in levels.shape[1:])]
    here = levels[tuple(slice(low, high) for low, high in ranges)].astype(np.int64)
    there = levels[tuple(slice(low + d, high + d) for (low, high), d in zip(ranges, offset, strict=True))]
    inside = (here > 0) & (there > 0)
    return here[inside] * stride + there[inside]


def _facts(i: Ints, j: Ints, c: Float, n: int, mcc: bool) -> Float:
    """The facts of one matrix, given as cells (i, j) with counts c, in the first of the lanes (FACTS * WIDTH,)."""

    def lane(values: NDArray[np.generic]) -> Float:
        filled = np.zeros((len(values), WIDTH))
        filled[:, 0] = values
        return filled.ravel()

    facts = np.zeros(FACTS * WIDTH)
    grey, index = np.unique(np.r_[i, j], return_inverse=True)
    x, y, m = index[: i.size], index[i.size :], grey.size
    px, py = np.bincount(x, c, m), np.bincount(y, c, m)
    for fact, value in ((PAIRS, c.sum()), (SQUARES, c @ c), (PEAK, c.max()), (JOINT, c @ np.log2(c))):
        facts[fact * WIDTH] = value
    _marginal(lane(px), grey, m, ANY_WEIGHT, facts, MEAN_X)
    _marginal(lane(py), grey, m, ANY_WEIGHT, facts, MEAN_Y)
    plus, minus = np.bincount(i + j, c, 2 * n + 1), np.bincount(np.abs(i - j), c, n)
    _describe(lane(plus), lane(minus), n, ANY_WEIGHT, facts)
    if mcc:
        u, v = np.sqrt(px / px.sum()), np.sqrt(py / py.sum())
        matrix = csr_array((c / np.sqrt(px[x] * py[y]), (x, y)), (m, m))
        facts[CORRELATION * WIDTH] = _second_singular_value(matrix, u, v)
    return facts


def _second_singular_value(matrix: csr_array, u: Float, v: Float) -> float:
    """Of a matrix (m, m) whose largest singular value is 1, with the singular vectors u and v."""
    m = len(u)
    if m <= DECOMPOSED:
        return float(np.linalg.norm(matrix.toarray() - np.outer(u, v), 2))

    def forward(a: Float) -> Float:
        a = a.ravel()
        return np.asarray(matrix @ a - u * (v @ a))

    def backward(a: Float) -> Float:
        a = a.ravel()
        return np.asarray(matrix.T @ a - v * (u @ a))

    rest = LinearOperator((m, m), forward, rmatvec=backward, dtype=np.float64)
    start = np.random.Generator(np.random.PCG64(0)).standard_normal(m)  # any vector, the same one always
    return float(svds(rest, 1, v0=start, return_singular_vectors=False)[0])


@compiled
def _measure(levels, n, most, pad, lag, weight, single, merged, mcc, table, out):  # type: ignore[no-untyped-def]
    """Features of regions (B, D, H, W) with up to DENSE levels -> out (B, COUNT); see `measure`.

    lag, weight: (A,) the directions; single: a matrix for each slice; merged: the directions' matrices are added up
    """
    depth, height, width = levels.shape[1:]
    counts = np.empty((most + 1) * (most + 1) * WIDTH, np.uint16)
    cells = np.zeros(most * (most + 1) // 2 * WIDTH)
    px, plus, minus = np.empty(most * WIDTH), np.empty((2 * most + 1) * WIDTH), np.empty(most * WIDTH)
    facts, factor, scratch = np.empty(FACTS * WIDTH), np.empty(WIDTH), np.empty(6 * WIDTH * most)
    grey, feature = np.empty(most, np.int64), np.empty(COUNT)
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
            m = np.int64(0)
            for a in range(0, len(lag), WIDTH):
                for lane in range(WIDTH):
                    factor[lane] = weight[a + lane] if a + lane < len(weight) else 0.0
                row = first
                while row < first + rows:
                    stop = countable(starts, stops, row, first + rows)
                    counts[: (n[b] + 1) * (n[b] + 1) * WIDTH] = 0
                    _count(box, (row, stop), starts, stops, n[b] + 1, lag, a, counts)
                    if m == 0:
                        m = _occurring(counts, n[b], stop < first + rows, grey)
                    _collect(counts, n[b] + 1, grey, m, factor, merged, cells)
                    row = stop
                if not merged or a + WIDTH >= len(lag):
                    _tally(cells, grey, m, n[b], table, px, plus, minus, scratch, facts)
                    _marginal(px, grey, m, table, facts, MEAN_X)
                    for k in range(MEAN_X, MEAN_Y):  # symmetric: j is distributed as i
                        store(facts, k + MEAN_Y - MEAN_X, load(facts, k))
                    _describe(plus, minus, n[b], table, facts)
                    if mcc:
                        _whiten(cells, px, m, load(facts, PAIRS), scratch)
                        spectral_radius(cells, m, scratch, facts[CORRELATION * WIDTH :])
                    for lane in range(WIDTH):
                        _features(facts, lane, n[b], mcc, feature)
                        add_defined(feature, sums, times)
                    cells[: m * (m + 1) // 2 * WIDTH] = 0.0
        for k in range(COUNT):
            out[b, k] = sums[k] / times[k]  # 0/0 is NaN: defined nowhere


@inner
def _occurring(counts, n, partly, grey):  # type: ignore[no-untyped-def]
    """How many of the levels 1..n occur, all of them if counted partly; writes them to `grey` in ascending order.

    A level that occurs has a neighbour in every direction, if only the outside (column 0).
    """
    m = 0
    for i in range(1, n + 1):
        if partly:
            grey[m] = i
            m += 1
            continue
        for k in range(i * (n + 1) * WIDTH, (i + 1) * (n + 1) * WIDTH, WIDTH):
            if counts[k]:
                grey[m] = i
                m += 1
                break
    return m


@inner
def span(box, row, shape):  # type: ignore[no-untyped-def]
    """From the first voxel inside of a row to behind its last, as unsigned integers.

    row: counted through all slices, without the frame; shape: height, width, and frame of the box
    """
    height, width, pad = shape
    high = height - 2 * pad
    start = ((pad + row // high) * height + pad + row % high) * width + pad
    stop = start + width - 2 * pad
    while start < stop and box[start] == 0:
        start += 1
    while stop > start and box[stop - 1] == 0:
        stop -= 1
    return np.uint64(start), np.uint64(stop)


@inner
def find_spans(box, rows, shape, starts, stops):  # type: ignore[no-untyped-def]
    """The spans of all rows; see `span`."""
    for row in range(rows):
        starts[row], stops[row] = span(box, row, shape)


@inner
def countable(starts, stops, row, end):  # type: ignore[no-untyped-def]
    """The row before which to pause, so that no count from `row` on overflows; `end` at most."""
    voxels = stops[row] - starts[row]
    row += 1
    while row < end and voxels + stops[row] - starts[row] <= np.uint64(MOST):
        voxels += stops[row] - starts[row]
        row += 1
    return row


@inner
def _count(box, rows, starts, stops, stride, lag, a, counts):  # type: ignore[no-untyped-def]
    """Count pairs (level, level of the neighbour) in directions a .. a + 3 -> counts[(i stride + j) 4 + direction].

    rows: first and last + 1 of the rows to count, of all slices' rows; starts, stops: their spans
    Without branches: a neighbour outside counts in column 0, which nobody reads. Unsigned integers, since numba checks
    signed ones for negative indices.
    """
    last = len(lag) - 1
    o0, o1, o2, o3 = lag[a], lag[min(a + 1, last)], lag[min(a + 2, last)], lag[min(a + 3, last)]
    n1, four = np.uint64(stride), np.uint64(WIDTH)
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    for row in range(rows[0], rows[1]):
        for k in range(starts[row], stops[row]):
            i = np.uint64(box[k]) * n1
            counts[(i + np.uint64(box[k - o0])) * four] += 1
            counts[(i + np.uint64(box[k - o1])) * four + one] += 1
            counts[(i + np.uint64(box[k - o2])) * four + two] += 1
            counts[(i + np.uint64(box[k - o3])) * four + three] += 1


@inner
def _collect(counts, stride, grey, m, factor, merged, cells):  # type: ignore[no-untyped-def]
    """Add symmetric counts of the levels that occur to `cells`: lower triangle, lanes each.

    merged: all directions into the first lane
    """
    weight = load(factor, 0)
    k = 0
    for x in range(m):
        i = grey[x]
        for y in range(x + 1):
            j = grey[y]
            c = (load_counts(counts, i * stride + j) + load_counts(counts, j * stride + i)) * weight
            if merged:
                cells[k * WIDTH] += lane_sum(c)
            else:
                store(cells, k, load(cells, k) + c)
            k += 1


@inner
def _tally(cells, grey, m, n, table, px, plus, minus, diagonal, facts):  # type: ignore[no-untyped-def]
    """Distributions of i (by index), i + j and |i - j|, and the facts that need single cells."""
    px[: m * WIDTH], plus[: (2 * n + 1) * WIDTH], minus[: n * WIDTH] = 0.0, 0.0, 0.0
    squares, peak = splat(0.0), splat(0.0)
    k = 0
    for x in range(m):
        i, own = grey[x], splat(0.0)
        for y in range(x):
            j, c = grey[y], load(cells, k)
            twice = c + c  # the cell (j, i) too
            squares = squares + twice * c
            peak = maximum(peak, c)
            own = own + c
            store(px, y, load(px, y) + c)
            store(plus, i + j, load(plus, i + j) + twice)
            store(minus, i - j, load(minus, i - j) + twice)
            k += 1
        c = load(cells, k)
        squares = squares + c * c
        peak = maximum(peak, c)
        store(px, x, load(px, x) + own + c)
        store(plus, 2 * i, load(plus, 2 * i) + c)
        store(minus, 0, load(minus, 0) + c)
        store(diagonal, x, c)
        k += 1
    store(facts, SQUARES, squares)
    store(facts, PEAK, peak)
    joint = sum_c_log_c(cells, m * (m + 1) // 2, table)
    store(facts, JOINT, joint + joint - sum_c_log_c(diagonal, m, table))  # the other half of the matrix


@inner
def c_log_c(c, table):  # type: ignore[no-untyped-def]
    """c log2 c, from the table where it reaches; 0 at 0."""
    whole = int(c)
    if whole < len(table):
        return table[whole]
    return c * math.log2(c) if c > 0 else 0.0


@inner
def sum_c_log_c(cells, count, table):  # type: ignore[no-untyped-def]
    """Sum of c log2 c over the first `count` lanes of cells."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range(0, WIDTH * count, WIDTH):
        a += c_log_c(cells[k], table)
        b += c_log_c(cells[k + 1], table)
        c += c_log_c(cells[k + 2], table)
        d += c_log_c(cells[k + 3], table)
    return pack(a, b, c, d)


@compiled
def _marginal(p, grey, m, table, facts, fact):  # type: ignore[no-untyped-def]
    """Mean, spread and sum of c log2 c of the levels' counts p (lanes 0..m-1) -> facts[fact ...], and the pairs."""
    count, first, spread = splat(0.0), splat(0.0), splat(0.0)
    for x in range(m):
        count = count + load(p, x)
        first = first + load(p, x) * splat(float(grey[x]))
    mean = first / count  # exact for one level
    for x in range(m):
        away = splat(float(grey[x])) - mean
        spread = spread + load(p, x) * away * away
    store(facts, PAIRS, count)
    store(facts, fact, mean)
    store(facts, fact + 1, spread)
    store(facts, fact + 2, sum_c_log_c(p, m, table))


@compiled
def _describe(plus, minus, n, table, facts):  # type: ignore[no-untyped-def]
    """The facts that follow from the distributions of i + j and |i - j| (lanes of counts) and the means."""
    zero, one = splat(0.0), splat(1.0)
    middle = load(facts, MEAN_X) + load(facts, MEAN_Y)
    second, third, fourth = zero, zero, zero
    for s in range(2, 2 * n + 1):
        c, away = load(plus, s), splat(float(s)) - middle
        c = c * away * away
        second = second + c
        third = third + c * away
        fourth = fourth + c * away * away
    store(facts, PLUS_2, second)
    store(facts, PLUS_3, third)
    store(facts, PLUS_4, fourth)
    store(facts, PLUS_LOG, sum_c_log_c(plus, 2 * n + 1, table))
    first, second, inverse, inverse_2, normed, normed_2, variance = zero, zero, zero, zero, zero, zero, zero
    share = 1 / n
    for k in range(n):
        c, r, t = load(minus, k), splat(float(k)), splat(k * share)
        first = first + c * r
        second = second + c * r * r
        inverse = inverse + c / (one + r)
        inverse_2 = inverse_2 + c / (one + r * r)
        normed = normed + c / (one + t)
        normed_2 = normed_2 + c / (one + t * t)
        if k:
            variance = variance + c / (r * r)
    store(facts, MINUS_1, first)
    store(facts, MINUS_2, second)
    store(facts, INVERSE_1, inverse)
    store(facts, INVERSE_2, inverse_2)
    store(facts, NORMED_1, normed)
    store(facts, NORMED_2, normed_2)
    store(facts, INVERSE_VARIANCE, variance)
    store(facts, MINUS_LOG, sum_c_log_c(minus, n, table))


@inner
def _whiten(cells, px, m, pairs, roots):  # type: ignore[no-untyped-def]
    """Turn counts C into D^-1/2 (C - px px^T / sum px) D^-1/2 with D = diag(px), in place.

    D^-1/2 C D^-1/2 has the eigenvalue 1 with the eigenvector sqrt(px), here taken out; the next is the maximal
    correlation.
    """
    for lane in range(m * WIDTH):
        roots[lane] = 1 / math.sqrt(px[lane]) if px[lane] > 0 else 0.0
    zero = splat(0.0)
    share = where_positive(pairs, splat(1.0) / pairs, zero)
    k = 0
    for x in range(m):
        r, expected = load(roots, x), load(px, x) * share
        for y in range(x + 1):
            store(cells, k, (load(cells, k) - expected * load(px, y)) * r * load(roots, y))
            k += 1


@compiled
def _features(facts, lane, n, mcc, row):  # type: ignore[no-untyped-def]
    """The features of one lane -> row (COUNT,); NaN where undefined."""
    row[:] = np.nan
    f = facts[lane::WIDTH]
    if not f[PAIRS] > 0:
        return
    share, bits = 1 / f[PAIRS], math.log2(f[PAIRS])
    mean_x, mean_y, var_x, var_y = f[MEAN_X], f[MEAN_Y], f[SPREAD_X] * share, f[SPREAD_Y] * share
    flat_x, flat_y = var_x <= 1e-24 * mean_x * mean_x, var_y <= 1e-24 * mean_y * mean_y  # rounding alone
    hx, hy, hxy = max(bits - f[LOG_X] * share, 0.0), max(bits - f[LOG_Y] * share, 0.0), bits - f[JOINT] * share
    # mutual information: HXY1 = HXY2 = HX + HY, since px and py are p's marginals
    shared = 0.0 if flat_x or flat_y else max(hx + hy - hxy, 0.0)
    tendency, contrast, difference = f[PLUS_2] * share, f[MINUS_2] * share, f[MINUS_1] * share
    covariance = (tendency - contrast + (mean_x - mean_y) ** 2) / 4
    row[0] = covariance + mean_x * mean_y
    row[1] = mean_x
    row[2] = f[PLUS_4] * share
    row[3] = f[PLUS_3] * share
    row[4] = tendency
    row[5] = contrast
    if not (flat_x or flat_y):
        row[6] = covariance / math.sqrt(var_x * var_y)
        if mcc:
            row[15] = min(f[CORRELATION], 1.0)
    row[7] = difference
    row[8] = max(bits - f[MINUS_LOG] * share, 0.0)
    row[9] = max(contrast - difference * difference, 0.0)
    row[10] = f[SQUARES] * share * share
    row[11] = max(hxy, 0.0)
    if not (flat_x and flat_y):
        row[12] = -shared / max(hx, hy)
    row[13] = math.sqrt(-math.expm1(-2 * shared))
    row[14] = f[INVERSE_2] * share
    row[16] = f[NORMED_2] * share
    row[17] = f[INVERSE_1] * share
    row[18] = f[NORMED_1] * share
    row[19] = f[INVERSE_VARIANCE] * share
    row[20] = f[PEAK] * share
    row[21] = mean_x + mean_y
    row[22] = max(bits - f[PLUS_LOG] * share, 0.0)
    row[23] = var_x
    row[24] = difference
    row[25] = tendency


@compiled
def add_defined(row, sums, times):  # type: ignore[no-untyped-def]
    """Add the values of a row that are defined, and count them."""
    for k in range(len(row)):
        if row[k] == row[k]:
            sums[k] += row[k]
            times[k] += 1
