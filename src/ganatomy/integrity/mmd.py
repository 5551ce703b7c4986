"""Kernel maximum mean discrepancy (MMD) of synthetic to holdout images: one exact test of whole distributions.

Knows tables of features, one independent row per patient. Does not know where the features come from.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import LOST, Features, draw, one_per_patient, prepare, too_small
from ganatomy.integrity.frechet import settling

Array = NDArray[np.float64]
Kernel = NDArray[np.float32]
Compare = Callable[[Array, Array], Kernel]

BANDS = (0.5, 1.0, 2.0)  # bandwidths, in median distances between train images
LEAST = 10  # patients of each set
MOST = 1000  # rows of each set that are compared, to bound time and memory
PERMUTATIONS = 1000  # at least; more where `level` asks for smaller p


def bandwidth(rows: Array) -> float:
    """The median distance between rows (n, d) of train."""
    between = cdist(rows, rows)
    return float(np.median(between[np.triu_indices(len(rows), 1)]))


def kernel(a: Array, b: Array, width: float) -> Kernel:
    """(n, m) mean of the Gaussian kernels exp(-|x - y|^2 / (2 (band x width)^2)) over BANDS."""
    squared = cdist(a, b, "sqeuclidean") / width**2
    out = np.zeros(squared.shape)
    for band in BANDS:
        out += np.exp(squared / (-2 * band**2))
    return np.asarray(out / len(BANDS), np.float32)


def mmd2(k: Kernel, n: int) -> float:
    """The unbiased MMD^2 (Gretton 2012, equation 3) of the first n rows and the others; k: (n + m, n + m)."""
    sides = np.zeros((len(k), 1), np.float32)
    sides[:n] = 1
    return float(_statistics(k, sides)[0])


def _statistics(k: Kernel, sides: Kernel) -> Array:
    """Unbiased MMD^2 for each column of sides (N, B): 1 for a row of the first sample, 0 for one of the second."""
    off = k.copy()
    np.fill_diagonal(off, 0)
    n = float(sides[:, 0].sum())
    m = len(k) - n
    first = (sides * (off @ sides)).sum(0, dtype=np.float64)  # (B,) sum of k within the first sample
    rows = off.sum(1, dtype=np.float64) @ sides
    between = rows - first
    second = off.sum(dtype=np.float64) - first - 2 * between
    return np.asarray(first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * between / (n * m))


def permuted(k: Kernel, n: int, count: int, generator: np.random.Generator) -> Array:
    """(count,) MMD^2 of random divisions of the rows into n and the rest."""
    values = []
    for start in range(0, count, 500):  # columns at a time: memory
        sides = np.zeros((len(k), min(500, count - start)), np.float32)
        sides[:n] = 1
        values.append(_statistics(k, generator.permuted(sides, axis=0)))
    return np.concatenate(values)


def spread(k: Kernel, n: int, generator: np.random.Generator) -> float:
    """First-order variance of MMD^2 of the first n rows and the m others, 0 where they are alike; k: (n + m, n + m).

    4 / n times the variance of each row's pull towards its own side, and as much of the m (Serfling 1980, 5.2). Rows
    that are alike have some by chance; what random divisions have, the mean of 20, is taken off.
    """
    m = len(k) - n

    def first_order(first: NDArray[np.bool_]) -> float:
        weights = np.where(first, 1 / n, -1 / m).astype(np.float32)
        pull = (k @ weights).astype(np.float64)
        return float(4 * (pull[first].var() / n + pull[~first].var() / m))

    sides = np.repeat([True, False], [n, m])
    chance = np.mean([first_order(generator.permutation(sides)) for _ in range(20)])
    return max(first_order(sides) - float(chance), 0.0)


def tolerated(rows: Array, compare: Compare, shift: float) -> float:
    """MMD^2 between a population and itself moved by `shift` standard deviations along its main axis; rows (n, d)."""
    centred = rows - rows.mean(0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    moved = rows + shift * size[0] / math.sqrt(max(len(rows) - 1, 1)) * axes[0]
    off = ~np.eye(len(rows), dtype=bool)  # a row and its own moved self are not independent
    same, other, apart = (
        float(compare(a, b)[off].mean(dtype=np.float64)) for a, b in ((rows, rows), (moved, moved), (rows, moved))
    )
    return same + other - 2 * apart


def cubic(a: Array, b: Array) -> Kernel:
    """(n, m) the kernel (x.y / d + 1)^3 of KID (Binkowski 2018); a: (n, d), b: (m, d)."""
    return np.asarray((a @ b.T / a.shape[1] + 1) ** 3, np.float32)


def kid(a: Array, b: Array) -> float:
    """Kernel Inception distance: unbiased MMD^2 with (x.y / d + 1)^3 of embeddings (n, d), (m, d), all rows at once.

    Binkowski 2018. It may be negative. NaN with fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        return math.nan
    return mmd2(cubic(both := np.concatenate([a, b]), both), len(a))


