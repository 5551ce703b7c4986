"""The same real images before and after a transform: how far decisions, accuracy and features move, over patients.

Pure functions of arrays. Knows classes and patients; knows no bar, no finding and no transform (integrity.invariance).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom, chi2, false_discovery_control, rankdata, t

from ganatomy.integrity.features import Features

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
Numbers = tuple[float, float, float]  # a value and its interval

TELLING = 0.1  # how far from 0.5 the AUC of a feature lies that is associated with a class


@dataclass(frozen=True, eq=False)
class Real:
    """Whose the images are: codes (n,) class, owners (n,) patient, k classes. In means, all classes weigh the same."""

    codes: Index
    owners: Index
    k: int

    @property
    def weights(self) -> Array:
        """(n,) of the images, sum 1."""
        counts = np.bincount(self.codes, minlength=self.k)
        return np.asarray(1 / ((counts > 0).sum() * counts[self.codes]))

    @property
    def patients(self) -> int:
        """Patients of the class that has the fewest."""
        return min(len(np.unique(self.owners[self.codes == c])) for c in np.unique(self.codes))

    def mean(self, values: Array) -> tuple[float, float]:
        """Mean of (n,) values, and its variance over patients (linearised; classes are strata)."""
        weights, sums = self.weights, np.bincount(self.codes, values, self.k)
        means = sums / np.maximum(np.bincount(self.codes, minlength=self.k), 1)
        return float(weights @ values), self.variance(weights * (values - means[self.codes]))

    def variance(self, influence: Array) -> float:
        """Variance of a sum of (n,) influences, those of a patient together."""
        each = np.bincount(np.unique(self.owners, return_inverse=True)[1], influence)
        return float((each**2).sum() * len(each) / max(len(each) - 1, 1))


def share(hits: Bools, real: Real, alpha: float) -> Numbers:
    """Share of images, and its two-sided interval at 1 - alpha: Clopper and Pearson's at the effective number of images
    (Korn & Graubard 1998): what as many independent images would know, by the variance over patients."""
    value, variance = real.mean(hits.astype(np.float64))
    n, patients = len(hits), len(np.unique(real.owners))
    alone = 1 / float((np.bincount(np.unique(real.owners, return_inverse=True)[1], real.weights) ** 2).sum())
    size = min(value * (1 - value) / variance if variance > 0 else alone, n)
    size *= float(t.isf(alpha / 2, n - 1) / t.isf(alpha / 2, patients - 1)) ** 2
    x = size * value
    low = 0.0 if x <= 0 else float(beta.ppf(alpha / 2, x, size - x + 1))
    high = 1.0 if value >= 1 else float(beta.isf(alpha / 2, x + 1, size - x))
    return value, min(low, value), max(high, value)


def lost(before: Bools, after: Bools, real: Real, alpha: float) -> Numbers:
    """Balanced accuracy before, less that after, paired, and its two-sided interval at 1 - alpha.

    Student's t over patients with one patient more in each class whom the change rights and one whom it wrongs (after
    Bonett & Price 2012, who add images), so that no change at all has an interval too.
    """
    gap = before.astype(np.float64) - after
    codes, owners, gaps = [real.codes], [real.owners], [gap]
    for c in np.unique(real.codes):
        own = real.codes == c
        size = max(1, round(own.sum() / len(np.unique(real.owners[own]))))  # images of a patient
        codes.append(np.full(2 * size, c))
        owners.append(real.owners.max() + 1 + 2 * c + np.repeat([0, 1], size))
        gaps.append(np.repeat([1.0, -1.0], size))
    more = Real(np.concatenate(codes), np.concatenate(owners), real.k)
    value = real.mean(gap)[0]
    centre, variance = more.mean(np.concatenate(gaps))
    reach = float(t.isf(alpha / 2, real.patients - 1)) * math.sqrt(variance)
    return value, min(centre - reach, value), max(centre + reach, value)


def area(p: Array, real: Real) -> tuple[float, Array]:
    """AUC, the mean over classes of one against the rest, and each image's influence on it (DeLong 1988), (n,)."""
    kinds, n = np.unique(real.codes), len(p)
    total, influence = 0.0, np.zeros(n)
    for c in kinds:
        own = real.codes == c
        every, within = rankdata(p[:, c]), np.empty(n)
        within[own], within[~own] = rankdata(p[own, c]), rankdata(p[~own, c])
        placed = np.where(own, (every - within) / (~own).sum(), 1 - (every - within) / own.sum())
        value = float(placed[own].mean())
        total += value / len(kinds)
        influence += (placed - value) / np.where(own, own.sum(), (~own).sum()) / len(kinds)
    return total, influence


