"""Distances against scipy, bounds against their promise; no alarm without a difference, none from slices."""

import math
import time

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from ganatomy.integrity.features import Features
from ganatomy.integrity.marginals import (
    COLUMNS,
    gaps,
    ks,
    marginal_findings,
    marginal_table,
    max_t,
    shifted,
    wasserstein,
)

LEVEL = 0.002


def states(world, seed: int, level: float = LEVEL, **options) -> list[str]:  # type: ignore[no-untyped-def]
    return [f.state for f in marginal_findings("x", "c", *world(seed, **options), seed, level=level)]


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
    assert (found.low <= found.distance).all()
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
    assert 0.02 < (two.low > truth).mean() < 0.09


def test_chance_is_what_two_samples_of_one_population_give() -> None:
    generator = np.random.default_rng(3)
    found = gaps(of(generator.normal(size=(80, 300))), of(generator.normal(size=(50, 300))))
    assert found.chance.mean() == pytest.approx(found.area.mean(), rel=0.05)
    x = np.abs(generator.normal(0.3, 0.4, size=200000)).mean()
    assert shifted(np.array(0.4 * math.sqrt(2 / math.pi)), 0.3) == pytest.approx(x, rel=0.01)


def test_max_t_has_its_level() -> None:
    """Equal populations of correlated features: any p <= 0.1 in no more than about a tenth of trials."""
    generator = np.random.default_rng(4)
    rejected, alone = 0, 0
    for _ in range(150):
        values = generator.normal(size=(70, 2)) @ generator.normal(size=(2, 12)) + 0.3 * generator.normal(size=(70, 12))
        p, area = max_t(values[:30], values[30:], 0.1, generator)
        rejected += min(p.min(), area) <= 0.1
        alone += min(ks_2samp(values[:30, i], values[30:, i]).pvalue for i in range(12)) <= 0.1
    assert rejected <= 15 + 3 * (150 * 0.1 * 0.9) ** 0.5
    assert rejected >= 3  # nor is it idle
    assert alone > 2 * rejected  # the alarm that is avoided


def test_thousands_of_permutations_are_fast() -> None:
    generator = np.random.default_rng(5)
    a, b = generator.normal(size=(200, 30)), generator.normal(1, 1, size=(200, 30))
    start = time.process_time()
    p, area = max_t(a, b, LEVEL, generator)
    assert time.process_time() - start < 2
    assert max(p.max(), area) == 1 / 2000


def test_a_clean_generator_passes_at_500(world) -> None:  # type: ignore[no-untyped-def]
    found = [states(world, seed, train=500, holdout=500, synthetic=500) for seed in range(10)]
    assert "fail" not in [state for one in found for state in one]
    assert sum(set(f) == {"pass"} for f in found) >= 8


@pytest.mark.parametrize(
    "options",
    [
        {"train": 100, "holdout": 60, "synthetic": 150},
        {"train": 30, "holdout": 30, "images": 20, "alike": 0.5, "synthetic": 300},
        {"train": 30, "holdout": 30, "images": 20, "alike": 0.8, "synthetic": 400},
    ],
    ids=["one image each", "slices 0.5", "slices 0.8"],
)
def test_false_alarms(world, options) -> None:  # type: ignore[no-untyped-def]
    """Level 0.05: at most 2 are expected of 40; 7 or more come once in 300."""
    found = [states(world, seed, level=0.05, **options) for seed in range(40)]
    assert sum("fail" in f for f in found) <= 6
    assert not any(f[0] == "pass" for f in found)  # 60 or 30 patients cannot show that features are equal


def test_slices_taken_for_patients_would_be_alarms(world) -> None:  # type: ignore[no-untyped-def]
    alarms = 0
    for seed in range(10):
        _, holdout, synthetic = world(seed, train=2, holdout=30, images=20, alike=0.8, synthetic=300)
        alarms += max_t(holdout.values, synthetic.values, 0.05, np.random.default_rng(seed))[0].min() <= 0.05
    assert alarms >= 3  # one in twenty is what the level allows


def shift(train: Features, synthetic: Features) -> Features:
    return Features(synthetic.values + 0.2 * train.values.std(0), synthetic.names)


def noise(train: Features, synthetic: Features) -> Features:
    added = np.random.default_rng(0).normal(size=synthetic.values.shape)
    return Features(synthetic.values + train.values.std(0) * added, synthetic.names)


@pytest.mark.parametrize(("defect", "n", "least"), [(shift, 500, 4), (noise, 200, 4), (noise, 500, 5)])
def test_planted_differences_fail(world, defect, n: int, least: int) -> None:  # type: ignore[no-untyped-def]
    caught = 0
    for seed in range(5):
        train, holdout, synthetic = world(seed, train=n, holdout=n, synthetic=n)
        found = marginal_findings("x", "c", train, holdout, defect(train, synthetic), seed, level=LEVEL)
        caught += "fail" in [f.state for f in found]
    assert caught >= least


