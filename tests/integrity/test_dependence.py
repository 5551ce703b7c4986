"""Rank correlations are scipy's; broken dependence is named, shifted values are not; no alarm from slices."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from ganatomy.core.errors import SettingsError
from ganatomy.integrity.dependence import (
    COLUMNS,
    Dependence,
    cluster,
    dependence,
    dependence_findings,
    differences,
    matrix_distance,
    permuted,
    spearman,
)
from ganatomy.integrity.features import Features

LEVEL = 0.002


def states(world, seed: int, level: float = LEVEL, **options) -> list[str]:  # type: ignore[no-untyped-def]
    return [f.state for f in dependence_findings("x", "c", *world(seed, **options), seed, level=level)]


def test_rank_correlations_are_scipys() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(60, 2)) @ generator.normal(size=(2, 5)) + generator.normal(size=(60, 5))
    values[:, 0] = np.round(values[:, 0])  # ties
    assert np.allclose(spearman(values), spearmanr(values).statistic)
    assert np.allclose(spearman(np.exp(values)), spearman(values))
    values[:, 3] = 7  # constant: correlated with nothing
    assert spearman(values)[3].tolist() == [0, 0, 0, 1, 0]


def test_differences_by_hand() -> None:
    a, b = np.eye(3), np.eye(3)
    a[0, 1] = a[1, 0] = 0.9
    b[0, 2] = b[2, 0] = -0.3
    mean, largest, distance = differences(a, b, np.arange(3))
    assert (mean, largest) == (pytest.approx((0.9 + 0.3) / 3), pytest.approx(0.9))
    assert distance == pytest.approx(1 - 3 / np.sqrt((3 + 2 * 0.81) * (3 + 2 * 0.09)))
    assert differences(a, b, np.array([0, 2]))[0] == pytest.approx(0.3)
    assert matrix_distance(a, 2 * a) == pytest.approx(0)
    assert matrix_distance(np.diag([1.0, 0]), np.diag([0, 1.0])) == pytest.approx(1)


def test_clusters_hold_like_features_only() -> None:
    generator = np.random.default_rng(1)
    base = generator.normal(size=(300, 3))
    values = np.concatenate([base, base[:, :1] + 0.1 * generator.normal(size=(300, 4)), -base[:, 1:2]], 1)
    correlation = spearman(values)
    medoids, groups, order = cluster(correlation)
    assert len(medoids) == 3
    assert len(set(groups[[0, 3, 4, 5, 6]])) == 1
    assert groups[1] == groups[7]  # the sign does not matter
    assert sorted(order) == list(range(8))
    assert np.ptp(np.flatnonzero(np.isin(order, [0, 3, 4, 5, 6]))) == 4  # like ones are neighbours
    assert 0 in medoids  # in the middle of its copies
    assert cluster(np.ones((1, 1)))[0].tolist() == [0]


def test_permutations_have_their_level() -> None:
    generator, rejected = np.random.default_rng(2), 0
    for _ in range(80):
        values = generator.normal(size=(90, 2)) @ generator.normal(size=(2, 6)) + 0.5 * generator.normal(size=(90, 6))
        rejected += permuted(values[:40], values[40:], np.arange(6), 0.1, generator)[0].min() <= 0.1
    assert 2 <= rejected <= 8 + 3 * (80 * 0.1 * 0.9) ** 0.5


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
    """Level 0.05: at most 2 are expected of 25; 6 or more come once in 800."""
    found = [states(world, seed, level=0.05, **options) for seed in range(25)]
    assert sum("fail" in f for f in found) <= 5


def test_a_clean_generator_passes_at_500(world) -> None:  # type: ignore[no-untyped-def]
    found = [states(world, seed, train=500, holdout=500, synthetic=500) for seed in range(6)]
    assert sum(set(f) == {"pass"} for f in found) >= 5
    assert "fail" not in [state for one in found for state in one]


@pytest.mark.parametrize("n", [200, 500])
def test_broken_dependence_fails(world, n: int) -> None:  # type: ignore[no-untyped-def]
    for seed in range(4):
        train, holdout, synthetic = world(seed, train=n, holdout=n, synthetic=n)
        broken = Features(np.random.default_rng(seed).permuted(synthetic.values, axis=0), synthetic.names)
        found = dependence_findings("x", "c", train, holdout, broken, seed, level=LEVEL)
        assert [f.state for f in found] == ["fail"] * 3
        assert "more than chance gives" in found[0].note


@pytest.mark.parametrize("size", [0.2, 3.0])
def test_shifted_values_do_not(world, size: float) -> None:  # type: ignore[no-untyped-def]
    """Nor values that are shifted so far that the sets do not overlap: rows are ranked within their set."""
    for seed in range(4):
        train, holdout, synthetic = world(seed)
        moved = Features(np.exp(synthetic.values + size * train.values.std(0)), synthetic.names)
        found = dependence_findings(
            "x",
            "c",
            *(Features(np.exp(x.values), x.names, x.patients) for x in (train, holdout)),
            moved,
            seed,
            level=LEVEL,
        )
        assert "fail" not in [f.state for f in found]


def test_one_loose_feature_is_the_largest(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0, train=400, holdout=400, synthetic=400)
    values = synthetic.values.copy()
    values[:, 5] = np.random.default_rng(0).permutation(values[:, 5])
    sets = (train, holdout, Features(values, synthetic.names))
    found = dependence_findings("x", "c", *sets, 0, level=LEVEL)
    assert found[1].state == "fail"
    assert "f5" in found[1].note
    _, table = dependence("x", "c", *sets, 0, level=LEVEL)
    worst = table.loc[(table["rho_synthetic"] - table["rho_holdout"]).abs().idxmax()]
    assert "f5" in worst[["a", "b"]].tolist()
    assert abs(worst["rho_train"] - worst["rho_holdout"]) < 0.2


def test_features_that_are_nearly_one_count_once(world) -> None:  # type: ignore[no-untyped-def]
    """Twenty near-copies of an intact feature do not hide that the others have come apart."""
    train, holdout, synthetic = world(0, train=300, holdout=300, synthetic=300)
    broken = np.random.default_rng(0).permuted(synthetic.values, axis=0)
    noise = np.random.default_rng(1)

    def wide(values: np.ndarray, patients: tuple[str, ...]) -> Features:
        copies = values[:, :1] + 0.01 * noise.normal(size=(len(values), 60))
        return Features(np.concatenate([values, copies], 1), tuple(map(str, range(72))), patients)

    sets = wide(train.values, train.patients), wide(holdout.values, holdout.patients), wide(broken, ())
    first = dependence_findings("x", "c", *sets, 0, level=LEVEL)[0]
    plain = dependence_findings("x", "c", train, holdout, Features(broken, synthetic.names), 0, level=LEVEL)[0]
    assert "12 of 72 features stand for the clusters" in first.note
    assert first.value == pytest.approx(plain.value, rel=0.05)
    assert float(first.note.split("over all of them ")[1][:4]) < 0.7 * first.value


def test_small_sets_are_inconclusive(world) -> None:  # type: ignore[no-untyped-def]
    found = dependence_findings("x", "c", *world(0, holdout=30, synthetic=60), 0, level=LEVEL)
    assert "pass" not in [f.state for f in found]
    assert "holdout patients and" in found[0].note
    found = dependence_findings("x", "c", *world(0, holdout=9), 0)
    assert {f.state for f in found} == {"not computed"}
    assert "this measure needs 10 images of 10 patients" in found[0].note
    one = [Features(x.values[:, :1], x.names[:1], x.patients) for x in world(0)]
    assert "only one feature varies" in dependence_findings("x", "c", *one, 0)[0].note


def test_numbers_are_of_one_unit_and_of_a_seed(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(3, train=120, holdout=60, synthetic=80, images=3, alike=0.5)
    found = dependence_findings("x", "c", *sets, 0)
    assert found == dependence_findings("x", "c", *sets, 0)
    assert found != dependence_findings("x", "c", *sets, 1)
    for one in found:
        assert one.gate == "dependence"
        assert 0 <= one.low <= one.value <= one.high  # type: ignore[operator]
        assert 0 < one.yardstick < 1  # type: ignore[operator]
        assert (one.n_images, one.n_patients) == (180, 60)


def test_table_for_drawing(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0)
    found, table = dependence("x", "c", train, holdout, synthetic, 0, level=LEVEL)
    assert found == dependence_findings("x", "c", train, holdout, synthetic, 0, level=LEVEL)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 12 * 11 / 2
    rho = spearman(synthetic.values), spearman(holdout.values), spearman(train.values)
    for row in table.itertuples():
        at = train.names.index(row.a), train.names.index(row.b)
        assert (row.rho_synthetic, row.rho_holdout, row.rho_train) == pytest.approx([x[at] for x in rho])
    empty = dependence("x", "c", train.take(np.arange(0)), holdout, synthetic, 0)[1]
    assert empty.empty
    assert tuple(empty.columns) == COLUMNS


def test_a_wide_table_is_drawn_in_part(world) -> None:  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(0)
    sets = [Features(generator.normal(size=(60, 70)), tuple(map(str, range(70))), who) for who in _people()]
    table = dependence("x", "c", *sets, 0)[1]
    assert len(set(table["a"]) | set(table["b"])) == 40
    assert len(table) == 40 * 39 / 2
    assert (table["a"] != table["b"]).all()


def _people() -> tuple[tuple[str, ...], ...]:
    return tuple(f"t{i}" for i in range(60)), tuple(f"h{i}" for i in range(60)), ()


def test_bars_are_settings(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=400, holdout=400, synthetic=400)
    strict = dependence_findings("x", "c", *sets, 0, bars=Dependence(0.001, 0.01, 0.0001))
    assert "pass" not in [f.state for f in strict]
    assert strict[1].bar[1] < 0.3  # type: ignore[index]  # train's own difference is the least
    assert dependence_findings("x", "c", *sets, 0)[1].bar == ("<=", 0.4)
    for name in ("rho_typical", "rho_largest", "matrix_margin"):
        with pytest.raises(SettingsError, match="--" + name.replace("_", "-")):
            Dependence(**{name: -0.1})
