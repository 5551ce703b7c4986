"""Images that have a true counterpart (translation, restoration): how near is each to it, in pixels and in features?

Knows arrays, the range of their values, which it is told, and tables of features. Does not know how images are made.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, t

from ganatomy.core.errors import InputError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import Features

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Range = tuple[float, float]

LEVEL = 0.05 / 8
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # Wang 2004
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, fine to coarse: Wang 2003
PAIRS = 32  # compared at a time: these stay in a processor's cache
PATIENTS = 6  # below which no interval over patients is given
CONCORDANCE = 0.9  # Lin's coefficient below which agreement is called poor (McBride 2005)
MEASURES = (("SSIM", ">="), ("MS-SSIM", ">="), ("PSNR", ">="), ("mean absolute error", "<="))


def psnr(a: NDArray[np.generic], b: NDArray[np.generic], data_range: Range) -> Array:
    """(N,) peak signal-to-noise ratio in dB, 10 log10(L^2 / mean squared error), of images (N, C, H, W).

    data_range: lowest and highest possible value, in the images' unit; L is their difference. Equal images: infinite.
    """
    x, y = _pair(a, b, data_range)
    error = ((x - y) ** 2).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        return np.asarray(-10 * np.log10(error))


def absolute_error(
    a: NDArray[np.generic], b: NDArray[np.generic], region: NDArray[np.bool_] | None = None
) -> tuple[Array, Array]:
    """(N,) mean of |a - b| and mean of a - b, in the images' unit, of images (N, C, H, W).

    region: (N, 1, H, W) or the images' shape, pixels that count (a body without the air about it); all where None.
    """
    gap = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    weight = np.ones(gap.shape) if region is None else np.broadcast_to(region, gap.shape).astype(np.float64)
    total = weight.sum((1, 2, 3))
    if not total.all():
        raise InputError(f"the region of image {int(np.argmin(total))} is empty; leave that image out")
    return (np.abs(gap) * weight).sum((1, 2, 3)) / total, (gap * weight).sum((1, 2, 3)) / total


def ssim(a: NDArray[np.generic], b: NDArray[np.generic], data_range: Range) -> Array:
    """(N,) structural similarity of images (N, C, H, W), the mean of its map and of channels. Wang 2004.

    A Gaussian window of 11 x 11 (sigma 1.5), K1 = 0.01, K2 = 0.03, where the window lies inside the image. Values are
    counted from the lowest of data_range, so that HU and grey levels of one picture give one number.
    """
    both = _scales(np.concatenate(_pair(a, b, data_range)), 1)
    n = len(a)
    return np.asarray(_compare(both[0], np.arange(n), np.arange(n, 2 * n))[1].mean(-1))


def ms_ssim(a: NDArray[np.generic], b: NDArray[np.generic], data_range: Range) -> Array:
    """(N,) multi-scale structural similarity of images (N, C, H, W). Wang 2003.

    As many of the five scales as an 11 x 11 window fits in (3 at 64 pixels, all from 176), their weights divided by
    their sum. Each scale halves the one before by the mean of 2 x 2 pixels. Structure of opposite sign counts as 0.
    """
    n = len(a)
    return similarity(np.concatenate(_pair(a, b, data_range)), np.arange(n), np.arange(n, 2 * n))


def similarity(images: Array, i: Index, j: Index) -> Array:
    """(len(i),) MS-SSIM of image i[k] with image j[k]. images: (N, C, H, W), already scaled to 0..1 by `unit_range`."""
    out = np.empty(len(i))
    pyramid = _scales(images, len(WEIGHTS))
    weights = np.array(WEIGHTS[: len(pyramid)]) / sum(WEIGHTS[: len(pyramid)])
    for start in range(0, len(i), PAIRS):
        at = slice(start, start + PAIRS)
        product = np.ones((len(i[at]), images.shape[1]))  # (pairs, C)
        for level, (scale, weight) in enumerate(zip(pyramid, weights, strict=True)):
            contrast, whole = _compare(scale, i[at], j[at])
            product *= np.clip(whole if level == len(pyramid) - 1 else contrast, 0, None) ** weight
        out[at] = product.mean(-1)
    return out


def unit_range(images: NDArray[np.generic], data_range: Range) -> Array:
    """Images as float64, data_range mapped to 0..1. InputError where the range is none, or is another unit's."""
    low, high = map(float, data_range)
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(f"the range {low:g} to {high:g} is empty; give the lowest and the highest possible value")
    values = (np.asarray(images, np.float64) - low) / (high - low)
    if values.ndim != 4:
        raise InputError(f"images of shape {values.shape} cannot be compared; give them as (images, channels, H, W)")
    if not np.isfinite(values).all():
        raise InputError("an image has values that are not numbers; leave it out, or fill them")
    if values.size and ((values < -1e-9) | (values > 1 + 1e-9)).mean() > 0.5:
        raise InputError(f"most values lie outside {low:g} to {high:g}; give the range in the unit of the images")
    return values


