"""The distance against closed forms; clean generators are not accused; shifts and lost variance are."""

import math
import re

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.covariance import ledoit_wolf

from ganatomy.core.finding import Finding
from ganatomy.integrity.features import Features, prepare
from ganatomy.integrity.frechet import (
    covariance,
    fid,
    frd_v0,
    frd_v1,
    frechet,
    frechet_findings,
    published,
    settling,
)

LEVEL = 0.05 / 8


def judged(sets, seed: int, resamples: int = 40, level: float = LEVEL, **options) -> Finding:  # type: ignore[no-untyped-def]
    (found,) = frechet_findings("x", "c", *sets, seed=seed, level=level, resamples=resamples, **options)
    return found


def states(world, seeds: int, **options) -> list[str]:  # type: ignore[no-untyped-def]
    return [judged(world(s, **options), s).state for s in range(seeds)]


def test_closed_forms() -> None:
    generator = np.random.default_rng(0)
    a = generator.normal(size=(20000, 3))
    b = generator.normal(size=(20000, 3)) * [1, 2, 0.5] + [3, 0, 0]
    for distance in (frechet, fid):
        assert distance(a, b) == pytest.approx(9 + 1 + 0.25, rel=0.03)  # sum (m - m')^2 + (s - s')^2
        assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)
        assert distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a + np.array([0, 2, 0]), means_only=True) == pytest.approx(4)
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]  # a rotation of both changes nothing
    assert frechet(a @ turn, b @ turn) == pytest.approx(frechet(a, b), rel=1e-6)


@pytest.mark.parametrize("shape", [(6, 40), (200, 5), (50, 1)])
def test_covariance_is_that_of_ledoit_and_wolf(shape: tuple[int, int]) -> None:
    rows = np.exp(np.random.default_rng(0).normal(size=shape)) * np.arange(1, shape[1] + 1)
    assert np.allclose(covariance(rows), ledoit_wolf(rows)[0], rtol=1e-9)
    assert not covariance(np.ones((5, 3))).any()


def test_fewer_images_than_features() -> None:
    generator = np.random.default_rng(0)
    assert np.isfinite(frechet(generator.normal(size=(6, 40)), generator.normal(size=(6, 40))))


# ------------------------------------------------------------ FRD as frd-score 1.0.1 has it


def rows(seed: int, n: int) -> np.ndarray:
    """(n, 4) features of other scales, without a random number generator: the sequence is Weyl's."""
    k = np.arange(1, n + 1)[:, None] + 1000 * seed
    u = (k * np.sqrt([2.0, 3.0, 5.0, 7.0])) % 1
    return np.column_stack([u[:, 0] * 40, 1e3 + u[:, 1] * (1 + u[:, 0]), u[:, 2] ** 2, u[:, 3] + u[:, 2]])


def textbook(a: np.ndarray, b: np.ndarray) -> float:
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    middle = sqrtm(s1 @ s2).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * np.trace(middle))


def test_frd_against_its_definition() -> None:
    a, b = rows(0, 60), rows(3, 45) * [1.1, 1, 1.3, 1]
    low, high = np.concatenate([a, b]).min(0), np.concatenate([a, b]).max(0)
    v0 = textbook(*((x - low) / (high - low) * 7.45670747756958 for x in (a, b)))
    assert frd_v0(a, b) == pytest.approx(v0, rel=1e-9)
    assert frd_v0(b, a) == pytest.approx(v0, rel=1e-9)
    v1 = math.log(textbook(*((x - a.mean(0)) / a.std(0) for x in (a, b))))
    assert frd_v1(a, b) == pytest.approx(v1, rel=1e-3)  # single precision: column 2 is 1000 and a little
    assert frd_v1(a, b, use_paper_log=True) == pytest.approx(frd_v1(a, b) / 2, rel=1e-12)
    assert frd_v1(b, a) != pytest.approx(frd_v1(a, b), rel=1e-3)  # the first set sets the scale


def test_frd_against_the_published_program() -> None:
    """Numbers that frd-score 1.0.1 gave for these rows (its normalisation, statistics and distance)."""
    a, b = rows(0, 60), rows(3, 45) * [1.1, 1, 1.3, 1]
    assert frd_v0(a, b) == pytest.approx(1.1079443930795065, rel=1e-6)
    assert frd_v1(a, b) == pytest.approx(-1.0566855989497967, rel=1e-5)
    a, b = np.column_stack([a, np.ones(60)]), np.column_stack([b, np.linspace(0, 1, 45)])  # constant in a alone
    a[3, 0] = b[7, 2] = np.nan
    assert frd_v0(a, b) == pytest.approx(20.108007225871038, rel=1e-6)
    assert frd_v1(a, b) == pytest.approx(-0.8791775844762826, rel=1e-5)


def test_frd_where_there_is_none() -> None:
    a = rows(0, 20)
    assert math.isnan(frd_v0(a[:1], a)) and math.isnan(frd_v1(a, a[:1]))
    assert math.isnan(frd_v1(np.ones((5, 2)), np.ones((5, 2))))
    assert frd_v0(np.ones((5, 2)), np.ones((5, 2))) == 0


