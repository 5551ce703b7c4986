"""Coverage sees lost modes, density images off the data, crowding a generator that is too uniform."""

import numpy as np
import pytest

from ganatomy.integrity.coverage import coverage_findings, density_coverage
from ganatomy.integrity.features import Features


def states(world, seed: int, **options) -> dict[str, str]:  # type: ignore[no-untyped-def]
    found = coverage_findings("x", "c", *world(seed, **options), seed, 60)
    return {f.name.split(",")[0].split(" ")[0]: f.state for f in found}


def points(n: int, seed: int, d: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_published_null() -> None:
    names = tuple("abcde")
    both = [density_coverage(Features(points(200, s), names), points(200, 100 + s)) for s in range(10)]
    density, coverage = np.mean(both, 0)
    n = 200
    null = 1 - np.prod([(n - i) / (2 * n - i) for i in range(5)])  # Naeem 2020, equation 6
    assert coverage == pytest.approx(null, abs=0.015)
    assert density == pytest.approx(1, abs=0.1)


def test_balls_reach_to_other_patients() -> None:
    """Five near-copies of each patient would shrink every ball to the patient's own cloud."""
    centre, names = points(40, 0), tuple("abcde")
    real = np.repeat(centre, 6, 0) + 1e-3 * points(240, 1)
    fresh = points(200, 2)
    owners = tuple(str(i // 6) for i in range(240))
    assert density_coverage(Features(real, names), fresh)[1] < 0.02
    assert density_coverage(Features(real, names, owners), fresh)[1] > 0.5


def test_a_clean_generator_passes(world) -> None:  # type: ignore[no-untyped-def]
    found = [states(world, seed) for seed in range(6)]
    assert all("fail" not in f.values() for f in found)
    assert sum(set(f.values()) == {"pass"} for f in found) >= 5


def test_patients_alike_are_no_false_alarm(world) -> None:  # type: ignore[no-untyped-def]
    found = [states(world, s, train=40, holdout=20, images=8, alike=0.8, synthetic=320) for s in range(6)]
    assert all("fail" not in f.values() for f in found)


@pytest.mark.parametrize(
    ("defect", "name"),
    [
        (np.abs, "coverage"),
        (lambda z: z * 3, "density"),
    ],
    ids=["missing modes", "off the data"],
)
def test_defects_fail(world, defect, name) -> None:  # type: ignore[no-untyped-def]
    assert [states(world, seed, defect=defect)[name] for seed in range(4)].count("fail") >= 3


def test_a_generator_of_little_variety_crowds(world) -> None:  # type: ignore[no-untyped-def]
    for seed in range(4):
        train, holdout, synthetic = world(seed)
        dull = Features(0.7 * synthetic.values, synthetic.names)
        found = {f.name: f.state for f in coverage_findings("x", "c", train, holdout, dull, seed, 60)}
        assert found["crowding (density), x"] == "fail"
        assert found["coverage, x"] != "fail"  # which is why density has a bar on that side


def test_numbers_are_of_one_unit(world) -> None:  # type: ignore[no-untyped-def]
    for found in coverage_findings("x", "c", *world(0, train=100), 0, 60):
        assert found.gate == "coverage"
        assert found.low <= found.value <= found.high  # type: ignore[operator]
        assert found.bar[1] / found.yardstick == pytest.approx({"co": 0.85, "de": 0.5, "cr": 1.5}[found.name[:2]])  # type: ignore[index, operator]


def test_twenty_images_are_needed(world) -> None:  # type: ignore[no-untyped-def]
    for found in coverage_findings("x", "c", *world(0, holdout=19), 0, 60):
        assert found.state == "not computed"
        assert "holdout has 19 images of 19 patients of this class, this measure needs 20 images" in found.note
