"""What another scan, or another way of cutting, would have made of the same images: transforms of typical strength.

Pure functions of arrays (n, C, H, W) or (n, C, D, H, W) in physical units, in their type, and of a draw. Knows physics
and strengths; does not know labels, nor whether a transform keeps them (integrity.invariance asks that).
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import convolve1d, distance_transform_edt, gaussian_filter1d, minimum_filter, zoom

from ganatomy.data.ct import transfer

Images = NDArray[np.generic]
Array = NDArray[np.float64]
Draw = np.random.Generator

SPACING = 0.7  # mm, where the images do not say: a field of 350 mm over 512 pixels
SHARPEST = 2.0  # the most a sharper kernel amplifies a frequency, for what lies beyond it is noise

# The strengths. One step of the variation that one class is scanned with in different places, not the worst of it.
DOSE = 0.5  # of the tube current. Mean doses of one examination differ fourfold by country (Smith-Bindman, BMJ 2019)
OFFSET = 10.0  # HU. Water within +-7 HU passes the ACR's phantom test; patients, voltages and scanners add to it
SCALE = 1.02  # of every HU: water stays 0, fat moves by 2, muscle by 1, dense bone by 20 HU
AVERAGES = 0.5  # of the signal averages of an MR sequence, or of the counts of any other picture
FIELD = 0.10  # of the signal, up and down: the "20 % inhomogeneity" of BrainWeb (Collins, IEEE TMI 1998)
GAMMA = 1.2  # TorchIO's random gamma lies within 0.74 to 1.35
KEPT = 0.9  # of each side in the plane, magnified to the whole
WIDTH = 0.7  # pixels, standard deviation of a Gaussian: 1.6 pixels at half maximum
REACH = 8  # a shift is at most this part of an axis, as in training (data.augment)


@dataclass(frozen=True)
class Change:
    """A transform of typical strength, or why it cannot be had.

    name: what findings call it; does: what it does, in words
    apply: images and a draw -> images of the same shape and type
    reason: why it has no sense for these images, or ""
    moves: pixels change places; mixes: a pixel takes from its neighbours
    """

    name: str
    does: str
    apply: Callable[[Images, Draw], Images]
    reason: str = ""
    moves: bool = False
    mixes: bool = False


MIRROR, TURN, MOVE = "mirror image", "quarter turn", "shift"  # those that training may use


def transforms(unit: str, space: Sequence[int], spacing: float = 0.0) -> tuple[Change, ...]:
    """Every transform, in one order, those without sense for the unit or the shape with a reason.

    unit: "HU" for CT; anything else is MR, or a picture whose values have no zero and no scale
    space: (H, W) or (D, H, W); spacing: mm per pixel in the plane, 0 where unknown (SPACING stands in)
    """
    step = spacing if spacing > 0 else SPACING
    ct, square, flat = unit.strip().upper() == "HU", space[-1] == space[-2], len(space) == 2
    no_ct = "" if ct else "only values in HU have a kernel, a dose, a zero and a scale"
    no_mr = "values in HU have no coil and no sequence" if ct else ""
    middle = f"the middle {KEPT * 100:.0f} % of each side, magnified"
    gain = f"signal times {1 - FIELD:g} to {1 + FIELD:g} over the image"
    return (
        Change("softer kernel", "MTF 50 % from 0.43 to 0.30 /mm", partial(_kernel, step, "smooth"), no_ct, mixes=True),
        Change("sharper kernel", "MTF 50 % from 0.43 to 0.70 /mm", partial(_kernel, step, "sharp"), no_ct, mixes=True),
        Change("lower dose", f"noise as at {DOSE * 100:.0f} % of it", lambda x, draw: lower_dose(x, step, draw), no_ct),
        Change("HU offset", f"{OFFSET:+g} HU", lambda x, _: linear(x, 1.0, OFFSET), no_ct),
        Change("HU scale", f"HU x {SCALE:g}", lambda x, _: linear(x, SCALE, 0.0), no_ct),
        Change(
            "thicker slices",
            "twice as thick, at the same places",
            lambda x, _: thicker(x),
            "a single slice has no thickness" if flat else "",
            mixes=True,
        ),
        Change("bias field", gain, bias_field, no_mr),
        Change("contrast", f"gamma {GAMMA:g}", lambda x, _: contrast(x), no_mr),
        Change("more noise", "noise as with half of the averages", fewer_averages, "lower dose stands for it" * ct),
        Change("smoothing", f"a Gaussian of {WIDTH:g} pixels", lambda x, _: smooth(x), mixes=True),
        Change("crop", middle, lambda x, _: crop(x), moves=True, mixes=True),
        Change(MIRROR, "left to right", lambda x, _: mirror(x), moves=True),
        Change(TURN, "one to three", quarter_turns, "" if square else "the images are not square", moves=True),
        Change(MOVE, f"up to an {REACH}th of each axis, filled by reflection", shift, moves=True),
    )


def _kernel(spacing: float, to: str, images: Images, _: Draw) -> Images:
    return kernel(images, spacing, to)


def changed(change: Change, images: Images, draw: Draw, background: float | None = None) -> Images:
    """The images after a change. background: pixels of this value or less are no part of the picture; they stay as they
    are, or move along, and nothing bleeds into them or out of them."""
    if background is None:
        return change.apply(images, draw)
    again, ground = copy.deepcopy(draw), images.astype(np.float64) <= background
    after = change.apply(_extended(images, ground) if change.mixes else images, draw)
    if change.moves:
        ground = np.asarray(change.apply(ground.astype(np.float64), again), np.float64) > 0.5
        bled = ground & (after.astype(np.float64) > background)
        return np.where(bled, np.asarray(np.floor(background), images.dtype), after)
    return np.where(ground, images, after)


def _extended(images: Images, ground: NDArray[np.bool_]) -> Images:
    """The images with each pixel of the ground set to the nearest one of the picture."""
    out = images.copy()
    for i, c in np.ndindex(images.shape[:2]):
        if ground[i, c].any() and not ground[i, c].all():
            nearest = distance_transform_edt(ground[i, c], return_distances=False, return_indices=True)
            out[i, c] = images[i, c][tuple(nearest)]
    return out


def typed(values: Array, like: Images) -> Images:
    """Values in the type of `like`: whole numbers are rounded, and clipped at the type's limits."""
    if like.dtype.kind in "iu":
        span = np.iinfo(like.dtype)  # type: ignore[type-var]
        values = np.clip(np.rint(values), span.min, span.max)
    return values.astype(like.dtype)


