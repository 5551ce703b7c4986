"""Correlation and SSIM against scikit-image; copies are found through shifts and mirrors, and where they are."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity as reference

from ganatomy.integrity.likeness import REACH, areas, likeness, reduced, structural_similarity


def pictures(n: int, seed: int, channels: int = 1, side: int = 40) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, channels, side, side))
    return gaussian_filter(noise, (0, 0, 2, 2)).astype(np.float32)


def whose(n: int) -> tuple[np.ndarray, np.ndarray]:
    return -1 - np.arange(n), np.arange(n)


def test_ssim_is_scikit_images() -> None:
    a, b = pictures(3, 0), pictures(3, 1)
    mixed = (a + 0.3 * b).astype(np.float32)
    ours = structural_similarity(a, 5 * mixed + 2)
    for i in range(3):
        x, y = ((z[i, 0] - z[i, 0].mean()) / z[i, 0].std() for z in (a, mixed))
        theirs = reference(x, y, data_range=6, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        assert ours[i] == pytest.approx(theirs, abs=1e-5)
    assert np.allclose(structural_similarity(a, a), 1)


def test_the_correlation_is_that_of_the_aligned_windows() -> None:
    images, query = pictures(6, 0, 2), pictures(4, 1, 2)
    found = likeness(query, -1 - np.arange(4), images, np.arange(6))
    r = REACH
    for i in range(4):
        q = [query, query[..., ::-1], query[:, :, ::-1]][found.flip[i]][i][:, r:-r, r:-r]
        y, x = found.shift[i] + r
        w = images[found.index[i]][:, y : y + 32, x : x + 32]
        q, w = (z - z.mean((1, 2), keepdims=True) for z in (q, w))
        assert 1 - found.first[i] == pytest.approx((q * w).sum() / np.sqrt((q**2).sum() * (w**2).sum()), abs=1e-5)
        assert found.first[i] <= found.second[i]


@pytest.mark.parametrize("slices", [1, 5])
def test_copies_are_found_where_they_are(slices: int) -> None:
    images = pictures(100, 0)
    shifts = [(dy, dx) for dy in (-4, -1, 0, 2, 4) for dx in (-3, 0, 1, 4)]
    copies = np.stack([2 * np.roll(images[i], shift, (1, 2)) + 1 for i, shift in enumerate(shifts)])
    copies[5] = copies[5][..., ::-1]
    copies[6] = copies[6][:, ::-1]
    found = likeness(copies, -1 - np.arange(20), images, np.arange(100) // slices)
    assert found.index.tolist() == list(range(20))
    assert found.first.max() < 2e-6 and found.second.min() > 0.1
    assert found.similarity.min() > 0.999
    assert found.flip[[0, 5, 6]].tolist() == [0, 1, 2]
    assert (found.shift[[0, 1, 19]] == -np.array(shifts)[[0, 1, 19]]).all()


def test_nobody_is_like_himself() -> None:
    images = pictures(40, 0)
    images[1] = images[0]
    owners = np.arange(40)
    found = likeness(images, owners, images, owners)
    assert (found.index != owners).all()
    assert found.index[:2].tolist() == [1, 0]
    pairs = likeness(images, owners // 2, images, owners // 2)
    assert (pairs.index // 2 != owners // 2).all()


def test_flat_and_small_images() -> None:
    images = pictures(10, 0, side=12)
    images[3:6] = 0
    found = likeness(images, *whose(10)[:1], images, np.arange(10))
    assert np.isfinite(found.ratio).all()
    assert (found.ratio[3:6] == 1).all()
    assert found.first[[0, 1, 2, 6]].max() < 1e-6


def test_reduced_images_are_area_averages() -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, 128, 96))
    small = reduced(images)
    assert small.shape == (2, 3, 64, 64)
    assert small.mean() == pytest.approx(images.mean(), abs=1e-6)
    assert np.allclose(areas(96, 64).sum(1), 1)
    assert reduced(images[..., :64, :64]) == pytest.approx(images[..., :64, :64], abs=1e-6)
