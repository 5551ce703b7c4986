"""Copied records are attacked and others are not; risks by hand."""

import numpy as np
import pandas as pd
import pytest

from ganatomy.core.errors import InputError
from ganatomy.integrity.attacks import attacked, inference, linkability, risk, singling_out, wilson
from ganatomy.integrity.privacy import risk_finding


def people(n: int, generator: np.random.Generator) -> pd.DataFrame:
    age = generator.normal(60, 12, n)
    size = 5 + 0.1 * age + generator.normal(size=n) * 3
    sex, site = generator.choice(["f", "m"], n), generator.choice(list("ABCD"), n)
    stage = np.where(size + generator.normal(size=n) > 11, "late", "early")
    dose = generator.gamma(2, 3, n) + (sex == "m")
    return pd.DataFrame({"age": age, "size": size, "sex": sex, "site": site, "stage": stage, "dose": dose})


def tables(seed: int, copied: float = 0.0, n: int = 300) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(seed)
    train, control, made = (people(n, generator) for _ in range(3))
    k = round(copied * n)
    return train, control, pd.concat([train.iloc[:k], made.iloc[k:]], ignore_index=True)


HALVES = (["age", "size", "sex"], ["dose", "site", "stage"])
ATTACKS = {
    "linkability": lambda t, s: linkability(*t, [HALVES], seed=s),
    "inference": lambda t, s: inference(*t, ["age", "size", "sex", "site"], ["dose"], seed=s),
    "singling out": lambda t, s: singling_out(*t, seed=s, tries=150, level=0.01),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_copied_records_are_attacked_and_others_not(attack: str) -> None:
    clean = [ATTACKS[attack](tables(seed), seed) for seed in range(12)]
    assert sum(one.p <= 0.05 for one in clean) <= 3
    assert np.mean([one.risk for one in clean]) < 0.05
    assert all(risk_finding(one).state != "fail" for one in clean)
    bad = [ATTACKS[attack](tables(seed, 0.6), seed) for seed in range(3)]
    assert all(one.attack == attack and one.p < 0.01 and one.risk > 0.05 for one in bad)
    assert [risk_finding(one, "c", level=0.01).state for one in bad] == ["fail"] * 3
    assert all(one.hits / one.n > one.baseline for one in bad)


def test_several_tries_of_a_person_are_worth_fewer() -> None:
    """The same secret ten times is one try: as wide an interval; other secrets narrow it."""
    same = inference(*tables(0), ["age", "size", "sex"], ["site"] * 10, seed=0)
    once = inference(*tables(0), ["age", "size", "sex"], ["site"], seed=0)
    assert (same.n, once.n) == (3000, 300)
    assert same.p == once.p
    assert (same.low, same.high) == pytest.approx((once.low, once.high), rel=0.05)
    more = inference(*tables(0), ["age", "size"], ["site", "sex", "stage"], seed=0)
    assert more.high - more.low < once.high - once.low
    order = (["sex", "dose", "age"], ["stage", "size", "site"])
    twice = linkability(*tables(0), [HALVES, order], seed=0)
    assert twice.n == 600


def test_all_three_by_one_attacker() -> None:
    names = [one.attack for one in attacked(*tables(0), seed=0)]
    assert names == ["singling out", "linkability", "inference"]
    bad = attacked(*tables(1, 0.8), seed=1)
    assert all(one.p < 0.01 and one.risk > 0.05 for one in bad)


def test_p_of_singling_out_is_certain_at_its_level() -> None:
    bad = singling_out(*tables(0, 0.9), seed=0, tries=100, level=0.0005)
    assert bad.p == pytest.approx(1 / 20001)
    clean = singling_out(*tables(0), seed=0, tries=100, level=0.0005)
    assert clean.p > 0.0005
    rough = singling_out(*tables(0), seed=0, tries=100, level=0.05)
    assert (clean.hits, clean.control_hits) == (rough.hits, rough.control_hits)


def test_wilson_and_the_risk_by_hand() -> None:
    _, low, high = wilson(10, 40)
    assert (low, high) == pytest.approx((0.1419, 0.4019), abs=1e-4)
    found = risk("x", 400, 1000, 200, 1000, 0.1, 0.001)
    assert found.risk == pytest.approx((0.4 - 0.2) / 0.8, abs=0.002)
    assert found.low < found.risk < found.high
    wide = risk("x", 4000, 10000, 2000, 10000, 0.1, 0.001, 0.1)
    assert (wide.low, wide.high) == pytest.approx((found.low, found.high))
    assert risk("x", 10, 100, 20, 100, 0.1, 0.9).risk == 0
    assert wilson(0, 10)[1] == 0


def test_other_columns_and_missing_values() -> None:
    same = pd.DataFrame({"a": ["x"] * 30, "b": [1.0] * 30})
    assert singling_out(same, same, same, seed=0, tries=5).n == 0
    with pytest.raises(InputError, match="different columns"):
        inference(same, same[["a"]], same, ["a"], ["b"], seed=0)
    holes = tables(0)
    for one in holes:
        one.loc[:20, "age"] = np.nan
    assert ATTACKS["inference"](holes, 0).n == 300
