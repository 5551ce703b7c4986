"""Rows of all classes ready for labels to be compared: one scale, one class for each patient, whose rows they are.

Knows patients, classes and sets. Does not know what is measured on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.core.seed import rng
from ganatomy.integrity.association import per_unit
from ganatomy.integrity.features import Features, prepare

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST = 20  # of each class: train patients, holdout patients, synthetic images
MOST = 6000  # real rows, and synthetic rows, shared out over the classes


@dataclass(frozen=True, eq=False)
class Real:
    """Real rows, all images of each patient in one class. values: (n, d); codes: (n,) class; units: (n,) patient.

    first: (units,) one random row of each patient; held: (units,) which patients are holdout's, the others are train's
    """

    values: Array
    codes: Index
    units: Index
    first: Index
    held: Bools

    @property
    def weight(self) -> Array:
        """(n,) 1 / images of the patient: patients weigh the same."""
        return np.asarray(1 / np.bincount(self.units)[self.units])

    @property
    def unit_codes(self) -> Index:
        """(units,) class of each patient."""
        return np.asarray(self.codes[self.first])

    def part(self, held: bool) -> "Real":
        """The patients of holdout, or of train."""
        keep = self.held == held
        new = np.cumsum(keep) - 1
        rows = np.flatnonzero(keep[self.units])
        first = np.searchsorted(rows, self.first[keep])
        return Real(self.values[rows], self.codes[rows], new[self.units[rows]], first, self.held[keep])


@dataclass(frozen=True, eq=False)
class Tables:
    """Rows ready to be compared, on one scale. made: values and codes of synthetic images, each independent."""

    classes: tuple[str, ...]  # those that are compared
    names: tuple[str, ...]
    real: Real
    made: tuple[Array, Index]
    note: str
    lost: float

    @property
    def k(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def made_classes(self) -> list[int]:
        """The classes that have synthetic rows."""
        return [int(code) for code in np.unique(self.made[1])]

    def beside(self, made: Array, real: Array, codes: Index) -> tuple[Array, Index, Bools]:
        """The synthetic side: rows of `made`, and real rows of the classes that were not made; which those are."""
        stand = np.isin(codes, self.made_classes, invert=True)
        joined = np.concatenate([made, real[stand]]), np.concatenate([self.made[1], codes[stand]])
        return *joined, stand

    def per_unit_beside(self, values: Array, stand: Bools) -> tuple[Array, Index]:
        """Rows of `beside` per synthetic image, and per real patient of the classes that were not made."""
        made, owned = self.made[1], self.real.unit_codes
        absent = np.isin(owned, self.made_classes, invert=True)
        if not absent.any():
            return values, made
        renumbered = np.unique(self.real.units[stand], return_inverse=True)[1].ravel()
        units = per_unit(values[len(made) :], renumbered)
        return np.concatenate([values[: len(made)], units]), np.concatenate([made, owned[absent]])


def assemble(
    classes: Sequence[str],
    train: Mapping[str, Features],
    holdout: Mapping[str, Features],
    synthetic: Mapping[str, Features],
    seed: int,
) -> Tables | str:
    """One scale for all classes and one class for each patient; or the reason why the sets cannot be compared."""
    sets = (train, holdout, synthetic)
    whole = [c for c in classes if c in train and len(train[c]) and c in holdout and len(holdout[c])]
    if len(whole) < 2:
        return "fewer than two classes have images in train and in holdout: labels have nothing to tell apart"
    if not any(label in synthetic and len(synthetic[label]) for label in whole):
        return "there is no synthetic image of these classes"
    names = train[whole[0]].names
    joined, codes = zip(*(_join(whole, tables, names) for tables in sets), strict=True)
    data = prepare(*joined)
    if not data.train.names:
        return "no feature varies in train" + (f"; {data.note}" if data.note else "")
    column = [names.index(name) for name in data.train.names]
    own = [c[np.isfinite(t.values[:, column]).all(1)] for t, c in zip(joined, codes, strict=True)]

    generator = rng(seed, "labels", "patients")
    picked = [_independent(t, c, generator) for t, c in zip((data.train, data.holdout), own[:2], strict=True)]
    count = [np.bincount(c[p], minlength=len(whole)) for c, p in zip(own[:2], picked, strict=True)]
    count.append(np.bincount(own[2], minlength=len(whole)))
    kept = [i for i in range(len(whole)) if min(count[0][i], count[1][i]) >= LEAST]
    made = [i for i in kept if count[2][i] >= LEAST]
    notes = [
        f"{label} is left out: {count[0][i]} train and {count[1][i]} holdout patients can be used, {LEAST} of each are "
        "needed (a patient with images of several classes counts for one of them)"
        for i, label in enumerate(whole)
        if i not in kept
    ]
    notes += [
        f"{whole[i]} has {count[2][i]} synthetic images, fewer than {LEAST}: real ones stand in their place"
        for i in kept
        if i not in made
    ]
    notes = [*notes, data.note] if data.note else notes
    if len(kept) < 2 or not made:
        return "; ".join([f"{len(kept)} classes can be compared, {len(made)} of them with synthetic images", *notes])

    new = np.full(len(whole), -1)
    new[kept] = np.arange(len(kept))
    most = max(MOST // (2 * len(kept)), LEAST)
    parts = [_real(*one, new, most, generator) for one in zip((data.train, data.holdout), own[:2], picked, strict=True)]
    real = _both(*parts)
    rows = generator.permutation(len(data.synthetic))
    rows = np.concatenate([rows[own[2][rows] == i][: 2 * most] for i in made])
    labelled = tuple(whole[i] for i in kept)
    synthetic_rows = (data.synthetic.values[rows], new[own[2][rows]])
    return Tables(labelled, data.train.names, real, synthetic_rows, "; ".join(notes), data.lost)


def _join(classes: Sequence[str], tables: Mapping[str, Features], names: tuple[str, ...]) -> tuple[Features, Index]:
    """All classes' rows in one table, and the class of each."""
    parts = [tables.get(label, Features(np.empty((0, len(names))), names)) for label in classes]
    if any(part.names != names for part in parts):
        raise InputError("the classes have different feature columns; extract them with one setting")
    codes = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    patients = tuple(who for part in parts for who in part.patients)
    return Features(np.concatenate([part.values for part in parts]), names, patients), codes


