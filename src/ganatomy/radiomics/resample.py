"""An image and its mask on another grid: as pyradiomics resamples (SimpleITK), and as the standard does.

The image and the mask lie on one grid, axes z, y, x. Where that grid lies matters only to SimpleITK's rounding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter1d

from ganatomy.core.errors import InputError, nearest
from ganatomy.radiomics.prepare import Mask, box, checked_spacing
from ganatomy.radiomics.region import Float

ORDERS = {"sitkNearestNeighbor": 0, "sitkLinear": 1, "sitkBSpline": 3}  # pyradiomics' names -> order of the spline

Spacing = tuple[float, float, float]


def resample(
    image: NDArray[Any],
    mask: Mask,
    spacing: Sequence[float],
    target: Sequence[float],
    *,
    interpolator: str = "sitkBSpline",
    margin: int = 5,
    whole: bool | None = None,
    affine: Float | None = None,
) -> tuple[Float, Mask, Spacing]:
    """Image, mask (nearest neighbour) and spacing around the mask's box, as pyradiomics' resampleImage makes them.

    image, mask: (D, H, W); spacing, target: mm along z, y, x. A target of 0 keeps the axis, and so does an axis along
        which the mask is one voxel wide.
    margin: voxels of the new grid kept around the mask (padDistance). The new grid starts at the image's first corner.
    whole: the voxels are whole numbers in the file, so SimpleITK cuts the result's fraction off; by dtype where None
    affine: (4, 4) from (z, y, x, 1) to mm (LPS). SimpleITK goes through mm, and its rounding decides to which side a
        voxel midway between two belongs, so the origin does; None: the origin is 0, as of SimpleITK's images of arrays
    B-splines continue the image by mirroring it about its outermost voxels; points further than half a voxel outside
    are 0. A whole image may differ by 1 where the exact value is a whole number (flat air, a voxel of the new grid on
    one of the old); and on oblique grids a voxel midway between two may go to the other side.
    InputError for an empty mask.
    """
    order = _order(interpolator)
    image = np.asarray(image)
    old = np.array(checked_spacing(spacing))
    wish = np.array([float(side) for side in target])
    new = np.array(checked_spacing(np.where(wish == 0, old, wish).tolist() if wish.shape == (3,) else target))
    mask = np.asarray(mask, np.bool_)
    _one_grid(image, mask)
    if not mask.any():
        raise InputError("the mask is empty, so there is nothing to resample around; check its label")
    around = box(mask)
    first = np.array([edge.start for edge in around])
    size = np.array([edge.stop for edge in around]) - first
    new = np.where(size == 1, old, new)
    if np.allclose(old, new):
        near = box(mask, margin)
        return image[near].astype(np.float64), mask[near], checked_spacing(old.tolist())
    ratio = old / new
    low = np.maximum(np.floor((first - 0.5) * ratio - margin), 0)
    high = np.minimum(np.ceil((first + size - 0.5) * ratio + margin), np.ceil(np.array(image.shape) * ratio) - 1)
    origin = 0.5 * (new - old) / old + low / ratio
    corner, signs = _placed(affine)
    places = [
        _places(origin[a], int(high[a] - low[a]) + 1, signs[a] * old[a], signs[a] * new[a], corner[a], line=a == 2)
        for a in range(3)
    ]
    values = image.astype(np.float64)
    inside = mask
    for axis in sorted(range(3), key=lambda a: len(places[a]) / image.shape[a]):  # what shrinks most goes first
        place, extent = places[axis], image.shape[axis]
        outside = (place < -0.5) | (place >= extent - 0.5)
        near_to = np.clip(np.floor(place + 0.5).astype(np.int64), 0, extent - 1)
        values = _along(values, axis, place, order) if order else values.take(near_to, axis)
        inside = inside.take(near_to, axis)
        if outside.any():
            cut = tuple(outside if a == axis else slice(None) for a in range(3))
            values[cut], inside[cut] = 0.0, False
    if image.dtype == np.float32:
        values = values.astype(np.float32).astype(np.float64)  # SimpleITK keeps the pixels' type
    if np.issubdtype(image.dtype, np.integer) if whole is None else whole:
        values = np.trunc(values)
        if np.issubdtype(image.dtype, np.integer):
            values = np.clip(values, np.iinfo(image.dtype).min, np.iinfo(image.dtype).max)
    return values, inside, checked_spacing(new.tolist())


def _placed(affine: Float | None) -> tuple[Float, Float]:
    """mm of the first voxel along each of z, y, x, and the directions' signs; zeros and ones of an oblique grid."""
    if affine is not None:
        size = np.linalg.norm(affine[:3, :3], axis=0)
        turned = affine[:3, :3] / np.where(size > 0, size, 1)
        at = np.abs(turned).argmax(axis=0)  # the axis of space along which each of z, y, x lies
        if np.abs(np.abs(turned[at, range(3)]) - 1).max() < 1e-12:
            return affine[at, 3], np.sign(turned[at, range(3)])
    return np.zeros(3), np.ones(3)


