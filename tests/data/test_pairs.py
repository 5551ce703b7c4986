"""Which mask belongs to which image: folders side by side, names in one folder, DICOM references, tables."""

from pathlib import Path

import numpy as np
import pytest

from ganatomy.core.errors import InputError
from ganatomy.data import volume
from ganatomy.data.pairs import Pair, find, listed
from ganatomy.data.volume import series_of

from .test_dicom import write
from .test_regions import item, saved


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def named(root: Path, images: str = "", masks: str | None = "") -> tuple[dict[str, list[str]], list[str], list[str]]:
    found = find(str(root / images), "" if masks is None else str(root / masks))

    def short(path: str) -> str:
        return Path(path).relative_to(root).as_posix()

    pairs: dict[str, list[str]] = {}
    for pair in found.pairs:
        pairs.setdefault(short(pair.image), []).append(short(pair.mask) if pair.mask else "")
    return pairs, [short(path) for path in found.images], [short(path) for path in found.masks]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("brain1_image.nrrd", "brain1_label.nrrd"),
        ("brain1.nrrd", "brain1-label.nrrd"),
        ("brain1.nii.gz", "brain1.seg.nrrd"),
        ("case 7.png", "case 7 mask.png"),
        ("image_007.tif", "mask_007.tif"),
        ("p1/image.nii.gz", "p1/mask.nii.gz"),
        ("p1/CT_image.nii", "p1/CT_Segmentation.nii"),
        ("p1/images/a.png", "p1/masks/a.png"),
    ],
)
def test_names_in_one_folder(tmp_path: Path, image: str, mask: str) -> None:
    touch(tmp_path, image, mask, "other.png", "other_mask.png", ".hidden.png", "readme.txt")
    pairs, images, masks = named(tmp_path)
    expected = {image: [mask], "other.png": ["other_mask.png"]}
    assert (pairs, images, masks) == (expected, [], [])


def test_folders_side_by_side(tmp_path: Path) -> None:
    touch(tmp_path, "i/a/x.png", "i/b/x.png", "i/y_0000.nii.gz", "i/y_0001.nii.gz", "i/z.png", "i/lonely.png")
    touch(tmp_path, "m/a/x.nrrd", "m/b/x.png", "m/y.nii.gz", "m/deep/z_mask_1.png", "m/deep/z_mask_2.png", "m/odd.png")
    pairs, images, masks = named(tmp_path, "i", "m")
    assert pairs == {
        "i/a/x.png": ["m/a/x.nrrd"],
        "i/b/x.png": ["m/b/x.png"],
        "i/y_0000.nii.gz": ["m/y.nii.gz"],
        "i/y_0001.nii.gz": ["m/y.nii.gz"],
        "i/z.png": ["m/deep/z_mask_1.png", "m/deep/z_mask_2.png"],
    }
    assert (images, masks) == (["i/lonely.png"], ["m/odd.png"])


def test_masks_below_the_images_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "masks/a.png")
    assert named(tmp_path, "", "masks") == ({"a.png": ["masks/a.png"]}, [], [])


def test_one_image_and_one_mask_for_all(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "m/1.png")
    assert named(tmp_path, "a.png", "m/1.png")[0] == {"a.png": ["m/1.png"]}
    assert named(tmp_path, "a.png", "m")[0] == {"a.png": ["m/1.png"]}
    assert named(tmp_path, "", "m/1.png")[0] == {"a.png": ["m/1.png"], "b.png": ["m/1.png"]}
    assert named(tmp_path, "", None)[0] == {"a.png": [""], "b.png": [""], "m/1.png": [""]}
    with pytest.raises(InputError, match=r"a\.png is given as the image and as its mask; name the mask with --masks"):
        named(tmp_path, "a.png", "a.png")


