"""Does the generator repeat its training images? Exact tests on how near they are to one training patient.

Knows vectors that stand for images, thumbnails that are such vectors, and images. Does not know how images are made.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import betabinom, binom, false_discovery_control, rankdata
from sklearn.cluster import KMeans

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding, judge
from ganatomy.core.seed import derive, rng
from ganatomy.integrity.features import Features, clopper_pearson, one_per_patient
from ganatomy.integrity.likeness import areas, likeness, reduced

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mirror = Callable[[Array], Array]
# rows that ask, who asks, rows that are searched, whose they are -> d1, d2, row of d1; nobody's own rows are searched
Search = Callable[[NDArray[np.generic], Index, NDArray[np.generic], Index], tuple[Array, Array, Index]]

SIDE = 16  # pixels of a thumbnail
LEVEL = 0.05 / 8  # false alarms that a call may raise
PATIENTS = 3  # holdout patients without which there is no threshold
SHARE, POWER = 0.10, 0.95  # a pass must have been able to find this share of copies, this often
SUSPECT = 0.05  # Benjamini-Hochberg q
MOST = 5000  # images of a set that are compared by the pixel
POOL = 1500  # images of a set among which closest pairs are sought
LENGTHS = (4, 6, 9, 13, 20, 30, 45, 65, 100)  # closest pairs that are counted, in turn
DRAWS = 20_000  # permutations behind the p of the closest pairs
CELLS, EACH = 10, 20  # k-means cells of C_T at most, and the images of holdout and of synthetic that each should have
BLUR = 1.0  # pixels: noise is in neither image of a pair what they share
SAME = 2e-6  # 1 - correlation of what is one picture but for a shift, a mirror, brightness and rounding


def thumbnails(images: NDArray[np.generic], scale: Array | None = None) -> Array:
    """(N, C, H, W) -> (N, C * 16 * 16): area averages, divided so that a distance is a root mean squared difference.

    scale: (C,) the unit of each channel, for example train's standard deviations; 1 where None (the images' unit).
    """
    stack = np.asarray(images, np.float64)
    n, c, height, width = stack.shape
    unit = np.ones(c) if scale is None else np.asarray(scale, np.float64)
    small = np.einsum("yh,nchw,xw->ncyx", areas(height, SIDE), stack, areas(width, SIDE), optimize=True)
    return np.asarray((small / unit[:, None, None]).reshape(n, c * SIDE * SIDE) / math.sqrt(c * SIDE * SIDE))


def mirror_thumbnails(vectors: Array) -> Array:
    """Thumbnails (N, C * 16 * 16) of the same images flipped left to right."""
    return vectors.reshape(len(vectors), vectors.shape[1] // SIDE, SIDE)[..., ::-1].reshape(vectors.shape)


def nearest(train: Features, queries: Array, mirror: Mirror | None = None) -> tuple[Array, Array, Index]:
    """Of each query (m, d): distance d1 to the nearest training image, d1 / d2, and which image that is.

    d2 is the distance to the nearest image of any *other* training patient. Least over the mirror image: holdout and
    synthetic must be asked alike, because the least of two distances is shorter than one of them.
    """
    first, second, index = _by_distance(mirror)(queries, -1 - np.arange(len(queries)), train.values, train.owners)
    return first, _ratio(first, second), index


def _ratio(first: Array, second: Array) -> Array:
    return np.where(second > 0, first / np.where(second > 0, second, 1), 1)  # 0 / 0: nobody's copy


def _by_distance(mirror: Mirror | None) -> Search:
    """Euclidean, least over the mirror image. Found by products of matrices, then measured: copies are at exactly 0."""

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


@dataclass(frozen=True, eq=False)
class Evidence:
    """What two exact tests are made of, in one space.

    distance, ratio, index: (m,) of each synthetic image d1, d1 / d2 and the training image; rows: (m,) which images
    these are, equal: (m,) which of them equal an image of a single training patient
    real_distance, real_ratio, real_equal: (n,) the same of one image of each holdout patient
    pairs: (k,) bool, closest first: whether a mutually nearest pair is one of a training and a synthetic image, among
    pooled: how many (training, holdout, synthetic) images; paired: (k,) the synthetic image of such a pair, else -1
    seen: the share of the training images in that pool; note: what was left out
    """

    distance: Array
    ratio: Array
    index: Index
    rows: Index
    equal: NDArray[np.bool_]
    real_distance: Array
    real_ratio: Array
    real_equal: NDArray[np.bool_]
    pairs: NDArray[np.bool_]
    paired: Index
    pooled: tuple[int, int, int]
    seen: float
    train_patients: int
    note: str = ""

    def suspects(self, level: float = LEVEL) -> Index:
        """Rows of synthetic to look at and delete, see `suspects`."""
        if not len(self.ratio):
            return np.empty(0, np.int64)
        named = self.equal.copy()
        if len(self.real_ratio):
            named |= false_discovery_control(surprise(self.ratio, self.real_ratio)) <= SUSPECT
        if len(self.real_ratio) >= PATIENTS:
            _, threshold, p = tail(self.ratio, self.real_ratio)
            named |= (self.ratio < threshold) & (p < level / 2)
            p, length, _ = closest_pairs(self.pairs, self.pooled)
            if p < level / 2:
                named |= np.isin(self.rows, self.paired[:length][self.pairs[:length]])
        return np.sort(self.rows[named])


def evidence(train: Features, holdout: Features, synthetic: Features, seed: int, mirror: Mirror | None) -> Evidence:
    """By the distance of vectors, and of their mirror images."""
    stacks = tuple(part.values for part in (train, holdout, synthetic))
    scale = 1e-6 * float(np.abs(train.values).max(initial=0))  # what a change of number format does to a copy
    return _evidence(_by_distance(mirror), scale, stacks, train.owners, holdout.owners, seed)


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
    smooth images would look like nearness. Distance: root of 1 - correlation. At most MOST random images of each set.
    """
    stacks, owners, kept, notes = [], [], [], []
    sets = (("training", train, patients), ("holdout", holdout, holdout_patients), ("synthetic", synthetic, ()))
    spread = np.asarray(train, np.float32).std((0, 2, 3)) if len(train) else np.ones(np.shape(train)[1])
    for what, images, whose in sets:
        keep = np.arange(len(images))
        if len(images) > MOST:
            keep = np.sort(rng(seed, "near-copies", what).permutation(len(images))[:MOST])
            notes.append(f"{MOST} of {len(images)} {what} images were compared, drawn at random")
        scaled = reduced(np.asarray(images)[keep]) / np.maximum(spread, 1e-9)[:, None, None]
        stacks.append(np.asarray(gaussian_filter(scaled, (0, 0, BLUR, BLUR)), np.float32))
        owners.append(np.unique(np.array(whose)[keep], return_inverse=True)[1] if whose else np.arange(len(keep)))
        kept.append(keep)
    found = _evidence(_by_correlation, math.sqrt(SAME), tuple(stacks), owners[0], owners[1], seed)
    parts = {
        **found.__dict__,
        "rows": kept[2][found.rows],
        "index": kept[0][found.index] if len(train) else found.index,
    }
    parts["paired"] = np.where(found.paired < 0, -1, kept[2][found.paired]) if len(synthetic) else found.paired
    return Evidence(**{**parts, "note": "; ".join(notes)})


