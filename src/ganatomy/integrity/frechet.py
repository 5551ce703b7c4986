"""Fréchet distance of synthetic to holdout images, beside that of train to holdout at the same size.

Knows tables of features, and how frd-score scales them. Does not know where the features come from.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import LOST, UNEVEN, Features, draw, prepare, sample, too_small

Array = NDArray[np.float64]

IMAGES, PATIENTS = 12, 5  # the least of each set: its half must be a sample
COVARIANCES = 100  # images below which only the means are compared
WIDE, FEW = 100, 40  # features above which fewer halves are drawn, to bound time
MOST = 5000  # images of each set that are compared at a time, to bound time
NARROW = 1.25  # factor, each way, within which an interval is narrow
FAR, SETTLED = 20, 200  # growth of the sample that nobody can ask for; patients from which an interval is narrow
V0_RANGE = 7.45670747756958  # the range to which FRD v0 scales each feature


def frechet(a: Array, b: Array, means_only: bool = False) -> float:
    """d^2 = |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2) of rows a, b (n, d); S by Ledoit & Wolf 2004.

    Dowson & Landau 1982, Heusel 2017. Both roots come from symmetric eigenproblems, so nothing complex can appear.
    """
    return _distances(a, (b,), means_only)[0]


def _distances(a: Array, others: Sequence[Array], means_only: bool = False) -> list[float]:
    """`frechet` of a and each of the others; what is known of a is computed once."""
    shifts = [float(((a.mean(0) - b.mean(0)) ** 2).sum()) for b in others]
    if means_only:
        return shifts
    one = covariance(a)
    root = _root(one)
    pairs = zip(shifts, map(covariance, others), strict=True)
    return [_distance(shift, one, root, two) for shift, two in pairs]


def covariance(rows: Array) -> Array:
    """(d, d) covariance of rows (n, d), drawn towards a multiple of the identity as Ledoit & Wolf 2004 prove best.

    The same number as scikit-learn's ledoit_wolf; its sum over pairs of columns is taken over rows, which is quicker.
    """
    n, d = rows.shape
    x = rows - rows.mean(0)
    plain = x.T @ x / n
    mean, square = float(np.trace(plain)) / d, float((plain**2).sum())
    spread = max(square / d - mean**2, 0.0)
    noise = (float(((x**2).sum(1) ** 2).sum()) / n - square) / (n * d)
    share = min(noise / spread, 1.0) if spread > 0 and noise > 0 else 0.0
    return np.asarray((1 - share) * plain + share * mean * np.eye(d))


def _root(s: Array) -> Array:
    """R (d, d) with R R^T = s: Cholesky's, or from the eigenvalues where s is singular."""
    try:
        return np.asarray(np.linalg.cholesky(s))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(s)
        return np.asarray(vectors * np.sqrt(np.clip(values, 0, None)))


def _distance(shift: float, s1: Array, root: Array, s2: Array) -> float:
    """The Fréchet distance d^2 of two normal distributions, from |m1 - m2|^2 and the covariances (d, d).

    The eigenvalues of root^T S2 root are those of S1^1/2 S2 S1^1/2, whichever root of S1 is taken.
    """
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root.T @ s2 @ root), 0, None)).sum()
    return max(shift + float(np.trace(s1) + np.trace(s2) - 2 * cross), 0.0)


def _plain(a: Array, b: Array) -> float:
    """d^2 with the sample covariances (n - 1), as FID and frd-score have it."""
    s1, s2 = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    return _distance(float(((a.mean(0) - b.mean(0)) ** 2).sum()), s1, _root(s1), s2)


