"""The sets of a check as they are compared: images through one window, their features, and vectors of networks.

Knows run folders and classifiers; does not know any gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ganatomy.core.cohort import HOLDOUT, SELECT, TRAIN, Cohort
from ganatomy.core.errors import InputError, RunError
from ganatomy.core.progress import say
from ganatomy.core.run import read_json
from ganatomy.core.settings import convert
from ganatomy.data.augment import Symmetry
from ganatomy.data.intensity import Intensity
from ganatomy.data.intensity import fit as fit_intensity
from ganatomy.data.read import hashed, pixels
from ganatomy.generate import load_generator
from ganatomy.integrity.embedding import Embed
from ganatomy.jobs import tables
from ganatomy.jobs.drawings import SYNTHETIC
from ganatomy.jobs.measures import Measures, measure
from ganatomy.jobs.scores import discriminator_scores
from ganatomy.nets.classifier import Classifier
from ganatomy.utility.classifiers import Network, embedding, fit

PART = 1024  # images at a time


@dataclass(frozen=True, eq=False)
class Seen:
    """The sets as they are compared, by name: train, holdout, synthetic, and select where there is one.

    tables: features; spaces: further vectors of each set, by space; values: (n, C, H, W) images in their unit through
    the network's window, none of tables; intensity: that window; symmetry: of the run's training, None of other images;
    scores: of the run's discriminator
    """

    sets: Mapping[str, Cohort]
    tables: Mapping[str, pd.DataFrame]
    spaces: Mapping[str, Mapping[str, np.ndarray]]
    values: Mapping[str, np.ndarray]
    intensity: Intensity | None = None
    symmetry: Symmetry | None = None
    scores: tuple[np.ndarray, np.ndarray] | None = None


def sets_of(real: Cohort, synthetic: Cohort) -> dict[str, Cohort]:
    """The sets by name."""
    sets = {TRAIN: real.where(TRAIN), HOLDOUT: real.where(HOLDOUT), SYNTHETIC: synthetic}
    if SELECT in real.column("role"):  # real images that the generator did not learn from: a reference for attacks
        sets[SELECT] = real.where(SELECT)
    return sets


def rows_of(real: Cohort, synthetic: Cohort, names: list[str]) -> Seen:
    """Tables of features, as they were given."""
    sets = sets_of(real, synthetic)
    found = {name: pd.DataFrame(tables.unchanged(cohort, names), columns=names) for name, cohort in sets.items()}
    return Seen(sets, found, {name: {} for name in sets}, {})


def images_of(
    folder: Path,
    real: Cohort,
    synthetic: Cohort,
    *,
    trained: bool,
    measures: Measures,
    network: Network,
    seed: int,
    embed: Embed | None,
    brought: Mapping[str, np.ndarray] | None = None,
) -> Seen:
    """Images, their features, and their vectors in a classifier of train and in the user's embedding.

    trained: whether RUN/train made them, and so has the window and the symmetries
    embed: the user's network; brought: or the vectors that it made of each set, see `vectors`
    """
    sets = sets_of(real, synthetic)
    values = {name: unchanged(cohort) for name, cohort in sets.items()}
    weights = folder / "train" / "generator.safetensors"
    intensity = load_generator(weights).intensity if trained else fit_intensity(values[TRAIN])
    # real images pass the window the network saw, so that no gate mistakes clipping for a difference
    for name in sets.keys() - {SYNTHETIC}:
        values[name] = windowed(values[name], intensity)
    before: list[int] = []
    found = {name: measure(stack, intensity, measures, before.append) for name, stack in values.items()}
    if sum(before):
        total = sum(map(len, values.values()))
        say(f"check: {sum(before)} of {total} images were measured before; --cache no measures them again")
    symmetry = trained_symmetry(folder) if trained else None
    net = classifier(sets[TRAIN], intensity.encode(values[TRAIN]), symmetry or Symmetry(), network, seed)
    spaces = {name: {"classifier": embedding(net, intensity.encode(stack))} for name, stack in values.items()}
    if embed is not None:
        for name, stack in values.items():
            spaces[name]["embedding"] = embed(stack)
    if brought is not None:
        fitting(brought, {name: len(cohort) for name, cohort in sets.items()})
        for name in sets:
            spaces[name]["embedding"] = brought[name]
    scores = own_scores(folder, sets, values, intensity) if trained else None
    return Seen(sets, found, spaces, values, intensity, symmetry, scores)


def windowed(values: np.ndarray, intensity: Intensity) -> np.ndarray:
    """Images (n, C, H, W) as a network of this window would give them back, a part at a time for the memory's sake."""
    out = np.empty(values.shape, intensity.dtype)
    for begin in range(0, len(values), PART):
        part = slice(begin, begin + PART)
        out[part] = intensity.decode(intensity.encode(values[part]))
    return out


