"""Can it be told from the synthetic images who was in the training set? Attacks by an outsider who has the images.

Knows tables of features and scores, and whose they are. Does not know the generator, nor how features were measured.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import betabinom, fisher_exact, gaussian_kde, norm, rankdata

from ganatomy.core.errors import InputError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.integrity.copying import LEVEL, Mirror, nearest
from ganatomy.integrity.features import Features, draw, prepare

Array = NDArray[np.float64]
Index = NDArray[np.int64]

FALSE = 0.01  # false positive rate at which members are counted
AUC_BAR = 0.60  # of members against non-members
EXCESS = 0.03  # share of training patients, above what chance gives, that may be told at FALSE
RISK_BAR = 0.05  # of the attacks on tables
PATIENTS = 20  # of train and of holdout
COMPONENTS = 10  # principal components of a density
MOST = 5000  # images of a set
GAN_LEAKS, CALIBRATED, DOMIAS = "GAN-Leaks", "GAN-Leaks, calibrated", "DOMIAS"


def gan_leaks(queries: Array, synthetic: Array, reference: Array | None = None, mirror: Mirror | None = None) -> Array:
    """Chen 2020, full black box: minus the distance to the nearest synthetic image; high for a member. (m,)

    Calibrated: the distance to the nearest reference image is taken off, so that images near to everything count less.
    Both sets of one size, or the larger is nearer to all.
    """
    score = -_nearest(synthetic, queries, mirror)
    return score if reference is None else score + _nearest(reference, queries, mirror)


def domias(queries: Array, synthetic: Array, reference: Array, components: int = COMPONENTS) -> Array:
    """Van Breugel 2023: log of the synthetic over the reference density at each query, (m,).

    Gaussian kernels with Scott's width in the whitened principal components of both sets, which holds no member.
    """
    both = np.concatenate([synthetic, reference])
    centre = both.mean(0)
    _, size, axes = np.linalg.svd(both - centre, full_matrices=False)
    explained = np.cumsum(size**2) / max(np.square(size).sum(), 1e-300)
    k = min(
        components, int(np.searchsorted(explained, 0.95)) + 1, max(1, (min(len(synthetic), len(reference)) - 1) // 5)
    )
    spread = size[:k] / math.sqrt(len(both))
    z = [(x - centre) @ axes[:k].T / spread for x in (queries, synthetic, reference)]
    return np.asarray(_log_density(z[1], z[0]) - _log_density(z[2], z[0]))


def _log_density(points: Array, at: Array) -> Array:
    return np.asarray(gaussian_kde(points.T).logpdf(at.T))


def _nearest(points: Array, queries: Array, mirror: Mirror | None) -> Array:
    return nearest(Features(points, tuple(map(str, range(points.shape[1])))), queries, mirror)[0]


def per_patient(scores: Array, patients: tuple[str, ...]) -> Array:
    """The largest score of each patient's images: one image that is recognised gives the patient away."""
    if not patients:
        return scores
    owners = np.unique(np.array(patients), return_inverse=True)[1]
    out = np.full(owners.max(initial=-1) + 1, -np.inf)
    np.maximum.at(out, owners, scores)
    return out


def auc(members: Array, others: Array) -> tuple[float, float]:
    """Area under the curve and its standard error (DeLong 1988)."""
    m, n = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    above = (ranks[:m] - rankdata(members)) / n  # of each member, the share of others below
    below = 1 - (ranks[m:] - rankdata(others)) / m
    return float(above.mean()), float(math.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))


def true_positives(members: Array, others: Array) -> tuple[int, int, float]:
    """How many members score above the r-th largest of the others, r, and P(as many) if all are exchangeable.

    r = floor(FALSE n) + 1, so that at most the share FALSE of the others lies above. BetaBinomial(m, r, n + 1 - r).
    """
    r = int(FALSE * len(others) + 1e-9) + 1
    count = int((members > np.sort(others)[-r]).sum())
    return count, r, float(betabinom.sf(count - 1, len(members), r, len(others) + 1 - r))


