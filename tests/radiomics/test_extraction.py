"""The one public call: what it takes, what it refuses, what it calls its columns, and what never changes a value."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

import ganatomy as ga
from ganatomy.core.errors import InputError, SettingsError
from ganatomy.core.image import Image
from ganatomy.radiomics import RadiomicsExtractor, RadiomicsSettings, extract, table
from ganatomy.radiomics.settings import FAMILIES, STANDARD

DRAW = np.random.default_rng(0)
SLICES = DRAW.normal(size=(6, 20, 24)) * 100
VOLUMES = DRAW.normal(size=(2, 7, 9, 8)) * 100
BINS = RadiomicsSettings(bin_count=16)
EVERYTHING = BINS.replace(families=tuple(name for name in FAMILIES if name != "shape"))

# by hand, of the image [[0, 0], [1, 2]]: levels 1 1 / 2 3; angles in the order 0, diagonal, 90, other diagonal
HAND = {
    "firstorder_Energy": 5,
    "firstorder_Entropy": 1.5,
    "firstorder_Minimum": 0,
    "firstorder_10Percentile": 0,
    "firstorder_90Percentile": 1.7,
    "firstorder_Median": 0.5,
    "firstorder_InterquartileRange": 1.25,
    "firstorder_MeanAbsoluteDeviation": 0.75,
    "firstorder_RobustMeanAbsoluteDeviation": 4 / 9,
    "firstorder_Skewness": 0.28125 / 0.6875**1.5,
    "firstorder_Kurtosis": 0.76953125 / 0.6875**2,
    "firstorder_Uniformity": 0.375,
    "glcm_JointAverage": (1.75 + 1.5 + 1.75 + 2) / 4,
    "glcm_Contrast": (0.5 + 1 + 2.5 + 4) / 4,
    "glcm_Correlation": (0.4375 / 0.6875 - 1 - 0.5625 / 0.6875 - 1) / 4,
    "glcm_JointEntropy": (1.5 + 1 + 2 + 1) / 4,
    "glcm_Idmn": (0.95 + 0.9 + 0.45 + 4.5 / 13 + 9 / 13) / 4,
    "glrlm_RunPercentage": (3 + 4 + 4 + 4) / 16,
    "glrlm_LongRunEmphasis": ((4 + 1 + 1) / 3 + 3) / 4,
    "glszm_ZonePercentage": 3 / 4,
    "gldm_SmallDependenceEmphasis": (0.25 + 0.25 + 1 + 1) / 4,
}


def same(a: pd.DataFrame, b: pd.DataFrame, rtol: float = 1e-12) -> None:
    assert list(a.columns) == list(b.columns)
    np.testing.assert_allclose(a.to_numpy(), b.to_numpy(), rtol=rtol, atol=1e-12)


def test_a_tiny_image_by_hand() -> None:
    row = extract(np.array([[[0, 0], [1, 2]]], np.uint8), settings=RadiomicsSettings(bin_width=1.0)).iloc[0]
    for name, value in HAND.items():
        assert row["original_" + name] == pytest.approx(value, abs=1e-12), name


def test_what_is_outside_changes_nothing() -> None:
    image = np.full((1, 4, 5), -500.0)
    image[0, 1:3, 2:4] = [[0, 0], [1, 2]]
    image[0, 0, 0] = np.nan
    mask = np.zeros((4, 5), int)
    mask[1:3, 2:4] = 3
    for given_mask in (mask, mask[None], mask > 0, mask.astype(float)):
        row = extract(image, given_mask, settings=RadiomicsSettings(bin_width=1.0)).iloc[0]
        for name, value in HAND.items():
            assert row["original_" + name] == pytest.approx(value, abs=1e-12), name
    above = RadiomicsSettings(bin_width=1.0, resegment=(0.0,))
    assert extract(image, settings=above).iloc[0]["original_glcm_Contrast"] == pytest.approx(HAND["glcm_Contrast"])


def test_pyradiomics_columns_by_default() -> None:
    counts = {"firstorder": 18, "shape2D": 9, "glcm": 24, "glrlm": 16, "glszm": 16, "gldm": 14, "ngtdm": 5}
    columns = extract(SLICES[:1], settings=BINS).columns
    assert {family: sum(f"_{family}_" in name for name in columns) for family in counts} == counts
    assert len(columns) == sum(counts.values())
    assert sum("original_shape_" in name for name in extract(VOLUMES[:1], settings=BINS).columns) == 14
    named = RadiomicsSettings(families=("firstorder",), features=("firstorder_StandardDeviation", "firstorder_Mean"))
    assert list(extract(SLICES[:1], settings=named).columns) == [
        "original_firstorder_Mean",
        "original_firstorder_StandardDeviation",
    ]
    assert len(columns) == len(set(columns))


def test_filters_name_their_columns() -> None:
    chosen = RadiomicsSettings(
        families=("firstorder", "shape2D"), filters=("wavelet", "original", "square"), bin_count=8
    )
    columns = extract(SLICES[:2], settings=chosen).columns
    types = dict.fromkeys(name.split("_")[0] for name in columns)
    assert list(types) == ["wavelet-LH", "wavelet-HL", "wavelet-HH", "wavelet-LL", "original", "square"]
    assert all(name.startswith("original_") for name in columns if "shape2D" in name)


def test_shape_is_measured_without_the_original_image() -> None:
    chosen = RadiomicsSettings(families=("firstorder", "shape2D"), filters=("square",), bin_count=8)
    columns = extract(SLICES[:1], settings=chosen).columns
    assert "original_shape2D_Perimeter" in columns
    assert not any(name.startswith("original_firstorder") for name in columns)


def test_aggregations_are_suffixes_where_there_are_several() -> None:
    several = BINS.replace(families=("glcm", "glszm"), aggregation=("2D_avg", "2D_comb", "3D_avg"))
    columns = extract(VOLUMES[:1], settings=several).columns
    assert {name.rsplit("_", 1)[1] for name in columns if "glcm_Contrast" in name} == {"BTW3", "SUJT", "ITBB"}
    assert {name.rsplit("_", 1)[1] for name in columns if "ZoneEntropy" in name} == {"8QNN", "KOBO"}
    one = extract(VOLUMES[:1], settings=BINS.replace(families=("glcm",), aggregation=("2D_comb",)))
    assert "original_glcm_Contrast" in one.columns


def test_the_standards_names() -> None:
    row = extract(VOLUMES[:1], settings=BINS.replace(ibsi=True)).iloc[0]
    assert {"original_stat_mean_Q4LE", "original_cm_contrast_ACUI", "original_morph_volume_RNU0"} <= set(row.index)
    usual = extract(VOLUMES[:1], settings=BINS).iloc[0]
    assert row["original_stat_kurt_IPH6"] == pytest.approx(usual["original_firstorder_Kurtosis"] - 3)


@pytest.mark.parametrize("images", [SLICES, VOLUMES], ids=["slices", "volumes"])
def test_a_mask_of_ones_is_no_mask(images: Any) -> None:
    chosen = EVERYTHING if images is SLICES else BINS.replace(families=FAMILIES[:2] + FAMILIES[3:])
    same(extract(images, settings=chosen), extract(images, np.ones(images.shape, int), settings=chosen))


@given(order=st.permutations(range(6)))
@hypothesis(max_examples=10, deadline=None)
def test_the_batch_changes_nothing(order: list[int]) -> None:
    whole = extract(SLICES, settings=EVERYTHING)
    same(
        extract(SLICES[order], settings=EVERYTHING).reset_index(drop=True), whole.iloc[order].reset_index(drop=True), 0
    )
    same(extract(SLICES[order[:1]], settings=EVERYTHING), whole.iloc[order[:1]], 0)


@given(y=st.integers(0, 10), x=st.integers(0, 12), seed=st.integers(0, 99))
@hypothesis(max_examples=20, deadline=None)
def test_a_region_may_lie_anywhere(y: int, x: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    patch, inside = draw.normal(size=(9, 11)) * 50, draw.random((9, 11)) < 0.7
    inside[4, 5] = True
    rows = []
    for at in ((0, 0), (y, x)):
        image, mask = np.full((20, 24), 1e6), np.zeros((20, 24), bool)
        image[at[0] : at[0] + 9, at[1] : at[1] + 11] = patch
        mask[at[0] : at[0] + 9, at[1] : at[1] + 11] = inside
        chosen = EVERYTHING.replace(families=tuple(name for name in EVERYTHING.families if name != "local"))
        rows.append(extract(image[None], mask[None], settings=chosen))  # local peaks see what lies around
    same(*rows)


def test_a_quarter_turn() -> None:
    """Averages over all directions, zones and neighbours do not know up from right; shape's columns change places."""
    turned = BINS.replace(families=("firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm", "gldzm"))
    same(extract(SLICES, settings=turned), extract(np.rot90(SLICES, axes=(1, 2)), settings=turned), 1e-9)
    same(extract(VOLUMES, settings=turned), extract(np.rot90(VOLUMES, axes=(1, 3)), settings=turned), 1e-9)


