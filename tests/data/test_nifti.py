"""NIfTI: slices upright whatever the file's orientation, values and spacing as the file says, masks that choose."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ganatomy.core.cohort import read_manifest, write_manifest
from ganatomy.core.errors import InputError
from ganatomy.data.read import image, pixels
from ganatomy.data.scan import Read, read, source_hash

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
# (right, anterior, superior): every voxel says where it is
R, A, S = 4, 5, 6
VOLUME = (100 * np.arange(S) + 10 * np.arange(A)[:, None] + np.arange(R)[:, None, None]).astype(np.int16)
SIZES = (0.5, 0.75, 2.0)


def write(path, values=VOLUME, axes="RAS", sizes=SIZES, slope=None, units="mm"):
    """A volume given as (right, anterior, superior), stored along other axes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = nib.Nifti1Image(values, np.diag([*sizes, 1]))
    turn = nib.orientations.ornt_transform(nib.io_orientation(made.affine), nib.orientations.axcodes2ornt(tuple(axes)))
    made = made.as_reoriented(turn)
    assert "".join(nib.aff2axcodes(made.affine)) == axes
    made.header.set_xyzt_units(units)
    if slope:
        made.header.set_slope_inter(*slope)
    made.to_filename(path)
    return path


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "ASR", "SPL", "PIR"])
def test_slices_are_upright_whatever_the_file_says(tmp_path, axes):
    write(tmp_path / "a" / "x.nii.gz", axes=axes)
    found = read(tmp_path)
    assert pixels(found).shape == (S, 1, A, R) and set(found.column("spacing")) == {"0.75x0.5"}
    axial = image(found.column("path")[2]).values[0]
    assert axial.dtype == np.int16 and found.column("path")[2].endswith("x.nii.gz#axial/2")
    assert axial[0, 0] == 200 + 10 * (A - 1) + R - 1, "anterior on top, the patient's right on the left"
    assert axial[-1, -1] == 200
    coronal = read(tmp_path, Read(axis="coronal"))
    assert pixels(coronal).shape == (A, 1, S, R) and coronal.column("spacing")[0] == "2x0.5"
    assert image(coronal.column("path")[1]).values[0, 0, 0] == 100 * (S - 1) + 10 + R - 1
    sagittal = read(tmp_path, Read(axis="sagittal"))
    assert pixels(sagittal).shape == (R, 1, S, A) and sagittal.column("spacing")[0] == "2x0.75"
    assert image(sagittal.column("path")[3]).values[0, 0, 0] == 100 * (S - 1) + 10 * (A - 1) + 3


def test_values_are_scaled_as_the_file_says(tmp_path):
    write(tmp_path / "a" / "half.nii", slope=(0.5, -1))
    got = image(read(tmp_path).column("path")[3]).values[0]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, VOLUME[::-1, ::-1, 3].T * 0.5 - 1)
    write(tmp_path / "a" / "half.nii", slope=(1, -1024))
    got = image(read(tmp_path).column("path")[3]).values[0]
    assert got.dtype == np.int16 and got[-1, -1] == 300 - 1024


def test_slices_of_one_file_are_of_one_patient_and_open_again(tmp_path):
    for name in ("a/x", "a/y", "b/z"):
        write(tmp_path / f"{name}.nii.gz")
    found = read(tmp_path, Read(slices="3", unit="HU"))
    image(found.column("path")[0]).values[:] = 0  # a copy: the file's other readers are not spoilt
    assert found.patients == ["a/x.nii.gz"] * 2 + ["a/y.nii.gz"] * 2 + ["b/z.nii.gz"] * 2
    assert found.column("path")[1].endswith("#axial/4") and found.column("unit")[0] == "HU"
    again = read_manifest(write_manifest(found, tmp_path / "m.csv"))
    np.testing.assert_array_equal(pixels(again), pixels(found))
    assert source_hash(again) == source_hash(found)
    assert len(read(tmp_path, Read(slices="middle"))) == 3


def test_a_manifest_that_names_volumes_is_opened_into_slices(tmp_path):
    write(tmp_path / "x.nii.gz")
    (tmp_path / "m.csv").write_text("path,class,patient,spacing,sex\nx.nii.gz,a,7,1x1,F\nx.nii.gz#axial/2,b,8,,M\n")
    found = read(tmp_path / "m.csv")
    assert found.labels == ["a"] * S + ["b"] and set(found.patients) == {"7", "8"}
    assert found.column("spacing") == ["1x1"] * S + [""] and found.column("sex")[-1] == "M"


def test_millimetres_whatever_the_files_unit(tmp_path):
    write(tmp_path / "a" / "x.nii", sizes=(500, 750, 2000), units="micron")
    assert read(tmp_path).column("spacing")[0] == "0.75x0.5"


