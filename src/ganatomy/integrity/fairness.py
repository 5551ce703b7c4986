"""Subgroups within one class: is one missing, and do the other gates come out worse for one than for another?

Knows tables of features and a value of each group column for each real row. Synthetic rows have none: see `assign`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import LOST, Features, prepare
from ganatomy.integrity.labels import ONE_SIDED, fit

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[Any]  # texts, of dtype object
Numbers = tuple[float, float, float]  # a value and its 95 % interval
Groups = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # column -> value of each train row, of each holdout row

PRESENT = 0.5  # bar: share of a subgroup among synthetic images, over that among real patients
ALONE = 0.2  # bar: share of its real images with nothing synthetic near, less that of the others
SHARE_PRESENT = 0.8  # of a subgroup's level: what the first of these two has
GAP = 1.0  # bar: difference between subgroups, in units of what the gate allows
MISSING = 0.75  # the loss of a subgroup that the test is sharpest for
NEAREST = 5  # neighbours of a real image, among training and synthetic ones together
TELLING = 0.1  # how much better than chance the classifier must tell a subgroup
DRAWS = 500  # weighted draws of rows behind an interval
LEAST = 10  # patients of a subgroup in train, and in holdout; images in synthetic
MOST = 2000  # rows of train and of synthetic that are looked for neighbours
VALUES = 8  # values of a column of numbers above which it is cut into thirds


class Gate(Protocol):
    """Another gate's function."""

    def __call__(
        self,
        space: str,
        label: str,
        train: Features,
        holdout: Features,
        synthetic: Features,
        /,
        *,
        seed: int,
        level: float,
    ) -> list[Finding]: ...


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

    kept: which of the holdout rows that were given are left in it.
    """

    train: Features
    holdout: Features
    synthetic: Features
    groups: dict[str, tuple[Words, Words]]
    kept: Bools
    note: str
    lost: float


def assemble(train: Features, holdout: Features, synthetic: Features, groups: Groups) -> Tables:
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
    return Tables(data.train, data.holdout, data.synthetic, words, whole[1], data.note, data.lost)


@dataclass(frozen=True, eq=False)
class Told:
    """What a classifier of train says of the rows: log-probability (n, values) of each value; train by
    cross-validation.
    """

    values: tuple[str, ...]
    train: Array
    holdout: Array
    synthetic: Array

    def likeliest(self) -> tuple[Words, Words, Words]:
        """The subgroup that each row of train, holdout and synthetic looks like most."""
        names = np.array(self.values, dtype=object)
        return names[self.train.argmax(1)], names[self.holdout.argmax(1)], names[self.synthetic.argmax(1)]


def tell(tables: Tables, column: str, seed: int) -> Told | None:
    """A classifier (`labels.fit`) of train's values of a column, weighted by how many patients each has.

    Synthetic images carry no group. This is how one is given to them; holdout's and train's images are told in the
    same way where they are compared. None where fewer than two values have LEAST train patients.
    """
    words, owners = tables.groups[column][0], tables.train.owners
    size = {v: len(np.unique(owners[words == v])) for v in sorted({*words} - {""})}
    values = tuple(v for v, n in size.items() if n >= LEAST)
    if len(values) < 2:
        return None
    rows = np.flatnonzero([w in values for w in words])
    codes = np.array([values.index(w) for w in words[rows]])
    classify, cross = fit(tables.train.values[rows], codes, owners[rows], seed)
    prior = np.log(np.array([size[v] for v in values]) / sum(size[v] for v in values))
    first = classify(tables.train.values)  # rows of other values; those that were learned from come next
    first[rows] = cross

    def posterior(log: Array) -> Array:
        return np.asarray(log + prior - logsumexp(log + prior, axis=1, keepdims=True))

    return Told(
        values, *(posterior(x) for x in (first, classify(tables.holdout.values), classify(tables.synthetic.values)))
    )


@dataclass(frozen=True)
class Subgroup:
    """One value of one column, among real images and synthetic ones.

    patients: in train, in holdout; images: in holdout; reason: why it was not measured, or ""
    present: its share among synthetic images / among real patients, with interval; of_train: the same of train, p
    alone: share of its holdout images with nothing synthetic near, less that of the others, with interval, the same
    where synthetic are half of train's patients, p; shares: of its images, of the others
    """

    column: str
    value: str
    patients: tuple[int, int]
    images: int
    reason: str = ""
    present: Numbers | None = None
    of_train: float = 1.0
    present_p: float = 1.0
    alone: Numbers | None = None
    alone_real: float = 0.0
    alone_p: float = 1.0
    shares: tuple[float, float] = (0.0, 0.0)


def subgroups(tables: Tables, seed: int, alpha: float = 0.001) -> list[Subgroup]:
    """Every value of every column, measured or not. alpha: the p that the draws must be able to reach."""
    if not len(tables.holdout) or min(tables.train.n_patients, len(tables.synthetic)) < 2 * LEAST:
        return []
    first = one_row(tables.holdout, rng(seed, "fairness", "patients"))
    near = Near.find(tables.train, tables.holdout, tables.synthetic, rng(seed, "fairness", "neighbours"))
    halves = one_row(tables.train, rng(seed, "fairness", "halves"))
    half = [tables.train.take(halves[i::2]) for i in (0, 1)]
    real = Near.find(half[0], tables.holdout, half[1], rng(seed, "fairness", "real"))
    found: list[Subgroup] = []
    marks: list[tuple[int, Array]] = []  # number of the subgroup, posterior of one row per patient and of synthetic
    contrasts: list[tuple[int, Array]] = []
    for column, (train, holdout) in tables.groups.items():
        told = tell(tables, column, seed)
        for value in sorted({*train, *holdout} - {""}):
            mine, others = np.flatnonzero(holdout == value), np.flatnonzero((holdout != value) & (holdout != ""))
            count = (_patients(tables.train, train == value), _patients(tables.holdout, holdout == value))
            rest = (
                _patients(tables.train, (train != value) & (train != "")),
                _patients(tables.holdout, (holdout != value) & (holdout != "")),
            )
            one = Subgroup(column, value, count, len(mine))
            if min(count) < LEAST:
                why = (
                    f"too small to judge: {count[0]} train and {count[1]} holdout patients, {LEAST} of each are needed"
                )
                found.append(replace(one, reason=why))
                continue
            if min(rest) < LEAST:
                why = f"too few others to compare with: {rest[0]} train and {rest[1]} holdout patients"
                found.append(replace(one, reason=why))
                continue
            two = [_wilson(near.alone[rows], near.owners[rows]) for rows in (mine, others)]
            one = replace(
                one,
                alone=_difference(*two),
                alone_real=_wilson(real.alone[mine], real.owners[mine])[0]
                - _wilson(real.alone[others], real.owners[others])[0],
                shares=(two[0][0], two[1][0]),
            )
            contrasts.append((len(found), near.weights(others) - near.weights(mine)))
            if told is not None and value in told.values:
                j = told.values.index(value)
                mark = [np.exp(x[:, j]) for x in (told.train, told.holdout, told.synthetic)]
                share = (count[0] + count[1], sum(count) + sum(rest))
                known = first[holdout[first] != ""]
                numbers = _present(mark[2], mark[1][known], holdout[known] == value, share, seed)
                if numbers is not None:
                    chosen = one_row(tables.train, rng(seed, "fairness", "train"))
                    again = _present(mark[0][chosen], mark[1][known], holdout[known] == value, share, seed)
                    one = replace(one, present=numbers, of_train=again[0] if again else 1.0)
                    marks.append((len(found), np.concatenate([mark[1][first], mark[2]])))
            found.append(one)
    if contrasts:
        x = np.stack([weights for _, weights in contrasts], 1)
        for (i, _), p in zip(contrasts, shuffled(near.synthetic, x, alpha, seed), strict=True):
            found[i] = replace(found[i], alone_p=float(p))
    if marks:
        flags = np.arange(len(marks[0][1])) >= len(first)
        # the likelihood ratio of a loss of MISSING of the subgroup, a sum over rows
        x = np.stack([np.log1p(-MISSING * mark) for _, mark in marks], 1)
        for (i, _), p in zip(marks, shuffled(flags, x, alpha, seed), strict=True):
            found[i] = replace(found[i], present_p=float(p))
    return found


def one_row(features: Features, generator: np.random.Generator) -> Index:
    """One random row of each patient, in random order."""
    order = generator.permutation(len(features))
    return np.asarray(order[np.sort(np.unique(features.owners[order], return_index=True)[1])])


def _patients(features: Features, rows: Bools) -> int:
    return len(np.unique(features.owners[rows]))


def _present(made: Array, held: Array, own: Bools, share: tuple[int, int], seed: int) -> Numbers | None:
    """Share of a subgroup among synthetic images, over that among real patients; None where the marks do not tell.

    made, held: mark (posterior) of synthetic and of holdout rows; own: which of the latter are of it; share: of how
    many real patients. The mean mark of a mixture is the mixture of mean marks (Forman 2008, quantification by
    means). Interval: rows weighted as by a bootstrap.
    """
    one, two, prior = held[own], held[~own], share[0] / share[1]
    if min(len(one), len(two)) < 5:
        return None
    told = one.mean() - two.mean()
    if told <= 3 * math.sqrt(one.var(ddof=1) / len(one) + two.var(ddof=1) / len(two)) or told < TELLING:
        return None
    value = (made.mean() - two.mean()) / told / prior
    generator = rng(seed, "fairness", "weights")
    a, b, c = (generator.multinomial(len(x), np.full(len(x), 1 / len(x)), DRAWS) @ x / len(x) for x in (made, one, two))
    shares = generator.beta(share[0], share[1] - share[0], DRAWS)
    low, high = np.quantile((a - c) / np.maximum(b - c, TELLING / 2) / shares, [0.025, 0.975])
    numbers = [max(float(x), 0.0) for x in (value, min(low, value), max(high, value))]
    return numbers[0], numbers[1], numbers[2]


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
        shuffled = generator.permutation(len(pool))  # equal rows tie, and their order must not favour a set
        nearest = np.asarray(cdist(holdout.values, pool[shuffled]).argpartition(NEAREST - 1, 1)[:, :NEAREST])
        flags = np.asarray(shuffled >= n)
        return Near(nearest, flags, np.asarray(~flags[nearest].any(1)), holdout.owners)

    def weights(self, rows: Index) -> Array:
        """(n,) what each row adds to the mean share of neighbours of holdout rows, every patient weighing the same."""
        _, who, count = np.unique(self.owners[rows], return_inverse=True, return_counts=True)
        own = np.repeat(1 / count[who] / len(count) / NEAREST, NEAREST)
        return np.asarray(np.bincount(self.nearest[rows].ravel(), own, minlength=len(self.synthetic)))


def _wilson(hits: Bools, owners: Index) -> Numbers:
    """Share of hits, every patient weighing the same, and Wilson's interval at the number of patients."""
    _, who, count = np.unique(owners, return_inverse=True, return_counts=True)
    p, n, z = float((hits / count[who]).sum() / len(count)), len(count), 1.959964
    centre, reach = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n)
    reach *= math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, min(centre - reach, p), max(centre + reach, p)


