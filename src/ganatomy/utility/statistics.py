"""The statistics of the trial: scores, paired differences and their intervals, and the findings that decide.

Patients are resampled, not images; scores and differences are means over the seeds, paired by seed and
patient. Everything is computed from the table of predictions. Does not know how they were made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from ganatomy.core.errors import RunError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.utility.arms import CONTROL, SYNTHETIC

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

METRICS = {"auc": "AUC", "balanced_accuracy": "balanced accuracy", "average_precision": "average precision"}
REPLICATES = 2000
MARGIN = 0.02
FEWEST = 10  # test patients of a class below which no bootstrap interval is trusted

SPOKEN = {  # the arms without synthetic images, as a sentence names them
    "real": "the real images alone",
    "class weights": "class weights",
    "duplicates": "duplicates",
    "SMOTE": "SMOTE",
    "classical": "classical augmentation",
}


class Score(NamedTuple):
    """A row of scores.csv: mean over the seeds, 95 % interval over test patients and seeds."""

    classifier: str
    arm: str
    metric: str
    value: float
    low: float
    high: float


class Gap(NamedTuple):
    """A row of differences.csv: `arm` minus `against`, paired by seed and test patient."""

    classifier: str
    arm: str
    against: str
    metric: str
    value: float
    low: float
    high: float


# ---- metrics: a value per seed and row of image weights, (S, R), from p (S, n, K) and weights (R, n) ----


def auc(p: Floats, codes: Codes, weights: Floats, rare: int) -> Floats:
    """Area under the ROC curve, (S, R): of the class `rare` for two classes, mean of one-against-rest for more.

    With C[i, j] = 1 where positive i is above negative j (1/2 for ties) it is w+ C w- / (sum w+ sum w-), the
    statistic of Mann and Whitney (1947): one product of matrices for all replicates.
    """
    out = []
    for code in _positives(p, rare):
        positive, negative = weights[:, codes == code], weights[:, codes != code]
        total = positive.sum(axis=1) * negative.sum(axis=1)
        for scores in p[:, :, code]:
            ranks = np.unique(scores, return_inverse=True)[1]
            above = 0.5 * (np.sign(ranks[codes == code][:, None] - ranks[codes != code]) + 1)
            out.append(_ratio(np.einsum("ij,ij->i", positive @ above, negative), total))
    return _mean_of_classes(out, p)


def average_precision(p: Floats, codes: Codes, weights: Floats, rare: int) -> Floats:
    """Average precision, (S, R): of the class `rare` for two classes, the mean of one-against-rest for more.

    The mean, over positives i, of the precision among all images that score at least as high as i: the sum of
    (R_i - R_i-1) P_i over the thresholds.
    """
    out = []
    columns = np.ascontiguousarray(weights.T)  # (n, R): sums down an image's row are fast
    for code in _positives(p, rare):
        for scores in -p[:, :, code]:
            order = np.argsort(scores, kind="stable")
            shown, ranked, hit = columns[order], scores[order], codes[order] == code
            own = shown[hit]  # (n+, R)
            # equal scores enter together: every positive counts up to the last of its equals
            every = shown.cumsum(axis=0)[np.searchsorted(ranked, ranked[hit], side="right") - 1]
            true = own.cumsum(axis=0)[np.searchsorted(ranked[hit], ranked[hit], side="right") - 1]
            precision = np.divide(true, every, out=np.zeros_like(own), where=every > 0)
            out.append(_ratio(np.einsum("ij,ij->j", own, precision), own.sum(axis=0)))
    return _mean_of_classes(out, p)


def balanced_accuracy(predicted: Codes, codes: Codes, weights: Floats) -> Floats:
    """Mean over the classes of the share of their images recognised, (S, R); predicted: (S, n)."""
    right = (predicted == codes).astype(np.float64)
    kinds = np.unique(codes)
    own = [weights * (codes == code) for code in kinds]
    return sum((_ratio(right @ w.T, w.sum(axis=1)) for w in own), start=np.zeros(())) / len(kinds)


def _positives(p: Floats, rare: int) -> Sequence[int]:
    return [rare] if p.shape[2] == 2 else range(p.shape[2])


def _mean_of_classes(values: Sequence[Floats], p: Floats) -> Floats:
    return np.asarray(np.reshape(values, (-1, len(p), len(values[0]))).mean(axis=0), dtype=np.float64)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


# ---- intervals ----


class Resamples(NamedTuple):
    """weights: (1 + B + P, n) how often each image is taken: all once, B resamples, all but each patient.

    strata: (P,) stratum of each patient, the rarest class the patient has.
    """

    weights: Floats
    strata: Codes


def resamples(codes: Codes, patients: Sequence[str], replicates: int = REPLICATES, seed: int = 0) -> Resamples:
    """Patients drawn with replacement within strata of class; every replicate has every class of the test."""
    names, who = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    has = np.zeros((len(names), codes.max() + 1), dtype=bool)  # (P, K)
    has[who, codes] = True
    known = has[:, has.any(axis=0)]
    strata = np.where(known, known.sum(axis=0), len(names) + 1).argmin(axis=1)
    random = rng(seed, "bootstrap")

    def draw(count: int) -> Codes:
        drawn = np.zeros((count, len(names)), dtype=np.int64)
        for stratum in np.unique(strata):
            own = np.flatnonzero(strata == stratum)
            drawn[:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), size=count)
        return drawn

    drawn = draw(replicates)
    # only where patients have several classes can a replicate lack one
    while (bad := ((drawn @ known.astype(np.int64)) == 0).any(axis=1)).any():
        drawn[bad] = draw(int(bad.sum()))
    counts = np.concatenate([np.ones((1, len(names))), drawn, 1 - np.eye(len(names))])
    return Resamples(counts[:, who], strata)


def interval(values: Floats, strata: Codes, accelerated: bool = False) -> tuple[float, float]:
    """95 % interval of the mean over seeds of a statistic's values (S, 1 + B + P) over `Resamples`.

    Patients: percentiles or BCa, at levels widened as a t interval is against a normal one (Hesterberg 2015),
    by the smallest stratum. Seeds: their own part of the variance, added in quadrature.
    accelerated: BCa (Efron 1987), its acceleration by patient jackknife within strata (Davison and Hinkley
        1997, 5.3). Right for a score, which is skewed near 1; wrong for a paired difference, which is nearly
        symmetric and whose jackknife is noisy: see the coverages in docs/prove.md.
    """
    means = values.mean(axis=0)
    value, boot, left_out = float(means[0]), means[1 : -len(strata)], means[-len(strata) :]
    smallest = max(int(np.unique(strata, return_counts=True)[1].min()), 2)
    wide = np.sqrt(smallest / (smallest - 1)) * stdtrit(smallest - 1, 0.975)
    z = np.array([-wide, wide])
    if accelerated:
        bias = ndtri(np.clip(np.mean(boot < value) + np.mean(boot == value) / 2, 1e-3, 1 - 1e-3))
        z = bias + (z + bias) / np.maximum(1 - _acceleration(left_out, strata) * (z + bias), 0.1)
    low, high = np.quantile(boot, ndtr(z))
    seeds = ndtri(0.975) * np.sqrt(_seed_variance(values[:, : -len(strata)]))
    # BCa limits need not enclose the value: here they do
    below, above = max(value - low, 0.0), max(high - value, 0.0)
    return value - float(np.hypot(below, seeds)), value + float(np.hypot(above, seeds))


def _seed_variance(values: Floats) -> float:
    """Variance of a mean over S seeds that is due to the seeds, from values (S, 1 + B); 0 for a single seed.

    Seeds also differ on a finite test set because each errs on other patients. The bootstrap of patients
    holds that part already, so what it gives for the deviations from the mean over seeds is taken off.
    """
    count = len(values)
    if count < 2:
        return 0.0
    deviation = values[:, 1:] - values[:, 1:].mean(axis=0)
    of_patients = float(deviation.var(axis=1).mean()) * count / (count - 1)
    return max(0.0, float(values[:, 0].var(ddof=1)) - of_patients) / count


def _acceleration(left_out: Floats, strata: Codes) -> float:
    second = third = 0.0
    for stratum in np.unique(strata):
        own = left_out[strata == stratum]
        if len(own) > 1:  # a patient alone in its stratum is in every replicate
            influence = (len(own) - 1) * (own.mean() - own)
            second += float((influence**2).sum()) / len(own) ** 2
            third += float((influence**3).sum()) / len(own) ** 3
    return third / (6 * second**1.5) if second > 1e-18 else 0.0


# ---- the comparison ----


def compare(
    predictions: pd.DataFrame, rare: str, replicates: int = REPLICATES, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of every arm, and differences of the arm with synthetic images from each other (`Score`, `Gap`).

    predictions: what `trial.run_trial` returns; rare: the rarer class in training, the positive one of two.
    Empty tables where the test set lacks a class. Raises RunError where two fits were shown different images.
    """
    scores: list[tuple[object, ...]] = []
    differences: list[tuple[object, ...]] = []
    if all(patients_per_class(predictions).values()):
        classes, first = _classes(predictions), _one_fit(predictions)
        codes = _codes(first["class"], classes)
        seeds = set(predictions["seed"])
        drawn = resamples(codes, list(first["patient"]), replicates, seed)
        for classifier, own in predictions.groupby("classifier", sort=False):
            values: dict[tuple[str, str], Floats] = {}  # (arm, metric) -> (S, 1 + B + P)
            for arm, rows in own.groupby("arm", sort=False):
                fits = [fit for _, fit in rows.groupby("seed", sort=True)]
                shown = {tuple(fit["path"]) for fit in fits}
                if shown != {tuple(first["path"])} or set(rows["seed"]) != seeds:
                    raise RunError(
                        f"the predictions of {classifier}, '{arm}' are not of the same seeds and images as "
                        "the others; run prove again with --overwrite"
                    )
                p = np.stack([fit[[f"p.{name}" for name in classes]].to_numpy(float) for fit in fits])  # (S, n, K)
                predicted = np.stack([_codes(fit["predicted"], classes) for fit in fits])  # (S, n)
                positive = classes.index(rare)
                values[str(arm), "auc"] = auc(p, codes, drawn.weights, positive)
                values[str(arm), "balanced_accuracy"] = balanced_accuracy(predicted, codes, drawn.weights)
                values[str(arm), "average_precision"] = average_precision(p, codes, drawn.weights, positive)
            test = SYNTHETIC[str(classifier)]
            for (arm, metric), these in values.items():
                limits = interval(these, drawn.strata, accelerated=True)
                scores.append((classifier, arm, metric, float(these[:, 0].mean()), *limits))
                if arm != test and (test, metric) in values:
                    gap = values[test, metric] - these
                    limits = interval(gap, drawn.strata)
                    differences.append((classifier, test, arm, metric, float(gap[:, 0].mean()), *limits))
    return pd.DataFrame(scores, columns=list(Score._fields)), pd.DataFrame(differences, columns=list(Gap._fields))


