"""Do synthetic labels mean what real labels mean? Wrong labels, caricature and associations, over all classes.

Knows one table of features per class, whose rows they are, and which difference would matter. Does not know images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.association import (
    aucs,
    comparisons,
    excess_information,
    exchange_means,
    exchange_squares,
    gap_errors,
    per_unit,
    placements,
    typical,
)
from ganatomy.integrity.classifier import Unseen, class_odds, cross_fitted, odds_against
from ganatomy.integrity.features import LOST, Features
from ganatomy.integrity.labelled import Real, Tables, assemble

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Numbers = tuple[float, float, float]  # a value and its 95 % interval

SHARPEST = 0.1  # share of wrong labels that the test is sharpest for
ASSOCIATED = 0.1  # |AUC - 0.5| above which a feature is said to be associated with the class
TELLING = 0.55  # AUC of the classifier on real patients below which it can say nothing of labels
MOST_INFORMED = 500  # rows of each class and set whose mutual information is estimated
ONE_SIDED = 1.644854 / 1.959964  # of the reach of a 95 % interval: that of a one-sided 95 % bound
SHARES = {"wrong": 0.6, "caricature": 0.15, "association": 0.25}  # of this gate's level
NAMES = {
    "wrong": "wrong labels",
    "caricature": "caricature of the classes",
    "association": "associations with the class",
}
COLUMNS = ("class", "feature", "AUC", "AUC_real", "AUC_train", "I", "I_real")


@dataclass(frozen=True)
class Labels(Settings):
    """Bars of the gate labels.

    wrong_labels: labels of which a share e is wrong at random are worth (1 - 2 e)^2 as many right ones: three quarters
    at 0.07. caricature: a quarter further apart raises an AUC of 0.80 to 0.85, and one of 0.90 to 0.95.
    association_margin: 0.05 is the difference of AUC that reader studies are commonly planned for.
    """

    wrong_labels: float = option(0.07, "share of synthetic labels that may be wrong")
    caricature: float = option(1.25, "how many times as far apart as real classes synthetic ones may lie")
    association_margin: float = option(0.05, "difference of a feature's AUC for the class that matters")

    def __post_init__(self) -> None:
        for flag, value in (("wrong-labels", self.wrong_labels), ("association-margin", self.association_margin)):
            if not 0 < value < 0.5:
                raise SettingsError(f"--{flag} is a share above 0 and below 0.5, not {value}")
        if not self.caricature > 1:
            raise SettingsError(f"--caricature is a factor above 1, not {self.caricature}")


def labels(
    space: str,
    classes: Sequence[str],
    train: Mapping[str, Features],
    holdout: Mapping[str, Features],
    synthetic: Mapping[str, Features],
    *,
    seed: int,
    level: float = 0.05 / 8,
    bars: Labels = Labels(),
) -> tuple[list[Finding], pd.DataFrame]:
    """Do the labels of synthetic images mean what those of real patients mean? All classes at once: findings, table.

    Real patients, of train and of holdout together, are compared with synthetic images. A classifier of features is
    fitted to real patients and judges patients whom it has not seen (`classifier.cross_fitted`).

    wrong: share of wrong labels, (mean score - that of real labels) / (that if all were wrong - that of real labels).
        Score: the likelihood ratio of a label wrong in SHARPEST of the images, which is bounded (quantification by a
        mean of scores, Forman 2008).
    caricature: how many times as far apart as real classes the classifier finds synthetic ones: d' = sqrt(2)
        ndtri(AUC) of its log-odds (Green & Swets 1966), synthetic / real.
    association: AUC of each feature alone, class against rest: typical (root mean square) difference that sampling
        does not explain. Its note counts the features that point the other way.

    Null: synthetic images are images of other real patients; then they change places with real patients within each
    class: one image each for association, the mean over their images for the others, whose difference is divided by
    its standard error. 999 to 20000 exchanges; `level` is shared out by SHARES. A class without synthetic images (a
    generator may make only the rare one) has the real rows on both sides. Yardstick: train's patients in the place of
    synthetic, holdout's in the place of real.

    Table: a row per class (of two, the second) and feature: AUC against the rest in synthetic, holdout and train;
    I, I_real: mutual information with the class, all classes together, in synthetic and in real images (nats; Ross
    2014, less the shuffled). Empty where there is nothing to compare.
    """
    sets = [side[c] for side in (train, holdout) for c in classes if c in side]
    call = _Call(space, level, sum(map(len, sets)), len({who for one in sets for who in one.patients}))
    tables = assemble(classes, train, holdout, synthetic, seed)
    if isinstance(tables, str):
        empty = {name: pd.Series(dtype=object if i < 2 else float) for i, name in enumerate(COLUMNS)}
        return [call.finding(key, note=tables) for key in NAMES], pd.DataFrame(empty)
    least = int(np.bincount(tables.real.unit_codes).min())
    call = _Call(space, level, call.images, call.patients, least, tables.note, tables.lost)
    facts = _information(tables, seed)
    found, table = _by_association(call, tables, facts, bars, seed)
    return [*_by_classifier(call, tables, facts, bars, seed), found], table


@dataclass(frozen=True)
class _Call:
    """What every finding of one call shares. least: real patients of the smallest class; note, lost: `prepare`'s."""

    space: str
    level: float
    images: int
    patients: int
    least: int = 0
    note: str = ""
    lost: float = 0.0

    def finding(self, key: str, **numbers: Any) -> Finding:
        name = f"{NAMES[key]}, {self.space}"
        return Finding("labels", name, n_images=self.images, n_patients=self.patients, **numbers)

    def judged(self, key: str, numbers: Numbers, yardstick: float, bar: float, p: float, told: str) -> Finding:
        """FAIL: p at this finding's share of the level, and beyond the bar. PASS: one-sided 95 % bound within it."""
        value, low, high = numbers
        room, reach = bar - value, ONE_SIDED * (high - value)
        notes = [told]
        if room < 0 and p <= self.level * SHARES[key]:
            state = FAIL
        elif reach <= room and self.lost <= LOST:
            state = PASS
        else:
            state = INCONCLUSIVE
            need = math.ceil(self.least * (max(reach, 1e-9) / max(room, 1e-9)) ** 2 / 10) * 10
            if reach <= room:
                notes.append("too many synthetic images have undefined features for a pass")
            elif room < 0:
                notes.append(f"this could be chance (p = {p:.2g}): more patients would decide")
            elif need <= 20 * self.least:
                notes.append(
                    f"too few to exclude a difference that matters: about {need} patients of each class, in train and "
                    "holdout together, and as many synthetic images would be enough"
                )
            else:
                notes.append("the value is so near the bar that only many times as many patients would decide")
        note = "; ".join(filter(None, [*notes, self.note]))
        value, low, high = (float(max(x, 0.0)) for x in (value, min(low, value), max(high, value)))
        limit = ("<=", bar)
        return self.finding(
            key, value=value, low=low, high=high, yardstick=max(yardstick, 0.0), bar=limit, state=state, note=note
        )


