"""pyradiomics' parameter files: every key of its schema arrives, or is named as not honoured, or is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from ganatomy.core.errors import InputError, SettingsError
from ganatomy.radiomics import parameters
from ganatomy.radiomics.parameters import DEFAULTS, FIXED, KINDS, OURS, VOXEL, is_parameters, read, translated
from ganatomy.radiomics.settings import RadiomicsSettings

# pyradiomics 3.0.1, schemas/paramSchema.yaml
SCHEMA = [
    "minimumROIDimensions",
    "minimumROISize",
    "geometryTolerance",
    "correctMask",
    "additionalInfo",
    "label",
    "label_channel",
    "binWidth",
    "binCount",
    "normalize",
    "normalizeScale",
    "removeOutliers",
    "resampledPixelSpacing",
    "interpolator",
    "padDistance",
    "distances",
    "force2D",
    "force2Ddimension",
    "resegmentRange",
    "resegmentMode",
    "resegmentShape",
    "preCrop",
    "sigma",
    "start_level",
    "level",
    "wavelet",
    "gradientUseSpacing",
    "lbp2DRadius",
    "lbp2DSamples",
    "lbp2DMethod",
    "lbp3DLevels",
    "lbp3DIcosphereRadius",
    "lbp3DIcosphereSubdivision",
    "voxelArrayShift",
    "symmetricalGLCM",
    "weightingNorm",
    "gldm_a",
]
# the example file for MR that pyradiomics ships, without its comments
MR = """
imageType:
  Original: {}
  LoG:
    sigma: [2.0, 3.0, 4.0, 5.0]
  Wavelet: {}
featureClass:
  shape:
  firstorder:
  glcm: [Autocorrelation, Contrast]
  glrlm:
setting:
  normalize: true
  normalizeScale: 100
  interpolator: 'sitkBSpline'
  resampledPixelSpacing: [1, 2, 3]
  padDistance: 10
  binWidth: 5
  voxelArrayShift: 300
  geometryTolerance: 1e-4
  label: 1
