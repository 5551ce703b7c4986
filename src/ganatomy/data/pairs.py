"""Which mask belongs to which image: by their place in two folders, by their names, or by a table that says so.

Every other source of a cohort (an .npz, phantom:) gives images without masks.
Knows names, and the series that DICOM masks refer to; opens no pixels.
"""

import csv
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ganatomy.core.errors import InputError, nearest
from ganatomy.data import nifti, nrrd, phantom, regions, scan, slices, tiff, volume
from ganatomy.data.read import npz_arrays

SUFFIXES = (".seg.nrrd", *nifti.SUFFIXES, *nrrd.SUFFIXES, *tiff.SUFFIXES, *slices.PICTURES, ".dcm", ".dicom", ".ima")
OF_MASK = "label|labels|mask|masks|seg|segmentation|segmentations|roi|rois|gt|labelstr|labelsts"
OF_IMAGE = "image|images|img|imgs|scan|scans|volume|volumes|imagestr|imagests"
# of a table, under any of these names: a manifest of ours, or pyradiomics' Image, Mask, Label
COLUMNS = {"image": ("image", "path"), **{name: (name,) for name in ("mask", "label", "unit", "spacing")}}
COLUMNS |= {"slope": ("slope",), "intercept": ("intercept",)}


class Pair(NamedTuple):
    """An image and its mask, "" where the whole image is one region.

    label: the only one to measure, None for all; slope, intercept: what the file's values are multiplied by, and added
    unit, spacing (mm along the axes): what a table says of them, and the file may not
    """

    image: str
    mask: str = ""
    label: int | None = None
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    spacing: tuple[float, ...] = ()


class Found(NamedTuple):
    """Pairs in the order of the images; images without a mask, and masks without an image."""

    pairs: list[Pair]
    images: list[str]
    masks: list[str]


def find(images: str, masks: str = "") -> Found:
    """Every image of a file, folder, table (.csv), .npz or phantom:, with its masks. InputError where there is none."""
    path = Path(images)
    if images.startswith(phantom.PREFIX) or (path.suffix.lower() == ".npz" and path.exists()):
        if masks:
            raise InputError(f"--masks go with images in files, not with {images}; leave it out")
        names = [] if images.startswith(phantom.PREFIX) else list(npz_arrays(path))
        if names and not {"images", "train_images"} & set(names):
            raise InputError(
                f"{images} has no array 'images' but {', '.join(names)}; save it so, or measure in Python: "
                f"ganatomy.radiomics.extract(numpy.load('{images}')['{names[0]}'])"
            )
        return Found([Pair(one) for one in scan.read(images).column("path")], [], [])
    if not path.exists() and not ("#" in images and Path(images.rpartition("#")[0]).exists()):
        raise InputError(f"there is no file or folder {images}; correct its name")
    if path.suffix.lower() == ".csv":
        if masks:
            raise InputError(f"the table {images} names the masks itself, in its column 'mask'; leave --masks out")
        return Found(_table(path), [], [])
    whole = not path.is_dir() or _is_series(path)
    found = [images] if whole else volume.find(path)
    if not masks:
        return Found([Pair(image) for image in _some(found, images)], [], [])
    aside = Path(masks)
    if not aside.exists():
        raise InputError(f"there is no file or folder {masks}; correct --masks")
    if not aside.is_dir():
        found = [one for one in found if Path(one).resolve() != aside.resolve()]
        if not found:
            raise InputError(f"{images} is given as the image and as its mask; name the mask with --masks")
        return Found([Pair(image, masks) for image in found], [], [])
    drawn = regions.find(aside)
    if not whole and aside.resolve() == path.resolve():
        drawn = [mask for mask in drawn if mask not in found or _says_mask(Path(mask).relative_to(path))]
    taken = {Path(mask).resolve() for mask in drawn}
    found = [image for image in found if Path(image).resolve() not in taken]
    if whole and len(drawn) == 1:
        return Found([Pair(images, drawn[0])], [], [])
    root = path.parent if whole else path
    return _matched(_some(found, images), root, _some(drawn, masks), aside)


def _some(found: list[str], source: str) -> list[str]:
    if not found:
        raise InputError(
            f"{source} holds no PNG, JPEG, TIFF, NIfTI, NRRD or DICOM file; give a file or a folder of them"
        )
    return found


def _is_series(folder: Path) -> bool:
    """Whether a folder is itself one image."""
    return volume.find(folder) == [str(folder)]