def exposed(count: int, m: int, r: int, n: int) -> tuple[float, float]:
    """95 % bounds, each one-sided, of the share of m members whom the attack always tells, others as non-members."""
    c = np.arange(count + 1)
    at_most = betabinom.cdf(count - c, m - c, r, n + 1 - r)  # falls with c
    at_least = betabinom.sf(count - c - 1, m - c, r, n + 1 - r)  # grows with c
    high = int(c[at_most >= 0.05].max(initial=0))
    low = int(c[at_least >= 0.05].min(initial=count))
    return low / m, high / m


def privacy_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    *,
    seed: int,
    level: float = LEVEL,
    reference: Features | None = None,
    mirror: Mirror | None = None,
    scale: bool = True,
    scores: Mapping[str, tuple[Array, Array]] | None = None,
) -> list[Finding]:
    """Membership inference: members are train's patients, non-members holdout's, a patient's score is the largest of
    his images'. Two findings per attack, AUC and true positives at 1 % false positives, which share out `level`.

    Null: the synthetic images tell no more of train than of holdout, so patients are exchangeable between the two.
    *True positives*: count above a threshold of the holdout's, exact (BetaBinomial); yardstick r / (n + 1), bar
    EXCESS more. *AUC*: DeLong's normal approximation on the logit; yardstick 0.5, bar AUC_BAR. Fail: significant and
    beyond the bar; pass: 95 % upper bound within it. A quiet AUC proves nothing: at 10 % copies it is 0.55.

    reference: real images of patients in neither set, which GAN-Leaks is calibrated with and DOMIAS needs; scale:
    robust z-scores first (`prepare`, statistics of train and holdout together, so that neither is favoured); for
    thumbnails and embeddings False. scores: attack -> score of each train and each holdout image, high for a member
    (a discriminator's outputs). Sources: Chen 2020, van Breugel 2023, Hayes 2019, Carlini 2022.
    """
    given = dict(scores or {})
    why = "real images of patients in neither train nor holdout are needed as a reference"
    if reference is not None and set(reference.patients) & (set(train.patients) | set(holdout.patients)):
        reference, why = None, "the reference shares patients with train or holdout, it must hold other ones"
    attacks = [GAN_LEAKS, *([CALIBRATED, DOMIAS] if reference is not None else []), *given]
    missing = [] if reference is not None else [(CALIBRATED, why), (DOMIAS, why)]
    finding = partial(Finding, "privacy", subject=label, n_images=len(holdout), n_patients=holdout.n_patients)

    def absent(attack: str, reason: str) -> Finding:
        return finding(name=f"membership, {attack}, {space}", note=f"this attack was not made: {reason}")

    if reason := _too_few(train, holdout, synthetic, reference):
        return [absent(attack, reason) for attack in attacks] + [absent(*one) for one in missing]

    real = Features(
        np.concatenate([train.values, holdout.values]),
        train.names,
        tuple(f"m {p}" for p in _people(train)) + tuple(f"n {p}" for p in _people(holdout)),
    )
    note = ""
    third = reference if reference is not None else synthetic
    if scale:
        ready = prepare(real, third, synthetic)
        real, third, synthetic, note = ready.train, ready.holdout, ready.synthetic, ready.note
    if not real.names or min(len(real), len(synthetic), len(third)) < 2:
        gone = "no feature varies" if not real.names else "all images have undefined features"
        return [absent(attack, gone) for attack in attacks] + [absent(*one) for one in missing]
    most = min(MOST, len(synthetic)) if reference is None else min(MOST, len(synthetic), len(third))
    made, known = (
        draw(part, most, rng(seed, "privacy", what)).values for part, what in ((synthetic, "s"), (third, "r"))
    )
    if most < len(synthetic):
        note = "; ".join(filter(None, [note, f"{most} of {len(synthetic)} synthetic images were used"]))
    member = np.array([p.startswith("m ") for p in real.patients])
    who = (tuple(np.array(real.patients)[member]), tuple(np.array(real.patients)[~member]))
    attack_scores = {GAN_LEAKS: gan_leaks(real.values, synthetic.values, None, mirror)}
    if reference is not None:
        attack_scores[CALIBRATED] = gan_leaks(real.values, made, known, mirror)
        attack_scores[DOMIAS] = domias(real.values, made, known)
    sides = {
        attack: (per_patient(all_[member], who[0]), per_patient(all_[~member], who[1]))
        for attack, all_ in attack_scores.items()
    }
    sides |= {attack: _given(attack, pair, train, holdout) for attack, pair in given.items()}
    found = []
    for attack, (ours, theirs) in sides.items():
        told = note if attack in attack_scores else ""
        found += _told(attack, space, ours, theirs, level / (2 * len(sides)), finding, told)
    return found + [absent(*one) for one in missing]


