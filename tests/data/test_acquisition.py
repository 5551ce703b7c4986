"""Transforms against what is known of them: units, types, closed forms, and the phantom's own scanner."""

import numpy as np
import pytest
import torch

from ganatomy.core.seed import rng
from ganatomy.data import ct
from ganatomy.data.acquisition import (
    DOSE,
    FIELD,
    MIRROR,
    MOVE,
    TURN,
    Change,
    bias_field,
    changed,
    contrast,
    crop,
    fewer_averages,
    kernel,
    linear,
    lower_dose,
    mirror,
    noise_level,
    quarter_turns,
    shift,
    smooth,
    spectrum,
    thicker,
    transforms,
    typed,
)
from ganatomy.data.transform import Draw, transform


def picture(seed: int = 0, n: int = 3, space: tuple[int, ...] = (32, 32)) -> np.ndarray:
    """(n, 1, *space) int16, smooth blobs in lung: HU."""
    values = -800 + 30 * smooth(10 * rng(seed, "picture").standard_normal((n, 1, *space)), 2.0)
    return np.rint(values).astype(np.int16)


@pytest.mark.parametrize("unit", ["HU", "", "SUV"])
@pytest.mark.parametrize("space", [(32, 32), (24, 32), (6, 16, 16)])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_every_transform_keeps_shape_and_type_is_a_function_of_its_draw_and_leaves_its_input_alone(
    unit: str, space: tuple[int, ...], dtype: type
) -> None:
    images = np.clip(picture(1, 2, space) + 900, 0, 255).astype(dtype)
    before = images.copy()
    for change in transforms(unit, space, 0.7):
        if change.reason:
            continue
        one, two = (changed(change, images, rng(3, change.name)) for _ in range(2))
        assert one.shape == images.shape and one.dtype == images.dtype, change.name
        assert (one == two).all() and np.isfinite(one).all(), change.name
        assert (one != images).any(), change.name
    assert (images == before).all()


def test_a_unit_has_the_transforms_that_make_sense_for_it_and_the_others_say_why() -> None:
    able = {
        (unit, space): {c.name for c in transforms(unit, space) if not c.reason}
        for unit in ("HU", "hu ", "")
        for space in ((32, 32), (24, 32), (8, 32, 32))
    }
    kept = {"smoothing", "crop", MIRROR, TURN, MOVE}
    ct_only = {"softer kernel", "sharper kernel", "lower dose", "HU offset", "HU scale"}
    assert able["HU", (32, 32)] == able["hu ", (32, 32)] == kept | ct_only
    assert able["", (32, 32)] == kept | {"bias field", "contrast", "more noise"}
    assert able["", (24, 32)] == able["", (32, 32)] - {TURN}
    assert able["HU", (8, 32, 32)] == able["HU", (32, 32)] | {"thicker slices"}
    assert "a single slice has no thickness" in next(c.reason for c in transforms("HU", (32, 32)) if "thick" in c.name)


def test_a_kernel_multiplies_a_wave_by_the_quotient_of_the_transfer_functions() -> None:
    spacing, size = 0.7, 64
    for waves in (4, 20, 50):  # the last would be tripled by the sharp kernel
        f = waves / (2 * size * spacing)
        x = np.cos(np.pi * waves * (np.arange(size) + 0.5) / size) * np.ones((1, 1, size, 1))  # along the rows
        for to in ct.KERNELS:
            ratio = float(ct.transfer(to, np.array(f)) / ct.transfer("standard", np.array(f)))
            assert kernel(x, spacing, to) == pytest.approx(x * min(ratio, 2.0), abs=1e-9)
    flat = np.full((1, 1, 16, 16), -500, np.int16)
    assert (kernel(flat, spacing, "sharp") == -500).all()


def test_a_kernel_makes_of_the_phantoms_standard_images_what_its_scanner_shows_with_the_other() -> None:
    slab = 200 * smooth(rng(0, "slab").standard_normal((1, 1, ct.GRID, ct.GRID)), 4.0)[0, 0]
    size, edge = 128, 12
    real = {name: ct.blur(slab, name, size)[edge:-edge, edge:-edge] for name in ct.KERNELS}
    for to in ("smooth", "sharp"):
        made = kernel(ct.blur(slab, "standard", size)[None, None], ct.FIELD / size, to)[0, 0, edge:-edge, edge:-edge]
        assert np.abs(made - real[to]).std() < 0.05 * np.abs(real["standard"] - real[to]).std()


