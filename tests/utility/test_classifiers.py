"""The pixel classifier: it learns what can be learned, as its seed and settings say."""

import numpy as np
import pytest
import torch

from ganatomy.core.errors import SettingsError
from ganatomy.data.augment import Symmetry
from ganatomy.utility.classifiers import Network, embedding, fit, probabilities

SMALL = Network(classifier_steps=60, classifier_batch=16, classifier_width=4)


def discs(n: int = 60, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """(n, 1, 16, 16) noise; every second image holds a bright square: class 1."""
    random = np.random.default_rng(seed)
    images = random.normal(-0.3, 0.3, (n, 1, 16, 16)).astype(np.float32)
    images[1::2, :, 5:11, 5:11] += 0.8
    return images.clip(-1, 1), [i % 2 for i in range(n)]


def fitted(seed: int = 0, augment: bool = True, weights: list[float] | None = None) -> np.ndarray:
    images, codes = discs()
    net = fit(images, codes, weights or [1.0] * len(codes), 2, augment, Symmetry(), SMALL, seed)
    return probabilities(net, discs(40, 1)[0])


def test_it_learns_and_gives_probabilities() -> None:
    p = fitted()
    assert p.shape == (40, 2)
    assert p.dtype == np.float64
    assert p.sum(1) == pytest.approx(np.ones(40), abs=1e-6)
    assert (p.argmax(1) == np.arange(40) % 2).mean() > 0.9


def test_shuffled_classes_cannot_be_learned() -> None:
    """The control: the score above is not one that everything gets."""
    images, codes = discs()
    mixed = np.random.default_rng(0).permutation(codes).tolist()
    p = probabilities(fit(images, mixed, [1.0] * 60, 2, True, Symmetry(), SMALL, 0), discs(40, 1)[0])
    assert (p.argmax(1) == np.arange(40) % 2).mean() < 0.85


def test_a_fit_is_a_function_of_data_and_seed() -> None:
    first = fitted(0)
    torch.rand(5)
    assert np.array_equal(first, fitted(0))
    assert not np.array_equal(first, fitted(1))
    assert not np.array_equal(first, fitted(0, augment=False))


def test_weights_shift_the_decision() -> None:
    heavy = [9.0 if i % 2 else 1.0 for i in range(60)]
    assert fitted(weights=heavy)[:, 1].mean() > fitted()[:, 1].mean() + 0.02


def test_the_embedding_is_what_the_head_reads() -> None:
    images, codes = discs()
    net = fit(images, codes, [1.0] * 60, 2, False, Symmetry(), SMALL, 0)
    vectors = embedding(net, images)
    assert vectors.shape == (60, 16)
    logits = net.head(torch.from_numpy(vectors).float())
    np.testing.assert_allclose(logits.softmax(1).detach().numpy(), probabilities(net, images), atol=1e-5)


def test_the_size_of_a_set_does_not_change_an_answer() -> None:
    images, codes = discs()
    net = fit(images, codes, [1.0] * 60, 2, False, Symmetry(), SMALL, 0)
    many = np.concatenate([images] * 5)  # more than one pass of 256
    np.testing.assert_allclose(probabilities(net, many)[-60:], probabilities(net, images), atol=1e-6)


@pytest.mark.parametrize("name", ["classifier_steps", "classifier_batch", "classifier_width"])
def test_impossible_values_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="needs 1 or more, not 0"):
        Network().replace(**{name: 0})
