"""Does the generator repeat its training images? An exact test on how near they are to one training patient.

Knows vectors that stand for images, and thumbnails that are such vectors. Does not know how images are made.
"""

import math
from collections.abc import Callable
from functools import partial

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
ALPHA = 0.01 - 1e-12  # so that p = 1/100, which rounding may carry below 0.01, does not reject
PATIENTS = 3  # holdout patients without which there is no threshold
SHARE, POWER = 0.10, 0.80  # a pass must have been able to find this share of copies, this often


def thumbnails(images: NDArray[np.generic], scale: Array | None = None) -> Array:
    """(N, C, H, W) -> (N, C * 16 * 16): area averages, divided so that a distance is a root mean squared difference.

    scale: (C,) the unit of each channel, for example train's standard deviations; 1 where None (the images' unit).
    """
    stack = np.asarray(images, np.float64)
    n, c, height, width = stack.shape
    unit = np.ones(c) if scale is None else np.asarray(scale, np.float64)
    small = np.einsum("yh,nchw,xw->ncyx", _areas(height), stack, _areas(width), optimize=True)  # (N, C, 16, 16)
    return np.asarray((small / unit[:, None, None]).reshape(n, c * SIDE * SIDE) / math.sqrt(c * SIDE * SIDE))


def mirror_thumbnails(vectors: Array) -> Array:
    """Thumbnails (N, C * 16 * 16) of the same images flipped left to right."""
    return vectors.reshape(len(vectors), vectors.shape[1] // SIDE, SIDE)[..., ::-1].reshape(vectors.shape)


def _areas(length: int) -> Array:
    """(16, length) weights, rows summing to 1: how much of each pixel lies in each sixteenth of the length."""
    edges, pixels = np.linspace(0, length, SIDE + 1), np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(overlap, 0, None) * SIDE / length)


def nearest(train: Features, queries: Array, mirror: Mirror | None = None) -> tuple[Array, Array, Index]:
    """Of each query (m, d): distance d1 to the nearest training image, d1 / d2, and which image that is.

    d2 is the distance to the nearest image of any *other* training patient. Least over the mirror image: holdout and
    synthetic must be asked alike, because the least of two distances is shorter than one of them.
    """
    owners = train.owners
    first, relative, index = np.empty(len(queries)), np.empty(len(queries)), np.empty(len(queries), np.int64)
    for start in range(0, len(queries), 256):  # 256 rows of distances at a time: memory
        chunk, at = queries[start : start + 256], slice(start, start + 256)
        between = cdist(chunk, train.values)  # (256, n)
        if mirror is not None:
            between = np.minimum(between, cdist(mirror(chunk), train.values))
        index[at], first[at] = between.argmin(1), between.min(1)
        second = np.where(owners[index[at], None] == owners[None], np.inf, between).min(1)
        relative[at] = np.where(second > 0, first[at] / np.where(second > 0, second, 1), 1)  # 0 / 0: nobody's copy
    return first, relative, index


def closest(train: Features, synthetic: Features, k: int, mirror: Mirror | None = None) -> tuple[Index, Index, Array]:
    """The k synthetic images nearest to a training image: their rows, the training rows, the distances."""
    if not len(train) or not len(synthetic):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    distance, _, index = nearest(train, synthetic.values, mirror)
    order = np.argsort(distance, kind="stable")[:k]
    return order, index[order], distance[order]


def suspects(train: Features, holdout: Features, synthetic: Features, seed: int, mirror: Mirror | None = None) -> Index:
    """Rows of synthetic to look at and delete: exact copies; those with Benjamini-Hochberg q <= 0.05, where
    p = (1 + #{holdout images as near to one patient, d1 / d2}) / (n + 1); and all below the threshold of a tail test
    that rejects. One image per holdout patient. With n patients q <= 0.05 takes m / (20 n + 20) copies of m images.
    """
    if not len(train) or not len(synthetic):
        return np.empty(0, np.int64)
    distance, g, _ = nearest(train, synthetic.values, mirror)
    copies = _equal(train, distance, g)
    if len(holdout):
        h = nearest(train, one_per_patient(holdout, rng(seed, "copying")).values, mirror)[1]
        copies |= false_discovery_control((1 + np.searchsorted(np.sort(h), g, "right")) / (len(h) + 1)) <= 0.05
        if len(h) >= PATIENTS:
            _, threshold, p = tail(g, h)
            copies |= (g < threshold) & (p < ALPHA)
    return np.flatnonzero(copies)


