"""Estimates against scikit-learn, SciPy and closed forms; exchanges against enumeration and over many draws."""

from itertools import combinations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import roc_auc_score

from ganatomy.integrity import association as of


def test_aucs_are_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [30, 50, 20])
    values = np.round(generator.normal(size=(100, 4)) + codes[:, None] * [0, 0.5, 1, -1], 1)  # ties
    weight = generator.integers(1, 4, 100).astype(float)
    two = codes < 2
    cards = of.placements(values[two], codes[two], 2, weight[two])
    assert of.aucs(cards, codes[two], 2, weight[two])[0] == pytest.approx(
        [roc_auc_score(codes[two], values[two, j], sample_weight=weight[two]) for j in range(4)]
    )
    cards = of.placements(values, codes, 3)
    for label in range(3):
        pairs = []
        for other in {0, 1, 2} - {label}:
            rows = np.isin(codes, [label, other])
            pairs.append([roc_auc_score(codes[rows] == label, values[rows, j]) for j in range(4)])
        assert of.aucs(cards, codes, 3)[label] == pytest.approx(np.mean(pairs, 0))


def test_placements_of_the_rest_have_delongs_variance() -> None:
    generator = np.random.default_rng(1)
    pool = [generator.normal(size=(1000, 60, 1)), 1 + generator.normal(size=(1000, 60, 1))]
    codes = np.repeat([0, 1], 60)
    areas, told = [], []
    for a, b in zip(*pool, strict=True):
        cards = of.placements(np.concatenate([a, b]), codes, 2)
        areas.append(of.aucs(cards, codes, 2)[0, 0])
        told.append(sum(cards[codes == c].var(ddof=1) / 60 for c in (0, 1)))
    assert np.mean(told) == pytest.approx(np.var(areas), rel=0.15)


def test_means_of_patients() -> None:
    values = np.array([[1.0, 0], [3, 2], [5, 5], [7, 1]])
    assert of.per_unit(values, np.array([1, 0, 1, 0])).tolist() == [[5, 1.5], [3, 2.5]]


def test_errors_of_a_gap() -> None:
    generator = np.random.default_rng(2)
    made = generator.normal(size=(70, 2)), np.repeat([0, 1], [40, 30])
    real = generator.normal(size=(50, 2)), np.repeat([0, 1], [20, 30])
    errors, variance = of.gap_errors(made, real, [0, 1], 4000, generator)
    parts = [x[codes == c] for x, codes in (made, real) for c in (0, 1)]
    assert variance == pytest.approx(sum(part.var(0, ddof=1) / len(part) for part in parts))
    assert errors.var(0) == pytest.approx(variance, rel=0.1)
    # the same patients on both sides: no error at all of what is the same in both
    same = (np.concatenate([made[0][:40], real[0][20:]]), made[1])
    variance = of.gap_errors(same, real, [0], 1, generator)[1]
    first = (made[0][:40], real[0][:20])
    assert variance == pytest.approx(sum(part.var(0, ddof=1) / len(part) for part in first))


def test_typical_difference_without_its_noise() -> None:
    generator = np.random.default_rng(3)
    truth = generator.choice([-0.1, 0.1], 400)
    gap = truth + 0.05 * generator.normal(size=400)
    errors = 0.05 * generator.normal(size=(400, 400))
    value, low, high = of.typical(gap, 400 * 0.05**2, errors)
    assert value == pytest.approx(0.1, abs=0.01)
    assert low < 0.1 < high
    assert of.typical(gap - truth, 400 * 0.05**2, errors)[1] == 0


def test_information_is_scikit_learns_and_near_the_truth() -> None:
    generator = np.random.default_rng(2)
    codes = np.repeat([0, 1], 1500)
    values = generator.normal(size=(3000, 3)) + codes[:, None] * [0, 1, 2]
    ours = of.information(values, codes, 2)
    theirs = mutual_info_classif(values, codes, n_neighbors=3, discrete_features=False, random_state=0)
    assert np.maximum(ours, 0) == pytest.approx(theirs, abs=2e-3)

    def entropy(x: float) -> float:
        p = (norm.pdf(x) + norm.pdf(x - 2)) / 2
        return -p * np.log(p)

    truth = quad(entropy, -8, 10)[0] - norm.entropy()
    excess = of.excess_information(values, codes, 2, generator, 10)
    assert excess[2] == pytest.approx(truth, abs=0.05)
    assert abs(excess[0]) < 0.04
    ties = of.excess_information(np.round(values), codes, 2, generator, 10)
    assert ties[2] == pytest.approx(truth, abs=0.1)
    assert abs(ties[0]) < 0.05


def test_exchanges_are_those_of_an_enumeration() -> None:
    generator = np.random.default_rng(4)
    x = generator.normal(size=(10, 2))
    x[:4] += [1.0, -0.5]
    codes, made = np.zeros(10, np.int64), np.arange(10) < 4

    def numbers(rows: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = x[rows], x[np.setdiff1d(np.arange(10), rows)]
        gap = a.mean(0) - b.mean(0)
        return float((gap**2).sum()), gap / np.sqrt(a.var(0, ddof=1) / 4 + b.var(0, ddof=1) / 6)

    seen = numbers(np.arange(4))
    every = [numbers(np.array(rows)) for rows in combinations(range(10), 4)]
    squares = np.mean([one[0] >= seen[0] - 1e-9 for one in every])
    means = np.mean([one[1] >= seen[1] - 1e-9 for one in every], axis=0)
    assert of.exchange_squares(x, codes, made, 0.001, generator) == pytest.approx(squares, abs=0.03)
    assert of.exchange_means(x, codes, made, 0.001, generator) == pytest.approx(means, abs=0.04)


def test_p_is_uniform_without_a_difference() -> None:
    """Also where real rows are means of patients, which vary less, and are skewed."""
    generator = np.random.default_rng(5)
    squares, means = [], []
    for seed in range(100):
        codes, made = np.repeat([0, 1], 60), np.tile(np.arange(60) < 40, 2)
        x = generator.exponential(size=(120, 3))
        squares.append(of.exchange_squares(x, codes, made, 0.05, np.random.default_rng(seed)))
        x = np.where(made[:, None], x, generator.exponential(size=(120, 3, 4)).mean(2))
        means += list(of.exchange_means(x, codes, made, 0.05, np.random.default_rng(seed)))
    for p, most in ((squares, 0.17), (means, 0.14)):
        assert 0.03 <= np.mean(np.array(p) <= 0.1) <= most
        assert 0.35 < np.mean(np.array(p) <= 0.5) < 0.65