def _difference(one: Numbers, two: Numbers) -> Numbers:
    """one - two with the interval of Newcombe 1998 from their own; of any two estimates: Zou & Donner 2008."""
    value = one[0] - two[0]
    reach = math.hypot(one[0] - one[1], two[2] - two[0]), math.hypot(one[2] - one[0], two[0] - two[1])
    return value, value - reach[0], value + reach[1]


def shuffled(flags: Bools, columns: Array, alpha: float, seed: int) -> Array:
    """Exact p of mean over flagged - mean over other rows of each column, if rows change places; one-sided, high.

    Enough draws for p <= alpha; fewer where no column can reach it.
    """
    generator = rng(seed, "fairness", "shuffles")
    weights = np.where(flags, 1 / max(int(flags.sum()), 1), -1 / max(int((~flags).sum()), 1))
    seen = weights @ columns
    slack = 1e-9 * np.abs(columns).max(0)
    count, drawn = np.zeros(columns.shape[1]), 0
    most = int(np.clip(math.ceil(4 / alpha), 999, 20000))
    while drawn < most and count.min() < 20:
        some = generator.permuted(np.repeat(weights[None], 250, axis=0), axis=1)
        count += (some @ columns >= seen - slack).sum(0)
        drawn += 250
    return np.asarray((1 + count) / (1 + drawn))


def unreached(train: Features, holdout: Features, synthetic: Features, seed: int) -> Index:
    """Rows of holdout with nothing synthetic among their nearest: to be shown."""
    if min(len(train), len(holdout), len(synthetic)) < NEAREST:
        return np.empty(0, np.int64)
    tables = assemble(train, holdout, synthetic, {})
    if not tables.train.names or min(tables.train.n_patients, len(tables.synthetic)) < NEAREST:
        return np.empty(0, np.int64)
    near = Near.find(tables.train, tables.holdout, tables.synthetic, rng(seed, "fairness", "neighbours"))
    return np.asarray(np.flatnonzero(tables.kept)[near.alone])


def subgroup_table(train: Features, holdout: Features, synthetic: Features, groups: Groups, seed: int) -> pd.DataFrame:
    """One row per subgroup: patients, share among synthetic / real (present), share of real images left alone."""
    found: list[Subgroup] = []
    if min(len(train), len(holdout), len(synthetic)):
        tables = assemble(train, holdout, synthetic, groups)
        found = subgroups(tables, seed) if tables.train.names else []
    columns = {
        "column": [one.column for one in found],
        "value": [one.value for one in found],
        "train_patients": [one.patients[0] for one in found],
        "holdout_patients": [one.patients[1] for one in found],
        "present": [one.present[0] if one.present else math.nan for one in found],
        "alone": [one.shares[0] if one.alone else math.nan for one in found],
        "alone_others": [one.shares[1] if one.alone else math.nan for one in found],
        "note": [one.reason for one in found],
    }
    return pd.DataFrame(columns)


def fairness_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    groups: Groups,
    *,
    seed: int,
    level: float = 0.05 / 8,
    gates: Mapping[str, Gate] | None = None,
) -> list[Finding]:
    """Is a subgroup of real patients missing among the synthetic images, and do other gates come out worse for one?

    groups: column -> (value of each train row, of each holdout row), "" where unknown. gates: name -> function.

    present: share of a subgroup among synthetic images over that among real patients. Synthetic images carry no group:
        a classifier of train marks them (`tell`), and what it marks wrongly is known from holdout. p: the likelihood
        ratio of a loss, summed over rows.
    alone: share of the subgroup's holdout images with nothing synthetic among their NEAREST (of one training image
        per patient and as many synthetic ones), less that of the others. p: synthetic share of those neighbours.
    gates: run on the images that *look like* each subgroup, in all three sets alike, then compared (`gap_findings`).

    Null: synthetic images are images of other real patients; so they may change places with holdout's (present, one
    image per patient) or with train's (alone). p is exact, by 999 to 20000 shuffles. `level` is shared out over the
    subgroups, SHARE_PRESENT and the rest for the two measures; where gates are given half of it goes to them.
    """
    whole = partial(
        Finding, "fairness", f"subgroups, {space}", label, n_images=len(holdout), n_patients=holdout.n_patients
    )
    if not groups:
        return [whole(note="no group column (sex, age, site, scanner) is given")]
    for what, table in (("train", train), ("holdout", holdout), ("synthetic", synthetic)):
        if not len(table):
            return [whole(note=f"{what} has no image of this class")]
    tables = assemble(train, holdout, synthetic, groups)
    if not tables.train.names:
        return [whole(note="; ".join(filter(None, ["no feature varies in train", tables.note])))]
    count = sum(len({*t, *h} - {""}) for t, h in tables.groups.values())
    if not count:
        return [whole(note=f"no real image of this class has a value of {', '.join(groups)}")]
    alpha = level / count / (2 if gates else 1)
    least = alpha * min(SHARE_PRESENT, 1 - SHARE_PRESENT)
    measured = subgroups(tables, seed, least)
    if not measured:
        why = (
            f"train has {tables.train.n_patients} patients and synthetic {len(tables.synthetic)} images of this class, "
        )
        return [whole(note=f"{why}{2 * LEAST} of each are needed")]
    found = [finding for one in measured for finding in _about(one, space, label, alpha, tables)]
    for column in tables.groups if gates else ():
        found += _per_subgroup(space, label, tables, column, seed, alpha, gates or {})
    return found


def _named(label: str, column: str, value: str = "") -> str:
    return ", ".join(filter(None, [label, f"{column} {value}".strip()]))


def _about(one: Subgroup, space: str, label: str, alpha: float, tables: Tables) -> list[Finding]:
    """The two findings on one subgroup, or one that says why there are none."""
    finding = partial(
        Finding,
        "fairness",
        subject=_named(label, one.column, one.value),
        n_images=one.images,
        n_patients=one.patients[1],
    )
    present, alone = f"subgroup present, {space}", f"real images of the subgroup left alone, {space}"

    def judged(
        name: str, numbers: Numbers, yardstick: float, bar: tuple[str, float], shown: bool, told: str
    ) -> Finding:
        value, low, high = numbers
        sign = 1 if bar[0] == "<=" else -1
        room = sign * (bar[1] - value)
        reach = ONE_SIDED * abs((high if sign > 0 else low) - value)
        state, notes = INCONCLUSIVE, [told]
        if room < 0 and shown:
            state = FAIL
        elif reach <= room and tables.lost <= LOST:
            state = PASS
        elif reach <= room:
            notes.append("too many synthetic images have undefined features for a pass")
        elif room < 0:
            notes.append("this could be chance: more holdout patients of this subgroup would decide")
        else:
            need = math.ceil(one.patients[1] * min((reach / max(room, 1e-9)) ** 2, 20) / 5) * 5
            notes.append(f"too few to exclude a difference that matters: {need} holdout patients of this subgroup, ")
            notes[-1] += f"and {need * one.patients[0] // one.patients[1]} of train, would be enough"
        note = "; ".join(filter(None, [*notes, tables.note]))
        return finding(name=name, value=value, low=low, high=high, yardstick=yardstick, bar=bar, state=state, note=note)

    if one.reason or one.alone is None:
        return [finding(name=present, note=one.reason)]
    told = f"{one.shares[0]:.0%} of the real images of this subgroup have nothing synthetic among their {NEAREST} "
    told += f"nearest, {one.shares[1]:.0%} of the others (p = {one.alone_p:.2g})"
    shown = one.alone_p <= alpha * (1 - SHARE_PRESENT)
    second = judged(alone, one.alone, one.alone_real, ("<=", ALONE), shown, told)
    if one.present is None:
        why = f"synthetic images carry no {one.column}, and a classifier of train cannot tell who is of "
        return [finding(name=present, note=f"{why}this subgroup: whether it is missing cannot be seen"), second]
    told = (
        f"synthetic images hold {one.present[0]:.2f} times the share of this subgroup that real patients have (told by "
    )
    told += f"a classifier of train, for synthetic images carry no {one.column}; p = {one.present_p:.2g})"
    shown = one.present_p <= alpha * SHARE_PRESENT
    return [judged(present, one.present, one.of_train, (">=", PRESENT), shown, told), second]


