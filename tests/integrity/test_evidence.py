"""Copies are found through noise, mirrors, shifts, brightness, and in tables through rounding; blur is no copy."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ganatomy.integrity.copies import LEVEL
from ganatomy.integrity.copying import SHIFTS, judged
from ganatomy.integrity.evidence import SAME, evidence, pixel_evidence, scaled, table_evidence
from ganatomy.integrity.features import Features


def pictures(n: int, generator: np.random.Generator) -> np.ndarray:
    """(n, 1, 32, 32) smooth random textures."""
    return gaussian_filter(generator.normal(size=(n, 1, 32, 32)), (0, 0, 2.5, 2.5)) * 10


DEFECTS = {
    "noise": lambda x, g: x + 0.1 * x.std() * g.normal(size=x.shape),
    "flip": lambda x, g: x[..., ::-1],
    "shift": lambda x, g: np.stack([np.roll(y, ((-3, 2), (1, 4))[i % 2], (1, 2)) for i, y in enumerate(x)]),
    "intensity": lambda x, g: 3 + 0.7 * x,
    "all": lambda x, g: 3 - 0.01 * x**2 + 0.7 * np.roll(x, 2, 3)[..., ::-1] + 0.1 * x.std() * g.normal(size=x.shape),
}


def stacks(seed: int, defect: str = "", copies: int = 10, n: int = 120):  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(seed)
    train, holdout, synthetic = (pictures(n, generator) for _ in range(3))
    if defect:
        synthetic[:copies] = DEFECTS[defect](train[:copies], generator)
    patients = [tuple(f"{who}{i}" for i in range(n)) for who in "th"]
    return train, patients[0], holdout, patients[1], synthetic


@pytest.mark.parametrize("defect", DEFECTS)
def test_near_copies_are_named(defect: str) -> None:
    found = pixel_evidence(*stacks(0, defect, 8), 0)
    finding = judged(SHIFTS, "c", found, 120, 0.002)
    assert finding.state == "fail"
    named = found.suspects(0.002)
    assert set(range(8)) <= set(named.tolist())
    assert len(named) <= 9
    assert (found.index[:8] == np.arange(8)).all()
    if defect in ("flip", "intensity"):  # the same picture: one is enough
        assert found.equal[:8].all()
        alone = pixel_evidence(*stacks(0, defect, 1), 0)
        assert "1 of 120 synthetic images equal" in judged(SHIFTS, "c", alone, 120, LEVEL).note
        assert found.distance[:8].max() <= SAME**0.5


@pytest.mark.parametrize("axis", [None, 3, 2], ids=["as it is", "left to right", "upside down"])
def test_equal_pixels_are_at_distance_zero(axis: int | None) -> None:
    """However single precision rounds: far values beside a background spoil its correlations."""
    train, who, holdout, others, _ = stacks(0, n=40)
    train = np.rint(100 * train).astype(np.int16) + 20_000
    train[:, :, 20:] = -1000
    copies = train.astype(np.float32)[:20] if axis is None else np.flip(train[:20], axis)
    slices = tuple(f"t{i // 2}" for i in range(40))
    made = np.concatenate([copies, np.asarray(100 * holdout[:5] + 20_000)])
    found = pixel_evidence(train, slices, 100 * holdout[5:], others[5:], made, 0)
    assert found.equal[:20].all() and not found.equal[20:].any()
    assert not found.distance[:20].any() and not found.ratio[:20].any() and (found.distance[20:] > 0).all()
    assert (found.index[:20] == np.arange(20)).all()
    assert "20 of 25 synthetic images equal" in judged(SHIFTS, "c", found, 35, LEVEL).note
    leaky = pixel_evidence(train, slices, train[:3], who[:3], made, 0)
    assert leaky.real_equal.all() and not leaky.real_ratio.any()


def test_what_several_patients_have_is_still_nobodys_copy() -> None:
    train, who, holdout, others, made = stacks(0, n=40)
    train[1] = train[0]
    made[:2] = train[0], train[5]
    found = pixel_evidence(train, who, holdout, others, made, 0)
    assert found.equal[:2].tolist() == [False, True]


@pytest.mark.parametrize("smooth", [0, 1, 2], ids=["clean", "blurred", "smooth"])
def test_blurred_images_are_no_copies(smooth: float) -> None:
    for seed in range(2):
        train, who, holdout, others, synthetic = stacks(seed)
        synthetic = gaussian_filter(synthetic, (0, 0, smooth, smooth)) * (0.6 if smooth else 1)
        found = pixel_evidence(train, who, holdout, others, synthetic, seed)
        finding = judged(SHIFTS, "c", found, 120, LEVEL)
        assert finding.state == ("pass" if not smooth else finding.state) != "fail"
        assert len(found.suspects()) <= 1


def test_many_images_are_capped_and_it_is_said(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("ganatomy.integrity.evidence.MOST", 60)
    sets_ = stacks(0, "flip", 60)
    found = pixel_evidence(*sets_, 0)
    assert len(found.ratio) == 60
    assert "60 of 120 synthetic images were compared" in judged(SHIFTS, "c", found, 120, LEVEL).note
    assert found.equal.any()
    assert (found.index[found.equal] == found.rows[found.equal]).all()  # rows of the caller's sets
    assert set(found.suspects().tolist()) <= set(range(60))


def test_few_images_give_a_reason() -> None:
    train, who, holdout, others, synthetic = stacks(0, n=5)
    for t, h, s, word in ((1, 5, 5, "training"), (5, 2, 5, "holdout"), (5, 5, 0, "synthetic")):
        found = pixel_evidence(train[:t], who[:t], holdout[:h], others[:h], synthetic[:s], 0)
        finding = judged(SHIFTS, "c", found, h, LEVEL)
        assert finding.state == "not computed" and word in finding.note
    flat = np.zeros((5, 1, 32, 32))
    finding = judged(SHIFTS, "c", pixel_evidence(flat, who, flat, others, flat, 0), 5, LEVEL)
    assert finding.state == "inconclusive"


def rows(seed: int, copies: int = 0, kind: str = "fine", n: int = 150):  # type: ignore[no-untyped-def]
    """Tables of 20 columns that rest on 5 factors; the first synthetic rows are train's, before any rounding."""
    generator = np.random.default_rng(seed)
    mix = np.random.default_rng(1).normal(size=(5, 20))
    train, holdout, made = (
        100 * np.exp(0.3 * generator.normal(size=(n, 5)) @ mix / 2 + 0.1 * generator.normal(size=(n, 20)))
        for _ in range(3)
    )
    made[:copies] = train[:copies]
    sets = [train, holdout, made]
    if kind == "mixed":  # a category, an age in years, the rest in full
        sets = [np.c_[x[:, :1] > 100, np.round(x[:, 1:3]), x[:, 3:]] for x in sets]
    if kind == "coarse":  # few columns of few values: people are equal by chance
        sets = [np.round(x[:, :6] / 60) for x in sets]
    if kind == "rounded":  # the synthetic table was written with three digits
        sets[2] = np.array([[float(f"{value:.3g}") for value in row] for row in sets[2]])
    names = tuple(f"f{i}" for i in range(sets[0].shape[1]))
    who = [tuple(f"{w}{i}" for i in range(n)) for w in "th"]
    return Features(sets[0], names, who[0]), Features(sets[1], names, who[1]), Features(sets[2], names)


