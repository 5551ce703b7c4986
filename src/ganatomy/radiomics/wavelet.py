"""The stationary wavelet transform as pyradiomics takes it, for batches of images.

Knows PyWavelets' filters and pyradiomics' names; the values are pywt.swtn's. The standard's wavelets, which differ in
their borders and in their second level, are in response.py.
"""

from functools import cache
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from ganatomy.core.errors import InputError, nearest
from ganatomy.radiomics.compiled import contracted
from ganatomy.radiomics.region import Float


def stationary(
    images: NDArray[Any],
    wavelet: str = "coif1",
    *,
    level: int = 1,
    start_level: int = 0,
    without: int | None = None,
) -> dict[str, Float]:
    """All bands of each level by name, in pyradiomics' order: "wavelet-LLH", ..., "wavelet2-HHH", last "wavelet-LLL".

    images: (D, H, W) or (B, D, H, W); the bands have the same shape
    wavelet: any discrete wavelet of PyWavelets
    level: levels returned, from start_level on. As in pyradiomics, each level filters the last one's approximation
        with the same filters (not dilated), and only the last one's approximation is returned.
    without: the axis (0 z, 1 y, 2 x) that is not filtered, pyradiomics' force2Ddimension; None filters all three, or
        y and x where D is 1
    A name's letters are low-pass (L) and high-pass (H) along x, y, z. The image goes on periodically; a side of odd
    length is lengthened by its first voxel, and shortened again after.
    """
    stack = np.asarray(images, np.float64)
    if stack.ndim not in (3, 4):
        raise InputError(f"a wavelet needs images of shape (D, H, W) or (B, D, H, W), not {stack.shape}")
    if level < 1 or start_level < 0:
        raise InputError(f"wavelets start at level 0 or above and have 1 level or more, not {start_level} and {level}")
    if without not in (None, 0, 1, 2):
        raise InputError(f"the axis without wavelets is 0, 1 or 2, not {without}")
    low, high = filters(wavelet)
    shape = stack.shape
    stack = stack.reshape((-1, *shape[-3:]))
    flat = without is not None or stack.shape[1] == 1
    front = without or 0  # the unfiltered axis becomes the slices'
    stack = np.moveaxis(stack, 1 + front, 1)
    sizes = stack.shape
    odd = [0, 0 if flat else sizes[1] % 2, sizes[2] % 2, sizes[3] % 2]
    if stack.size and any(odd):
        stack = np.pad(stack, [(0, more) for more in odd], mode="wrap")
    stack = np.ascontiguousarray(stack)
    crop = (slice(None), *(slice(side) for side in sizes[1:]))

    def shaped(band: Float) -> Float:
        return np.ascontiguousarray(np.moveaxis(band[crop], 1, 1 + front)).reshape(shape)

    letters = ["LL", "LH", "HL", "HH"] if flat else ["LLL", "LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH"]
    bands: dict[str, Float] = {}
    for step in range(start_level + level):
        out = np.empty((len(letters), *stack.shape))
        if stack.size:
            (_planar if flat else _spatial)(stack, low, high, out)
        stack = out[0]
        if step >= start_level:
            number = step - start_level + 1
            prefix = "wavelet-" if number == 1 else f"wavelet{number}-"
            bands |= {prefix + name: shaped(out[i]) for i, name in enumerate(letters) if i > 0}
    bands[("wavelet-" if level == 1 else f"wavelet{level}-") + letters[0]] = shaped(stack)
    return bands


@cache
def filters(wavelet: str) -> tuple[Float, Float]:
    """The low-pass and the high-pass decomposition filter, each (L,) with L even."""
    known = pywt.wavelist(kind="discrete")
    if wavelet not in known:
        raise InputError(f"PyWavelets has no discrete wavelet {wavelet!r}; {nearest(wavelet, known)}")
    pair = pywt.Wavelet(wavelet)
    low, high = np.array(pair.dec_lo, np.float64), np.array(pair.dec_hi, np.float64)
    low.flags.writeable = high.flags.writeable = False  # shared between callers
    return low, high


# fastmath "contract": sums of products may be fused, which is more exact; nothing is reordered.
@contracted
def _rows(source: Float, low: Float, high: Float, out_low: Float, out_high: Float, line: Float) -> None:
    """Both filters along the last axis of source (N, W): out[x] = sum of f[k] source[x + L/2 - k], periodic.

    line: (W + L,) scratch for a row continued on both sides; the taps go in pairs, so that a row is read L/2 times.
    """
    count, width = source.shape
    taps = low.size
    after = taps // 2
    before = taps - 1 - after
    for i in range(count):
        row, a, b = source[i], out_low[i], out_high[i]
        for x in range(before):
            line[x] = row[(x - before) % width]
        for x in range(width):
            line[before + x] = row[x]
        for x in range(after):
            line[before + width + x] = row[x % width]
        a[:] = 0.0
        b[:] = 0.0
        for k in range(0, taps, 2):
            c, d, e, f = low[k], low[k + 1], high[k], high[k + 1]
            at = taps - 1 - k
            for x in range(width):
                u, v = line[x + at], line[x + at - 1]
                a[x] += c * u + d * v
                b[x] += e * u + f * v


@contracted
def _planes(source: Float, low: Float, high: Float, out_low: Float, out_high: Float) -> None:
    """Both filters along the middle axis of source (P, N, M); see _rows."""
    planes, length, width = source.shape
    taps = low.size
    after = taps // 2
    for p in range(planes):
        for y in range(length):
            a, b = out_low[p, y], out_high[p, y]
            a[:] = 0.0
            b[:] = 0.0
            for k in range(0, taps, 2):
                c, d, e, f = low[k], low[k + 1], high[k], high[k + 1]
                first, second = source[p, (y + after - k) % length], source[p, (y + after - k - 1) % length]
                for x in range(width):
                    u, v = first[x], second[x]
                    a[x] += c * u + d * v
                    b[x] += e * u + f * v


@contracted
def _planar(images: Float, low: Float, high: Float, out: Float) -> None:
    """images (B, D, H, W) -> out (4, B, D, H, W): LL, LH, HL, HH, letters x then y, slice by slice."""
    count, depth, height, width = images.shape
    line = np.empty(width + low.size)
    half = np.empty((2, depth, height, width))
    for b in range(count):
        for z in range(depth):
            _rows(images[b, z], low, high, half[0, z], half[1, z], line)
        for i in range(2):
            _planes(half[i], low, high, out[2 * i, b], out[2 * i + 1, b])


@contracted
def _spatial(images: Float, low: Float, high: Float, out: Float) -> None:
    """images (B, D, H, W) -> out (8, B, D, H, W): LLL, LLH, ..., HHH, letters x, y, z."""
    count, depth, height, width = images.shape
    line = np.empty(width + low.size)
    half = np.empty((2, depth, height, width))
    quarter = np.empty((2, depth, height, width))
    flat = (1, depth, height * width)
    for b in range(count):
        for z in range(depth):
            _rows(images[b, z], low, high, half[0, z], half[1, z], line)
        for i in range(2):
            _planes(half[i], low, high, quarter[0], quarter[1])
            for j in range(2):
                first, second = out[4 * i + 2 * j, b], out[4 * i + 2 * j + 1, b]
                _planes(quarter[j].reshape(flat), low, high, first.reshape(flat), second.reshape(flat))