def classifier(
    learned: Cohort, scaled: np.ndarray, symmetry: Symmetry | None, network: Network, seed: int
) -> Classifier:
    """A classifier of train's images in [-1, 1], every class weighing the same; augmented with a symmetry, or plain."""
    weights, count = class_weights(learned), len(learned.classes)
    augment = symmetry is not None
    return fit(scaled, learned.codes, weights, count, augment, symmetry or Symmetry(), network, seed)


def own_scores(
    folder: Path, sets: Mapping[str, Cohort], values: Mapping[str, np.ndarray], intensity: Intensity
) -> tuple[np.ndarray, np.ndarray] | None:
    """What the run's discriminator says of train and of holdout; None where training left none."""
    codes = {label: code for code, label in enumerate(sets[TRAIN].classes)}
    if not {*sets[HOLDOUT].classes} <= {*codes}:
        return None
    found = [
        discriminator_scores(folder, intensity.encode(values[name]), [codes[label] for label in sets[name].labels])
        for name in (TRAIN, HOLDOUT)
    ]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def vectors(file: Path) -> dict[str, np.ndarray]:
    """The vectors of a safetensors file by set: (n, d) finite numbers; InputError where it holds something else."""
    if not file.is_file():
        raise InputError(f"there is no embedding {file}; give an ONNX file, or a safetensors file of vectors")
    try:
        found = {name: np.asarray(value, np.float64) for name, value in load_file(file).items()}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise InputError(f"{file.name} is not a safetensors file of numbers ({error}); write it anew") from None
    for name, value in found.items():
        if value.ndim != 2 or not np.isfinite(value).all():
            raise InputError(f"the tensor '{name}' of {file.name} is not (images, numbers) without NaN; write it anew")
    return found


def fitting(brought: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
    """InputError where vectors that were brought are not one for each image of a set. sizes: images by set"""
    for name, size in sizes.items():
        if name not in brought or len(brought[name]) != size:
            have = f"{len(brought[name])} rows" if name in brought else "nothing"
            raise InputError(
                f"the embedding has {have} for the {size} images of the set '{name}'; it needs a tensor of that name, "
                "(images, numbers), in the order of the set's manifest"
            )


def embedded(values: np.ndarray, *, embed: Embed, file: Path) -> np.ndarray:
    """(n, d) vectors of images (n, C, H, W) in their unit; InputError where the file does not take them."""
    try:
        vectors = embed(values)
    except InputError as error:
        raise InputError(f"{error}; export it so that it resizes, scales and repeats channels by itself") from None
    if vectors.shape[:1] != values.shape[:1] or not np.isfinite(vectors).all():
        raise InputError(
            f"the embedding {file.name} gives no vector of numbers for each image; its first output must be (N, d)"
        )
    return vectors


def trained_symmetry(run: Path) -> Symmetry:
    """The symmetries that the run's training was told of: they hold for classifiers too."""
    values = read_json(run / "train" / "settings.json")["symmetry"]
    return Symmetry(**{key: convert(key, bool, value) for key, value in values.items()})


def unchanged(cohort: Cohort) -> np.ndarray:
    """The pixels (n, C, H, W) of a cohort, RunError where they are not those its manifest has the hashes of."""
    values = pixels(cohort)
    pairs = zip(cohort.column("path"), cohort.column("sha256"), hashed(cohort, values).column("sha256"), strict=True)
    for path, listed, found in pairs:
        if listed not in ("", found):
            raise RunError(
                f"{path} is not the image that {cohort.name} lists; restore it, or correct its line in the manifest"
            )
    return values


def class_weights(cohort: Cohort) -> list[float]:
    """n / (K n_c) for each image: every class weighs the same."""
    counts = cohort.counts
    return [len(cohort) / (len(counts) * counts[label]) for label in cohort.labels]
