"""Read any cohort: a folder of images by class, a manifest, an .npz, or the built-in phantom.

`read` lists images without their pixels; `pixels` opens them. Knows file formats; does not know roles (data.split)
and changes no value: what comes out is what the file holds, in its own type, times its slope plus intercept.
"""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import COLUMNS, Cohort, read_manifest
from ganatomy.core.errors import InputError, nearest
from ganatomy.core.image import Image
from ganatomy.core.run import file_hash
from ganatomy.core.settings import Settings, option
from ganatomy.data import phantom

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
NPZ_ROW = re.compile(r"(.+\.npz)#(.+)/(\d+)", re.IGNORECASE | re.DOTALL)  # file, array, row
# what folders are called that hold a split with the classes below it
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Read(Settings):
    """How the source is to be read: needed for npz files whose arrays have other names, and for units not given."""

    images: str = option("", "npz: the array of images, (N, H, W) or (N, H, W, C); found by itself if called 'images'")
    labels: str = option("", "npz: the array of classes; found by itself if called 'labels'")
    patients: str = option("", "npz: the array that says whose image it is; found by itself if called 'patient'")
    splits: str = option("", "npz: the array of train / val / test; found by itself if called 'split'")
    class_names: str = option(
        "", "npz: the array of names for classes 0, 1, ...; found by itself if called 'class_names'"
    )
    groups: tuple[str, ...] = option((), "npz: further arrays to carry as groups, comma-separated")
    unit: str = option("", "unit of the pixel values where the source does not say, for example HU")
    spacing: str = option("", "size of a pixel where the source does not say, for example 0.7x0.7", "mm")


def read(source: str | Path | Cohort, settings: Read | None = None) -> Cohort:
    """List the images of a source as a cohort, without opening their pixels.

    source: a folder with one sub-folder per class (or train, val and test folders of such), a manifest (.csv), an
    .npz, `phantom:...`, or a cohort (returned as it is)
    Raises InputError in one sentence where the source is missing, empty, or not understood.
    """
    settings = settings or Read()
    if isinstance(source, Cohort):
        return source
    text = str(source)
    if text.startswith("phantom:"):
        return phantom.cohort(phantom.parse(text))
    path = Path(text)
    if path.is_dir():
        cohort = _folder(path)
    elif not path.exists():
        raise InputError(f"there is no file or folder {text}; for the built-in cohort write phantom:")
    elif path.suffix.lower() == ".csv":
        cohort = _manifest(path)
    elif path.suffix.lower() == ".npz":
        cohort = _npz(path, settings)
    else:
        raise InputError(f"{text} is neither a folder, a manifest (.csv) nor an .npz file")
    table = cohort.table.copy()
    for name in ("unit", "spacing"):
        if getattr(settings, name) and not any(cohort.column(name)):
            table[name] = getattr(settings, name)
    first = [name for name in COLUMNS if name in table]
    return Cohort(table[[*first, *(name for name in table.columns if name not in first)]], text)


def _folder(folder: Path) -> Cohort:
    subs, role = _sub_folders(folder), {}
    if subs and all(sub.name.lower() in SPLITS and _sub_folders(sub) for sub in subs):
        role = {sub: SPLITS[sub.name.lower()] for sub in subs}
        subs = [sub for part in subs for sub in _sub_folders(part)]
    rows, empty = [], []
    for sub in subs:
        found = [f for f in sub.rglob("*") if f.suffix.lower() in SUFFIXES]
        shown = sorted(f for f in found if not any(part.startswith(".") for part in f.relative_to(sub).parts))
        given = {"role": role[sub.parent]} if role else {}
        rows += [{"path": str(f.absolute()), "class": sub.name, "patient": "", **given} for f in shown]
        empty += [] if shown else [sub]
    if rows and empty:
        raise InputError(f"{empty[0]} holds no {', '.join(SUFFIXES)}; each sub-folder is a class: fill it or move it")
    if not rows:
        loose = any(f.suffix.lower() in SUFFIXES for f in folder.iterdir())
        hint = (
            "put the images of each class into a sub-folder of its own"
            if loose
            else f"no {', '.join(SUFFIXES)} in its sub-folders"
        )
        raise InputError(f"the folder {folder} holds no images by class: {hint}")
    return Cohort(pd.DataFrame(rows), str(folder))


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith((".", "__")))


def _manifest(path: Path) -> Cohort:
    cohort = read_manifest(path)
    if not len(cohort):
        raise InputError(f"the manifest {path} lists no image")
    if "class" not in cohort.table:
        close = nearest("class", cohort.table.columns)
        raise InputError(
            f"the manifest {path} has no column 'class' ({close}); rename the column that holds the classes"
        )
    unnamed = [i + 2 for i, label in enumerate(cohort.labels) if not label]
    if unnamed:
        raise InputError(f"the manifest {path} names no class in line {unnamed[0]}; fill it in or remove the line")
    return cohort


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


