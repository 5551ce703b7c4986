"""Fréchet distance of synthetic to holdout images, beside that of train to holdout at the same size.

Knows tables of features. Does not know where the features come from.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from ganatomy.core.finding import Finding
from ganatomy.integrity.features import UNEVEN, Features, prepare, sample, settle, too_small

Array = NDArray[np.float64]

RATIO = 2.0  # times the real-against-real distance that is allowed
IMAGES, PATIENTS = 12, 5  # the least of each set: its half must be a sample
COVARIANCES = 100  # images below which only the means are compared


def frechet(a: Array, b: Array, means_only: bool = False) -> float:
    """d^2 = |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2) of rows a, b (n, d); S by Ledoit & Wolf 2004.

    Dowson & Landau 1982, Heusel 2017. Both roots come from symmetric eigenproblems, so nothing complex can appear.
    """
    shift = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    if means_only:
        return shift
    s1, s2 = ledoit_wolf(a)[0], ledoit_wolf(b)[0]
    values, vectors = np.linalg.eigh(s1)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T  # (d, d)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ s2 @ root), 0, None)).sum()
    return max(shift + float(np.trace(s1) + np.trace(s2) - 2 * cross), 0.0)


def frechet_findings(
    space: str, label: str, train: Features, holdout: Features, synthetic: Features, seed: int, resamples: int = 200
) -> list[Finding]:
    """d^2(synthetic, holdout) against RATIO x d^2(train, holdout), both at n = the smallest of the three sets.

    value and yardstick are means over 20 draws of n images. low and high are the value times the 95 % spread of
    the *ratio* over halves by patient, so that the yardstick's own uncertainty is in the interval the bar is held to.
    """
    data = prepare(train, holdout, synthetic)
    real = data.holdout
    finding = partial(
        Finding, "fidelity", f"Fréchet distance, {space}", label, n_images=len(real), n_patients=real.n_patients
    )
    if reason := too_small(data, IMAGES, PATIENTS):
        return [finding(note=reason)]
    n = min(len(data.train), len(data.holdout), len(data.synthetic))

    def measure(t: Features, h: Features, s: Features) -> Array:
        return np.array([frechet(h.values, x.values, n < COVARIANCES) for x in (s, t)])

    whole, halves = sample(measure, data, seed, f"frechet {space} {label}", resamples)
    if not len(halves):
        return [finding(note=UNEVEN)]
    value, yardstick = np.mean(whole, axis=0)
    spread = np.log(np.maximum(halves[:, 0], 1e-12) / np.maximum(halves[:, 1], 1e-12))
    low, high = value * np.exp(np.quantile(spread - np.median(spread), [0.025, 0.975]))
    means = (
        f"only the means of the features are compared, for the smallest set has {n} images: their spread takes "
        f"{COVARIANCES} in each set, so that a lost variety would not be seen here"
        if n < COVARIANCES
        else ""
    )
    bar = ("<=", RATIO * float(yardstick))
    state, note = settle(value, low, high, bar, data, means)
    return [finding(float(value), float(low), float(high), float(yardstick), bar, state=state, note=note)]
