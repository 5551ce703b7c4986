"""Density and coverage of synthetic images about the training images, beside those of the holdout.

Knows tables of features. Does not know where the features come from.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ganatomy.core.finding import Finding
from ganatomy.integrity.features import UNEVEN, Features, prepare, sample, settle, too_small

Array = NDArray[np.float64]

NEIGHBOURS = 5
IMAGES, PATIENTS = 20, 5  # the least of each set
MOST = 500  # images of each set that are compared, to bound the time

# name, column of density_coverage, side and factor of the yardstick. Coverage falls when modes are missing. Density
# falls when images lie off the data, and rises when they crowd where data are dense (a low diversity that coverage
# hardly sees): two bars on one number, wide ones, because its balls overlap and it scatters more.
BARS = (("coverage", 1, ">=", 0.85), ("density", 0, ">=", 0.5), ("crowding (density)", 0, "<=", 1.5))


def density_coverage(real: Features, points: Array, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Naeem 2020: mean number of real balls about a point / k, and share of real balls that hold a point.

    A ball reaches to the k-th nearest real image *of another patient*: neighbouring slices of one patient would make
    balls too small for any newcomer. points: (m, d). Strict inequality, as published.
    """
    between = cdist(real.values, real.values)
    owners = real.owners
    between[owners[:, None] == owners[None]] = np.inf
    radius = np.partition(between, min(k, len(real)) - 1, axis=1)[:, min(k, len(real)) - 1]
    radius[np.isinf(radius)] = 0  # fewer than k images of other patients: a ball that cannot be drawn holds nothing
    inside = cdist(real.values, points) < radius[:, None]  # (n, m)
    return float(inside.sum() / (k * len(points))), float(inside.any(1).mean())


def coverage_findings(
    space: str, label: str, train: Features, holdout: Features, synthetic: Features, seed: int, resamples: int = 200
) -> list[Finding]:
    """Coverage and density of synthetic about train against BARS x those of holdout about the same train images.

    All at n = the smallest set (at most MOST), means over 20 draws. low and high are the value plus the 95 % spread
    of value - bar over halves by patient, so that the yardstick's own uncertainty is in the interval.
    """
    data = prepare(train, holdout, synthetic)
    finding = partial(Finding, "coverage", n_images=len(data.holdout), n_patients=data.holdout.n_patients)
    reason = too_small(data, IMAGES, PATIENTS)

    def measure(t: Features, h: Features, s: Features) -> Array:
        return np.array([density_coverage(t, s.values), density_coverage(t, h.values)])

    whole, halves = np.empty((0, 2, 2)), np.empty((0, 2, 2))  # (draws, synthetic | holdout, density | coverage)
    if not reason:
        whole, halves = sample(measure, data, seed, f"coverage {space} {label}", resamples, MOST)
        reason = "" if len(halves) else UNEVEN
    found = []
    for word, column, side, factor in BARS:
        name = f"{word}, {space}"
        if reason:
            found.append(finding(name, label, note=reason))
            continue
        value, yardstick = np.mean(whole[:, :, column], axis=0)
        spread = halves[:, 0, column] - factor * halves[:, 1, column]
        low, high = value + np.quantile(spread - np.median(spread), [0.025, 0.975])
        low, high = max(low, 0.0), max(min(high, 1.0), value) if column == 1 else high
        bar = (side, factor * float(yardstick))
        state, note = settle(value, low, high, bar, data)
        numbers = (float(value), float(low), float(high), float(yardstick))
        found.append(finding(name, label, *numbers, bar, state=state, note=note))
    return found
