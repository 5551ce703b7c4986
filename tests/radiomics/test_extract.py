"""Features against values worked out by hand, the IBSI digital phantom, and pyradiomics' own baselines."""

import ast
import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.radiomics.extract import FIRST_ORDER, GLCM, cooccurrence, discretise, extract, first_order, glcm_features

SHARED = Path(__file__).parents[3] / "shared/data/pyradiomics_cases"

# IBSI digital phantom (theibsi/data_sets, CC BY 4.0), four slices of 4 x 5, 0 outside the region
PHANTOM = np.array(
    [
        ["14411", "14611", "41641", "44641"],
        ["14411", "11611", "01311", "44611"],
        ["14400", "11111", "11011", "11611"],
        ["14400", "11111", "11111", "11611"],
    ]
)
# IBSI reference manual (arXiv 1612.07003): co-occurrence, distance 1, 2D, averaged over slices and directions
IBSI = {
    "MaximumProbability": 0.519,
    "JointAverage": 2.14,
    "SumSquares": 2.69,
    "JointEntropy": 2.05,
    "DifferenceAverage": 1.42,
    "DifferenceVariance": 2.9,
    "DifferenceEntropy": 1.4,
    "SumAverage": 4.28,
    "SumEntropy": 1.6,
    "JointEnergy": 0.368,
    "Contrast": 5.28,
    "Id": 0.678,
    "Idn": 0.851,
    "Idm": 0.619,
    "Idmn": 0.899,
    "InverseVariance": 0.0567,
    "Correlation": -0.0121,
    "Autocorrelation": 5.09,
    "ClusterTendency": 5.47,
    "ClusterShade": 7.0,
    "ClusterProminence": 79.1,
}

# by hand, of the image [[0, 0], [1, 2]]: levels 1 1 / 2 3; angles in the order 0, diagonal, 90, other diagonal
HAND = {
    "firstorder_Energy": 5,
    "firstorder_Entropy": 1.5,
    "firstorder_Minimum": 0,
    "firstorder_10Percentile": 0,
    "firstorder_90Percentile": 1.7,
    "firstorder_Maximum": 2,
    "firstorder_Mean": 0.75,
    "firstorder_Median": 0.5,
    "firstorder_InterquartileRange": 1.25,
    "firstorder_Range": 2,
    "firstorder_MeanAbsoluteDeviation": 0.75,
    "firstorder_RobustMeanAbsoluteDeviation": 4 / 9,
    "firstorder_RootMeanSquared": 1.25**0.5,
    "firstorder_Skewness": 0.28125 / 0.6875**1.5,
    "firstorder_Kurtosis": 0.76953125 / 0.6875**2,
    "firstorder_Variance": 0.6875,
    "firstorder_Uniformity": 0.375,
    "glcm_JointAverage": (1.75 + 1.5 + 1.75 + 2) / 4,
    "glcm_Contrast": (0.5 + 1 + 2.5 + 4) / 4,
    "glcm_Correlation": (0.4375 / 0.6875 - 1 - 0.5625 / 0.6875 - 1) / 4,
    "glcm_JointEntropy": (1.5 + 1 + 2 + 1) / 4,
    "glcm_MaximumProbability": (0.5 + 0.5 + 0.25 + 0.5) / 4,
    "glcm_Idm": (0.75 + 0.5 + 0.35 + 0.2) / 4,
    "glcm_Id": (0.75 + 0.5 + 0.25 + 0.5 / 3 + 1 / 3) / 4,
    "glcm_InverseVariance": (0.5 + 1 + 0.625 + 0.25) / 4,
    "glcm_Idn": (0.875 + 0.75 + 0.675 + 0.6) / 4,
    "glcm_Idmn": (0.95 + 0.9 + 0.45 + 4.5 / 13 + 9 / 13) / 4,
    "glcm_SumEntropy": 0.5,
    "glcm_DifferenceEntropy": 0.5,
}


def test_a_tiny_image_by_hand() -> None:
    row = extract(np.array([[[[0, 0], [1, 2]]]], np.uint8), bin_width=1).iloc[0]
    assert len(row) == len(FIRST_ORDER) + len(GLCM) == 38
    for name, value in HAND.items():
        assert row["original_" + name] == pytest.approx(value, abs=1e-12), name


def test_the_ibsi_digital_phantom() -> None:
    slices = np.array([[[int(value) for value in row] for row in plane] for plane in PHANTOM])
    each = np.concatenate([cooccurrence(plane, 6) for plane in slices])  # (16, 6, 6): slices and angles alike
    values = dict(zip(GLCM, glcm_features(each), strict=True))
    assert set(IBSI) == set(GLCM)
    for name, reference in IBSI.items():
        assert float(f"{values[name]:.3g}") == reference, name


