"""GANSampler keeps imbalanced-learn's contract on image arrays, learns from what it is given, and says no in words."""

import inspect
import pickle
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.utils import estimator_checks
from imblearn.utils._tags import get_tags
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ganatomy import read
from ganatomy import sampler as door
from ganatomy.core.cohort import TRAIN
from ganatomy.core.errors import InputError, TrainingError
from ganatomy.core.settings import flat
from ganatomy.data.augment import Symmetry
from ganatomy.generate import load_generator, save_generator
from ganatomy.jobs import train as job
from ganatomy.jobs.train import Train, learn
from ganatomy.sampler import ArrayError, GANSampler

TINY = {"steps": 2, "batch": 8, "latent": 4, "width": 4, "threads": 1, "random_state": 0}
N, RARE = 24, 7
LAYOUTS = {  # from (n, C, H, W), the only place where the images are made
    "n, H, W": (1, lambda x: x[:, 0], None),
    "n, 1, H, W": (1, lambda x: x, None),
    "n, C, H, W": (3, lambda x: x, None),
    "n, H, W, C": (3, lambda x: np.moveaxis(x, 1, -1), None),
    "n, C, H, W, said": (3, lambda x: x, (3, 8, 12)),
    "n, H, W, C, said": (3, lambda x: np.moveaxis(x, 1, -1), [8, 12, 3]),
    "flat H, W": (1, lambda x: x.reshape(len(x), -1), (8, 12)),
    "flat C, H, W": (3, lambda x: x.reshape(len(x), -1), (3, 8, 12)),
    "flat H, W, C": (3, lambda x: np.moveaxis(x, 1, -1).reshape(len(x), -1), (8, 12, 3)),
}


def cohort(channels: int = 1, space: tuple[int, int] = (8, 8), dtype: str = "int16") -> tuple[np.ndarray, np.ndarray]:
    """Images (N, C, H, W) around 1000, or 100 for 8 bit, and labels, RARE of them 'ill'; dtype: numpy's name."""
    rng = np.random.default_rng(3)
    centre, spread = (100, 20) if dtype == "uint8" else (1000, 100)
    x = rng.normal(centre, spread, (N, channels, *space)).astype(dtype)
    return x, np.array(["ill"] * RARE + ["well"] * (N - RARE))


def tiny(**changes: Any) -> GANSampler:
    return GANSampler(**{**TINY, **changes})


# ---- what comes back ----


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_images_in_its_own_layout(name: str) -> None:
    channels, laid_out, said = LAYOUTS[name]
    x, y = cohort(channels, (8, 12))
    given = laid_out(x)
    images, labels = tiny(image_shape=said).fit_resample(given, y)
    assert images.dtype == given.dtype
    assert images.shape == (2 * (N - RARE), *given.shape[1:])
    np.testing.assert_array_equal(images[:N], given)
    np.testing.assert_array_equal(labels[:N], y)
    assert Counter(labels[N:]) == {"ill": N - 2 * RARE}
    reference = tiny()
    reference.fit_resample(x, y)
    more = N - 2 * RARE
    np.testing.assert_array_equal(images[N:], laid_out(reference.generator_.images(["ill"] * more, range(more))))
    assert images[N:].std() > 0
    assert len(np.unique(images[N:].reshape(more, -1), axis=0)) == more, "every image is another one"


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float16", "float32", "float64"])
def test_type_and_unit_stay(dtype: str) -> None:
    x, y = cohort(dtype=dtype)
    before = x.copy()
    images, _ = tiny().fit_resample(x, y)
    assert images.dtype == dtype
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(images[:N], before)
    low, high = (0, 255) if dtype == "uint8" else (float(x.min()), float(x.max()))
    new = images[N:].astype(float)
    assert low <= new.min() < new.max() <= high
    assert abs(new.mean() - (low + high) / 2) < (high - low) / 4, "an untrained generator is near the middle"


def test_a_window_bounds_what_is_made_and_leaves_the_originals() -> None:
    x, y = cohort()
    images, _ = tiny(window=(900, 950)).fit_resample(x, y)
    np.testing.assert_array_equal(images[:N], x)
    assert 900 <= images[N:].min() < images[N:].max() <= 950
    assert x.max() > 950


@pytest.mark.parametrize(
    ("strategy", "made"),
    [
        ("auto", {"ill": 10}),
        ("minority", {"ill": 10}),
        ("all", {"ill": 10}),
        (0.5, {"ill": 1}),
        ({"ill": 9}, {"ill": 2}),
        ({"ill": 8, "well": 20}, {"ill": 1, "well": 3}),
        (lambda y: {"well": 30}, {"well": 13}),
    ],
)
def test_the_sampling_strategy_is_imbalanced_learns(strategy: Any, made: dict[str, int]) -> None:
    x, y = cohort()
    sampler = tiny(sampling_strategy=strategy)
    _, labels = sampler.fit_resample(x, y)
    assert Counter(labels[N:].tolist()) == made
    assert {label: count for label, count in sampler.sampling_strategy_.items() if count} == made
    assert Counter(sampler.seeds_.tolist()) == Counter(seed for count in made.values() for seed in range(count))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([10, 2, -1]),
        np.array([3, 2, 1], np.uint8),
        np.array([0.0, 1.0, 2.0]),
        np.array(["b", "a", "c"]),
        np.array(["b", "a", "c"], object),
    ],
)
def test_labels_of_any_type(labels: np.ndarray) -> None:
    x, _ = cohort()
    y = np.repeat(labels, [4, 12, 8])
    sampler = tiny()
    _, out = sampler.fit_resample(x, y)
    assert out.dtype == y.dtype
    assert Counter(out.tolist()) == dict.fromkeys(labels.tolist(), 12)
    np.testing.assert_array_equal(sampler.classes_, np.unique(labels))
    assert sampler.generator_.classes == [str(label) for label in np.unique(labels)]


def test_truth_values_as_labels() -> None:
    x, y = cohort()
    _, out = tiny().fit_resample(x, y == "ill")
    assert out.dtype == bool
    assert out.sum() == N - RARE


def test_frames_and_series_come_back_as_such() -> None:
    x, y = cohort()
    frame = pd.DataFrame(x.reshape(N, -1), columns=[f"pixel {i}" for i in range(64)])
    sampler = tiny(image_shape=(8, 8))
    images, labels = sampler.fit_resample(frame, pd.Series(y, name="class", dtype="category"))
    pd.testing.assert_frame_equal(images[:N], frame)
    assert labels.name == "class"
    assert labels.dtype == "category"
    assert sampler.feature_names_in_.tolist() == list(frame.columns)
    assert len(images) == len(labels) == 2 * (N - RARE)


def test_the_classes_are_not_mixed_up() -> None:
    """Dark images are 'ill', though the alphabet, the order of the rows and the counts say otherwise."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["well", "ill", "aged"], [30, 10, 20]))
    level = {"well": 200.0, "ill": 40.0, "aged": 120.0}
    x = np.stack([rng.normal(level[label], 10, (8, 8)) for label in y]).clip(0, 255).astype(np.uint8)
    images, labels = tiny(steps=150, batch=16, lr=2e-3).fit_resample(x, y)
    means = {label: images[60:][labels[60:] == label].mean() for label in ("ill", "aged")}
    assert means["ill"] == pytest.approx(40, abs=30)
    assert means["aged"] == pytest.approx(120, abs=30)


# ---- what is learned, and from what ----


def weights(sampler: GANSampler) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in sampler.generator_.net.state_dict().items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def test_the_random_state_decides_and_the_callers_chance_is_left_alone() -> None:
    x, y = cohort()
    out, random = [], []
    for state in (0, 0, 1, np.random.RandomState(0), np.random.RandomState(0)):
        sampler = tiny(random_state=state)
        torch.manual_seed(len(out))
        threads = torch.get_num_threads()
        out.append(sampler.fit_resample(x, y)[0])
        random.append(torch.rand(1).item() == torch.rand(1, generator=torch.Generator().manual_seed(len(out) - 1)))
        assert torch.get_num_threads() == threads
    assert all(random), "fit_resample moved torch's own random numbers"
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_array_equal(out[3], out[4])
    assert (out[0][N:] != out[2][N:]).any()
    assert (out[0][N:] != out[3][N:]).any()


def test_no_random_state_is_drawn_from_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = set()
    monkeypatch.setattr(door, "_learn", lambda x, y, names, settings, name: seeds.add(settings.loop.seed) or 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            tiny(random_state=None).fit_resample(*cohort())
    assert len(seeds) == 2


def test_the_weights_are_those_of_the_command_train(tmp_path: Path) -> None:
    """The two ways in must not drift apart: same images, order, classes and settings, same bits."""
    x, y = cohort(dtype="uint8")
    np.savez(tmp_path / "a.npz", images=x[:, 0], labels=y)
    real = read(f"{tmp_path / 'a.npz'}")
    real = type(real)(real.table.assign(role=TRAIN), real.name)
    changes = {key: value for key, value in TINY.items() if key != "random_state"} | {"window": (20.0, 200.0)}
    target = tmp_path / "train"
    target.mkdir()
    learn(real, Train().replace(seed=5, **changes), target)
    theirs = load_generator(target / "generator.safetensors")
    sampler = tiny(random_state=5, **changes)
    sampler.fit_resample(x[:, 0], y)
    assert same(weights(sampler), {key: value.numpy() for key, value in theirs.net.state_dict().items()})
    assert {**theirs.header, "kind": None} == {**sampler.generator_.header, "kind": None}
    other = tiny(random_state=5, **{**changes, "lr": 1e-3})
    other.fit_resample(x[:, 0], y)
    assert not same(weights(sampler), weights(other))


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 3), ("batch", 9), ("lr", 1e-3), ("gamma", 50), ("latent", 5), ("width", 5), ("window", [900, 1000])],
)
def test_every_setting_reaches_the_training(name: str, value: Any) -> None:
    x, y = cohort()
    fitted = [tiny(), tiny(**{name: value})]
    for sampler in fitted:
        sampler.fit_resample(x, y)
    assert not same(*(weights(sampler) for sampler in fitted))


def test_all_settings_are_handed_on_as_the_projects_own(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def learned(values: Any, codes: Any, names: Any, settings: Train, name: str) -> None:
        told.append((settings, name))
        raise InterruptedError

    monkeypatch.setattr(door, "_learn", learned)
    given = {"flip": False, "turn": np.True_, "steps": np.int64(7), "lr": np.float64(0.5), "latent": np.int32(9)}
    for more in (given, {"verbose": True}):
        with pytest.raises(InterruptedError):
            tiny(**more).fit_resample(*cohort())
    settings = told[0][0]
    assert (settings.symmetry.flip, settings.symmetry.turn, settings.loop.steps) == (False, True, 7)
    assert (settings.loop.lr, settings.model.latent, settings.loop.threads) == (0.5, 9, 1)
    assert {type(value) for value in (settings.loop.steps, settings.model.latent)} == {int}, (
        "or no header could hold it"
    )
    assert [name for _, name in told] == ["", "GANSampler"]


def test_the_symmetry_reaches_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def task(model: Any, symmetry: Symmetry, *_: Any) -> None:
        told.append(symmetry)
        raise InterruptedError

    monkeypatch.setattr(job, "Synthesis", task)
    for changes in ({}, {"flip": False, "turn": True}):
        with pytest.raises(InterruptedError):
            tiny(**changes).fit_resample(*cohort())
    assert told == [Symmetry(flip=True, turn=False), Symmetry(flip=False, turn=True)]


def test_images_are_drawn_with_the_threads_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last bits depend on them, and the caller's own number must not matter."""
    threads, images = [], door.Trained.images

    def counted(*args: Any) -> np.ndarray:
        threads.append(torch.get_num_threads())
        return images(*args)

    monkeypatch.setattr(door.Trained, "images", counted)
    tiny(threads=2).fit_resample(*cohort())
    assert (threads, torch.get_num_threads()) == ([2], 1)


def test_the_generator_makes_each_image_again_and_others(tmp_path: Path) -> None:
    x, y = cohort()
    sampler = tiny()
    images, labels = sampler.fit_resample(x, y)
    np.testing.assert_array_equal(sampler.generator_.images(labels[N:], sampler.seeds_), images[N:])
    save_generator(tmp_path / "g.safetensors", sampler.generator_.net, sampler.generator_.header)
    again = load_generator(tmp_path / "g.safetensors")
    np.testing.assert_array_equal(again.images(["ill"], [3])[0], images[N + 3])
    other = sampler.generator_.images(["well", "ill"], [3, 1000])
    assert other.shape == (2, 1, 8, 8)
    assert (other != images[N + 3]).any()


def test_classes_that_are_balanced_need_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_learn", None)
    x, _ = cohort()
    y = np.arange(N) % 2
    sampler = tiny()
    images, labels = sampler.fit_resample(x, y)
    np.testing.assert_array_equal(images, x)
    np.testing.assert_array_equal(labels, y)
    assert not np.shares_memory(images, x)
    assert sampler.generator_ is None
    assert sampler.seeds_.tolist() == []


# ---- scikit-learn's ways ----


def test_the_defaults_are_the_projects_own() -> None:
    known = {name: item.default for name, _, item in flat(Train)}
    parameters = inspect.signature(GANSampler).parameters
    assert set(door.SETTINGS) == set(parameters) - {"sampling_strategy", "image_shape", "random_state", "verbose"}
    for name in door.SETTINGS:
        assert parameters[name].default == known[name], name


def test_clone_parameters_and_pickle() -> None:
    x, y = cohort()
    sampler = tiny(window=[900, 1000], sampling_strategy={"ill": 9}, gamma=3)
    twin = clone(sampler)
    assert twin.get_params() == sampler.get_params()
    assert twin.set_params(steps=5).steps == 5
    images, _ = sampler.fit_resample(x, y)
    assert not hasattr(clone(sampler), "generator_")
    thawed = pickle.loads(pickle.dumps(sampler))
    np.testing.assert_array_equal(thawed.generator_.images(["ill"], [1])[0], images[N + 1])


def test_what_scikit_learn_is_told_of_the_input() -> None:
    axes, rows = (get_tags(sampler).input_tags for sampler in (GANSampler(), GANSampler(image_shape=(8, 8))))
    assert (axes.three_d_array, axes.two_d_array, axes.sparse) == (True, False, False)
    assert (rows.three_d_array, rows.two_d_array, rows.sparse) == (True, True, False)


def classifier(**changes: Any) -> Pipeline:
    return make_pipeline(tiny(**changes), StandardScaler(), LogisticRegression(max_iter=500))


def test_in_a_pipeline_with_cross_validation_and_search() -> None:
    x, y = cohort(dtype="float32")
    rows = x.reshape(N, -1)
    scores = cross_val_score(classifier(image_shape=(8, 8)), rows, y, cv=3, error_score="raise")
    assert scores.shape == (3,)
    search = GridSearchCV(
        classifier(image_shape=(8, 8)), {"gansampler__steps": [1, 2], "gansampler__window": [(), (900, 1000)]}, cv=2
    ).fit(rows, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(rows).shape == (N,), "nothing is sampled when predicting"


def test_images_with_axes_go_through_a_pipeline_too() -> None:
    x, y = cohort(3, dtype="float32")
    flatten = FunctionTransformer(lambda images: images.reshape(len(images), -1))
    pipe = make_pipeline(tiny(), flatten, StandardScaler(), LogisticRegression(max_iter=500))
    assert cross_val_score(pipe, x, y, cv=3, error_score="raise").shape == (3,)


@pytest.mark.parametrize("poisoned", ["held out", "training"])
def test_held_out_rows_never_reach_the_training(poisoned: str) -> None:
    """Poison in a held-out row changes no bit of the generator; in a training row it does, so the test can fail."""
    x, y = cohort(dtype="float32")
    rows = x.reshape(N, -1)
    train, test = np.arange(0, N, 2), np.arange(1, N, 2)
    bad = rows.copy()
    bad[test if poisoned == "held out" else train[:1]] = 1e6
    fitted = []
    for given in (rows, bad):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a classifier on poison may not converge
            done = cross_validate(classifier(image_shape=(8, 8)), given, y, cv=[(train, test)], return_estimator=True)
        fitted.append(done["estimator"][0]["gansampler"])
    clean, other = fitted
    assert clean.generator_.header["learned_from"] == dict(Counter(y[train].tolist()))
    alike = same(weights(clean), weights(other)) and clean.generator_.intensity == other.generator_.intensity
    assert alike is (poisoned == "held out")


# ---- words ----


def refused() -> dict[str, tuple[Any, Any, dict[str, Any], str]]:
    x, y = cohort()
    rows, images = x.reshape(N, -1), x[:, 0]
    broken = images.astype(float)
    broken[5, 2, 3] = np.nan
    endless = broken.copy()
    endless[5, 2, 3] = np.inf
    lone = np.array(["ill"] + ["well"] * (N - 1))
    objects = np.empty(N, object)
    objects[:] = [np.zeros((8, 8 + i)) for i in range(N)]
    return {
        "a table": (rows, y, {}, r"table of 64 columns.*image_shape=\(H, W\)"),
        "NaN": (broken, y, {}, "image 5 of X holds NaN"),
        "infinity": (endless, y, {}, "image 5 of X holds NaN or infinity"),
        "one class": (images, np.zeros(N), {}, "the one class 0.0; balancing needs at least two"),
        "one image": (images, lone, {}, "class 'ill' has one image"),
        "short": (images[:, :7], y, {}, r"\(7, 8\) are too small; 8 pixels"),
        "short, channels": (np.repeat(x[..., :7], 3, 1), y, {}, r"\(3, 8, 7\) is neither"),
        "narrow, channels": (np.zeros((N, 7, 9, 3)), y, {}, r"\(7, 9, 3\) is neither"),
        "thin": (np.zeros((N, 3, 7, 9)), y, {}, r"\(3, 7, 9\) are too small"),
        "volumes": (np.zeros((N, 9, 9, 9)), y, {}, r"\(9, 9, 9\) is neither.*volumes"),
        "volumes with channels": (np.zeros((N, 1, 9, 9, 9)), y, {}, "volumes cannot be sampled"),
        "no images": (np.zeros(N), y, {}, "holds no images"),
        "empty": (np.zeros((0, 8, 8)), y[:0], {}, "holds no images|minimum of 1|at least one"),
        "another size": (
            rows,
            y,
            {"image_shape": (8, 9)},
            r"\(8, 9\) makes 72 values.*row of X has 64",
        ),
        "another shape": (images, y, {"image_shape": (4, 16)}, r"image_shape is \(4, 16\), but.*\(8, 8\)"),
        "no shape": (rows, y, {"image_shape": (64,)}, r"not \(64,\)"),
        "half a shape": (rows, y, {"image_shape": (8.0, 8)}, r"not \(8.0, 8\)"),
        "negative shape": (rows, y, {"image_shape": (-8, -8)}, r"not \(-8, -8\)"),
        "unequal": (images, y[:-1], {}, "inconsistent numbers of samples"),
        "constant": (images * 0, y, {}, "all training images hold the one value 0"),
        "sparse": (csr_array(rows), y, {"image_shape": (8, 8)}, r"X is sparse.*X\.toarray\(\)"),
        "words": (images.astype(str), y, {}, "type <U"),
        "truth": (images > 1000, y, {}, "type bool"),
        "sizes": (objects, y, {}, "several sizes"),
        "a window of one": (images, y, {"window": (3,)}, "window needs two values"),
        "a window upside down": (images, y, {"window": (3, 1)}, r"not \(3, 1\)"),
        "an endless window": (images, y, {"window": (0, np.inf)}, "window needs two values"),
        "turns": (np.zeros((N, 8, 9)), y, {"turn": True}, r"turn=True needs square images, not \(8, 9\)"),
        "a class of no image": (images, y, {"sampling_strategy": {"dead": 30}}, "dead"),
        "fewer than there are": (images, y, {"sampling_strategy": {"ill": 3}}, "greater or equal"),
        "a share of three classes": (images, np.arange(N) % 3, {"sampling_strategy": 0.5}, "binary"),
        "steps": (images, y, {"steps": 0}, "'steps' parameter of GANSampler"),
        "device": (images, y, {"device": "tpu"}, "'device' parameter of GANSampler"),
    }


@pytest.mark.parametrize("name", refused())
def test_what_cannot_be_done_is_refused_in_words(name: str) -> None:
    x, y, changes, words = refused()[name]
    with pytest.raises(ValueError, match=words):
        tiny(**changes).fit_resample(x, y)


def test_an_error_of_ours_is_one_for_both_worlds_and_one_sentence() -> None:
    assert issubclass(ArrayError, InputError)
    assert issubclass(ArrayError, ValueError)
    x, y = cohort()
    with pytest.raises(ArrayError) as caught:
        tiny().fit_resample(x.reshape(N, -1), y)
    assert "\n" not in str(caught.value)


def test_one_image_that_needs_no_other_is_learned_from() -> None:
    x, y = cohort()
    y[0] = "rare"
    sampler = tiny(sampling_strategy={"ill": 9})
    _, labels = sampler.fit_resample(x, y)
    assert Counter(labels.tolist()) == {"rare": 1, "ill": 9, "well": N - RARE}
    assert sampler.generator_.header["learned_from"]["rare"] == 1


def test_no_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device='cuda', but torch sees no GPU"):
        tiny(device="cuda").fit_resample(*cohort())


@pytest.mark.parametrize("where", ["loss", "weights"])
def test_a_training_that_breaks_is_said_and_gives_no_images(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "weights":

        def broken(*_: Any, **__: Any) -> dict[str, torch.nn.Module]:
            net = torch.nn.Linear(1, 1)
            net.weight.data.fill_(torch.nan)
            return {"generator": net}

        monkeypatch.setattr(job, "train", broken)
    with pytest.raises(TrainingError, match="lower lr, or raise gamma"):
        tiny(steps=8, lr=1e30).fit_resample(*cohort())


# ---- imbalanced-learn's own checks ----

# their X has 2 or 3 columns, and no setting makes an image of that; the same is tested below on images
NOT_OURS = ("check_samplers_fit", "check_sampler_get_feature_names_out", "check_sampler_get_feature_names_out_pandas")
CHECKED = tiny(image_shape=(8, 8))
CHECKS = [check for _, check in estimator_checks.estimator_checks_generator(CHECKED)]


def named(check: Any) -> str:
    return str(estimator_checks._check_name(check))


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """What their checks draw, three classes of unequal size, of 64 columns where they have 20."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], [20, 30, 50]))
    return rng.normal(y[:, None], 1.0, (len(y), 64)), y


@pytest.mark.parametrize("name", NOT_OURS)
def test_the_checks_that_are_left_out_have_no_image(name: str) -> None:
    (check,) = [check for check in CHECKS if named(check) == name]
    with pytest.raises(ArrayError, match=r"a row of X has [23]$"):
        check(CHECKED)


@pytest.mark.parametrize("check", [check for check in CHECKS if named(check) not in NOT_OURS], ids=named)
def test_imbalanced_learns_own_checks(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimator_checks, "sample_dataset_generator", blobs)
    check(CHECKED)


def test_their_check_of_every_parameter() -> None:
    estimator_checks.check_param_validation("GANSampler", CHECKED)


def test_fit_checks_and_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_learn", None)
    x, y = cohort()
    sampler = tiny()
    assert sampler.fit(x, y) is sampler
    assert dict(sampler.sampling_strategy_) == {"ill": N - 2 * RARE}
    with pytest.raises(ArrayError, match="table of 64"):
        sampler.fit(x.reshape(N, -1), y)


def test_names_of_the_columns() -> None:
    sampler = tiny(image_shape=(8, 8))
    x, y = cohort()
    sampler.fit_resample(x.reshape(N, -1), y)
    names = [f"pixel {i}" for i in range(64)]
    assert sampler.get_feature_names_out(names).tolist() == names
    with pytest.raises(ValueError, match="input_features should have length equal"):
        sampler.get_feature_names_out(names[::2])
