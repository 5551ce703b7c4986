"""How features go with the class: areas under the curve with their sampling errors, mutual information, exchanges.

Knows arrays: values, classes, whose rows they are. Knows no finding, and not which difference would matter.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
Single = NDArray[np.float32]

NEIGHBOURS = 3  # of Ross's estimator
BATCH = 250  # exchanges that are drawn at once


def comparisons(k: int) -> range:
    """The classes that are held against the rest: of two, the first would only mirror the second."""
    return range(1, 2) if k == 2 else range(k)


def share_below(values: Array, reference: Array, weight: Array) -> Array:
    """(n, d) weighted share of the reference below each value, ties counting half."""
    out = np.empty(values.shape)
    for j in range(values.shape[1]):
        order = np.argsort(reference[:, j], kind="stable")
        total = np.concatenate([[0.0], np.cumsum(weight[order])])
        left, right = (np.searchsorted(reference[order, j], values[:, j], side) for side in ("left", "right"))
        out[:, j] = (total[left] + total[right]) / (2 * total[-1])
    return out


def placements(values: Array, codes: Index, k: int, weight: Array | None = None) -> Array:
    """(n, comparisons, d) what each row adds to the AUCs: the AUC of a class is the weighted mean of its own rows.

    The placement of a row among the rows of the other class (Hanley & Hajian-Tilaki 1997; DeLong 1988), of the rest
    with the sign turned; each other class weighs the same, so that an AUC does not depend on how many images each has.
    """
    weight = np.ones(len(codes)) if weight is None else weight
    out = np.zeros((len(values), len(comparisons(k)), values.shape[1]))
    where = [np.flatnonzero(codes == code) for code in range(k)]
    for j, c in enumerate(comparisons(k)):
        for other in range(k):
            if other != c:
                a, b = where[c], where[other]
                out[a, j] += share_below(values[a], values[b], weight[b]) / (k - 1)
                out[b, j] -= share_below(values[b], values[a], weight[a]) / (k - 1)
    return out


def aucs(cards: Array, codes: Index, k: int, weight: Array | None = None) -> Array:
    """(comparisons, d) P(x of the class > x of the rest) + P(=) / 2 of `placements` (Mann & Whitney 1947)."""
    weight = np.ones(len(codes)) if weight is None else weight
    rows = [np.flatnonzero(codes == c) for c in comparisons(k)]
    return np.array([np.average(cards[own, j], axis=0, weights=weight[own]) for j, own in enumerate(rows)])


def per_unit(values: Array, units: Index) -> Array:
    """(units, columns) mean of the rows of each unit; units: (n,) from 0, none empty."""
    order = np.argsort(units, kind="stable")
    first = np.searchsorted(units[order], np.arange(int(units.max()) + 1))
    count = np.diff(np.append(first, len(units)))
    return np.asarray(np.add.reduceat(values[order], first, axis=0) / count[:, None])


def gap_errors(
    made: tuple[Array, Index],
    real: tuple[Array, Index],
    classes: list[int],
    draws: int,
    generator: np.random.Generator,
) -> tuple[Array, Array]:
    """(draws, columns) sampling errors of sum over classes (mean made - mean real), and (columns,) their variance.

    made, real: per-unit values and classes. Rows are weighted by random normals. Of a class that is not in `classes`
    both sides hold the same units, in one order: they have the same weights.
    """
    columns = made[0].shape[1]
    errors, variance = np.zeros((draws, columns)), np.zeros(columns)
    for code in np.unique(real[1]):
        ours, theirs = (x[codes == code] - x[codes == code].mean(0) for x, codes in (made, real))
        for part in (ours, theirs) if code in classes else (ours - theirs,):
            scale = len(part) * (len(part) - 1)
            variance += (part**2).sum(0) / scale
            errors += generator.normal(size=(draws, len(part))) @ part / math.sqrt(scale)
    return errors, variance


def typical(gap: Array, noise: float, errors: Array) -> tuple[float, float, float]:
    """Root mean square of true differences whose estimates are gap (columns,), and its 95 % interval.

    noise: the summed sampling variance of gap, which is subtracted; errors: (draws, columns) as gap has.
    """
    square = float((gap**2).sum()) - noise
    scatter = 2 * errors @ gap + (errors**2).sum(1) - noise
    low, high = square - np.quantile(scatter, [0.975, 0.025]) if len(errors) else (square, square)
    root = [math.sqrt(max(float(x), 0.0) / len(gap)) for x in (square, low, max(high, square))]
    return root[0], root[1], root[2]


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


def _exchanged(
    statistic: Callable[[list[Bools]], Array], actual: list[Bools], alpha: float, generator: np.random.Generator
) -> Array:
    """(tests,) P(as large a statistic, or larger) where rows change places between the sets within their class.

    statistic: of flags, per class (draws, n_c) which rows are synthetic, -> (draws, tests). Enough draws for
    p <= alpha / 3; fewer where it is plain that no p will be so small (Besag & Clifford 1991).
    """
    seen = statistic([flags[None] for flags in actual])[0]
    least = seen - 1e-6 * np.abs(seen)
    most = int(np.clip(math.ceil(4 / alpha), 999, 20000))
    count, drawn = np.zeros(len(seen)), 0
    while drawn < most and count.min() < 20:
        flags = [generator.permuted(np.repeat(one[None], BATCH, axis=0), axis=1) for one in actual]
        count += (statistic(flags) >= least).sum(0)
        drawn += BATCH
    return np.asarray((1 + count) / (1 + drawn))


def exchange_squares(values: Array, codes: Index, made: Bools, alpha: float, generator: np.random.Generator) -> float:
    """Permutation p of the summed squares of sum over classes (mean made - mean real); values: (n, columns).

    Exact for rows that are independent, and alike if made is like real. made: (n,) which rows are synthetic.
    """
    parts = [np.flatnonzero(codes == c) for c in np.unique(codes[made])]
    tables = [values[own].astype(np.float32) for own in parts]

    def statistic(flags: list[Bools]) -> Array:
        total = np.zeros((len(flags[0]), values.shape[1]), np.float32)
        for table, inside in zip(tables, flags, strict=True):
            n = inside[0].sum()
            total += np.where(inside, 1 / n, -1 / (len(table) - n)).astype(np.float32) @ table
        return np.asarray((total.astype(np.float64) ** 2).sum(1, keepdims=True))

    return float(_exchanged(statistic, [made[own] for own in parts], alpha, generator)[0])


def exchange_means(values: Array, codes: Index, made: Bools, alpha: float, generator: np.random.Generator) -> Array:
    """(columns,) permutation p that made has larger values than real, by Welch's t summed over the classes.

    Divided by its standard error, the difference may be exchanged although a patient's mean of several images varies
    less than one synthetic image does (Janssen 1997); exact where both vary alike.
    """
    parts = [np.flatnonzero(codes == c) for c in np.unique(codes[made])]
    tables = [values[own] - values[own].mean(0) for own in parts]

    def statistic(flags: list[Bools]) -> Array:
        gap, variance = np.zeros((len(flags[0]), values.shape[1])), np.zeros((len(flags[0]), values.shape[1]))
        for x, inside in zip(tables, flags, strict=True):
            for sign, rows in ((1, inside), (-1, ~inside)):
                n = int(rows[0].sum())
                mean, square = rows.astype(np.float64) @ x / n, rows.astype(np.float64) @ x**2 / n
                gap += sign * mean
                variance += np.maximum(square - mean**2, 0) / (n - 1)
        return np.asarray(gap / np.sqrt(np.maximum(variance, 1e-18)))

    return _exchanged(statistic, [made[own] for own in parts], alpha, generator)