def test_frd_is_told_beside_its_yardstick(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0, train=100, synthetic=100, defect=lambda z: 10 * z + 5)
    told = published(train, holdout, synthetic, 0, "x")
    assert "at 100 images a side and 12 features" in told
    numbers = dict(re.findall(r"FRD (v[01]).* ([-.\d]+), of", told.replace(";", "\n")))
    assert float(numbers["v0"]) == pytest.approx(frd_v0(holdout.values, synthetic.values), rel=0.01)
    assert float(numbers["v1"]) == pytest.approx(frd_v1(holdout.values, synthetic.values), rel=0.01)
    assert f"of training images {frd_v0(holdout.values, train.values):.3g};" in told
    assert told in judged((train, holdout, synthetic), 0).note
    assert published(train, holdout, Features(np.empty((0, 12)), synthetic.names), 0, "x") == ""


def test_fid_of_an_embedding_that_has_more_columns_than_rows() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(12, 60)), generator.normal(size=(9, 60)) * 1.3 + 0.2
    assert fid(a, b) == pytest.approx(textbook(a, b), rel=1e-6)
    assert fid(a, a) == pytest.approx(0, abs=1e-9)


# ------------------------------------------------------------ the gate


def test_a_clean_generator_passes(world) -> None:  # type: ignore[no-untyped-def]
    found = states(world, 8, train=400, holdout=150, synthetic=600)
    assert found.count("pass") >= 6
    assert "fail" not in found
    assert states(world, 6, train=500, holdout=500, synthetic=500) == ["pass"] * 6


def test_what_does_not_matter_passes_however_many_images_there_are(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=3000, holdout=3000, synthetic=3000, defect=lambda z: z + 0.08)
    found = judged(sets, 0, 30)
    assert found.value > 2 * found.yardstick and found.state == "pass"  # type: ignore[operator]
    axis = np.linalg.eigvalsh(np.cov(prepare(*sets).train.values, rowvar=False))[-1]
    assert found.bar == ("<=", pytest.approx(found.yardstick + 0.25**2 * axis))
    assert judged(sets, 0, 30, shift=0.01).state != "pass"


def test_small_means_only_never_accuses(world) -> None:  # type: ignore[no-untyped-def]
    found = judged(world(0, train=40, holdout=20), 0, 60)
    assert "only the means of the features are compared" in found.note
    assert "fail" not in states(world, 30, train=40, holdout=20)


def test_patients_alike_are_no_false_alarm(world) -> None:  # type: ignore[no-untyped-def]
    for seed in range(30):
        sets = world(seed, train=30, holdout=30, images=20, alike=0.8, synthetic=600)
        assert judged(sets, seed, 20).state != "fail"


@pytest.mark.parametrize(
    "defect",
    [lambda z: z + np.array([1.5, 0, 0]), lambda z: z * [0.2, 1, 1], np.abs],
    ids=["shifted mean", "lost variance", "missing modes"],
)
def test_defects_fail(world, defect) -> None:  # type: ignore[no-untyped-def]
    assert states(world, 4, train=300, holdout=150, synthetic=300, defect=defect).count("fail") >= 3


def test_numbers_are_of_one_unit(world) -> None:  # type: ignore[no-untyped-def]
    found = judged(world(0, defect=lambda z: z + 2), 0, 60, shift=0.01)
    assert (found.gate, found.subject, found.n_images, found.n_patients) == ("fidelity", "c", 100, 100)
    assert found.state == "fail"
    assert found.bar == ("<=", 2 * found.yardstick) and "times as far from new patients" in found.note
    assert found.bar[1] < found.low < found.value < found.high  # type: ignore[operator]


def test_level_decides_how_sure_a_fail_must_be(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(2, train=150, holdout=150, synthetic=150, defect=lambda z: z + np.array([1.0, 0, 0]))
    found = {level: judged(sets, 2, 60, level) for level in (0.2, 1e-9)}
    assert found[0.2].state == "fail" and found[1e-9].state == "inconclusive"
    assert "would settle it" in found[1e-9].note
    assert (found[0.2].value, found[0.2].low, found[0.2].high) == (
        found[1e-9].value,
        found[1e-9].low,
        found[1e-9].high,
    )


def test_an_embedding_is_compared_as_it_is(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=80, holdout=80, synthetic=80)
    found = judged(sets, 0, raw=True)
    assert found.name == "FID, x" and "FRD" not in found.note
    assert found.value == pytest.approx(fid(sets[1].values, sets[2].values))
    assert found.yardstick == pytest.approx(fid(sets[1].values, sets[0].values))
    assert judged(world(0, defect=lambda z: z + 2), 0, raw=True).state == "fail"


def test_how_many_would_settle_it() -> None:
    assert "about 400 holdout patients" in settling(100, 4.0)
    assert "about 120 holdout patients" in settling(100, 0.2)  # never fewer than there are
    assert "no realistic number" in settling(100, 1e6, 0.2)  # a narrow interval: near the bar
    wide = settling(20, 1e6, np.log(4))
    assert "about 780 holdout patients" in wide and "factor of 1.25" in wide and "near the bar" not in wide
    assert settling(20, 4.0, np.log(4)) == settling(20, 4.0)
    assert "no realistic number" in settling(1000, 1e6) and "no realistic" not in settling(30, 1e6)


def test_few_images_are_told_how_many_more_would_do(world) -> None:  # type: ignore[no-untyped-def]
    told = 0
    for n in (12, 20, 40):
        for seed in range(4):
            found = judged(world(seed, train=n, holdout=n, synthetic=n), seed, 40)
            assert "no realistic number" not in found.note
            told += found.state == "inconclusive" and re.search(r"about \d+ holdout patients", found.note) is not None
    assert told >= 8
