"""How near images lie to one training patient: what the tests in copies.py are made of, in vectors, tables and pixels.

Knows vectors that stand for images, images, and whose they are. Does not know findings, nor how images are made.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import false_discovery_control

from ganatomy.core.seed import rng
from ganatomy.integrity.copies import LEVEL, closest_pairs, strict, surprise, tail
from ganatomy.integrity.features import CLIP, Features
from ganatomy.integrity.likeness import FLIPS, likeness, reduced
from ganatomy.integrity.nearest import Mirror, Search, by_distance, ratio

Array = NDArray[np.float64]
Index = NDArray[np.int64]

PATIENTS = 3  # holdout patients without which there is no threshold
SUSPECT = 0.05  # Benjamini-Hochberg q
MOST = 5000  # images of a set that are compared
POOL = 1500  # images of a set among which closest pairs are sought
BLUR = 1.0  # pixels: noise is in neither image of a pair what they share
SAME = 2e-6  # 1 - correlation of what is one picture but for a shift, a mirror, brightness and rounding
CLOSE = 0.05  # root of 1 - correlation up to which the pixels themselves are compared
MIRRORS = tuple(tuple(axis - 1 for axis in axes) for axes in FLIPS)  # axes of one image (C, H, W)
CHANCE = 1e-4  # share of sets without copies in which a row of a table may count as equal
ALIKE = 0.03  # d1 / d2 of what differs by rounding to three digits
COARSE = 0.1  # steps of a column, in standard deviations, above which its values are categories


@dataclass(frozen=True, eq=False)
class Evidence:
    """What two exact tests are made of, in one space. Rows are those of the caller's sets.

    distance, second, ratio, index: (m,) of each synthetic image d1, d2, d1 / d2 and the nearest training image; rows:
    (m,) which images these are; equal: (m,) which of them are the same as an image of a single training patient
    real_distance, real_ratio, real_index, real_rows, real_equal: (n,) the same of one image of each holdout patient
    own_distance: (k,) d1 of one image of each training patient among the other patients' (not for pixels over shifts)
    pairs: (k,) bool, closest first: whether a mutually nearest pair is one of a training and a synthetic image, among
    pooled: how many (training, holdout, synthetic) images; paired: (k,) the synthetic image of such a pair, else -1
    searched: the training images that were searched; seen: the share of them in that pool; note: what was left out
    """

    distance: Array
    second: Array
    ratio: Array
    index: Index
    rows: Index
    equal: NDArray[np.bool_]
    real_distance: Array
    real_ratio: Array
    real_index: Index
    real_rows: Index
    real_equal: NDArray[np.bool_]
    own_distance: Array
    pairs: NDArray[np.bool_]
    paired: Index
    pooled: tuple[int, int, int]
    searched: Index
    seen: float
    train_patients: int
    note: str = ""

    def suspects(self, level: float = LEVEL, rate: float = SUSPECT) -> Index:
        """Rows of synthetic to look at and delete: those that are equal; those with Benjamini-Hochberg q <= `rate` by
        `surprise`; all below the threshold of a tail test that rejects; synthetic images of the closest pairs where
        these do.
        """
        if not len(self.ratio):
            return np.empty(0, np.int64)
        named = self.equal.copy()
        if len(self.real_ratio):
            named |= false_discovery_control(surprise(self.ratio, self.real_ratio)) <= rate
        if len(self.real_ratio) >= PATIENTS:
            _, threshold, p = tail(self.ratio, self.real_ratio)
            named |= (self.ratio < threshold) & (p < strict(level / 2))
            p, length, _ = closest_pairs(self.pairs, self.pooled)
            if p < strict(level / 2):
                named |= np.isin(self.rows, self.paired[:length][self.pairs[:length]])
        return np.sort(self.rows[named])


def evidence(train: Features, holdout: Features, synthetic: Features, seed: int, mirror: Mirror | None) -> Evidence:
    """By the distance of vectors, and of their mirror images. At most MOST random rows of each set."""
    scale = 1e-6 * float(np.abs(train.values).max(initial=0))  # what a change of number format does to a copy
    return _by_vectors((train, holdout, synthetic), seed, mirror, scale)


def table_evidence(train: Features, holdout: Features, synthetic: Features, seed: int) -> tuple[Evidence, "Scaled"]:
    """By the distance of rows of a table as `scaled`, and these: rows are those of the scaled tables (`located`).

    A row counts as equal where it differs from one of a single training patient by rounding alone (`rounding`, or
    ALIKE of d2) and is not so by chance, as in columns of few values: by the tail of the ratios of real patients
    (`surprise`), a row as near as the steps of its columns let it be must be expected in CHANCE of all sets at most.
    """
    table = scaled(train, holdout, synthetic)
    found = _by_vectors(table.three, seed, None, table.rounding + 1e-6)
    if len(found.ratio):
        real = np.concatenate([found.real_ratio, ratio(*_among(table.three[0], found.searched, seed))])
        near = ratio(np.maximum(found.distance, table.step), found.second)
        alike = (found.equal | (found.ratio <= ALIKE)) & (len(near) * surprise(near, real) <= CHANCE)
        found = replace(found, equal=alike, real_equal=found.real_equal | (found.real_ratio <= ALIKE))
    return replace(found, note="; ".join(filter(None, [found.note, table.note]))), table


@dataclass(frozen=True, eq=False)
class Scaled:
    """Three tables on one scale. three: train, holdout, synthetic; rows: which rows of the given tables these are.

    rounding: the largest distance between a row and itself after rounding to the steps of its columns; step: how near
    rows may be that are not equal: the same, over columns with few values too where these are most; note: what was left
    out
    """

    three: tuple[Features, Features, Features]
    rows: tuple[Index, Index, Index]
    rounding: float
    step: float
    note: str


def scaled(train: Features, holdout: Features, synthetic: Features) -> Scaled:
    """Robust z-scores (x - median) / (IQR / 1.349), or the standard deviation where the IQR is 0, clipped at +-CLIP.

    Of all three sets together: a scale of train's would tell train from the others, and the closest pairs would no
    longer be exchangeable. Left out: columns that are constant or undefined in a tenth of any set, then rows with an
    undefined value.
    """
    sets = (train, holdout, synthetic)
    whose = ("training", "holdout", "synthetic")
    tables = [np.where(np.isfinite(part.values), part.values, np.nan) for part in sets]
    known = [np.isfinite(table).mean(0) >= 0.9 for table in tables if len(table)]
    stack = np.concatenate(tables)
    keep, columns, steps, coarse = [], [], [], []
    for column in np.flatnonzero(np.all(known, axis=0)) if known else ():
        x = stack[:, column]
        low, q25, q50, q75, high = np.nanpercentile(x, [0, 25, 50, 75, 100])
        if high - low <= 1e-12 * max(abs(low), abs(high)):
            continue
        width = (q75 - q25) / 1.349 if q75 - q25 > 1e-12 * max(abs(low), abs(high)) else float(np.nanstd(x))
        keep.append(column)
        columns.append(np.clip((x - q50) / width, -CLIP, CLIP))
        gap = max(_gap(table[:, column]) for table in tables) / width
        steps.append(gap if gap <= COARSE else 0.0)  # a category is not rounded
        coarse.append(min(_gap(table[:, column]) for table in tables if len(table)) / width)
    values = np.stack(columns, 1) if columns else np.zeros((len(stack), 0))
    names = tuple(train.names[column] for column in keep)
    ends = np.cumsum([0, *map(len, sets)])
    three, rows, notes = [], [], []
    for k, part in enumerate(sets):
        own = values[ends[k] : ends[k + 1]]
        whole = np.flatnonzero(np.isfinite(own).all(1)) if columns else np.empty(0, np.int64)
        three.append(Features(own, names, part.patients).take(whole))
        rows.append(whole)
        if lost := len(own) - len(whole):
            notes.append(f"{lost} of {len(own)} {whose[k]} images have undefined features and were left out")
    if gone := len(train.names) - len(keep):
        notes.append(f"{gone} of {len(train.names)} features are constant or undefined and were left out")
    fine = np.array(coarse) <= COARSE
    told = np.array(coarse)[fine] if fine.sum() >= len(fine) / 2 else np.array(coarse)
    rounding, step = (float(np.linalg.norm(gaps) / 2) for gaps in (steps, told))
    return Scaled((three[0], three[1], three[2]), (rows[0], rows[1], rows[2]), rounding, step, "; ".join(notes))


def _gap(x: Array) -> float:
    """The smallest difference of two values that are not equal: the unit that values are rounded to; 0 where none."""
    gaps = np.diff(np.unique(x[np.isfinite(x)]))
    return float(gaps.min()) if len(gaps) else 0.0


def pixel_evidence(
    train: NDArray[np.generic],
    patients: tuple[str, ...],
    holdout: NDArray[np.generic],
    holdout_patients: tuple[str, ...],
    synthetic: NDArray[np.generic],
    seed: int,
) -> Evidence:
    """By the normalised cross-correlation of images (n, C, H, W), at best over mirror images and shifts of 4 pixels.

    Images are reduced to 64 pixels a side at most and blurred by one pixel: noise hides a copy, and its absence in
    smooth images would look like nearness. Distance: root of 1 - correlation, 0 where the pixels are equal. At most
    MOST random images of each set.
    """
    sets = (train, holdout, synthetic)
    rows, note = drawn([len(images) for images in sets], seed)
    spread = np.asarray(train[rows[0]], np.float32).std((0, 2, 3)) if len(train) else np.ones(np.shape(train)[1])
    stacks = []
    for images, keep in zip(sets, rows, strict=True):
        scale = reduced(np.asarray(images)[keep]) / np.maximum(spread, 1e-9)[:, None, None]
        stacks.append(np.asarray(gaussian_filter(scale, (0, 0, BLUR, BLUR)), np.float32))
    owners = [_owners(whose, keep) for whose, keep in zip((patients, holdout_patients), rows[:2], strict=True)]
    found = _evidence(_by_correlation, math.sqrt(SAME), (stacks[0], stacks[1], stacks[2]), owners[0], owners[1], seed)
    return _exact(located(found, rows, note), train, holdout, synthetic)


def _exact(
    found: Evidence, train: NDArray[np.generic], holdout: NDArray[np.generic], synthetic: NDArray[np.generic]
) -> Evidence:
    """The same with 0 as distance and ratio of images whose pixels have the values of their nearest, mirrored or not.

    Correlations of single precision are never exactly 1. As before, what several patients have is nobody's copy.
    """
    if not len(found.ratio):
        return found

    def same(images: NDArray[np.generic], rows: Index, index: Index, first: Array) -> NDArray[np.bool_]:
        out = np.zeros(len(rows), bool)
        for i in np.flatnonzero(first <= CLOSE):
            picture, other = (np.asarray(x, np.float64) for x in (images[rows[i]], train[index[i]]))
            out[i] = np.ptp(other) > 0 and any(np.array_equal(np.flip(picture, axes), other) for axes in MIRRORS)
        return out

    real_second = np.where(found.real_ratio > 0, found.real_distance / np.maximum(found.real_ratio, 1e-300), np.inf)
    made = same(synthetic, found.rows, found.index, found.distance) & (found.second > math.sqrt(SAME))
    real = same(holdout, found.real_rows, found.real_index, found.real_distance) & (real_second > math.sqrt(SAME))
    return replace(
        found,
        distance=np.where(made, 0, found.distance),
        ratio=np.where(made, 0, found.ratio),
        equal=found.equal | made,
        real_distance=np.where(real, 0, found.real_distance),
        real_ratio=np.where(real, 0, found.real_ratio),
        real_equal=found.real_equal | real,
    )


def drawn(sizes: Sequence[int], seed: int) -> tuple[list[Index], str]:
    """At most MOST random rows, in order, of (training, holdout, synthetic) images, and what was left out."""
    rows, notes = [], []
    for what, n in zip(("training", "holdout", "synthetic"), sizes, strict=True):
        rows.append(np.arange(n))
        if n > MOST:
            rows[-1] = np.sort(rng(seed, "near-copies", what).permutation(n)[:MOST])
            notes.append(f"{MOST} of {n} {what} images were compared, drawn at random")
    return rows, "; ".join(notes)


def _by_vectors(three: tuple[Features, Features, Features], seed: int, mirror: Mirror | None, equal: float) -> Evidence:
    rows, note = drawn([len(part) for part in three], seed)
    train, holdout, synthetic = (part.take(keep) for part, keep in zip(three, rows, strict=True))
    stacks = (train.values, holdout.values, synthetic.values)
    found = _evidence(by_distance(mirror), equal, stacks, train.owners, holdout.owners, seed)
    if len(found.ratio):
        found = replace(found, own_distance=_among(train, np.arange(len(train)), seed, mirror)[0])
    return located(found, rows, note)


def _among(train: Features, rows: Index, seed: int, mirror: Mirror | None = None) -> tuple[Array, Array]:
    """d1 and d2 of one random image of each training patient, POOL at most, to images of the others."""
    some = train.take(rows)
    own = one_each(some.owners, rng(seed, "training patients among themselves"))[:POOL]
    first, second, _ = by_distance(mirror)(some.values[own], some.owners[own], some.values, some.owners)
    known = np.isfinite(second)  # of two patients, neither has a second neighbour
    return first[known], second[known]


def _owners(whose: tuple[str, ...], rows: Index) -> Index:
    return np.unique(np.array(whose)[rows], return_inverse=True)[1] if whose else np.arange(len(rows))


def located(found: Evidence, rows: Sequence[Index], note: str) -> Evidence:
    """The same in rows of the sets of which `rows` (train, holdout, synthetic) were taken."""
    train, holdout, synthetic = rows
    return replace(
        found,
        rows=synthetic[found.rows],
        index=train[found.index],
        real_rows=holdout[found.real_rows],
        real_index=train[found.real_index],
        searched=train[found.searched],
        paired=np.where(found.paired < 0, -1, synthetic[found.paired]) if len(synthetic) else found.paired,
        note=note,
    )


def _by_correlation(
    asking: NDArray[np.generic], askers: Index, given: NDArray[np.generic], owners: Index
) -> tuple[Array, Array, Index]:
    found = likeness(np.asarray(asking, np.float32), askers, np.asarray(given, np.float32), owners)
    return np.sqrt(found.first), np.sqrt(found.second), found.index


def _evidence(
    search: Search,
    equal: float,
    stacks: tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]],
    owners: Index,
    others: Index,
    seed: int,
) -> Evidence:
    """equal: the distance of what counts as the same; stacks: train, holdout, synthetic; owners of the first two."""
    train, holdout, synthetic = stacks
    one = one_each(others, rng(seed, "copying"))
    m, n, people = len(synthetic), len(one), len(np.unique(owners))
    nothing, blank, none = np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool)
    if people < 2 or not m:
        return Evidence(
            *(
                nothing,
                nothing,
                nothing,
                blank,
                blank,
                none,
                nothing,
                nothing,
                blank,
                blank,
                none,
                nothing,
                none,
                blank,
            ),
            pooled=(0, n, m),
            searched=blank,
            seen=0.0,
            train_patients=people,
        )
    asking = np.concatenate([synthetic, holdout[one]])
    first, second, index = search(asking, -1 - np.arange(len(asking)), train, owners)
    near = ratio(first, second)
    same = (first <= equal) & (near < 0.5)  # where several patients have that very image nobody in particular is meant

    generator = rng(seed, "closest pairs")
    own = one_each(owners, generator)[:POOL]
    made = generator.permutation(m)[:POOL]
    held = one[generator.permutation(n)[:POOL]]
    pairs, paired, pooled = _pairs(search, train[own], holdout[held], synthetic, made, generator)
    return Evidence(
        distance=first[:m],
        second=second[:m],
        ratio=near[:m],
        index=index[:m],
        rows=np.arange(m),
        equal=same[:m],
        real_distance=first[m:],
        real_ratio=near[m:],
        real_index=index[m:],
        real_rows=one,
        real_equal=same[m:],
        own_distance=nothing,
        pairs=pairs,
        paired=paired,
        pooled=pooled,
        searched=np.arange(len(train)),
        seen=len(own) / len(train),
        train_patients=people,
    )


def one_each(owners: Index, generator: np.random.Generator) -> Index:
    """One random row of each owner, in random order, as `one_per_patient` draws them."""
    order = generator.permutation(len(owners))
    return np.asarray(order[np.sort(np.unique(owners[order], return_index=True)[1])])


def _pairs(
    search: Search,
    train: NDArray[np.generic],
    holdout: NDArray[np.generic],
    synthetic: NDArray[np.generic],
    made: Index,
    generator: np.random.Generator,
) -> tuple[NDArray[np.bool_], Index, tuple[int, int, int]]:
    """Mutually nearest pairs of the pool, closest (relative to second neighbours) first; `pairs`, `paired`, `pooled`.

    Holdout images that keep to themselves (another scanner) would leave more of the pairs to the other two sets; then
    the pool does without them.
    """
    stack = np.concatenate([train, holdout, synthetic[made]])
    kind = np.repeat([0, 1, 2], [len(train), len(holdout), len(made)])
    name = np.concatenate([np.full(len(train) + len(holdout), -1), made])
    order = generator.permutation(len(stack))  # ties are then no matter of the sets
    stack, kind, name = stack[order], kind[order], name[order]
    number = np.arange(len(stack))
    first, second, index = search(stack, number, stack, number)
    among = kind == 1
    expected = among.sum() * (among.sum() - 1) / max(len(kind) - 1, 1)
    if among.any() and (among & among[index]).sum() > expected + 4 * math.sqrt(2 * expected + 1):
        return _pairs(search, train, holdout[:0], synthetic, made, generator)
    i = np.flatnonzero((index[index] == number) & (number < index))
    j = index[i]
    across = second[i] * second[j]
    score = np.where(across > 0, first[i] ** 2 / np.where(across > 0, across, 1), 1)
    best = np.argsort(score, kind="stable")
    i, j = i[best], j[best]
    pairs = kind[i] + kind[j] == 2
    pairs &= kind[i] != 1
    paired = np.where(pairs, np.maximum(name[i], name[j]), -1)
    return pairs, paired, (int((kind == 0).sum()), int(among.sum()), len(made))
