"""The exact tests have the size and the power that they promise."""

import numpy as np
import pytest

from ganatomy.integrity.copies import closest_pairs, detectable, detectable_pairs, expected_share, surprise, tail


def test_the_tail_test_has_its_size() -> None:
    """Exchangeable numbers: p < .01 in no more than about 1 of 100 trials."""
    generator = np.random.default_rng(0)
    p = [tail(generator.normal(size=80), generator.normal(size=100))[2] for _ in range(3000)]
    assert 0.001 < np.mean(np.array(p) < 0.01) <= 0.01 + 3 * (0.01 * 0.99 / 3000) ** 0.5
    assert tail(np.arange(5.0) + 9, np.arange(10.0))[:2] == (0, 1.0)


def test_the_promised_power() -> None:
    """At the share `detectable` names, planted copies are found in 19 of 20 trials, well below it in fewer."""
    generator, m, n = np.random.default_rng(0), 100, 100
    copies = round(detectable(m, n, 0.01) * m)
    rate = {}
    for planted in (copies, copies - 3):
        g = generator.normal(size=(1500, m))
        g[:, :planted] = -99
        rate[planted] = np.mean([tail(row, generator.normal(size=n))[2] < 0.01 for row in g])
    assert rate[copies] >= 0.935
    assert rate[copies - 3] < 0.935


def test_surprise_goes_beyond_the_holdout_by_its_tail() -> None:
    """Ratios of the power law x^6: uniform p below the least of 200, and a single copy stands out of 200."""
    generator = np.random.default_rng(0)
    h, g = generator.random((400, 200)) ** (1 / 6), generator.random((400, 50)) ** (1 / 6)
    p = np.array([surprise(a, b) for a, b in zip(g, h, strict=True)])
    for level in (0.2, 0.02, 0.002):
        assert (p <= level).mean() == pytest.approx(level, rel=0.35)
    assert surprise(np.array([0.05]), h[0])[0] < 1e-5
    assert surprise(np.array([0.0, 1.0]), np.ones(3)).tolist() == [0.25, 1.0]


def test_the_pairs_of_random_labels_have_their_size() -> None:
    """Labels drawn at random on 60 pairs: p <= 0.05 in about 1 of 20; a run of copies at the front is not chance."""
    generator, pooled = np.random.default_rng(0), (100, 100, 100)
    kinds = np.array([generator.permutation(np.repeat([0, 1, 2], 100))[:120].reshape(60, 2) for _ in range(1500)])
    pairs = (kinds.sum(2) == 2) & (kinds[:, :, 0] != 1)
    p = np.array([closest_pairs(one, pooled)[0] for one in pairs])
    assert 0.03 < (p <= 0.05).mean() < 0.065
    assert closest_pairs(np.r_[np.ones(6, bool), pairs[0]], pooled)[0] < 0.002
    assert closest_pairs(pairs[0][:3], pooled)[0] == 1.0


def test_the_share_that_pairs_can_show() -> None:
    assert expected_share((100, 100, 100)) == pytest.approx(2 * 100 * 100 / (300 * 299))
    share = detectable_pairs((100, 100, 100), 1.0, 100, 0.0025)
    assert 0.04 <= share <= 0.06
    assert detectable_pairs((20, 100, 100), 0.2, 100, 0.0025) > 2 * share  # a fifth of the originals is in the pool
    assert detectable_pairs((0, 0, 0), 0.0, 1, 0.0025) == 2.0
