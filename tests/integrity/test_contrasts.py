"""Intervals and p against closed forms and SciPy, and exact where sets are alike; a shift is seen through chance."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm, ttest_ind, wasserstein_distance

from ganatomy.integrity import contrasts
from ganatomy.integrity.contrasts import share_by_marks, shuffled


def test_a_share_by_marks() -> None:
    """Perfect marks give the ratio of the shares; half-perfect ones too, with a wider interval; useless ones none."""
    generator = np.random.default_rng(0)
    made = generator.random(1000) < 0.1
    sharp = share_by_marks(1.0 * made, np.ones(80), np.zeros(320), 0.2, generator)
    assert sharp is not None
    assert sharp[0] == pytest.approx(made.mean() / 0.2)
    assert sharp[1] < 0.5 < sharp[2]

    def mark(truth):  # type: ignore[no-untyped-def]
        return np.clip(0.4 * truth + 0.2 + 0.2 * generator.normal(size=len(truth)), 0, 1)

    blunt = share_by_marks(mark(made), mark(np.ones(80)), mark(np.zeros(320)), 0.2, generator)
    assert blunt is not None
    assert blunt[0] == pytest.approx(0.5, abs=0.25)
    assert blunt[2] - blunt[1] > sharp[2] - sharp[1]
    assert share_by_marks(mark(made), generator.random(80), generator.random(320), 0.2, generator) is None


def test_wilson_and_differences() -> None:
    hits = np.arange(40) < 6
    interval = binomtest(6, 40).proportion_ci(method="wilson")
    assert contrasts.wilson(hits, np.arange(40)) == pytest.approx((0.15, interval.low, interval.high))
    # 4 images of each of 10 patients: the share is of images, the width that of 10 patients
    assert contrasts.wilson(hits, np.arange(40) // 4)[2] > 0.4
    assert contrasts.difference((0.5, 0.2, 0.6), (0.3, 0.2, 0.7)) == pytest.approx((0.2, -0.3, 0.2 + np.sqrt(0.02)))


def test_p_is_that_of_a_t_test_and_exact() -> None:
    generator = np.random.default_rng(1)
    flags, sides = np.arange(60) < 30, np.arange(60) % 2
    x = generator.normal(size=(60, 3)) + 0.3 * flags[:, None]
    p = shuffled(flags, x, 0.0005, generator, 0 * sides)
    assert p == pytest.approx(ttest_ind(x[:30], x[30:], alternative="greater").pvalue, rel=0.35, abs=0.01)
    p = shuffled(flags, x, 0.0005, generator, 0 * sides, together=True)
    assert p.min() >= shuffled(flags, x, 0.0005, generator, 0 * sides).min()
    draws = [generator.normal(size=(60, 3)) + 5 * sides[:, None] for _ in range(150)]  # sides differ, sets do not
    p = np.array([shuffled(flags, x, 0.01, generator, sides) for x in draws])
    assert 0.05 < (p <= 0.1).mean() < 0.15
    p = np.array([shuffled(flags, x, 0.01, generator, sides, together=True).min() for x in draws])
    assert 0.03 < (p <= 0.1).mean() < 0.18
    assert shuffled(flags, 1.0 * flags[:, None], 0.001, generator, sides)[0] < 0.001
    assert shuffled(flags, x, 0.01, generator, 1 * flags).tolist() == [1, 1, 1]  # nothing may change places


def test_the_distance_is_wasserstein() -> None:
    generator = np.random.default_rng(0)
    reference = generator.normal(size=(4000, 2))
    a, b = generator.normal(size=(500, 2)), generator.normal([0.4, 0], size=(400, 2))
    curves, area = contrasts.distributions(np.concatenate([a, b]), reference)
    distance = np.abs(curves[:500].mean(0) - curves[500:].mean(0)) @ area
    exact = np.mean([wasserstein_distance(a[:, j], b[:, j]) for j in (0, 1)])
    assert distance == pytest.approx(exact, rel=0.15)
    assert area.sum() == pytest.approx(2 * norm.ppf(0.99), rel=0.05)


def test_a_shift_of_one_subgroup() -> None:
    generator = np.random.default_rng(3)
    sets, codes = np.repeat(np.arange(4), 150), np.tile([0, 0, 1, 2, -1], 120)

    def found(by: float):  # type: ignore[no-untyped-def]
        x = generator.normal(size=(600, 8))
        x[(sets >= 2) & (codes == 1)] += by
        curves, area = contrasts.distributions(x, x)
        return contrasts.shifts(curves, area, sets, codes, 0.002, generator)

    one = found(0.8)
    assert one[1].p < 0.002
    assert one[1].numbers[0] == pytest.approx(0.8, abs=0.2)
    assert one[1].numbers[1] > 0.2 > abs(one[1].real)
    assert one[0].p > 0.5
    p = np.array([min(m.p for m in found(0)) for _ in range(60)])
    assert 0.01 < (p <= 0.15).mean() < 0.3


def test_a_shift_seen_through_chance() -> None:
    x = np.random.default_rng(0).normal(scale=0.3, size=200_000)
    chance = np.abs(x).mean()
    by = np.array([0.1, 0.5, 3.0])
    excess = np.array([np.abs(x + b).mean() for b in by]) - chance
    assert contrasts.unfolded(excess, np.full(3, chance)) == pytest.approx(by, rel=0.05)
    assert contrasts.unfolded(-excess, np.full(3, chance)) == pytest.approx(-by, rel=0.05)
    assert contrasts.unfolded(np.zeros(1), np.full(1, chance)) == 0
