"""Do synthetic labels mean what real labels mean? Associations, information and wrong labels, over all classes.

Knows one table of features per class. Does not know images, and trains one linear classifier on real patients.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import digamma, ndtri
from scipy.stats import hypergeom, rankdata, spearmanr
from sklearn.linear_model import LogisticRegression

from ganatomy.core.errors import InputError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import LOST, Features, prepare

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
Single = NDArray[np.float32]
Numbers = tuple[float, float, float]  # a value and its 95 % interval
Bar = tuple[str, float]

ASSOCIATED = 0.1  # |AUC - 0.5| above which a feature is said to be associated with the class
DIFFERENCE, SAME_SIGN = 0.05, 0.95  # bars: typical difference of AUC beyond chance; share of features of the same sign
LOST_INFORMATION, CARICATURE = 0.8, 1.2  # bars: information on the class, synthetic / real
WRONG, DISAGREEMENT = 0.05, 0.05  # bars: share of wrong labels; agreement that may be lost against the holdout
NEIGHBOURS = 3  # of Ross's estimator
LEAST = 20  # of each class: holdout patients, synthetic images
MOST = 6000  # rows of holdout and synthetic together, shared out over the classes
MOST_INFORMED = 500  # rows of each class and set whose mutual information is estimated
FITTED = 5000  # training images that the classifier learns from
TRUST = 0.8  # of the share of `wrong`: what its likelihood ratio has; its tail has the rest
ONE_SIDED = 1.644854 / 1.959964  # of the reach of a 95 % interval: that of a one-sided 95 % bound
# how this gate's level is shared out over its findings
SHARES = {"wrong": 0.4, "agreement": 0.1, "difference": 0.2, "sign": 0.05, "lost": 0.1, "caricature": 0.15}
NAMES = {
    "wrong": "wrong labels",
    "agreement": "labels a classifier agrees with",
    "difference": "difference of association with the class",
    "sign": "associations of the same sign",
    "lost": "information on the class",
    "caricature": "caricature (information on the class)",
}


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows of all classes. values: (n, d); codes: (n,) class; synthetic: (n,) which rows are; k: number of classes.

    A class without synthetic rows (a generator may make only the rare one) has the holdout's rows on both sides: the
    synthetic class is then compared with real others, and only its rows change places.
    """

    values: Array
    codes: Index
    synthetic: Bools
    k: int

    @property
    def made(self) -> list[int]:
        """The classes that have synthetic rows."""
        return [int(code) for code in np.unique(self.codes[self.synthetic])]

    def rows(self, code: int, synthetic: bool) -> Index:
        """The rows of one class on one side."""
        side = synthetic and code in self.made
        return np.flatnonzero((self.codes == code) & (self.synthetic == side))

    def part(self, synthetic: bool) -> tuple[Array, Index]:
        """values and codes of one side."""
        rows = np.concatenate([self.rows(code, synthetic) for code in range(self.k)])
        return self.values[rows], self.codes[rows]


def comparisons(k: int) -> range:
    """The classes that are held against the rest: of two, the first would only mirror the second."""
    return range(1, 2) if k == 2 else range(k)


def aucs(values: Array, codes: Index, k: int) -> Array:
    """(comparisons, d) P(x of the class > x of the rest) + P(=) / 2, each other class weighing the same.

    Mann & Whitney 1947. The mean over the other classes does not depend on how many images each has, which a pooled
    rest would.
    """
    groups = [values[codes == code] for code in range(k)]
    pairs = np.full((k, k, values.shape[1]), 0.5)
    for a in range(k):
        for b in range(a):
            ranks = rankdata(np.concatenate([groups[a], groups[b]]), axis=0)[: len(groups[a])]
            pairs[a, b] = (ranks.mean(0) - (len(groups[a]) + 1) / 2) / len(groups[b])
            pairs[b, a] = 1 - pairs[a, b]
    return np.array([np.delete(pairs[c], c, axis=0).mean(0) for c in comparisons(k)])


def placements(values: Array, codes: Index, k: int) -> Single:
    """(n, comparisons * d) what each row adds to the AUCs: a mean of these per class is an AUC, to first order.

    The placement of a row among the pooled rows of the other class (Hanley & Hajian-Tilaki 1997; DeLong 1988).
    """
    d = values.shape[1]
    out = np.zeros((len(values), len(comparisons(k)), d), np.float32)
    where = [np.flatnonzero(codes == code) for code in range(k)]
    for j, c in enumerate(comparisons(k)):
        for other in range(k):
            if other == c:
                continue
            a, b = where[c], where[other]
            ranks = rankdata(np.concatenate([values[a], values[b]]), axis=0)
            out[a, j] += (ranks[: len(a)] - rankdata(values[a], axis=0)) / len(b) / (k - 1)
            out[b, j] -= (ranks[len(a) :] - rankdata(values[b], axis=0)) / len(a) / (k - 1)
    return np.asarray(out.reshape(len(values), -1))


