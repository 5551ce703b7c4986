"""What is measured on an image, in check and prove alike, and measured once. Knows the feature engine and the cache."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pywt
import scipy

from ganatomy.core import __version__
from ganatomy.core.cache import measured
from ganatomy.core.errors import SettingsError
from ganatomy.core.image import Image
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.intensity import Intensity
from ganatomy.radiomics.compiled import folder as engine
from ganatomy.radiomics.extraction import extract
from ganatomy.radiomics.settings import RadiomicsSettings

FAMILIES = ("firstorder", "glcm", "glrlm")


@dataclass(frozen=True)
class Measures(Settings):
    """What is measured on an image, in check and prove alike."""

    bin_width: float | None = option(
        None, "width of a grey level for texture features, in the images' units; not given: 1/32 of the window"
    )
    background: float | None = option(None, "only pixels above this value are measured (not given: the whole image)")
    filters: tuple[str, ...] = option(("original",), "images that are measured: original, wavelet, gradient, ...")
    cache: bool = option(True, "keep what was measured, so that no image is measured twice", local=True)

    def __post_init__(self) -> None:
        if self.bin_width is not None and self.bin_width <= 0:
            raise SettingsError(f"--bin-width needs a number above 0, not {self.bin_width:g}")


def measure(
    values: np.ndarray, intensity: Intensity, measures: Measures, told: Callable[[int], object] = lambda _: None
) -> pd.DataFrame:
    """Radiomics features of images (n, C, H, W), one row per image. told: how many had been measured before."""
    width = measures.bin_width if measures.bin_width is not None else (intensity.high - intensity.low) / 32
    above = () if measures.background is None else (float(np.nextafter(measures.background, np.inf)),)
    settings = RadiomicsSettings(families=FAMILIES, filters=measures.filters, bin_width=width, resegment=above)

    def rows(which: list[int]) -> pd.DataFrame:
        return extract([Image(values[i]) for i in which], settings=settings).reset_index(drop=True)

    if not len(values):  # columns only
        empty = extract([Image(np.zeros(values.shape[1:]))], settings=settings)
        return empty.reset_index(drop=True).iloc[:0]
    if not measures.cache:
        return rows(list(range(len(values))))
    versions = (__version__, engine().name, np.__version__, scipy.__version__, pywt.__version__)
    # the values' hashes are their own, so that type and shape are of the kind
    kind: dict[str, Any] = {"settings": record(settings), "versions": versions, "image": values[0].shape}
    name = hashlib.sha256(json.dumps({**kind, "dtype": values.dtype.str}).encode()).hexdigest()[:32]
    keys = [hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest() for one in values]
    table, before = measured(name, keys, rows)
    told(int(before.sum()))
    return table
