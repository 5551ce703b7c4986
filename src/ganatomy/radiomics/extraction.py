"""Images and masks -> one table of features, one row per region.

Knows the order of things: normalise, resample, resegment, filter, crop, discretise, measure. Each step lives in
its own module; classes and patients are none of its business.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.core import __version__
from ganatomy.core.errors import InputError
from ganatomy.core.settings import record
from ganatomy.radiomics import ivh, local, prepare, tensors
from ganatomy.radiomics.imagetypes import filtered
from ganatomy.radiomics.items import Item, chunks, items
from ganatomy.radiomics.names import BY_DIRECTION, BY_ZONE, FEATURES, MODULES, Part, parts
from ganatomy.radiomics.region import Float, Regions
from ganatomy.radiomics.resample import resample, resample_standard
from ganatomy.radiomics.settings import RadiomicsSettings

BOX = 8  # boxes around regions grow to multiples of this many voxels, so that many regions share one size

DEFAULT = RadiomicsSettings()


class Row(NamedTuple):
    """One region, measured. image: its number; names: of the columns; reasons: why a column is NaN."""

    image: int
    label: int
    names: tuple[str, ...]
    values: Float
    reasons: dict[str, str]


@overload
def extract(
    images: Any,
    masks: Any = ...,
    *,
    settings: RadiomicsSettings = ...,
    spacing: Sequence[float] | None = ...,
    label: int | None = ...,
    notes: Literal[False] = ...,
    threads: int = ...,
) -> pd.DataFrame: ...
@overload
def extract(
    images: Any,
    masks: Any = ...,
    *,
    settings: RadiomicsSettings = ...,
    spacing: Sequence[float] | None = ...,
    label: int | None = ...,
    notes: Literal[True],
    threads: int = ...,
) -> tuple[pd.DataFrame, pd.DataFrame]: ...
def extract(
    images: Any,
    masks: Any = None,
    *,
    settings: RadiomicsSettings = DEFAULT,
    spacing: Sequence[float] | None = None,
    label: int | None = None,
    notes: bool = False,
    threads: int = 1,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """One row of features per region.

    images: an array (B, H, W) of slices or (B, D, H, W) of volumes, a list of arrays (H, W) or (D, H, W) of any sizes,
        a list of `Image`s, or a folder or file; in physical units, any real type. A tensor on an accelerator is
        measured there.
    masks: of the images' shapes, or one for all; 0 is outside, every other value is a region of its own. None: each
        image is one region
    spacing: mm along the array's axes, (y, x) or (z, y, x); not given: what the images say, else 1
    label: only this value of the masks
    notes: also return a table (image, label, column, reason) that says why values are undefined
    threads: chunks of images measured at a time; no value depends on it
    Returns a table indexed by (image, label), columns as pyradiomics names them (original_glcm_Contrast). What is
    undefined is NaN. Its `attrs` hold the settings and the version.
    InputError names the image where a mask has another shape, is empty or lacks the label, where values are not finite
    inside a region, and where the bins make no sense.
    Definitions: pyradiomics 3.0.1 (van Griethuysen et al. 2017) or, with settings.ibsi, the IBSI reference manual
    (Zwanenburg et al. 2020).
    """
    if not isinstance(settings, RadiomicsSettings):
        raise InputError(
            f"settings is a RadiomicsSettings, such as RadiomicsSettings(bin_width=10), not {settings!r:.60}; the "
            "command line reads parameter files"
        )
    if tensors.on_accelerator(images):
        found = tensors.measure(images, masks, settings, spacing, label, extract)
        return found if notes else found[0]
    stream = from_files(images, masks) if isinstance(images, (str, Path)) else items(images, masks, spacing)
    rows = list(measured(stream, settings, label, threads))
    if not rows:
        raise InputError("there is no image to measure")
    return tables(rows, settings, notes)


def from_files(images: str | Path, masks: Any) -> Iterator[Item]:
    """Items of files and folders, masks likewise or none."""
    from ganatomy.radiomics import files  # which knows readers

    if masks is not None and not isinstance(masks, (str, Path)):
        raise InputError("images from a folder need their masks in a folder or a file too, or none at all")
    return files.items(str(images), str(masks or ""))


def measured(
    stream: Iterable[Item], settings: RadiomicsSettings, label: int | None = None, threads: int = 1
) -> Iterator[Row]:
    """Rows in the order of the items; a chunk of items of one shape is held in memory for each thread."""
    work = partial(_measure, settings=settings, label=label)
    if threads <= 1:
        for chunk in chunks(stream):
            yield from work(chunk)
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: list[Future[list[Row]]] = []
        for chunk in chunks(stream):
            ahead.append(pool.submit(work, chunk))
            if len(ahead) > threads:
                yield from ahead.pop(0).result()
        for future in ahead:
            yield from future.result()


def tables(
    rows: Sequence[Row], settings: RadiomicsSettings, notes: bool
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Rows as a table, and the reasons of their undefined values as a second one."""
    merged: dict[tuple[int, int], list[Row]] = {}  # the channels of an image stand side by side
    for row in rows:
        merged.setdefault((row.image, row.label), []).append(row)
    index = pd.MultiIndex.from_arrays(list(zip(*merged, strict=True)), names=["image", "label"])
    first = [row.names for row in next(iter(merged.values()))]
    for (image, _), same in merged.items():
        if [row.names for row in same] != first:
            raise InputError(
                f"image {image} gives other features than the first (it has other dimensions or channels); "
                "measure slices and volumes apart"
            )
    values = np.stack([np.concatenate([row.values for row in same]) for same in merged.values()])
    features = pd.DataFrame(values, index=index, columns=[name for names in first for name in names])
    features.attrs = {"version": __version__, "settings": record(settings)}
    if not notes:
        return features
    why = [(row.image, row.label, column, reason) for row in rows for column, reason in row.reasons.items()]
    return features, pd.DataFrame(why, columns=["image", "label", "column", "reason"])


