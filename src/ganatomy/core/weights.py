"""Weights on disk: safetensors with a JSON header, so that loading runs no code.

The header of a generator holds its latent specification: what noise goes in and what units come out. Knows
files and tensors, not networks. torch is imported late.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganatomy.core.errors import RunError
from ganatomy.core.run import FORMAT, not_newer, write_bytes

if TYPE_CHECKING:
    from torch import Tensor


def save(path: Path, tensors: "Mapping[str, Tensor]", header: Mapping[str, Any]) -> Path:
    """Write tensors and a JSON header, whole or not at all."""
    from safetensors.torch import save as to_bytes

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # one entry only: safetensors writes several in an order that changes
    marks = json.dumps({**header, "format": FORMAT, "sha256": _digest(plain)}, sort_keys=True)
    return write_bytes(path, to_bytes(plain, metadata={"ganatomy": marks}))


def _digest(tensors: "Mapping[str, Tensor]") -> str:
    from torch import uint8

    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(name.encode() + tensor.contiguous().reshape(-1).view(uint8).numpy().tobytes())
    return total.hexdigest()


def load(path: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Read what `save` wrote; RunError where the file is missing, damaged or not ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as stream:
            header = json.loads((stream.metadata() or {})["ganatomy"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        not_newer(path, header.pop("format", 1))
        digest = _digest(tensors)
        if header.pop("sha256", digest) != digest:
            raise OSError("its numbers are not those that were saved")
        return tensors, header
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{path} cannot be read as weights ({error}); train again, or give the run folder that made it"
        ) from None
    except (KeyError, ValueError, TypeError, AttributeError):
        raise RunError(f"{path} holds no ganatomy header: weights of another program cannot be used here") from None
