"""C_T against SciPy, authenticity by hand and for new patients."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from ganatomy.integrity.features import Features
from ganatomy.integrity.nearest import nearest
from ganatomy.integrity.proximity import authenticity, data_copying


def hidden_sets(seed: int, n=(60, 60, 60), copies: int = 0, tight: float = 1.0):  # type: ignore[no-untyped-def]
    """Points of 8 dimensions, one per patient; the first synthetic are near-copies."""
    generator = np.random.default_rng(seed)
    train, holdout, made = (generator.normal(size=(k, 8)) for k in n)
    made *= tight
    made[:copies] = train[generator.choice(len(train), copies, replace=False)] + 0.05 * generator.normal(
        size=(copies, 8)
    )
    names = tuple("abcdefgh")
    real = [
        Features(x, names, tuple(f"{who}{i}" for i in range(len(x))))
        for x, who in zip((train, holdout), "th", strict=True)
    ]
    return *real, Features(made, names)


def test_data_copying_is_mann_whitneys_z() -> None:
    train, holdout, synthetic = hidden_sets(0, (50, 30, 39))  # one cell
    value, spread, cells = data_copying(train, holdout, synthetic, 0)
    g, h = nearest(train, synthetic.values)[0], nearest(train, holdout.values)[0]
    u = mannwhitneyu(g, h).statistic
    assert (cells, spread) == (1, 1)
    assert value == pytest.approx((u - 30 * 39 / 2) / np.sqrt(30 * 39 * 70 / 12))
    z = [data_copying(*hidden_sets(s, (100, 80, 120)), s)[:2] for s in range(60)]
    assert np.std([a / b for a, b in z]) == pytest.approx(1, abs=0.25)
    assert data_copying(*hidden_sets(0, (200, 100, 200), copies=180), 0)[0] < -3
    assert data_copying(*hidden_sets(0, (200, 100, 200), tight=2), 0)[0] > 3


def test_authenticity_by_hand_and_of_new_patients() -> None:
    train = Features(np.array([[0.0], [0.1], [3.0]]), ("x",), ("a", "a", "b"))
    # nearest 0 and its other patient 3 away; 3 and its other 2.9 away
    assert authenticity(train, np.array([[-3.5], [1.0], [5.8], [6.0]])) == (2, 4)
    share = [
        authenticity(*hidden_sets(s, (300, 1, 300))[::2][:1], hidden_sets(s, (300, 1, 300))[2].values) for s in range(8)
    ]
    assert np.sum(share, 0)[0] / np.sum(share, 0)[1] == pytest.approx(0.585, abs=0.03)  # Alaa 2022's null is not 1
