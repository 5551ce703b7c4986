"""The two-sample test against scipy; no alarm without a difference, none from slices, and shifts are seen."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ganatomy.integrity.marginals import ks, ks_p, marginal_findings, marginal_table, smallest_sample


def find(world, seed: int, **options):  # type: ignore[no-untyped-def]
    (found,) = marginal_findings("x", "c", *world(seed, **options), seed)
    return found


def test_distance_and_p_are_scipys() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(37, 4)), generator.normal(0.5, 1, size=(37, 4))
    a[:, 0], b[:, 0] = np.round(a[:, 0]), np.round(b[:, 0])  # ties
    distance = ks(a, b)
    for column in range(4):
        reference = ks_2samp(a[:, column], b[:, column], method="exact")
        assert distance[column] == pytest.approx(reference.statistic)
        assert ks_p(distance, 37)[column] == pytest.approx(reference.pvalue, rel=1e-6)
    assert ks_p(np.array([0.0, 1.0]), 10) == pytest.approx([1, 2 / 184756])


def test_smallest_sample() -> None:
    n = smallest_sample()
    assert n == 54
    assert ks_p(np.array([np.ceil(0.3 * n) / n]), n)[0] <= 0.01


def test_a_clean_generator_passes(world) -> None:  # type: ignore[no-untyped-def]
    states = [find(world, seed).state for seed in range(10)]
    assert states.count("pass") >= 9
    assert "fail" not in states


def test_patients_alike_are_no_false_alarm(world) -> None:  # type: ignore[no-untyped-def]
    clustered = {"train": 100, "holdout": 60, "images": 8, "alike": 0.8, "synthetic": 300}
    assert "fail" not in [find(world, seed, **clustered).state for seed in range(10)]
    alarms = []  # the same tables with slices taken for patients: the alarm that is avoided
    for seed in range(10):
        _, holdout, synthetic = world(seed, **clustered)
        p = [ks_2samp(holdout.values[:, i], synthetic.values[:, i]).pvalue for i in range(12)]
        alarms.append(min(p) < 0.05 / 12)
    assert sum(alarms) >= 4


def test_a_shift_fails(world) -> None:  # type: ignore[no-untyped-def]
    found = [find(world, seed, defect=lambda z: z + np.array([1, 0, 0])) for seed in range(5)]
    assert [f.state for f in found].count("fail") >= 4
    assert found[0].value > 0.2
    assert found[0].yardstick <= 0.05


def test_missing_modes_fail(world) -> None:  # type: ignore[no-untyped-def]
    assert [find(world, s, defect=np.abs).state for s in range(5)].count("fail") >= 4


def test_small_sets_are_inconclusive(world) -> None:  # type: ignore[no-untyped-def]
    found = find(world, 0, holdout=30)
    assert found.state == "inconclusive"
    assert "at 30 a side" in found.note
    assert "54 patients" in found.note
    assert find(world, 0, holdout=30, defect=lambda z: z + 4).state == "fail"  # what is seen, is seen


def test_a_real_shift_between_train_and_holdout_moves_the_bar(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0)
    moved = type(holdout)(holdout.values + 2, holdout.names, holdout.patients)
    (found,) = marginal_findings("x", "c", train, moved, synthetic, 0)
    assert found.yardstick == found.value == 1
    assert found.state == "pass"


def test_table(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=400, holdout=200, synthetic=300, defect=lambda z: z + np.array([2, 0, 0]))
    table = marginal_table("c", *sets, 0)
    assert list(table.columns) == ["feature", "D", "p", "q", "W1", "D_real"]
    assert list(table["feature"]) == [f"f{i}" for i in range(12)]
    assert (table["q"] >= table["p"] - 1e-12).all()
    worst = table["D"].idxmax()
    standard = sets[0].values.std(0)[worst]
    shift = abs(sets[2].values.mean(0) - sets[1].values.mean(0))[worst] / standard
    assert table["W1"][worst] == pytest.approx(shift, rel=0.15)  # of a pure shift W1 is the shift
    assert (marginal_findings("x", "c", *sets, 0)[0].value) == pytest.approx((table["q"] <= 0.05).mean())
