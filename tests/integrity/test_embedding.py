"""A real network in ONNX, run by the real runtime: vectors in order, one sentence for each thing that can be wrong."""

import base64
import sys
from pathlib import Path

import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.integrity.embedding import load

pytest.importorskip("onnxruntime", reason="pip install 'ganatomy[embedding]'")

# (n, 1, 16, 16) -> (n, 2, 1, 1): GlobalAveragePool and GlobalMaxPool, one beside the other
NETWORK = base64.b64decode(
    "CAkSADqRAQoZCgF4EgFhIhFHbG9iYWxBdmVyYWdlUG9vbAoVCgF4EgFiIg1HbG9iYWxNYXhQb29sCh4KAWEKAWISAXkiBkNvbmNhdCoLCgRheGlz"
    "GAGgAQISAWdaHAoBeBIXChUIARIRCgMSAW4KAggBCgIIEAoCCBBiHAoBeRIXChUIARIRCgMSAW4KAggCCgIIAQoCCAFCBAoAEBE="
)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(NETWORK)
    return path


def test_vectors_of_every_image_in_order(network: Path) -> None:
    images = np.random.default_rng(0).integers(-900, 400, (130, 1, 16, 16)).astype(np.int16)
    vectors = load(network)(images)
    assert vectors.shape == (130, 2) and vectors.dtype == np.float64
    np.testing.assert_allclose(vectors[:, 0], images.mean((1, 2, 3)), rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(vectors[:, 1], images.max((1, 2, 3)))
    assert load(network)(images[:0]).shape[0] == 0


def test_images_it_does_not_take(network: Path) -> None:
    with pytest.raises(InputError, match=r"net\.onnx takes no images of 1 x 4 x 4 \(its input is \['n', 1, 16, 16\]\)"):
        load(network)(np.zeros((3, 1, 4, 4)))


def test_no_file_no_onnx_no_runtime(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no embedding"):
        load(network.with_name("other.onnx"))
    network.write_bytes(b"text")
    with pytest.raises(InputError, match=r"net\.onnx is not an ONNX file that can be run"):
        load(network)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what Python does where it is not installed
    with pytest.raises(InputError, match="install onnxruntime"):
        load(network)
