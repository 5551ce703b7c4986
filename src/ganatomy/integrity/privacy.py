"""Can it be told from the synthetic images who was in the training set? What is said of an outsider's attacks.

Knows tables of features and scores, and whose they are. Does not know the generator, nor how features were measured.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from ganatomy.core.errors import InputError, SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.attacks import Risk, attacked
from ganatomy.integrity.features import Features, draw, one_per_patient, prepare
from ganatomy.integrity.membership import (
    FALSE,
    always_told,
    auc,
    domias,
    gan_leaks,
    passes,
    per_patient,
    told_at_most,
    true_positives,
)
from ganatomy.integrity.nearest import Mirror

Array = NDArray[np.float64]

LEVEL = 0.05 / 8  # false alarms that a call may raise
PATIENTS = 20  # of train and of holdout
SEEN = round(1 / FALSE)  # holdout patients among whom one false accusation in so many can be seen: fewer earn no pass
MOST = 5000  # images of a set
GAN_LEAKS, CALIBRATED, DOMIAS, DISCRIMINATOR = "GAN-Leaks", "GAN-Leaks, calibrated", "DOMIAS", "discriminator"
TABLE = ("singling out", "linkability", "inference")


@dataclass(frozen=True)
class Privacy(Settings):
    """Bars of the gate privacy."""

    membership_auc: float = option(0.60, "AUC of telling training patients from new ones that matters")
    membership_excess: float = option(0.03, "share of training patients, above chance, that an attack may tell")
    table_risk: float = option(0.05, "risk of attacks on tables (singling out, linkability, inference) that matters")

    def __post_init__(self) -> None:
        if not 0.5 < self.membership_auc < 1:
            raise SettingsError(f"--membership-auc needs a number between 0.5 and 1, not {self.membership_auc:g}")
        for flag, value in (("--membership-excess", self.membership_excess), ("--table-risk", self.table_risk)):
            if not 0 < value < 1:
                raise SettingsError(f"{flag} needs a share between 0 and 1, not {value:g}")


def privacy(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    *,
    seed: int,
    level: float = LEVEL,
    reference: Features | None = None,
    discriminator: tuple[Array, Array] | None = None,
    table: bool = False,
    mirror: Mirror | None = None,
    scale: bool = True,
    bars: Privacy = Privacy(),
) -> list[Finding]:
    """Membership inference: members are train's patients, non-members holdout's, a patient's score is the largest of
    his images'. Two findings per attack, AUC and true positives at 1 % false positives, and one per attack on a table;
    all share out `level` equally.

    Null: the synthetic images tell no more of train than of holdout, so patients are exchangeable between the two.
    *True positives*: count above a threshold of the holdout's, exact (BetaBinomial); yardstick r / (n + 1), bar
    membership_excess more; high: members above a threshold that is with 95 % no too high (`told_at_most`), and a pass
    takes SEEN holdout patients. *AUC*: DeLong's normal approximation on the logit; yardstick 0.5, bar membership_auc.
    *Table*: risk (Giomi 2023), one random image per patient, bar table_risk. Fail: significant and beyond the bar;
    pass: 95 % upper bound within it. A quiet AUC proves nothing: at 10 % copies it is 0.55.

    reference: real images of patients in neither set, which GAN-Leaks is calibrated with and DOMIAS needs;
    discriminator: its scores of each train and each holdout image, high where they look real; table: whether columns
    are attacked too, as the rows of tables are; scale: robust z-scores first (`prepare`, statistics of train and
    holdout together, so that neither is favoured), False for thumbnails and embeddings. Sources: Chen 2020, van
    Breugel 2023, Hayes 2019, Carlini 2022.
    """
    finding = partial(Finding, "privacy", subject=label, n_images=len(holdout), n_patients=holdout.n_patients)
    attacks = [GAN_LEAKS, *([CALIBRATED, DOMIAS] if reference else []), *([DISCRIMINATOR] if discriminator else [])]
    found: list[Finding] = []

    def absent(attack: str, reason: str) -> Finding:
        name = f"{attack} (table)" if attack in TABLE else f"membership, {attack}, {space}"
        return finding(name=name, note=f"this attack was not made: {reason}")

    if reference is not None and set(reference.patients) & (set(train.patients) | set(holdout.patients)):
        why = "the reference shares patients with train or holdout, it must hold other ones"
        found += [absent(attack, why) for attack in (CALIBRATED, DOMIAS)]
        attacks, reference = [a for a in attacks if a not in (CALIBRATED, DOMIAS)], None
    if reason := _too_few(train, holdout, synthetic, reference):
        return [absent(attack, reason) for attack in (*attacks, *(TABLE if table else ()))] + found
    share = level / (2 * len(attacks) + (len(TABLE) if table else 0))
    scores, note = _scores(train, holdout, synthetic, reference, seed, mirror, scale)
    if not scores:
        found += [absent(attack, note) for attack in attacks if attack != DISCRIMINATOR]
    sides = {
        attack: (per_patient(ours, train.patients), per_patient(theirs, holdout.patients))
        for attack, (ours, theirs) in scores.items()
    }
    if discriminator:
        sides[DISCRIMINATOR] = _given(discriminator, train, holdout)
    out: list[Finding] = []
    for attack, (members, others) in sides.items():
        told = "" if attack == DISCRIMINATOR else note
        out += _told(attack, space, members, others, share, finding, told, bars)
    if table:
        out += _on_table(label, train, holdout, synthetic, share, seed, bars)
    return out + found


def _scores(
    train: Features,
    holdout: Features,
    synthetic: Features,
    reference: Features | None,
    seed: int,
    mirror: Mirror | None,
    scale: bool,
) -> tuple[dict[str, tuple[Array, Array]], str]:
    """Attack -> score of each train and each holdout image, -inf where it has undefined features; and a note.

    No attack where no feature is left; the note says why.
    """
    real = Features(np.concatenate([train.values, holdout.values]), train.names)
    third, note, values = (reference if reference is not None else synthetic), "", real.values
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(1))
    if scale:
        ready = prepare(Features(values, train.names, tuple(map(str, range(len(values))))), third, synthetic)
        whole = np.isin(np.arange(len(values)), np.array(ready.train.patients, dtype=np.int64))
        gone = {
            "training": (len(train) - int(whole[: len(train)].sum()), len(train)),
            "holdout": (len(holdout) - int(whole[len(train) :].sum()), len(holdout)),
            "reference": (len(third) - len(ready.holdout), len(third)) if reference is not None else (0, 0),
            "synthetic": (len(synthetic) - len(ready.synthetic), len(synthetic)),
        }
        said = [
            f"{k} of {n} {what} images have undefined features and are left out" for what, (k, n) in gone.items() if k
        ]
        # of columns prepare's words hold; of rows they do not: its train is here train and holdout together
        said += [part for part in ready.note.split("; ") if part and " images have undefined features" not in part]
        real, third, synthetic, note = ready.train, ready.holdout, ready.synthetic, "; ".join(said)
    else:
        real = real.take(np.flatnonzero(whole))
    if not real.names:
        return {}, "no feature varies"
    if min(whole[: len(train)].sum(), whole[len(train) :].sum(), len(synthetic), len(third)) < 2:
        return {}, f"too few images are left; {note}" if note else "too few images have all features defined"
    most = min(MOST, len(synthetic)) if reference is None else min(MOST, len(synthetic), len(third))
    made, known = (draw(part, most, rng(seed, "privacy", w)).values for part, w in ((synthetic, "s"), (third, "r")))
    if most < len(synthetic):
        note = "; ".join(filter(None, [note, f"{most} of {len(synthetic)} synthetic images were used"]))
    near = synthetic.values if len(synthetic) <= MOST else made
    scores = {GAN_LEAKS: gan_leaks(real.values, near, None, mirror)}
    if reference is not None:
        scores[CALIBRATED] = gan_leaks(real.values, made, known, mirror)
        scores[DOMIAS] = domias(real.values, made, known)
    out = {}
    for attack, score in scores.items():
        full = np.full(len(whole), -np.inf)
        full[whole] = score
        out[attack] = full[: len(train)], full[len(train) :]
    return out, note


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


def _given(pair: tuple[Array, Array], train: Features, holdout: Features) -> tuple[Array, Array]:
    """Scores that the caller measured, the largest of each patient's images."""
    scores = [np.asarray(one, np.float64) for one in pair]
    if [one.shape for one in scores] != [(len(train),), (len(holdout),)] or not all(
        np.isfinite(one).all() for one in scores
    ):
        raise InputError("the discriminator's scores need one finite number for each training and each holdout image")
    return per_patient(scores[0], train.patients), per_patient(scores[1], holdout.patients)


