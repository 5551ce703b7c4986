"""Draws for data.transform. Knows chances; does not touch a pixel.

Used on the discriminator's inputs, real and generated alike (Karras et al. 2020, arXiv 2006.06676), and as the
classical augmentation of a classifier. Intensity is left alone: a shifted HU is another tissue.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganatomy.core.settings import Settings, option
from ganatomy.data.transform import Draw


@dataclass(frozen=True)
class Symmetry(Settings):
    """Which changes keep the class and could have been scanned."""

    flip: bool = option(True, "mirroring left to right keeps the class (no for laterality)")
    turn: bool = option(False, "quarter turns keep the class (yes for patches of tissue, no for whole bodies)")


def draw(chance: Tensor, space: tuple[int, ...], symmetry: Symmetry, boxes: bool = True) -> Draw:
    """Draw changes for a batch from torch's generator: each kind happens to image i with probability chance[i].

    chance: (n,) in [0, 1]; space: the spatial shape. Shifts reach an eighth of each axis; a box covers a quarter of
    the plane (cutout, DeVries and Taylor 2017, arXiv 1708.04552). A flip happens with half the chance, a turn with
    three quarters of it: at chance 1 every orientation is equally likely.
    """
    n, dims, device = len(chance), len(space), chance.device

    def happens(p: Tensor) -> Tensor:
        return torch.rand(n, device=device) < p

    reach = torch.tensor([size // 8 for size in space], device=device)
    shift = ((torch.rand(n, dims, device=device) * 2 - 1) * (reach + 0.5)).round().clamp(-reach, reach).long()
    shift = shift * happens(chance)[:, None]
    flip = happens(chance / 2) & symmetry.flip
    turn = torch.randint(0, 4, (n,), device=device) * happens(chance) * int(symmetry.turn)
    size = torch.tensor(space, device=device)
    centre = (torch.rand(n, dims, device=device) * size).long()
    half = torch.full((n, 1), max(1, min(space) // 4), device=device) * happens(chance * float(boxes))[:, None]
    return Draw(shift, flip, turn, torch.cat([centre, half], 1))