def _pair(a: NDArray[np.generic], b: NDArray[np.generic], data_range: Range) -> tuple[Array, Array]:
    if np.shape(a) != np.shape(b):
        raise InputError(f"images of shape {np.shape(a)} and {np.shape(b)} are no pairs; give each its counterpart")
    return unit_range(a, data_range), unit_range(b, data_range)


@dataclass(frozen=True, eq=False)
class _Scale:
    images: Array  # (N, C, H, W)
    means: Array  # (N, C, H - 10, W - 10) under the window
    variances: Array
    rows: Array  # (H - 10, H): the window, moved down the image
    columns: Array  # (W - 10, W)


def _scales(images: Array, most: int) -> list[_Scale]:
    if min(images.shape[2:]) < WINDOW:
        high, wide = images.shape[2:]
        raise InputError(
            f"images of {high} x {wide} pixels are too small for structural similarity; {WINDOW} are needed"
        )
    out: list[_Scale] = []
    while len(out) < most and min(images.shape[2:]) >= WINDOW:
        height, width = images.shape[2:]
        rows, columns = _window(height), _window(width)
        means = rows @ images @ columns.T
        out.append(_Scale(images, means, rows @ images**2 @ columns.T - means**2, rows, columns))
        even = images[:, :, : height - height % 2, : width - width % 2]
        images = even.reshape(*even.shape[:2], height // 2, 2, width // 2, 2).mean((3, 5))
    return out


def _window(length: int) -> Array:
    """(length - 10, length) the Gaussian window at each place it fits."""
    weights = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    out = np.zeros((length - WINDOW + 1, length))
    for start in range(len(out)):
        out[start, start : start + WINDOW] = weights / weights.sum()
    return out


def _compare(scale: _Scale, i: Index, j: Index) -> tuple[Array, Array]:
    """(pairs, C) mean contrast-structure term, and mean of it times the luminance term (the SSIM)."""
    m1, m2 = scale.means[i], scale.means[j]
    covariance = scale.rows @ (scale.images[i] * scale.images[j]) @ scale.columns.T - m1 * m2
    contrast = (2 * covariance + K2**2) / (scale.variances[i] + scale.variances[j] + K2**2)
    luminance = (2 * m1 * m2 + K1**2) / (m1**2 + m2**2 + K1**2)
    return contrast.mean((2, 3)), (contrast * luminance).mean((2, 3))


def paired_findings(
    label: str,
    made: NDArray[np.generic],
    target: NDArray[np.generic],
    patients: tuple[str, ...],
    source: NDArray[np.generic] | None = None,
    *,
    data_range: Range,
    unit: str = "",
    region: NDArray[np.bool_] | None = None,
    seed: int = 0,
    level: float = LEVEL,
) -> list[Finding]:
    """SSIM, MS-SSIM, PSNR and mean absolute error of made against target, both (N, C, H, W), pair by pair.

    value: mean over patients of the patient's mean; low, high: its 95 % t interval over patients. source: the images
    before they were translated or restored; the yardstick and bar are the same numbers of source against target:
    whoever changes an image must bring it nearer. FAIL: farther, sign-flip permutation of patients' differences
    (10,000; each of the four at level / 4). PASS: nearer, by the 95 % interval of the difference. Null: what was done
    to a patient's images is as likely to help as to harm. Without source nothing is judged (inconclusive).
    region: pixels that count in the absolute error. At most 100 dB, which equal images have.
    """
    who = np.unique(np.array(patients), return_inverse=True)[1] if len(patients) else np.arange(len(made))
    n = len(np.unique(who))
    finding = partial(Finding, "paired", n_images=len(made), n_patients=n)
    names = [(f"{word}, {unit}" if unit and word == MEASURES[3][0] else word, side) for word, side in MEASURES]
    if n < PATIENTS:
        note = f"there are pairs of {n} patients, this comparison needs {PATIENTS}"
        return [finding(name, label, note=note) for name, _ in names]

    def measure(images: NDArray[np.generic]) -> Array:  # (4, patients)
        rows = (
            ssim(images, target, data_range),
            ms_ssim(images, target, data_range),
            np.minimum(psnr(images, target, data_range), 100),
            absolute_error(images, target, region)[0],
        )
        return np.array([np.bincount(who, row) / np.bincount(who) for row in rows])

    values = measure(made)
    before = None if source is None else measure(source)
    found = []
    for row, (name, side) in enumerate(names):
        value, width = float(values[row].mean()), _half_width(values[row])
        low, high = value - width, value + width
        if before is None:
            note = "there is no yardstick: give the images as they were before, to learn whether they became better"
            found.append(finding(name, label, value, low, high, state=INCONCLUSIVE, note=note))
            continue
        better = (values[row] - before[row]) * (1 if side == ">=" else -1)  # per patient
        yardstick = float(before[row].mean())
        p = _sign_flip(-better, seed, f"paired {label} {name}")
        gap, reach = float(better.mean()), _half_width(better)
        state, note = INCONCLUSIVE, "whether the images came nearer to their counterparts cannot be told"
        if p <= level / len(names) and gap < 0:
            state, note = FAIL, f"the images lie farther from their counterparts than before (p = {p:.2g})"
        elif gap - reach > 0:
            state, note = PASS, ""
        elif abs(gap) > 0:
            note += f"; about {_patients(n, reach, abs(gap))} patients would settle it"
        bar = (side, yardstick)
        found.append(finding(name, label, value, low, high, yardstick, bar, state=state, note=note))
    return found


def _half_width(values: Array) -> float:
    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def _sign_flip(values: Array, seed: int, purpose: str, flips: int = 10_000) -> float:
    """P(a mean as large) if the sign of each patient's value were chance."""
    signs = rng(seed, purpose).integers(0, 2, (flips, len(values))) * 2.0 - 1
    observed = values.sum() - 1e-12 * np.abs(values).sum()  # rounding must not break ties
    return float((1 + (signs @ values >= observed).sum()) / (1 + flips))


def _patients(n: int, reach: float, gap: float) -> int:
    """How many patients narrow an interval of half-width reach to gap."""
    return int(10 * np.ceil(min(n * max((reach / gap) ** 2, 1.1), 100 * n) / 10))


def lin(x: Array, y: Array) -> Array:
    """(d,) Lin's concordance 2 s_xy / (s_x^2 + s_y^2 + (mean x - mean y)^2) of columns (n, d). Lin 1989, 1/n moments.

    NaN where both are constant and equal.
    """
    return _lin(np.array([x.mean(0), y.mean(0), (x**2).mean(0), (y**2).mean(0), (x * y).mean(0)]))


def _lin(moments: Array) -> Array:
    """From the means of x, y, x^2, y^2, xy, in the first axis."""
    mx, my, xx, yy, xy = moments
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * (xy - mx * my) / (xx - mx**2 + yy - my**2 + (mx - my) ** 2))


