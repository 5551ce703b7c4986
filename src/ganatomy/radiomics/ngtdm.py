"""Neighbourhood grey tone difference matrix: how far voxels of each grey level differ from their neighbours' mean.

Source: Amadasun and King 1989, IEEE Transactions on Systems, Man and Cybernetics 19(5); the standard's family IPET.
"""

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.region import Float, Regions
from ganatomy.radiomics.zones import CHUNK, flat, in_plane, next_voxel, spans

# The standard leaves out voxels without neighbours. pyradiomics counts them among the voxels of their grey level, with
# a difference of 0. The two agree wherever every voxel has a neighbour.
FEATURES = (
    Feature("Coarseness"),
    Feature("Contrast"),
    Feature("Busyness"),
    Feature("Complexity"),
    Feature("Strength"),
    Feature("", "ngt_coarseness", "QCDE"),
    Feature("", "ngt_contrast", "65HE"),
    Feature("", "ngt_busyness", "NQ30"),
    Feature("", "ngt_complexity", "HDEZ"),
    Feature("", "ngt_strength", "1X9X"),
)


def measure(regions: Regions, *, aggregation: str = "3D", distance: int = 1) -> Float:
    """FEATURES of each region: (B, 10).

    aggregation: a key of feature.ZONAL; neighbours are sought in space for "3D", within slices otherwise. "2D" is the
        mean over the slices in which a voxel has a neighbour.
    distance: neighbours are at most this many steps away along every axis (pyradiomics: distances 1 to this one)
    A flat region has coarseness 10^6 and the others 0, as the standard sets them; NaN where no voxel has a neighbour.
    InputError where the frame around the regions is narrower than the distance.
    """
    if not 1 <= distance <= regions.pad:
        raise InputError(
            f"a neighbourhood distance of {distance} is not from 1 to {regions.pad}, the width of the frame of zeros"
        )
    _, _, height, width = regions.levels.shape
    reach = range(-distance, distance + 1)
    rows = [(z * height + y) * width for z in ([0] if in_plane(regions, aggregation) else reach) for y in reach]
    return _measure(
        flat(regions),
        np.ascontiguousarray(regions.n),
        distance,
        spans(regions, aggregation),
        np.array(rows, np.int64),
    )


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    return "an empty region has no neighbourhoods" if voxels == 0 else "no voxel of the region has a neighbour"


@compiled
def _sums(
    flat: NDArray[np.uint16],
    start: int,
    stop: int,
    distance: int,
    rows: NDArray[np.int64],
    total: NDArray[np.int32],
    number: NDArray[np.int32],
    sums: NDArray[np.int32],
    numbers: NDArray[np.int32],
) -> None:
    """sums, numbers[x]: grey levels and voxels around and at start + x, added across rows first, then along them."""
    length = stop - start
    wide = length + 2 * distance
    t, c, s, m = total[:wide], number[:wide], sums[:length], numbers[:length]
    for x in range(wide):
        t[x], c[x] = 0, 0
    for k in range(rows.size):
        other = flat[start - distance + rows[k] : stop + distance + rows[k]]
        for x in range(wide):
            t[x] += np.int32(other[x])
            c[x] += np.int32(other[x] != 0)
    for x in range(length):
        s[x], m[x] = 0, 0
    for k in range(2 * distance + 1):
        tk, ck = t[k : k + length], c[k : k + length]
        for x in range(length):
            s[x] += tk[x]
            m[x] += ck[x]


@compiled
def _features(level: Float, number: Float, difference: Float, m: int, out: Float) -> None:
    """The five features of m grey levels with number > 0 voxels and summed differences each."""
    voxels, weighted, total, mean = 0.0, 0.0, 0.0, 0.0
    for a in range(m):
        voxels += number[a]
        weighted += number[a] * difference[a]
        total += difference[a]
        mean += number[a] * level[a]
    mean /= voxels
    centre = np.floor(mean)  # levels are taken from here: their squares keep their digits
    variance, busy, complexity, first, second = 0.0, 0.0, 0.0, 0.0, 0.0
    for a in range(m):
        variance += number[a] * (level[a] - mean) ** 2
        first += level[a] - centre
        second += (level[a] - centre) ** 2
        u, v, w = level[a] * number[a], number[a] * difference[a], level[a]
        for b in range(a):
            busy += abs(u - level[b] * number[b])
            complexity += (w - level[b]) * (v + number[b] * difference[b]) / (number[a] + number[b])
    strength = 0.0
    for a in range(m):
        x = level[a] - centre
        strength += number[a] * (m * x * x - 2.0 * x * first + second)
    out[0] = 1e6 if weighted == 0 else voxels / weighted
    out[1] = 0.0 if m == 1 else 2.0 * variance / voxels / (m * (m - 1.0)) * total / voxels
    out[2] = 0.0 if busy == 0 else weighted / (2.0 * busy)
    out[3] = 2.0 * complexity / voxels
    out[4] = 0.0 if total == 0 else 2.0 * strength / voxels / total