def _too_few(train: Features, holdout: Features, synthetic: Features, reference: Features | None) -> str:
    """Why nobody can be attacked, or "" where there are PATIENTS of each."""
    for what, have in (
        ("training patients", train.n_patients),
        ("holdout patients", holdout.n_patients),
        ("synthetic images", len(synthetic)),
        ("reference images", PATIENTS if reference is None else len(reference)),
    ):
        if have < PATIENTS:
            return f"there are {have} {what}, {PATIENTS} or more are needed"
    return ""


def _given(attack: str, pair: tuple[Array, Array], train: Features, holdout: Features) -> tuple[Array, Array]:
    """Scores that the caller measured, the largest of each patient's images."""
    scores = [np.asarray(one, np.float64) for one in pair]
    if [len(one) for one in scores] != [len(train), len(holdout)] or not all(np.isfinite(one).all() for one in scores):
        raise InputError(f"the scores '{attack}' need one finite number for each training and each holdout image")
    return per_patient(scores[0], train.patients), per_patient(scores[1], holdout.patients)


def _people(features: Features) -> tuple[str, ...]:
    return features.patients or tuple(map(str, range(len(features))))


def _told(
    attack: str, space: str, members: Array, others: Array, level: float, finding: "partial[Finding]", note: str
) -> list[Finding]:
    """The two findings of one attack, each at `level`."""
    m, n = len(members), len(others)
    value, error = auc(members, others)
    inside = min(max(value, 0.5 / (m + 1)), 1 - 0.5 / (m + 1))
    wide = max(error, 1 / (2 * min(m, n))) / (inside * (1 - inside))  # on the logit, where limits stay within 0 and 1

    def limit(z: float) -> float:
        return 1 / (1 + math.exp(-(math.log(inside / (1 - inside)) + z * wide)))

    rank = math.sqrt((m + n + 1) / (12 * m * n))  # Mann-Whitney's standard deviation of the AUC under the null
    p = float(norm.sf((value - 0.5) / rank))
    state, said = PASS, f"a training patient is told from a new one no better than AUC {AUC_BAR} would tell them"
    if p <= level and value > AUC_BAR:
        state, said = FAIL, f"the {attack} attack tells training patients from new ones (p = {p:.2g})"
    elif limit(1.645) > AUC_BAR:
        more = math.ceil(n * ((limit(1.645) - value) / max(AUC_BAR - value, 0.01)) ** 2)
        state = INCONCLUSIVE
        said = f"the interval reaches over {AUC_BAR}; about {max(more, n + 1)} holdout patients would narrow it"
    if value > AUC_BAR and state == INCONCLUSIVE:
        said = f"above {AUC_BAR}, but that may be chance (p = {p:.2g}); {4 * n} holdout patients would decide"
    text = "; ".join(filter(None, [said, note]))
    size = {"n_patients": n, "state": state, "note": text}
    bounds = (min(limit(-1.96), value), max(limit(1.96), value))
    first = finding(
        name=f"membership AUC, {attack}, {space}", value=value, low=bounds[0], high=bounds[1], yardstick=0.5,
        bar=("<=", AUC_BAR), **size,
    )  # fmt: skip

    count, r, chance = true_positives(members, others)
    low, high = exposed(count, m, r, n)
    base = r / (n + 1)
    state = PASS
    said = f"at most {high:.1%} of the training patients can be told (95 % limit), when 1 in 100 new ones is accused"
    if chance <= level and count / m > base + EXCESS:
        state = FAIL
        said = f"the {attack} attack tells {count} of {m} training patients where it accuses 1 in 100 new ones "
        said += f"(p = {chance:.2g})"
    elif high > EXCESS:
        state = INCONCLUSIVE
        said = f"up to {high:.1%} of the training patients may be told; {max(2 * n, 200)} holdout patients would decide"
    text = "; ".join(filter(None, [said, note]))
    value = count / m
    second = finding(
        name=f"membership, true positives at 1 % false, {attack}, {space}", value=value, low=min(low, value),
        high=max(high + base, value), yardstick=base, bar=("<=", base + EXCESS), n_patients=n, state=state, note=text,
    )  # fmt: skip
    return [first, second]