def _independent(features: Features, codes: Index, generator: np.random.Generator) -> Index:
    """One random row of each patient, in random order.

    A patient with images of several classes counts for one of them, the rarer ones (in patients) being likelier.
    """
    owners = features.owners
    seen = np.unique(np.stack([owners, codes]), axis=1)[1]
    size = np.maximum(np.bincount(seen, minlength=int(codes.max(initial=0)) + 1), 1)
    images = np.unique(np.stack([owners, codes]), axis=1, return_inverse=True, return_counts=True)[1:]
    weight = 1 / (size[codes] * images[1][images[0].ravel()])
    order = np.argsort(generator.exponential(size=len(codes)) / weight, kind="stable")  # the first is a weighted draw
    first = np.unique(owners[order], return_index=True)[1]
    return np.asarray(order[generator.permutation(first)])


def _real(
    features: Features, codes: Index, picked: Index, new: Index, most: int, generator: np.random.Generator
) -> Real:
    """The patients of one set with all their images in the class they count for, at most `most` images of a class."""
    owners = features.owners
    chosen = np.full(int(owners.max()) + 1, -1)
    chosen[owners[picked]] = codes[picked]
    usable = (codes == chosen[owners]) & (new[codes] >= 0)
    first = np.zeros(len(codes), bool)
    first[picked] = True
    keep = []
    for code in np.unique(codes[usable]):
        own = np.flatnonzero(usable & (codes == code))
        order = generator.permutation(own)
        keep.append(order[np.argsort(~first[order], kind="stable")][:most])  # one of each patient, then the others
    rows = np.sort(np.concatenate(keep))
    units = np.unique(owners[rows], return_inverse=True)[1].ravel()
    one = np.flatnonzero(first[rows])
    one = one[np.argsort(units[one])]
    return Real(features.values[rows], new[codes[rows]], units, one, np.zeros(len(one), bool))


def _both(train: Real, holdout: Real) -> Real:
    """Train's patients, then holdout's."""
    n, rows = len(train.first), len(train.codes)
    return Real(
        np.concatenate([train.values, holdout.values]),
        np.concatenate([train.codes, holdout.codes]),
        np.concatenate([train.units, holdout.units + n]),
        np.concatenate([train.first, holdout.first + rows]),
        np.repeat([False, True], [n, len(holdout.first)]),
    )
