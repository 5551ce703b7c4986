"""pyradiomics' image filters but the wavelets: Laplacian of Gaussian, gradient, point by point, binary patterns.

Knows SimpleITK's definitions and pyradiomics' names. The standard's filters are in response.py, wavelets in wavelet.py.
Every function takes images (D, H, W) or (B, D, H, W) and gives {name: image of the same shape}; what is scaled by an
image's range is scaled by each image's own.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.prepare import checked_spacing
from ganatomy.radiomics.region import Float

Images = dict[str, Float]


def laplacian_of_gaussian(
    images: NDArray[Any], spacing: Sequence[float], sigma: float | Sequence[float], *, single: bool = True
) -> Images:
    """Laplacian of Gaussian for each sigma (mm): "log-sigma-3-0-mm-3D", times sigma squared (normalised across scale).

    SimpleITK's LaplacianRecursiveGaussian: Deriche's recursive filters of fourth order (Farneback and Westin 2006),
    which approximate the Gaussian's derivatives to about a percent; the outermost voxels go on beyond the image.
    spacing: mm along z, y, x. Images of one slice are filtered in their plane, which pyradiomics refuses: "...-mm-2D".
    single: round to float32 between the passes, as SimpleITK does
    InputError for a sigma not above 0 and for images too small (see `wide_enough`).
    """
    stack, size = _stack(images), checked_spacing(spacing)
    widths = [float(s) for s in np.atleast_1d(np.asarray(sigma, np.float64))]
    axes = (-1, -2) if stack.shape[-3] == 1 else (-1, -2, -3)
    found: Images = {}
    for width in widths:
        if not (math.isfinite(width) and width > 0):
            raise InputError(f"the sigma of a Laplacian of Gaussian is a number above 0 in mm, not {width}")
        if not wide_enough(stack.shape, size, width):
            raise InputError(
                f"images of {' x '.join(str(side) for side in stack.shape[-3:])} voxels are too small for a Laplacian "
                f"of Gaussian of sigma {width:g} mm; use a smaller one"
            )
        total = np.zeros(stack.shape)
        for along in axes:
            part = _recursive(stack, along, width, size[along], 2, single)
            for other in axes:
                if other != along:
                    part = _recursive(part, other, width, size[other], 0, single)
            total = _rounded(total + part * (1 / size[along] ** 2), single)
        found[f"log-sigma-{str(width).replace('.', '-')}-mm-{len(axes)}D"] = total
    return found


def wide_enough(shape: Sequence[int], spacing: Sequence[float], sigma: float) -> bool:
    """Whether pyradiomics would filter images of shape (..., D, H, W): 4 voxels and ceil(sigma / spacing) + 1 or more.

    An image of one slice is judged by its two other sides.
    """
    sides = list(zip(shape[-3:], spacing, strict=True))
    sides = sides[1:] if shape[-3] == 1 else sides
    return all(side >= 4 and side >= math.ceil(sigma / width) + 1 for side, width in sides)


def gradient(images: NDArray[Any], spacing: Sequence[float], *, use_spacing: bool = True) -> Images:
    """Magnitude of the gradient by central differences, per mm (per voxel without use_spacing): "gradient".

    At the border the outermost voxel is repeated. Rounded to float32, as SimpleITK's GradientMagnitude gives it.
    """
    stack, size = _stack(images), checked_spacing(spacing)
    square = np.zeros(stack.shape)
    for axis in (-1, -2, -3):
        if stack.shape[axis] > 1:
            padded = np.pad(stack, [(1, 1) if a == stack.ndim + axis else (0, 0) for a in range(stack.ndim)], "edge")
            line = np.moveaxis(padded, axis, -1)
            slope = np.moveaxis(line[..., 2:] - line[..., :-2], -1, axis) * (0.5 / (size[axis] if use_spacing else 1))
            square += slope**2
    return {"gradient": _rounded(np.sqrt(square), True)}


def square(images: NDArray[Any]) -> Images:
    """x^2 / max|x|: "square"; 0 for an image of zeros."""
    stack = _stack(images)
    most = _most(stack)
    coefficient = 1 / np.sqrt(np.where(most > 0, most, 1))
    return {"square": (coefficient * stack) ** 2}


def square_root(images: NDArray[Any]) -> Images:
    """sign(x) sqrt(|x| max|x|): "squareroot"."""
    stack = _stack(images)
    return {"squareroot": np.sign(stack) * np.sqrt(np.abs(stack) * _most(stack))}


def logarithm(images: NDArray[Any]) -> Images:
    """sign(x) log(|x| + 1), scaled to the image's highest absolute value: "logarithm"; 0 for an image of zeros."""
    stack = _stack(images)
    most = _most(stack)
    curve = np.sign(stack) * np.log(np.abs(stack) + 1)
    highest = _most(curve)
    return {"logarithm": curve * (most / np.where(highest > 0, highest, 1))}


