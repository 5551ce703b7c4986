"""Writing: what is read back is what was written, and every file says that it is synthetic."""

import numpy as np
import pytest
from PIL import Image as Pillow

from ganatomy.core.errors import InputError
from ganatomy.data.read import image, pixels
from ganatomy.data.scan import Read, read
from ganatomy.data.write import npz_bytes, png_bytes, storage, write_png

MARK = {"Synthetic": "YES", "Class": "bösartig 悪性", "Seed": "17"}


def some(shape, low, high, dtype):
    chance = np.random.default_rng(0)
    values = chance.uniform(low, high, shape)
    values.flat[0], values.flat[-1] = low, high
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "channels"),
    [
        (np.uint8, 0, 255, 1),
        (np.uint8, 0, 255, 3),
        (np.uint16, 0, 65535, 1),
        (np.uint16, 0, 65535, 3),
        (np.int16, -1024, 3071, 1),
        (np.int16, -1024, 3071, 3),
        (np.int16, 0, 4095, 1),
        (np.int16, 1, 4095, 1),
        (np.int16, 100, 900, 1),
        (np.int16, -32768, 32767, 1),
    ],
)
def test_whole_numbers_come_back_exactly(tmp_path, dtype, low, high, channels):
    values = some((channels, 8, 9), low, high, dtype)
    line = storage(np.dtype(dtype).name, low, high)
    path = write_png(tmp_path / "x.png", values, *line, MARK)
    again = image(str(path), *line).values
    assert again.dtype == values.dtype
    np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.int32, 0, 65000), (np.int8, -128, 127), (np.uint32, 5, 60000)])
def test_other_whole_numbers_keep_their_values(tmp_path, dtype, low, high):
    values = some((1, 8, 9), low, high, dtype)
    line = storage(np.dtype(dtype).name, low, high)
    np.testing.assert_array_equal(image(str(write_png(tmp_path / "x.png", values, *line, {})), *line).values, values)


@pytest.mark.parametrize(("low", "high", "channels"), [(-1.0, 1.0, 1), (0.0, 65535.0, 1), (1e-6, 3e-6, 3)])
def test_fractions_come_back_to_half_a_step(tmp_path, low, high, channels):
    values = some((channels, 8, 9), low, high, np.float32)
    line = storage("float32", low, high)
    again = image(str(write_png(tmp_path / "x.png", values, *line, MARK)), *line).values
    assert again.dtype == np.float32 or line == (1.0, 0.0)
    np.testing.assert_allclose(again, values, rtol=0, atol=0.501 * (high - low) / 65535)


@pytest.mark.parametrize(
    "values",
    [some((1, 8, 9), 0, 255, np.uint8), some((3, 8, 9), 0, 255, np.uint8), some((1, 8, 9), 0, 65535, np.uint16),
     some((3, 8, 9), 0, 65535, np.uint16)],
    ids=["grey8", "rgb8", "grey16", "rgb16"],
)  # fmt: skip
def test_the_marks_are_in_every_kind_of_file(tmp_path, values):
    path = write_png(tmp_path / "x.png", values, 1.0, 0.0, MARK)
    with Pillow.open(path) as opened:
        opened.load()
        assert opened.text == MARK
    assert path.read_bytes() == png_bytes(values, 1.0, 0.0, MARK)  # twice the same bytes


def test_what_a_png_cannot_hold_is_refused():
    with pytest.raises(InputError, match=r"1 or 3 channels, not 4.*--format npz"):
        png_bytes(np.zeros((4, 8, 9), np.uint8), 1.0, 0.0, {})
    with pytest.raises(InputError, match="do not fit 16 bits; set --window"):
        storage("int32", -100_000, 100_000)


def test_values_beyond_the_range_are_clipped_and_never_wrap(tmp_path):
    line = storage("int16", -1000, 1000)
    values = np.array([[[-1005, 1000]]], np.int16)
    again = image(str(write_png(tmp_path / "x.png", values, *line, {})), *line).values
    assert again.min() >= -1001 and again.max() == 1000


def test_equal_arrays_are_equal_npz_bytes_and_come_back(tmp_path):
    arrays = {"images": some((3, 8, 9, 3), 0, 255, np.uint8), "labels": np.array(["a", "b", "ß"])}
    assert npz_bytes(arrays) == npz_bytes({name: value.copy() for name, value in arrays.items()})
    (tmp_path / "x.npz").write_bytes(npz_bytes(arrays))
    found = read(tmp_path / "x.npz", Read())
    assert found.labels == ["a", "b", "ß"]
    np.testing.assert_array_equal(pixels(found), np.moveaxis(arrays["images"], -1, 1))
