"""No alarm without a difference, none from slices of one patient; planted differences are named."""

import numpy as np
import pytest

from ganatomy.core.errors import SettingsError
from ganatomy.integrity.features import Features
from ganatomy.integrity.marginals import COLUMNS, Marginals, marginal_findings, marginal_table, marginals

LEVEL = 0.002


def states(world, seed: int, level: float = LEVEL, **options) -> list[str]:  # type: ignore[no-untyped-def]
    return [f.state for f in marginal_findings("x", "c", *world(seed, **options), seed, level=level)]


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
    """Level 0.05: at most 2 are expected of 30; 6 or more come once in 300."""
    found = [states(world, seed, level=0.05, **options) for seed in range(30)]
    assert sum("fail" in f for f in found) <= 5


@pytest.mark.parametrize(
    "options",
    [{"train": 200, "holdout": 150, "synthetic": 200}, {"train": 60, "holdout": 60, "images": 6, "alike": 0.8}],
    ids=["one image each", "slices"],
)
def test_what_lies_at_the_bar_does_not_pass(world, options) -> None:  # type: ignore[no-untyped-def]
    """One feature that is shifted by half a standard deviation, whose D is 0.2; all by 0.2: a pass in twenty."""
    one, typical = 0, 0
    for seed in range(12):
        train, holdout, synthetic = world(seed, **options)
        spread = train.values.std(0)
        for column in (3, slice(None)):
            moved = synthetic.values.copy()
            moved[:, column] += (0.507 if column == 3 else 0.2) * spread[column]
            found = marginal_findings("x", "c", train, holdout, Features(moved, train.names), seed, level=LEVEL)
            one += column == 3 and found[0].state == "pass"
            typical += column != 3 and found[1].state == "pass"
    assert one <= 2
    assert typical <= 3


def shift(train: Features, synthetic: Features) -> Features:
    return Features(synthetic.values + 0.35 * train.values.std(0), synthetic.names)


def noise(train: Features, synthetic: Features) -> Features:
    added = np.random.default_rng(0).normal(size=synthetic.values.shape)
    return Features(synthetic.values + train.values.std(0) * added, synthetic.names)


@pytest.mark.parametrize(("defect", "n", "least"), [(shift, 500, 5), (shift, 200, 3), (noise, 100, 4), (noise, 200, 5)])
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
    assert first.low < first.value
    assert "f7 (D 0." in first.note
    assert second.state != "fail"  # the typical feature does not differ
    table = marginal_table("c", *sets, 0, level=LEVEL)
    assert table.loc[table["p"] <= LEVEL, "feature"].tolist() == ["f7"]
    assert table["q"].idxmin() == 7
    assert table.loc[table["state"] == "fail", "feature"].tolist() == ["f7"]


def test_small_sets_say_how_many_would_do(world) -> None:  # type: ignore[no-untyped-def]
    first, _ = marginal_findings("x", "c", *world(0, holdout=60, synthetic=100), 0, level=LEVEL)
    assert first.state == "inconclusive"
    assert "about 300 holdout patients and 290 synthetic images would show it" in first.note
    enough = [states(world, s, train=300, holdout=300, synthetic=290)[0] for s in range(10)]
    assert enough.count("pass") >= 7
    slices = {"train": 30, "holdout": 30, "images": 20, "alike": 0.5, "synthetic": 2000}
    first, _ = marginal_findings("x", "c", *world(0, **slices), 0, level=LEVEL)
    assert 40 <= int(first.note.split("about ")[1].split()[0]) <= 200  # images of one patient are worth some, not 20
    assert "fail" in states(world, 0, holdout=30, defect=lambda z: z + 4)  # what is seen, is seen


def test_a_real_shift_between_train_and_holdout_moves_the_bar(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0)
    moved = Features(holdout.values + 2, holdout.names, holdout.patients)
    first, second = marginal_findings("x", "c", train, moved, synthetic, 0)
    assert first.yardstick > 0.8
    assert first.value > 0.8
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
    assert (first.value, first.high) == (table["D"].max(), table["high"].max())
    assert 0 < first.low < first.value
    assert second.value == pytest.approx(table["W1"].mean())
    again = marginal_findings("x", "c", *sets, 0)
    assert [first, second] == again
    both = marginals("x", "c", *sets, 0)
    assert both[0] == again
    assert both[1].equals(table)
    assert marginal_table("c", sets[0].take(np.arange(0)), *sets[1:], 0).empty


def test_bars_are_settings(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=400, holdout=400, synthetic=400)
    strict = marginal_findings("x", "c", *sets, 0, bars=Marginals(ks_margin=0.05, w1_margin=0.02))
    assert [f.state for f in strict] == ["inconclusive"] * 2
    assert strict[0].bar == ("<=", 0.05)
    for name, value in (("ks_margin", 0.0), ("ks_margin", 1.0), ("w1_margin", -1.0)):
        with pytest.raises(SettingsError, match="--" + name.replace("_", "-")):
            Marginals(**{name: value})


def test_train_counts_as_other_real_patients(world) -> None:  # type: ignore[no-untyped-def]
    """A difference that 30 holdout patients alone could not show is shown where train's 400 patients say so too."""
    found = [states(world, s, train=400, holdout=30, synthetic=400, defect=lambda z: z + 0.45)[0] for s in range(6)]
    alone = [states(world, s, train=30, holdout=30, synthetic=400, defect=lambda z: z + 0.45)[0] for s in range(6)]
    assert found.count("fail") > alone.count("fail")
