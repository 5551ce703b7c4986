"""Images and regions -> a table of first-order and co-occurrence features, under pyradiomics' names.

Knows the definitions (pyradiomics 3, IBSI). Does not know classes or patients. The co-occurrence counts come from
scikit-image; a faster engine can replace `cooccurrence` behind the same call.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.feature import graycomatrix

from ganatomy.core.errors import InputError

Array = NDArray[np.float64]

LEVELS = 256  # grey levels kept per image; brighter pixels count as the last level

FIRST_ORDER = (
    *(
        "Energy",
        "Entropy",
        "Minimum",
        "10Percentile",
        "90Percentile",
        "Maximum",
        "Mean",
        "Median",
        "InterquartileRange",
    ),
    *(
        "Range",
        "MeanAbsoluteDeviation",
        "RobustMeanAbsoluteDeviation",
        "RootMeanSquared",
        "Skewness",
        "Kurtosis",
    ),
    *("Variance", "Uniformity"),
)
GLCM = (
    *("Autocorrelation", "JointAverage", "ClusterProminence", "ClusterShade", "ClusterTendency", "Contrast"),
    *(
        "Correlation",
        "DifferenceAverage",
        "DifferenceEntropy",
        "DifferenceVariance",
        "JointEnergy",
        "JointEntropy",
    ),
    *(
        "Idm",
        "Id",
        "InverseVariance",
        "MaximumProbability",
        "SumAverage",
        "SumEntropy",
        "SumSquares",
        "Idmn",
        "Idn",
    ),
)


def extract(images: NDArray[np.generic], *, bin_width: float, background: float | None = None) -> pd.DataFrame:
    """One row of features per image.

    images: (N, C, H, W) in physical units, any real dtype
    bin_width: width of a grey level, in the same units; levels are floor(x/w) - floor(min/w) + 1 within the region
    background: the region is the pixels above it, in each channel; the whole image where None. Pixels that are not
        finite are outside.
    Columns are original_firstorder_Mean, original_glcm_Contrast, ...; original_c0_firstorder_Mean, ... with several
    channels. What is undefined is NaN: everything of an empty region, skewness, kurtosis and correlation of a flat
    one (pyradiomics writes 0, 0 and 1), co-occurrence of a region without neighbouring pixels.
    More than LEVELS levels: brighter pixels count as the last level. InputError where most images are that wide.
    """
    stack = np.asarray(images)
    if stack.ndim != 4:
        raise InputError(f"features need images of shape (N, C, H, W), not {stack.shape}; add the missing axis")
    if not (math.isfinite(bin_width) and bin_width > 0):
        raise InputError(f"the bin width is a number above 0 in the images' units, not {bin_width}")
    wide, rows = 0, []
    for image in stack:
        row: list[Array] = []
        for channel in image.astype(np.float64):
            inside = np.isfinite(channel) if background is None else np.isfinite(channel) & (channel > background)
            levels = discretise(channel, inside, bin_width)  # (H, W), 0 outside
            wide += bool(levels.max(initial=0) > LEVELS)
            levels = np.minimum(levels, LEVELS)
            row += [first_order(channel[inside], levels[inside]), glcm_features(cooccurrence(levels))]
        rows.append(np.concatenate(row))
    if rows and wide > len(rows) * stack.shape[1] / 2:
        raise InputError(
            f"a bin width of {bin_width:g} gives more than {LEVELS} grey levels in {wide} of "
            f"{len(rows) * stack.shape[1]} images; choose a wider one (16 to 128 levels are usual)"
        )
    prefixes = ["original_"] if stack.shape[1] == 1 else [f"original_c{c}_" for c in range(stack.shape[1])]
    names = [*(f"firstorder_{name}" for name in FIRST_ORDER), *(f"glcm_{name}" for name in GLCM)]
    columns = [prefix + name for prefix in prefixes for name in names]
    return pd.DataFrame(np.asarray(rows).reshape(len(rows), len(columns)), columns=columns)


def discretise(values: Array, inside: NDArray[np.bool_], bin_width: float) -> NDArray[np.int64]:
    """Grey levels 1, 2, ... inside, 0 outside: floor(x/w) - floor(min/w) + 1, as pyradiomics bins."""
    levels = np.zeros(values.shape, np.int64)
    if inside.any():
        bins = np.floor(values[inside] / bin_width)
        levels[inside] = np.minimum(bins - bins.min() + 1, 2**31).astype(np.int64)
    return levels


def first_order(x: Array, levels: NDArray[np.int64]) -> Array:
    """The FIRST_ORDER features of the values x (n,) of a region; entropy and uniformity (-) use its grey levels."""
    if x.size == 0:
        return np.full(len(FIRST_ORDER), np.nan)
    p = np.bincount(levels)[1:] / x.size  # (n levels,)
    low, p10, p25, median, p75, p90, high = np.percentile(x, [0, 10, 25, 50, 75, 90, 100])
    mean = x.mean()
    centred, robust = x - mean, x[(x >= p10) & (x <= p90)]
    variance = (centred**2).mean()
    flat = high == low
    skewness, kurtosis = (
        (np.nan, np.nan) if flat else ((centred**3).mean() / variance**1.5, (centred**4).mean() / variance**2)
    )
    energy, spread = (x**2).sum(), np.abs(centred).mean()
    robust_spread = np.abs(robust - robust.mean()).mean() if robust.size else np.nan
    ends = (low, p10, p90, high, mean, median, p75 - p25, high - low, spread, robust_spread)
    return np.array([energy, _entropy(p), *ends, np.sqrt(energy / x.size), skewness, kurtosis, variance, (p**2).sum()])


def cooccurrence(levels: NDArray[np.int64], n: int | None = None) -> Array:
    """Symmetric counts (4 angles, n, n) of neighbouring levels at distance 1; pairs that leave the region do not count.

    levels: (H, W), 1..n inside the region, 0 outside; n is the highest level where not given.
    """
    n = int(levels.max(initial=0)) if n is None else n
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    kind = np.uint8 if n < 256 else np.uint16
    counts = graycomatrix(levels.astype(kind), [1], angles, levels=n + 1, symmetric=True)  # (n+1, n+1, 1, 4)
    inside: Array = np.moveaxis(counts[1:, 1:, 0], -1, 0).astype(np.float64)  # level 0 is the outside
    return inside


def glcm_features(counts: Array) -> Array:
    """The GLCM features of counts (A, n, n), each the mean over the angles at which it is defined.

    Definitions: Haralick 1973 as written out by pyradiomics and IBSI; sums are over levels i, j = 1..n.
    """
    counts = counts[counts.sum((1, 2)) > 0]  # an angle without pairs has no features
    n = counts.shape[-1]
    if not len(counts):
        return np.full(len(GLCM), np.nan)
    p = counts / counts.sum((1, 2), keepdims=True)
    i = np.arange(1, n + 1, dtype=np.float64)
    px = p.sum(2)  # (A, n), also the other marginal: p is symmetric
    mean = px @ i
    variance = px @ i**2 - mean**2
    k, s = np.arange(n), np.arange(2, 2 * n + 1)  # |i - j| and i + j
    p_minus, p_plus = np.zeros((len(p), n)), np.zeros((len(p), 2 * n - 1))
    rows, columns = np.indices((n, n))
    for angle, matrix in enumerate(p):
        p_minus[angle] = np.bincount(np.abs(rows - columns).ravel(), matrix.ravel(), n)
        p_plus[angle] = np.bincount((rows + columns).ravel(), matrix.ravel(), 2 * n - 1)
    auto = np.einsum("i,aij,j->a", i, p, i)
    difference = p_minus @ k
    around = s[None] - 2 * mean[:, None]  # (A, 2n-1)
    flat = (px > 0).sum(1) == 1
    values = {
        "Autocorrelation": auto,
        "JointAverage": mean,
        "ClusterProminence": (p_plus * around**4).sum(1),
        "ClusterShade": (p_plus * around**3).sum(1),
        "ClusterTendency": (p_plus * around**2).sum(1),
        "Contrast": p_minus @ k**2,
        "Correlation": np.where(flat, np.nan, (auto - mean**2) / np.where(flat, 1, variance)),
        "DifferenceAverage": difference,
        "DifferenceEntropy": _entropy(p_minus),
        "DifferenceVariance": (p_minus * (k[None] - difference[:, None]) ** 2).sum(1),
        "JointEnergy": (p**2).sum((1, 2)),
        "JointEntropy": _entropy(p.reshape(len(p), -1)),
        "Idm": p_minus @ (1 / (1 + k**2)),
        "Id": p_minus @ (1 / (1 + k)),
        "InverseVariance": p_minus[:, 1:] @ (1 / k[1:] ** 2),
        "MaximumProbability": p.max((1, 2)),
        "SumAverage": p_plus @ s,
        "SumEntropy": _entropy(p_plus),
        "SumSquares": variance,
        "Idmn": p_minus @ (1 / (1 + k**2 / n**2)),
        "Idn": p_minus @ (1 / (1 + k / n)),
    }
    defined = {name: value[~np.isnan(value)] for name, value in values.items()}
    return np.array([defined[name].mean() if defined[name].size else np.nan for name in GLCM])


def _entropy(p: Array) -> Array:
    """Shannon entropy in bits over the last axis; 0 log 0 = 0."""
    entropy: Array = -(p * np.log2(np.where(p > 0, p, 1))).sum(-1) + 0.0  # + 0.0: no negative zero
    return entropy