def _measure(chunk: list[Item], settings: RadiomicsSettings, label: int | None) -> list[Row]:
    """The rows of items of one shape."""
    if settings.round_values:
        chunk = [item._replace(values=np.rint(item.values)) for item in chunk]
    if settings.normalise:
        chunk = [item._replace(values=_named(item, _normalised, settings)) for item in chunk]
    if not (settings.spacing or settings.pre_crop):
        return _measure_stack(chunk, _found(chunk, label), settings)
    rows = []
    for item in chunk:  # every region gets a grid or a cut-out of its own
        for region in _found([item], label):
            near, inside, spacing = _cut_out(item, region.shape, settings)
            one = item._replace(values=near, spacing=spacing)
            rows += _measure_stack([one], [Found(0, region.label, inside, inside)], settings)
    return rows


class Found(NamedTuple):
    """A region of the chunk's item'th image: its form, and the voxels of it that are measured, both (D, H, W)."""

    item: int
    label: int
    shape: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def _found(chunk: list[Item], label: int | None) -> list[Found]:
    """The regions of every item, labels rising; InputError where a mask is empty or lacks the label."""
    found = []
    everything = np.ones(chunk[0].values.shape, np.bool_)
    for i, item in enumerate(chunk):
        if item.labels is None:
            found.append(Found(i, 1, everything, everything))
            continue
        if item.labels.dtype == np.bool_:
            there = [1] if item.labels.any() else []
        else:
            there = [int(value) for value in np.unique(item.labels) if value != 0]
        if not there:
            slices = " (an array of three axes is slices: one volume is images[None])" if len(item.values) == 1 else ""
            raise InputError(f"the mask of {item.name} is empty; leave that image out, or give it a region{slices}")
        if label is not None and label not in there:
            raise InputError(f"the mask of {item.name} has no label {label}; it has {', '.join(map(str, there[:10]))}")
        for value in there if label is None else [label]:
            mask: NDArray[np.bool_] = item.labels == value
            found.append(Found(i, value, mask, mask))
    return found


def _named(item: Item, work: Callable[..., Any], *given: Any) -> Any:
    """work(item, ...), its InputError beginning with the image's name."""
    try:
        return work(item, *given)
    except InputError as error:
        raise InputError(f"{item.name}: {error}") from None


def _normalised(item: Item, settings: RadiomicsSettings) -> Float:
    return prepare.normalise(item.values, settings.normalise_scale, settings.remove_outliers or None)


