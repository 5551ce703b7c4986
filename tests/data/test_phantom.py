"""The phantom: its words, counts, bits and classes, and each planted defect beside a clean cohort."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ganatomy.core.errors import InputError
from ganatomy.core.seed import rng
from ganatomy.data import ct
from ganatomy.data import phantom as module
from ganatomy.data.anatomy import LUNG
from ganatomy.data.ct import FIELD, noise
from ganatomy.data.phantom import Phantom, cohort, parse, source, truth, values

SMALL = Phantom(patients=40, seed=5)


def pixels(phantom: Phantom) -> np.ndarray:
    return np.stack([values(path)[0] for path in cohort(phantom).column("path")]).astype(float)


@pytest.fixture(scope="module")
def large():
    """About 600 images, rendered once: (table, pixels (n, 32, 32))."""
    phantom = Phantom(patients=270)
    return cohort(phantom).table, pixels(phantom)


# ------------------------------------------------------------ words


@pytest.mark.parametrize(
    "phantom",
    [
        Phantom(),
        Phantom(size=64, patients=200, seed=3, duplicates=0.05),
        Phantom(ratio=2.5, missing="calcified", hu_shift=-37.123456789, hu_scale=1 / 3, confounded=1),
        Phantom(near_duplicates=0.1, wrong_labels=1e-7),
    ],
)
def test_a_source_reads_back(phantom):
    assert parse(source(phantom)) == phantom


def test_a_source_holds_only_what_differs_from_the_default():
    assert source(Phantom()) == "phantom:"
    assert source(parse("phantom: seed = 3 , size=32,")) == "phantom:seed=3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("phantom:sead=3", "did you mean 'seed'"),
        ("phantom:missing=spiculate", "did you mean 'spiculated'"),
        ("phantom:size=48", "32, 64, 128"),
        ("phantom:size=big", "whole number"),
        ("phantom:ratio=nan", "ratio"),
        ("phantom:ratio=", "needs a value"),
        ("phantom:seed=1,seed=2", "twice"),
        ("phantom:seed=-1", "seed"),
        ("phantom:patients=1", "patients"),
        ("phantom:duplicates=1.5", "duplicates"),
        ("phantom:wrong_labels=-0.1", "wrong_labels"),
        ("phantom:duplicates=0.3,near_duplicates=0.3", "at most 0.5"),
        ("phantom:hu_scale=0", "hu_scale"),
        ("lesions/", "not a phantom"),
    ],
)
def test_a_wrong_word_is_refused_by_name(text, said):
    with pytest.raises(InputError, match=said):
        parse(text)


@pytest.mark.parametrize("path", ["phantom:patients=40#9999", "phantom:patients=40", "phantom:patients=40#-1", "a.png"])
def test_a_path_that_names_no_row_is_refused(path):
    with pytest.raises(InputError):
        values(path)


# ------------------------------------------------------------ the table


def test_the_ratio_is_met_and_patients_carry_several_images():
    for ratio in (8.0, 2.0, 0.1):
        made = cohort(Phantom(ratio=ratio))
        counts = made.counts
        assert counts["malignant"] == round(len(made) / (1 + ratio))
        per_patient = Counter(made.patients)
        assert len(per_patient) == 360 and set(per_patient.values()) == {1, 2, 3, 4}
        if ratio < 1:
            continue
        both = sum(set(group) == {"benign", "malignant"} for _, group in made.table.groupby("patient")["class"])
        ill = made.table.loc[made.table["class"] == "malignant", "patient"].nunique()
        assert 0 < both < ill / 2


def test_patients_share_their_traits_and_no_pixel_is_rendered_for_the_table(monkeypatch):
    monkeypatch.setattr(module, "slab", None)
    table = cohort(Phantom(size=64, seed=9)).table
    assert list(table.columns[:5]) == ["path", "class", "patient", "unit", "spacing"]
    assert set(table["unit"]) == {"HU"} and set(table["spacing"]) == {"0.59375x0.59375"}
    assert table["path"][17] == "phantom:size=64,seed=9#17"
    for trait in ("sex", "age_band", "site", "kernel", "dose", "thickness_mm"):
        assert table[trait].nunique() > 1
        assert (table.groupby("patient")[trait].nunique() == 1).all()


def test_sites_prefer_kernels_and_class_is_independent_of_site_unless_confounded():
    table = cohort(Phantom(patients=3000)).table
    sharp = table.groupby("site")["kernel"].apply(lambda kernels: (kernels == "sharp").mean())
    assert sharp["B"] > 0.5 and max(sharp["A"], sharp["C"]) < 0.2
    share = table.groupby("site")["class"].apply(lambda labels: (labels == "malignant").mean())
    assert share.max() - share.min() < 0.04
    confounded = cohort(Phantom(patients=3000, confounded=1)).table
    ill = confounded.groupby("patient")["class"].apply(lambda labels: "malignant" in set(labels))
    site = confounded.groupby("patient")["site"].first()
    assert (site[ill] == "B").all() and (site[~ill] != "B").all()
    half = cohort(Phantom(patients=3000, confounded=0.5)).table
    ill = half.groupby("patient")["class"].apply(lambda labels: "malignant" in set(labels))
    assert 0.6 < (half.groupby("patient")["site"].first()[ill] == "B").mean() < 0.75  # 0.5 + 0.5 * 0.35


# ------------------------------------------------------------ bits


def test_a_row_rendered_alone_or_in_another_order_has_the_same_bits():
    paths = cohort(SMALL).column("path")[:12]
    first = [values(path) for path in paths]
    module._plan.cache_clear()
    ct.slice_texture.cache_clear()
    again = [values(path) for path in reversed(paths)][::-1]
    module._plan.cache_clear()
    alone = values(paths[7])
    assert first[0].shape == (1, 32, 32) and first[0].dtype == np.int16
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(alone, first[7])
    other = values(source(replace(SMALL, seed=6)) + "#7")
    assert not np.array_equal(alone, other)


def test_a_larger_size_shows_the_same_anatomy_finer():
    for row in (0, 3):
        fine, coarse = (
            values(f"phantom:size=64,seed=5,patients=40#{row}")[0],
            values(f"phantom:seed=5,patients=40#{row}")[0],
        )
        mean = fine.astype(float).reshape(32, 2, 32, 2).mean(axis=(1, 3))
        unclipped = fine.reshape(32, 2, 32, 2).min(axis=(1, 3)) > -1024
        assert unclipped.mean() > 0.9
        assert np.abs(mean - coarse)[unclipped].max() <= 1.0  # rounding to whole HU


# ------------------------------------------------------------ tissue


def test_lung_is_of_published_density(large):
    _, images = large
    lung = np.median(images.reshape(len(images), -1), axis=1)
    assert abs(np.median(lung) - LUNG) < 15
    assert np.percentile(lung, 1) > -960 and np.percentile(lung, 90) < -780


def test_calcification_is_above_and_cancer_below_the_published_threshold(large):
    table, images = large
    peak = ndimage.uniform_filter(images, (0, 3, 3))[:, 13:19, 13:19].max(axis=(1, 2))
    diameter, thin = table["diameter_mm"].astype(float), table["thickness_mm"].astype(float) < 5
    calcified = (table["texture"] == "calcified") & (table["class"] == "benign") & (diameter > 8) & thin
    solid = (table["texture"] == "homogeneous") & (diameter > 8)
    assert calcified.sum() > 20 and solid.sum() > 100
    assert (peak[calcified] > 164).mean() > 0.8  # HU, Siegelman 1980
    assert (peak[solid] < 147).mean() > 0.97


# ------------------------------------------------------------ classes


def simple_features(image: np.ndarray) -> list[float]:
    """What a first attempt would measure about the middle of a 32 x 32 patch."""
    y, x = np.mgrid[:32, :32] - 15.5
    r = np.hypot(x, y) * FIELD / 32
    labels, _ = ndimage.label((ndimage.gaussian_filter(image, 0.6) > -660) & (r < 15))
    middle = labels[(r < 3.5) & (labels > 0)]
    lesion = labels == np.bincount(middle).argmax() if len(middle) else r < 2
    opened = ndimage.binary_opening(lesion)
    body = opened if opened.sum() > 4 else lesion
    ring = ndimage.binary_dilation(body, iterations=3) & ~ndimage.binary_dilation(body)
    core = ndimage.binary_erosion(body)
    inner = image[core if core.sum() > 3 else body]
    edge = (body & ~core).sum()
    return [
        np.log(body.sum()),
        edge / np.sqrt(body.sum()),
        lesion.sum() / body.sum(),
        inner.mean(),
        np.log(inner.std() + 5),
        min(inner.max(), 400),
        inner.min(),
        np.percentile(image[ring], 90),
        np.log(image[ring].std() + 10),
        (image[ring] > -700).mean(),
        (inner > 150).mean(),
    ]


def test_the_classes_overlap_and_can_be_told_apart(large):
    table, images = large
    y, patients = (table["class"] == "malignant").to_numpy(), table["patient"].to_numpy()
    features = np.array([simple_features(image) for image in images])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced"))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    p = cross_val_predict(model, features, y, groups=patients, cv=folds, method="predict_proba")[:, 1]
    assert 0.80 < roc_auc_score(y, p) < 0.96
    assert roc_auc_score(y, images.mean(axis=(1, 2))) < 0.8  # brightness alone does not tell
    assert roc_auc_score(y, table["diameter_mm"].astype(float)) < 0.92  # nor does size alone
    for column in ("margin", "texture"):  # every look occurs in both classes
        assert set(table.loc[y, column]) == set(table.loc[~y, column])


# ------------------------------------------------------------ planted defects


def equal_pairs(images: np.ndarray) -> list[tuple[int, int]]:
    seen: dict[bytes, int] = {}
    return [
        (seen.setdefault(image.tobytes(), i), i)
        for i, image in enumerate(images)
        if seen.setdefault(image.tobytes(), i) != i
    ]


def test_a_clean_cohort_holds_no_copy_and_no_wrong_label():
    facts = truth(SMALL)
    assert not equal_pairs(pixels(SMALL))
    assert set(facts["copy_of"]) == set(facts["near_copy_of"]) == {""}
    assert list(facts["class"]) == cohort(SMALL).labels


def test_duplicates_are_exact_and_cross_patients():
    planted = replace(SMALL, duplicates=0.1)
    table, facts, images = cohort(planted).table, truth(planted), pixels(planted)
    copies = facts.index[facts["copy_of"] != ""]
    assert len(copies) == round(0.1 * len(table))
    assert {i for pair in equal_pairs(images) for i in pair} >= set(copies)
    for i in copies:
        j = int(facts["copy_of"][i].split("#")[1])
        assert np.array_equal(images[i], images[j])
        assert table["patient"][i] != table["patient"][j] and table["class"][i] == table["class"][j]
    clean = pixels(SMALL)
    others = [i for i in range(len(table)) if i not in set(copies)]
    assert np.array_equal(images[others], clean[others])  # nothing else changed


def test_near_duplicates_differ_by_noise_alone():
    planted = replace(SMALL, near_duplicates=0.1)
    table, facts, images = cohort(planted).table, truth(planted), pixels(planted)
    copies = facts.index[facts["near_copy_of"] != ""]
    assert len(copies) == round(0.1 * len(table)) and not equal_pairs(images)
    for i in copies:
        j = int(facts["near_copy_of"][i].split("#")[1])
        kernel, dose, thick = table["kernel"][i], float(table["dose"][i]), float(table["thickness_mm"][i])
        expected = np.sqrt(2) * np.std([noise(kernel, dose, thick, 32, rng(k, "expected")) for k in range(8)])
        assert table["patient"][i] != table["patient"][j]
        assert np.std(images[i] - images[j]) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(("look", "column"), [("spiculated", "margin"), ("calcified", "texture")])
def test_a_missing_mode_is_never_drawn_and_no_other_nodule_changes(look, column):
    clean, planted = cohort(Phantom()).table, cohort(Phantom(missing=look)).table
    assert (clean[column] == look).sum() > 20
    assert (planted[column] != look).all()
    assert (planted[column] == clean[column])[clean[column] != look].all()
    assert (planted["diameter_mm"] == clean["diameter_mm"]).all()


def test_wrong_labels_change_the_word_and_not_the_picture():
    planted = replace(SMALL, wrong_labels=0.1)
    table = cohort(planted).table
    wrong = table["class"] != truth(planted)["class"]
    assert wrong.sum() == round(0.1 * len(table))
    assert list(truth(planted)["class"]) == cohort(SMALL).labels
    i = int(np.flatnonzero(wrong)[0])
    assert np.array_equal(values(table["path"][i]), values(cohort(SMALL).column("path")[i]))


def test_an_error_of_calibration_is_the_one_asked_for():
    clean = pixels(SMALL)[:10]
    planted = np.stack([values(f"phantom:patients=40,seed=5,hu_shift=50,hu_scale=0.9#{i}")[0] for i in range(10)])
    expected = np.clip(clean * 0.9 + 50, -1024, 3071)
    inside = clean > -1020  # what was clipped cannot be scaled
    assert np.abs(planted - expected)[inside].max() <= 1.0
    assert np.abs(planted - clean).mean() > 50