def test_dicom_masks_say_which_series_they_were_drawn_on(tmp_path: Path) -> None:
    for series in ("1.2.4", "1.2.5"):
        for k in range(2):
            place = {"ImagePositionPatient": [0, 0, k], "SeriesInstanceUID": series}
            write(tmp_path / "scans" / f"{series}-{k}.dcm", **place)
    (tmp_path / "drawn").mkdir()
    for k, series in enumerate(("1.2.5", "1.2.4")):
        refers = item(SeriesInstanceUID=series)
        study = item(RTReferencedStudySequence=[item(RTReferencedSeriesSequence=[refers])])
        uid = "1.2.840.10008.5.1.4.1.1.481.3" if k else "1.2.840.10008.5.1.4.1.1.66.4"
        how = {"ReferencedFrameOfReferenceSequence": [study]} if k else {"ReferencedSeriesSequence": [refers]}
        saved(tmp_path / "drawn" / f"{k}.dcm", uid, Modality="RTSTRUCT" if k else "SEG", **how)
    found = find(str(tmp_path / "scans"), str(tmp_path / "drawn"))
    assert len(found.pairs) == 2 and not found.images and not found.masks
    assert {(series_of(pair.image), Path(pair.mask).name) for pair in found.pairs} == {
        ("1.2.5", "0.dcm"),
        ("1.2.4", "1.dcm"),
    }


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "batch.csv"
    path.write_text("\ufeffImage, Mask,Label,site\na.nrrd,m/a.nrrd,3,x\n/abs/b.png,,,y\n")
    assert find(str(path)).pairs == [
        Pair(str(tmp_path / "a.nrrd"), str(tmp_path / "m" / "a.nrrd"), 3),
        Pair("/abs/b.png", "", None),
    ]
    path.write_text("path,class,unit,spacing,slope,intercept\nphantom:#3,x,HU,0.7x0.8,2,-1024\n")
    assert find(str(path)).pairs == [Pair("phantom:#3", "", None, 2.0, -1024.0, "HU", (0.7, 0.8))]
    with pytest.raises(InputError, match="names the masks itself"):
        find(str(path), "masks")
    for text, words in (
        ("imge,mask\na,b\n", "has no column 'image'; did you mean 'imge'"),
        ("image,mask\n", "lists no image"),
        ("image,mask\n,b\n", r"line 2 of the table .*batch\.csv needs an image"),
        ("image,label\na,b\n", r"line 2 of the table .*; label, slope and intercept are numbers"),
        ("image,spacing\na,3x0\n", r"line 2 of the table .* spacing is mm such as 3x0\.7x0\.7"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            find(str(path))


def test_other_cohorts(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", images=np.zeros((3, 4, 5), np.uint8), labels=np.array([0, 1, 1]))
    pairs = find(str(tmp_path / "c.npz")).pairs
    assert [volume.read(pair.image).values.shape for pair in pairs] == [(4, 5)] * 3
    np.savez(tmp_path / "d.npz", volumes=np.zeros((3, 4, 5, 6)), masks=np.zeros((3, 4, 5, 6)))
    with pytest.raises(InputError, match=r"d\.npz has no array 'images' but volumes, masks; .*\['volumes'\]\)$"):
        find(str(tmp_path / "d.npz"))
    few = find("phantom:").pairs[:2]
    assert all(pair.image.startswith("phantom:") for pair in few) and volume.read(few[0].image).values.ndim == 2
    with pytest.raises(InputError, match="--masks go with images in files"):
        find(str(tmp_path / "c.npz"), str(tmp_path))


def test_nothing_to_find(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "a.png")
    with pytest.raises(InputError, match="there is no file or folder nowhere; correct its name"):
        find("nowhere")
    with pytest.raises(InputError, match="empty holds no PNG, JPEG, TIFF, NIfTI, NRRD or DICOM file"):
        find(str(tmp_path / "empty"))
    with pytest.raises(InputError, match=r"there is no file or folder .*nowhere; correct --masks"):
        find(str(tmp_path / "a.png"), str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="empty holds no PNG"):
        find(str(tmp_path), str(tmp_path / "empty"))
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more" and listed(["a"]) == "a"