@pytest.mark.parametrize("size", [32, 64])
def test_the_noise_level_of_pure_noise_is_right_and_a_lower_dose_has_the_noise_and_the_spectrum_of_one(
    size: int,
) -> None:
    step = ct.FIELD / size
    noise = np.stack([ct.noise("standard", 1.0, 1.25, size, rng(i, "noise")) for i in range(40)])[:, None]
    assert np.median(noise_level(noise, spectrum((size, size), step))) == pytest.approx(noise.std(), rel=0.08)
    less = lower_dose(noise, step, rng(0, "dose"))
    assert less.std() == pytest.approx(noise.std() / np.sqrt(DOSE), rel=0.06)
    power = [(np.abs(np.fft.fft2(x)) ** 2).mean((0, 1)) for x in (noise, less)]
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    assert spectrum((size, size), step) == pytest.approx(spectrum((size, size), step).T)
    if size == 32:  # coarse pixels fold what lies beyond their limit back
        edge = (f > 0.42) & (f < 0.5)
        told = spectrum((size, size), step)[edge].mean()
        assert power[0][edge].mean() / power[0].mean() == pytest.approx(told, rel=0.1)
    for low, high in ((0.05, 0.15), (0.15, 0.3), (0.3, 0.5)):
        ring = (f > low) & (f <= high)
        assert power[1][ring].mean() == pytest.approx(power[0][ring].mean() / DOSE, rel=0.12)


def test_white_noise_is_measured_beside_edges_and_doubled_in_variance_by_half_of_the_averages() -> None:
    image = np.zeros((200, 1, 32, 32))
    image[..., 10:, :] += 500
    noisy = image + 7 * rng(0, "white").standard_normal(image.shape)
    assert np.median(noise_level(noisy, np.ones((32, 32)))) == pytest.approx(7, rel=0.1)
    assert (fewer_averages(noisy, rng(1, "white")) - image).std() == pytest.approx(7 * np.sqrt(2), rel=0.05)
    assert (fewer_averages(image, rng(1, "white")) == image).all()  # no noise, none more


def test_whole_numbers_are_rounded_and_stay_within_their_type() -> None:
    images = np.array([[[[0, 100, 250, 255]]]], np.uint8)
    assert linear(images, 1.0, 10.4).tolist() == [[[[10, 110, 255, 255]]]]
    assert typed(np.array([0.5, 1.5, -3.0]), images).tolist() == [0, 2, 0]
    assert linear(picture(), 1.02, 0.0).tolist() == np.rint(picture() * 1.02).tolist()


def test_slices_twice_as_thick_are_the_mean_of_thin_ones_and_a_slice_has_none() -> None:
    volume = rng(0, "volume").standard_normal((2, 1, 7, 4, 4))
    made = thicker(volume)
    assert made[:, :, 3] == pytest.approx((volume[:, :, 2] + 2 * volume[:, :, 3] + volume[:, :, 4]) / 4)
    assert thicker(np.full((1, 1, 3, 4, 4), 7, np.int16)).tolist() == np.full((1, 1, 3, 4, 4), 7).tolist()
    with pytest.raises(ValueError, match="needs volumes"):
        thicker(picture())


def test_a_bias_field_is_smooth_multiplies_what_lies_above_the_lowest_value_and_has_the_range_it_says() -> None:
    images = np.full((5, 2, 32, 32), 100.0)
    images[..., 0, 0] = 20.0
    field = (bias_field(images, rng(0, "bias")) - 20) / 80
    rest = field[..., 1:, 1:]
    assert rest.min() >= 1 - FIELD - 1e-9 and rest.max() <= 1 + FIELD + 1e-9
    assert np.ptp(rest, axis=(1, 2, 3)) == pytest.approx(2 * FIELD, rel=0.15)  # the corner is left out
    assert (field[:, 0, 1:, 1:] == field[:, 1, 1:, 1:]).all() and (field[..., 0, 0] == 0).all()
    assert np.abs(np.diff(rest, 3, axis=-1)).max() < 1e-9  # a polynomial of the second order


