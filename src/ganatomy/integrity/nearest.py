"""The nearest training image of each image, and that of any other patient; thumbnails to look for it by the pixel.

Knows vectors, images as vectors, and whose they are. Does not know which set they are from, nor what is too near.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ganatomy.integrity.features import Features
from ganatomy.integrity.likeness import THUMBNAIL, areas

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mirror = Callable[[Array], Array]
# rows that ask, who asks, rows that are searched, whose they are -> d1, d2, row of d1; nobody's own rows are searched
Search = Callable[[NDArray[np.generic], Index, NDArray[np.generic], Index], tuple[Array, Array, Index]]


def thumbnails(images: NDArray[np.generic], scale: Array | None = None) -> Array:
    """(N, C, H, W) -> (N, C * 16 * 16): area averages, divided so that a distance is a root mean squared difference.

    scale: (C,) the unit of each channel, for example train's standard deviations; 1 where None (the images' unit).
    """
    n, c, height, width = np.shape(images)
    unit = np.ones(c) if scale is None else np.asarray(scale, np.float64)
    above, across = areas(height, THUMBNAIL), areas(width, THUMBNAIL)
    out = np.empty((n, c, THUMBNAIL, THUMBNAIL))
    for start in range(0, n, 1024):  # memory
        part = np.asarray(images[start : start + 1024], np.float64)
        out[start : start + 1024] = np.einsum("yh,nchw,xw->ncyx", above, part, across, optimize=True)
    return np.asarray((out / unit[:, None, None]).reshape(n, -1 if n else c * THUMBNAIL**2) / math.sqrt(c) / THUMBNAIL)


def mirror_thumbnails(vectors: Array) -> Array:
    """Thumbnails (N, C * 16 * 16) of the same images flipped left to right."""
    return vectors.reshape(len(vectors), vectors.shape[1] // THUMBNAIL, THUMBNAIL)[..., ::-1].reshape(vectors.shape)


def nearest(train: Features, queries: Array, mirror: Mirror | None = None) -> tuple[Array, Array, Index]:
    """Of each query (m, d): distance d1 to the nearest training image, d1 / d2, and which image that is.

    d2 is the distance to the nearest image of any *other* training patient. Least over the mirror image: holdout and
    synthetic must be asked alike, because the least of two distances is shorter than one of them.
    """
    first, second, index = by_distance(mirror)(queries, -1 - np.arange(len(queries)), train.values, train.owners)
    return first, ratio(first, second), index


def ratio(first: Array, second: Array) -> Array:
    """d1 / d2, 1 where d2 is 0: the picture is of several patients, and so nobody's copy."""
    return np.where(second > 0, first / np.where(second > 0, second, 1), 1)


def by_distance(mirror: Mirror | None) -> Search:
    """A search by Euclidean distance, least over the mirror image.

    Found by products of matrices, then measured: copies are at exactly 0.
    """

    def search(
        asking: NDArray[np.generic], askers: Index, given: NDArray[np.generic], owners: Index
    ) -> tuple[Array, Array, Index]:
        queries, rows = np.asarray(asking, np.float64), np.asarray(given, np.float64)
        first, second = np.empty(len(queries)), np.empty(len(queries))
        index = np.empty(len(queries), np.int64)
        centre = rows.mean(0) if len(rows) else 0.0
        away = rows - centre
        square = np.square(away).sum(1)
        for start in range(0, len(queries), 256):  # 256 rows of distances at a time: memory
            at = slice(start, start + 256)
            forms = [queries[at]] if mirror is None else [queries[at], mirror(queries[at])]
            between = np.full((len(forms[0]), len(rows)), np.inf)
            for form in forms:
                x = form - centre
                np.minimum(between, np.square(x).sum(1)[:, None] + square - 2 * x @ away.T, out=between)
            between[askers[at, None] == owners[None]] = np.inf
            index[at] = between.argmin(1)

            def exact(
                column: Index, forms: list[Array] = forms, between: NDArray[np.float64] = between
            ) -> NDArray[np.float64]:
                gone = np.isinf(between[np.arange(len(column)), column])
                return np.where(gone, np.inf, np.min([np.linalg.norm(f - rows[column], axis=1) for f in forms], 0))

            first[at] = exact(index[at])
            between[owners[index[at], None] == owners[None]] = np.inf
            second[at] = exact(between.argmin(1))
        return first, second, index

    return search


def closest(train: Features, synthetic: Features, k: int, mirror: Mirror | None = None) -> tuple[Index, Index, Array]:
    """The k synthetic images nearest to a training image: their rows, the training rows, the distances."""
    if not len(train) or not len(synthetic):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    distance, _, index = nearest(train, synthetic.values, mirror)
    order = np.argsort(distance, kind="stable")[:k]
    return order, index[order], distance[order]