def _axes(images: Images) -> tuple[int, ...]:
    """The spatial axes of images (n, C, *space)."""
    return tuple(range(2, images.ndim))


# ------------------------------------------------------------ CT


def kernel(images: Images, spacing: float, to: str) -> Images:
    """Images of a "standard" reconstruction kernel as another of ct.KERNELS would show them; in the plane alone.

    The quotient of the two transfer functions, at most SHARPEST, in the cosine transform, which mirrors the image at
    its edges. Which kernel made the images is not known: a step of this size is what is asked.
    """
    height, width = images.shape[-2:]
    down, across = (np.arange(size) / (2 * size * spacing) for size in (height, width))  # 1/mm
    frequency = np.hypot(down[:, None], across)
    gain = np.minimum(transfer(to, frequency) / transfer("standard", frequency), SHARPEST)
    waves = dctn(images.astype(np.float64), axes=(-2, -1), norm="ortho")
    return typed(np.asarray(idctn(waves * gain, axes=(-2, -1), norm="ortho")), images)


def lower_dose(images: Images, spacing: float, draw: Draw, dose: float = DOSE) -> Images:
    """Images with the noise of a share `dose` of their dose: sd ~ 1 / sqrt(dose), by the images' own noise.

    Added is noise of the spectrum of filtered back-projection (standard kernel, see ct.noise), drawn anew for each
    slice, of variance (1 / dose - 1) times that of the noise that is there.
    """
    power = spectrum(images.shape[-2:], spacing)
    return _noisier(images, power, dose, draw)


def linear(images: Images, scale: float, offset: float) -> Images:
    """value * scale + offset."""
    return typed(images.astype(np.float64) * scale + offset, images)


def thicker(images: Images) -> Images:
    """Volumes (n, C, D, H, W) with slices twice as thick in the same places: half of each neighbour counts."""
    if images.ndim != 5:
        raise ValueError(f"slice thickness needs volumes (n, C, D, H, W), not {images.ndim - 2} axes of space")
    return typed(convolve1d(images.astype(np.float64), np.array([0.25, 0.5, 0.25]), axis=2, mode="nearest"), images)


def spectrum(shape: tuple[int, ...], spacing: float) -> Array:
    """Noise power of CT on the grid of fft2, (H, W), mean 1: f MTF(f)^2, the pixel's mean, and what sampling folds."""
    down, across = np.fft.fftfreq(shape[0], spacing)[:, None], np.fft.fftfreq(shape[1], spacing)
    power = np.zeros(shape)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            y, x = down + i / spacing, across + j / spacing
            f = np.hypot(y, x)
            power += f * (transfer("standard", f) * np.sinc(y * spacing) * np.sinc(x * spacing)) ** 2
    return np.asarray(power / power.mean())


# ------------------------------------------------------------ noise


def noise_level(images: Images, power: Array) -> Array:
    """(n, C) standard deviation of the noise in each image, if it has the power (H, W) given on the grid of fft2.

    The median of the second difference along both axes (Immerkaer 1996), which flat areas and straight edges leave
    alone, over what that difference keeps of such noise. Fine texture counts as noise. What touches the image's lowest
    value (air, a mask) is left out.
    """
    x = images.astype(np.float64)
    near = minimum_filter(x, (1,) * (x.ndim - 2) + (3, 3))[..., 1:-1, 1:-1]
    inside = near > x.min(_axes(images), keepdims=True)
    for axis in (-2, -1):
        x = np.diff(x, 2, axis=axis)
    edge = [2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(size)) for size in power.shape]
    kept = math.sqrt(float((power * (edge[0][:, None] * edge[1]) ** 2).mean() / power.mean()))
    out = [np.median(np.abs(a[b])) if b.any() else 0.0 for a, b in zip(_flat(x), _flat(inside), strict=True)]
    return np.reshape(out, images.shape[:2]) / 0.6745 / kept


def _flat(x: NDArray[np.generic]) -> NDArray[np.generic]:
    """(n * C, pixels)."""
    return x.reshape(x.shape[0] * x.shape[1], -1)


def _noisier(images: Images, power: Array, share: float, draw: Draw) -> Images:
    sd = noise_level(images, power) * math.sqrt(1 / share - 1)
    grain = np.fft.ifft2(np.fft.fft2(draw.standard_normal(images.shape)) * np.sqrt(power / power.mean())).real
    return typed(images.astype(np.float64) + grain * sd.reshape(*sd.shape, *[1] * (images.ndim - 2)), images)


def fewer_averages(images: Images, draw: Draw) -> Images:
    """Images with the white noise of AVERAGES of their averages: sd ~ 1 / sqrt(averages), by their own noise."""
    return _noisier(images, np.ones(images.shape[-2:]), AVERAGES, draw)


# ------------------------------------------------------------ MR


def bias_field(images: Images, draw: Draw) -> Images:
    """Each image, above its lowest value, times a smooth field that reaches from 1 - FIELD to 1 + FIELD.

    A random polynomial of the second order, one for all channels.
    """
    axes = [np.linspace(-1, 1, size) for size in images.shape[2:]]
    grid = np.meshgrid(*axes, indexing="ij")
    terms = [*grid, *(a * b for i, a in enumerate(grid) for b in grid[i:])]
    field = np.tensordot(draw.standard_normal((len(images), len(terms))), np.stack(terms), 1)  # (n, *space)
    each = tuple(range(1, field.ndim))
    low, high = field.min(each, keepdims=True), field.max(each, keepdims=True)
    field = 1 + FIELD * (2 * (field - low) / np.maximum(high - low, 1e-12) - 1)
    base = images.min(_axes(images), keepdims=True).astype(np.float64)
    return typed(base + (images.astype(np.float64) - base) * field[:, None], images)


def contrast(images: Images, gamma: float = GAMMA) -> Images:
    """Each channel of each image to the power gamma, between its own lowest and highest value."""
    x = images.astype(np.float64)
    low, high = x.min(_axes(images), keepdims=True), x.max(_axes(images), keepdims=True)
    span = np.maximum(high - low, 1e-12)
    return typed(low + span * ((x - low) / span) ** gamma, images)


# ------------------------------------------------------------ any picture


def smooth(images: Images, width: float = WIDTH) -> Images:
    """A Gaussian of `width` pixels in the plane."""
    x = images.astype(np.float64)
    for axis in (-2, -1):
        x = np.asarray(gaussian_filter1d(x, width, axis=axis, mode="nearest"))
    return typed(x, images)


def crop(images: Images, kept: float = KEPT) -> Images:
    """The middle `kept` of each side in the plane, resampled to the whole side by cubic splines."""
    x = images.astype(np.float64)
    for axis in (-2, -1):
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ _magnified(images.shape[axis], kept).T, -1, axis)
    return typed(x, images)


def _magnified(side: int, kept: float) -> Array:
    """(side, side) weights that resample the middle of a line to its whole length."""
    length = max(2, round(side * kept))
    first = (side - length) // 2
    weights = np.zeros((side, side))
    weights[:, first : first + length] = zoom(np.eye(length), (side / length, 1), mode="nearest", grid_mode=True)
    return weights


def mirror(images: Images) -> Images:
    """The last axis turned round."""
    return images[..., ::-1].copy()


def quarter_turns(images: Images, draw: Draw) -> Images:
    """One, two or three quarter turns of each image in the plane of the last two axes."""
    out = images.copy()
    turns = draw.integers(1, 4, len(images))
    for turn in (1, 2, 3):
        out[turns == turn] = np.rot90(images[turns == turn], turn, (-2, -1))
    return out


def shift(images: Images, draw: Draw) -> Images:
    """Each image moved along each axis of space by up to an eighth of it, filled by reflection."""
    out = images.copy()
    for i in range(len(images)):
        moved = images[i]
        for axis, size in enumerate(images.shape[2:], 1):
            reach = size // REACH
            at = np.abs(np.arange(size) + draw.integers(-reach, reach + 1))
            moved = np.take(moved, np.minimum(at, 2 * (size - 1) - at), axis=axis)
        out[i] = moved
    return out
