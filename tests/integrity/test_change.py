"""Paired statistics over patients: against closed forms, SciPy and scikit-learn, and how often limits are wrong."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from ganatomy.integrity.change import Real, area, associated, lost, median_interval, share, shifts
from ganatomy.integrity.features import Features


def people(patients: int, images: int = 1, k: int = 2) -> Real:
    """Classes of equally many patients with equally many images."""
    codes = np.repeat(np.arange(k), patients * images)
    return Real(codes, np.repeat(np.arange(k * patients), images), k)


def test_classes_weigh_the_same_and_patients_vary_together() -> None:
    real = Real(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2]), 2)
    value, variance = real.mean(np.array([1.0, 1.0, 0.0, 1.0]))
    assert value == pytest.approx((2 / 3 + 1) / 2)
    # influences: (1/6)(1/3) twice for patient 0, (1/6)(-2/3) for patient 1, 0 for patient 2
    assert variance == pytest.approx((2 * (1 / 9) ** 2) * 3 / 2)
    assert real.patients == 1 and real.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("hits", [0, 3, 20])
def test_the_share_of_independent_images_has_clopper_and_pearsons_interval(hits: int) -> None:
    n = 200
    real = Real(np.zeros(n, np.int64), np.arange(n), 1)
    value, low, high = share(np.arange(n) < hits, real, 0.05)
    exact = binomtest(hits, n).proportion_ci(0.95, "exact")
    assert (value, low, high) == pytest.approx((hits / n, exact.low, exact.high), rel=0.03, abs=1e-4)


def test_images_of_one_patient_that_agree_count_once() -> None:
    hits = np.arange(40) % 4 == 0
    one = share(hits, people(20), 0.05)
    many = share(np.repeat(hits, 10), people(20, 10), 0.05)
    assert many == pytest.approx(one, rel=0.12)


def test_accuracy_lost_is_that_of_scikit_learn_and_no_change_is_still_uncertain() -> None:
    draw = np.random.default_rng(0)
    real = people(100)
    before, after = draw.random(200) < 0.8, draw.random(200) < 0.6
    value, low, high = lost(before, after, real, 0.05)
    scores = [balanced_accuracy_score(real.codes, np.where(x, real.codes, 1 - real.codes)) for x in (before, after)]
    assert value == pytest.approx(scores[0] - scores[1])
    assert low < value < high and high - low == pytest.approx(2 * 1.96 * np.sqrt(0.52 / 200), rel=0.15)
    same = lost(before[:20], before[:20], people(10), 0.05)
    assert same[0] == 0 and same[1] < -0.05 and same[2] > 0.05


@pytest.mark.parametrize("k", [2, 3])
def test_the_area_is_scikit_learns_and_its_influences_sum_to_nothing_and_have_delongs_variance(k: int) -> None:
    draw = np.random.default_rng(1)
    real = people(60, 1, k)
    logits = draw.normal(size=(60 * k, k)) + 1.0 * np.eye(k)[real.codes]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    value, influence = area(p, real)
    theirs = roc_auc_score(real.codes, p[:, 1]) if k == 2 else roc_auc_score(real.codes, p, multi_class="ovr")
    assert value == pytest.approx(theirs) and influence.sum() == pytest.approx(0, abs=1e-12)
    boot = []
    for _ in range(300):
        rows = np.concatenate([draw.choice(np.flatnonzero(real.codes == c), 60) for c in range(k)])
        boot.append(area(p[rows], real)[0])
    assert np.sqrt(real.variance(influence)) == pytest.approx(np.std(boot), rel=0.15)


def test_features_go_with_the_class_if_they_do() -> None:
    draw = np.random.default_rng(2)
    real = people(100, 2)
    person = np.repeat(draw.normal(size=(200, 40)), 2, 0)
    values = person + 0.3 * draw.normal(size=person.shape)
    values[:, 0] += 1.0 * real.codes
    values[:, 1] -= 1.0 * real.codes
    values[:30, 2] = np.nan
    found = associated(values, real)
    assert found[:2].all() and found[2:].sum() <= 2
    crowd = people(3000)
    weak = draw.normal(size=(6000, 2)) + crowd.codes[:, None] * [0.2, 0.8]
    assert associated(weak, crowd).tolist() == [False, True]  # an AUC of 0.56 is shown, and too small
    few = people(15, 20)  # many images of few patients say little
    chance = [associated(np.repeat(draw.normal(size=(30, 20)), 20, 0), few).mean() for _ in range(20)]
    assert np.mean(chance) < 0.02


def test_a_shift_counts_in_spreads_within_the_class_and_a_patient_counts_once() -> None:
    draw = np.random.default_rng(3)
    real = people(50, 3)
    x = draw.normal(size=(300, 4)) * [1, 10, 1, 0] + 100.0 * real.codes[:, None]
    x[:, 3] = 5.0
    y = x + np.array([0.5, 0.5, 0, 1])
    y[:40, 2] = np.nan
    names = ("a", "b", "c", "d")
    moved, varies, gone = shifts(Features(x, names), Features(y, names), real)
    assert varies.tolist() == [True, True, True, False] and gone == pytest.approx([0, 0, 40 / 300, 0])
    assert moved[0] == pytest.approx(0.5, rel=0.15) and moved[1] == pytest.approx(0.05, rel=0.15)
    assert [len(m) for m in moved] == [100, 100, 87, 0] and (moved[2] == 0).all()


def test_the_interval_of_a_median_is_exact() -> None:
    x = np.arange(1.0, 12.0)  # of 11, the 2nd and the 10th: 1 - 2 P(Bin(11, 1/2) <= 1) = 0.988
    assert median_interval(x, 0.05) == (6.0, 2.0, 10.0)
    assert median_interval(x[:4], 0.05)[1:] == (-np.inf, np.inf)
    draw = np.random.default_rng(4)
    inside = [
        low <= 0 <= high for _, low, high in (median_interval(draw.standard_cauchy(25), 0.1) for _ in range(2000))
    ]
    assert 0.9 <= np.mean(inside) < 0.96


@pytest.mark.parametrize(("patients", "images", "alike"), [(150, 1, 0.0), (15, 10, 0.6)])
def test_limits_are_wrong_no_more_often_than_they_say(patients: int, images: int, alike: float) -> None:
    draw, loss, turned, real = np.random.default_rng(5), 0.05, 0.12, people(patients, images)
    wrong = {"lost": 0, "kept": 0, "share": 0}
    runs = 300
    for _ in range(runs):
        own = np.repeat(draw.normal(size=2 * patients), images)
        u = norm.cdf(np.sqrt(alike) * own + np.sqrt(1 - alike) * draw.normal(size=len(own)))
        to_wrong, to_right = u < (turned + loss) / 2, u > 1 - (turned - loss) / 2
        before = to_wrong | ~to_right & (draw.random(len(u)) < 0.8)
        after = to_right | ~to_wrong & before
        wrong["lost"] += lost(before, after, real, 0.1)[1] > loss  # a failure at level 0.05
        wrong["kept"] += lost(before, after, real, 0.05)[2] < loss  # a pass at 0.025
        wrong["share"] += share(before != after, real, 0.1)[1] > turned
    assert wrong["lost"] <= 24 and wrong["share"] <= 26 and wrong["kept"] <= 16  # 99.8 % of 300 at 0.05, at 0.025
