"""NRRD: values along z, y, x, positions in LPS whatever the file's space, segments with names, broken files."""

from pathlib import Path

import nrrd
import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.data import volume
from ganatomy.data.nrrd import Segment, read

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "pyradiomics_cases"
X, Y, Z = 4, 5, 6
STORED = (np.arange(X)[:, None, None] + 10 * np.arange(Y)[:, None] + 100 * np.arange(Z)).astype(np.int16)  # x, y, z
PLACE = {
    "space": "left-posterior-superior",
    "space directions": np.diag([0.5, 0.75, 2.0]),
    "space origin": np.array([-10.0, 20.0, 30.0]),
}


def ours(name: str) -> str:
    return name if name.startswith("Segment") else name.replace("_", " ")


def write(path: Path, values: np.ndarray = STORED, **header: object) -> Path:
    nrrd.write(str(path), values, {**PLACE, **{ours(name): value for name, value in header.items()}})
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_values_stand_along_z_y_x(tmp_path: Path, encoding: str, endian: str) -> None:
    found = volume.read(write(tmp_path / "a.nrrd", STORED, encoding=encoding, endian=endian))
    assert found.values.shape == (Z, Y, X) and found.values.dtype == np.dtype(np.int16)
    assert found.values[3, 2, 1] == 321
    assert found.spacing == (2.0, 0.75, 0.5)
    assert found.grid is not None and found.grid.spacing == (2.0, 0.75, 0.5)
    np.testing.assert_allclose(found.grid.affine @ [1, 2, 3, 1], [-10 + 1.5, 20 + 1.5, 30 + 2, 1])


@pytest.mark.parametrize(
    ("space", "signs"),
    [("left-posterior-superior", (1, 1, 1)), ("RAS", (-1, -1, 1)), ("left-anterior-superior", (1, -1, 1))],
)
def test_every_space_becomes_lps(tmp_path: Path, space: str, signs: tuple[int, ...]) -> None:
    found = read(write(tmp_path / "a.nrrd", space=space))
    assert found.affine is not None
    np.testing.assert_allclose(found.affine[:3, 3], np.array([-10, 20, 30]) * signs)
    np.testing.assert_allclose(found.affine[:3, :3], (np.diag([0.5, 0.75, 2.0]) * np.array(signs)[:, None])[:, ::-1])


def test_units_become_millimetres_and_others_are_refused(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.nrrd", space_units=["cm", "cm", "cm"]))
    assert found.spacing == (20.0, 7.5, 5.0)
    assert found.affine is not None and found.affine[0, 3] == -100
    with pytest.raises(InputError, match=r"b\.nrrd gives lengths in furlong, furlong, furlong; millimetres are needed"):
        read(write(tmp_path / "b.nrrd", space_units=["furlong"] * 3))


def test_a_detached_header_and_its_data(tmp_path: Path) -> None:
    path = tmp_path / "a.nhdr"
    nrrd.write(str(path), STORED, PLACE, detached_header=True)
    assert volume.read(path).values[3, 2, 1] == 321
    next(other for other in tmp_path.iterdir() if other != path).unlink()
    with pytest.raises(InputError, match=r"there is no file .*, which .*a\.nhdr names"):
        volume.read(path)


def test_a_slice_and_sizes_without_a_place(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), STORED[..., 0], {"spacings": [0.5, 0.75]})
    found = volume.read(tmp_path / "a.nrrd")
    assert found.values.shape == (Y, X) and found.spacing == (0.75, 0.5) and found.grid is None
    nrrd.write(str(tmp_path / "b.nrrd"), STORED)
    found = volume.read(tmp_path / "b.nrrd")
    assert found.values.shape == (Z, Y, X) and found.spacing == () and found.grid is None


def test_colours_and_time_are_refused(tmp_path: Path) -> None:
    directions = np.vstack([np.full(3, np.nan), PLACE["space directions"]])
    several = np.stack([STORED, STORED + 1])
    path = write(tmp_path / "a.nrrd", several, space_directions=directions, kinds=["vector", *["domain"] * 3])
    assert read(path).values.shape == (2, Z, Y, X)
    with pytest.raises(InputError, match=r"a\.nrrd has 2 channels that differ"):
        volume.read(path)
    nrrd.write(str(tmp_path / "b.nrrd"), np.stack([STORED, STORED]))
    with pytest.raises(InputError, match=r"b\.nrrd holds an array of 2x4x5x6 with 4 axes in space"):
        read(tmp_path / "b.nrrd")


def test_segments_of_slicer_have_names(tmp_path: Path) -> None:
    said = {"Segment0_Name": "tumour", "Segment0_LabelValue": "2", "Segment0_Layer": "0"}
    said |= {"Segment10_Name": "node", "Segment10_LabelValue": "1", "Segment10_Layer": "1"}
    assert read(write(tmp_path / "a.seg.nrrd", **said)).segments == (Segment("tumour", 2, 0), Segment("node", 1, 1))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "cut.nrrd").write_bytes(whole[: len(whole) - 20])
    (tmp_path / "text.nrrd").write_text("no header")
    (tmp_path / "empty.nrrd").write_bytes(b"")
    for name in ("cut", "text", "empty"):
        with pytest.raises(
            InputError, match=rf"{name}\.nrrd cannot be read as NRRD \(.+\); is it damaged or cut short\?"
        ):
            volume.read(tmp_path / f"{name}.nrrd")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_published_cases() -> None:
    found = volume.read(SHARED / "brain1_image.nrrd")
    assert found.values.shape == (25, 256, 256)
    assert found.spacing == (6.499999999999998, 0.7812499999999999, 0.7812499999999999), "as ITK has them"
    assert (found.values.min(), found.values.max()) == (0, 3057)