@pytest.mark.parametrize("kind", ["fine", "mixed", "rounded"])
def test_a_copied_row_is_equal_through_rounding(kind: str) -> None:
    for seed in range(5):
        found, _ = table_evidence(*rows(seed, 2, kind), seed)
        assert np.flatnonzero(found.equal).tolist() == [0, 1]
        assert found.index[:2].tolist() == [0, 1]
        assert not table_evidence(*rows(seed, 0, kind), seed)[0].equal.any()


def test_rows_of_few_values_are_equal_by_chance() -> None:
    equal = []
    for seed in range(10):
        sets = rows(seed, 0, "coarse")
        found, table = table_evidence(*sets, seed)
        equal.append((found.distance == 0).any())
        assert not found.equal.any()
        assert table.step > 0.1 and table.rounding == 0
    assert any(equal)  # or the test would show nothing


def test_the_scale_of_a_table_favours_nobody() -> None:
    train, holdout, made = rows(0)
    values = train.values.copy()
    values[:, 3], values[4, 5], values[:40, 7] = 1.0, np.nan, np.nan
    train = Features(values, train.names, train.patients)
    table = scaled(train, holdout, made)
    assert len(table.three[0].names) == 19  # 7 is undefined in many rows; 3 is constant in train alone, and stays
    assert table.rows[0].tolist() == [i for i in range(150) if i != 4]
    assert "1 of 150 training images have undefined features" in table.note and "1 of 20 features" in table.note
    moved = scaled(train, made, Features(holdout.values, holdout.names))
    assert np.allclose(moved.three[1].values, table.three[2].values)
    empty = scaled(train.take(np.arange(0)), holdout.take(np.arange(0)), made.take(np.arange(0)))
    assert [len(part) for part in empty.three] == [0, 0, 0]


def test_a_holdout_from_elsewhere_is_left_out_of_the_pairs() -> None:
    train, holdout, made = rows(0)
    shifted = Features(holdout.values + 500, holdout.names, holdout.patients)
    assert evidence(train, shifted, made, 0, None).pooled == (150, 0, 150)
    assert evidence(train, holdout, made, 0, None).pooled == (150, 150, 150)