def _places(start: float, count: int, old: float, new: float, corner: float, *, line: bool) -> Float:
    """Places (voxels) of the new grid along one axis, with ITK's rounding on its way through mm.

    start: the first one; old, new: signed mm; corner: mm of the old grid's first voxel
    line: the axis of a row in memory, along which ITK interpolates between both ends
    """
    first = old * start + corner
    back = 1 / old
    if not line:
        return np.asarray(back * (first + new * np.arange(count) - corner))
    begin, end = back * (first - corner), back * (first + new * count - corner)
    return np.asarray(begin + np.arange(count) / count * (end - begin))


def resample_standard(
    image: NDArray[Any],
    mask: Mask,
    spacing: Sequence[float],
    target: Sequence[float],
    *,
    order: int = 3,
    fraction: float = 0.5,
    whole: bool = False,
) -> tuple[Float, Mask, Spacing]:
    """Image, mask and spacing on a grid that shares its centre with the old one (reference manual 2.4).

    image, mask: (D, H, W); spacing, target: mm along z, y, x; a target of 0 keeps the axis
    order: 0 nearest neighbour, 1 linear, 3 cubic spline, for the image. The mask is interpolated linearly, and a voxel
        is inside where at least `fraction` of it is (G5KJ).
    whole: round the intensities, as the standard asks for Hounsfield units
    The new grid has ceil(n old / new) voxels along an axis; beyond the image its outermost voxels go on.
    """
    if order not in (0, 1, 3):
        raise InputError(f"the order of an interpolation is 0, 1 or 3, not {order}")
    old = np.array(checked_spacing(spacing))
    wish = np.array([float(side) for side in target])
    new = np.array(checked_spacing(np.where(wish == 0, old, wish).tolist() if wish.shape == (3,) else target))
    values = np.asarray(image, np.float64)
    part = np.asarray(mask, np.float64)
    _one_grid(values, part)
    for axis, extent in enumerate(values.shape):
        step = new[axis] / old[axis]
        number = int(np.ceil(round(extent / step, 4)))  # 10.00001 is 10: files hold spacings in single precision
        place = 0.5 * (extent - 1) - 0.5 * (number - 1) * step + np.arange(number) * step
        if step != 1.0:
            values = _along(values, axis, place, order, edge=True)
            part = _along(part, axis, place, 1, edge=True)
    if whole:
        values = np.round(values)
    return values, np.round(part, 6) >= round(fraction, 6), checked_spacing(new.tolist())


def _along(values: Float, axis: int, place: Float, order: int, *, edge: bool = False) -> Float:
    """Values at the places (voxels) along one axis; the spline is separable, so three calls do a volume.

    edge: continue by the outermost voxel instead of by mirroring (12 voxels of it, then the spline has forgotten)
    """
    extent = values.shape[axis]
    if extent == 1:
        return values.take(np.zeros(len(place), np.int64), axis)
    if order == 0:
        return values.take(_closest(place, extent), axis)
    if order == 1:
        place = np.clip(place, 0, extent - 1)
        left = np.minimum(np.floor(place).astype(np.int64), extent - 2)
        part = _fit(place - left, axis, values.ndim)
        near = values.take(left, axis)
        line: Float = near + part * (values.take(left + 1, axis) - near)
        return line
    if edge:
        width = [(12, 12) if a == axis else (0, 0) for a in range(values.ndim)]
        values = np.pad(values, width, mode="edge")
        place, extent = np.clip(place, -1, extent) + 12, extent + 24
    coefficients = spline_filter1d(values, 3, axis, output=np.float64, mode="mirror")
    left = np.floor(place).astype(np.int64)
    t = place - left
    weights = ((1 - t) ** 3 / 6, 2 / 3 - t**2 * (2 - t) / 2, 2 / 3 - (1 - t) ** 2 * (1 + t) / 2, t**3 / 6)
    period = 2 * (extent - 1)
    total = 0.0
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        at = np.mod(left + offset, period)  # mirrored about the outermost voxels
        at = np.where(at >= extent, period - at, at)
        total = total + coefficients.take(at, axis) * _fit(weight, axis, values.ndim)
    return np.asarray(total)


def _closest(place: Float, extent: int) -> NDArray[np.int64]:
    """The nearest voxel, ties upwards whatever the last bits of the place."""
    return np.clip(np.floor(np.round(place + 0.5, 9)).astype(np.int64), 0, extent - 1)


def _fit(line: Float, axis: int, dimensions: int) -> Float:
    return line.reshape([-1 if a == axis else 1 for a in range(dimensions)])


def _order(interpolator: str) -> int:
    if interpolator not in ORDERS:
        raise InputError(f"the interpolator {interpolator!r} is not known here; {nearest(interpolator, ORDERS)}")
    return ORDERS[interpolator]


def _one_grid(image: NDArray[Any], mask: NDArray[Any]) -> None:
    if image.ndim != 3 or image.shape != mask.shape:
        raise InputError(f"resampling needs an image and a mask of one (D, H, W), not {image.shape} and {mask.shape}")