def information(values: Array, codes: Index, k: int, neighbours: int = NEIGHBOURS) -> Array:
    """(d,) mutual information of each column and the class in nats: psi(n) + psi(k) - <psi(n_c) + psi(m)>, Ross 2014.

    The k-th nearest of the own class lies at a distance within which m rows of any class lie. Classes should be of
    one size. May be negative; biased upwards at small n (`excess_information`).
    """
    n, d = values.shape
    total = np.zeros(d)
    order = np.sort(values, axis=0)
    for code in range(k):
        x = np.sort(values[codes == code], axis=0)  # (n_c, d)
        size = len(x)
        near = min(neighbours, size - 1)
        padded = np.concatenate([np.full((near, d), -np.inf), x, np.full((near, d), np.inf)])
        radius = np.full((size, d), np.inf)
        for left in range(near + 1):  # the window of near + 1 rows that begins `left` before the row
            low, high = padded[near - left : near - left + size], padded[2 * near - left : 2 * near - left + size]
            radius = np.minimum(radius, np.maximum(x - low, high - x))
        # strictly within, by more than the sums below are rounded: the row itself counts, its k-th neighbour does not
        radius = np.maximum(radius - 8 * np.spacing(np.abs(x) + radius), 0)
        for column in range(d):
            r, own = radius[:, column], x[:, column]
            inside = np.searchsorted(order[:, column], own + r, "right") - np.searchsorted(
                order[:, column], own - r, "left"
            )
            total[column] += (digamma(n) + digamma(near) - digamma(size) - digamma(np.maximum(inside, 1))).sum()
    return np.asarray(total / n)


def excess_information(values: Array, codes: Index, k: int, generator: np.random.Generator, shuffles: int = 3) -> Array:
    """(d,) `information` less its mean with shuffled labels: the estimator's bias, and what ties add, fall out."""
    values = values + 1e-9 * generator.normal(size=values.shape)  # ties would have radius 0
    chance = [information(values, generator.permutation(codes), k) for _ in range(shuffles)]
    return np.asarray(information(values, codes, k) - np.mean(chance, axis=0))


def surprise(values: Array, codes: Index, k: int, bins: int = 10) -> Array:
    """(n,) pointwise information on the class, log p(x | c) / mean p(x | .), summed over columns.

    It is the influence of a row on the summed mutual information, from class-wise histograms over pooled deciles.
    """
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], axis=0)
    total = np.zeros(len(values))
    for column in range(values.shape[1]):
        cell = np.searchsorted(edges[:, column], values[:, column], "right")
        count = np.zeros((k, bins))
        np.add.at(count, (codes, cell), 1)
        share = (count + 0.5) / (count + 0.5).sum(1, keepdims=True)
        total += np.log(share / share.mean(0))[codes, cell]
    return total


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


def fit(values: Array, codes: Index, owners: Index, seed: int) -> tuple[Callable[[Array], Array], Array]:
    """A linear classifier of train: tables (n, d) -> log-probabilities (n, k); those of train by cross-validation.

    L2-penalised logistic regression on the principal components (99.9 %) of normal scores. Folds hold whole patients.
    Every patient weighs the same within a class, every class the same. Of four penalties, the one with the smallest
    cross-validated log-loss.
    """
    score = normal_scores(values)
    x, k, rows = score(values), int(codes.max()) + 1, np.arange(len(codes))
    variance, axes = np.linalg.eigh(np.cov(x.T).reshape(x.shape[1], x.shape[1]))
    axes = axes[:, np.cumsum(variance[::-1])[::-1] > 0.001 * variance.sum()]
    x = x @ axes

    _, who = np.unique(np.stack([owners, codes]), axis=1, return_inverse=True)
    weight = 1 / np.bincount(who.ravel())[who.ravel()]
    weight /= np.bincount(codes, weight)[codes]
    weight *= len(codes) / weight.sum()
    # whole patients are dealt to the folds, class after class (a patient's first)
    people, own = np.unique(owners, return_index=True)
    order = rng(seed, "labels", "folds").permutation(len(people))
    order = order[np.argsort(codes[own][order], kind="stable")]
    fold = np.empty(len(people), np.int64)
    fold[order] = np.arange(len(people)) % 5
    parts = [np.flatnonzero(fold[np.searchsorted(people, owners)] == f) for f in range(min(5, len(people)))]
    best: tuple[float, float, Array] = (math.inf, 1.0, np.empty(0))
    for strength in (0.001, 0.01, 0.1, 1.0):
        log = np.full((len(codes), k), -math.log(k))
        for test in parts:
            rest = np.setdiff1d(rows, test)
            if len(np.unique(codes[rest])) == k:
                model = LogisticRegression(C=strength, max_iter=2000, tol=1e-3)
                log[test] = model.fit(x[rest], codes[rest], weight[rest]).predict_log_proba(x[test])
        loss = -float((weight * log[rows, codes]).mean())
        if loss < best[0]:
            best = (loss, strength, log)
    model = LogisticRegression(C=best[1], max_iter=2000, tol=1e-3).fit(x, codes, weight)
    return lambda table: np.asarray(model.predict_log_proba(score(table) @ axes)), best[2]


