"""Intensity: a map that comes back, that never wraps, and that is not fitted where there is nothing to fit."""

import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.data.intensity import Intensity, fit


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [(np.uint8, 0, 255), (np.uint16, 0, 65535), (np.int16, -1024, 3071), (np.int32, -9, 99)]
)
def test_whole_numbers_within_the_window_come_back_exactly(dtype, low, high):
    values = np.linspace(low, high, 5000).astype(dtype)
    scaled = Intensity(low, high, np.dtype(dtype).name).encode(values)
    assert scaled.dtype == np.float32 and scaled.min() == -1 and scaled.max() == pytest.approx(1, abs=1e-6)
    again = Intensity(low, high, np.dtype(dtype).name).decode(scaled)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, values)


def test_fractions_come_back_closely():
    values = np.random.default_rng(0).uniform(0, 20, (5, 1, 8, 8)).astype(np.float32)
    line = Intensity(0.0, 20.0, "float32")
    again = line.decode(line.encode(values))
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, values, atol=5e-6)


def test_what_lies_outside_is_clipped_and_the_input_is_left_alone():
    line, values = Intensity(-1000, 400, "int16"), np.array([-3000, -1000, -300, 400, 3000], np.int16)
    assert line.encode(values).tolist() == [-1, -1, 0, 1, 1]
    assert line.decode(np.array([-1.5, -1, 0, 1, 1.5], np.float32)).tolist() == [-1000, -1000, -300, 400, 400]
    assert values[0] == -3000
    floats = np.array([1.0, 9.0], np.float32)
    Intensity(0, 2, "float32").encode(floats)
    assert floats[1] == 9


def test_a_window_beyond_the_type_never_wraps_round():
    ends = np.array([-1, 1], np.float32)
    assert Intensity(-10, 300, "uint8").decode(ends).tolist() == [0, 255]
    assert Intensity(-40000, 40000, "int16").decode(ends).tolist() == [-32768, 32767]


def test_the_fit_of_each_type():
    chance = np.random.default_rng(0)
    assert fit(chance.integers(10, 20, (4, 1, 8, 8)).astype(np.uint8)) == Intensity(0.0, 255.0, "uint8")
    hounsfield = chance.normal(0, 100, (50, 1, 32, 32)).round().astype(np.int16)
    hounsfield[0, 0, 0, 0] = 30000  # one bright pixel does not take the window
    fitted = fit(hounsfield)
    assert fitted.dtype == "int16" and -500 < fitted.low < -300 and 300 < fitted.high < 500
    assert fitted.low == int(fitted.low) and fitted.high == int(fitted.high)
    assert fit(hounsfield.astype(np.float32)).dtype == "float32"
    assert fit(hounsfield, (-1000.0, 400.0)) == Intensity(-1000.0, 400.0, "int16")
    assert fit(hounsfield.astype(np.uint8), (0.0, 15.0)) == Intensity(0.0, 15.0, "uint8")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("window", [(), (0.0, 1.0)])
def test_constant_images_are_refused(dtype, window):
    with pytest.raises(InputError, match="hold the one value 7; there is nothing to learn"):
        fit(np.full((3, 1, 8, 8), 7, dtype), window)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_images_that_are_nearly_all_ground_are_not_called_constant(dtype):
    values = np.zeros((100, 1, 32, 32), dtype)
    values[0, 0, 0, :3] = 50
    assert fit(values) == Intensity(0.0, 50.0, np.dtype(dtype).name)


@pytest.mark.parametrize("window", [(1.0,), (1.0, 1.0), (2.0, 1.0), (0.0, 1.0, 2.0)])
def test_a_window_that_is_none_is_refused(window):
    with pytest.raises(InputError, match="--window needs two values, low then high, not"):
        fit(np.arange(256, dtype=np.int16).reshape(4, 1, 8, 8), window)


def test_a_window_beside_the_values_is_refused():
    with pytest.raises(InputError, match="--window 1000,2000 lies beside the training values, which reach from 0 to 9"):
        fit(np.arange(10, dtype=np.uint8).reshape(1, 1, 2, 5), (1000.0, 2000.0))
