"""Scores whose true AUC is known."""

import numpy as np
import pytest


def _binormal(chance, n, shift, correlation, cluster=1):
    """Codes, patients and the scores of two classifiers whose true AUC is ndtr(shift / sqrt 2)."""
    patients = np.repeat(np.arange(sum(n)), cluster)
    codes = np.repeat(np.repeat([1, 0], n), cluster)
    within = 0.6 if cluster > 1 else 1.0

    def noise():
        return np.sqrt(within) * chance.normal(size=sum(n))[patients] + np.sqrt(1 - within) * chance.normal(
            size=len(patients)
        )

    shared = np.sqrt(correlation) * noise()
    pair = [shared + np.sqrt(1 - correlation) * noise() + shift * codes for _ in range(2)]
    return codes, patients.astype(str), [np.stack([-s, s], axis=1)[None] for s in pair]


@pytest.fixture
def binormal():
    return _binormal
