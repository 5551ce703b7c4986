"""Sixteen ways in which a synthetic set lies, each planted in a set that is otherwise perfect, and the gate to name it.

The perfect set are real images of patients whom nothing else has seen, one image of each. Knows arrays, labels and
features; does not know where images come from, how features are measured, nor what any gate does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Array = np.ndarray
Draw = np.random.Generator

COPIES, NEAR_COPIES, SWAPPED = 0.01, 0.05, 0.10  # shares of the synthetic set
SCALE, TYPICAL, CONFOUNDED, ZOOM, REPEATS = 1.05, 0.5, 0.8, 1.25, 20
BLUR = 0.7  # pixels, standard deviation
NOISE, SHIFT, CHECKS, NUDGE = 1.0, 1.0, 0.5, 0.5  # in `step`s: 20 HU, 20 HU, 10 HU, 10 HU on the phantom


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of one set, in one order.

    labels: (n,) class; patients: (n,) whose, or of length 0 for a synthetic set; images: (n, C, H, W) or None
    features: (n, d), or None where the images were changed and must be measured again; spacing: mm per pixel, 0 unknown
    groups: name -> (n,) texts
    """

    labels: Array
    patients: Array
    images: Array | None = None
    features: Array | None = None
    groups: Mapping[str, Array] = field(default_factory=dict)
    spacing: float = 0.0

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Array) -> "Part":
        """The given rows, in the given order."""
        return Part(
            self.labels[rows],
            self.patients[rows] if len(self.patients) else self.patients,
            None if self.images is None else self.images[rows],
            None if self.features is None else self.features[rows],
            {name: values[rows] for name, values in self.groups.items()},
            self.spacing,
        )


@dataclass(frozen=True, eq=False)
class Material:
    """What a defect is made of.

    train: what the generator learned from; fresh: other patients, one image each, in random order, of each class three
    times n where the source is endless; n: synthetic images per class
    mode, rare: (fresh,) which images belong to one mode of three, and to a rare subgroup
    site: (fresh,) which images come from the site that the confounded class will be drawn from; None where no site is
    known, and the images are then blurred a little instead
    step: about a hundredth of the range of values, 20 HU on the phantom; window: lowest and highest value
    background: what is not measured (pixels of this value or less stay as they are), None where all is
    """

    train: Part
    fresh: Part
    n: int
    mode: Array
    rare: Array
    step: float
    window: tuple[float, float]
    site: Array | None = None
    background: float | None = None

    def first(self, keep: Array | None = None, n: Mapping[str, int] | int | None = None) -> Array:
        """Rows of fresh: the first n of each class (fewer where there are no more) out of those to keep."""
        rows = []
        for label in np.unique(self.fresh.labels):
            own = np.flatnonzero((self.fresh.labels == label) & (True if keep is None else keep))
            most = self.n if n is None else n if isinstance(n, int) else n[label]
            rows.append(own[:most])
        return np.sort(np.concatenate(rows))


def clean(material: Material, _: Draw) -> Part:
    """Other patients, nothing else."""
    return nobody(material.fresh.take(material.first()))


def nobody(part: Part) -> Part:
    """The same rows as a synthetic set: of no patient, and of no group, for a generator knows neither."""
    return replace(part, patients=part.patients[:0], groups={})


def altered(part: Part, images: Array, rows: Array | None = None) -> Part:
    """The part with images (whole numbers stay whole, in their type) in place of all, or of some rows."""
    assert part.images is not None
    kind, new = part.images.dtype, np.asarray(images, np.float64)
    if kind.kind in "iu":
        new = np.clip(np.rint(new), np.iinfo(kind).min, np.iinfo(kind).max)
    out = part.images.copy()
    out[slice(None) if rows is None else rows] = new.astype(kind)
    return replace(part, images=out, features=None)


# ------------------------------------------------------------ what is copied


def exact_copies(material: Material, draw: Draw) -> Part:
    """1 % of each class (one image at least) are training images."""
    return _copied(material, draw, COPIES, lambda images, _: images)


