"""Grey level dependence matrix: voxels counted by grey level and number of neighbours of about the same level.

pyradiomics' GLDM and the standard's neighbouring grey level dependence matrix (NGLDM, family REK0) are one matrix: the
voxel itself counts, so that a voxel with k dependent neighbours is in column k + 1.
Source: Sun and Wee 1983, Computer Vision, Graphics and Image Processing 23(3).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.emphasis import Int, emphases, logarithms
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.region import Float, Regions
from ganatomy.radiomics.zones import CHUNK, flat, in_plane, next_voxel, spans

FEATURES = (
    Feature("SmallDependenceEmphasis", "ngl_lde", "SODN"),
    Feature("LargeDependenceEmphasis", "ngl_hde", "IMOQ"),
    Feature("LowGrayLevelEmphasis", "ngl_lgce", "TL9H"),
    Feature("HighGrayLevelEmphasis", "ngl_hgce", "OAE7"),
    Feature("SmallDependenceLowGrayLevelEmphasis", "ngl_ldlge", "EQ3F"),
    Feature("SmallDependenceHighGrayLevelEmphasis", "ngl_ldhge", "JA6D"),
    Feature("LargeDependenceLowGrayLevelEmphasis", "ngl_hdlge", "NBZI"),
    Feature("LargeDependenceHighGrayLevelEmphasis", "ngl_hdhge", "9QMG"),
    Feature("GrayLevelNonUniformity", "ngl_glnu", "FP8K"),
    Feature("", "ngl_glnu_norm", "5SPA"),  # pyradiomics dropped it: equal to first-order uniformity
    Feature("DependenceNonUniformity", "ngl_dcnu", "Z87G"),
    Feature("DependenceNonUniformityNormalized", "ngl_dcnu_norm", "OKJI"),
    Feature("", "ngl_dc_perc", "6XV8"),  # pyradiomics dropped it: always 1
    Feature("GrayLevelVariance", "ngl_gl_var", "1PFV"),
    Feature("DependenceVariance", "ngl_dc_var", "DNX2"),
    Feature("DependenceEntropy", "ngl_dc_entr", "FCBV"),
    Feature("", "ngl_dc_energy", "CAS9"),
)


def measure(regions: Regions, *, aggregation: str = "3D", alpha: float = 0, distance: int = 1) -> Float:
    """FEATURES of each region: (B, 17).

    aggregation: a key of feature.ZONAL; neighbours are sought in space for "3D", within slices otherwise. "2D" is the
        mean over the slices that hold a part of the region.
    alpha: largest difference in grey level of a dependent neighbour (the standard's coarseness)
    distance: neighbours are at most this many steps away along every axis (pyradiomics: distances 1 to this one)
    InputError where the frame around the regions is narrower than the distance.
    """
    if not 1 <= distance <= regions.pad:
        raise InputError(
            f"a dependence distance of {distance} is not from 1 to {regions.pad}, the width of the frame of zeros"
        )
    if not alpha >= 0:
        raise InputError(f"the dependence cut-off alpha is 0 or more grey levels, not {alpha}")
    return _measure(
        flat(regions),
        np.ascontiguousarray(regions.n),
        min(math.floor(min(alpha, 65535)), 65535),
        spans(regions, aggregation),
        around(regions, distance, in_plane(regions, aggregation)),
        logarithms(),
    )


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    return "an empty region has no dependences"


def around(regions: Regions, distance: int, planar: bool) -> NDArray[np.int64]:
    """Steps in the flat padded box to all neighbours within a Chebyshev distance, the voxel itself left out."""
    _, _, height, width = regions.levels.shape
    reach = range(-distance, distance + 1)
    steps = [(z * height + y) * width + x for z in ([0] if planar else reach) for y in reach for x in reach]
    return np.array([step for step in steps if step], np.int64)


@compiled
def _dependents(
    flat: NDArray[np.uint16],
    start: int,
    stop: int,
    alpha: int,
    step: NDArray[np.int64],
    low: NDArray[np.uint16],
    high: NDArray[np.uint16],
    found: NDArray[np.uint16],
) -> None:
    """found[x] = how many neighbours of voxel start + x differ by at most alpha; low, high: scratch."""
    length = stop - start
    own, lo, hi, count = flat[start:stop], low[:length], high[:length], found[:length]
    for x in range(length):
        g = np.int32(own[x])
        lo[x] = g - alpha if g > alpha else 1  # never 0: the outside is no neighbour
        hi[x] = g + alpha if g + alpha < 65535 else 65535
        count[x] = 0
    for k in range(step.size):
        other = flat[start + step[k] : stop + step[k]]
        for x in range(length):
            count[x] += np.uint16(1) if (other[x] >= lo[x]) & (other[x] <= hi[x]) else np.uint16(0)


@compiled
def _collect(counts: Int, n: int, columns: int, i: Int, j: Int, c: Int) -> int:
    """Move counts (level, neighbours) to cells i (level), j (neighbours + 1), c (count), leaving zeros; how many."""
    m = 0
    for g in range(1, n + 1):
        for k in range(columns):
            cell = g * columns + k
            if counts[cell] > 0:
                i[m], j[m], c[m] = g, k + 1, counts[cell]
                counts[cell] = 0
                m += 1
    return m


@compiled
def _measure(
    flat: NDArray[np.uint16],
    n: NDArray[np.int64],
    alpha: int,
    spans: NDArray[np.int64],
    step: NDArray[np.int64],
    table: Float,
) -> Float:
    columns = step.size + 1
    highest = 0
    for b in range(n.size):
        highest = max(highest, n[b])
    counts = np.zeros((highest + 1) * columns, np.int32)
    cells = highest * columns
    i, j, c = np.empty(cells, np.int32), np.empty(cells, np.int32), np.empty(cells, np.int32)
    tally = np.zeros(columns + 1, np.int32)
    low, high, found = np.empty(CHUNK, np.uint16), np.empty(CHUNK, np.uint16), np.empty(CHUNK, np.uint16)
    out, row = np.zeros((flat.shape[0], 17)), np.empty(17)
    for b in range(flat.shape[0]):
        parts = 0
        for s in range(spans.shape[0]):
            start, stop = spans[s, 0], spans[s, 1]
            inside = 0
            begin = next_voxel(flat[b], start, stop)
            while begin < stop:
                end = min(begin + CHUNK, stop)
                _dependents(flat[b], begin, end, alpha, step, low, high, found)
                for x in range(end - begin):
                    g = np.int64(flat[b, begin + x])
                    if g != 0:
                        counts[g * columns + found[x]] += 1
                        inside += 1
                begin = next_voxel(flat[b], end, stop)
            if inside == 0:
                continue
            m = _collect(counts, n[b], columns, i, j, c)
            emphases(i, j, c, m, np.float64(inside), table, tally, row)
            parts += 1
            for f in range(17):
                out[b, f] += row[f]
        for f in range(17):
            out[b, f] = out[b, f] / parts if parts > 0 else np.nan
    return out
