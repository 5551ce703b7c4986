"""Filters: against pyradiomics, PyWavelets and mirp, against the standard's response maps, and on bad input.

filters_pyradiomics.json was made with pyradiomics 3.0.1 on SimpleITK 2.5 from a random whole image (4, 5, 6):
getLoGImage, getGradientImage, getSquareImage, ..., getWaveletImage (db2, level 2, start_level 1;
names also of coif1 with force2D).
filters_mirp.json with mirp 2.7.0 (extract_images, spacing 1) from a random image (6, 6, 6).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywt
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.radiomics import filters, response
from ganatomy.radiomics.wavelet import stationary

HERE = Path(__file__).parent
ORACLE = json.loads((HERE / "filters_pyradiomics.json").read_text(encoding="utf-8"))
MIRP = json.loads((HERE / "filters_mirp.json").read_text(encoding="utf-8"))
IMAGE, SPACING = np.array(ORACLE["image"], np.float64), tuple(ORACLE["spacing"])
CUBE, ONE = np.array(MIRP["image"]), (1, 1, 1)
PHANTOMS = Path(__file__).parents[2].parent / "shared" / "data" / "ibsi_digital_phantoms" / "ibsi2_digital"

Array = NDArray[np.float64]


def only(images: dict[str, Array]) -> Array:
    (image,) = images.values()
    return image


# --- pyradiomics


def test_filters_are_pyradiomics() -> None:
    made = (
        filters.laplacian_of_gaussian(IMAGE, SPACING, [2.0, 1.5])
        | filters.gradient(IMAGE, SPACING)
        | {"gradient per voxel": only(filters.gradient(IMAGE, SPACING, use_spacing=False))}
        | filters.square(IMAGE)
        | filters.square_root(IMAGE)
        | filters.logarithm(IMAGE)
        | filters.exponential(IMAGE)
    )
    assert set(made) == set(ORACLE["filters"])
    for name, image in made.items():
        assert image.ravel() == pytest.approx(ORACLE["filters"][name], rel=1e-6, abs=1e-6), name


def test_wavelets_are_pyradiomics() -> None:
    assert list(stationary(IMAGE, "db2", level=2)) == ORACLE["names"][0]
    assert list(stationary(IMAGE, without=0)) == ORACLE["names"][1]
    made = stationary(IMAGE, "db2", level=2, start_level=1)
    for name, values in ORACLE["wavelets"].items():
        assert made[name].ravel() == pytest.approx(values, rel=1e-8, abs=1e-8), name


@pytest.mark.parametrize("wavelet", ["haar", "coif1", "db4", "bior3.1", "rbio1.3", "dmey"])
@pytest.mark.parametrize("shape", [(2, 1, 8, 6), (2, 4, 6, 2)])
def test_bands_are_pywt(wavelet: str, shape: tuple[int, ...]) -> None:
    """Filters longer than the image too."""
    images = np.random.default_rng(3).normal(size=shape)
    axes = (3, 2) if shape[1] == 1 else (3, 2, 1)
    wanted = pywt.swtn(images, wavelet, level=1, axes=axes)[0]
    made = stationary(images, wavelet)
    assert len(made) == len(wanted)
    for name, band in wanted.items():
        mine = made["wavelet-" + name.replace("a", "L").replace("d", "H")]
        assert np.abs(mine - band).max() < 1e-13


@pytest.mark.parametrize("without", [0, 1, 2])
def test_an_axis_left_out_is_slice_by_slice(without: int) -> None:
    image = np.random.default_rng(4).normal(size=(4, 5, 7))  # odd sides are lengthened and shortened again
    made = stationary(image, "db2", without=without)
    slices = np.moveaxis(image, without, 0)
    for name, band in made.items():
        each = np.concatenate([stationary(one[None], "db2")[name] for one in slices])
        assert np.array_equal(np.moveaxis(band, without, 0), each)


def test_batches_and_borders() -> None:
    batch = np.random.default_rng(5).normal(size=(3, 4, 6, 5))
    makers: list[Callable[[Array], dict[str, Array]]] = [
        stationary,
        lambda x: filters.laplacian_of_gaussian(x, ONE, 1),
        lambda x: filters.gradient(x, (2, 1, 1)),
        filters.square,
        filters.square_root,
        filters.logarithm,
        filters.exponential,
        filters.local_binary_pattern,
        lambda x: response.mean(x, 3),
        lambda x: response.laplacian_of_gaussian(x, ONE, 1),
        lambda x: response.laws(x, "L3E3S3", invariant="max", energy=1),
        lambda x: response.gabor(x, ONE, 1, 2, step=90, planes=True),
        lambda x: response.wavelet(x, "haar", "LHL", level=2, invariant="mean"),
        response.simoncelli,
    ]
    for maker in makers:
        together = maker(batch)
        for i, image in enumerate(batch):
            for name, alone in maker(image).items():
                assert alone.shape == image.shape
                assert np.allclose(together[name][i], alone, rtol=1e-12, atol=1e-12), name
        assert all(band.flags.c_contiguous and band.dtype == np.float64 for band in together.values())


def test_laplacian_in_the_plane_and_its_limits() -> None:
    image = np.random.default_rng(6).normal(size=(1, 20, 24))
    (name,) = made = filters.laplacian_of_gaussian(image, (5, 1, 1), 2)
    assert name == "log-sigma-2-0-mm-2D"
    thick = np.repeat(image, 5, 0)  # nothing changes across slices, so only the plane counts
    whole = only(filters.laplacian_of_gaussian(thick, (5, 1, 1), 2, single=False))
    assert np.allclose(only(made)[0], whole[2], atol=1e-5)
    assert np.abs(only(filters.laplacian_of_gaussian(np.full((6, 6, 6), 3.0), ONE, 1))).max() < 1e-5, "flat is 0"
    smooth = np.exp(-((np.arange(61.0) - 30) ** 2) / (2 * 25)) * np.ones((4, 61, 1))
    blob = smooth.swapaxes(1, 2) * smooth  # sigma 5, filtered with 3: a Gaussian of sqrt(34)
    wanted = -2 * 9 * 25 / 34**2
    assert only(filters.laplacian_of_gaussian(blob, ONE, 3))[1, 30, 30] == pytest.approx(wanted, rel=1e-2)
    for shape, sigma in (((3, 9, 9), 1), ((9, 9, 9), 9), ((9, 9, 9), 0), ((9, 9, 9), np.nan)):
        with pytest.raises(InputError):
            filters.laplacian_of_gaussian(np.zeros(shape), ONE, sigma)
    assert filters.wide_enough((9, 9, 9), ONE, 8)
    assert not filters.wide_enough((9, 9, 9), ONE, 8.1)
    assert filters.wide_enough((1, 9, 9), (0.1, 1, 1), 8)


def test_images_of_zeros_have_limits() -> None:
    zeros = np.zeros((1, 4, 4))
    for maker in (filters.square, filters.square_root, filters.logarithm):
        assert not only(maker(zeros)).any()
    assert (only(filters.exponential(zeros)) == 1).all()


def test_binary_patterns_are_scikit_images() -> None:
    from skimage.feature import local_binary_pattern

    image = np.random.default_rng(7).integers(0, 9, (4, 5, 6))
    made = only(filters.local_binary_pattern(image, axis=2))
    for x in range(6):
        turned = image.swapaxes(0, 2)[x]  # (H, D), as pyradiomics turns it
        assert np.array_equal(made.swapaxes(0, 2)[x], local_binary_pattern(turned, 8, 1, "uniform"))


# --- the standard


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("gabor1", lambda x: response.gabor(x, ONE, 1.5, 2, gamma=0.5, theta=60, padding="zero")),
        ("gabor2", lambda x: response.gabor(x, ONE, 2, 3, gamma=1.5, step=45, planes=True)),
        ("sim1", response.simoncelli),
        ("sim2", lambda x: response.simoncelli(x, level=2)),
        ("laws", lambda x: response.laws(x, "E3W5R5", invariant="max", energy=1)),
        ("laws2", lambda x: response.laws(x, "L5S5", invariant="max", energy=1)),
        ("wav", lambda x: response.wavelet(x, "db2", "LHL", level=2, padding="zero", invariant="mean")),
        ("log2d", lambda x: response.laplacian_of_gaussian(x, ONE, 1, plane=True)),
    ],
)
def test_responses_are_mirps(name: str, maker: Callable[[Array], dict[str, Array]]) -> None:
    assert only(maker(CUBE)).ravel() == pytest.approx(MIRP[name], abs=1e-7)


MAPS: dict[str, tuple[str, Callable[[Array, Any], dict[str, Array]]]] = {
    "1_a_1": ("checkerboard", lambda x, s: response.mean(x, 15, padding="zero")),
    "1_b_1": ("impulse", lambda x, s: response.mean(x, 15, padding="zero", plane=True)),
    "2_a": ("impulse", lambda x, s: response.laplacian_of_gaussian(x, s, 3, padding="zero")),
    "2_b": ("checkerboard", lambda x, s: response.laplacian_of_gaussian(x, s, 5)),
    "3_a_1": ("impulse", lambda x, s: response.laws(x, "E5L5S5", padding="zero")),
    "3_b_1": ("checkerboard", lambda x, s: response.laws(x, "E3W5R5")),
    "5_a_1": ("impulse", lambda x, s: response.wavelet(x, "db2", "LHL", padding="zero")),
    "6_a_1": ("sphere", lambda x, s: response.wavelet(x, "coif1", "HHL")),
    "7_a_1": (
        "checkerboard",
        lambda x, s: response.wavelet(x, "haar", "LLL", level=2, padding="mirror", invariant="mean"),
    ),
}


@pytest.mark.parametrize("test", MAPS)
@pytest.mark.skipif(not PHANTOMS.exists(), reason="the standard's phantoms are not beside the project")
def test_response_maps_of_the_standard(test: str) -> None:
    """IBSI-2, phase 1: every voxel within 1 % of the map's range; here within 0.1 %."""
    import nibabel

    phantom, maker = MAPS[test]
    image = nibabel.load(PHANTOMS / f"{phantom}_image.nii.gz")  # type: ignore[attr-defined]
    wanted = np.asarray(nibabel.load(PHANTOMS / "response_maps" / f"{test}.nii.gz").dataobj).T  # type: ignore[attr-defined]
    made = only(maker(np.asarray(image.dataobj, float).T, image.header.get_zooms()[2::-1]))
    assert np.abs(made - wanted).max() < 0.001 * np.ptp(wanted)


