"""List the images of a source as a cohort: a folder, a manifest, an .npz, or the built-in phantom.

Finds images, classes, patients and groups, and writes down for each image the path that data/read.py opens. What a
stack, a volume or a DICOM file holds is asked of data/slices.py. Does not know roles: data/split.py gives them.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ganatomy.core.cohort import COLUMNS, Cohort, read_manifest
from ganatomy.core.errors import InputError, nearest
from ganatomy.core.run import file_hash
from ganatomy.core.settings import Settings, option
from ganatomy.data import dicom, nifti, phantom, slices, tiff
from ganatomy.data.read import file_of, npz_arrays

GIVEN = ("class", "patient", "role", "unit", "spacing")  # columns that --pattern may fill
# what folders are called that hold a split with the classes below it
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Read(Settings):
    """How the source is to be read: which files, slices and series; npz arrays of other names; units not given."""

    pattern: str = option("", "folder: where names stand in a path, for example '{class}_{patient}_*.png'")
    series: str = option("", "DICOM: words of the series to take, for example 'CT axial'")
    patient_ids: Literal["hash", "keep"] = option("hash", "DICOM: write the patient's ID as a short hash, or as it is")
    axis: Literal["axial", "coronal", "sagittal"] = option("axial", "NIfTI: slices across which axis of the patient")
    slices: str = option("all", "stacks, volumes, series: all, middle, n for every n-th, or largest (of the mask)")
    masks: str = option("", "NIfTI: how a mask's path follows from its image's, for example image=mask")
    images: str = option("", "npz: the array of images, (N, H, W) or (N, H, W, C); found by itself if called 'images'")
    labels: str = option("", "npz: the array of classes (tables: the column); found by itself if called labels (class)")
    patients: str = option(
        "", "npz: the array that says whose image it is (tables: the column); found by itself if called patient"
    )
    splits: str = option("", "npz: the array of train / val / test; found by itself if called 'split'")
    class_names: str = option(
        "", "npz: the array of names for classes 0, 1, ...; found by itself if called 'class_names'"
    )
    groups: tuple[str, ...] = option(
        (), "npz: further arrays to carry as groups; check: columns to compare as groups, comma-separated"
    )
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
        cohort = _folder(path, settings)
    elif not path.exists():
        raise InputError(f"there is no file or folder {text}; for the built-in cohort write phantom:")
    elif path.suffix.lower() == ".csv":
        cohort = _manifest(path, settings)
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


def _folder(folder: Path, settings: Read) -> Cohort:
    found = slices.files(folder)
    if settings.masks:
        masks = {mask for path in found if (mask := slices.mask_of(str(path), settings.masks)) != str(path)}
        found = [path for path in found if str(path) not in masks]
    rows = _by_pattern(folder, found, settings.pattern) if settings.pattern else _by_class(folder, found)
    return _opened(rows, folder, settings, str(folder))


def _opened(rows: list[dict[str, str]], root: Path, settings: Read, name: str) -> Cohort:
    how = settings.axis, settings.slices, settings.masks, settings.series, settings.patient_ids == "keep"
    images = slices.opened(rows, root.absolute(), *how)
    if not images:
        raise InputError(f"{name} lists DICOM files, but none of them holds an image")
    return Cohort(pd.DataFrame(images), name)


def _by_class(folder: Path, found: list[Path]) -> list[dict[str, str]]:
    """A row for each file of a folder with one sub-folder per class, or of train, val and test folders of such."""
    subs, role = _sub_folders(folder), {}
    if subs and all(sub.name.lower() in SPLITS and _sub_folders(sub) for sub in subs):
        role = {sub: SPLITS[sub.name.lower()] for sub in subs}
        subs = [sub for part in subs for sub in _sub_folders(part)]
    rows, empty = [], []
    for sub in subs:
        inside = [path for path in found if path.is_relative_to(sub)]
        given = {"role": role[sub.parent]} if role else {}
        rows += [{"path": str(path.absolute()), "class": sub.name, "patient": "", **given} for path in inside]
        empty += [] if inside else [sub]
    known = ", ".join((*slices.PICTURES, *tiff.SUFFIXES, *nifti.SUFFIXES, dicom.SUFFIXES[0]))
    if rows and empty:
        raise InputError(f"{empty[0]} holds no {known}; each sub-folder is a class: fill it or move it")
    if not rows:
        hint = (
            "put the images of each class into a sub-folder of its own, or say with --pattern where the class stands "
            "in their names, for example --pattern '{class}_{patient}_*.png'"
            if any(path.parent == folder for path in found)
            else f"no {known} in its sub-folders"
        )
        raise InputError(f"the folder {folder} holds no images by class: {hint}")
    return rows


def _by_pattern(folder: Path, found: list[Path], pattern: str) -> list[dict[str, str]]:
    """A row for each file, with what stands in its path where --pattern has a name; InputError names a misfit."""
    parts = re.split(r"(\*\*/?|\*|\{[^{}]*\})", pattern)
    if wrong := _misspelt(parts):
        raise InputError(
            f"--pattern '{pattern}': {wrong}; it needs {{class}} and may have {{patient}}, {{role}}, {{unit}}, "
            "{spacing} and groups of any name made of letters, digits and _, each once"
        )
    words = {"*": "[^/]*", "**": ".*?", "**/": "(?:.*?/)?"}
    rule = "".join(
        words.get(part) or (f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else re.escape(part)) for part in parts
    )
    rows, misfits = [], []
    for path in found:
        if hit := re.fullmatch(rule, path.relative_to(folder).as_posix()):
            rows.append({"path": str(path.absolute()), "class": "", "patient": "", **hit.groupdict()})
        else:
            misfits.append(path.relative_to(folder).as_posix())
    if misfits or not rows:
        what = f"{misfits[0]} does not fit" if misfits else "there is no image in it that fits"
        raise InputError(
            f"{folder}: {what} --pattern '{pattern}' ({len(misfits)} of {len(found)} files); change the pattern, "
            "or move what does not belong"
        )
    return rows


def _misspelt(parts: list[str]) -> str:
    """What is wrong with the names in a pattern, and at which character; "" where nothing is."""
    at, names = 1, [part[1:-1] for part in parts if part[:1] == "{" and part[-1] == "}"]
    for part in parts:
        name = part[1:-1]
        if part[:1] == "{" and part[-1] == "}":
            near = [known for known in GIVEN if known not in names and nearest(name, [known]).startswith("did you")]
            if near:
                return f"{part} at character {at} would be a group (did you mean {{{near[0]}}}?)"
            if not name.isidentifier() or (name in COLUMNS and name not in GIVEN):
                return f"{part} at character {at} cannot be a name"
            if names.count(name) > 1:
                return f"{part} stands there {names.count(name)} times"
        elif brace := re.search("[{}]", part):
            lost = "closed" if brace[0] == "{" else "opened"
            return f"the {brace[0]} at character {at + brace.start()} is not {lost}"
        at += len(part)
    return "" if "class" in names else "it has no {class}"


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith((".", "__")))


def _manifest(path: Path, settings: Read) -> Cohort:
    cohort = read_manifest(path)
    if not len(cohort):
        raise InputError(f"the manifest {path} lists no image")
    for name in {*GIVEN} & {*cohort.table.columns}:  # " p1" and "p1" would be two patients, and one would leak
        cohort.table[name] = cohort.table[name].str.strip()
    if "class" not in cohort.table:
        close = nearest("class", cohort.table.columns)
        raise InputError(
            f"the manifest {path} has no column 'class' ({close}); rename the column that holds the classes"
        )
    unnamed = [i + 2 for i, label in enumerate(cohort.labels) if not label]
    if unnamed:
        raise InputError(f"the manifest {path} names no class in line {unnamed[0]}; fill it in or remove the line")
    rows = [
        dict(zip(cohort.table.columns, row, strict=True)) for row in cohort.table.itertuples(index=False, name=None)
    ]
    found = _opened(rows, path.parent, settings, str(path))
    nameless = [image for image, who in zip(found.column("path"), found.column("patient"), strict=True) if not who]
    if nameless and any(found.column("patient")):
        lines = [i for i, row in enumerate(rows) if not row.get("patient") and nameless[0].startswith(row["path"])]
        raise InputError(
            f"the manifest {path} names no patient in line {lines[0] + 2} ({Path(rows[lines[0]]['path']).name}), "
            "though other lines do; fill it in, or remove the column 'patient' if each image is of another one"
        )
    return found


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


def left_out(folder: Path, cohort: Cohort, settings: Read) -> dict[str, int]:
    """How many files below a folder are no image of its cohort, by suffix; hidden files and masks are not counted."""
    listed = {file_of(path) for path in cohort.column("path")}
    if settings.masks:
        listed |= {slices.mask_of(path, settings.masks) for path in listed}
    below = (path for path in folder.absolute().rglob("*") if str(path) not in listed and path.is_file())
    shown = (path for path in below if not any(part[0] == "." for part in path.relative_to(folder.absolute()).parts))
    return dict(sorted(Counter(path.suffix.lower() or path.name for path in shown).items()))


def source_hash(cohort: Cohort) -> str:
    """A hash of what a cohort lists and of the files it lists, to know whether anything has changed."""
    total = hashlib.sha256(cohort.table.to_csv(index=False).encode())
    paths = [path for path in cohort.column("path") if not path.startswith(phantom.PREFIX)]
    for name in sorted({file_of(path) for path in paths}):
        if not Path(name).is_file():
            raise InputError(
                f"there is no file {name}, which {cohort.name or 'the cohort'} lists; restore it or remove its line"
            )
        total.update(file_hash(Path(name)).encode())
    return total.hexdigest()
