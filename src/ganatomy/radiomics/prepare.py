"""An image and a mask -> the regions that every family measures: normalise, resegment, crop, discretise.

Knows pyradiomics' definitions (the default) and the standard's (`ibsi=True`). Resampling is in resample.py, filters in
filters.py. Knows no features.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.lanes import WIDTH, at, lane_sum, load, maximum, minimum, splat
from ganatomy.radiomics.region import Float, Regions

MOST_LEVELS = 10_000

Mask = NDArray[np.bool_]


def normalise(image: NDArray[Any], scale: float = 1.0, outliers: float | None = None) -> Float:
    """The image minus its mean, over its standard deviation (n - 1), times scale: pyradiomics' normalizeImage.

    image: any shape; mean and deviation are of all its voxels, not of a region
    outliers: values further than this many standard deviations from the mean are moved there
    InputError where the image has one value only, or NaN or infinite voxels.
    """
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all():
        raise InputError("an image with NaN or infinite voxels cannot be normalised; repair them or switch it off")
    deviation = values.std(ddof=1) if values.size > 1 else 0.0
    if deviation == 0:
        raise InputError("an image of one value has no standard deviation to be normalised by; switch it off")
    values = (values - values.mean()) / deviation
    if outliers is not None:
        values = np.clip(values, -outliers, outliers)
    scaled: Float = values * scale
    return scaled


def resegment(
    values: NDArray[Any],
    mask: Mask,
    bounds: Sequence[float],
    mode: Literal["absolute", "relative", "sigma"] = "absolute",
) -> Mask:
    """The voxels of the mask whose values lie within the bounds, both ends included.

    bounds: the lower, or the lower and the upper; infinite where an end is open. "absolute": in the image's units
        (the standard's range re-segmentation, 5S3C); "relative": times the highest value in the mask; "sigma": standard
        deviations (n) from the mean of the mask (the standard's outlier filtering, 7ACA, is sigma of -3 and 3).
    Where the standard asks for both, each is of the mask given, and the two results are to be intersected.
    """
    ends = sorted(float(end) for end in bounds)
    if len(ends) not in (1, 2) or any(math.isnan(end) for end in ends):
        raise InputError(f"the range of a resegmentation is one or two numbers, not {list(bounds)}")
    if mode not in ("absolute", "relative", "sigma"):
        raise InputError(f"a resegmentation is absolute, relative or sigma, not {mode!r}")
    inside: Mask = mask.astype(bool)  # a copy
    within = np.asarray(values)[inside]
    if within.size == 0:
        return inside
    if mode == "relative":
        ends = sorted(float(within.max() * end) for end in ends)  # sorted again: the maximum may be negative
    elif mode == "sigma":
        mean, deviation = within.mean(dtype=np.float64), within.std(dtype=np.float64)
        ends = [float(mean + end * deviation) if deviation > 0 else float(mean) for end in ends]
    inside[inside] = (within >= ends[0]) & (within <= (ends[1] if len(ends) == 2 else np.inf))
    return inside


def box(mask: Mask, margin: int = 0) -> tuple[slice, ...]:
    """The slices of the smallest box around the mask, wider by a margin of voxels where the image goes on.

    The first voxel where the mask is empty, so that an empty region stays one that can be measured (as NaN).
    """
    slices = []
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        (at,) = np.nonzero(mask.any(axis=others))
        low, high = (int(at[0]), int(at[-1]) + 1) if at.size else (0, 1)
        slices.append(slice(max(low - margin, 0), min(high + margin, size)) if at.size else slice(low, high))
    return tuple(slices)


def regions(
    values: NDArray[Any],
    inside: Mask,
    shape: Mask | None,
    spacing: Sequence[float],
    *,
    bin_width: float | None = None,
    bin_count: int | None = None,
    ibsi: bool = False,
    lowest: float | None = None,
    pad: int = 1,
) -> Regions:
    """Regions of one size, discretised.

    values: (B, D, H, W), any real dtype; anything outside the region
    inside: (B, D, H, W) bool, the voxels that are measured; shape: the form's mask, None for `inside`
    spacing: (3,) mm along z, y, x
    bin_width: fixed width of a grey level; bin_count: fixed number of them; neither: the values are the levels
    ibsi: the standard's definitions (below), else pyradiomics'
    lowest: where the first grey level begins with ibsi and a fixed width (the lower end of the range that the region
        was resegmented to); the region's minimum where None
    pad: width of the frame of zeros

    pyradiomics, width w: edges at m, m + w, m + 2w ... from m = min - min mod w; a value belongs to the edge at or
    below it. Count n: n equal bins from min to max, the maximum in the last; a flat region lies between min - 1/2 and
    min + 1/2. Both to the bit what numpy.digitize gives for pyradiomics' edges in float64.
    The standard (reference manual 2.7), width w: floor((x - lowest) / w) + 1. Count n: floor(n (x - min) / (max - min))
    + 1, and n at the maximum; a flat region is of level 1.
    InputError for NaN or infinite voxels inside, for spacing that is not above 0, for more than MOST_LEVELS levels,
    and for levels as they are that are not whole or below 1.
    """
    image = np.ascontiguousarray(values, np.float64)
    mask = np.ascontiguousarray(inside, np.bool_)
    form = mask if shape is None or shape is inside else np.ascontiguousarray(shape, np.bool_)
    if image.ndim != 4:
        raise InputError(f"regions are of shape (B, D, H, W), not {image.shape}; add the missing axes")
    for what in (mask, form):
        if what.shape != image.shape:
            raise InputError(f"the mask has shape {what.shape}, its image {image.shape}; they must be of one grid")
    size = checked_spacing(spacing)
    if pad < 0:
        raise InputError(f"the frame around a region is 0 voxels or wider, not {pad}")
    rule, step = _rule(bin_width, bin_count, ibsi)
    start = float(lowest) if lowest is not None and math.isfinite(lowest) and rule == _IBSI_WIDTH else math.nan
    b, d, h, w = image.shape
    levels = np.zeros((b, d + 2 * pad, h + 2 * pad, w + 2 * pad), np.uint16)
    n, fault = np.zeros(b, np.int64), np.zeros(b, np.int64)
    if image.size:
        _discretise(image, mask, levels, n, fault, rule, step, start, pad, MOST_LEVELS)
    if fault.any():
        at = int(np.flatnonzero(fault)[0])
        within = image[at][mask[at]]
        raise InputError(_sentence(int(fault[at]), at, b, within, bin_width, start))
    return Regions(image, mask, form, levels, n, size, pad, step if bin_width is not None else 0.0)


def checked_spacing(spacing: Sequence[float]) -> tuple[float, float, float]:
    """(z, y, x) in mm; InputError where it is not three finite numbers above 0."""
    size = tuple(float(side) for side in spacing)
    if len(size) != 3 or not all(math.isfinite(side) and side > 0 for side in size):
        raise InputError(f"a voxel's spacing is three numbers above 0 (z, y, x in mm), not {list(spacing)}")
    return size[0], size[1], size[2]


_AS_THEY_ARE, _WIDTH, _COUNT, _IBSI_WIDTH, _IBSI_COUNT = 0, 1, 2, 3, 4
_NOT_FINITE, _TOO_MANY, _NOT_LEVELS, _BELOW = 1, 2, 3, 4  # what _discretise finds at fault


def _rule(bin_width: float | None, bin_count: int | None, ibsi: bool) -> tuple[int, float]:
    if bin_width is not None and bin_count is not None:
        raise InputError(f"give a bin width ({bin_width:g}) or a bin count ({bin_count}), not both")
    if bin_width is not None:
        if not (math.isfinite(bin_width) and bin_width > 0):
            raise InputError(f"the bin width is a number above 0 in the image's units, not {bin_width}")
        return (_IBSI_WIDTH if ibsi else _WIDTH), float(bin_width)
    if bin_count is not None:
        if bin_count != int(bin_count) or not 1 <= bin_count <= MOST_LEVELS:
            raise InputError(f"the bin count is a whole number from 1 to {MOST_LEVELS}, not {bin_count}")
        return (_IBSI_COUNT if ibsi else _COUNT), float(bin_count)
    return _AS_THEY_ARE, 1.0


def _sentence(fault: int, at: int, b: int, within: Float, width: float | None, start: float) -> str:
    which = f"region {at + 1} of {b}" if b > 1 else "the region"
    if fault == _NOT_FINITE:
        count = int((~np.isfinite(within)).sum())
        return f"{which} holds {count} NaN or infinite voxels; leave them out of the mask or repair the image"
    low, high = float(within.min()), float(within.max())
    if fault == _BELOW:
        return f"{which} holds {low:g}, below {start:g} where its grey levels begin; resegment it to that range first"
    if fault == _NOT_LEVELS:
        return (
            f"{which} has values from {low:g} to {high:g} that are not all whole numbers from 1 on, so they are no "
            "grey levels; give a bin width or a bin count"
        )
    enough = _round_up((high - low) / 100)
    if width is None:
        return (
            f"{which} has values up to {high:g}, more than {MOST_LEVELS:,} grey levels; "
            f"a bin width of {enough:g} would give about 100"
        )
    low = low if math.isnan(start) else start
    return (
        f"a bin width of {width:g} gives {which} {(high - low) / width:,.0f} grey levels, more than {MOST_LEVELS:,}; "
        f"{enough:g} would give about 100"
    )


def _round_up(width: float) -> float:
    """To one significant digit, upwards, so that the width named is one that does."""
    size = 10.0 ** math.floor(math.log10(width)) if width > 0 else 1.0
    return math.ceil(width / size) * size


@compiled
def _discretise(
    values: Float,
    inside: Mask,
    levels: NDArray[np.uint16],
    n: NDArray[np.int64],
    fault: NDArray[np.int64],
    rule: int,
    step: float,
    start: float,
    pad: int,
    most: int,
) -> None:
    """Fills levels (B, D + 2 pad, ...), zeros before, with the grey levels of values (B, D, H, W), and n (B,).

    fault: (B,) 0, or why a region has no levels.
    """
    for b in range(values.shape[0]):
        least, greatest, finite = _extremes(values[b], inside[b])
        if not finite:
            fault[b] = _NOT_FINITE
        elif least <= greatest:  # else the region is empty
            low, size, fault[b] = _first_edge(least, greatest, rule, step, start, most)
            if fault[b] == 0:
                n[b] = _levels(values[b], inside[b], levels[b], pad, rule, low, size, greatest, int(step))
            if rule == _AS_THEY_ARE and n[b] < 0:
                n[b], fault[b] = 0, _NOT_LEVELS


@compiled
def _extremes(values: Float, inside: Mask) -> tuple[float, float, bool]:
    """Lowest and highest value inside (inf, -inf where empty), and whether all are finite."""
    x, within = values.reshape(-1), inside.reshape(-1)
    voxels = 0
    for k in range(x.size):
        voxels += within[k]
    least, greatest, away = np.inf, -np.inf, 0.0  # away: 0, or NaN after a value that is not finite
    if voxels < x.size:
        for k in range(x.size):
            if within[k]:
                least, greatest = min(least, x[k]), max(greatest, x[k])
                away += x[k] - x[k]
        return least, greatest, away == 0.0
    whole = x.size // WIDTH
    if whole:  # in four lanes: a compiler leaves minima of floats scalar
        low = high = load(x, 0)
        zero = splat(0.0)
        for k in range(whole):
            v = load(x, k)
            low, high, zero = minimum(v, low), maximum(v, high), zero + (v - v)
        for lane in range(WIDTH):
            least, greatest = min(least, at(low, lane)), max(greatest, at(high, lane))
        away = lane_sum(zero)
    for k in range(whole * WIDTH, x.size):
        least, greatest = min(least, x[k]), max(greatest, x[k])
        away += x[k] - x[k]
    return least, greatest, away == 0.0


@compiled
def _first_edge(
    least: float, greatest: float, rule: int, step: float, start: float, most: int
) -> tuple[float, float, int]:
    """Where the first grey level begins, how wide each is (infinite: all is one level), and the fault."""
    low, size = least, step
    if rule == _AS_THEY_ARE:
        low = 1.0
        if least < low:
            return low, size, _NOT_LEVELS
    elif rule == _WIDTH:
        low = least - least % step
        size = (low + step) - low  # as numpy.arange spaces its values
    elif rule == _IBSI_WIDTH:
        low = least if np.isnan(start) else start
        if least < low:
            return low, size, _BELOW
    else:
        if greatest > least:
            size = (greatest - least) / step
        elif rule == _COUNT:
            low = least - 0.5
            size = ((least + 0.5) - low) / step
        else:
            size = np.inf
        return low, size if size > 0 else np.inf, 0  # 0: a range too narrow to be divided
    few = (greatest - low) / size < most if size > 0 else False
    return low, size, 0 if few else _TOO_MANY


@compiled
def _between_edges(
    values: Float, inside: Mask, levels: NDArray[np.uint16], pad: int, low: float, size: float, last: float
) -> None:
    """pyradiomics' rules: grey levels of values (D, H, W) into levels, framed by `pad`; 0 outside.

    A guess by multiplication is moved until it lies between its own two edges, each computed as numpy.arange and
    numpy.linspace compute it: exact at the edges without a search. The guess is off by one at most, and nothing here
    branches, so several voxels are done at a time.
    """
    scale = 1.0 / size
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            row, within, line = values[z, y], inside[z, y], levels[z + pad, y + pad]
            for x in range(row.size):
                v = row[x]
                i = np.floor((v - low) * scale)
                i -= 1.0 if v < low + i * size else 0.0
                i += 1.0 if v >= low + (i + 1.0) * size else 0.0
                i = i if i < last else last
                i = i if i > 0.0 else 0.0
                line[x + pad] = np.uint16(np.int32(i + 1.0 if within[x] else 0.0))


@compiled
def _levels(
    values: Float,
    inside: Mask,
    levels: NDArray[np.uint16],
    pad: int,
    rule: int,
    low: float,
    size: float,
    greatest: float,
    count: int,
) -> int:
    """Grey levels of values (D, H, W) into levels; returns the highest, -1 where values as they are were not whole."""
    if size < np.inf and rule in (_WIDTH, _COUNT):
        last = count - 1.0 if rule == _COUNT else float(MOST_LEVELS)
        _between_edges(values, inside, levels, pad, low, size, last)
        top = min(int((greatest - low) / size), int(last))
        while top > 0 and greatest < low + top * size:
            top -= 1
        while top < last and greatest >= low + (top + 1) * size:
            top += 1
        return top + 1
    highest, whole = 0, True
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            row, within, line = values[z, y], inside[z, y], levels[z + pad, y + pad]
            for x in range(row.size):
                if not within[x]:
                    continue
                v = row[x]
                i = 0
                if size == np.inf:
                    pass
                elif rule == _IBSI_COUNT:
                    i = min(int(count * (v - low) / (greatest - low)), count - 1)
                elif rule == _IBSI_WIDTH:
                    i = int((v - low) / size)
                else:
                    i = int(v - low)
                    whole &= low + i == v
                highest = max(highest, i + 1)
                line[x + pad] = i + 1
    return highest if whole or rule != _AS_THEY_ARE else -1
