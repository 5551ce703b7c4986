"""Open the images that a cohort lists: one reader for each container, chosen by the path.

Changes no value: what comes out is what the file holds, in its own type, times its slope plus intercept. Knows file
formats; does not know how images are found (data/scan.py) nor who may learn from them (data/split.py).
"""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from ganatomy.core.cohort import COLUMNS, Cohort
from ganatomy.core.errors import InputError
from ganatomy.core.image import Image
from ganatomy.data import dicom, nifti, phantom, tiff

FRAME = re.compile(r"(.+)#(\d+)", re.DOTALL)  # DICOM file, frame from 0
NPZ_ROW = re.compile(r"(.+\.npz)#(.+)/(\d+)", re.IGNORECASE | re.DOTALL)  # file, array, row


def image(path: str, slope: float = 1.0, intercept: float = 0.0, unit: str = "", spacing: str = "") -> Image:
    """Open one image by its path text. Raises InputError that names the file where it cannot be read."""
    values = _stored(path)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype == bool:
        values = values * np.uint8(255)
    if (slope, intercept) != (1.0, 0.0):
        values = rescaled(values, slope, intercept)
    return Image(values, unit, _spacing(spacing, path), path)


def _spacing(text: str, path: str) -> tuple[float, ...]:
    try:
        sizes = tuple(float(part) for part in text.split("x")) if text else ()
    except ValueError:
        sizes = (0.0,)
    if not all(0 < size < np.inf for size in sizes):
        raise InputError(f"the spacing '{text}' of {path} is not millimetres per pixel; write it as 0.7x0.7")
    return sizes


def images(cohort: Cohort) -> Iterator[Image]:
    """Open every image of a cohort, one after the other."""
    names = ("path", "slope", "intercept", "unit", "spacing")
    for path, slope, intercept, unit, spacing in zip(*map(cohort.column, names), strict=True):
        try:
            line = float(slope or 1), float(intercept or 0)
        except ValueError:
            raise InputError(
                f"slope '{slope}' and intercept '{intercept}' of {path} must be numbers, or empty for 1 and 0"
            ) from None
        yield image(path, *line, unit, spacing)


def pixels(cohort: Cohort, advance: Callable[[int], None] | None = None) -> np.ndarray:
    """Every image of a cohort as one array (N, C, H, W) in the type the files hold.

    Raises InputError that names the first image whose size, channels or type differ from the others', or that holds
    values that are not numbers.
    """
    opened: list[np.ndarray] = []
    # a slope or an intercept of its own may ask for a wider type; together they become the widest of them
    rescaled_types = {np.dtype("int16"), np.dtype("int32"), np.dtype("float32")}
    for one in images(cohort):
        opened.append(one.values)
        first = opened[0]
        types = {one.values.dtype, first.dtype}
        if one.values.shape != first.shape or (len(types) > 1 and not types <= rescaled_types):
            raise InputError(
                f"{one.origin} is {_described(one.values)}, but {cohort.column('path')[0]} is {_described(first)}; "
                "bring all images to one size, channel count and type"
            )
        if one.values.dtype.kind == "f" and not np.isfinite(one.values).all():
            raise InputError(f"{one.origin} holds values that are not numbers (NaN or infinite); repair or remove it")
        if advance:
            advance(1)
    if not opened:
        raise InputError(f"{cohort.name or 'the cohort'} holds no image")
    mixed = len({one.dtype for one in opened}) > 1 and any(one.dtype.kind == "f" for one in opened)
    return np.stack(opened, dtype=np.float32) if mixed else np.stack(opened)


def _described(values: np.ndarray) -> str:
    return f"{'x'.join(map(str, values.shape[1:]))}, {values.shape[0]} channel(s), {values.dtype}"


def hashed(cohort: Cohort, values: np.ndarray) -> Cohort:
    """The cohort with a column sha256 of each image's values, type and shape: equal hashes are equal images."""
    kind = f"{values.dtype.str}{values.shape[1:]}".encode()
    table = cohort.table.copy()
    table["sha256"] = [hashlib.sha256(kind + np.ascontiguousarray(one).tobytes()).hexdigest() for one in values]
    first = [name for name in COLUMNS if name in table]
    return Cohort(table[[*first, *(name for name in table.columns if name not in first)]], cohort.name)


# ------------------------------------------------------------ one reader for each container


def _stored(path: str) -> np.ndarray:
    """The values that a path names as they are stored, channels first: (C, H, W), or (1, D, H, W) of a volume."""
    if path.startswith(phantom.PREFIX):
        return phantom.values(path)
    if row := NPZ_ROW.fullmatch(path):
        return _npz_row(Path(row[1]), row[2], int(row[3]))
    if row := nifti.SLICE.fullmatch(path):
        return _slice(Path(row[1]), row[2].lower(), int(row[3]))
    file, index = Path(file_of(path)), None
    if str(file) != path and (row := FRAME.fullmatch(path)):
        index = int(row[2])
    if file.suffix.lower() in tiff.SUFFIXES:
        return _flat(file, lambda file: tiff.values(file, index))
    if dicom.is_dicom(file):
        return _flat(file, lambda file: dicom.values(file, index or 0))
    return _flat(file, _picture)


