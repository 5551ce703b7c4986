"""Thumbnails and nearest neighbours, against averages and distances by hand and by SciPy."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ganatomy.integrity.features import Features
from ganatomy.integrity.nearest import closest, mirror_thumbnails, nearest, ratio, thumbnails


def test_thumbnails_are_area_averages() -> None:
    images = np.random.default_rng(0).normal(size=(3, 2, 32, 48))
    vectors = thumbnails(images)
    assert vectors.shape == (3, 512)
    blocks = images.reshape(3, 2, 16, 2, 16, 3).mean((3, 5)).reshape(3, -1)
    assert np.allclose(vectors * np.sqrt(512), blocks)
    odd = np.arange(20.0) * np.ones((1, 1, 20, 1))  # 20 -> 16: each takes 1.25 pixels
    assert thumbnails(odd)[0, 0] * 16 == pytest.approx((0 * 1 + 1 * 0.25) / 1.25)
    assert np.allclose(thumbnails(np.full((1, 1, 7, 7), 3.0)), 3 / 16)  # also from fewer pixels
    assert np.allclose(mirror_thumbnails(vectors), thumbnails(images[..., ::-1]))
    assert thumbnails(np.zeros((0, 1, 8, 8))).shape == (0, 256)


def test_a_distance_is_a_root_mean_square() -> None:
    a, b = thumbnails(np.zeros((1, 1, 32, 32)))[0], thumbnails(np.full((1, 1, 32, 32), 7.0))[0]
    assert np.linalg.norm(a - b) == pytest.approx(7)
    assert np.linalg.norm(thumbnails(np.full((1, 1, 32, 32), 7.0), scale=np.array([3.5]))[0]) == pytest.approx(2)


def test_nearest_by_hand() -> None:
    train = Features(np.array([[0.0], [1.0], [10.0]]), ("x",), ("a", "a", "b"))
    d1, relative, index = nearest(train, np.array([[2.0], [10.0], [6.0]]))
    assert d1.tolist() == [1, 0, 4]
    assert relative.tolist() == [1 / 8, 0, 4 / 5]  # the other patient, not the other image
    assert index.tolist() == [1, 2, 2]
    flipped = nearest(train, np.array([[-10.0]]), lambda x: -x)
    assert (flipped[0][0], flipped[2][0]) == (0, 2)


@pytest.mark.parametrize("mirror", [None, lambda x: -x], ids=["plain", "mirrored"])
def test_nearest_is_what_all_distances_say(mirror) -> None:  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(0)
    train = Features(
        1e3 + generator.normal(size=(90, 7)), tuple("abcdefg"), tuple(f"p{i // 3}" for i in range(90))
    )  # far from 0, where products lose digits
    queries = np.concatenate([train.values[:5], -train.values[5:9], 1e3 + generator.normal(size=(300, 7))])
    between = cdist(queries, train.values)
    if mirror:
        between = np.minimum(between, cdist(-queries, train.values))
    owner = train.owners
    second = np.where(owner[between.argmin(1)][:, None] == owner[None], np.inf, between).min(1)
    distance, ratio, index = nearest(train, queries, mirror)
    assert np.allclose(distance, between.min(1), rtol=1e-9, atol=0)
    assert (index == between.argmin(1)).all()
    assert np.allclose(ratio, between.min(1) / second)


def test_the_closest_come_first() -> None:
    train, queries = (Features(np.array(x)[:, None], ("x",)) for x in ([0.0, 5.0], [4.0, 9.0, 0.5]))
    rows, originals, distances = closest(train, queries, 2)
    assert (rows.tolist(), originals.tolist(), distances.tolist()) == ([2, 0], [0, 1], [0.5, 1.0])
    assert len(closest(train, queries.take(np.arange(0)), 3)[0]) == 0
    assert ratio(np.array([0.0, 1.0, 0.0]), np.array([0.0, 4.0, 2.0])).tolist() == [1, 0.25, 0]
