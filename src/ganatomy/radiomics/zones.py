"""Zones: touching voxels of one grey level, and how far each reaches into the region. Shared by GLSZM and GLDZM.

Knows how to find zones and count them by grey level and size or distance. Does not know the features' names.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.emphasis import Int, emphases, logarithms
from ganatomy.radiomics.feature import ZONAL
from ganatomy.radiomics.region import Float, Regions

Levels = NDArray[np.uint16]

SMALL = 32  # sizes below this are counted in a dense table
CHUNK = 1024  # voxels whose neighbours are compared at once: stays in the nearest cache


def flat(regions: Regions) -> Levels:
    """Each padded box in one line: (B, voxels and frame), contiguous."""
    return np.ascontiguousarray(regions.levels).reshape(len(regions.levels), math.prod(regions.levels.shape[1:]))


def steps(regions: Regions, planar: bool) -> NDArray[np.int64]:
    """Steps in the flat padded box to the neighbours that come before a voxel in raster order: 4 in plane, or 13."""
    _, _, height, width = regions.levels.shape
    return np.array([(z * height + y) * width + x for z, y, x in _before(planar)], np.int64)


def spans(regions: Regions, aggregation: str) -> NDArray[np.int64]:
    """First voxel and one past the last of each part that has a matrix of its own: (parts, 2), flat padded indices.

    The parts are the slices for "2D", the whole box for "2_5D" and "3D". What lies between rows is frame, 0.
    InputError where the aggregation is no key of feature.ZONAL.
    """
    if aggregation not in ZONAL:
        raise InputError(f"{aggregation!r} is no aggregation of this family; choose one of {', '.join(ZONAL)}")
    pad = regions.pad
    depth, height, width = (length - 2 * pad for length in regions.levels.shape[1:])
    slices = range(depth) if aggregation == "2D" else [0]
    last = 0 if aggregation == "2D" else depth - 1
    row, plane = width + 2 * pad, (width + 2 * pad) * (height + 2 * pad)
    start = pad * (plane + row + 1)
    ends = start + last * plane + (height - 1) * row + width
    return np.array([(start + z * plane, ends + z * plane) for z in slices], np.int64).reshape(-1, 2)


def in_plane(regions: Regions, aggregation: str) -> bool:
    """Whether neighbours are sought within slices only."""
    return aggregation != "3D" or regions.levels.shape[1] - 2 * regions.pad == 1


def measure_zones(regions: Regions, aggregation: str, *, by_distance: bool) -> Float:
    """The first 16 `emphasis.QUANTITIES` of zones against size, or against distance to the border: (B, 16)."""
    planar = in_plane(regions, aggregation)
    first, rest = _representatives(planar)
    shape = regions.shape if by_distance else np.zeros((0, 0, 0, 0), np.bool_)
    return _measure(
        flat(regions),
        np.ascontiguousarray(regions.n),
        np.ascontiguousarray(shape),
        math.prod(regions.inside.shape[1:]),
        np.array([regions.pad, *regions.levels.shape[1:]], np.int64),
        spans(regions, aggregation),
        steps(regions, planar),
        first,
        rest,
        planar,
        logarithms(),
    )


def _before(planar: bool) -> list[tuple[int, int, int]]:
    offsets = [(z, y, x) for z in (-1, 0) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return [o for o in offsets if o < (0, 0, 0) and not (planar and o[0])]


@lru_cache(maxsize=2)
def _representatives(planar: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """For each set of neighbours of a voxel's own level, as bits: one of them, and the others it must be joined with.

    Neighbours that touch each other are in one zone already, so one of each touching group is enough: in a plane that
    is at most two of four, in space at most four of 13. Both arrays (2^4 or 2^13,); 255 and 0 for the empty set.
    """
    offsets = np.array(_before(planar))
    touching = (np.abs(offsets[:, None] - offsets[None]).max(2) <= 1) @ (1 << np.arange(len(offsets)))
    sets = np.arange(1 << len(offsets))
    kept, left = np.zeros_like(sets), sets.copy()
    while left.any():
        seed = left & -left  # the lowest bit: one neighbour of a group not yet seen
        group = np.zeros_like(sets)
        grown = seed
        while (grown != group).any():
            group = grown
            for bit, near in enumerate(touching):
                grown = grown | np.where(group >> bit & 1, near & sets, 0)
        kept |= seed
        left &= ~group
    lowest = kept & -kept
    first = np.where(kept > 0, np.log2(np.maximum(lowest, 1)), 255).astype(np.uint8)
    return first, (kept & ~lowest).astype(np.uint16)


@compiled
def next_voxel(flat: Levels, start: int, stop: int) -> int:
    """The first index from start on that holds a grey level; stop where there is none."""
    for i in range(start, stop):
        if flat[i] != 0:
            return i
    return stop


@compiled
def _same(flat: Levels, start: int, stop: int, step: NDArray[np.int64], bits: Levels) -> None:
    """bits[x] = the set of earlier neighbours that have the grey level of voxel start + x."""
    length = stop - start
    own = flat[start:stop]
    row = bits[:length]
    for x in range(length):
        row[x] = 0
    for k in range(step.size):
        other = flat[start + step[k] : stop + step[k]]
        bit = np.uint16(1 << k)
        for x in range(length):
            row[x] |= bit if other[x] == own[x] else np.uint16(0)


@compiled
def _label(
    flat: Levels,
    start: int,
    stop: int,
    step: NDArray[np.int64],
    first: NDArray[np.uint8],
    rest: NDArray[np.uint16],
    depth: Int,
    bits: Levels,
    label: NDArray[np.uint32],
    parent: NDArray[np.uint32],
    level: Int,
    size: Int,
    near: Int,
) -> int:
    """Find the zones among the voxels start..stop in one pass; the number of labels given.

    Label k is a zone of size[k] voxels of level[k] and, if depth is not empty, nearest depth near[k]; both are 0 where
    it was joined to another (union by the smaller label, paths halved).
    """
    n = np.uint32(0)  # unsigned: no index is tested for being below 0
    deep = depth.size > 0
    begin = next_voxel(flat, start, stop)
    while begin < stop:
        end = min(begin + CHUNK, stop)
        _same(flat, begin, end, step, bits)
        own, given = flat[begin:end], label[begin:end]
        for x in range(end - begin):
            g = own[x]
            if g == 0:
                continue
            mask = bits[x]
            i = begin + x
            if mask == 0:
                given[x] = n
                parent[n] = n
                level[n] = g
                size[n] = 1
                if deep:
                    near[n] = depth[i]
                n = np.uint32(n + np.uint32(1))
                continue
            a = _root(parent, label[np.uint64(i + step[first[mask]])])
            mask = rest[mask]
            while mask != 0:
                b = _root(parent, label[np.uint64(i + step[first[mask]])])
                if a != b:
                    if b < a:
                        a, b = b, a
                    parent[b] = a
                    size[a] += size[b]
                    size[b] = 0
                    if deep:
                        near[a] = min(near[a], near[b])
                        near[b] = 0
                mask = rest[mask]
            given[x] = a
            size[a] += 1
            if deep:
                near[a] = min(near[a], depth[i])
        begin = next_voxel(flat, end, stop)
    return int(n)


@compiled
def _root(parent: NDArray[np.uint32], a: np.uint32) -> np.uint32:
    """The smallest label that a was joined to, directly or not; the paths passed are halved."""
    while True:
        up = parent[a]
        if up == a:
            return a
        top = parent[up]
        parent[a] = top
        a = top


@compiled
def _distances(shape: NDArray[np.bool_], pad: int, planar: bool, depth: NDArray[np.int32]) -> None:
    """City-block distance of each voxel of `shape` (D, H, W) to the outside, 1 at the border; the box's edge is border.

    depth: padded box, its frame 0; two raster passes are exact for this metric.
    """
    slices, height, width = shape.shape
    for z in range(slices):
        for y in range(height):
            here = depth[z + pad, y + pad, pad - 1 : pad + width + 1]
            above = depth[z + pad, y + pad - 1, pad : pad + width]
            back = depth[z + pad - 1, y + pad, pad : pad + width]
            inside = shape[z, y]
            left = np.int32(0)
            for x in range(width):
                d = min(left, above[x])
                if not planar:
                    d = min(d, back[x])
                left = np.int32(d + 1) if inside[x] else np.int32(0)
                here[x + 1] = left
    for z in range(slices - 1, -1, -1):
        for y in range(height - 1, -1, -1):
            here = depth[z + pad, y + pad, pad - 1 : pad + width + 1]
            below = depth[z + pad, y + pad + 1, pad : pad + width]
            front = depth[z + pad + 1, y + pad, pad : pad + width]
            right = np.int32(0)
            for x in range(width - 1, -1, -1):
                d = min(right, below[x])
                if not planar:
                    d = min(d, front[x])
                right = min(here[x + 1], np.int32(d + 1))
                here[x + 1] = right


@compiled
def _cells(
    labels: int,
    n: int,
    level: Int,
    value: Int,
    wide: int,
    small: Int,
    start: Int,
    large: Int,
    order: Int,
    tally: Int,
    i: Int,
    j: Int,
    c: Int,
) -> int:
    """Count zones by (level 1..n, value): the number of cells, written to i, j, c by rising level. Value 0 is no zone.

    Most values are below `wide` and counted at once; labels with larger ones are sorted by level, then counted.
    small ((n + 1) * wide,), start (> n + 1,) and tally (> largest value,): zeros, and zeros again afterwards;
    large, order: scratch
    """
    many = 0
    for k in range(labels):
        v = value[k]
        if v < wide:
            small[level[k] * wide + v] += 1
        else:
            large[many] = k
            many += 1
            start[level[k] + 1] += 1
    for g in range(1, n + 2):
        start[g] += start[g - 1]
    for k in range(many):
        g = level[large[k]]
        order[start[g]] = value[large[k]]
        start[g] += 1  # in the end where the level ends
    m, k = 0, 0
    for g in range(1, n + 1):
        small[g * wide] = 0
        for v in range(1, wide):
            if small[g * wide + v] > 0:
                i[m], j[m], c[m] = g, v, small[g * wide + v]
                small[g * wide + v] = 0
                m += 1
        first = m
        while k < start[g]:
            v = order[k]
            if tally[v] == 0:
                i[m], j[m] = g, v
                m += 1
            tally[v] += 1
            k += 1
        for cell in range(first, m):
            c[cell] = tally[j[cell]]
            tally[j[cell]] = 0
    for g in range(n + 2):
        start[g] = 0
    return m


@compiled
def _measure(
    flat: Levels,
    n: NDArray[np.int64],
    shape: NDArray[np.bool_],
    voxels: int,
    box: NDArray[np.int64],
    spans: NDArray[np.int64],
    step: NDArray[np.int64],
    first: NDArray[np.uint8],
    rest: NDArray[np.uint16],
    planar: bool,
    table: Float,
) -> Float:
    out = np.zeros((flat.shape[0], 16))
    bits, label = np.empty(CHUNK, np.uint16), np.empty(flat.shape[1], np.uint32)
    parent, level, size = np.empty(voxels, np.uint32), np.empty(voxels, np.int32), np.empty(voxels, np.int32)
    order, tally = np.empty(voxels, np.int32), np.zeros(voxels + 1, np.int32)
    i, j, c = np.empty(voxels, np.int32), np.empty(voxels, np.int32), np.empty(voxels, np.int32)
    highest = 0
    for b in range(n.size):
        highest = max(highest, n[b])
    deep = shape.shape[0] > 0
    wide = SMALL
    if deep:
        reach = (min(box[2], box[3]) if planar else min(box[1], box[2], box[3])) // 2 + 1  # no distance is larger
        if reach * (highest + 1) < 1 << 20:
            wide = max(wide, reach)
    small, start = np.zeros((highest + 1) * wide, np.int32), np.zeros(highest + 2, np.int32)
    large, row = np.empty(voxels if deep else voxels // SMALL, np.int32), np.empty(17)
    depth = np.zeros((box[1], box[2], box[3]) if deep else (0, 0, 0), np.int32)
    deepness = depth.reshape(-1)
    near = np.empty(voxels if deep else 0, np.int32)
    for b in range(flat.shape[0]):
        if deep:
            _distances(shape[b], box[0], planar, depth)
        parts = 0
        for s in range(spans.shape[0]):
            labels = _label(
                flat[b], spans[s, 0], spans[s, 1], step, first, rest, deepness, bits, label, parent, level, size, near
            )
            inside = 0
            for k in range(labels):
                inside += size[k]
            if inside == 0:
                continue
            m = _cells(labels, n[b], level, near if deep else size, wide, small, start, large, order, tally, i, j, c)
            emphases(i, j, c, m, np.float64(inside), table, tally, row)
            parts += 1
            for f in range(16):
                out[b, f] += row[f]
        for f in range(16):
            out[b, f] = out[b, f] / parts if parts > 0 else np.nan
    return out
