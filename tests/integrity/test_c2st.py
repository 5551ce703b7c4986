"""AUC against scikit-learn, a p that is right under the null, and each planted artefact named with its features."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from ganatomy.core.finding import Finding
from ganatomy.integrity import c2st as gate
from ganatomy.integrity.c2st import auc, boosting, folds, logistic, quantise, tell_apart
from ganatomy.integrity.features import Features

SIZE = 24


def test_auc_is_the_mann_whitney_statistic() -> None:
    generator = np.random.default_rng(0)
    scores, fake = np.round(generator.normal(size=80), 1), generator.random(80) < 0.4
    assert auc(scores, fake) == pytest.approx(roc_auc_score(fake, scores))
    both = mannwhitneyu(scores[fake], scores[~fake]).statistic / (fake.sum() * (~fake).sum())
    assert auc(scores, fake) == pytest.approx(both)


def test_quantise() -> None:
    assert quantise(np.array([0.0, 0.9, 7.6, -3.1]), 2.5).tolist() == [0, 0, 7.5, -2.5]
    with pytest.raises(ValueError, match="step above 0"):
        quantise(np.zeros(2), 0)


def test_folds_hold_both_sets_equally() -> None:
    fold = folds(23, np.random.default_rng(0))
    assert [np.bincount(part).tolist() for part in (fold[:23], fold[23:])] == [[5, 5, 5, 4, 4]] * 2


class Means:
    """The least classifier that learns: along the difference of the means."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Means":
        self.axis = x[y].mean(0) - x[~y].mean(0)
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x @ self.axis


def test_p_is_right_under_the_null() -> None:
    """Averaging folds as if they were independent rejects 11 % here; the sequential pass keeps 5 %."""
    p, naive = [], []
    for seed in range(500):
        generator = np.random.default_rng(seed)
        real, fake = generator.normal(size=(2, 40, 6))
        told = tell_apart(real, fake, folds(40, generator), Means)
        p.append(told.p)
        naive.append((told.auc - 0.5) / math.sqrt(17 / (12 * 64) / 5) > 1.645)
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)
    assert np.mean(p) == pytest.approx(0.5, abs=0.03)
    assert np.mean(naive) > 0.08


def test_the_interval_holds_the_truth() -> None:
    """One feature, shifted by 1: no classifier does better than P(N(1, 2) > 0) = 0.760, and this one does as well."""
    inside = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        real, fake = generator.normal(size=(2, 60, 1))
        told = tell_apart(real, fake + 1, folds(60, generator), Means, test=False)
        inside.append(told.low <= 0.7602 <= told.high)
    assert np.mean(inside) >= 0.93


def test_boosting_sees_what_no_line_can() -> None:
    generator = np.random.default_rng(0)
    real, fake = generator.normal(size=(2, 200, 3))
    fake *= [4, 1, 1]
    fold = folds(200, generator)
    assert tell_apart(real, fake, fold, logistic).auc < 0.6
    assert tell_apart(real, fake, fold, boosting).auc > 0.7


def judged(sets, seed: int = 0, level: float = 0.05 / 8) -> tuple[Finding, pd.DataFrame]:  # type: ignore[no-untyped-def]
    (found,), table = gate.c2st("x", "c", *sets, seed=seed, level=level)
    assert found.name == "told apart by a classifier, x"
    assert found.value is None or found.low <= found.value <= found.high  # type: ignore[operator]
    return found, table


def state(world, seed: int, **options) -> str:  # type: ignore[no-untyped-def]
    return judged(world(seed, **options), seed)[0].state


ALIKE = {"train": 30, "holdout": 30, "images": 20, "alike": 0.8, "synthetic": 600}