def test_the_background_is_outside() -> None:
    image = np.full((1, 1, 4, 5), -5.0)
    image[0, 0, 1:3, 2:4] = [[0, 0], [1, 2]]
    image[0, 0, 0, 0] = np.nan
    row = extract(image, bin_width=1, background=-1).iloc[0]
    for name, value in HAND.items():
        assert row["original_" + name] == pytest.approx(value, abs=1e-12), name


def test_levels_are_pyradiomics_bins() -> None:
    values = np.array([-30.0, -25.0, -0.1, 0.0, 24.9, 25.0])
    assert discretise(values, np.ones(6, bool), 25).tolist() == [1, 2, 2, 3, 3, 4]
    assert discretise(values, values > -26, 25).tolist() == [0, 1, 1, 2, 2, 3]


def test_what_is_undefined_is_nan() -> None:
    images = np.zeros((3, 1, 4, 4))
    images[1] = 7.0
    images[2, 0, 1, 1] = 7.0
    table = extract(images, bin_width=1, background=0)
    assert table.iloc[0].isna().all()  # empty
    flat = table.iloc[1]
    undefined = ["original_firstorder_Kurtosis", "original_firstorder_Skewness", "original_glcm_Correlation"]
    assert sorted(flat.index[flat.isna()]) == undefined
    assert flat["original_glcm_Contrast"] == 0
    assert flat["original_firstorder_Entropy"] == 0
    lone = table.iloc[2]  # one pixel has no neighbours
    assert lone["original_firstorder_Mean"] == 7
    assert lone.filter(like="glcm").isna().all()
    assert extract(np.zeros((0, 1, 4, 4)), bin_width=1).shape == (0, 38)


def test_channels_have_columns_of_their_own() -> None:
    images = np.random.default_rng(0).integers(0, 9, (5, 3, 8, 8))
    table = extract(images, bin_width=1)
    assert table.shape == (5, 3 * 38)
    alone = extract(images[:, 1:2], bin_width=1)
    assert np.array_equal(table["original_c1_glcm_Contrast"], alone["original_glcm_Contrast"])


def test_too_many_levels() -> None:
    images = np.random.default_rng(0).uniform(0, 100, (4, 1, 8, 8))
    with pytest.raises(InputError, match=r"bin width of 0\.001 .* choose a wider"):
        extract(images, bin_width=0.001)
    images[0, 0, 0, 0] = 1e6  # one bright pixel counts as the last level, and stops nothing
    counted = extract(images, bin_width=1).iloc[0]
    images[0, 0, 0, 0] = images[0].min() // 1 + 255.5
    assert counted["original_glcm_Contrast"] == extract(images, bin_width=1).iloc[0]["original_glcm_Contrast"]
    for width in (0, -1, float("nan")):
        with pytest.raises(InputError, match="bin width is a number above 0"):
            extract(images, bin_width=width)
    with pytest.raises(InputError, match="shape"):
        extract(images[0], bin_width=1)


def _nrrd(path: Path) -> np.ndarray:
    """(z, y, x) of a gzipped little-endian NRRD file of short or int."""
    header, body = path.read_bytes().split(b"\n\n", 1)
    facts = dict(line.split(": ", 1) for line in header.decode().splitlines() if ": " in line)
    kind = {"short": "<i2", "int": "<i4"}[facts["type"]]
    return np.frombuffer(gzip.decompress(body), kind).reshape([int(n) for n in facts["sizes"].split()][::-1])


@pytest.mark.skipif(not SHARED.exists(), reason="needs the pyradiomics test cases beside the repository")
@pytest.mark.parametrize("case", ["brain1", "brain2", "breast1"])
def test_pyradiomics_baselines(case: str) -> None:
    inside = _nrrd(SHARED / f"{case}_label.nrrd") == 1
    image = _nrrd(SHARED / f"{case}_image.nrrd").astype(float)
    levels = discretise(image, inside, 25)
    n = int(levels.max())
    counts = np.sum([cooccurrence(plane, n) for plane in levels], axis=0)  # force2D adds slices within an angle
    ours = {
        "firstorder": dict(zip(FIRST_ORDER, first_order(image[inside], levels[inside]), strict=True)),
        "glcm": dict(zip(GLCM, glcm_features(counts), strict=True)),
    }
    for family, column in (("firstorder", case), ("glcm", f"{case}_2d")):
        rows = list(csv.reader((SHARED / f"baseline/baseline_{family}.csv").read_text().splitlines()))
        baseline = {row[0]: row[rows[0].index(column)] for row in rows}
        settings = ast.literal_eval(baseline["diagnostics_Configuration_Settings"])
        assert settings.get("binWidth", 25) == 25
        checked = 0
        for name, value in ours[family].items():
            if settings.get("voxelArrayShift", 0) and name in ("Energy", "RootMeanSquared"):
                continue  # these two move with the shift
            assert value == pytest.approx(float(baseline[f"original_{family}_{name}"]), rel=1e-9), name
            checked += 1
        assert checked >= 15
