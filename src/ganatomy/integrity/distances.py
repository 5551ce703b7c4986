"""How far two sets of rows differ in each feature: Kolmogorov-Smirnov and Wasserstein-1, their spread, and chance.

Knows tables of features and whose rows they are. Does not know which differences matter (marginals.py).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import foldnorm, t

from ganatomy.integrity.features import Features

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Weights = NDArray[np.float32]

HALVES = 100  # resamples by patient behind an interval
BLOCK, TILE = 128, 32  # permutations, and rows, whose running sums are formed at a time
FUTILE = 20  # as large values among permutations after which no p can become small
EQUAL = 1e-4  # of single precision: what is so near is as large


def ks(a: Array, b: Array) -> Array:
    """Kolmogorov-Smirnov distance of each column of a (n, d), b (m, d): the largest gap of the distributions."""
    return _gaps(np.concatenate([a, b]), _signs(len(a), len(b)))[0][:, 0]


def wasserstein(a: Array, b: Array) -> Array:
    """Wasserstein-1 distance of each column of a (n, d), b (m, d): the area between the distribution functions."""
    return _gaps(np.concatenate([a, b]), _signs(len(a), len(b)))[1][:, 0]


def _signs(n: int, m: int) -> Weights:
    """(n + m, 1) weights whose running sum over sorted values is F_a - F_b."""
    return np.repeat(np.array([1 / n, -1 / m], np.float32), [n, m])[:, None]


def _sorted(values: Array) -> tuple[Index, Array]:
    """Order of each column of (N, d), and the gaps of the sorted values (N - 1, d); 0 between ties."""
    order = values.argsort(0, kind="stable")
    return order, np.diff(np.take_along_axis(values, order, 0), axis=0)


def _gaps(values: Array, weights: Weights, order: tuple[Index, Array] | None = None) -> tuple[Array, Array]:
    """KS and Wasserstein-1, both (d, B), between the weighted samples: (N, d) values, (N, B) signed weights.

    One column of weights is one division of the rows into two sets (the observed one, a permutation, a resample). A
    gap counts only after the last of tied values.
    """
    ranks, steps = order or _sorted(values)
    n, d = values.shape
    tiles = -(-n // TILE)
    pad = tiles * TILE - n  # rows of weight 0 after the last
    ranks = np.concatenate([ranks, np.full((pad, d), n)])
    steps = np.concatenate([steps, np.zeros((pad + 1, d))]).astype(np.float32)
    ones = np.tril(np.ones((TILE, TILE), np.float32))
    distance, area = np.zeros((d, weights.shape[1])), np.zeros((d, weights.shape[1]))
    for start in range(0, weights.shape[1], BLOCK):
        at = slice(start, start + BLOCK)
        block = np.concatenate([weights[:, at], np.zeros((1, len(weights[0, at])), np.float32)])
        size = block.shape[1]
        rows, sums = np.empty((tiles * TILE, size), np.float32), np.empty((tiles, TILE, size), np.float32)
        for j in range(d):
            # running sums by matrix product within tiles of rows: five times faster than cumsum
            np.take(block, ranks[:, j], axis=0, out=rows, mode="clip")
            np.matmul(ones, rows.reshape(sums.shape), out=sums)
            sums[1:] += sums[:-1, -1].cumsum(0)[:, None]
            running = np.abs(sums.reshape(rows.shape), out=rows)
            area[j, at] = steps[:, j] @ running
            apart = steps[:n, j] > 0
            if apart.any():
                distance[j, at] = (running if apart[: n - 1].all() else running[:n][apart]).max(0)
    return distance, area


@dataclass(frozen=True, eq=False)
class Gaps:
    """Per feature (d,): KS distance D, its standard error, its upper 95 % bound, Wasserstein-1, and what chance gives.

    error: of the difference of the distribution functions where it is largest
    worth: independent images that b's are worth: fewer than they are where images of one patient are alike
    """

    distance: Array
    error: Array
    high: Array
    area: Array
    chance: Array
    worth: Array


def gaps(a: Features, b: Features) -> Gaps:
    """Compare each feature of two sets by all their images, those of one patient taken as one observation's parts.

    At each value x the difference of the distribution functions has a standard error s(x) that rests on patients (the
    variance of a ratio estimator by cluster: what a bootstrap by patient converges to). high = max over x of
    |difference| + t s(x): where the true difference is largest the estimate falls short by more than t s in 5 % of
    samples at most, so that P(high < D) <= 5 % whatever the shape, and no quantile of a supremum is needed. For the
    same reason the largest of the features' bounds is one for the largest of their D. chance = sqrt(2 / pi) x the
    integral of s: the mean Wasserstein-1 distance of two samples of one population.
    """
    values = np.concatenate([a.values, b.values])
    order, steps = _sorted(values)
    f, spread_a = _distribution(a, order, 0)
    g, spread_b = _distribution(b, order, len(a))
    error = np.sqrt(spread_a + spread_b)[:-1]
    difference = np.abs(f - g)[:-1]
    apart = steps > 0
    factor = float(t.ppf(0.95, min(a.n_patients, b.n_patients) - 1))
    at = np.where(apart, difference, -1).argmax(0)
    column = np.arange(values.shape[1])
    distance = np.where(apart, difference, 0).max(0)
    high = np.where(apart, difference + factor * error, 0).max(0)
    area, chance = (difference * steps).sum(0), math.sqrt(2 / math.pi) * (error * steps).sum(0)
    middle = np.abs(g - 0.5).argmin(0)
    g, spread = g[middle, column], spread_b[middle, column]
    worth = np.where(spread > 0, g * (1 - g) / np.where(spread > 0, spread, 1), len(b))
    return Gaps(distance, error[at, column], np.clip(high, 0, 1), area, chance, worth)


def _distribution(features: Features, order: Index, offset: int) -> tuple[Array, Array]:
    """F (N, d) at the sorted pooled rows, and its variance by patient.

    F = sum k_i / sum n_i over P patients, k_i of whose n_i images lie at or below x; its variance is
    P / (P - 1) x sum (k_i - n_i F)^2 / (sum n_i)^2. The r-th image of a patient adds 2 r - 1 to the sum of k_i^2.
    """
    n, owners = len(features), features.owners
    sizes = np.bincount(owners)
    patients = len(sizes)
    mine = (order >= offset) & (order < offset + n)  # (N, d)
    below = mine.cumsum(0)
    f = below / n
    if patients == n:
        return f, f * (1 - f) / max(n - 1, 1)
    row = np.where(mine, order - offset, 0)
    who = np.where(mine, owners[row], patients)  # the others' rows belong to nobody
    by_owner = who.argsort(0, kind="stable")
    counts = np.append(sizes, len(order) - n)
    starts = np.repeat(np.cumsum(counts) - counts, counts)[:, None]
    rank = np.empty_like(who)
    np.put_along_axis(rank, by_owner, np.arange(len(order))[:, None] - starts, 0)
    squares = np.where(mine, 2 * rank + 1, 0).cumsum(0)
    products = np.where(mine, np.append(sizes, 0)[who], 0).cumsum(0)
    rest = squares - 2 * f * products + f**2 * float((sizes.astype(float) ** 2).sum())
    return f, np.clip(rest, 0, None) / n**2 * patients / max(patients - 1, 1)


def permutations(level: float) -> int:
    """Permutations after which p <= level leaves room for three as large values, and p <= level / 4 for none."""
    return int(np.clip(math.ceil(4 / level), 999, 19999))


def max_t(a: Array, b: Array, level: float, generator: np.random.Generator) -> tuple[Array, float]:
    """p of each feature's KS distance (d,), adjusted for all features, and p of the mean Wasserstein-1 distance.

    a (n, d), b (m, d): independent rows. Rows are permuted between the sets whole, so that features keep their
    dependence, and each D is held against the largest of all (single-step max-T, Westfall & Young 1993):
    P(any p <= level) <= level, exactly, where the sets are of one population; so for the mean distance, of which the
    other p know nothing: who uses both shares `level` out. Stops early where no p can become small any more; that can
    only lose a rejection.
    """
    values, n = np.concatenate([a, b]), len(a)
    order = _sorted(values)
    signs = _signs(n, len(b))
    distance, area = _gaps(values, signs, order)
    each, mean = distance[:, 0], float(area.mean())
    largest, means = [float(each.max())], [mean]
    count = permutations(level)
    while len(largest) <= count:
        size = min(BLOCK, count + 1 - len(largest))
        mixed = generator.permuted(np.broadcast_to(signs[:, 0], (size, len(values))), axis=1).T
        distance, area = _gaps(values, mixed, order)
        largest += distance.max(0).tolist()
        means += area.mean(0).tolist()
        as_large = np.array(largest)[:, None] >= each - EQUAL, np.array(means) >= mean * (1 - EQUAL)
        if min(as_large[0].sum(0).min(), as_large[1].sum()) > FUTILE:
            break
    return as_large[0].mean(0), float(as_large[1].mean())


def shifted(chance: Array, by: float) -> Array:
    """Mean of |x + by| for normal x whose mean |x| is `chance`: what a true difference looks like through chance.

    A difference of `by` does not add to what chance gives: below the size of chance it hardly shows.
    """
    spread = np.maximum(np.asarray(chance), 1e-12) * math.sqrt(math.pi / 2)
    return np.asarray(foldnorm.mean(by / spread, scale=spread))


def between_halves(a: Features, b: Features, generator: np.random.Generator) -> Array:
    """(HALVES,) mean Wasserstein-1 over features between random halves of the patients (see features.sample)."""
    values = np.concatenate([a.values, b.values])
    weights = np.zeros((len(values), HALVES), np.float32)
    for offset, sign, owners in ((0, 1, a.owners), (len(a), -1, b.owners)):
        patients = np.unique(owners)
        for column in range(HALVES):
            some = generator.permutation(patients)[: (len(patients) + 1) // 2]
            rows = offset + np.flatnonzero(np.isin(owners, some))
            weights[rows, column] = sign / len(rows)
    return np.asarray(_gaps(values, weights)[1].mean(0))
