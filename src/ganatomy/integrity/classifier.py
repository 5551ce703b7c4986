"""A linear classifier of tables of features: fitted to real patients, and asked only about patients it has not seen.

Knows values, classes and owners of rows. Does not know which set a row comes from, nor what is concluded.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, ndtri
from sklearn.linear_model import LogisticRegression

from ganatomy.core.seed import rng

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Classify = Callable[[Array], Array]  # (n, d) values -> (n, k) log-probabilities

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse L2 penalties that are tried
FOLDS = 5


def normal_scores(reference: Array) -> Callable[[Array], Array]:
    """A map of (n, d) tables: each column's rank in the reference, as the quantile of a normal distribution."""
    order = np.sort(reference, axis=0)

    def score(values: Array) -> Array:
        out = np.empty_like(values)
        for j in range(values.shape[1]):
            below, upto = (np.searchsorted(order[:, j], values[:, j], side) for side in ("left", "right"))
            out[:, j] = ndtri((below + upto + 1) / (2 * len(order) + 2))
        return out

    return score


def basis(values: Array) -> Callable[[Array], Array]:
    """A map of tables to the principal components (99.9 %) of normal scores of `values`."""
    score = normal_scores(values)
    x = score(values)
    variance, axes = np.linalg.eigh(np.cov(x.T).reshape(x.shape[1], x.shape[1]))
    axes = axes[:, np.cumsum(variance[::-1])[::-1] > 0.001 * variance.sum()]
    return lambda table: np.asarray(score(table) @ axes)


def even_weights(codes: Index, owners: Index) -> Array:
    """(n,) weights of mean 1: every patient weighs the same within a class, every class the same."""
    _, who = np.unique(np.stack([owners, codes]), axis=1, return_inverse=True)
    weight = 1 / np.bincount(who.ravel())[who.ravel()]
    weight /= np.bincount(codes, weight)[codes]
    return np.asarray(weight * len(codes) / weight.sum())


def deal(codes: Index, owners: Index, generator: np.random.Generator, folds: int = FOLDS) -> Index:
    """(n,) fold of each row: whole patients are dealt, class after class (a patient's first)."""
    people, own = np.unique(owners, return_index=True)
    order = generator.permutation(len(people))
    order = order[np.argsort(codes[own][order], kind="stable")]
    fold = np.empty(len(people), np.int64)
    fold[order] = np.arange(len(people)) % folds
    return np.asarray(fold[np.searchsorted(people, owners)])


def _model(strength: float, x: Array, codes: Index, weight: Array) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=2000, tol=1e-3).fit(x, codes, weight)


def _log(model: LogisticRegression, x: Array) -> Array:
    """(n, k) log-probabilities; scikit-learn's own take the logarithm of 0."""
    odds = model.decision_function(x)
    return np.asarray(log_softmax(odds if odds.ndim > 1 else np.stack([0 * odds, odds], 1), axis=1))


def fit(values: Array, codes: Index, owners: Index, seed: int) -> tuple[Classify, Array]:
    """A linear classifier: tables (n, d) -> log-probabilities (n, k); and those of its own rows by cross-validation.

    L2-penalised logistic regression on `basis`, rows weighted by `even_weights`. Folds hold whole patients. Of four
    penalties, the one with the smallest cross-validated log-loss.
    """
    x_of, k, rows = basis(values), int(codes.max()) + 1, np.arange(len(codes))
    x, weight = x_of(values), even_weights(codes, owners)
    fold = deal(codes, owners, rng(seed, "labels", "folds"))
    parts = [np.flatnonzero(fold == f) for f in np.unique(fold)]
    best: tuple[float, float, Array] = (math.inf, 1.0, np.empty(0))
    for strength in STRENGTHS:
        log = np.full((len(codes), k), -math.log(k))
        for test in parts:
            rest = np.setdiff1d(rows, test)
            if len(np.unique(codes[rest])) == k:
                log[test] = _log(_model(strength, x[rest], codes[rest], weight[rest]), x[test])
        loss = -float((weight * log[rows, codes]).mean())
        if loss < best[0]:
            best = (loss, strength, log)
    model = _model(best[1], x, codes, weight)
    return lambda table: _log(model, x_of(table)), best[2]


@dataclass(frozen=True, eq=False)
class Unseen:
    """Log-probabilities (n, k) of real rows and of other rows, each by a model that saw none of its fold's patients.

    fold, fold_of_others: (n,). Odds of different folds are not to be ranked together: models of the other folds saw the
    patients of one, and such ranks are worse than chance (Parker 2007).
    """

    real: Array
    others: Array
    fold: Index
    fold_of_others: Index


def cross_fitted(values: Array, codes: Index, owners: Index, others: Array, seed: int) -> Unseen:
    """Real rows by the model of the other folds' patients; other rows by that of the fold they are dealt to, in turn.

    So a real and another row of one fold are equally new to the model that judges them, and if the others are images
    of further real patients of the class, the two have the same distribution: all real patients teach, and all are
    a yardstick. (Cross-fitting; that means over folds are normal is shown by Bayle et al. 2020.) The penalty of each
    fold's model is chosen on the next fold, which is not the one it judges.
    """
    k = int(codes.max()) + 1
    fold = deal(codes, owners, rng(seed, "labels", "cross-fit"))
    dealt = np.arange(len(others)) % FOLDS
    real, made = np.full((len(codes), k), -math.log(k)), np.full((len(others), k), -math.log(k))
    for f in range(FOLDS):
        out, choose = np.flatnonzero(fold == f), np.flatnonzero(fold == (f + 1) % FOLDS)
        learn = np.flatnonzero(fold != f)
        first = np.setdiff1d(learn, choose)
        if len(np.unique(codes[first])) < k:
            continue  # too few patients of a class: chance for all rows of the fold
        x_of = basis(values[learn])
        x, weight = x_of(values), even_weights(codes, owners)

        losses = []
        for strength in STRENGTHS:
            log = _log(_model(strength, x[first], codes[first], weight[first]), x[choose])
            losses.append(-float((weight[choose] * log[np.arange(len(choose)), codes[choose]]).mean()))
        model = _model(STRENGTHS[int(np.argmin(losses))], x[learn], codes[learn], weight[learn])
        real[out] = _log(model, x[out])
        own = np.flatnonzero(dealt == f)
        if len(own):
            made[own] = _log(model, x_of(others[own]))
    return Unseen(real, made, fold, dealt)


def odds_against(log: Array, codes: Index) -> Array:
    """(n,) log-odds that the label is wrong: mean probability of the other classes / that of the label."""
    rows, k = np.arange(len(codes)), log.shape[1]
    p = np.exp(log)
    p[rows, codes] = 0
    return np.asarray(np.log(np.maximum(p.sum(1) / (k - 1), 1e-300)) - log[rows, codes])


def class_odds(log: Array) -> Array:
    """(n, k) log-odds of each class against the rest."""
    p = np.exp(log)
    return np.asarray(log - np.log(np.maximum(p.sum(1, keepdims=True) - p, 1e-12)))
