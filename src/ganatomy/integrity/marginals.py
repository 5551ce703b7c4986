"""Feature by feature within one class: how far are synthetic values from those of other real patients?

Knows tables of features. Does not know what the features mean, nor how they hang together (dependence.py).
"""

import math
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, foldnorm, kstwo, t

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import LOST, Features, Prepared, draw, one_per_patient, prepare, too_small

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Weights = NDArray[np.float32]

LEVEL = 0.05 / 8  # false alarms of one gate, where nobody says otherwise
MARGIN = 0.15  # Kolmogorov-Smirnov distance that matters: a shift of 0.38 standard deviations of a normal
ENOUGH = 0.95  # share of features that must be shown to lie within MARGIN
TYPICAL = 0.15  # shift of every feature that matters, in train's robust standard deviations
LEAST = 5  # images and patients of each set
MOST = 1000  # independent rows of each side that are permuted
IMAGES = 5000  # images of each set that are measured
HALVES = 100  # resamples by patient behind the interval of the typical difference
CERTAIN = 2.6  # standard deviations between halves by which the typical difference must exceed what chance gives
BLOCK, TILE = 128, 32  # permutations, and rows, whose running sums are formed at a time
FUTILE = 20  # as large values among permutations after which no p can become small
SURE = 2.1  # x sqrt(1/n + 1/m): the upper bounds of equal features lie below it in about four sets of five
REAL = 10  # draws of as many train images as there are synthetic ones


def ks(a: Array, b: Array) -> Array:
    """Kolmogorov-Smirnov distance of each column of a (n, d), b (m, d): the largest gap of the distributions."""
    return _gaps(np.concatenate([a, b]), _signs(len(a), len(b)))[0][:, 0]


def wasserstein(a: Array, b: Array) -> Array:
    """Wasserstein-1 distance of each column of a (n, d), b (m, d): the area between the distribution functions."""
    return _gaps(np.concatenate([a, b]), _signs(len(a), len(b)))[1][:, 0]


def _signs(n: int, m: int) -> Weights:
    """(n + m, 1) weights whose running sum over sorted values is F_a - F_b."""
    return np.repeat(np.array([1 / n, -1 / m], np.float32), [n, m])[:, None]


def _sorted(values: Array) -> tuple[Index, Array]:
    """Order of each column of (N, d), and the gaps of the sorted values (N - 1, d); 0 between ties."""
    order = values.argsort(0, kind="stable")
    return order, np.diff(np.take_along_axis(values, order, 0), axis=0)


