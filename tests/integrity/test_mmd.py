"""MMD against its definition and a closed form; an exact p; clean sets are not accused, changed ones are."""

import math
from functools import partial

import numpy as np
import pytest

from ganatomy.integrity.features import Features
from ganatomy.integrity.mmd import bandwidth, cubic, kernel, kid, mmd2, mmd_findings, permuted, spread, tolerated

LEVEL, SHIFT = 0.05 / 8, 0.25


def test_definition() -> None:
    """Equation 3 of Gretton 2012, term by term, for samples of unequal size."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(7, 3)), generator.normal(size=(5, 3)) + 1

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean([math.exp(-((x - y) ** 2).sum() / (2 * (s * 1.3) ** 2)) for s in (0.5, 1, 2)]))

    within = [k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
    other = [k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j]
    across = [k(x, y) for x in a for y in b]
    both = np.concatenate([a, b])
    expected = np.mean(within) + np.mean(other) - 2 * np.mean(across)
    assert mmd2(kernel(both, both, 1.3), 7) == pytest.approx(expected, abs=1e-6)


def gaussian_mmd2(shift: float, width: float, d: int = 2) -> float:
    """Closed form for N(0, 1) and N(shift, 1) in d dimensions: E k of a difference with variance 2 in each."""
    total = 0.0
    for band in (0.5, 1, 2):
        s = (band * width) ** 2
        same = (s / (s + 2)) ** (d / 2)
        total += 2 * same * (1 - math.exp(-(shift**2) / (2 * (s + 2))))
    return total / 3


def test_closed_form_of_gaussians() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(1000, 2)), generator.normal(size=(1000, 2)) + np.array([1.5, 0])
    both = np.concatenate([a, b])
    assert mmd2(kernel(both, both, 1.5), 1000) == pytest.approx(gaussian_mmd2(1.5, 1.5), rel=0.05)
    rows = generator.normal(size=(1000, 2)) * [1.0, 0.999]
    assert tolerated(rows, partial(kernel, width=1.5), SHIFT) == pytest.approx(gaussian_mmd2(SHIFT, 1.5), rel=0.1)
    assert bandwidth(a) == pytest.approx(math.sqrt(4 * math.log(2)), rel=0.05)  # median of |N(0, 2)| in the plane


def test_kid_is_its_definition() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(6, 4)), generator.normal(size=(5, 4)) + 1

    def mean(x: np.ndarray, y: np.ndarray, same: bool) -> float:
        pairs = [(u @ v / 4 + 1) ** 3 for i, u in enumerate(x) for j, v in enumerate(y) if not (same and i == j)]
        return float(np.mean(pairs))

    assert kid(a, b) == pytest.approx(mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False))
    assert math.isnan(kid(a[:1], b))
    moved = np.mean([mmd2(cubic(both, both), 300) for both in (shifted(s) for s in range(5))])
    assert tolerated(generator.normal(size=(1500, 3)) * [2, 1, 1], cubic, 0.5) == pytest.approx(moved, rel=0.3)


def shifted(seed: int) -> np.ndarray:
    """Rows of N(0, diag(4, 1, 1)), the first 300 moved by half a deviation along the first axis."""
    both = np.random.default_rng(seed).normal(size=(1200, 3)) * [2, 1, 1]
    both[:300, 0] += 1
    return both


def test_p_is_exact() -> None:
    """Rank of the observed value among random divisions is uniform, at any n and for any distribution."""
    p = []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        rows = np.exp(generator.normal(size=(24, 3)))
        k = kernel(rows, rows, 1.0)
        null = permuted(k, 12, 99, generator)
        p.append((1 + (null >= mmd2(k, 12)).sum()) / 100)
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert np.mean(p) == pytest.approx(0.505, abs=0.05)


def test_the_error_is_that_of_repeated_samples() -> None:
    def once(seed: int, shift: float) -> tuple[float, float]:
        generator = np.random.default_rng(seed)
        both = generator.normal(size=(130, 2))
        both[:80] += [shift, 0]
        k = kernel(both, both, 1.5)
        return mmd2(k, 80), permuted(k, 80, 100, generator).var() + spread(k, 80, generator)

    for shift in (0.0, 0.6):
        found = np.array([once(seed, shift) for seed in range(150)])
        assert 0.85 < math.sqrt(found[:, 1].mean()) / found[:, 0].std() < 1.5  # rather too wide than too narrow


def state(world, seed: int, **options) -> str:  # type: ignore[no-untyped-def]
    (found,) = mmd_findings("x", "c", *world(seed, **options), seed=seed, level=LEVEL)
    assert found.gate == "fidelity" and found.low <= found.value <= found.high
    return found.state


def test_patients_alike_are_no_false_alarm(world) -> None:  # type: ignore[no-untyped-def]
    """p is exact (see above): at a level of 0.006, one of 30 by chance at most."""
    found = [state(world, s, train=30, holdout=30, images=20, alike=0.8, synthetic=300) for s in range(30)]
    assert found.count("fail") <= 1


def test_clean_passes_where_it_can(world) -> None:  # type: ignore[no-untyped-def]
    states = [state(world, s, train=500, holdout=500, synthetic=500) for s in range(4)]
    assert states.count("pass") >= 3 and "fail" not in states
    (found,) = mmd_findings("x", "c", *world(0, train=40, holdout=20, synthetic=40), seed=0, level=LEVEL)
    assert found.state == "inconclusive" and "holdout patients" in found.note


@pytest.mark.parametrize(
    "defect",
    [lambda z: z + np.array([1.0, 0, 0]), lambda z: z * 0.5, lambda z: np.where(z > 0.5, -z, z)],
    ids=["shifted", "lost variety", "missing mode"],
)
def test_defects_fail(world, defect) -> None:  # type: ignore[no-untyped-def]
    states = [state(world, s, train=200, holdout=200, synthetic=200, defect=defect) for s in range(5)]
    assert states.count("fail") == 5


def test_a_difference_that_does_not_matter_is_shown_and_does_not_fail(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(1, train=1000, holdout=1000, synthetic=1200, defect=lambda z: z + 0.09)
    (found,) = mmd_findings("x", "c", *sets, seed=1, level=LEVEL)
    assert found.value > 1 and found.state == "pass"
    (found,) = mmd_findings("x", "c", *world(1, train=1001, holdout=1001, synthetic=1001), seed=1, level=LEVEL)
    assert "1000 of each set are compared" in found.note


def test_a_small_level_can_still_be_reached(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=60, holdout=60, synthetic=60, defect=lambda z: z + 4)
    assert mmd_findings("x", "c", *sets, seed=0, level=2e-4)[0].state == "fail"


def test_no_distance() -> None:
    generator = np.random.default_rng(0)
    values = np.where(generator.random((30, 2)) < 0.05, 1.0, 0.0)
    values[0] = 1
    patients = tuple(map(str, range(30)))
    sets = [Features(values, ("a", "b"), p) for p in (patients, patients, ())]
    assert mmd_findings("x", "c", *sets, seed=0, level=LEVEL)[0].state == "not computed"


def test_an_embedding_is_compared_as_it_is(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=300, holdout=300, synthetic=300)
    (found,) = mmd_findings("e", "c", *sets, seed=0, level=LEVEL, raw=True)
    assert found.name == "KID, e" and found.state == "pass"
    assert found.value == pytest.approx(kid(sets[2].values, sets[1].values), rel=1e-4, abs=1e-5)
    assert found.yardstick == pytest.approx(kid(sets[0].values, sets[1].values), rel=1e-4, abs=1e-5)
    sets = world(0, train=100, holdout=100, synthetic=200, defect=lambda z: z + 1)
    assert mmd_findings("e", "c", *sets, seed=0, level=LEVEL, raw=True)[0].state == "fail"
