"""TIFF of any depth: one page is one image. Knows pages; does not know whose they are."""

import re
from pathlib import Path

import numpy as np

SUFFIXES = (".tif", ".tiff")
PAGE = re.compile(r"(.+\.tiff?)#(\d+)", re.IGNORECASE | re.DOTALL)  # file, page from 0


def pages(path: Path) -> int:
    """How many images a file holds. What cannot be read counts as one, and is named when it is opened."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as opened:
            return len(opened.pages)
    except (OSError, ValueError, tifffile.TiffFileError):
        return 1


def values(path: Path, page: int | None = None) -> np.ndarray:
    """One page (H, W) or (H, W, channels); without a page, whatever the file holds."""
    import tifffile

    with tifffile.TiffFile(path) as opened:
        part = opened.series[0] if page is None else opened.pages[page]
        array = np.asarray(part.asarray())
        apart = part.axes == "SYX"  # (3, H, W), colours apart
    return np.moveaxis(array, 0, -1) if apart else array
