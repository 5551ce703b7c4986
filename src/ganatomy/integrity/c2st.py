"""Classifier two-sample test: can a classifier tell synthetic from holdout images, and which features give them away?

Knows tables of features, one independent row per patient. Knows nothing of pixels: both sets must have gone through
the same quantiser (`quantise`, or the same file format) *before* their features were measured, for a classifier finds
a difference of bit depth, of interpolation or of padding, and it cannot be taken out of the features afterwards.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import derive, rng
from ganatomy.integrity.features import LOST, Features, Prepared, draw, one_per_patient, prepare, too_small
from ganatomy.integrity.frechet import settling

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Classifier(Protocol):
    """What is fitted on rows (n, d) and labels (n,), and scores rows: the higher, the more synthetic."""

    def fit(self, x: Array, y: NDArray[np.bool_]) -> "Classifier": ...
    def decision_function(self, x: Array) -> Array: ...


Make = Callable[[], Classifier]

GOOD, VISIBLE = 0.60, 0.90  # AUC: hardly told apart; something in the images is plainly wrong
FOLDS = 5
LEAST = 20  # patients of each set
LEARNED = 100  # patients of each set without which a classifier has not learned enough to acquit
MOST = 1000  # rows of each set that are compared, to bound time
GRAIN = 1e-4  # robust standard deviations: smaller differences are rounding of numbers, not of images
SHOWN = 3  # features named in a note
COLUMNS: dict[str, type] = {"feature": object, "coefficient": float, "importance": float, "auc": float}


def quantise(values: NDArray[np.generic], step: float) -> Array:
    """Pixel values rounded to multiples of `step` (their unit), as a file of that resolution would hold them.

    Apply to real and synthetic images alike, before features are measured.
    """
    if not step > 0:
        raise ValueError(f"a quantiser needs a step above 0, not {step:g}")
    return np.asarray(np.rint(np.asarray(values, np.float64) / step) * step)


def logistic() -> Pipeline:
    """Logistic regression with an L2 penalty (C = 0.1) on z-scores: sees shifts, and sums of features that break."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def boosting() -> Pipeline:
    """Gradient boosting, 60 trees of 8 leaves on 32 bins: sees spreads, gaps and thresholds."""
    tree = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, min_samples_leaf=10, max_bins=32, early_stopping=False, random_state=0
    )
    return make_pipeline(tree)


CLASSIFIERS: tuple[tuple[str, Make], ...] = (("logistic regression", logistic), ("gradient boosting", boosting))


@dataclass(frozen=True)
class Told:
    """auc: mean over folds; low, high: its 95 % interval; p: of the sequential test, z its score"""

    auc: float
    low: float
    high: float
    p: float
    z: float


def auc(scores: Array, fake: NDArray[np.bool_]) -> float:
    """P(a synthetic row scores above a real one), ties half (Mann & Whitney 1947)."""
    return float(_placements(scores, fake)[0].mean())


def _placements(scores: Array, fake: NDArray[np.bool_]) -> tuple[Array, Array]:
    """For each synthetic row the share of real rows below it, for each real row that of synthetic ones above it."""
    ranks, m, n = rankdata(scores), int(fake.sum()), int((~fake).sum())
    above = (ranks[fake] - rankdata(scores[fake])) / n
    below = 1 - (ranks[~fake] - rankdata(scores[~fake])) / m
    return above, below


def folds(n: int, generator: np.random.Generator) -> Index:
    """(2n,) fold of each row, equally many of each set in each fold."""
    number = np.arange(n) % FOLDS
    return np.concatenate([generator.permutation(number), generator.permutation(number)]).astype(np.int64)


