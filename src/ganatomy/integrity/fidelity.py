"""The gate fidelity: all features of a class together, by distances and by classifiers, and what gives images away.

Composes the measures and shares the level out among them. Does not know how any of them is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import Finding
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.c2st import c2st
from ganatomy.integrity.features import Features, undefined_findings
from ganatomy.integrity.frechet import frechet_findings
from ganatomy.integrity.mmd import mmd_findings

MAIN, EMBEDDING = "radiomics", "embedding"  # the space that every measure is taken in; the one that the user brings
Three = tuple[Features, Features, Features]  # train, holdout, synthetic


@dataclass(frozen=True)
class Fidelity(Settings):
    """Bars of the gate fidelity."""

    frechet_ratio: float = option(2.0, "Fréchet distance allowed, in distances of training images from new patients")
    tolerated_shift: float = option(0.25, "largest shift of all features together that does not matter", "sd")
    told_apart: float = option(0.75, "AUC by which a classifier may tell synthetic from new patients' images")

    def __post_init__(self) -> None:
        if self.frechet_ratio < 1:
            raise SettingsError(f"--frechet-ratio needs a number of 1 or more, not {self.frechet_ratio:g}")
        if self.tolerated_shift <= 0:
            raise SettingsError(f"--tolerated-shift needs a number above 0, not {self.tolerated_shift:g}")
        if not 0.5 < self.told_apart < 1:
            raise SettingsError(f"--told-apart needs a number between 0.5 and 1, not {self.told_apart:g}")


def fidelity(
    spaces: Mapping[str, Three],
    label: str,
    *,
    seed: int,
    level: float,
    resamples: int = 200,
    bars: Fidelity = Fidelity(),
) -> tuple[list[Finding], pd.DataFrame]:
    """Do the synthetic images of a class lie where those of new patients lie? Findings, and what gives them away.

    spaces: name -> (train, holdout, synthetic), rows of one class. In MAIN: images with undefined features, Fréchet
    distance (its note has frd-score's versions by name), MMD, classifiers; in EMBEDDING: FID and KID; in any other: the
    Fréchet distance. `level` is shared equally among what is drawn by chance; the nulls are those of each measure. The
    table is c2st's (feature, coefficient, importance, auc): empty without MAIN.
    """
    count = sum({MAIN: 3, EMBEDDING: 2}.get(space, 1) for space in spaces)
    share = level / max(count, 1)
    findings: list[Finding] = []
    table = pd.DataFrame()
    for space, (train, holdout, synthetic) in spaces.items():
        three = train, holdout, synthetic
        raw, shift = space == EMBEDDING, bars.tolerated_shift
        if space == MAIN:
            findings += undefined_findings(label, *three)
        findings += frechet_findings(
            space,
            label,
            *three,
            seed=seed,
            level=share,
            resamples=resamples,
            ratio=bars.frechet_ratio,
            shift=shift,
            raw=raw,
        )
        if space in (MAIN, EMBEDDING):
            findings += mmd_findings(space, label, *three, seed=seed, level=share, shift=shift, raw=raw)
        if space == MAIN:
            found, table = c2st(space, label, *three, seed=seed, level=share, usable=bars.told_apart)
            findings += found
    return findings, table
