"""One subgroup against the others: shares, distances and differences with their intervals, and p by shuffles.

Knows arrays. Does not know patients' groups, nor where the numbers come from (subgroups.py).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
Numbers = tuple[float, float, float]  # a value and its 95 % interval

TELLING = 0.1  # how much better than chance the classifiers must tell a subgroup
DRAWS = 500  # weighted draws of rows behind an interval
HALVES = 60  # resamples by patient behind the interval of a shift
GRID = np.array(
    [0.01, *np.linspace(0.05, 0.95, 10), 0.99]
)  # quantiles of train at which distribution functions are compared
SHUFFLES, STEP = 40000, 250  # at most, and how many at a time
FUTILE = 20  # as large values among shuffles after which no p can become small


@dataclass(frozen=True)
class Measured:
    """One measure of one subgroup: value with 95 % interval, the same real against real, p if sets are alike.

    shares: what the note tells (of the subgroup, of the others)
    """

    numbers: Numbers
    real: float
    p: float
    shares: tuple[float, float] = (math.nan, math.nan)


def share_by_marks(
    made: Array, own: Array, others: Array, rarity: float, generator: np.random.Generator
) -> Numbers | None:
    """Share of a subgroup among synthetic images, over that among real patients; None where the marks do not tell.

    made: marks (probabilities) of synthetic images; own, others: of real patients in it, and not. The mean mark of a
    mixture is the mixture of mean marks (Forman 2008, quantification by means). Interval: rows weighted as by a
    bootstrap, and the share of real patients as it may be by chance.
    """
    if min(len(own), len(others)) < 5:
        return None
    told = own.mean() - others.mean()
    if told <= 3 * math.sqrt(own.var(ddof=1) / len(own) + others.var(ddof=1) / len(others)) or told < TELLING:
        return None
    value = (made.mean() - others.mean()) / told / rarity
    a, b, c = (
        generator.multinomial(len(x), np.full(len(x), 1 / len(x)), DRAWS) @ x / len(x) for x in (made, own, others)
    )
    shares = generator.beta(rarity * (len(own) + len(others)), (1 - rarity) * (len(own) + len(others)), DRAWS)
    low, high = np.quantile((a - c) / np.maximum(b - c, TELLING / 2) / shares, [0.025, 0.975])
    numbers = [max(float(x), 0.0) for x in (value, min(low, value), max(high, value))]
    return numbers[0], numbers[1], numbers[2]


def shuffled(
    flags: Bools, columns: Array, alpha: float, generator: np.random.Generator, sides: Index, together: bool = False
) -> Array:
    """Exact p of mean over flagged - mean over other rows of each column, if rows change places; one-sided, high.

    Rows change places within each side only; of several, the difference is the mean weighted by their precision.
    together: p of the largest difference of all columns, each in units of its spread (max-T, Westfall & Young 1993).
    Enough draws for p <= alpha; fewer where no column can reach it.
    """
    rows, parts = [], []
    for side in np.unique(sides):
        own = np.flatnonzero(sides == side)
        many, few = int(flags[own].sum()), int((~flags[own]).sum())
        if many and few:
            rows.append(own)
            parts.append(np.where(flags[own], few, -many) / (many + few))  # of precision many few / (many + few)
    if not parts:
        return np.ones(columns.shape[1])
    columns = columns[np.concatenate(rows)]
    columns = columns / np.maximum(columns.std(0), 1e-12) if together else columns
    seen = np.concatenate(parts) @ columns
    slack = 1e-9 * np.abs(columns).max(0) * len(columns)
    count, drawn = np.zeros(columns.shape[1]), 0
    most = draws(alpha)
    while drawn < most and count.min() < FUTILE:
        some = [generator.permuted(np.repeat(part[None], STEP, axis=0), axis=1) for part in parts]
        found = np.concatenate(some, 1) @ columns
        count += ((found.max(1)[:, None] if together else found) >= seen - slack).sum(0)
        drawn += STEP
    return np.asarray((1 + count) / (1 + drawn))


def draws(alpha: float) -> int:
    """Shuffles after which p <= alpha leaves room for one as large value."""
    return int(np.clip(math.ceil(2 / alpha), 999, SHUFFLES))


def wilson(hits: Bools, owners: Index) -> Numbers:
    """Share of hits, every patient weighing the same, and Wilson's interval at the number of patients."""
    _, who, count = np.unique(owners, return_inverse=True, return_counts=True)
    p, n, z = float((hits / count[who]).sum() / len(count)), len(count), 1.959964
    centre, reach = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n)
    reach *= math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, min(centre - reach, p), max(centre + reach, p)


def difference(one: Numbers, two: Numbers) -> Numbers:
    """one - two with the interval of Newcombe 1998 from their own; of any two estimates: Zou & Donner 2008."""
    value = one[0] - two[0]
    reach = math.hypot(one[0] - one[1], two[2] - two[0]), math.hypot(one[2] - one[0], two[0] - two[1])
    return value, value - reach[0], value + reach[1]


