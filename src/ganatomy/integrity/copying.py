"""Does the generator repeat its training images? An exact test on distances to the nearest one.

Knows vectors that stand for images, and thumbnails that are such vectors. Does not know how images are made.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import betabinom, false_discovery_control

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import Features, clopper_pearson, one_per_patient

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mirror = Callable[[Array], Array]

SIDE = 16  # pixels of a thumbnail
ALPHA = 0.01
SHARE = 0.10  # a pass must have been able to find this share of copies,
POWER = 0.80  # this often


def thumbnails(images: NDArray[np.generic], scale: Array | None = None) -> Array:
    """(N, C, H, W) -> (N, C * 16 * 16): area averages, divided so that a distance is a root mean squared difference.

    scale: (C,) the unit of each channel, for example train's standard deviations; 1 where None (the images' unit).
    """
    stack = np.asarray(images, np.float64)
    n, c, height, width = stack.shape
    unit = np.ones(c) if scale is None else np.asarray(scale, np.float64)
    small = np.einsum("yh,nchw,xw->ncyx", _areas(height), stack, _areas(width), optimize=True)  # (N, C, 16, 16)
    return (small / unit[:, None, None]).reshape(n, -1) / math.sqrt(c * SIDE * SIDE)


def mirror_thumbnails(vectors: Array) -> Array:
    """Thumbnails (N, C * 16 * 16) of the same images flipped left to right."""
    return vectors.reshape(len(vectors), -1, SIDE, SIDE)[..., ::-1].reshape(len(vectors), -1)


def _areas(length: int) -> Array:
    """(16, length) weights, rows summing to 1: how much of each pixel lies in each sixteenth of the length."""
    edges = np.linspace(0, length, SIDE + 1)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(overlap, 0, None) * SIDE / length


def nearest(train: Array, queries: Array, mirror: Mirror | None = None) -> tuple[Array, Index]:
    """Distance of each query (m, d) to its nearest training vector (n, d), and which one; least over the mirror image.

    Holdout and synthetic must be asked in the same way: the least of two distances is shorter than one of them.
    """
    distance, index = np.empty(len(queries)), np.empty(len(queries), np.int64)
    for start in range(0, len(queries), 256):  # 256 rows of distances at a time: memory
        chunk = queries[start : start + 256]
        between = cdist(chunk, train)
        if mirror is not None:
            between = np.minimum(between, cdist(mirror(chunk), train))
        index[start : start + 256] = between.argmin(1)
        distance[start : start + 256] = between.min(1)
    return distance, index


def closest(train: Array, synthetic: Array, k: int, mirror: Mirror | None = None) -> tuple[Index, Index, Array]:
    """The k synthetic rows nearest to a training row: their indices, those of the training rows, the distances."""
    if not len(train) or not len(synthetic):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    distance, index = nearest(train, synthetic, mirror)
    order = np.argsort(distance, kind="stable")[:k]
    return order, index[order], distance[order]


def suspects(g: Array, h: Array) -> Index:
    """Synthetic rows to look at and delete: conformal p = (1 + #{h <= g}) / (n + 1), Benjamini-Hochberg q <= 0.05.

    g, h: distances to train of synthetic and of one holdout image per patient.
    """
    if not len(g) or not len(h):
        return np.empty(0, np.int64)
    p = (1 + np.searchsorted(np.sort(h), g, side="right")) / (len(h) + 1)
    return np.flatnonzero(false_discovery_control(p) <= 0.05)


def critical(m: int, n: int) -> tuple[int, int]:
    """(r, k): the threshold is the r-th nearest of n holdout distances; more than k of m synthetic below it is p < ALPHA.

    Under exchangeability the count is BetaBinomial(m, r, n + 1 - r) (evaluation by ranks: exact at every n).
    """
    r = max(2, math.ceil(0.01 * n))
    return r, int(betabinom.isf(ALPHA, m, r, n + 1 - r))


def detectable(m: int, n: int) -> float:
    """The smallest share of copies among m synthetic images that the test finds with POWER; 2.0 where none.

    Copies lie below the threshold; the others fall below it as new patients would.
    """
    r, k = critical(m, n)
    low, high = 0, m + 1
    while low < high:  # the power grows with the number of copies
        copies = (low + high) // 2
        found = copies > k or (copies <= m and float(betabinom.sf(k - copies, m - copies, r, n + 1 - r)) >= POWER)
        low, high = (low, copies) if found else (copies + 1, high)
    return low / m if low <= m else 2.0


def copying_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    mirror: Mirror | None = None,
) -> list[Finding]:
    """The exact tail test. value: share of synthetic images nearer to train than the r-th nearest holdout image.

    h is taken of one image per holdout patient, so that the distances are independent. yardstick: the share expected
    of new patients, r / (n + 1). bar: the largest share at which p >= ALPHA. Interval: Clopper-Pearson over images.
    """
    name, size = (
        f"copies of training images, {space}",
        {"n_images": len(holdout), "n_patients": holdout.n_patients},
    )
    m = len(synthetic)
    one = one_per_patient(holdout, rng(seed, f"copying {space} {label}"))
    n = len(one)
    for what, have, need in (("train", len(train), 1), ("synthetic", m, 1), ("holdout", n, 3)):
        if have < need:
            why = f"{what} has {have} {'patients' if what == 'holdout' else 'images'}, this needs {need}"
            return [Finding("copying", name, label, **size, note=why)]
    g = nearest(train.values, synthetic.values, mirror)[0]
    h = nearest(train.values, one.values, mirror)[0]
    r, k = critical(m, n)
    threshold = float(np.sort(h)[r - 1])
    count = int((g < threshold).sum())
    p = float(betabinom.sf(count - 1, m, r, n + 1 - r))
    same = 1e-6 * float(np.abs(train.values).max(initial=0))  # what a change of number format may do to a copy
    exact, exact_real = int((g <= same).sum()), int((h <= same).sum())
    share = detectable(m, n)

    state, note = (
        PASS,
        f"p = {p:.2g}; {share:.0%} of copies would have been found with {POWER:.0%} probability",
    )
    if exact > 0 and exact_real == 0:
        state, note = FAIL, f"{exact} of {m} synthetic images equal a training image"
    elif p < ALPHA:
        state = FAIL
        note = f"{count} of {m} synthetic images lie nearer to a training image than new patients do (p = {p:.2g})"
    elif threshold <= same:
        state, note = (
            INCONCLUSIVE,
            "holdout images equal training images, so nearness tells nothing: remove duplicates",
        )
    elif share > SHARE:
        least = f"{share:.0%} of" if share <= 1 else "not even all"
        state = INCONCLUSIVE
        note = f"the smallest share that could be found is {least} copies, above {SHARE:.0%}; {_remedy(m)}"
    low, high = clopper_pearson(count, m)
    numbers = (count / m, low, high, r / (n + 1))
    return [Finding("copying", name, label, *numbers, ("<=", k / m), **size, state=state, note=note)]


def _remedy(m: int) -> str:
    """How many holdout patients would let the test find SHARE of copies among m synthetic images."""
    for n in range(10, 2001, 5):
        if detectable(m, n) <= SHARE:
            return f"{n} holdout patients would do"
    more = next((x for x in range(m, 10 * m + 1000, 10) if detectable(x, 100) <= SHARE), None)
    return f"{more} synthetic images and 100 holdout patients would do"