def associated(values: Array, real: Real) -> Bools:
    """(d,) which features (n, d) go with the class: an AUC of TELLING above or below 0.5 for some class, and a
    Kruskal-Wallis test with false-discovery rate 5 %, on the mean of each patient's images of a class."""
    key, group = np.unique(np.stack([real.owners, real.codes], 1), axis=0, return_inverse=True)
    codes, sizes = key[:, 1], np.bincount(group.ravel())[:, None]
    middle = np.array([np.median(x[np.isfinite(x)]) if np.isfinite(x).any() else 0.0 for x in values.T])
    means = np.zeros((len(key), values.shape[1]))
    np.add.at(means, group.ravel(), np.where(np.isfinite(values), values, middle))  # undefined counts as the middle
    ranks = rankdata(means / sizes, axis=0)  # (patients, d)
    n, h, far = len(codes), np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for c in np.unique(codes):
        own = codes == c
        mean, count = ranks[own].mean(0), own.sum()
        h += 12 / (n * (n + 1)) * count * (mean - (n + 1) / 2) ** 2
        far = np.maximum(far, np.abs((mean - (count + 1) / 2) / max(n - count, 1) - 0.5))
    q = false_discovery_control(chi2.sf(h, max(len(np.unique(codes)) - 1, 1)))
    return np.asarray((q <= 0.05) & (far >= TELLING))


def shifts(before: Features, after: Features, real: Real) -> tuple[list[Array], Bools, Array]:
    """Per feature: each patient's mean change (patients,), in robust standard deviations (IQR / 1.349) of the images
    before about their class's median; which features vary at all (d,); share of images that lose the feature (d,)."""
    x, y = before.values, after.values
    moved, varies = [], np.zeros(x.shape[1], np.bool_)
    for j in range(x.shape[1]):
        known = np.isfinite(x[:, j])
        both = known & np.isfinite(y[:, j])
        moved.append(np.empty(0))
        if known.sum() < 2:
            continue
        a, codes = x[known, j], real.codes[known]
        rest = a - np.array([np.median(a[codes == c]) if (codes == c).any() else 0.0 for c in range(real.k)])[codes]
        q25, q75 = np.percentile(rest, [25, 75])
        least = 1e-9 * np.abs(a).max()
        scale = (q75 - q25) / 1.349 if q75 - q25 > least else rest.std()
        varies[j] = scale > least
        if varies[j] and both.any():
            who = np.unique(real.owners[both], return_inverse=True)[1]
            moved[j] = np.bincount(who, (y[both, j] - x[both, j]) / scale) / np.bincount(who)
    gone = (np.isfinite(x) & ~np.isfinite(y)).mean(0)
    return moved, varies, np.asarray(gone)


def median_interval(values: Array, alpha: float) -> Numbers:
    """Median, and its exact interval at 1 - alpha or more by order statistics; infinite where there are too few."""
    if not len(values):
        return math.nan, -math.inf, math.inf
    x, n = np.sort(values), len(values)
    below = int(binom.ppf(alpha / 2, n, 0.5))  # P(Bin < below) <= alpha / 2
    if below < 1:
        return float(np.median(x)), -math.inf, math.inf
    return float(np.median(x)), float(x[below - 1]), float(x[n - below])
