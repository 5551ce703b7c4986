"""DCGAN as published (Radford et al. 2016, arXiv 1511.06434), conditional on the class, as a Task of ganatomy's loop.

Transposed convolutions, BatchNorm and ReLU in the generator with a tanh at its end; strided convolutions, BatchNorm and
LeakyReLU(0.2) in the discriminator, none after its first layer; weights from N(0, 0.02); logistic loss, non-saturating
generator; noise of 100 uniform numbers. Conditional in the plainest way (Mirza and Osindero 2014, arXiv 1411.1784): the
class as a one-hot vector beside the noise, and as constant one-hot planes beside the discriminator's image.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganatomy.data.batch import Batch
from ganatomy.losses.adversarial import logistic_discriminator, non_saturating_generator
from ganatomy.nets.shape import crop, start, widths
from ganatomy.tasks.task import Phase
from ganatomy.train import Loop

LATENT = 100
PUBLISHED = Loop(batch=128, lr=2e-4, lr_end=1.0, beta1=0.5, beta2=0.999)  # steps and seed are the study's


def ladder(space: Sequence[int], width: int, most: int) -> list[int]:
    """Channels at half resolution first, doubled at each halving down to about 4 pixels: 64 to 512 as published."""
    return widths(space, width, most)[:-1]


def initialise(module: nn.Module) -> None:
    """N(0, 0.02) for weights, N(1, 0.02) for the scales of BatchNorm, 0 for what is added."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """G(z, y): (n, 100) standard normal and (n,) class codes -> (n, channels, H, W) in (-1, 1).

    The normal numbers become the published uniform ones on (-1, 1) by their distribution function, so that
    ganatomy.generate.sample can draw for both recipes.
    """

    def __init__(self, space: Sequence[int], channels: int, classes: int, width: int, most: int) -> None:
        super().__init__()
        steps = ladder(space, width, most)[::-1]  # bottom first
        self.space, self.classes, self.bottom = tuple(space), classes, (steps[0], *start(space))
        self.first = nn.Linear(LATENT + classes, math.prod(self.bottom), bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(steps[0]), nn.ReLU()]
        for below, above in pairwise(steps):
            layers += [nn.ConvTranspose2d(below, above, 4, 2, 1, bias=False), nn.BatchNorm2d(above), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(steps[-1], channels, 4, 2, 1), nn.Tanh())
        self.apply(initialise)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        code = torch.cat([torch.erf(z / math.sqrt(2)), one_hot(y, self.classes).to(z.dtype)], 1)
        return crop(self.body(self.first(code).view(len(z), *self.bottom)), self.space)  # 28 is cut from 32


class Discriminator(nn.Module):
    """D(x, y): (n, channels, H, W) in [-1, 1] and (n,) class codes -> (n,) float32 logits, high for real."""

    def __init__(self, space: Sequence[int], channels: int, classes: int, width: int, most: int) -> None:
        super().__init__()
        self.classes = classes
        steps = [channels + classes, *ladder(space, width, most)]
        layers: list[nn.Module] = []
        for above, below in pairwise(steps):
            layers.append(nn.Conv2d(above, below, 4, 2, 1, bias=not layers))
            layers += [nn.BatchNorm2d(below)] * (len(layers) > 1) + [nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        bottom = [size // 2 ** (len(steps) - 1) for size in space]  # each convolution halves, rounded down
        self.logit = nn.Linear(steps[-1] * math.prod(bottom), 1)
        self.apply(initialise)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        planes = one_hot(y, self.classes).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        logits: Tensor = self.logit(self.body(torch.cat([x, planes], 1)).flatten(1)).squeeze(1).float()
        return logits


class DCGAN:
    """The Task. No moving average: the generator is used as it was after the last step."""

    phases: tuple[Phase, ...] = (Phase("D", ("discriminator",)), Phase("G", ("generator",)))
    averaged: tuple[str, ...] = ()

    def __init__(self, classes: int, channels: int, space: tuple[int, ...], width: int, most: int) -> None:
        shape = (space, channels, classes, width, most)
        self.nets = nn.ModuleDict({"generator": Generator(*shape), "discriminator": Discriminator(*shape)})

    def losses(self, phase: str, batch: Batch, step: int) -> dict[str, Tensor]:
        """Real and generated images pass D as batches of their own: with BatchNorm they must not share statistics."""
        generator, discriminator = self.nets["generator"], self.nets["discriminator"]
        real, y = batch["x"], batch["y"]
        z = torch.randn(len(y), LATENT, device=y.device)
        if phase == "G":
            return {"non_saturating": non_saturating_generator(discriminator(generator(z, y), y))}
        with torch.no_grad():
            fake = generator(z, y)
        return {"logistic": logistic_discriminator(discriminator(real, y), discriminator(fake, y))}