def near_copies(material: Material, draw: Draw) -> Part:
    """5 % are training images with a little noise, mirrored, shifted by a pixel, or brighter and of more contrast."""

    def nudge(images: Array, draw: Draw) -> Array:
        out = images.astype(np.float64)
        size = NUDGE * material.step
        for i, image in enumerate(images):
            match i % 4:
                case 0:
                    out[i] = image + size * draw.standard_normal(image.shape)
                case 1:
                    out[i] = image[..., ::-1]
                case 2:
                    out[i] = np.concatenate([image[..., :1], image[..., :-1]], -1)
                case _:
                    out[i] = image.mean() + 1.02 * (image - image.mean()) + size
        return out

    return _copied(material, draw, NEAR_COPIES, nudge)


def _copied(material: Material, draw: Draw, share: float, change: Callable[[Array, Draw], Array]) -> Part:
    part, train = clean(material, draw), material.train
    assert train.images is not None
    for label in np.unique(part.labels):
        own, theirs = np.flatnonzero(part.labels == label), np.flatnonzero(train.labels == label)
        count = max(1, round(share * len(own)))
        into, source = draw.permutation(own)[:count], draw.permutation(theirs)[:count]
        part = altered(part, change(train.images[source], draw), into)
    return part


def twenty_copies(material: Material, draw: Draw) -> Part:
    """Each image twenty times: a twentieth of the images that the set seems to hold."""
    counts = {str(label): max(1, material.n // REPEATS) for label in np.unique(material.fresh.labels)}
    few = clean(material, draw).take(np.arange(0))
    rows = material.first(n=counts)
    few = nobody(material.fresh.take(np.repeat(rows, REPEATS)))
    return few.take(draw.permutation(len(few)))


# ------------------------------------------------------------ what is missing


def mode_missing(material: Material, _: Draw) -> Part:
    """No image of one of three modes."""
    return nobody(material.fresh.take(material.first(~material.mode)))


def rare_missing(material: Material, _: Draw) -> Part:
    """No image of a rare subgroup."""
    return nobody(material.fresh.take(material.first(~material.rare)))


# ------------------------------------------------------------ what the labels say


def labels_swapped(material: Material, draw: Draw) -> Part:
    """A tenth of each class is drawn as the other class."""
    part = clean(material, draw)
    labels = part.labels.copy()
    names = np.unique(labels)
    for i, label in enumerate(names):
        own = np.flatnonzero(part.labels == label)
        labels[draw.permutation(own)[: round(SWAPPED * len(own))]] = names[(i + 1) % len(names)]
    return replace(part, labels=labels)


def caricature(material: Material, _: Draw) -> Part:
    """Only the half of each class that looks most like it, to a linear classifier of train's features."""
    train, fresh = material.train, material.fresh
    assert train.features is not None and fresh.features is not None
    known = np.isfinite(train.features).all(0)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    classifier.fit(train.features[:, known], train.labels)
    chance = classifier.predict_proba(np.nan_to_num(fresh.features[:, known]))
    own = chance[np.arange(len(fresh)), np.searchsorted(classifier.classes_, fresh.labels)]
    rows = []
    for label in np.unique(fresh.labels):
        candidates = np.flatnonzero(fresh.labels == label)[: round(material.n / TYPICAL)]
        order = candidates[np.argsort(-own[candidates], kind="stable")]
        rows.append(order[: round(TYPICAL * len(candidates))])
    return nobody(fresh.take(np.sort(np.concatenate(rows))))


def confounded(material: Material, draw: Draw) -> Part:
    """One class comes from one site in 80 % of its images and the others never do; without sites, it is blurred."""
    last = np.unique(material.fresh.labels)[-1]
    if material.site is None:
        part = clean(material, draw)
        assert part.images is not None
        own = np.flatnonzero(part.labels == last)
        own = draw.permutation(own)[: round(CONFOUNDED * len(own))]
        return altered(part, _blurred(part.images[own], BLUR), own)
    ill = material.fresh.labels == last
    many = round(CONFOUNDED * material.n)
    here = material.first(material.site & ill, many)
    rest = material.first(~material.site & ill, material.n - many)
    return nobody(material.fresh.take(np.sort(np.concatenate([here, rest, material.first(~material.site & ~ill)]))))


# ------------------------------------------------------------ what the images are


def _changed(change: Callable[[Array, Material, Draw], Array]) -> Callable[[Material, Draw], Part]:
    def plant(material: Material, draw: Draw) -> Part:
        part = clean(material, draw)
        assert part.images is not None
        new = change(part.images.astype(np.float64), material, draw)
        if material.background is not None:
            new = np.where(part.images <= material.background, part.images, new)
        return altered(part, new)

    plant.__doc__ = change.__doc__
    return plant


@_changed
def shifted(images: Array, material: Material, _: Draw) -> Array:
    """Every value 20 HU higher."""
    return images + SHIFT * material.step


@_changed
def scaled(images: Array, material: Material, _: Draw) -> Array:
    """Every value times 1.05."""
    return images * SCALE


@_changed
def blurred(images: Array, material: Material, _: Draw) -> Array:
    """A softer kernel: a Gaussian of 0.7 pixels."""
    return _blurred(images, BLUR)


def _blurred(images: Array, width: float) -> Array:
    return np.asarray(gaussian_filter(np.asarray(images, np.float64), (0, 0, width, width), mode="nearest"))


@_changed
def noisy(images: Array, material: Material, draw: Draw) -> Array:
    """White noise of 20 HU more."""
    return images + NOISE * material.step * draw.standard_normal(images.shape)


@_changed
def checkerboard(images: Array, material: Material, _: Draw) -> Array:
    """A checkerboard of +-10 HU, as transposed convolutions leave it."""
    rows, columns = np.indices(images.shape[-2:])
    return images + CHECKS * material.step * (1.0 - 2.0 * ((rows + columns) % 2))


@_changed
def wrong_spacing(images: Array, material: Material, _: Draw) -> Array:
    """Pixels a fifth smaller than they are said to be: the middle of each image, magnified by 1.25."""
    rows, columns = (_magnified(side) for side in images.shape[-2:])
    return np.asarray(rows @ images @ columns.T)


def _magnified(side: int) -> Array:
    """(side, side) how the middle 1 / ZOOM of a line is resampled to its whole length, by cubic splines."""
    length = round(side / ZOOM)
    first = (side - length) // 2
    weights = np.zeros((side, side))
    weights[:, first : first + length] = zoom(np.eye(length), (side / length, 1), mode="nearest", grid_mode=True)
    return weights


@_changed
def eight_bits(images: Array, material: Material, _: Draw) -> Array:
    """256 levels over the window, written back in the unit: steps of some 8 HU."""
    low, high = material.window
    width = (high - low) / 255
    return np.asarray(low + width * np.rint((np.clip(images, low, high) - low) / width))


def dependence_broken(material: Material, draw: Draw) -> Part:
    """Half of the features come from another image of the class: every marginal is right, a table alone shows it."""
    part = clean(material, draw)
    assert part.features is not None
    features = part.features.copy()
    moved = draw.permutation(features.shape[1])[: features.shape[1] // 2]
    for label in np.unique(part.labels):
        own = np.flatnonzero(part.labels == label)
        features[np.ix_(own, moved)] = part.features[np.ix_(draw.permutation(own), moved)]
    return replace(part, images=None, features=features)


@dataclass(frozen=True)
class Defect:
    """plant: makes the set; gates: those meant to name it, any of them; images: whether it takes images at all."""

    plant: Callable[[Material, Draw], Part]
    gates: tuple[str, ...] = ()
    images: bool = True


CLEAN = "clean"
DEFECTS: dict[str, Defect] = {
    CLEAN: Defect(clean, (), False),
    "exact copies 1 %": Defect(exact_copies, ("hygiene", "copying")),
    "near-copies 5 %": Defect(near_copies, ("copying",)),
    "one mode of three missing": Defect(mode_missing, ("coverage",), False),
    "rare subgroup missing": Defect(rare_missing, ("fairness",), False),
    "10 % of labels swapped": Defect(labels_swapped, ("labels",), False),
    "classes caricatured": Defect(caricature, ("labels",), False),
    "HU shifted by 20": Defect(shifted, ("marginals",)),
    "HU scaled by 1.05": Defect(scaled, ("marginals",)),
    "blurred kernel": Defect(blurred, ("marginals",)),
    "added noise": Defect(noisy, ("marginals",)),
    "checkerboard": Defect(checkerboard, ("marginals",)),
    "dependence broken": Defect(dependence_broken, ("dependence",), False),
    "site confounded with class": Defect(confounded, ("labels",)),
    "wrong spacing": Defect(wrong_spacing, ("marginals",)),
    "8-bit quantisation": Defect(eight_bits, ("hygiene",)),
    "20 copies of each image": Defect(twenty_copies, ("hygiene",), False),
}
