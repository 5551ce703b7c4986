"""Definitions against papers and scikit-learn; relabelling is exact; a scan sees groups; lonely rows are named."""

import math

import numpy as np
import pytest
from scipy.stats import hypergeom
from sklearn.neighbors import NearestNeighbors

from ganatomy.integrity.features import Features, one_per_patient, prepare
from ganatomy.integrity.manifold import (
    Scan,
    Space,
    alike,
    coverage_gap,
    density_coverage,
    first,
    fisher,
    halves,
    missed,
    permuted,
    precision_recall,
    vendi,
)


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


def test_all_measures_at_once_are_each_alone(world) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(0)
    data = prepare(*world(0, train=60, holdout=60, images=2, alike=0.5, synthetic=60))
    space = Space(data, random)
    t, h, s = space.chosen(50, random)
    assert len(np.unique(space.owners[h])) == len(h) == 50
    rows = np.concatenate([x.values for x in space.sets])
    real = Features(rows[t], data.train.names, tuple(map(str, space.owners[t])))
    density, coverage = density_coverage(real, rows[s])
    got = space.measure(t, s)[0]
    assert got[:4] == pytest.approx([coverage, density, *precision_recall(real, rows[s])], abs=1e-6)
    assert got[4] == pytest.approx(vendi(space.kernel(space.part(s, s))))


def test_halves_scatter_about_the_whole(world) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(0)
    space = Space(prepare(*world(0, train=100, holdout=100, synthetic=400)), random)
    found = halves(space, 100, 30, random)
    assert found.shape == (30, 2, 5)
    assert 0.7 < found[:, 0, 0].mean() <= 1 and found[:, 0, 0].std() > 0
    assert not len(halves(space, 10, 30, random))


def test_p_values_are_of_the_size_they_say(world) -> None:  # type: ignore[no-untyped-def]
    """Each relabelling test on real against real, 20 images of each patient: P(p <= 0.1) is 0.1."""
    small = dict.fromkeys(("group", "coverage", "score"), 0)
    runs = 60
    for seed in range(runs):
        random = np.random.default_rng(seed)
        data = prepare(*world(seed, train=40, holdout=40, images=20, alike=0.7, synthetic=80))
        train, holdout = one_per_patient(data.train, random), one_per_patient(data.holdout, random)
        space = Space(type(data)(train, holdout, data.synthetic), random)
        t, h, s = space.chosen(40, random)
        pool = np.concatenate([s, h])
        inside = space.part(t, pool) < space.balls(t, 5)[0][:, None]
        learned, held, made = space.independent(500, random)
        scan = Scan(space, np.concatenate([made, learned, held]), len(made), random)
        for name, statistic, of in (
            ("group", scan.evidence, 160),
            ("coverage", coverage_gap(inside), 80),
            ("score", alike((space.kernel(space.part(pool, pool)) ** 2).astype(np.float32)), 80),
        ):
            small[name] += permuted(statistic, 80 if name == "group" else 40, 99, 1, random, of=of) <= 0.1
    for name, count in small.items():
        assert count <= 13, name  # of 60, 6 expected; 14 have p = 0.003


def test_fisher() -> None:
    near = np.repeat([True, False, True], [3, 7, 10])
    assert fisher(near, 10) == pytest.approx(hypergeom.cdf(3, 20, 13, 10))


def test_a_scan_sees_a_group_of_the_size_it_names(world) -> None:  # type: ignore[no-untyped-def]
    """Rows of a group that lies apart, of which synthetic has none: evidence reaches its bound where it should."""
    random = np.random.default_rng(0)
    for count in (6, 40):
        train, holdout, synthetic = (x.values.copy() for x in world(0, train=200, holdout=200, synthetic=400))
        train[:count], holdout[:count] = (x[:count] * 0.1 + 30 for x in (train, holdout))
        names = tuple(map(str, range(12)))
        people = tuple(map(str, range(200)))
        data = type(prepare(*world(0)))(
            Features(train, names, people), Features(holdout, names, people), Features(synthetic, names)
        )
        space = Space(data, random)
        learned, held, made = space.independent(500, random)
        scan = Scan(space, np.concatenate([made, learned, held]), len(made), random)
        critical = 10.0
        evidence, share = float(scan.evidence(first(400, 800))[0]), 2 * count / 400
        assert (evidence >= critical) == (share >= scan.visible(critical))
        if evidence >= critical:
            assert scan.gaps(first(400, 800))[0] == pytest.approx(share, abs=0.05)
    assert scan.visible(1e6) == 1


def test_relabelling_is_exact() -> None:
    values = np.zeros(40, np.float32)
    values[[0, 1, 2, 3, 4, 5, 30]] = 1  # six of seven among the first twenty
    p = permuted(lambda labels: values @ labels, 20, 40_000, 1, np.random.default_rng(0))
    assert p == pytest.approx(hypergeom.sf(5, 40, 7, 20), abs=0.005)
    drawn = permuted(lambda labels: values @ labels, 20, 100_000, 1e-4, np.random.default_rng(0))
    assert drawn > 1e-4  # stopped early, and said so


def test_missed_rows_are_those_of_the_table_that_was_given(world) -> None:  # type: ignore[no-untyped-def]
    train, holdout, synthetic = world(3, defect=np.abs)
    broken = Features(train.values.copy(), train.names, train.patients)
    broken.values[::10] = np.nan
    lonely, held = missed(broken, holdout, synthetic)
    assert len(held) and held.max() < len(holdout)
    assert not set(lonely) & set(range(0, 200, 10))
    distance = np.linalg.norm(train.values[lonely][:, None] - synthetic.values[None], axis=-1).min(1)
    rest = np.setdiff1d(np.arange(200), [*lonely, *range(0, 200, 10)])
    near = np.linalg.norm(train.values[rest][:, None] - synthetic.values[None], axis=-1).min(1)
    assert distance.mean() > 1.5 * near.mean()
    assert not any(map(len, missed(train.take(np.arange(0)), holdout, synthetic)))
    assert not any(map(len, missed(train, holdout, synthetic.take(np.arange(0)))))
