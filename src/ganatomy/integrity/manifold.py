"""Where rows lie among others: balls about real images, the variety of a set, and where a group is missing.

Knows tables of features, their distances and relabellings. Does not know what of it is good or bad.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import xlogy
from scipy.stats import hypergeom

from ganatomy.integrity.features import LEAST_HALF, Features, Prepared, draw, half, one_per_patient, prepare

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Labels = NDArray[np.float32]
Statistic = Callable[[Labels], Array]

NEIGHBOURS, NEAREST = 5, 3  # k of density and coverage (Naeem 2020), of precision and recall (Kynkäänniemi 2019)
POOL = 1000  # images of each set from which those that are compared are drawn, to bound the memory
WIDTH = 0.5  # of the Vendi score's kernel, in median distances of train
SCALES = (0.03, 0.06, 0.12, 0.24)  # size of the neighbourhoods in which a group may be missing, as shares of all rows
CENTRES = 400
EMPTY = 0.25  # synthetic images per real one, below which a neighbourhood counts as empty
LISTED = 5000  # images of each set that are compared to list what is missed
MEASURES = ("coverage", "density", "precision", "recall", "Vendi score")


def radii(between: Array, owners: Index, *ks: int) -> Array:
    """(len(ks), n) distance of each row to the k-th nearest row of another patient; 0 where there are fewer than k.

    Neighbouring slices of one patient would make balls too small for any newcomer.
    """
    other = np.where(owners[:, None] == owners[None], np.float32(np.inf), between)
    at = [min(k, len(other)) - 1 for k in ks]
    radius = np.partition(other, at, axis=1)[:, at].T if len(other) else np.empty((len(ks), 0))
    return np.where(np.isinf(radius), 0, radius)  # a ball that cannot be drawn holds nothing


def density_coverage(real: Features, points: Array, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Naeem 2020: mean number of real balls about a point / k, and share of real balls that hold a point.

    A ball reaches to the k-th nearest real image *of another patient*. points: (m, d). Strict inequality, as published.
    """
    inside = cdist(real.values, points) < radii(cdist(real.values, real.values), real.owners, k)[0][:, None]  # (n, m)
    return float(inside.sum() / (k * len(points))), float(inside.any(1).mean())


def precision_recall(real: Features, points: Array, k: int = NEAREST) -> tuple[float, float]:
    """Kynkäänniemi 2019: share of points in a ball of a real image, and share of real images in a ball of a point.

    Balls of real images reach to the k-th nearest image of another patient. points: (m, d), each its own patient.
    """
    between = cdist(real.values, points)
    (mine,) = radii(cdist(real.values, real.values), real.owners, k)
    (theirs,) = radii(cdist(points, points), np.arange(len(points)), k)
    return float((between <= mine[:, None]).any(0).mean()), float((between <= theirs).any(1).mean())


def vendi(kernel: Array) -> float:
    """Friedman & Dieng 2023: exp of the entropy of the eigenvalues of K / n; kernel (n, n) with ones on its diagonal.

    1 where all images are the same, n where no two have anything in common.
    """
    values = np.clip(np.linalg.eigvalsh(kernel / len(kernel)), 0, None)
    return float(np.exp(-xlogy(values, values).sum()))


class Space:
    """All distances among at most POOL rows of each set, so that draws only choose rows."""

    def __init__(self, data: Prepared, generator: np.random.Generator) -> None:
        self.sets = [draw(x, POOL, generator) for x in (data.train, data.holdout, data.synthetic)]
        rows = np.concatenate([x.values for x in self.sets])
        self.between = cdist(rows, rows).astype(np.float32)  # half the memory; an exact copy stays at 0
        starts = np.cumsum([0, *(len(x) for x in self.sets)])
        owners = [start + x.owners for start, x in zip(starts[:-1], self.sets, strict=True)]
        self.owners = np.concatenate(owners)
        self.index = [np.arange(a, b) for a, b in pairwise(starts)]
        self.numbered = [
            Features(index[:, None].astype(np.float64), ("row",), features.patients)
            for features, index in zip(self.sets, self.index, strict=True)
        ]
        learned = self.between[np.ix_(self.index[0], self.index[0])]
        self.width = WIDTH * float(np.median(learned[learned > 0])) if (learned > 0).any() else 1.0

    def chosen(self, n: int, generator: np.random.Generator, parts: list[Features] | None = None) -> list[Index]:
        """n rows of train, and of one image each of holdout's patients and of synthetic; out of `parts` (all)."""
        out: list[Features] = []
        for part in parts or self.numbered:
            out.append(draw(one_per_patient(part, generator) if out else part, n, generator))
        return [part.values[:, 0].astype(np.int64) for part in out]

    def independent(self, most: int, generator: np.random.Generator) -> list[Index]:
        """At most so many rows of one image each: of the patients of train, of those of holdout, and of synthetic."""
        parts = [draw(one_per_patient(part, generator), most, generator) for part in self.numbered]
        return [part.values[:, 0].astype(np.int64) for part in parts]

    def part(self, rows: Index, columns: Index) -> Array:
        return np.asarray(self.between[rows[:, None], columns[None]])

    def kernel(self, own: Array) -> Array:
        """Gaussian kernel of distances, its width from train."""
        return np.asarray(np.exp(-0.5 * (own / np.float32(self.width)) ** 2))

    def balls(self, train: Index, *ks: int) -> Array:
        return radii(self.part(train, train), self.owners[train], *ks)

    def measure(self, train: Index, *points: Index) -> Array:
        """(len(points), 5) coverage, density, precision, recall and Vendi score of points about train."""
        five, three = self.balls(train, NEIGHBOURS, NEAREST)
        out = []
        for each in points:
            between, own = self.part(train, each), self.part(each, each)
            inside, near = between < five[:, None], between <= three[:, None]
            reached = between <= radii(own, np.arange(len(each)), NEAREST)
            density = inside.sum() / (NEIGHBOURS * len(each))
            shares = inside.any(1).mean(), density, near.any(0).mean(), reached.any(1).mean()
            out.append([*shares, vendi(self.kernel(own))])
        return np.array(out)


