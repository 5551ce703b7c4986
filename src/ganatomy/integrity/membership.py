"""Scores by which an outsider tells who was in the training set, and how well they tell: AUC, true positives.

Knows vectors, scores and whose they are. Does not know which set they are from, nor findings.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, binom, gaussian_kde, rankdata

from ganatomy.integrity.features import Features
from ganatomy.integrity.nearest import Mirror, nearest

Array = NDArray[np.float64]

FALSE = 0.01  # false positive rate at which members are counted
COMPONENTS = 10  # principal components of a density


def gan_leaks(queries: Array, synthetic: Array, reference: Array | None = None, mirror: Mirror | None = None) -> Array:
    """Chen 2020, full black box: minus the distance to the nearest synthetic image; high for a member. (m,)

    Calibrated: the distance to the nearest reference image is taken off, so that images near to everything count less.
    Both sets of one size, or the larger is nearer to all.
    """
    score = -_nearest(synthetic, queries, mirror)
    return score if reference is None else score + _nearest(reference, queries, mirror)


def domias(queries: Array, synthetic: Array, reference: Array, components: int = COMPONENTS) -> Array:
    """Van Breugel 2023: log of the synthetic over the reference density at each query, (m,).

    Gaussian kernels with Scott's width in the whitened principal components of both sets, which holds no member.
    """
    both = np.concatenate([synthetic, reference])
    centre = both.mean(0)
    _, size, axes = np.linalg.svd(both - centre, full_matrices=False)
    explained = np.cumsum(size**2) / max(np.square(size).sum(), 1e-300)
    k = min(
        components, int(np.searchsorted(explained, 0.95)) + 1, max(1, (min(len(synthetic), len(reference)) - 1) // 5)
    )
    spread = size[:k] / math.sqrt(len(both))
    z = [(x - centre) @ axes[:k].T / spread for x in (queries, synthetic, reference)]
    return np.asarray(_log_density(z[1], z[0]) - _log_density(z[2], z[0]))


def _log_density(points: Array, at: Array) -> Array:
    return np.asarray(gaussian_kde(points.T).logpdf(at.T))


def _nearest(points: Array, queries: Array, mirror: Mirror | None) -> Array:
    return nearest(Features(points, tuple(map(str, range(points.shape[1])))), queries, mirror)[0]


def per_patient(scores: Array, patients: tuple[str, ...]) -> Array:
    """The largest score of each patient's images: one image that is recognised gives the patient away."""
    if not patients:
        return scores
    owners = np.unique(np.array(patients), return_inverse=True)[1]
    out = np.full(owners.max(initial=-1) + 1, -np.inf)
    np.maximum.at(out, owners, scores)
    return out


def auc(members: Array, others: Array) -> tuple[float, float]:
    """Area under the curve and its standard error (DeLong 1988)."""
    m, n = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    above = (ranks[:m] - rankdata(members)) / n  # of each member, the share of others below
    below = 1 - (ranks[m:] - rankdata(others)) / m
    return float(above.mean()), float(math.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))


def true_positives(members: Array, others: Array) -> tuple[int, int, float]:
    """How many members score above the r-th largest of the others, r, and P(as many) if all are exchangeable.

    r = floor(FALSE n) + 1, so that at most the share FALSE of the others lies above. BetaBinomial(m, r, n + 1 - r).
    """
    r = int(FALSE * len(others) + 1e-9) + 1
    count = int((members > np.sort(others)[-r]).sum())
    return count, r, float(betabinom.sf(count - 1, len(members), r, len(others) + 1 - r))


def always_told(count: int, m: int, r: int, n: int) -> float:
    """One-sided lower 95 % bound of the share of m members whom the attack always tells, others as non-members."""
    c = np.arange(count + 1)
    at_least = betabinom.sf(count - c - 1, m - c, r, n + 1 - r)  # grows with c
    return int(c[at_least >= 0.05].min(initial=count)) / m


def safe_rank(n: int) -> int:
    """The rank, from above, of the one of n others who is with 95 % no higher than the score that FALSE of all exceed.

    With n = 20 the highest is too high a threshold in 18 % of samples, and members below it would be overlooked.
    """
    return int(binom.ppf(0.95, n, FALSE)) + 1


def told_at_most(members: Array, others: Array) -> float:
    """One-sided upper 95 % bound of the share of these members above the score that FALSE of all others exceed.

    The members are all that there are; what is uncertain is the threshold, and below the one of `safe_rank` it is not.
    """
    return float((members > np.sort(others)[-min(safe_rank(len(others)), len(others))]).mean())


def passes(m: int, n: int, excess: float) -> float:
    """P(`told_at_most` is within `excess` above chance) of m members and n others who are exchangeable."""
    r, safe = int(FALSE * n + 1e-9) + 1, safe_rank(n)
    return float(betabinom.cdf(math.floor((r / (n + 1) + excess) * m + 1e-9), m, safe, n + 1 - safe))