@compiled
def _count(
    flat: NDArray[np.uint16],
    start: int,
    stop: int,
    distance: int,
    rows: NDArray[np.int64],
    scratch: NDArray[np.int32],
    whole: NDArray[np.int64],
    voxels: NDArray[np.int32],
) -> tuple[int, int]:
    """Add the voxels start..stop to `voxels` (by level) and `whole` (by level and number of neighbours m).

    whole holds sums of |m g - sum of the neighbours|: whole numbers, so that the order of voxels does not matter and no
    voxel needs a division; for m = 0, the number of such voxels. Returns how many voxels there are, and how many alone.
    """
    columns = rows.size * (2 * distance + 1)
    inside, alone = 0, 0
    begin = next_voxel(flat, start, stop)
    while begin < stop:
        end = min(begin + CHUNK, stop)
        _sums(flat, begin, end, distance, rows, scratch[0], scratch[1], scratch[2], scratch[3])
        own, sums, numbers = flat[begin:end], scratch[2], scratch[3]
        for x in range(end - begin):
            g = np.int64(own[x])
            if g != 0:
                m = np.int64(numbers[x]) - 1
                whole[g * columns + m] += abs(g * m - (sums[x] - g)) + (m == 0)
                voxels[g] += 1
                inside += 1
                alone += m == 0
        begin = next_voxel(flat, end, stop)
    return inside, alone


@compiled
def _collect(
    whole: NDArray[np.int64],
    voxels: NDArray[np.int32],
    n: int,
    columns: int,
    accompanied: bool,
    level: Float,
    number: Float,
    difference: Float,
) -> int:
    """Write the levels that occur, their voxels (all, or the `accompanied`) and summed differences; how many levels."""
    k = 0
    for g in range(1, n + 1):
        counted = np.int64(voxels[g])
        if accompanied:
            counted -= whole[g * columns]
        if counted > 0:
            d = 0.0
            for m in range(1, columns):
                d += whole[g * columns + m] / m
            level[k], number[k], difference[k] = g, counted, d
            k += 1
    return k


@compiled
def _measure(
    flat: NDArray[np.uint16], n: NDArray[np.int64], distance: int, spans: NDArray[np.int64], rows: NDArray[np.int64]
) -> Float:
    columns = rows.size * (2 * distance + 1)  # 0 to columns - 1 neighbours
    highest = 0
    for b in range(n.size):
        highest = max(highest, n[b])
    whole = np.zeros((highest + 1) * columns, np.int64)
    voxels = np.zeros(highest + 1, np.int32)
    level, number, difference = np.empty(highest), np.empty(highest), np.empty(highest)
    scratch = np.empty((4, CHUNK + 2 * distance), np.int32)
    out, row = np.zeros((flat.shape[0], 10)), np.empty(5)
    for b in range(flat.shape[0]):
        parts = 0
        for s in range(spans.shape[0]):
            inside, alone = _count(flat[b], spans[s, 0], spans[s, 1], distance, rows, scratch, whole, voxels)
            if alone < inside:
                parts += 1
                levels = _collect(whole, voxels, n[b], columns, True, level, number, difference)
                _features(level, number, difference, levels, row)
                for f in range(5):
                    out[b, 5 + f] += row[f]
                if alone > 0:
                    levels = _collect(whole, voxels, n[b], columns, False, level, number, difference)
                    _features(level, number, difference, levels, row)
                for f in range(5):
                    out[b, f] += row[f]
            for cell in range((n[b] + 1) * columns):
                whole[cell] = 0
            for g in range(n[b] + 1):
                voxels[g] = 0
        for f in range(10):
            out[b, f] = out[b, f] / parts if parts > 0 else np.nan
    return out