def patients_per_class(predictions: pd.DataFrame) -> dict[str, int]:
    """Test patients of each class."""
    first = _one_fit(predictions)
    return {name: int(first.loc[first["class"] == name, "patient"].nunique()) for name in _classes(predictions)}


def _classes(predictions: pd.DataFrame) -> list[str]:
    return [name.removeprefix("p.") for name in predictions.columns if name.startswith("p.")]


def _one_fit(predictions: pd.DataFrame) -> pd.DataFrame:
    key = predictions[["classifier", "arm", "seed"]]
    return predictions[(key == key.iloc[0]).all(axis=1)]


def _codes(labels: "pd.Series[str]", classes: Sequence[str]) -> Codes:
    index = {name: code for code, name in enumerate(classes)}
    return np.array([index[name] for name in labels], dtype=np.int64)


# ---- the findings ----


def findings(
    predictions: pd.DataFrame,
    scores: pd.DataFrame,
    differences: pd.DataFrame,
    primary: tuple[str, str] = ("cnn", "auc"),
    margin: float = MARGIN,
) -> list[Finding]:
    """The two findings that decide, 'gain' and 'harm' of the primary classifier and metric, then every score.

    gain: shown only if the interval lies above zero against every arm without synthetic images, an
        intersection-union test (Berger 1982), which needs no correction for the number of arms
    harm: against the matched control; shown if the interval lies below 0, excluded if it lies above -margin
    """
    patients, first = patients_per_class(predictions), _one_fit(predictions)
    table = [Score(*row) for row in scores.itertuples(index=False)]
    gaps = [Gap(*row) for row in differences.itertuples(index=False)]
    gaps = [gap for gap in gaps if (gap.classifier, gap.metric) == primary]
    reached = {row.arm: row.value for row in table if (row.classifier, row.metric) == primary}
    out = [_gain(gaps, reached, patients), _harm(gaps, reached, patients, CONTROL[primary[0]], margin)]
    real = {(row.classifier, row.metric): row.value for row in table if row.arm == "real"}
    for row in table:
        out.append(
            Finding(
                "utility",
                f"{METRICS[row.metric]}, {row.classifier}",
                row.arm,
                *row[3:],
                yardstick=real.get((row.classifier, row.metric)),
                state=PASS,
                note="described, not judged; the yardstick is the arm 'real'",
            )
        )
    return [replace(f, n_images=len(first), n_patients=first["patient"].nunique()) for f in out]


