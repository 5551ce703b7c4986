"""Attacks that find copied patients and nobody else; statistics against closed forms, SciPy and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde
from sklearn.metrics import roc_auc_score

from ganatomy.core.errors import InputError
from ganatomy.integrity.features import Features
from ganatomy.integrity.privacy import (
    Risk,
    auc,
    domias,
    exposed,
    gan_leaks,
    inference,
    linkability,
    not_attacked,
    per_patient,
    privacy_findings,
    risk,
    risk_finding,
    singling_out,
    true_positives,
    wilson,
)

MIX = np.random.default_rng(9).normal(size=(8, 30)) / np.sqrt(8)
NAMES = tuple(f"f{i}" for i in range(30))


def table(patients: int, images: int, generator: np.random.Generator, who: str = "") -> Features:
    """Log-normal features of 8 factors; images of one patient correlate by 0.7."""
    own = np.repeat(generator.normal(size=(patients, 8)), images, 0)
    if images > 1:
        own = np.sqrt(0.7) * own + np.sqrt(0.3) * generator.normal(size=own.shape)
    values = np.exp(0.3 * own @ MIX) + 0.15 * generator.normal(size=(len(own), 30))
    return Features(values, NAMES, tuple(f"{who}{i // images}" for i in range(len(values))) if who else ())


def world(seed: int, n: int, *, copies: float = 0.0, images: int = 1):  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(seed)
    train, holdout, reference = (table(n, images, generator, who) for who in "thr")
    synthetic = table(n, 1, generator)
    values = synthetic.values.copy()
    rows = generator.choice(len(train), round(copies * n), replace=False)
    noise = 0.05 * train.values.std(0) * generator.normal(size=(len(rows), 30))
    values[: len(rows)] = train.values[rows] + noise
    return train, holdout, Features(values, NAMES), reference


def find(seed: int, n: int, level: float = 0.002, **options):  # type: ignore[no-untyped-def]
    train, holdout, synthetic, reference = world(seed, n, **options)
    found = privacy_findings("x", "c", train, holdout, synthetic, seed=seed, level=level, reference=reference)
    return {f.name.removeprefix("membership").removesuffix(", x").strip(", "): f for f in found}


def test_auc_is_scikit_learns_and_its_error_is_right() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.5, 1, 60).round(1), generator.normal(size=80).round(1)  # ties
    assert auc(a, b)[0] == pytest.approx(roc_auc_score(np.r_[np.ones(60), np.zeros(80)], np.r_[a, b]))
    draws = [auc(generator.normal(0.5, 1, 60), generator.normal(size=80)) for _ in range(400)]
    assert np.std([d[0] for d in draws]) == pytest.approx(np.mean([d[1] for d in draws]), rel=0.12)


def test_true_positives_by_hand_and_their_size() -> None:
    others = np.arange(200.0)  # 1 % may lie above: two, so the third largest is the threshold
    assert true_positives(np.array([197.0, 197.5, 198.5, 300.0]), others)[:2] == (3, 3)
    generator = np.random.default_rng(0)
    p = np.array([true_positives(generator.normal(size=90), generator.normal(size=110))[2] for _ in range(3000)])
    assert 0.02 < (p <= 0.05).mean() < 0.06


def test_exposed_covers_the_truth() -> None:
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(500):
        members = generator.normal(size=200)
        members[:20] = 99
        count, r, _ = true_positives(members, generator.normal(size=200))
        low, high = exposed(count, 200, r, 200)
        inside.append((low <= 0.1, high >= 0.1))
    assert (np.mean(inside, 0) >= 0.94).all()
    assert exposed(0, 100, 2, 100) == (0, 0)


def test_scores_by_hand() -> None:
    queries, made, known = np.array([[0.0], [5.0]]), np.array([[1.0], [9.0]]), np.array([[2.0], [5.5]])
    assert gan_leaks(queries, made).tolist() == [-1, -4]
    assert gan_leaks(queries, made, known).tolist() == [1, -3.5]
    assert gan_leaks(np.array([[-1.0]]), made, None, lambda x: -x).tolist() == [0]
    assert per_patient(np.array([1.0, 5.0, 2.0, 3.0]), ("b", "b", "a", "a")).tolist() == [3, 5]
    assert per_patient(np.array([1.0, 2.0]), ()).tolist() == [1, 2]


def test_domias_is_the_ratio_of_densities() -> None:
    generator = np.random.default_rng(0)
    made, known, queries = (
        generator.normal(size=(80, 1)),
        generator.normal(1, 2, (80, 1)),
        generator.normal(size=(9, 1)),
    )
    theirs = gaussian_kde(made.T).logpdf(queries.T) - gaussian_kde(known.T).logpdf(queries.T)
    assert np.allclose(domias(queries, made, known), theirs)  # whitening changes both alike
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    flat = [np.pad(x, ((0, 0), (0, 2))) @ turn for x in (queries, made, known)]  # one dimension hidden in three
    assert np.allclose(domias(*flat), theirs)


def test_clean_sets_are_not_accused() -> None:
    """40 clean sets at level 0.05: no more than it allows; and from 200 patients the true positives mostly pass."""
    found = [find(seed, 200, 0.05) for seed in range(40)]
    assert sum(any(f.state == "fail" for f in one.values()) for one in found) <= 5  # P(more) is 1.4 % at 0.05
    assert np.mean([f.state == "pass" for one in found for f in one.values()]) > 0.8
    value = [one["true positives at 1 % false, GAN-Leaks"] for one in found]
    assert np.mean([f.value for f in value]) == pytest.approx(value[0].yardstick, abs=0.005)


def test_slices_of_one_patient_count_once() -> None:
    found = [find(seed, 30, 0.05, images=10) for seed in range(30)]
    assert sum(any(f.state == "fail" for f in one.values()) for one in found) <= 4
    assert {f.n_patients for one in found for f in one.values()} == {30}
    assert {f.n_images for one in found for f in one.values()} == {300}


@pytest.mark.parametrize("n", [200, 500])
def test_a_tenth_of_copies_is_told(n: int) -> None:
    for seed in range(3):
        found = find(seed, n, copies=0.1)
        for attack in ("GAN-Leaks", "GAN-Leaks, calibrated"):
            told = found[f"true positives at 1 % false, {attack}"]
            assert told.state == "fail"
            assert told.value > 0.08 > told.bar[1]
            assert found[f"AUC, {attack}"].value < 0.6  # which is why the tail is looked at


def test_a_generator_that_remembers_a_third_fails_by_auc() -> None:
    assert find(0, 500, copies=0.4)["AUC, GAN-Leaks, calibrated"].state == "fail"


def test_what_was_not_attacked_is_said() -> None:
    train, holdout, synthetic, reference = world(0, 60)
    found = privacy_findings("x", "c", train, holdout, synthetic, seed=0)
    assert [f.state == "not computed" for f in found] == [False, False, True, True]
    assert "needed as a reference" in found[2].note and "DOMIAS" in found[3].name
    leaky = privacy_findings("x", "c", train, holdout, synthetic, seed=0, reference=holdout)
    assert "shares patients" in leaky[-1].note
    few = privacy_findings("x", "c", train, holdout.take(np.arange(5)), synthetic, seed=0, reference=reference)
    assert len(few) == 3 and all(f.state == "not computed" and "5 holdout patients" in f.note for f in few)
    said = not_attacked(reference=False, discriminator=False, table=False)
    assert said.state == "not computed" and "DOMIAS" in said.note and "discriminator" in said.note
    assert "discriminator" not in not_attacked(reference=True, discriminator=True, table=True).note


def test_scores_of_a_discriminator() -> None:
    train, holdout, synthetic, _ = world(0, 100)
    generator = np.random.default_rng(0)
    scores = {"discriminator": (generator.normal(2, 1, 100), generator.normal(size=100))}
    found = privacy_findings("x", "c", train, holdout, synthetic, seed=0, scores=scores)
    assert {f.name.split(", ")[-2]: f.state for f in found if "discriminator" in f.name} == {"discriminator": "fail"}
    with pytest.raises(InputError, match="one finite number for each"):
        privacy_findings("x", "c", train, holdout, synthetic, seed=0, scores={"d": (np.ones(3), np.ones(100))})


def test_degenerate_tables() -> None:
    for value in (1.0, np.nan):
        same = [Features(np.full((30, 2), value), ("a", "b"), tuple(f"{w}{i}" for i in range(30))) for w in "thr"]
        made = Features(np.full((30, 2), value), ("a", "b"))
        found = privacy_findings("x", "c", same[0], same[1], made, seed=0, reference=same[2])
        assert {f.state for f in found} == {"not computed"}
    flat = [Features(np.ones((30, 2)), ("a", "b"), tuple(f"{w}{i}" for i in range(30))) for w in "th"]
    found = privacy_findings("x", "c", *flat, Features(np.ones((30, 2)), ("a", "b")), seed=0, scale=False)
    assert "fail" not in {f.state for f in found}


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


ATTACKS = {
    "linkability": lambda t, s: linkability(*t, ["age", "size", "sex"], ["dose", "site", "stage"], seed=s),
    "inference": lambda t, s: inference(*t, ["age", "size", "sex", "site"], "dose", seed=s),
    "singling out": lambda t, s: singling_out(*t, seed=s, tries=150, draws=300),
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


def test_wilson_and_the_risk_by_hand() -> None:
    _, low, high = wilson(10, 40)
    assert (low, high) == pytest.approx((0.1419, 0.4019), abs=1e-4)
    found = risk("x", 400, 1000, 200, 1000, 0.1, 0.001)
    assert found.risk == pytest.approx((0.4 - 0.2) / 0.8, abs=0.002)
    assert found.low < found.risk < found.high
    assert risk("x", 10, 100, 20, 100, 0.1, 0.9).risk == 0
    assert wilson(0, 10)[1] == 0


def test_states_of_a_risk() -> None:
    assert risk_finding(Risk("x", 50, 1000, 50, 1000, 0.01, 0.0, 0.0, 0.02, 0.5)).state == "pass"
    weak = risk_finding(Risk("x", 50, 1000, 50, 1000, 0.2, 0.0, 0.0, 0.02, 0.5))
    assert weak.state == "inconclusive" and "too weak" in weak.note
    assert "records of each" in risk_finding(Risk("x", 5, 10, 5, 10, 0.0, 0.1, 0.0, 0.4, 0.5)).note
    same = pd.DataFrame({"a": ["x"] * 30, "b": [1.0] * 30})
    assert risk_finding(singling_out(same, same, same, seed=0, tries=5)).state == "not computed"
    with pytest.raises(InputError, match="different columns"):
        inference(same, same[["a"]], same, ["a"], "b", seed=0)
    holes = tables(0)
    for one in holes:
        one.loc[:20, "age"] = np.nan
    assert ATTACKS["inference"](holes, 0).n == 300
