"""The pixel classifier of the trial, trained on the one loop; also the embedding that the integrity checks are given.

Knows how a small network is fitted and read out. Does not know arms or roles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ganatomy.core.errors import SettingsError
from ganatomy.core.settings import Settings, option
from ganatomy.data.augment import Symmetry
from ganatomy.data.batch import shuffled
from ganatomy.nets.classifier import Classifier
from ganatomy.tasks.classify import Augmentation, Classify
from ganatomy.train import Loop, train


@dataclass(frozen=True)
class Network(Settings):
    """The small convolutional classifier."""

    classifier_steps: int = option(400, "training steps of each classifier, the same for every arm")
    classifier_batch: int = option(64, "images per step of each classifier")
    classifier_width: int = option(16, "channels of the classifier's first layer")
    classifier_chance: float = option(0.5, "how often each classical change happens to an image, where an arm augments")

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "width"):
            if (value := getattr(self, f"classifier_{name}")) < 1:
                raise SettingsError(f"--classifier-{name} needs 1 or more, not {value}")


def fit(
    images: np.ndarray,
    codes: Sequence[int],
    weights: Sequence[float],
    classes: int,
    augment: bool,
    symmetry: Symmetry,
    settings: Network,
    seed: int,
) -> Classifier:
    """Train on images (n, C, H, W) float32 in [-1, 1]; `augment` adds the classical augmentation on the fly."""
    torch.manual_seed(seed)
    augmentation = Augmentation(settings.classifier_chance, symmetry) if augment else None
    task = Classify(classes, images.shape[1], images.shape[2:], settings.classifier_width, augmentation)
    loop = Loop(
        steps=settings.classifier_steps,
        batch=settings.classifier_batch,
        seed=seed,
        lr=3e-3,
        lr_end=0.0,
        warmup=0.2,
        beta1=0.9,
        beta2=0.99,
        weight_decay=1e-3,
        threads=1,  # so that the scores do not depend on how many processors there are, or how busy they are
    )
    batch_at = shuffled(torch.from_numpy(images), codes, weights, loop.batch, seed)
    net = train(task, batch_at, loop)["classifier"]
    assert isinstance(net, Classifier)
    return net


@torch.no_grad()
def probabilities(net: Classifier, images: np.ndarray) -> np.ndarray:
    """(n, K) class probabilities of images (n, C, H, W) in [-1, 1]."""
    return _through(net, images, embed=False)


@torch.no_grad()
def embedding(net: Classifier, images: np.ndarray) -> np.ndarray:
    """(n, d) features before the last layer."""
    return _through(net, images, embed=True)


def _through(net: Classifier, images: np.ndarray, embed: bool) -> np.ndarray:
    device = next(net.parameters()).device
    out = []
    for part in torch.from_numpy(images).split(256):
        x = part.to(device)
        out.append((net.embed(x) if embed else net(x).double().softmax(1)).cpu().numpy())
    return np.concatenate(out).astype(np.float64)