def test_responses_to_right_angles() -> None:
    """Turned by right angles, an invariant response turns with the image; another does not."""
    image = np.random.default_rng(8).normal(size=(6, 6, 6))
    turned = np.rot90(image, 1, (1, 2))
    for pooling in ("max", "mean"):
        alike = only(response.laws(turned, "E3L3S3", invariant=pooling))  # type: ignore[arg-type]
        assert np.allclose(alike, np.rot90(only(response.laws(image, "E3L3S3", invariant=pooling)), 1, (1, 2)))  # type: ignore[arg-type]
    other = only(response.laws(turned, "E3L3S3"))
    assert not np.allclose(other, np.rot90(only(response.laws(image, "E3L3S3")), 1, (1, 2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stationary(CUBE, "coif99"), "no discrete wavelet 'coif99'"),
        (lambda: stationary(CUBE, "morl"), "no discrete wavelet 'morl'"),
        (lambda: stationary(CUBE, level=0), "1 level or more"),
        (lambda: stationary(CUBE, without=3), "0, 1 or 2"),
        (lambda: stationary(CUBE[0]), "D, H, W"),
        (lambda: filters.square(CUBE[0]), "D, H, W"),
        (lambda: filters.local_binary_pattern(CUBE, axis=4), "0, 1 or 2"),
        (lambda: response.mean(CUBE, 4), "odd"),
        (lambda: response.mean(CUBE, 3, padding="wrap"), "did you mean|known are"),  # type: ignore[arg-type]
        (lambda: response.laws(CUBE, "E5Q5S5"), "no Laws kernel 'Q5'"),
        (lambda: response.laws(CUBE, "E5"), "two .* or three"),
        (lambda: response.laws(CUBE[:1], "E5L5S5"), "two Laws kernels"),
        (lambda: response.laws(CUBE, "E5L5S5", invariant="median"), "max or mean"),  # type: ignore[arg-type]
        (lambda: response.wavelet(CUBE, "db2", "LXL"), "such as LHL"),
        (lambda: response.wavelet(CUBE[:1], "db2", "LHL"), "two letters"),
        (lambda: response.wavelet(CUBE, "db2", "LHL", level=0), "1 or above"),
        (lambda: response.simoncelli(CUBE, level=0), "1 or above"),
        (lambda: response.gabor(CUBE, ONE, 1, 2, step=50), "part of 360"),
        (lambda: response.gabor(CUBE, ONE, 0, 2), "above 0"),
        (lambda: response.laplacian_of_gaussian(CUBE, (2, 1, 1), 1), "equal sides, not 1 x 1 x 2 mm"),
        (lambda: response.laplacian_of_gaussian(CUBE, (0, 1, 1), 1), "above 0"),
    ],
)
def test_bad_filters_are_one_sentence(call: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
