"""NRRD: a slice or a volume with its geometry, and the segments that 3D Slicer writes beside label maps.

Values come out along z, y, x as they are stored, positions in the patient as millimetres to the left, posterior and
superior (LPS), whatever the file's own space is. Does not know masks or features.
"""

import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError

SUFFIXES = (".nrrd", ".nhdr")
# signs that turn a space's three axes to LPS; ITK and 3D Slicer know no others
SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
MILLIMETRES = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001, "": 1.0}


class Segment(NamedTuple):
    """A region of a 3D Slicer segmentation: its value on one of the layers."""

    name: str
    value: int
    layer: int


class Nrrd(NamedTuple):
    """What a file holds.

    values: (layers, H, W) or (layers, D, H, W); one layer unless it has several values in each voxel
    spacing: mm along the axes of an image, () where the file does not say
    affine: (4, 4) from (z, y, x, 1) in voxels to mm in LPS; None where the file does not say
    segments: of 3D Slicer, in their order
    """

    values: NDArray[Any]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None
    segments: tuple[Segment, ...]


def read(path: Path) -> Nrrd:
    """Open a file, or the header of a detached one. InputError names it where it is damaged or has other axes."""
    import nrrd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored, header = nrrd.read(str(path), index_order="F")
    except FileNotFoundError as error:
        missing = error.filename or path
        other = "" if Path(missing) == path else f", which {path} names"
        raise InputError(f"there is no file {missing}{other}; restore it") from None
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as NRRD ({said}); is it damaged or cut short?") from None
    vectors = _vectors(header, stored.ndim)
    space = [axis for axis in range(stored.ndim) if axis in vectors]
    others = [axis for axis in range(stored.ndim) if axis not in vectors]
    if len(space) not in (2, 3) or len(others) > 1:
        raise InputError(
            f"{path} holds an array of {'x'.join(map(str, stored.shape))} with {len(space)} axes in space; a slice has "
            "two and a volume three, with at most one further axis: save each time point as a file of its own"
        )
    # fastest axis first -> layers, z, y, x
    values = stored.transpose([*others, *space[::-1]])
    values = values if others else values[None]
    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    spacing, affine = _geometry(path, header, [vectors[axis] for axis in space])
    return Nrrd(values, spacing, affine, _segments(header))


def _vectors(header: Any, count: int) -> dict[int, NDArray[np.float64] | float | None]:
    """For each axis in space its step: a vector, a length, or None where the file does not say."""
    kinds = header.get("kinds") or [""] * count
    directions = header.get("space directions")
    if directions is not None:
        return {
            axis: np.asarray(vector, np.float64)
            for axis, vector in enumerate(directions)
            if vector is not None and np.isfinite(vector).all()
        }
    sizes = header.get("spacings")
    aside = [kind for kind in kinds if kind not in ("domain", "space", "", "???", None)]
    found: dict[int, NDArray[np.float64] | float | None] = {}
    for axis in range(count):
        size = None if sizes is None or not np.isfinite(sizes[axis]) else float(sizes[axis])
        if not aside or kinds[axis] not in aside:
            found[axis] = size
    return found


def _geometry(
    path: Path, header: Any, steps: list[NDArray[np.float64] | float | None]
) -> tuple[tuple[float, ...], NDArray[np.float64] | None]:
    """Spacing, slowest axis first, and the affine; steps: of the axes in space, fastest first."""
    units = [str(unit).strip().lower() for unit in header.get("space units") or header.get("units") or ()]
    scales = [MILLIMETRES.get(unit, 0.0) for unit in units] or [1.0]
    if min(scales) == 0 or len(set(scales)) > 1:
        raise InputError(f"{path} gives lengths in {', '.join(units)}; millimetres are needed")
    if any(step is None for step in steps):
        return (), None
    sizes = tuple(float(np.linalg.norm(np.atleast_1d(step))) * scales[0] for step in steps if step is not None)
    origin = header.get("space origin")
    vectors = [step for step in steps[::-1] if isinstance(step, np.ndarray) and step.size == 3]
    if len(vectors) != 3:
        return sizes[::-1], None
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(vectors)
    affine[:3, 3] = 0 if origin is None else origin
    signs = SPACES.get(str(header.get("space", "")).lower(), (1, 1, 1))
    affine[:3] *= np.array(signs)[:, None] * scales[0]
    return sizes[::-1], affine


def _segments(header: Any) -> tuple[Segment, ...]:
    """What 3D Slicer says of each segment, as Segment0_Name, Segment0_LabelValue, Segment0_Layer."""
    numbers = sorted(int(key[1]) for name in header if (key := re.fullmatch(r"Segment(\d+)_LabelValue", str(name))))
    said = ((header, f"Segment{k}_") for k in numbers)
    return tuple(
        Segment(str(h.get(f"{s}Name", "")), int(h[f"{s}LabelValue"]), int(h.get(f"{s}Layer", 0))) for h, s in said
    )