def file_of(path: str) -> str:
    """The file that an image's path names: the path itself, or what stands before `#`. A name may hold a # as well."""
    if row := NPZ_ROW.fullmatch(path) or nifti.SLICE.fullmatch(path) or tiff.PAGE.fullmatch(path):
        return row[1]
    row = FRAME.fullmatch(path)
    return row[1] if row and Path(row[1]).is_file() and not Path(path).exists() else path


def _slice(path: Path, axis: str, index: int) -> np.ndarray:
    """A slice of a volume as values: whole ones stay whole."""
    stored, slope, intercept = nifti.values(path, axis, index)
    if (slope, intercept) == (1.0, 0.0):
        return stored[None]
    return rescaled(stored, slope, intercept)[None]


def rescaled(values: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """values * slope + intercept: int16, or int32, where whole values are only shifted, else float32."""
    whole = values.dtype.kind in "iu" and (slope, intercept % 1) == (1.0, 0.0)
    values = values.astype(np.float64) * slope + intercept
    fits = values.min() >= -32768 and values.max() <= 32767
    return values.astype(np.float32 if not whole else np.int16 if fits else np.int32)


def _flat(path: Path, reader: Callable[[Path], np.ndarray]) -> np.ndarray:
    """One image of a file that holds (H, W) or (H, W, channels), as (C, H, W) without what is opaque."""
    try:
        values = reader(path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; the cohort's manifest names it") from None
    except IndexError:
        raise InputError(f"{path} has fewer pages than the manifest names; it has changed since") from None
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as an image ({error or type(error).__name__}); remove it or replace it"
        ) from None
    if values.ndim == 3 and values.shape[-1] in (2, 3, 4):  # grey or colour, the last of 2 or 4 being the opacity
        return np.moveaxis(values[..., : 1 if values.shape[-1] == 2 else 3], -1, 0)
    if values.ndim != 2:
        raise InputError(
            f"{path} has shape {values.shape}; one image of H x W pixels, grey or RGB, is needed: "
            "name one page of a stack, counted from 0, as file.tif#0"
        )
    return values[None]


def _picture(path: Path) -> np.ndarray:
    """PNG, JPEG and whatever else Pillow knows."""
    if _png_depth_colour(path) in ((16, 2), (16, 4), (16, 6)):
        return _deep_png(path)
    from PIL import Image as Pillow

    with Pillow.open(path) as opened:
        mode = {"1": "L", "P": "RGB", "LA": "L", "PA": "RGB", "RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}.get(
            opened.mode
        )
        values = np.asarray(opened.convert(mode) if mode else opened)
    if values.dtype != np.int32:
        return values
    if values.min() < 0 or values.max() > 65535:  # Pillow's mode I: mostly 16-bit grey, but wider formats come so too
        raise InputError(
            f"{path} holds values from {values.min()} to {values.max()}, which do not fit 16 bits; "
            "save it as a 32-bit TIFF (.tif) or as NIfTI"
        )
    return values.astype(np.uint16)


def _deep_png(path: Path) -> np.ndarray:
    """PNG of 16-bit colour or alpha, which Pillow reads as 8 bits without a word."""
    import png

    width, height, rows, info = png.Reader(bytes=path.read_bytes()).read()
    return np.vstack([np.asarray(row, np.uint16) for row in rows]).reshape(height, width, info["planes"])


def _png_depth_colour(path: Path) -> tuple[int, int]:
    with path.open("rb") as stream:
        head = stream.read(26)  # signature 8, IHDR length and name 8, width and height 8, bit depth 1, colour type 1
    return (head[24], head[25]) if len(head) == 26 and head[:4] == b"\x89PNG" else (0, 0)


def _npz_row(path: Path, key: str, row: int) -> np.ndarray:
    if not path.exists():
        raise InputError(f"there is no file {path}; the cohort's manifest names it")
    arrays = npz_arrays(path)
    if key not in arrays or row >= len(arrays[key]):
        raise InputError(f"{path} has no image {key}/{row}; it has changed since the manifest was written")
    values: np.ndarray = arrays[key][row]
    if values.ndim == 3 and values.shape[-1] in (1, 3, 4):  # (H, W, C) -> (C, H, W)
        return np.moveaxis(values, -1, 0)
    if values.ndim == 3 and values.shape[0] in (1, 3):  # (C, H, W) as torch has it
        return values
    volume: np.ndarray = values[None]
    return volume  # (H, W) -> (1, H, W); (D, H, W) -> (1, D, H, W)


@lru_cache(maxsize=2)  # a real and a synthetic cohort
def _arrays(path: str, _stamp: tuple[int, int]) -> dict[str, np.ndarray]:
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is no zip archive")
        with np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, np.ndarray] = {name: stored[name] for name in stored.files}
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path} cannot be read as npz ({error}); is it damaged or cut short?") from None
    except ValueError:
        raise InputError(
            f"{path} holds Python objects, which are not opened for safety; save plain arrays with numpy.savez"
        ) from None
    for array in arrays.values():
        array.flags.writeable = False  # images are views of it
    return arrays


def npz_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an .npz by name, read only; opened again when the file changes."""
    stat = path.stat()
    return _arrays(str(path), (stat.st_mtime_ns, stat.st_size))