def fid(a: Array, b: Array) -> float:
    """Fréchet distance d^2 with sample covariances, as FID has it (Heusel 2017), of embeddings (n, d), (m, d).

    Biased by about 1 / n (Chong & Forsyth 2020): only values at the same n compare. NaN with fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        return math.nan
    if len(a) + len(b) > a.shape[1]:
        return _plain(a, b)
    # fewer rows than columns: Tr (S1 S2)^1/2 is the sum of the singular values of the rows' products
    one, two = ((x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b))
    cross = float(np.linalg.svd(one @ two.T, compute_uv=False).sum())
    shift = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    return max(shift + float((one**2).sum() + (two**2).sum()) - 2 * cross, 0.0)


def frd_v0(a: Array, b: Array) -> float:
    """FRD version 0 of feature rows (n, d), (m, d), as frd-score 1.0.1 defines it (Osuala 2024, arXiv 2403.13890).

    Each column is scaled to [0, 7.4567] by its least and greatest value in both sets together; what is missing, or
    constant, stands in the middle. d^2 with sample covariances, no logarithm. Symmetric. NaN with fewer than two rows.
    """
    if min(len(a), len(b)) < 2 or a.shape[1] == 0:
        return math.nan
    both = np.concatenate([a, b])
    known = np.isfinite(both)
    low = np.where(known, both, np.inf).min(0)
    span = np.where(known, both, -np.inf).max(0) - low
    moves = np.isfinite(span) & (span > 0)
    scaled = (both - np.where(moves, low, 0)) / np.where(moves, span, 1)
    scaled = np.where(known & moves, scaled, 0.5) * V0_RANGE
    return _plain(scaled[: len(a)], scaled[len(a) :])


def frd_v1(a: Array, b: Array, use_paper_log: bool = False) -> float:
    """FRD version 1 of feature rows (n, d), (m, d), as frd-score 1.0.1 defines it (Konz 2024, arXiv 2412.01496).

    Rows with NaN are left out; single precision; z-scores with mean and standard deviation of `a` (so a and b are not
    exchangeable); columns that then hold NaN or infinity are left out; log(d^2) with sample covariances. The paper's
    equation 3 is log(d), half of it: use_paper_log. NaN with fewer than two rows or no column, -inf where d = 0.
    """
    first, second = (x[~np.isnan(x).any(1)].astype(np.float32) for x in (a, b))
    if min(len(first), len(second)) < 2:
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z1, z2 = ((x - first.mean(0)) / first.std(0) for x in (first, second))
    keep = np.isfinite(z1).all(0) & np.isfinite(z2).all(0)
    if not keep.any():
        return math.nan
    squared = _plain(z1[:, keep], z2[:, keep])
    return (math.log(squared) if squared > 0 else -math.inf) * (0.5 if use_paper_log else 1.0)


def published(train: Features, holdout: Features, synthetic: Features, seed: int, purpose: str) -> str:
    """FRD v0 and v1 of holdout (first) and synthetic, beside those of holdout and train, in a sentence.

    One draw of n = the smallest set (at most MOST); the tables as they were measured. They judge nothing: no bar is
    published, the value falls with n and rises with the number of features, and the logarithm hides the null.
    """
    sets = (train, holdout, synthetic)
    generator = rng(seed, f"frd {purpose}")
    n = min(MOST, *(len(s) for s in sets))
    t, h, s = (draw(x, n, generator).values for x in sets)
    told = []
    for name, measure in (("FRD v0", frd_v0), ("FRD v1 (log d²)", frd_v1)):
        value, yardstick = measure(h, s), measure(h, t)
        if math.isfinite(value) and math.isfinite(yardstick):
            told.append(f"{name} {value:.3g}, of training images {yardstick:.3g}")
    where = f"at {n} images a side and {len(train.names)} features, to be compared only there"
    return f"as frd-score has it, {where}: {'; '.join(told)}" if told else ""


def frechet_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    *,
    seed: int,
    level: float,
    resamples: int = 200,
    ratio: float = 2.0,
    shift: float = 0.25,
    raw: bool = False,
) -> list[Finding]:
    """d^2(synthetic, holdout) against d^2(train, holdout), both at n = the smallest of the three sets (at most MOST).

    value and yardstick are means over draws of n images. What is resampled are halves of the patients of train and of
    holdout, and of the synthetic images. bar: `ratio` x yardstick, or the yardstick + d^2 of a shift by `shift`
    standard deviations along train's main axis, whichever is more: the yardstick is mostly the bias of d^2 at this n
    (Chong & Forsyth 2020), which synthetic images have too, and falls with n; a multiple of it alone would in the end
    forbid what does not matter. Null: value and yardstick are of other real patients alike.
    fail: value above the bar, and log(value / yardstick) above log(ratio) by the 1 - `level` quantile of Student's t
    times its standard deviation over halves. pass: the 95 % interval below the bar; low and high are the value and the
    spread of its ratio to the yardstick, or of its difference from it where that is the bar.
    raw: an embedding: values as they are, and sample covariances, which makes it the FID (Heusel 2017).
    """
    data = prepare(train, holdout, synthetic, scaled=not raw)
    real = data.holdout
    name = "FID" if raw else "Fréchet distance"
    finding = partial(Finding, "fidelity", f"{name}, {space}", label, n_images=len(real), n_patients=real.n_patients)
    if reason := too_small(data, IMAGES, PATIENTS):
        return [finding(note=reason)]
    n = min(MOST, len(data.train), len(data.holdout), len(data.synthetic))

    def measure(t: Features, h: Features, s: Features) -> Array:
        if raw:
            return np.array([fid(h.values, x.values) for x in (s, t)])
        return np.array(_distances(h.values, (s.values, t.values), n < COVARIANCES))

    if len(data.train.names) > WIDE and n >= COVARIANCES:
        resamples = min(resamples, FEW)
    whole, halves = sample(measure, data, seed, f"frechet {space} {label}", resamples, MOST)
    if not len(halves):
        return [finding(note=UNEVEN)]
    value, yardstick = (float(x) for x in np.mean(whole, axis=0))
    small = shift**2 * _main_axis(data.train.values)
    bar = ("<=", max(ratio * yardstick, yardstick + small))
    logs = np.log(np.maximum(halves, 1e-12))  # (resamples, 2)
    relative = float(np.std(logs[:, 0] - logs[:, 1]))
    if bar[1] > yardstick + small:
        low, high = value * math.exp(-1.96 * relative), value * math.exp(1.96 * relative)
    else:
        error = 1.96 * float(np.std(halves[:, 0] - halves[:, 1]))
        low, high = max(value - error, 0.0), value + error
    strict = float(student.isf(level, max(len(halves) - 1, 1)))
    above = math.log(max(value, 1e-12) / max(ratio * yardstick, 1e-12))
    why = f"synthetic images lie {value / max(yardstick, 1e-12):.1f} times as far from new patients as training images "
    why += f"do, give or take a factor of {math.exp(min(1.96 * relative, 9)):.1f}"
    if value > bar[1] and above > strict * relative:
        state = FAIL
    elif high <= bar[1]:
        state = PASS
        if data.lost > LOST:
            state, why = INCONCLUSIVE, "too many synthetic images have undefined features for a pass"
    else:
        state = INCONCLUSIVE
        gap = math.log(bar[1] / max(value, 1e-12))  # of which the interval's half shrinks with the root of n
        factor = (math.log(high / max(value, 1e-12)) / max(gap, 1e-9)) ** 2
        if value > bar[1]:
            factor = (strict * relative / max(above, 1e-9)) ** 2
        why += f": {settling(real.n_patients, factor, 1.96 * relative)}"
    notes = [why, "" if raw else published(train, holdout, synthetic, seed, f"{space} {label}")]
    if n < COVARIANCES and not raw:
        notes.append(
            f"only the means of the features are compared, for the smallest set has {n} images: their spread takes "
            f"{COVARIANCES} in each set, so that a lost variety would not be seen here"
        )
    if min(map(len, (data.train, data.holdout, data.synthetic))) > MOST:
        notes.append(f"{MOST} images of each set are compared at a time")
    note = "; ".join(filter(None, [*notes, data.note]))
    return [finding(value, low, high, yardstick, bar, state=state, note=note)]


def _main_axis(rows: Array) -> float:
    """Variance of rows (n, d) along their main axis."""
    centred = rows - rows.mean(0)
    narrow = centred.T @ centred if len(rows) > rows.shape[1] else centred @ centred.T
    return float(np.linalg.eigvalsh(narrow)[-1]) / max(len(rows) - 1, 1)


def settling(patients: int, factor: float, width: float | None = None) -> str:
    """How many holdout patients would settle it, where the sample must grow by `factor`.

    width: half of the interval, as a logarithm. Where it is wide, nearness to the bar is chance as likely as truth, and
    what is told is how many would make it narrow (a factor of NARROW). None: narrow from SETTLED patients on.
    """
    if factor <= FAR:
        need = math.ceil(max(factor, 1.1) * patients / 10) * 10
        return f"about {need} holdout patients of this class, and as many synthetic images, would settle it"
    if patients >= SETTLED if width is None else width <= math.log(NARROW):
        return "it lies so near the bar that no realistic number of patients would settle it"
    if width is None:
        return (
            f"{FAR * patients} holdout patients of this class, and as many synthetic images, would narrow the interval"
        )
    need = math.ceil((width / math.log(NARROW)) ** 2 * patients / 10) * 10
    said = f"about {need} holdout patients of this class, and as many synthetic images, would narrow the interval "
    return f"{said}to a factor of {NARROW}, and show on which side of the bar it lies"
