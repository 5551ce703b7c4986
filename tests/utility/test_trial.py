"""The trial: pairing, resumption, the wall around the test role, thresholds, the feature classifier."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from ganatomy.core.errors import InputError, RunError, TrainingError
from ganatomy.utility import trial
from ganatomy.utility.arms import training
from ganatomy.utility.trial import Unseen, logistic, plan, run_trial, threshold

CLASSES = ("benign", "malignant")


def sample(n, share, seed, d=4):
    """Images and features whose first feature carries the class."""
    chance = np.random.default_rng(seed)
    codes = (np.arange(n) < share * n).astype(np.int64)
    features = chance.normal(size=(n, d))
    features[:, 0] += 1.5 * codes
    images = np.tanh(features[:, :1, None, None] * np.ones((1, 1, 2, 2))).astype(np.float32)
    return images, features, codes


def unseen(n, share, seed, name):
    images, features, codes = sample(n, share, seed)
    return Unseen(images, features, codes, [f"{name}{i}.png" for i in range(n)], [f"{name}{i // 2}" for i in range(n)])


@pytest.fixture
def setting():
    images, features, _ = sample(20, 1.0, 9)
    return {
        "classes": CLASSES,
        "real": training(*sample(40, 0.25, 1)),
        "synthetic": training(images, features, [1] * 20),
        "select": unseen(30, 0.5, 2, "s"),
        "test": unseen(24, 0.5, 3, "t"),
    }


class Recorder:
    """A classifier that notes what it was given, and predicts with the mean pixel and the seed."""

    def __init__(self):
        self.given = []

    def __call__(self, data, seed):
        self.given.append((data, seed))

        def predict(images, features):
            p = 1 / (1 + np.exp(-images.mean(axis=(1, 2, 3)) - 0.01 * seed))
            return np.stack([1 - p, p], axis=1)

        return predict


def test_every_arm_meets_the_same_seeds_and_test_images(setting):
    frame = run_trial(**setting, fits={"cnn": Recorder(), "logistic": logistic}, seeds=(0, 1))
    assert list(frame.columns[:7]) == ["classifier", "arm", "seed", "path", "patient", "class", "predicted"]
    assert list(frame.columns[7:]) == ["p.benign", "p.malignant"]
    assert len(frame) == (6 + 5) * 2 * 24
    seeds = frame.groupby(["classifier", "arm"])["seed"].unique()
    assert all(list(s) == [0, 1] for s in seeds)
    for _, fit in frame.groupby(["classifier", "arm", "seed"]):
        assert list(fit["path"]) == list(setting["test"].paths)
    assert set(frame.loc[frame["classifier"] == "logistic", "arm"]).isdisjoint({"classical", "classical + synthetic"})


def test_a_fit_sees_training_images_alone(setting):
    recorder = Recorder()
    run_trial(**setting, fits={"cnn": recorder}, seeds=(0,))
    hidden = {float(v) for role in ("select", "test") for v in setting[role].images[:, 0, 0, 0]}
    assert len(recorder.given) == 6
    for data, _ in recorder.given:
        assert hidden.isdisjoint(float(v) for v in data.images[:, 0, 0, 0])


def test_the_labels_of_the_test_role_change_nothing_but_their_own_column(setting):
    before, after = Recorder(), Recorder()
    frame = run_trial(**setting, fits={"cnn": before, "logistic": logistic}, seeds=(0,))
    test = setting["test"]
    turned = Unseen(test.images, test.features, 1 - test.codes, test.paths, test.patients)
    again = run_trial(**(setting | {"test": turned}), fits={"cnn": after, "logistic": logistic}, seeds=(0,))
    pd.testing.assert_frame_equal(frame.drop(columns="class"), again.drop(columns="class"))
    assert (frame["class"] != again["class"]).all()
    for (a, _), (b, _) in zip(before.given, after.given, strict=True):
        np.testing.assert_array_equal(a.codes, b.codes)


def test_a_stopped_trial_goes_on_where_it_stood(setting):
    whole = run_trial(**setting, fits={"cnn": Recorder()}, seeds=(0, 1))
    written, done = [], {}

    def stop(*args):
        *key, frame = args
        done[tuple(key)] = frame
        if len(done) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(**setting, fits={"cnn": Recorder()}, seeds=(0, 1), on_done=stop)
    second, ticks = Recorder(), []
    frame = run_trial(
        **setting,
        fits={"cnn": second},
        seeds=(0, 1),
        done=done,
        on_done=lambda *args: written.append(args[:3]),
        bar=lambda count=1, note="": ticks.append((count, note)),
    )
    pd.testing.assert_frame_equal(frame, whole)
    assert written == plan(["cnn"], (0, 1))[5:]
    assert len(second.given) == len(ticks) == 12 - 5


def test_predictions_of_another_test_set_are_refused(setting):
    done = {}
    run_trial(
        **setting,
        fits={"cnn": Recorder()},
        seeds=(0,),
        on_done=lambda c, a, s, f: done.update({(c, a, s): f}),
    )
    other = setting | {"test": unseen(24, 0.5, 3, "other")}
    with pytest.raises(RunError, match="other test images"):
        run_trial(**other, fits={"cnn": Recorder()}, seeds=(0,), done=done)


def test_without_synthetic_images_the_other_arms_run(setting):
    given = setting | {"synthetic": None}
    frame = run_trial(**given, fits={"cnn": Recorder()}, seeds=(0,), counts=[30, 30])
    assert set(frame["arm"]) == {"real", "class weights", "duplicates", "SMOTE", "classical"}


def test_what_cannot_be_tried_is_said(setting):
    with pytest.raises(InputError, match="'unknown' has no training image"):
        run_trial(**(setting | {"classes": (*CLASSES, "unknown")}), fits={"cnn": Recorder()}, seeds=(0,))
    nothing = Unseen(np.empty((0, 1, 2, 2), np.float32), np.empty((0, 4)), np.empty(0, np.int64), [], [])
    with pytest.raises(InputError, match="role 'test'"):
        run_trial(**(setting | {"test": nothing}), fits={"cnn": Recorder()}, seeds=(0,))

    def broken(data, seed):
        return lambda images, features: np.full((len(images), 2), np.nan)

    with pytest.raises(TrainingError, match="'real', seed 0: the probabilities are not finite"):
        run_trial(**setting, fits={"cnn": broken}, seeds=(0,))


def test_the_threshold_is_the_best_of_all_on_the_select_role():
    chance = np.random.default_rng(0)
    for _ in range(20):
        positive = chance.random(25) < 0.3
        if positive.all() or not positive.any():
            continue
        p = np.round(chance.random(25) * 0.3 + 0.1 * positive, 2)  # with ties, and far from 0.5
        best = max(balanced_accuracy_score(positive, p >= t) for t in np.unique(p))
        assert balanced_accuracy_score(positive, p >= threshold(p, positive)) == pytest.approx(best)


def test_the_threshold_is_one_half_where_there_is_nothing_to_choose_by():
    assert threshold(np.array([]), np.array([], dtype=bool)) == 0.5
    assert threshold(np.array([0.1, 0.2]), np.array([True, True])) == 0.5
    assert threshold(np.array([0.3, 0.3]), np.array([True, False])) == 0.5


def test_the_threshold_comes_from_select_not_from_test(setting):
    select = setting["select"]
    frame = run_trial(**setting, fits={"cnn": Recorder()}, seeds=(0,))
    p = Recorder()(None, 0)(select.images, select.features)[:, 1]
    expected = np.where(frame["p.malignant"] >= threshold(p, select.codes == 1), "malignant", "benign")
    assert list(frame["predicted"]) == list(expected)


def test_without_select_images_the_threshold_is_one_half(setting):
    nothing = Unseen(np.empty((0, 1, 2, 2), np.float32), np.empty((0, 4)), np.empty(0, np.int64), [], [])
    frame = run_trial(**(setting | {"select": nothing}), fits={"logistic": logistic}, seeds=(0,))
    assert ((frame["p.malignant"] > 0.5) == (frame["predicted"] == "malignant")).all()


def test_three_classes_are_decided_by_the_largest_probability(setting):
    def fit(data, seed):
        return lambda images, features: np.eye(3)[np.arange(len(images)) % 3] * 0.4 + 0.2

    codes = np.arange(24) % 3
    images, features, _ = sample(24, 0.5, 3)
    test = Unseen(images, features, codes, [f"{i}" for i in range(24)], [f"{i}" for i in range(24)])
    frame = run_trial(
        ("a", "b", "c"),
        training(images, features, codes),
        None,
        test,
        test,
        fits={"cnn": fit},
        seeds=(0,),
        counts=[8, 8, 8],
    )
    assert list(frame["predicted"]) == list(frame["class"])


def test_logistic_is_weighted_l2_regression_on_standardised_features():
    images, features, codes = sample(60, 0.3, 5)
    data = training(images, features, codes)
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = LogisticRegression(C=1 / (0.01 * 60)).fit(z, codes).predict_proba(z)
    np.testing.assert_allclose(logistic(data, 0)(images, features), expected, atol=1e-3)
    np.testing.assert_allclose(  # units of a feature do not matter
        logistic(training(images, features * [1, 1e6, 1e-6, 1], codes), 0)(images, features * [1, 1e6, 1e-6, 1]),
        expected,
        atol=1e-3,
    )


def test_logistic_knows_no_difference_between_weights_and_copies():
    images, features, codes = sample(40, 0.25, 6)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    twice = training(np.repeat(images, 2, axis=0), np.repeat(features, 2, axis=0), np.repeat(codes, 2))
    p, q = (logistic(data, 0)(images, features) for data in (training(images, features, codes), twice))
    np.testing.assert_allclose(p, q, atol=1e-4)  # more of the same is not regularised less


def test_logistic_imputes_what_is_missing_with_the_training_median():
    images, features, codes = sample(41, 0.3, 7)
    features[:, 3] = np.nan  # nowhere known
    features[0, 0] = np.inf
    predict = logistic(training(images, features, codes), 0)
    median = np.nanmedian(np.where(np.isinf(features[:, 0]), np.nan, features[:, 0]))
    a, b = features[:1].copy(), features[:1].copy()
    a[0, 0], b[0, 0] = np.nan, median
    np.testing.assert_allclose(predict(images[:1], a), predict(images[:1], b))


def test_a_regression_that_does_not_converge_is_tried_again_and_then_said(monkeypatch):
    images, features, codes = sample(40, 0.3, 8)
    data = training(images, features, codes)
    expected = logistic(data, 0)(images, features)
    fit, tried = LogisticRegression.fit, []

    def stubborn(solvers):
        def wrapped(self, *args, **kwargs):
            tried.append(self.solver)
            if self.solver in solvers:
                warnings.warn("no convergence", ConvergenceWarning, stacklevel=1)
            return fit(self, *args, **kwargs)

        return wrapped

    monkeypatch.setattr(trial.LogisticRegression, "fit", stubborn(("lbfgs",)))
    np.testing.assert_allclose(logistic(data, 0)(images, features), expected, atol=1e-3)
    assert tried == ["lbfgs", "newton-cg"]
    monkeypatch.setattr(trial.LogisticRegression, "fit", stubborn(("lbfgs", "newton-cg")))
    with pytest.raises(TrainingError, match="did not converge"):
        logistic(data, 0)
