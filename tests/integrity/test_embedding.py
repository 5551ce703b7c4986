"""One sentence for each thing that can be wrong; batches in order. The runtime itself is a stand-in here."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.integrity.embedding import load


class Session:
    """Means and spreads of each channel, of images of 8 x 8 alone."""

    def __init__(self, path: str, providers: list[str]) -> None:
        if Path(path).read_bytes() != b"onnx":
            raise RuntimeError("INVALID_PROTOBUF\nand much more")
        assert providers == ["CPUExecutionProvider"]

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="pixels", shape=["n", "c", 8, 8])]

    def run(self, names: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        x = feed["pixels"]
        if x.shape[2:] != (8, 8) or x.dtype != np.float32 or len(x) > 64:
            raise RuntimeError("Got invalid dimensions")
        return [np.stack([x.mean((2, 3)), x.std((2, 3))], axis=-1)]


@pytest.fixture
def runtime(monkeypatch, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    module = ModuleType("onnxruntime")
    module.InferenceSession = Session  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"onnx")
    return path


def test_vectors_of_every_image_in_order(runtime: Path) -> None:
    images = np.arange(130)[:, None, None, None] * np.ones((1, 2, 8, 8))
    vectors = load(runtime)(images)
    assert vectors.shape == (130, 4) and vectors.dtype == np.float64
    assert vectors[:, 0].tolist() == list(range(130)) and not vectors[:, 1].any()
    assert load(runtime)(images[:0]).shape[0] == 0


def test_images_it_does_not_take(runtime: Path) -> None:
    with pytest.raises(InputError, match=r"net\.onnx takes no images of 1 x 4 x 4 .*Got invalid dimensions$"):
        load(runtime)(np.zeros((3, 1, 4, 4)))


def test_no_file_no_onnx_no_runtime(runtime: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="there is no embedding"):
        load(runtime.with_name("other.onnx"))
    runtime.write_bytes(b"text")
    with pytest.raises(InputError, match=r"net\.onnx is not an ONNX file that can be run \(INVALID_PROTOBUF\)$"):
        load(runtime)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what Python does where it is not installed
    with pytest.raises(InputError, match="install onnxruntime"):
        load(runtime)
