"""Fairness: is a subgroup of real patients missing, or served worse than the others? Judged for each group column.

Knows what subgroups.py measures, and which difference would matter. Does not know images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.contrasts import Measured
from ganatomy.integrity.features import LOST, Features
from ganatomy.integrity.labels import ONE_SIDED
from ganatomy.integrity.subgroups import LEAST, NEAREST, Groups, Subgroup, assemble, subgroups

# how this gate's level is shared out over what it asks
SHARES = {"present": 0.6, "alone": 0.1, "shift": 0.2, "copied": 0.1}
NAMES = {
    "present": "subgroups present",
    "shift": "features: gap between subgroups",
    "alone": "real images left alone: gap between subgroups",
    "copied": "near-copies: gap between subgroups",
}
COLUMNS = (
    *("column", "value", "train_patients", "holdout_patients", "present", "alone", "alone_others", "shift", "copied"),
    *("present_low", "present_high", "alone_low", "alone_high", "note"),
)


@dataclass(frozen=True)
class Fairness(Settings):
    """Bars of the gate fairness.

    subgroup_shift: twice the shift that the gate marginals allows a class as a whole.
    """

    subgroup_share: float = option(0.5, "share of a subgroup among synthetic images, over its share of real patients")
    subgroup_alone: float = option(
        0.2, "share of a subgroup's real images that nothing synthetic is near, above that of the others"
    )
    subgroup_shift: float = option(
        0.3, "how much farther a subgroup's features may lie from real ones than the others'", "robust sd"
    )
    subgroup_copies: float = option(0.15, "share of near-copies of a subgroup, above that of the others")

    def __post_init__(self) -> None:
        for name in ("subgroup_share", "subgroup_alone", "subgroup_copies"):
            if not 0 < (value := getattr(self, name)) < 1:
                raise SettingsError(f"--{name.replace('_', '-')} is a share above 0 and below 1, not {value:g}")
        if not self.subgroup_shift > 0:
            raise SettingsError(f"--subgroup-shift needs a number above 0, not {self.subgroup_shift:g}")


def fairness(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    groups: Groups,
    *,
    seed: int,
    level: float = 0.05 / 8,
    bars: Fairness = Fairness(),
) -> tuple[list[Finding], pd.DataFrame]:
    """Is a subgroup of real patients missing, and is one served worse? Findings, and a row (COLUMNS) per subgroup.

    groups: column -> (value of each train row, of each holdout row), "" where unknown. Up to four findings a column,
    each about the subgroup that is worst off:

    present: share of a subgroup among synthetic images over that among real patients. Synthetic images carry no group:
        classifiers of real images mark them (`tell`), and what they mark wrongly is known from real patients whom they
        have not seen. p: the likelihood ratio of a loss, summed over rows.
    features (gate marginals): Wasserstein-1 distance from real to synthetic features beyond chance, of images that look
        like the subgroup, less the mean of the other subgroups. Where the column cannot be told, there is none.
    left alone (gate coverage): share of the subgroup's holdout images with nothing synthetic among their NEAREST (of
        one training image per patient and as many synthetic ones), less that of the others. p: synthetic share of
        those neighbours.
    near-copies (gate copying): of synthetic images nearest to a training image of the subgroup, the share that lie
        much nearer to its patient than to the next one, beyond that of holdout; less that of the others. p: Fisher's.

    Null: synthetic images are images of other real patients; so they may change places with holdout's and train's, one
    image per patient. `level` is shared out by SHARES, then over the subgroups that could be measured: for `present` in
    inverse proportion to their share of patients, because the rare are the first to go missing and the last to be
    missed; for left alone (all columns) and features (a column) p is of the largest of all; for near-copies equally.
    FAIL: p small enough and the value beyond its bar. PASS: every subgroup that is large enough to judge is shown, by
    a one-sided 95 % bound, to lie within it. INCONCLUSIVE: the note says how many patients would do.
    """

    def nothing(why: str) -> tuple[list[Finding], pd.DataFrame]:
        name = f"{NAMES['present']}, {space}"
        empty = Finding("fairness", name, label, n_images=len(holdout), n_patients=holdout.n_patients, note=why)
        return [empty], subgroup_table([])

    if not groups:
        return nothing("no group column (sex, age, site, scanner) is given")
    for what, table in (("train", train), ("holdout", holdout), ("synthetic", synthetic)):
        if not len(table):
            return nothing(f"{what} has no image of this class")
    tables = assemble(train, holdout, synthetic, groups, seed)
    if not tables.train.names:
        return nothing("; ".join(filter(None, ["no feature varies in train", tables.note])))
    if not any({*t, *h} - {""} for t, h in tables.groups.values()):
        return nothing(f"no real image of this class has a value of {', '.join(groups)}")
    found = subgroups(tables, seed, level / 20)
    if not found:
        why = f"train has {tables.train.n_patients} patients and synthetic {len(tables.synthetic)} images of this class"
        return nothing(f"{why}, {2 * LEAST} of each are needed")
    call = _Call(space, label, found, level, bars, tables.note, tables.lost > LOST)
    return [finding for column in tables.groups for finding in call.about(column)], subgroup_table(found)


def subgroup_table(found: Sequence[Subgroup]) -> pd.DataFrame:
    """One row per subgroup: patients, share among synthetic / real (present), share of real images left alone, gaps.

    present_low, present_high: 95 % interval of present; alone_low, alone_high: of alone less alone_others
    """

    def ends(one: Subgroup, name: str) -> tuple[float, float]:
        measure = one.measures.get(name)
        return (math.nan, math.nan) if measure is None else measure.numbers[1:]

    def number(one: Subgroup, name: str, share: int = -1) -> float:
        measure = one.measures.get(name)
        return math.nan if measure is None else measure.numbers[0] if share < 0 else measure.shares[share]

    rows = [
        (
            *(one.column, one.value, *one.patients, number(one, "present")),
            *(number(one, "alone", 0), number(one, "alone", 1), number(one, "shift"), number(one, "copied")),
            *(*ends(one, "present"), *ends(one, "alone"), one.reason),
        )
        for one in found
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True)
class _Call:
    """What the findings of one call share. lost: too many synthetic images have undefined features for a pass."""

    space: str
    label: str
    found: list[Subgroup]
    level: float
    bars: Fairness
    note: str
    lost: bool

    def about(self, column: str) -> list[Finding]:
        """The findings on one column."""
        own = [one for one in self.found if one.column == column]
        small = [f"{one.value} ({one.reason})" for one in own if one.reason]
        rest = [f"too small to judge: {'; '.join(small)}"] if small else []
        blind = [one.value for one in own if not one.reason and "present" not in one.measures]
        if blind and len(blind) + len(small) < len(own):
            rest.append(f"cannot be told from the others in synthetic images: {', '.join(blind)}")
        out = []
        for name in NAMES:
            measured = [one for one in own if name in one.measures]
            if measured:
                out.append(self.judged(name, column, measured, rest if name == "present" else []))
            elif name == "present":
                why = f"synthetic images carry no {column}, and classifiers of real images cannot tell it: whether a "
                why += "subgroup is missing, or its features are worse, cannot be seen"
                notes = [why, *rest] if blind else rest or [f"no real image of this class has a value of {column}"]
                out.append(self.finding(name, column, own, note="; ".join(filter(None, [*notes, self.note]))))
        return out

    def finding(self, name: str, column: str, some: Sequence[Subgroup], **known: object) -> Finding:
        size = {"n_images": sum(s.images for s in some), "n_patients": sum(s.patients[1] for s in some)}
        subject = ", ".join(filter(None, [self.label, column]))
        return Finding("fairness", f"{NAMES[name]}, {self.space}", subject, **size, **known)  # type: ignore[arg-type]

    def alpha(self, name: str, one: Subgroup) -> float:
        """What p of one subgroup is held against."""
        share = self.level * SHARES[name]
        sharing = [s for s in self.found if name in s.measures]
        if name == "alone":  # p is of the largest of all
            return share
        if name == "shift":  # p is of the largest of a column
            return share / len({s.column for s in sharing})
        if name == "present":
            return share / one.rarity / sum(1 / s.rarity for s in sharing)
        return share / len(sharing)

    def judged(self, name: str, column: str, some: Sequence[Subgroup], rest: Sequence[str]) -> Finding:
        """One measure of every subgroup of a column: FAIL if one fails, PASS if all pass; about the worst."""
        limit = getattr(self.bars, _BAR[name])
        sign = -1 if name == "present" else 1

        def reach(one: Subgroup) -> tuple[float, float]:
            """How far a subgroup lies within its bar, and how far its one-sided 95 % bound reaches towards it."""
            value, low, high = one.measures[name].numbers
            return sign * (limit - value), ONE_SIDED * abs((high if sign > 0 else low) - value)

        def shown(one: Subgroup) -> bool:
            return one.measures[name].p <= self.alpha(name, one) and reach(one)[0] < 0

        worst = min(some, key=lambda one: (not shown(one), reach(one)[0] - reach(one)[1]))
        measure, (room, needed) = worst.measures[name], reach(worst)
        notes = [_told(name, worst, measure)]
        failed = [one.value for one in some if shown(one) and one is not worst]
        if failed:
            notes.append(f"so it is for {', '.join(failed)}")
        state = INCONCLUSIVE
        if shown(worst):
            state = FAIL
        elif needed <= room and not self.lost:
            state = PASS
        elif needed <= room:
            notes.append("too many synthetic images have undefined features for a pass")
        elif room < 0:
            notes.append("this could be chance: more holdout patients of this subgroup would decide")
        else:
            need = math.ceil(worst.patients[1] * min((needed / max(room, 1e-9)) ** 2, 20) / 5) * 5 + 5
            train = math.ceil(need * worst.patients[0] / worst.patients[1])
            notes.append(
                f"too few to exclude a difference that matters: {need} holdout patients of this subgroup, and {train} "
                "of train, would be enough"
            )
        note = "; ".join(filter(None, [*notes, *rest, self.note]))
        value, low, high = measure.numbers
        known = {"value": value, "low": low, "high": high, "yardstick": measure.real, "state": state, "note": note}
        return self.finding(name, column, some, bar=("<=" if sign > 0 else ">=", limit), **known)


_BAR = {
    "present": "subgroup_share",
    "shift": "subgroup_shift",
    "alone": "subgroup_alone",
    "copied": "subgroup_copies",
}


def _told(name: str, one: Subgroup, measure: Measured) -> str:
    """What the number says, of the subgroup that is worst off."""
    who, p = f"{one.column} {one.value}", f"p = {measure.p:.2g}"
    if name == "present":
        told = (
            f"worst for {who}: synthetic images hold {measure.numbers[0]:.2f} times the share of it that real patients "
        )
        return f"{told}have (told by classifiers of real images, for synthetic images carry no {one.column}; {p})"
    if name == "shift":
        told = f"worst for {who}: the features of images that look like it lie {measure.numbers[0]:.2f} standard "
        return f"{told}deviations farther from real ones than those of the others do, beyond chance ({p})"
    if name == "alone":
        told = (
            f"worst for {who}: {measure.shares[0]:.0%} of its real images have nothing synthetic among their {NEAREST} "
        )
        return f"{told}nearest, {measure.shares[1]:.0%} of the others ({p})"
    told = (
        f"worst for {who}: of the synthetic images nearest to a training image of it, {measure.shares[0]:.0%} lie much "
    )
    told += f"nearer to that patient than to the next, {measure.shares[1]:.0%} of the others; compared with holdout's, "
    return f"{told}{measure.numbers[0]:+.0%} ({p})"