def _by_correlation(
    asking: NDArray[np.generic], askers: Index, given: NDArray[np.generic], owners: Index
) -> tuple[Array, Array, Index]:
    found = likeness(np.asarray(asking, np.float32), askers, np.asarray(given, np.float32), owners)
    return np.sqrt(found.first), np.sqrt(found.second), found.index


def _evidence(
    search: Search,
    equal: float,
    stacks: tuple[NDArray[np.generic], ...],
    owners: Index,
    others: Index,
    seed: int,
) -> Evidence:
    """equal: the distance of what counts as the same; stacks: train, holdout, synthetic; owners of the first two."""
    train, holdout, synthetic = stacks
    one = _one_each(others, rng(seed, "copying"))
    m, n, people = len(synthetic), len(one), len(np.unique(owners))
    nothing = np.zeros(0)
    if people < 2 or not m:
        blank, none = np.zeros(0, np.int64), np.zeros(0, bool)
        return Evidence(
            nothing, nothing, blank, blank, none, nothing, nothing, none, none, blank, (0, n, m), 0.0, people
        )
    asking = np.concatenate([synthetic, holdout[one]])
    first, second, index = search(asking, -1 - np.arange(len(asking)), train, owners)
    ratio = _ratio(first, second)
    same = (first <= equal) & (ratio < 0.5)  # where several patients have that very image nobody in particular is meant

    generator = rng(seed, "closest pairs")
    own = _one_each(owners, generator)[:POOL]
    made = generator.permutation(m)[:POOL]
    held = one[generator.permutation(n)[:POOL]]
    pairs, paired, pooled = _pairs(search, train[own], holdout[held], synthetic, made, generator)
    return Evidence(
        *(
            first[:m],
            ratio[:m],
            index[:m],
            np.arange(m),
            same[:m],
            first[m:],
            ratio[m:],
            same[m:],
            pairs,
            paired,
            pooled,
        ),
        seen=len(own) / len(train),
        train_patients=people,
    )


