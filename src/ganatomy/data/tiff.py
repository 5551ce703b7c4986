"""TIFF of any depth: one page is one image. Knows pages; does not know whose they are."""

import re
from pathlib import Path

import numpy as np

from ganatomy.core.errors import InputError

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
    """One page (H, W) or (H, W, channels); without a page, whatever the file holds.

    Raises InputError by name where the file's compression needs a decoder that is not installed.
    """
    import tifffile

    with tifffile.TiffFile(path) as opened:
        part = opened.series[0] if page is None else opened.pages[page]
        try:
            array = np.asarray(part.asarray())
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            how = tifffile.COMPRESSION(opened.pages[page or 0].compression).name
            raise InputError(
                f"{path} is compressed as {how}; its decoder is not installed: python -m pip install imagecodecs"
            ) from None
        apart = part.axes == "SYX"  # (3, H, W), colours apart
    return np.moveaxis(array, 0, -1) if apart else array
