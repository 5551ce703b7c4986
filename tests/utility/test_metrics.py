"""The metrics against scikit-learn, and their intervals against simulation."""

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from ganatomy.utility.metrics import auc, average_precision, balanced_accuracy, interval, resamples


def scored(kinds, n=60, seeds=3, ties=False, seed=0):
    """codes (n,), probabilities (S, n, K), weights (R, n): ones, then random integers, zeros among them."""
    chance = np.random.default_rng(seed)
    codes = np.arange(n) % kinds
    logits = chance.normal(size=(seeds, n, kinds)) + np.eye(kinds)[codes]
    logits = np.round(logits) if ties else logits
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    weights = np.concatenate([np.ones((1, n)), chance.integers(0, 4, (6, n))])
    return codes, np.round(p, 3) if ties else p, weights


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("kinds", [2, 3])
def test_metrics_equal_those_of_scikit_learn(kinds, ties):
    codes, p, weights = scored(kinds, ties=ties)
    predicted = p.argmax(axis=2)
    expected = {"auc": [], "ap": [], "ba": []}
    for w in weights:
        some = [0] if kinds == 2 else range(kinds)
        expected["auc"].append(
            np.mean([[roc_auc_score(codes == c, q[:, c], sample_weight=w) for q in p] for c in some])
        )
        expected["ap"].append(
            np.mean([[average_precision_score(codes == c, q[:, c], sample_weight=w) for q in p] for c in some])
        )
        expected["ba"].append(np.mean([balanced_accuracy_score(codes, q, sample_weight=w) for q in predicted]))
    np.testing.assert_allclose(auc(p, codes, weights, 0).mean(axis=0), expected["auc"], atol=1e-12)
    np.testing.assert_allclose(average_precision(p, codes, weights, 0).mean(axis=0), expected["ap"], atol=1e-12)
    np.testing.assert_allclose(balanced_accuracy(predicted, codes, weights).mean(axis=0), expected["ba"], atol=1e-12)


def test_macro_auc_is_scikit_learns_own():
    codes, p, weights = scored(3, seeds=1)
    assert auc(p, codes, weights, 0)[0, 0] == pytest.approx(
        roc_auc_score(codes, p[0], multi_class="ovr", average="macro")
    )


def test_resamples_keep_patients_whole_and_every_class():
    codes = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    patients = list("aabbccdde")  # d and e alone have class 1
    drawn = resamples(codes, patients, 500)
    assert drawn.weights.shape == (1 + 500 + 5, 9)
    assert (drawn.weights == drawn.weights.round()).all()
    for left, right in ((0, 1), (2, 3), (4, 5), (6, 7)):
        np.testing.assert_array_equal(drawn.weights[:, left], drawn.weights[:, right])
    once = drawn.weights[:, [0, 2, 4, 6, 8]]  # per patient
    assert (once[1:501, :3].sum(axis=1) == 3).all() and (once[1:501, 3:].sum(axis=1) == 2).all()
    assert (once[501:] == 1 - np.eye(5)).all()


def test_a_class_is_never_lost_where_patients_have_several():
    # class 2 has no stratum of its own: its patients are in those of 0 and 1, beside others who lack it
    codes = np.array([0, 2, 0, 1, 2, 1, 2, 0, 1, 2])
    patients = ["a", "a", "b", "c", "c", "d", "e", "f", "g", "h"]
    weights = resamples(codes, patients, 400).weights[:401]
    for code in range(3):
        assert (weights[:, codes == code].sum(axis=1) > 0).all()


def test_patients_with_many_images_widen_the_interval(binormal):
    ratio = []
    for seed in range(5):
        codes, patients, (p, _) = binormal(np.random.default_rng(seed), (15, 15), 1.2, 0.0, cluster=8)
        widths = []
        for unit in (patients, np.arange(len(codes)).astype(str)):
            drawn = resamples(codes, unit, 400)
            low, high = interval(auc(p, codes, drawn.weights, 1), drawn.strata, accelerated=True)
            widths.append(high - low)
        ratio.append(widths[0] / widths[1])
    assert min(ratio) > 1.3


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_covers_the_truth_as_often_as_it_says(binormal, paired):
    chance, hits, runs = np.random.default_rng(0), 0, 150
    truth = 0.0 if paired else ndtr(1.2 / np.sqrt(2))
    for _ in range(runs):
        codes, patients, (p, q) = binormal(chance, (15, 30), 1.2, 0.7)
        drawn = resamples(codes, patients, 400)
        values = auc(p, codes, drawn.weights, 1) - (auc(q, codes, drawn.weights, 1) if paired else 0)
        low, high = interval(values, drawn.strata, accelerated=not paired)
        hits += low <= truth <= high
    assert 0.90 <= hits / runs <= 0.995


def test_seeds_that_differ_beyond_the_test_patients_widen_the_interval(binormal):
    chance = np.random.default_rng(0)
    codes, patients, _ = binormal(chance, (60, 60), 1.2, 0.0)
    drawn = resamples(codes, patients, 300)
    base = chance.normal(size=120)

    def width(shifts, noise):
        z = np.stack([base + noise * chance.normal(size=120) + shift * codes for shift in shifts])
        values = auc(np.stack([-z, z], axis=2), codes, drawn.weights, 1)
        low, high = interval(values, drawn.strata)
        patients_low, patients_high = interval(values.mean(axis=0, keepdims=True), drawn.strata)
        return (high - low) / (patients_high - patients_low)

    assert width((0.2, 1.2, 2.2), 0.0) > 1.5  # training by luck
    assert width((1.2, 1.2, 1.2), 0.0) == 1.0
    many = [width((1.2, 1.2, 1.2), 0.6) for _ in range(20)]  # seeds that err on other patients, which is counted
    assert np.mean(many) < 1.1


def test_a_perfect_score_has_an_interval_without_width():
    codes, patients = np.array([0] * 12 + [1] * 12), [str(i) for i in range(24)]
    drawn = resamples(codes, patients, 100)
    assert interval(auc(np.eye(2)[codes][None], codes, drawn.weights, 1), drawn.strata, accelerated=True) == (
        1,
        1,
    )
