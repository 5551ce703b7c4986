"""Subgroups within one class, measured: how present each is among synthetic images, and how well it is served.

Knows tables of features and a value of each group column for each real row; synthetic rows have none (`tell`). Does
not know what is too little or too much (fairness.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import hypergeom

from ganatomy.core.seed import rng
from ganatomy.integrity.classifier import fit
from ganatomy.integrity.contrasts import (
    TELLING,
    Measured,
    Numbers,
    difference,
    distributions,
    share_by_marks,
    shifts,
    shuffled,
    wilson,
)
from ganatomy.integrity.features import Features, prepare
from ganatomy.integrity.nearest import by_distance, nearest, ratio

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[Any]  # texts, of dtype object
Groups = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # column -> value of each train row, of each holdout row

MISSING = 0.75  # the loss of a subgroup that the test is sharpest for
NEAREST = 5  # neighbours of a real image, among training and synthetic ones together
NEAR = 0.02  # share of training images (asked without their patient) that lie as near to one patient as a near-copy
LEAST = 10  # patients of a subgroup in train, and in holdout; images in synthetic
MOST = 2000  # rows of each set that are looked for neighbours
ROWS = 1000  # independent rows of each set, and twice as many synthetic ones, whose features are compared
VALUES = 8  # values of a column of numbers above which it is cut into thirds


def bands(train: Sequence[str], holdout: Sequence[str]) -> tuple[list[str], list[str]]:
    """A column of more than VALUES numbers (age) cut at the thirds of train; any other column as it is."""
    known = [text for text in train if text]
    try:
        numbers = [float(text) for text in known]
        others = [float(text) if text else math.nan for text in holdout]
    except ValueError:
        return list(train), list(holdout)
    if len(set(numbers)) <= VALUES or not np.isfinite(numbers).all():
        return list(train), list(holdout)
    low, high = np.quantile(numbers, [1 / 3, 2 / 3])
    names = (f"below {low:.3g}", f"{low:.3g} to {high:.3g}", f"above {high:.3g}")

    def name(x: float) -> str:
        return "" if math.isnan(x) else names[int(x >= low) + int(x > high)]

    return [name(float(t)) if t else "" for t in train], [name(x) for x in others]


@dataclass(frozen=True, eq=False)
class Tables:
    """On one scale: train, holdout and synthetic; the groups of train's and holdout's rows; what `prepare` noted.

    one: a random row of each patient of train, and of holdout
    with_train: which synthetic rows are held against train's patients, the rest against holdout's: in proportion to
        how many there are, at random
    """

    train: Features
    holdout: Features
    synthetic: Features
    groups: dict[str, tuple[Words, Words]]
    one: tuple[Index, Index]
    with_train: Bools
    note: str
    lost: float


def assemble(train: Features, holdout: Features, synthetic: Features, groups: Groups, seed: int) -> Tables:
    """Robust z-scores, numbers in bands, and the groups of the rows that are left."""
    data = prepare(train, holdout, synthetic)
    columns = [train.names.index(name) for name in data.train.names]
    whole = [np.asarray(np.isfinite(t.values[:, columns]).all(1)) for t in (train, holdout)]
    words = {}
    for name, pair in groups.items():
        for what, values, table in zip(("train", "holdout"), pair, (train, holdout), strict=True):
            if len(values) != len(table):
                raise ValueError(f"column {name} has {len(values)} values for {len(table)} {what} rows")
        two = bands([str(v) for v in pair[0]], [str(v) for v in pair[1]])
        words[name] = (np.array(two[0], dtype=object)[whole[0]], np.array(two[1], dtype=object)[whole[1]])
    generator = rng(seed, "fairness", "rows")
    one = one_row(data.train, generator), one_row(data.holdout, generator)
    order = generator.permutation(len(data.synthetic))
    with_train = order < round(len(order) * len(one[0]) / max(len(one[0]) + len(one[1]), 1))
    return Tables(data.train, data.holdout, data.synthetic, words, one, with_train, data.note, data.lost)


def one_row(features: Features, generator: np.random.Generator) -> Index:
    """One random row of each patient, in random order."""
    order = generator.permutation(len(features))
    return np.asarray(order[np.sort(np.unique(features.owners[order], return_index=True)[1])])


@dataclass(frozen=True, eq=False)
class Told:
    """What classifiers say of the rows: log-likelihood (n, values) of each value, every value weighing the same.

    holdout's rows, and the synthetic ones held against them, are told by a classifier of train; train's rows, and the
    other synthetic ones, by a classifier of holdout. prior: (values,) share of real patients.
    """

    values: tuple[str, ...]
    prior: Array
    train: Array
    holdout: Array
    synthetic: Array

    def mark(self, value: str) -> tuple[Array, Array, Array]:
        """Probability of one value for each row of train, holdout and synthetic."""
        j = self.values.index(value)
        logs = (log + np.log(self.prior) for log in (self.train, self.holdout, self.synthetic))
        one, two, three = (np.asarray(np.exp(log[:, j] - logsumexp(log, axis=1))) for log in logs)
        return one, two, three

    def likeliest(self) -> tuple[Words, Words, Words]:
        """The subgroup that each row of train, holdout and synthetic looks like most."""
        names = np.array(self.values, dtype=object)
        return names[self.train.argmax(1)], names[self.holdout.argmax(1)], names[self.synthetic.argmax(1)]


def tell(tables: Tables, column: str, seed: int) -> Told | None:
    """Two classifiers (`classifier.fit`) of a column's values, one of train and one of holdout.

    Synthetic images carry no group. This is how one is given to them; real images are told in the same way, by the
    classifier that has not learned from them, so that real rows and the synthetic ones held against them may change
    places, and every real patient serves. None where fewer than two values have LEAST patients in each.
    """
    sets = (tables.train, tables.holdout)
    sizes = []
    for words, table in zip(tables.groups[column], sets, strict=True):
        sizes.append({v: len(np.unique(table.owners[words == v])) for v in {*words} - {""}})
    values = tuple(sorted(v for v in sizes[0] if min(sizes[0][v], sizes[1].get(v, 0)) >= LEAST))
    if len(values) < 2:
        return None
    classify = []
    for words, table in zip(tables.groups[column], sets, strict=True):
        rows = np.flatnonzero([w in values for w in words])
        codes = np.array([values.index(w) for w in words[rows]])
        classify.append(fit(table.values[rows], codes, table.owners[rows], seed)[0])
    count = np.array([sizes[0][v] + sizes[1][v] for v in values])
    made = np.empty((len(tables.synthetic), len(values)))
    for which, by in ((tables.with_train, classify[1]), (~tables.with_train, classify[0])):
        if which.any():
            made[which] = by(tables.synthetic.values[which])
    return Told(values, count / count.sum(), classify[1](sets[0].values), classify[0](sets[1].values), made)


@dataclass(frozen=True)
class Subgroup:
    """One value of one column, among real images and synthetic ones.

    patients: in train, in holdout; images: in holdout; rarity: share of real patients; reason: why nothing was
    measured, or ""
    measures, where they could be had:
        present: its share among synthetic images / among real patients
        alone: share of its holdout images with nothing synthetic near, less that of the others
        shift: how far synthetic features lie from real ones, of images that look like it, beyond chance and those of
            images that look like others; mean over features, in train's robust standard deviations
        copied: share of near-copies among synthetic images nearest to its training images, beyond holdout's, less that
            of the others
    """

    column: str
    value: str
    patients: tuple[int, int]
    images: int
    rarity: float = 0.0
    reason: str = ""
    measures: Mapping[str, Measured] = field(default_factory=dict)


def subgroups(tables: Tables, seed: int, alpha: float = 0.001) -> list[Subgroup]:
    """Every value of every column, measured or not. alpha: the p that shuffles must be able to reach."""
    if not len(tables.holdout) or min(tables.train.n_patients, len(tables.synthetic)) < 2 * LEAST:
        return []
    found = [one for column in tables.groups for one in _counted(tables, column)]
    judged = {(one.column, one.value) for one in found if not one.reason}
    measures: dict[tuple[str, str], dict[str, Measured]] = {key: {} for key in judged}
    told = {column: tell(tables, column, seed) for column in tables.groups if any(column == c for c, _ in judged)}
    counted = {(one.column, one.value): one for one in found}
    present = _present(tables, told, counted, seed, alpha)
    seen = {column: by for column, by in told.items() if any(column == c for c, _ in present)}
    for name, results in (
        ("present", present),
        ("alone", _alone(tables, judged, seed, alpha)),
        ("shift", _shift(tables, seen, judged, seed, alpha)),
        ("copied", _copied(tables, judged, seed)),
    ):
        for key, measure in results.items():
            measures[key][name] = measure
    return [replace(one, measures=measures.get((one.column, one.value), {})) for one in found]


def _counted(tables: Tables, column: str) -> list[Subgroup]:
    """The values of a column, and which have patients enough, as have the others, to be measured."""
    train, holdout = tables.groups[column]

    def patients(table: Features, rows: Bools) -> int:
        return len(np.unique(table.owners[rows]))

    out = []
    for value in sorted({*train, *holdout} - {""}):
        count = patients(tables.train, train == value), patients(tables.holdout, holdout == value)
        others = (train != value) & (train != ""), (holdout != value) & (holdout != "")
        rest = patients(tables.train, others[0]), patients(tables.holdout, others[1])
        reason = ""
        if min(count) < LEAST:
            reason = f"{count[0]} train and {count[1]} holdout patients, {LEAST} of each are needed"
        elif min(rest) < LEAST:
            reason = f"too few others to compare with: {rest[0]} train and {rest[1]} holdout patients"
        share = sum(count) / max(sum(count) + sum(rest), 1)
        out.append(Subgroup(column, value, count, int((holdout == value).sum()), share, reason))
    return out


Key = tuple[str, str]  # column and value


def _present(
    tables: Tables, told: Mapping[str, Told | None], counted: Mapping[Key, Subgroup], seed: int, alpha: float
) -> dict[Key, Measured]:
    """Share among synthetic images over that among real patients; p of the likelihood ratio of a loss of MISSING.

    Of a synthetic set without a share MISSING of the subgroup, a row is 1 - MISSING x mark as likely as it is among
    real rows, to a constant. The sum of its logarithm over synthetic rows is held against sums after real and
    synthetic rows have changed places.
    """
    sides = np.concatenate([np.zeros(len(tables.one[0])), np.ones(len(tables.one[1])), ~tables.with_train])
    flags = np.arange(len(sides)) >= len(sides) - len(tables.synthetic)
    out: dict[Key, Measured] = {}
    ratios = []
    for (column, value), one in counted.items():
        by = told.get(column)
        if one.reason or by is None or value not in by.values:
            continue
        learned, held, made = by.mark(value)
        units = [
            _units(mark, table.owners, words, value)
            for mark, table, words in zip(
                (learned, held), (tables.train, tables.holdout), tables.groups[column], strict=True
            )
        ]
        own, others = (np.concatenate([units[0][i], units[1][i]]) for i in (0, 1))
        generator = rng(seed, "fairness", "weights")
        numbers = share_by_marks(made, own, others, one.rarity, generator)
        if numbers is None:
            continue
        again = _real(own, others, one.rarity, generator)
        ratios.append(np.log1p(-MISSING * np.concatenate([learned[tables.one[0]], held[tables.one[1]], made])))
        out[column, value] = Measured(numbers, again, 1.0)
    if ratios:
        p = shuffled(flags, np.stack(ratios, 1), alpha, rng(seed, "fairness", "present"), sides.astype(np.int64))
        out = {key: replace(one, p=float(x)) for (key, one), x in zip(out.items(), p, strict=True)}
    return out


def _real(own: Array, others: Array, rarity: float, generator: np.random.Generator) -> float:
    """The share of one half of the real patients told by the other half, over the share that is known."""
    marks, flags = np.concatenate([own, others]), np.arange(len(own) + len(others)) < len(own)
    here = generator.permutation(len(marks)) * 2 < len(marks)
    one, two = marks[~here & flags], marks[~here & ~flags]
    told = max(float(one.mean() - two.mean()), TELLING / 2) if len(one) and len(two) else 1.0
    return max(float(marks[here].mean() - two.mean()) / told / rarity, 0.0) if len(two) else 1.0


def _units(mark: Array, owners: Index, words: Words, value: str) -> tuple[Array, Array]:
    """Mean mark of each patient's images: of those of the subgroup, of those of the others."""
    out = []
    for rows in (words == value, (words != value) & (words != "")):
        _, who, count = np.unique(owners[rows], return_inverse=True, return_counts=True)
        out.append(np.asarray(np.bincount(who, mark[rows]) / count))
    return out[0], out[1]


