"""The trial: every arm with every seed, each fit shown the same test images; and the classifier of features.

A fit is a function of (arm, classifier, seed), so a trial that was stopped goes on where it stood. Knows the
order of the work and how a threshold is chosen; not the classifier of images, the scores or the verdict.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ganatomy.core.errors import InputError, RunError, TrainingError
from ganatomy.core.progress import Bar
from ganatomy.utility.arms import ARMS, Fit, Predict, Training, arms, finite, standardiser

PENALTY = 0.01  # of the logistic regression, per unit of weight: with 100 images of weight one this is C = 1

SOLVERS = (
    "lbfgs",
    "newton-cg",
)  # the objective is strictly convex: the second finds what the first could not

Key = tuple[str, str, int]  # classifier, arm, seed
Frame = pd.DataFrame


@dataclass(frozen=True)
class Unseen:
    """Real images that are predicted and never learned from: the select or the test role.

    images: (n, C, H, W) float32 in [-1, 1]; features: (n, d) float64; codes: (n,) int64
    paths, patients: one text per image
    """

    images: NDArray[np.float32]
    features: NDArray[np.float64]
    codes: NDArray[np.int64]
    paths: Sequence[str]
    patients: Sequence[str]


def plan(classifiers: Sequence[str], seeds: Sequence[int], synthetic: bool = True) -> list[Key]:
    """Every fit of the trial in order: seed by seed, so that what a stopped trial leaves is paired."""
    names = [(c, arm) for c in classifiers for arm in ARMS[c] if synthetic or "synthetic" not in arm]
    return [(classifier, arm, seed) for seed in seeds for classifier, arm in names]


def run_trial(
    classes: Sequence[str],
    real: Training,
    synthetic: Training | None,
    select: Unseen,
    test: Unseen,
    *,
    fits: Mapping[str, Fit],
    seeds: Sequence[int],
    counts: Sequence[int] | None = None,
    done: Mapping[Key, Frame] | None = None,
    on_done: Callable[[str, str, int, Frame], None] = lambda classifier, arm, seed, frame: None,
    bar: Bar = lambda count=1, note="": None,
) -> Frame:
    """Fit every arm with every seed and predict the test images.

    fits: by the classifier's name in ARMS; a fit receives an arm and a seed, never a select or test image;
        the seeds are the same in every arm
    done: predictions of earlier fits, which are not made again; on_done: called after each new fit
    Returns classifier, arm, seed, path, patient, class, predicted, p.<class>...: a row per fit and image.
    `predicted` is the class at the threshold chosen on the select role (two classes), or the likeliest.
    Raises InputError where a class has no training image or nothing is tested, RunError where an earlier
    fit was shown other test images, TrainingError where a fit's probabilities are none.
    """
    for code, name in enumerate(classes):
        if not (real.codes == code).any():
            raise InputError(f"class '{name}' has no training image to learn from; give more patients to 'train'")
    if not len(test.paths):
        raise InputError("no image has the role 'test'; split the cohort again with a test share above zero")
    frames = []
    for classifier, arm, seed in plan(list(fits), seeds, synthetic is not None):
        frame = (done or {}).get((classifier, arm, seed))
        if frame is None:
            predict = fits[classifier](arms(real, synthetic, counts, seed)[arm](), seed)
            frame = _predictions(classes, select, test, predict, (classifier, arm, seed))
            on_done(classifier, arm, seed, frame)
            bar(1, f"{classifier}, {arm}, seed {seed}")
        elif list(frame["path"]) != list(test.paths):
            told = f"{classifier}, '{arm}', seed {seed}"
            raise RunError(f"the predictions of {told} are of other test images; add --overwrite")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _predictions(classes: Sequence[str], select: Unseen, test: Unseen, predict: Predict, key: Key) -> Frame:
    p = _checked(predict(test.images, test.features), len(test.paths), classes, key)  # (n, K)
    codes = p.argmax(axis=1)
    if len(classes) == 2 and len(select.paths):
        q = _checked(predict(select.images, select.features), len(select.paths), classes, key)
        codes = (p[:, 1] >= threshold(q[:, 1], select.codes == 1)).astype(np.int64)
    names = np.asarray(classes, dtype=object)
    columns = dict(zip(("classifier", "arm", "seed"), key, strict=True)) | {
        "path": list(test.paths),
        "patient": list(test.patients),
        "class": names[test.codes],
        "predicted": names[codes],
    }
    return pd.DataFrame(columns | {f"p.{name}": p[:, code] for code, name in enumerate(classes)})


def _checked(p: NDArray[np.float64], n: int, classes: Sequence[str], key: Key) -> NDArray[np.float64]:
    p = np.asarray(p, dtype=np.float64)
    if p.shape != (n, len(classes)):
        raise ValueError(f"{key}: probabilities of shape {p.shape} for {n} images and {len(classes)} classes")
    if not np.isfinite(p).all():
        raise TrainingError("{}, '{}', seed {}: the probabilities are not finite".format(*key))
    return p


def threshold(p: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The threshold on p (n,) of greatest balanced accuracy; of several, the middle one.

    Candidates lie halfway between neighbouring probabilities. 0.5 where there is nothing to choose by: one
    class only, or one probability only.
    """
    values = np.unique(p)
    if len(values) < 2 or positive.all() or not positive.any():
        return 0.5
    cuts = (values[:-1] + values[1:]) / 2
    missed = np.searchsorted(np.sort(p[positive]), cuts)  # positives below each cut
    spared = np.searchsorted(np.sort(p[~positive]), cuts)  # negatives below each cut
    gain = spared / (~positive).sum() - missed / positive.sum()  # 2 * balanced accuracy - 1
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return float(cuts[best[len(best) // 2]])


def logistic(data: Training, seed: int) -> Predict:
    """L2 logistic regression on standardised features: a Fit. Convex, so the seed changes nothing.

    The penalty is per unit of weight. With a fixed C an arm of more images would be regularised less, and
    could win by that alone.
    """
    scale = standardiser().fit(finite(data.features))
    x = scale.transform(finite(data.features))
    for solver in SOLVERS:
        model = LogisticRegression(C=1 / (PENALTY * data.weights.sum()), solver=solver, max_iter=5000)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(x, data.codes, sample_weight=data.weights)
        for other in (w for w in caught if not issubclass(w.category, ConvergenceWarning)):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        if not any(issubclass(w.category, ConvergenceWarning) for w in caught):
            return lambda images, features: model.predict_proba(scale.transform(finite(features)))
    raise TrainingError(f"the logistic regression on {x.shape[1]} features did not converge; is one of them broken?")
