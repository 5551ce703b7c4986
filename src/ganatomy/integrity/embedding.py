"""An embedding that the user brings as an ONNX file: images -> vectors, for FID (frechet.fid) and KID (mmd.kid).

Knows how such a file is run, on the processor alone. Knows no network by name, and fetches none.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError

Array = NDArray[np.float64]
Embed = Callable[[NDArray[np.generic]], Array]

BATCH = 64


def load(path: Path) -> Embed:
    """The function of an ONNX file: images (N, C, H, W), in the values its network was trained on -> (N, d).

    The file has one input (its first) and its first output is the vector; more than one axis is laid in a row.
    InputError where there is no such file, where it is not ONNX, or where onnxruntime is not installed.
    """
    if not path.is_file():
        raise InputError(f"there is no embedding {path}; give the path of an ONNX file")
    try:
        runtime: Any = import_module("onnxruntime")  # late, for it is optional
    except ImportError:
        raise InputError(f"to run the embedding {path.name}, install onnxruntime (pip install onnxruntime)") from None
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own, which differ between versions
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path.name} is not an ONNX file that can be run ({first})") from None
    entry = session.get_inputs()[0]

    def embed(images: NDArray[np.generic]) -> Array:
        stack, out = np.asarray(images, np.float32), []
        for start in range(0, len(stack), BATCH):
            part = stack[start : start + BATCH]  # (b, C, H, W)
            try:
                vectors = np.asarray(session.run(None, {entry.name: part})[0], np.float64)
            except Exception as error:
                first = str(error).splitlines()[0] if str(error) else type(error).__name__
                shape = " x ".join(map(str, part.shape[1:]))
                raise InputError(
                    f"the embedding {path.name} takes no images of {shape} (its input is {entry.shape}): {first}"
                ) from None
            out.append(vectors.reshape(len(part), -1))
        return np.concatenate(out) if out else np.empty((0, 0))

    return embed