def test_contrast_keeps_the_lowest_and_the_highest_value_and_the_order() -> None:
    images = picture().astype(np.float64)
    made = contrast(images)
    for a, b in zip(images, made, strict=True):
        assert (a.min(), a.max()) == pytest.approx((b.min(), b.max()))
        assert (np.argsort(a, axis=None) == np.argsort(b, axis=None)).mean() > 0.5
        assert (b <= a + 1e-9).all()
    assert (contrast(np.full((1, 1, 4, 4), 3, np.uint8)) == 3).all()


def test_a_crop_magnifies_the_middle_and_smoothing_keeps_the_mean_and_halves_the_fine() -> None:
    ramp = np.tile(np.arange(40.0), (1, 1, 40, 1))
    middle = (ramp - 19.5) * 0.9 + 19.5
    assert crop(ramp)[..., 4:-4] == pytest.approx(middle[..., 4:-4], abs=0.1)
    assert crop(ramp).mean() == pytest.approx(19.5)
    f = 1 / 8
    wave = np.cos(2 * np.pi * f * np.arange(64)) * np.ones((1, 1, 64, 1))
    expected = np.exp(-2 * (np.pi * f * 0.7) ** 2)
    assert smooth(wave)[..., 16:-16] == pytest.approx(wave[..., 16:-16] * expected, abs=0.01)


@pytest.mark.parametrize("space", [(16, 16), (8, 16, 16)])
def test_geometry_is_that_of_training(space: tuple[int, ...]) -> None:
    n, dims = 6, len(space)
    images = rng(0, "geometry").standard_normal((n, 1, *space))
    none = torch.zeros(n, dtype=torch.long)

    def trained(shifts: torch.Tensor, flip: bool, turn: torch.Tensor) -> np.ndarray:
        box = torch.zeros(n, dims + 1, dtype=torch.long)
        draw = Draw(shifts, torch.full((n,), flip), turn, box)
        return np.asarray(transform(torch.from_numpy(images), draw).numpy())

    still = torch.zeros(n, dims, dtype=torch.long)
    assert (mirror(images) == trained(still, True, none)).all()
    turned = quarter_turns(images, rng(1, "turn"))
    which = [
        [(image == trained(still, False, none + k)[i]).all() for k in (0, 1, 2, 3)] for i, image in enumerate(turned)
    ]
    assert not any(row[0] for row in which) and all(sum(row) == 1 for row in which)
    moved = shift(images, rng(2, "shift"))
    reach = [range(-(size // 8), size // 8 + 1) for size in space]
    places = np.array(np.meshgrid(*reach)).reshape(dims, -1).T
    every = [trained(torch.from_numpy(np.tile(p, (n, 1))), False, none) for p in places]
    assert all(any((moved[i] == one[i]).all() for one in every) for i in range(n))


def test_a_background_stays_unless_pixels_move() -> None:
    images = picture()
    ground = float(np.median(images))
    up = Change("up", "ten more", lambda x, _: linear(x, 1.0, 10.0))
    after = changed(up, images, rng(0, "x"), ground)
    assert (after[images <= ground] == images[images <= ground]).all()
    assert (after[images > ground] == images[images > ground] + 10).all()
    turned = Change(MIRROR, "", lambda x, _: mirror(x), moves=True)
    assert (changed(turned, images, rng(0, "x"), ground) == mirror(images)).all()


def test_a_masked_picture_stays_masked_and_its_noise_is_that_inside_the_mask() -> None:
    noise = 7 * rng(0, "mask").standard_normal((100, 1, 32, 32))
    ball = np.hypot(*np.meshgrid(np.arange(32) - 16, np.arange(32) - 16)) < 10
    images = np.where(ball, 120 + noise, 0).round().astype(np.uint8)
    assert np.median(noise_level(images, np.ones((32, 32)))) == pytest.approx(7, rel=0.1)
    for change in transforms("", (32, 32)):
        if not change.reason:
            after = changed(change, images, rng(1, change.name), 0.0)
            assert not ((after > 0) & (after < 60)).any(), change.name  # neither bled into the mask nor out of it
    assert (
        changed(next(c for c in transforms("", (32, 32)) if c.name == "crop"), images, rng(1, "crop"), 0.0) > 0
    ).sum() == (pytest.approx(100 * ball.sum() / 0.81, rel=0.05))
