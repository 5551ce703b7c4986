"""Density and coverage of synthetic images about the training images, beside those of the holdout.

Knows tables of features. Does not know where the features come from.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ganatomy.core.finding import Finding
from ganatomy.integrity.features import Features, prepare, sample, settle, too_small

Array = NDArray[np.float64]

NEIGHBOURS = 5
IMAGES, PATIENTS = 20, 5  # the least of each set
MOST = 500  # images of each set that are compared, to bound the time
# Coverage falls when modes are missing. Density falls when samples lie off the data; a high one (samples crowded where
# data are dense) is no defect of its own and shows as low coverage. Density's balls overlap, so it scatters more.
BARS = {"coverage": 0.85, "density": 0.5}


def density_coverage(real: Features, points: Array, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Naeem 2020: mean number of real balls about a point / k, and share of real balls that hold a point.

    A ball reaches to the k-th nearest real image *of another patient*: neighbouring slices of one patient would make
    balls too small for any newcomer. points: (m, d). Strict inequality, as published.
    """
    between = cdist(real.values, real.values)
    owners = real.owners
    between[owners[:, None] == owners[None]] = np.inf
    radius = np.partition(between, k - 1, axis=1)[:, k - 1]
    radius[np.isinf(radius)] = 0  # fewer than k images of other patients: a ball that cannot be drawn holds nothing
    inside = cdist(real.values, points) < radius[:, None]  # (n, m)
    return float(inside.sum() / (k * len(points))), float(inside.any(1).mean())


def coverage_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    resamples: int = 200,
) -> list[Finding]:
    """Coverage and density of synthetic about train against BARS x those of holdout about the same train images.

    All at n = the smallest set (at most MOST), medians over 20 draws. low and high are the value plus the 95 % spread
    of value - bar over halves by patient, so that the yardstick's own uncertainty is in the interval.
    """
    data = prepare(train, holdout, synthetic)
    size = {"n_images": len(data.holdout), "n_patients": data.holdout.n_patients}
    names = {word: f"{word}, {space}" for word in BARS}
    if reason := too_small(data, IMAGES, PATIENTS):
        return [Finding("coverage", name, label, **size, note=reason) for name in names.values()]

    def measure(t: Features, h: Features, s: Features) -> Array:
        return np.array([density_coverage(t, s.values)[::-1], density_coverage(t, h.values)[::-1]]).T.ravel()

    whole, halves = sample(measure, data, seed, f"coverage {space} {label}", resamples, MOST)
    found = []
    for column, (word, factor) in enumerate(BARS.items()):
        value, yardstick = np.median(whole[:, 2 * column : 2 * column + 2], axis=0)
        spread = halves[:, 2 * column] - factor * halves[:, 2 * column + 1]
        low, high = value + np.quantile(spread - np.median(spread), [0.025, 0.975])
        low, high = max(low, 0.0), min(high, 1.0) if word == "coverage" else high
        bar = (">=", factor * float(yardstick))
        state, note = settle(value, low, high, bar, data, data.note)
        numbers = (float(value), float(low), float(max(high, value)), float(yardstick))
        found.append(Finding("coverage", names[word], label, *numbers, bar, **size, state=state, note=note))
    return found
