"""The metrics of a classifier, and their intervals by a bootstrap of patients.

Patients are resampled, not images. A metric takes a weight for each image, so that all resamples are scored at
once; an interval is of the mean over the seeds. Does not know arms, nor what an interval means for a verdict.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from ganatomy.core.seed import rng

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

METRICS = {"auc": "AUC", "balanced_accuracy": "balanced accuracy", "average_precision": "average precision"}
REPLICATES = 2000


# ---- metrics: a value per seed and row of image weights, (S, R), from p (S, n, K) and weights (R, n) ----


def auc(p: Floats, codes: Codes, weights: Floats, rare: int) -> Floats:
    """Area under the ROC curve, (S, R): of the class `rare` for two classes, mean of one-against-rest for more.

    With C[i, j] = 1 where positive i is above negative j (1/2 for ties) it is w+ C w- / (sum w+ sum w-), the
    statistic of Mann and Whitney (1947): one product of matrices for all replicates.
    """
    out = []
    for code in _positives(p, rare):
        positive, negative = weights[:, codes == code], weights[:, codes != code]
        total = positive.sum(axis=1) * negative.sum(axis=1)
        for scores in p[:, :, code]:
            ranks = np.unique(scores, return_inverse=True)[1]
            above = 0.5 * (np.sign(ranks[codes == code][:, None] - ranks[codes != code]) + 1)
            out.append(_ratio(np.einsum("ij,ij->i", positive @ above, negative), total))
    return _mean_of_classes(out, p)


def average_precision(p: Floats, codes: Codes, weights: Floats, rare: int) -> Floats:
    """Average precision, (S, R): of the class `rare` for two classes, the mean of one-against-rest for more.

    The mean, over positives i, of the precision among all images that score at least as high as i: the sum of
    (R_i - R_i-1) P_i over the thresholds.
    """
    out = []
    columns = np.ascontiguousarray(weights.T)  # (n, R): sums down an image's row are fast
    for code in _positives(p, rare):
        for scores in -p[:, :, code]:
            order = np.argsort(scores, kind="stable")
            shown, ranked, hit = columns[order], scores[order], codes[order] == code
            own = shown[hit]  # (n+, R)
            # equal scores enter together: every positive counts up to the last of its equals
            every = shown.cumsum(axis=0)[np.searchsorted(ranked, ranked[hit], side="right") - 1]
            true = own.cumsum(axis=0)[np.searchsorted(ranked[hit], ranked[hit], side="right") - 1]
            precision = np.divide(true, every, out=np.zeros_like(own), where=every > 0)
            out.append(_ratio(np.einsum("ij,ij->j", own, precision), own.sum(axis=0)))
    return _mean_of_classes(out, p)


def balanced_accuracy(predicted: Codes, codes: Codes, weights: Floats) -> Floats:
    """Mean over the classes of the share of their images recognised, (S, R); predicted: (S, n)."""
    right = (predicted == codes).astype(np.float64)
    kinds = np.unique(codes)
    own = [weights * (codes == code) for code in kinds]
    return sum((_ratio(right @ w.T, w.sum(axis=1)) for w in own), start=np.zeros(())) / len(kinds)


def _positives(p: Floats, rare: int) -> Sequence[int]:
    return [rare] if p.shape[2] == 2 else range(p.shape[2])


def _mean_of_classes(values: Sequence[Floats], p: Floats) -> Floats:
    return np.asarray(np.reshape(values, (-1, len(p), len(values[0]))).mean(axis=0), dtype=np.float64)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


# ---- intervals ----


class Resamples(NamedTuple):
    """weights: (1 + B + P, n) how often each image is taken: all once, B resamples, all but each patient.

    strata: (P,) stratum of each patient, the rarest class the patient has.
    """

    weights: Floats
    strata: Codes


def resamples(codes: Codes, patients: Sequence[str], replicates: int = REPLICATES, seed: int = 0) -> Resamples:
    """Patients drawn with replacement within strata of class; every replicate has every class of the test."""
    names, who = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    has = np.zeros((len(names), codes.max() + 1), dtype=bool)  # (P, K)
    has[who, codes] = True
    known = has[:, has.any(axis=0)]
    strata = np.where(known, known.sum(axis=0), len(names) + 1).argmin(axis=1)
    random = rng(seed, "bootstrap")

    def draw(count: int) -> Codes:
        drawn = np.zeros((count, len(names)), dtype=np.int64)
        for stratum in np.unique(strata):
            own = np.flatnonzero(strata == stratum)
            drawn[:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), size=count)
        return drawn

    drawn = draw(replicates)
    # only where patients have several classes can a replicate lack one
    while (bad := ((drawn @ known.astype(np.int64)) == 0).any(axis=1)).any():
        drawn[bad] = draw(int(bad.sum()))
    counts = np.concatenate([np.ones((1, len(names))), drawn, 1 - np.eye(len(names))])
    return Resamples(counts[:, who], strata)


def interval(values: Floats, strata: Codes, accelerated: bool = False) -> tuple[float, float]:
    """95 % interval of the mean over seeds of a statistic's values (S, 1 + B + P) over `Resamples`.

    Patients: percentiles or BCa, at levels widened as a t interval is against a normal one (Hesterberg 2015),
    by the smallest stratum. Seeds: their own part of the variance, added in quadrature.
    accelerated: BCa (Efron 1987), its acceleration by patient jackknife within strata (Davison and Hinkley
        1997, 5.3). Right for a score, which is skewed near 1; wrong for a paired difference, which is nearly
        symmetric and whose jackknife is noisy: see the coverages in docs/prove.md.
    """
    means = values.mean(axis=0)
    value, boot, left_out = float(means[0]), means[1 : -len(strata)], means[-len(strata) :]
    smallest = max(int(np.unique(strata, return_counts=True)[1].min()), 2)
    wide = np.sqrt(smallest / (smallest - 1)) * stdtrit(smallest - 1, 0.975)
    z = np.array([-wide, wide])
    if accelerated:
        bias = ndtri(np.clip(np.mean(boot < value) + np.mean(boot == value) / 2, 1e-3, 1 - 1e-3))
        z = bias + (z + bias) / np.maximum(1 - _acceleration(left_out, strata) * (z + bias), 0.1)
    low, high = np.quantile(boot, ndtr(z))
    seeds = ndtri(0.975) * np.sqrt(_seed_variance(values[:, : -len(strata)]))
    # BCa limits need not enclose the value: here they do
    below, above = max(value - low, 0.0), max(high - value, 0.0)
    return value - float(np.hypot(below, seeds)), value + float(np.hypot(above, seeds))


def _seed_variance(values: Floats) -> float:
    """Variance of a mean over S seeds that is due to the seeds, from values (S, 1 + B); 0 for a single seed.

    Seeds also differ on a finite test set because each errs on other patients. The bootstrap of patients
    holds that part already, so what it gives for the deviations from the mean over seeds is taken off.
    """
    count = len(values)
    if count < 2:
        return 0.0
    deviation = values[:, 1:] - values[:, 1:].mean(axis=0)
    of_patients = float(deviation.var(axis=1).mean()) * count / (count - 1)
    return max(0.0, float(values[:, 0].var(ddof=1)) - of_patients) / count


def _acceleration(left_out: Floats, strata: Codes) -> float:
    second = third = 0.0
    for stratum in np.unique(strata):
        own = left_out[strata == stratum]
        if len(own) > 1:  # a patient alone in its stratum is in every replicate
            influence = (len(own) - 1) * (own.mean() - own)
            second += float((influence**2).sum()) / len(own) ** 2
            third += float((influence**3).sum()) / len(own) ** 3
    return third / (6 * second**1.5) if second > 1e-18 else 0.0
