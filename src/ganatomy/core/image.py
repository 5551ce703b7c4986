"""One image: its values in physical units and where it came from. Knows no file format."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Image:
    """Values of one image.

    values: (C, H, W), in the type they were stored in, already in `unit`
    unit: "HU", "SUV", ... or "" where the source does not say
    spacing: millimetres per pixel along H, W; empty where the source does not say
    origin: the path, or the phantom's or generator's seed, the values came from
    """

    values: np.ndarray
    unit: str = ""
    spacing: tuple[float, ...] = ()
    origin: str = ""
