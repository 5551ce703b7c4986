"""Classifier two-sample test: can a classifier tell synthetic from holdout images, and which features give them away?

Knows tables of features, one independent row per patient. Knows nothing of pixels: both sets must have gone through
the same quantiser (`quantise`, or the same file format) *before* their features were measured, for a classifier finds
a difference of bit depth, of interpolation or of padding, and it cannot be taken out of the features afterwards.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
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
from ganatomy.integrity.frechet import LEVEL, settling

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Classifier(Protocol):
    """What is fitted on rows (n, d) and labels (n,), and scores rows: the higher, the more synthetic."""

    def fit(self, x: Array, y: NDArray[np.bool_]) -> "Classifier": ...
    def decision_function(self, x: Array) -> Array: ...


Make = Callable[[], Classifier]

GOOD, USABLE, VISIBLE = 0.60, 0.75, 0.90  # AUC; above the last, something in the images is plainly wrong
FOLDS = 5
LEAST = 20  # patients of each set
LEARNED = 100  # patients of each set without which a classifier has not learned enough to acquit
MOST = 1000  # rows of each set that are compared, to bound time
GRAIN = 1e-4  # robust standard deviations: smaller differences are rounding of numbers, not of images
SHOWN = 3  # features named in a note


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


def c2st_table(
    space: str, label: str, train: Features, holdout: Features, synthetic: Features, *, seed: int
) -> pd.DataFrame:
    """One row per feature, most telling first: what tells synthetic from holdout rows, and how.

    coefficient: of the logistic regression, per standard deviation (above 0: larger in synthetic); importance: loss
    of AUC of gradient boosting when it is shuffled; auc: of the feature alone. Empty where there is too little.
    """
    data = prepare(train, holdout, synthetic)
    columns = ["feature", "coefficient", "importance", "auc"]
    if too_small(data, LEAST, LEAST):
        return pd.DataFrame({name: pd.Series(dtype=object if name == "feature" else float) for name in columns})
    _, _, h, s, fold = _rows(data, seed, space, label)
    y = np.repeat([False, True], [len(h), len(s)])
    both = np.concatenate([h, s])
    values = {
        "feature": data.train.names,
        "coefficient": _coefficients(h, s),
        "importance": importance(h, s, fold, rng(derive(seed, space, label), "importance")),
        "auc": [auc(column, y) for column in both.T],
    }
    table = pd.DataFrame(values)
    strength = table["importance"].rank() + table["coefficient"].abs().rank()
    return table.loc[strength.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def _coefficients(real: Array, fake: Array) -> Array:
    y = np.repeat([False, True], [len(real), len(fake)])
    return np.asarray(logistic().fit(np.concatenate([real, fake]), y)[-1].coef_[0], np.float64)


def c2st_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    *,
    seed: int,
    level: float = LEVEL,
) -> list[Finding]:
    """Can a classifier tell synthetic from holdout images? (Lopez-Paz & Oquab 2017) Logistic regression and boosting.

    value: AUC over 5 folds, synthetic against holdout, one random image per patient, equal n (at most MOST); 0.5 is
    indistinguishable. yardstick: the same of train against holdout. Null: holdout and synthetic rows are exchangeable;
    each classifier has half of `level`. bar: USABLE. fail: p <= level / 2 and the AUC above the bar. pass: the upper
    95 % limit below it, with LEARNED images a side. The note names the features that gave the images away.
    Both sets must have passed the same quantiser before features were measured (see the top of this file).
    """
    data = prepare(train, holdout, synthetic)
    real = data.holdout
    makers = [
        partial(
            Finding, "fidelity", f"told apart by {word}, {space}", label, n_images=len(real), n_patients=real.n_patients
        )
        for word, _ in CLASSIFIERS
    ]
    if reason := too_small(data, LEAST, LEAST):
        return [finding(note=reason) for finding in makers]
    n, t, h, s, fold = _rows(data, seed, space, label)
    found = []
    for finding, (word, make) in zip(makers, CLASSIFIERS, strict=True):
        told = tell_apart(h, s, fold, make)
        shown = told.p <= level / len(CLASSIFIERS)
        state, note = _settle(told, n, shown, level / len(CLASSIFIERS), data)
        if shown and told.auc > GOOD:
            strength = np.abs(_coefficients(h, s))
            if word == "gradient boosting":
                strength = importance(h, s, fold, rng(derive(seed, space, label), "importance"))
            first = [data.train.names[i] for i in np.argsort(-strength, kind="stable")[:SHOWN] if strength[i] > 0]
            note += f"; what gives them away most: {', '.join(first)}" if first else ""
        if min(data.train.n_patients, real.n_patients, len(data.synthetic)) > MOST:
            note += f"; {MOST} of each set are compared"
        yardstick = tell_apart(h, t, fold, make, test=False).auc
        note = "; ".join(filter(None, [note, data.note]))
        bar = ("<=", USABLE)
        found.append(finding(told.auc, told.low, told.high, yardstick, bar, state=state, note=note))
    return found


def _settle(told: Told, n: int, shown: bool, level: float, data: Prepared) -> tuple[str, str]:
    odds = f"p = {told.p:.2g}, {n} images a side"
    if shown and told.auc > USABLE:
        how = "almost always" if told.auc > VISIBLE else "often"
        note = f"a classifier tells synthetic from new patients' images {how} (AUC {told.auc:.2f}, {odds})"
        return FAIL, note + (": look for a visible artefact" if told.auc > VISIBLE else "")
    if told.high <= USABLE and n >= LEARNED and data.lost > LOST:
        return INCONCLUSIVE, "too many synthetic images have undefined features for a pass"
    if told.high <= USABLE and n >= LEARNED:
        if told.auc <= GOOD:
            return PASS, f"a classifier hardly tells synthetic from new patients' images (AUC {told.auc:.2f}, {odds})"
        seen = "some difference is there" if shown else "a difference is not shown"
        return PASS, f"a classifier tells them apart at times (AUC {told.auc:.2f}, {odds}): usable, {seen}"
    if told.auc > USABLE:
        factor = (float(norm.isf(level)) / max(told.z, 0.1)) ** 2
    else:
        factor = ((told.high - told.auc) / max(USABLE - told.auc, 1e-9)) ** 2
    why = f"{n} images a side leave the AUC between {told.low:.2f} and {told.high:.2f} (p = {told.p:.2g})"
    if n < LEARNED:
        factor = max(factor, LEARNED / n)
        why += f", and a classifier that learns from fewer than {LEARNED} may miss a difference"
    return INCONCLUSIVE, f"{why}: {settling(n, factor)}"
