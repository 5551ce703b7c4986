"""A subgroup that is missing is found, groups that are too small are named, gaps follow from what they compare."""

import numpy as np
import pytest
from scipy.stats import binomtest

from ganatomy.core.finding import Finding
from ganatomy.integrity import fairness as gate
from ganatomy.integrity.fairness import bands, fairness_findings, gap_findings, subgroup_table, unreached
from ganatomy.integrity.features import Features

MIX = np.random.default_rng(99).normal(size=(4, 12)) / 2
NAMED = tuple(f"f{i}" for i in range(12))


def population(generator, n, images=1, alike=0.0, rare=0.1, site=0.5, who=""):  # type: ignore[no-untyped-def]
    """Features and groups of n patients: the rare ones lie elsewhere, sites differ a little, sexes do not."""
    own = generator.normal(size=(n, 4))
    groups = {
        "disease": np.where(generator.random(n) < rare, "rare", "usual"),
        "site": np.where(generator.random(n) < site, "A", "B"),
        "sex": generator.choice(["f", "m"], n),
    }
    own[:, 0] += 3 * (groups["disease"] == "rare")
    own[:, 1] += 2 * (groups["site"] == "A")
    noise = generator.normal(size=(n * images, 4))
    hidden = np.repeat(own, images, 0) + np.sqrt(1 - alike) * noise if images > 1 else own
    values = hidden @ MIX + 0.3 * generator.normal(size=(n * images, 12))
    patients = tuple(f"{who}{i // images}" for i in range(n * images)) if who else ()
    return Features(values, NAMED, patients), {key: list(np.repeat(g, images)) for key, g in groups.items()}


def world(seed, n=(300, 200, 300), images=1, alike=0.0, columns=("disease", "site", "sex"), **made):  # type: ignore[no-untyped-def]
    """train, holdout, synthetic, groups; made: what the synthetic population has instead."""
    generator = np.random.default_rng(seed)
    train, a = population(generator, n[0], images, alike, who="t")
    holdout, b = population(generator, n[1], images, alike, who="h")
    synthetic, _ = population(generator, n[2], **made)
    return train, holdout, synthetic, {key: (a[key], b[key]) for key in columns}


def find(seed=0, **options):  # type: ignore[no-untyped-def]
    found = fairness_findings("x", "c", *world(seed, **options), seed=seed)
    assert {f.gate for f in found} == {"fairness"}
    return {(f.subject.removeprefix("c, "), f.name.removesuffix(", x").split()[0]): f for f in found}


def test_bands() -> None:
    ages = [str(i) for i in range(30, 90)] + [""]
    train, holdout = bands(ages, ["20", "60", "99", "", "nan"])
    assert {name: train.count(name) for name in train} == {
        "below 49.7": 20,
        "49.7 to 69.3": 20,
        "above 69.3": 20,
        "": 1,
    }
    assert holdout == ["below 49.7", "49.7 to 69.3", "above 69.3", "", ""]
    assert bands(["1", "2", "1"], ["2"]) == (["1", "2", "1"], ["2"])  # few numbers are names
    assert bands([*ages, "old"], ["x"]) == ([*ages, "old"], ["x"])


def test_a_share_by_marks() -> None:
    """Perfect marks give the ratio of the shares; half-perfect ones too, with a wider interval; useless ones none."""
    generator = np.random.default_rng(0)
    own, made = generator.random(400) < 0.2, generator.random(1000) < 0.1
    sharp = gate._present(1.0 * made, 1.0 * own, own, (80, 400), 0)
    assert sharp is not None
    assert sharp[0] == pytest.approx(made.mean() / 0.2)
    assert sharp[1] < 0.5 < sharp[2]

    def mark(truth):  # type: ignore[no-untyped-def]
        return np.clip(0.4 * truth + 0.2 + 0.2 * generator.normal(size=len(truth)), 0, 1)

    blunt = gate._present(mark(made), mark(own), own, (80, 400), 0)
    assert blunt is not None
    assert blunt[0] == pytest.approx(0.5, abs=0.25)
    assert blunt[2] - blunt[1] > sharp[2] - sharp[1]
    assert gate._present(mark(made), generator.random(400), own, (80, 400), 0) is None


