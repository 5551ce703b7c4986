"""Coverage fails where modes or rare groups are missing, precision off the data, the Vendi score at collapse."""

import math

import numpy as np
import pytest

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import Finding
from ganatomy.integrity.coverage import Coverage, Seen, coverage, similarity_of_pairs
from ganatomy.integrity.features import Features

WORDS = ("coverage", "precision", "Vendi score")


def findings(sets, seed: int, resamples: int = 20, level: float = 0.006, **options) -> dict[str, Finding]:  # type: ignore[no-untyped-def]
    found, _ = coverage("x", "c", *sets, seed=seed, level=level, resamples=resamples, **options)
    return dict(zip(WORDS, found, strict=True))


def states(sets, seed: int, **options) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return {name: f.state for name, f in findings(sets, seed, **options).items()}


def points(n: int, seed: int, d: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def groups(seed: int, n: int, odds: tuple[float, ...], *, missing: bool = False):  # type: ignore[no-untyped-def]
    """Train, holdout, synthetic of n images each: groups of these odds, the last of which synthetic lacks."""
    random = np.random.default_rng(seed)
    mix, centres = np.random.default_rng(1).normal(size=(5, 20)), 4 * np.eye(5)[: len(odds)]
    out, share = [], np.array(odds)
    for last in (False, False, missing):
        p = np.append(share[:-1], 0.0) / share[:-1].sum() if last else share
        which = random.choice(len(share), n, p=p)
        z = centres[which] + 0.8 * random.normal(size=(n, 5))
        rows = z @ mix / math.sqrt(5) + 0.3 * random.normal(size=(n, 20))
        out.append((Features(rows, tuple(map(str, range(20)))), which))
    (train, where), (holdout, _), (synthetic, _) = out
    people = [
        Features(x.values, x.names, tuple(f"{w}{i}" for i in range(n))) for w, x in (("t", train), ("h", holdout))
    ]
    return (*people, synthetic), where


def test_a_clean_generator_passes(world) -> None:  # type: ignore[no-untyped-def]
    found = [states(world(seed, train=300, holdout=300, synthetic=300), seed, resamples=20) for seed in range(4)]
    assert all("fail" not in f.values() for f in found)
    assert sum(list(f.values()).count("pass") for f in found) >= 10  # of 12


def test_patients_alike_are_no_false_alarm(world) -> None:  # type: ignore[no-untyped-def]
    """30 patients of 20 images; synthetic is drawn from everybody, or is 30 other patients, whose names count."""
    for seed in range(5):
        sets = world(seed, train=30, holdout=30, images=20, alike=0.8, synthetic=600)
        assert "fail" not in states(sets, seed, level=0.01).values()
        other = world(100 + seed, train=30, holdout=30, images=20, alike=0.8, synthetic=20)[0]
        assert "fail" not in states((sets[0], sets[1], other), seed, level=0.01).values()


@pytest.mark.parametrize("n", [200, 500])
def test_one_mode_of_three_missing(n: int) -> None:
    found = findings(groups(0, n, (1 / 3, 1 / 3, 1 / 3), missing=True)[0], 0, level=0.002)
    assert found["coverage"].state == found["Vendi score"].state == "fail"
    assert "a group may be missing" in found["coverage"].note and "parts of the real variety" in found["coverage"].note
    assert found["precision"].state != "fail"  # what there is lies on the data


def test_one_mode_of_three_is_all_there_is() -> None:
    (train, holdout, synthetic), _ = groups(0, 200, (1 / 3, 1 / 3, 1 / 3))
    one, where = groups(1, 600, (1 / 3, 1 / 3, 1 / 3))
    collapsed = one[0].values[where == 1][:150]
    found = states((train, holdout, Features(collapsed, synthetic.names)), 0, level=0.002)
    assert found["coverage"] == found["Vendi score"] == "fail"


@pytest.mark.parametrize(("n", "rare"), [(200, 0.14), (500, 0.07)])
def test_a_rare_subgroup_missing(n: int, rare: float) -> None:
    odds = (0.5, 0.5 - rare, rare)
    sets, where = groups(1, n, odds, missing=True)
    (found, _, _), table = coverage("x", "c", *sets, seed=1, level=0.002, resamples=20)
    assert found.state == "fail" and "a group may be missing" in found.note
    assert found.value > found.bar[1]  # type: ignore[index, operator]  # coverage, a mean, does not see it
    assert list(table) == ["set", "image"] and set(table["set"]) == {"train", "holdout"}
    lonely = table["image"][table["set"] == "train"].to_numpy()
    assert (where[lonely[: n // 20]] == 2).mean() > 0.9  # the list shows the group
    clean = groups(1, n, odds)[0]
    found, table = coverage("x", "c", *clean, seed=1, level=0.002, resamples=20)
    assert "fail" not in [f.state for f in found]
    assert len(table) < 0.06 * 2 * n


def test_the_note_says_which_group_could_be_seen(world) -> None:  # type: ignore[no-untyped-def]
    many = findings(world(0, train=400, holdout=400, synthetic=400), 0)["coverage"]
    assert many.state == "pass" and "would have been shown from" in many.note and "recall" in many.note
    few = findings(world(0, train=60, holdout=60, synthetic=60), 0, bars=Coverage(least_coverage=0.1))["coverage"]
    assert few.state == "inconclusive" and "could be missing unseen" in few.note


@pytest.mark.parametrize(("n", "noise"), [(200, 0), (500, 0.02)])
def test_twenty_copies_of_few_images(n: int, noise: float, world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(n, train=n, holdout=n, synthetic=n)
    few = np.repeat(synthetic.values[: n // 20], 20, 0) + noise * points(n, 0, 12)
    found = states((train, holdout, Features(few, synthetic.names)), 0)
    assert found["coverage"] == found["Vendi score"] == "fail"


@pytest.mark.parametrize(
    ("defect", "name"),
    [(np.abs, "coverage"), (lambda z: z * 3, "precision"), (lambda z: z * 0.6, "Vendi score")],
    ids=["missing modes", "off the data", "little variety"],
)
def test_defects_fail(world, defect, name) -> None:  # type: ignore[no-untyped-def]
    for seed in range(2):
        assert states(world(seed, defect=defect), seed)[name] == "fail"


def test_numbers_are_of_one_unit(world) -> None:  # type: ignore[no-untyped-def]
    bars = Coverage(least_coverage=0.9, least_precision=0.8, least_variety=0.7)
    found = findings(world(0, train=100), 0, bars=bars)
    for (word, f), factor in zip(found.items(), (0.9, 0.8, 0.7), strict=True):
        assert (f.gate, f.name, f.subject) == ("coverage", f"{word}, x", "c")
        assert f.low <= f.value <= f.high  # type: ignore[operator]
        assert f.bar[1] / f.yardstick == pytest.approx(factor)  # type: ignore[index, operator]


def test_bars_are_checked() -> None:
    with pytest.raises(SettingsError, match="--missing-group needs a number between 0 and 1"):
        Coverage(missing_group=1.5)


def test_a_doubt_says_how_many_patients_would_settle_it(world) -> None:  # type: ignore[no-untyped-def]
    found = findings(world(0, train=60, holdout=30, synthetic=60), 0)
    doubts = [f for f in found.values() if f.state == "inconclusive"]
    assert doubts
    assert all("holdout patients" in f.note and "(now 30)" in f.note for f in doubts)


def test_twenty_patients_are_needed(world) -> None:  # type: ignore[no-untyped-def]
    for found in findings(world(0, holdout=19), 0).values():
        assert found.state == "not computed"
        assert "holdout has 19 images of 19 patients of this class, this measure needs 20 images" in found.note


def textures(n: int, seed: int, spread: float = 0.1, side: int = 24) -> np.ndarray:
    random, (y, x) = np.random.default_rng(seed), np.mgrid[:side, :side] / side
    place = 0.5 + spread * random.uniform(-1, 1, (2, n, 1, 1))
    disc = 1 / (1 + np.exp(20 * (np.hypot(y - place[0], x - place[1]) - 0.25)))
    return (disc + random.normal(0, 0.1, (n, side, side)))[:, None].clip(0, 1)


def pairs(holdout: np.ndarray, synthetic: np.ndarray, patients=None) -> Seen:  # type: ignore[no-untyped-def]
    who = patients or [str(i) for i in range(len(holdout))]
    found = similarity_of_pairs(holdout, synthetic, who, (0, 1), 0, 0.0002)
    assert isinstance(found, Seen)
    return found


def test_pairs_of_images_of_a_collapsed_generator_are_alike() -> None:
    clean = pairs(textures(300, 0), textures(300, 1))
    assert not clean.past and clean.numbers[0] == pytest.approx(clean.numbers[3], abs=0.02)
    collapsed = pairs(textures(100, 0, 0.2), np.repeat(textures(5, 1, 0.2), 20, 0))
    assert collapsed.past and collapsed.p <= collapsed.share
    value, low, high, yardstick = collapsed.numbers
    assert low < value < high and collapsed.bar == ("<=", pytest.approx(yardstick + 0.02))


def test_images_that_are_alike_fail_where_features_do_not_tell(world) -> None:  # type: ignore[no-untyped-def]
    sets = world(0, train=100, holdout=100, synthetic=100)
    stacks = textures(100, 0, 0.2), np.repeat(textures(5, 1, 0.2), 20, 0)
    found = findings(sets, 0, images=stacks, data_range=(0, 1))["Vendi score"]
    assert found.state == "fail" and "two synthetic images are more alike" in found.note
    clean = findings(sets, 0, images=(stacks[0], textures(100, 2, 0.2)), data_range=(0, 1))["Vendi score"]
    assert clean.state != "fail" and "MS-SSIM" in clean.note


def test_images_of_one_patient_are_no_pair() -> None:
    slices = np.repeat(textures(30, 0), 10, 0)
    people = [str(i // 10) for i in range(300)]
    found = pairs(slices, textures(300, 1), people)
    assert not (found.past and found.p <= found.share)
    assert found.numbers[3] == pytest.approx(pairs(textures(200, 2), textures(200, 3)).numbers[3], abs=0.1)
    assert found.numbers[3] < 0.8  # slices of one patient, equal here, would have 1
    few = similarity_of_pairs(slices[:100], textures(100, 1), people[:100], (0, 1), 0, 0.001)
    assert isinstance(few, str) and "needs 20" in few


def test_large_images_are_made_smaller_and_small_ones_are_said() -> None:
    real, made = (np.kron(textures(20, s), np.ones((1, 1, 8, 8))) for s in (0, 1))  # 192 pixels
    small = pairs(*(np.kron(textures(20, s), np.ones((1, 1, 2, 2))) for s in (0, 1)))
    assert pairs(real, made).numbers[0] == pytest.approx(small.numbers[0], abs=0.05)
    who = [str(i) for i in range(20)]
    tiny = similarity_of_pairs(real[..., :9, :9], made[..., :9, :9], who, (0, 1), 0, 0.001)
    assert isinstance(tiny, str) and "9 x 9 pixels" in tiny