def _stored(path: Path) -> dict[str, np.ndarray]:
    stat = path.stat()
    return _arrays(str(path), (stat.st_mtime_ns, stat.st_size))


def _npz(path: Path, settings: Read) -> Cohort:
    arrays = _stored(path)
    source = path.resolve()
    shown = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())

    def named(role: str, given: str, default: str, needed: bool = False) -> str:
        if given and given not in arrays:
            raise InputError(f"{path} has no array '{given}' (asked for with --{role}); {nearest(given, arrays)}")
        if not given and default not in arrays and needed:
            raise InputError(f"{path} has no array '{default}'; say which one with --{role}; it holds {shown}")
        return given or (default if default in arrays else "")

    parts: list[tuple[str, str, str]]  # images key, labels key, split word
    if not settings.images and "train_images" in arrays:  # MedMNIST's keys
        parts = [(f"{s}_images", f"{s}_labels", s) for s in ("train", "val", "test") if f"{s}_images" in arrays]
        for _, label_key, _ in parts:
            named("labels", label_key, "")
    else:
        parts = [
            (named("images", settings.images, "images", True), named("labels", settings.labels, "labels", True), "")
        ]
    names_key = named("class-names", settings.class_names, "class_names")
    frames = []
    for image_key, label_key, word in parts:
        if arrays[image_key].ndim not in (3, 4):
            raise InputError(
                f"{path}: '{image_key}' has shape {arrays[image_key].shape}; "
                "images are (N, H, W), (N, H, W, C) or (N, D, H, W)"
            )
        n = len(arrays[image_key])
        frame = {"path": [f"{source}#{image_key}/{row}" for row in range(n)]}

        def column(key: str, n: int = n, image_key: str = image_key) -> list[str]:
            if arrays[key].shape[:1] != (n,) or arrays[key].size != n:
                raise InputError(
                    f"{path}: '{key}' has shape {arrays[key].shape}, but '{image_key}' holds {n} images; "
                    "one value per image is needed"
                )
            return _texts(arrays[key])

        frame["class"] = column(label_key)
        if names_key and arrays[label_key].dtype.kind in "iufb":
            names = {str(code): name for code, name in enumerate(_texts(arrays[names_key]))}
            if nameless := sorted({*frame["class"]} - {*names}):
                raise InputError(f"{path}: '{label_key}' holds '{nameless[0]}', which '{names_key}' has no name for")
            frame["class"] = [names[code] for code in frame["class"]]
        if "" in frame["class"]:
            raise InputError(f"{path}: '{label_key}' names no class for image {frame['class'].index('')}")
        patient_key = named("patients", settings.patients, "patient")
        frame["patient"] = column(patient_key) if patient_key else [""] * n
        split_key = named("splits", settings.splits, "split")
        if word or split_key:
            frame["role"] = [word] * n if word else column(split_key)
        for key in settings.groups:
            frame[key] = column(named("groups", key, ""))
        frames.append(pd.DataFrame(frame))
    table = pd.concat(frames, ignore_index=True)
    if table.empty:
        raise InputError(f"{path} holds no image: {shown}")
    return Cohort(table, str(path))


def _texts(array: np.ndarray) -> list[str]:
    """An array's values as texts: whole numbers without a point, bytes decoded, NaN empty."""
    values = array.ravel()
    if values.dtype.kind == "S":
        values = np.char.decode(values)
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    if values.dtype.kind != "f":
        return [str(value) for value in values]
    return ["" if np.isnan(value) else str(value).removesuffix(".0") for value in values]


def image(path: str, slope: float = 1.0, intercept: float = 0.0, unit: str = "", spacing: str = "") -> Image:
    """Open one image by its path text. Raises InputError that names the file where it cannot be read."""
    if path.startswith("phantom:"):
        values = phantom.values(path)
    elif row := NPZ_ROW.fullmatch(path):
        values = _from_npz(Path(row[1]), row[2], int(row[3]))
    else:
        values = _from_file(Path(path))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype == bool:
        values = values * np.uint8(255)
    if (slope, intercept) != (1.0, 0.0):
        whole = values.dtype.kind in "iu" and (slope, intercept % 1) == (1.0, 0.0)
        values = values.astype(np.float64) * slope + intercept
        fits = values.min() >= -32768 and values.max() <= 32767
        values = values.astype(np.float32 if not whole else np.int16 if fits else np.int32)
    return Image(values, unit, _spacing(spacing, path), path)