def test_types_and_forms_of_input() -> None:
    whole = np.rint(SLICES).astype(np.int16)
    reference = extract(whole.astype(np.float64), settings=BINS)
    same(extract(whole, settings=BINS), reference)
    same(extract(whole.astype(np.float32), settings=BINS), reference)
    same(extract(list(whole), settings=BINS), reference)
    same(extract([Image(one[None], origin=f"{i}.png") for i, one in enumerate(whole)], settings=BINS), reference)
    same(extract(whole, settings=BINS, threads=2), reference, 0)
    same(extract(whole[0], settings=BINS), reference.iloc[:1])
    mixed = extract([whole[0], whole[1, :9, :13]], settings=BINS)
    same(mixed.iloc[:1], reference.iloc[:1])
    assert mixed.index.tolist() == [(0, 1), (1, 1)]


def test_channels_have_columns_of_their_own() -> None:
    images = [Image(one) for one in DRAW.integers(0, 9, (5, 3, 8, 8))]
    found = extract(images, settings=RadiomicsSettings(bin_width=1.0, families=("glcm",)))
    assert found.shape == (5, 3 * 24)
    alone = extract([Image(one.values[1:2]) for one in images], settings=RadiomicsSettings(bin_width=1.0))
    assert np.array_equal(found["original_c1_glcm_Contrast"], alone["original_glcm_Contrast"])


