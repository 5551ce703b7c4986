"""The battery: every gate in one order, each with its share of the false alarms that one check may raise.

Knows which gate looks at which space and set. Does not know how images became features, nor where results go.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.core.finding import NOT_COMPUTED, Finding
from ganatomy.core.settings import Settings
from ganatomy.integrity.copying import Copying, copying
from ganatomy.integrity.coverage import Coverage, coverage
from ganatomy.integrity.dependence import Dependence, dependence
from ganatomy.integrity.fairness import Fairness, fairness
from ganatomy.integrity.features import Features
from ganatomy.integrity.fidelity import Fidelity, fidelity
from ganatomy.integrity.hygiene import Hygiene, hygiene_findings
from ganatomy.integrity.labels import Labels, labels
from ganatomy.integrity.marginals import Marginals, marginals
from ganatomy.integrity.privacy import Privacy, not_attacked, privacy
from ganatomy.integrity.rows import table_findings

FALSE_ALARMS = 0.05  # of one check of a set that is in truth like other real patients, over all gates and classes
FACTS = ("hygiene",)  # gates that state facts, which no chance has a part in
CHANCE = ("fidelity", "coverage", "marginals", "dependence", "copying", "privacy", "fairness", "labels")
GATES = (*FACTS, *CHANCE)  # in the order of the findings
SHARE = FALSE_ALARMS / len(CHANCE)  # of each gate, whichever gates are asked for

RADIOMICS, CLASSIFIER = "radiomics", "classifier"  # spaces
TRAIN, HOLDOUT, SYNTHETIC = "train", "holdout", "synthetic"

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Images = NDArray[np.generic]
Three = tuple[Features, Features, Features]  # train, holdout, synthetic


@dataclass(frozen=True)
class Bars(Settings):
    """What each gate tolerates."""

    hygiene: Hygiene = Hygiene()
    fidelity: Fidelity = Fidelity()
    coverage: Coverage = Coverage()
    marginals: Marginals = Marginals()
    dependence: Dependence = Dependence()
    copying: Copying = Copying()
    privacy: Privacy = Privacy()
    fairness: Fairness = Fairness()
    labels: Labels = Labels()


@dataclass(frozen=True, eq=False)
class Side:
    """One set as the gates see it, n rows in one order.

    labels: class of each; patients: whose each is, () for synthetic rows
    spaces: name -> (columns, (n, d) values): "radiomics" always, "classifier" where a network embeds the images,
        "embedding" where the user brought one
    images: (n, C, H, W) in physical units, or None where there are only tables
    paths, units, spacings: texts of each image, () where unknown
    groups: column -> text of each row, "" where unknown; none of synthetic rows
    """

    labels: tuple[str, ...]
    patients: tuple[str, ...]
    spaces: Mapping[str, tuple[tuple[str, ...], Array]]
    images: Images | None = None
    paths: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    spacings: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, label: str) -> Index:
        """Which images are of a class."""
        return np.flatnonzero(np.array(self.labels, dtype=object) == label)

    def features(self, space: str, rows: Index) -> Features:
        """Some rows in one space."""
        names, values = self.spaces[space]
        return Features(values[rows], names, tuple(self.patients[i] for i in rows) if self.patients else ())


@dataclass(frozen=True, eq=False)
class Result:
    """findings, in the gates' order within each class; tables by name, for files and drawings, each with the column
    `class` but those of all classes at once. Rows of sets are numbered as in their `Side`.

    marginals, separation, dependence: by feature, or pair of features; labels: by class and feature
    suspects: (image of synthetic, original of train); missed: (set, image) of real images that nothing synthetic is
    near; fairness: by subgroup
    """

    findings: list[Finding] = field(default_factory=list)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def take(self, findings: list[Finding], label: str = "", **tables: pd.DataFrame) -> None:
        """Add what a gate said of a class."""
        self.findings.extend(findings)
        for name, table in tables.items():
            told = table if "class" in table else table.assign(**{"class": label})
            parts = [part for part in (self.tables.get(name), told) if part is not None]
            # a table without rows has no types yet, and would take those of the others away
            full = [part for part in parts if len(part)] or parts[:1]
            self.tables[name] = pd.concat(full, ignore_index=True)


def battery(
    train: Side,
    holdout: Side,
    synthetic: Side,
    reference: Side | None = None,
    *,
    seed: int,
    resamples: int = 200,
    discriminator: tuple[Array, Array] | None = None,
    gates: Collection[str] = GATES,
    bars: Bars = Bars(),
    advance: Callable[[int], None] = lambda _: None,
) -> Result:
    """The gates for every class that has synthetic images.

    reference: real images of patients in neither set, for the attacks on privacy that need one
    discriminator: its scores of each train and each holdout image, high where they look real; gates: which are asked
    SHARE of FALSE_ALARMS is each gate's, shared out equally over the classes, and there over what the gate asks. What a
    gate says does not depend on which others are asked. advance is called once for each class.
    """
    sides = {TRAIN: train, HOLDOUT: holdout, SYNTHETIC: synthetic}
    classes = sorted({*train.labels, *holdout.labels})
    made = [label for label in classes if len(synthetic.rows(label))]
    result = Result()
    if "hygiene" in gates:
        result.take(_hygiene(sides, bars.hygiene))
    for label in classes:
        if label in made:
            one = _Class(label, sides, {name: side.rows(label) for name, side in sides.items()})
            _judge(one, reference, discriminator, SHARE / len(made), seed, resamples, gates, bars, result)
        else:
            note = "no synthetic image of this class was made"
            result.take([Finding("scope", "synthetic images", label, state=NOT_COMPUTED, note=note)])
        advance(1)
    if "privacy" in gates:
        attacked = {"reference": reference is not None, "discriminator": discriminator is not None}
        result.take([not_attacked(**attacked, table=train.images is None)])
    if "labels" in gates and len(made) > 1:
        by_class = [{c: side.features(RADIOMICS, side.rows(c)) for c in made} for side in sides.values()]
        found, table = labels(RADIOMICS, made, *by_class, seed=seed, level=SHARE, bars=bars.labels)
        result.take(found, labels=table)
    return result


@dataclass(frozen=True, eq=False)
class _Class:
    """One class of the three sets. rows: set -> its rows in the Side."""

    label: str
    sides: Mapping[str, Side]
    rows: Mapping[str, Index]

    def three(self, space: str) -> Three:
        one, two, three = (side.features(space, self.rows[name]) for name, side in self.sides.items())
        return one, two, three

    @property
    def pictures(self) -> tuple[Images, Images, Images] | None:
        stacks = [side.images[self.rows[name]] for name, side in self.sides.items() if side.images is not None]
        return (stacks[0], stacks[1], stacks[2]) if len(stacks) == len(self.sides) else None

    @property
    def groups(self) -> dict[str, tuple[list[str], list[str]]]:
        """column -> its values in train and in holdout."""

        def texts(name: str, column: str) -> list[str]:
            return [self.sides[name].groups[column][i] for i in self.rows[name]]

        columns = [column for column in self.sides[TRAIN].groups if column in self.sides[HOLDOUT].groups]
        return {column: (texts(TRAIN, column), texts(HOLDOUT, column)) for column in columns}


def _judge(
    one: _Class,
    reference: Side | None,
    discriminator: tuple[Array, Array] | None,
    level: float,
    seed: int,
    resamples: int,
    gates: Collection[str],
    bars: Bars,
    result: Result,
) -> None:
    """The gates within one class, each with `level` of the false alarms."""
    label, spaces = one.label, {space: one.three(space) for space in one.sides[TRAIN].spaces}
    three, pictures = spaces[RADIOMICS], one.pictures
    if "fidelity" in gates:
        found, table = fidelity(
            spaces, label, seed=seed, level=level, resamples=resamples, bars=bars.fidelity
        )  # fmt: skip
        result.take(found, label, separation=table)
    if "coverage" in gates:
        span = None if pictures is None else (float(pictures[0].min()), float(pictures[0].max()))
        alike = None if pictures is None else pictures[1:]
        found, table = coverage(
            RADIOMICS, label, *three, seed=seed, level=level, resamples=resamples, bars=bars.coverage,
            images=alike, data_range=span,
        )  # fmt: skip
        result.take(found, label, missed=_placed(table, one, {"image": "set"}))
    if "marginals" in gates:
        found, table = marginals(RADIOMICS, label, *three, seed, level=level, bars=bars.marginals)
        result.take(found, label, marginals=table)
    if "dependence" in gates:
        found, table = dependence(RADIOMICS, label, *three, seed, level=level, bars=bars.dependence)
        result.take(found, label, dependence=table)
    if "copying" in gates:
        found, table = copying(label, spaces, pictures, seed=seed, level=level, bars=bars.copying)
        result.take(found, label, suspects=_placed(table, one, {"image": SYNTHETIC, "original": TRAIN}))
    if "privacy" in gates:
        aside = None if reference is None else reference.features(RADIOMICS, reference.rows(label))
        told = (
            None if discriminator is None else (discriminator[0][one.rows[TRAIN]], discriminator[1][one.rows[HOLDOUT]])
        )
        found = privacy(
            RADIOMICS, label, *three, seed=seed, level=level, reference=aside, discriminator=told,
            table=pictures is None, bars=bars.privacy,
        )  # fmt: skip
        result.take(found)
    if "fairness" in gates:
        found, table = fairness(RADIOMICS, label, *three, one.groups, seed=seed, level=level, bars=bars.fairness)
        result.take(found, label, fairness=table)


def _placed(table: pd.DataFrame, one: _Class, columns: Mapping[str, str]) -> pd.DataFrame:
    """Rows of the class as rows of the sets. columns: column of rows -> the set, or the column that names it."""
    if table.empty:
        return table
    placed = {}
    for column, name in columns.items():
        names = table[name] if name in table else [name] * len(table)
        placed[column] = [int(one.rows[which][row]) for which, row in zip(names, table[column], strict=True)]
    return table.assign(**placed)


def _hygiene(sides: Mapping[str, Side], bars: Hygiene) -> list[Finding]:
    """Of images; of tables where a side has none: what they hold has neither size nor step."""
    stacks = {name: side.images for name, side in sides.items() if side.images is not None}
    known = {name: side.patients or ("",) * len(side) for name, side in sides.items()}
    if len(stacks) < len(sides):
        return table_findings("", {name: side.spaces[RADIOMICS][1] for name, side in sides.items()}, known, bars=bars)

    def texts(column: str) -> dict[str, tuple[str, ...]]:
        return {name: getattr(side, column) or ("",) * len(side) for name, side in sides.items()}

    return hygiene_findings("", stacks, texts("paths"), known, texts("units"), texts("spacings"), bars=bars)
