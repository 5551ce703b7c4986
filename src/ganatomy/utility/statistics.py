"""The statistics of the trial: scores and paired differences of the arms, and the findings that decide.

Scores and differences are means over the seeds, paired by seed and patient. Everything is computed from the table of
predictions. Knows what an interval means for the verdict; not how a metric or an interval is computed (metrics.py), nor
how the predictions were made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ganatomy.core.errors import RunError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.utility.arms import CONTROL, SYNTHETIC
from ganatomy.utility.metrics import (
    METRICS,
    REPLICATES,
    Codes,
    Floats,
    auc,
    average_precision,
    balanced_accuracy,
    interval,
    resamples,
)

MARGIN = 0.02
FEWEST = 10  # test patients of a class below which no bootstrap interval is trusted

SPOKEN = {  # the arms without synthetic images, as a sentence names them
    "real": "the real images alone",
    "class weights": "class weights",
    "duplicates": "repeated real images",
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
                low, high = interval(these, drawn.strata, accelerated=True)
                # the variance of the seeds may carry a limit past what the metric can be
                scores.append((classifier, arm, metric, float(these[:, 0].mean()), max(low, 0.0), min(high, 1.0)))
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
                note="described, not judged; the yardstick is the score of the real images alone",
            )
        )
    return [replace(f, n_images=len(first), n_patients=first["patient"].nunique()) for f in out]


def _gain(gaps: Sequence[Gap], reached: Mapping[str, float], patients: Mapping[str, int]) -> Finding:
    if not gaps:
        return Finding("utility", "gain", state=NOT_COMPUTED, note=_missing(patients))
    worst = min(gaps, key=lambda gap: gap.low)
    best = worst.value == min(gap.value for gap in gaps)
    note = _told(
        worst, reached, "the best other way of training" if best else "of all comparisons the least in their favour"
    )
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
    note = _told(gap, reached, "the control, which repeats real images in their place")
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
        f"with the synthetic images the {METRICS[gap.metric]} changes by {gap.low:+.3f} to {gap.high:+.3f}, too wide a "
        f"range on {patients[rarest]} test patients with '{rarest}'; about {need:.0f} such patients would be needed to "
        f"tell a change of {tell:g}"
    )


def _too_few(patients: Mapping[str, int]) -> str:
    rarest = min(patients, key=lambda name: patients[name])
    return (
        f"{patients[rarest]} test patient{'s' if patients[rarest] > 1 else ''} with '{rarest}' cannot carry "
        f"an interval; {FEWEST} such patients are the least, and a small difference needs many more"
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
