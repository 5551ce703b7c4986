"""What people bring to be measured -> one image after the other, checked, with three axes.

Knows arrays, `Image`s and masks of their shapes; files are opened by files.py. Measures nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.core.image import Image

CHUNK = 2**18  # voxels that are measured in one go: small enough for the processor's cache, large for the interpreter

Labels = NDArray[np.integer[Any] | np.bool_]


class Item(NamedTuple):
    """One image on its way: (D, H, W) values, labels (0 is outside; None: all of it is one region), mm along z, y, x.

    image: its number; name: for messages; prefix: of its columns, c0_ for the first of several channels
    affine: (4, 4) from (z, y, x, 1) in voxels to mm (LPS); None where the source does not say
    """

    image: int
    name: str
    prefix: str
    values: NDArray[Any]
    labels: Labels | None
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64] | None = None


def items(images: Any, masks: Any, spacing: Sequence[float] | None) -> Iterator[Item]:
    """Arrays or `Image`s as items; channels of one image follow each other under one number."""
    spacing = _spacing(spacing)
    if images is None or isinstance(masks, (str, Path)):
        raise InputError(
            "give images as an array (B, H, W) or (B, D, H, W), as a list, or as a folder; masks in files go with "
            "images in files"
        )
    if isinstance(images, Image) or (not isinstance(images, (list, tuple)) and np.ndim(images) == 2):
        images = [images]
    shared = masks is not None and not isinstance(masks, (list, tuple)) and np.ndim(masks) < np.ndim(images[0]) + 1
    if masks is not None and not shared and len(masks) != len(images):
        raise InputError(
            f"there are {len(images)} images and {len(masks)} masks; give one mask for each, or one for all"
        )
    for number, image in enumerate(images):
        labels = None if masks is None else np.asarray(masks if shared else masks[number])
        if isinstance(image, Image):
            own = spacing or image.spacing
            for c, channel in enumerate(image.values):
                prefix = f"c{c}_" if len(image.values) > 1 else ""
                yield checked(number, image.origin or f"image {number}", prefix, channel, labels, own)
        else:
            yield checked(number, f"image {number}", "", np.asarray(image), labels, spacing)


def _spacing(spacing: Any) -> tuple[float, ...] | None:
    """mm along the axes as numbers; None where not given."""
    if spacing is None:
        return None
    try:
        sizes = tuple(float(size) for size in spacing)
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) not in (2, 3):
        raise InputError(f"spacing is mm along y,x or z,y,x, such as (2.5, 0.7, 0.7), not {spacing}")
    return sizes


def checked(
    number: int,
    name: str,
    prefix: str,
    values: NDArray[Any],
    labels: NDArray[Any] | None,
    spacing: Sequence[float] | None,
) -> Item:
    """One image checked, with three axes."""
    if values.ndim not in (2, 3):
        raise InputError(f"{name} has {values.ndim} axes; a slice has two (H, W), a volume three (D, H, W)")
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {values.dtype} values; features need real numbers")
    if values.size == 0:
        raise InputError(f"{name} holds no voxel: its size is {_size(values.shape)}")
    mm = tuple(float(x) for x in spacing) if spacing else (1.0,) * values.ndim
    if len(mm) < values.ndim or not all(0 < x < np.inf for x in mm):
        raise InputError(
            f"the spacing {_size(mm)} of {name} is no size above 0 mm for each of its {values.ndim} axes; give spacing="
        )
    mm = (1.0, *mm) if len(mm) == 2 else mm
    if labels is not None:
        if labels.shape != values.shape:
            raise InputError(
                f"the mask of {name} is {_size(labels.shape)}, the image {_size(values.shape)}; bring both to one grid"
            )
        if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
            labels = labels.astype(np.int64)
        if labels.dtype.kind not in "biu":
            raise InputError(
                f"the mask of {name} holds values that are not whole numbers; a mask has 0 outside and a label inside"
            )
    if values.ndim == 2:
        values, labels = values[None], None if labels is None else labels[None]
    return Item(number, name, prefix, values, labels, (mm[-3], mm[-2], mm[-1]))


def _size(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Consecutive items of one shape and spacing, CHUNK voxels at a time."""
    chunk: list[Item] = []
    for item in items:
        if chunk and (
            (item.values.shape, item.spacing, item.labels is None)
            != (chunk[0].values.shape, chunk[0].spacing, chunk[0].labels is None)
            or (len(chunk) + 1) * item.values.size > CHUNK
        ):
            yield chunk
            chunk = []
        chunk.append(item)
    if chunk:
        yield chunk
