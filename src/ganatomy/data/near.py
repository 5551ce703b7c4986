"""Near duplicates: one picture twice, with other noise, compression or brightness. Knows pixels and patients, no roles.

Two images are near duplicates if their thumbnails of 16 x 16 pixels correlate by 0.98 or more and what a 3 x 3 blur
takes away correlates by 0.3 or more at up to 64 pixels across. Anatomy makes thumbnails of different people alike; fine
detail and noise are alike only in copies. Shifted, turned or mirrored copies are not found.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

THUMBNAIL, COARSE = 16, 0.98
DETAIL, FINE = 64, 0.3
KEPT = 20_000  # images whose fine detail is kept at a time: 330 MB


def near_duplicates(values: np.ndarray, patients: Sequence[str], hashes: Sequence[str]) -> list[tuple[int, int, float]]:
    """Pairs of images (rows i < j, correlation of their thumbnails) of different patients that show the same picture.

    values: (N, C, H, W); hashes: equal ones are exact copies, which are told elsewhere. Quadratic in N, but a product
    of small matrices: a second for 6,000 images.
    """
    coarse = _unit(np.stack([thumbnail(thumbnail(one, DETAIL)[None], THUMBNAIL) for one in values]))  # (N, <= 256)

    @lru_cache(maxsize=KEPT)
    def fine(row: int) -> np.ndarray:
        grey = thumbnail(values[row], DETAIL)[None]  # (1, <= 64, <= 64)
        return _unit(grey - _blurred(grey))[0]  # type: ignore[no-any-return]

    _, who = np.unique(np.asarray(patients), return_inverse=True)
    _, same = np.unique(np.asarray(hashes), return_inverse=True)
    pairs = []
    for start in range(0, len(values), 1024):
        alike = coarse[start : start + 1024] @ coarse.T  # (<= 1024, N)
        i, j = np.nonzero(alike >= COARSE)
        keep = (i + start < j) & (who[i + start] != who[j]) & (same[i + start] != same[j])
        for a, b in zip(i[keep], j[keep], strict=True):
            if fine(int(a + start)) @ fine(int(b)) >= FINE:
                pairs.append((int(a + start), int(b), float(alike[a, b])))
    return pairs


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """The mean over channels and over blocks of pixels: (C, H, W) -> (<= side, <= side)."""
    grey: np.ndarray = image.mean(0, dtype=np.float64)
    for axis in (0, 1):
        n = grey.shape[axis]
        edges = np.linspace(0, n, min(side, n) + 1).round().astype(int)
        sizes = np.diff(edges)
        grey = np.add.reduceat(grey, edges[:-1], axis) / (sizes[:, None] if axis == 0 else sizes)
    return grey


def _blurred(grey: np.ndarray) -> np.ndarray:
    """The mean of each pixel and its eight neighbours, (N, H, W)."""
    height, width = grey.shape[1:]
    wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    total = np.zeros(grey.shape)
    for y in range(3):
        for x in range(3):
            total += wide[:, y : y + height, x : x + width]
    return total / 9


def _unit(images: np.ndarray) -> np.ndarray:
    """Each image as a row of mean 0 and length 1, so that products are correlations; a constant one as zeros."""
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = np.where(length > 1e-9 * np.abs(images).max(initial=1), flat / np.maximum(length, 1e-300), 0)
    return flat.astype(np.float32)