def exponential(images: NDArray[Any]) -> Images:
    """exp(c x) with c = log(max|x|) / max|x|: "exponential"; 1 for an image of zeros."""
    stack = _stack(images)
    most = _most(stack)
    safe = np.where(most > 0, most, 1)
    return {"exponential": np.exp(np.log(safe) / safe * stack)}


def local_binary_pattern(
    images: NDArray[Any], *, radius: float = 1, samples: int = 8, method: str = "uniform", axis: int = 0
) -> Images:
    """Local binary patterns slice by slice: "lbp-2D" (scikit-image's, as in pyradiomics).

    radius (voxels), samples, method: scikit-image's R, P and method; axis: across the slices (0 z, 1 y, 2 x)
    """
    from skimage.feature import local_binary_pattern as patterns

    if axis not in (0, 1, 2):
        raise InputError(f"the axis across the slices of a binary pattern is 0, 1 or 2, not {axis}")
    stack = _stack(images)
    slices = np.swapaxes(stack, stack.ndim - 3, stack.ndim - 3 + axis)
    flat = slices.reshape((-1, *slices.shape[-2:]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that real numbers may differ by rounding is known
        found = np.array([patterns(slice_, samples, radius, method) for slice_ in flat], np.float64)
    whole = np.swapaxes(found.reshape(slices.shape), stack.ndim - 3, stack.ndim - 3 + axis)
    return {"lbp-2D": np.ascontiguousarray(whole)}


def _stack(images: NDArray[Any]) -> Float:
    stack = np.ascontiguousarray(images, np.float64)
    if stack.ndim not in (3, 4):
        raise InputError(f"a filter needs images of shape (D, H, W) or (B, D, H, W), not {stack.shape}")
    return stack


def _most(stack: Float) -> Float:
    """max|x| of each image, shaped to be multiplied with them."""
    most: Float = np.abs(stack).max(axis=(-3, -2, -1), keepdims=True, initial=0)
    return most


def _rounded(values: Float, single: bool) -> Float:
    return values.astype(np.float32).astype(np.float64) if single else values


# Deriche's approximation of the Gaussian and of its second derivative by two damped oscillations each, as ITK has them:
# sum over i of (A cos + B sin)(W x / sigma) exp(L x / sigma).
_FREQUENCY, _DAMPING = (0.6681, 2.0787), (-1.3932, -1.3732)
_COSINE = {0: (1.3530, -0.3531), 2: (-1.3563, 0.3446)}
_SINE = {0: (1.8151, 0.0902), 2: (5.2318, -2.2355)}


def _recursive(values: Float, axis: int, sigma: float, spacing: float, order: int, single: bool) -> Float:
    """Gaussian (order 0) or its second derivative, times sigma^2 and per voxel^2 (order 2), along one axis."""
    forward, backward, poles = _coefficients(sigma / spacing, order, sigma**2)
    last = axis == -1
    lines = np.ascontiguousarray(np.swapaxes(values, -1, -2)) if last else values  # the loops want others inside
    shape = lines.shape
    length, inner = (shape[-2], shape[-1]) if axis in (-1, -2) else (shape[-3], shape[-2] * shape[-1])
    out = np.empty(shape)
    if values.size:
        form = (-1, length, inner)
        _both_ways(lines.reshape(form), forward, backward, poles, out.reshape(form), single)
    found: Float = np.ascontiguousarray(np.swapaxes(out, -1, -2)) if last else out
    return found


@compiled
def _both_ways(source: Float, forward: Float, backward: Float, poles: Float, out: Float, single: bool) -> None:
    """The causal plus the anticausal filter along the middle axis of source (P, N, M).

    Beyond its ends a line goes on as if its outermost voxel had always been there. 64 lines at a time, side by side.
    """
    planes, length, width = source.shape
    f0, f1, f2, f3 = forward[0], forward[1], forward[2], forward[3]
    b1, b2, b3, b4 = backward[1], backward[2], backward[3], backward[4]
    d1, d2, d3, d4 = poles[1], poles[2], poles[3], poles[4]
    gain = forward.sum() / poles.sum()
    gain_back = backward.sum() / poles.sum()
    block = 64
    base, ring = np.empty(block), np.empty((5, block))
    for p in range(planes):
        for m in range(0, width, block):
            size = min(block, width - m)
            lines, found = source[p, :, m : m + size], out[p, :, m : m + size]
            for x in range(size):
                base[x] = gain * lines[0, x]
            for n in range(length):
                u0, u1, u2, u3 = lines[n], lines[max(n - 1, 0)], lines[max(n - 2, 0)], lines[max(n - 3, 0)]
                y0 = found[n]
                y1 = found[n - 1] if n > 0 else base[:size]
                y2 = found[n - 2] if n > 1 else base[:size]
                y3 = found[n - 3] if n > 2 else base[:size]
                y4 = found[n - 4] if n > 3 else base[:size]
                for x in range(size):
                    v = u0[x] * f0 + u1[x] * f1 + u2[x] * f2 + u3[x] * f3
                    y0[x] = v - (y1[x] * d1 + y2[x] * d2 + y3[x] * d3 + y4[x] * d4)
            end = length - 1
            for i in range(5):
                for x in range(size):
                    ring[i, x] = gain_back * lines[end, x]
            for n in range(end, -1, -1):
                u1, u2 = lines[min(n + 1, end)], lines[min(n + 2, end)]
                u3, u4 = lines[min(n + 3, end)], lines[min(n + 4, end)]
                z0, z1, z2, z3, z4 = (
                    ring[n % 5],
                    ring[(n + 1) % 5],
                    ring[(n + 2) % 5],
                    ring[(n + 3) % 5],
                    ring[(n + 4) % 5],
                )
                y0 = found[n]
                for x in range(size):
                    v = u1[x] * b1 + u2[x] * b2 + u3[x] * b3 + u4[x] * b4
                    v -= z1[x] * d1 + z2[x] * d2 + z3[x] * d3 + z4[x] * d4
                    z0[x] = v
                    v += y0[x]
                    y0[x] = np.float64(np.float32(v)) if single else v


def _coefficients(sigma: float, order: int, scale: float) -> tuple[Float, Float, Float]:
    """Zeros of the causal and of the anticausal filter, and their poles, (5,) each; sigma in voxels.

    scale: what the second derivative is multiplied by
    """
    sine = [math.sin(w / sigma) for w in _FREQUENCY]
    cosine = [math.cos(w / sigma) for w in _FREQUENCY]
    decay = [math.exp(d / sigma) for d in _DAMPING]
    # each oscillation is a filter of second order; the two in parallel have the product of their denominators
    own = [np.array([1.0, -2 * c * e, e * e]) for c, e in zip(cosine, decay, strict=True)]
    poles = np.convolve(own[0], own[1])
    k = np.arange(5.0)

    def zeros(which: int) -> Float:
        pair = [
            np.array([a, e * (b * s - a * c)])
            for a, b, s, c, e in zip(_COSINE[which], _SINE[which], sine, cosine, decay, strict=True)
        ]
        both: Float = np.append(np.convolve(pair[0], own[1]) + np.convolve(pair[1], own[0]), 0.0)
        return both

    low, (p0, p1, p2) = zeros(0), (poles @ k**0, poles @ k, poles @ k**2)
    if order == 0:
        forward = low / (2 * low.sum() / p0 - low[0])  # of sum 1
    else:
        high = zeros(2)
        beta = -(2 * high.sum() - p0 * high[0]) / (2 * low.sum() - p0 * low[0])
        forward = high + beta * low  # of sum 0
        z0, z1, z2 = forward @ k**0, forward @ k, forward @ k**2
        # the second moment of the two-sided filter is 2: the second derivative of x^2
        moment = (z2 * p0 * p0 - p2 * z0 * p0 - 2 * z1 * p1 * p0 + 2 * p1 * p1 * z0) / p0**3
        forward = forward * (scale / moment)
    return forward, np.append(0.0, forward[1:] - poles[1:] * forward[0]), poles
