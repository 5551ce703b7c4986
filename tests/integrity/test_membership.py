"""Scores and their curves against closed forms, SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde, norm
from sklearn.metrics import roc_auc_score

from ganatomy.integrity.membership import (
    always_told,
    auc,
    domias,
    gan_leaks,
    passes,
    per_patient,
    safe_rank,
    told_at_most,
    true_positives,
)


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


def test_what_is_always_told_is_not_overstated() -> None:
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(500):
        members = generator.normal(size=200)
        members[:20] = 99
        count, r, _ = true_positives(members, generator.normal(size=200))
        inside.append(always_told(count, 200, r, 200) <= 0.1)
    assert np.mean(inside) >= 0.94
    assert always_told(0, 100, 2, 100) == 0


@pytest.mark.parametrize("n", [20, 50, 100, 200])
def test_what_can_be_told_at_most_covers_the_truth(n: int) -> None:
    """Members of whom a few score as high as the threshold of 1 %, which few others do not show."""
    generator = np.random.default_rng(n)
    truth = norm.isf(0.01)
    bound, naive = [], []
    for _ in range(600):
        members, others = generator.normal(1, 1, 100), generator.normal(size=n)
        told = (members > truth).mean()
        bound.append(told_at_most(members, others) >= told)
        naive.append(true_positives(members, others)[0] / 100 >= told)
    assert np.mean(bound) >= 0.935  # 95 % but for three standard errors of less than 0.9 %
    assert np.mean(naive) < 0.9  # what the count alone would promise


def test_ranks_and_passes_by_hand() -> None:
    assert [safe_rank(n) for n in (5, 20, 220)] == [1, 2, 6]  # P(Binomial(20, 0.01) >= 2) = 0.017, >= 1 = 0.18
    generator = np.random.default_rng(0)
    draws = [told_at_most(*generator.normal(size=(2, 220))) <= 3 / 221 + 0.03 for _ in range(1000)]
    assert passes(220, 220, 0.03) == pytest.approx(np.mean(draws), abs=0.04)
    assert passes(220, 220, 0.03) > 0.8 > passes(100, 100, 0.03)


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
