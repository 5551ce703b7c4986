"""Weights, classes and seeds -> images: an image is a function of (weights, class, seed) and of nothing else.

The noise is drawn image by image from its own seed, and the network runs in fp32 on chunks that always have the same
size, padded if need be: so neither the number of images nor their order changes a sample. Knows the header of the
weights; does not write files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ganatomy.core import weights
from ganatomy.core.errors import RunError
from ganatomy.core.run import file_hash
from ganatomy.core.seed import rng
from ganatomy.data.intensity import Intensity
from ganatomy.nets.generator import Generator

CHUNK = 32  # fixed: another size may take another path through the convolution library, and other last bits


def noise(label: str, seed: int, latent: int) -> np.ndarray:
    """(latent,) float32 standard normal: the latent code of one image."""
    return rng(seed, "latent", label).standard_normal(latent, dtype=np.float32)


@torch.no_grad()
def sample(
    net: nn.Module, classes: Sequence[str], latent: int, labels: Sequence[str], seeds: Sequence[int]
) -> np.ndarray:
    """Images (N, C, H, W) float32 in [-1, 1], image i of class labels[i] from seeds[i]."""
    net.eval()
    device = next(net.parameters()).device
    code = {name: i for i, name in enumerate(classes)}
    out = []
    for begin in range(0, len(labels), CHUNK):
        part = list(zip(labels[begin : begin + CHUNK], seeds[begin : begin + CHUNK], strict=True))
        part += part[:1] * (CHUNK - len(part))
        z = torch.from_numpy(np.stack([noise(label, seed, latent) for label, seed in part])).to(device)
        y = torch.tensor([code[label] for label, _ in part], device=device)
        out.append(net(z, y).float().cpu().contiguous().numpy()[: len(labels) - begin])
    return np.concatenate(out)


@dataclass(frozen=True)
class Trained:
    """A generator read back: the network, its header, and the hash of the file it came from."""

    net: nn.Module
    header: dict[str, Any]
    sha256: str

    @property
    def classes(self) -> list[str]:
        """The classes it was trained on, in the order of its codes."""
        return list(self.header["classes"])

    @property
    def intensity(self) -> Intensity:
        """The map back to stored values."""
        return Intensity(**self.header["intensity"])

    def images(
        self, labels: Sequence[str], seeds: Sequence[int], advance: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Images (N, C, H, W) in the stored type and unit of the training images."""
        parts = []
        for begin in range(0, len(labels), 8 * CHUNK):
            chunk = slice(begin, begin + 8 * CHUNK)
            scaled = sample(self.net, self.classes, self.header["latent"]["length"], labels[chunk], seeds[chunk])
            parts.append(self.intensity.decode(scaled))
            if advance:
                advance(len(scaled))
        return np.concatenate(parts)


def save_generator(path: Path, net: nn.Module, header: dict[str, Any]) -> Path:
    """Write a generator's weights with the header that `load_generator` needs."""
    return weights.save(path, net.state_dict(), {"kind": "generator", **header})


def load_generator(path: Path) -> Trained:
    """Read a generator; RunError where the file is damaged, foreign, or not a generator."""
    tensors, header = weights.load(path)
    if header.get("kind") != "generator":
        raise RunError(f"{path} holds no generator but '{header.get('kind')}'; give the generator.safetensors of a run")
    try:
        net = Generator(**header["network"])
        net.load_state_dict(tensors)
    except (RuntimeError, TypeError, LookupError):
        raise RunError(
            f"{path}: the weights do not fit the network its header describes; the file was changed"
        ) from None
    if len(net.space) == 2:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trained(net, header, file_hash(path))