def _one_each(owners: Index, generator: np.random.Generator) -> Index:
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


def closest_pairs(pairs: NDArray[np.bool_], pooled: tuple[int, int, int]) -> tuple[float, int, float]:
    """p of as many training-synthetic pairs among the closest, the length at which they stand out, the share expected.

    Under exchangeability any labels are as likely as any other on the images of these pairs, which are found without
    labels: a reversed cross-match test (Rosenbaum 2005), so a generator that merely differs has fewer such pairs.
    Exact by permutation of the least binomial p over LENGTHS.
    """
    share = expected_share(pooled)
    lengths = [k for k in LENGTHS if k <= len(pairs)]
    if not lengths or not share:
        return 1.0, 0, share
    count = np.cumsum(pairs)[np.array(lengths) - 1]
    observed = np.asarray(binom.sf(count - 1, lengths, share))
    best = int(observed.argmin())
    null = _null(pooled, tuple(lengths))
    p = (1 + int((null <= observed[best] * (1 + 1e-9)).sum())) / (len(null) + 1)
    return float(p), lengths[best], share


def expected_share(pooled: tuple[int, int, int]) -> float:
    """Probability that two random images of the pool are a training and a synthetic one."""
    total = sum(pooled)
    return 2 * pooled[0] * pooled[2] / (total * (total - 1)) if total > 1 else 0.0


@lru_cache(maxsize=32)
def _null(pooled: tuple[int, int, int], lengths: tuple[int, ...]) -> Array:
    """(DRAWS,) sorted: the least binomial p over `lengths` under random labels, drawn without replacement."""
    generator = rng(0, "labels of the closest pairs")  # one null for all: a table, not a draw of this set
    share = expected_share(pooled)
    left = np.repeat(np.array(pooled, float)[:, None], DRAWS, 1)  # (3, DRAWS)
    count, least = np.zeros(DRAWS, np.int64), np.ones(DRAWS)
    tables = {k: binom.sf(np.arange(-1, k), k, share) for k in lengths}
    for k in range(1, lengths[-1] + 1):
        kinds = []
        for _ in range(2):
            draw = generator.random(DRAWS) * left.sum(0)
            kinds.append((draw >= left[0]).astype(int) + (draw >= left[0] + left[1]))
            left[kinds[-1], np.arange(DRAWS)] -= 1
        count += (kinds[0] + kinds[1] == 2) & (kinds[0] != 1)
        if k in tables:
            least = np.minimum(least, tables[k][count])
    return np.sort(least)


def suspects(
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    mirror: Mirror | None = None,
    *,
    level: float = LEVEL,
) -> Index:
    """Rows of synthetic to look at and delete: exact copies; those with Benjamini-Hochberg q <= 0.05 by `surprise`;
    all below the threshold of a tail test that rejects, and the synthetic images of the closest pairs where they do.
    """
    return evidence(train, holdout, synthetic, seed, mirror).suspects(level)


