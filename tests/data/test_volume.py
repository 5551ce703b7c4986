"""Whole images from every container: values, sizes, places; series put in order; what is no volume by name."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from ganatomy.core.errors import InputError
from ganatomy.data import volume
from ganatomy.data.volume import Grid

from .test_dicom import STORED, write

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
VALUES = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(np.int16)  # z, y, x


def series(folder: Path, heights: tuple[float, ...] = (0, 2, 4, 6), **tags: object) -> Path:
    for k, height in enumerate(heights):
        write(folder / f"{k}.dcm", STORED + np.uint16(k), ImagePositionPatient=[1, 2, height], **tags)
    return folder


def test_pictures(tmp_path: Path) -> None:
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(np.stack([grey] * 3, -1)).save(tmp_path / "b.png")
    Image.fromarray(np.stack([grey, grey, grey + 1], -1)).save(tmp_path / "c.png")
    tifffile.imwrite(tmp_path / "d.tif", VALUES, photometric="minisblack")
    for name in ("a", "b"):
        found = volume.read(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(found.values, grey)
        assert (found.spacing, found.grid, found.unit) == ((), None, "")
    with pytest.raises(InputError, match=r"c\.png has 3 channels that differ"):
        volume.read(tmp_path / "c.png")
    np.testing.assert_array_equal(volume.read(tmp_path / "d.tif").values, VALUES)
    np.testing.assert_array_equal(volume.read(f"{tmp_path / 'd.tif'}#2").values, VALUES[2])


def test_nifti_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    turned = np.diag([-0.7, 0.8, 2.5, 1.0])
    turned[:3, 3] = 10, 20, 30
    nib.Nifti1Image(VALUES.T, turned).to_filename(tmp_path / "a.nii.gz")
    found = volume.read(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.values.dtype == np.int16
    assert found.spacing == (2.5, np.float32(0.8), np.float32(0.7)), "single precision in the header, as ITK has it"
    assert found.grid is not None
    np.testing.assert_allclose(found.grid.affine @ [1, 0, 2, 1], [-10 + 1.4, -20, 30 + 2.5, 1], atol=1e-5)
    made = nib.Nifti1Image(VALUES.T, turned)
    made.header.set_slope_inter(0.5, -1)
    made.to_filename(tmp_path / "b.nii")
    np.testing.assert_array_equal(volume.read(tmp_path / "b.nii").values, VALUES * np.float32(0.5) - 1)


def test_nifti_without_sizes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """nibabel makes 1 of a size of 0, and goes on."""
    path = tmp_path / "a.nii"
    nib.Nifti1Image(VALUES.T, np.eye(4)).to_filename(path)
    stored = bytearray(path.read_bytes())
    stored[80:92] = struct.pack("<3f", 1, 0.5, 0)  # pixdim[1:4]
    path.write_bytes(stored)
    with pytest.raises(InputError, match=r"a\.nii says its voxels are 0x0\.5x1 mm; correct its header"):
        volume.read(path)
    assert capfd.readouterr().err == ""


def test_axes_that_are_not_at_right_angles(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 2] = 0.3
    nib.Nifti1Image(VALUES.T, sheared).to_filename(tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"the axes of .*a\.nii are not at right angles"):
        volume.read(tmp_path / "a.nii")


def test_a_series_in_any_order_of_files(tmp_path: Path) -> None:
    found = volume.read(series(tmp_path / "s", (6, 0, 4, 2)))
    assert found.unit == "HU" and found.spacing == (2.0, 0.7, 0.8)
    np.testing.assert_array_equal(found.values, STORED.astype(int) - 1024 + np.array([1, 3, 2, 0])[:, None, None])
    assert found.grid is not None
    np.testing.assert_allclose(found.grid.affine @ [3, 1, 2, 1], [1 + 2 * 0.8, 2 + 0.7, 6, 1])
    one = volume.read(tmp_path / "s" / "0.dcm")
    assert one.values.shape == STORED.shape and one.spacing == (0.7, 0.8)
    assert one.grid is not None and one.grid.shape == (1, *STORED.shape)


def test_series_that_are_no_volume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1\.dcm and .*2\.dcm are 6 mm apart and the others 2 mm; restore"):
        volume.read(series(tmp_path / "gap", (0, 2, 8, 10, 12)))
    with pytest.raises(InputError, match=r"lie at one place, so .*twice is more than one volume"):
        volume.read(series(tmp_path / "twice", (0, 2, 2, 4)))
    write(series(tmp_path / "turned") / "x.dcm", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    with pytest.raises(InputError, match=r"x\.dcm is not a slice of the same volume as .*0\.dcm"):
        volume.read(tmp_path / "turned")
    series(tmp_path / "two")
    write(tmp_path / "two" / "y.dcm", SeriesInstanceUID="1.2.5")
    with pytest.raises(InputError, match=r"two holds 2 DICOM series: two#\w+, CT thorax of Jane \(4\); two#\w+"):
        volume.read(tmp_path / "two")
    with pytest.raises(InputError, match=r"thin\.dcm says its voxels are 0x0\.8 mm"):
        volume.read(write(tmp_path / "thin.dcm", PixelSpacing=[0, 0.8], drop=("ImagePositionPatient",)))


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no file or folder .*nowhere\.nrrd"):
        volume.read(tmp_path / "nowhere.nrrd")
    with pytest.raises(InputError, match=r"a\.txt is none of PNG, JPEG, TIFF, NIfTI, NRRD and DICOM"):
        volume.read(tmp_path / "a.txt")
    with pytest.raises(InputError, match="empty holds no DICOM image"):
        volume.read(tmp_path / "empty")


def test_what_a_folder_holds(tmp_path: Path) -> None:
    series(tmp_path / "p1" / "ct")
    series(tmp_path / "p2")
    for k in range(3):
        write(tmp_path / "p2" / f"more{k}.dcm", SeriesInstanceUID="1.2.5", ImagePositionPatient=[0, 0, k])
    write(tmp_path / "xray" / "1.dcm", drop=("ImagePositionPatient",))
    write(tmp_path / "xray" / "2.dcm", drop=("ImagePositionPatient",))
    write(tmp_path / "rs.dcm", drop=("PixelData", "Rows", "BitsAllocated"))
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "z.png")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("x")
    found = volume.find(tmp_path)
    shown = [Path(name.replace("#", "/#")).relative_to(tmp_path).as_posix() for name in found]
    assert [name.partition("#")[0] for name in shown] == ["p1/ct", "p2/", "p2/", "xray/1.dcm", "xray/2.dcm", "z.png"]
    assert {volume.read(name).values.shape for name in found[1:3]} == {(4, 8, 9), (3, 8, 9)}


def test_grids_that_differ_say_how() -> None:
    def grid(affine: np.ndarray, shape: tuple[int, ...] = (6, 5, 4)) -> Grid:
        return Grid(shape, affine)

    straight = np.diag([2.0, 0.5, 0.5, 1.0])[[2, 1, 0, 3]]  # z, y, x -> x, y, z
    moved, larger, turned, nearly = straight.copy(), straight.copy(), straight.copy(), straight.copy()
    moved[0, 3] = 0.25
    larger[2, 0] = 2.1
    turned[:3, 1] *= -1
    nearly[:3, 3] += 1e-4
    assert grid(straight).difference(grid(nearly)) == ""
    assert grid(straight).difference(grid(moved)) == "its origin at (0.25, 0, 0) mm, not (0, 0, 0) mm"
    assert grid(straight).difference(grid(moved), tolerance=0.6) == ""
    assert grid(straight).difference(grid(larger)) == "voxels of 2.1x0.5x0.5 mm, not 2x0.5x0.5 mm"
    assert grid(straight).difference(grid(turned)) == (
        "axes z, y, x along (0, 0, 1), (0, -1, 0), (1, 0, 0), not (0, 0, 1), (0, 1, 0), (1, 0, 0)"
    )
    assert grid(straight).difference(grid(straight, (6, 5, 3))) == "6x5x3 voxels, not 6x5x4"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize("name", ["STS_019/PET", "STS_025/MR_T1"])
def test_a_series_and_its_nifti_are_one_image(name: str) -> None:
    of_series = volume.read(SHARED / "dicom_samples" / name / "image")
    of_nifti = volume.read(SHARED / "sts_ct_pet_mr" / f"{name}_image.nii.gz")
    np.testing.assert_allclose(of_series.values, of_nifti.values, atol=0.5 if "MR" in name else 1e-5)
    assert of_series.grid is not None and of_nifti.grid is not None
    assert of_series.grid.difference(of_nifti.grid) == ""