def _score(log: Array, codes: Index) -> Array:
    """(n,) (r - 1) / (1 + SHARPEST (r - 1)), r = likelihood under the other classes / under the label: 0 on average."""
    more = np.expm1(np.minimum(odds_against(log, codes), 30))
    return np.asarray(more / (1 + SHARPEST * more))


def _class_means(values: Array, codes: Index, classes: Sequence[int]) -> Array:
    """(classes,) or (classes, columns) mean of the rows of each class."""
    return np.array([values[codes == c].mean(0) for c in classes])


def _separation(odds: Array, codes: Index, k: int, weight: Array, fold: Index) -> tuple[Array, float]:
    """(n,) what each row adds to the classifier's AUC, the mean over the comparisons within each fold; and that AUC."""
    cards, j = np.zeros((len(codes), len(comparisons(k)))), np.arange(len(comparisons(k)))
    for f in np.unique(fold):
        own = fold == f
        cards[own] = placements(odds[own], codes[own], k, weight[own])[:, j, np.array(comparisons(k))]
    area = aucs(cards[:, :, None], codes, k, weight)
    return np.asarray(cards.mean(1)), float(area.mean())


def _distance(area: float, n: int) -> tuple[float, float]:
    """d' of an AUC, and its derivative; an AUC of 1 counts as half a row short of it."""
    z = float(ndtri(np.clip(area, 0.5 / n, 1 - 0.5 / n)))
    return math.sqrt(2) * z, 2 * math.sqrt(math.pi) * math.exp(z * z / 2)


