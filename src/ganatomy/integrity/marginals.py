"""Feature by feature within one class: how far are synthetic values from those of other real patients?

Knows tables of features. Does not know what the features mean, nor how they hang together (dependence.py).
"""

import math
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, kstwo, norm, t

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.distances import Gaps, between_halves, gaps, max_t, shifted
from ganatomy.integrity.features import LOST, Features, Prepared, draw, one_per_patient, prepare, too_small

Array = NDArray[np.float64]

LEVEL = 0.05 / 8  # false alarms of one gate, where nobody says otherwise
LARGEST = 0.75  # share of `level` that the largest difference has; the rest is the typical one's
LEAST = 5  # images and patients of each set
MOST = 1000  # independent rows of each side that are permuted
IMAGES = 5000  # images of each set that are measured
CERTAIN = 2.6  # standard deviations between halves by which the typical difference must exceed what chance gives
SURE = 2.4  # x sqrt(1/n + 1/m): the largest upper bound of equal features lies below it in about four sets of five
REAL = 10  # draws of as many train images as there are synthetic ones
COLUMNS = ("feature", "D", "high", "D_real", "W1", "W1_real", "W1_chance", "p", "q", "state")


@dataclass(frozen=True)
class Marginals(Settings):
    """Bars of the gate marginals.

    0.2 of D is what a normal feature shows that is shifted by half a standard deviation, and 0.2 standard deviations
    are a small effect (Cohen 1988): the smallest that 500 images of each class can exclude.
    """

    ks_margin: float = option(0.2, "Kolmogorov-Smirnov distance that matters, of the feature that differs most")
    w1_margin: float = option(0.2, "shift of all features that matters", unit="standard deviations of train")

    def __post_init__(self) -> None:
        if not 0 < self.ks_margin < 1:
            raise SettingsError(f"--ks-margin lies between 0 and 1, not at {self.ks_margin:g}")
        if not self.w1_margin > 0:
            raise SettingsError(f"--w1-margin is above 0, not {self.w1_margin:g}")


@dataclass(frozen=True, eq=False)
class _Measured:
    fake: Gaps  # synthetic against holdout
    real: Gaps  # train against holdout, at as many images
    p: Array  # (d,) max-T
    p_area: float
    halves: Array  # mean Wasserstein-1 over features between halves by patient
    images: int  # of synthetic
    capped: bool


def _measure(data: Prepared, label: str, seed: int, level: float) -> _Measured:
    generator = rng(seed, "marginals", label)
    sets = (data.train, data.holdout, data.synthetic)
    train, holdout, synthetic = (x if len(x) <= IMAGES else draw(x, IMAGES, generator) for x in sets)
    draws = REAL if len(train) > len(synthetic) else 1
    real = [gaps(draw(train, len(synthetic), generator), holdout) for _ in range(draws)]
    mean = Gaps(*(np.mean([getattr(one, field.name) for one in real], axis=0) for field in fields(Gaps)))
    # other real patients are like train's as well as like holdout's: both together have the power of both
    alone = np.concatenate([one_per_patient(x, generator).values for x in (holdout, train)])
    a, b = generator.permutation(alone)[:MOST], draw(synthetic, MOST, generator).values
    p, p_area = max_t(a, b, level, rng(seed, "marginals", label, "permutations"))
    halves = between_halves(holdout, synthetic, rng(seed, "marginals", label, "halves"))
    capped = max(len(x) for x in sets) > IMAGES or max(len(alone), len(synthetic)) > MOST
    return _Measured(gaps(synthetic, holdout), mean, p, p_area, halves, len(synthetic), capped)