def _alone(tables: Tables, judged: set[Key], seed: int, alpha: float) -> dict[Key, Measured]:
    """Share of its real images that nothing synthetic is near; p of the synthetic share of their neighbours.

    p is of the largest contrast of all subgroups of all columns.
    """
    near = Near.find(tables.train, tables.holdout, tables.synthetic, rng(seed, "fairness", "neighbours"))
    halves = [tables.train.take(tables.one[0][i::2]) for i in (0, 1)]
    real = Near.find(halves[0], tables.holdout, halves[1], rng(seed, "fairness", "real"))
    out: dict[Key, Measured] = {}
    contrasts = []
    for column, value in sorted(judged):
        holdout = tables.groups[column][1]
        mine, others = np.flatnonzero(holdout == value), np.flatnonzero((holdout != value) & (holdout != ""))
        one, two = (wilson(near.alone[rows], near.owners[rows]) for rows in (mine, others))
        again = (wilson(real.alone[rows], real.owners[rows])[0] for rows in (mine, others))
        out[column, value] = Measured(difference(one, two), next(again) - next(again), 1.0, (one[0], two[0]))
        contrasts.append(near.weights(others) - near.weights(mine))
    if not out:
        return {}
    sides = np.zeros(len(near.synthetic), np.int64)
    p = shuffled(near.synthetic, np.stack(contrasts, 1), alpha, rng(seed, "fairness", "alone"), sides, True)
    return {key: replace(one, p=float(x)) for (key, one), x in zip(out.items(), p, strict=True)}


