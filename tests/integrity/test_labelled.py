"""One scale, one class for each patient, and a reason where there is nothing to compare."""

import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.integrity.features import Features
from ganatomy.integrity.labelled import Tables, _independent, assemble

NAMED = ("a", "b", "c")


def tables(what: str, size: int, images: int = 1, k: int = 2, seed: int = 0) -> dict[str, Features]:
    """Patients of each class, or synthetic images where `what` is empty."""
    generator = np.random.default_rng(seed)
    out = {}
    for code in range(k):
        who = tuple(f"{what}{code}-{i // images}" for i in range(size * images)) if what else ()
        out[f"c{code}"] = Features(generator.normal(size=(size * images, 3)) + 100 * code, NAMED, who)
    return out


def whole(*sets: dict[str, Features], k: int = 2) -> Tables:
    found = assemble([f"c{i}" for i in range(k)], *sets, 0)
    assert isinstance(found, Tables), found
    return found


def test_all_images_of_a_patient_are_together() -> None:
    found = whole(tables("t", 30, 3), tables("h", 25, 2, seed=1), tables("", 40, seed=2))
    real = found.real
    assert len(real.values) == 2 * (90 + 50)
    assert len(real.first) == 2 * (30 + 25)
    assert real.held.sum() == 50
    assert (real.units[real.first] == np.arange(110)).all()
    assert np.bincount(real.units).tolist() == [3] * 60 + [2] * 50
    assert all(len(set(real.codes[real.units == u])) == 1 for u in range(110))
    assert real.weight.sum() == pytest.approx(110)
    part = real.part(True)
    assert len(part.values) == 100
    assert (part.units[part.first] == np.arange(50)).all()
    assert (part.values == real.values[real.held[real.units]]).all()
    assert np.bincount(found.made[1]).tolist() == [40, 40]


def test_images_are_limited_and_patients_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganatomy.integrity.labelled.MOST", 160)
    found = whole(tables("t", 30, 3), tables("h", 25, 2, seed=1), tables("", 200, seed=2))
    assert np.bincount(found.real.codes).tolist() == [80, 80]  # 40 of train and 40 of holdout
    assert len(found.real.first) == 110
    assert len(found.made[1]) == 160


def test_real_rows_stand_where_nothing_was_made() -> None:
    made = tables("", 40, seed=2)
    found = whole(tables("t", 30, 3), tables("h", 25, 2, seed=1), {"c1": made["c1"]})
    assert found.made_classes == [1]
    assert "c0 has 0 synthetic images, fewer than 20: real ones stand in their place" in found.note
    values, codes, stand = found.beside(found.made[0], found.real.values, found.real.codes)
    assert np.bincount(codes).tolist() == [140, 40]
    assert (values[40:] == found.real.values[found.real.codes == 0]).all()
    units, own = found.per_unit_beside(values, stand)
    assert np.bincount(own).tolist() == [55, 40]
    assert units[40] == pytest.approx(found.real.values[found.real.units == 0].mean(0))


def test_a_class_that_is_too_small_does_not_keep_the_others_out() -> None:
    holdout = tables("h", 25, 2, k=3, seed=1)
    holdout["c1"] = holdout["c1"].take(np.arange(10))
    found = whole(tables("t", 30, 3, k=3), holdout, tables("", 40, k=3, seed=2), k=3)
    assert found.classes == ("c0", "c2")
    assert "c1 is left out: 30 train and 5 holdout patients can be used, 20 of each" in found.note
    assert np.bincount(found.real.unit_codes).tolist() == [55, 55]


def test_one_row_of_each_patient() -> None:
    codes = np.repeat([0, 1], [95, 5])
    who = tuple(f"p{i % 10}" for i in range(100))  # every patient has images of class 0, half of them of class 1
    table = Features(np.zeros((100, 1)), ("a",), who)
    picked = [_independent(table, codes, np.random.default_rng(i)) for i in range(200)]
    assert all(len(set(np.array(who)[rows])) == len(rows) == 10 for rows in picked)
    rare = np.mean([codes[rows].mean() for rows in picked])
    assert 0.25 < rare < 0.42  # 5 patients could be either; the rare class is twice as likely


def test_patients_of_several_classes_count_for_one() -> None:
    def shared(what: str, seed: int) -> dict[str, Features]:
        return {c: Features(t.values, NAMED, tuple(f"{what}{i // 2}" for i in range(len(t)))) for c, t in
                tables(what, 100, seed=seed).items()}  # fmt: skip

    found = whole(shared("t", 0), shared("h", 1), tables("", 40, seed=2))
    assert len(found.real.first) == 100
    assert np.bincount(found.real.units).tolist() == [2] * 100
    assert all(len(set(found.real.codes[found.real.units == u])) == 1 for u in range(100))


def test_what_cannot_be_compared_says_why() -> None:
    classes = ("c0", "c1")
    train, holdout, synthetic = tables("t", 60), tables("h", 25, seed=1), tables("", 25, seed=2)

    def why(*sets: dict[str, Features], of: tuple[str, ...] = classes) -> str:
        found = assemble(of, *sets, 0)
        assert isinstance(found, str)
        return found

    assert "fewer than two classes" in why(train, holdout, synthetic, of=("c0",))
    assert "fewer than two classes" in why({"c0": train["c0"]}, holdout, synthetic)
    assert why(train, holdout, {}) == "there is no synthetic image of these classes"
    few = {**holdout, "c1": holdout["c1"].take(np.arange(19))}
    assert "c1 is left out: 60 train and 19 holdout patients can be used, 20 of each" in why(train, few, synthetic)
    one = {c: Features(t.values, t.names, ("a",) * len(t)) for c, t in holdout.items()}
    assert "1 holdout patients can be used" in why(train, one, synthetic)
    shared = {c: Features(t.values, t.names, tuple(map(str, range(len(t))))) for c, t in holdout.items()}
    assert "counts for one of them" in why(train, shared, synthetic)
    same = {c: Features(np.ones((30, 3)), NAMED, tuple(f"{c}{i}" for i in range(30))) for c in classes}
    assert "no feature varies" in why(same, same, synthetic)
    nothing = {c: Features(np.full((30, 3), np.nan), NAMED) for c in classes}
    assert "have undefined features" in why(train, holdout, nothing)
    other = {c: Features(t.values[:, :2], NAMED[:2]) for c, t in synthetic.items()}
    with pytest.raises(InputError, match="different feature columns"):
        assemble(classes, train, holdout, other, 0)
