"""Bands, neighbours, classifiers of subgroups, and copies of one subgroup, on a population with a known truth."""

import numpy as np
import pytest

from ganatomy.integrity import subgroups as measure
from ganatomy.integrity.features import Features
from ganatomy.integrity.subgroups import assemble, bands, subgroups

MIX = np.random.default_rng(99).normal(size=(4, 12)) / 2
NAMED = tuple(f"f{i}" for i in range(12))


def population(generator, n, images=1, alike=0.0, rare=0.1, site=0.5, who=""):  # type: ignore[no-untyped-def]
    """Features and groups of n patients: the rare ones lie elsewhere, sites differ a little, sexes do not.

    alike: share of the variance within subgroups that is the patient's.
    """
    groups = {
        "disease": np.where(generator.random(n) < rare, "rare", "usual"),
        "site": np.where(generator.random(n) < site, "A", "B"),
        "sex": generator.choice(["f", "m"], n),
    }
    own = np.sqrt(alike) * generator.normal(size=(n, 4))
    own[:, 0] += 3 * (groups["disease"] == "rare")
    own[:, 1] += 2 * (groups["site"] == "A")
    hidden = np.repeat(own, images, 0) + np.sqrt(1 - alike) * generator.normal(size=(n * images, 4))
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


def test_neighbours_are_a_share_of_each_patient() -> None:
    generator = np.random.default_rng(0)
    train, _ = population(generator, 40, who="t")
    holdout, _ = population(generator, 15, images=3, alike=0.5, who="h")
    synthetic, _ = population(generator, 60)
    near = measure.Near.find(train, holdout, synthetic, generator)
    assert near.nearest.shape == (45, 5)
    assert near.synthetic.sum() == (~near.synthetic).sum() == 40
    assert near.weights(np.arange(45)).sum() == pytest.approx(1)
    assert near.weights(np.arange(45)) @ near.synthetic == pytest.approx(near.synthetic[near.nearest].mean())
    copies = measure.Near.find(train, train, Features(train.values + 50, NAMED), generator)
    assert copies.alone.all()


def test_classifiers_tell_whom_they_have_not_seen() -> None:
    sets = world(0, n=(200, 200, 200), images=3, alike=0.9)
    tables = assemble(*sets, 0)
    assert tables.with_train.mean() == pytest.approx(0.5, abs=0.01)
    told = measure.tell(tables, "site", 0)
    assert told is not None
    assert told.prior == pytest.approx([0.5, 0.5], abs=0.06)
    right = [(looks == words).mean() for looks, words in zip(told.likeliest(), tables.groups["site"], strict=False)]
    assert right[0] == pytest.approx(right[1], abs=0.06)  # train's own rows are told no better than new ones
    assert min(right) > 0.7
    learned, held, made = told.mark("A")
    assert [len(learned), len(held), len(made)] == [600, 600, 200]
    assert held.mean() == pytest.approx(0.5, abs=0.08)
    assert measure.tell(assemble(*sets[:3], {"one": (["x"] * 600, ["x"] * 600)}, 0), "one", 0) is None


def test_copies_of_one_subgroup() -> None:
    train, holdout, synthetic, groups = world(1, n=(300, 200, 400), columns=("site",))
    own = np.flatnonzero(np.array(groups["site"][0]) == "A")[:60]
    copied = synthetic.values.copy()
    copied[:60] = train.values[own] + 0.01
    for made, few in ((Features(copied, NAMED), False), (synthetic, True)):
        found = {one.value: one.measures["copied"] for one in subgroups(assemble(train, holdout, made, groups, 0), 0)}
        if few:
            assert min(m.p for m in found.values()) > 0.01
            assert abs(found["A"].numbers[0]) < 0.1
        else:
            assert found["A"].p < 1e-6
            assert found["A"].numbers[1] > 0.1
            assert found["B"].numbers[0] == pytest.approx(-found["A"].numbers[0])


def test_groups_must_fit_their_rows() -> None:
    train, holdout, synthetic, _ = world(0, n=(30, 20, 30))
    with pytest.raises(ValueError, match="has 3 values for 30 train rows"):
        assemble(train, holdout, synthetic, {"sex": (["f"] * 3, ["f"] * 20)}, 0)
    assert (
        subgroups(assemble(train, holdout, synthetic.take(np.arange(9)), {"sex": (["f"] * 30, ["f"] * 20)}, 0), 0) == []
    )