def agreement(difference: Array, owners: Index) -> tuple[Array, Array]:
    """(d,) bias (mean difference) and the standard deviation of one image's difference, of columns (n, d).

    The variance is the sum of that between and that within patients (one-way analysis of variance, unequal numbers;
    Bland & Altman 2007): the limits of agreement, bias +- 1.96 of it, hold for one image of a new patient.
    """
    counts = np.bincount(owners)
    n, k = len(difference), len(counts)
    sums = np.zeros((k, difference.shape[1]))
    np.add.at(sums, owners, difference)
    means, bias = sums / counts[:, None], difference.mean(0)
    between = (counts[:, None] * (means - bias) ** 2).sum(0) / max(k - 1, 1)
    within = ((difference - means[owners]) ** 2).sum(0) / (n - k) if n > k else np.zeros_like(bias)
    each = (n - (counts**2).sum() / n) / max(k - 1, 1)  # images per patient
    excess = np.clip(between - within, 0, None) / each
    return bias, np.sqrt(excess + within)


def concordance_table(made: Features, target: Features, seed: int = 0, resamples: int = 500) -> pd.DataFrame:
    """One row per feature: concordance with its 95 % interval, bias (made - target), limits of agreement, patients.

    Row i of made and of target are one pair; pairs with an undefined value are left out feature by feature. The
    interval is on Fisher's z, its spread from a bootstrap of patients.
    """
    rows = [
        (name, *column)
        for name, column in zip(target.names, _concordances(made, target, seed, resamples)[0], strict=True)
    ]
    columns = ["feature", "concordance", "low", "high", "bias", "loa_low", "loa_high", "n_images", "n_patients"]
    return pd.DataFrame(rows, columns=columns)


