"""Files -> what is measured: labels of regions on every layer, sizes, one image after the other."""

from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
from PIL import Image

from ganatomy.core.errors import InputError
from ganatomy.data import regions, volume
from ganatomy.radiomics.files import Plan, _layers, _Opened, items

LAYER = np.array([[0, 1, 1], [2, 2, 5]], np.uint8)


def opened(labels: tuple[int, ...], **named: tuple[int, int]) -> _Opened:
    """Regions as label=(layer, value) on one or two copies of LAYER."""
    found = {int(label[1:]): regions.Region("", layer, value) for label, (layer, value) in named.items()}
    layers = (LAYER,) * (1 + max(layer for layer, _ in named.values()))
    image = volume.Volume(LAYER * 1.0, (), None, "", "x")
    return _Opened(image, regions.Mask(layers, found, "m", {9: "faulty"}), labels, [])


def test_layers_hold_the_labels_that_are_wanted() -> None:
    (same,) = _layers(opened((1, 2, 5), _1=(0, 1), _2=(0, 2), _5=(0, 5)))
    assert same is LAYER, "a large map is not copied without need"
    (few,) = _layers(opened((2,), _1=(0, 1), _2=(0, 2), _5=(0, 5)))
    np.testing.assert_array_equal(few, np.where(LAYER == 2, 2, 0))
    first, second = _layers(opened((1, 70000), _1=(0, 2), _70000=(1, 1), _9=(0, 0)))
    np.testing.assert_array_equal(first, np.where(LAYER == 2, 1, 0))
    np.testing.assert_array_equal(second, np.where(LAYER == 1, 70000, 0))
    (one,) = _layers(opened((3,), _1=(0, 1), _3=(1, 5)))
    np.testing.assert_array_equal(one, np.where(LAYER == 5, 3, 0))
    assert Plan().labels == ()


def test_a_folder_as_items(tmp_path: Path) -> None:
    for name in ("i", "m"):
        (tmp_path / name).mkdir()
    place: dict[str, Any] = {"spacings": [0.5, 1, 2]}
    values = np.arange(24.0).reshape(4, 3, 2)
    nrrd.write(str(tmp_path / "i" / "a.nrrd"), values, place)
    nrrd.write(str(tmp_path / "m" / "a.nrrd"), (values > 9).astype(np.uint8) * 4, place)
    Image.fromarray(np.zeros((3, 5), np.uint8)).save(tmp_path / "i" / "b.png")
    Image.fromarray(np.eye(3, 5, dtype=np.uint8)).save(tmp_path / "m" / "b_mask_1.png")
    Image.fromarray(np.eye(3, 5, 1, dtype=np.uint8)).save(tmp_path / "m" / "b_mask_2.png")
    found = list(items(str(tmp_path / "i"), str(tmp_path / "m")))
    assert [item.image for item in found] == [0, 1, 2]
    assert [item.values.shape for item in found] == [(2, 3, 4), (1, 3, 5), (1, 3, 5)]
    assert [item.spacing for item in found] == [(2.0, 1.0, 0.5), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)]
    assert [sorted(np.unique(item.labels)) for item in found] == [[0, 4], [0, 1], [0, 1]]
    assert [item.labels for item in items(str(tmp_path / "i"))] == [None, None]
    Image.fromarray(np.zeros((3, 5), np.uint8)).save(tmp_path / "i" / "c.png")
    with pytest.raises(InputError, match=r"1 image\(s\) have no mask in .*m: .*c\.png"):
        list(items(str(tmp_path / "i"), str(tmp_path / "m")))