@dataclass(frozen=True, eq=False)
class Near:
    """nearest: (h, NEAREST) the rows nearest to each holdout row, among train's and synthetic ones together.

    synthetic: (n,) which of those are; alone: (h,) no synthetic one among the nearest; owners: (h,) patients.
    """

    nearest: Index
    synthetic: Bools
    alone: Bools
    owners: Index

    @staticmethod
    def find(train: Features, holdout: Features, synthetic: Features, generator: np.random.Generator) -> "Near":
        """Among one image per train patient and as many synthetic ones, at most MOST; Euclidean distance."""
        sides = one_row(train, generator), generator.permutation(len(synthetic))
        n = min(MOST, len(sides[0]), len(sides[1]))
        pool = np.concatenate([train.values[sides[0][:n]], synthetic.values[sides[1][:n]]])
        order = generator.permutation(len(pool))  # equal rows tie, and their order must not favour a set
        found = np.asarray(cdist(holdout.values, pool[order]).argpartition(NEAREST - 1, 1)[:, :NEAREST])
        flags = np.asarray(order >= n)
        return Near(found, flags, np.asarray(~flags[found].any(1)), holdout.owners)

    def weights(self, rows: Index) -> Array:
        """(n,) what each row adds to the mean share of neighbours of holdout rows, every patient weighing the same."""
        _, who, count = np.unique(self.owners[rows], return_inverse=True, return_counts=True)
        own = np.repeat(1 / count[who] / len(count) / NEAREST, NEAREST)
        return np.asarray(np.bincount(self.nearest[rows].ravel(), own, minlength=len(self.synthetic)))