def halves(world: Space, n: int, resamples: int, generator: np.random.Generator) -> Array:
    """(resamples, synthetic | holdout, 5) MEASURES at about n / 2, of half the patients; none where halves are small.

    A half drawn without replacement scatters about the whole as the whole does about the truth, and repeats no row: a
    bootstrap would, and repeats shrink coverage. A half of more images than are compared is drawn up to four times.
    """
    out = []
    for _ in range(resamples):
        parts = [half(x, generator) for x in world.numbered]
        most = [len(parts[0]), parts[1].n_patients, len(parts[2])]
        m = min(n // 2, *most)
        if m < max(n // 4, LEAST_HALF):
            continue
        often = min(round(max(map(len, parts)) / m), 4)
        draws = []
        for _ in range(often):
            t, h, s = world.chosen(m, generator, parts)
            draws.append(world.measure(t, s, h))
        out.append(np.mean(draws, axis=0))
    return np.array(out if len(out) >= min(20, resamples) else [])


def coverage_gap(inside: NDArray[np.bool_]) -> Statistic:
    """Coverage by the rows labelled 0 minus that by those labelled 1; inside: (n, N) which ball holds which row."""
    balls = inside.astype(np.float32)
    return lambda labels: np.asarray(((balls @ (1 - labels)) > 0.5).mean(0) - ((balls @ labels) > 0.5).mean(0))


def fisher(near: NDArray[np.bool_], n: int) -> float:
    """P(no more of the first n of `near` are true, given how many there are in all): Fisher's exact test."""
    return float(hypergeom.cdf(near[:n].sum(), len(near), near.sum(), n))


def alike(pairs: NDArray[np.float32]) -> Statistic:
    """Sum of pairs (2n, 2n) among the rows labelled 1 minus that among the others.

    Of squared kernels it tests a Vendi score: 1 / mean k^2 is that of order 2, which needs no eigenvalues (Pasarkar &
    Dieng 2023).
    """

    def statistic(labels: Labels) -> Array:
        rest = 1 - labels
        return np.asarray((labels * (pairs @ labels)).sum(0) - (rest * (pairs @ rest)).sum(0), np.float64)

    return statistic


def permuted(
    statistic: Statistic,
    n: int,
    times: int,
    share: float,
    generator: np.random.Generator,
    batch: int = 1000,
    of: int = 0,
) -> float:
    """(1 + #{relabellings with a statistic as large}) / (1 + times): the first n of `of` (2n) rows are labelled 1.

    Stops once p cannot come down to `share`; what it returns then is above it.
    """
    of = of or 2 * n
    observed = float(statistic(first(n, of))[0])
    observed -= 1e-6 * abs(observed)  # rounding must not break ties
    done = larger = 0
    while done < times and 1 + larger <= share * (1 + times):
        now = min(batch, times - done)
        larger += int((statistic(relabelled(n, of, now, generator)) >= observed).sum())
        done += now
    return (1 + larger) / (1 + done)


def first(n: int, of: int) -> Labels:
    """(of, 1) n ones, then zeros."""
    return np.repeat(np.array([1, 0], np.float32), (n, of - n))[:, None]


def relabelled(n: int, of: int, times: int, generator: np.random.Generator) -> Labels:
    """(of, times) columns of n ones, else zeros, in random order."""
    order = generator.random((times, of), np.float32).argpartition(n - 1, axis=1)[:, :n]
    labels = np.zeros((times, of), np.float32)
    np.put_along_axis(labels, order, 1, 1)
    return np.ascontiguousarray(labels.T)


class Scan:
    """Where are the rows labelled 1, n of a pool, too few? Asked of the pool's nearest rows about some of it.

    The log likelihood ratio of Kulldorff 1997, 0 where they are not few. The pool alone says which neighbourhoods.
    """

    def __init__(self, world: Space, pool: Index, n: int, generator: np.random.Generator) -> None:
        centres = generator.permutation(pool)[:CENTRES]
        rank = world.part(centres, pool).argsort(1)
        sizes = sorted({max(2 * NEIGHBOURS, round(share * len(pool))) for share in SCALES})
        inside = np.zeros((len(sizes), *rank.shape), np.float32)
        for k, each in zip(sizes, inside, strict=True):
            np.put_along_axis(each, rank[:, :k], 1, 1)
        self.inside, self.n, self.rest = inside.reshape(-1, len(pool)), n, len(pool) - n
        self.sizes = np.repeat(sizes, len(centres))  # (balls,)
        made, size = np.arange(max(sizes) + 1.0)[:, None], np.arange(max(sizes) + 1.0)[None]
        real, due = np.maximum(size - made, 0), size * n / len(pool)
        ratio = xlogy(made, made / np.maximum(due, 1e-9)) + xlogy(real, real / np.maximum(size - due, 1e-9))
        self.table = np.where(made / n <= EMPTY * real / self.rest, ratio, 0).astype(np.float32)  # (made, size)

    def ratios(self, labels: Labels) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Log likelihood ratios, and how many rows labelled 1, (balls, labellings)."""
        made = (self.inside @ labels).astype(np.int32)
        return self.table.ravel()[made * self.table.shape[1] + self.sizes[:, None]], made

    def evidence(self, labels: Labels) -> Array:
        """(labellings,) the largest log likelihood ratio."""
        return np.asarray(self.ratios(labels)[0].max(0), np.float64)

    def gaps(self, labels: Labels) -> Array:
        """(labellings,) there, the share of the rows labelled 0 minus that of those labelled 1."""
        ratio, made = self.ratios(labels)
        at, each = ratio.argmax(0), np.arange(labels.shape[1])
        few = made[at, each]
        gap = (self.sizes[at] - few) / self.rest - few / self.n
        return np.where(ratio[at, each] > 0, gap, 0)

    def visible(self, critical: float) -> float:
        """The least share of the rows labelled 0 whose group has `critical` evidence where it lies together and is
        missing, all else being as it should: 1 where there is none."""
        best, share = self.rest, self.n / (self.n + self.rest)
        for size in np.unique(self.sizes):
            group = np.arange(1, size + 1)
            evidence = self.table[np.rint((size - group) * share).astype(int), size]
            shown = group[(evidence > 0) & (evidence >= critical)]
            best = min(best, int(shown[0])) if len(shown) else best
        return best / self.rest


def missed(train: Features, holdout: Features, synthetic: Features) -> tuple[Index, Index]:
    """Rows of train, and of holdout, that nothing synthetic is near, the loneliest first: to be drawn.

    Those whose ball, to the k-th nearest image of another patient of their own set, holds no synthetic image; k =
    NEIGHBOURS times the number of its images per synthetic one, so that 3 % are expected where nothing is missing. The
    first LISTED images of each set are compared.
    """
    sets = [x.take(np.arange(len(x))[:LISTED]) for x in (train, holdout, synthetic)]
    one, two, made = (Features(x.values, x.names, tuple(map(str, range(len(x))))) for x in sets)  # patients are rows
    data = prepare(one, two, made)
    out = []
    for real, scaled in zip(sets, (data.train, data.holdout), strict=False):
        kept = np.array([int(row) for row in scaled.patients], np.int64)
        if not len(kept) or not len(data.synthetic) or not data.train.names:
            out.append(np.empty(0, np.int64))
            continue
        out.append(kept[_lonely(scaled.values, real.owners[kept], data.synthetic.values)])
    return out[0], out[1]


def _lonely(real: Array, owners: Index, made: Array) -> Index:
    k = max(NEIGHBOURS, math.ceil(NEIGHBOURS * len(real) / len(made)))
    lonely = np.empty(len(real))
    for start in range(0, len(real), 512):  # 512 rows of distances at a time: memory
        at = slice(start, start + 512)
        between = cdist(real[at], real)
        between[owners[at, None] == owners[None]] = np.inf
        radius = np.partition(between, min(k, len(real)) - 1, axis=1)[:, min(k, len(real)) - 1]
        nearest = cdist(real[at], made).min(1)
        lonely[at] = np.where(nearest >= radius, nearest / np.maximum(radius, 1e-12), 0)
    order = np.argsort(-lonely, kind="stable")
    return np.asarray(order[lonely[order] > 0])