@dataclass(frozen=True, eq=False)
class Apart:
    """How far apart the classifier finds classes. area, area_made: AUC of real, of synthetic; ratio: of d', with reach.

    told: whether it tells classes of real patients apart well enough to say anything.
    """

    area: float
    area_made: float
    ratio: float
    reach: float
    told: bool


def _apart(tables: Tables, unseen: Unseen, generator: np.random.Generator) -> Apart:
    """AUC and d' of the classifier's log-odds, synthetic against real."""
    real, codes, k, made, owned = tables.real, tables.made[1], tables.k, tables.made_classes, tables.real.unit_codes
    n = min(int(np.bincount(owned).min()), int(np.bincount(codes)[made].min()))
    theirs, area = _separation(class_odds(unseen.real), real.codes, k, real.weight, unseen.fold)
    side, sides, stand = tables.beside(class_odds(unseen.others), class_odds(unseen.real), real.codes)
    weight = np.concatenate([np.ones(len(codes)), real.weight[stand]])
    fold = np.concatenate([unseen.fold_of_others, unseen.fold[stand]])
    ours, area_made = _separation(side, sides, k, weight, fold)
    units = per_unit(theirs[:, None], real.units), owned
    made_units = tables.per_unit_beside(ours[:, None], stand)
    spread = math.sqrt(float(gap_errors(units, (units[0] * 0, owned), [], 0, generator)[1][0]))
    (d_made, slope_made), (d, slope) = _distance(area_made, n), _distance(area, n)
    if area < max(TELLING, 0.5 + 3 * spread):
        return Apart(area, area_made, 0.0, 0.0, False)
    ratio = d_made / d
    scaled = (made_units[0] * slope_made / d, made_units[1]), (units[0] * slope * ratio / d, owned)
    # where classes do not overlap at all, half a row is still uncertain
    variance = float(gap_errors(*scaled, made, 0, generator)[1][0])
    reach = 1.959964 * math.sqrt(variance + (0.5 / n / d) ** 2 * (slope_made**2 + (ratio * slope) ** 2))
    return Apart(area, area_made, ratio, reach, True)


def _share(tables: Tables, made: Array, units: Array, all_wrong: float) -> tuple[Numbers, float]:
    """Share of wrong labels with its interval, and the yardstick. made, units: scores of images, of real patients;
    all_wrong: mean score if every label were wrong.
    """
    codes, owned, held, classes = tables.made[1], tables.real.unit_codes, tables.real.held, tables.made_classes
    centre = _class_means(units, owned, classes).mean()
    scale = all_wrong - centre
    value = (_class_means(made, codes, classes).mean() - centre) / scale
    parts = [part for c in classes for part in (units[owned == c], made[codes == c])]
    half = 1.959964 * math.sqrt(sum(float(x.var(ddof=1)) / len(x) for x in parts)) / len(classes) / scale
    learned, kept = (_class_means(units[held == h], owned[held == h], classes).mean() for h in (False, True))
    return (min(value, 1.0), value - half, min(value + half, 1.0)), float((learned - kept) / scale)