def _shift(
    tables: Tables, told: Mapping[str, Told | None], judged: set[Key], seed: int, alpha: float
) -> dict[Key, Measured]:
    """`shifts` of the images that look like each subgroup of each column that the classifiers can tell."""
    generator = rng(seed, "fairness", "shift")
    one = [rows[:ROWS] for rows in tables.one]
    made = [generator.permutation(np.flatnonzero(which))[:ROWS] for which in (tables.with_train, ~tables.with_train)]
    values = [tables.train.values[one[0]], tables.holdout.values[one[1]], *(tables.synthetic.values[m] for m in made)]
    curves, area = distributions(np.concatenate(values), tables.train.values)
    sets = np.repeat(np.arange(4), [len(v) for v in values])
    out: dict[Key, Measured] = {}
    for column, by in told.items():
        if by is None:
            continue
        looks = by.likeliest()
        words = np.concatenate([looks[0][one[0]], looks[1][one[1]], looks[2][made[0]], looks[2][made[1]]])
        enough = [v for v in by.values if min(np.bincount(sets[words == v], minlength=4)) >= LEAST]
        enough = [v for v in enough if (column, v) in judged]
        if len(enough) < 2:
            continue
        codes = np.array([enough.index(w) if w in enough else -1 for w in words])
        found = shifts(curves, area, sets, codes, alpha, generator)
        out |= {(column, v): measure for v, measure in zip(enough, found, strict=True)}
    return out


