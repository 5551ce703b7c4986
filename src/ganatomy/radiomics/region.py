"""Regions of one size, stacked and ready to be measured.

Knows the layout that every family reads. `prepare` makes these; nothing here reads an image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Regions:
    """B regions in boxes of one size (D, H, W), axes z, y, x; an image of two dimensions has D = 1.

    values: (B, D, H, W) float64, physical units; anything, NaN included, outside the region
    inside: (B, D, H, W) bool, the voxels that are measured (the standard's intensity mask)
    shape: (B, D, H, W) bool, the region's form (its morphological mask); `inside` itself where nothing was resegmented
    levels: (B, D + 2 pad, H + 2 pad, W + 2 pad) uint16, C order: grey levels 1..n inside, 0 outside and in the frame
    n: (B,) int64, the highest grey level of each region; 0 where the region is empty
    spacing: (3,) mm along z, y, x
    pad: width of the frame of zeros, at least the largest distance between neighbours that is asked for
    width: width of a grey level in the image's units where it is fixed, else 0
    """

    values: Float
    inside: NDArray[np.bool_]
    shape: NDArray[np.bool_]
    levels: NDArray[np.uint16]
    n: NDArray[np.int64]
    spacing: tuple[float, float, float]
    pad: int = 1
    width: float = 0.0