def _on_table(
    label: str, train: Features, holdout: Features, synthetic: Features, level: float, seed: int, bars: Privacy
) -> list[Finding]:
    """The attacks on tables, each at `level`; rows with undefined values are left out."""
    people = [one_per_patient(part, rng(seed, "privacy", "table")) for part in (train, holdout)]
    known = np.isfinite(train.values).mean(0) >= 0.9
    tables = []
    for part in (*people, synthetic):
        values = part.values[:, known]
        rows = np.flatnonzero(np.isfinite(values).all(1))[:MOST]
        names = [name for name, is_known in zip(train.names, known, strict=True) if is_known]
        tables.append(pd.DataFrame(values[rows], columns=names))
    if min(len(one) for one in tables) < PATIENTS or tables[0].shape[1] < 2:
        why = f"this attack was not made: two columns and {PATIENTS} rows without undefined values are needed"
        return [Finding("privacy", f"{attack} (table)", label, note=why) for attack in TABLE]
    size = len(tables[1])
    found = attacked(*tables, seed=seed, level=level)
    return [risk_finding(one, label, level=level, n_patients=size, bars=bars) for one in found]


def _told(
    attack: str,
    space: str,
    members: Array,
    others: Array,
    level: float,
    finding: "partial[Finding]",
    note: str,
    bars: Privacy,
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
    state, said = (
        PASS,
        f"a training patient is told from a new one no better than AUC {bars.membership_auc} would tell them",
    )
    if p <= level and value > bars.membership_auc:
        state, said = FAIL, f"the {attack} attack tells training patients from new ones (p = {p:.2g})"
    elif limit(1.645) > bars.membership_auc:
        more = math.ceil(n * ((limit(1.645) - value) / max(bars.membership_auc - value, 0.01)) ** 2)
        state = INCONCLUSIVE
        said = f"the interval reaches over {bars.membership_auc}; "
        said += f"about {max(more, n + 1)} holdout patients would narrow it"
    if value > bars.membership_auc and state == INCONCLUSIVE:
        said = (
            f"above {bars.membership_auc}, but that may be chance (p = {p:.2g}); {4 * n} holdout patients would decide"
        )
    text = "; ".join(filter(None, [said, note]))
    size = {"n_patients": n, "state": state, "note": text}
    bounds = (min(limit(-1.96), value), max(limit(1.96), value))
    first = finding(
        name=f"membership AUC, {attack}, {space}", value=value, low=bounds[0], high=bounds[1], yardstick=0.5,
        bar=("<=", bars.membership_auc), **size,
    )  # fmt: skip

    count, r, chance = true_positives(members, others)
    low, high = min(always_told(count, m, r, n), count / m), max(told_at_most(members, others), count / m)
    base = r / (n + 1)
    bar = base + bars.membership_excess
    state = PASS
    said = f"at most {high:.1%} of the training patients can be told (95 % limit), when 1 in 100 new ones is accused"
    if chance <= level and count / m > bar:
        state = FAIL
        said = f"the {attack} attack tells {count} of {m} training patients where it accuses 1 in 100 new ones "
        said += f"(p = {chance:.2g})"
    elif n < SEEN or high > bar:
        state = INCONCLUSIVE
        said = f"up to {high:.1%} of the training patients may be told (95 % limit)"
        if n < SEEN:
            said += f", and 1 new patient in 100 who is accused cannot be seen among {n}"
        said += f"; {_settling(m, n, bars.membership_excess)}"
    text = "; ".join(filter(None, [said, note]))
    second = finding(
        name=f"membership, true positives at 1 % false, {attack}, {space}", value=count / m, low=low, high=high,
        yardstick=base, bar=("<=", bar), n_patients=n, state=state, note=text,
    )  # fmt: skip
    return [first, second]


def _settling(m: int, n: int, excess: float) -> str:
    """How many holdout patients would show in four of five clean sets that m training patients cannot be told."""
    enough = (k for k in range(SEEN, 20 * SEEN + 1, 10) if passes(m, k, excess) >= 0.8)
    need = next(enough, 0)
    if not need:
        return f"{math.ceil(2 / excess)} training patients and {max(2 * n, 220)} holdout patients would decide"
    return f"about {need if need > n else 2 * n} holdout patients would decide"


def risk_finding(
    found: Risk, label: str = "", *, level: float = LEVEL, n_patients: int = 0, bars: Privacy = Privacy()
) -> Finding:
    """Bar table_risk. Fail: significant at `level` and above it; pass: the one-sided 95 % limit within it, if the
    attack beats guessing.

    An attack on train that is no better than its naive guesses is too weak to acquit anybody: inconclusive.
    """
    name = f"{found.attack} (table)"
    finding = partial(Finding, "privacy", name, label, n_images=found.control_n, n_patients=n_patients)
    if not found.n or not found.control_n:
        why = "no record of the synthetic table can be told from the others by a few columns"
        return finding(note=why)
    state, note = PASS, f"with the synthetic table {found.hits} of {found.n} tries on training patients succeed"
    note += f", {found.control_hits} of {found.control_n} on others"
    if found.p <= level and found.risk > bars.table_risk:
        state, note = FAIL, note + f" (p = {found.p:.2g})"
    elif found.low > bars.table_risk:
        state, note = INCONCLUSIVE, note + f": above {bars.table_risk:g}, but that may be chance (p = {found.p:.2g}, "
        note += f"a failure takes {level:.2g}); twice as many patients would decide"
    elif found.hits / found.n <= found.baseline:
        state, note = INCONCLUSIVE, note + f"; guesses succeed as often ({found.baseline:.0%}), the attack is too weak"
    elif found.risk + (found.high - found.risk) * 1.645 / 1.96 > bars.table_risk:
        state, note = INCONCLUSIVE, note + f"; about {_enough(found, bars.table_risk)} records of each would decide"
    bar = ("<=", bars.table_risk)
    return finding(found.risk, found.low, found.high, 0.0, bar, state=state, note=note)


def _enough(found: Risk, bar: float) -> int:
    """Records at which the half-width of the interval would be half the bar."""
    return math.ceil(found.n * max(1.0, ((found.high - found.low) / bar) ** 2))


def not_attacked(*, reference: bool, discriminator: bool, table: bool) -> Finding:
    """What nobody has tried, in one finding that is never a pass. For the whole check: what it was given."""
    open_ = (
        [] if reference else ["attacks with a reference set (calibrated GAN-Leaks, DOMIAS): no third real set is given"]
    )
    open_ += (
        []
        if discriminator
        else ["the discriminator's scores: none are given; whoever has it can tell most, so do not hand it out"]
    )
    open_ += [] if table else ["singling out, linkability and inference: no tables are given"]
    open_ += ["attacks that train generators of their own (shadow models), reconstruction, and inference from weights"]
    note = "not attacked, so nothing is known: " + "; ".join(open_)
    return Finding("privacy", "attacks that were not made", state=NOT_COMPUTED, note=note)
