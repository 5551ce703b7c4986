"""python -m ganatomy.radiomics: compile every kernel now, so that no later command waits for it (half a minute)."""

import time

import numpy as np

from ganatomy.core.progress import say
from ganatomy.radiomics.compiled import folder
from ganatomy.radiomics.extraction import extract
from ganatomy.radiomics.feature import DIRECTIONAL
from ganatomy.radiomics.settings import FAMILIES, RadiomicsSettings


def main() -> None:
    """Measure two tiny images with every family, aggregation and compiled filter."""
    begun = time.monotonic()
    draw = np.random.default_rng(0)
    for size in ((12, 12), (6, 12, 12)):
        for ibsi in (False, True):
            settings = RadiomicsSettings(
                families=FAMILIES,
                ibsi=ibsi,
                aggregation=tuple(DIRECTIONAL),
                filters=("original", "wavelet", "log"),
                sigma=(1.0,),
                bin_count=8,
                quadratic=True,
            )
            extract(draw.normal(size=(1, *size)), np.ones((1, *size), bool), settings=settings)
    say(f"the feature engine is compiled ({time.monotonic() - begun:.0f} s); the code is kept in {folder()}")


if __name__ == "__main__":
    main()
