"""The statistics: metrics against scikit-learn, intervals against simulation, findings against plants."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from ganatomy.core.errors import RunError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.verdict import DO_NOT_USE, NO_GAIN, UNDECIDED, USE, decide
from ganatomy.utility.arms import ARMS
from ganatomy.utility.statistics import (
    auc,
    average_precision,
    balanced_accuracy,
    compare,
    findings,
    interval,
    patients_per_class,
    resamples,
    smallest_visible_effect,
)

NO_COPIES = Finding("copying", "copies of training images", value=0.0, state="pass")  # without it nothing may be used


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


def binormal(chance, n, shift, correlation, cluster=1):
    """Codes, patients and the scores of two classifiers whose true AUC is ndtr(shift / sqrt 2)."""
    patients = np.repeat(np.arange(sum(n)), cluster)
    codes = np.repeat(np.repeat([1, 0], n), cluster)
    within = 0.6 if cluster > 1 else 1.0

    def noise():
        return np.sqrt(within) * chance.normal(size=sum(n))[patients] + np.sqrt(1 - within) * chance.normal(
            size=len(patients)
        )

    shared = np.sqrt(correlation) * noise()
    pair = [shared + np.sqrt(1 - correlation) * noise() + shift * codes for _ in range(2)]
    return codes, patients.astype(str), [np.stack([-s, s], axis=1)[None] for s in pair]


def test_patients_with_many_images_widen_the_interval():
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
def test_the_interval_covers_the_truth_as_often_as_it_says(paired):
    chance, hits, runs = np.random.default_rng(0), 0, 150
    truth = 0.0 if paired else ndtr(1.2 / np.sqrt(2))
    for _ in range(runs):
        codes, patients, (p, q) = binormal(chance, (15, 30), 1.2, 0.7)
        drawn = resamples(codes, patients, 400)
        values = auc(p, codes, drawn.weights, 1) - (auc(q, codes, drawn.weights, 1) if paired else 0)
        low, high = interval(values, drawn.strata, accelerated=not paired)
        hits += low <= truth <= high
    assert 0.90 <= hits / runs <= 0.995


def test_seeds_that_differ_beyond_the_test_patients_widen_the_interval():
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


def predictions(patients=(150, 150), *, better=None, classifiers=("cnn",), images=1, seeds=2, same=False):
    """Simulated predictions: every arm separates the classes by 1.2 deviations, but for those in `better`."""
    chance = np.random.default_rng(0)
    names = [f"class{i}" for i in range(len(patients))]
    codes = np.repeat(np.repeat(np.arange(len(patients)), patients), images)
    who = np.repeat(np.arange(sum(patients)), images)
    shared = chance.normal(size=(len(codes), len(names)))
    frames = []
    for classifier in classifiers:
        for arm in ARMS[classifier]:
            shift = 1.2 + (better or {}).get(arm, 0.0)
            for number in range(seeds):
                own = np.zeros_like(shared) if same else 0.4 * chance.normal(size=shared.shape)
                logits = 0.7 * shared + own + shift * np.eye(len(names))[codes]
                p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                frame = {"classifier": classifier, "arm": arm, "seed": number}
                frame |= {"path": [f"{i}.png" for i in range(len(codes))], "patient": [f"p{i}" for i in who]}
                frame |= {
                    "class": [names[c] for c in codes],
                    "predicted": [names[c] for c in p.argmax(axis=1)],
                }
                frames.append(pd.DataFrame(frame | {f"p.{name}": p[:, c] for c, name in enumerate(names)}))
    return pd.concat(frames, ignore_index=True)


def judged(frame, **kwargs):
    scores, differences = compare(frame, "class1", replicates=600)
    found = findings(frame, scores, differences, **kwargs)
    return {f.name: f for f in found if f.name in ("gain", "harm")}, found


def test_a_planted_gain_is_found():
    two, found = judged(predictions(better={"classical + synthetic": 0.6}))
    assert (two["gain"].state, two["harm"].state) == (PASS, PASS)
    assert two["gain"].low > 0 and two["gain"].subject == "classical + synthetic"
    assert two["gain"].note.startswith("AUC 0.") and " with synthetic images against 0." in two["gain"].note
    assert decide([*found, NO_COPIES]).word == USE


def test_a_planted_harm_is_found():
    two, found = judged(predictions(better={"classical + synthetic": -0.6}))
    assert (two["gain"].state, two["harm"].state) == (FAIL, FAIL)
    assert two["harm"].high < 0 and "classical augmentation" in two["harm"].note
    assert decide([*found, NO_COPIES]).word == DO_NOT_USE


def test_equal_arms_show_neither():
    two, found = judged(predictions((900, 900), seeds=1))
    assert (two["gain"].state, two["harm"].state) == (FAIL, PASS)
    assert decide([*found, NO_COPIES]).word == NO_GAIN


def test_identical_predictions_are_no_gain_and_no_harm():
    two, _ = judged(predictions((30, 30), same=True))
    assert (two["gain"].value, two["gain"].low, two["gain"].high) == (0, 0, 0)
    assert (two["gain"].state, two["harm"].state) == (FAIL, PASS)


@pytest.mark.parametrize("arm", ["real", "class weights", "duplicates", "SMOTE", "classical"])
def test_one_arm_as_good_takes_the_gain_away_and_is_named(arm):
    two, _ = judged(predictions(better={"classical + synthetic": 0.6, arm: 0.6}))
    assert two["gain"].state == FAIL
    spoken = {"real": "the real images alone", "classical": "classical augmentation"}.get(arm, arm)
    assert f"with {spoken}, the best other arm" in two["gain"].note


def test_harm_against_the_control_stands_whatever_the_other_arms_do():
    two, _ = judged(predictions(better={"classical": 0.6}))
    assert two["harm"].state == FAIL
    two, _ = judged(predictions((900, 900), better={"SMOTE": 0.6}, seeds=1))
    assert two["harm"].state == PASS


def test_a_small_test_set_is_undecided_and_says_what_size_would_decide():
    two, found = judged(predictions((60, 31)))
    assert two["harm"].state == INCONCLUSIVE
    assert "on 31 test patients with 'class1'; about " in two["harm"].note
    assert "to tell a difference of 0.02" in two["harm"].note
    half, need = (two["harm"].high - two["harm"].low) / 2, int(two["harm"].note.split("about ")[1].split()[0])
    assert need == pytest.approx(31 * (half / 0.02) ** 2, rel=0.06)
    assert decide([*found, NO_COPIES]).word == UNDECIDED


def test_a_tiny_test_set_is_undecided_even_where_its_interval_is_clear():
    frame = predictions((40, 4), better={"classical + synthetic": 9.0})
    two, found = judged(frame)
    assert two["gain"].state == two["harm"].state == INCONCLUSIVE
    assert "4 test patients with 'class1' cannot carry" in two["gain"].note
    assert decide([*found, NO_COPIES]).word == UNDECIDED


def test_many_images_of_few_patients_stay_few():
    two, _ = judged(predictions((6, 6), better={"classical + synthetic": 2.0}, images=30))
    assert two["gain"].state == INCONCLUSIVE and two["gain"].n_patients == 12 and two["gain"].n_images == 360


def test_a_test_set_without_a_class_is_not_computed():
    frame = predictions((40, 40))
    frame = frame[frame["class"] == "class0"]
    two, found = judged(frame)
    assert two["gain"].state == two["harm"].state == NOT_COMPUTED and len(found) == 2
    assert "no test patient with 'class1'" in two["harm"].note
    assert decide([*found, NO_COPIES]).word == UNDECIDED


def test_a_trial_without_synthetic_images_is_not_computed():
    frame = predictions((40, 40))
    two, found = judged(frame[frame["arm"] != "classical + synthetic"])
    assert two["gain"].state == two["harm"].state == NOT_COMPUTED
    assert sum(f.name == "AUC, cnn" for f in found) == 5


def test_every_arm_and_metric_is_described_beside_the_real_arm():
    frame = predictions((40, 40), classifiers=("cnn", "logistic"))
    scores, differences = compare(frame, "class1", replicates=100)
    assert len(scores) == (6 + 5) * 3 and len(differences) == (5 + 4) * 3
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()
    described = [f for f in findings(frame, scores, differences) if f.name not in ("gain", "harm")]
    assert len(described) == 33
    real = {f.name: f.value for f in described if f.subject == "real"}
    assert all(f.yardstick == real[f.name] for f in described)
    row = differences[(differences["against"] == "real") & (differences["metric"] == "auc")].iloc[0]
    of = scores[(scores["classifier"] == "cnn") & (scores["metric"] == "auc")].set_index("arm")["value"]
    assert row["value"] == pytest.approx(of["classical + synthetic"] - of["real"])


def test_the_verdict_is_of_the_primary_classifier_alone():
    frame = predictions((150, 150), better={"synthetic": 0.8}, classifiers=("cnn", "logistic"))
    assert judged(frame)[0]["gain"].state == FAIL
    assert judged(frame, primary=("logistic", "auc"))[0]["gain"].state == PASS


def test_three_classes_are_compared():
    two, _ = judged(predictions((80, 60, 50), better={"classical + synthetic": 0.8}))
    assert two["gain"].state == PASS
    assert patients_per_class(predictions((8, 6, 5), images=3)) == {"class0": 8, "class1": 6, "class2": 5}


def test_the_same_predictions_give_the_same_numbers():
    frame = predictions((20, 20))
    first, again = compare(frame, "class1", 200), compare(frame, "class1", 200)
    pd.testing.assert_frame_equal(first[0], again[0])
    pd.testing.assert_frame_equal(first[1], again[1])


def test_fits_that_are_not_paired_are_refused():
    frame = predictions((20, 20))
    with pytest.raises(RunError, match="not of the same seeds and images"):
        compare(frame[~((frame["arm"] == "SMOTE") & (frame["seed"] == 1))], "class1", 50)
    with pytest.raises(RunError, match="not of the same seeds and images"):
        compare(frame[~((frame["arm"] == "SMOTE") & (frame["path"] == "3.png"))], "class1", 50)


def test_the_visible_effect_is_that_of_hanley_and_mcneil():
    # their table: AUC 0.85 with 50 and 50 has a standard error of about 0.039
    error = smallest_visible_effect([50, 50], 0.85, correlation=0.5, power=0.5) / 1.959964
    assert error == pytest.approx(0.0384, abs=1e-3)
    sizes = [smallest_visible_effect([n, 3 * n]) for n in (10, 40, 160)]
    assert sizes[0] / sizes[1] == pytest.approx(2, rel=0.05) and sizes[1] / sizes[2] == pytest.approx(2, rel=0.05)
    assert smallest_visible_effect([0, 50]) == float("inf")


def test_the_visible_effect_is_what_a_trial_of_that_size_shows():
    chance, shown = np.random.default_rng(1), 0
    effect = smallest_visible_effect([40, 40], area=0.80, correlation=0.5)
    before, after = np.sqrt(2) * ndtri(np.array([0.80 - effect / 2, 0.80 + effect / 2]))
    for _ in range(60):
        codes, patients, (p, q) = binormal(chance, (40, 40), before, 0.5)
        p = p + (after - before) * np.stack([-codes, codes], axis=1)
        drawn = resamples(codes, patients, 300)
        shown += interval(auc(p, codes, drawn.weights, 1) - auc(q, codes, drawn.weights, 1), drawn.strata)[0] > 0
    assert 0.6 <= shown / 60 <= 0.95