def tell_apart(real: Array, fake: Array, fold: Index, make: Make, test: bool = True) -> Told:
    """Cross-validated AUC of a classifier of rows real (n, d), fake (n, d), and a valid p that they are exchangeable.

    The AUC is the mean over folds, each scored by a classifier fitted on the others. These folds share training rows
    and so are not independent: under the null the variance of their mean is twice what independent folds would have,
    so the interval is DeLong's (1988) on pooled placements with doubled variance. p comes from a second pass: fold k
    is scored by a classifier fitted on folds 0 .. k-1 alone. Given the past its labels are then a random arrangement,
    so its Mann-Whitney statistics are independent over folds and their sum is normal with known variance (prequential:
    Lhéritier & Cazals 2018). Ties make it conservative. test = False leaves that pass out (p = 1).
    """
    x, y = np.concatenate([real, fake]), np.repeat([False, True], [len(real), len(fake)])
    above, below, means = [], [], []
    total = variance = 0.0
    for k in range(FOLDS):
        out = fold == k
        model = make().fit(x[~out], y[~out])
        one, two = _placements(_score(model, x[out]), y[out])
        above.append(one)
        below.append(two)
        means.append(one.mean())
        if test and k:
            past = model if k == FOLDS - 1 else make().fit(x[fold < k], y[fold < k])
            total += auc(_score(past, x[out]), y[out]) - 0.5
            m, n = int(y[out].sum()), int((~y[out]).sum())
            variance += (m + n + 1) / (12 * m * n)
    value = float(np.mean(means))
    up, down = np.concatenate(above), np.concatenate(below)
    error = math.sqrt(2 * float(up.var(ddof=1) / len(up) + down.var(ddof=1) / len(down)))
    z = total / math.sqrt(variance) if test else 0.0
    low, high = max(value - 1.96 * error, 0.0), min(value + 1.96 * error, 1.0)
    return Told(value, low, high, float(norm.sf(z)) if test else 1.0, z)


def _score(model: Classifier, x: Array) -> Array:
    return np.asarray(model.decision_function(x), np.float64)


def importance(real: Array, fake: Array, fold: Index, generator: np.random.Generator) -> Array:
    """(d,) loss of gradient boosting's AUC on the last fold when a feature is shuffled there (Breiman 2001).

    Features that say the same share their importance, each then has little.
    """
    x, y, out = np.concatenate([real, fake]), np.repeat([False, True], [len(real), len(fake)]), fold == FOLDS - 1
    model, kept, labels = boosting().fit(x[~out], y[~out]), x[out], y[out]
    whole = auc(_score(model, kept), labels)
    lost = np.zeros(x.shape[1])
    for column in range(x.shape[1]):
        shuffled = kept.copy()
        shuffled[:, column] = generator.permutation(kept[:, column])
        lost[column] = whole - auc(_score(model, shuffled), labels)
    return lost


def _rows(data: Prepared, seed: int, space: str, label: str) -> tuple[int, Array, Array, Array, Index]:
    """n, then n rows of train, holdout and synthetic, one random image per patient, and their folds."""
    generator = rng(seed, f"c2st {space} {label}")
    n = min(data.train.n_patients, data.holdout.n_patients, len(data.synthetic), MOST)
    sets = (data.train, data.holdout, data.synthetic)
    t, h, s = (quantise(draw(one_per_patient(x, generator), n, generator).values, GRAIN) for x in sets)
    return n, t, h, s, folds(n, generator)


def _coefficients(real: Array, fake: Array) -> Array:
    y = np.repeat([False, True], [len(real), len(fake)])
    return np.asarray(logistic().fit(np.concatenate([real, fake]), y)[-1].coef_[0], np.float64)