def marginals(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    *,
    level: float = LEVEL,
    bars: Marginals = Marginals(),
) -> tuple[list[Finding], pd.DataFrame]:
    """`marginal_findings` and `marginal_table` at the cost of one."""
    data = prepare(train, holdout, synthetic)
    names = (f"largest difference (Kolmogorov-Smirnov), {space}", f"typical difference (Wasserstein-1), {space}")
    finding = partial(Finding, "marginals", n_images=len(data.holdout), n_patients=data.holdout.n_patients)
    if reason := too_small(data, LEAST, LEAST):
        empty = {name: pd.Series(dtype=object if name in ("feature", "state") else float) for name in COLUMNS}
        return [finding(name, label, note=reason) for name in names], pd.DataFrame(empty)
    found = _measure(data, label, seed, level)
    table = _table(data, found, LARGEST * level, bars.ks_margin)
    notes = [data.note]
    if found.capped:
        notes.append(f"at most {IMAGES} images of a set are measured and {MOST} independent rows of a side permuted")
    rest = "; ".join(filter(None, notes))
    first = _largest(table, found, data, LARGEST * level, bars.ks_margin)
    second = _typical(found, data, (1 - LARGEST) * level, bars.w1_margin)
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
    bars: Marginals = Marginals(),
) -> list[Finding]:
    """Do the features of one class take the values they take in other real patients? Two findings that share `level`.

    Largest difference. value: the largest of the features' KS distances D to the holdout, all its images taken; high:
    the largest of their upper 95 % bounds, which is one for the largest D (`gaps`); low: the largest of lower bounds
    that hold for all features together (Bonferroni). bar: ks_margin. FAIL: max-T permutation rejects at LARGEST of
    `level` for a feature whose D lies above the bar (above train's D by ks_margin, where train's is beyond it too).
    PASS: high lies within the bar: *every* feature is shown to. A share of features that may lie beyond is not left: a
    shift of all values shows in few features.
    Typical difference. value: mean over features of Wasserstein-1 in train's robust standard deviations; low, high: its
    one-sided 95 % bounds over halves by patient. bar: what sets of this size would show if every feature were shifted
    by w1_margin (w1_margin above train's where that lies beyond). FAIL: above the bar; p <= the rest of `level` among
    the same permutations; and beyond what chance gives by CERTAIN standard deviations of the halves: where synthetic
    features do not hang together as real ones do, permuted rows vary less than patients. PASS: high lies below the bar,
    and no further from value than would show a shift of w1_margin.
    Null of both: synthetic images and one random image of each patient of holdout and of train are of one population;
    whole rows are permuted between synthetic and the two. The size of a difference is measured against holdout alone.
    yardstick: train against holdout, all their images, at as many images as synthetic has.
    Westfall & Young 1993 (max-T); Berger 1982 (the largest bound, as the test of every one of its parts).
    """
    return marginals(space, label, train, holdout, synthetic, seed, level=level, bars=bars)[0]


def marginal_table(
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    *,
    level: float = LEVEL,
    bars: Marginals = Marginals(),
) -> pd.DataFrame:
    """One row per feature, for drawing and for looking closer; empty where there is nothing to compare.

    D, high: KS distance of synthetic to holdout and its upper 95 % bound; D_real: of train to holdout. W1, W1_real: the
    same of Wasserstein-1 (train's robust standard deviations), W1_chance: what two samples of one population give at
    this size. p: max-T, adjusted for all features. q: Benjamini-Hochberg on each feature's own KS p, a screening list.
    state: fail where p and D are beyond their bars, pass where `high` lies within ks_margin, else inconclusive.
    """
    return marginals("", label, train, holdout, synthetic, seed, level=level, bars=bars)[1]


def _table(data: Prepared, found: _Measured, level: float, margin: float) -> pd.DataFrame:
    fake, real, m = found.fake, found.real, found.images
    worth = np.minimum(fake.worth, len(data.holdout))
    alone = np.maximum(np.rint(worth * m / (worth + m)), 1)  # of two samples, in one number
    p = np.array([kstwo.sf(d, k) for d, k in zip(fake.distance, alone, strict=True)])
    apart = (found.p <= level) & (fake.distance > np.where(real.distance > margin, real.distance, 0) + margin)
    state = np.where(apart, FAIL, np.where(fake.high <= margin, PASS, INCONCLUSIVE)).astype(object)
    q = false_discovery_control(np.clip(p, 0, 1))
    rows = (data.train.names, fake.distance, fake.high, real.distance, fake.area, real.area, fake.chance, found.p)
    return pd.DataFrame(dict(zip(COLUMNS, (*rows, q, state), strict=True)))


