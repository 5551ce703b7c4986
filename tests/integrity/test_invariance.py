"""A transform that takes the class away fails, a harmless one passes, a weak classifier judges nothing."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.data.acquisition import MIRROR, MOVE, TURN, linear, mirror
from ganatomy.integrity.features import Features
from ganatomy.integrity.invariance import COLUMNS, GATE, TRIED, Invariance, invariance, invariances, spread

LEVEL = 0.001
CLASSES = ("dense", "thin")
HU = {"dense": -700.0, "thin": -780.0}


def world(
    seed: int, patients: int = 120, images: int = 1, edge: bool = False
) -> tuple[np.ndarray, list[str], list[str]]:
    """Noisy patches (n, 1, 16, 16) int16 whose classes differ by 80 HU, or (edge) by the side that is brighter."""
    draw = np.random.default_rng(seed)
    labels = [name for name in CLASSES for _ in range(patients * images)]
    owners = [f"{name} {i // images}" for name in CLASSES for i in range(patients * images)]
    person = np.repeat(draw.normal(size=2 * patients), images)
    level = np.array([-740.0 if edge else HU[name] for name in labels]) + 25 * person
    values = level[:, None, None, None] + 30 * draw.normal(size=(len(labels), 1, 16, 16))
    if edge:
        side = np.array([1 if name == "dense" else -1 for name in labels]) * 15
        values += side[:, None, None, None] * np.linspace(-1, 1, 16)
    return np.rint(values).astype(np.int16), labels, owners


def measure(images: np.ndarray) -> pd.DataFrame:
    """Six features, of which a mirror image changes none."""
    x = images.astype(np.float64)
    rows, columns = (np.abs(np.diff(x, axis=axis)).mean((1, 2, 3)) for axis in (-2, -1))
    spread = np.percentile(x, [10, 50, 90], axis=(1, 2, 3))
    return pd.DataFrame(
        {"mean": x.mean((1, 2, 3)), "p10": spread[0], "median": spread[1], "p90": spread[2], "dy": rows, "dx": columns}
    )


def reads(images: np.ndarray) -> np.ndarray:
    """(n, 9) the means of the ninths of an image, so that a classifier sees where things are."""
    x = images.astype(np.float64)[:, 0, :15, :15]
    return np.asarray((x.reshape(len(x), 3, 5, 3, 5).mean((2, 4)).reshape(len(x), 9) + 740) / 50)


class Classifier:
    """Logistic regression of what `reads` gives, trained on other patients."""

    def __init__(self, seed: int, edge: bool = False) -> None:
        images, labels, _ = world(1000 + seed, edge=edge)
        self.model = LogisticRegression(max_iter=1000).fit(reads(images), labels)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict_proba(reads(images)))


def judged(
    images: np.ndarray,
    after: np.ndarray,
    labels: Sequence[str],
    owners: Sequence[str],
    classify: Classifier | None,
    **more: object,
) -> tuple[list[Finding], pd.DataFrame]:
    names = tuple(measure(images[:1]).columns)
    tables = [Features(measure(x).to_numpy(), names, tuple(owners)) for x in (images, after)]
    decided = None if classify is None else (classify(images), classify(after))
    return invariance("", "T", *tables, decided, labels, owners, level=LEVEL, **more)  # type: ignore[arg-type]


def states(findings: Sequence[Finding]) -> list[str]:
    return [f.state for f in findings]


def test_an_offset_as_large_as_the_difference_of_the_classes_fails_and_a_small_one_passes() -> None:
    images, labels, owners = world(0)
    classify = Classifier(0)
    findings, table = judged(images, linear(images, 1.0, 80.0), labels, owners, classify)
    assert states(findings) == [FAIL, FAIL]
    assert findings[0].value == pytest.approx(0.45, abs=0.1) and findings[1].value >= 4 / 6
    assert "now wrongly" in findings[0].note and "shift by more than 0.2 of their spread: " in findings[1].note
    assert tuple(table.columns) == COLUMNS
    rows = table.set_index("name")
    assert rows.loc["mean", "change"] == pytest.approx(80 / 25, rel=0.25) and rows.loc["mean", "associated"]
    assert rows.loc["mean", "after"] - rows.loc["mean", "before"] == pytest.approx(80, abs=1)
    assert not rows.loc["dx", "associated"] and abs(rows.loc["dx", "change"]) < 0.01
    assert rows.loc["AUC", "change"] == pytest.approx(0, abs=0.02)  # an offset moves every score alike: AUC is blind
    assert rows.loc["Brier score", "low"] > 0.3 and rows.loc["changed decisions", "change"] > 0.4
    findings, _ = judged(images, linear(images, 1.0, 2.0), labels, owners, classify)
    assert states(findings) == [PASS, PASS]


def test_a_mirror_image_fails_where_the_side_is_the_class_and_passes_where_it_is_not() -> None:
    images, labels, owners = world(1, edge=True)
    findings, table = judged(images, mirror(images), labels, owners, Classifier(1, edge=True), used=True)
    assert findings[0].state == FAIL and findings[0].gate == GATE
    assert findings[1].state == PASS  # features that see no side cannot tell
    assert table.set_index("name").loc["AUC", "after"] < 0.2
    images, labels, owners = world(2)
    findings, _ = judged(images, mirror(images), labels, owners, Classifier(2))
    assert states(findings) == [PASS, PASS] and findings[0].gate == TRIED


def test_decisions_that_change_evenly_are_no_loss() -> None:
    images, labels, owners = world(3, 150)
    names, draw = tuple(measure(images[:1]).columns), np.random.default_rng(3)
    table = Features(measure(images).to_numpy(), names, tuple(owners))
    truth = np.eye(2)[np.repeat([0, 1], 150)]
    before = np.where((draw.random(300) < 0.8)[:, None], truth, 1 - truth)
    even = before.copy()
    for right in (0, 1):
        own = np.flatnonzero((before.argmax(1) == truth.argmax(1)) == right)[:: 5 if right else 2]
        rows = own[:: max(1, len(own) // 25)][:25]
        even[rows] = 1 - even[rows]
    found, _ = invariance("", "T", table, table, (before, even), labels, owners, level=LEVEL)
    assert found[0].value == pytest.approx(0, abs=0.02) and found[0].state in (PASS, INCONCLUSIVE)
    only = np.where(
        (before.argmax(1) == truth.argmax(1))[:, None] & (draw.random(300) < 0.4)[:, None], 1 - before, before
    )
    found, _ = invariance("", "T", table, table, (before, only), labels, owners, level=LEVEL)
    assert found[0].state == FAIL


def test_a_loss_fails_only_if_it_is_shown_at_the_level() -> None:
    images, labels, owners = world(9)
    names = tuple(measure(images[:1]).columns)
    table = Features(measure(images).to_numpy(), names, tuple(owners))
    before = np.eye(2)[np.repeat([0, 1], 120)]
    after = before.copy()
    after[::10] = 1 - after[::10]  # 24 of 240: 0.10, and 0.06 to 0.14 at 95 %
    found = {
        level: invariance("", "T", table, table, (before, after), labels, owners, level=level)[0][0]
        for level in (0.2, LEVEL)
    }
    assert found[0.2].low == found[LEVEL].low and (found[LEVEL].low or 0) > 0.05
    assert found[0.2].state == FAIL and found[LEVEL].state == INCONCLUSIVE
    assert "patients would settle it" in found[LEVEL].note


def test_a_classifier_near_chance_judges_nothing() -> None:
    images, labels, owners = world(4)
    draw = np.random.default_rng(4)
    names = tuple(measure(images[:1]).columns)
    table = Features(measure(images).to_numpy(), names, tuple(owners))
    chance = tuple(draw.dirichlet([1, 1], len(labels)) for _ in range(2))
    found, _ = invariance("", "T", table, table, (chance[0], chance[1]), labels, owners, level=LEVEL)
    assert (
        found[0].state == INCONCLUSIVE
        and "says" not in found[0].note
        and "so its decisions say little" in found[0].note
    )
    same, _ = invariance("", "T", table, table, (chance[0], chance[0]), labels, owners, level=LEVEL)
    assert same[0].state == INCONCLUSIVE  # nor does it pass


def test_what_cannot_be_asked_says_why() -> None:
    images, labels, owners = world(5, 40)
    found, _ = judged(images, images, labels, owners, None)
    assert found[0].state == NOT_COMPUTED and "no classifier" in found[0].note
    found, table = judged(images[:8], images[:8], labels[:8], owners[:8], None)
    assert states(found) == [NOT_COMPUTED] * 2 and "needs 10" in found[0].note and table.empty
    found, table = judged(images[:40], images[:40], labels[:40], owners[:40], Classifier(0), classes=CLASSES)
    assert found[0].state == NOT_COMPUTED and "only one class" in found[0].note
    assert found[1].state == PASS and not table["associated"].any() and "of 6 features shift" in found[1].note
    flat = np.zeros_like(images)
    assert "no feature varies" in judged(flat, flat, labels, owners, None)[0][1].note


def test_features_that_are_lost_do_not_pass() -> None:
    images, labels, owners = world(6)
    names = tuple(measure(images[:1]).columns)
    table = measure(images).to_numpy()
    gone = table.copy()
    gone[:, 0] = np.nan
    gone[:60, 1] = np.nan
    found, rows = invariance("", "T", Features(table, names), Features(gone, names), None, labels, owners, level=LEVEL)
    assert found[1].state == INCONCLUSIVE and "2 become undefined" in found[1].note
    assert found[1].high == pytest.approx(2 / 4)  # of four that go with the class
    assert len(rows) == 6


def test_twenty_images_of_each_patient_are_not_twenty_patients() -> None:
    """A shift that lies at the bar, over patients of whom each has many images: no more failures than allowed."""
    failed = 0
    names = tuple(f"f{i}" for i in range(10))
    for seed in range(60):
        draw = np.random.default_rng(seed)
        x = np.repeat(draw.normal(size=(30, 10)), 20, 0) * 0.8 + 0.6 * draw.normal(size=(600, 10))
        move = np.repeat(draw.normal(size=(30, 10)), 20, 0)
        y = x + 0.195 + 0.7 * move
        owners = [f"p{i // 20}" for i in range(600)]
        labels = [CLASSES[i // 20 % 2] for i in range(600)]
        tables, none = (Features(x, names), Features(y, names)), Invariance(changed_features=0.0)
        found, _ = invariance("", "T", *tables, None, labels, owners, level=0.1, bars=none)
        failed += found[1].state == FAIL
    assert failed <= 7  # of 60 at 0.05


def test_every_transform_is_judged_once_and_what_was_left_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[float] = []

    def watched(*args: Any, level: float, **more: Any) -> tuple[list[Finding], pd.DataFrame]:
        levels.append(level)
        return invariance(*args, level=level, **more)

    monkeypatch.setattr("ganatomy.integrity.invariance.invariance", watched)
    images, labels, owners = world(7, 200)
    ask = partial(
        invariances, "", images, labels, owners, measure=measure, classify=Classifier(7), unit="HU", spacing=0.7,
        used=(MIRROR, MOVE), taught=(MOVE,), seed=1, level=0.01,
    )  # fmt: skip
    findings, table = ask()
    assert len(levels) == 10 and sum(levels) <= 0.01
    by = {(f.subject, f.name): f for f in findings}
    assert by[MIRROR, "accuracy lost"].state == by[TURN, "accuracy lost"].state == PASS
    assert by[MOVE, "accuracy lost"].state == NOT_COMPUTED and "trained on it" in by[MOVE, "accuracy lost"].note
    assert {f.subject for f in findings if f.gate == GATE} == {MIRROR, MOVE}
    assert findings[-1].name == "transforms left out" and "bias field" in findings[-1].note
    assert max(f.n_images for f in findings) == 300
    assert tuple(table.columns) == COLUMNS and set(table["transform"]) == {f.subject for f in findings} - {""}
    again, _ = ask()
    assert again == findings
    assert (
        invariances("", images[:0], [], [], measure=measure, classify=None, seed=0, level=0.1)[0][0].state
        == NOT_COMPUTED
    )


def test_a_transform_that_changes_nothing_is_left_out() -> None:
    steps = np.repeat(np.repeat(np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2) * 50, 8, 2), 8, 3)  # no noise at all
    images, labels = np.repeat(steps, 40, 0), [CLASSES[i % 2] for i in range(40)]
    findings, _ = invariances(
        "", images, labels, list(map(str, range(40))), measure=measure, classify=None, seed=0, level=0.1
    )
    assert "more noise (it leaves most of these images as they are)" in findings[-1].note
    assert "more noise" not in {f.subject for f in findings}


def test_volumes_of_mr_pass_through_too() -> None:
    draw = np.random.default_rng(8)
    volumes = (100 + 20 * draw.normal(size=(60, 1, 6, 16, 16))).astype(np.float32)
    labels, owners = [CLASSES[i % 2] for i in range(60)], [str(i) for i in range(60)]

    def mean(x: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({"mean": x.mean((1, 2, 3, 4)), "sd": x.std((1, 2, 3, 4))})

    findings, _ = invariances("", volumes, labels, owners, measure=mean, classify=None, seed=0, level=0.01)
    subjects = {f.subject for f in findings}
    assert {"thicker slices", "bias field", "contrast", "more noise"} < subjects and "HU offset" not in subjects
    assert next(f for f in findings if (f.subject, f.name) == ("smoothing", "changed features")).state == FAIL


def test_rows_are_spread_over_classes_and_patients() -> None:
    labels = ["a"] * 500 + ["b"] * 40
    owners = [f"a{i // 5}" for i in range(500)] + [f"b{i}" for i in range(40)]
    rows = spread(labels, owners, 0, 300)
    assert len(rows) == 300 and (np.diff(rows) > 0).all()
    assert (rows >= 500).sum() == 40
    counts = np.unique([owners[i] for i in rows if i < 500], return_counts=True)[1]
    assert len(counts) == 100 and set(counts) <= {2, 3}
    assert len(spread(labels[:20], owners[:20], 0, 300)) == 20 and len(spread([], [], 0, 300)) == 0


def test_settings_that_cannot_be_are_named() -> None:
    for name, value in (
        ("lost_accuracy", 1.0),
        ("changed_features", -0.1),
        ("feature_shift", 0.0),
        ("invariance_images", 5),
    ):
        with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')} "):
            Invariance(**{name: value})


def test_tables_that_are_no_pairs_are_refused() -> None:
    table = Features(np.zeros((4, 1)), ("a",))
    with pytest.raises(ValueError, match="same images"):
        invariance("", "T", table, Features(np.zeros((3, 1)), ("a",)), None, ["a"] * 4, list("pqrs"), level=0.1)
