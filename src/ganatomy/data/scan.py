"""List the images of a source as a cohort: a folder by class, a manifest, an .npz, or the built-in phantom.

Finds images, classes, patients and groups, and writes down for each image the path that data/read.py opens. Opens no
pixels, but for an .npz, whose arrays come as a whole. Does not know roles: data/split.py gives them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import COLUMNS, Cohort, read_manifest
from ganatomy.core.errors import InputError, nearest
from ganatomy.core.run import file_hash
from ganatomy.core.settings import Settings, option
from ganatomy.data import phantom
from ganatomy.data.read import NPZ_ROW, SUFFIXES, npz_arrays

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
    if text.startswith(phantom.PREFIX):
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


def _npz(path: Path, settings: Read) -> Cohort:
    arrays = npz_arrays(path)
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


def source_hash(cohort: Cohort) -> str:
    """A hash of what a cohort lists and of the files it lists, to know whether anything has changed."""
    total = hashlib.sha256(cohort.table.to_csv(index=False).encode())
    paths = [path for path in cohort.column("path") if not path.startswith(phantom.PREFIX)]
    files = {row[1] if (row := NPZ_ROW.fullmatch(path)) else path for path in paths}
    for name in sorted(files):
        if not Path(name).is_file():
            raise InputError(
                f"there is no file {name}, which {cohort.name or 'the cohort'} lists; restore it or remove its line"
            )
        total.update(file_hash(Path(name)).encode())
    return total.hexdigest()
