"""Coverage and recall see lost modes, a scan a lost group, the Vendi score collapse, density images off the data."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import hypergeom
from sklearn.neighbors import NearestNeighbors

from ganatomy.integrity.coverage import (
    BARS,
    _permuted,
    _recall,
    _Scan,
    _score,
    _Space,
    coverage_findings,
    density_coverage,
    missed,
    precision_recall,
    similarity_findings,
    vendi,
)
from ganatomy.integrity.features import Features, one_per_patient, prepare

WORDS = [*(name for name, _, _ in BARS), "missing group"]


def states(sets, seed: int, resamples: int = 40, **options) -> dict[str, str]:  # type: ignore[no-untyped-def]
    found = coverage_findings("x", "c", *sets, seed, resamples, **options)
    return dict(zip(WORDS, [f.state for f in found], strict=True))


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


def test_published_null() -> None:
    names = tuple("abcde")
    both = [density_coverage(Features(points(200, s), names), points(200, 100 + s)) for s in range(10)]
    density, coverage = np.mean(both, 0)
    n = 200
    null = 1 - np.prod([(n - i) / (2 * n - i) for i in range(5)])  # Naeem 2020, equation 6
    assert coverage == pytest.approx(null, abs=0.015)
    assert density == pytest.approx(1, abs=0.1)


def test_precision_and_recall_against_scikit_learn() -> None:
    real, made = points(80, 0), points(60, 1) * 1.5
    mine, theirs = (NearestNeighbors(n_neighbors=4).fit(x).kneighbors(x)[0][:, 3] for x in (real, made))  # itself first
    between = np.linalg.norm(real[:, None] - made[None], axis=-1)
    expected = (between <= mine[:, None]).any(0).mean(), (between <= theirs[None]).any(1).mean()
    assert precision_recall(Features(real, tuple("abcde")), made) == pytest.approx(expected)
    assert 0.3 < expected[0] < expected[1] < 1


def test_vendi_counts_different_images() -> None:
    assert vendi(np.eye(40)) == pytest.approx(40)
    assert vendi(np.ones((40, 40))) == pytest.approx(1)
    kinds = np.repeat([0, 1, 2], [10, 10, 20])
    kernel = (kinds[:, None] == kinds[None]).astype(float)
    assert vendi(kernel) == pytest.approx(math.exp(1.5 * math.log(2)))  # entropy of 1/4, 1/4, 1/2
    assert vendi(kernel.astype(np.float32)) == pytest.approx(2**1.5, rel=1e-4)


def test_balls_reach_to_other_patients() -> None:
    """Five near-copies of each patient would shrink every ball to the patient's own cloud."""
    centre, names = points(40, 0), tuple("abcde")
    real = np.repeat(centre, 6, 0) + 1e-3 * points(240, 1)
    fresh = points(200, 2)
    owners = tuple(str(i // 6) for i in range(240))
    assert density_coverage(Features(real, names), fresh)[1] < 0.02
    assert density_coverage(Features(real, names, owners), fresh)[1] > 0.5
    assert precision_recall(Features(real, names), fresh)[0] < 0.02
    assert precision_recall(Features(real, names, owners), fresh)[0] > 0.5


def test_a_clean_generator_passes(world) -> None:  # type: ignore[no-untyped-def]
    found = [states(world(seed, train=500, holdout=500, synthetic=500), seed) for seed in range(3)]
    assert all("fail" not in f.values() for f in found)
    assert sum(list(f.values()).count("pass") for f in found) >= 19  # of 21


def test_patients_alike_are_no_false_alarm(world) -> None:  # type: ignore[no-untyped-def]
    """30 patients of 20 images; synthetic is drawn from everybody, or is 30 other patients, whose names count."""
    for seed in range(3):
        sets = world(seed, train=30, holdout=30, images=20, alike=0.8, synthetic=600)
        assert "fail" not in states(sets, seed, level=0.05).values()
        other = world(100 + seed, train=30, holdout=30, images=20, alike=0.8, synthetic=20)[0]
        assert "fail" not in states((sets[0], sets[1], other), seed, level=0.05).values()


def test_p_values_are_of_the_size_they_say(world) -> None:  # type: ignore[no-untyped-def]
    """Each relabelling test on real against real, 20 images of each patient: P(p <= 0.1) is 0.1."""
    small = dict.fromkeys(("group", "recall", "score"), 0)
    runs = 60
    for seed in range(runs):
        random = np.random.default_rng(seed)
        data = prepare(*world(seed, train=40, holdout=40, images=20, alike=0.7, synthetic=40))
        train, holdout = one_per_patient(data.train, random), one_per_patient(data.holdout, random)
        space = _Space(type(data)(train, holdout, data.synthetic), random)
        t, h, s = space.chosen(40, random)
        pool = np.concatenate([s, h])
        own = space.part(pool, pool)
        scan = _Scan(space, np.concatenate([s, h, t]), 40, random)
        for name, statistic, of in (
            ("group", scan.evidence, 120),
            ("recall", _recall(own, space.part(t, pool)), 80),
            ("score", _score(space.kernel(own)), 80),
        ):
            small[name] += _permuted(statistic, 40, 99, 1, random, of=of) <= 0.1
    for name, count in small.items():
        assert count <= 13, name  # of 60, 6 expected; 14 have p = 0.003


def test_relabelling_is_exact() -> None:
    values = np.zeros(40, np.float32)
    values[[0, 1, 2, 3, 4, 5, 30]] = 1  # six of seven among the first twenty
    p = _permuted(lambda labels: values @ labels, 20, 40_000, 1, np.random.default_rng(0))
    assert p == pytest.approx(hypergeom.sf(5, 40, 7, 20), abs=0.005)
    drawn = _permuted(lambda labels: values @ labels, 20, 100_000, 1e-4, np.random.default_rng(0))
    assert drawn > 1e-4  # stopped early, and said so


@pytest.mark.parametrize("n", [200, 500])
def test_one_mode_of_three_missing(n: int) -> None:
    found = states(groups(0, n, (1 / 3, 1 / 3, 1 / 3), missing=True)[0], 0, level=0.002)
    assert found["coverage"] == found["recall"] == found["missing group"] == found["Vendi score"] == "fail"
    assert "fail" not in (found["density"], found["precision"])  # what there is lies on the data


@pytest.mark.parametrize(("n", "rare"), [(200, 0.16), (500, 0.08)])
def test_a_rare_subgroup_missing(n: int, rare: float) -> None:
    sets, where = groups(1, n, (0.5, 0.5 - rare, rare), missing=True)
    found = states(sets, 1, level=0.002)
    assert found["missing group"] == "fail"
    if n == 500:
        assert found["coverage"] != "fail"  # which is why there is a scan
    clean = states(groups(1, n, (0.5, 0.5 - rare, rare))[0], 1, level=0.002)
    assert "fail" not in clean.values()
    lonely = missed(*sets)
    assert (where[lonely[: n // 20]] == 2).mean() > 0.9  # the list shows the group
    assert len(missed(*groups(1, n, (0.5, 0.5 - rare, rare))[0])) < 0.06 * n


@pytest.mark.parametrize(("n", "noise"), [(200, 0), (500, 0.02)])
def test_twenty_copies_of_few_images(n: int, noise: float, world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(n, train=n, holdout=n, synthetic=n)
    few = np.repeat(synthetic.values[: n // 20], 20, 0) + noise * points(n, 0, 12)
    found = states((train, holdout, Features(few, synthetic.names)), 0)
    assert found["coverage"] == found["recall"] == found["Vendi score"] == "fail"


@pytest.mark.parametrize(
    ("defect", "names"),
    [(np.abs, ("coverage", "recall")), (lambda z: z * 3, ("density", "precision"))],
    ids=["missing modes", "off the data"],
)
def test_defects_fail(world, defect, names) -> None:  # type: ignore[no-untyped-def]
    for seed in range(2):
        found = states(world(seed, defect=defect), seed)
        assert all(found[name] == "fail" for name in names)


def test_a_generator_of_little_variety_crowds(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(0)
    found = states((train, holdout, Features(0.7 * synthetic.values, synthetic.names)), 0)
    assert found["crowding (density)"] == found["Vendi score"] == "fail"
    assert found["coverage"] != "fail"  # which is why density has a bar on that side


def test_numbers_are_of_one_unit(world) -> None:  # type: ignore[no-untyped-def]
    found = coverage_findings("x", "c", *world(0, train=100), 0, 40)
    assert [f.name for f in found] == [f"{word}, x" for word in WORDS]
    for f in found:
        assert f.gate == "coverage" and f.subject == "c"
        assert f.low <= f.value <= f.high  # type: ignore[operator]
    for f, (_, _, factor) in zip(found, BARS, strict=False):
        assert f.bar[1] / f.yardstick == pytest.approx(factor)  # type: ignore[index, operator]


def test_a_doubt_says_how_many_patients_would_settle_it(world) -> None:  # type: ignore[no-untyped-def]
    found = coverage_findings("x", "c", *world(0, train=60, holdout=30, synthetic=60), 0, 40)
    doubts = [f for f in found if f.state == "inconclusive"]
    assert doubts
    assert all("holdout patients" in f.note and "(now 30)" in f.note for f in doubts)


def test_twenty_patients_are_needed(world) -> None:  # type: ignore[no-untyped-def]
    for found in coverage_findings("x", "c", *world(0, holdout=19), 0, 60):
        assert found.state == "not computed"
        assert "holdout has 19 images of 19 patients of this class, this measure needs 20 images" in found.note


def test_missed_rows_are_those_of_the_table_that_was_given(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(3, defect=np.abs)
    broken = Features(train.values.copy(), train.names, train.patients)
    broken.values[::10] = np.nan
    lonely = missed(broken, holdout, synthetic)
    assert not set(lonely) & set(range(0, 200, 10))
    distance = np.linalg.norm(train.values[lonely][:, None] - synthetic.values[None], axis=-1).min(1)
    rest = np.setdiff1d(np.arange(200), [*lonely, *range(0, 200, 10)])
    near = np.linalg.norm(train.values[rest][:, None] - synthetic.values[None], axis=-1).min(1)
    assert distance.mean() > 1.5 * near.mean()
    assert not len(missed(train.take(np.arange(0)), holdout, synthetic))
    assert not len(missed(train, holdout, synthetic.take(np.arange(0))))


def textures(n: int, seed: int, spread: float = 0.1, side: int = 24) -> np.ndarray:
    random, (y, x) = np.random.default_rng(seed), np.mgrid[:side, :side] / side
    place = 0.5 + spread * random.uniform(-1, 1, (2, n, 1, 1))
    disc = 1 / (1 + np.exp(20 * (np.hypot(y - place[0], x - place[1]) - 0.25)))
    return (disc + random.normal(0, 0.1, (n, side, side)))[:, None].clip(0, 1)


def alike(holdout: np.ndarray, synthetic: np.ndarray, patients=None, level: float = 0.002):  # type: ignore[no-untyped-def]
    who = patients or [str(i) for i in range(len(holdout))]
    (found,) = similarity_findings("c", holdout, who, synthetic, data_range=(0, 1), seed=0, level=level)
    return found


def test_pairs_of_images_of_a_collapsed_generator_are_alike() -> None:
    real, made = textures(1000, 0), textures(1000, 1)
    clean = alike(real, made)
    collapsed = alike(textures(100, 0, 0.2), np.repeat(textures(5, 1, 0.2), 20, 0))
    assert clean.state == "pass"
    assert clean.value == pytest.approx(clean.yardstick, abs=0.02)
    doubt = alike(real[:100], made[:100])
    assert doubt.state == "inconclusive"
    assert "would settle it" in doubt.note
    assert collapsed.state == "fail"
    assert "more alike" in collapsed.note
    assert collapsed.bar == ("<=", pytest.approx(collapsed.yardstick + 0.02))
    for one, two in pairwise((collapsed.low, collapsed.value, collapsed.high)):
        assert one < two


def test_images_of_one_patient_are_no_pair() -> None:
    slices = np.repeat(textures(30, 0), 10, 0)
    people = [str(i // 10) for i in range(300)]
    found = alike(slices, textures(300, 1), people)
    assert found.state != "fail"
    assert found.yardstick == pytest.approx(alike(textures(200, 2), textures(200, 3)).yardstick, abs=0.1)
    assert found.yardstick < 0.8  # slices of one patient, equal here, would have 1
    assert found.n_patients == 30
    assert alike(slices[:100], textures(100, 1), people[:100]).state == "not computed"


def test_large_images_are_made_smaller_and_small_ones_are_said() -> None:
    real, made = (np.kron(textures(20, s), np.ones((1, 1, 8, 8))) for s in (0, 1))  # 192 pixels
    large = alike(real, made)
    assert large.value == pytest.approx(
        alike(*(np.kron(textures(20, s), np.ones((1, 1, 2, 2))) for s in (0, 1))).value, abs=0.05
    )
    tiny = alike(real[..., :9, :9], made[..., :9, :9])
    assert tiny.state == "not computed"
    assert "9 x 9 pixels" in tiny.note