def _concordances(
    made: Features, target: Features, seed: int, resamples: int
) -> tuple[list[tuple[float, ...]], Array, Array]:
    """Rows of the table; concordances (d,); and their bootstrap (resamples, d) by patient."""
    if made.names != target.names or len(made) != len(target):
        raise InputError("the two tables are no pairs: give the same features, and the same images in the same order")
    owners = (target if target.patients else made).owners
    k = int(owners.max(initial=-1)) + 1
    weights = rng(seed, "concordance").multinomial(k, np.full(k, 1 / k), resamples).astype(np.float64) if k else None
    rows: list[tuple[float, ...]] = []
    point, spread = np.full(len(made.names), np.nan), np.full((resamples, len(made.names)), np.nan)
    for column in range(len(made.names)):
        x, y = made.values[:, column], target.values[:, column]
        whole = np.isfinite(x) & np.isfinite(y)
        x, y, who = x[whole], y[whole], np.unique(owners[whole], return_inverse=True)[1]
        n, people = len(x), len(np.unique(who))
        if people < 2 or weights is None:
            rows.append((np.nan,) * 6 + (n, people))
            continue
        centre = y.mean()  # so that squares lose no digits
        terms = np.stack([x - centre, y - centre, (x - centre) ** 2, (y - centre) ** 2, (x - centre) * (y - centre)])
        point[column] = _lin(terms.mean(1))
        sums = np.zeros((k, 6))  # per patient
        np.add.at(sums, owners[whole], np.vstack([terms, np.ones(n)]).T)
        drawn = weights @ sums  # (resamples, 6)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread[:, column] = _lin((drawn[:, :5] / drawn[:, 5:]).T)
        z = np.arctanh(np.clip(spread[:, column], -1 + 1e-12, 1 - 1e-12))
        at, width = np.arctanh(np.clip(point[column], -1 + 1e-12, 1 - 1e-12)), 1.96 * float(np.nanstd(z))
        bias, deviation = agreement((x - y)[:, None], who)
        limits = float(bias[0] - 1.96 * deviation[0]), float(bias[0] + 1.96 * deviation[0])
        rows.append((point[column], np.tanh(at - width), np.tanh(at + width), float(bias[0]), *limits, n, people))
    return rows, point, spread


def concordance_findings(
    space: str,
    label: str,
    made: Features,
    target: Features,
    source: Features | None = None,
    *,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = 1000,
) -> list[Finding]:
    """Median over features of Lin's concordance of made with target, against CONCORDANCE.

    Interval: Fisher's z with the spread of a bootstrap of patients and Student's t. FAIL: the interval at `level`
    lies wholly below the bar; PASS: that at 95 % wholly above. yardstick: the same median of source with target.
    """
    n = target.n_patients if target.patients else made.n_patients
    finding = partial(Finding, "paired", f"concordance of features, {space}", label, n_images=len(target), n_patients=n)
    if n < PATIENTS:
        return [finding(note=f"there are pairs of {n} patients, this comparison needs {PATIENTS}")]
    _, point, spread = _concordances(made, target, seed, resamples)
    known = np.isfinite(point)
    if not known.any():
        return [finding(note="no feature is defined and varies")]
    value = float(np.median(point[known]))
    z = np.arctanh(np.clip(np.nanmedian(spread[:, known], 1), -1 + 1e-12, 1 - 1e-12))
    at, error = float(np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))), float(z.std())
    low, high = np.tanh(at + np.array([-1, 1]) * t.ppf(0.975, n - 1) * error)
    bar, limit = (">=", CONCORDANCE), float(np.arctanh(CONCORDANCE))
    poor = int((point[known] < CONCORDANCE).sum())
    note = f"{poor} of {int(known.sum())} features have a concordance below {CONCORDANCE}"
    state = INCONCLUSIVE
    if at + t.isf(level, n - 1) * error < limit:
        state = FAIL
    elif low >= CONCORDANCE:
        state = PASS
    else:
        reach = (norm.isf(level) if at < limit else 1.96) * error
        note += f"; about {_patients(n, reach, max(abs(at - limit), 1e-3))} patients would settle it"
    yardstick = None
    if source is not None:
        before = _concordances(source, target, seed, 1)[1]
        yardstick = float(np.median(before[np.isfinite(before)])) if np.isfinite(before).any() else None
    return [finding(value, min(float(low), value), max(float(high), value), yardstick, bar, state=state, note=note)]
