"""Classification: weighted cross-entropy, with the classical augmentation if asked for."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganatomy.data.augment import Symmetry, draw
from ganatomy.data.batch import Batch
from ganatomy.data.transform import transform
from ganatomy.nets.classifier import Classifier
from ganatomy.tasks.task import Phase


@dataclass(frozen=True)
class Augmentation:
    """Classical augmentation: each change happens with `chance`; boxes (cutout) are left out, they hide lesions."""

    chance: float
    symmetry: Symmetry


class Classify:
    """The Task. Batches carry "x", "y" and "weight"."""

    phases: tuple[Phase, ...] = (Phase("S", ("classifier",)),)
    averaged: tuple[str, ...] = ()

    def __init__(
        self,
        classes: int,
        channels: int,
        space: tuple[int, ...],
        width: int = 16,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.space, self.augmentation = space, augmentation
        self.nets = nn.ModuleDict({"classifier": Classifier(len(space), channels, classes, width)})

    def losses(self, phase: str, batch: Batch, step: int) -> dict[str, Tensor]:
        """Cross-entropy, each image counted by its weight."""
        x, y = batch["x"], batch["y"]
        if self.augmentation:
            chance = torch.full((len(y),), self.augmentation.chance, device=x.device)
            x = transform(x, draw(chance, self.space, self.augmentation.symmetry, boxes=False))
        each = cross_entropy(self.nets["classifier"](x), y, reduction="none")
        weight = batch.get("weight", torch.ones_like(each))
        return {"cross_entropy": (each * weight).sum() / weight.sum()}
