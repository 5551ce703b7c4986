"""Pictures of pixels: grids as PNG, and the list of pictures a stage leaves for the report.

Knows grey and colour arrays and a display window. Draws no charts (the report does, from tables).
"""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ganatomy.core.run import read_json, write_bytes, write_text


@dataclass(frozen=True)
class Picture:
    """file: beside pictures.json; title and caption: for the report, plain text; gate: on whose page it stands, as in
    findings, or "" (a list written before there was one has none)
    """

    file: str
    title: str
    caption: str
    gate: str = ""


def write_pictures(folder: Path, pictures: Sequence[Picture]) -> Path:
    """Write the list of a stage's pictures."""
    return write_text(folder / "pictures.json", json.dumps([asdict(p) for p in pictures], indent=1) + "\n")


def read_pictures(folder: Path) -> list[Picture]:
    """Read what `write_pictures` wrote; none where the stage left none."""
    path = folder / "pictures.json"
    return [Picture(**row) for row in read_json(path)] if path.exists() else []


def display(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(..., C, H, W) values -> (..., H, W, 3) uint8 through a window; more than three channels show the first."""
    grey = np.clip((values.astype(np.float32) - low) / max(high - low, 1e-9), 0, 1) * 255
    moved = np.moveaxis(np.rint(grey).astype(np.uint8), -3, -1)
    return moved if moved.shape[-1] == 3 else np.repeat(moved[..., :1], 3, -1)


def grid(images: np.ndarray, columns: int, gap: int = 1, ground: int = 255) -> np.ndarray:
    """(N, H, W, 3) uint8 -> one picture (rows * (H + gap), columns * (W + gap), 3), row by row."""
    n, height, width, _ = images.shape
    rows = -(-n // columns)
    out = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), ground, np.uint8)
    for i, one in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        out[y : y + height, x : x + width] = one
    return out


def beside(left: np.ndarray, right: np.ndarray, gap: int = 12) -> np.ndarray:
    """Two pictures side by side on white, tops aligned."""
    height = max(left.shape[0], right.shape[0])
    out = np.full((height, left.shape[1] + gap + right.shape[1], 3), 255, np.uint8)
    out[: left.shape[0], : left.shape[1]] = left
    out[: right.shape[0], left.shape[1] + gap :] = right
    return out


def write_png(path: Path, picture: np.ndarray, least: int = 640) -> Path:
    """Write an (H, W, 3) uint8 picture, its pixels enlarged by a whole factor until it is about `least` wide."""
    from PIL import Image as Pillow

    factor = max(1, round(least / picture.shape[1]))
    buffer = io.BytesIO()
    Pillow.fromarray(picture.repeat(factor, 0).repeat(factor, 1)).save(buffer, format="png", optimize=True)
    return write_bytes(path, buffer.getvalue())