def test_wilson_and_differences() -> None:
    hits = np.arange(40) < 6
    interval = binomtest(6, 40).proportion_ci(method="wilson")
    assert gate._wilson(hits, np.arange(40)) == pytest.approx((0.15, interval.low, interval.high))
    # 4 images of each of 10 patients: the share is of images, the width that of 10 patients
    assert gate._wilson(hits, np.arange(40) // 4)[2] > 0.4
    assert gate._difference((0.5, 0.2, 0.6), (0.3, 0.2, 0.7)) == pytest.approx((0.2, -0.3, 0.2 + np.sqrt(0.02)))


def test_neighbours_are_a_share_of_each_patient() -> None:
    generator = np.random.default_rng(0)
    train, _ = population(generator, 40, who="t")
    holdout, _ = population(generator, 15, images=3, alike=0.5, who="h")
    synthetic, _ = population(generator, 60)
    near = gate.Near.find(train, holdout, synthetic, generator)
    assert near.nearest.shape == (45, 5)
    assert near.synthetic.sum() == (~near.synthetic).sum() == 40
    assert near.weights(np.arange(45)).sum() == pytest.approx(1)
    assert near.weights(np.arange(45)) @ near.synthetic == pytest.approx(near.synthetic[near.nearest].mean())
    copies = gate.Near.find(train, train, Features(train.values + 50, NAMED), generator)
    assert copies.alone.all()


def test_p_is_exact() -> None:
    generator = np.random.default_rng(1)
    flags = np.arange(60) < 30
    p = np.array([gate.shuffled(flags, generator.normal(size=(60, 3)), 0.01, i) for i in range(150)]).ravel()
    assert 0.05 < (p <= 0.1).mean() < 0.15
    assert gate.shuffled(flags, 1.0 * flags[:, None], 0.001, 0)[0] < 0.001


def test_a_missing_subgroup_fails() -> None:
    states = []
    for seed in range(5):
        found = find(seed, rare=0.0)
        one = found["disease rare", "subgroup"]
        states.append(one.state)
        assert one.value < 0.4
        assert "no disease" in one.note
        assert found["disease usual", "subgroup"].state == "pass"
        assert found["site A", "subgroup"].state != "fail"
    assert states.count("fail") >= 4
    alone = find(0, n=(600, 500, 600), rare=0.0, columns=("disease",))["disease rare", "real"]
    assert alone.state == "fail"
    assert alone.value > 0.3
    assert "have nothing synthetic among their 5 nearest" in alone.note


def test_a_site_that_has_this_class_to_itself() -> None:
    found = find(0, site=1.0)
    assert found["site B", "subgroup"].state == "fail"
    assert found["site A", "subgroup"].state == "pass"
    assert found["site A", "subgroup"].value > 1.5


def test_no_false_alarm() -> None:
    for options in ({}, {"n": (60, 40, 300), "images": 12, "alike": 0.7}):
        states = [f.state for seed in range(6) for f in find(seed, **options).values()]
        assert states.count("fail") <= 1
    large = find(0, n=(1500, 1000, 1500), columns=("disease", "site"))
    assert {f.state for f in large.values()} == {"pass"}


def test_what_cannot_be_told_is_said() -> None:
    found = find(0)
    assert found["sex f", "subgroup"].state == "not computed"
    assert "whether it is missing cannot be seen" in found["sex f", "subgroup"].note
    small = find(0, n=(300, 30, 300), columns=("disease",))["disease rare", "subgroup"]
    assert small.state == "not computed"
    assert small.note.startswith("too small to judge: ")
    train, holdout, synthetic, groups = world(0)

    def note(*sets, label="c"):  # type: ignore[no-untyped-def]
        (found,) = fairness_findings("x", label, *sets, seed=0)
        assert found.state == "not computed"
        return found.note

    assert "no group column" in note(train, holdout, synthetic, {})
    assert note(train, holdout, synthetic.take(np.arange(0)), groups) == "synthetic has no image of this class"
    assert "20 of each are needed" in note(train, holdout, synthetic.take(np.arange(9)), groups)
    unknown = {"sex": ([""] * len(train), [""] * len(holdout))}
    assert "has a value of sex" in note(train, holdout, synthetic, unknown)
    one = {"sex": (["f"] * len(train), ["f"] * len(holdout))}
    assert note(train, holdout, synthetic, one) == "too few others to compare with: 0 train and 0 holdout patients"
    same = [Features(np.ones((30, 2)), ("a", "b"), tuple(map(str, range(30)))) for _ in range(2)]
    assert "no feature varies" in note(*same, same[0], {"sex": (["f", "m"] * 15, ["f", "m"] * 15)})
    with pytest.raises(ValueError, match="has 3 values for 300 train rows"):
        fairness_findings("x", "c", train, holdout, synthetic, {"sex": (["f"] * 3, ["f"] * 200)}, seed=0)


def test_undefined_rows_keep_their_groups() -> None:
    train, holdout, synthetic, groups = world(0, columns=("disease",))
    holes = holdout.values.copy()
    holes[::7] = np.nan
    found = fairness_findings("x", "c", train, Features(holes, NAMED, holdout.patients), synthetic, groups, seed=0)
    left = sum(g == "rare" for i, g in enumerate(groups["disease"][1]) if i % 7)
    assert {f.n_images for f in found if f.subject == "c, disease rare"} == {left}
    assert all("undefined features" in f.note for f in found if f.state == "pass")


def shift(space, label, train, holdout, synthetic, /, *, seed, level):  # type: ignore[no-untyped-def]
    """A gate: how far the means are apart."""
    value = float(np.abs(synthetic.values.mean(0) - holdout.values.mean(0)).mean())
    real = float(np.abs(train.values.mean(0) - holdout.values.mean(0)).mean())
    state = "fail" if value > 0.5 else "pass"
    size = {"n_images": len(holdout), "n_patients": holdout.n_patients}
    return [
        Finding(
            "m",
            f"shift, {space}",
            label,
            value,
            value - 0.05,
            value + 0.05,
            real,
            ("<=", real + 0.3),
            **size,
            state=state,
        )
    ]


def test_other_gates_per_subgroup() -> None:
    train, holdout, synthetic, groups = world(0, n=(400, 300, 400), columns=("site", "sex"))
    bad = synthetic.values.copy()
    bad[bad @ np.linalg.pinv(MIX)[:, 1] > 1] += 3 * MIX[3]  # worse images of site A
    found = fairness_findings("x", "c", train, holdout, Features(bad, NAMED), groups, seed=0, gates={"shift": shift})
    shifts = {f.subject: f for f in found if f.name == "shift, x"}
    assert set(shifts) == {"c, site A", "c, site B"}  # sexes cannot be told
    assert shifts["c, site A"].state == "fail"
    assert shifts["c, site B"].state == "pass"
    assert "look like this subgroup" in shifts["c, site B"].note
    (gap,) = [f for f in found if f.name == "gap of shift, x"]
    assert gap.state == "fail"
    assert gap.value > 1
    assert "worst for A" in gap.note
    (told,) = [f for f in found if f.subject == "c, sex" and f.name.startswith("gates")]
    assert "so none is assigned" in told.note
    clean = fairness_findings("x", "c", train, holdout, synthetic, groups, seed=0, gates={"shift": shift})
    assert "fail" not in [f.state for f in clean]


def test_gaps() -> None:
    def one(value: float, state: str = "pass", bar: tuple[str, float] = (">=", 0.8)) -> list[Finding]:
        return [Finding("coverage", "coverage", "", value, value - 0.03, value + 0.04, 0.95, bar, 50, 40, state, "n")]

    (gap,) = gap_findings("sex", {"f": one(0.6, "fail"), "m": one(0.9)})
    assert gap.value == pytest.approx(0.3 / 0.15)
    assert (gap.low, gap.high) == pytest.approx((2 - np.hypot(0.04, 0.03) / 0.15, 2 + np.hypot(0.03, 0.04) / 0.15))
    assert gap.state == "fail"
    assert (gap.n_images, gap.n_patients) == (100, 80)
    assert "worst for f (0.6)" in gap.note
    assert gap_findings("sex", {"f": one(0.6, "inconclusive"), "m": one(0.9)})[0].state == "inconclusive"
    assert gap_findings("sex", {"f": one(0.6, "fail"), "m": one(0.6, "fail")})[0].state == "pass"
    assert gap_findings("sex", {"f": one(0.9), "m": one(0.92)})[0].state == "pass"
    assert gap_findings("sex", {"f": one(0.9)})[0].state == "not computed"
    assert gap_findings("sex", {"f": one(0.9), "m": one(0.9, bar=(">=", 0.96))})[0].state == "not computed"


def test_table_and_pictures() -> None:
    sets = world(0, n=(400, 200, 400), rare=0.0)
    table = subgroup_table(*sets, 0).set_index("value")
    assert set(table.index) == {"rare", "usual", "A", "B", "f", "m"}
    assert table.loc["rare", "present"] < 0.5
    assert table.loc["rare", "alone"] > table.loc["rare", "alone_others"]
    rows = unreached(*sets[:3], 0)
    rare = np.array(sets[3]["disease"][1]) == "rare"
    assert rare[rows].mean() > 2 * rare.mean()
    assert len(unreached(sets[0], sets[1], sets[2].take(np.arange(2)), 0)) == 0
    assert fairness_findings("x", "c", *sets, seed=0) == fairness_findings("x", "c", *sets, seed=0)
