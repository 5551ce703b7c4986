"""NIfTI: slices of a volume along one axis of the patient, turned upright.

The volume is brought to the orientation closest to right-anterior-superior by swapping and flipping axes alone, so no
value is interpolated. A slice then looks as radiologists hold it, and as scanners write DICOM: anterior or superior on
top, the patient's right on the left; in sagittal slices anterior on the left. Does not know classes or patients.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ganatomy.core.errors import InputError

SUFFIXES = (".nii", ".nii.gz")
AXES = {"sagittal": 0, "coronal": 1, "axial": 2}  # along right, anterior, superior
SLICE = re.compile(r"(.+\.nii(?:\.gz)?)#(sagittal|coronal|axial)/(\d+)", re.IGNORECASE | re.DOTALL)
MILLIMETRES = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}


def _open(path: Path) -> Any:
    import nibabel as nib

    if not path.exists():
        raise InputError(f"there is no file {path}; restore it or remove its line")
    try:
        opened: Any = nib.load(path)
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as NIfTI ({' '.join(str(error).split())}); remove it or replace it"
        ) from None
    if len(opened.shape) < 3 or any(n != 1 for n in opened.shape[3:]) or opened.get_data_dtype().names:
        raise InputError(
            f"{path} holds an array of {'x'.join(map(str, opened.shape))}; one volume of three axes and one value per "
            "voxel is needed: save each time point or channel as a file of its own"
        )
    return opened


def sizes(path: Path) -> tuple[float, ...]:
    """The voxel sizes that the header says; nibabel makes 1 of a 0 when it opens the file. () where there is none."""
    import nibabel as nib

    kinds: Any = (nib.Nifti1Header, nib.Nifti2Header)
    for header in kinds:
        try:
            with nib.openers.ImageOpener(str(path)) as stream:
                found = header.from_fileobj(stream, check=False)
            if int(found["sizeof_hdr"]) == header.sizeof_hdr:
                return tuple(float(size) for size in found["pixdim"][1:4])
        except Exception:  # `_open` says what is wrong with it
            continue
    return ()


def geometry(path: Path, axis: str) -> tuple[int, str, tuple[int, ...]]:
    """How many slices lie along an axis, their spacing as `0.7x0.7` (mm, rows then columns), and the volume's shape.

    The shape is (right, anterior, superior). Reads the header alone.
    """
    import nibabel as nib

    opened = _open(path)
    order = np.argsort(nib.orientations.io_orientation(opened.affine)[:, 0])  # type: ignore[no-untyped-call]
    shape = tuple(int(opened.shape[i]) for i in order)
    scale = MILLIMETRES.get(opened.header.get_xyzt_units()[0], 1.0)
    sizes = [float(opened.header.get_zooms()[i]) * scale for i in order]
    across, down = (i for i in range(3) if i != AXES[axis])
    return shape[AXES[axis]], f"{sizes[down]:.6g}x{sizes[across]:.6g}", shape


@lru_cache(maxsize=2)  # an image and its mask
def _volume(path: str, _stamp: tuple[int, int]) -> tuple[np.ndarray, float, float]:
    """The stored values along (right, anterior, superior), slope and intercept."""
    import nibabel as nib

    opened = _open(Path(path))
    try:
        stored = np.asanyarray(opened.dataobj.get_unscaled())
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as NIfTI ({' '.join(str(error).split())}); is it damaged or cut short?"
        ) from None
    stored = stored.reshape(stored.shape[:3])
    turned = nib.orientations.apply_orientation(  # type: ignore[no-untyped-call]
        stored,
        nib.orientations.io_orientation(opened.affine),  # type: ignore[no-untyped-call]
    )
    return turned, float(opened.dataobj.slope), float(opened.dataobj.inter)


def volume(path: Path) -> tuple[np.ndarray, float, float]:
    """The stored values along (right, anterior, superior), slope and intercept; the last two files are kept."""
    if not path.exists():
        raise InputError(f"there is no file {path}; restore it or remove its line")
    stat = path.stat()
    return _volume(str(path), (stat.st_mtime_ns, stat.st_size))


def values(path: Path, axis: str, index: int) -> tuple[np.ndarray, float, float]:
    """One slice (H, W) as stored, upright, and the slope and intercept that make it values."""
    stored, slope, intercept = volume(path)
    along = AXES[axis]
    if index >= stored.shape[along]:
        raise InputError(f"{path} has no slice {axis}/{index}; it has changed since the manifest was written")
    plane = np.take(stored, index, along)  # (right, anterior), (right, superior) or (anterior, superior)
    return plane[::-1, ::-1].T, slope, intercept


def areas(path: Path, axis: str) -> np.ndarray:
    """How many voxels of a mask are not zero in each slice along an axis."""
    stored, slope, intercept = volume(path)
    others = tuple(i for i in range(3) if i != AXES[axis])
    marked: np.ndarray = (stored * slope + intercept != 0).sum(others)
    return marked