def test_every_label_is_a_region() -> None:
    masks = np.zeros(SLICES.shape, np.uint8)
    masks[:, 2:9, 3:12], masks[:, 10:18, 5:20] = 7, 2
    found = extract(SLICES, masks, settings=BINS)
    assert found.index.names == ["image", "label"]
    assert found.index.tolist() == [(i, label) for i in range(6) for label in (2, 7)]
    same(found.xs(7, level="label"), extract(SLICES, masks, settings=BINS, label=7).droplevel("label"))
    same(
        found.xs(2, level="label").reset_index(drop=True),
        extract(SLICES, masks == 2, settings=BINS).reset_index(drop=True),
    )


def test_what_is_undefined_is_nan_and_has_a_reason() -> None:
    images = np.zeros((3, 6, 6))
    images[1], images[2, 1, 1] = 7.0, 7.0
    chosen = RadiomicsSettings(bin_width=1.0, resegment=(1.0,), families=("firstorder", "glcm", "glrlm", "ngtdm"))
    found, notes = extract(images, settings=chosen, notes=True)
    assert list(notes.columns) == ["image", "label", "column", "reason"]
    assert found.iloc[0].isna().all()
    flat = found.iloc[1]
    undefined = {"firstorder_Kurtosis", "firstorder_Skewness", "glcm_Correlation", "glcm_Imc1", "glcm_MCC"}
    assert {name.removeprefix("original_") for name in flat.index[flat.isna()]} == undefined
    assert flat["original_glcm_Contrast"] == flat["original_firstorder_Entropy"] == 0
    lone = found.iloc[2]  # one pixel has no neighbours
    assert lone["original_firstorder_Mean"] == 7
    assert lone.filter(like="glcm").isna().all()
    why = {(int(row.image), str(row.column)): str(row.reason) for row in notes.itertuples()}
    assert len(why) == int(found.isna().to_numpy().sum())
    assert "range" in why[0, "original_glcm_Contrast"]
    assert "one grey level" in why[1, "original_glcm_Correlation"]
    assert "one voxel" in why[2, "original_glcm_Contrast"]
    assert extract(SLICES, settings=BINS, notes=True)[1].empty


