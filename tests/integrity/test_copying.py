"""Copies are found, at the rate that is promised; fresh, smooth or monotonous images are not called copies."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ganatomy.integrity.copying import (
    closest,
    copying_findings,
    detectable,
    mirror_thumbnails,
    nearest,
    suspects,
    tail,
    thumbnails,
)
from ganatomy.integrity.features import Features


def pictures(n: int, generator: np.random.Generator) -> np.ndarray:
    """(n, 1, 32, 32) smooth random textures."""
    return gaussian_filter(generator.normal(size=(n, 1, 32, 32)), (0, 0, 2.5, 2.5)) * 10


def sets(
    seed: int, copies: int = 0, *, holdout: int = 100, noise: float = 0.0, flip: bool = False, shrink: float = 1.0
):  # type: ignore[no-untyped-def]
    """Thumbnails of 150 training images, one per holdout patient, and 100 synthetic ones whose first are copies."""
    generator = np.random.default_rng(seed)
    train, real, synthetic = (pictures(n, generator) for n in (150, holdout, 100))
    synthetic *= shrink
    synthetic[:copies] = train[:copies, :, :, :: -1 if flip else 1]
    synthetic[:copies] += noise * train.std() * generator.normal(size=(copies, 1, 32, 32))
    names = tuple(map(str, range(256)))
    of = lambda x, who: Features(thumbnails(x), names, tuple(f"{who}{i}" for i in range(len(x))) if who else ())  # noqa: E731
    return of(train, "t"), of(real, "h"), of(synthetic, "")


def find(*args, **options):  # type: ignore[no-untyped-def]
    (found,) = copying_findings("pixels", "c", *sets(*args, **options), 0, mirror_thumbnails)
    return found


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


def test_the_tail_test_has_its_size() -> None:
    """Exchangeable numbers: p < .01 in no more than about 1 of 100 trials."""
    generator = np.random.default_rng(0)
    p = [tail(generator.normal(size=80), generator.normal(size=100))[2] for _ in range(3000)]
    assert 0.001 < np.mean(np.array(p) < 0.01) <= 0.01 + 3 * (0.01 * 0.99 / 3000) ** 0.5
    assert tail(np.arange(5.0) + 9, np.arange(10.0))[:2] == (0, 1.0)


def test_the_promised_power() -> None:
    """At the share `detectable` names, planted copies are found in four of five trials, below it in fewer."""
    generator, m, n = np.random.default_rng(0), 100, 100
    copies = round(detectable(m, n) * m)
    rate = {}
    for planted in (copies, copies - 3):
        g = generator.normal(size=(1500, m))
        g[:, :planted] = -99
        rate[planted] = np.mean([tail(row, generator.normal(size=n))[2] < 0.01 for row in g])
    assert rate[copies] >= 0.77
    assert rate[copies - 3] < 0.77


def test_clean_generators_pass() -> None:
    found = [find(seed) for seed in range(20)]
    states = [f.state for f in found]
    assert states.count("pass") >= 18  # either test rejects 1 of 100 by its level
    assert "fail" not in states
    assert "or more of the images were copies, the test would have noticed" in found[0].note


@pytest.mark.parametrize("options", [{}, {"noise": 0.1}, {"flip": True}], ids=["exact", "near", "mirrored"])
def test_copies_fail(options) -> None:  # type: ignore[no-untyped-def]
    found = [find(seed, 15, **options) for seed in range(8)]
    assert [f.state for f in found] == ["fail"] * 8
    if options != {"noise": 0.1}:
        assert find(0, 1, **options).state == "fail"  # a single exact copy is one
        assert "1 of 100 synthetic images equal a training image" in find(0, 1, **options).note
        assert find(0, 1, holdout=5, **options).state == "fail"
    assert found[0].bar[1] >= found[0].yardstick  # type: ignore[operator, index]


def test_monotonous_images_are_not_called_copies() -> None:
    """Images of less contrast lie nearer to all training images: the plain distance test would reject."""
    train, holdout, synthetic = sets(0, shrink=0.5)
    g, h = (nearest(train, x.values, mirror_thumbnails)[0] for x in (synthetic, holdout))
    assert tail(g, h)[2] < 0.01
    found = [find(seed, shrink=0.5) for seed in range(5)]
    assert {f.state for f in found} == {"inconclusive"}
    assert "no nearer to one patient than to the next" in found[0].note


def test_too_few_holdout_patients() -> None:
    found = find(0, holdout=40)
    assert found.state == "inconclusive"
    needed = int(found.note.split("; ")[1].split()[0])
    assert detectable(100, needed) <= 0.10 < detectable(100, needed - 5)


def test_slices_of_one_patient_count_once() -> None:
    train, holdout, synthetic = sets(0)
    few = Features(holdout.values, holdout.names, tuple(str(i // 10) for i in range(100)))
    (found,) = copying_findings("pixels", "c", train, few, synthetic, 0)
    assert (found.n_images, found.n_patients, found.yardstick) == (100, 10, 2 / 11)
    assert found.state == "inconclusive"


def test_suspects_and_pairs_name_the_copies() -> None:
    train, holdout, synthetic = sets(0, 12, noise=0.05)
    named = suspects(train, holdout, synthetic, 0, mirror_thumbnails)
    assert set(range(12)) <= set(named.tolist())
    assert len(named) <= 14
    rows, originals, distances = closest(train, synthetic, 12, mirror_thumbnails)
    assert sorted(rows.tolist()) == sorted(originals.tolist()) == list(range(12))
    assert (np.diff(distances) >= 0).all()
    assert len(suspects(*sets(1), 0)) == 0
    assert len(closest(train, synthetic.take(np.arange(0)), 3)[0]) == 0
    exact = sets(0, 2, holdout=4)  # p cannot be small with 4 holdout patients, equality can be seen
    assert suspects(*exact, 0).tolist() == [0, 1]


def test_a_blank_image_is_nobodys_copy() -> None:
    train, holdout, synthetic = sets(0)
    values, fake = train.values.copy(), synthetic.values.copy()
    values[:2], fake[:3] = 0, 0
    shared = Features(values, train.names, train.patients)
    (found,) = copying_findings("pixels", "c", shared, holdout, Features(fake, synthetic.names), 0)
    assert found.state != "fail"
    values[1] = 1  # now it is the image of one patient
    (found,) = copying_findings("pixels", "c", shared, holdout, Features(fake, synthetic.names), 0)
    assert (found.state, found.note[:8]) == ("fail", "3 of 100")


def test_duplicates_in_the_holdout_blind_the_test() -> None:
    train, holdout, synthetic = sets(0)
    values = holdout.values.copy()
    values[:3] = train.values[:3]
    leaky = Features(values, holdout.names, holdout.patients)
    (found,) = copying_findings("pixels", "c", train, leaky, synthetic, 0)
    assert found.state == "inconclusive"
    assert "duplicates" in found.note