def mmd_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    *,
    seed: int,
    level: float,
    shift: float = 0.25,
    raw: bool = False,
) -> list[Finding]:
    """Does synthetic differ from holdout, in whatever respect a Gaussian kernel sees? (Gretton 2012)

    value: unbiased MMD^2 of synthetic and holdout / null95, the 95 % quantile of it over permutations: chance alone
    exceeds 1 in one case of twenty. The kernel is the mean over three bandwidths, taken from train alone.
    Null: synthetic images and holdout patients, one random image each, are exchangeable; what is permuted are these
    rows, at most MOST of each, and p = (1 + #{as large}) / (B + 1) is exact at any n. yardstick: train against
    holdout, same unit; the statistic has no bias, so the sets need not be of one size. bar: a shift by `shift` standard
    deviations along train's main axis. fail: p <= level and the value above the bar; pass: the upper 95 % limit below
    it. The interval's variance is that of the permutations plus the U-statistic's first-order one.
    raw: an embedding: values as they are and the cubic kernel, which makes it KID (Binkowski 2018), in its unit.
    """
    data = prepare(train, holdout, synthetic, scaled=not raw)
    real = data.holdout
    name = "KID" if raw else "kernel distance (MMD)"
    finding = partial(Finding, "fidelity", f"{name}, {space}", label, n_images=len(real), n_patients=real.n_patients)
    if reason := too_small(data, LEAST, LEAST):
        return [finding(note=reason)]
    generator = rng(seed, f"mmd {space} {label}")
    sets = (data.train, real, data.synthetic)
    t, h, s = (draw(one_per_patient(x, generator), MOST, generator).values for x in sets)
    compare = cubic if raw else partial(kernel, width=bandwidth(t))
    if not raw and bandwidth(t) <= 0:
        return [finding(note="more than half of the train images have the same features, so there is no distance")]

    k = compare(both := np.concatenate([s, h]), both)
    n, scale = len(s), float(np.abs(k).max())
    observed = mmd2(k, n)
    null = permuted(k, n, max(PERMUTATIONS, math.ceil(2 / level)) - 1, generator)
    # sums in single precision: what differs by less than this is equal, and counts as chance
    p = (1 + int((null >= observed - 1e-6 * scale).sum())) / (len(null) + 1)
    unit = 1.0 if raw else max(float(np.quantile(null, 0.95)), 1e-9)
    other = compare(both := np.concatenate([t, h]), both)
    error = math.sqrt(float(null.var()) + spread(k, n, generator))
    limit = tolerated(t, compare, shift)
    low, high = observed - 1.96 * error, observed + 1.96 * error
    bar = ("<=", limit / unit)

    odds = f"p = {p:.2g}, {n} synthetic images and {len(h)} patients"
    apart = f"the synthetic images differ from new patients by more than a shift of {shift:g} standard deviations would"
    if p <= level and observed > limit:
        state, note = FAIL, f"{apart} ({odds})"
    elif high <= limit:
        state, note = PASS, f"a difference as large as a shift of {shift:g} standard deviations is excluded ({odds})"
        if data.lost > LOST:
            state, note = INCONCLUSIVE, "too many synthetic images have undefined features for a pass"
    else:
        state = INCONCLUSIVE
        # the error falls with 1 / n where there is no difference, with its root where there is one
        factor = 1.96 * error / max(limit - observed, 1e-9 * scale) if observed < limit else 2.0
        note = "it cannot be told whether the difference is larger than one that does not matter, a shift of "
        note += f"{shift:g} standard deviations ({odds}): {settling(len(h), factor)}"
    if max(x.n_patients for x in sets) > MOST:
        note += f"; {MOST} of each set are compared"
    numbers = (observed / unit, low / unit, high / unit, mmd2(other, len(t)) / unit)
    note = "; ".join(filter(None, [note, data.note]))
    return [finding(*numbers, bar, state=state, note=note)]