def _gaps(values: Array, weights: Weights, order: tuple[Index, Array] | None = None) -> tuple[Array, Array]:
    """KS and Wasserstein-1, both (d, B), between the weighted samples: (N, d) values, (N, B) signed weights.

    One column of weights is one division of the rows into two sets (the observed one, a permutation, a resample). A
    gap counts only after the last of tied values.
    """
    ranks, steps = order or _sorted(values)
    n, d = values.shape
    tiles = -(-n // TILE)
    pad = tiles * TILE - n  # rows of weight 0 after the last
    ranks = np.concatenate([ranks, np.full((pad, d), n)])
    steps = np.concatenate([steps, np.zeros((pad + 1, d))]).astype(np.float32)
    ones = np.tril(np.ones((TILE, TILE), np.float32))
    distance, area = np.zeros((d, weights.shape[1])), np.zeros((d, weights.shape[1]))
    for start in range(0, weights.shape[1], BLOCK):
        at = slice(start, start + BLOCK)
        block = np.concatenate([weights[:, at], np.zeros((1, len(weights[0, at])), np.float32)])
        size = block.shape[1]
        rows, sums = np.empty((tiles * TILE, size), np.float32), np.empty((tiles, TILE, size), np.float32)
        for j in range(d):
            # running sums by matrix product within tiles of rows: five times faster than cumsum
            np.take(block, ranks[:, j], axis=0, out=rows, mode="clip")
            np.matmul(ones, rows.reshape(sums.shape), out=sums)
            sums[1:] += sums[:-1, -1].cumsum(0)[:, None]
            running = np.abs(sums.reshape(rows.shape), out=rows)
            area[j, at] = steps[:, j] @ running
            apart = steps[:n, j] > 0
            if apart.any():
                distance[j, at] = (running if apart[: n - 1].all() else running[:n][apart]).max(0)
    return distance, area


@dataclass(frozen=True, eq=False)
class Gaps:
    """Per feature (d,): KS distance with its one-sided 95 % bounds, Wasserstein-1, and what chance gives of that.

    worth: independent images that b's are worth: fewer than they are where images of one patient are alike
    """

    distance: Array
    low: Array
    high: Array
    area: Array
    chance: Array
    worth: Array


def gaps(a: Features, b: Features) -> Gaps:
    """Compare each feature of two sets, images of one patient taken as one observation's parts.

    At each value x the difference of the distribution functions has a standard error s(x) that rests on patients (the
    variance of a ratio estimator by cluster: what a bootstrap by patient converges to). high = max over x of
    |difference| + t s(x): where the true difference is largest the estimate falls short by more than t s in 5 % of
    samples at most, so that P(high < D) <= 5 % whatever the shape, and no quantile of a supremum is needed. chance =
    sqrt(2 / pi) x the integral of s: the mean Wasserstein-1 distance of two samples of one population.
    """
    values = np.concatenate([a.values, b.values])
    order, steps = _sorted(values)
    f, spread_a = _distribution(a, order, 0)
    g, spread_b = _distribution(b, order, len(a))
    error = np.sqrt(spread_a + spread_b)[:-1]
    difference = np.abs(f - g)[:-1]
    apart = steps > 0
    factor = float(t.ppf(0.95, min(a.n_patients, b.n_patients) - 1))
    at = np.where(apart, difference, -1).argmax(0)
    column = np.arange(values.shape[1])
    distance = np.where(apart, difference, 0).max(0)
    high = np.where(apart, difference + factor * error, 0).max(0)
    low = np.where(apart, difference - factor * error, 0)[at, column]
    area, chance = (difference * steps).sum(0), math.sqrt(2 / math.pi) * (error * steps).sum(0)
    middle = np.abs(g - 0.5).argmin(0)
    g, spread = g[middle, column], spread_b[middle, column]
    worth = np.where(spread > 0, g * (1 - g) / np.where(spread > 0, spread, 1), len(b))
    return Gaps(distance, np.clip(low, 0, 1), np.clip(high, 0, 1), area, chance, worth)


def _distribution(features: Features, order: Index, offset: int) -> tuple[Array, Array]:
    """F (N, d) at the sorted pooled rows, and its variance by patient.

    F = sum k_i / sum n_i over P patients, k_i of whose n_i images lie at or below x; its variance is
    P / (P - 1) x sum (k_i - n_i F)^2 / (sum n_i)^2. The r-th image of a patient adds 2 r - 1 to the sum of k_i^2.
    """
    n, owners = len(features), features.owners
    sizes = np.bincount(owners)
    patients = len(sizes)
    mine = (order >= offset) & (order < offset + n)  # (N, d)
    below = mine.cumsum(0)
    f = below / n
    if patients == n:
        return f, f * (1 - f) / max(n - 1, 1)
    row = np.where(mine, order - offset, 0)
    who = np.where(mine, owners[row], patients)  # the others' rows belong to nobody
    by_owner = who.argsort(0, kind="stable")
    counts = np.append(sizes, len(order) - n)
    starts = np.repeat(np.cumsum(counts) - counts, counts)[:, None]
    rank = np.empty_like(who)
    np.put_along_axis(rank, by_owner, np.arange(len(order))[:, None] - starts, 0)
    squares = np.where(mine, 2 * rank + 1, 0).cumsum(0)
    products = np.where(mine, np.append(sizes, 0)[who], 0).cumsum(0)
    rest = squares - 2 * f * products + f**2 * float((sizes.astype(float) ** 2).sum())
    return f, np.clip(rest, 0, None) / n**2 * patients / max(patients - 1, 1)


def permutations(level: float) -> int:
    """Permutations after which p <= level leaves room for three as large values."""
    return int(np.clip(math.ceil(4 / level) - 1, 999, 19999))


def max_t(a: Array, b: Array, level: float, generator: np.random.Generator) -> tuple[Array, float]:
    """p of each feature's KS distance (d,), and p of the mean Wasserstein-1 distance, adjusted for each other.

    a (n, d), b (m, d): independent rows. Rows are permuted between the sets whole, so that features keep their
    dependence, and each statistic is held against the largest of all (single-step max-T, Westfall & Young 1993, in
    units of the largest D's and the mean distance's spread): P(any p <= level) <= level, exactly, where the sets are of
    one population. Stops early where no p can become small any more; that can only lose a rejection.
    """
    values, n = np.concatenate([a, b]), len(a)
    order = _sorted(values)
    signs = _signs(n, len(b))
    distance, area = _gaps(values, signs, order)
    each = distance[:, 0]
    drawn = [(float(each.max()), float(area.mean()))]
    count = permutations(level)
    while len(drawn) <= count:
        size = min(BLOCK, count + 1 - len(drawn))
        mixed = generator.permuted(np.broadcast_to(signs[:, 0], (size, len(values))), axis=1).T
        distance, area = _gaps(values, mixed, order)
        drawn += list(zip(distance.max(0).tolist(), area.mean(0).tolist(), strict=True))
        p = _adjusted(np.array(drawn), each)
        if p.min() * len(drawn) > FUTILE:
            break
    return p[:-1], float(p[-1])


def _adjusted(drawn: Array, each: Array) -> Array:
    """p (d + 1,) of D (d,) and the mean distance, from (1 + B, 2) draws of (largest D, mean), the observed first."""
    spread = drawn.std(0)
    spread[spread == 0] = 1
    scaled = (drawn - drawn.mean(0)) / spread
    largest = scaled.max(1)
    seen = np.append((each - drawn[:, 0].mean()) / spread[0], scaled[0, 1])
    return np.asarray((largest[:, None] >= seen - 1e-3).mean(0))  # single precision: equal is as large


def shifted(chance: Array, by: float) -> Array:
    """Mean of |x + by| for normal x whose mean |x| is `chance`: what a true difference looks like through chance.

    A difference of `by` does not add to what chance gives: below the size of chance it hardly shows.
    """
    spread = np.maximum(np.asarray(chance), 1e-12) * math.sqrt(math.pi / 2)
    return np.asarray(foldnorm.mean(by / spread, scale=spread))


@dataclass(frozen=True, eq=False)
class _Measured:
    fake: Gaps  # synthetic against holdout
    real: Gaps  # train against holdout, at as many images
    p: Array  # (d,) max-T
    p_area: float
    halves: Array  # (HALVES,) mean Wasserstein-1 over features between halves by patient
    rows: tuple[int, int]  # independent rows of holdout and of synthetic
    capped: bool


def _measure(data: Prepared, label: str, seed: int, level: float) -> _Measured:
    generator = rng(seed, "marginals", label)
    sets = (data.train, data.holdout, data.synthetic)
    train, holdout, synthetic = (x if len(x) <= IMAGES else draw(x, IMAGES, generator) for x in sets)
    draws = REAL if len(train) > len(synthetic) else 1
    real = [gaps(draw(train, len(synthetic), generator), holdout) for _ in range(draws)]
    mean = Gaps(*(np.mean([getattr(one, field.name) for one in real], axis=0) for field in fields(Gaps)))
    alone = [one_per_patient(x, generator) for x in (holdout, synthetic)]
    a, b = (draw(x, MOST, generator).values for x in alone)
    p, p_area = max_t(a, b, level, rng(seed, "marginals", label, "permutations"))
    halves = _halves(holdout, synthetic, rng(seed, "marginals", label, "halves"))
    capped = max(len(x) for x in sets) > IMAGES or max(len(x) for x in alone) > MOST
    return _Measured(gaps(synthetic, holdout), mean, p, p_area, halves, (len(alone[0]), len(alone[1])), capped)


def _halves(holdout: Features, synthetic: Features, generator: np.random.Generator) -> Array:
    """Mean Wasserstein-1 over features between random halves of the patients (see features.sample)."""
    values = np.concatenate([holdout.values, synthetic.values])
    weights = np.zeros((len(values), HALVES), np.float32)
    for offset, sign, owners in ((0, 1, holdout.owners), (len(holdout), -1, synthetic.owners)):
        patients = np.unique(owners)
        for column in range(HALVES):
            some = generator.permutation(patients)[: (len(patients) + 1) // 2]
            rows = offset + np.flatnonzero(np.isin(owners, some))
            weights[rows, column] = sign / len(rows)
    return np.asarray(_gaps(values, weights)[1].mean(0))


COLUMNS = ("feature", "D", "high", "D_real", "W1", "W1_real", "W1_chance", "p", "q")


def marginals(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    *,
    level: float = LEVEL,
) -> tuple[list[Finding], pd.DataFrame]:
    """`marginal_findings` and `marginal_table` at the cost of one."""
    data = prepare(train, holdout, synthetic)
    names = (f"features shown equivalent (Kolmogorov-Smirnov), {space}", f"typical difference (Wasserstein-1), {space}")
    finding = partial(Finding, "marginals", n_images=len(data.holdout), n_patients=data.holdout.n_patients)
    if reason := too_small(data, LEAST, LEAST):
        empty = {name: pd.Series(dtype=object if name == "feature" else float) for name in COLUMNS}
        return [finding(name, label, note=reason) for name in names], pd.DataFrame(empty)
    found = _measure(data, label, seed, level)
    table = _table(data, found)
    notes = [data.note]
    if found.capped:
        notes.append(f"at most {IMAGES} images of a set are measured and {MOST} independent rows of a side permuted")
    rest = "; ".join(filter(None, notes))
    first, second = _equivalence(table, found, level), _typical(found, data, level)
    findings = []
    for name, (numbers, bar, judged, why) in zip(names, (first, second), strict=True):
        lost = judged == PASS and data.lost > LOST
        state = INCONCLUSIVE if lost else judged
        note = "too many synthetic images have undefined features for a pass" if lost else why
        said = "; ".join(filter(None, [note, rest]))
        findings.append(finding(name, label, *numbers, bar, state=state, note=said))
    return findings, table


def marginal_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    *,
    level: float = LEVEL,
) -> list[Finding]:
    """Do the features of one class take the values they take in other real patients? Two findings that share `level`.

    Features shown equivalent. value: share of features whose KS distance to the holdout is below MARGIN with 95 %
    confidence (`gaps`); high: 1 - the share shown to lie beyond. FAIL: max-T permutation rejects at `level` for a
    feature whose D lies above MARGIN (by MARGIN above train's D where that is beyond it too). PASS: ENOUGH of the
    features are shown equivalent.
    Typical difference. value: mean over features of Wasserstein-1 in train's robust standard deviations, with its 95 %
    interval over halves by patient. bar: what sets of this size would show if every feature were shifted by TYPICAL
    (TYPICAL above train's where that lies beyond). FAIL: above the bar; p <= `level` among the same permutations,
    adjusted for the features' as theirs is for it; and beyond what chance gives by CERTAIN standard deviations of the
    halves: where synthetic features do not hang together as real ones do, permuted rows vary less than patients. PASS:
    the interval lies below the bar, and is no wider than would show a shift of TYPICAL.
    Null of both: synthetic images and one random image of each holdout patient are of one population; whole rows are
    permuted between the two. yardstick: train against holdout, all their images, at as many images as synthetic has.
    Westfall & Young 1993 (max-T); Romano 2005 (equivalence as the test of every one of its parts).
    """
    return marginals(space, label, train, holdout, synthetic, seed, level=level)[0]


def marginal_table(
    label: str, train: Features, holdout: Features, synthetic: Features, seed: int, *, level: float = LEVEL
) -> pd.DataFrame:
    """One row per feature, for drawing and for looking closer; empty where there is nothing to compare.

    D, high: KS distance of synthetic to holdout and its upper 95 % bound; D_real: of train to holdout. W1, W1_real: the
    same of Wasserstein-1 (train's robust standard deviations), W1_chance: what two samples of one population give at
    this size. p: max-T, adjusted for all features. q: Benjamini-Hochberg on each feature's own KS p, a screening list.
    """
    return marginals("", label, train, holdout, synthetic, seed, level=level)[1]


def _table(data: Prepared, found: _Measured) -> pd.DataFrame:
    fake, real, m = found.fake, found.real, found.rows[1]
    worth = np.minimum(fake.worth, len(data.holdout))
    alone = np.maximum(np.rint(worth * m / (worth + m)), 1)  # of two samples, in one number
    p = np.array([kstwo.sf(d, k) for d, k in zip(fake.distance, alone, strict=True)])
    rows = (data.train.names, fake.distance, fake.high, real.distance, fake.area, real.area, fake.chance, found.p)
    table = dict(zip(COLUMNS, (*rows, false_discovery_control(np.clip(p, 0, 1))), strict=True))
    return pd.DataFrame(table)


Outcome = tuple[tuple[float, float, float, float], tuple[str, float], str, str]


def _equivalence(table: pd.DataFrame, found: _Measured, level: float) -> Outcome:
    fake, real = found.fake, found.real
    share, yardstick = float((fake.high < MARGIN).mean()), float((real.high < MARGIN).mean())
    numbers, bar = (share, share, float((fake.low <= MARGIN).mean()), yardstick), (">=", ENOUGH)
    shown = found.p <= level
    apart = shown & (fake.distance > np.where(real.distance > MARGIN, real.distance, 0) + MARGIN)
    if apart.any():
        worst = table[apart].sort_values("D", ascending=False)
        some = ", ".join(f"{name} (D {d:.2f})" for name, d in zip(worst["feature"], worst["D"], strict=True) if d)
        return (
            numbers,
            bar,
            FAIL,
            f"{apart.sum()} of {len(table)} features differ from other real patients' by more than chance, all "
            f"features looked at together (p <= {level:.2g}), and by more than {MARGIN}: {_first(some)}",
        )
    if share >= ENOUGH:
        return numbers, bar, PASS, ""
    notes = []
    if shown.any():
        notes.append(
            f"{shown.sum()} features differ by more than chance, but by no more than {MARGIN} or than train does"
        )
    if (real.low > MARGIN).any():
        notes.append(f"train itself differs from holdout in {(real.low > MARGIN).sum()} features by more than {MARGIN}")
    patients, images = needed(found)
    notes.append(
        f"{share:.0%} of the features could be shown to lie within {MARGIN}; if they all do, about {patients} holdout "
        f"patients and {images} synthetic images would show it"
    )
    return numbers, bar, INCONCLUSIVE, "; ".join(notes)


def _first(text: str, most: int = 5) -> str:
    parts = text.split(", ")
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")


def needed(found: _Measured) -> tuple[int, int]:
    """Holdout patients and synthetic images at which a set without a difference would probably be shown equivalent.

    The bounds lie below SURE x sqrt(1/n + 1/m), n the independent images that the holdout's are worth.
    """
    room = (MARGIN / SURE) ** 2
    patients, images = found.rows
    images = max(images, math.ceil(2 / room / 10) * 10)
    each = max(float(np.median(found.fake.worth)), 1.0) / patients  # independent images a patient is worth
    return max(math.ceil(1 / (room - 1 / images) / each / 10) * 10, patients + 1), images


def _typical(found: _Measured, data: Prepared, level: float) -> Outcome:
    value, yardstick = float(found.fake.area.mean()), float(found.real.area.mean())
    low, high = value + np.quantile(found.halves - np.median(found.halves), [0.025, 0.975])
    limit = float(shifted(found.fake.chance, TYPICAL).mean())
    alike = yardstick <= float(shifted(found.real.chance, TYPICAL).mean())
    bar = ("<=", limit if alike else max(limit, yardstick + TYPICAL))
    numbers = (value, float(np.clip(low, 0, value)), max(float(high), value), yardstick)
    chance = f"two samples of one population differ by {found.fake.chance.mean():.2f} at this size"
    beyond = value - CERTAIN * found.halves.std() > found.fake.chance.mean()
    if value > bar[1] and found.p_area <= level and beyond:
        return numbers, bar, FAIL, f"more than chance gives (p = {found.p_area:.2g}); {chance}"
    if high <= bar[1] and high - value <= limit - found.fake.chance.mean():  # no pass by luck: it could have been seen
        return numbers, bar, PASS, chance
    if high <= bar[1]:
        why = "below the bar, but so small a set may lie there by luck"
    elif value > bar[1]:
        why = f"above the bar, but not by more than chance may give (p = {found.p_area:.2g})"
    else:
        why = "the interval reaches over the bar"
    more = max(math.ceil(found.rows[0] * min(((high - value) / TYPICAL) ** 2 * 6, 1000) / 10) * 10, found.rows[0] + 1)
    images = max(more, len(data.synthetic))
    note = f"{why}: about {more} holdout patients and {images} synthetic images would decide; {chance}"
    return numbers, bar, INCONCLUSIVE, note
