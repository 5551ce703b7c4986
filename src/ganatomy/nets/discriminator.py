"""The light discriminator: strided convolutions without normalisation, conditioned by projection.

No normalisation, so real and generated images never share statistics and gradient penalties mean what they say.
Conditioning: an unconditional logit plus the inner product of features and class embedding (Miyato and Koyama 2018,
arXiv 1802.05637).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganatomy.nets.shape import CONV, widths


class Discriminator(nn.Module):
    """D(x, y): (n, channels, *space) images in [-1, 1] and (n,) class codes -> (n,) float32 logits, high for real."""

    def __init__(self, space: Sequence[int], channels: int, classes: int, width: int = 16, most: int = 128) -> None:
        super().__init__()
        dims = len(space)
        ladder = widths(space, width, most)
        layers: list[nn.Module] = [CONV[dims](channels, ladder[0], 3, padding=1), nn.LeakyReLU(0.2)]
        for above, below in pairwise(ladder):
            layers += [CONV[dims](above, below, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        with torch.no_grad():
            features = self.body(torch.zeros(1, channels, *space)).numel()
        self.logit = nn.Linear(features, 1)
        self.embed = nn.Embedding(classes, features)
        nn.init.normal_(self.embed.weight, 0.0, 0.02)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        features = self.body(x).flatten(1)
        logits: Tensor = self.logit(features).squeeze(1).float() + (features * self.embed(y)).float().sum(1)
        return logits