# ------------------------------------------------------------ masks


def marked(path, at, shape=VOLUME.shape, axes="RAS"):
    mask = np.zeros(shape, np.uint8)
    mask[1, 1, 1] = 1
    mask[1:3, 1:4, at] = 2
    return write(path, mask, axes=axes)


def test_the_slice_where_the_mask_is_largest(tmp_path):
    for label, at in (("a", 4), ("b", 3)):
        write(tmp_path / label / "p_image.nii.gz", axes="LPS")
        marked(tmp_path / label / "p_mask.nii.gz", at, axes="PIR")
    found = read(tmp_path, Read(slices="largest", masks="image=mask"))
    assert [path[-17:] for path in found.column("path")] == ["mage.nii.gz#axial/4"[-17:], "mage.nii.gz#axial/3"[-17:]]
    assert len(read(tmp_path, Read(masks="image=mask"))) == 2 * S, "masks are no images"


@pytest.mark.parametrize(
    ("masks", "make", "words"),
    [
        ("", lambda p: None, r"needs a mask for .*p_image\.nii\.gz; say where it is with --masks"),
        ("image=mask", lambda p: None, r"there is no .*p_mask\.nii\.gz"),
        ("img=mask", lambda p: None, r"needs a mask for .*p_image"),
        ("image", lambda p: None, "written as word=word"),
        ("image=mask", lambda p: marked(p, 1, (4, 5, 5)), "they need one grid"),
        ("image=mask", lambda p: write(p, VOLUME * 0), r"p_mask\.nii\.gz marks nothing"),
    ],
)
def test_masks_that_do_not_fit_are_named(tmp_path, masks, make, words):
    write(tmp_path / "a" / "p_image.nii.gz")
    make(tmp_path / "a" / "p_mask.nii.gz")
    with pytest.raises(InputError, match=words):
        read(tmp_path, Read(slices="largest", masks=masks))


# ------------------------------------------------------------ what cannot be read


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.write_text("no image"), "cannot be read as NIfTI"),
        (lambda p: p.write_bytes(b""), "cannot be read as NIfTI"),
        (lambda p: p.write_bytes(p.read_bytes()[:-60]), "cannot be read as NIfTI"),
        (lambda p: write_plain(p, np.zeros((3, 4, 5, 2), np.int16)), "3x4x5x2; one volume of three axes"),
        (lambda p: write_plain(p, np.zeros((3, 4), np.int16)), "3x4; one volume of three axes"),
    ],
    ids=["text", "empty", "cut", "time", "flat"],
)
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_what_is_broken_is_named_in_one_sentence(tmp_path, name, spoil, words):
    path = write(tmp_path / "a" / name)
    spoil(path)
    with pytest.raises(InputError, match=words) as caught:
        pixels(read(tmp_path))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def write_plain(path, values):
    nib.Nifti1Image(values, np.eye(4)).to_filename(path)


def test_a_slice_that_has_gone_is_named(tmp_path):
    path = write(tmp_path / "x.nii")
    with pytest.raises(InputError, match="has no slice axial/6"):
        image(f"{path}#axial/6")
    with pytest.raises(InputError, match=r"no file .*y\.nii"):
        image(f"{tmp_path / 'y.nii'}#axial/0")


@pytest.mark.parametrize("word", ["0", "-1", "some", "1.5", ""])
def test_which_slices_is_said_in_words_that_are_known(tmp_path, word):
    write(tmp_path / "a" / "x.nii")
    with pytest.raises(InputError, match="--slices is all, middle, largest or a number"):
        read(tmp_path, Read(slices=word))


# ------------------------------------------------------------ real volumes, where they lie beside the checkout


def test_tumours_at_their_largest(tmp_path):
    source = SHARED / "sts_ct_pet_mr"
    if not source.exists():
        pytest.skip("sts_ct_pet_mr is not beside the checkout")
    for who in ("STS_002", "STS_008"):
        (tmp_path / who).symlink_to(source / who)
    lines = [f"{who}/CT_image.nii.gz,{k},{who}" for k, who in enumerate(("STS_002", "STS_008"))]
    (tmp_path / "m.csv").write_text("\n".join(["path,class,patient", *lines]))
    found = read(tmp_path / "m.csv", Read(slices="largest", masks="image=mask", unit="HU"))
    for one in found.column("path"):
        volume, _, index = one.rpartition("/")
        mask = nib.as_closest_canonical(nib.load(volume.replace("image", "mask").partition("#")[0]))
        assert int(index) == int(np.asarray(mask.dataobj).sum((0, 1)).argmax())
        assert -1100 <= image(one).values.min() < 100
    assert all(0.9 < float(size) < 1 for text in found.column("spacing") for size in text.split("x"))