@pytest.mark.parametrize("n", [200, 500])
def test_broken_dependence_alone_does_not_fail(world, n: int) -> None:  # type: ignore[no-untyped-def]
    """The typical difference may alarm a little more often than its level here (1 of 60 at n = 200 was seen)."""
    failed = []
    for seed in range(8):
        train, holdout, synthetic = world(seed, train=n, holdout=n, synthetic=n)
        broken = Features(np.random.default_rng(seed).permuted(synthetic.values, axis=0), synthetic.names)
        found = marginal_findings("x", "c", train, holdout, broken, seed, level=LEVEL)
        assert found[0].state != "fail"
        failed.append(found[1].state == "fail")
    assert sum(failed) <= 1


def test_one_feature_of_many_is_named(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0, train=300, holdout=300, synthetic=300)
    values = synthetic.values.copy()
    values[:, 7] += 0.8 * values[:, 7].std()
    sets = (train, holdout, Features(values, synthetic.names))
    first, second = marginal_findings("x", "c", *sets, 0, level=LEVEL)
    assert first.state == "fail"
    assert "1 of 12 features" in first.note
    assert "f7 (D 0." in first.note
    assert second.state != "fail"  # the typical feature does not differ
    table = marginal_table("c", *sets, 0, level=LEVEL)
    assert table.loc[table["p"] <= LEVEL, "feature"].tolist() == ["f7"]
    assert table["q"].idxmin() == 7


def test_small_sets_say_how_many_would_do(world) -> None:  # type: ignore[no-untyped-def]
    first, _ = marginal_findings("x", "c", *world(0, holdout=60, synthetic=100), 0, level=LEVEL)
    assert first.state == "inconclusive"
    assert "about 400 holdout patients and 400 synthetic images would show it" in first.note
    enough = [states(world, s, train=400, holdout=400, synthetic=400)[0] for s in range(10)]
    assert enough.count("pass") >= 7
    slices = {"train": 30, "holdout": 30, "images": 20, "alike": 0.5, "synthetic": 2000}
    first, _ = marginal_findings("x", "c", *world(0, **slices), 0, level=LEVEL)
    assert 40 <= int(first.note.split("about ")[1].split()[0]) <= 200  # images of one patient are worth some, not 20
    assert "fail" in states(world, 0, holdout=30, defect=lambda z: z + 4)  # what is seen, is seen


def test_a_real_shift_between_train_and_holdout_moves_the_bar(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0)
    moved = Features(holdout.values + 2, holdout.names, holdout.patients)
    first, second = marginal_findings("x", "c", train, moved, synthetic, 0)
    assert (first.yardstick, first.value) == (0, 0)
    assert first.state == "inconclusive"
    assert "train itself differs from holdout in 12 features" in first.note
    assert second.state in ("pass", "inconclusive")
    assert second.bar[1] > second.yardstick > 1  # type: ignore[operator, index]


def test_undefined_images_are_no_pass(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0, train=600, holdout=600, synthetic=700)
    assert states(world, 0, train=600, holdout=600, synthetic=700) == ["pass", "pass"]
    values = synthetic.values.copy()
    values[:100, 0] = np.nan
    for found in marginal_findings("x", "c", train, holdout, Features(values, synthetic.names), 0):
        assert found.state == "inconclusive"
        assert "100 of 700 synthetic images" in found.note


def test_table(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=400, holdout=200, synthetic=300, defect=lambda z: z + np.array([2, 0, 0]))
    table = marginal_table("c", *sets, 0)
    assert tuple(table.columns) == COLUMNS
    assert list(table["feature"]) == [f"f{i}" for i in range(12)]
    assert (table["high"] >= table["D"]).all()
    worst = table["D"].idxmax()
    shift_seen = abs(sets[2].values.mean(0) - sets[1].values.mean(0))[worst] / sets[0].values.std(0)[worst]
    assert table["W1"][worst] == pytest.approx(shift_seen, rel=0.15)  # of a pure shift W1 is the shift
    assert table["D_real"].max() < 0.2 < table["D"][worst]
    assert table["W1_real"].mean() == pytest.approx(table["W1_chance"].mean(), rel=0.6)
    first, second = marginal_findings("x", "c", *sets, 0)
    assert first.value == pytest.approx((table["high"] < 0.15).mean())
    assert second.value == pytest.approx(table["W1"].mean())
    again = marginal_findings("x", "c", *sets, 0)
    assert [first, second] == again
    assert marginal_table("c", sets[0].take(np.arange(0)), *sets[1:], 0).empty
