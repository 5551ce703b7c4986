"""What every gate owes: no crash on small sets, a reason for each missing number, the same numbers from a seed."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from ganatomy.core.finding import Finding
from ganatomy.integrity.c2st import c2st
from ganatomy.integrity.copying import copying_findings
from ganatomy.integrity.coverage import coverage
from ganatomy.integrity.dependence import dependence
from ganatomy.integrity.features import Features, undefined_findings
from ganatomy.integrity.fidelity import EMBEDDING, fidelity
from ganatomy.integrity.frechet import frechet_findings
from ganatomy.integrity.marginals import marginal_findings, marginal_table
from ganatomy.integrity.mmd import mmd_findings

Gate = Callable[[Features, Features, Features, int], list[Finding]]
LEVEL = 0.05 / 8
GATES: dict[str, Gate] = {
    "frechet": lambda t, h, s, seed: frechet_findings("x", "c", t, h, s, seed=seed, level=LEVEL, resamples=30),
    "mmd": lambda t, h, s, seed: mmd_findings("x", "c", t, h, s, seed=seed, level=LEVEL),
    "embedding": lambda t, h, s, seed: fidelity({EMBEDDING: (t, h, s)}, "c", seed=seed, level=LEVEL, resamples=30)[0],
    "c2st": lambda t, h, s, seed: c2st("x", "c", t, h, s, seed=seed, level=LEVEL)[0],
    "coverage": lambda t, h, s, seed: coverage("x", "c", t, h, s, seed=seed, level=LEVEL, resamples=30)[0],
    "dependence": lambda t, h, s, seed: dependence("x", "c", t, h, s, seed, level=LEVEL)[0],
    "copying": lambda t, h, s, seed: copying_findings("x", "c", t, h, s, seed),
    "marginals": lambda t, h, s, seed: marginal_findings("x", "c", t, h, s, seed),
    "undefined": lambda t, h, s, seed: undefined_findings("c", t, h, s),
}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("empty", [0, 1, 2])  # which of train, holdout, synthetic is the small one; the others are not
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_small_sets_give_reasons(gate: str, empty: int, n: int, world) -> None:  # type: ignore[no-untyped-def]
    for others in (n, 60):
        sizes = [others] * 3
        sizes[empty] = n
        sets = world(0, train=sizes[0], holdout=sizes[1], synthetic=sizes[2])
        for found in GATES[gate](*sets, 0):
            assert found.subject == "c"
            assert found.n_images == found.n_patients == sizes[1]
            assert found.state != "pass" or gate == "undefined" or (gate == "copying" and sizes[1] >= 60)
            assert found.note or found.state in ("pass", "fail")
            if found.state != "not computed":
                assert found.low is not None and found.high is not None and found.value is not None
                assert found.low <= found.value <= found.high
                assert None not in (found.yardstick, found.bar)
            if 0 in sizes[1:]:
                assert found.state == "not computed"
        marginal_table("c", *sets, 0)


@pytest.mark.parametrize("gate", GATES)
def test_a_seed_fixes_the_numbers(gate: str, world) -> None:  # type: ignore[no-untyped-def]
    sets = world(3, train=60, holdout=30, synthetic=40, defect=lambda z: z + 1)
    assert GATES[gate](*sets, 0) == GATES[gate](*sets, 0)
    if gate in ("frechet", "coverage"):  # the others draw nothing, or only from ties, where patients have one image
        assert GATES[gate](*sets, 0) != GATES[gate](*sets, 1)


@pytest.mark.parametrize("gate", GATES)
def test_degenerate_values(gate: str) -> None:
    """Every image the same, and every feature undefined."""
    names, patients = ("a", "b"), tuple(map(str, range(30)))
    for value in (1.0, math.nan):
        same = np.full((30, 2), value)
        if gate == "copying" and math.isnan(value):
            continue  # vectors of pixels are finite
        for found in GATES[gate](
            Features(same, names, patients), Features(same, names, patients), Features(same, names), 0
        ):
            assert found.state in ("not computed", "inconclusive") or gate == "undefined"
            assert found.note


def test_one_patient_who_owns_most_images() -> None:
    generator = np.random.default_rng(0)
    patients = tuple(["big"] * 110 + [f"p{i}" for i in range(10)])
    real = [Features(generator.normal(size=(120, 3)), ("a", "b", "c"), patients) for _ in range(2)]
    synthetic = Features(generator.normal(size=(120, 3)), ("a", "b", "c"))
    for gate in ("frechet", "coverage"):
        for found in GATES[gate](*real, synthetic, 0):
            assert found.state != "fail"
