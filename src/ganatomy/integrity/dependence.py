"""Do features hang together within one class as they do in other real patients? Rank correlations, set beside others.

Knows tables of features. Does not know what each feature's values are (marginals.py): ranks alone are compared.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.distances import shifted
from ganatomy.integrity.features import LOST, Features, Prepared, prepare, too_small

Array = NDArray[np.float64]
Single = NDArray[np.floating]
Index = NDArray[np.int64]

LEVEL = 0.05 / 8  # false alarms of one gate, where nobody says otherwise
ALIKE = 0.9  # |rho| above which features are one cluster
LEAST = 10  # images and patients of each set
MOST = 500  # independent rows of each side
DRAWS = 10  # draws of one image per patient behind a value
HALVES = 100  # resamples by patient behind an interval
FUTILE, BLOCK = 20, 128  # as large values among permutations after which no p can become small; looked at so often
STATISTICS = ("typical difference of rank correlations", "largest difference of rank correlations")
DRAWN = 40  # medoids in the table
COLUMNS = ("a", "b", "rho_holdout", "rho_synthetic", "rho_train")
NAMES = (*STATISTICS, "correlation matrix distance")


@dataclass(frozen=True)
class Dependence(Settings):
    """Bars of the gate dependence."""

    rho_typical: float = option(0.1, "difference of all rank correlations that matters")
    rho_largest: float = option(0.4, "difference of one rank correlation that matters")
    matrix_margin: float = option(0.05, "correlation matrix distance, above what chance gives, that matters")

    def __post_init__(self) -> None:
        for name, most in (("rho_typical", 2), ("rho_largest", 2), ("matrix_margin", 1)):
            if not 0 < getattr(self, name) < most:
                flag = "--" + name.replace("_", "-")
                raise SettingsError(f"{flag} lies between 0 and {most}, not at {getattr(self, name):g}")


def spearman(values: Array) -> Array:
    """(n, d) -> (d, d) rank correlations, ties at their mean rank; a constant column is correlated with nothing."""
    return _correlation(_scores(values))


def _scores(values: Array) -> Array:
    """Ranks of each column within this set, centred, from -1/2 to 1/2."""
    return np.asarray((rankdata(values, axis=0) - (len(values) + 1) / 2) / len(values))


def _correlation(scores: Array) -> Array:
    return _normalised(scores.T @ scores, scores.sum(0), len(scores))


def _normalised(products: Single, sums: Single, n: int) -> Array:
    """Correlations from sums of products (d, d) and sums (d,) of n rows."""
    covariance = products / n - np.outer(sums, sums) / n**2
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    inverse = np.where(deviation > 1e-4, 1 / np.where(deviation > 1e-4, deviation, 1), 0)
    matrix = covariance * inverse[:, None] * inverse
    np.fill_diagonal(matrix, 1)
    return np.asarray(matrix)


def matrix_distance(a: Array, b: Array) -> float:
    """Correlation matrix distance 1 - tr(AB) / (|A| |B|): 0 equal up to scale, 1 orthogonal. Herdin 2005."""
    return float(1 - (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def differences(a: Array, b: Array, medoids: Index) -> tuple[float, float, float]:
    """Of two correlation matrices (d, d): mean |a - b| over pairs of medoids, largest over all, distance of medoids."""
    gap, k = np.abs(a - b), len(medoids)
    few = np.ix_(medoids, medoids)
    return float(gap[few].sum() / max(k * (k - 1), 1)), float(gap.max()), matrix_distance(a[few], b[few])


def cluster(correlation: Array) -> tuple[Index, Index, Index]:
    """Clusters of features, every two of whose members have |rho| > ALIKE (complete linkage).

    Returns the medoids (the member that is most like the others), the cluster of each feature, and an order of the
    features in which like ones are neighbours.
    """
    d = len(correlation)
    if d < 2:
        return np.arange(d), np.zeros(d, np.int64), np.arange(d)
    apart = np.clip(1 - np.abs(correlation), 0, 1)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform((apart + apart.T) / 2, checks=False), "complete")
    groups = fcluster(tree, 1 - ALIKE, "distance").astype(np.int64)
    medoids = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        medoids.append(members[apart[np.ix_(members, members)].sum(0).argmin()])
    return np.sort(np.array(medoids)), groups, leaves_list(tree).astype(np.int64)


def permuted(a: Array, b: Array, medoids: Index, level: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """p of the `differences` of a (n, d), b (m, d) by permutation of rows, and their means under it: (3,) each.

    Each p is adjusted for the other two (max-T, Westfall & Young 1993): P(any p <= level) <= level. What is permuted
    are rows of ranks *within each set*, so that features that are shifted or stretched alone make no difference. Stops
    early where no p can become small any more; that can only lose a rejection.
    """
    scores = np.concatenate([_scores(a), _scores(b)]).astype(np.float32)
    n, m = len(a), len(b)
    drawn = [differences(_correlation(_scores(a)), _correlation(_scores(b)), medoids)]
    products, sums, small = scores.T @ scores, scores.sum(0), min(n, m)
    count = int(np.clip(math.ceil(4 / level) - 1, 999, 19999))
    while len(drawn) <= count:
        some = scores[generator.permutation(n + m)[:small]]
        inside, part = some.T @ some, some.sum(0)
        one, other = _normalised(inside, part, small), _normalised(products - inside, sums - part, n + m - small)
        drawn.append(differences(one, other, medoids))
        if len(drawn) % BLOCK == 0 and (_adjusted(np.array(drawn)) * len(drawn)).min() > FUTILE:
            break
    return _adjusted(np.array(drawn)), np.asarray(np.mean(drawn[1:], axis=0))


def _adjusted(drawn: Array) -> Array:
    """p of each column of (1 + B, k) values, the observed first, against the largest of all in units of its spread."""
    spread = drawn.std(0)
    spread[spread == 0] = 1
    scaled = (drawn - drawn.mean(0)) / spread
    return np.asarray((scaled.max(1)[:, None] >= scaled[0] - 1e-6).mean(0))


def _prepare(train: Features, holdout: Features, synthetic: Features) -> Prepared:
    """`prepare` of ranks within each set, which loses nothing here, and spares far values its clipping into ties."""

    def ranked(features: Features) -> Features:
        values = np.where(np.isfinite(features.values), features.values, np.nan)
        ranks = rankdata(values, axis=0, nan_policy="omit") if len(values) else values
        return Features(ranks, features.names, features.patients)

    return prepare(ranked(train), ranked(holdout), ranked(synthetic))


def _rows(owners: Index, n: int, generator: np.random.Generator) -> Index:
    """One random row of each of n random patients (of all, where there are no more), in random order."""
    order = generator.permutation(len(owners))
    return np.asarray(generator.permutation(order[np.unique(owners[order], return_index=True)[1]])[:n])


def _matrix(features: Features, generator: np.random.Generator) -> Array:
    """Mean matrix over draws of one image per patient, MOST rows of it at most."""
    owners = features.owners
    patients = features.n_patients
    draws = DRAWS if patients < len(features) or patients > MOST else 1
    drawn = [spearman(features.values[_rows(owners, MOST, generator)]) for _ in range(draws)]
    return np.asarray(np.mean(drawn, axis=0))


def dependence_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    *,
    level: float = LEVEL,
    bars: Dependence = Dependence(),
) -> list[Finding]:
    """Are the rank correlations of one class those of other real patients? Three findings that share `level`.

    typical: mean |rho - rho'| over pairs of medoids (features of |rho| > ALIKE in train are one cluster, of which the
    medoid stands for all: else blocks of near-equal features would decide). bar: what sets of this size would show if
    every correlation differed by rho_typical. largest: over all pairs of features; bar: rho_largest. distance:
    correlation matrix distance of the medoids (Herdin 2005); bar: matrix_margin above what chance gives. Where train
    lies beyond a bar, train's value is the bar.
    Null: ranks of synthetic images and of one random image of each holdout patient are of one copula; rows are
    permuted between the two. FAIL: adjusted p <= `level` and beyond the bar. value: mean over draws of an image per
    patient, with the 95 % interval over halves by patient. PASS: it lies within the bar, and is no wider than would
    show what matters. yardstick: train against holdout, at as many rows.
    """
    return dependence(space, label, train, holdout, synthetic, seed, level=level, bars=bars)[0]


def dependence(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    *,
    level: float = LEVEL,
    bars: Dependence = Dependence(),
) -> tuple[list[Finding], pd.DataFrame]:
    """`dependence_findings`, and a table for drawing: a row for each pair of medoids, like ones neighbours.

    Columns: COLUMNS. Of more than DRAWN medoids those whose correlations differ most; empty where nothing is compared.
    """
    data = _prepare(train, holdout, synthetic)
    finding = partial(Finding, "dependence", n_images=len(data.holdout), n_patients=data.holdout.n_patients)
    reason = too_small(data, LEAST, LEAST)
    if not reason and len(data.train.names) < 2:
        reason = "only one feature varies, so there is nothing it could depend on"
    if reason:
        empty = pd.DataFrame({name: pd.Series(dtype=object if len(name) == 1 else float) for name in COLUMNS})
        return [finding(f"{name}, {space}", label, note=reason) for name in NAMES], empty
    medoids, _, order = cluster(spearman(data.train.values))
    if len(medoids) < 2:  # everything is one cluster: then all of it is compared
        medoids = np.arange(len(data.train.names))
    generator = rng(seed, "dependence", label)
    n, m = min(data.holdout.n_patients, MOST), min(data.synthetic.n_patients, MOST)
    a, b = (x.values[_rows(x.owners, k, generator)] for x, k in ((data.holdout, n), (data.synthetic, m)))
    p, chance = permuted(a, b, medoids, level, rng(seed, "dependence", label, "permutations"))
    value, yardstick, halves = _values(data, medoids, generator)
    # train has its own number of patients, so what is much for it is not what is much for synthetic images
    rows = min(data.train.n_patients, m)
    more = (1 / n + 1 / rows) / (1 / n + 1 / m)
    limits, much = _limits(chance, bars), _limits(chance * np.array([more**0.5, more**0.5, more]), bars)
    much[1] = max(
        bars.rho_largest, 1.5 * chance[1] * more**0.5
    )  # the largest of many is large by chance where patients are few
    limits = np.where(yardstick > much, np.maximum(limits, yardstick), limits)
    held, made, real = (_matrix(x, generator) for x in (data.holdout, data.synthetic, data.train))
    everything = np.abs(held - made)[np.triu_indices(len(held), 1)].mean()
    d, k = len(data.train.names), len(medoids)
    groups = [f"{k} of {d} features stand for the clusters of |rho| > {ALIKE}; over all of them {everything:.2f}"]
    at = np.unravel_index(np.abs(held - made).argmax(), held.shape)
    names = data.train.names
    pair = [f"{names[at[0]]} and {names[at[1]]}: {held[at]:.2f} in holdout, {made[at]:.2f} in synthetic images"]
    capped = [f"{MOST} independent rows of a side are compared"] if max(a.shape[0], b.shape[0]) == MOST else []
    found = []
    for i, name in enumerate(NAMES):
        low, high = value[i] + np.quantile(halves[:, i] - np.median(halves[:, i]), [0.025, 0.975])
        low, high = max(min(float(low), float(value[i])), 0.0), max(float(high), float(value[i]))
        state, note = _state(value[i], high, float(limits[i]), float(p[i]), float(chance[i]), level, n, m)
        if state == PASS and data.lost > LOST:
            state, note = INCONCLUSIVE, "too many synthetic images have undefined features for a pass"
        notes = [note, *(groups if i == 0 and k < d else pair if i == 1 else []), *capped, data.note]
        numbers, bar = (float(value[i]), low, high, float(yardstick[i])), ("<=", float(limits[i]))
        note = "; ".join(filter(None, notes))
        found.append(finding(f"{name}, {space}", label, *numbers, bar, state=state, note=note))
    return found, _table(names, (held, made, real), medoids, order)


def _table(names: tuple[str, ...], matrices: tuple[Array, Array, Array], medoids: Index, order: Index) -> pd.DataFrame:
    held, made, _ = matrices
    few = np.ix_(medoids, medoids)
    far = np.abs(held[few] - made[few]).sum(0)
    drawn = set(medoids[np.argsort(-far, kind="stable")[:DRAWN]].tolist())
    rows = np.array([k for k in order if k in drawn])
    first, second = (rows[k] for k in np.triu_indices(len(rows), 1))
    ends = (np.array([names[k] for k in end], dtype=object) for end in (first, second))
    return pd.DataFrame(dict(zip(COLUMNS, (*ends, *(x[first, second] for x in matrices)), strict=True)))


def _limits(chance: Array, bars: Dependence) -> Array:
    typical = float(shifted(chance[0], bars.rho_typical))
    return np.array([typical, bars.rho_largest, chance[2] + bars.matrix_margin])


def _values(data: Prepared, medoids: Index, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """`differences` of synthetic and of train to holdout (3,), and of halves by patient (HALVES, 3)."""
    sets = (data.train, data.holdout, data.synthetic)
    size = [min(x.n_patients, MOST) for x in sets]
    size[0] = min(size[0], size[2])
    owners = [x.owners for x in sets]
    patients = [x.n_patients for x in sets]

    def matrices(sizes: list[int], which: tuple[int, ...]) -> list[Array]:
        return [spearman(sets[i].values[_rows(owners[i], sizes[i], generator)]) for i in which]

    several = any(p < len(x) or p > k for x, p, k in zip(sets, patients, size, strict=True))
    whole = []
    for _ in range(DRAWS if several else 1):
        t, h, s = matrices(size, (0, 1, 2))
        whole.append((differences(s, h, medoids), differences(t, h, medoids)))
    value, yardstick = np.mean(whole, axis=0)
    halves = []
    for _ in range(HALVES):
        h, s = matrices([(k + 1) // 2 for k in size], (1, 2))
        halves.append(differences(s, h, medoids))
    return value, yardstick, np.array(halves)


def _state(
    value: float, high: float, bar: float, p: float, chance: float, level: float, n: int, m: int
) -> tuple[str, str]:
    said = f"chance gives {chance:.2f} at this size"
    if value > bar and p <= level:
        return FAIL, f"more than chance gives (p = {p:.2g}); {said}"
    if high <= bar and high - value <= bar - chance:  # no pass by luck: the difference could have been seen
        return PASS, said
    if high <= bar:
        why = "within the bar, but so small a set may lie there by luck"
    elif value > bar:
        why = f"above the bar, but not by more than chance may give (p = {p:.2g})"
    else:
        why = "the interval reaches over the bar"
    # noise falls with the root of the number: the interval must fit between the value without chance and the bar
    room = max(bar - max(value - chance, 0), 0.2 * bar)
    factor = min(max((high / room) ** 2, 1.2), 100)
    more, images = (math.ceil(k * factor / 10) * 10 for k in (n, m))
    return INCONCLUSIVE, f"{why}: about {more} holdout patients and {images} synthetic images would decide; {said}"