def _table(
    names: tuple[str, ...], real: Array, fake: Array, fold: Index, generator: np.random.Generator
) -> pd.DataFrame:
    y = np.repeat([False, True], [len(real), len(fake)])
    both = np.concatenate([real, fake])
    values = {
        "feature": names,
        "coefficient": _coefficients(real, fake),
        "importance": importance(real, fake, fold, generator),
        "auc": [auc(column, y) for column in both.T],
    }
    table = pd.DataFrame(values)
    strength = table["importance"].rank() + table["coefficient"].abs().rank()
    return table.loc[strength.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def c2st(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    *,
    seed: int,
    level: float,
    usable: float = 0.75,
) -> tuple[list[Finding], pd.DataFrame]:
    """Can a classifier tell synthetic from holdout images? (Lopez-Paz & Oquab 2017) Logistic regression and boosting.

    value: AUC over 5 folds of the better of the two, synthetic against holdout, one random image per patient, equal n
    (at most MOST); 0.5 is indistinguishable. Being the larger of two it is a little above 0.5 by chance; so is the
    yardstick, the same of train against holdout. Null: holdout and synthetic rows are exchangeable; p is twice the
    smaller of the two (Bonferroni). bar: `usable`. fail: one classifier has p <= level / 2 and an AUC above the bar.
    pass: the upper 95 % limits of both below it, with LEARNED images a side.
    Both sets must have passed the same quantiser before features were measured (see the top of this file).
    The table has one row per feature, most telling first: coefficient of the logistic regression per standard deviation
    (above 0: larger in synthetic); importance: loss of AUC of boosting when it is shuffled; auc: of the feature alone.
    It is empty where there is too little; the note names the first features where they give images away.
    """
    data = prepare(train, holdout, synthetic)
    real = data.holdout
    name = f"told apart by a classifier, {space}"
    finding = partial(Finding, "fidelity", name, label, n_images=len(real), n_patients=real.n_patients)
    if reason := too_small(data, LEAST, LEAST):
        return [finding(note=reason)], pd.DataFrame({c: pd.Series(dtype=kind) for c, kind in COLUMNS.items()})
    n, t, h, s, fold = _rows(data, seed, space, label)
    every = {word: tell_apart(h, s, fold, make) for word, make in CLASSIFIERS}
    # the classifier that judges: one that shows a difference beyond the bar before any other, else the higher limit
    shown = {word for word, told in every.items() if told.p <= level / len(CLASSIFIERS)}
    word = max(every, key=lambda w: (w in shown and every[w].auc > usable, every[w].high))
    told = replace(every[word], p=min(len(CLASSIFIERS) * min(each.p for each in every.values()), 1.0))
    if word in shown:
        told = replace(told, p=len(CLASSIFIERS) * every[word].p)
    different = word in shown or (bool(shown) and told.auc <= usable)
    state, note = _settle(told, n, different, level / len(CLASSIFIERS), data, usable)
    rest = ", ".join(f"{each} {every[each].auc:.2f}" for each in every if each != word)
    note += f"; the classifier is {word}" + (f", the AUC of {rest}" if rest else "")
    table = _table(data.train.names, h, s, fold, rng(derive(seed, space, label), "importance"))
    if word in shown and told.auc > GOOD:
        column = "importance" if word == "gradient boosting" else "coefficient"
        strength = table[column].abs().sort_values(ascending=False, kind="stable")
        first = [table["feature"][i] for i in strength.index[:SHOWN] if strength[i] > 0]
        note += f"; what gives them away most: {', '.join(first)}" if first else ""
    if min(data.train.n_patients, real.n_patients, len(data.synthetic)) > MOST:
        note += f"; {MOST} of each set are compared"
    yardstick = max(tell_apart(h, t, fold, make, test=False).auc for _, make in CLASSIFIERS)
    note = "; ".join(filter(None, [note, data.note]))
    return [finding(told.auc, told.low, told.high, yardstick, ("<=", usable), state=state, note=note)], table


def _settle(told: Told, n: int, shown: bool, level: float, data: Prepared, usable: float) -> tuple[str, str]:
    odds = f"p = {told.p:.2g}, {n} images a side"
    if shown and told.auc > usable:
        how = "almost always" if told.auc > VISIBLE else "often"
        note = f"a classifier tells synthetic from new patients' images {how} (AUC {told.auc:.2f}, {odds})"
        return FAIL, note + (": look for a visible artefact" if told.auc > VISIBLE else "")
    if told.high <= usable and n >= LEARNED and data.lost > LOST:
        return INCONCLUSIVE, "too many synthetic images have undefined features for a pass"
    if told.high <= usable and n >= LEARNED:
        if told.auc <= GOOD:
            return PASS, f"a classifier hardly tells synthetic from new patients' images (AUC {told.auc:.2f}, {odds})"
        seen = "some difference is there" if shown else "a difference is not shown"
        return PASS, f"a classifier tells them apart at times (AUC {told.auc:.2f}, {odds}): usable, {seen}"
    if told.auc > usable:
        factor = (float(norm.isf(level)) / max(told.z, 0.1)) ** 2
    else:
        factor = ((told.high - told.auc) / max(usable - told.auc, 1e-9)) ** 2
    why = f"{n} images a side leave the AUC between {told.low:.2f} and {told.high:.2f} (p = {told.p:.2g})"
    if n < LEARNED:
        factor = max(factor, LEARNED / n)
        why += f", and a classifier that learns from fewer than {LEARNED} may miss a difference"
    return INCONCLUSIVE, f"{why}: {settling(n, factor)}"
