"""Which columns a choice of settings gives, and what they are called.

pyradiomics' names by default; with ibsi=True the standard's short name and code. Reads the families' FEATURES.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import pandas as pd

from ganatomy.core.errors import SettingsError, nearest
from ganatomy.radiomics import (
    firstorder,
    glcm,
    gldm,
    gldzm,
    glrlm,
    glszm,
    histogram,
    ivh,
    local,
    ngtdm,
    shape,
    shape2d,
)
from ganatomy.radiomics.feature import DIRECTIONAL, ZONAL, Feature
from ganatomy.radiomics.settings import FAMILIES, STANDARD, RadiomicsSettings

MODULES: dict[str, ModuleType] = {
    "firstorder": firstorder,
    "shape": shape,
    "shape2D": shape2d,
    "glcm": glcm,
    "glrlm": glrlm,
    "glszm": glszm,
    "gldm": gldm,
    "ngtdm": ngtdm,
    "gldzm": gldzm,
    "histogram": histogram,
    "ivh": ivh,
    "local": local,
}
FEATURES: dict[str, tuple[Feature, ...]] = {
    family: module.FEATURES_2D if family == "shape2D" else module.FEATURES for family, module in MODULES.items()
}
BY_DIRECTION = ("glcm", "glrlm")
BY_ZONE = ("glszm", "gldm", "ngtdm", "gldzm")
# functions of other columns, measured only when named, as in pyradiomics
OPTIONAL: tuple[str, ...] = ("firstorder_StandardDeviation", "shape_Compactness1", "shape_Compactness2")
OPTIONAL += ("shape_SphericalDisproportion", "shape2D_SphericalDisproportion")


class Part(NamedTuple):
    """The columns of one family under one aggregation.

    which: of the family's FEATURES; names: without the filter's name in front
    """

    family: str
    aggregation: str
    which: tuple[int, ...]
    names: tuple[str, ...]


def parts(settings: RadiomicsSettings, volume: bool) -> list[Part]:
    """What is measured on each filtered image, in the order of the columns; SettingsError where a name is unknown.

    volume: whether the images have three dimensions: shape is a family of volumes, shape2D one of slices. Where both
        are named, the one that fits is taken.
    """
    unfit = "shape2D" if volume else "shape"
    if set(settings.families) == {unfit}:
        has, other = ("three", "shape") if volume else ("two", "shape2D")
        raise SettingsError(f"the family {unfit} does not fit images of {has} dimensions; ask for {other}")
    usual = FAMILIES if settings.ibsi else STANDARD
    families = tuple(family for family in settings.families or usual if family != unfit)
    named = [name for name in settings.features if not name.startswith(f"{unfit}_")]
    wanted = _wanted(settings.ibsi, named, families)
    found = []
    for family in (family for family in FAMILIES if family in families):
        ways = _aggregations(settings, family)
        for way in ways:
            index, names = [], []
            for i, feature in enumerate(FEATURES[family]):
                if settings.ibsi:
                    name, chosen = f"{feature.tag}_{feature.code}", bool(feature.code)
                else:
                    name = f"{family}_{feature.name}"
                    chosen = bool(feature.name) and (name not in OPTIONAL or name in wanted[family])
                if chosen and (not wanted[family] or name in wanted[family]):
                    code = {**DIRECTIONAL, **ZONAL}.get(way, "")
                    index.append(i)
                    names.append(f"{name}_{code}" if len(ways) > 1 else name)
            if index:
                found.append(Part(family, way, tuple(index), tuple(names)))
    if not found:
        raise SettingsError(
            "these families have no feature under these names; leave --features out to see what there is"
        )
    return found


def _wanted(ibsi: bool, names: Sequence[str], families: tuple[str, ...]) -> dict[str, set[str]]:
    """The names asked for in each family; none: all of it."""
    known = {
        f"{feature.tag}_{feature.code}" if ibsi else f"{family}_{feature.name}": family
        for family in families
        for feature in FEATURES[family]
        if (feature.code if ibsi else feature.name)
    }
    wanted: dict[str, set[str]] = {family: set() for family in families}
    for name in names:
        if name not in known:
            raise SettingsError(f"--features has no '{name}' in these families; {nearest(name, known)}")
        wanted[known[name]].add(name)
    return wanted


def _aggregations(settings: RadiomicsSettings, family: str) -> tuple[str, ...]:
    """The aggregations of a family, each once; ("",) where it has no matrices."""
    ways = ("2_5D_avg",) if settings.force_2d else settings.aggregation
    if family in BY_DIRECTION:
        return ways
    return tuple(dict.fromkeys(way.rsplit("_", 1)[0] for way in ways)) if family in BY_ZONE else ("",)


def table() -> pd.DataFrame:
    """Every feature: family, name (pyradiomics' or in its style), the standard's tag and code; "" where it has none."""
    rows = [(family, *feature) for family in FAMILIES for feature in FEATURES[family]]
    return pd.DataFrame(rows, columns=["family", "name", "tag", "code"])
