"""Does a change of scanner, protocol or view keep the label? Asked of real images: p(y|x) = p(y|T(x)), tested.

Knows tables, decisions and patients, and how to apply data.acquisition to images with what measures and classifies
them, which it is given. Does not know networks, nor any feature's meaning.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding, judge
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, option
from ganatomy.data.acquisition import changed, transforms
from ganatomy.integrity.change import (
    Numbers,
    Real,
    area,
    associated,
    lost,
    median_interval,
    share,
    shifts,
)
from ganatomy.integrity.features import LOST, Features
from ganatomy.integrity.paired import lin

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Images = NDArray[np.generic]

GATE, TRIED = "invariance", "augmentation"  # of a transform that training used, of one that it did not
NAMES = ("accuracy lost", "changed features")
LEAST = 10  # patients of each class
AGREEING = 0.75  # concordance from which agreement is called good (Koo & Li 2016)
NAMED = 3  # features named in a note
COLUMNS = (
    "class",
    "transform",
    "kind",
    "name",
    "before",
    "after",
    "change",
    "low",
    "high",
    "concordance",
    "associated",
    "n_patients",
)


@dataclass(frozen=True)
class Invariance(Settings):
    """Bars of the gate invariance."""

    lost_accuracy: float = option(0.05, "balanced accuracy that a harmless transform may cost")
    feature_shift: float = option(0.2, "shift of a feature by a transform that matters", "robust sd within a class")
    changed_features: float = option(0.1, "share of the class's features that a harmless transform may shift")

    invariance_images: int = option(300, "real images of the holdout that transforms are tried on, at most")

    def __post_init__(self) -> None:
        for name in ("lost_accuracy", "changed_features"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise SettingsError(f"--{name.replace('_', '-')} is a share from 0 to below 1, not {value:g}")
        if self.feature_shift <= 0:
            raise SettingsError(f"--feature-shift needs a number above 0, not {self.feature_shift:g}")
        if self.invariance_images < 2 * LEAST:
            raise SettingsError(f"--invariance-images needs {2 * LEAST} or more, not {self.invariance_images}")


def invariance(
    label: str,
    transform: str,
    before: Features,
    after: Features,
    decided: tuple[Array, Array] | None,
    labels: Sequence[str],
    patients: Sequence[str],
    *,
    classes: Sequence[str] = (),
    level: float,
    bars: Invariance = Invariance(),
    used: bool = False,
    note: str = "",
) -> tuple[list[Finding], pd.DataFrame]:
    """Whether one transform of the same real images keeps the label: by decisions and by features.

    before, after: features of the images, row by row the same images; labels, patients: of the rows, all classes
    decided: class probabilities (n, k) before and after, columns in the order of classes (sorted(set(labels)) where
    none are given), of a classifier that has seen neither these patients nor this transform; None where there is none
    note: what is added to each note; label: a word before the transform in the findings' subject, or ""
    used: whether training used the transform. The gate is then GATE, else TRIED: which transforms this cohort would
    bear is worth knowing, and no fault of a set that was made without them.

    - accuracy lost: balanced accuracy of the decisions for the true label, before less after, paired. What a transform
      turns from right to wrong beyond what it turns from wrong to right: decisions that change evenly are a
      classifier's doubt, not another label; how many change is in the note and the table.
    - changed features: share of the features that go with the class whose median shift over patients is beyond
      feature_shift; of all features where none goes with it.

    Null: what the transform does to new patients lies within the bar. It speaks of real images, a transform and a
    classifier, not of any synthetic set. Patients alone are chance; transform (one draw) and classifier are held fixed.
    FAIL: the interval at `level` / 2 lies beyond the bar (features: exact sign tests, Bonferroni over features and
    directions). PASS: the 95 % interval lies within. A classifier that tells the classes hardly better than chance
    judges nothing. A loss shows that the classifier's reading of the label is not kept; where the classifier has never
    seen such images this may be its fault. Nothing is resampled.
    """
    names = tuple(classes) or tuple(sorted(set(labels)))
    index = {name: i for i, name in enumerate(names)}
    codes = np.array([index[name] for name in labels], np.int64)
    owners = np.unique(np.array(list(patients), dtype=str), return_inverse=True)[1].astype(np.int64)
    real = Real(codes, owners, len(names))
    if before.names != after.names or not len(before) == len(after) == len(codes) == len(owners):
        raise ValueError("before and after need the same features of the same images, each with a label and a patient")
    subject = f"{label}: {transform}" if label else transform
    n = len(np.unique(owners))
    finding = partial(Finding, GATE if used else TRIED, subject=subject, n_images=len(codes), n_patients=n)
    ends = f"; {note}" if note else ""
    if not len(codes) or real.patients < LEAST:
        few = real.patients if len(codes) else 0
        why = f"there are {few} patients of a class, this comparison needs {LEAST}{ends}"
        return [finding(name, note=why) for name in NAMES], pd.DataFrame(columns=list(COLUMNS))
    part = level / len(NAMES)
    decisions, rows = _decisions(finding, decided, real, part, bars, ends)
    features, more = _features(finding, before, after, real, part, bars, ends)
    table = pd.DataFrame([*rows, *more], columns=list(COLUMNS[2:]))
    table.insert(0, "class", label)
    table.insert(1, "transform", transform)
    return [decisions, features], table


Row = tuple[Any, ...]  # COLUMNS from `kind` on


def _decisions(
    finding: Callable[..., Finding],
    decided: tuple[Array, Array] | None,
    real: Real,
    alpha: float,
    bars: Invariance,
    ends: str,
) -> tuple[Finding, list[Row]]:
    name, kinds = NAMES[0], len(np.unique(real.codes))
    if decided is None or kinds < 2:
        why = "there is no classifier whose decisions could change" if decided is None else "there is only one class"
        return finding(name, note=why + ends), []
    p, q = (np.asarray(x, np.float64) for x in decided)
    if p.shape != q.shape or p.shape != (len(real.codes), real.k):
        raise ValueError(f"decisions of {len(real.codes)} images on {real.k} classes cannot have the shape {p.shape}")
    right, still, flipped = p.argmax(1) == real.codes, q.argmax(1) == real.codes, p.argmax(1) != q.argmax(1)
    patients = len(np.unique(real.owners))

    skill, chance = share(right, real, 0.05), 1 / kinds
    accuracy = skill[0], real.mean(still.astype(np.float64))[0]
    (before, one), (after, two) = area(p, real), area(q, real)
    told = (
        f"balanced accuracy {accuracy[0]:.3f} before, {accuracy[1]:.3f} after; AUC {before:.3f}, {after:.3f}; "
        f"{int(flipped.sum())} of {len(p)} images are decided otherwise, {int((right & ~still).sum())} now wrongly, "
        f"{int((still & ~right).sum())} now rightly"
    )
    loss, sure = lost(right, still, real, 0.05), lost(right, still, real, 2 * alpha)
    bar = ("<=", bars.lost_accuracy)
    if skill[1] < chance + 2 * bar[1]:  # else all that it knows could be lost within the bar
        state = INCONCLUSIVE
        told = (
            f"the classifier itself has a balanced accuracy of {skill[0]:.2f} ({skill[1]:.2f} to {skill[2]:.2f}) where "
            f"{chance:.2f} is chance, so its decisions say little of the label; {told}"
        )
    else:
        state, told = _settle(loss, sure[1], bar, patients, told)
    found = finding(name, value=loss[0], low=loss[1], high=loss[2], bar=bar, state=state, note=told + ends)

    reach, nan = float(t.isf(0.025, real.patients - 1)), math.nan
    truth = np.eye(real.k)[real.codes]
    brier = [((x - truth) ** 2).sum(1) for x in (p, q)]
    score, variance = real.mean(brier[1] - brier[0])
    area_error, brier_error = reach * math.sqrt(real.variance(two - one)), reach * math.sqrt(variance)
    gap = after - before
    briers = [real.mean(x)[0] for x in brier]
    numbers: list[tuple[str, tuple[float, ...]]] = [
        ("changed decisions", (nan, nan, *share(flipped, real, 0.05))),
        ("balanced accuracy", (*accuracy, -loss[0], -loss[2], -loss[1])),
        ("AUC", (before, after, gap, gap - area_error, gap + area_error)),
        ("Brier score", (*briers, score, score - brier_error, score + brier_error)),
    ]
    # sums of many small numbers end in digits that mean nothing
    return found, [("decisions", what, *(round(x, 4) for x in five), nan, False, patients) for what, five in numbers]


def _features(
    finding: Callable[..., Finding],
    before: Features,
    after: Features,
    real: Real,
    alpha: float,
    bars: Invariance,
    ends: str,
) -> tuple[Finding, list[Row]]:
    moved, varies, gone = shifts(before, after, real)
    if not varies.any():
        return finding(NAMES[1], note=f"no feature varies among the real images{ends}"), []
    several = len(np.unique(real.codes)) > 1
    telling = associated(before.values, real) & varies if several else np.zeros(len(varies), np.bool_)
    counted = telling if telling.any() else varies
    m, limit, bar = int(counted.sum()), bars.feature_shift, ("<=", bars.changed_features)
    rows = [_row(before, after, moved[j], int(j), bool(telling[j])) for j in np.flatnonzero(varies)]
    own = np.flatnonzero(counted)
    typical = {int(j): float(np.median(moved[j])) for j in own if len(moved[j])}
    beyond = sorted((j for j, x in typical.items() if abs(x) > limit), key=lambda j: -abs(typical[j]))
    shown, certain = (sum(_beyond(moved[j], a / m, limit) for j in own) for a in (alpha, 0.05))
    kept = sum(_within(moved[j], limit) and gone[j] <= LOST for j in own)
    value, low, high = len(beyond) / m, min(certain, len(beyond)) / m, max(1 - kept / m, len(beyond) / m)

    which = "features" + (" that go with the class" if telling.any() else " (none goes with the class)" * several)
    told = f"{len(beyond)} of {m} {which} shift by more than {limit:g} of their spread"
    if beyond:
        told += ": " + ", ".join(f"{before.names[j]} ({typical[j]:+.2f})" for j in beyond[:NAMED])
        told += ", ..." * (len(beyond) > NAMED)
    if lose := int((gone[own] > LOST).sum()):
        told += f"; {lose} become undefined in more than {LOST * 100:.0f} % of images"
    mine = {before.names[j] for j in own}
    if poor := sum(row[1] in mine and float(row[7]) < AGREEING for row in rows):
        told += f"; {poor} have a concordance below {AGREEING:g} with themselves"
    state = FAIL if shown / m > bar[1] else PASS if high <= bar[1] else INCONCLUSIVE
    if state == INCONCLUSIVE:
        patients = len(np.unique(real.owners))
        told += f"; {m - kept - shown} lie too near to that to be told with {patients} patients"
    found = finding(NAMES[1], value=value, low=float(low), high=float(high), bar=bar, state=state, note=told + ends)
    return found, rows


def _row(before: Features, after: Features, moved: Array, j: int, telling: bool) -> Row:
    """One feature's row of the table. moved: each patient's standardised change."""
    both = np.isfinite(before.values[:, j]) & np.isfinite(after.values[:, j])
    x, y = before.values[both, j], after.values[both, j]
    if not len(moved):
        return ("feature", before.names[j], *(math.nan,) * 6, telling, 0)
    middle = x.mean()  # so that squares lose no digits
    agree = float(lin((y - middle)[:, None], (x - middle)[:, None])[0])
    medians = float(np.median(x)), float(np.median(y))
    return ("feature", before.names[j], *medians, *median_interval(moved, 0.05), agree, telling, len(moved))


def _beyond(moved: Array, alpha: float, limit: float) -> bool:
    low, high = median_interval(moved, alpha)[1:]
    return low > limit or high < -limit


def _within(moved: Array, limit: float) -> bool:
    low, high = median_interval(moved, 0.05)[1:]
    return -limit <= low and high <= limit


def _settle(numbers: Numbers, least: float, bar: tuple[str, float], patients: int, told: str) -> tuple[str, str]:
    """State and note: fail only if the lower limit at the level lies beyond the bar."""
    state = judge(*numbers, bar)
    if state == FAIL and least <= bar[1]:
        state = INCONCLUSIVE
    if state == INCONCLUSIVE:
        value, low, high = numbers
        gap = abs(bar[1] - value)
        reach = high - value if value <= bar[1] else value - min(least, low)
        if gap < reach / 5:
            told += "; it lies at the bar itself, where more patients hardly help"
        else:
            told += f"; about {10 * math.ceil(patients * max((reach / gap) ** 2, 1.1) / 10)} patients would settle it"
    return state, told


# ------------------------------------------------------------ every transform


def spread(labels: Sequence[str], patients: Sequence[str], seed: int, most: int) -> Index:
    """At most `most` rows, as many of each class as can be, and of as many patients as can be; in order."""
    draw, owners = rng(seed, "invariance", "rows"), np.asarray(list(patients), dtype=str)
    order = draw.permutation(len(owners))
    turn = np.zeros(len(owners), np.int64)  # which of its patient's images of this class a row is
    seen: dict[tuple[str, str], int] = {}
    for i in order:
        key = (owners[i], labels[i])
        turn[i] = seen.get(key, 0)
        seen[key] = turn[i] + 1
    rows, left = [], most
    counts = {name: list(labels).count(name) for name in set(labels)}
    for number, name in enumerate(sorted(counts, key=lambda name: (counts[name], name))):  # what small ones leave
        own = order[[labels[i] == name for i in order]]
        rows.append(own[np.argsort(turn[own], kind="stable")][: left // (len(counts) - number)])
        left -= len(rows[-1])
    return np.sort(np.concatenate(rows)) if rows else np.empty(0, np.int64)


def invariances(
    label: str,
    images: Images,
    labels: Sequence[str],
    patients: Sequence[str],
    *,
    measure: Callable[[Images], pd.DataFrame],
    classify: Callable[[Images], Array] | None,
    classes: Sequence[str] = (),
    unit: str = "",
    spacing: float = 0.0,
    background: float | None = None,
    used: Collection[str] = (),
    taught: Collection[str] = (),
    seed: int,
    level: float,
    bars: Invariance = Invariance(),
) -> tuple[list[Finding], pd.DataFrame]:
    """`invariance` of every transform that there is for the unit, on some of the real images; and what was left out.

    images: (n, C, H, W) or (n, C, D, H, W) of the holdout in physical units; labels, patients: of each
    measure, classify: images -> features (n, d) and class probabilities (n, k), with whatever every image goes
    through first (window, type); classify may be None
    used: names of the transforms that training used; taught: of those that the classifier was trained with, by
    decisions of which nothing is learned
    level is shared out equally over the transforms.
    """
    rows = spread(labels, patients, seed, bars.invariance_images)
    whose, what = [patients[i] for i in rows], [labels[i] for i in rows]
    people = {name: len({who for who, of in zip(whose, what, strict=True) if of == name}) for name in set(what)}
    if not len(rows) or min(people.values()) < LEAST:  # one sentence instead of one for each transform
        few = f"{min(people, key=lambda name: people[name])} has {min(people.values())}" if people else "there are none"
        why = f"changes of the images were not tried: {LEAST} holdout patients of each class are needed, and {few}"
        gate, count = GATE if used else TRIED, len(set(whose))
        return [Finding(gate, NAMES[0], label, n_images=len(rows), n_patients=count, note=why)], _empty()
    names = tuple(classes) or tuple(sorted(set(labels)))
    before = images[rows]

    def seen(stack: Images) -> Features:
        table = measure(stack)
        return Features(table.to_numpy(np.float64), tuple(map(str, table.columns)), tuple(whose))

    first, says = seen(before), None if classify is None else classify(before)
    every = transforms(unit, images.shape[2:], spacing)
    left = {change.name: change.reason for change in every if change.reason}
    findings: list[Finding] = []
    tables = [_empty()]
    for change in every:
        if change.name in left:
            continue
        after = changed(change, before, rng(seed, "invariance", change.name), background)
        if (after == before).reshape(len(rows), -1).all(1).mean() > 0.5:
            left[change.name] = "it leaves most of these images as they are"
            continue
        blind = change.name in taught
        decided = None if classify is None or says is None or blind else (says, classify(after))
        note = change.does + "; the classifier was trained on it, so its decisions cannot speak against it" * blind
        found, table = invariance(
            label, change.name, first, seen(after), decided, what, whose, classes=names,
            level=level / len(every), bars=bars, used=change.name in used, note=note,
        )  # fmt: skip
        findings += found
        tables.append(table)
    if left:
        same = {why: ", ".join(name for name in left if left[name] == why) for why in left.values()}
        note = "; ".join(f"{which} ({why})" for why, which in same.items())
        findings.append(Finding(TRIED, "transforms left out", label, note=note))
    if len(rows) < len(labels):
        more = f"tried on {len(rows)} of {len(labels)} holdout images (--invariance-images)"
        findings = [replace(f, note=f"{f.note}; {more}") if f.state == INCONCLUSIVE else f for f in findings]
    return findings, pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=list(COLUMNS))
