"""The arms of the trial: what each way of training is given to learn from, fixed before any is run.

Every arm starts from the same real training images. The arms after `class weights` hold the same number of
images of each class, so that they differ in what the added images are and in nothing else. Does not know the
classifiers, the test images or the scores.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from imblearn.over_sampling import SMOTE
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ganatomy.core.seed import derive, rng

T = TypeVar("T", np.float32, np.float64)

NEIGHBOURS = 5  # of SMOTE, as its authors chose (Chawla 2002); fewer where a class has no more

DEFINITIONS = {
    "real": "The real training images as they are.",
    "class weights": "The real training images, weighted so that every class counts the same: n / (K n_c).",
    "duplicates": "The real training images, repeated until each class is as large as it is with the synthetic images.",
    "SMOTE": "The real training images and mixtures of two like ones (SMOTE) up to the same counts: of their pixels "
    "for the classifier of images, of their standardised features for the classifier of features.",
    "classical": "The images of the arm 'duplicates', changed at random whenever shown: moved, and mirrored or "
    "turned where the settings allow it (classical augmentation).",
    "classical + synthetic": "The real and the synthetic images, changed at random as in 'classical'.",
    "synthetic": "The real and the synthetic images as they are.",
}

# The arms of each classifier. Classical augmentation changes pixels as they are shown, so a table of features
# has no such arm: noise added to features in its place would be another method under the same name.
ARMS = {
    "cnn": ("real", "class weights", "duplicates", "SMOTE", "classical", "classical + synthetic"),
    "logistic": ("real", "class weights", "duplicates", "SMOTE", "synthetic"),
}
SYNTHETIC = {"cnn": "classical + synthetic", "logistic": "synthetic"}
CONTROL = {
    "cnn": "classical",
    "logistic": "duplicates",
}  # SYNTHETIC with duplicates in place of the synthetic


@dataclass(frozen=True)
class Training:
    """What a classifier learns from.

    images: (n, C, H, W) float32 in [-1, 1]; features: (n, d) float64, NaN where a feature could not be had
    codes: (n,) int64, indices into the classes; weights: (n,) float64, mean about one
    augment: whether a classifier of images changes each image at random whenever it is shown
    """

    images: NDArray[np.float32]
    features: NDArray[np.float64]
    codes: NDArray[np.int64]
    weights: NDArray[np.float64]
    augment: bool = False

    def __post_init__(self) -> None:
        if len({len(self.images), len(self.features), len(self.codes), len(self.weights)}) != 1:
            raise ValueError("images, features, codes and weights of a training set differ in length")


# images, features -> probabilities (n, K)
Predict = Callable[[NDArray[np.float32], NDArray[np.float64]], NDArray[np.float64]]
Fit = Callable[[Training, int], Predict]


def training(
    images: NDArray[np.float32], features: NDArray[np.float64], codes: Sequence[int] | NDArray[np.int64]
) -> Training:
    """A training set of unit weights; `features` may have no columns where no classifier reads them."""
    return Training(images, features, np.asarray(codes, dtype=np.int64), np.ones(len(codes)))


def arms(
    real: Training, synthetic: Training | None, counts: Sequence[int] | None = None, seed: int = 0
) -> dict[str, Callable[[], Training]]:
    """The arms of DEFINITIONS by name, each built only when called.

    counts: images of each class in the matched arms; None: what real and synthetic images make together.
        Without synthetic images the arms that need them are absent, and counts must be given.
    seed: of what is drawn again; the same duplicates stand in `duplicates` and in `classical`.
    """
    have = np.bincount(real.codes)
    if synthetic is not None:
        both = np.bincount(np.concatenate([real.codes, synthetic.codes]))
        if counts is not None and list(counts) != both.tolist():
            raise ValueError(f"counts {list(counts)}, but real and synthetic images make {both.tolist()}")
        counts = both.tolist()
    if counts is None:
        raise ValueError("without synthetic images the counts of the matched arms must be given")
    if len(counts) != len(have) or not (have > 0).all() or (np.asarray(counts) < have).any():
        raise ValueError(f"matched arms of {list(counts)} images cannot hold {have.tolist()} real ones")
    more = np.asarray(counts) - have

    def class_weights() -> Training:
        return replace(real, weights=(len(real.codes) / (len(have) * have))[real.codes])

    def duplicates() -> Training:
        return _join(real, _take(real, _again(real.codes, more, rng(seed, "duplicates"))))

    def smote() -> Training:
        flat = real.images.reshape(len(real.images), -1)  # (n, C*H*W)
        pixels = _smote(flat, real.codes, more, derive(seed, "SMOTE", "pixels"))
        scale = standardiser().fit(finite(real.features)) if real.features.shape[1] else None
        scaled = scale.transform(finite(real.features)) if scale else real.features
        table: NDArray[np.float64] = _smote(scaled, real.codes, more, derive(seed, "SMOTE", "features"))
        table = scale[-1].inverse_transform(table) if scale and len(table) else table
        codes = np.repeat(np.arange(len(more)), more)
        return _join(real, training(pixels.reshape(-1, *real.images.shape[1:]), table, codes))

    built: dict[str, Callable[[], Training]] = {
        "real": lambda: real,
        "class weights": class_weights,
        "duplicates": duplicates,
        "SMOTE": smote,
        "classical": lambda: replace(duplicates(), augment=True),
    }
    if synthetic is not None:
        built["classical + synthetic"] = lambda: replace(_join(real, synthetic), augment=True)
        built["synthetic"] = lambda: _join(real, synthetic)
    return built


def notes(real_counts: Sequence[int], counts: Sequence[int], classes: Sequence[str]) -> dict[str, str]:
    """What an arm could not do as defined, by arm: classes too small for SMOTE's neighbours."""
    told = []
    for name, have, want in zip(classes, real_counts, counts, strict=True):
        if want > have == 1:
            told.append(f"'{name}' has one training image, which cannot be interpolated: it is duplicated")
        elif want > have and have <= NEIGHBOURS:
            told.append(f"'{name}' has {have} training images: {have - 1} neighbours, not {NEIGHBOURS}")
    return {"SMOTE": "; ".join(told)} if told else {}