Outcome = tuple[tuple[float, float, float, float], tuple[str, float], str, str]


def _largest(table: pd.DataFrame, found: _Measured, data: Prepared, level: float, margin: float) -> Outcome:
    fake, real = found.fake, found.real
    alike = float(t.ppf(1 - 0.05 / len(table), data.holdout.n_patients - 1))
    value, high = float(fake.distance.max()), float(fake.high.max())
    low = float(np.clip(fake.distance - alike * fake.error, 0, None).max())
    numbers, bar = (value, low, high, float(real.distance.max())), ("<=", margin)
    apart = table[table["state"] == FAIL]
    worst = (table if apart.empty else apart).sort_values("D", ascending=False, kind="stable")
    some = [f"{name} (D {d:.2f})" for name, d in zip(worst["feature"], worst["D"], strict=True)]
    if len(apart):
        more = f" and {len(some) - 5} more" if len(some) > 5 else ""
        note = (
            f"{len(apart)} of {len(table)} features differ from other real patients' by more than chance, all "
            f"features looked at together (p <= {level:.2g}), and by more than {margin:g}: {', '.join(some[:5])}{more}"
        )
        return numbers, bar, FAIL, note
    inside = int((fake.high <= margin).sum())
    shown = found.p <= level
    least = f"{some[0]} differs most"
    if inside == len(table):
        return numbers, bar, PASS, f"all {len(table)} features are shown to lie within {margin:g}; {least}"
    notes = [f"{inside} of {len(table)} features are shown to lie within {margin:g}; {least}"]
    if shown.any():
        notes.append(
            f"{shown.sum()} features differ by more than chance, but by no more than {margin:g} or than train does"
        )
    moved = int((real.distance - alike * real.error > margin).sum())
    if moved:
        notes.append(f"train itself differs from holdout in {moved} features by more than {margin:g}")
    patients, images = needed(found, data.holdout.n_patients, margin)
    notes.append(f"if they all do, about {patients} holdout patients and {images} synthetic images would show it")
    return numbers, bar, INCONCLUSIVE, "; ".join(notes)


def needed(found: _Measured, patients: int, margin: float) -> tuple[int, int]:
    """Holdout patients and synthetic images at which a set without a difference would probably be shown equivalent.

    The bounds lie below SURE x sqrt(1/n + 1/m), n the independent images that the holdout's are worth.
    """
    room = (margin / SURE) ** 2
    images = max(found.images, math.ceil(2 / room / 10) * 10)
    each = max(float(np.median(found.fake.worth)), 1.0) / patients  # independent images a patient is worth
    return max(math.ceil(1 / (room - 1 / images) / each / 10) * 10, patients + 1), images


def _typical(found: _Measured, data: Prepared, level: float, margin: float) -> Outcome:
    value, yardstick = float(found.fake.area.mean()), float(found.real.area.mean())
    spread = (found.halves - np.median(found.halves)) * t.ppf(0.95, data.holdout.n_patients - 1) / norm.ppf(0.95)
    low, high = value + np.quantile(spread, [0.05, 0.95])
    limit = float(shifted(found.fake.chance, margin).mean())
    alike = yardstick <= float(shifted(found.real.chance, margin).mean())
    bar = ("<=", limit if alike else max(limit, yardstick + margin))
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
    now = data.holdout.n_patients
    more = max(math.ceil(now * min(((high - value) / margin) ** 2 * 6, 1000) / 10) * 10, now + 1)
    images = max(more, len(data.synthetic))
    note = f"{why}: about {more} holdout patients and {images} synthetic images would decide; {chance}"
    return numbers, bar, INCONCLUSIVE, note