def _per_subgroup(
    space: str, label: str, tables: Tables, column: str, seed: int, alpha: float, gates: Mapping[str, Gate]
) -> list[Finding]:
    """Every gate on the images that look like each subgroup of one column, and the gaps."""
    finding = partial(
        Finding,
        "fairness",
        f"gates per subgroup, {space}",
        n_images=len(tables.holdout),
        n_patients=tables.holdout.n_patients,
    )
    about = _named(label, column)
    told = tell(tables, column, seed)
    if told is None:
        return [finding(about, note=f"fewer than two subgroups have {LEAST} train patients")]
    looks, true = told.likeliest(), tables.groups[column][1]
    seen = [v for v in told.values if (true == v).any()]
    right = float(np.mean([(looks[1] == true)[true == v].mean() for v in seen])) if seen else 0.0
    if len(seen) < 2 or right < 1 / len(told.values) + TELLING:
        why = f"synthetic images carry no {column}, and a classifier of train is right for {right:.0%} of the holdout "
        return [finding(about, note=f"{why}images only (mean over subgroups), so none is assigned")]
    found: list[Finding] = []
    by_value: dict[str, list[Finding]] = {}
    sets = (tables.train, tables.holdout, tables.synthetic)
    for value in told.values:
        parts = [t.take(np.flatnonzero(w == value)) for t, w in zip(sets, looks, strict=True)]
        subject = _named(label, column, value)
        have = (parts[0].n_patients, parts[1].n_patients, len(parts[2]))
        if min(have) < LEAST:
            why = (
                f"too small to judge: images of {have[0]} train and {have[1]} holdout patients and {have[2]} synthetic "
            )
            found.append(finding(subject, note=f"{why}images look like this subgroup, {LEAST} of each are needed"))
            continue
        for gate in gates.values():
            some = gate(space, subject, *parts, seed=seed, level=alpha / len(gates))
            how = f"of images that look like this subgroup to a classifier of train, which is right for {right:.0%}"
            some = [replace(f, gate="fairness", note="; ".join(filter(None, [f.note, how]))) for f in some]
            found += some
            by_value.setdefault(value, []).extend(some)
    return found + gap_findings(about, by_value)


def gap_findings(subject: str, by_value: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    """How much worse a measure is in its worst subgroup than in its best, in units of what the measure allows.

    by_value: subgroup -> findings. A measure's value is put on a scale where 0 is its yardstick and 1 its bar, so that
    subgroups of different size can be compared; the interval of the difference is Zou & Donner's. It fails only where
    the worst subgroup fails by itself and the best does not, so that it adds no false alarm.
    """
    names = list(dict.fromkeys(f.name for found in by_value.values() for f in found))
    out = []
    for name in names:
        scaled = []
        for word, found in by_value.items():
            for f in found:
                if f.name != name or f.bar is None or None in (f.value, f.low, f.high, f.yardstick):
                    continue
                assert f.value is not None and f.low is not None and f.high is not None and f.yardstick is not None
                unit = f.bar[1] - f.yardstick
                if (unit > 0) != (f.bar[0] == "<=") or abs(unit) < 1e-9:
                    continue  # the yardstick itself is beyond the bar: no unit
                three = sorted((x - f.yardstick) / unit for x in (f.value, f.low, f.high))
                scaled.append((three[1], three[0], three[2], word, f))
        finding = partial(Finding, "fairness", f"gap of {name}", subject)
        if len(scaled) < 2:
            out.append(finding(note="fewer than two subgroups could be measured"))
            continue
        worst, best = max(scaled, key=lambda x: x[0]), min(scaled, key=lambda x: x[0])
        value = worst[0] - best[0]
        _, low, high = _difference(worst[:3], best[:3])
        note = (
            f"worst for {worst[3]} ({worst[4].value:.3g}), best for {best[3]} ({best[4].value:.3g}); 1 is all that the "
        )
        note += "measure allows"
        state = INCONCLUSIVE
        if value > GAP and low > 0 and worst[4].state == FAIL and best[4].state != FAIL:
            state = FAIL
        elif high <= GAP:
            state = PASS
        else:
            note += "; more holdout patients of these subgroups would narrow the interval"
        images, patients = (sum(getattr(x[4], key) for x in scaled) for key in ("n_images", "n_patients"))
        out.append(
            finding(
                value=value,
                low=low,
                high=high,
                yardstick=0.0,
                bar=("<=", GAP),
                n_images=images,
                n_patients=patients,
                state=state,
                note=note,
            )
        )
    return out