def _spacing(text: str, path: str) -> tuple[float, ...]:
    try:
        sizes = tuple(float(part) for part in text.split("x")) if text else ()
    except ValueError:
        sizes = (0.0,)
    if not all(0 < size < np.inf for size in sizes):
        raise InputError(f"the spacing '{text}' of {path} is not millimetres per pixel; write it as 0.7x0.7")
    return sizes


def _from_npz(path: Path, key: str, row: int) -> np.ndarray:
    if not path.exists():
        raise InputError(f"there is no file {path}; the cohort's manifest names it")
    arrays = _stored(path)
    if key not in arrays or row >= len(arrays[key]):
        raise InputError(f"{path} has no image {key}/{row}; it has changed since the manifest was written")
    values: np.ndarray = arrays[key][row]
    if values.ndim == 3 and values.shape[-1] in (1, 3, 4):  # (H, W, C) -> (C, H, W)
        return np.moveaxis(values, -1, 0)
    if values.ndim == 3 and values.shape[0] in (1, 3):  # (C, H, W) as torch has it
        return values
    volume: np.ndarray = values[None]
    return volume  # (H, W) -> (1, H, W); (D, H, W) -> (1, D, H, W)


def _from_file(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            with tifffile.TiffFile(path) as opened_tiff:
                values = np.asarray(opened_tiff.asarray())
                if opened_tiff.series[0].axes == "SYX":  # (3, H, W), colours apart
                    values = np.moveaxis(values, 0, -1)
        elif _png_depth_colour(path) in ((16, 2), (16, 4), (16, 6)):
            import png  # Pillow reads 16-bit colour and alpha as 8 bits without a word, so another library reads it

            width, height, rows, info = png.Reader(bytes=path.read_bytes()).read()
            values = np.vstack([np.asarray(row, np.uint16) for row in rows]).reshape(height, width, info["planes"])
        else:
            from PIL import Image as Pillow

            with Pillow.open(path) as opened:
                mode = {"1": "L", "P": "RGB", "LA": "L", "PA": "RGB", "RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}.get(
                    opened.mode
                )
                values = np.asarray(opened.convert(mode) if mode else opened)
            if values.dtype == np.int32:  # Pillow's mode I: 16-bit grey
                values = values.astype(np.uint16)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; the cohort's manifest names it") from None
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as an image ({error or type(error).__name__}); remove it or replace it"
        ) from None
    if values.ndim == 3 and values.shape[-1] in (2, 3, 4):  # what is opaque is no value
        return np.moveaxis(values[..., : 1 if values.shape[-1] == 2 else 3], -1, 0)
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}; one image of H x W pixels, grey or RGB, is needed per file")
    return values[None]


def _png_depth_colour(path: Path) -> tuple[int, int]:
    with path.open("rb") as stream:
        head = stream.read(26)  # signature 8, IHDR length and name 8, width and height 8, bit depth 1, colour type 1
    return (head[24], head[25]) if len(head) == 26 and head[:4] == b"\x89PNG" else (0, 0)


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
    signed = {np.dtype("int16"), np.dtype("int32")}  # together they become int32: an intercept may need the wider
    for one in images(cohort):
        opened.append(one.values)
        first = opened[0]
        types = {one.values.dtype, first.dtype}
        if one.values.shape != first.shape or (len(types) > 1 and types != signed):
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
    return np.stack(opened)


def _described(values: np.ndarray) -> str:
    return f"{'x'.join(map(str, values.shape[1:]))}, {values.shape[0]} channel(s), {values.dtype}"


def hashed(cohort: Cohort, values: np.ndarray) -> Cohort:
    """The cohort with a column sha256 of each image's values, type and shape: equal hashes are equal images."""
    kind = f"{values.dtype.str}{values.shape[1:]}".encode()
    table = cohort.table.copy()
    table["sha256"] = [hashlib.sha256(kind + np.ascontiguousarray(one).tobytes()).hexdigest() for one in values]
    first = [name for name in COLUMNS if name in table]
    return Cohort(table[[*first, *(name for name in table.columns if name not in first)]], cohort.name)


def source_hash(cohort: Cohort) -> str:
    """A hash of what a cohort lists and of the files it lists, to know whether anything has changed."""
    total = hashlib.sha256(cohort.table.to_csv(index=False).encode())
    paths = [path for path in cohort.column("path") if not path.startswith("phantom:")]
    files = {row[1] if (row := NPZ_ROW.fullmatch(path)) else path for path in paths}
    for name in sorted(files):
        if not Path(name).is_file():
            raise InputError(
                f"there is no file {name}, which {cohort.name or 'the cohort'} lists; restore it or remove its line"
            )
        total.update(file_hash(Path(name)).encode())
    return total.hexdigest()
