"""A subgroup that is missing or served worse is named, groups too small to judge are named, alike sets pass."""

import numpy as np
import pytest

from ganatomy.core.errors import SettingsError
from ganatomy.integrity.fairness import COLUMNS, SHARES, Fairness, fairness
from ganatomy.integrity.features import Features

from .test_subgroups import MIX, NAMED, world


def find(seed=0, sets=None, level=0.05 / 8, bars=None, **options):  # type: ignore[no-untyped-def]
    found, _ = fairness("x", "c", *(sets or world(seed, **options)), seed=seed, level=level, bars=bars or Fairness())
    assert {f.gate for f in found} == {"fairness"}
    return {(f.subject.removeprefix("c, "), f.name.removesuffix(", x").split()[0]): f for f in found}


def test_a_missing_subgroup_fails() -> None:
    for seed in range(4):
        found = find(seed, rare=0.0)
        one = found["disease", "subgroups"]
        assert one.state == "fail"
        assert one.value < 0.4
        assert one.bar == (">=", 0.5)
        assert one.yardstick == pytest.approx(1, abs=0.6)
        assert one.note.startswith("worst for disease rare: synthetic images hold 0.")
        assert "no disease" in one.note
        assert found["site", "subgroups"].state != "fail"
    alone = find(1, n=(600, 500, 600), rare=0.0, columns=("disease",))["disease", "real"]
    assert alone.state == "fail"
    assert alone.value > 0.25
    assert "have nothing synthetic among their 5 nearest" in alone.note


def test_a_site_that_has_this_class_to_itself() -> None:
    one = find(0, site=1.0)["site", "subgroups"]
    assert one.state == "fail"
    assert "worst for site B" in one.note


def test_worse_features_and_copies_of_one_subgroup() -> None:
    train, holdout, synthetic, groups = world(0, n=(400, 300, 500), columns=("site", "sex"))
    bad = synthetic.values.copy()
    bad[bad @ np.linalg.pinv(MIX)[:, 1] > 1] += MIX[3]  # worse images of site A
    found = find(sets=(train, holdout, Features(bad, NAMED), groups))
    one = found["site", "features:"]
    assert one.state == "fail"
    assert one.value > 0.3
    assert "worst for site A" in one.note
    assert ("sex", "features:") not in found  # it cannot be told
    copied = synthetic.values.copy()
    copied[:100] = train.values[np.flatnonzero(np.array(groups["site"][0]) == "B")[:100]]
    found = find(sets=(train, holdout, Features(copied, NAMED), groups))
    assert found["site", "near-copies:"].state == "fail"
    assert "worst for site B" in found["site", "near-copies:"].note


def test_sets_of_one_population_pass() -> None:
    found = find(0, n=(1200, 1000, 1200), columns=("disease", "site"))
    assert len(found) == 8
    assert {f.state for f in found.values()} == {"pass"}
    states = [f.state for seed in range(3) for f in find(seed, n=(500, 500, 500)).values()]
    assert states.count("inconclusive") <= 0.2 * len(states)


def test_false_alarms_stay_at_their_level() -> None:
    """Bars that no sets keep leave p to decide; images of a patient are alike, and 20 of each count as one."""
    bars = Fairness(1 - 1e-9, 1e-9, 1e-9, 1e-9)
    alarms = 0
    for seed in range(25):
        found = find(seed, n=(30, 30, 300), images=20, alike=0.7, columns=("site",), level=0.1, bars=bars)
        alarms += any(f.state == "fail" for f in found.values())
    assert alarms <= 6  # of 25 at 10 %: more in 1 of 100 such tests
    assert sum(SHARES.values()) == pytest.approx(1)


def test_what_cannot_be_told_is_said() -> None:
    found = find(0)
    assert found["sex", "subgroups"].state == "not computed"
    assert "cannot be seen" in found["sex", "subgroups"].note
    small = find(0, n=(300, 30, 300), columns=("disease",))["disease", "subgroups"]
    assert small.state == "not computed"
    assert small.note.startswith("too small to judge: rare (")
    train, holdout, synthetic, groups = world(0)
    three = [np.where(np.arange(len(t)) < 5, "C", g) for t, g in zip((train, holdout), groups["site"], strict=True)]
    named = find(sets=(train, holdout, synthetic, {"site": tuple(map(list, three))}))["site", "subgroups"]
    assert named.value is not None
    assert "too small to judge: C (5 train and 5 holdout patients, 10 of each are needed)" in named.note

    def note(*sets):  # type: ignore[no-untyped-def]
        (found,), table = fairness("x", "c", *sets, seed=0)
        assert found.state == "not computed"
        assert tuple(table.columns) == COLUMNS
        return found.note

    assert "no group column" in note(train, holdout, synthetic, {})
    assert note(train, holdout, synthetic.take(np.arange(0)), groups) == "synthetic has no image of this class"
    assert "20 of each are needed" in note(train, holdout, synthetic.take(np.arange(9)), groups)
    unknown = {"sex": ([""] * len(train), [""] * len(holdout))}
    assert "has a value of sex" in note(train, holdout, synthetic, unknown)
    one = {"sex": (["f"] * len(train), ["f"] * len(holdout))}
    assert "too few others to compare with: 0 train and 0 holdout patients" in note(train, holdout, synthetic, one)
    same = [Features(np.ones((30, 2)), ("a", "b"), tuple(map(str, range(30)))) for _ in range(2)]
    assert "no feature varies" in note(*same, same[0], {"sex": (["f", "m"] * 15, ["f", "m"] * 15)})


def test_undefined_rows_keep_their_groups() -> None:
    train, holdout, synthetic, groups = world(0, columns=("disease",))
    holes = holdout.values.copy()
    holes[::7] = np.nan
    found = find(sets=(train, Features(holes, NAMED, holdout.patients), synthetic, groups))
    assert {f.n_images for f in found.values()} == {len(holdout) - len(holes[::7])}
    assert all("undefined features" in f.note for f in found.values())
    lost = synthetic.values.copy()
    lost[::5] = np.nan
    found = find(sets=(train, holdout, Features(lost, NAMED), groups))
    assert "pass" not in {f.state for f in found.values()}


def test_a_row_for_each_subgroup() -> None:
    sets = world(0, n=(400, 200, 400), rare=0.0)
    found, table = fairness("x", "c", *sets, seed=0)
    assert tuple(table.columns) == COLUMNS
    table = table.set_index("value")
    assert set(table.index) == {"rare", "usual", "A", "B", "f", "m"}
    assert table.loc["rare", "present"] == next(f for f in found if "disease" in f.subject).value < 0.5
    assert table.loc["rare", "alone"] > table.loc["rare", "alone_others"]
    assert np.isnan(table.loc["f", "present"])
    again, same = fairness("x", "c", *sets, seed=0)
    assert found == again
    assert same.set_index("value").equals(table)


def test_bars() -> None:
    with pytest.raises(SettingsError, match="--subgroup-share is a share above 0 and below 1, not 2"):
        Fairness(subgroup_share=2)
    with pytest.raises(SettingsError, match="--subgroup-shift needs a number above 0"):
        Fairness(subgroup_shift=0)
