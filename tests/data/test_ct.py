"""The scanner: transfer functions, noise and the mean over a slice against what their formulas say."""

import numpy as np
import pytest

from ganatomy.core.seed import rng
from ganatomy.data.ct import CELL, FIELD, GRID, KERNELS, NOISE, noise, shaped, slice_texture, transfer, tube_cover


def test_transfer_functions_are_ordered_and_a_sharp_kernel_overshoots():
    f = np.linspace(0.01, 1.5, 600)
    half = [f[transfer(kernel, f) > 0.5].max() for kernel in KERNELS]
    assert half == pytest.approx([0.30, 0.43, 0.70], abs=0.02)
    assert transfer("smooth", f).max() <= 1.0 and 1.1 < transfer("sharp", f).max() < 1.3


def test_noise_falls_with_the_square_root_of_dose_and_thickness():
    def sd(dose, thickness, size=64):
        return np.std([noise("standard", dose, thickness, size, rng(i, str(dose), str(thickness))) for i in range(40)])

    base = sd(1.0, 1.25)
    assert sd(0.2, 1.25) / base == pytest.approx(np.sqrt(5), rel=0.04)
    assert sd(1.0, 5.0) / base == pytest.approx(0.5, rel=0.04)
    assert sd(1.0, 1.25, 128) == pytest.approx(NOISE, rel=0.03)


def test_the_noise_power_spectrum_is_that_of_filtered_back_projection():
    size = 64
    f = np.hypot(np.fft.fftfreq(size, FIELD / size)[:, None], np.fft.fftfreq(size, FIELD / size)[None, :])
    spectrum = {}
    for kernel in KERNELS:
        draws = [noise(kernel, 1.0, 1.25, size, rng(i, kernel)) for i in range(60)]
        power = np.mean([np.abs(np.fft.fft2(draw)) ** 2 for draw in draws], axis=0)
        spectrum[kernel] = lambda low, high, power=power: power[(f >= low) & (f < high)].mean()
        assert spectrum[kernel](0.001, 0.04) < 0.5 * spectrum[kernel](0.1, 0.25)  # the ramp: little at low frequency
    high, low = [{kernel: spectrum[kernel](*band) for kernel in KERNELS} for band in ((0.4, 0.6), (0.02, 0.08))]
    assert high["sharp"] > 5 * high["standard"] > 25 * high["smooth"]
    assert low["sharp"] < 2 * low["smooth"]  # one ramp under all kernels


def test_a_thick_slice_averages_along_z_as_the_chord_says():
    middle = GRID // 2
    tube = np.array([[-15.0, 0.0, 0.0, 1.0, 15.0, 0.0, 0.0, 1.0]])  # radius 1 mm, in the plane
    for thickness, expected in ((1.25, 1.0), (2.5, 0.8), (5.0, 0.4)):
        assert tube_cover(tube, 0.0, thickness)[middle, middle] == pytest.approx(expected, abs=0.02)
    assert tube_cover(tube, 2.0, 1.25).max() == 0.0  # the slice lies above it
    upright = np.array([[0.0, 0.0, -9.0, 1.5, 0.0, 0.0, 9.0, 1.5]])
    for tilt in (0.0, 0.5, 1.0):  # a section's area is that of an ellipse
        slanted = upright + tilt * np.array([-9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0])
        area = tube_cover(slanted, 0.0, 0.1).sum() * CELL**2
        assert area == pytest.approx(np.pi * 1.5**2 * np.hypot(1.0, tilt), rel=0.05)
    thin, thick = (np.std(shaped(slice_texture(t, 7.0), rng(0, "t"))) for t in (1.25, 5.0))
    assert thick < 0.8 * thin < 0.8
