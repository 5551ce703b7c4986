"""The physics of a CT slice: what a thin slab of an object becomes in the image, on one fine grid, in mm and HU.

In the order of the chain: the mean over the slice's thickness, the kernel's point spread, the mean over a pixel,
noise of the reconstruction's spectrum. Knows no anatomy and no cohort. Sources of the numbers: docs/phantom.md.
"""

import math
from functools import lru_cache

import numpy as np

KERNELS = ("smooth", "standard", "sharp")
DOSES = (1.0, 0.5, 0.2)  # of a diagnostic chest CT; 0.2 is a screening CT
THICKNESSES = (1.25, 2.5, 5.0)  # mm

FIELD = 38.0  # mm, the width of a patch whatever its pixels
FINE = 128  # cells of the field's supersampled grid; every size is a block mean of it
MARGIN = 16  # cells beyond each edge, so that the point spread does not wrap round into the patch
CELL = FIELD / FINE  # mm
GRID = FINE + 2 * MARGIN
HALF = GRID * CELL / 2

# A kernel's transfer function is (1 + boost x^2) exp(-x^2), x = f / cutoff: half at 0.30, 0.43, 0.70 per mm
CUTOFF = {"smooth": (0.36, 0.0), "standard": (0.40, 0.5), "sharp": (0.446, 2.0)}  # 1/mm, boost
NOISE = 24.0  # HU before the pixel's average: standard kernel, dose 1, 1.25 mm


# ------------------------------------------------------------ the grid


@lru_cache(maxsize=1)
def axes() -> tuple[np.ndarray, np.ndarray]:
    """x along columns (1, GRID) and y along rows (GRID, 1), in mm from the middle of the patch."""
    axis = (np.arange(GRID) + 0.5) * CELL - HALF
    return axis[None, :], axis[:, None]


@lru_cache(maxsize=1)
def _frequency() -> np.ndarray:
    """Radial frequency in 1/mm on the grid of rfft2, (GRID, GRID // 2 + 1)."""
    return np.asarray(np.hypot(np.fft.fftfreq(GRID, CELL)[:, None], np.fft.rfftfreq(GRID, CELL)))


def _mean_square(amplitude: np.ndarray) -> float:
    """Variance of white noise of sd 1 after a filter given on the grid of rfft2, half of the plane."""
    square = amplitude**2
    return float((2 * square.sum() - square[:, 0].sum() - square[:, -1].sum()) / GRID**2)


