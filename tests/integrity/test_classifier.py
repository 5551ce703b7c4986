"""A linear classifier: as good as it can be where the truth is linear, and never asked about whom it has seen."""

import numpy as np
import pytest
from scipy.stats import norm

from ganatomy.integrity import classifier as of


def sample(seed: int, n: int, apart: float = 2.0, k: int = 2, images: int = 1):  # type: ignore[no-untyped-def]
    """(values, codes, owners) of n patients of each class, three features."""
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(k), n)
    own = generator.normal(size=(k * n, 3)) + apart * np.eye(3)[codes] / np.sqrt(2)
    rows = np.repeat(np.arange(k * n), images)
    return own[rows] + 0.01 * generator.normal(size=(len(rows), 3)), codes[rows], rows


def test_fit_is_near_the_best_there_is() -> None:
    classify, cross = of.fit(*sample(0, 300), 0)
    values, codes, _ = sample(1, 2000)
    right = (classify(values).argmax(1) == codes).mean()
    assert right == pytest.approx(norm.cdf(1), abs=0.02)  # the classes lie 2 apart
    assert (cross.argmax(1) == np.repeat([0, 1], 300)).mean() == pytest.approx(norm.cdf(1), abs=0.04)
    assert np.exp(cross).sum(1) == pytest.approx(1)


def test_only_ranks_matter() -> None:
    values, codes, owners = sample(2, 60)
    one = of.fit(values, codes, owners, 0)[1]
    assert of.fit(np.exp(values), codes, owners, 0)[1] == pytest.approx(one, abs=1e-6)


def test_patients_and_classes_weigh_the_same() -> None:
    codes, owners = np.array([0, 0, 0, 1, 1]), np.array([7, 7, 8, 9, 9])
    weight = of.even_weights(codes, owners)
    assert weight.mean() == pytest.approx(1)
    assert weight[:2].sum() == pytest.approx(weight[2])
    assert weight[3:].sum() == pytest.approx(weight[:3].sum())


def test_folds_hold_whole_patients() -> None:
    _, codes, owners = sample(3, 20, images=3)
    fold = of.deal(codes, owners, np.random.default_rng(0))
    assert all(len(set(fold[owners == who])) == 1 for who in set(owners))
    assert [len(set(owners[(fold == f) & (codes == c)])) for f in range(5) for c in (0, 1)] == [4] * 10


def test_cross_fitting_has_seen_nobody_whom_it_judges() -> None:
    """Labels at random: patients of 20 images alike would be told with certainty by whoever had seen them."""
    seen, new = [], []
    for seed in range(3):
        values, codes, owners = sample(seed, 40, 0.0, images=20)
        others, own, _ = sample(seed + 50, 400, 0.0)
        unseen = of.cross_fitted(values, codes, owners, others, seed)
        seen.append((unseen.real.argmax(1) == codes).mean())
        new.append((unseen.others.argmax(1) == own).mean())
    assert np.mean(seen) == pytest.approx(0.5, abs=0.12)
    assert np.mean(new) == pytest.approx(0.5, abs=0.05)
    # real and other rows are judged alike
    sums = []
    for seed in range(12):
        values, codes, owners = sample(seed, 60)
        others, own, _ = sample(seed + 50, 60)
        unseen = of.cross_fitted(values, codes, owners, others, seed)
        rows = np.arange(120)
        sums.append(unseen.real[rows, codes].mean() - unseen.others[rows, own].mean())
    assert abs(np.mean(sums)) < 3 * np.std(sums, ddof=1) / np.sqrt(12)
    # a class of too few patients to be held out is left at chance
    few = np.r_[0:120, 120:122]
    codes = np.r_[codes, 2, 2]
    unseen = of.cross_fitted(values[few % 120], codes, few, others, 0)
    assert np.exp(unseen.real).sum(1) == pytest.approx(1)


def test_odds() -> None:
    log = np.log([[0.5, 0.3, 0.2]])
    assert of.odds_against(log, np.array([0])) == pytest.approx(np.log(0.25 / 0.5))
    assert of.class_odds(log)[0] == pytest.approx(np.log([1, 3 / 7, 1 / 4]))
    assert np.isfinite(of.class_odds(np.array([[0.0, -800.0]]))).all()
    assert np.isfinite(of.odds_against(np.array([[0.0, -800.0]]), np.array([0]))).all()
