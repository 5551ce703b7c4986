"""The contract of a family of models. The loop in train.py knows this and nothing else of a family."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from ganatomy.data.batch import Batch


@dataclass(frozen=True)
class Phase:
    """One optimiser's turn: `trains` names the nets that move, the loop freezes the rest; `every` n-th step it runs."""

    name: str
    trains: tuple[str, ...]
    every: int = 1


class Task(Protocol):
    """Four members. A task that remembers something between steps (a replay pool, an augmentation chance) keeps it
    as buffers of one more net, which no phase trains: so the checkpoint holds it.
    """

    nets: nn.ModuleDict
    phases: tuple[Phase, ...]
    averaged: tuple[str, ...]  # kept as moving averages

    def losses(self, phase: str, batch: Batch, step: int) -> dict[str, Tensor]:
        """Named, weighted scalar terms of one phase; the loop adds up those that carry a gradient and logs them all.

        Draws only from torch's global generator, which the loop has seeded for this step and phase.
        """
        ...
