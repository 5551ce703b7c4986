"""The statistics: findings against plants, and the size of a trial against simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from ganatomy.core.errors import RunError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.verdict import DO_NOT_USE, NO_GAIN, UNDECIDED, USE, decide
from ganatomy.utility.arms import ARMS
from ganatomy.utility.metrics import auc, interval, resamples
from ganatomy.utility.statistics import compare, findings, patients_per_class, smallest_visible_effect

NO_COPIES = Finding("copying", "copies of training images", value=0.0, state="pass")  # without it nothing may be used


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
    spoken = {
        "real": "the real images alone",
        "duplicates": "repeated real images",
        "classical": "classical augmentation",
    }.get(arm, arm)
    assert f"with {spoken}, the best other way of training" in two["gain"].note


def test_harm_against_the_control_stands_whatever_the_other_arms_do():
    two, _ = judged(predictions(better={"classical": 0.6}))
    assert two["harm"].state == FAIL
    two, _ = judged(predictions((900, 900), better={"SMOTE": 0.6}, seeds=1))
    assert two["harm"].state == PASS


def test_a_small_test_set_is_undecided_and_says_what_size_would_decide():
    two, found = judged(predictions((60, 31)))
    assert two["harm"].state == INCONCLUSIVE
    assert "on 31 test patients with 'class1'; about " in two["harm"].note
    assert "such patients would be needed to tell a change of 0.02" in two["harm"].note
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


def test_no_interval_reaches_past_what_a_metric_can_be():
    frame = predictions((100, 100), better=dict.fromkeys(ARMS["cnn"], 1.5))  # nearly all are right
    scores, _ = compare(frame, "class1", replicates=200)
    assert scores["high"].max() == 1.0  # some were cut
    assert (scores["high"] >= scores["value"]).all() and (scores["low"] >= 0).all()


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


def test_the_visible_effect_is_what_a_trial_of_that_size_shows(binormal):
    chance, shown = np.random.default_rng(1), 0
    effect = smallest_visible_effect([40, 40], area=0.80, correlation=0.5)
    before, after = np.sqrt(2) * ndtri(np.array([0.80 - effect / 2, 0.80 + effect / 2]))
    for _ in range(60):
        codes, patients, (p, q) = binormal(chance, (40, 40), before, 0.5)
        p = p + (after - before) * np.stack([-codes, codes], axis=1)
        drawn = resamples(codes, patients, 300)
        shown += interval(auc(p, codes, drawn.weights, 1) - auc(q, codes, drawn.weights, 1), drawn.strata)[0] > 0
    assert 0.6 <= shown / 60 <= 0.95