"""


def file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_key_of_the_schema_is_known() -> None:
    assert set(SCHEMA) == set(KINDS)
    apart = {"geometryTolerance", "correctMask", "label"}
    assert set(OURS) | set(FIXED) | apart | {"resampledPixelSpacing", "interpolator"} == set(KINDS)
    assert set(OURS) <= set(DEFAULTS), "what is absent has pyradiomics' value"
    assert set(VOXEL) == {"kernelRadius", "maskedKernel", "initValue", "voxelBatch"}


def test_a_usual_file(tmp_path: Path) -> None:
    found = read(file(tmp_path / "mr.yaml", MR))
    (one,) = found.passes
    assert found.label == 1 and found.tolerance == 1e-4 and not found.notes and not found.correct
    assert one["families"] == ("shape", "firstorder", "glcm", "glrlm")
    assert one["features"] == ("glcm_Autocorrelation", "glcm_Contrast")
    assert one["filters"] == ("original", "log", "wavelet") and one["sigma"] == (2.0, 3.0, 4.0, 5.0)
    assert one["spacing"] == (3.0, 2.0, 1.0), "x, y, z there, z, y, x here"
    assert (one["bin_width"], one["bin_count"], one["voxel_shift"]) == (5.0, 0, 300.0)
    assert (one["normalise"], one["normalise_scale"], one["pad_distance"]) == (True, 100.0, 10)
    assert (one["interpolator"], one["minimum_dimensions"]) == ("bspline", 2)
    settings = parameters.settings(one)
    assert isinstance(settings, RadiomicsSettings) and settings.spacing == (3.0, 2.0, 1.0)


def test_json_is_read_too_and_what_is_absent_has_the_defaults(tmp_path: Path) -> None:
    found = read(file(tmp_path / "p.json", json.dumps({"setting": {"binCount": 32, "label": None}})))
    (one,) = found.passes
    assert (one["bin_count"], one["filters"], one["families"], one["features"]) == (32, ("original",), (), ())
    assert found.label is None
    same = set(one) - {"bin_count", "minimum_dimensions"}
    ours = RadiomicsSettings()
    assert {name: one[name] for name in same} == {name: getattr(ours, name) for name in same}


# a value other than pyradiomics' default for each key, and what becomes of it
GIVEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "minimumROIDimensions": (3, {"minimum_dimensions": 3}),
    "minimumROISize": (50, {"minimum_size": 50}),
    "binWidth": (10, {"bin_width": 10.0}),
    "binCount": (64, {"bin_count": 64}),
    "normalize": (True, {"normalise": True}),
    "normalizeScale": (100, {"normalise_scale": 100.0}),
    "removeOutliers": (3, {"remove_outliers": 3.0}),
    "resampledPixelSpacing": ([1, 1, 0], {"spacing": (0.0, 1.0, 1.0)}),
    "interpolator": ("sitkLinear", {"interpolator": "linear"}),
    "padDistance": (8, {"pad_distance": 8}),
    "distances": ([1, 3], {"distances": (1, 3)}),
    "force2D": (True, {"force_2d": True}),
    "force2Ddimension": (2, {"force_2d_axis": 2}),
    "resegmentRange": ([-100, 400], {"resegment": (-100.0, 400.0)}),
    "resegmentMode": ("sigma", {"resegment_mode": "sigma"}),
    "resegmentShape": (True, {"resegment_shape": True}),
    "preCrop": (True, {"pre_crop": True}),
    "sigma": ([1.5], {"sigma": (1.5,)}),
    "start_level": (1, {"wavelet_start": 1}),
    "level": (2, {"wavelet_levels": 2}),
    "wavelet": ("db2", {"wavelet": "db2"}),
    "voxelArrayShift": (1000, {"voxel_shift": 1000.0}),
    "symmetricalGLCM": (False, {"symmetric": False}),
    "weightingNorm": ("euclidean", {"weighting": "euclidean"}),
    "gldm_a": (2, {"gldm_alpha": 2}),
}
NAMED = {
    "additionalInfo": False,
    "label_channel": 1,
    "gradientUseSpacing": False,
    "lbp2DRadius": 2,
    "lbp2DSamples": 9,
    "lbp2DMethod": "var",
    "lbp3DLevels": 3,
    "lbp3DIcosphereRadius": 2,
    "lbp3DIcosphereSubdivision": 2,
}


@pytest.mark.parametrize("name", SCHEMA)
def test_each_setting_arrives_or_is_named(name: str) -> None:
    usual = translated({"setting": {}})
    if name in GIVEN:
        value, expected = GIVEN[name]
        found = translated({"setting": {name: value}})
        assert found.passes[0] == {**usual.passes[0], **expected} != usual.passes[0] and not found.notes
        parameters.settings(found.passes[0])
    elif name in NAMED:
        found = translated({"setting": {name: NAMED[name]}})
        assert found.passes == usual.passes
        assert len(found.notes) == 1 and name in found.notes[0] and "not honoured" in found.notes[0]
    else:
        value = {"label": 3, "correctMask": True, "geometryTolerance": 0.1}[name]
        kept = {
            "label": "label",
            "label_channel": "channel",
            "correctMask": "correct",
            "geometryTolerance": "tolerance",
        }
        assert getattr(translated({"setting": {name: value}}), kept[name]) == value
    assert translated({"setting": {name: None}}) == usual, "null is a value that is not given"


def test_interpolators() -> None:
    def found(value: object) -> tuple[Any, tuple[str, ...]]:
        read = translated({"setting": {"interpolator": value, "resampledPixelSpacing": [1, 1, 1]}})
        return read.passes[0]["interpolator"], read.notes

    assert found("sitkNearestNeighbor") == found(1) == ("nearest", ())
    assert found(2) == ("linear", ()) and found(3) == found(None) == ("bspline", ())
    for word in ("sitkGaussian", 9):
        used, notes = found(word)
        assert used == "bspline" and str(word) in notes[0] and "is not known here" in notes[0]
    with pytest.raises(SettingsError, match=r"interpolator has no 'sitkBspline2'; did you mean 'sitkBSpline'\?"):
        found("sitkBspline2")


def test_image_types_with_settings_of_their_own_are_passes_of_their_own() -> None:
    types = {"Original": {}, "Wavelet": {"binWidth": 10, "wavelet": "db1"}, "LoG": {"sigma": [1.0]}, "Square": None}
    found = translated({"imageType": types, "setting": {"binWidth": 25}})
    first, second = found.passes
    assert (first["filters"], first["bin_width"], first["sigma"]) == (("original", "log", "square"), 25.0, (1.0,))
    assert (second["filters"], second["bin_width"], second["wavelet"]) == (("wavelet",), 10.0, "db1")
    assert first["families"] == () and "shape" not in second["families"] and "glcm" in second["families"]
    assert not found.notes
    found = translated({"imageType": {"Original": None, "Wavelet": {"binCount": 8}}, "featureClass": {"shape": None}})
    assert len(found.passes) == 1, "shape is measured once, on no filtered image"


def test_shape_is_measured_beside_the_original_image() -> None:
    found = translated({"imageType": {"Square": None, "Original": {"binWidth": 5}}})
    first, second = found.passes
    assert (first["filters"], first["families"], first["bin_width"]) == (("original",), (), 5.0)
    assert second["filters"] == ("square",) and "shape" not in second["families"] and not found.notes
    found = translated({"imageType": {"Square": None}, "featureClass": {"shape": None, "glcm": None}})
    assert found.notes[0].startswith("featureClass.shape is left out: it is measured beside imageType Original")
    assert not translated({"imageType": {"Square": None}, "featureClass": {"glcm": None}}).notes


def test_what_cannot_be_honoured_is_named() -> None:
    found = translated(
        {
            "imageType": {"Original": {"normalize": True}, "LBP3D": None, "LoG": {}},
            "voxelSetting": {"kernelRadius": 2, "initValue": "nan"},
            "featureClass": {"glcm": ["Homogeneity1", "Id"], "gldm": ["DependencePercentage"]},
        }
    )
    (one,) = found.passes
    assert one["filters"] == ("original",)
    assert (one["families"], one["features"]) == (("glcm",), ("glcm_Id",))
    begins = ["voxelSetting.kernelRadius has no effect", "voxelSetting.initValue has no effect"]
    begins += ["featureClass: glcm_Homogeneity1 is left out, as in pyradiomics: it equals glcm_Id"]
    begins += ["featureClass: gldm_DependencePercentage is left out"]
    begins += ["imageType.Original.normalize has no effect, in pyradiomics neither"]
    begins += ["imageType.LBP3D is left out", "imageType.LoG is left out: without sigma"]
    assert len(found.notes) == len(begins)
    assert all(note.startswith(begin) for note, begin in zip(found.notes, begins, strict=True)), found.notes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"settings": {}, "setting": {}}, "there is no section 'settings'; did you mean 'setting'"),
        ({"setting": {"binwidth": 3}}, "setting has no 'binwidth'; did you mean 'binWidth'"),
        ({"setting": {"binWidth": "wide"}}, "setting.binWidth is a number, not 'wide'"),
        ({"setting": {"force2D": 1}}, "setting.force2D is true or false, not '1'"),
        ({"setting": {"label": 1.5}}, "setting.label is a whole number, not '1.5'"),
        ({"setting": {"distances": [1, 1.5]}}, "setting.distances is a whole number, not '1.5'"),
        ({"setting": [1]}, "the section 'setting' holds names and values"),
        ({"imageType": {"Log": {}}}, "imageType has no 'Log'; did you mean 'LoG'"),
        ({"imageType": {"LoG": [1]}}, "imageType.LoG holds names and values, or nothing"),
        ({"imageType": {"LoG": {"sigmas": [1]}}}, "imageType.LoG has no 'sigmas'; did you mean 'sigma'"),
        ({"imageType": {"LBP3D": {}}}, "no image type is left to measure"),
        ({"featureClass": {"shapes": None}}, "featureClass has no 'shapes'; did you mean 'shape'"),
        ({"featureClass": {"glcm": "Contrast"}}, "featureClass.glcm holds a list of features, or nothing"),
        ({"featureClass": {"glcm": ["Contrst"]}}, "featureClass.glcm has no 'Contrst'; did you mean 'glcm_Contrast'"),
        ({"featureClass": {"glcm": ["Homogeneity1"]}}, "featureClass names no feature that can be measured"),
        ({"voxelSetting": {"kernelradius": 1}}, "voxelSetting has no 'kernelradius'; did you mean 'kernelRadius'"),
    ],
)
def test_what_pyradiomics_refuses_is_refused(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(file(tmp_path / "p.yaml", json.dumps(content)))
    assert words in str(refused.value) and str(refused.value).startswith(str(tmp_path / "p.yaml"))


def test_what_is_no_parameter_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.yaml is not YAML \("):
        read(file(tmp_path / "a.yaml", "setting: {binWidth: 5"))
    with pytest.raises(InputError, match=r"b\.yaml is no parameter file of pyradiomics: it has none of setting"):
        read(file(tmp_path / "b.yaml", "bin_width: 5"))
    with pytest.raises(InputError, match=r"cannot read the parameter file .*c\.yaml: No such file"):
        read(tmp_path / "c.yaml")
    assert is_parameters({"imageType": {}}) and not is_parameters({"bin_width": 3}) and not is_parameters("x")
