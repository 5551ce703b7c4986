"""Masks: label maps, SEG and RTSTRUCT end as regions on the image's grid, or as one sentence that names both files."""

from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ganatomy.core.errors import InputError
from ganatomy.data import regions, volume
from ganatomy.data.regions import SEGMENTATIONS, STRUCTURE_SET, fill, read

from .test_dicom import write

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
DEPTH, HEIGHT, WIDTH = 4, 8, 9
HEIGHTS = (10.0, 12.0, 14.0, 16.0)


@pytest.fixture
def scan(tmp_path: Path) -> volume.Volume:
    """A series of four slices, 2 mm apart, pixels of 0.7 x 0.8 mm, first pixel at (1, 2)."""
    for k, z in enumerate(HEIGHTS):
        write(tmp_path / "scan" / f"{k}.dcm", ImagePositionPatient=[1, 2, z])
    return volume.read(tmp_path / "scan")


def placed(path: Path, labels: np.ndarray, image: volume.Volume, shift: float = 0.0) -> Path:
    """A label map as NIfTI on the image's grid, or shifted along x."""
    assert image.grid is not None
    affine = image.grid.affine[:, [2, 1, 0, 3]].copy()
    affine[0, 3] += shift
    nib.Nifti1Image(labels.T, np.diag([-1, -1, 1, 1]) @ affine).to_filename(path)
    return path


def labelled(*where: tuple[int, Any]) -> np.ndarray:
    made = np.zeros((DEPTH, HEIGHT, WIDTH), np.uint8)
    for label, at in where:
        made[at] = label
    return made


BLOCK = np.s_[1:3, 2:5, 3:7]
MAP = labelled((1, BLOCK), (7, np.s_[0, 0, 0]))


# ---- label maps ----


def test_label_maps_of_every_format(tmp_path: Path, scan: volume.Volume) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), MAP.T)
    nib.Nifti1Image(MAP.T.astype(np.float32), np.eye(4)).to_filename(tmp_path / "b.nii")
    Image.fromarray(MAP[1] * 255).save(tmp_path / "c.png")
    plain = volume.Volume(scan.values, (), None, "", "plain")
    for path in (tmp_path / "a.nrrd", tmp_path / "b.nii", placed(tmp_path / "d.nii.gz", MAP, scan)):
        mask = read(path, plain if path.name < "d" else scan)
        assert mask.labels == (1, 7) and mask.layers[0].dtype == np.uint8
        np.testing.assert_array_equal(mask.inside(1), MAP == 1)
        np.testing.assert_array_equal(mask.inside(7), MAP == 7)
    mask = read(tmp_path / "c.png", volume.Volume(scan.values[1], (), None, "", "slice"))
    assert mask.labels == (255,)
    np.testing.assert_array_equal(mask.inside(255), MAP[1] == 1)


def test_a_slice_and_a_volume_of_one_slice_fit(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), MAP[1:2].T)
    for shape in ((1, HEIGHT, WIDTH), (HEIGHT, WIDTH)):
        mask = read(tmp_path / "a.nrrd", volume.Volume(np.zeros(shape), (), None, "", "slice"))
        assert mask.inside(1).shape == shape and mask.inside(1).sum() == 12


def test_what_is_no_mask(tmp_path: Path, scan: volume.Volume) -> None:
    def refused(name: str, labels: np.ndarray, words: str) -> None:
        nrrd.write(str(tmp_path / name), labels.T)
        with pytest.raises(InputError, match=words):
            read(tmp_path / name, volume.Volume(scan.values, (), None, "", "the scan"))

    refused("half.nrrd", MAP * 0.5, r"half\.nrrd holds values that are not whole numbers, such as 3\.5; a mask has 0")
    refused("nan.nrrd", np.where(MAP == 1, np.nan, 0), r"nan\.nrrd holds values that are not whole .* nan")
    refused("less.nrrd", -MAP.astype(np.int16), r"less\.nrrd holds values from -7 to 0; labels are whole numbers above")
    refused("none.nrrd", MAP * 0, r"the mask .*none\.nrrd marks nothing")
    refused("small.nrrd", MAP[:, :4], r"the mask .*small\.nrrd is 4x4x9 and its image the scan 4x8x9; bring both")
    Image.fromarray(MAP[1]).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"the mask .*a\.jpg is a JPEG"):
        read(tmp_path / "a.jpg", scan)
    mask = read(placed(tmp_path / "a.nii", MAP, scan), scan)
    with pytest.raises(InputError, match=r"a\.nii has no label 3; it has 1, 7"):
        mask.inside(3)


