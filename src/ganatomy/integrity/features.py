"""Tables of numbers ready to be compared: whose rows they are, on one scale, in samples of equal size.

Knows patients and the scale that the training set sets. Does not know what is measured, nor any image.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from ganatomy.core.errors import InputError
from ganatomy.core.finding import INCONCLUSIVE, PASS, Finding, judge
from ganatomy.core.seed import rng

Array = NDArray[np.float64]
Index = NDArray[np.int64]

CLIP = (
    10.0  # robust standard deviations beyond which a value counts as this far, so that one outlier owns no covariance
)
LEAST_HALF = 6  # images below which a half is no sample
UNEVEN = "one patient has most of the images, so no interval over patients can be had; more patients are needed"
LOST = 0.05  # share of synthetic images with undefined features, above the real share, beyond which nothing may pass


@dataclass(frozen=True, eq=False)
class Features:
    """One row per image.

    values: (n, d) float64; names: d columns
    patients: n patients, or () for synthetic images: the generator is held fixed and its images are independent draws
    """

    values: Array
    names: tuple[str, ...]
    patients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(f"{len(self.names)} features need values of shape (n, {len(self.names)})")
        if len(self.patients) not in (0, len(self.values)):
            raise ValueError(f"{len(self.values)} rows cannot have {len(self.patients)} patients")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def owners(self) -> Index:
        """(n,) the patient of each row as a number; every synthetic row is its own."""
        if not self.patients:
            return np.arange(len(self))
        return np.unique(np.array(self.patients), return_inverse=True)[1].astype(np.int64)

    @property
    def n_patients(self) -> int:
        """How many patients the rows come from."""
        return len(np.unique(self.owners))

    def take(self, rows: Index) -> "Features":
        """The given rows, in the given order."""
        return Features(self.values[rows], self.names, tuple(self.patients[i] for i in rows) if self.patients else ())


def one_per_patient(features: Features, generator: np.random.Generator) -> Features:
    """One random image of each patient, in random order: rows that are independent."""
    order = generator.permutation(len(features))
    first = np.unique(features.owners[order], return_index=True)[1]
    return features.take(order[np.sort(first)])


def draw(features: Features, n: int, generator: np.random.Generator) -> Features:
    """n random rows without replacement (all of them, shuffled, where there are no more)."""
    return features.take(generator.permutation(len(features))[:n])


def half(features: Features, generator: np.random.Generator) -> Features:
    """All rows of a random half of the patients (rounded up)."""
    owners = features.owners
    names = np.unique(owners)
    return features.take(np.flatnonzero(np.isin(owners, generator.permutation(names)[: (len(names) + 1) // 2])))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Three tables on one scale; note: what was left out; lost: share of synthetic minus of holdout rows left out."""

    train: Features
    holdout: Features
    synthetic: Features
    note: str = ""
    lost: float = 0.0


def prepare(train: Features, holdout: Features, synthetic: Features, scaled: bool = True) -> Prepared:
    """Robust z-scores (x - median) / (IQR / 1.349) with statistics of train alone, clipped at +-CLIP.

    The standard deviation stands in where the IQR is 0. Left out, and named in the note: columns that are constant
    in train or undefined in more than a tenth of its rows; then rows with an undefined value. scaled = False leaves
    the values as they are, as an embedding's are that is to be compared with publications.
    """
    if not train.names == holdout.names == synthetic.names:
        raise InputError("train, holdout and synthetic have different feature columns; extract them with one setting")
    tables = [np.where(np.isfinite(t.values), t.values, np.nan) for t in (train, holdout, synthetic)]
    keep, centre, scale, varies = [], [], [], []
    for column, name in enumerate(train.names):
        x = tables[0][:, column]
        x = x[~np.isnan(x)]
        if x.size < max(2, 0.9 * len(train)):
            continue
        if np.ptp(x) <= 1e-12 * np.abs(x).max():
            y = tables[2][:, column]
            varies += [name] if y[~np.isnan(y)].size and np.nanmax(np.abs(y - x[0])) > 1e-6 * abs(x[0]) else []
            continue
        q25, q50, q75 = np.percentile(x, [25, 50, 75])
        keep.append(column)
        centre.append(q50)
        scale.append((q75 - q25) / 1.349 if q75 - q25 > 1e-12 * np.abs(x).max() else x.std())
    names, out, share, notes = tuple(train.names[c] for c in keep), [], [], []
    for what, features, table in zip(
        ("train", "holdout", "synthetic"), (train, holdout, synthetic), tables, strict=True
    ):
        z = table[:, keep]
        if scaled:
            z = np.clip((z - np.array(centre)) / np.array(scale), -CLIP, CLIP)
        whole = np.flatnonzero(~np.isnan(z).any(1))
        out.append(Features(z, names, features.patients).take(whole))
        share.append(1 - len(whole) / max(len(z), 1))
        if len(whole) < len(z):
            notes.append(f"{len(z) - len(whole)} of {len(z)} {what} images have undefined features and are left out")
    if len(names) < len(train.names):
        gone = len(train.names) - len(names)
        notes.append(f"{gone} of {len(train.names)} features are constant or undefined in train and are left out")
    if varies:
        notes.append(f"constant in train but not in synthetic: {', '.join(varies[:3])}{' ...' * (len(varies) > 3)}")
    return Prepared(out[0], out[1], out[2], "; ".join(notes), max(share[2] - share[1], 0.0) if len(synthetic) else 0.0)