def contradiction(log: Array, codes: Index) -> Array:
    """(n,) log-odds of the likeliest other class against the given label; log: (n, k) log-probabilities."""
    rows = np.arange(len(codes))
    others = log.copy()
    others[rows, codes] = -np.inf
    return np.asarray(others.max(1) - log[rows, codes])


def mislabelled(log: Array, codes: Index) -> tuple[Array, Index]:
    """`contradiction` of every wrong label that the rows could carry, and their true classes."""
    k = log.shape[1]
    wrong = [contradiction(log, (codes + step) % k) for step in range(1, k)]
    return np.concatenate(wrong), np.tile(codes, k - 1)


def balanced(hits: NDArray[np.generic], codes: Index, classes: Iterable[int]) -> float:
    """Mean over the classes of the share of hits."""
    return float(np.mean([hits[codes == c].mean() for c in classes]))


def threshold(log: Array, codes: Index) -> float:
    """The log-odds from which a contradiction is called confident: there wrong labels stand out best.

    log: of training rows by cross-validation, so that the threshold knows neither holdout nor synthetic.
    """
    k = log.shape[1]
    right, (wrong, true) = contradiction(log, codes), mislabelled(log, codes)
    best = (-1.0, 0.0)
    for t in np.linspace(0, 6, 25):
        q, s = balanced(right > t, codes, range(k)), balanced(wrong > t, true, range(k))
        best = max(best, ((s - q) / math.sqrt((2 - WRONG) * q + WRONG * s + 2 / len(codes)), float(t)))
    return best[1]


def more_hits(hits: Bools, pool: Pool) -> float:
    """Exact P(as many or more hits among the synthetic rows) if sets are shuffled within each class.

    The count is a sum over the classes of hypergeometric counts: Fisher's test, stratified.
    """
    law, count = np.ones(1), 0
    for code in pool.made:
        own = pool.codes == code
        n, total, made = int(own.sum()), int(hits[own].sum()), int((own & pool.synthetic).sum())
        law = np.convolve(law, hypergeom.pmf(np.arange(total + 1), n, total, made))
        count += int((hits & own & pool.synthetic).sum())
    return float(min(law[count:].sum(), 1.0))


