"""Images and masks in files -> rows of features, with what the standard asks to be told of each region.

Knows how a mask's regions go to the engine, several settings one after the other, and back to one row each. Does not
know which mask belongs to which image (data/pairs.py), nor where rows are written.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganatomy.core import __version__
from ganatomy.core.errors import InputError
from ganatomy.data import pairs, regions, volume
from ganatomy.data.pairs import Pair
from ganatomy.data.read import rescaled
from ganatomy.data.volume import TOLERANCE
from ganatomy.radiomics.items import Item
from ganatomy.radiomics.settings import RadiomicsSettings

ABOUT = ("label", "name", "version", "settings", "unit", "spacing", "resampled", "bins", "voxels")


class Plan(NamedTuple):
    """What every process needs to know.

    passes: settings, filters with settings of their own apart; labels: the only ones to measure
    settings, bins: what the rows say of them
    """

    passes: tuple[RadiomicsSettings, ...] = (RadiomicsSettings(),)
    labels: tuple[int, ...] = ()
    correct: bool = False
    tolerance: float = TOLERANCE
    keep_going: bool = False
    settings: str = ""
    bins: str = ""


class Measured(NamedTuple):
    """An image as it goes into the journal: rows of (about, columns, values), and notes of (label, column, reason)."""

    key: str
    rows: list[tuple[dict[str, Any], list[str], list[float | None]]]
    notes: list[tuple[Any, str, str]]


class _Opened(NamedTuple):
    image: volume.Volume
    mask: regions.Mask | None
    labels: tuple[int, ...]
    notes: list[tuple[Any, str, str]]


def _open(pair: Pair, plan: Plan) -> _Opened:
    """An image with the regions to measure. InputError where either cannot be used."""
    image = _as_said(volume.read(pair.image), pair)
    if not pair.mask:
        return _Opened(image, None, (1,), [])
    mask = regions.read(pair.mask, image, correct=plan.correct, tolerance=plan.tolerance)
    wanted = (pair.label,) if pair.label is not None else plan.labels or mask.labels
    notes: list[tuple[Any, str, str]] = []
    usable = []
    for label in dict.fromkeys(wanted):
        if not plan.keep_going or (label in mask.regions and label not in mask.faults):
            mask.inside(label)
            usable.append(label)
        else:
            notes.append((label, "", mask.faults.get(label, f"{mask.origin} has no label {label}")))
    if not usable:
        raise InputError("; ".join(str(note[2]) for note in notes))
    return _Opened(image, mask, tuple(usable), notes)


def _as_said(image: volume.Volume, pair: Pair) -> volume.Volume:
    """The image with what a table says of its values and sizes."""
    if pair.spacing and len(pair.spacing) != image.values.ndim:
        raise InputError(
            f"the table says {_times(pair.spacing)} mm of {pair.image}, which has {image.values.ndim} axes; give a "
            "size for each"
        )
    values = image.values
    if (pair.slope, pair.intercept) != (1.0, 0.0):
        values = rescaled(values, pair.slope, pair.intercept)
    return replace(image, values=values, unit=pair.unit or image.unit, spacing=pair.spacing or image.spacing)


def measure(batch: list[tuple[str, Pair]], plan: Plan) -> list[Measured | tuple[str, str]]:
    """The rows of some images, or why one has none; runs in a process of its own."""
    opened: dict[str, _Opened] = {}
    failed: dict[str, str] = {}
    for key, pair in batch:
        try:
            opened[key] = _open(pair, plan)
        except InputError as error:
            failed[key] = str(error)
        except MemoryError:
            failed[key] = f"{pair.image} does not fit into memory; crop it, or use fewer --workers"
    done: dict[str, Measured] = {}
    try:
        done = _features(opened, plan)
    except (InputError, MemoryError):
        for key, one in opened.items():  # again, one by one: no value depends on the others
            try:
                done |= _features({key: one}, plan)
            except InputError as error:
                failed[key] = str(error)
            except MemoryError:
                failed[key] = f"{one.image.origin} does not fit into memory; crop it, or use fewer --workers"
    return [done[key] if key in done else (key, failed[key]) for key, _ in batch]


def _features(opened: Mapping[str, _Opened], plan: Plan) -> dict[str, Measured]:
    from ganatomy.radiomics.extraction import measured  # numba, which takes a second to load

    keys = list(opened)
    everything = [item for number, key in enumerate(keys) for item in _items(number, opened[key])]
    found: dict[tuple[str, int], tuple[list[str], list[float | None]]] = {}
    notes: dict[str, list[tuple[Any, str, str]]] = {key: list(one.notes) for key, one in opened.items()}
    for one_pass in plan.passes:
        for deep in (False, True):
            some = [item for item in everything if (item.values.shape[0] > 1) == deep]
            for row in measured(iter(some), one_pass) if some else ():
                key = keys[row.image]
                names, values = found.setdefault((key, row.label), ([], []))
                names += row.names
                values += [None if np.isnan(value) else float(value) for value in row.values]
                notes[key] += [(row.label, column, reason) for column, reason in row.reasons.items()]
    out = {}
    for key, one in opened.items():
        rows = [(_about(one, label, plan), *found[key, label]) for label in one.labels]
        out[key] = Measured(key, rows, notes[key])
    return out


def items(images: str, masks: str = "") -> Iterator[Item]:
    """Every image of a file, folder or table, ready to be measured, numbered; once for each of its masks.

    Raises InputError where an image has no mask in `masks`, and what `volume.read` and `regions.read` raise.
    """
    found = pairs.find(images, masks)
    if found.images:
        raise InputError(f"{len(found.images)} image(s) have no mask in {masks}: {pairs.listed(found.images)}")
    for number, pair in enumerate(found.pairs):
        yield from _items(number, _open(pair, Plan()))


def _items(number: int, one: _Opened) -> Iterator[Item]:
    """An image once for each layer of its mask, with the labels of its regions."""
    sizes = (1.0, *(one.image.spacing or (1.0,) * one.image.values.ndim))[-3:]
    deep = one.image.values if one.image.values.ndim == 3 else one.image.values[None]
    for labels in _layers(one):
        shaped = None if labels is None else labels.reshape(deep.shape)
        affine = one.image.grid.affine if one.image.grid else None
        yield Item(number, one.image.origin, "", deep, shaped, (sizes[0], sizes[1], sizes[2]), affine)


def _layers(one: _Opened) -> Iterator[NDArray[Any] | None]:
    """Maps of the wanted labels, on each layer that has one."""
    if one.mask is None:
        yield None
        return
    for k, layer in enumerate(one.mask.layers):
        there = {
            region.value: label for label, region in one.mask.regions.items() if region.layer == k and region.value
        }
        wanted = {value: label for value, label in there.items() if label in one.labels}
        if wanted and wanted == there and all(value == label for value, label in there.items()):
            yield layer
        elif wanted:
            renamed = np.zeros(layer.shape, np.int64)
            for value, label in wanted.items():
                renamed[layer == value] = label
            yield renamed


def _about(one: _Opened, label: int, plan: Plan) -> dict[str, Any]:
    """What the standard asks to be told of every region."""
    said = one.image.spacing
    wanted = plan.passes[0].spacing
    padded = ((0.0,) * 3 + wanted)[-len(said) :] if said else ()
    after = [new or old for new, old in zip(padded, said, strict=True)]
    return {
        "label": label,
        "name": one.mask.regions[label].name if one.mask else "",
        "version": __version__,
        "settings": plan.settings,
        "unit": one.image.unit,
        "spacing": _times(said),
        "resampled": _times(after or wanted),
        "bins": plan.bins,
        "voxels": int(one.image.values.size if one.mask is None else np.count_nonzero(one.mask.inside(label))),
    }


def _times(sizes: Iterable[float]) -> str:
    return "x".join(f"{size:.7g}" for size in sizes)  # NIfTI keeps 0.7 as 0.699999988
