"""How alike two pictures are at best, over mirror images and shifts of a few pixels: correlation and SSIM.

Knows arrays of images and whose they are. Does not know which set they are from, nor what likeness is suspicious.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Index = NDArray[np.int64]

SIDE = 64  # larger images are reduced to this many pixels a side
REACH = 4  # pixels (of the reduced image) that a shifted copy may be moved by, each way
THUMBNAIL = 16  # pixels a side of the windows that are searched
COMPONENTS = 64  # of the thumbnails, kept for the search
SHORTLIST = 48  # images whose thumbnails are compared a pixel apart
CANDIDATES = 4  # patients whose best images are compared pixel by pixel
FLIPS = ((), (3,), (2,))  # axes of (N, C, H, W): as it is, left to right, upside down
CHUNK = 512


@dataclass(frozen=True, eq=False)
class Likeness:
    """Of each query: the image most like it, and the one most like it of any other patient.

    first, second: (m,) 1 - normalised cross-correlation, 0 for the same picture; index: (m,) row of the first
    similarity: (m,) SSIM with the first where the two are aligned; flip: (m,) which of FLIPS; shift: (m, 2) pixels
    """

    first: Array
    second: Array
    index: Index
    similarity: Array
    flip: Index
    shift: Index

    @property
    def ratio(self) -> Array:
        """(m,) root of first / second, like a ratio of distances: 0 for a copy, near 1 for nobody in particular."""
        return np.sqrt(
            np.where(self.second > 0, np.maximum(self.first, 0) / np.where(self.second > 0, self.second, 1), 1)
        )


def reduced(images: NDArray[np.generic], most: int = SIDE) -> Single:
    """(N, C, H, W) -> (N, C, <= most, <= most): area averages where an image is larger."""
    stack = np.asarray(images, np.float32)
    height, width = stack.shape[2:]
    if max(height, width) <= most:
        return stack
    above, across = (areas(length, min(length, most)).astype(np.float32) for length in (height, width))
    return np.asarray(np.einsum("yh,nchw,xw->ncyx", above, stack, across, optimize=True), np.float32)


def areas(length: int, side: int) -> Array:
    """(side, length) weights, rows summing to 1: how much of each pixel lies in each of `side` parts of the length."""
    edges, pixels = np.linspace(0, length, side + 1), np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(overlap, 0, None) * side / length)


def likeness(queries: Single, askers: Index, images: Single, owners: Index) -> Likeness:
    """Each query (m, C, H, W) among images (n, C, H, W) of owners (n,); images whose owner asks (askers, (m,)) are
    left out. There must be images of two owners besides every asker. Images as `reduced` returns them.

    A query's middle, without REACH pixels all round, is compared with all windows of its size, mirrored or not: with
    thumbnails of windows 3 pixels apart of all images, then 1 pixel apart of the SHORTLIST, then by the pixel with
    the best image of each of the CANDIDATES best patients. Normalised: brightness and contrast do not count, each
    channel has its own mean.
    """
    reach = min(REACH, min(queries.shape[2:]) // 7)
    middles = [_window(np.flip(queries, flip), reach, (0, 0)) for flip in FLIPS]
    asked = [_places(stack, 0)[:, 0, 0] for stack in middles]  # each (m, d)
    basis = None
    if asked[0].shape[1] > COMPONENTS:
        some = _places(_window(images, reach, (0, 0)), 0)[:, 0, 0].astype(np.float64)
        basis = np.linalg.eigh(some.T @ some)[1][:, -COMPONENTS:].astype(np.float32)
        asked = [_unit(one @ basis) for one in asked]
    places = _places(images, reach, basis)  # (n, S, S, d)
    order = np.argsort(owners, kind="stable")  # images of one patient side by side
    places, own = places[order], owners[order]
    starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
    steps = sorted({max(-reach, min(reach, k)) for k in (-3, 0, 3)})
    coarse = np.array([(y, x) for y in steps for x in steps]) + reach
    grid = [np.ascontiguousarray(places[:, y, x].T) for y, x in coarse]
    parts = []
    for start in range(0, len(queries), CHUNK):
        at = slice(start, start + CHUNK)
        best = np.full((len(askers[at]), len(images)), -np.inf, np.float32)
        code = np.zeros(best.shape, np.int8)
        for flip, many in enumerate(asked):
            for place, one in enumerate(grid):
                alike = many[at] @ one
                better = alike > best
                np.copyto(best, alike, where=better)
                np.copyto(code, np.int8(flip * len(grid) + place), where=better)
        best[own[None] == askers[at, None]] = -np.inf
        column = _shortlist(best, starts)  # (chunk, k)
        coded = np.take_along_axis(code, column, 1)
        turned, shift = coded // len(grid), coarse[coded % len(grid)]  # (chunk, k), (chunk, k, 2)
        sought = np.stack([one[at] for one in asked])[turned, np.arange(len(column))[:, None]]  # (chunk, k, d)
        value, where = np.full(column.shape, -np.inf, np.float32), shift.copy()
        for step in np.ndindex(3, 3):
            near = np.clip(shift + np.array(step) - 1, 0, 2 * reach)
            alike = np.einsum("mkd,mkd->mk", sought, places[column, near[..., 0], near[..., 1]])
            better = alike > value
            value[better], where[better] = alike[better], near[better]
        value[~np.isfinite(np.take_along_axis(best, column, 1))] = -np.inf
        chosen = _distinct(value, own[column])  # (chunk, c) positions in the shortlist, -1 where there is none
        rows = np.arange(len(column))[:, None]
        parts.append((np.where(chosen < 0, -1, order[column[rows, chosen]]), turned[rows, chosen], where[rows, chosen]))
    index, flips, shifts = (np.concatenate(one) for one in zip(*parts, strict=True))
    return _aligned(middles, images, index, flips.astype(np.int64), shifts - reach, reach)


def _places(images: Single, reach: int, basis: Single | None = None) -> Single:
    """(n, S, S, d) the thumbnail of each window of each image, S = 2 reach + 1 shifts each way, of unit length.

    d: channels x 16 x 16, each channel without its mean; or those columns in the basis (d, k).
    """
    n, channels, height, width = images.shape
    above, across = (_shifted(length, reach) for length in (height, width))  # (S, t, length)
    columns = channels * above.shape[1] * across.shape[1]
    out = np.empty((n, 2 * reach + 1, 2 * reach + 1, columns if basis is None else basis.shape[1]), np.float32)
    for start in range(0, n, CHUNK // 2):  # memory: 21 MB per 256 images and channel
        at = slice(start, start + CHUNK // 2)
        part = np.einsum("syh,nchw->nscyw", above, images[at], optimize=True)
        part = np.einsum("nscyw,txw->nstcyx", part, across, optimize=True)
        part -= part.mean((4, 5), keepdims=True)
        rows = _unit(part.reshape(*part.shape[:3], -1))
        out[at] = rows if basis is None else _unit(rows @ basis)
    return out


def _shifted(length: int, reach: int) -> Single:
    """(S, t, length) the weights that reduce each window of length - 2 reach pixels to t parts."""
    size = length - 2 * reach
    weights = areas(size, min(size, THUMBNAIL))
    return np.stack([np.pad(weights, ((0, 0), (s, 2 * reach - s))) for s in range(2 * reach + 1)]).astype(np.float32)


def _shortlist(best: Single, starts: Index) -> Index:
    """(m, k) columns: the SHORTLIST largest of each row, and the largest of each of the most alike patients."""
    k = min(SHORTLIST, best.shape[1])
    images = np.argpartition(-best, k - 1, axis=1)[:, :k]
    if len(starts) == best.shape[1]:
        return images
    top = np.maximum.reduceat(best, starts, axis=1)  # (m, patients)
    k = min(2 * CANDIDATES, len(starts))
    ends = np.r_[starts[1:], best.shape[1]]
    who = np.argpartition(-top, k - 1, axis=1)[:, :k]
    of = [[starts[g] + best[i, starts[g] : ends[g]].argmax() for g in row] for i, row in enumerate(who)]
    return np.concatenate([images, np.array(of, np.int64).reshape(who.shape)], axis=1)


def _distinct(value: Single, owner: Index) -> Index:
    """(m, CANDIDATES) columns of the largest values of each row, one per owner, -1 where there are no more."""
    left, found = value.copy(), []
    for _ in range(CANDIDATES):
        column = left.argmax(1)
        rows = np.arange(len(left))
        gone = ~np.isfinite(left[rows, column])
        left[owner == owner[rows, column][:, None]] = -np.inf
        found.append(np.where(gone, -1, column))
    return np.stack(found, axis=1)


def _aligned(middles: list[Single], images: Single, chosen: Index, flips: Index, coarse: Index, reach: int) -> Likeness:
    """The pixel-wise search about the alignment (m, k, 2) of each candidate (m, k), -1 where there is none."""
    m, k = chosen.shape
    views = np.lib.stride_tricks.sliding_window_view(images, middles[0].shape[2:], axis=(2, 3))
    gap, where = np.full((m, k), np.inf), coarse.copy()
    unit = [_centred(stack) for stack in middles]
    for start in range(0, m, 64):  # so many windows stay in the cache
        rows = np.arange(start, min(start + 64, m))
        for c in range(k):
            sought = _pick(unit, flips[rows, c], rows)
            for step in np.ndindex(3, 3):
                shift = np.clip(coarse[rows, c] + np.array(step) - 1, -reach, reach)
                windows = views[chosen[rows, c], :, shift[:, 0] + reach, shift[:, 1] + reach]
                value = np.maximum(1 - _correlation(sought, windows), 0)
                better = value < gap[rows, c]
                gap[rows[better], c], where[rows[better], c] = value[better], shift[better]
    gap[chosen < 0] = np.inf
    rank = np.argsort(gap, axis=1, kind="stable")
    rows, one = np.arange(m), rank[:, 0]
    shift, flip, index = where[rows, one], flips[rows, one], chosen[rows, one]
    similarity = np.empty(m)
    for start in range(0, m, CHUNK):
        at = rows[start : start + CHUNK]
        windows = views[index[at], :, shift[at, 0] + reach, shift[at, 1] + reach]
        similarity[at] = structural_similarity(_pick(middles, flip[at], at), windows)
    second = gap[rows, rank[:, 1]] if k > 1 else np.full(m, np.inf)
    return Likeness(gap[rows, one], second, index, similarity, flip, shift)


def structural_similarity(a: Single, b: Single) -> Array:
    """SSIM (Wang 2004) of standardised images (n, C, H, W), so that brightness and contrast do not count: (n,).

    Gaussian window, sigma 1.5 pixels, 11 wide; range: 6 standard deviations; the mean over pixels 5 or more from the
    border (all, in images below 16 pixels) and channels.
    """
    x, y = (_standard(z) for z in (a, b))

    def blur(z: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(gaussian_filter(z, (0, 0, 1.5, 1.5), radius=(0, 0, 5, 5)))

    mx, my = blur(x), blur(y)
    vx, vy, both = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    one, two = (0.01 * 6) ** 2, (0.03 * 6) ** 2
    ssim = (2 * mx * my + one) * (2 * both + two) / ((mx * mx + my * my + one) * (vx + vy + two))
    edge = 5 if min(ssim.shape[2:]) >= 16 else 0
    return np.asarray(ssim[:, :, edge : ssim.shape[2] - edge, edge : ssim.shape[3] - edge].mean((1, 2, 3)), np.float64)


def _standard(z: Single) -> Single:
    centred = z - z.mean((2, 3), keepdims=True)
    spread = centred.std((2, 3), keepdims=True)
    return np.asarray(centred / np.where(spread > 1e-6, spread, 1))


def _window(stack: Single, reach: int, shift: tuple[int, int]) -> Single:
    """The middle of each image, moved by `shift`."""
    height, width = stack.shape[2:]
    y, x = reach + shift[0], reach + shift[1]
    return stack[:, :, y : y + height - 2 * reach, x : x + width - 2 * reach]


def _unit(rows: Single) -> Single:
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(np.where(norm > 1e-6, rows / np.maximum(norm, 1e-6), 0), np.float32)


def _centred(stack: Single) -> Single:
    flat = stack - stack.mean((2, 3), keepdims=True)
    return _unit(flat.reshape(len(flat), -1)).reshape(flat.shape)


def _pick(stacks: list[Single], which: Index, rows: Index) -> Single:
    """Row rows[i] of stacks[which[i]]."""
    out = np.empty((len(rows), *stacks[0].shape[1:]), np.float32)
    for number, stack in enumerate(stacks):
        out[which == number] = stack[rows[which == number]]
    return out


def _correlation(unit: Single, windows: Single) -> Array:
    """Normalised cross-correlation of centred unit images with windows (n, C, h, w); 0 where a window is flat."""
    n, channels = windows.shape[:2]
    flat, sought = windows.reshape(n, channels, -1), unit.reshape(n, channels, -1)
    dot = np.einsum("ncp,ncp->n", flat, sought)
    size = flat.shape[2]
    square = np.einsum("ncp,ncp->n", flat, flat) - size * np.square(flat.mean(2)).sum(1)
    return np.where(square > 1e-6, dot / np.sqrt(np.maximum(square, 1e-6)), 0).astype(np.float64)
