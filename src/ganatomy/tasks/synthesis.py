"""Class-conditional synthesis, p(x|y): logistic loss, lazy R1, augmentation driven by overfitting.

The measured default for 50 to a few thousand images of 28 to 64 pixels. Knows what a batch costs; does not know
optimisers, files or units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganatomy.core.errors import SettingsError
from ganatomy.core.settings import Settings, option
from ganatomy.data.augment import Symmetry, draw
from ganatomy.data.batch import Batch
from ganatomy.data.transform import transform
from ganatomy.losses.adversarial import logistic_discriminator, non_saturating_generator
from ganatomy.losses.penalty import r1
from ganatomy.nets.discriminator import Discriminator
from ganatomy.nets.generator import Generator
from ganatomy.tasks.task import Phase


@dataclass(frozen=True)
class Model(Settings):
    """The networks and the objective."""

    latent: int = option(64, "length of the noise vector")
    width: int = option(16, "channels at full resolution, in both networks")
    most: int = option(128, "channels at the lowest resolution, at the most")
    gamma: float | None = option(
        None, "weight of the R1 penalty; not given: (shortest side / 32) squared, which is 1 at 32, 4 at 64"
    )
    lazy: int = option(4, "the penalty is taken every so many steps, times as much")
    overfit: float = option(0.6, "augment the discriminator more while E[sign D(real)] is above this (0 turns it off)")
    ramp: float = option(100.0, "thousand images in which the augmentation chance may rise from 0 to 1")
    most_chance: float = option(0.8, "the augmentation chance stays below this, or changes leak into the samples")

    def __post_init__(self) -> None:
        for name in ("latent", "width", "most", "lazy"):
            if getattr(self, name) < 1:
                raise SettingsError(f"--{name} needs 1 or more, not {getattr(self, name)}")
        if self.ramp <= 0:
            raise SettingsError(f"--ramp needs a number above 0, not {self.ramp:g}")


class Chance(nn.Module):
    """The augmentation chance of each class: it rises while the discriminator is too sure of that class's real images.

    Karras et al. 2020 (arXiv 2006.06676) with r_t = E[sign D(real)], here per class, since a class of 40 images is
    overfitted long before one of 4,000. All classes start at 0.
    """

    p: Tensor
    sign: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("p", torch.zeros(classes))
        self.register_buffer("sign", torch.zeros(classes))

    @torch.no_grad()
    def update(self, logits: Tensor, y: Tensor, model: Model) -> None:
        """Move each class's chance by the images just seen; the sign is averaged over the class's last 250 or so."""
        seen = torch.bincount(y, minlength=len(self.p)).float()
        mean = torch.zeros_like(self.sign).index_add_(0, y, logits.sign()) / seen.clamp(min=1)
        self.sign.lerp_(mean, (seen / 250).clamp(max=1.0))
        step = seen * len(self.p) / (model.ramp * 1000)
        self.p.add_((self.sign - model.overfit).sign() * step).clamp_(0.0, model.most_chance)


class Synthesis:
    """The Task. classes: names in the order of the codes; space: (H, W) or (D, H, W)."""

    phases: tuple[Phase, ...] = (Phase("D", ("discriminator",)), Phase("G", ("generator",)))
    averaged: tuple[str, ...] = ("generator",)

    def __init__(
        self, model: Model, symmetry: Symmetry, classes: Sequence[str], channels: int, space: tuple[int, ...]
    ) -> None:
        self.model, self.symmetry, self.classes, self.space = model, symmetry, tuple(classes), space
        self.gamma = (min(space) / 32) ** 2 if model.gamma is None else model.gamma
        shape = (space, channels, len(classes))
        self.nets = nn.ModuleDict(
            {
                "generator": Generator(*shape, latent=model.latent, width=model.width, most=model.most),
                "discriminator": Discriminator(*shape, width=model.width, most=model.most),
                "chance": Chance(len(classes)),
            }
        )

    def losses(self, phase: str, batch: Batch, step: int) -> dict[str, Tensor]:
        """D: logistic and, every `lazy` steps, R1. G: non-saturating. Both see every image augmented alike."""
        generator, discriminator, chance = self.nets["generator"], self.nets["discriminator"], self.nets["chance"]
        real, y = batch["x"], batch["y"]
        n = len(y)
        p = chance.p[y]  # type: ignore[index]
        z = torch.randn(n, self.model.latent, device=y.device)
        if phase == "G":
            fake = self._augmented(generator(z, y), p)
            return {"non_saturating": non_saturating_generator(discriminator(fake, y))}
        with torch.no_grad():
            fake = self._augmented(generator(z, y), p)
        penalised = step % self.model.lazy == 0
        real = self._augmented(real, p).requires_grad_(penalised)
        logits = discriminator(torch.cat([real, fake]), torch.cat([y, y]))  # (2n,): one pass, no normalisation to mix
        terms = {"logistic": logistic_discriminator(logits[:n], logits[n:])}
        if penalised:
            terms["r1"] = self.gamma / 2 * self.model.lazy * r1(logits[:n], real)
        if self.model.overfit:
            chance.update(logits[:n].detach(), y, self.model)  # type: ignore[operator]
            terms |= {f"augment.{name}": value for name, value in zip(self.classes, chance.p.clone(), strict=True)}  # type: ignore[operator]
            terms |= {f"sign.{name}": value for name, value in zip(self.classes, chance.sign.clone(), strict=True)}  # type: ignore[operator]
        return terms

    def _augmented(self, x: Tensor, p: Tensor) -> Tensor:
        x = x.float()
        return transform(x, draw(p, self.space, self.symmetry)) if bool(p.any()) else x
