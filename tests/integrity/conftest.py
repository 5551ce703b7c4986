"""A world with a known truth: tables whose 12 features rest on 3 hidden factors, from patients that may be alike."""

from collections.abc import Callable

import numpy as np
import pytest

from ganatomy.integrity.features import Features

MIX = np.random.default_rng(99).normal(size=(3, 12))


def table(hidden: np.ndarray, generator: np.random.Generator, images: int = 0) -> Features:
    """Features of hidden factors (n, 3); `images` rows in turn belong to one patient, 0 for synthetic."""
    values = hidden @ MIX / np.sqrt(3) + 0.5 * generator.normal(size=(len(hidden), 12))
    patients = tuple(f"p{i // images}" for i in range(len(values))) if images else ()
    return Features(values, tuple(f"f{i}" for i in range(12)), patients)


def hidden(patients: int, images: int, alike: float, generator: np.random.Generator) -> np.ndarray:
    """(patients * images, 3): unit variance, of which the share `alike` belongs to the patient."""
    own = np.repeat(generator.normal(size=(patients, 3)), images, axis=0)
    return np.sqrt(alike) * own + np.sqrt(1 - alike) * generator.normal(size=own.shape)


@pytest.fixture
def world() -> Callable[..., tuple[Features, Features, Features]]:
    """train, holdout and synthetic of one population; `defect` changes the hidden factors of synthetic."""

    def make(seed: int, *, train=200, holdout=100, synthetic=200, images=1, alike=0.0, defect=lambda z: z):  # type: ignore[no-untyped-def]
        generator = np.random.default_rng(seed)
        real = [table(hidden(n, images, alike, generator), generator, images) for n in (train, holdout)]
        return *real, table(defect(hidden(synthetic, 1, 0, generator)), generator)

    return make
