"""One call for all measures: who is asked in which space, one level for all, bars that reach their measure."""

import numpy as np
import pytest

from ganatomy.core.errors import SettingsError
from ganatomy.integrity.features import Features
from ganatomy.integrity.fidelity import Fidelity, fidelity


def test_each_space_has_its_measures(world) -> None:  # type: ignore[no-untyped-def]
    three = world(0, train=60, holdout=60, synthetic=60)
    spaces = dict.fromkeys(("radiomics", "classifier", "embedding"), three)
    found, table = fidelity(spaces, "c", seed=0, level=0.006, resamples=20)
    assert [f.name for f in found] == [
        "images with undefined features",
        "Fréchet distance, radiomics",
        "kernel distance (MMD), radiomics",
        "told apart by a classifier, radiomics",
        "Fréchet distance, classifier",
        "FID, embedding",
        "KID, embedding",
    ]
    assert all(f.gate == "fidelity" and f.subject == "c" and f.state != "fail" for f in found)
    assert list(table) == ["feature", "coefficient", "importance", "auc"] and len(table) == 12
    alone, nothing = fidelity({"embedding": three}, "c", seed=0, level=0.006, resamples=20)
    assert [f.name.split(",")[0] for f in alone] == ["FID", "KID"] and nothing.empty


def test_a_defect_fails_every_measure_and_is_named(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0, train=200, holdout=200, synthetic=200, defect=lambda z: z + 1.5)
    synthetic.values[:, 4] += 9
    found, table = fidelity({"radiomics": (train, holdout, synthetic)}, "c", seed=0, level=0.002, resamples=40)
    assert [f.state for f in found] == ["pass", "fail", "fail", "fail"]
    assert table["feature"][0] == "f4"


def test_the_level_is_shared(world) -> None:  # type: ignore[no-untyped-def]
    """p of MMD is 1 / 1001 at best with 1000 divisions; a share of a thousandth of that is still within reach."""
    sets = world(1, train=60, holdout=60, synthetic=60, defect=lambda z: z + 3)
    for spaces in ({"radiomics": sets}, {"radiomics": sets, "classifier": sets, "embedding": sets}):
        found, _ = fidelity(spaces, "c", seed=0, level=0.002, resamples=20)
        assert next(f for f in found if "MMD" in f.name).state == "fail"


def test_bars_reach_their_measures(world) -> None:  # type: ignore[no-untyped-def]
    bars = Fidelity(frechet_ratio=30, tolerated_shift=3, told_apart=0.99)
    sets = world(0, train=100, holdout=100, synthetic=100, defect=lambda z: z + 1)
    found, _ = fidelity({"radiomics": sets}, "c", seed=0, level=0.002, resamples=20, bars=bars)
    _, frechet, mmd, classifier = found
    assert frechet.bar[1] == pytest.approx(max(30 * frechet.yardstick, frechet.bar[1]))  # type: ignore[index, operator]
    assert classifier.bar == ("<=", 0.99)
    assert [f.state for f in (frechet, mmd)] == ["pass", "pass"]
    for wrong, flag in (
        ({"frechet_ratio": 0.5}, "--frechet-ratio"),
        ({"tolerated_shift": 0}, "--tolerated-shift"),
        ({"told_apart": 0.4}, "--told-apart"),
    ):
        with pytest.raises(SettingsError, match=flag):
            Fidelity(**wrong)


def test_no_synthetic_images(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0)
    none = Features(np.empty((0, 12)), synthetic.names)
    found, table = fidelity({"radiomics": (train, holdout, none)}, "c", seed=0, level=0.002)
    assert {f.state for f in found} == {"not computed"} and table.empty
