"""The light generator: noise and class -> image, by bilinear upsampling and 3x3 convolutions.

Bilinear resampling instead of transposed convolution, whose stride prints a checkerboard (Odena et al. 2016,
Distill 1(10):e3). Knows shapes; does not know units (data.intensity) or how it is trained.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganatomy.nets.shape import CONV, NORM, UPSAMPLING, crop, start, widths


class Generator(nn.Module):
    """G(z, y): (n, latent) noise and (n,) class codes -> (n, channels, *space) in (-1, 1).

    space: (H, W) or (D, H, W), any sizes of 8 and more; width: channels at full resolution; most: at the bottom
    """

    def __init__(
        self,
        space: Sequence[int],
        channels: int,
        classes: int,
        latent: int = 64,
        width: int = 16,
        most: int = 128,
        embedding: int = 16,
    ) -> None:
        super().__init__()
        dims = len(space)
        ladder = widths(space, width, most)[::-1]  # bottom first
        self.space, self.bottom = tuple(space), (ladder[0], *start(space))
        self.embed = nn.Embedding(classes, embedding)
        self.first = nn.Linear(latent + embedding, ladder[0] * torch.Size(start(space)).numel())
        layers: list[nn.Module] = [NORM[dims](ladder[0]), nn.ReLU()]
        for below, above in pairwise(ladder):
            layers += [
                nn.Upsample(scale_factor=2, mode=UPSAMPLING[dims]),
                CONV[dims](below, above, 3, padding=1, bias=False),
                NORM[dims](above),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers, CONV[dims](ladder[-1], channels, 3, padding=1), nn.Tanh())
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.normal_(module.weight, 0.0, 0.02)  # Radford et al. 2016, arXiv 1511.06434

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x = self.first(torch.cat([z, self.embed(y)], 1)).view(len(z), *self.bottom)
        return crop(self.body(x), self.space)