def sample(
    measure: Callable[[Features, Features, Features], Array],
    data: Prepared,
    seed: int,
    purpose: str,
    resamples: int,
    most: int = 2**31,
) -> tuple[Array, Array]:
    """`measure` of equally many rows of (train, holdout, synthetic): on whole sets, and on halves by patient.

    Returns (20, k) values at n = the smallest set (at most `most`), over draws of rows without replacement (one, where
    every draw would be the whole set), and (resamples, k) values at about n/2, each from a random half of the patients
    of train and of holdout and half of the synthetic rows. A half drawn without replacement scatters about the whole
    as the whole does about the truth (for a mean, exactly), and repeats no row: a bootstrap would, and repeats inflate
    distances and shrink coverage. Where a half has more rows than are compared it is the mean of as many draws as use
    them all, at most four, so that a large set steadies the halves as its 20 draws steady the whole.
    A half of few images (one patient owns most) is left out; with fewer than 20 halves left there are none.
    """
    sets = (data.train, data.holdout, data.synthetic)
    n = min(most, *(len(s) for s in sets))
    generator = rng(seed, purpose, "draws")
    often = 20 if any(len(s) > n for s in sets) else 1
    whole = [measure(*(draw(s, n, generator) for s in sets)) for _ in range(often)]
    generator = rng(seed, purpose, "halves")
    halves = []
    for _ in range(resamples):
        parts = [half(s, generator) for s in sets]
        m = min(n // 2, *(len(p) for p in parts))
        if m >= max(n // 4, LEAST_HALF):
            often = min(round(max(len(p) for p in parts) / m), 4)
            draws = [measure(*(draw(p, m, generator) for p in parts)) for _ in range(often)]
            halves.append(np.mean(draws, axis=0))
    return np.array(whole), np.array(halves if len(halves) >= min(20, resamples) else [])


def settle(
    value: float, low: float, high: float, bar: tuple[str, float], data: Prepared, note: str = ""
) -> tuple[str, str]:
    """State and note of a measured interval: judged, but no pass where synthetic images fell out as undefined."""
    state = judge(value, low, high, bar)
    reasons = [note, data.note]
    if state == INCONCLUSIVE:
        reasons.insert(0, "the interval reaches over the bar: more holdout patients would narrow it")
    elif state == PASS and data.lost > LOST:
        state = INCONCLUSIVE
        reasons.insert(0, "too many synthetic images have undefined features for a pass")
    return state, "; ".join(filter(None, reasons))


def too_small(data: Prepared, images: int, patients: int) -> str:
    """Why three sets are too small to be compared, or "" where each has enough images and patients."""
    for what, features in (("train", data.train), ("holdout", data.holdout), ("synthetic", data.synthetic)):
        if not features.names:
            return "no feature varies in train" + (f"; {data.note}" if data.note else "")
        people = "" if what == "synthetic" else f" of {_count(features.n_patients, 'patient')}"
        if len(features) < images or (people and features.n_patients < patients):
            have = f"{_count(len(features), 'image')}{people} of this class"
            if f" {what} images have undefined features" in data.note:
                have = f"{_count(len(features), 'image')}{people} of this class with all features defined"
            need = f"{images} images" + (f" of {patients} patients" if people else "")
            return f"{what} has {have}, this measure needs {need}" + (f"; {data.note}" if data.note else "")
    return ""


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def clopper_pearson(count: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper & Pearson 1934)."""
    low = 0.0 if count == 0 else float(beta.ppf(0.025, count, n - count + 1))
    return low, 1.0 if count == n else float(beta.ppf(0.975, count + 1, n - count))


def undefined_findings(label: str, train: Features, holdout: Features, synthetic: Features) -> list[Finding]:
    """Share of synthetic images with undefined features (flat, empty): the rows other gates cannot see.

    Bar: at most LOST above the holdout's share. The interval is Clopper-Pearson's over synthetic images.
    """
    name = "images with undefined features"
    if not len(synthetic) or not len(holdout):
        which = "synthetic" if len(holdout) else "holdout"
        why = f"there are no {which} images"
        return [Finding("fidelity", name, label, n_images=len(holdout), n_patients=holdout.n_patients, note=why)]
    known = np.isfinite(train.values).mean(0) >= 0.9 if len(train) else np.ones(len(train.names), bool)
    bad, bad_real = (int((~np.isfinite(t.values[:, known])).any(1).sum()) for t in (synthetic, holdout))
    value, yardstick = bad / len(synthetic), bad_real / len(holdout)
    low, high = clopper_pearson(bad, len(synthetic))
    bar = ("<=", yardstick + LOST)
    state = judge(value, low, high, bar)
    note = f"{bad} of {len(synthetic)} synthetic images have some, and {bad_real} of {len(holdout)} holdout images"
    if state == INCONCLUSIVE:
        note += "; more synthetic images would decide"
    size = {"n_images": len(holdout), "n_patients": holdout.n_patients}
    return [Finding("fidelity", name, label, value, low, high, yardstick, bar, **size, state=state, note=note)]