def test_small_regions_are_left_out_when_asked() -> None:
    mask = np.zeros((20, 24), int)
    mask[3, 4:9] = 1
    for words, reason in (({"minimum_size": 6}, "5 voxels"), ({"minimum_dimensions": 2}, "1 dimensions")):
        found, notes = extract(SLICES[:1], mask, settings=BINS.replace(**words), notes=True)
        assert found.isna().all(axis=None)
        assert notes["reason"].str.contains(reason).all()


NUMBERED = np.zeros((6, 20, 24), np.uint8)
NUMBERED[:, 4:12, 4:12] = 1
NAN_OUTSIDE = SLICES.astype(np.float64)
NAN_OUTSIDE[1, 0, 0] = np.nan


def test_nan_outside_the_region_changes_nothing() -> None:
    same(extract(NAN_OUTSIDE, NUMBERED, settings=BINS), extract(SLICES, NUMBERED, settings=BINS))


@pytest.mark.parametrize(
    ("images", "masks", "words", "sentence"),
    [
        (SLICES, np.ones((6, 20, 23), int), {}, r"mask of image 0 is 20 x 23, the image 20 x 24"),
        (SLICES, np.ones((5, 20, 24), int), {}, r"6 images and 5 masks"),
        (SLICES, np.zeros((6, 20, 24), int), {}, r"mask of image 0 is empty.*\(.*one volume is images\[None\]\)"),
        (
            VOLUMES,
            np.zeros(VOLUMES.shape, int),
            {},
            r"mask of image 0 is empty; leave that image out, or give it a region$",
        ),
        (None, None, {}, r"give images as an array"),
        (SLICES, "masks/", {}, r"masks in files go with images in files"),
        (SLICES, np.full((6, 20, 24), 0.5), {}, r"mask of image 0 holds values that are not whole"),
        (np.where(SLICES > 200, np.nan, SLICES), None, {}, r"image \d.*NaN"),
        (SLICES, None, {"bin_width": 1e-4, "bin_count": 0}, r"image 0: a bin width of 0\.0001 gives .* grey levels"),
        (SLICES, None, {"levels_as_given": True}, r"image 0: .* no grey levels"),
        (NAN_OUTSIDE, NUMBERED, {"spacing": (2, 2)}, r"image 1 holds NaN .* which resampling would spread"),
        (NAN_OUTSIDE, NUMBERED, {"filters": ("square",)}, r"image 1 holds NaN .* which a filter would spread"),
        (SLICES * 1j, None, {}, r"complex128 values"),
        (SLICES[0, 0], None, {}, r"axes"),
        ([], None, {}, r"no image"),
        ([SLICES[0], VOLUMES[0]], None, {}, r"image 1 gives other features than the first"),
        (np.ones((1, 8, 8)), None, {"normalise": True}, r"image 0: an image of one value"),
        (SLICES, None, {"families": ("shape",)}, r"shape does not fit images of two dimensions; ask for shape2D"),
        (SLICES, None, {"features": ("glcm_Kontrast",)}, r"did you mean 'glcm_Contrast'"),
    ],
)
def test_bad_input_in_one_sentence(images: Any, masks: Any, words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        extract(images, masks, settings=BINS.replace(**words))
    assert "\n" not in str(caught.value)


def test_labels_and_spacing_that_cannot_be() -> None:
    with pytest.raises(InputError, match="no label 5; it has 1"):
        extract(SLICES, np.ones(SLICES.shape, int), settings=BINS, label=5)
    for spacing in ((0, 1), (1,), (1, float("nan")), (-1, 1), 2.0, "wide", (1, 1, 1, 1)):
        with pytest.raises(InputError, match="spacing"):
            extract(SLICES, settings=BINS, spacing=spacing)
    same(
        extract(SLICES, settings=BINS, spacing=np.array([2.0, 0.5])),
        extract(SLICES, settings=BINS, spacing=(2.0, 0.5)),
    )


def test_settings_are_settings() -> None:
    for wrong in (None, {"bin_width": 3}, "Params.yaml"):
        with pytest.raises(InputError, match=r"settings is a RadiomicsSettings, such as .*, not"):
            extract(SLICES, settings=wrong)
    given: Any = {"families": "firstorder,glcm", "filters": ["original", "log"], "sigma": 2, "bin_width": "10"}
    plain = RadiomicsSettings(
        families=("firstorder", "glcm"), filters=("original", "log"), sigma=(2.0,), bin_width=10.0
    )
    assert RadiomicsSettings(**given) == plain and hash(RadiomicsSettings(**given)) == hash(plain)


def test_one_voxel_of_a_slice_has_reasons_too() -> None:
    mask = np.zeros((6, 20, 24), np.uint8)
    mask[:, 3, 3] = 1
    found, notes = extract(SLICES, mask, settings=BINS, notes=True)
    assert found["original_shape2D_Elongation"].isna().all() and (found["original_shape2D_PixelSurface"] == 1).all()
    assert set(notes.query("column == 'original_shape2D_Elongation'")["reason"]) == {"one pixel has no axes"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"families": ("glcmm",)}, "did you mean 'glcm'"),
        ({"filters": ("wavlet",)}, "did you mean 'wavelet'"),
        ({"aggregation": ("4D",)}, "aggregation"),
        ({"bin_width": 0.0}, "above 0"),
        ({"distances": ()}, "distances"),
        ({"filters": ("log",)}, "--sigma"),
    ],
)
def test_settings_that_cannot_be(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        BINS.replace(**words)


def test_the_table_of_names() -> None:
    known = table()
    assert set(known["family"]) == set(FAMILIES)
    named = known[known["name"] != ""]
    assert not named.duplicated(["family", "name"]).any()
    coded = known[known["code"] != ""]
    assert not coded.duplicated(["tag", "code"]).any()
    assert (coded["tag"] != "").all()
    assert set(STANDARD) <= set(named["family"])


def test_settings_and_version_travel_with_the_table() -> None:
    attrs = extract(SLICES[:1], settings=BINS).attrs
    assert attrs["version"] == ga.__version__
    assert attrs["settings"]["bin_count"] == 16


def test_resampling_and_normalising_reach_the_features() -> None:
    plain = extract(VOLUMES[:1], settings=BINS, spacing=(2, 1, 1))
    finer = extract(VOLUMES[:1], settings=BINS.replace(spacing=(1.0, 1.0, 1.0)), spacing=(2, 1, 1))
    volume = "original_shape_VoxelVolume"
    assert finer[volume].iloc[0] == pytest.approx(plain[volume].iloc[0], rel=0.2)
    assert finer["original_firstorder_Variance"].iloc[0] < plain["original_firstorder_Variance"].iloc[0]
    scaled = extract(VOLUMES[:1], settings=BINS.replace(normalise=True, normalise_scale=10.0))
    assert scaled["original_firstorder_Variance"].iloc[0] == pytest.approx(100, rel=0.01)


def test_the_transformer_in_a_pipeline() -> None:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    images = np.concatenate([SLICES, SLICES.cumsum(1) / 4])  # noise, and stripes
    labels = np.repeat([0, 1], 6)
    step = RadiomicsExtractor(BINS.replace(families=("firstorder", "glcm")), image_shape=(20, 24))
    pipeline = make_pipeline(clone(step), StandardScaler(), LogisticRegression())
    assert pipeline.fit(images.reshape(12, -1), labels).score(images.reshape(12, -1), labels) == 1
    whole = RadiomicsExtractor(BINS).set_output(transform="pandas").fit(images)
    same(whole.transform(images), extract(images, settings=BINS).reset_index(drop=True))
    assert list(whole.get_feature_names_out()) == list(extract(images[:1], settings=BINS).columns)
    with pytest.raises(InputError, match="image_shape"):
        step.fit(images.reshape(12, -1)[:, :-1])
    with pytest.raises(InputError, match=r"rows of numbers; say with image_shape"):
        RadiomicsExtractor(BINS).fit(images.reshape(12, -1))
    for path in (None, "scans/"):
        with pytest.raises(InputError, match="X is images as arrays"):
            RadiomicsExtractor(BINS).fit(path)


@pytest.mark.slow
def test_the_transformer_by_scikit_learns_rules() -> None:
    from joblib import parallel_config
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.utils.estimator_checks import check_no_attributes_set_in_init, check_parameters_default_constructible

    check_parameters_default_constructible("RadiomicsExtractor", RadiomicsExtractor())
    check_no_attributes_set_in_init("RadiomicsExtractor", RadiomicsExtractor(BINS))
    images = np.concatenate([SLICES, SLICES.cumsum(1) / 4])
    pipeline = Pipeline([("features", RadiomicsExtractor()), ("classifier", KNeighborsClassifier(1))])
    choices = [BINS.replace(families=("firstorder",), bin_count=count) for count in (4, 8)]
    search = GridSearchCV(pipeline, {"features__settings": choices}, cv=2, n_jobs=2, error_score="raise")
    with parallel_config(backend="threading"):  # processes would outlive this test
        search.fit(images, np.repeat([0, 1], 6))
    whole = pickle.loads(pickle.dumps(pipeline.fit(images, np.repeat([0, 1], 6))))
    assert list(whole.predict(images)) == list(pipeline.predict(images))
    assert search.best_params_["features__settings"] in choices


@pytest.mark.parametrize("images", [SLICES, VOLUMES], ids=["slices", "volumes"])
def test_tensors_on_an_accelerator_give_the_same_table(images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from ganatomy.radiomics import tensors

    draw = np.random.default_rng(1)
    masks = draw.random(images.shape) < 0.8
    images = images.copy()
    images[0] = 7.0  # flat, so that something is undefined
    usual = extract(images, masks, settings=BINS, notes=True)
    calls = []
    monkeypatch.setattr(tensors, "on_accelerator", lambda given: calls.append(1) or isinstance(given, torch.Tensor))
    for settings in (
        BINS,
        BINS.replace(filters=("square",)),
        BINS.replace(families=("glcm",), features=("glcm_Imc1",)),
    ):
        expected = extract(images, masks, settings=settings, notes=True)
        found, notes = extract(torch.from_numpy(images), torch.from_numpy(masks), settings=settings, notes=True)
        same(found, expected[0], 1e-6)
        assert found.index.equals(expected[0].index)
        order = ["image", "column"]
        told, wanted = (one.sort_values(order).reset_index(drop=True) for one in (notes, expected[1]))
        assert (told[[*order, "reason"]] == wanted[[*order, "reason"]]).all(axis=None)
        assert found.attrs == expected[0].attrs
    assert calls
    assert not usual[1].empty
