"""The door for imbalanced-learn: an over-sampler of image arrays that trains a generator on what it is given.

Knows imbalanced-learn's contract of a sampler and the layouts of an array of images. Knows no files, runs or patients:
who cross-validates keeps a patient's images in one fold.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from ganatomy.core.errors import InputError, TrainingError
from ganatomy.data.augment import Symmetry
from ganatomy.generate import Trained
from ganatomy.jobs.train import Train, train_generator
from ganatomy.tasks.synthesis import Model
from ganatomy.train import Loop, place, processor

LEAST = 8  # pixels along the shorter side; an axis with fewer holds channels
SETTINGS = ("steps", "batch", "lr", "gamma", "latent", "width", "flip", "turn", "window", "device", "threads")
Device = Literal["auto", "cpu", "cuda"]


class ArrayError(InputError, ValueError):
    """X, y or a parameter is not what images can be made from; a ValueError too, as users of scikit-learn expect."""


class GANSampler(BaseOverSampler):  # type: ignore[misc]  # imbalanced-learn has no types
    """Over-sample image classes with a class-conditional generator trained on X and y alone, by `fit_resample(X, y)`.

    X: images (n, H, W), (n, C, H, W) or (n, H, W, C) with C < 8, or flattened to (n, pixels) with `image_shape`;
    y: (n,) labels of any type. Back come the originals, then the synthetic images, in the type, unit and layout of X.

    sampling_strategy: how many images each class is to have, as imbalanced-learn defines it
    image_shape: of one image before it was flattened, (H, W), (C, H, W) or (H, W, C)
    random_state: an int gives the same images again on one machine with as many threads
    steps, batch, lr: how long and how fast to train; images per step; the learning rate at the start
    gamma: weight of the R1 penalty; None: (shortest side / 32) squared
    latent, width: length of the noise vector; channels at full resolution
    flip, turn: whether mirroring left to right, and quarter turns, keep the class
    window: values (low, high) that the network sees; (): 8-bit as it is, else the middle 99.98 % of the values
    device, threads: where to train; processor threads, 0 for torch's own choice
    verbose: whether to show progress on standard error

    After `fit_resample`
    sampling_strategy_: synthetic images made, by class
    classes_: the labels, in the order of the generator's codes
    generator_: the trained generator; `generator_.images([str(label), ...], seeds)` gives further images (N, C, H, W).
        None where no class lacked an image, so that nothing was trained
    seeds_: (synthetic images,) the seed of each, so that it can be made again
    n_features_in_: pixels of one image, all channels

    There is no `sample_indices_`: a synthetic image is no row of X. Raises ValueError (ArrayError) in words.
    """

    _parameter_constraints: Mapping[str, list[Any]] = {
        **BaseOverSampler._parameter_constraints,
        "image_shape": [tuple, list, None],
        "steps": [Interval(Integral, 1, None, closed="left")],
        "batch": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "gamma": [Interval(Real, 0, None, closed="left"), None],
        "latent": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "flip": ["boolean"],
        "turn": ["boolean"],
        "window": [tuple, list],
        "device": [StrOptions(set(get_args(Device)))],
        "threads": [Interval(Integral, 0, None, closed="left")],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        sampling_strategy: float | str | Mapping[Any, int] | Callable[[Any], Mapping[Any, int]] = "auto",
        image_shape: Sequence[int] | None = None,
        random_state: int | np.random.RandomState | None = None,
        steps: int = Loop.steps,
        batch: int = Loop.batch,
        lr: float = Loop.lr,
        gamma: float | None = Model.gamma,
        latent: int = Model.latent,
        width: int = Model.width,
        flip: bool = Symmetry.flip,
        turn: bool = Symmetry.turn,
        window: Sequence[float] = Train.window,
        device: Device = Loop.device,
        threads: int = Loop.threads,
        verbose: bool | int = False,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.image_shape = image_shape
        self.random_state = random_state
        self.steps, self.batch, self.lr, self.gamma = steps, batch, lr, gamma
        self.latent, self.width = latent, width
        self.flip, self.turn, self.window = flip, turn, window
        self.device, self.threads, self.verbose = device, threads, verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.two_d_array = self.image_shape is not None
        tags.input_tags.three_d_array = True
        return tags

    def _check_X_y(self, X: Any, y: Any, accept_sparse: Any = None) -> tuple[np.ndarray, np.ndarray, bool]:
        """X as an array in its own layout, y as (n,) labels, and whether y came one column per class."""
        y, one_vs_all = check_target_type(y, indicate_one_vs_all=True)
        if len(np.unique(y)) == 1:
            raise ArrayError(f"y holds the one class {_word(np.unique(y)[0])}; balancing needs at least two")
        images = _numbers(X)
        _layout(images, self.image_shape)
        rows = X if isinstance(X, pd.DataFrame) else images.reshape(len(images), -1)
        # lengths, n_features_in_, feature_names_in_; sparse is for frames of sparse columns, dense in `images` already
        _, y, _ = super()._check_X_y(rows, y, accept_sparse=True)
        return images, y, one_vs_all

    def _fit_resample(self, X: np.ndarray, y: np.ndarray, **params: Any) -> tuple[np.ndarray, np.ndarray]:
        self.classes_, codes = np.unique(y, return_inverse=True)
        made = np.array([self.sampling_strategy_.get(label, 0) for label in self.classes_.tolist()])  # by code
        for label, count, more in zip(self.classes_, np.bincount(codes), made, strict=True):
            if count == 1 and more:
                raise ArrayError(
                    f"class {_word(label)} has one image, which a generator could only copy; "
                    "give it more, merge it with another class, or leave it out of sampling_strategy"
                )
        self.seeds_ = np.concatenate([np.arange(more) for more in made])
        self.generator_: Trained | None = None
        if not made.any():
            return X.copy(), y.copy()
        layout, shape = _layout(X, self.image_shape)
        names = [str(label) for label in self.classes_]
        window = tuple(self.window)
        if window and not (len(window) == 2 and -math.inf < window[0] < window[1] < math.inf):
            raise ArrayError(f"window needs two values, low then high, not {window}")
        if self.turn and len({size for size, axis in zip(shape, layout, strict=True) if axis != "C"}) == 2:
            raise ArrayError(f"turn=True needs square images, not {shape}; leave it out")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ArrayError("device='cuda', but torch sees no GPU on this machine; leave device out")
        settings = Train().replace(seed=_seed(self.random_state), **{key: getattr(self, key) for key in SETTINGS})
        values = _channels_first(X.reshape(len(X), *shape), layout)
        # the caller's random numbers and threads stay the caller's
        with torch.random.fork_rng(_cuda(settings.loop)), processor(settings.loop):
            self.generator_ = _learn(values, codes, names, settings, "GANSampler" if self.verbose else "")
            labels = [label for label, more in zip(names, made, strict=True) for _ in range(more)]
            synthetic = self.generator_.images(labels, self.seeds_.tolist())
        synthetic = _as_given(synthetic, layout).reshape(-1, *X.shape[1:])
        return np.concatenate([X, synthetic]), np.concatenate([y, np.repeat(self.classes_, made)])


def _learn(values: np.ndarray, codes: np.ndarray, names: list[str], settings: Train, name: str) -> Trained:
    """Train on (N, C, H, W) values: to the weights of `ganatomy train` with these images in this order and settings.

    names: classes by code; name: of the progress bar, "" for none
    """
    lost = "training left the finite numbers; lower lr, or raise gamma"
    try:
        net, header = train_generator(values, codes.tolist(), names, settings, name=name)
    except InputError as error:
        raise ArrayError(str(error)) from None
    except TrainingError as error:
        raise TrainingError(lost) from error
    if not all(bool(value.isfinite().all()) for value in net.state_dict().values()):
        raise TrainingError(lost)
    return Trained(net, header, sha256="")  # of no file


def _numbers(X: Any) -> np.ndarray:
    """X as an array of finite numbers; ArrayError names the first image that is not."""
    if issparse(X):
        raise ArrayError("X is sparse, which images are not; give X.toarray()")
    images = np.asarray(X)
    if images.dtype == object:  # a frame of several types
        try:
            images = images.astype(np.float64)
        except (TypeError, ValueError):
            raise ArrayError("X holds values that are no numbers, or images of several sizes; give one array") from None
    if images.dtype.kind not in "uif":
        raise ArrayError(f"X is of type {images.dtype}; give images as whole or floating-point numbers")
    if images.ndim < 2 or not images.size:
        raise ArrayError(f"X of shape {images.shape} holds no images; give (n, H, W) or (n, C, H, W)")
    broken = ~np.isfinite(images.reshape(len(images), -1)).all(axis=1)
    if broken.any():
        raise ArrayError(f"image {int(broken.argmax())} of X holds NaN or infinity; leave the image out or fill it in")
    return images


def _layout(images: np.ndarray, image_shape: Sequence[int] | None) -> tuple[str, tuple[int, ...]]:
    """The axes of one image, 'HW', 'CHW' or 'HWC', and its shape; ArrayError where they are unclear or too short."""
    shape: tuple[int, ...] = images.shape[1:]
    if image_shape is not None:
        given = tuple(image_shape)
        if len(given) not in (2, 3) or not all(isinstance(size, Integral) and size > 0 for size in given):
            raise ArrayError(f"image_shape is (H, W), (C, H, W) or (H, W, C) in pixels, not {given}")
        if len(shape) == 1 and math.prod(given) != shape[0]:
            raise ArrayError(
                f"image_shape {given} makes {math.prod(given)} values per image, but a row of X has {shape[0]}"
            )
        if len(shape) > 1 and given != shape:
            raise ArrayError(f"image_shape is {given}, but an image in X has the shape {shape}; leave image_shape out")
        shape = given
    if len(shape) == 1:
        raise ArrayError(
            f"X is a table of {shape[0]} columns, and tables of features cannot be sampled yet; "
            "if its rows are flattened images, give image_shape=(H, W) or (C, H, W)"
        )
    axes = "HW" if len(shape) == 2 else "CHW" if shape[0] < LEAST else "HWC"
    if len(shape) == 2 or (len(shape) == 3 and (shape[0] < LEAST) != (shape[2] < LEAST)):
        if min(size for size, axis in zip(shape, axes, strict=True) if axis != "C") < LEAST:
            raise ArrayError(f"images of shape {shape} are too small; {LEAST} pixels along each side are the least")
        return axes, shape
    raise ArrayError(
        f"an image of shape {shape} is neither (C, H, W) nor (H, W, C) with 1 to {LEAST - 1} channels "
        f"and {LEAST} or more pixels along each side; volumes cannot be sampled yet"
    )


def _channels_first(images: np.ndarray, layout: str) -> np.ndarray:
    """(N, *one image) in a layout -> (N, C, H, W)."""
    return images[:, None] if layout == "HW" else np.moveaxis(images, -1, 1) if layout == "HWC" else images


def _as_given(images: np.ndarray, layout: str) -> np.ndarray:
    """(N, C, H, W) -> (N, *one image) in a layout."""
    return images[:, 0] if layout == "HW" else np.moveaxis(images, 1, -1) if layout == "HWC" else images


def _seed(random_state: int | np.random.RandomState | None) -> int:
    """A seed of this project from what scikit-learn takes: an int is the seed, so it means the same as --seed."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _cuda(loop: Loop) -> list[int]:
    """The GPUs whose random state training touches."""
    return [torch.cuda.current_device()] if place(loop)[0].type == "cuda" else []


def _word(label: Any) -> str:
    """A label as the user wrote it, not as np.str_('a')."""
    return repr(label.item() if isinstance(label, np.generic) else label)