def _whole(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers, in whatever type they are stored."""
    return values.dtype.kind in "biu" or bool((values == np.rint(values)).all())


def _cut_out(
    item: Item, mask: NDArray[np.bool_], settings: RadiomicsSettings
) -> tuple[Float, NDArray[np.bool_], tuple[float, float, float]]:
    """The region's surroundings, resampled where asked."""
    if settings.spacing:
        if settings.interpolator != "nearest" and not np.isfinite(item.values).all():
            raise InputError(f"{item.name} holds NaN or infinite voxels, which resampling would spread; repair it")
        target = (0.0, *settings.spacing) if len(settings.spacing) == 2 else settings.spacing
        given = (item.values, mask, item.spacing, target)
        if settings.ibsi:
            order = {"nearest": 0, "linear": 1, "bspline": 3}[settings.interpolator]
            cut: tuple[Float, NDArray[np.bool_], tuple[float, float, float]] = _named(
                item, lambda _: resample_standard(*given, order=order, whole=_whole(item.values))
            )
        else:
            name = {"nearest": "sitkNearestNeighbor", "linear": "sitkLinear", "bspline": "sitkBSpline"}
            cut = _named(
                item,
                lambda _: resample(
                    *given,
                    interpolator=name[settings.interpolator],
                    margin=settings.pad_distance,
                    affine=item.affine,
                ),
            )
        return cut
    box = prepare.box(mask, settings.pad_distance)
    return np.asarray(item.values[box], np.float64), mask[box], item.spacing


def _measure_stack(chunk: list[Item], found: list[Found], settings: RadiomicsSettings) -> list[Row]:
    """Regions of images of one shape: filtered together, measured together where their boxes are of one size."""
    plan = parts(settings, chunk[0].values.shape[0] > 1)
    images: Images = [item.values for item in chunk]
    if settings.filters != ("original",):
        images = _as_stack(chunk)
    found = [_resegmented(one, images[one.item], settings) for one in found]
    small = [_too_small(one, settings) for one in found]
    groups = _grouped([i for i, why in enumerate(small) if not why], found, plan, chunk[0].spacing)
    names: list[str] = []
    blocks: list[Float] = []
    reasons: list[dict[str, str]] = [{} for _ in found]
    forms = [part for part in plan if part.family in ("shape", "shape2D")]  # the same whatever is filtered
    rest = [part for part in plan if part not in forms]
    first = [] if "original" in settings.filters else [("original", images, forms)]
    types: Iterable[tuple[str, Images]] = [("original", images)]
    if isinstance(images, np.ndarray):
        types = filtered(images, chunk[0].spacing, settings)
    each = ((name, shown, plan if name == "original" else rest) for name, shown in types)
    for image_type, shown, own in chain(first, each):
        if not own:
            continue
        columns = [f"{image_type}_{name}" for part in own for name in part.names]
        values = np.full((len(found), len(columns)), np.nan)
        for group in groups:
            regions = _discretised(chunk, shown, found, group, settings)
            values[group.members] = np.concatenate([_family(part, regions, settings) for part in own], axis=1)
            _explain(values, group.members, own, columns, regions, reasons)
        for i, why in enumerate(small):
            if why:
                reasons[i] |= dict.fromkeys(columns, why)
        names += columns
        blocks.append(values)
    table = np.concatenate(blocks, axis=1)
    # original_c0_glcm_Contrast
    titles = {p: tuple(name.replace("_", f"_{p}", 1) for name in names) for p in {item.prefix for item in chunk}}
    rows = []
    for i, one in enumerate(found):
        item = chunk[one.item]
        told = {name.replace("_", f"_{item.prefix}", 1): reason for name, reason in reasons[i].items()}
        rows.append(Row(item.image, one.label, titles[item.prefix], table[i], told))
    return rows


def _as_stack(chunk: list[Item]) -> Float:
    """(B, D, H, W) of what a filter is to see; InputError where it would spread what is not finite."""
    stack = np.empty((len(chunk), *chunk[0].values.shape))
    for image, item in zip(stack, chunk, strict=True):
        image[...] = item.values
        if not np.isfinite(image).all():
            raise InputError(f"{item.name} holds NaN or infinite voxels, which a filter would spread; repair it")
    return stack


def _resegmented(one: Found, image: NDArray[Any], settings: RadiomicsSettings) -> Found:
    """The region without the voxels outside the range."""
    inside = one.inside
    if settings.resegment:
        inside = prepare.resegment(image, inside, settings.resegment, settings.resegment_mode)
    if settings.outliers:  # of the whole region, as the standard says, not of what the range left
        inside = inside & prepare.resegment(image, one.inside, (-settings.outliers, settings.outliers), "sigma")
    if inside is one.inside:
        return one
    return one._replace(inside=inside, shape=inside if settings.resegment_shape else one.shape)


def _too_small(one: Found, settings: RadiomicsSettings) -> str:
    """Why a region is not measured at all, or ""."""
    if one.inside is one.shape and max(settings.minimum_size, settings.minimum_dimensions) <= 1:
        return ""  # no mask is empty that was not resegmented
    voxels = int(np.count_nonzero(one.inside))
    if voxels == 0:
        return "no voxel of the region lies in the range it was resegmented to"
    if voxels < settings.minimum_size:
        return f"the region has {voxels} voxels, fewer than the {settings.minimum_size} asked for"
    if settings.minimum_dimensions > 1:
        wide = sum(side.stop - side.start > 1 for side in prepare.box(one.inside))
        if wide < settings.minimum_dimensions:
            return f"the region has {wide} dimensions, fewer than the {settings.minimum_dimensions} asked for"
    return ""


Box = tuple[slice, ...]
Images = Float | list[NDArray[Any]]  # (B, D, H, W), or B arrays (D, H, W) as they came


class Group(NamedTuple):
    """Regions whose boxes have one size. members: of the chunk; inside, shape: (B, D, H, W) within the boxes."""

    members: list[int]
    boxes: list[Box]
    inside: NDArray[np.bool_]
    shape: NDArray[np.bool_] | None


def _grouped(
    members: list[int], found: list[Found], plan: list[Part], spacing: tuple[float, float, float]
) -> list[Group]:
    """Regions by the size of their boxes."""
    peaks = any(part.family == "local" for part in plan)
    margin = [math.ceil(local.RADIUS / side) if peaks else 0 for side in spacing]
    sizes: dict[tuple[int, ...], tuple[list[int], list[Box]]] = {}
    known: dict[int, Box] = {}  # many images share one mask
    for i in members:
        mask = found[i].shape
        if id(mask) not in known:
            known[id(mask)] = _widened(prepare.box(mask), mask.shape, margin)
        box = known[id(mask)]
        same, boxes = sizes.setdefault(tuple(side.stop - side.start for side in box), ([], []))
        same.append(i)
        boxes.append(box)
    groups = []
    for size, (same, boxes) in sizes.items():
        inside = np.empty((len(same), *size), np.bool_)
        apart = any(found[i].shape is not found[i].inside for i in same)
        shape = np.empty_like(inside) if apart else None
        for k, (i, box) in enumerate(zip(same, boxes, strict=True)):
            inside[k] = found[i].inside[box]
            if shape is not None:
                shape[k] = found[i].shape[box]
        groups.append(Group(same, boxes, inside, shape))
    return groups


def _widened(box: Box, shape: tuple[int, ...], margin: list[int]) -> Box:
    """The box with a margin, and in slices with sides that are multiples of BOX where the image has room."""
    sides = []
    for side, size, more in zip(box, shape, margin, strict=True):
        low, high = max(side.start - more, 0), min(side.stop + more, size)
        if shape[0] == 1:
            high = min(low + math.ceil((high - low) / BOX) * BOX, size)
            low = max(min(low, high - math.ceil((high - low) / BOX) * BOX), 0)
        sides.append(slice(low, high))
    return tuple(sides)


def _discretised(
    chunk: list[Item], images: Images, found: list[Found], group: Group, settings: RadiomicsSettings
) -> Regions:
    """Regions of one size, ready to be measured; an error names the image."""
    items = [found[i].item for i in group.members]
    if isinstance(images, np.ndarray) and items == list(range(len(images))) and group.inside.shape == images.shape:
        values = images
    else:
        values = np.empty(group.inside.shape)
        for part, item, box in zip(values, items, group.boxes, strict=True):
            part[...] = images[item][box]
    bins = partial(
        prepare.regions,
        bin_width=None if settings.levels_as_given or settings.bin_count else settings.bin_width,
        bin_count=None if settings.levels_as_given else settings.bin_count or None,
        ibsi=settings.ibsi,
        lowest=settings.resegment[0] if settings.resegment and settings.resegment_mode == "absolute" else None,
        pad=max(1, *settings.distances),
    )
    try:
        return bins(values, group.inside, group.shape, chunk[0].spacing)
    except InputError:
        for i, item in enumerate(items):  # again, one by one, for a sentence that names the image
            one = slice(i, i + 1)
            _named(chunk[item], lambda _, one=one: bins(values[one], group.inside[one], None, chunk[0].spacing))
        raise


def _family(part: Part, regions: Regions, settings: RadiomicsSettings) -> Float:
    """(B, columns) of one family under one aggregation."""
    if part.family == "ivh":
        return _intensity_volumes(regions, settings)[:, list(part.which)]
    given: dict[str, Any] = {}
    if part.family in BY_DIRECTION:
        given = {"aggregation": part.aggregation, "weighting": settings.weighting}
    elif part.family in BY_ZONE:
        given = {"aggregation": part.aggregation}
    if part.family == "glcm":
        given |= {"distances": settings.distances, "symmetric": settings.symmetric}
        given["mcc"] = any(FEATURES["glcm"][i].name == "MCC" for i in part.which)
    elif part.family == "gldm":
        given |= {"alpha": settings.gldm_alpha, "distance": max(settings.distances)}
    elif part.family == "ngtdm":
        given["distance"] = max(settings.distances)
    elif part.family == "firstorder":
        given["shift"] = settings.voxel_shift
    elif part.family == "shape":
        given["quadratic"] = settings.quadratic
    if part.aggregation and settings.force_2d_axis:
        regions = _turned(regions, settings.force_2d_axis)
    module = MODULES[part.family]
    measure = module.measure_2d if part.family == "shape2D" else module.measure
    values: Float = measure(regions, **given)
    return values[:, list(part.which)]


def _intensity_volumes(regions: Regions, settings: RadiomicsSettings) -> Float:
    """The intensity-volume histogram's features, whose levels are its own (reference manual 3.5)."""
    low, high = (*settings.resegment, math.inf)[:2] if settings.resegment else (-math.inf, math.inf)
    bounds = (low, high) if settings.resegment and settings.resegment_mode == "absolute" else None
    if settings.levels_as_given:
        return ivh.measure(regions, bounds=bounds)
    out = np.empty((len(regions.values), len(ivh.FEATURES)))
    for b, (values, inside) in enumerate(zip(regions.values, regions.inside, strict=True)):
        width, count = settings.ivh_width, settings.ivh_count
        if not width and not count:
            whole = (values[inside] == np.rint(values[inside])).all()
            width, count = (1.0, 0) if whole else (0.0, 1000)
        one = prepare.regions(
            values[None],
            inside[None],
            None,
            regions.spacing,
            bin_width=width or None,
            bin_count=None if width else count,
            ibsi=True,
            lowest=low if bounds else None,
        )
        out[b] = ivh.measure(one, bounds=bounds)[0]
    return out


def _turned(regions: Regions, axis: int) -> Regions:
    """The regions with another axis across the slices."""

    def turned(stack: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.moveaxis(stack, 1 + axis, 1))

    first = regions.spacing[axis]
    rest = [mm for i, mm in enumerate(regions.spacing) if i != axis]
    return replace(
        regions,
        values=turned(regions.values),
        inside=turned(regions.inside),
        shape=turned(regions.shape),
        levels=turned(regions.levels),
        spacing=(first, rest[0], rest[1]),
    )


def _explain(
    values: Float,
    members: list[int],
    own: list[Part],
    columns: list[str],
    regions: Regions,
    reasons: list[dict[str, str]],
) -> None:
    """Write down why values are undefined."""
    undefined = np.isnan(values[members])
    if not undefined.any():
        return
    column_of = [(part, FEATURES[part.family][i]) for part in own for i in part.which]
    for k in np.flatnonzero(undefined.any(axis=1)):
        voxels = int(np.count_nonzero(regions.inside[k]))
        levels = len(np.unique(regions.levels[k])) - 1  # without the frame's 0
        for c in np.flatnonzero(undefined[k]):
            part, feature = column_of[c]
            reasons[members[k]][columns[c]] = MODULES[part.family].reason(feature.name or feature.tag, voxels, levels)
