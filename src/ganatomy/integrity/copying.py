"""Does the generator repeat its training images? What is said of the tests in each space, and whom to look at.

Knows features, images and whose they are. Does not know how images are made, nor where suspects are listed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import betabinom, binom

from ganatomy.core.errors import InputError, SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.copies import (
    LEVEL,
    POWER,
    closest_pairs,
    detectable,
    detectable_pairs,
    rank,
    strict,
    tail,
)
from ganatomy.integrity.evidence import MOST, PATIENTS, Evidence, evidence, located, pixel_evidence, table_evidence
from ganatomy.integrity.features import Features, clopper_pearson
from ganatomy.integrity.likeness import THUMBNAIL
from ganatomy.integrity.nearest import Mirror, mirror_thumbnails, thumbnails
from ganatomy.integrity.proximity import EACH, authentic, data_copying

Index = NDArray[np.int64]
Three = tuple[Features, Features, Features]  # train, holdout, synthetic
Pictures = tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]

RADIOMICS, CLASSIFIER, PIXELS, SHIFTS = "radiomics", "classifier", "pixels", "pixels over shifts"
COPIER = -3.0  # C_T below which its authors speak of copying
MANY = 3  # suspects with whom nothing passes
COLUMNS = ("class", "image", "original", "compared_by", "distance", "ratio")  # of the table of suspects


@dataclass(frozen=True)
class Copying(Settings):
    """Bars of the gate copying."""

    copies_share: float = option(0.10, "share of copies that a pass must have been able to find in 95 % of sets")
    suspect_rate: float = option(0.05, "share of the suspected copies that may be suspected wrongly")

    def __post_init__(self) -> None:
        for flag, value in (("--copies-share", self.copies_share), ("--suspect-rate", self.suspect_rate)):
            if not 0 < value < 1:
                raise SettingsError(f"{flag} needs a share between 0 and 1, not {value:g}")


def copying(
    label: str,
    three: Mapping[str, Three],
    pictures: Pictures | None,
    *,
    seed: int,
    level: float = LEVEL,
    bars: Copying = Copying(),
) -> tuple[list[Finding], pd.DataFrame]:
    """The search for copies within a class in every space there is, and a row for each suspect and space.

    three: space -> features of train, holdout and synthetic; of "classifier" an embedding. pictures: the same images
    (n, C, H, W), compared as thumbnails and their mirror images, and over shifts. Where there are neither, the rows of
    "radiomics" are compared (`table_evidence`). level is shared out equally over what is compared.
    Returns the findings, one for each (`judged` says what is asked), and COLUMNS, most suspected first: image and
    original are rows of the class's synthetic and training images.
    """
    compared: dict[str, tuple[Evidence, Aside]] = {}
    whose = next(iter(three.values()))
    if CLASSIFIER in three:
        found = evidence(*three[CLASSIFIER], seed, None)
        compared[CLASSIFIER] = found, beside(found, three[CLASSIFIER], seed, None)
    if pictures is not None:
        small = _small(pictures, whose)
        found = evidence(*small, seed, mirror_thumbnails)
        compared[PIXELS] = found, beside(found, small, seed, mirror_thumbnails)
        train, holdout, synthetic = pictures
        found = pixel_evidence(train, whose[0].patients, holdout, whose[1].patients, synthetic, seed)
        compared[SHIFTS] = found, Aside()
    if not compared:
        found, table = table_evidence(*three[RADIOMICS], seed)
        aside = beside(found, table.three, seed, None)
        compared[RADIOMICS] = located(found, table.rows, found.note), aside
    findings, tables, n_holdout, share = [], [], len(whose[1]), level / len(compared)
    for space, (found, aside) in compared.items():
        named = found.suspects(share, bars.suspect_rate)
        findings.append(
            _pointed(judged(space, label, found, n_holdout, share, bars, aside), len(named), len(found.rows))
        )
        tables.append(_suspected(label, space, found, named))
    return findings, pd.concat(tables).sort_values("ratio", kind="stable", ignore_index=True)


def _pointed(finding: Finding, suspected: int, m: int) -> Finding:
    """The finding with its suspects of m images. It is no pass where MANY of them, and 1 in 100, stand out one by one:
    clean sets seldom have so many, and copies may be too few for the tests to tell.
    """
    if not suspected:
        return finding
    note = f"suspected copies: {suspected}, listed in check/suspects.csv"
    if finding.state == PASS and suspected >= max(MANY, 0.01 * m):
        note = f"{suspected} images stand out as suspected copies, too few for the tests to tell: look at them in "
        return replace(finding, state=INCONCLUSIVE, note=f"{note}check/suspects.csv; else, {finding.note}")
    return replace(finding, note=f"{finding.note}; {note}")


def _small(pictures: Pictures, whose: Three) -> Three:
    """Thumbnails in units of train's standard deviations."""
    train, holdout, synthetic = pictures
    count = train.shape[1]
    some = train[:: max(1, len(train) // MOST)]  # memory
    deviation = np.asarray(some, np.float64).std((0, 2, 3)) if len(train) else np.ones(count)
    names = tuple(map(str, range(count * THUMBNAIL**2)))

    def small(stack: NDArray[np.generic], patients: tuple[str, ...]) -> Features:
        return Features(thumbnails(stack, np.maximum(deviation, 1e-9)), names, patients)

    return small(train, whose[0].patients), small(holdout, whose[1].patients), small(synthetic, ())


def _suspected(label: str, space: str, found: Evidence, named: Index) -> pd.DataFrame:
    order = np.searchsorted(found.rows, named)  # rows are in order
    columns = {
        "class": [label] * len(named),
        "image": named,
        "original": found.index[order],
        "compared_by": [space] * len(named),
        "distance": found.distance[order],
        "ratio": found.ratio[order],
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def drop_suspects(suspects: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, Index]:
    """Which synthetic images to leave out: class -> the values of `image` that the table names, each once, in order.

    sizes: class -> how many synthetic images it has. InputError where a class would lose all.
    """
    out = {}
    for label, n in sizes.items():
        out[label] = np.unique(suspects.loc[suspects["class"] == label, "image"].to_numpy(np.int64))
        if n and len(out[label]) >= n:
            raise InputError(
                f"all {n} synthetic images of the class '{label}' are suspected copies and none would be left; "
                "train the generator for fewer steps or with more patients"
            )
    return out


def copying_findings(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    seed: int,
    mirror: Mirror | None = None,
    *,
    level: float = LEVEL,
    bars: Copying = Copying(),
) -> list[Finding]:
    """The finding of one space, of vectors that are compared as they are: see `judged`."""
    found = evidence(train, holdout, synthetic, seed, mirror)
    aside = beside(found, (train, holdout, synthetic), seed, mirror)
    return [judged(space, label, found, len(holdout), level, bars, aside)]


@dataclass(frozen=True)
class Aside:
    """Numbers that others report, in words; near: whether C_T speaks of copying, for it does not decide."""

    words: str = ""
    near: bool = False


def beside(found: Evidence, three: Three, seed: int, mirror: Mirror | None) -> Aside:
    """C_T (Meehan 2020), authenticity (Alaa 2022) and nearest distances, each with what new patients would give.

    One image per holdout patient. Where there are fewer than EACH patients and images, only the distances are told.
    """
    if not len(found.ratio):
        return Aside()
    train, holdout, synthetic = (
        part.take(rows) for part, rows in zip(three, (found.searched, found.real_rows, found.rows), strict=True)
    )
    words, near = [], False
    if min(train.n_patients, len(holdout), len(synthetic)) >= EACH:
        value, spread, cells = data_copying(train, holdout, synthetic, seed, (found.distance, found.real_distance))
        if cells:
            near = value + 1.96 * spread < COPIER
            words.append(f"C_T {value:.1f} ± {1.96 * spread:.1f} (new patients 0, below {COPIER:g} suspicious)")
        shares = [
            authentic(train, first, np.searchsorted(found.searched, index), mirror).mean()
            for first, index in ((found.distance, found.index), (found.real_distance, found.real_index))
        ]
        words.append(f"authenticity {shares[0]:.2f} (holdout {shares[1]:.2f})")
    if len(found.real_distance) and len(found.own_distance):
        middle = [float(np.median(one)) for one in (found.distance, found.real_distance, found.own_distance)]
        words.append("median distance to training images {:.3g} (holdout {:.3g}, training {:.3g})".format(*middle))
    return Aside(f"beside it: {', '.join(words)}" if words else "", near)


def judged(
    space: str,
    label: str,
    found: Evidence,
    n_images: int,
    level: float,
    bars: Copying = Copying(),
    aside: Aside = Aside(),
) -> Finding:
    """Two exact tests on d1 / d2, how much nearer an image is to one training patient than to any other.

    *Tail*: share of synthetic images below the r-th smallest of the holdout, of which one image per patient is taken;
    if exchangeable, the count is BetaBinomial(m, r, n + 1 - r). *Closest pairs*: share of training-synthetic pairs
    among the closest pairs of all sets, by permutation (`closest_pairs`): it needs fewer copies, but different ones.
    Each has half of `level`. value, yardstick (the share expected of new patients), bar (the largest share that does
    not reject) and interval (Clopper-Pearson) are the tail's, or where they alone reject the pairs'. An image that
    equals one of a single training patient fails at any n, unless holdout images do. A pass could have found
    bars.copies_share. The tail test on d1 alone, and C_T, also reject smooth or monotonous images that copy nothing;
    where only these do, the finding is inconclusive. n_images: of holdout; aside: `beside`.
    """
    by = "pixels over shifts and mirror images" if space == SHIFTS else space
    name = f"copies of training images, {'shifted or mirrored' if space == SHIFTS else space}"
    m, n = found.pooled[2] if not len(found.ratio) else len(found.ratio), len(found.real_ratio) or found.pooled[1]
    finding = partial(Finding, "copying", name, label, n_images=n_images, n_patients=n)
    for what, have, need in (
        ("training patients", found.train_patients, 2),
        ("synthetic images", m, 1),
        ("holdout patients", n, PATIENTS),
    ):
        if have < need:
            why = f"the search for copies needs {need} or more {what} of this class, and there {_are(have)}"
            return finding(note="; ".join(filter(None, [why, found.note])))
    half = level / 2
    count, threshold, p = tail(found.ratio, found.real_ratio)
    alone = tail(found.distance, found.real_distance)[2]
    chance, length, share = closest_pairs(found.pairs, found.pooled)
    exact, exact_real = int(found.equal.sum()), int(found.real_equal.sum())
    by_tail = detectable(m, n, half)
    hidden = min(by_tail, detectable_pairs(found.pooled, found.seen, m, half))
    kind = "copies" if by_tail <= max(hidden, bars.copies_share) else "copies of different training images"

    law = (rank(n), n + 1 - rank(n))
    bar = ("<=", float(betabinom.isf(strict(half), m, *law)) / m)
    numbers = (count / m, *clopper_pearson(count, m), law[0] / (n + 1), bar)
    seen = (
        f"the tests would have noticed, with {POWER:.0%} probability, if {hidden:.0%} or more of the images were {kind}"
    )
    state = PASS
    note = f"no more images than expected lie near one training patient (p = {min(1, 2 * min(p, chance)):.2g}); {seen}"
    if exact > 0 and exact_real == 0:
        state, note = FAIL, f"{exact} of {m} synthetic images equal a training image when compared by {by}"
    elif p < strict(half):
        state, note = FAIL, f"{count} of {m} synthetic images lie nearer to one training patient than chance explains "
        note += f"when compared by {by} (p = {p:.2g})"
    elif chance < strict(half):
        matched = int(found.pairs[:length].sum())
        limit = ("<=", float(binom.isf(strict(half), length, share)) / length)
        numbers = (matched / length, *clopper_pearson(matched, length), share, limit)
        state, note = FAIL, f"of the {length} closest pairs of images, {matched} are a training image and a synthetic "
        note += f"one when compared by {by}, where {share * length:.0f} would be by chance (p = {chance:.2g})"
    elif threshold <= 0:
        state = INCONCLUSIVE
        note = "holdout images equal training images, so they cannot serve as yardstick: remove these duplicates"
    elif alone < strict(half) or aside.near:
        state, said = INCONCLUSIVE, f"p = {alone:.2g}" if alone < strict(half) else "C_T"
        note = f"nearer to training images than new patients are ({said}), but no nearer to one patient than to the "
        note += "next: monotonous images do this, and patients who stand under two names; look at the closest pairs"
    elif hidden > bars.copies_share:
        few = f"with {m} synthetic image{'s' * (m != 1)} and {n} holdout patients of this class, copies "
        few += f"would be noticed only if {hidden:.0%} or more of the images were copies"
        if hidden > 1:
            few = few.split("would be")[0] + "would not be noticed, not even if all images were copies"
        state, note = INCONCLUSIVE, f"{few}; {_remedy(m, half, bars.copies_share)}"
    value, low, high, yardstick, limit = numbers
    note = "; ".join(filter(None, [note, aside.words, found.note]))
    return finding(value, low, high, yardstick, limit, state=state, note=note)


def _are(count: int) -> str:
    return {0: "is none", 1: "is 1"}.get(count, f"are {count}")


def _remedy(m: int, level: float, share: float) -> str:
    """How many holdout patients would let the tail test find `share` of copies among m synthetic images."""
    for n in range(10, 2001, 5):
        if detectable(m, n, level) <= share:
            return f"{n} holdout patients of this class would be enough to notice {share:.0%}"
    step = max(5, math.ceil(1 / share) // 2)
    more = next((x for x in range(m, m + 200 * step, step) if detectable(x, 100, level) <= share), m + 200 * step)
    return f"{more} synthetic images and 100 holdout patients of this class would be enough to notice {share:.0%}"