def _copied(tables: Tables, judged: set[Key], seed: int) -> dict[Key, Measured]:
    """Near-copies of each subgroup's training images: synthetic less holdout, less the same of the others.

    Near: d1 / d2, nearness to one training patient against the next, below the quantile NEAR of train's own. p:
    Fisher's, of as many near ones among synthetic rows if they change places with holdout's.
    """
    generator = rng(seed, "fairness", "copied")
    some = generator.permutation(len(tables.train))[:MOST]
    train = tables.train.take(some)
    own = one_row(train, generator)
    held = tables.one[1][:MOST]
    made = generator.permutation(len(tables.synthetic))[:MOST]
    first, second, index = by_distance(None)(train.values[own], train.owners[own], train.values, train.owners)
    asked = [(ratio(first, second), index)]
    asked += [nearest(train, values)[1:] for values in (tables.holdout.values[held], tables.synthetic.values[made])]
    threshold = float(np.quantile(asked[0][0], NEAR))
    near = [closeness <= threshold for closeness, _ in asked]
    out: dict[Key, Measured] = {}
    for column, value in sorted(judged):
        words = [tables.groups[column][0][some][index] for _, index in asked]

        def share(i: int, mine: bool, words: list[Words] = words, value: str = value) -> Numbers:
            rows = np.flatnonzero(words[i] == value if mine else (words[i] != value) & (words[i] != ""))
            return wilson(near[i][rows], rows) if len(rows) else (0.0, 0.0, 1.0)

        shares = [[share(i, mine) for mine in (True, False)] for i in range(3)]
        gap = difference(difference(shares[2][0], shares[1][0]), difference(shares[2][1], shares[1][1]))
        real = shares[0][0][0] - shares[1][0][0] - shares[0][1][0] + shares[1][1][0]
        hits = [int(near[i][words[i] == value].sum()) for i in (1, 2)]
        p = float(hypergeom.sf(hits[1] - 1, len(held) + len(made), sum(hits), len(made)))
        out[column, value] = Measured(gap, real, p, (shares[2][0][0], shares[2][1][0]))
    return out
