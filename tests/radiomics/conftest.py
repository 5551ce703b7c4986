"""The digital phantom of the Image Biomarker Standardisation Initiative as a region; see README.md."""

from collections.abc import Callable

import numpy as np
import pytest

from ganatomy.radiomics.region import Regions

PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [1, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 1, 1, 1], [1, 1, 9, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ],
    np.float64,
)
MASK = np.array(
    [
        [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
        [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
        [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 1, 1, 1]],
        [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    ],
    bool,
)


def regions(levels: object, pad: int = 1, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Regions:
    """Regions of grey levels (B, D, H, W), 0 outside."""
    given = np.asarray(levels, np.uint16)
    inside = given > 0
    framed = np.pad(given, ((0, 0), (pad, pad), (pad, pad), (pad, pad)))
    n = given.max((1, 2, 3), initial=0).astype(np.int64)
    return Regions(given.astype(float), inside, inside, framed, n, spacing, pad)


@pytest.fixture
def phantom() -> Regions:
    """The phantom, levels as they are, voxels of 2 mm."""
    levels = np.where(MASK, PHANTOM, 0).astype(np.uint16)
    return Regions(
        values=PHANTOM[None].copy(),
        inside=MASK[None].copy(),
        shape=MASK[None].copy(),
        levels=np.pad(levels, 1)[None],
        n=np.array([levels.max()], np.int64),
        spacing=(2.0, 2.0, 2.0),
    )


@pytest.fixture
def agrees() -> Callable[[float, float, float], bool]:
    """Whether a value agrees with (reference, tolerance) after rounding to three significant digits."""
    return lambda value, reference, tolerance: abs(float(f"{value:.3g}") - reference) <= tolerance * (1 + 1e-9)
