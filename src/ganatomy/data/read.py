"""Read any cohort: a folder of images by class, a manifest, an .npz, or the built-in phantom.

`read` lists images without their pixels; `pixels` opens them. Knows file formats; does not know roles (data.split)
and changes no value: what comes out is what the file holds, in its own type, times its slope plus intercept.
"""

import hashlib
import zipfile
from collections.abc import Callable
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


@dataclass(frozen=True)
class Read(Settings):
    """How the source is to be read. Folders and manifests need none of it; npz files whose arrays have other names do."""

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

    source: a folder with one sub-folder per class, a manifest (.csv), an .npz, `phantom:...`, or a cohort (returned as it is)
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
    elif path.suffix == ".csv":
        cohort = _manifest(path)
    elif path.suffix == ".npz":
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
    rows = []
    for sub in sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")):
        files = sorted(f for f in sub.rglob("*") if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
        rows += [{"path": str(file.resolve()), "class": sub.name, "patient": ""} for file in files]
    if not rows:
        loose = any(f.suffix.lower() in SUFFIXES for f in folder.iterdir())
        hint = (
            "put the images of each class into a sub-folder of its own"
            if loose
            else f"no {', '.join(SUFFIXES)} in its sub-folders"
        )
        raise InputError(f"the folder {folder} holds no images by class: {hint}")
    return Cohort(pd.DataFrame(rows), str(folder))


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


@lru_cache(maxsize=4)
def _arrays(path: str, _stamp: tuple[int, int]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} cannot be read as npz ({error}); is it damaged or cut short?") from None
    except ValueError:
        raise InputError(
            f"{path} holds Python objects, which are not opened for safety; save plain arrays with numpy.savez"
        ) from None


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
        n = len(arrays[image_key])
        frame = {"path": [f"{source}#{image_key}/{row}" for row in range(n)]}

        def column(key: str, n: int = n, image_key: str = image_key) -> list[str]:
            values = arrays[key].reshape(len(arrays[key]), -1)
            if len(values) != n or values.shape[1] != 1:
                raise InputError(
                    f"{path}: '{key}' has shape {arrays[key].shape}, but '{image_key}' holds {n} images; one value per image is needed"
                )
            return [str(value) for value in values[:, 0]]

        frame["class"] = column(label_key)
        if names_key:
            labels = arrays[label_key].ravel()
            if (
                labels.dtype.kind not in "iu"
                or labels.max(initial=0) >= len(arrays[names_key])
                or labels.min(initial=0) < 0
            ):
                raise InputError(f"{path}: '{label_key}' holds values that '{names_key}' has no name for")
            frame["class"] = [str(arrays[names_key][label]) for label in labels]
        patient_key = named("patients", settings.patients, "patient")
        frame["patient"] = column(patient_key) if patient_key else [""] * n
        split_key = named("splits", settings.splits, "split")
        if word or split_key:
            frame["role"] = [word] * n if word else column(split_key)
        for key in settings.groups:
            frame[key] = column(named("groups", key, ""))
        frames.append(pd.DataFrame(frame))
    return Cohort(pd.concat(frames, ignore_index=True), str(path))


def image(path: str, slope: float = 1.0, intercept: float = 0.0, unit: str = "", spacing: str = "") -> Image:
    """Open one image by its path text. Raises InputError that names the file where it cannot be read."""
    if path.startswith("phantom:"):
        values = phantom.values(path)
    elif "#" in path and path.split("#")[0].endswith(".npz"):
        file, _, rest = path.partition("#")
        key, _, row = rest.rpartition("/")
        values = _from_npz(Path(file), key, int(row))
    else:
        values = _from_file(Path(path))
    if (slope, intercept) != (1.0, 0.0):
        values = values * np.float32(slope) + np.float32(intercept)
        values = values.astype(np.int16) if (slope, intercept % 1) == (1.0, 0.0) else values.astype(np.float32)
    return Image(values, unit, tuple(float(part) for part in spacing.split("x")) if spacing else (), path)


def _from_npz(path: Path, key: str, row: int) -> np.ndarray:
    if not path.exists():
        raise InputError(f"there is no file {path}; the cohort's manifest names it")
    arrays = _stored(path)
    if key not in arrays or row >= len(arrays[key]):
        raise InputError(f"{path} has no image {key}/{row}; it has changed since the manifest was written")
    values = arrays[key][row]
    if values.ndim == 3 and values.shape[-1] in (1, 3, 4):  # (H, W, C) -> (C, H, W)
        return np.moveaxis(values, -1, 0)
    volume: np.ndarray = values[None]
    return volume  # (H, W) -> (1, H, W); (D, H, W) -> (1, D, H, W)


def _from_file(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            values = np.asarray(tifffile.imread(path))
        elif path.suffix.lower() == ".png" and _png_depth_colour(path) in ((16, 2), (16, 6)):
            import png  # Pillow reads 16-bit colour as 8 bits without a word, so another library reads it

            width, height, rows, info = png.Reader(filename=str(path)).asDirect()
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
    if values.ndim == 3 and values.shape[-1] in (3, 4):
        return np.moveaxis(values[..., :3], -1, 0)
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}; one image of H x W pixels, grey or RGB, is needed per file")
    return values[None]


def _png_depth_colour(path: Path) -> tuple[int, int]:
    with path.open("rb") as stream:
        head = stream.read(26)  # signature 8, IHDR length and name 8, width and height 8, bit depth 1, colour type 1
    return (head[24], head[25]) if len(head) == 26 and head[:4] == b"\x89PNG" else (0, 0)


def images(cohort: Cohort) -> list[Image]:
    """Open every image of a cohort, in order."""
    numbers = lambda name, default: [float(v or default) for v in cohort.column(name)]  # noqa: E731
    columns = (
        cohort.column("path"),
        numbers("slope", 1),
        numbers("intercept", 0),
        cohort.column("unit"),
        cohort.column("spacing"),
    )
    return [image(*row) for row in zip(*columns, strict=True)]


def pixels(cohort: Cohort, advance: Callable[[int], None] | None = None) -> np.ndarray:
    """Every image of a cohort as one array (N, C, H, W) in the type the files hold.

    Raises InputError that names the first image whose size, channels or type differ from the others', or that holds
    values that are not numbers.
    """
    opened = []
    for one in images(cohort):
        opened.append(one.values)
        first = opened[0]
        if one.values.shape != first.shape or one.values.dtype != first.dtype:
            describe = lambda v: f"{'x'.join(map(str, v.shape[1:]))}, {v.shape[0]} channel(s), {v.dtype}"  # noqa: E731
            raise InputError(
                f"{one.origin} is {describe(one.values)}, but {cohort.column('path')[0]} is {describe(first)}; "
                "bring all images to one size, channel count and type"
            )
        if one.values.dtype.kind == "f" and not np.isfinite(one.values).all():
            raise InputError(f"{one.origin} holds values that are not numbers (NaN or infinite); repair or remove it")
        if advance:
            advance(1)
    if not opened:
        raise InputError(f"{cohort.name or 'the cohort'} holds no image")
    return np.stack(opened)


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
    files = {path.split("#")[0] for path in cohort.column("path") if not path.startswith("phantom:")}
    for name in sorted(files):
        if not Path(name).is_file():
            raise InputError(
                f"there is no file {name}, which {cohort.name or 'the cohort'} lists; restore it or remove its line"
            )
        total.update(file_hash(Path(name)).encode())
    return total.hexdigest()