def test_another_grid_names_both_or_is_brought_to_the_image(tmp_path: Path, scan: volume.Volume) -> None:
    nearly = placed(tmp_path / "nearly.nii", MAP, scan, shift=0.004)
    np.testing.assert_array_equal(read(nearly, scan).inside(1), MAP == 1)
    path = placed(tmp_path / "moved.nii", MAP, scan, shift=0.8)  # by a voxel
    with pytest.raises(
        InputError, match=r"moved\.nii is not on the grid of its image .*scan: its origin at \(1\.8, 2, 10\)"
    ):
        read(path, scan)
    moved = read(path, scan, correct=True)
    np.testing.assert_array_equal(moved.inside(1), np.roll(MAP == 1, 1, axis=2))
    far = placed(tmp_path / "far.nii", MAP, scan, shift=30)
    with pytest.raises(InputError, match=r"far\.nii marks voxels outside its image .*scan"):
        read(far, scan, correct=True)
    with pytest.raises(InputError, match=r"coarse\.nrrd has voxels of 3x3x3 mm and its image .* of 2x0\.7x0\.8 mm"):
        nrrd.write(str(tmp_path / "coarse.nrrd"), MAP.T, {"spacings": [3, 3, 3]})
        read(tmp_path / "coarse.nrrd", scan)


def test_segments_of_slicer(tmp_path: Path) -> None:
    """Two layers, for the two segments overlap; both have the value 1."""
    layers = np.stack([MAP == 1, labelled((1, np.s_[1:4, 3:6, 2:5])) == 1]).astype(np.uint8)
    header: dict[str, Any] = {"kinds": ["list", *["domain"] * 3]}
    header["space directions"] = np.vstack([np.full(3, np.nan), np.eye(3)])
    header["space"], header["space origin"] = "left-posterior-superior", np.zeros(3)
    for k, name in enumerate(("tumour", "node")):
        header |= {f"Segment{k}_Name": name, f"Segment{k}_LabelValue": "1", f"Segment{k}_Layer": f"{k}"}
    nrrd.write(str(tmp_path / "a.seg.nrrd"), layers.transpose(0, 3, 2, 1), header)
    mask = read(tmp_path / "a.seg.nrrd", volume.Volume(np.zeros(MAP.shape), (), None, "", "scan"))
    assert [(label, mask.regions[label].name) for label in mask.labels] == [(1, "tumour"), (2, "node")]
    for label in (1, 2):
        np.testing.assert_array_equal(mask.inside(label), layers[label - 1] == 1)
    with pytest.raises(InputError, match=r"it has 1 \(tumour\), 2 \(node\)"):
        mask.inside(3)


# ---- DICOM segmentations ----


def item(**values: Any) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def saved(path: Path, uid: str, **tags: Any) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        ExplicitVRLittleEndian,
        uid,
        "1.2.9",
    )
    made = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    for name, value in {"SOPClassUID": uid, "SOPInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.8", **tags}.items():
        setattr(made, name, value)
    made.save_as(path)
    return path


def segmentation(path: Path, segments: dict[str, np.ndarray], kind: str = "BINARY", **place: Any) -> Path:
    """A SEG of named segments; frames without a pixel are left out, and the slices are written from the top."""
    frames, pixels = [], []
    for number, values in enumerate(segments.values(), 1):
        for k in reversed(range(len(values))):
            if values[k].any():
                at = item(ImagePositionPatient=[1 + place.get("shift", 0), 2, HEIGHTS[k]])
                whose = item(ReferencedSegmentNumber=number)
                frames.append(item(PlanePositionSequence=[at], SegmentIdentificationSequence=[whose]))
                pixels.append(values[k][::-1] if place.get("flipped") else values[k])
    turned = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    if place.get("flipped"):
        turned.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]
        for frame in frames:
            frame.PlanePositionSequence[0].ImagePositionPatient[1] = 2 + 0.7 * (HEIGHT - 1)
    shared = item(
        PlaneOrientationSequence=[turned],
        PixelMeasuresSequence=[item(PixelSpacing=[0.7, 0.8], SliceThickness=2)],
    )
    stack = np.array(pixels)
    if kind == "BINARY":
        bits, data = 1, np.packbits(stack.astype(bool).ravel(), bitorder="little").tobytes()
    else:
        bits, data = 8, stack.astype(np.uint8).tobytes()
    return saved(
        path,
        SEGMENTATIONS[0],
        Modality="SEG",
        SegmentationType=kind,
        MaximumFractionalValue=200,
        SegmentSequence=[item(SegmentNumber=k, SegmentLabel=name) for k, name in enumerate(segments, 1)],
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
        NumberOfFrames=len(frames),
        Rows=HEIGHT,
        Columns=WIDTH,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
        PixelData=data + b"\0" * (len(data) % 2),
    )


