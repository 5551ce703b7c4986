"""Feature by feature within one class: does synthetic differ from holdout more than train does?

Knows tables of features. Does not know what the features mean.
"""

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import false_discovery_control

from ganatomy.core.finding import FAIL, INCONCLUSIVE, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.features import Features, Prepared, draw, one_per_patient, prepare, settle, too_small

Array = NDArray[np.float64]

LEVEL = 0.05  # Benjamini-Hochberg q; also the share of features that may always differ
DIFFERENCE, SHIFT = 0.3, 0.8  # the Kolmogorov-Smirnov distance that must be visible, and its shift of a normal (0.77)
DRAWS = 200


def ks(a: Array, b: Array) -> Array:
    """Kolmogorov-Smirnov distance of each column of a, b (n, d): the largest gap of the two distribution functions."""
    both = np.concatenate([a, b])  # (2n, d)
    order = both.argsort(0, kind="stable")
    steps = np.where(order < len(a), 1 / len(a), -1 / len(b)).cumsum(0)
    values = np.take_along_axis(both, order, 0)
    last = np.ones_like(steps, bool)  # a gap counts only after the last of tied values
    last[:-1] = values[1:] != values[:-1]
    return np.asarray(np.abs(np.where(last, steps, 0)).max(0))


def ks_p(distance: Array, n: int) -> Array:
    """Exact P(D >= distance) for two samples of n each: 2 sum_j (-1)^(j+1) C(2n, n - jk) / C(2n, n), k = n D.

    Gnedenko & Korolyuk 1951; conservative where values are tied.
    """
    table = np.ones(n + 1)
    for k in range(1, n + 1):
        j = np.arange(1, n // k + 1)
        log = 2 * gammaln(n + 1) - gammaln(n - j * k + 1) - gammaln(n + j * k + 1)
        table[k] = 2 * np.sum(-((-1.0) ** j) * np.exp(log))
    return np.asarray(np.clip(table, 0, 1)[np.rint(np.asarray(distance) * n).astype(int)])


def smallest_sample() -> int:
    """Rows of each set at which D = DIFFERENCE has p <= 0.01, and so counts where a fifth of the features share it."""
    return next(n for n in range(10, 1000) if ks_p(np.array([np.ceil(DIFFERENCE * n - 1e-9) / n]), n)[0] <= 0.01)


def _distances(data: Prepared, seed: int, label: str) -> tuple[int, Array, Array, Array, Array]:
    """n, then D (DRAWS, d) of synthetic and of train against holdout, and of shuffled patients; W1 (d,).

    Each draw takes one random image per patient and n rows of each side without replacement.
    """
    generator = rng(seed, f"marginals {label}")
    n = min(data.train.n_patients, data.holdout.n_patients, len(data.synthetic))
    fake, real, null, w1 = [], [], [], []
    for _ in range(DRAWS):
        train, holdout = one_per_patient(data.train, generator), one_per_patient(data.holdout, generator)
        t, h, s = (draw(x, n, generator).values for x in (train, holdout, data.synthetic))
        fake.append(ks(s, h))
        real.append(ks(t, h))
        pool = np.concatenate([train.values, holdout.values])
        pool = pool[generator.permutation(len(pool))]
        null.append(ks(pool[:n], pool[n : 2 * n]))
        w1.append(np.abs(np.sort(s, 0) - np.sort(h, 0)).mean(0))  # equal n: W1 is the mean gap of sorted values
    return n, np.array(fake), np.array(real), np.array(null), np.mean(w1, 0)


def _share(distance: Array, n: int) -> Array:
    """Share of features with Benjamini-Hochberg q <= LEVEL, for each row of (DRAWS, d) distances."""
    return np.asarray((false_discovery_control(ks_p(distance, n), axis=-1) <= LEVEL).mean(-1))


def marginal_table(label: str, train: Features, holdout: Features, synthetic: Features, seed: int) -> pd.DataFrame:
    """One row per feature: D, p, q, W1 of synthetic against holdout, and D_real of train against holdout.

    D are medians over draws of one image per patient at equal n; p is that of the median D, q is Benjamini-Hochberg's.
    W1 (robust standard deviations of train) carries a bias of order n^-1/2. Empty where there is nothing to compare.
    """
    columns = ["feature", "D", "p", "q", "W1", "D_real"]
    data = prepare(train, holdout, synthetic)
    if too_small(data, 2, 2):
        return pd.DataFrame({name: pd.Series(dtype=object if name == "feature" else float) for name in columns})
    n, fake, real, _, w1 = _distances(data, seed, label)
    return _table(data, n, fake, real, w1)


def _table(data: Prepared, n: int, fake: Array, real: Array, w1: Array) -> pd.DataFrame:
    distance = np.floor(np.median(fake, 0) * n + 1e-9) / n  # a D is a multiple of 1/n
    p = ks_p(distance, n)
    rows = {"feature": data.train.names, "D": distance, "p": p, "q": false_discovery_control(p)}
    return pd.DataFrame({**rows, "W1": w1, "D_real": np.median(real, 0)})


def marginal_findings(
    space: str, label: str, train: Features, holdout: Features, synthetic: Features, seed: int
) -> list[Finding]:
    """Share of features whose distribution differs (KS, BH q <= 0.05) from holdout's, within one class.

    One image per holdout patient, n = the smallest number of train patients, holdout patients, synthetic images.
    value: that share in `marginal_table`; low, high: its 95 % range over draws of images. yardstick: median share of
    train against holdout. bar: the 95 % quantile of train against holdout and of shuffled patients, at least LEVEL.
    """
    data = prepare(train, holdout, synthetic)
    held = data.holdout
    finding = partial(
        Finding, "marginals", f"features that differ, {space}", label, n_images=len(held), n_patients=held.n_patients
    )
    if reason := too_small(data, 5, 5):
        return [finding(note=reason)]
    n, fake, real, null, w1 = _distances(data, seed, label)
    value = float((_table(data, n, fake, real, w1)["q"] <= LEVEL).mean())
    low, high = np.quantile(_share(fake, n), [0.025, 0.975])
    low, high = min(float(low), value), max(float(high), value)
    shares = _share(real, n)
    limit = max(LEVEL, float(np.quantile(shares, 0.95)), float(np.quantile(_share(null, n), 0.95)))
    bar = ("<=", limit)
    state, note = settle(value, low, high, bar, data)
    if state != FAIL and n < (need := smallest_sample()):
        state = INCONCLUSIVE
        small = f"at {n} a side even a clear difference (D = {DIFFERENCE}, a shift of {SHIFT} standard deviations) may "
        small += f"stay unseen; {need} patients in train and in holdout, and as many synthetic images, would be enough"
        note = "; ".join(filter(None, [small, data.note]))
    return [finding(value, low, high, float(np.median(shares)), bar, state=state, note=note)]
