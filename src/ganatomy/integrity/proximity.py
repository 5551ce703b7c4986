"""Numbers that others report of copying: C_T, authenticity, distances to the closest record. They decide nothing.

Knows vectors and whose they are. Both see a shift of the whole set, not a few copies (copies.py).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.cluster import KMeans

from ganatomy.core.seed import derive
from ganatomy.integrity.features import Features
from ganatomy.integrity.nearest import Mirror, by_distance, nearest

Array = NDArray[np.float64]
Index = NDArray[np.int64]

CELLS, EACH = 10, 20  # k-means cells of C_T at most, and the images of holdout and of synthetic that each should have


def data_copying(
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    distances: tuple[Array, Array] | None = None,
) -> tuple[float, float, int]:
    """C_T (Meehan 2020): z of the Mann-Whitney test of synthetic against holdout distances to train, within cells.

    Returns C_T, its standard deviation under exchangeability, and the number of cells. Cells: k-means of train, at
    most CELLS, EACH images of holdout and synthetic in the mean; weighted by the holdout's share; a cell with fewer
    than half of EACH of either is left out. Below -3 copying, above 3 underfitting, as published. holdout: one image
    per patient. distances: those of synthetic and of holdout, where they are known. NaN where no cell is left.
    """
    asked = [nearest(train, part.values)[0] for part in (synthetic, holdout)] if distances is None else distances
    k = int(np.clip(min(len(synthetic), len(holdout), len(train)) // EACH, 1, CELLS))
    cells = KMeans(k, n_init=3, random_state=derive(seed, "cells") % 2**32).fit(train.values)
    which = [cells.predict(part.values) for part in (synthetic, holdout)]
    weights, scores = [], []
    for cell in range(k):
        g, h = asked[0][which[0] == cell], asked[1][which[1] == cell]
        if min(len(g), len(h)) < EACH // 2:
            continue
        ranks = rankdata(np.concatenate([g, h]))
        u = ranks[: len(g)].sum() - len(g) * (len(g) + 1) / 2  # pairs in which the synthetic image is farther
        spread = math.sqrt(len(g) * len(h) * (len(g) + len(h) + 1) / 12)
        weights.append(len(h))
        scores.append((u - len(g) * len(h) / 2) / spread)
    if not weights:
        return math.nan, math.nan, 0
    w = np.array(weights) / sum(weights)
    return float(w @ scores), float(np.sqrt(np.square(w).sum())), len(weights)


def authenticity(train: Features, queries: Array, mirror: Mirror | None = None) -> tuple[int, int]:
    """How many queries are authentic (Alaa 2022), of how many; see `authentic`."""
    first, _, index = nearest(train, queries, mirror)
    return int(authentic(train, first, index, mirror).sum()), len(queries)


def authentic(train: Features, first: Array, index: Index, mirror: Mirror | None = None) -> NDArray[np.bool_]:
    """(m,) whether an image is farther from its nearest training image, row `index` at distance `first`, than that
    image is from the nearest one of another patient.

    Of two samples of one population that is so in 0.58 to 0.59, not in 1. Public code looks real distances up by the
    rows of synthetic images, which gives 0.50.
    """
    used, back = np.unique(index, return_inverse=True)
    among = by_distance(mirror)(train.values[used], train.owners[used], train.values, train.owners)[0]
    return np.asarray(first > among[back])