def _by_classifier(
    call: _Call, tables: Tables, information: tuple[Array, Array], bars: Labels, seed: int
) -> list[Finding]:
    """Wrong labels and caricature. information: of each feature on the class, in synthetic and in real images."""
    real, (values, codes), k, made = tables.real, tables.made, tables.k, tables.made_classes
    unseen = cross_fitted(real.values, real.codes, real.units, values, seed)
    owned = real.unit_codes
    apart = _apart(tables, unseen, rng(seed, "labels", "intervals"))
    if not apart.told:
        why = "features tell the classes of real patients apart too badly to say anything of labels"
        note = "; ".join(filter(None, [f"{why} (AUC {apart.area:.2f})", call.note]))
        return [call.finding(key, note=note) for key in ("wrong", "caricature")]

    # two numbers for each patient and each image that change places: wrong label, and what it adds to a pooled AUC
    scores = np.concatenate([_score(unseen.real, real.codes), _score(unseen.others, codes)])
    both = np.concatenate([real.codes, codes])
    odds, weight = class_odds(np.concatenate([unseen.real, unseen.others])), np.ones(len(both))
    weight[: len(real.codes)] = real.weight
    fold = np.concatenate([unseen.fold, unseen.fold_of_others])
    numbers_of = np.stack([scores, _separation(odds, both, k, weight, fold)[0]], 1)
    units, single = per_unit(numbers_of[: len(real.codes)], real.units), numbers_of[len(real.codes) :]
    flags = np.repeat([False, True], [len(units), len(codes)])
    alpha = call.level * min(SHARES["wrong"], SHARES["caricature"])
    joined = np.concatenate([units, single]), np.concatenate([owned, codes])
    p = exchange_means(*joined, flags, alpha, rng(seed, "labels", "exchanges"))

    numbers, yardstick = _share(
        tables, single[:, 0], units[:, 0], float(np.mean([_wrong(unseen.real, real, c, k) for c in made]))
    )
    right = per_unit((odds_against(unseen.real, real.codes) < 0).astype(float)[:, None], real.units)
    agree = _class_means((odds_against(unseen.others, codes) < 0).astype(float), codes, made).mean()
    told = f"a classifier of real patients agrees with {agree:.1%} of the synthetic labels and, of patients it has not "
    told += f"seen, with {_class_means(right, owned, made).mean():.1%} of the real ones (p = {p[0]:.2g} for more wrong "
    told += "labels than real ones have)"
    first = call.judged("wrong", numbers, yardstick, bars.wrong_labels, p[0], told)

    distances = []
    for h in (False, True):
        part, rows = real.part(h), real.held[real.units] == h
        area = _separation(class_odds(unseen.real[rows]), part.codes, k, part.weight, unseen.fold[rows])[1]
        distances.append(_distance(area, len(part.first))[0])
    told = f"a classifier of real patients tells synthetic classes apart with AUC {apart.area_made:.2f}, and those of "
    told += f"patients it has not seen with {apart.area:.2f} (p = {p[1]:.2g} for synthetic ones further apart)"
    if (known := float(information[1].sum())) > 0:
        told += f"; one by one, features tell {max(float(information[0].sum()), 0.0) / known:.2f} times as much about "
        told += "the class in synthetic images as in real ones (mutual information)"
    yardstick = distances[0] / distances[1] if distances[1] > 0 else 0.0
    interval = (apart.ratio, apart.ratio - apart.reach, apart.ratio + apart.reach)
    second = call.judged("caricature", interval, yardstick, bars.caricature, p[1], told)
    if second.state == FAIL and first.state == PASS:
        why = "synthetic classes lie further apart than real ones, and images that are too easy hide wrong labels"
        first = replace(first, state=INCONCLUSIVE, note=f"{first.note}; {why}")
    return [first, second]


def _wrong(log: Array, real: Real, label: int, k: int) -> float:
    """Mean score of real patients of the other classes if they were given a label, each class weighing the same."""
    score = per_unit(_score(log, np.full(len(log), label))[:, None], real.units)[:, 0]
    return float(_class_means(score, real.unit_codes, [c for c in range(k) if c != label]).mean())