def surprise(g: Array, h: Array) -> Array:
    """p of each g among h: (1 + #{h <= g}) / (n + 1); below the least h, by the tail of the h where there are 20.

    d1 / d2 of points in D dimensions has a power law, P(< x) = x^D (Facco 2017). The tail's D is that of the least
    fifth of h (at most 100), and is itself uncertain: k + 1 of n smallest, S = sum log(h_(k+1) / h_i), then P(< x) =
    k/n (1 + log(h_(k+1) / x) / S)^-k. Good enough to name whom to look at, no basis for a verdict.
    """
    order = np.sort(h)
    p = (1 + np.searchsorted(order, g, "right")) / (len(h) + 1)
    k = min(100, len(h) // 5)
    if k >= 4 and order[0] > 0:
        total = np.log(order[k] / order[:k]).sum()
        if total > 0:
            beyond = np.log(order[k] / np.maximum(g, 1e-12 * order[k]))
            p = np.where(g < order[0], np.minimum(p, k / len(h) * (1 + np.maximum(beyond, 0) / total) ** -float(k)), p)
    return np.asarray(p)


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


def detectable(m: int, n: int, level: float = LEVEL) -> float:
    """The smallest share of copies among m synthetic images that n holdout patients find with POWER; 2.0 where none.

    Copies lie below the threshold; the others fall below it as new patients would.
    """
    law = (rank(n), n + 1 - rank(n))
    least = int(betabinom.isf(_strict(level), m, *law)) + 1  # a count with p < level
    low, high = 0, m + 1
    while low < high:  # the power grows with the number of copies
        copies = (low + high) // 2
        found = copies > m or float(betabinom.sf(least - 1 - copies, m - copies, *law)) >= POWER
        low, high = (low, copies) if found else (copies + 1, high)
    return low / m if low <= m and least <= m else 2.0


def detectable_pairs(pooled: tuple[int, int, int], seen: float, m: int, level: float = LEVEL) -> float:
    """The smallest share of copies of *different* training images among m that the closest pairs show; 2.0 where none.

    The copies whose original is in the pool (a share `seen`), as is the copy, are the closest pairs.
    """
    share = expected_share(pooled)
    if not share:
        return 2.0
    null = _null(pooled, LENGTHS)
    most = null[int(_strict(level) * (len(null) + 1)) - 1] if level * (len(null) + 1) >= 2 else -1.0
    need = next((k for k in LENGTHS if share**k < most), None)
    if need is None:
        return 2.0
    chance = min(seen, 1.0) * min(pooled[2] / m, 1.0)
    copies = need if chance >= 1 else next((c for c in range(need, m + 1) if binom.sf(need - 1, c, chance) >= POWER), 0)
    return copies / m if 0 < copies <= m else 2.0


def _strict(level: float) -> float:
    return level * (1 - 1e-9)  # so that a p that rounding carries below the level does not reject


def copying_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    mirror: Mirror | None = None,
    *,
    level: float = LEVEL,
) -> list[Finding]:
    """Two exact tests on d1 / d2, how much nearer an image is to one training patient than to any other.

    *Tail*: share of synthetic images below the r-th smallest of the holdout, of which one image per patient is taken;
    if exchangeable, the count is BetaBinomial(m, r, n + 1 - r). *Closest pairs*: share of training-synthetic pairs
    among the closest pairs of all sets, by permutation (`closest_pairs`): it needs fewer copies, but different ones.
    Each has half of `level`. value, yardstick (the share expected of new patients), bar (the largest share that does
    not reject) and interval (Clopper-Pearson) are the tail's, or where they alone reject the pairs'. An image that
    equals one of a single training patient fails at any n, unless holdout images do. A pass could have found SHARE.
    The tail test on d1 alone also rejects smooth or monotonous images that copy nothing; where only it rejects, the
    finding is inconclusive.
    """
    found = evidence(train, holdout, synthetic, seed, mirror)
    return [judge_copies(f"copies of training images, {space}", label, space, found, len(holdout), level)]


def pixel_findings(label: str, found: Evidence, n_images: int, level: float = LEVEL) -> list[Finding]:
    """The same two tests on `pixel_evidence`: near-copies by noise, mirror, shift, brightness and contrast."""
    name = "copies of training images, shifted or mirrored"
    return [judge_copies(name, label, "pixels over shifts and mirror images", found, n_images, level)]