@pytest.mark.parametrize("flipped", [False, True])
def test_a_segmentation_lies_where_its_frames_say(tmp_path: Path, scan: volume.Volume, flipped: bool) -> None:
    tumour, node = MAP == 1, labelled((1, np.s_[2:4, 4:7, 5:8])) == 1  # they overlap
    path = segmentation(tmp_path / "seg.dcm", {"tumour": tumour, "node": node}, flipped=flipped)
    mask = read(path, scan)
    assert {label: region.name for label, region in mask.regions.items()} == {1: "tumour", 2: "node"}
    np.testing.assert_array_equal(mask.inside(1), tumour)
    np.testing.assert_array_equal(mask.inside(2), node)
    assert len(mask.layers) == 2


def test_a_fractional_segmentation_is_cut_at_half(tmp_path: Path, scan: volume.Volume) -> None:
    shares = labelled((200, BLOCK), (99, np.s_[0, 1, 1]), (100, np.s_[0, 1, 2]))
    mask = read(segmentation(tmp_path / "seg.dcm", {"a": shares}, "FRACTIONAL"), scan)
    np.testing.assert_array_equal(mask.inside(1), shares >= 100)


def test_a_segmentation_of_another_image(tmp_path: Path, scan: volume.Volume) -> None:
    beside = segmentation(tmp_path / "beside.dcm", {"a": MAP == 1}, shift=0.3)
    with pytest.raises(InputError, match=r"beside\.dcm is not on the grid of its image .*scan: .* 0\.38 voxels beside"):
        read(beside, scan)
    beyond = segmentation(tmp_path / "beyond.dcm", {"a": MAP == 1, "b": MAP == 7}, shift=-2.4)
    mask = read(beyond, scan)
    with pytest.raises(InputError, match=r"the region 2 \(b\) of .*beyond\.dcm reaches beyond its image .*scan"):
        mask.inside(2)
    np.testing.assert_array_equal(mask.inside(1), np.roll(MAP == 1, -3, axis=2))
    with pytest.raises(InputError, match=r"seg\.dcm holds no image"):
        volume.read(segmentation(tmp_path / "seg.dcm", {"a": MAP == 1}))
    with pytest.raises(InputError, match=r"does not; give the image as DICOM, NIfTI or NRRD"):
        read(tmp_path / "seg.dcm", volume.Volume(scan.values, (), None, "", "x.png"))


# ---- structure sets ----


def box(k: float, top: float, left: float, bottom: float, right: float) -> list[float]:
    """A rectangle in voxels as contour data in mm."""
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return [v for r, c in corners for v in (1 + 0.8 * c, 2 + 0.7 * r, HEIGHTS[0] + 2 * k)]


def structures(path: Path, drawn: dict[str, list[list[float]]], kind: str = "CLOSED_PLANAR") -> Path:
    def contour(points: list[float]) -> Dataset:
        return item(
            ContourGeometricType=kind, NumberOfContourPoints=len(points) // 3, ContourData=[f"{v:.6f}" for v in points]
        )

    return saved(
        path,
        STRUCTURE_SET,
        Modality="RTSTRUCT",
        StructureSetROISequence=[item(ROINumber=k, ROIName=name) for k, name in enumerate(drawn, 3)],
        ROIContourSequence=[
            item(ReferencedROINumber=k, ContourSequence=[contour(points) for points in contours])
            for k, contours in enumerate(drawn.values(), 3)
        ],
    )


def test_contours_are_filled_and_holes_stay_open(tmp_path: Path, scan: volume.Volume) -> None:
    ring = [box(1, 0.5, 0.5, 6.5, 6.5), box(1, 2.5, 2.5, 4.5, 4.5), box(2, 0.6, 0.6, 1.4, 1.4)]
    mask = read(structures(tmp_path / "rs.dcm", {"GTV": ring, "none": [], "node": [box(3, 1.5, 1.5, 3.5, 3.5)]}), scan)
    assert {label: region.name for label, region in mask.regions.items()} == {3: "GTV", 5: "node"}
    expected = labelled((1, np.s_[1, 1:7, 1:7]), (0, np.s_[1, 3:5, 3:5]), (1, np.s_[2, 1, 1])) == 1
    np.testing.assert_array_equal(mask.inside(3), expected)
    assert mask.inside(5).sum() == 4 and len(mask.layers) == 1


