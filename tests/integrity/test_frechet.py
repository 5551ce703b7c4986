"""The distance against closed forms; clean generators are not accused; shifts and lost variance are."""

import numpy as np
import pytest

from ganatomy.integrity.frechet import frechet, frechet_findings


def states(world, seeds: int, **options) -> list[str]:  # type: ignore[no-untyped-def]
    return [frechet_findings("x", "c", *world(s, **options), s, 40)[0].state for s in range(seeds)]


def test_closed_forms() -> None:
    generator = np.random.default_rng(0)
    a = generator.normal(size=(20000, 3))
    b = generator.normal(size=(20000, 3)) * [1, 2, 0.5] + [3, 0, 0]
    assert frechet(a, b) == pytest.approx(9 + 1 + 0.25, rel=0.03)  # sum (m - m')^2 + (s - s')^2
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a + np.array([0, 2, 0]), means_only=True) == pytest.approx(4)
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]  # a rotation of both changes nothing
    assert frechet(a @ turn, b @ turn) == pytest.approx(frechet(a, b), rel=1e-6)


def test_fewer_images_than_features() -> None:
    generator = np.random.default_rng(0)
    assert np.isfinite(frechet(generator.normal(size=(6, 40)), generator.normal(size=(6, 40))))


def test_a_clean_generator_passes(world) -> None:  # type: ignore[no-untyped-def]
    found = states(world, 8, train=400, holdout=150, synthetic=600)
    assert found.count("pass") >= 6
    assert "fail" not in found


def test_small_means_only_never_accuses(world) -> None:  # type: ignore[no-untyped-def]
    (found,) = frechet_findings("x", "c", *world(0, train=40, holdout=20), 0, 60)
    assert "only the means of the features are compared" in found.note
    assert "fail" not in states(world, 20, train=40, holdout=20)


def test_patients_alike_are_no_false_alarm(world) -> None:  # type: ignore[no-untyped-def]
    assert "fail" not in states(world, 8, train=40, holdout=20, images=5, alike=0.8, synthetic=200)


@pytest.mark.parametrize(
    "defect",
    [lambda z: z + np.array([1.5, 0, 0]), lambda z: z * [0.2, 1, 1], np.abs],
    ids=["shifted mean", "lost variance", "missing modes"],
)
def test_defects_fail(world, defect) -> None:  # type: ignore[no-untyped-def]
    assert states(world, 4, train=300, holdout=150, synthetic=300, defect=defect).count("fail") >= 3


def test_numbers_are_of_one_unit(world) -> None:  # type: ignore[no-untyped-def]
    (found,) = frechet_findings("x", "c", *world(0, defect=lambda z: z + 2), 0, 60)
    assert (found.gate, found.subject, found.n_images, found.n_patients) == ("fidelity", "c", 100, 100)
    assert found.state == "fail"
    assert found.bar == ("<=", 2 * found.yardstick)
    assert found.bar[1] < found.low < found.value < found.high  # type: ignore[operator]