def shaped(amplitude: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """White noise of sd 1, (GRID, GRID), through a filter given on the grid of rfft2."""
    return np.fft.irfft2(np.fft.rfft2(generator.standard_normal((GRID, GRID))) * amplitude, s=(GRID, GRID))


# ------------------------------------------------------------ the mean over the slice


@lru_cache(maxsize=8)
def slice_texture(thickness: float, scale: float) -> np.ndarray:
    """Amplitude of a slice through an isotropic random volume of power (1 + (f scale)^2)^-5/2.

    The mean over a thickness T keeps S2(f) = integral of S3(f, g) sinc(g T)^2 over the axial frequency g.
    Scaled so that a thin slice has sd 1: a thick one has less, which is partial volume.
    """
    axial = (np.arange(96) + 0.5) * 0.04  # 1/mm; the half line, beyond which nothing is left
    power = (1.0 + (_frequency()[..., None] ** 2 + axial**2) * scale**2) ** -2.5
    thick = np.sqrt((power * np.sinc(axial * thickness) ** 2).sum(axis=-1))
    return np.asarray(thick / math.sqrt(_mean_square(np.sqrt(power.sum(axis=-1)))))


def tube_cover(tubes: np.ndarray, level: float, thickness: float) -> np.ndarray:
    """Share of the slice's thickness filled by tapered tubes, (GRID, GRID).

    tubes: (n, 8) x, y, z, radius of one end, then of the other, in mm. A tube's chord along z and its overlap
    with the slice are analytic; a tube thinner than a cell is drawn a cell wide and paler.
    """
    x, y = axes()
    cover = np.zeros((GRID, GRID))
    bottom, top = level - thickness / 2, level + thickness / 2
    widest = np.maximum(np.maximum(tubes[:, 3], tubes[:, 7]), CELL)
    starts = np.minimum(tubes[:, :3], tubes[:, 4:7]) - widest[:, None]
    ends = np.maximum(tubes[:, :3], tubes[:, 4:7]) + widest[:, None]
    seen = (starts < [HALF, HALF, top]).all(axis=1) & (ends > [-HALF, -HALF, bottom]).all(axis=1)
    for x0, y0, z0, r0, x1, y1, z1, r1 in tubes[seen].tolist():
        radius = max(r0, r1, CELL)
        left, right = _cells(min(x0, x1) - radius, max(x0, x1) + radius)
        upper, lower = _cells(min(y0, y1) - radius, max(y0, y1) + radius)
        dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
        dx, dz = dx if abs(dx) + abs(dy) > 1e-3 else 1e-3, dz if abs(dz) > 1e-6 else 1e-6  # never quite upright or flat
        run = dx * dx + dy * dy
        square = run + dz * dz
        px, py = x[:, left:right] - x0, y[upper:lower] - y0
        along = px * dx + py * dy
        middle = z0 + along * (dz / run)  # where the line through this cell is nearest to the axis
        t = (along + (np.minimum(np.maximum(middle, bottom), top) - z0) * dz) / square
        wide = r0 + np.minimum(np.maximum(t, 0.0), 1.0) * (r1 - r0)
        chord = np.maximum(np.maximum(wide, CELL) ** 2 - (px * dy - py * dx) ** 2 / run, 0.0)
        chord = np.sqrt(chord * (square / run))
        cap = 0.5 * radius * math.sqrt(square)
        first, last = z0 - (cap + along) / dz, z0 + (square + cap - along) / dz
        first, last = (first, last) if dz > 0 else (last, first)
        share = np.minimum(np.minimum(middle + chord, last), top)
        share -= np.maximum(np.maximum(middle - chord, first), bottom)
        share = np.minimum(np.maximum(share / thickness, 0.0), 1.0) * np.minimum(wide / CELL, 1.0) ** 2
        np.maximum(cover[upper:lower, left:right], share, out=cover[upper:lower, left:right])
    return cover


def _cells(start: float, end: float) -> tuple[int, int]:
    """The cells of the grid that cover start to end, in mm."""
    return max(int((start + HALF) / CELL), 0), min(int((end + HALF) / CELL) + 2, GRID)


# ------------------------------------------------------------ the scanner


def transfer(kernel: str, frequency: np.ndarray) -> np.ndarray:
    """Modulation transfer function of a reconstruction kernel at spatial frequencies in 1/mm."""
    cutoff, boost = CUTOFF[kernel]
    x2 = (frequency / cutoff) ** 2
    return np.asarray((1.0 + boost * x2) * np.exp(-x2))


@lru_cache(maxsize=len(KERNELS))
def _transfer(kernel: str) -> np.ndarray:
    return transfer(kernel, _frequency())


def _pixels(fine: np.ndarray, size: int) -> np.ndarray:
    """The field without its margin, and the mean over each pixel: (GRID, GRID) -> (size, size)."""
    block = FINE // size
    field = fine[MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(size, block, size, block)
    return np.asarray(field.mean(axis=(1, 3)))


def blur(slab: np.ndarray, kernel: str, size: int) -> np.ndarray:
    """Point spread of the kernel, then the mean over each pixel: (GRID, GRID) -> (size, size)."""
    return _pixels(np.fft.irfft2(np.fft.rfft2(slab) * _transfer(kernel), s=(GRID, GRID)), size)


def noise(kernel: str, dose: float, thickness: float, size: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of one slice, (size, size) in HU.

    White noise shaped to the spectrum of filtered back-projection, NPS(f) ~ f MTF(f)^2 (ramp, apodisation),
    with sd ~ 1 / sqrt(dose * thickness) (Riederer 1978, Kijewski and Judy 1987), then the pixel's mean.
    """
    ramp = np.sqrt(_frequency())
    scale = NOISE / math.sqrt(_mean_square(ramp * _transfer("standard")) * dose * thickness / THICKNESSES[0])
    return _pixels(shaped(ramp * _transfer(kernel), generator), size) * scale


def acquire(
    slab: np.ndarray, kernel: str, dose: float, thickness: float, size: int, generator: np.random.Generator
) -> np.ndarray:
    """The image of a slab, blurred and noisy: (GRID, GRID) -> (size, size), both in HU."""
    return np.asarray(blur(slab, kernel, size) + noise(kernel, dose, thickness, size, generator))