def not_attacked(*, reference: bool, discriminator: bool, table: bool) -> Finding:
    """What nobody has tried, in one finding that is never a pass."""
    open_ = (
        [] if reference else ["attacks with a reference set (calibrated GAN-Leaks, DOMIAS): no third real set is given"]
    )
    open_ += [] if discriminator else ["the discriminator's scores: none are given, and it must not be handed out"]
    open_ += [] if table else ["singling out, linkability and inference: no tables are given"]
    open_ += ["attacks that train generators of their own (shadow models), reconstruction, and inference from weights"]
    note = "not attacked, so nothing is known: " + "; ".join(open_)
    return Finding("privacy", "attacks that were not made", state=NOT_COMPUTED, note=note)


@dataclass(frozen=True)
class Risk:
    """An attack on a table (Giomi 2023). Successes of n tries on train, on control, and of guesses without the table.

    risk: (r_attack - r_control) / (1 - r_control), 0 at least; low, high: 95 %; p: that train is hit no more than
    control; baseline: successes of the naive guesses. An attack that does not beat them says nothing.
    """

    attack: str
    hits: int
    n: int
    control_hits: int
    control_n: int
    baseline: float
    risk: float
    low: float
    high: float
    p: float


def wilson(count: int, n: int, z: float = 1.96) -> tuple[float, float, float]:
    """Centre, low and high of a share (Wilson 1927)."""
    share = count / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return centre, max(centre - half, 0.0), min(centre + half, 1.0)


def risk(attack: str, hits: int, n: int, control_hits: int, control_n: int, baseline: float, p: float) -> Risk:
    """(r_attack - r_control) / (1 - r_control) of Wilson's centres, interval by propagation of their half-widths."""
    (a, a_low, a_high), (c, c_low, c_high) = wilson(hits, n), wilson(control_hits, control_n)
    value = (a - c) / (1 - c)
    half = math.hypot((a_high - a_low) / 2 / (1 - c), (1 - a) * (c_high - c_low) / 2 / (1 - c) ** 2)
    low, high = (float(np.clip(x, 0, 1)) for x in (value - half, value + half))
    return Risk(attack, hits, n, control_hits, control_n, baseline, float(np.clip(value, 0, 1)), low, high, p)


def linkability(
    train: pd.DataFrame,
    control: pd.DataFrame,
    synthetic: pd.DataFrame,
    one: list[str],
    other: list[str],
    *,
    seed: int,
    neighbours: int = 1,
    tries: int = 500,
) -> Risk:
    """Two halves of a record, columns `one` and `other`: do they have a nearest synthetic record in common?

    One row per patient; `tries` random ones of train and of control. Baseline: halves of different records.
    """
    generator = rng(seed, "linkability")
    kinds = _kinds(train, control, synthetic)
    sides = []
    for table in (train, control):
        rows = table.iloc[generator.permutation(len(table))[:tries]]
        near = [_neighbours(rows, synthetic, columns, kinds, neighbours) for columns in (one, other)]
        sides.append((_shared(*near), _shared(near[0], near[1][generator.permutation(len(rows))])))
    (hit, guess), (control_hit, _) = sides
    return _risk("linkability", hit, control_hit, float(guess.mean()))


