"""Does the synthetic set have the variety of the real one, and lie where real images lie? Each beside the holdout.

Knows tables of features, and images only as pairs that are more or less alike. Does not know where they come from.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import xlogy
from scipy.stats import hypergeom, norm

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding, judge
from ganatomy.core.seed import rng
from ganatomy.integrity.features import (
    LEAST_HALF,
    LOST,
    UNEVEN,
    Features,
    Prepared,
    clopper_pearson,
    draw,
    half,
    one_per_patient,
    prepare,
    too_small,
)
from ganatomy.integrity.paired import WINDOW, Range, similarity, unit_range

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]
Statistic = Callable[[NDArray[np.float32]], Array]

LEVEL = 0.05 / 8
NEIGHBOURS, NEAREST = 5, 3  # k of density and coverage (Naeem 2020), of precision and recall (Kynkäänniemi 2019)
IMAGES, PATIENTS = 20, 20  # the least of each set: one image of each patient is compared
MOST = 500  # images of each set that are compared at a time, to bound the time
POOL = 1000  # images of each set from which these are drawn, to bound the memory
DRAWS = 10
RELABELLED = 200  # images of each set in the permutation test of recall, the slow one
WIDTH = 0.5  # of the Vendi score's kernel, in median distances of train

# name, side, factor of the yardstick. Coverage and recall fall when modes are missing. Density falls when images lie
# off the data, and rises when they crowd where data are dense: two bars on one number, wide ones, because its balls
# overlap and it scatters more. Precision is the share that lies on the data; the Vendi score the effective number of
# different images.
BARS = (
    ("coverage", ">=", 0.85),
    ("density", ">=", 0.5),
    ("crowding (density)", "<=", 1.5),
    ("precision", ">=", 0.85),
    ("recall", ">=", 0.85),
    ("Vendi score", ">=", 0.8),
)
SCALES = (0.03, 0.06, 0.12, 0.24)  # size of the neighbourhoods in which a group may be missing, as shares of all rows
CENTRES = 400
EMPTY = 0.25  # synthetic images per real one, below which a neighbourhood counts as empty
GROUP = 0.05  # share of the patients that may be missing as a group
ALIKE = 0.02  # MS-SSIM by which pairs of synthetic images may be more alike than pairs of patients
SHARES = 10  # of `level`: one for each of these and for the similarity of pairs, three for the missing group
PIXELS = 64  # longest side at which pairs of images are compared
COMPARED, PARTNERS = 1000, 8  # images of each set of which pairs are compared, and pairs for each
ALL = 100  # images of each set of which all pairs are compared, where a difference is to be tested

MEANS = {  # what a failure says, in a sentence
    "coverage": "parts of the real variety have no synthetic image near them",
    "density": "synthetic images lie off the real ones",
    "crowding (density)": "synthetic images crowd where real ones are most usual",
    "precision": "synthetic images lie where no real ones are",
    "recall": "parts of the real variety lie beyond the synthetic images",
    "Vendi score": "synthetic images differ less among themselves than patients do",
}


def _radii(between: Array, owners: Index, *ks: int) -> Array:
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
    inside = cdist(real.values, points) < _radii(cdist(real.values, real.values), real.owners, k)[0][:, None]  # (n, m)
    return float(inside.sum() / (k * len(points))), float(inside.any(1).mean())


def precision_recall(real: Features, points: Array, k: int = NEAREST) -> tuple[float, float]:
    """Kynkäänniemi 2019: share of points in a ball of a real image, and share of real images in a ball of a point.

    Balls of real images reach to the k-th nearest image of another patient. points: (m, d), each its own patient.
    """
    between = cdist(real.values, points)
    (mine,) = _radii(cdist(real.values, real.values), real.owners, k)
    (theirs,) = _radii(cdist(points, points), np.arange(len(points)), k)
    return float((between <= mine[:, None]).any(0).mean()), float((between <= theirs).any(1).mean())


def vendi(kernel: Array) -> float:
    """Friedman & Dieng 2023: exp of the entropy of the eigenvalues of K / n; kernel (n, n) with ones on its diagonal.

    1 where all images are the same, n where no two have anything in common.
    """
    values = np.clip(np.linalg.eigvalsh(kernel / len(kernel)), 0, None)
    return float(np.exp(-xlogy(values, values).sum()))


class _Space:
    """All distances among at most POOL rows of each set, so that draws only choose rows."""

    def __init__(self, data: Prepared, generator: np.random.Generator) -> None:
        self.sets = [draw(x, POOL, generator) for x in (data.train, data.holdout, data.synthetic)]
        rows = np.concatenate([x.values for x in self.sets])
        self.between = cdist(rows, rows).astype(np.float32)  # half the memory; an exact copy stays at 0
        starts = np.cumsum([0, *(len(x) for x in self.sets)])
        owners = [start + x.owners for start, x in zip(starts[:-1], self.sets, strict=True)]
        self.owners = np.concatenate(owners)
        self.index = [np.arange(a, b) for a, b in pairwise(starts)]
        learned = self.between[np.ix_(self.index[0], self.index[0])]
        self.width = WIDTH * float(np.median(learned[learned > 0])) if (learned > 0).any() else 1.0

    def chosen(self, n: int, generator: np.random.Generator, halves: bool = False) -> list[Index]:
        """Rows of train, and of one image of each holdout patient and of synthetic: n of each where there are so many.

        halves: of a random half of the patients only.
        """
        out: list[Index] = []
        for features, index in zip(self.sets, self.index, strict=True):
            numbered = Features(index[:, None].astype(np.float64), ("row",), features.patients)
            part = half(numbered, generator) if halves else numbered
            part = part if not out else one_per_patient(part, generator)
            out.append(draw(part, n, generator).values[:, 0].astype(np.int64))
        return out

    def single(self, rows: Index, generator: np.random.Generator) -> Index:
        """One of the rows of each owner, in random order."""
        order = generator.permutation(rows)
        return np.asarray(order[np.sort(np.unique(self.owners[order], return_index=True)[1])])

    def part(self, rows: Index, columns: Index) -> Array:
        return np.asarray(self.between[rows[:, None], columns[None]])

    def kernel(self, own: Array) -> Array:
        """Gaussian kernel of distances, its width from train."""
        return np.asarray(np.exp(-0.5 * (own / np.float32(self.width)) ** 2))

    def balls(self, train: Index, *ks: int) -> Array:
        return _radii(self.part(train, train), self.owners[train], *ks)

    def measure(self, train: Index, *points: Index) -> Array:
        """(len(points), 5) coverage, density, precision, recall and Vendi score of points about train."""
        five, three = self.balls(train, NEIGHBOURS, NEAREST)
        out = []
        for each in points:
            between, own = self.part(train, each), self.part(each, each)
            inside, near = between < five[:, None], between <= three[:, None]
            reached = between <= _radii(own, np.arange(len(each)), NEAREST)
            density = inside.sum() / (NEIGHBOURS * len(each))
            shares = inside.any(1).mean(), density, near.any(0).mean(), reached.any(1).mean()
            out.append([*shares, vendi(self.kernel(own))])
        return np.array(out)


COLUMN = {"coverage": 0, "density": 1, "crowding (density)": 1, "precision": 2, "recall": 3, "Vendi score": 4}


def coverage_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    resamples: int = 200,
    level: float = LEVEL,
) -> list[Finding]:
    """Coverage, density, precision, recall and Vendi score of synthetic about train against BARS x those of holdout,
    and the largest group of holdout patients whose place among the real images holds hardly any synthetic one.

    All at n = the smallest of train's images, holdout's patients, synthetic images (at most MOST), one image of each
    holdout patient; value and yardstick are means over 20 draws. FAIL: the value is past the bar, and p <= level / 10.
    Null: given train, one image each of the holdout's patients and of the synthetic images are exchangeable; p is
    exact, over relabellings of one draw (Fisher's test for precision). PASS: the 95 % interval of value - bar, over
    halves by patient, lies on the good side; low and high are the value plus that spread.

    Missing group: among one image of each patient of train and of holdout and as many synthetic ones, in the
    neighbourhoods (SCALES of all rows) of CENTRES of them that hold less than EMPTY of the synthetic share they should,
    the gap in share where these are fewest for chance (Kulldorff 1997). Bar GROUP, interval Clopper-Pearson, yardstick
    the mean over relabellings, FAIL at p <= level * 3 / 10. Null: all three sets are of one population. It names a rare
    subgroup, which coverage as a mean cannot.
    """
    data = prepare(train, holdout, synthetic)
    finding = partial(Finding, "coverage", n_images=len(data.holdout), n_patients=data.holdout.n_patients)
    names = [*(name for name, _, _ in BARS), "missing group"]
    if reason := too_small(data, IMAGES, PATIENTS):
        return [finding(f"{name}, {space}", label, note=reason) for name in names]
    generator = rng(seed, f"coverage {space} {label}", "draws")
    world = _Space(data, generator)
    n = min(MOST, len(world.sets[0]), *(s.n_patients for s in world.sets[1:]))
    if n < IMAGES:
        reason = f"{n} images of different patients are left, this measure needs {IMAGES}"
        return [finding(f"{name}, {space}", label, note=reason) for name in names]
    drawn = [world.chosen(n, generator) for _ in range(DRAWS)]
    whole = np.array([world.measure(t, s, h) for t, h, s in drawn])  # (draws, synthetic | holdout, 5)
    halves = _halves(world, n, resamples, rng(seed, f"coverage {space} {label}", "halves"))
    if not len(halves):
        return [finding(f"{name}, {space}", label, note=UNEVEN) for name in names]
    if n < min(len(world.sets[0]), len(data.synthetic), data.holdout.n_patients):
        capped = f"compared at {n} images of each set at a time"
        data = replace(data, note="; ".join(filter(None, [data.note, capped])))
    share, found = level / SHARES, []
    chance = rng(seed, f"coverage {space} {label}", "relabelled")
    tests = _tests(world, drawn[0], share)
    for name, side, factor in BARS:
        column = COLUMN[name]
        value, yardstick = (float(x) for x in np.mean(whole[:, :, column], axis=0))
        low, high = _interval(halves[:, :, column], value, factor, name == "Vendi score")
        high = max(min(high, 1.0), value) if column in (0, 2, 3) else high
        bar = (side, factor * yardstick)
        past = value < bar[1] if side == ">=" else value > bar[1]
        p = tests[name](chance) if past else 1.0
        state, note = _settle(MEANS[name], (value, low, high, yardstick), bar, p, share, n, data)
        found.append(finding(f"{name}, {space}", label, value, low, high, yardstick, bar, state=state, note=note))
    finding = partial(finding, f"missing group, {space}", label)
    return [*found, _missing_group(finding, world, drawn, data, 3 * share, chance)]


def _interval(halves: Array, value: float, factor: float, grows: bool) -> tuple[float, float]:
    """The 95 % spread of value - bar over halves (m, synthetic | holdout), about the value.

    grows: with the number of images, as a Vendi score does; then it is the spread of the logarithm of their ratio.
    """
    if grows:
        spread = np.log(halves[:, 0] / halves[:, 1])
        low, high = value * np.exp(np.quantile(spread - np.median(spread), [0.025, 0.975]))
    else:
        spread = halves[:, 0] - factor * halves[:, 1]
        low, high = value + np.quantile(spread - np.median(spread), [0.025, 0.975])
    return max(float(low), 0.0), float(high)


def _halves(world: _Space, n: int, resamples: int, generator: np.random.Generator) -> Array:
    """(resamples, synthetic | holdout, 5) measures at about n / 2, of half the patients; none where halves are small.

    A half drawn without replacement scatters about the whole as the whole does about the truth, and repeats no row: a
    bootstrap would, and repeats shrink coverage.
    """
    out = []
    for _ in range(resamples):
        t, h, s = world.chosen(n // 2, generator, halves=True)
        m = min(len(t), len(h), len(s))
        if m >= max(n // 4, LEAST_HALF):
            out.append(world.measure(t[:m], s[:m], h[:m]))
    return np.array(out if len(out) >= min(20, resamples) else [])


def _tests(world: _Space, rows: Sequence[Index], share: float) -> dict[str, Callable[..., float]]:
    """Of each name in BARS a function of a generator: the p-value of one draw, from relabelling holdout and synthetic.

    Each is one-sided, on the difference synthetic - holdout, and large statistics are evidence. Costs nothing until
    it is called. Those that are products of matrices take more relabellings than recall, which is not; that of the
    Vendi score is of order 2.
    """
    t, h, s = rows
    n, pool = len(s), np.concatenate([s, h])
    many, few = math.ceil(2 / share), math.ceil(1 / share)
    between, (five, three) = world.part(t, pool), world.balls(t, NEIGHBOURS, NEAREST)
    inside = (between < five[:, None]).astype(np.float32)  # (n, 2n)
    balls = inside.sum(0)
    near = (between <= three[:, None]).any(0)
    m = min(n, RELABELLED)
    fewer = np.concatenate([s[:m], h[:m]])

    def coverage(labels: NDArray[np.float32]) -> Array:
        return np.asarray(((inside @ (1 - labels)) > 0.5).mean(0) - ((inside @ labels) > 0.5).mean(0))

    def density(labels: NDArray[np.float32]) -> Array:
        return np.asarray(-balls @ labels)

    def precision(_: np.random.Generator) -> float:
        return float(hypergeom.cdf(near[:n].sum(), 2 * n, near.sum(), n))

    def recall(generator: np.random.Generator) -> float:
        statistic = _recall(world.part(fewer, fewer), world.part(t[:m], fewer))
        return _permuted(statistic, m, few, share, generator, 50)

    def score(generator: np.random.Generator) -> float:
        return _permuted(_score(world.kernel(world.part(pool, pool))), n, many, share, generator)

    return {
        "coverage": lambda g: _permuted(coverage, n, many, share, g),
        "density": lambda g: _permuted(density, n, many, share, g),
        "crowding (density)": lambda g: _permuted(lambda labels: -density(labels), n, many, share, g),
        "precision": precision,
        "recall": recall,
        "Vendi score": score,
    }


def _recall(own: Array, between: Array) -> Statistic:
    """Recall of the rows labelled 0 minus that of those labelled 1: own (2n, 2n) and between (n, 2n) distances.

    The NEAREST-th neighbour of a row's own label is sought among its 64 nearest; none found: the ball of the 64th.
    """
    own = own.copy()
    np.fill_diagonal(own, np.inf)
    most = min(64, len(own) - 1)
    order = np.argpartition(own, most - 1, axis=1)[:, :most]
    distance = np.take_along_axis(own, order, 1)
    by = distance.argsort(1)
    order, distance = np.take_along_axis(order, by, 1), np.take_along_axis(distance, by, 1)
    columns = np.ascontiguousarray(between.T)  # (2n, n)

    def statistic(labels: NDArray[np.float32]) -> Array:
        out = []
        for label in (labels > 0.5).T:
            seen = (label[order] == label[:, None]).cumsum(1) >= NEAREST
            rank = np.where(seen[:, -1], seen.argmax(1), most - 1)
            holds = columns <= distance[np.arange(len(rank)), rank][:, None]  # (2n, n)
            out.append(holds[~label].any(0).mean() - holds[label].any(0).mean())
        return np.array(out)

    return statistic


def _score(kernel: Array) -> Statistic:
    """Mean squared kernel among the rows labelled 1 minus that among those labelled 0; kernel (2n, 2n).

    1 / mean k^2 is the Vendi score of order 2 (Pasarkar & Dieng 2023): it needs no eigenvalues.
    """
    return _alike((kernel**2).astype(np.float32))


def _alike(pairs: NDArray[np.float32]) -> Statistic:
    """Sum of pairs (2n, 2n) among the rows labelled 1 minus that among the others."""

    def statistic(labels: NDArray[np.float32]) -> Array:
        rest = 1 - labels
        return np.asarray((labels * (pairs @ labels)).sum(0) - (rest * (pairs @ rest)).sum(0), np.float64)

    return statistic


def _permuted(
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
    observed = float(statistic(_first(n, of))[0])
    observed -= 1e-6 * abs(observed)  # rounding must not break ties
    done = larger = 0
    while done < times and 1 + larger <= share * (1 + times):
        now = min(batch, times - done)
        larger += int((statistic(_relabelled(n, of, now, generator)) >= observed).sum())
        done += now
    return (1 + larger) / (1 + done)


def _first(n: int, of: int) -> NDArray[np.float32]:
    """(of, 1) n ones, then zeros."""
    return np.repeat(np.array([1, 0], np.float32), (n, of - n))[:, None]


def _relabelled(n: int, of: int, times: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """(of, times) columns of n ones, else zeros, in random order."""
    order = generator.random((times, of), np.float32).argpartition(n - 1, axis=1)[:, :n]
    labels = np.zeros((times, of), np.float32)
    np.put_along_axis(labels, order, 1, 1)
    return np.ascontiguousarray(labels.T)


def _settle(
    failure: str,
    numbers: tuple[float, float, float, float],
    bar: tuple[str, float],
    p: float,
    share: float,
    n: int,
    data: Prepared,
) -> tuple[str, str]:
    """FAIL where p <= share and the value is past the bar; PASS where the interval is inside it; else inconclusive."""
    value, low, high, yardstick = numbers
    past = value < bar[1] if bar[0] == ">=" else value > bar[1]
    if past and p <= share:
        return FAIL, "; ".join(filter(None, [f"{failure} (p = {p:.1g})", data.note]))
    if not past and judge(value, low, high, bar) == PASS:
        if data.lost <= LOST:
            return PASS, data.note
        return INCONCLUSIVE, f"too many synthetic images have undefined features for a pass; {data.note}"
    if past:
        error = max(high - low, 1e-9) / 3.92
        factor = max((norm.isf(share) * error / max(abs(value - yardstick), 1e-9)) ** 2, 1.2)
        note = f"past the bar, but no more than chance explains (p = {p:.2g}, {share:.1g} is asked for)"
    else:
        reach = value - low if bar[0] == ">=" else high - value
        factor = max((reach / max(abs(value - bar[1]), 1e-9)) ** 2, 1.1)
        note = "the interval reaches over the bar"
    return INCONCLUSIVE, "; ".join(filter(None, [note, _remedy(n, factor), data.note]))


def _remedy(n: int, factor: float) -> str:
    """Who is missing: n times factor, of each set."""
    need = math.ceil(n * min(factor, 20) / 10) * 10
    about = f"more than {need}" if factor > 20 else f"about {need}"
    return f"{about} holdout patients, and as many training and synthetic images, would settle it (now {n})"


def _missing_group(
    finding: Callable[..., Finding],
    world: _Space,
    drawn: Sequence[Sequence[Index]],
    data: Prepared,
    share: float,
    generator: np.random.Generator,
) -> Finding:
    """The finding `missing group`; share: of the level that is its own."""
    n, scans = len(drawn[0][2]), []
    for _, h, s in drawn:
        learned = world.single(world.index[0], generator)[:n]
        scans.append(_Scan(world, np.concatenate([s, h, learned]), n, generator))
    of = n + scans[0].rest
    value = float(np.mean([scan.gaps(_first(n, of))[0] for scan in scans]))
    yardstick = float(scans[0].gaps(_relabelled(n, of, 50, generator)).mean())
    low, high = clopper_pearson(round(value * n), n)
    low, high, bar = min(low, value), max(high, value), ("<=", GROUP)
    numbers = (value, low, high, yardstick, bar)
    if value > GROUP:
        p = _permuted(scans[0].evidence, n, math.ceil(2 / share), share, generator, 250, of)
        if p <= share:
            note = f"about {round(value * n)} of {n} real patients lie together where hardly any synthetic image lies "
            note += f"(p = {p:.1g}): a group may be missing"
            return finding(*numbers, state=FAIL, note="; ".join(filter(None, [note, data.note])))
        note = f"a gap as large arises by chance (p = {p:.2g}, {share:.1g} is asked for)"
    elif high <= GROUP and data.lost <= LOST:
        return finding(*numbers, state=PASS, note=data.note)
    else:
        note = f"a missing group of {GROUP:.0%} of the patients cannot be excluded"
    factor = next((f for f in (1.5, 2, 3, 5, 10, 20) if _settled(yardstick * n, n, f)), 21)
    return finding(*numbers, state=INCONCLUSIVE, note="; ".join(filter(None, [note, _remedy(n, factor), data.note])))


def _settled(count: float, n: int, factor: float) -> bool:
    """Whether chance gaps of `count` patients, which grow with the root of n at most, would pass at n times factor."""
    return clopper_pearson(round(count * math.sqrt(factor)), round(n * factor))[1] <= GROUP


class _Scan:
    """Where are the rows labelled 1, n of a pool, too few? Asked of the pool's nearest rows about some of it.

    The log likelihood ratio of Kulldorff 1997, 0 where they are not few. The pool alone says which neighbourhoods.
    """

    def __init__(self, world: _Space, pool: Index, n: int, generator: np.random.Generator) -> None:
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

    def ratios(self, labels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Log likelihood ratios, and how many rows labelled 1, (balls, labellings)."""
        made = (self.inside @ labels).astype(np.int32)
        return self.table.ravel()[made * self.table.shape[1] + self.sizes[:, None]], made

    def evidence(self, labels: NDArray[np.float32]) -> Array:
        """(labellings,) the largest log likelihood ratio."""
        return np.asarray(self.ratios(labels)[0].max(0), np.float64)

    def gaps(self, labels: NDArray[np.float32]) -> Array:
        """(labellings,) there, the share of the rows labelled 0 minus that of those labelled 1."""
        ratio, made = self.ratios(labels)
        at, each = ratio.argmax(0), np.arange(labels.shape[1])
        few = made[at, each]
        gap = (self.sizes[at] - few) / self.rest - few / self.n
        return np.where(ratio[at, each] > 0, gap, 0)


def missed(train: Features, holdout: Features, synthetic: Features, most: int = 5000) -> Index:
    """Rows of train that nothing synthetic is near, the loneliest first: to be drawn.

    Those whose ball, to the k-th nearest image of another patient, holds no synthetic image; k = NEIGHBOURS times the
    number of train images per synthetic one, so that 3 % are expected where nothing is missing. holdout: for its
    columns only. At most `most` images of each set, the first ones, are compared.
    """
    rows = np.arange(len(train))[:most]
    numbered = Features(train.values[:most], train.names, tuple(map(str, rows)))
    data = prepare(numbered, holdout, synthetic.take(np.arange(len(synthetic))[:most]))
    kept = np.array([int(row) for row in data.train.patients], np.int64)
    if not len(kept) or not len(data.synthetic) or not data.train.names:
        return np.empty(0, np.int64)
    owners = train.owners[kept]
    k = max(NEIGHBOURS, math.ceil(NEIGHBOURS * len(kept) / len(data.synthetic)))
    lonely = np.empty(len(kept))
    for start in range(0, len(kept), 512):  # 512 rows of distances at a time: memory
        at = slice(start, start + 512)
        between = cdist(data.train.values[at], data.train.values)
        between[owners[at, None] == owners[None]] = np.inf
        radius = np.partition(between, min(k, len(kept)) - 1, axis=1)[:, min(k, len(kept)) - 1]
        nearest = cdist(data.train.values[at], data.synthetic.values).min(1)
        lonely[at] = np.where(nearest >= radius, nearest / np.maximum(radius, 1e-12), 0)
    order = np.argsort(-lonely, kind="stable")
    return kept[order[lonely[order] > 0]]


def similarity_findings(
    label: str,
    holdout: NDArray[np.generic],
    patients: Sequence[str],
    synthetic: NDArray[np.generic],
    *,
    data_range: Range,
    seed: int,
    level: float = LEVEL,
) -> list[Finding]:
    """Mean MS-SSIM of pairs of synthetic images, against that of pairs of different holdout patients + ALIKE.

    Images are (N, C, H, W), at most PIXELS on a side after means over blocks of pixels. value and yardstick: PARTNERS
    random pairs for each of equally many images of each set (one of each patient, at most COMPARED). FAIL: the value
    past the bar and p <= level / 10; p is exact, over relabellings of ALL images of each set and all pairs of them,
    one-sided. Null: as in coverage_findings. Interval: of the difference, from the spread of each image's mean
    similarity to its partners (a U-statistic's). High: collapse. Odena 2017; Wang 2003.
    """
    name = "similarity of pairs (MS-SSIM)"
    people = Features(np.arange(float(len(holdout)))[:, None], ("row",), tuple(patients))
    finding = partial(Finding, "coverage", name, label, n_images=len(holdout), n_patients=people.n_patients)
    n = min(COMPARED, people.n_patients, len(synthetic))
    if n < IMAGES:
        have = f"{people.n_patients} holdout patients and {len(synthetic)} synthetic images"
        return [finding(note=f"there are {have} of this class, this measure needs {IMAGES} of each")]
    generator = rng(seed, f"similarity {label}")
    real = draw(one_per_patient(people, generator), n, generator).values[:, 0].astype(np.int64)
    made = generator.permutation(len(synthetic))[:n]
    sets = [_smaller(unit_range(images, data_range)) for images in (synthetic[made], holdout[real])]
    height, width = sets[0].shape[2:]
    if min(height, width) < WINDOW:
        return [finding(note=f"images of {height} x {width} pixels are too small for MS-SSIM, which needs {WINDOW}")]
    i = np.tile(np.arange(n), PARTNERS)  # rows are in random order: neighbours are random partners
    j = (i + np.repeat(np.arange(PARTNERS) + 1, n)) % n
    each = []  # (n,) mean similarity of an image to its 2 PARTNERS
    for images in sets:
        pairs = similarity(images, i, j)
        each.append((np.bincount(i, pairs) + np.bincount(j, pairs)) / (2 * PARTNERS))
    value, yardstick = float(each[0].mean()), float(each[1].mean())
    error = 2 * math.sqrt((each[0].var(ddof=1) + each[1].var(ddof=1)) / n)
    numbers, bar = (value, value - 1.96 * error, value + 1.96 * error, yardstick), ("<=", yardstick + ALIKE)
    share, p = level / SHARES, 1.0
    if value > bar[1]:
        m = min(n, ALL)
        i, j = np.triu_indices(2 * m, 1)
        alike = np.zeros((2 * m, 2 * m), np.float32)
        alike[i, j] = alike[j, i] = similarity(np.concatenate([images[:m] for images in sets]), i, j)

        p = _permuted(_alike(alike), m, math.ceil(2 / share), share, generator)
    empty = Features(np.empty((0, 0)), ())
    note = f"compared at {n} images of each set" if n == COMPARED else ""
    failure = "two synthetic images are more alike than two patients are"
    state, note = _settle(failure, numbers, bar, p, share, n, Prepared(empty, empty, empty, note))
    return [finding(*numbers, bar, state=state, note=note)]


def _smaller(stack: Array) -> Array:
    """Means over blocks of pixels, so that the longest side is PIXELS or less; what is left at the rim is cut off."""
    step = math.ceil(max(stack.shape[2:]) / PIXELS)
    n, c, height, width = stack.shape
    height, width = height // step, width // step
    cut = stack[:, :, : height * step, : width * step]
    return np.asarray(cut.reshape(n, c, height, step, width, step).mean((3, 5)))