@pytest.mark.parametrize(
    ("contours", "kind", "words"),
    [
        ([box(9, 1, 1, 3, 3)], "CLOSED_PLANAR", "reaches beyond its image"),
        ([box(1, 1, 1, 3, 30)], "CLOSED_PLANAR", "reaches beyond its image"),
        ([box(0, 1, 1, 3, 3)[:6] + box(2, 1, 1, 3, 3)[6:]], "CLOSED_PLANAR", "is drawn across the slices of"),
        ([box(1, 1, 1, 3, 3)[:3]], "POINT", "is drawn as POINT and encloses nothing in"),
        ([box(1, 1.2, 1.2, 1.4, 1.4)], "CLOSED_PLANAR", "encloses the centre of no voxel of"),
    ],
)
def test_structures_that_cannot_be_filled(
    tmp_path: Path, scan: volume.Volume, contours: list[list[float]], kind: str, words: str
) -> None:
    mask = read(structures(tmp_path / "rs.dcm", {"GTV": contours}, kind), scan)
    with pytest.raises(InputError, match=rf"the region 3 \(GTV\) of .*rs\.dcm {words} .*scan; leave it out"):
        mask.inside(3)


def test_damaged_headers_are_named(tmp_path: Path, scan: volume.Volume) -> None:
    """pydicom reads values when they are asked for, so these files can be opened."""
    whole = structures(tmp_path / "rs.dcm", {"GTV": [box(1, 1, 1, 3, 3)]}).read_bytes()
    (tmp_path / "odd.dcm").write_bytes(whole.replace(b"1.800000", b"1.8-0000", 1))
    with pytest.raises(InputError, match=r"odd\.dcm has a header that makes no sense \(.*1\.8-0000"):
        read(tmp_path / "odd.dcm", scan)
    whole = segmentation(tmp_path / "seg.dcm", {"a": MAP == 1}).read_bytes()
    (tmp_path / "odd.dcm").write_bytes(whole.replace(b"0.7\\0.8", b"0.7\\0,8", 1))
    with pytest.raises(InputError, match=r"odd\.dcm has a header that makes no sense \(.*0,8"):
        read(tmp_path / "odd.dcm", scan)


def test_structures_drawn_on_a_coarser_series(tmp_path: Path) -> None:
    for k in range(7):
        write(tmp_path / "fine" / f"{k}.dcm", ImagePositionPatient=[1, 2, 10 + k])
    path = structures(tmp_path / "rs.dcm", {"GTV": [box(k, 1, 1, 4, 4) for k in range(3)]})
    with pytest.raises(InputError, match=r"is drawn on every 2\. slice only of .*fine"):
        read(path, volume.read(tmp_path / "fine")).inside(3)


def test_filling_gives_each_centre_to_one_of_two_neighbours() -> None:
    left = np.array([[0.0, 0], [0, 3], [4, 3], [4, 0]])
    right = left + np.array([0, 3])
    a, b = fill([left], (6, 8)), fill([right], (6, 8))
    assert a.sum() == b.sum() == 12 and not (a & b).any()
    np.testing.assert_array_equal(fill([left, right], (6, 8)), a | b)
    assert fill([left - 2], (6, 8)).sum() == 2 and fill([left + np.array([4, 6])], (6, 8)).sum() == 4, (
        "clipped at the border"
    )
    angle = np.linspace(0, 2 * np.pi, 721)[:-1]
    disc = fill([np.stack([50 + 40 * np.sin(angle), 50 + 40 * np.cos(angle)], 1)], (101, 101))
    y, x = np.mgrid[:101, :101]
    assert abs(int(disc.sum()) - int(((y - 50) ** 2 + (x - 50) ** 2 < 40**2).sum())) <= 8


# ---- real files ----


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize("name", ["STS_019/PET", "STS_025/MR_T1"])
def test_real_structures_equal_the_masks_published_with_them(name: str) -> None:
    image = volume.read(SHARED / "dicom_samples" / name / "image")
    drawn = read(SHARED / "dicom_samples" / name / "mask" / "RS.dcm", image)
    published = read(SHARED / "sts_ct_pet_mr" / f"{name}_mask.nii.gz", image)
    np.testing.assert_array_equal(drawn.inside(drawn.labels[0]), published.inside(1))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_a_real_segmentation() -> None:
    path = SHARED / "dicom_samples" / "single" / "liver.dcm"
    frame = pydicom.dcmread(path).pixel_array
    affine = np.array([[0, 0, 0.810547, -235.2], [0, 0.810547, 0, -226.8], [1, 0, 0, -128.69], [0, 0, 0, 1.0]])
    image = volume.Volume(np.zeros((3, 512, 512)), (), volume.Grid((3, 512, 512), affine), "", "ct")
    mask = regions.read(path, image)
    assert mask.regions[1].name == "Liver" and mask.inside(1).sum() == frame.sum()
