"""The arms: counts that match exactly, nothing but what is defined, classes too small for SMOTE."""

import numpy as np
import pytest

from ganatomy.utility.arms import ARMS, CONTROL, DEFINITIONS, SYNTHETIC, arms, notes, training


def some(codes, seed=0, shift=0.0):
    """Images whose every pixel is the image's own number, so that a row can be recognised."""
    chance = np.random.default_rng(seed)
    mark = np.linspace(-0.9, 0.9, len(codes)).astype(np.float32) + np.float32(shift)
    images = np.broadcast_to(mark[:, None, None, None], (len(codes), 1, 4, 4)).copy()
    return training(images, chance.normal(size=(len(codes), 3)) * [1, 100, 0.01], codes)


REAL = some([0] * 12 + [1] * 4 + [2])
FAKE = some([1] * 8 + [2] * 9, seed=1, shift=0.001)
MATCHED = ("duplicates", "SMOTE", "classical", "classical + synthetic", "synthetic")


def test_matched_arms_have_exactly_the_counts_of_the_synthetic_arm():
    built = {name: build() for name, build in arms(REAL, FAKE).items()}
    assert set(built) == set(DEFINITIONS) == {name for names in ARMS.values() for name in names}
    for name in MATCHED:
        assert np.bincount(built[name].codes).tolist() == [12, 12, 10], name
        assert len(built[name].images) == len(built[name].features) == len(built[name].weights) == 34
        np.testing.assert_array_equal(built[name].images[:17], REAL.images, err_msg=name)  # the real ones come first
    for name in ("real", "class weights"):
        assert np.bincount(built[name].codes).tolist() == [12, 4, 1]
    assert {name for name in built if built[name].augment} == {"classical", "classical + synthetic"}


def test_the_control_differs_from_the_synthetic_arm_in_the_added_images_alone():
    for classifier, name in SYNTHETIC.items():
        built = arms(REAL, FAKE)
        test, control = built[name](), built[CONTROL[classifier]]()
        assert test.augment == control.augment
        assert sorted(test.codes) == sorted(control.codes)
        assert set(control.images[17:, 0, 0, 0]) <= set(REAL.images[:, 0, 0, 0])
        assert set(test.images[17:, 0, 0, 0]) == set(FAKE.images[:, 0, 0, 0])


def test_class_weights_make_classes_weigh_the_same_with_mean_one():
    arm = arms(REAL, FAKE)["class weights"]()
    sums = [arm.weights[arm.codes == code].sum() for code in range(3)]
    np.testing.assert_allclose(sums, 17 / 3)
    assert arm.weights.mean() == pytest.approx(1)


def test_duplicates_show_every_image_as_often_as_any_other_of_its_class():
    arm = arms(some([0] * 9 + [1] * 4), None, [9, 14])["duplicates"]()
    _, times = np.unique(arm.images[arm.codes == 1, 0, 0, 0], return_counts=True)
    assert sorted(times) == [3, 3, 4, 4]


def test_draws_are_a_function_of_the_seed():
    first, again, other = (arms(REAL, FAKE, seed=seed)["SMOTE"]() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.features, again.features)
    assert not np.array_equal(first.features, other.features)
    np.testing.assert_array_equal(arms(REAL, FAKE)["duplicates"]().images, arms(REAL, FAKE)["classical"]().images)


def test_smote_interpolates_within_the_class_in_standardised_features():
    arm = arms(REAL, FAKE)["SMOTE"]()
    for code in (1, 2):
        own, new = REAL.features[REAL.codes == code], arm.features[17:][arm.codes[17:] == code]
        assert (new >= own.min(axis=0) - 1e-9).all() and (new <= own.max(axis=0) + 1e-9).all()
    pixels = arm.images[17:][arm.codes[17:] == 1, 0, 0, 0]
    assert not set(pixels) <= set(REAL.images[:, 0, 0, 0])  # between the images, not copies of them
    assert arm.images.dtype == np.float32


def test_smote_survives_features_that_are_missing():
    real = some([0] * 8 + [1] * 4)
    real.features[0, 0], real.features[9, 1], real.features[:, 2] = np.nan, np.inf, np.nan
    arm = arms(real, None, [8, 8])["SMOTE"]()
    assert np.isfinite(arm.features[12:]).all()
    np.testing.assert_array_equal(arm.features[:12], real.features)  # what is real stays as it was


def test_smote_of_one_image_falls_back_to_duplicates_and_says_so():
    arm = arms(REAL, FAKE)["SMOTE"]()
    np.testing.assert_array_equal(arm.images[arm.codes == 2], np.repeat(REAL.images[16:], 10, axis=0))
    np.testing.assert_allclose(arm.features[arm.codes == 2], np.repeat(REAL.features[16:], 10, axis=0))
    told = notes([12, 4, 1], [12, 12, 10], ["large", "small", "single"])["SMOTE"]
    assert "'single' has one training image" in told and "'small' has 4 training images: 3 neighbours" in told
    assert "large" not in told
    assert notes([12, 6], [12, 12], ["a", "b"]) == {}
    assert notes([12, 1], [12, 1], ["a", "b"]) == {}  # nothing is added, so nothing is lacking


def test_smote_may_make_a_class_the_largest():
    assert np.bincount(arms(some([0] * 6 + [1] * 4), None, [6, 20])["SMOTE"]().codes).tolist() == [6, 20]


def test_nothing_to_add_adds_nothing():
    assert len(arms(some([0] * 6 + [1] * 6), None, [6, 6])["SMOTE"]().images) == 12


def test_without_features_the_arms_of_images_still_stand():
    real = training(REAL.images, np.empty((17, 0)), REAL.codes)
    assert arms(real, None, [12, 12, 10])["SMOTE"]().features.shape == (34, 0)


def test_without_synthetic_images_their_arms_are_absent():
    assert set(arms(REAL, None, [12, 12, 10])) == set(DEFINITIONS) - {"synthetic", "classical + synthetic"}


@pytest.mark.parametrize(
    ("synthetic", "counts"), [(None, None), (FAKE, [12, 12, 11]), (None, [12, 12]), (None, [11, 12, 10])]
)
def test_counts_that_cannot_be_met_are_refused(synthetic, counts):
    with pytest.raises(ValueError, match=r"counts|matched arms"):
        arms(REAL, synthetic, counts)