def distributions(values: Array, reference: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, 12 * d) whether each value lies at or below each GRID quantile of the reference; (12 * d,) width / d.

    The mean over rows is a distribution function at twelve points; the weighted sum of absolute differences of two is
    their Wasserstein-1 distance, mean over features, short of the tails.
    """
    grid = np.quantile(reference, GRID, axis=0)  # (12, d)
    ends = np.concatenate([grid[:1], (grid[1:] + grid[:-1]) / 2, grid[-1:]])
    below = values[:, None, :] <= grid[None]  # (n, 12, d)
    return below.reshape(len(values), -1).astype(np.float32), (np.diff(ends, axis=0).ravel() / values.shape[1]).astype(
        np.float32
    )


def shifts(
    curves: NDArray[np.float32],
    area: NDArray[np.float32],
    sets: Index,
    codes: Index,
    alpha: float,
    generator: np.random.Generator,
) -> list[Measured]:
    """How much farther synthetic features of each subgroup lie from real ones than those of the other subgroups do.

    sets: (n,) train 0, holdout 1, synthetic held against train 2, against holdout 3; codes: (n,) subgroup, -1 none.
    Excess: Wasserstein-1 distance less its mean after shuffles, which is what chance gives at this size, less the mean
    excess of the other subgroups. p: of the largest of all subgroups, each in units of its spread over shuffles (max-T,
    Westfall & Young 1993), in which real rows and the synthetic ones held against them change places within what they
    look like. Value: the shift that shows as this excess through chance (`unfolded`). Interval: halves by patient.
    """
    k = int(codes.max()) + 1
    rows = [np.flatnonzero(codes == c) for c in range(k)]

    def areas(flags: list[Bools], used: list[Bools] | None = None) -> Array:
        """(draws, k) distances; flags: per subgroup (draws, n_c) which rows are on one side."""
        out = []
        for c in range(k):
            one, two = flags[c], ~flags[c]
            if used is not None:
                one, two = one & used[c], two & used[c]
            weights = one / np.maximum(one.sum(1, keepdims=True), 1) - two / np.maximum(two.sum(1, keepdims=True), 1)
            out.append(np.abs(weights.astype(np.float32) @ curves[rows[c]]) @ area)
        return np.asarray(np.stack(out, 1), np.float64)

    def contrasts(x: Array) -> Array:
        return np.asarray(x - (x.sum(-1, keepdims=True) - x) / (k - 1))

    def mixed(flags: Bools, sides: Index, draws: int) -> Bools:
        out = np.repeat(flags[None], draws, axis=0)
        for side in np.unique(sides):
            own = np.flatnonzero(sides == side)
            out[:, own] = generator.permuted(out[:, own], axis=1)
        return out

    made = [sets[r] >= 2 for r in rows]
    seen, total = areas([m[None] for m in made]), np.zeros(k)
    drawn = contrasts(seen)
    while len(drawn) <= draws(alpha):
        more = [mixed(m, sets[r] % 2, STEP) for m, r in zip(made, rows, strict=True)]
        distances = areas(more)
        total += distances.sum(0)
        drawn = np.concatenate([drawn, contrasts(distances)])
        scaled = (drawn - drawn.mean(0)) / np.maximum(drawn.std(0), 1e-12)
        above = (scaled.max(1)[:, None] >= scaled[0] - 1e-6).sum(0)
        if above.min() > FUTILE:
            break
    p = above / len(drawn)
    excess, chance = drawn[0] - drawn[1:].mean(0), total / (len(drawn) - 1)
    used = [generator.random((HALVES, len(r))).argsort(1) * 2 < len(r) for r in rows]
    error = contrasts(areas([np.repeat(m[None], HALVES, 0) for m in made], used)).std(0, ddof=1)
    sides = [sets[r[sets[r] < 2]] for r in rows]
    rows = [r[sets[r] < 2] for r in rows]
    again = contrasts(areas([mixed(np.arange(len(side)) % 2 == 0, 0 * side, 100) for side in sides]))
    yardstick = again[0] - again[1:].mean(0)
    bounds = (unfolded(x, chance) for x in (excess, excess - 1.96 * error, excess + 1.96 * error, yardstick))
    return [
        Measured((float(v), float(low), float(high)), float(y), float(x))
        for v, low, high, y, x in zip(*bounds, p, strict=True)
    ]


def unfolded(excess: Array, chance: Array) -> Array:
    """The shift that raises a mean |x| of normal x from `chance` by `excess`; of negative excess, less than none.

    A shift does not add to what chance gives: below the size of chance it hardly shows, so the excess itself would be
    too small a number.
    """
    spread = np.maximum(chance, 1e-9) * math.sqrt(math.pi / 2)
    by = np.linspace(0, 5, 501)  # beyond that the mean grows as the shift does
    mean = math.sqrt(2 / math.pi) * np.expm1(-(by**2) / 2) + by * erf(by / math.sqrt(2))
    by, mean = np.append(by, 1e6), np.append(mean, 1e6 - math.sqrt(2 / math.pi))
    return np.asarray(np.sign(excess) * spread * np.interp(np.abs(excess) / spread, mean, by))
