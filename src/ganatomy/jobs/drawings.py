"""What check draws of images: real beside synthetic, closest pairs, suspected copies, one class at a time.

Knows how rows become pictures; does not know how a suspect was found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import HOLDOUT, TRAIN, Cohort
from ganatomy.core.picture import Picture, beside, display, grid, write_png
from ganatomy.core.seed import rng
from ganatomy.data.intensity import Intensity
from ganatomy.integrity.features import Features
from ganatomy.integrity.nearest import closest, mirror_thumbnails, thumbnails

SHOWN = 40  # images a side in a grid
PAIRS = 8  # closest pairs drawn
MISSED = 32  # real images with nothing synthetic near them
SYNTHETIC = "synthetic"


@dataclass(frozen=True, eq=False)
class Shown:
    """What there is to draw. sets: by name; values: (n, C, H, W) of each in its unit, through the network's window."""

    sets: Mapping[str, Cohort]
    values: Mapping[str, np.ndarray]
    intensity: Intensity
    seed: int
    target: Path


def drawn(shown: Shown, suspected: pd.DataFrame, missed: pd.DataFrame) -> list[Picture]:
    """The pictures of every class that has synthetic images.

    suspected: the table of suspects (rows), by `ratio`; missed: that of real images with nothing synthetic near (rows)
    """
    deviation = np.maximum(shown.values[TRAIN].std((0, 2, 3), dtype=np.float32), 1e-9).astype(np.float64)
    classes = [label for label in shown.sets[TRAIN].classes if label in shown.sets[SYNTHETIC].classes]
    pictures: list[Picture] = []
    for number, label in enumerate(classes):
        rows = {name: np.flatnonzero(np.array(cohort.labels) == label) for name, cohort in shown.sets.items()}
        pictures += _sides(label, shown, rows, deviation, number)
        pictures += _suspects(label, shown, suspected[suspected["class"] == label], number)
        if len(missed):
            pictures += _missed(label, shown, missed[missed["class"] == label], number)
    return pictures


def _sides(
    label: str, shown: Shown, rows: Mapping[str, np.ndarray], deviation: np.ndarray, number: int
) -> list[Picture]:
    """Real and synthetic side by side, and the closest pairs. number: for file names."""
    low, high = shown.intensity.low, shown.intensity.high
    real = [(name, row) for name in (TRAIN, HOLDOUT) for row in rows[name]]
    made = [(SYNTHETIC, row) for row in rows[SYNTHETIC]]
    most = min(SHOWN, len(real), len(made))

    def look(places: Iterable[tuple[str, int]]) -> np.ndarray:
        return display(np.stack([shown.values[name][row] for name, row in places]), low, high)  # (n, H, W, 3)

    def some(name: str, places: Sequence[tuple[str, int]]) -> np.ndarray:
        order = rng(shown.seed, "shown", name, label).permutation(len(places))[:most]
        return grid(look(places[i] for i in order), 8)

    def small(name: str) -> Features:
        vectors = thumbnails(shown.values[name][rows[name]], deviation)
        whose = tuple(np.array(shown.sets[TRAIN].patients)[rows[TRAIN]]) if name == TRAIN else ()
        return Features(vectors, tuple(map(str, range(vectors.shape[1]))), whose)

    sides, pairs = f"grid-{number}.png", f"pairs-{number}.png"
    write_png(shown.target / sides, beside(some("real", real), some(SYNTHETIC, made)), 1000)
    above, below, distance = closest(small(TRAIN), small(SYNTHETIC), PAIRS, mirror_thumbnails)
    two = [*((SYNTHETIC, rows[SYNTHETIC][i]) for i in above), *((TRAIN, rows[TRAIN][i]) for i in below)]
    write_png(shown.target / pairs, grid(look(two), len(above), gap=2))
    return [
        Picture(
            sides,
            f"{label}: real (left), synthetic (right)",
            f"{most} real images of train and holdout, {most} synthetic ones, drawn at random.",
        ),
        Picture(
            pairs,
            f"{label}: closest pairs",
            "Above, the synthetic images nearest to a training image; below, that training image (a mirror image "
            "counts as near). How far they differ, where 0 is the same image and 1 the spread of the training "
            f"images' values, on thumbnails of 16 x 16 pixels: {', '.join(f'{d:.2f}' for d in distance)}.",
            "copying",
        ),
    ]


def _missed(label: str, shown: Shown, table: pd.DataFrame, number: int) -> list[Picture]:
    """Some real images that nothing synthetic is near, drawn at random; nothing where there is none."""
    if table.empty:
        return []
    order = rng(shown.seed, "missed", label).permutation(len(table))[:MISSED]
    places = zip(table["set"].iloc[order], table["image"].iloc[order], strict=True)
    images = np.stack([shown.values[name][int(row)] for name, row in places])
    file = f"missed-{number}.png"
    write_png(shown.target / file, grid(display(images, shown.intensity.low, shown.intensity.high), PAIRS, gap=2))
    caption = (
        f"{len(images)} of {len(table)} real images of train and holdout, drawn at random, with no synthetic image "
        "near them, by their features. A few are usual; look whether they have something in common. The file "
        "check/missed.csv names them all."
    )
    return [Picture(file, f"{label}: real images with nothing synthetic near", caption, "coverage")]


def _suspects(label: str, shown: Shown, table: pd.DataFrame, number: int) -> list[Picture]:
    """The first suspected copies above what each is nearest to; nothing where there is none."""
    if table.empty:
        return []
    first = table.drop_duplicates("image")[:PAIRS]
    file = f"suspects-{number}.png"
    two = np.concatenate([shown.values[SYNTHETIC][first["image"]], shown.values[TRAIN][first["original"]]])
    pair = display(two, shown.intensity.low, shown.intensity.high)
    write_png(shown.target / file, grid(pair, len(first), gap=2))
    caption = (
        f"The {len(first)} most suspected of {table['image'].nunique()}. Above, the synthetic image; below, the "
        "training image it is nearest to. The file check/suspects.csv names them all."
    )
    return [Picture(file, f"{label}: suspected copies", caption, "copying")]