def _table(path: Path) -> list[Pair]:
    """The rows of a table with the columns image (or path), mask and label; paths are relative to the table."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the table {path} ({error}); save it as CSV in UTF-8") from None
    if not rows:
        raise InputError(f"the table {path} lists no image")
    where = {name.strip().lower(): name for name in rows[0] if name}
    named = {ours: next((where[name] for name in names if name in where), "") for ours, names in COLUMNS.items()}
    if not named["image"]:
        raise InputError(f"the table {path} has no column 'image'; {nearest('image', where)}")
    return [
        _row(path, line, {ours: (row.get(name) or "").strip() for ours, name in named.items()})
        for line, row in enumerate(rows, 2)
    ]


def _row(path: Path, line: int, row: dict[str, str]) -> Pair:
    """One line of a table."""
    try:
        label = int(row["label"]) if row["label"] else None
        spacing = tuple(float(size) for size in row["spacing"].split("x")) if row["spacing"] else ()
        slope, intercept = float(row["slope"] or 1), float(row["intercept"] or 0)
        if not row["image"] or not all(0 < size < math.inf for size in spacing):
            raise ValueError
    except ValueError:
        raise InputError(
            f"line {line} of the table {path} needs an image; label, slope and intercept are numbers, and spacing is "
            "mm such as 3x0.7x0.7, or they are empty"
        ) from None
    whole = row["image"] if row["image"].startswith(phantom.PREFIX) else str(path.parent / row["image"])
    mask = str(path.parent / row["mask"]) if row["mask"] else ""
    return Pair(whole, mask, label, slope, intercept, row["unit"], spacing)


# ------------------------------------------------------------ names


def _stem(path: Path) -> str:
    """The name without what says the format."""
    name = path.name.rpartition("#")[0] or path.name
    return next((name[: -len(end)] for end in SUFFIXES if name.lower().endswith(end)), name)


def _normal(name: str, words: str) -> str:
    """A name without the word that says what it is: brain1_label, mask-07 and label are brain1, 07 and ''."""
    if re.fullmatch(words, name, re.IGNORECASE):
        return ""
    name = re.sub(rf"[ _.\-]({words})[ _.\-]?\d*$", "", name, flags=re.IGNORECASE)
    return re.sub(rf"^({words})[ _.\-](?=.)", "", name, flags=re.IGNORECASE)


def _says_mask(path: Path) -> bool:
    """Whether a name, or a folder above it, tells a mask from images in the same place."""
    above = any(re.fullmatch(OF_MASK, part, re.IGNORECASE) for part in path.parts[:-1])
    return above or path.name.lower().endswith(".seg.nrrd") or _normal(_stem(path), OF_MASK) != _stem(path)


def _keys(path: str, root: Path, words: str) -> tuple[tuple[str, ...], ...]:
    """What is compared, the surest first: the place as it is, without telling words, without nnU-Net's channel."""
    at = Path(path)
    inside = at.relative_to(root) if at.is_relative_to(root) else Path(at.name)
    stem = _stem(at)
    exact = (*inside.parts[:-1], stem)
    above = tuple(part for part in inside.parts[:-1] if not re.fullmatch(f"{OF_IMAGE}|{OF_MASK}", part, re.IGNORECASE))
    plain = (*above, _normal(stem, words))
    return exact, plain, (*plain[:-1], re.sub(r"_\d{4}$", "", plain[-1]))


def _matched(images: list[str], root: Path, masks: list[str], aside: Path) -> Found:
    """Each image with the masks of the first way to compare that finds any."""
    refers = {mask: regions.refers_to(Path(mask)) for mask in masks}
    by_series: dict[str, list[str]] = {}
    by_key: list[dict[tuple[str, ...], list[str]]] = [{}, {}]
    by_name: dict[str, list[str]] = {}
    for mask in masks:
        for series in refers[mask]:
            by_series.setdefault(series, []).append(mask)
        exact, plain, _ = _keys(mask, aside, OF_MASK)
        by_key[0].setdefault(exact, []).append(mask)
        by_key[1].setdefault(plain, []).append(mask)
        by_name.setdefault(plain[-1], []).append(mask)
    names = [_keys(image, root, OF_IMAGE)[1][-1] for image in images]
    pairs: list[Pair] = []
    lonely: list[str] = []
    for image, name in zip(images, names, strict=True):
        exact, plain, channel = _keys(image, root, OF_IMAGE)
        own = by_series.get(volume.series_of(image), []) if by_series else []
        own = own or by_key[0].get(exact, []) or by_key[1].get(plain, []) or by_key[1].get(channel, [])
        if not own and name and names.count(name) == 1:
            own = by_name.get(name, [])
        pairs += [Pair(image, mask) for mask in own]
        lonely += [] if own else [image]
    used = {pair.mask for pair in pairs}
    return Found(pairs, lonely, [mask for mask in masks if mask not in used])


def listed(paths: Iterable[str], most: int = 3) -> str:
    """Some of many paths, in words."""
    paths = list(paths)
    return ", ".join(paths[:most]) + (f" and {len(paths) - most} more" if len(paths) > most else "")
