"""Moran's I and Geary's C: how alike the intensities of near voxels are. Exact, over all pairs, by Fourier transform.

Sources: Moran 1950, Biometrika 37; Geary 1954, The Incorporated Statistician 5; weights 1 / distance as IBSI has it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len, rfftn

from ganatomy.radiomics.region import Float


def correlations(values: Float, inside: NDArray[np.bool_], spacing: tuple[float, float, float]) -> tuple[float, float]:
    """Moran's I and Geary's C of the voxels inside, (D, H, W) both; NaN for fewer than two voxels or one intensity."""
    places = np.nonzero(inside)
    n = len(places[0])
    if n < 2:
        return np.nan, np.nan
    box = tuple(slice(int(p.min()), int(p.max()) + 1) for p in places)
    mask = inside[box].astype(np.float64)
    picked = values[box][inside[box]]
    if picked.min() == picked.max():
        return np.nan, np.nan
    deviation = np.zeros_like(mask)
    deviation[inside[box]] = (picked - picked.mean()) / np.abs(picked).max()
    size = tuple(int(next_fast_len(2 * length - 1, real=True)) for length in mask.shape)
    weights = _weights(size, spacing)
    ones, first, second = (rfftn(a, size) for a in (mask, deviation, deviation**2))
    # by Parseval: sums over all pairs of weight * a * b; a term of the half spectrum stands for two, but the outermost
    pairs = float((weights * (ones.real**2 + ones.imag**2)).sum())
    products = float((weights * (first.real**2 + first.imag**2)).sum())
    squares = float((weights * (second.real * ones.real + second.imag * ones.imag)).sum())
    variance = float((deviation**2).sum())
    return n * products / (pairs * variance), (n - 1) * (squares - products) / (pairs * variance)


@lru_cache(maxsize=4)
def _weights(size: tuple[int, int, int], spacing: tuple[float, float, float]) -> Float:
    """Spectrum of 1 / distance on a periodic grid, times how often a term of the half spectrum counts."""
    z, y, x = (np.fft.fftfreq(length, 1 / length) * step for length, step in zip(size, spacing, strict=True))
    distance = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    distance[0, 0, 0] = np.inf
    spectrum: Float = rfftn(1 / distance).real
    spectrum[:, :, 1 : (size[2] + 1) // 2] *= 2
    return spectrum