def _equal(train: Features, distance: Array, relative: Array) -> NDArray[np.bool_]:
    """Which images equal one of a single training patient, up to what a change of number format does to a copy.

    Where several patients have that very image (a blank one, a dead embedding) nobody in particular was copied.
    """
    return (distance <= 1e-6 * float(np.abs(train.values).max(initial=0))) & (relative < 0.5)


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


def detectable(m: int, n: int) -> float:
    """The smallest share of copies among m synthetic images that n holdout patients find with POWER; 2.0 where none.

    Copies lie below the threshold; the others fall below it as new patients would.
    """
    law = (rank(n), n + 1 - rank(n))
    least = int(betabinom.isf(ALPHA, m, *law)) + 1  # a count with p < ALPHA
    low, high = 0, m + 1
    while low < high:  # the power grows with the number of copies
        copies = (low + high) // 2
        found = copies > m or float(betabinom.sf(least - 1 - copies, m - copies, *law)) >= POWER
        low, high = (low, copies) if found else (copies + 1, high)
    return low / m if low <= m and least <= m else 2.0


def copying_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    mirror: Mirror | None = None,
) -> list[Finding]:
    """The exact tail test on d1 / d2: how much nearer an image is to one training patient than to any other.

    value: share of synthetic images below the r-th smallest of the holdout, of which one image per patient is taken.
    yardstick: the share expected of new patients, r / (n + 1). bar: the largest share with p >= ALPHA. Interval:
    Clopper-Pearson over images. The same test on d1 alone also rejects smooth or monotonous images that copy nothing
    (docs/check.md); where only it rejects, the finding is inconclusive.
    """
    one = one_per_patient(holdout, rng(seed, "copying"))
    m, n = len(synthetic), len(one)
    finding = partial(
        Finding, "copying", f"copies of training images, {space}", label, n_images=len(holdout), n_patients=n
    )
    for what, have, need in (
        ("training patients", train.n_patients, 2),
        ("synthetic images", m, 1),
        ("holdout patients", n, PATIENTS),
    ):
        if have < need:
            return [finding(note=f"there are {have} {what}, the search for copies needs {need} or more")]
    g1, g, _ = nearest(train, synthetic.values, mirror)
    h1, h, _ = nearest(train, one.values, mirror)
    count, threshold, p = tail(g, h)
    p1 = tail(g1, h1)[2]
    exact, exact_real = int(_equal(train, g1, g).sum()), int(_equal(train, h1, h).sum())
    share = detectable(m, n)

    seen = f"if {share:.0%} or more of the images were copies" if share <= 1 else "not even if all images were copies"
    state = PASS
    note = f"no more images than expected lie near one training patient (p = {p:.2g}); {seen}, the test would have "
    note += f"noticed with {POWER:.0%} probability"
    if exact > 0 and exact_real == 0:
        state, note = FAIL, f"{exact} of {m} synthetic images equal a training image when compared by {space}"
    elif p < ALPHA:
        state, note = FAIL, f"{count} of {m} synthetic images lie nearer to one training patient than chance explains "
        note += f"when compared by {space} (p = {p:.2g})"
    elif threshold <= 0:
        state = INCONCLUSIVE
        note = "holdout images equal training images, so they cannot serve as yardstick: remove these duplicates"
    elif p1 < ALPHA:
        state = INCONCLUSIVE
        note = f"nearer to training images than new patients are (p = {p1:.2g}), but no nearer to one patient than to "
        note += "the next: monotonous images do this, and patients who stand under two names; look at the closest pairs"
    elif share > SHARE:
        state, small = INCONCLUSIVE, f"with {m} synthetic images and {n} holdout patients of this class"
        found = f"only if {share:.0%} or more of the images were" if share <= 1 else "not even if all images were"
        note = f"{small}, copies would be noticed {found} copies; {_remedy(m)}"
    law = (rank(n), n + 1 - rank(n))
    bar = ("<=", float(betabinom.isf(ALPHA, m, *law)) / m)
    low, high = clopper_pearson(count, m)
    return [finding(count / m, low, high, law[0] / (n + 1), bar, state=state, note=note)]


def _remedy(m: int) -> str:
    """How many holdout patients would let the test find SHARE of copies among m synthetic images."""
    for n in range(10, 1001, 5):
        if detectable(m, n) <= SHARE:
            return f"{n} holdout patients of this class would be enough to notice {SHARE:.0%}"
    more = next((x for x in range(m, m + 1000, 5) if detectable(x, 100) <= SHARE), m + 1000)
    return f"{more} synthetic images and 100 holdout patients of this class would be enough to notice {SHARE:.0%}"
