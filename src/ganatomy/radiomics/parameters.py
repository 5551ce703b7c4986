"""pyradiomics' parameter files (YAML or JSON) in our words.

Knows every key of pyradiomics 3.0.1's schema and what it does when a key is absent. What cannot be honoured comes back
as a sentence that names it; a key that pyradiomics does not know either is refused. Computes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganatomy.core.errors import InputError, SettingsError, nearest
from ganatomy.radiomics.settings import FILTERS, RadiomicsSettings

SECTIONS = ("setting", "voxelSetting", "imageType", "featureClass")
IMAGE_TYPES = {
    "Original": "original",
    "Wavelet": "wavelet",
    "LoG": "log",
    "Square": "square",
    "SquareRoot": "squareroot",
    "Logarithm": "logarithm",
    "Exponential": "exponential",
    "Gradient": "gradient",
    "LBP2D": "lbp-2d",
    "LBP3D": "lbp-3d",
}
CLASSES = ("firstorder", "shape", "shape2D", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
# pyradiomics skips these too; what stands instead
DEPRECATED = {
    "glcm_Dissimilarity": "equals glcm_DifferenceAverage",
    "glcm_Homogeneity1": "equals glcm_Id",
    "glcm_Homogeneity2": "equals glcm_Idm",
    "glcm_SumVariance": "equals glcm_ClusterTendency",
    "gldm_DependencePercentage": "is always 1",
    "gldm_GrayLevelNonUniformityNormalized": "equals firstorder_Uniformity",
}
INTERPOLATORS = {1: "nearestneighbor", 2: "linear", 3: "bspline", 4: "gaussian", 5: "labelgaussian"}
INTERPOLATORS |= {6 + k: f"{name}windowedsinc" for k, name in enumerate(("hamming", "cosine", "welch", "lanczos"))}
INTERPOLATORS |= {10: "blackmanwindowedsinc"}
KNOWN_INTERPOLATORS = {"nearestneighbor": "nearest", "linear": "linear", "bspline": "bspline"}


@dataclass(frozen=True)
class Parameters:
    """What a file asks for.

    passes: keywords of `RadiomicsSettings`, all but one for image types with settings of their own; shape features
        are in the first pass alone
    label: the only label to measure; None where the file names none (pyradiomics then takes 1)
    correct: bring masks to the image's grid
    tolerance: in voxels, how far grids may differ; None: ours
    notes: what is not honoured, one sentence each
    """

    passes: tuple[dict[str, Any], ...]
    label: int | None = None
    correct: bool = False
    tolerance: float | None = None
    notes: tuple[str, ...] = field(default=())


def is_parameters(content: Any) -> bool:
    """Whether a settings file that was read is one of pyradiomics'."""
    return isinstance(content, Mapping) and bool(set(content) & set(SECTIONS))


def load(path: Path) -> Any:
    """The content of a YAML or JSON file; InputError in one sentence where it is neither."""
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the parameter file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the parameter file {path} is not YAML ({' '.join(str(error).split())})") from None


