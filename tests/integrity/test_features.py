"""Scale from train alone, rows by patient, samples of equal size, and what falls out is said."""

import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.integrity.features import (
    CLIP,
    Features,
    clopper_pearson,
    half,
    one_per_patient,
    prepare,
    sample,
    settle,
    too_small,
    undefined_findings,
)

NAMES = ("a", "b", "c", "d")


def of(values: list[list[float]], patients: tuple[str, ...] = ()) -> Features:
    return Features(np.array(values, float), NAMES, patients)


def test_scale_comes_from_train_alone() -> None:
    generator = np.random.default_rng(0)
    train, other = generator.normal(5, 3, (999, 1)), generator.normal(50, 9, (20, 1))
    one = prepare(*(Features(x, ("a",)) for x in (train, train[:50], other)))
    two = prepare(*(Features(x, ("a",)) for x in (train, train[:50], other * 2)))
    assert np.array_equal(one.train.values, two.train.values)
    assert np.array_equal(one.holdout.values, two.holdout.values)
    assert abs(np.median(one.train.values)) < 1e-12
    assert one.train.values.std() == pytest.approx(1, abs=0.1)
    assert one.synthetic.values.max() == CLIP


def test_what_is_left_out_is_said() -> None:
    rows = [[1.0, 7.0, 0.0, i] for i in range(20)]
    rows[3][0] = 2.0  # IQR 0: the standard deviation stands in
    for row in rows[:5]:
        row[2] = np.nan  # a quarter undefined: the column goes
    rows[0][3] = np.inf  # one row undefined: the row goes
    synthetic = [[1.0, 8.0, 0.0, 1.0]] * 4
    data = prepare(of(rows), of(rows[10:]), of(synthetic))
    assert data.train.names == ("a", "d")
    assert len(data.train) == 19
    assert "1 of 20 train images" in data.note
    assert "2 of 4 features are constant or undefined in train" in data.note
    assert "constant in train but not in synthetic: b" in data.note
    with pytest.raises(InputError, match="different feature columns"):
        prepare(of(rows), of(rows), Features(np.ones((2, 1)), ("z",)))


def test_undefined_synthetic_images_cannot_pass_unseen() -> None:
    real = np.random.default_rng(0).normal(size=(100, 4))
    broken = real.copy()
    broken[:40, 2] = np.nan
    train, good, bad = of(real, tuple(map(str, range(100)))), of(real), of(broken)
    (failed,) = undefined_findings("x", train, train, bad)
    (passed,) = undefined_findings("x", train, train, good)
    assert (failed.state, passed.state) == ("fail", "pass")
    assert failed.value == 0.4
    state, note = settle(0, 0, 0, ("<=", 1), prepare(train, train, bad))
    assert (state, settle(0, 0, 0, ("<=", 1), prepare(train, train, good))[0]) == ("inconclusive", "pass")
    assert "40 of 100 synthetic images" in note
    assert undefined_findings("x", train, train, of(real).take(np.arange(0)))[0].state == "not computed"


def test_rows_stay_with_their_patients() -> None:
    patients = tuple("aaabbbbcd")
    features = of([[i, 0, 0, 0] for i in range(9)], patients)
    one = one_per_patient(features, np.random.default_rng(0))
    assert sorted(one.patients) == ["a", "b", "c", "d"]
    seen = {one_per_patient(features, np.random.default_rng(s)).values[:, 0].tobytes() for s in range(30)}
    assert len(seen) > 10  # the image of a patient is a draw
    part = half(features, np.random.default_rng(1))
    assert part.n_patients == 2
    assert all(part.patients.count(who) == patients.count(who) for who in part.patients)
    assert len(half(of([[0] * 4] * 7), np.random.default_rng(0))) == 4  # every synthetic row is its own


def test_sets_are_compared_at_one_size() -> None:
    generator = np.random.default_rng(0)
    sets = [
        Features(generator.normal(size=(n, 2)), ("a", "b"), tuple(str(i // 3) for i in range(n)) if n < 150 else ())
        for n in (120, 60, 150)
    ]
    sizes = []

    def measure(t: Features, h: Features, s: Features) -> np.ndarray:
        sizes.append((len(t), len(h), len(s)))
        assert len(np.unique(h.values, axis=0)) == len(h)  # no row twice
        return np.array([h.values.mean()])

    whole, halves = sample(measure, prepare(*sets), 0, "test", 30)
    assert sizes == [(60, 60, 60)] * 20 + [(30, 30, 30)] * 60  # a half has twice as many rows as are compared
    assert np.ptp(whole) < 1e-12 < np.ptp(halves)
    again = sample(measure, prepare(*sets), 0, "test", 30)[1]
    assert np.array_equal(halves, again)
    assert not np.array_equal(halves, sample(measure, prepare(*sets), 1, "test", 30)[1])
    sizes.clear()
    sample(measure, prepare(sets[1], sets[1], sets[2].take(np.arange(60))), 0, "test", 30)
    assert sizes == [(60, 60, 60)] + [(30, 30, 30)] * 30  # nothing is drawn twice where every draw is the same


def test_an_embedding_keeps_its_scale() -> None:
    rows = np.random.default_rng(0).normal(100, 5, (50, 4))
    rows[3, 1] = np.nan
    data = prepare(of(rows), of(rows), of(rows), scaled=False)  # type: ignore[arg-type]
    assert np.array_equal(data.holdout.values, np.delete(rows, 3, 0))


def test_halves_scatter_as_the_whole_does() -> None:
    """Variance of a mean over halves by patient against its true variance over fresh cohorts."""
    generator = np.random.default_rng(0)

    def cohort() -> Features:
        own = np.repeat(generator.normal(size=40), 5)
        return Features((own + generator.normal(size=200))[:, None], ("a",), tuple(str(i // 5) for i in range(200)))

    truth = np.var([cohort().values.mean() for _ in range(400)])
    spread = [
        np.var([half(c, np.random.default_rng(s)).values.mean() for s in range(100)])
        for c in [cohort() for _ in range(20)]
    ]
    assert np.mean(spread) / truth == pytest.approx(1, abs=0.2)


def test_clopper_pearson() -> None:
    assert clopper_pearson(0, 10) == pytest.approx((0, 0.3085), abs=1e-4)
    assert clopper_pearson(10, 10) == pytest.approx((0.6915, 1), abs=1e-4)
    assert clopper_pearson(3, 20) == pytest.approx((0.0321, 0.3789), abs=1e-4)


def test_images_that_were_left_out_are_no_missing_images() -> None:
    names = tuple(f"f{i}" for i in range(20))
    values = np.random.default_rng(0).normal(size=(12, 20))
    train, holdout = (Features(values, names, tuple(f"{who}{i}" for i in range(12))) for who in "th")
    holes = values.copy()
    holes[np.arange(12), np.arange(12)] = np.nan
    reason = too_small(prepare(train, holdout, Features(holes, names)), 12, 5)
    assert reason.startswith("synthetic has 0 images of this class with all features defined, this measure needs 12")
    assert "12 of 12 synthetic images have undefined features" in reason
    one = prepare(train, holdout.take(np.arange(1)), Features(values, names))
    assert too_small(one, 12, 5).startswith("holdout has 1 image of 1 patient of this class, this measure needs 12")
