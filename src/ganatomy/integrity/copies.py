"""Two exact tests of copying: would as many new patients lie as near to one training patient?

Knows distances, their ratios and pairs of images. Does not know how they were measured (evidence.py), nor findings.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, binom

from ganatomy.core.seed import rng

Array = NDArray[np.float64]

LEVEL = 0.05 / 8  # false alarms that a call may raise
POWER = 0.95  # how often a share of copies that is `detectable` is found
LENGTHS = (4, 6, 9, 13, 20, 30, 45, 65, 100)  # closest pairs that are counted, in turn
DRAWS = 20_000  # permutations behind the p of the closest pairs


def closest_pairs(pairs: NDArray[np.bool_], pooled: tuple[int, int, int]) -> tuple[float, int, float]:
    """p of as many training-synthetic pairs among the closest, the length at which they stand out, the share expected.

    Under exchangeability any labels are as likely as any other on the images of these pairs, which are found without
    labels: a reversed cross-match test (Rosenbaum 2005), so a generator that merely differs has fewer such pairs.
    Exact by permutation of the least binomial p over LENGTHS.
    """
    share = expected_share(pooled)
    lengths = [k for k in LENGTHS if k <= len(pairs)]
    if not lengths or not share:
        return 1.0, 0, share
    count = np.cumsum(pairs)[np.array(lengths) - 1]
    observed = np.asarray(binom.sf(count - 1, lengths, share))
    best = int(observed.argmin())
    null = _null(pooled, tuple(lengths))
    p = (1 + int((null <= observed[best] * (1 + 1e-9)).sum())) / (len(null) + 1)
    return float(p), lengths[best], share


def expected_share(pooled: tuple[int, int, int]) -> float:
    """Probability that two random images of the pool are a training and a synthetic one."""
    total = sum(pooled)
    return 2 * pooled[0] * pooled[2] / (total * (total - 1)) if total > 1 else 0.0


@lru_cache(maxsize=32)
def _null(pooled: tuple[int, int, int], lengths: tuple[int, ...]) -> Array:
    """(DRAWS,) sorted: the least binomial p over `lengths` under random labels, drawn without replacement."""
    generator = rng(0, "labels of the closest pairs")  # one null for all: a table, not a draw of this set
    share = expected_share(pooled)
    left = np.repeat(np.array(pooled, float)[:, None], DRAWS, 1)  # (3, DRAWS)
    count, least = np.zeros(DRAWS, np.int64), np.ones(DRAWS)
    tables = {k: binom.sf(np.arange(-1, k), k, share) for k in lengths}
    for k in range(1, lengths[-1] + 1):
        kinds = []
        for _ in range(2):
            draw = generator.random(DRAWS) * left.sum(0)
            kinds.append((draw >= left[0]).astype(int) + (draw >= left[0] + left[1]))
            left[kinds[-1], np.arange(DRAWS)] -= 1
        count += (kinds[0] + kinds[1] == 2) & (kinds[0] != 1)
        if k in tables:
            least = np.minimum(least, tables[k][count])
    return np.sort(least)


def surprise(g: Array, h: Array) -> Array:
    """p of each g among h: (1 + #{h <= g}) / (n + 1); below the least h, by the tail of the h where there are 20.

    d1 / d2 of points in D dimensions has a power law, P(< x) = x^D (Facco 2017). The tail's D is that of the least
    fifth of h (at most 100), and is itself uncertain: k + 1 of n smallest, S = sum log(h_(k+1) / h_i), then P(< x) =
    k/n (1 + log(h_(k+1) / x) / S)^-k. Good enough to name whom to look at, no basis for a verdict.
    """
    order = np.sort(h)
    p = (1 + np.searchsorted(order, g, "right")) / (len(h) + 1)
    k = min(100, len(h) // 5)
    if k >= 4 and order[0] > 0:
        total = np.log(order[k] / order[:k]).sum()
        if total > 0:
            beyond = np.log(order[k] / np.maximum(g, 1e-12 * order[k]))
            p = np.where(g < order[0], np.minimum(p, k / len(h) * (1 + np.maximum(beyond, 0) / total) ** -float(k)), p)
    return np.asarray(p)


def tail(g: Array, h: Array) -> tuple[int, float, float]:
    """How many g lie below the r-th smallest h, that threshold, and P(as many or more) if g and h are exchangeable.

    The count is then BetaBinomial(len(g), r, len(h) + 1 - r), whatever their distribution.
    """
    r = rank(len(h))
    threshold = float(np.sort(h)[r - 1])
    count = int((g < threshold).sum())
    return count, threshold, float(betabinom.sf(count - 1, len(g), r, len(h) + 1 - r))


def rank(n: int) -> int:
    """r of the tail test: the hundredth part of n holdout images, at least the second."""
    return max(2, math.ceil(0.01 * n))


def detectable(m: int, n: int, level: float = LEVEL) -> float:
    """The smallest share of copies among m synthetic images that n holdout patients find with POWER; 2.0 where none.

    Copies lie below the threshold; the others fall below it as new patients would.
    """
    law = (rank(n), n + 1 - rank(n))
    least = int(betabinom.isf(strict(level), m, *law)) + 1  # a count with p < level
    low, high = 0, m + 1
    while low < high:  # the power grows with the number of copies
        copies = (low + high) // 2
        found = copies > m or float(betabinom.sf(least - 1 - copies, m - copies, *law)) >= POWER
        low, high = (low, copies) if found else (copies + 1, high)
    return low / m if low <= m and least <= m else 2.0


def detectable_pairs(pooled: tuple[int, int, int], seen: float, m: int, level: float = LEVEL) -> float:
    """The smallest share of copies of *different* training images among m that the closest pairs show; 2.0 where none.

    The copies whose original is in the pool (a share `seen`), as is the copy, are the closest pairs.
    """
    share = expected_share(pooled)
    if not share:
        return 2.0
    null = _null(pooled, LENGTHS)
    most = null[int(strict(level) * (len(null) + 1)) - 1] if level * (len(null) + 1) >= 2 else -1.0
    need = next((k for k in LENGTHS if share**k < most), None)
    if need is None:
        return 2.0
    chance = min(seen, 1.0) * min(pooled[2] / m, 1.0)
    copies = need if chance >= 1 else next((c for c in range(need, m + 1) if binom.sf(need - 1, c, chance) >= POWER), 0)
    return copies / m if 0 < copies <= m else 2.0


def strict(level: float) -> float:
    return level * (1 - 1e-9)  # so that a p that rounding carries below the level does not reject