def tails(values: Array) -> Array:
    """(rows,) how much of each sorted row (rows, n) lies far above its own median: mean of the excess over 1.5.

    The unit is the row's own lower spread (median less the first decile, / 1.28), to which a few wrong labels, which
    lie above, add nothing. So images that are easier than real ones do not hide them.
    """
    n = values.shape[1]
    median = values[:, n // 2, None]
    unit = np.maximum((median - values[:, n // 10, None]) / 1.2816, 1e-9)
    return np.asarray(np.clip((values - median) / unit - 1.5, 0, 3).mean(1))


@dataclass(frozen=True, eq=False)
class Scores:
    """What is shuffled. cards: (n, columns) placements; at: (columns,) pooled AUCs; facts: (n,) pointwise information;
    against: (n,) contradiction of the label. Rows are those of `pool`.
    """

    pool: Pool
    cards: Single
    at: Array
    facts: Array
    against: Array

    def statistics(self, flags: Mapping[int, Bools]) -> Array:
        """(draws, 6) statistics, large where the sets differ, of sets drawn as flags: per class (draws, n_c) synthetic.

        Columns: sum of squared differences of AUC, associations of opposite sign, more information, less information,
        wrong labels by the likelihood ratio, wrong labels by the tail.
        """
        draws, n, k = len(next(iter(flags.values()))), len(self.pool.codes), self.pool.k
        made, real = np.zeros((draws, n), np.float32), np.zeros((draws, n), np.float32)
        tail = np.zeros(draws)
        for code in set(range(k)) - set(flags):
            own = np.flatnonzero(self.pool.codes == code)
            made[:, own] = real[:, own] = 1 / len(own)
        for code, inside in flags.items():
            own = np.flatnonzero(self.pool.codes == code)
            count = int(inside[0].sum())
            made[:, own], real[:, own] = inside / count, ~inside / (len(own) - count)
            order = np.argsort(self.against[own], kind="stable")
            row = np.broadcast_to(self.against[own][order], inside.shape)
            ordered = inside[:, order]
            sides = [tails(row[chosen].reshape(draws, -1)) for chosen in (ordered, ~ordered)]
            tail += sides[0] - sides[1]
        one, two = made @ self.cards, real @ self.cards
        gain = (made - real) @ self.facts
        likelihood = np.log1p(WRONG * np.expm1(np.minimum(self.against, 20)))
        a, b = self.at + one, self.at + two
        # a product rather than a count: near 0.5 signs differ by chance, and many features are one
        opposite = np.where(np.abs(b - 0.5) > ASSOCIATED, np.maximum((0.5 - a) * (b - 0.5), 0), 0).sum(1)
        return np.stack([((one - two) ** 2).sum(1), opposite, gain, -gain, (made - real) @ likelihood, tail], 1)


def shuffle_p(scores: Scores, alpha: float, generator: np.random.Generator) -> Array:
    """(6,) exact permutation p of `Scores.statistics`: synthetic and holdout rows change places within their class.

    Enough draws for p <= alpha / 3; fewer where it is plain that no statistic will reach it (Besag & Clifford 1991).
    """
    actual = {code: scores.pool.synthetic[scores.pool.codes == code][None] for code in scores.pool.made}
    seen = scores.statistics(actual)
    slack = 1e-6 * np.abs(seen)
    most = int(np.clip(math.ceil(4 / alpha), 999, 20000))
    count, drawn = np.zeros(6), 0
    while drawn < most and count.min() < 20:
        flags = {code: generator.permuted(np.repeat(rows, 250, axis=0), axis=1) for code, rows in actual.items()}
        count += (scores.statistics(flags) >= seen - slack).sum(0)
        drawn += 250
    return np.asarray((1 + count) / (1 + drawn))


@dataclass(frozen=True, eq=False)
class Tables:
    """Rows ready to be compared: train with all its images, one image per patient of holdout and of train."""

    classes: tuple[str, ...]  # those that are compared
    names: tuple[str, ...]
    train: tuple[Array, Index, Index]  # values, codes, owners
    pool: Pool  # holdout and synthetic
    real: Pool  # holdout and, in the place of synthetic, as many train patients
    note: str
    lost: float


def assemble(
    classes: Sequence[str],
    train: Mapping[str, Features],
    holdout: Mapping[str, Features],
    synthetic: Mapping[str, Features],
    seed: int,
) -> Tables | str:
    """One scale for all classes, rows that are independent; or the reason why the sets cannot be compared."""
    sets = (train, holdout, synthetic)
    whole = [c for c in classes if c in train and len(train[c]) and c in holdout and len(holdout[c])]
    if len(whole) < 2:
        return "fewer than two classes have images in train and in holdout: labels have nothing to tell apart"
    if not any(label in synthetic and len(synthetic[label]) for label in whole):
        return "there is no synthetic image of these classes"
    names = train[whole[0]].names
    joined, codes = zip(*(_join(whole, tables, names) for tables in sets), strict=True)
    data = prepare(*joined)
    if not data.train.names:
        return "no feature varies in train" + (f"; {data.note}" if data.note else "")
    column = [names.index(name) for name in data.train.names]
    own = [c[np.isfinite(t.values[:, column]).all(1)] for t, c in zip(joined, codes, strict=True)]

    generator = rng(seed, "labels", "patients")
    picked = [_independent(t, c, generator) for t, c in zip((data.train, data.holdout), own[:2], strict=True)]
    picked.append(generator.permutation(len(data.synthetic)))
    count = [np.bincount(c[p], minlength=len(whole)) for c, p in zip(own, picked, strict=True)]
    kept = [i for i in range(len(whole)) if min(count[0][i], count[1][i]) >= LEAST]
    made = [i for i in kept if count[2][i] >= LEAST]
    notes = [
        f"{label} is left out: {count[0][i]} train and {count[1][i]} holdout patients can be used, {LEAST} of each are "
        "needed (a patient with images of several classes counts for one of them)"
        for i, label in enumerate(whole)
        if i not in kept
    ]
    notes += [
        f"{whole[i]} has {count[2][i]} synthetic images, fewer than {LEAST}: real ones stand in their place"
        for i in kept
        if i not in made
    ]
    notes = [*notes, data.note] if data.note else notes
    if len(kept) < 2 or not made:
        return "; ".join([f"{len(kept)} classes can be compared, {len(made)} of them with synthetic images", *notes])

    k, most = len(kept), max(MOST // (2 * len(kept)), LEAST)
    values = (data.train.values, data.holdout.values, data.synthetic.values)
    new = np.full(len(whole), -1)
    new[kept] = np.arange(k)

    def side(i: int, some: list[int]) -> tuple[Array, Index]:
        rows = np.concatenate([picked[i][own[i][picked[i]] == code][:most] for code in some])
        return values[i][rows], new[own[i][rows]]

    def pool(other: int) -> Pool:
        real, instead = side(1, kept), side(other, made)
        flags = np.repeat([False, True], [len(real[1]), len(instead[1])])
        return Pool(np.concatenate([real[0], instead[0]]), np.concatenate([real[1], instead[1]]), flags, k)

    some = np.flatnonzero(new[own[0]] >= 0)
    some = np.sort(generator.permutation(some)[:FITTED])
    learned = (values[0][some], new[own[0][some]], data.train.owners[some])
    labels = tuple(whole[i] for i in kept)
    return Tables(labels, data.train.names, learned, pool(2), pool(0), "; ".join(notes), data.lost)


def _join(classes: Sequence[str], tables: Mapping[str, Features], names: tuple[str, ...]) -> tuple[Features, Index]:
    """All classes' rows in one table, and the class of each."""
    parts = [tables.get(label, Features(np.empty((0, len(names))), names)) for label in classes]
    if any(part.names != names for part in parts):
        raise InputError("the classes have different feature columns; extract them with one setting")
    codes = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    patients = tuple(who for part in parts for who in part.patients)
    return Features(np.concatenate([part.values for part in parts]), names, patients), codes


def _independent(features: Features, codes: Index, generator: np.random.Generator) -> Index:
    """One random row of each patient, in random order.

    A patient with images of several classes counts for one of them, the rarer ones (in patients) being likelier.
    """
    owners = features.owners
    seen = np.unique(np.stack([owners, codes]), axis=1)[1]
    size = np.maximum(np.bincount(seen, minlength=int(codes.max(initial=0)) + 1), 1)
    images = np.unique(np.stack([owners, codes]), axis=1, return_inverse=True, return_counts=True)[1:]
    weight = 1 / (size[codes] * images[1][images[0].ravel()])
    order = np.argsort(generator.exponential(size=len(codes)) / weight, kind="stable")  # the first is a weighted draw
    first = np.unique(owners[order], return_index=True)[1]
    return np.asarray(order[generator.permutation(first)])


def _variance(values: Array, pool: Pool) -> Array:
    """(columns,) variance of the sum over the classes of mean(synthetic) - mean(holdout)."""
    parts = [values[pool.rows(code, side)] for code in pool.made for side in (False, True)]
    return np.asarray(np.sum([part.var(0, ddof=1) / len(part) for part in parts], axis=0))


def jitter(pool: Pool, cards: Array, draws: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """(draws, columns) sampling errors of the AUCs of synthetic, and of holdout: rows weighted by random normals."""
    weights = {side: np.zeros((draws, len(pool.codes))) for side in (True, False)}
    for code in range(pool.k):
        for side in (True, False):
            rows = pool.rows(code, side)
            if side or code in pool.made:
                some = generator.normal(size=(draws, len(rows))) / math.sqrt(len(rows) * (len(rows) - 1))
            weights[side][:, rows] = some - some.mean(1, keepdims=True)  # the same rows have the same weights
    return weights[True] @ cards, weights[False] @ cards


def typical(gap: Array, noise: float, extra: Array) -> tuple[float, float, float]:
    """Root mean square of true differences whose estimates are gap (columns,), and its 95 % interval.

    noise: the summed sampling variance of gap, which is subtracted; extra: (draws, columns) errors as gap has.
    """
    square = float((gap**2).sum()) - noise
    scatter = 2 * extra @ gap + (extra**2).sum(1) - noise
    low, high = square - np.quantile(scatter, [0.975, 0.025]) if len(extra) else (square, square)
    root = [math.sqrt(max(float(x), 0.0) / len(gap)) for x in (square, low, max(high, square))]
    return root[0], root[1], root[2]


def fieller(top: float, bottom: float, v_top: float, v_bottom: float) -> tuple[float, float] | None:
    """95 % interval of a ratio of two independent estimates (Fieller 1954); None where the lower one may be 0."""
    z = 1.959964**2
    a, b, c = bottom**2 - z * v_bottom, -2 * top * bottom, top**2 - z * v_top
    if bottom <= 0 or a <= 0:
        return None
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def _rate(hits: Bools, pool: Pool, side: bool) -> tuple[float, float, float]:
    """Balanced share of hits in one set, and Wilson's 95 % interval at the number of rows that it is worth.

    Of the classes that have synthetic rows.
    """
    shares = [hits[pool.rows(code, side)] for code in pool.made]
    p = float(np.mean([s.mean() for s in shares]))
    n = len(shares) ** 2 / sum(1 / len(s) for s in shares)
    z = 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return p, centre - reach, centre + reach


def _gap(one: tuple[float, float, float], two: tuple[float, float, float]) -> tuple[float, float, float]:
    """one - two with the interval of Newcombe 1998 (method 10) from their own."""
    (p, a, b), (q, c, d) = one, two
    return p - q, p - q - math.hypot(p - a, d - q), p - q + math.hypot(b - p, q - c)


@dataclass(frozen=True)
class _Call:
    """What every finding of one call shares. least: holdout patients of the smallest class; note, lost: `prepare`'s."""

    space: str
    level: float
    images: int
    patients: int
    least: int = 0
    note: str = ""
    lost: float = 0.0

    def finding(self, key: str, **numbers: Any) -> Finding:
        name = f"{NAMES[key]}, {self.space}"
        return Finding("labels", name, n_images=self.images, n_patients=self.patients, **numbers)

    def judged(self, key: str, numbers: Numbers, yardstick: float, bar: Bar, p: float, told: str) -> Finding:
        """FAIL: p at this finding's share of the level, and beyond the bar. PASS: one-sided 95 % bound within it."""
        value, low, high = numbers[0], min(numbers), max(numbers)
        sign = 1 if bar[0] == "<=" else -1
        room = sign * (bar[1] - value)  # how far the value is from the bar, on the good side
        reach = ONE_SIDED * abs((high if sign > 0 else low) - value)
        notes = [told]
        if room < 0 and p <= self.level * SHARES[key]:
            state = FAIL
        elif reach <= room and self.lost <= LOST:
            state = PASS
        else:
            state = INCONCLUSIVE
            need = math.ceil(self.least * (max(reach, 1e-9) / max(room, 1e-9)) ** 2 / 10) * 10
            if reach <= room:
                notes.append("too many synthetic images have undefined features for a pass")
            elif room < 0:
                notes.append(f"this could be chance (p = {p:.2g}): more holdout patients would decide")
            elif need <= 20 * self.least:
                notes.append(
                    f"too few to exclude a difference that matters: about {need} holdout patients and as many "
                    "synthetic images of each class would be enough"
                )
            else:
                notes.append("the value is so near the bar that only many times as many holdout patients would decide")
        note = "; ".join(filter(None, [*notes, self.note]))
        return self.finding(key, value=value, low=low, high=high, yardstick=yardstick, bar=bar, state=state, note=note)


def labels_findings(
    space: str,
    classes: Sequence[str],
    train: Mapping[str, Features],
    holdout: Mapping[str, Features],
    synthetic: Mapping[str, Features],
    *,
    seed: int,
    level: float = 0.05 / 8,
) -> list[Finding]:
    """Do the labels of synthetic images mean what those of real patients mean? All classes at once, six findings.

    wrong: a classifier of train contradicts more labels than it does in holdout, and with more confidence. value: share
        of wrong labels, (rate - holdout's) / (rate if all were wrong - holdout's) at `threshold`.
    agreement: balanced share of labels that the classifier agrees with.
    difference, sign: AUC of each feature alone, class against rest: typical (root mean square) difference that
        sampling does not explain; share with holdout's sign among features with |AUC - 0.5| > ASSOCIATED.
    lost, caricature: summed mutual information of features and class (Ross 2014, less the shuffled), synthetic /
        holdout. Below LOST_INFORMATION labels are lost, above CARICATURE classes are caricatured.

    Null: synthetic images are images of other real patients; then they may change places with holdout's within each
    class. One image per holdout patient (not per patient and class), so p is exact: by 999 to 20000 shuffles, for
    agreement Fisher's. `level` is shared out by SHARES. Yardstick: train's patients in the place of synthetic, at
    most as many; for the classifier, train by cross-validation over patients.
    """
    sets = [holdout[c] for c in classes if c in holdout]
    call = _Call(space, level, sum(map(len, sets)), len({who for one in sets for who in one.patients}))
    tables = assemble(classes, train, holdout, synthetic, seed)
    if isinstance(tables, str):
        return [call.finding(key, note=tables) for key in NAMES]
    pool, k = tables.pool, tables.pool.k
    call = replace(call, least=min(len(pool.rows(c, False)) for c in range(k)), note=tables.note, lost=tables.lost)
    classify, cross = fit(*tables.train, seed)
    log = classify(pool.values)
    cards = placements(pool.values, pool.codes, k)
    for code in range(k):
        cards[pool.codes == code] -= cards[pool.codes == code].mean(0)
    at = aucs(pool.values, pool.codes, k).ravel()
    scores = Scores(pool, cards, at, surprise(pool.values, pool.codes, k), contradiction(log, pool.codes))
    p = shuffle_p(scores, level * min(SHARES.values()), rng(seed, "labels", "shuffles"))
    learned = Pool(cross, tables.train[1], np.ones(len(cross), bool), k)
    return [
        *_by_classifier(call, pool, log, learned, p),
        *_by_association(call, tables, cards.astype(np.float64), p, seed),
        *_by_information(call, tables, p, seed),
    ]


def _by_classifier(call: _Call, pool: Pool, log: Array, learned: Pool, p: Array) -> list[Finding]:
    """Wrong labels and agreement. log: of the pool's rows; learned: cross-validated log-probabilities of train."""
    real = ~pool.synthetic
    against, own = contradiction(log, pool.codes), contradiction(learned.values, learned.codes)
    sure = threshold(learned.values, learned.codes)
    made, held = _rate(against > sure, pool, True), _rate(against > sure, pool, False)
    wrong, true = mislabelled(log[real], pool.codes[real])
    scale = max(balanced(wrong > sure, true, pool.made) - held[0], 0.05)
    numbers = tuple(float(np.clip(x / scale, 0, 1)) for x in _gap(made, held))
    train = max((balanced(own > sure, learned.codes, pool.made) - held[0]) / scale, 0.0)
    chance = min(1.0, p[4] / TRUST, p[5] / (1 - TRUST))
    told = f"a classifier of real patients contradicts {made[0]:.1%} of the synthetic labels with confidence, and "
    told += f"{held[0]:.1%} of the holdout's (p = {chance:.2g})"
    first = call.judged("wrong", (numbers[0], numbers[1], numbers[2]), train, ("<=", WRONG), chance, told)

    agree = against < 0
    made, held = _rate(agree, pool, True), _rate(agree, pool, False)
    gap = _gap(made, held)
    chance = more_hits(~agree, pool)
    told = f"a classifier of real patients agrees with {made[0]:.1%} of the synthetic labels and {held[0]:.1%} of the "
    told += (
        f"holdout's (train by cross-validation: {balanced(own < 0, learned.codes, pool.made):.1%}; p = {chance:.2g})"
    )
    bar = (">=", held[0] - DISAGREEMENT)
    return [first, call.judged("agreement", (made[0], held[0] + gap[1], held[0] + gap[2]), held[0], bar, chance, told)]


def _by_association(call: _Call, tables: Tables, cards: Array, p: Array, seed: int) -> list[Finding]:
    """Size and sign of the AUCs. cards: the pool's placements, their means per class subtracted."""
    pool, real, k = tables.pool, tables.real, tables.pool.k
    ours, theirs, trains = (aucs(*part, k).ravel() for part in (pool.part(True), pool.part(False), real.part(True)))
    extra = jitter(pool, cards, 400, rng(seed, "labels", "intervals"))
    numbers = typical(ours - theirs, float(_variance(cards, pool).sum()), extra[0] - extra[1])
    noise = float(_variance(placements(real.values, real.codes, k).astype(np.float64), real).sum())
    yardstick = typical(trains - theirs, noise, np.empty((0, len(ours))))[0]
    worst = int(np.abs(ours - theirs).argmax())
    feature, label = tables.names[worst % len(tables.names)], tables.classes[comparisons(k)[worst // len(tables.names)]]
    told = f"mean difference of AUC {np.abs(ours - theirs).mean():.3f}, of train {np.abs(trains - theirs).mean():.3f}; "
    told += f"the largest: {feature} for {label}, {theirs[worst]:.2f} in holdout and {ours[worst]:.2f} in synthetic"
    told += f" (p = {p[0]:.2g} for all together)"
    first = call.judged("difference", numbers, yardstick, ("<=", DIFFERENCE), p[0], told)

    linked = np.abs(theirs - 0.5) > ASSOCIATED
    if not linked.any():
        why = f"no feature tells the classes apart in holdout (AUC beyond 0.5 +- {ASSOCIATED})"
        return [first, call.finding("sign", note=why)]

    def same(auc: Array) -> Array:
        return np.asarray(((auc > 0.5) == (theirs > 0.5))[..., linked].mean(-1))

    low, high = np.quantile(same(ours + extra[0]), [0.025, 0.975])
    told = f"of {int(linked.sum())} features that tell the classes apart in holdout (AUC beyond 0.5 +- {ASSOCIATED}), "
    told += f"{round(int(linked.sum()) * (1 - float(same(ours))))} point the other way in synthetic (p = {p[1]:.2g})"
    numbers = (float(same(ours)), float(low), float(high))
    return [first, call.judged("sign", numbers, float(same(trains)), (">=", SAME_SIGN), p[1], told)]


def _by_information(call: _Call, tables: Tables, p: Array, seed: int) -> list[Finding]:
    """Mutual information lost, or more of it than there should be."""
    k = tables.pool.k
    parts = [tables.pool.part(True), tables.pool.part(False), tables.real.part(True)]
    n = min(MOST_INFORMED, *(int(np.bincount(codes).min()) for _, codes in parts))
    parts = [_even(*part, k, n) for part in parts]
    facts = [excess_information(x, codes, k, rng(seed, "labels", "information")) for x, codes in parts]
    variance = []
    for x, codes in parts[:2]:
        row = surprise(x, codes, k)
        variance.append(sum(float(row[codes == c].var(ddof=1)) for c in range(k)) / n / k**2)
    made, held, train = (float(one.sum()) for one in facts)
    interval = fieller(made, held, variance[0], variance[1])
    if interval is None:
        why = "the features tell too little about the class in holdout to compare how much they tell"
        return [call.finding(key, note=why) for key in ("lost", "caricature")]
    numbers = (max(made / held, 0.0), max(interval[0], 0.0), max(interval[1], 0.0))
    told = f"the features tell {numbers[0]:.2f} times as much about the class in synthetic as in holdout"
    if min(np.ptp(facts[0]), np.ptp(facts[1])) > 0:
        told += f"; rank correlation over the features {float(spearmanr(facts[0], facts[1]).statistic):.2f}"
    bars = (("lost", (">=", LOST_INFORMATION), p[3]), ("caricature", ("<=", CARICATURE), p[2]))
    yardstick = max(train / held, 0.0)
    return [call.judged(key, numbers, yardstick, bar, x, f"{told} (p = {x:.2g})") for key, bar, x in bars]


def _even(values: Array, codes: Index, k: int, most: int) -> tuple[Array, Index]:
    """The first rows of each class, as many of each: rows come in random order."""
    n = min(most, int(np.bincount(codes, minlength=k).min()))
    rows = np.concatenate([np.flatnonzero(codes == c)[:n] for c in range(k)])
    return values[rows], codes[rows]


def label_table(
    classes: Sequence[str],
    train: Mapping[str, Features],
    holdout: Mapping[str, Features],
    synthetic: Mapping[str, Features],
    seed: int,
) -> pd.DataFrame:
    """One row per class (of two, the second) and feature: AUC against the rest, and information on the class.

    AUC, AUC_real, AUC_train; I, I_real (nats, the shuffled subtracted; of all classes together). Empty where there is
    nothing to compare.
    """
    columns = ["class", "feature", "AUC", "AUC_real", "AUC_train", "I", "I_real"]
    tables = assemble(classes, train, holdout, synthetic, seed)
    if isinstance(tables, str):
        return pd.DataFrame({name: pd.Series(dtype=object if i < 2 else float) for i, name in enumerate(columns)})
    k = tables.pool.k
    parts = [tables.pool.part(True), tables.pool.part(False), tables.real.part(True)]
    of = [aucs(*part, k) for part in parts]  # (comparisons, d)
    n = min(MOST_INFORMED, *(int(np.bincount(codes).min()) for _, codes in parts))
    facts = [excess_information(*_even(*part, k, n), k, rng(seed, "labels", "information")) for part in parts[:2]]
    rows = {
        "class": np.repeat([tables.classes[c] for c in comparisons(k)], len(tables.names)),
        "feature": tables.names * len(comparisons(k)),
    }
    numbers = [*(one.ravel() for one in of), *(np.tile(one, len(comparisons(k))) for one in facts)]
    return pd.DataFrame({**rows, **dict(zip(columns[2:], numbers, strict=True))})