def judge_copies(name: str, label: str, space: str, found: Evidence, n_images: int, level: float) -> Finding:
    """The finding on one `Evidence`; n_images: of holdout."""
    m, n = found.pooled[2] if not len(found.ratio) else len(found.ratio), len(found.real_ratio) or found.pooled[1]
    finding = partial(Finding, "copying", name, label, n_images=n_images, n_patients=n)
    for what, have, need in (
        ("training patients", found.train_patients, 2),
        ("synthetic images", m, 1),
        ("holdout patients", n, PATIENTS),
    ):
        if have < need:
            return finding(note=f"there are {have} {what}, the search for copies needs {need} or more")
    half = level / 2
    count, threshold, p = tail(found.ratio, found.real_ratio)
    alone = tail(found.distance, found.real_distance)[2]
    chance, length, share = closest_pairs(found.pairs, found.pooled)
    exact, exact_real = int(found.equal.sum()), int(found.real_equal.sum())
    by_tail = detectable(m, n, half)
    hidden = min(by_tail, detectable_pairs(found.pooled, found.seen, m, half))
    kind = "copies" if by_tail <= max(hidden, SHARE) else "copies of different training images"

    law = (rank(n), n + 1 - rank(n))
    bar = ("<=", float(betabinom.isf(_strict(half), m, *law)) / m)
    numbers = (count / m, *clopper_pearson(count, m), law[0] / (n + 1), bar)
    seen = f"if {hidden:.0%} or more of the images were {kind}" if hidden <= 1 else "not even if all images were copies"
    state = PASS
    note = f"no more images than expected lie near one training patient (p = {min(1, 2 * min(p, chance)):.2g}); {seen},"
    note += f" the tests would have noticed with {POWER:.0%} probability"
    if exact > 0 and exact_real == 0:
        state, note = FAIL, f"{exact} of {m} synthetic images equal a training image when compared by {space}"
    elif p < _strict(half):
        state, note = FAIL, f"{count} of {m} synthetic images lie nearer to one training patient than chance explains "
        note += f"when compared by {space} (p = {p:.2g})"
    elif chance < _strict(half):
        matched = int(found.pairs[:length].sum())
        limit = ("<=", float(binom.isf(_strict(half), length, share)) / length)
        numbers = (matched / length, *clopper_pearson(matched, length), share, limit)
        state, note = (
            FAIL,
            f"of the {length} closest pairs of images, {matched} are a training image and a synthetic one ",
        )
        note += f"when compared by {space}, where {share * length:.0f} would be by chance (p = {chance:.2g})"
    elif threshold <= 0:
        state = INCONCLUSIVE
        note = "holdout images equal training images, so they cannot serve as yardstick: remove these duplicates"
    elif alone < _strict(half):
        state = INCONCLUSIVE
        note = f"nearer to training images than new patients are (p = {alone:.2g}), but no nearer to one patient than "
        note += (
            "to the next: monotonous images do this, and patients who stand under two names; look at the closest pairs"
        )
    elif hidden > SHARE:
        state, small = INCONCLUSIVE, f"with {m} synthetic images and {n} holdout patients of this class"
        only = f"only if {hidden:.0%} or more of the images were" if hidden <= 1 else "not even if all images were"
        note = f"{small}, copies would be noticed {only} copies; {_remedy(m, half)}"
    value, low, high, yardstick, limit = numbers
    note = "; ".join(filter(None, [note, found.note]))
    return finding(value, low, high, yardstick, limit, state=state, note=note)


def _remedy(m: int, level: float) -> str:
    """How many holdout patients would let the tail test find SHARE of copies among m synthetic images."""
    for n in range(10, 2001, 5):
        if detectable(m, n, level) <= SHARE:
            return f"{n} holdout patients of this class would be enough to notice {SHARE:.0%}"
    more = next((x for x in range(m, m + 1000, 5) if detectable(x, 100, level) <= SHARE), m + 1000)
    return f"{more} synthetic images and 100 holdout patients of this class would be enough to notice {SHARE:.0%}"


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
    """How many queries are authentic (Alaa 2022), of how many.

    A query is, if it is farther from its nearest training image than that image is from the nearest one of another
    patient. Of two samples of one population that is 0.58 to 0.59, not 1.
    """
    first, _, index = nearest(train, queries, mirror)
    used, back = np.unique(index, return_inverse=True)
    among = _by_distance(mirror)(train.values[used], train.owners[used], train.values, train.owners)[0]
    return int((first > among[back]).sum()), len(queries)


