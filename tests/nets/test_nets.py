"""Generator, discriminator and classifier: shapes for any size, and that the class they are told matters."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch

from ganatomy.nets.classifier import Classifier
from ganatomy.nets.discriminator import Discriminator
from ganatomy.nets.generator import Generator
from ganatomy.nets.shape import crop, stages, start, widths

SPACES = [(8, 8), (9, 31), (16, 16), (28, 28), (20, 24), (33, 64), (128, 96), (8, 8, 8), (12, 9, 10), (16, 8, 20)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_shapes(space: tuple[int, ...], channels: int) -> None:
    y = torch.tensor([0, 2])
    image = Generator(space, channels, 3, latent=5, width=2, most=4)(torch.randn(2, 5), y)
    assert image.shape == (2, channels, *space)
    assert image.abs().max() <= 1
    logits = Discriminator(space, channels, 3, width=2, most=4)(image, y)
    assert logits.shape == (2,)
    assert logits.dtype == torch.float32
    net = Classifier(len(space), channels, 3, width=2)
    assert net(image).shape == (2, 3)
    assert net.embed(image).shape == (2, 8)


def test_the_ladder_ends_at_about_four_pixels_and_covers_the_image() -> None:
    for size in range(8, 300):
        space = (size, size + 3)
        assert 2 < start(space)[0] <= 6, size
        assert all(bottom * 2 ** stages(space) >= side for bottom, side in zip(start(space), space, strict=True))
    assert (stages((32, 32)), start((32, 32))) == (3, (4, 4))
    assert widths((64, 64), 16, 100) == [16, 32, 64, 100, 100]


def test_crop_takes_the_middle() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert crop(x, (4, 2)).flatten().tolist() == [8, 9, 14, 15, 20, 21, 26, 27]


def test_the_generator_hears_class_and_noise() -> None:
    torch.manual_seed(0)
    net = Generator((16, 16), 1, 2, latent=4, width=4, most=8).eval()
    z = torch.randn(1, 4)
    one, other = net(z, torch.tensor([0])), net(z, torch.tensor([1]))
    assert (one - other).abs().max() > 1e-4
    assert (one - net(z + 1, torch.tensor([0]))).abs().max() > 1e-4
    assert torch.equal(one, net(z, torch.tensor([0])))


def test_the_discriminator_is_a_projection() -> None:
    """logit(x, y) - logit(x, y') is the inner product of the features with the difference of the embeddings."""
    torch.manual_seed(0)
    net = Discriminator((16, 16), 1, 2, width=4, most=8)
    x = torch.randn(5, 1, 16, 16)
    gap = net(x, torch.zeros(5, dtype=torch.long)) - net(x, torch.ones(5, dtype=torch.long))
    features = net.body(x).flatten(1)
    torch.testing.assert_close(gap, features @ (net.embed.weight[0] - net.embed.weight[1]), rtol=1e-4, atol=1e-6)
    assert gap.abs().min() > 0


def test_the_discriminator_judges_each_image_by_itself() -> None:
    """No statistics are shared within a batch, so a gradient penalty is one of single images."""
    torch.manual_seed(0)
    net = Discriminator((12, 12), 1, 2, width=4, most=8).train()
    x, y = torch.randn(4, 1, 12, 12), torch.tensor([0, 1, 0, 1])
    apart = torch.cat([net(x[i : i + 1], y[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(net(x, y), apart, rtol=1e-4, atol=1e-6)


def test_another_size_is_refused_where_the_network_has_one() -> None:
    net = Discriminator((16, 16), 1, 2, width=2)
    with pytest.raises(RuntimeError):
        net(torch.randn(2, 1, 24, 24), torch.tensor([0, 1]))
    with pytest.raises(RuntimeError):
        net(torch.randn(2, 3, 16, 16), torch.tensor([0, 1]))


def test_the_embedding_is_what_the_head_reads() -> None:
    net = Classifier(2, 1, 2, width=4).eval()
    x = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(net.head(net.embed(x)), net(x))


@pytest.mark.parametrize("space", [(32, 32), (8, 8, 8)], ids=str)
def test_widths_double_towards_the_bottom(space: Sequence[int]) -> None:
    ladder = widths(space, 16, 128)
    assert all(below == 2 * above for above, below in pairwise(ladder))
    assert len(ladder) == stages(space) + 1
