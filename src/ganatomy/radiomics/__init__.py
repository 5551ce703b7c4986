"""Images and regions -> a table of features: every family of IBSI-1 and of pyradiomics, batched and compiled.

>>> import ganatomy as ga
>>> table = ga.radiomics.extract(images, masks)                          # doctest: +SKIP
>>> settings = ga.radiomics.RadiomicsSettings(filters=("original", "wavelet"), bin_count=32)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganatomy.radiomics.extraction import extract
    from ganatomy.radiomics.names import table
    from ganatomy.radiomics.settings import RadiomicsSettings
    from ganatomy.radiomics.transformer import RadiomicsExtractor

__all__ = ["RadiomicsExtractor", "RadiomicsSettings", "extract", "table"]

# imported when asked for: the kernels need numba, which takes a second to load
_HOME = {
    "RadiomicsExtractor": "transformer",
    "RadiomicsSettings": "settings",
    "extract": "extraction",
    "table": "names",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ganatomy.radiomics' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ganatomy.radiomics.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
