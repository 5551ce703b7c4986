"""Tensors on an accelerator: what the torch engine has is measured where they are, the rest from a copy.

Knows which settings the torch engine honours. The numbers agree with the compiled engine's to 1e-6.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ganatomy.radiomics.names import FEATURES, parts
from ganatomy.radiomics.settings import RadiomicsSettings

# what a setting must be for the torch engine, which knows pyradiomics' bins and definitions alone
PLAIN: tuple[str, ...] = (
    "filters",
    "ibsi",
    "normalise",
    "spacing",
    "pre_crop",
    "resegment",
    "outliers",
    "weighting",
    "symmetric",
)
PLAIN += ("force_2d", "force_2d_axis", "minimum_size", "minimum_dimensions")

Extract = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]


def on_accelerator(images: Any) -> bool:
    """Whether these are tensors that are not in main memory."""
    return hasattr(images, "device") and getattr(images.device, "type", "cpu") != "cpu"


def measure(
    images: Any,
    masks: Any,
    settings: RadiomicsSettings,
    spacing: Sequence[float] | None,
    label: int | None,
    extract: Extract,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and notes of images (B, H, W) or (B, D, H, W); `extract` is the compiled engine's, for arrays.

    masks: None, or a tensor or an array of the images' shape; with several labels all is measured from a copy.
    """
    from ganatomy.radiomics import device  # which loads torch

    def copied(chosen: RadiomicsSettings, rows: Any = slice(None)) -> tuple[pd.DataFrame, pd.DataFrame]:
        regions = masks if masks is None or masks.ndim < images.ndim else masks[rows]
        return extract(_array(images[rows]), _array(regions), settings=chosen, spacing=spacing, label=label, notes=True)

    usual = RadiomicsSettings()
    plain = all(getattr(settings, name) == getattr(usual, name) for name in PLAIN) and len(settings.aggregation) == 1
    several = masks is not None and (label is not None or len(np.setdiff1d(np.unique(_array(masks)), (0, 1))) > 0)
    if not plain or several:
        return copied(settings)
    plan = parts(settings, images.ndim == 4 and images.shape[1] > 1)
    here = {part.family: part for part in plan if part.family in device.NAMES}
    found = device.measure(
        images,
        masks,
        bin_width=None if settings.levels_as_given or settings.bin_count else settings.bin_width,
        bin_count=None if settings.levels_as_given else settings.bin_count or None,
        spacing=tuple(spacing or (1.0,) * (images.ndim - 1)),
        shift=settings.voxel_shift,
        aggregation=settings.aggregation[0],
        distances=settings.distances,
        mcc=any(FEATURES["glcm"][i].name == "MCC" for i in here["glcm"].which) if "glcm" in here else False,
        families=tuple(here),
    )
    columns: dict[str, Any] = {}
    for family, part in here.items():
        order = [device.NAMES[family].index(FEATURES[family][i].name) for i in part.which]
        values = found[family][:, order].cpu().numpy()
        columns |= {f"original_{name}": values[:, k] for k, name in enumerate(part.names)}
    index = pd.MultiIndex.from_product([range(len(images)), [1]], names=["image", "label"])
    table = pd.DataFrame(columns, index=index)
    others = tuple(dict.fromkeys(part.family for part in plan if part.family not in here))
    notes = []
    if others:
        named = tuple(name for name in settings.features if name.split("_")[0] in others)
        rest, why = copied(replace(settings, families=others, features=named))
        table, notes = table.join(rest), [why]
    undefined = np.flatnonzero(table[list(columns)].isna().any(axis=1))
    if len(undefined):  # the compiled engine says why
        why = copied(replace(settings, families=tuple(here)), undefined)[1]
        notes.append(why.assign(image=undefined[why["image"].to_numpy()]))
    table.attrs = copied(settings, slice(0, 1))[0].attrs
    reasons = pd.concat(notes) if notes else pd.DataFrame(columns=["image", "label", "column", "reason"])
    return table[[f"original_{name}" for part in plan for name in part.names]], reasons


def _array(tensor: Any) -> Any:
    """A tensor as an array in main memory; what is no tensor as it is."""
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor
