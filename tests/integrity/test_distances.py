"""Distances against scipy, bounds against their promise, permutations against their level."""

import math
import time

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from ganatomy.integrity.distances import gaps, ks, max_t, shifted, wasserstein
from ganatomy.integrity.features import Features

LEVEL = 0.002


def of(values: np.ndarray, patients: tuple[str, ...] = ()) -> Features:
    return Features(values, tuple(map(str, range(values.shape[1]))), patients)


def test_distances_are_scipys() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(37, 4)), generator.normal(0.5, 1, size=(91, 4))
    a[:, 0], b[:, 0] = np.round(a[:, 0]), np.round(b[:, 0])  # ties
    a[:, 1], b[:, 1] = 1, 1
    for column, (d, w) in enumerate(zip(ks(a, b), wasserstein(a, b), strict=True)):
        assert d == pytest.approx(ks_2samp(a[:, column], b[:, column]).statistic, abs=1e-6)
        assert w == pytest.approx(wasserstein_distance(a[:, column], b[:, column]), abs=1e-5)
    found = gaps(of(a), of(b))
    assert np.allclose(found.distance, ks(a, b), atol=1e-6)
    assert np.allclose(found.area, wasserstein(a, b), atol=1e-5)
    assert (found.error > 0)[2:].all()
    assert (found.distance <= found.high).all()


def test_spread_is_that_of_a_bootstrap_by_patient() -> None:
    """The upper bound with one row of b far away is F's own error: compare it with resampled patients."""
    generator = np.random.default_rng(1)
    sizes = generator.integers(1, 12, size=60)
    owners = np.repeat(np.arange(60), sizes)
    values = generator.normal(size=60)[owners] + 0.5 * generator.normal(size=len(owners))
    real, other = of(values[:, None], tuple(map(str, owners))), of(np.linspace(-3, 3, 4001)[:, None])
    at_zero = []
    below = np.bincount(owners, values <= 0)
    for _ in range(4000):
        some = generator.integers(0, 60, 60)
        at_zero.append(below[some].sum() / sizes[some].sum())
    # the images are worth F (1 - F) / variance independent ones, at F = 1/2
    f = (values <= 0).mean()
    assert gaps(other, real).worth[0] == pytest.approx(f * (1 - f) / np.var(at_zero), rel=0.15)
    assert gaps(other, of(values[:, None])).worth[0] == pytest.approx(len(values), rel=0.01)


@pytest.mark.parametrize(("images", "alike"), [(1, 0.0), (10, 0.7)])
def test_the_upper_bound_covers(images: int, alike: float) -> None:
    """The bound lies below the truth in 5 % of samples where two values leave one place for a gap, in fewer else."""
    generator, truth = np.random.default_rng(2), math.erf(0.25 / math.sqrt(2))  # of a shift by 0.5: 0.197
    owners = tuple(str(i // images) for i in range(60 * images))
    hidden = np.repeat(generator.normal(size=(60, 600)), images, 0) * math.sqrt(alike)
    real = hidden + math.sqrt(1 - alike) * generator.normal(size=hidden.shape)
    made = generator.normal(0.5, 1, size=(150, 600))
    found = gaps(of(made), of(real, owners))
    assert (found.high < truth).mean() <= 0.05
    assert np.median(found.high) < 0.4
    two = gaps(of((made > 0.25).astype(float)), of((real > 0.25).astype(float), owners))
    assert 0.02 < (two.high < truth).mean() < 0.09
    assert 0.02 < (two.distance - 1.67 * two.error > truth).mean() < 0.09
    highest = found.high.reshape(60, 10).max(1)  # of ten features at a time: no correction is needed
    assert (highest < truth).mean() <= 0.05


def test_chance_is_what_two_samples_of_one_population_give() -> None:
    generator = np.random.default_rng(3)
    found = gaps(of(generator.normal(size=(80, 300))), of(generator.normal(size=(50, 300))))
    assert found.chance.mean() == pytest.approx(found.area.mean(), rel=0.05)
    x = np.abs(generator.normal(0.3, 0.4, size=200000)).mean()
    assert shifted(np.array(0.4 * math.sqrt(2 / math.pi)), 0.3) == pytest.approx(x, rel=0.01)


def test_max_t_has_its_level() -> None:
    """Equal populations of correlated features: any p <= 0.1 in no more than about a tenth of trials."""
    generator = np.random.default_rng(4)
    rejected, typical, alone = 0, 0, 0
    for _ in range(150):
        values = generator.normal(size=(70, 2)) @ generator.normal(size=(2, 12)) + 0.3 * generator.normal(size=(70, 12))
        p, area = max_t(values[:30], values[30:], 0.1, generator)
        rejected += p.min() <= 0.1
        typical += area <= 0.1
        alone += min(ks_2samp(values[:30, i], values[30:, i]).pvalue for i in range(12)) <= 0.1
    for count in (rejected, typical):
        assert 3 <= count <= 15 + 3 * (150 * 0.1 * 0.9) ** 0.5  # nor is it idle
    assert alone > 2 * rejected  # the alarm that is avoided


def test_thousands_of_permutations_are_fast() -> None:
    generator = np.random.default_rng(5)
    a, b = generator.normal(size=(200, 30)), generator.normal(1, 1, size=(200, 30))
    start = time.process_time()
    p, area = max_t(a, b, LEVEL, generator)
    assert time.process_time() - start < 2
    assert max(p.max(), area) == 1 / 2001
    assert area <= LEVEL / 4


def test_slices_taken_for_patients_would_be_alarms(world) -> None:  # type: ignore[no-untyped-def]
    alarms = 0
    for seed in range(10):
        _, holdout, synthetic = world(seed, train=2, holdout=30, images=20, alike=0.8, synthetic=300)
        alarms += max_t(holdout.values, synthetic.values, 0.05, np.random.default_rng(seed))[0].min() <= 0.05
    assert alarms >= 3  # one in twenty is what the level allows