def test_patients_alike_are_no_false_alarm(world, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert "fail" not in [state(world, s, **ALIKE) for s in range(3)]
    monkeypatch.setattr(gate, "CLASSIFIERS", (("means", Means),))  # quick, so that 20 seeds may be tried
    monkeypatch.setattr(gate, "boosting", Means)
    for seed in range(20):
        found, _ = judged(world(seed, **ALIKE), seed)
        assert found.state == "inconclusive" and found.n_patients == 30 and found.n_images == 600


def test_clean_passes_where_it_can(world) -> None:  # type: ignore[no-untyped-def]
    assert state(world, 0, train=150, holdout=150, synthetic=150) == "pass"
    found, _ = judged(world(0, train=40, holdout=40, synthetic=40))
    assert found.state == "inconclusive" and "holdout patients of this class" in found.note


def test_rounding_of_numbers_gives_nothing_away(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0, train=150, holdout=150, synthetic=150)
    flat = [np.column_stack([t.values, np.round(t.values[:, 0])]) for t in (train, holdout, synthetic)]
    flat[2][:, -1] += 1e-9
    names = (*train.names, "whole")
    people = (train.patients, holdout.patients, ())
    sets = [Features(v, names, p) for v, p in zip(flat, people, strict=True)]
    assert judged(sets)[0].state == "pass"


# ------------------------------------------------------------ artefacts planted in images


def textures(n: int, generator: np.random.Generator) -> np.ndarray:
    """(n, S, S) images in HU: a smooth texture whose level, contrast, grain and noise vary from patient to patient."""
    images = np.empty((n, SIZE, SIZE))
    for i in range(n):
        coarse = gaussian_filter(generator.normal(size=(SIZE, SIZE)), generator.uniform(1.0, 2.5), mode="wrap")
        noise = gaussian_filter(generator.normal(size=(SIZE, SIZE)), 0.4) * generator.uniform(15, 35)
        coarse -= coarse.mean()
        contrast = np.exp(generator.normal(4.8, 0.3))
        images[i] = generator.normal(-820, 30) + contrast * coarse / coarse.std() + noise
    return images


def describe(images: np.ndarray) -> Features:
    """Ten plain features of images (n, S, S)."""
    flat = images.reshape(len(images), -1)
    low, middle, high = np.percentile(flat, [10, 50, 90], axis=1)
    across = images[:, :, 1:] - images[:, :, :-1]
    second = images[:, :, 2:] - images[:, :, :-2]
    cross = images[:, 1:, 1:] - images[:, 1:, :-1] - images[:, :-1, 1:] + images[:, :-1, :-1]
    columns = {
        "mean": flat.mean(1),
        "median": middle,
        "p10": low,
        "p90": high,
        "deviation": flat.std(1),
        "gradient": np.abs(across).mean((1, 2)),
        "steepest": np.abs(across).max((1, 2)),
        "apart": np.abs(second).mean((1, 2)),
        "corners": np.abs(cross).mean((1, 2)),
        "ratio": np.abs(cross).mean((1, 2)) / np.abs(across).mean((1, 2)),
    }
    return Features(np.column_stack(list(columns.values())), tuple(columns))


BOARD = (np.indices((SIZE, SIZE)).sum(0) % 2) * 2.0 - 1
TEXTURE = {"gradient", "steepest", "apart", "corners", "ratio"}
LEVEL = {"mean", "median", "p10", "p90", "deviation"}


@pytest.mark.parametrize(
    ("artefact", "named"),
    [
        (lambda x, g: x + g.normal(0, 20, x.shape), TEXTURE),
        (lambda x, g: gaussian_filter(x, (0, 0.5, 0.5)), TEXTURE),
        (lambda x, g: x + 10 * BOARD, TEXTURE),
        (lambda x, g: x * 1.05, LEVEL),
    ],
    ids=["added noise", "blurred kernel", "checkerboard", "HU x 1.05"],
)
@pytest.mark.parametrize("n", [200, 500])
def test_artefacts_are_found_and_named(artefact, named, n) -> None:  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(n)
    sets = [textures(n, generator) for _ in range(3)]
    sets[2] = artefact(sets[2], generator)
    tables = [describe(quantise(images, 1.0)) for images in sets]  # all through one quantiser
    real = [Features(t.values, t.names, tuple(map(str, range(n)))) for t in tables[:2]]
    found, _ = judged([*real, tables[2]])
    assert found.state == "fail" and "what gives them away most" in found.note
    first = found.note.split("most: ")[1].split(";")[0].split(", ")
    assert named & set(first)
    assert found.yardstick < 0.62  # type: ignore[operator]


def test_an_offset_in_one_texture_feature_is_named(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0, train=200, holdout=200, synthetic=200)
    synthetic.values[:, 7] += 1.2 * train.values[:, 7].std()
    found, table = judged((train, holdout, synthetic))
    assert found.state == "fail" and "most: f7" in found.note
    assert table["feature"][0] == "f7" and table["coefficient"][0] > 0 and table["importance"][0] > 0.05
    assert list(table) == ["feature", "coefficient", "importance", "auc"] and len(table) == 12


@pytest.mark.parametrize("n", [0, 5, 19])
def test_too_few_give_a_reason(n: int, world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=60, holdout=n, synthetic=60)
    found, table = judged(sets)
    assert table.empty and list(table) == ["feature", "coefficient", "importance", "auc"]
    assert found.state == "not computed" and f"holdout has {n} images" in found.note


def test_either_classifier_may_judge() -> None:
    """Spread alone, which no line sees, and a shift alone; the other one's AUC stands in the note."""
    generator = np.random.default_rng(0)
    names, people = tuple("abcd"), tuple(map(str, range(200)))
    real = [Features(generator.normal(size=(200, 4)), names, people) for _ in range(2)]
    for change, word in ((np.array([6.0, 1, 1, 1]), "gradient boosting"), (1.0, "logistic regression")):
        made = generator.normal(size=(200, 4)) * change + (0.9 if word == "logistic regression" else 0)
        found, _ = judged([*real, Features(made, names)])
        assert found.state == "fail" and f"the classifier is {word}" in found.note
