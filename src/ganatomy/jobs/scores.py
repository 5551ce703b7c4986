"""What a run's own discriminator says of real images: more of those it was trained on, if it has learned them by heart.

Knows the checkpoint that training leaves. Does not know any attack (integrity/privacy.py).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ganatomy.core import weights
from ganatomy.core.errors import GanatomyError
from ganatomy.core.progress import say
from ganatomy.nets.discriminator import Discriminator

PREFIX = "nets.discriminator."
PART = 256  # images at once


@torch.no_grad()
def discriminator_scores(run: Path, images: NDArray[np.float32], codes: Sequence[int]) -> NDArray[np.float64] | None:
    """D(x, y) of a finished training for images (n, C, H, W) in [-1, 1] and their class codes: (n,) logits, high where
    they look real. None where RUN/train has no checkpoint; where there is one that cannot be used, this is said.

    The discriminator is the one of the last step, in fp32 on the processor: no average of it is kept.
    """
    path = run / "train" / "checkpoint.safetensors"
    if not path.exists():
        return None
    try:
        _, header = weights.load(path.with_name("generator.safetensors"))
        tensors, _ = weights.load(path)
        network = header["network"]
        net = Discriminator(*(network[name] for name in ("space", "channels", "classes", "width", "most")))
        net.load_state_dict(
            {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}
        )
    except (GanatomyError, LookupError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        say(f"note: the discriminator in {path} cannot be used ({reason}), so its scores are not attacked")
        return None
    net.eval()
    x, y = torch.from_numpy(np.asarray(images, np.float32)), torch.tensor(list(codes), dtype=torch.int64)
    parts = [net(*both).double().numpy() for both in zip(x.split(PART), y.split(PART), strict=True)]
    return np.concatenate(parts) if parts else np.empty(0)
