"""The battery: every gate in one order, each with its share of the false alarms that one check may raise.

Knows which gate looks at which space and set. Does not know how images became features, nor where results go.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.core.finding import FAIL, NOT_COMPUTED, Finding
from ganatomy.integrity.c2st import c2st_findings
from ganatomy.integrity.copying import (
    SIDE,
    Evidence,
    evidence,
    judge_copies,
    mirror_thumbnails,
    pixel_evidence,
    pixel_findings,
    thumbnails,
)
from ganatomy.integrity.coverage import coverage_findings, similarity_findings
from ganatomy.integrity.dependence import dependence_findings
from ganatomy.integrity.features import Features, undefined_findings
from ganatomy.integrity.frechet import frechet_findings
from ganatomy.integrity.hygiene import hygiene_findings
from ganatomy.integrity.labels import labels_findings
from ganatomy.integrity.marginals import marginals
from ganatomy.integrity.mmd import mmd_findings
from ganatomy.integrity.privacy import privacy_findings

FALSE_ALARMS = 0.05  # of one check of a set that is in truth like other real patients, over all gates and classes
GATES = (
    "marginals",
    "dependence",
    "labels",
    "fidelity",
    "coverage",
    "copying",
    "privacy",
)  # hygiene is fact, not chance
SUSPECTS = ("class", "image", "original", "compared_by", "distance", "ratio")  # rows of synthetic and of train


@dataclass(frozen=True, eq=False)
class Side:
    """One set of images as the gates see it, n rows in one order.

    labels: class of each; patients: whose each is, () for synthetic images
    spaces: name -> (columns, (n, d) values): "radiomics", and "classifier" where a network embeds the images
    images: (n, C, H, W) in physical units, or None where there are only tables
    paths, units, spacings: texts of each image, () where unknown
    """

    labels: tuple[str, ...]
    patients: tuple[str, ...]
    spaces: Mapping[str, tuple[tuple[str, ...], NDArray[np.float64]]]
    images: NDArray[np.generic] | None = None
    paths: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    spacings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, label: str) -> NDArray[np.int64]:
        """Which images are of a class."""
        return np.flatnonzero(np.array(self.labels, dtype=object) == label)

    def features(self, space: str, rows: NDArray[np.int64]) -> Features:
        """Some rows in one space."""
        names, values = self.spaces[space]
        return Features(values[rows], names, tuple(self.patients[i] for i in rows) if self.patients else ())


@dataclass(frozen=True, eq=False)
class Result:
    """findings, in the gates' order; tables by name, for files and drawings: marginals (a row for each class and
    feature) and suspects (SUSPECTS: `image` and `original` are rows of synthetic and of train)."""

    findings: list[Finding]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def battery(
    train: Side,
    holdout: Side,
    synthetic: Side,
    reference: Side | None = None,
    *,
    seed: int,
    resamples: int = 200,
    advance: Callable[[int], None] = lambda _: None,
) -> Result:
    """Every gate for every class that has synthetic images.

    reference: real images of patients in neither set, for the attacks on privacy that need one
    FALSE_ALARMS is shared out equally over GATES, within a gate over the classes, and there over what it asks. advance
    is called once for each class.
    """
    classes = sorted({*train.labels, *holdout.labels})
    made = [label for label in classes if len(synthetic.rows(label))]
    share = FALSE_ALARMS / len(GATES)
    findings: list[Finding] = []
    tables: dict[str, list[pd.DataFrame]] = {"marginals": [], "suspects": []}
    sides = {"train": train, "holdout": holdout, "synthetic": synthetic}
    stacks = {name: side.images for name, side in sides.items() if side.images is not None}
    if len(stacks) == len(sides):
        known = {name: side.patients or tuple(f"image {i}" for i in range(len(side))) for name, side in sides.items()}

        def texts(column: str) -> dict[str, tuple[str, ...]]:
            return {name: getattr(side, column) or ("",) * len(side) for name, side in sides.items()}

        findings += hygiene_findings("", stacks, texts("paths"), known, texts("units"), texts("spacings"))
    for label in classes:
        if label not in made:
            note = "no synthetic image of this class was made"
            findings.append(Finding("scope", "synthetic images", label, state=NOT_COMPUTED, note=note))
            advance(1)
            continue
        found, table, suspected = _one_class(label, sides, reference, share / len(made), seed, resamples)
        findings += found
        tables["marginals"].append(table)
        tables["suspects"].append(suspected)
        advance(1)
    if len(made) > 1:
        by_class = {
            name: {label: side.features("radiomics", side.rows(label)) for label in made}
            for name, side in sides.items()
        }
        findings += labels_findings("radiomics", made, *by_class.values(), seed=seed, level=share)
    return Result(findings, {name: pd.concat(parts) if parts else pd.DataFrame() for name, parts in tables.items()})


def _one_class(
    label: str, sides: Mapping[str, Side], reference: Side | None, share: float, seed: int, resamples: int
) -> tuple[list[Finding], pd.DataFrame, pd.DataFrame]:
    """The gates within one class, each with `share` of the false alarms; marginals, and suspected copies."""
    rows = {name: side.rows(label) for name, side in sides.items()}
    train, holdout = sides["train"], sides["holdout"]
    spaces = [space for space in ("radiomics", "classifier") if space in train.spaces]

    def sets(space: str) -> tuple[Features, Features, Features]:
        one, two, three = (side.features(space, rows[name]) for name, side in sides.items())
        return one, two, three

    three = {space: sets(space) for space in spaces}
    radiomics = three["radiomics"]
    findings = undefined_findings(label, *radiomics)
    joint = share / (len(spaces) + 2)
    for space in spaces:
        findings += frechet_findings(space, label, *three[space], seed, resamples, joint)
    findings += mmd_findings("radiomics", label, *radiomics, seed=seed, level=joint)
    findings += c2st_findings("radiomics", label, *radiomics, seed=seed, level=joint)
    pictures = [None if side.images is None else side.images[rows[name]] for name, side in sides.items()]
    learned, held, made = pictures
    findings += coverage_findings("radiomics", label, *radiomics, seed, resamples, share)  # which leaves a tenth
    if learned is not None and held is not None and made is not None:
        patients = tuple(holdout.patients[i] for i in rows["holdout"])
        span = float(learned.min()), float(learned.max())
        findings += similarity_findings(label, held, patients, made, data_range=span, seed=seed, level=share)
    found, table = marginals("radiomics", label, *radiomics, seed, level=share)
    findings += [*found, *dependence_findings("radiomics", label, *radiomics, seed, level=share)]
    aside = None if reference is None else reference.features("radiomics", reference.rows(label))
    findings += privacy_findings("radiomics", label, *radiomics, seed=seed, level=share, reference=aside)

    copied, suspected = _copying(label, rows, three, pictures, share, seed)
    return [*findings, *copied], table.assign(**{"class": label}), suspected


def _copying(
    label: str,
    rows: Mapping[str, NDArray[np.int64]],
    three: Mapping[str, tuple[Features, Features, Features]],
    pictures: Sequence[NDArray[np.generic] | None],
    share: float,
    seed: int,
) -> tuple[list[Finding], pd.DataFrame]:
    """The search for copies in every space there is, and a row for each suspect and space, most suspected first."""
    radiomics, (learned, held, made) = three["radiomics"], pictures
    findings = []
    compared: dict[str, Evidence] = {}
    if "classifier" in three:
        compared["classifier"] = evidence(*three["classifier"], seed, None)
    if learned is not None and held is not None and made is not None:
        deviation = np.maximum(np.asarray(learned, np.float64).std((0, 2, 3)), 1e-9)

        def small(stack: NDArray[np.generic], whose: Features) -> Features:
            names = tuple(map(str, range(len(deviation) * SIDE * SIDE)))
            return Features(thumbnails(stack, deviation), names, whose.patients)

        one, two, other = (small(stack, part) for stack, part in zip((learned, held, made), radiomics, strict=True))
        compared["pixels"] = evidence(one, two, other, seed, mirror_thumbnails)
        owners = radiomics[0].patients, radiomics[1].patients
        compared["pixels over shifts"] = pixel_evidence(learned, owners[0], held, owners[1], made, seed)
    suspected = []
    for space, seen in compared.items():
        level = share / len(compared)
        if space == "pixels over shifts":
            found = pixel_findings(label, seen, len(rows["holdout"]), level)
        else:
            name = f"copies of training images, {space}"
            found = [judge_copies(name, label, space, seen, len(rows["holdout"]), level)]
        named = seen.suspects(level)
        at = {int(row): k for k, row in enumerate(seen.rows)}
        order = [at[int(row)] for row in named]
        suspected.append(
            pd.DataFrame(
                {
                    "class": label,
                    "image": rows["synthetic"][named],
                    "original": rows["train"][seen.index[order]],
                    "compared_by": space,
                    "distance": seen.distance[order],
                    "ratio": seen.ratio[order],
                }
            )
        )
        for finding in found:
            told = ", " if finding.state == FAIL else f"; suspected copies: {len(named)}, "
            listed = f"{told}listed in check/suspects.csv" if len(named) else ""
            findings.append(replace(finding, note=finding.note + listed))
    copies = pd.concat(suspected) if suspected else pd.DataFrame(columns=list(SUSPECTS))
    return findings, copies.sort_values("ratio", kind="stable")