def _gain(gaps: Sequence[Gap], reached: Mapping[str, float], patients: Mapping[str, int]) -> Finding:
    if not gaps:
        return Finding("utility", "gain", state=NOT_COMPUTED, note=_missing(patients))
    worst = min(gaps, key=lambda gap: gap.low)
    best = worst.value == min(gap.value for gap in gaps)
    note = _told(worst, reached, "the best other arm" if best else "the comparison least in their favour")
    state = PASS if worst.low > 0 else FAIL
    if min(patients.values()) < FEWEST:
        state, note = INCONCLUSIVE, _too_few(patients)
    return Finding("utility", "gain", worst.arm, *worst[4:], bar=(">=", 0.0), state=state, note=note)


def _harm(
    gaps: Sequence[Gap],
    reached: Mapping[str, float],
    patients: Mapping[str, int],
    control: str,
    margin: float,
) -> Finding:
    gap = next((gap for gap in gaps if gap.against == control), None)
    if gap is None:
        return Finding("utility", "harm", state=NOT_COMPUTED, note=_missing(patients))
    note = _told(gap, reached, "the control, the same but for duplicates in their place")
    if min(patients.values()) < FEWEST:
        state, note = INCONCLUSIVE, _too_few(patients)
    elif gap.high < 0:
        state = FAIL
    elif gap.low > -margin:
        state = PASS
    else:
        state, note = INCONCLUSIVE, _too_wide(gap, patients, margin)
    return Finding("utility", "harm", gap.arm, *gap[4:], bar=(">=", -margin), state=state, note=note)