def _by_association(
    call: _Call, tables: Tables, information: tuple[Array, Array], bars: Labels, seed: int
) -> tuple[Finding, pd.DataFrame]:
    """AUC of each feature: typical difference, signs, and the table. information: of synthetic, of real."""
    real, (values, codes), k, made = tables.real, tables.made, tables.k, tables.made_classes
    cards = placements(real.values, real.codes, k, real.weight)
    theirs, flat = aucs(cards, real.codes, k, real.weight).ravel(), cards.reshape(len(cards), -1)
    side, sides, stand = tables.beside(values, real.values, real.codes)
    weight = np.concatenate([np.ones(len(codes)), real.weight[stand]])
    ours_cards = placements(side, sides, k, weight)
    ours, ours_flat = aucs(ours_cards, sides, k, weight).ravel(), ours_cards.reshape(len(side), -1)
    owned = real.unit_codes
    both = tables.per_unit_beside(ours_flat, stand), (per_unit(flat, real.units), owned)
    errors, variance = gap_errors(*both, made, 400, rng(seed, "labels", "errors"))
    gap = ours - theirs
    numbers = typical(gap, float(variance.sum()), errors)

    # one image of each patient and the synthetic ones, which are exchanged
    pool = np.concatenate([real.values[real.first], values])
    pool_codes, flags = np.concatenate([owned, codes]), np.repeat([False, True], [len(owned), len(codes)])
    shuffled = placements(pool, pool_codes, k).reshape(len(pool), -1)
    shuffled -= _class_means(shuffled, pool_codes, range(k))[pool_codes]  # of single precision in what follows
    alpha = call.level * SHARES["association"]
    p = exchange_squares(shuffled, pool_codes, flags, alpha, rng(seed, "labels", "squares"))

    halves, noise = [], 0.0
    for part in (real.part(False), real.part(True)):
        one = placements(part.values, part.codes, k, part.weight)
        halves.append(aucs(one, part.codes, k, part.weight).ravel())
        each = per_unit(one.reshape(len(one), -1), part.units)
        noise += float(gap_errors((each, part.unit_codes), (each * 0, part.unit_codes), [], 0, rng(seed))[1].sum())
    yardstick = typical(halves[0] - halves[1], noise, np.empty((0, len(gap))))[0]

    worst = int(np.abs(gap).argmax())
    feature, label = tables.names[worst % len(tables.names)], tables.classes[comparisons(k)[worst // len(tables.names)]]
    told = (
        f"the largest difference of AUC: {feature} for {label}, {theirs[worst]:.2f} in real and {ours[worst]:.2f} in "
    )
    told += f"synthetic images (p = {p:.2g} for all together); "
    linked = np.abs(theirs - 0.5) > ASSOCIATED
    other = int(((ours > 0.5) != (theirs > 0.5))[linked].sum())
    told += f"of {int(linked.sum())} associations of real images (AUC beyond 0.5 +- {ASSOCIATED}), {other} point the "
    told += "other way in synthetic ones"
    table = pd.DataFrame(
        {
            "class": np.repeat([tables.classes[c] for c in comparisons(k)], len(tables.names)),
            "feature": tables.names * len(comparisons(k)),
            "AUC": ours,
            "AUC_real": halves[1],
            "AUC_train": halves[0],
            "I": np.tile(information[0], len(comparisons(k))),
            "I_real": np.tile(information[1], len(comparisons(k))),
        }
    )
    return call.judged("association", numbers, yardstick, bars.association_margin, p, told), table


def _information(tables: Tables, seed: int) -> tuple[Array, Array]:
    """(d,) mutual information of each feature and the class in synthetic and in real images, as many of each."""
    real, generator = tables.real, rng(seed, "labels", "information")
    values, codes = real.values[real.first], real.unit_codes
    sides = tables.beside(tables.made[0], values, codes)[:2], (values, codes)
    n = min(MOST_INFORMED, *(int(np.bincount(own).min()) for _, own in sides))
    out = []
    for x, own in sides:
        rows = np.concatenate([generator.permutation(np.flatnonzero(own == c))[:n] for c in range(tables.k)])
        out.append(excess_information(x[rows], own[rows], tables.k, generator))
    return out[0], out[1]