def read(path: Path) -> Parameters:
    """A parameter file in our words. SettingsError names a key or value that pyradiomics would refuse as well."""
    content = load(path)
    if not is_parameters(content):
        raise InputError(f"{path} is no parameter file of pyradiomics: it has none of {', '.join(SECTIONS)}")
    try:
        return translated(content)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def translated(content: Mapping[str, Any]) -> Parameters:
    """The sections of a parameter file, as read, in our words."""
    for name in content:
        if name not in SECTIONS:
            raise SettingsError(f"there is no section '{name}'; {nearest(str(name), SECTIONS)}")
    notes: list[str] = []
    given = _checked(_section(content, "setting"), "setting")
    voxel = _section(content, "voxelSetting")
    _checked(voxel, "voxelSetting", VOXEL)
    notes += [f"voxelSetting.{name} has no effect: regions are measured, maps of voxels are not made" for name in voxel]
    common = {**DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    settings = _keywords(common, notes, "setting")
    notes += _without_counterpart(given, "setting")
    families, features = _features(_section(content, "featureClass"), notes)
    settings |= {"families": families, "features": features}
    groups = _by_settings(_section(content, "imageType") or {"Original": None}, settings, common, notes)
    label = given.get("label")
    tolerance = given.get("geometryTolerance")
    return Parameters(
        tuple(groups),
        None if label is None else int(label),
        bool(common["correctMask"]),
        None if tolerance is None else float(tolerance),
        tuple(dict.fromkeys(notes)),
    )


def _section(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise SettingsError(f"the section '{name}' holds names and values, not '{found}'")
    return {str(key): value for key, value in found.items()}


# ------------------------------------------------------------ settings

Kind = type | tuple[type, ...]
KINDS: dict[str, Kind] = {
    "minimumROIDimensions": int,
    "minimumROISize": int,
    "geometryTolerance": float,
    "correctMask": bool,
    "additionalInfo": bool,
    "label": int,
    "label_channel": int,
    "binWidth": float,
    "binCount": int,
    "normalize": bool,
    "normalizeScale": float,
    "removeOutliers": float,
    "resampledPixelSpacing": list,
    "interpolator": (str, int),
    "padDistance": int,
    "distances": list,
    "force2D": bool,
    "force2Ddimension": int,
    "resegmentRange": list,
    "resegmentMode": str,
    "resegmentShape": bool,
    "preCrop": bool,
    "sigma": list,
    "start_level": int,
    "level": int,
    "wavelet": str,
    "gradientUseSpacing": bool,
    "lbp2DRadius": float,
    "lbp2DSamples": int,
    "lbp2DMethod": str,
    "lbp3DLevels": int,
    "lbp3DIcosphereRadius": float,
    "lbp3DIcosphereSubdivision": int,
    "voxelArrayShift": float,
    "symmetricalGLCM": bool,
    "weightingNorm": str,
    "gldm_a": int,
}
VOXEL: dict[str, Kind] = {"kernelRadius": int, "maskedKernel": bool, "initValue": float, "voxelBatch": int}
DEFAULTS: dict[str, Any] = {
    "minimumROIDimensions": 2,
    "minimumROISize": 0,
    "correctMask": False,
    "binWidth": 25.0,
    "binCount": 0,
    "normalize": False,
    "normalizeScale": 1.0,
    "removeOutliers": 0.0,
    "resampledPixelSpacing": [],
    "interpolator": "sitkBSpline",
    "padDistance": 5,
    "distances": [1],
    "force2D": False,
    "force2Ddimension": 0,
    "resegmentRange": [],
    "resegmentMode": "absolute",
    "resegmentShape": False,
    "preCrop": False,
    "sigma": [],
    "start_level": 0,
    "level": 1,
    "wavelet": "coif1",
    "voxelArrayShift": 0.0,
    "symmetricalGLCM": True,
    "weightingNorm": "",
    "gldm_a": 0,
}
OURS = {  # what is handed on as it is
    "minimumROIDimensions": "minimum_dimensions",
    "minimumROISize": "minimum_size",
    "binWidth": "bin_width",
    "binCount": "bin_count",
    "normalize": "normalise",
    "normalizeScale": "normalise_scale",
    "removeOutliers": "remove_outliers",
    "padDistance": "pad_distance",
    "distances": "distances",
    "force2D": "force_2d",
    "force2Ddimension": "force_2d_axis",
    "resegmentRange": "resegment",
    "resegmentMode": "resegment_mode",
    "resegmentShape": "resegment_shape",
    "preCrop": "pre_crop",
    "sigma": "sigma",
    "start_level": "wavelet_start",
    "level": "wavelet_levels",
    "wavelet": "wavelet",
    "voxelArrayShift": "voxel_shift",
    "symmetricalGLCM": "symmetric",
    "weightingNorm": "weighting",
    "gldm_a": "gldm_alpha",
}
# what pyradiomics reads for each image type anew; the rest is settled before images are filtered
OF_A_TYPE: tuple[str, ...] = (
    "binWidth",
    "binCount",
    "distances",
    "force2D",
    "force2Ddimension",
    "sigma",
    "start_level",
    "level",
)
OF_A_TYPE += ("wavelet", "voxelArrayShift", "symmetricalGLCM", "weightingNorm", "gldm_a", "gradientUseSpacing")
# settings that have no counterpart: the only value that is honoured, and what is done
FIXED = {
    "label_channel": (0, "the regions of all layers are measured"),
    "additionalInfo": (True, "what was measured and how is always written"),
    "gradientUseSpacing": (True, "the gradient is per millimetre"),
    "lbp2DRadius": (1.0, "local binary patterns in slices have 8 neighbours at radius 1, and are uniform"),
    "lbp2DSamples": (8, "local binary patterns in slices have 8 neighbours at radius 1, and are uniform"),
    "lbp2DMethod": ("uniform", "local binary patterns in slices have 8 neighbours at radius 1, and are uniform"),
    "lbp3DLevels": (2, "local binary patterns in volumes are not made"),
    "lbp3DIcosphereRadius": (1.0, "local binary patterns in volumes are not made"),
    "lbp3DIcosphereSubdivision": (1, "local binary patterns in volumes are not made"),
}


def _checked(given: Mapping[str, Any], section: str, kinds: Mapping[str, Kind] = KINDS) -> dict[str, Any]:
    """Names and kinds of values as pyradiomics' schema has them; null is a value that is not given."""
    found = {}
    for name, value in given.items():
        if name not in kinds:
            raise SettingsError(f"{section} has no '{name}'; {nearest(name, kinds)}")
        found[name] = None if value is None else _as(kinds[name], value, f"{section}.{name}")
    return found


def _as(kind: Kind, value: Any, name: str) -> Any:
    """A value as its kind; YAML reads 1e-6 as a word, and 1 as a whole number where a fraction may stand."""
    if kind is list:
        return [_as(float, one, name) for one in value] if isinstance(value, list) else [_as(float, value, name)]
    if isinstance(kind, tuple):
        return value
    try:
        if kind is bool and isinstance(value, bool):
            return value
        if kind is str and isinstance(value, str):
            return value
        if kind in (int, float) and not isinstance(value, (bool, list, dict)):
            number = float(value)
            if kind is float or number.is_integer():
                return kind(number)
    except (TypeError, ValueError):
        pass
    word = {bool: "true or false", str: "a word", int: "a whole number", float: "a number"}[kind]
    raise SettingsError(f"{name} is {word}, not '{value}'")


def _keywords(given: Mapping[str, Any], notes: list[str], section: str) -> dict[str, Any]:
    """Settings under their names here; those without a counterpart become notes."""
    out = {ours: tuple(given[name]) if isinstance(given[name], list) else given[name] for name, ours in OURS.items()}
    out["distances"] = tuple(_as(int, one, f"{section}.distances") for one in out["distances"])
    wide = [float(size) for size in given["resampledPixelSpacing"]]
    out["interpolator"], known = _interpolator(given["interpolator"])
    if wide and not known:
        notes.append(
            f"{section}.interpolator '{given['interpolator']}' is not known here: images are resampled by bspline"
        )
    out["spacing"] = tuple(wide[::-1])  # x, y, z -> z, y, x
    return out


def _without_counterpart(given: Mapping[str, Any], section: str) -> list[str]:
    return [
        f"{section}.{name} {given[name]} is not honoured: {done}"
        for name, (only, done) in FIXED.items()
        if given.get(name) not in (None, only)
    ]


def _interpolator(given: Any) -> tuple[str, bool]:
    """Our name of SimpleITK's interpolator, given by name or number, and whether it is known here."""
    word = INTERPOLATORS.get(given, "") if isinstance(given, int) else str(given).removeprefix("sitk").lower()
    if word not in INTERPOLATORS.values():
        names = ("sitkBSpline", "sitkLinear", "sitkNearestNeighbor")
        raise SettingsError(f"setting.interpolator has no '{given}'; {nearest(str(given), names)}")
    return KNOWN_INTERPOLATORS.get(word, "bspline"), word in KNOWN_INTERPOLATORS


# ------------------------------------------------------------ image types and features


def _by_settings(
    types: Mapping[str, Any], settings: Mapping[str, Any], common: Mapping[str, Any], notes: list[str]
) -> list[dict[str, Any]]:
    """Passes: image types that share all settings are measured in one."""
    passes: list[dict[str, Any]] = []
    for name, own in types.items():
        if name not in IMAGE_TYPES:
            raise SettingsError(f"imageType has no '{name}'; {nearest(name, IMAGE_TYPES)}")
        word, where = IMAGE_TYPES[name], f"imageType.{name}"
        if own is not None and not isinstance(own, Mapping):
            raise SettingsError(f"{where} holds names and values, or nothing, not '{own}'")
        if word not in FILTERS:
            notes.append(f"{where} is left out: such images are not made")
            continue
        given = _checked(own or {}, where)
        late = {key: value for key, value in given.items() if key in OF_A_TYPE and value is not None}
        notes += [
            f"{where}.{key} has no effect, in pyradiomics neither: it is settled before images are filtered"
            for key in given
            if key not in OF_A_TYPE and key not in FIXED
        ]
        merged = _keywords({**common, **late}, [], where)
        notes += _without_counterpart(given, where)
        if word == "log" and not merged["sigma"]:
            notes.append(f"{where} is left out: without sigma there is no such image, in pyradiomics neither")
            continue
        # what only filters read may differ without a pass of its own, if one filter alone reads it
        one = {**settings, **merged, "filters": (word,)}
        same = next((k for k, other in enumerate(passes) if _agree(one, other)), None)
        if same is None:
            passes.append(one)
        else:
            passes[same] = _joined(passes[same], one)
    if not passes:
        raise SettingsError("no image type is left to measure; add Original to imageType")
    passes.sort(key=lambda one: "original" not in one["filters"])  # shape is measured there
    if "original" not in passes[0]["filters"] and any(name in ("", "shape") for name in settings["families"] or ("",)):
        notes.append("featureClass.shape is left out: it is measured beside imageType Original, which is not asked for")
    for later in passes[1:]:
        later["families"] = tuple(name for name in later["families"] or CLASSES if not name.startswith("shape"))
        later["features"] = tuple(name for name in later["features"] if not name.startswith("shape"))
    return [one for k, one in enumerate(passes) if k == 0 or one["families"]]


OF_FILTERS = {"log": ("sigma",), "wavelet": ("wavelet", "wavelet_levels", "wavelet_start")}


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two passes differ in what their filters alone read."""
    aside = {"filters", *(key for keys in OF_FILTERS.values() for key in keys)}
    return all(one[key] == other[key] for key in one if key not in aside)


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: other[key] for word, keys in OF_FILTERS.items() if word in other["filters"] for key in keys}
    return {**one, **own, "filters": (*one["filters"], *other["filters"])}


def _features(classes: Mapping[str, Any], notes: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Families in the file's order and features as family_Name; () where the file leaves the choice open."""
    features: list[str] = []
    families: list[str] = []
    for name, chosen in classes.items():
        if name not in CLASSES:
            raise SettingsError(f"featureClass has no '{name}'; {nearest(name, CLASSES)}")
        if chosen is not None and not isinstance(chosen, list):
            raise SettingsError(f"featureClass.{name} holds a list of features, or nothing, not '{chosen}'")
        wanted = [f"{name}_{one}" for one in chosen or ()]
        old = [one for one in wanted if one in DEPRECATED]
        notes += [f"featureClass: {one} is left out, as in pyradiomics: it {DEPRECATED[one]}" for one in old]
        left = [one for one in wanted if one not in DEPRECATED]
        if wanted:
            _known(name, left)
        if left or not wanted:
            families.append(name)
            features += left
    if classes and not families:
        raise SettingsError("featureClass names no feature that can be measured; name a class without a list")
    return tuple(families), tuple(features)


def _known(family: str, wanted: Iterable[str]) -> None:
    from ganatomy.radiomics.names import FEATURES

    known = [f"{family}_{feature.name}" for feature in FEATURES[family] if feature.name]
    for name in wanted:
        if name not in known:
            raise SettingsError(f"featureClass.{family} has no '{name.partition('_')[2]}'; {nearest(name, known)}")


def settings(keywords: Mapping[str, Any]) -> RadiomicsSettings:
    """One pass as settings."""
    return RadiomicsSettings().replace(**keywords)
