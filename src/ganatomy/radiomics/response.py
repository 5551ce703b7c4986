"""The standard's image filters (IBSI-2, arXiv 2006.05470): mean, Laplacian of Gaussian, Laws, Gabor, wavelets.

Knows the reference manual's definitions, which differ from pyradiomics' (filters.py, wavelet.py) in borders, scale and
names. Every function takes images (D, H, W) or (B, D, H, W), axes z, y, x, and gives {name: response}.
Lengths are voxels where no spacing is asked for; voxels are taken to be of equal sides, as the standard demands.

padding: how an image goes on: "zero", "nearest" (its outermost voxel), "periodic", "mirror" (reflected at its edge)
invariant: the filter turned by every right angle, the responses pooled: "max" or "mean"
plane: filter every slice by itself (2D); a stack of one slice is filtered so in any case
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import convolve1d

from ganatomy.core.errors import InputError, nearest
from ganatomy.radiomics.prepare import checked_spacing
from ganatomy.radiomics.region import Float
from ganatomy.radiomics.wavelet import filters

Images = dict[str, Float]
Padding = Literal["zero", "nearest", "periodic", "mirror"]
Pooling = Literal["max", "mean"]

_SCIPY: dict[str, Literal["constant", "nearest", "wrap", "reflect"]] = {
    "zero": "constant",
    "nearest": "nearest",
    "periodic": "wrap",
    "mirror": "reflect",
}
_NUMPY: dict[str, Literal["constant", "edge", "wrap", "symmetric"]] = {
    "zero": "constant",
    "nearest": "edge",
    "periodic": "wrap",
    "mirror": "symmetric",
}

LAWS = {
    "L3": (1, 2, 1),
    "E3": (-1, 0, 1),
    "S3": (-1, 2, -1),
    "L5": (1, 4, 6, 4, 1),
    "E5": (-1, -2, 0, 2, 1),
    "S5": (-1, 0, 2, 0, -1),
    "W5": (-1, 2, 0, -2, 1),
    "R5": (1, -4, 6, -4, 1),
}  # level, edge, spot, wave, ripple; each is divided by its Euclidean norm


def mean(images: NDArray[Any], size: int, *, padding: Padding = "mirror", plane: bool = False) -> Images:
    """The mean of a cube (a square) of an odd number of voxels a side: "mean-15" (S60F)."""
    if size != int(size) or size < 1 or size % 2 == 0:
        raise InputError(f"the side of a mean filter is an odd number of voxels, not {size}")
    stack, axes = _stack(images, plane)
    return {f"mean-{size}": _separable(stack, [np.full(int(size), 1 / size)] * len(axes), axes, padding)}


def laplacian_of_gaussian(
    images: NDArray[Any],
    spacing: Sequence[float],
    sigma: float,
    *,
    truncate: float = 4.0,
    padding: Padding = "mirror",
    plane: bool = False,
) -> Images:
    """Laplacian of a Gaussian of sigma mm, cut off at truncate sigma, per voxel^2: "log-3-0" (L6PA).

    The box of 1 + 2 floor(truncate sigma + 1/2) voxels is cut out of the Laplacian, which is a sum of separable terms.
    """
    stack, axes = _stack(images, plane)
    width = _voxels(sigma, spacing, axes, "sigma")
    reach = math.floor(truncate * width + 0.5)
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-(x**2) / (2 * width**2)) / math.sqrt(2 * math.pi * width**2)
    curve = bell * (x**2 / width**4 - 1 / width**2)
    kernels = [[curve if a == b else bell for b in range(len(axes))] for a in range(len(axes))]
    total = sum((_separable(stack, kernel, axes, padding) for kernel in kernels), np.zeros(stack.shape))
    return {f"log-{_number(sigma)}": total}


def laws(
    images: NDArray[Any],
    kernels: str,
    *,
    padding: Padding = "mirror",
    invariant: Pooling | None = None,
    energy: int | None = None,
) -> Images:
    """Laws' kernels along x, y (and z): "laws-E5L5S5", "laws-E5L5S5-max", "laws-E5L5S5-max-energy-7" (JTXT).

    kernels: "E5L5S5" or, in the plane, "E5L5"; each of LAWS
    energy: the response's absolute value, averaged over a box that reaches so many voxels to either side
    """
    names = [kernels[i : i + 2].upper() for i in range(0, len(kernels), 2)]
    for each in names:
        if each not in LAWS:
            raise InputError(f"there is no Laws kernel {each!r} in {kernels!r}; {nearest(each, LAWS)}")
    if len(names) not in (2, 3):
        raise InputError(f"Laws kernels are two (in the plane) or three, such as E5L5S5, not {kernels!r}")
    stack, axes = _stack(images, len(names) == 2)
    if len(axes) != len(names):
        raise InputError(f"images of one slice need two Laws kernels, such as E5L5, not {kernels!r}")
    lines = [np.array(LAWS[each], np.float64) for each in names]
    lines = [line / np.linalg.norm(line) for line in lines]
    found = _pool((_separable(stack, turned, axes, padding) for turned in _turned(lines, invariant)), invariant)
    name = f"laws-{''.join(names)}" + (f"-{invariant}" if invariant else "")
    if energy is not None:
        side = 2 * int(energy) + 1
        found = _separable(np.abs(found), [np.full(side, 1 / side)] * len(axes), axes, padding)
        name += f"-energy-{energy}"
    return {name: found}


def gabor(
    images: NDArray[Any],
    spacing: Sequence[float],
    sigma: float,
    wavelength: float,
    *,
    gamma: float = 1.0,
    theta: float = 0.0,
    step: float | None = None,
    padding: Padding = "mirror",
    planes: bool = False,
) -> Images:
    """Modulus of Gabor's filter in the plane: "gabor-sigma-10-0-lambda-4-0-gamma-0-5-theta-60-0" (Q88H).

    sigma, wavelength: mm; gamma: ellipticity; theta: degrees, clockwise from x
    step: the mean over every so many degrees from theta on, a whole turn, in theta's place
    planes: the mean over the three planes (xy, xz, yz), in place of xy
    The filter is cut off at half an image's side (plus half a voxel), as far as the standard's reference maps reach.
    """
    stack, _ = _stack(images, False)
    turned = [theta] if step is None else [theta + i * step for i in range(_turns(step))]
    across = (-3, -2, -1) if planes and stack.shape[-3] > 1 else (-3,)
    total = np.zeros(stack.shape)
    for axis in across:
        slices = np.ascontiguousarray(np.moveaxis(stack, axis, -3))
        within = tuple(a for a in (-3, -2, -1) if a != axis)
        width = _voxels(sigma, spacing, within, "sigma")
        length = _voxels(wavelength, spacing, within, "wavelength")
        reach = max(slices.shape[-2:]) // 2
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
        pad = [(0, 0)] * (stack.ndim - 2) + [(reach, reach)] * 2
        padded = np.pad(slices, pad, mode=_NUMPY[_padding(padding)])
        sides = [fft.next_fast_len(side) for side in padded.shape[-2:]]
        spectrum = fft.fft2(padded, sides)
        part = np.zeros(slices.shape)
        for angle in turned:
            c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            along, aside = c * x + s * y, s * x - c * y
            kernel = np.exp(-(along**2 + gamma**2 * aside**2) / (2 * width**2) + 2j * math.pi * along / length)
            response = fft.ifft2(spectrum * fft.fft2(kernel, sides))
            # circular, but every voxel kept has the whole of the filter within the padded image
            rows, columns = (slice(2 * reach, 2 * reach + side) for side in slices.shape[-2:])
            part += np.abs(response[..., rows, columns])
        total += np.moveaxis(part, -3, axis) / (len(turned) * len(across))
    name = f"gabor-sigma-{_number(sigma)}-lambda-{_number(wavelength)}-gamma-{_number(gamma)}"
    name += f"-theta-{_number(theta)}" if step is None else f"-mean-{_number(step)}"
    return {name + ("-planes" if planes else ""): total}


def wavelet(
    images: NDArray[Any],
    name: str,
    band: str,
    *,
    level: int = 1,
    padding: Padding = "periodic",
    invariant: Pooling | None = None,
) -> Images:
    """One band of a separable, undecimated wavelet, letters along x, y (and z): "wavelet-db2-LHL-1" (25BO).

    name: a discrete wavelet of PyWavelets; level: of the algorithme a trous, filters dilated from one level to the next
    """
    letters = band.upper()
    if len(letters) not in (2, 3) or set(letters) - set("LH"):
        raise InputError(f"a band is two or three letters L and H along x, y and z, such as LHL, not {band!r}")
    if level < 1:
        raise InputError(f"a wavelet's level is 1 or above, not {level}")
    stack, axes = _stack(images, len(letters) == 2)
    if len(axes) != len(letters):
        raise InputError(f"images of one slice have bands of two letters, such as LH, not {band!r}")
    pair = dict(zip("LH", filters(name), strict=True))
    pair = {letter: np.append(line, 0.0) for letter, line in pair.items()}  # odd, its centre at L / 2
    lines = [pair[letter] for letter in letters]

    def responses() -> Iterator[Float]:
        for turned, before in zip(_turned(lines, invariant), _turned([pair["L"]] * len(axes), invariant), strict=True):
            found = stack
            for step in range(level):
                kernels = turned if step == level - 1 else before
                found = _separable(found, [_dilated(line, 2**step) for line in kernels], axes, padding)
            yield found

    title = f"wavelet-{name}-{letters}-{level}" + (f"-{invariant}" if invariant else "")
    return {title: _pool(responses(), invariant)}


def simoncelli(images: NDArray[Any], *, level: int = 1, plane: bool = False) -> Images:
    """Simoncelli's non-separable wavelet, periodic: "simoncelli-1" (PRT7).

    A radial band in the Fourier domain, cos(pi/2 log2(2 r / r1)) for r between r1 / 4 and r1 = 2^(1 - level), where the
    Nyquist frequency is 1. The frequencies are those of the standard's reference maps: evenly spaced from -1 to 1.
    """
    if level < 1:
        raise InputError(f"a wavelet's level is 1 or above, not {level}")
    stack, axes = _stack(images, plane)
    order = sorted(axes)
    square = np.zeros(1)
    for axis in order:
        line = fft.ifftshift(np.linspace(-1, 1, stack.shape[axis])) if stack.shape[axis] > 1 else np.zeros(1)
        square = square[..., None] + line**2
    radius = np.sqrt(square[0])
    most = 2.0 ** (1 - level)
    with np.errstate(divide="ignore"):
        curve = np.cos(np.pi / 2 * np.log2(np.maximum(2 * radius / most, 1e-300)))
    curve = np.where((radius >= most / 4) & (radius <= most), curve, 0)
    response = fft.ifftn(fft.fftn(stack, axes=order) * curve, axes=order)
    return {f"simoncelli-{level}": np.ascontiguousarray(response.real)}


def _stack(images: NDArray[Any], plane: bool) -> tuple[Float, tuple[int, ...]]:
    """The images as float64, and the axes to be filtered, x first."""
    stack = np.ascontiguousarray(images, np.float64)
    if stack.ndim not in (3, 4):
        raise InputError(f"a filter needs images of shape (D, H, W) or (B, D, H, W), not {stack.shape}")
    return stack, (-1, -2) if plane or stack.shape[-3] == 1 else (-1, -2, -3)


def _separable(stack: Float, kernels: Sequence[Float], axes: Sequence[int], padding: str) -> Float:
    for kernel, axis in zip(kernels, axes, strict=True):
        stack = convolve1d(stack, kernel, axis=axis, mode=_SCIPY[_padding(padding)])
    return stack


def _padding(padding: str) -> str:
    if padding not in _SCIPY:
        raise InputError(f"the padding {padding!r} is not known here; {nearest(padding, _SCIPY)}")
    return padding


def _voxels(length: float, spacing: Sequence[float], axes: Sequence[int], what: str) -> float:
    """A length in mm as voxels; InputError where the sides of the voxels along the axes differ."""
    if not (math.isfinite(length) and length > 0):
        raise InputError(f"the {what} of a filter is a number above 0 in mm, not {length}")
    size = checked_spacing(spacing)
    sides = [size[axis] for axis in axes]
    if max(sides) > min(sides) * 1.001:
        raise InputError(
            f"the standard's filters need voxels of equal sides, not {' x '.join(f'{side:g}' for side in sides)} mm; "
            "resample the image first"
        )
    return length / sides[0]


def _turned(lines: Sequence[Float], invariant: Pooling | None) -> Iterator[list[Float]]:
    """The kernels along each axis, for every turn by right angles that moves the axes onto each other.

    24 turns in space, 4 in a plane, none mirrored; kernels that look alike come equally often each.
    """
    if invariant is None:
        yield list(lines)
        return
    for order in itertools.permutations(range(len(lines))):
        for signs in itertools.product((1, -1), repeat=len(lines)):
            parity = np.linalg.det(np.eye(len(lines))[list(order)] * np.array(signs))
            if parity > 0:
                yield [lines[i] if sign > 0 else lines[i][::-1] for i, sign in zip(order, signs, strict=True)]


def _pool(responses: Iterator[Float], pooling: Pooling | None) -> Float:
    if pooling not in (None, "max", "mean"):
        raise InputError(f"responses are pooled by max or mean, not {pooling!r}")
    total, count = next(responses), 1
    for response in responses:
        total = np.maximum(total, response) if pooling == "max" else total + response
        count += 1
    return total / count if pooling == "mean" else total


def _dilated(line: Float, by: int) -> Float:
    """Zeros between the taps: the algorithme a trous."""
    wide = np.zeros((len(line) - 1) * by + 1)
    wide[::by] = line
    return wide


def _turns(step: float) -> int:
    number = round(360 / step) if step > 0 else 0
    if number < 1 or abs(number * step - 360) > 1e-6:
        raise InputError(f"the step between a Gabor filter's directions is a part of 360 degrees, not {step}")
    return number


def _number(value: float) -> str:
    return str(float(value)).replace(".", "-")