def inference(
    train: pd.DataFrame,
    control: pd.DataFrame,
    synthetic: pd.DataFrame,
    known: list[str],
    secret: str,
    *,
    seed: int,
    tolerance: float = 0.05,
    tries: int = 500,
) -> Risk:
    """Who knows the columns `known` of a person, reads `secret` off the nearest synthetic record.

    Right: equal, or for numbers within `tolerance` of their size. Baseline: the secret of a random synthetic record.
    """
    generator = rng(seed, "inference")
    kinds = _kinds(train, control, synthetic)
    hits, guesses = [], 0.0
    for table in (train, control):
        rows = table.iloc[generator.permutation(len(table))[:tries]]
        near = _neighbours(rows, synthetic, known, kinds, 1)[:, 0]
        truth = rows[secret].to_numpy()
        hits.append(_equal(truth, synthetic[secret].to_numpy()[near], kinds[secret], tolerance))
        if table is train:
            random = synthetic[secret].to_numpy()[generator.integers(len(synthetic), size=len(rows))]
            guesses = float(_equal(truth, random, kinds[secret], tolerance).mean())
    return _risk("inference", hits[0], hits[1], guesses)


def singling_out(
    train: pd.DataFrame,
    control: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    seed: int,
    columns: int = 3,
    tries: int = 500,
    draws: int = 1000,
) -> Risk:
    """Predicates that one synthetic record alone fulfils: do they single out one person of train, more than of control?

    A predicate takes `columns` of a random synthetic record: a category's value, a number and above or below (the
    side of the median it is on). Train and control are cut to one size, for the larger set hides a person better.
    Predicates share records, so p is by permutation of who is in train. Baseline: values of unrelated records.
    """
    generator = rng(seed, "singling out")
    kinds = _kinds(train, control, synthetic)
    n = min(len(train), len(control))
    real = pd.concat([t.iloc[generator.permutation(len(t))[:n]] for t in (train, control)], ignore_index=True)
    names = list(kinds)
    people, made = _columns(real, kinds), _columns(synthetic, kinds)
    middle = {c: float(np.nanmedian(made[c])) for c in names if kinds[c] > 0}
    found: list[NDArray[np.bool_]] = []  # (2n,) each
    guessed: list[NDArray[np.bool_]] = []
    for _ in range(20 * tries):
        if len(found) == tries:
            break
        chosen = [names[i] for i in generator.permutation(len(names))[:columns]]
        row = int(generator.integers(len(synthetic)))
        if _fulfil(made, made, dict.fromkeys(chosen, row), middle).sum() != 1:
            continue
        found.append(_fulfil(people, made, dict.fromkeys(chosen, row), middle))
        mixed = {c: int(generator.integers(len(synthetic))) for c in chosen}
        guessed.append(_fulfil(people, made, mixed, middle))
    if not found:
        return Risk("singling out", 0, 0, 0, 0, 0.0, 0.0, 0.0, 1.0, 1.0)
    holds = np.array(found, np.float32)  # (t, 2n)
    inside = np.zeros((2 * n, draws + 1), np.float32)
    inside[:n, 0] = 1
    for k in range(1, draws + 1):
        inside[generator.permutation(2 * n)[:n], k] = 1
    counts, total = holds @ inside, holds.sum(1, keepdims=True)  # (t, draws + 1)
    hit, control_hit = counts == 1, total - counts == 1
    gap = hit.sum(0) - control_hit.sum(0)
    p = float((gap >= gap[0]).mean())
    base = float((np.array(guessed)[:, :n].sum(1) == 1).mean())
    t = len(found)
    return risk("singling out", int(hit[:, 0].sum()), t, int(control_hit[:, 0].sum()), t, base, p)