def proximity_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    mirror: Mirror | None = None,
) -> list[Finding]:
    """C_T and authenticity: numbers that others report, beside their yardsticks. They never fail.

    Both see only a shift of the whole set, which smooth or monotonous images bring about too, and neither sees a few
    copies (docs/check.md): where they lie beyond their bars, -3 and half of the holdout's authenticity, the finding
    is inconclusive and points at the exact tests. One image per holdout patient; the yardstick of C_T is 0, its
    expectation for new patients; intervals are of the normal approximation and Clopper-Pearson's.
    """
    one = one_per_patient(holdout, rng(seed, "copying"))
    missing = partial(Finding, "copying", subject=label, n_images=len(holdout), n_patients=len(one))
    names = (f"data copying C_T, {space}", f"authenticity, {space}")
    short = min(len(one), len(synthetic))
    if short < EACH or train.n_patients < EACH:
        which = f"{EACH} training patients, holdout patients and synthetic images are needed, there are "
        which += f"{train.n_patients}, {len(one)} and {len(synthetic)}"
        return [missing(name=name, note=which) for name in names]
    told = "; reported beside the exact tests, which decide: it sees a shift of the whole set, not a few copies"
    wide = "; smooth or monotonous images lie as near, so look at the closest pairs" + told
    value, spread, cells = data_copying(train, one, synthetic, seed)
    out = []
    if cells:
        low, high = value - 1.96 * spread, value + 1.96 * spread
        near = high < -3
        what = (
            f"mean over {cells} regions of how synthetic images rank among new patients in nearness to training images"
        )
        state, note = (INCONCLUSIVE, what + wide) if near else (PASS, what + told)
        numbers = (value, low, high, 0.0, (">=", -3.0))
        out.append(Finding("copying", names[0], label, *numbers, len(holdout), len(one), state, note))
    else:
        out.append(missing(name=names[0], note=f"no region holds {EACH // 2} images of holdout and of synthetic"))
    own, m = authenticity(train, synthetic.values, mirror)
    real, n = authenticity(train, one.values, mirror)
    low, high = clopper_pearson(own, m)
    bar = (">=", 0.5 * real / n)
    near = judge(own / m, low, high, bar) != PASS
    what = "share of images farther from the nearest training image than that is from the next patient"
    state = INCONCLUSIVE if near else PASS
    note = what + (wide if near else told)
    out.append(
        Finding("copying", names[1], label, own / m, low, high, real / n, bar, len(holdout), len(one), state, note)
    )
    return out


def proximity_table(
    train: Features, holdout: Features, synthetic: Features, seed: int, mirror: Mirror | None = None
) -> pd.DataFrame:
    """Distances to the closest record, a row each for synthetic, holdout (one image per patient) and train (one per
    patient, asked for the other patients): n, quantiles of d1 and of d1 / d2; nearer_to_train: share nearer to train
    than to as many holdout images (0.5 for new patients; of synthetic alone, NaN elsewhere).
    """
    generator = rng(seed, "proximity")
    one = one_per_patient(holdout, rng(seed, "copying"))
    own = np.flatnonzero(np.isin(np.arange(len(train)), _one_each(train.owners, generator)))
    asked = {
        "synthetic": (synthetic.values, -1 - np.arange(len(synthetic))),
        "holdout": (one.values, -1 - np.arange(len(one))),
        "train": (train.values[own], train.owners[own]),
    }
    rows = []
    for name, (values, askers) in asked.items():
        row: dict[str, object] = {"set": name, "n": len(values)}
        if len(values) and train.n_patients > 2:
            first, second, _ = _by_distance(mirror)(values, askers, train.values, train.owners)
            for what, numbers in (("distance", first), ("ratio", _ratio(first, second))):
                for q, word in ((0.01, "1 %"), (0.05, "5 %"), (0.5, "median")):
                    row[f"{what} {word}"] = float(np.quantile(numbers, q))
        if name == "synthetic" and len(values) and len(one) and len(own):
            k = min(len(one), len(own))
            pick = [part.take(generator.permutation(len(part))[:k]) for part in (train.take(own), one)]
            there, here = (nearest(part, values, mirror)[0] for part in pick)
            row["nearer_to_train"] = float((there < here).mean() + 0.5 * (there == here).mean())
        rows.append(row)
    return pd.DataFrame(rows)