def standardiser() -> Pipeline:
    """Missing features to the median, then zero mean and unit deviation, all of what it is fitted on."""
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())


def finite(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features with NaN in place of infinities, which no median can stand for."""
    return np.where(np.isfinite(features), features, np.nan)


def _again(codes: NDArray[np.int64], more: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Rows of further copies, `more[c]` of class c: every image as often as any other, give or take one."""
    rows = []
    for code, extra in enumerate(more):
        own = random.permutation(np.flatnonzero(codes == code))
        rows.append(np.resize(own, extra))  # repeats the permutation from its start until `extra` are there
    return np.concatenate(rows)


def _smote(values: NDArray[T], codes: NDArray[np.int64], more: NDArray[np.int64], seed: int) -> NDArray[T]:
    """`more[c]` interpolations between neighbours of each class c, in order of class: (sum(more), d)."""
    rows = []
    for code, extra in enumerate(more):
        own = values[codes == code]
        if extra == 0 or len(own) == 1 or values.shape[1] == 0:
            rows.append(np.resize(own, (extra, values.shape[1])))
            continue
        sampler = SMOTE(
            sampling_strategy={1: len(own) + int(extra)},
            k_neighbors=min(NEIGHBOURS, len(own) - 1),
            random_state=derive(seed, code) % 2**32,
        )
        with warnings.catch_warnings():  # that a class outgrows the others is what the counts ask for
            warnings.filterwarnings("ignore", message="After over-sampling")
            out, _ = sampler.fit_resample(values, (codes == code).astype(int))
        rows.append(out[len(values) :])  # imbalanced-learn appends what is new
    return np.concatenate(rows).astype(values.dtype)


def _take(source: Training, rows: NDArray[np.int64]) -> Training:
    return replace(
        source,
        images=source.images[rows],
        features=source.features[rows],
        codes=source.codes[rows],
        weights=source.weights[rows],
    )


def _join(a: Training, b: Training) -> Training:
    return Training(
        np.concatenate([a.images, b.images]),
        np.concatenate([a.features, b.features]),
        np.concatenate([a.codes, b.codes]),
        np.concatenate([a.weights, b.weights]),
        a.augment,
    )