def _told(gap: Gap, reached: Mapping[str, float], why: str) -> str:
    return (
        f"{METRICS[gap.metric]} {reached[gap.arm]:.3f} with synthetic images "
        f"against {reached[gap.against]:.3f} with {SPOKEN[gap.against]}, {why}: "
        f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
    )


def _too_wide(gap: Gap, patients: Mapping[str, int], margin: float) -> str:
    """What size would decide: half the width of an interval falls with the root of the number of patients.

    Once half the width is below the margin, what is left to tell is on which side of 0 and of -margin a
    difference between the two lies: half the margin at the worst.
    """
    half = (gap.high - gap.low) / 2
    tell = margin if half > margin else margin / 2
    rarest = min(patients, key=lambda name: patients[name])
    need = float(f"{patients[rarest] * (half / tell) ** 2:.2g}")
    return (
        f"the interval of {gap.low:+.3f} to {gap.high:+.3f} is too wide on {patients[rarest]} test patients "
        f"with '{rarest}'; about {need:.0f} would be needed to tell a difference of {tell:g}"
    )


def _too_few(patients: Mapping[str, int]) -> str:
    rarest = min(patients, key=lambda name: patients[name])
    return (
        f"{patients[rarest]} test patient{'s' if patients[rarest] > 1 else ''} with '{rarest}' cannot carry "
        f"an interval; {FEWEST} are the least, and a small difference needs many more"
    )


def _missing(patients: Mapping[str, int]) -> str:
    absent = next((name for name, count in patients.items() if count == 0), None)
    if absent is not None:
        return f"there is no test patient with '{absent}'; split the cohort again with more patients in 'test'"
    return "the trial has no arm with synthetic images to compare with the others"


# ---- before the run ----


def smallest_visible_effect(
    patients: Sequence[int],
    area: float = 0.85,
    correlation: float = 0.5,
    power: float = 0.8,
    level: float = 0.95,
) -> float:
    """The AUC difference a trial of this size would show with the given power, before any image is opened.

    patients: test patients of each class; the rarest is taken against the rest, one image a patient.
    area: AUC halfway between the two arms; correlation: of the two arms' AUC over test sets.
    One standard error is that of Hanley and McNeil (1982), of a difference sqrt(2 (1 - correlation)) of it.
    """
    rarest = min(patients)
    rest = sum(patients) - rarest
    if rarest < 1 or rest < 1:
        return float("inf")
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (rarest - 1) * (q1 - area**2) + (rest - 1) * (q2 - area**2)) / (rarest * rest)
    return float((ndtri(0.5 + level / 2) + ndtri(power)) * np.sqrt(2 * (1 - correlation) * variance))
