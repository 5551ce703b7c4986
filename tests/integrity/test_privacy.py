"""Attacks that find copied patients and nobody else, at the rate that is promised; what was not attacked is said."""

import numpy as np
import pytest

from ganatomy.core.errors import InputError, SettingsError
from ganatomy.integrity.attacks import Risk
from ganatomy.integrity.features import Features
from ganatomy.integrity.privacy import Privacy, not_attacked, privacy, risk_finding

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
    found = privacy("x", "c", train, holdout, synthetic, seed=seed, level=level, reference=reference)
    return {f.name.removeprefix("membership").removesuffix(", x").strip(", "): f for f in found}


def test_clean_sets_are_not_accused() -> None:
    """40 clean sets at level 0.05: no more than it allows; and from 200 patients the true positives mostly pass."""
    found = [find(seed, 200, 0.05) for seed in range(40)]
    assert sum(any(f.state == "fail" for f in one.values()) for one in found) <= 5  # P(more) is 1.4 % at 0.05
    assert np.mean([f.state == "pass" for one in found for f in one.values()]) > 0.8
    value = [one["true positives at 1 % false, GAN-Leaks"] for one in found]
    assert np.mean([f.value for f in value]) == pytest.approx(value[0].yardstick, abs=0.005)


@pytest.mark.parametrize("n", [20, 60, 99])
def test_one_in_a_hundred_cannot_be_seen_among_fewer(n: int) -> None:
    """No pass, whatever was counted: the limit told is the interval's end, and how many patients would decide."""
    for seed in range(6):
        found = find(seed, n)["true positives at 1 % false, GAN-Leaks"]
        assert found.state == "inconclusive" and f"cannot be seen among {n}" in found.note
        assert f"up to {found.high:.1%} of the training" in found.note and "holdout patients would decide" in found.note
        assert 0 <= found.low <= found.value <= found.high <= 1
    perfect = privacy(
        "x", "c", *world(0, n)[:3], seed=0, discriminator=(np.arange(n) + 2.0 * n, np.arange(n, dtype=float))
    )[-1]
    assert (perfect.value, perfect.high) == (1, 1)


def test_clean_sets_of_220_patients_pass() -> None:
    found = [find(seed, 220)["true positives at 1 % false, GAN-Leaks"] for seed in range(40)]
    passed = [f for f in found if f.state == "pass"]
    assert len(passed) >= 28  # 85 % by `passes`; P(fewer) is 0.5 %
    assert all(f.high <= f.bar[1] and f"at most {f.high:.1%} " in f.note for f in passed)
    assert all("patients would decide" in f.note for f in found if f.state != "pass")


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
    found = privacy("x", "c", train, holdout, synthetic, seed=0)
    assert [f.state == "not computed" for f in found] == [False, False]
    leaky = privacy("x", "c", train, holdout, synthetic, seed=0, reference=holdout)
    assert len(leaky) == 4 and all("shares patients" in f.note for f in leaky[2:])
    few = privacy("x", "c", train, holdout.take(np.arange(5)), synthetic, seed=0, reference=reference)
    assert len(few) == 3 and all(f.state == "not computed" and "5 holdout patients" in f.note for f in few)
    said = not_attacked(reference=False, discriminator=False, table=False)
    assert said.state == "not computed" and "DOMIAS" in said.note and "discriminator" in said.note
    assert "discriminator" not in not_attacked(reference=True, discriminator=True, table=True).note


def test_scores_of_a_discriminator() -> None:
    train, holdout, synthetic, _ = world(0, 100)
    generator = np.random.default_rng(0)
    scores = generator.normal(2, 1, 100), generator.normal(size=100)
    found = privacy("x", "c", train, holdout, synthetic, seed=0, discriminator=scores)
    assert {f.name.split(", ")[-2]: f.state for f in found if "discriminator" in f.name} == {"discriminator": "fail"}
    with pytest.raises(InputError, match="one finite number for each"):
        privacy("x", "c", train, holdout, synthetic, seed=0, discriminator=(np.ones(3), np.ones(100)))
    blank = Features(np.full((100, 30), np.nan), NAMES)
    alone = privacy("x", "c", train, holdout, blank, seed=0, discriminator=scores)
    assert [f.state for f in alone] == ["fail", "fail", "not computed"]


def test_images_with_undefined_features_are_nobodys() -> None:
    """A patient keeps the score of his other images; one without any is never told."""
    train, holdout, synthetic, _ = world(0, 40, images=2)
    values = train.values.copy()
    values[[0, 2, 3]] = np.nan
    holes = Features(values, train.names, train.patients)
    for found in privacy("x", "c", holes, holdout, synthetic, seed=0):
        assert found.state != "fail" and found.n_patients == 40 and 0 <= found.value <= 1  # type: ignore[operator]