def risk_finding(found: Risk, label: str = "", *, level: float = LEVEL, n_patients: int = 0) -> Finding:
    """Bar RISK_BAR. Fail: significant at `level` and above it; pass: upper limit within, if the attack beats guessing.

    An attack on train that is no better than its naive guesses is too weak to acquit anybody: inconclusive.
    """
    name = f"{found.attack} (table)"
    finding = partial(Finding, "privacy", name, label, n_images=found.control_n, n_patients=n_patients)
    if not found.n or not found.control_n:
        why = "no record of the synthetic table can be told from the others by a few columns"
        return finding(note=why)
    state, note = PASS, f"with the synthetic table {found.hits} of {found.n} tries on training patients succeed"
    note += f", {found.control_hits} of {found.control_n} on others"
    if found.p <= level and found.risk > RISK_BAR:
        state = FAIL
    elif found.hits / found.n <= found.baseline:
        state, note = INCONCLUSIVE, note + f"; guesses succeed as often ({found.baseline:.0%}), the attack is too weak"
    elif found.high > RISK_BAR:
        state, note = INCONCLUSIVE, note + f"; about {_enough(found)} records of each would decide"
    bar = ("<=", RISK_BAR)
    return finding(found.risk, found.low, found.high, 0.0, bar, state=state, note=note)


def _enough(found: Risk) -> int:
    """Records at which the half-width of the interval would be half the bar."""
    return math.ceil(found.n * max(1.0, ((found.high - found.low) / RISK_BAR) ** 2))


def _risk(attack: str, hit: NDArray[np.bool_], control: NDArray[np.bool_], baseline: float) -> Risk:
    a, c = int(hit.sum()), int(control.sum())
    p = float(fisher_exact(np.array([[a, len(hit) - a], [c, len(control) - c]]), "greater")[1])
    return risk(attack, a, len(hit), c, len(control), baseline, p)


def _kinds(*tables: pd.DataFrame) -> dict[str, float]:
    """Column -> the range of a number over all tables, or 0 for a category."""
    first = tables[0]
    for table in tables[1:]:
        if list(table.columns) != list(first.columns):
            raise InputError("train, control and synthetic tables have different columns; give them the same ones")
    out = {}
    for name in first.columns:
        if all(pd.api.types.is_numeric_dtype(t[name]) and not pd.api.types.is_bool_dtype(t[name]) for t in tables):
            values = np.concatenate([t[name].to_numpy(float) for t in tables])
            out[name] = max(float(np.nanmax(values) - np.nanmin(values)), 1e-300)
        else:
            out[name] = 0.0
    return out


def _neighbours(rows: pd.DataFrame, table: pd.DataFrame, columns: list[str], kinds: dict[str, float], k: int) -> Index:
    """(n, k) the rows of `table` nearest to `rows`, by Gower's distance: a missing value is far from all."""
    total = np.zeros((len(rows), len(table)))
    for name in columns:
        a, b = rows[name].to_numpy(), table[name].to_numpy()
        if kinds[name] > 0:
            gap = np.abs(a.astype(float)[:, None] - b.astype(float)[None]) / kinds[name]
            total += np.where(np.isnan(gap), 1, gap)
        else:
            total += a.astype(str)[:, None] != b.astype(str)[None]
    return np.argsort(total, axis=1, kind="stable")[:, :k]


def _shared(a: Index, b: Index) -> NDArray[np.bool_]:
    return np.asarray((a[:, :, None] == b[:, None]).any((1, 2)))


def _equal(truth: NDArray[np.generic], guess: NDArray[np.generic], kind: float, tolerance: float) -> NDArray[np.bool_]:
    if kind > 0:
        x, y = truth.astype(float), guess.astype(float)
        return np.asarray(np.abs(x - y) <= tolerance * np.abs(x))
    return np.asarray(truth.astype(str) == guess.astype(str))


def _columns(table: pd.DataFrame, kinds: dict[str, float]) -> dict[str, NDArray[Any]]:
    """Numbers as they are, categories as text."""
    return {name: table[name].to_numpy(float if kind > 0 else str) for name, kind in kinds.items()}


def _fulfil(
    table: dict[str, NDArray[Any]],
    source: dict[str, NDArray[Any]],
    rows: dict[str, int],
    middle: dict[str, float],
) -> NDArray[np.bool_]:
    """Which rows of `table` are like the source's row in every column of `rows` (column -> row of source)."""
    holds = np.ones(len(next(iter(table.values()))), bool)
    for name, row in rows.items():
        column, value = table[name], source[name][row]
        if name not in middle:
            holds &= column == value
        else:
            holds &= column >= value if value >= middle[name] else column <= value
    return holds
