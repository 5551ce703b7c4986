"""ganatomy: balance a scarce medical imaging cohort with a GAN, and learn what the synthetic images are worth.

>>> import ganatomy as ga
>>> study = ga.augment(ga.read("lesions/"), out="runs/lesions")   # doctest: +SKIP
>>> study.verdict.sentence                                        # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

from ganatomy.core import __version__

if TYPE_CHECKING:
    from ganatomy import radiomics, sampler
    from ganatomy.core.cohort import Cohort
    from ganatomy.core.errors import GanatomyError
    from ganatomy.core.finding import Finding
    from ganatomy.core.verdict import Verdict
    from ganatomy.data.read import pixels
    from ganatomy.data.scan import read
    from ganatomy.jobs.augment import Study, augment

__all__ = [
    "Cohort",
    "Finding",
    "GanatomyError",
    "Study",
    "Verdict",
    "__version__",
    "augment",
    "pixels",
    "radiomics",
    "read",
    "sampler",
]

# where each public name lives; imported when asked for, so that `import ganatomy` stays quick and loads no torch
_HOME = {
    "Cohort": "core.cohort",
    "Finding": "core.finding",
    "GanatomyError": "core.errors",
    "Study": "jobs.augment",
    "Verdict": "core.verdict",
    "augment": "jobs.augment",
    "pixels": "data.read",
    "read": "data.scan",
}


def __getattr__(name: str) -> Any:
    if name in ("radiomics", "sampler"):  # modules; imbalanced-learn too has its samplers in modules
        return importlib.import_module(f"ganatomy.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'ganatomy' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ganatomy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