def test_the_set_whose_images_are_left_out_is_named() -> None:
    train, holdout, synthetic, reference = world(0, 40)
    values = synthetic.values.copy()
    values[3, 2] = np.nan
    holes = Features(values, synthetic.names)
    for aside in (None, reference):
        found = privacy("x", "c", train, holdout, holes, seed=0, reference=aside)
        assert all("1 of 40 synthetic images have undefined features" in f.note for f in found)
        assert not any("holdout images have" in f.note or "reference images have" in f.note for f in found)
    values = holdout.values.copy()
    values[:2, 1] = np.nan
    found = privacy("x", "c", train, Features(values, NAMES, holdout.patients), synthetic, seed=0)
    assert "2 of 40 holdout images have undefined features" in found[0].note
    assert "training images have" not in found[0].note and "synthetic images have" not in found[0].note


def test_degenerate_tables() -> None:
    for value in (1.0, np.nan):
        same = [Features(np.full((30, 2), value), ("a", "b"), tuple(f"{w}{i}" for i in range(30))) for w in "thr"]
        made = Features(np.full((30, 2), value), ("a", "b"))
        found = privacy("x", "c", same[0], same[1], made, seed=0, reference=same[2])
        assert {f.state for f in found} == {"not computed"}
    flat = [Features(np.ones((30, 2)), ("a", "b"), tuple(f"{w}{i}" for i in range(30))) for w in "th"]
    found = privacy("x", "c", *flat, Features(np.ones((30, 2)), ("a", "b")), seed=0, scale=False)
    assert "fail" not in {f.state for f in found}


def test_columns_are_attacked_where_rows_are_those_of_a_table() -> None:
    train, holdout, synthetic, _ = world(0, 200)
    found = privacy("x", "c", train, holdout, synthetic, seed=0, level=0.01, table=True)
    names = [f.name for f in found]
    assert names[-3:] == ["singling out (table)", "linkability (table)", "inference (table)"]
    assert {f.state for f in found} <= {"pass", "inconclusive"}
    _, _, bad, _ = world(0, 200, copies=0.9)
    assert "fail" in {f.state for f in privacy("x", "c", train, holdout, bad, seed=0, level=0.01, table=True)[-3:]}
    few = privacy("x", "c", train.take(np.arange(5)), holdout, synthetic, seed=0, table=True)
    assert {f.state for f in few} == {"not computed"} and len(few) == 4


def test_clean_tables_are_not_accused() -> None:
    failed = 0
    for seed in range(15):
        train, holdout, synthetic, _ = world(seed, 60, images=2)
        found = privacy("x", "c", train, holdout, synthetic, seed=seed, level=0.2, table=True)
        failed += any(f.state == "fail" for f in found)
    assert failed <= 7  # P(more) of 15 at 0.2 is 0.4 %


def test_singling_out_can_fail_at_the_level_it_is_given() -> None:
    """p of 1000 divisions was 0.001 at least, which no level below it could reject."""
    train, holdout, _, _ = world(0, 120)
    found = privacy("x", "c", train, holdout, Features(train.values, NAMES), seed=0, level=0.0015, table=True)[-3]
    assert found.name == "singling out (table)" and found.state == "fail"
    assert found.low > found.bar[1] and "(p = " in found.note


def test_a_risk_beyond_the_bar_that_may_be_chance_says_so() -> None:
    found = risk_finding(Risk("x", 500, 1000, 150, 1000, 0.0, 0.41, 0.37, 0.45, 0.01), level=0.001)
    assert found.state == "inconclusive" and "p = 0.01" in found.note and "0.001" in found.note
    assert "records of each" not in found.note


def test_states_of_a_risk() -> None:
    assert risk_finding(Risk("x", 50, 1000, 50, 1000, 0.01, 0.0, 0.0, 0.02, 0.5)).state == "pass"
    weak = risk_finding(Risk("x", 50, 1000, 50, 1000, 0.2, 0.0, 0.0, 0.02, 0.5))
    assert weak.state == "inconclusive" and "too weak" in weak.note
    assert "records of each" in risk_finding(Risk("x", 5, 10, 5, 10, 0.0, 0.1, 0.0, 0.4, 0.5)).note
    assert risk_finding(Risk("x", 0, 0, 0, 0, 0.0, 0.0, 0.0, 1.0, 1.0)).state == "not computed"
    shown = Risk("x", 300, 1000, 200, 1000, 0.0, 0.12, 0.08, 0.16, 1e-6)
    assert risk_finding(shown).state == "fail"
    assert risk_finding(shown, bars=Privacy(table_risk=0.5)).state == "pass"


def test_bars() -> None:
    train, holdout, synthetic, _ = world(0, 100)
    generator = np.random.default_rng(0)
    scores = generator.normal(2, 1, 100), generator.normal(size=100)
    wide = Privacy(membership_auc=0.99, membership_excess=0.98)
    found = privacy("x", "c", train, holdout, synthetic, seed=0, discriminator=scores, bars=wide)
    assert [f.state for f in found[2:]] == ["pass", "pass"]
    assert found[2].bar == ("<=", 0.99)
    for wrong in ({"membership_auc": 0.4}, {"membership_excess": 0.0}, {"table_risk": 1.0}):
        with pytest.raises(SettingsError, match="--" + next(iter(wrong)).replace("_", "-")):
            Privacy(**wrong)
