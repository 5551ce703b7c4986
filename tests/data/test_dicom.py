"""DICOM: values as the file says, frame by frame; what a header may give away; broken files by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ganatomy.core.cohort import read_manifest, write_manifest
from ganatomy.core.errors import InputError
from ganatomy.data import dicom
from ganatomy.data.read import image, images, pixels
from ganatomy.data.scan import Read, read, source_hash

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
STORED = np.random.default_rng(0).integers(0, 4000, (8, 9)).astype(np.uint16)


def write(path, stored=STORED, syntax=ExplicitVRLittleEndian, drop=(), **tags):
    """A CT slice, or what the tags make of it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        syntax,
        CTImageStorage,
        "1.2.3",
    )
    made = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    deep = stored.dtype.itemsize * 8
    given = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": "1.2.3",
        "Modality": "CT",
        "PatientID": "0815",
        "PatientName": "Doe^Jane",
        "StudyDate": "20200229",
        "SeriesDescription": "thorax of Jane",
        "SeriesInstanceUID": "1.2.4",
        "Manufacturer": "ACME",
        "ConvolutionKernel": "B30f",
        "SliceThickness": "1.25",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
        "PixelSpacing": [0.7, 0.8],
        "Rows": stored.shape[-3] if "SamplesPerPixel" in tags else stored.shape[-2],
        "Columns": stored.shape[-2] if "SamplesPerPixel" in tags else stored.shape[-1],
        "BitsAllocated": deep,
        "BitsStored": deep,
        "HighBit": deep - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "PixelData": stored.astype(stored.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes(),
        **tags,
    }
    for name, value in given.items():
        if name not in drop:
            setattr(made, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax == pydicom.uid.MPEG2MPML:
        made.PixelData = pydicom.encaps.encapsulate([bytes(8)])
        made["PixelData"].VR = "OB"
    if syntax in (JPEG2000Lossless, JPEGLSLossless, RLELossless):
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.compress(syntax, generate_instance_uid=False)
    if syntax == ExplicitVRBigEndian:
        pydicom.dcmwrite(path, made, implicit_vr=False, little_endian=False, force_encoding=True)
    else:
        made.save_as(path, enforce_file_format=False)
    return path


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_hounsfield_units_are_exactly_as_the_file_says(tmp_path, syntax):
    path = write(tmp_path / "a" / "IM0001", syntax=syntax)  # without a suffix
    got = image(str(path))
    assert got.values.dtype == np.int16
    np.testing.assert_array_equal(got.values[0], STORED.astype(int) - 1024)
    row = read(tmp_path).table.iloc[0].to_dict()
    assert (row["unit"], row["spacing"], row["modality"]) == ("HU", "0.7x0.8", "CT")
    assert (row["manufacturer"], row["kernel"], row["slice_thickness"]) == ("ACME", "B30f", "1.25")


def test_each_slice_has_its_own_slope(tmp_path):
    for k, slope in enumerate((1, 0.5, 0.00046194861026)):
        write(tmp_path / "a" / f"{k}.dcm", Modality="PT", Units="BQML", RescaleSlope=slope, RescaleIntercept=0)
    found = read(tmp_path)
    values = pixels(found)
    assert values.dtype == np.float32 and found.column("unit") == ["BQML"] * 3
    for one, slope in zip(values, (1, 0.5, 0.00046194861026), strict=True):
        np.testing.assert_array_equal(one[0], (STORED * slope).astype(np.float32))


def test_slopes_of_some_slices_make_fractions_of_all(tmp_path):
    for k, slope in enumerate((1, 0.5)):
        write(tmp_path / "a" / f"{k}.dcm", Modality="MR", RescaleSlope=slope, RescaleIntercept=0)
    values = pixels(read(tmp_path))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[:, 0], [STORED, STORED / 2])


def test_low_is_white_is_inverted_unless_it_has_a_unit(tmp_path):
    plain = {"Modality": "CR", "PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    path = write(tmp_path / "x.dcm", drop=("RescaleSlope", "RescaleIntercept"), **plain)
    np.testing.assert_array_equal(image(str(path)).values[0], 4095 - STORED.astype(int))
    path = write(tmp_path / "y.dcm", PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(image(str(path)).values[0], STORED.astype(int) - 1024)
    path = write(
        tmp_path / "z.dcm", STORED.astype(np.int16), **{**plain, "BitsStored": 16, "HighBit": 15, "RescaleIntercept": 0}
    )
    np.testing.assert_array_equal(image(str(path)).values[0], -1 - STORED.astype(int))


def test_magnetic_resonance_has_no_unit_and_eight_bits_stay_eight(tmp_path):
    small = (STORED // 16).astype(np.uint8)
    path = write(tmp_path / "a" / "x.dcm", small, drop=("RescaleSlope", "RescaleIntercept"), Modality="MR")
    np.testing.assert_array_equal(image(str(path)).values, small[None])
    assert image(str(path)).values.dtype == np.uint8 and read(tmp_path).column("unit") == [""]


def test_a_modality_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [4096, 0, 16], "US", list(range(4096, 0, -1))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    path = write(tmp_path / "x.dcm", drop=("RescaleSlope", "RescaleIntercept"), ModalityLUTSequence=[table])
    np.testing.assert_array_equal(image(str(path)).values[0], 4096 - STORED.astype(int))


def test_colour_comes_as_colour(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB", "Modality": "OT"}
    path = write(tmp_path / "x.dcm", colours, **tags)
    np.testing.assert_array_equal(image(str(path)).values, np.moveaxis(colours, -1, 0))


def enhanced(path):
    """Three frames, each with its own slope, shared spacing."""
    stored = np.stack([STORED, STORED + 1, STORED + 2])
    frames = []
    for k in range(3):
        line, place, frame = Dataset(), Dataset(), Dataset()
        line.RescaleSlope, line.RescaleIntercept, line.RescaleType = 1 + k, -1024, "HU"
        place.ImagePositionPatient = [0, 0, -k]
        frame.PixelValueTransformationSequence, frame.PlanePositionSequence = [line], [place]
        frames.append(frame)
    size, shared, turned = Dataset(), Dataset(), Dataset()
    size.PixelSpacing, size.SliceThickness, turned.ImageOrientationPatient = [0.5, 0.6], 2, [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [size], [turned]
    top = ("RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")
    write(
        path,
        stored,
        drop=top,
        NumberOfFrames=3,
        PerFrameFunctionalGroupsSequence=frames,
        SharedFunctionalGroupsSequence=[shared],
    )
    return stored


def test_frames_are_images_of_one_patient_each_with_its_slope(tmp_path):
    stored = enhanced(tmp_path / "a" / "IM#3")
    found = read(tmp_path)
    assert [path[-7:] for path in found.column("path")] == [f"/IM#3#{k}" for k in range(3)]
    assert set(found.column("spacing")) == {"0.5x0.6"} and set(found.column("unit")) == {"HU"}
    for k, one in enumerate(images(read_manifest(write_manifest(found, tmp_path / "m.csv")))):
        np.testing.assert_array_equal(one.values[0], stored[k].astype(int) * (1 + k) - 1024)
    assert len(source_hash(found)) == 64 and len(set(found.patients)) == 1
    assert read(tmp_path, Read(slices="middle")).column("path") == [found.column("path")[1]]
    with pytest.raises(InputError, match="has no frame 7"):
        image(found.column("path")[0][:-1] + "7")


# ------------------------------------------------------------ what a cohort learns of people


def test_no_name_date_description_or_plain_id_reaches_a_manifest(tmp_path):
    write(tmp_path / "a" / "x.dcm")
    found = read(tmp_path)
    text = json.dumps(found.table.drop(columns="path").to_dict())
    assert not any(word in text for word in ("0815", "Doe", "Jane", "2020", "1.2.4"))
    assert found.patients == read(tmp_path).patients and found.patients_known
    write(tmp_path / "a" / "y.dcm", PatientID="0816")
    assert len(set(read(tmp_path).patients)) == 2
    assert read(tmp_path, Read(patient_ids="keep")).patients == ["0815", "0816"]
    write(tmp_path / "a" / "z.dcm", PatientID="")
    assert not read(tmp_path).patients_known


# ------------------------------------------------------------ series


def test_series_of_several_kinds_are_told_apart(tmp_path, capsys):
    for k in range(4):
        write(tmp_path / "a" / f"{k}.dcm", ImagePositionPatient=[0, 0, -k])
    write(tmp_path / "a" / "c.dcm", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    write(tmp_path / "a" / "p.dcm", Modality="PT", SeriesInstanceUID="1.2.5")
    write(tmp_path / "a" / "rs", drop=("Rows", "Columns", "PixelData", "BitsAllocated"), Modality="RTSTRUCT")
    with pytest.raises(InputError, match=r"3 kinds: CT axial 8x9 \(4\); .*--series 'CT axial 8x9'"):
        read(tmp_path)
    assert "1 DICOM files without an image are left out" in capsys.readouterr().err
    assert len(read(tmp_path, Read(series="ct AXIAL"))) == 4
    assert read(tmp_path, Read(series="pt thorax")).column("modality") == ["PT"]
    with pytest.raises(InputError, match=r"no DICOM series matches --series 'MR'; there are CT axial"):
        read(tmp_path, Read(series="MR"))
    middle = read(tmp_path, Read(series="CT axial", slices="middle"))
    assert [Path(path).name for path in middle.column("path")] == ["1.dcm"]  # third of the positions -3 -2 -1 0
    with pytest.raises(InputError, match="largest needs masks"):
        read(tmp_path, Read(series="CT axial", slices="largest"))


def test_two_series_of_one_kind_are_said(tmp_path, capsys):
    write(tmp_path / "a" / "1.dcm")
    read(tmp_path)
    assert capsys.readouterr().err == ""
    write(tmp_path / "a" / "2.dcm", SeriesInstanceUID="1.2.9")
    read(tmp_path)
    assert "1 patients have more than one series of CT axial 8x9" in capsys.readouterr().err


def test_a_manifest_may_name_files_and_folders_of_dicom(tmp_path):
    write(tmp_path / "s" / "1")
    write(tmp_path / "s" / "2", ImagePositionPatient=[0, 0, 1])
    write(tmp_path / "x.dcm", PatientID="9")
    (tmp_path / "m.csv").write_text("path,class,patient,sex\ns,a,Q,F\nx.dcm,b,,M\n")
    found = read(tmp_path / "m.csv")
    assert found.labels == ["a", "a", "b"] and found.patients[:2] == ["Q", "Q"] and found.patients[2][0] == "p"
    assert found.column("sex") == ["F", "F", "M"] and found.column("unit") == ["HU"] * 3


# ------------------------------------------------------------ what cannot be read


@pytest.mark.parametrize(
    ("syntax", "codec", "name"),
    [(JPEGLSLossless, "jpeg_ls", "JPEG-LS Lossless"), (JPEG2000Lossless, "openjpeg", "JPEG 2000")],
)
def test_compressed_files_are_read_or_name_what_is_missing(tmp_path, syntax, codec, name, monkeypatch):
    pytest.importorskip(codec, reason="the extra [dicom] is not installed")
    large = np.tile(STORED, (8, 8))
    path = write(tmp_path / "a" / "x.dcm", large, syntax=syntax)
    np.testing.assert_array_equal(image(str(path)).values[0], large.astype(int) - 1024)
    monkeypatch.setattr(Decoder, "is_available", False)
    for ask in (lambda: image(str(path)), lambda: read(tmp_path)):
        with pytest.raises(InputError, match=rf"x\.dcm is compressed as {name}.*pip install 'ganatomy\[dicom\]'"):
            ask()


def test_a_video_is_refused(tmp_path):
    write(tmp_path / "a" / "x.dcm", syntax=pydicom.uid.MPEG2MPML)
    with pytest.raises(InputError, match=r"x\.dcm is compressed as MPEG2.*export it uncompressed"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.write_text("no image"), "cannot be read as DICOM"),
        (lambda p: p.write_bytes(b""), "cannot be read as DICOM"),
        (lambda p: p.write_bytes(p.read_bytes()[:-20]), "cannot be read as DICOM.*cut short"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"0.7\\0.8", b"x.7\\0.8")), "header that makes no sense"),
        (lambda p: write(p, BitsStored=24), "cannot be read as DICOM"),
        (lambda p: write(p, drop=("PixelData",)), "cannot be read as DICOM"),
    ],
    ids=["text", "empty", "cut", "spacing", "bits", "no pixels"],
)
def test_what_is_broken_is_named_in_one_sentence(tmp_path, spoil, words):
    path = write(tmp_path / "a" / "x.dcm")
    spoil(path)
    with pytest.raises(InputError, match=words) as caught:
        pixels(read(tmp_path))
    assert "x.dcm" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_preamble_is_read(tmp_path):
    path = write(tmp_path / "a" / "x.dcm")
    plain = pydicom.dcmread(path)
    plain.preamble, plain.file_meta = None, FileMetaDataset()
    pydicom.dcmwrite(path, plain, implicit_vr=True, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(image(read(tmp_path).column("path")[0]).values[0], STORED.astype(int) - 1024)


# ------------------------------------------------------------ real files, where they lie beside the checkout


def real(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not beside the checkout")
    return SHARED / name


@pytest.mark.parametrize(
    ("name", "kind", "count", "shape"),
    [
        ("MR-SIEMENS-DICOM-WithOverlays.dcm", "MR axial 484x484", 1, (1, 484, 484)),
        ("SC_rgb.dcm", "OT 100x100 colour", 1, (3, 100, 100)),
        ("US1_J2KR.dcm", "US 480x640 colour", 1, (3, 480, 640)),
        ("RG3_J2KR.dcm", "CR 1760x1760", 1, (1, 1760, 1760)),
        ("emri_small.dcm", "MR 64x64", 10, (1, 64, 64)),
        ("liver.dcm", "SEG axial 512x512", 3, (1, 512, 512)),
    ],
)
def test_files_of_real_machines(name, kind, count, shape):
    path = real(f"dicom_samples/single/{name}")
    found = dicom.frames(path, keep_ids=False)
    assert (found[0].kind, len(found)) == (kind, count)
    last = image(found[-1].row["path"]).values
    assert last.shape == shape and last.max() > last.min()


def test_dicom_and_nifti_of_one_scan_are_the_same_slices_the_same_way_up(tmp_path):
    series, volume = real("dicom_samples/STS_019/PET"), real("sts_ct_pet_mr/STS_019/PET_image.nii.gz")
    for folder in ("d/a", "n/a"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copytree(series, tmp_path / "d/a/PET")
    shutil.copy(volume, tmp_path / "n/a")
    of_files, of_volume = read(tmp_path / "d"), read(tmp_path / "n")
    place = [float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in of_files.column("path")]
    np.testing.assert_allclose(pixels(of_files)[np.argsort(place)], pixels(of_volume), atol=1e-5)
    assert set(of_files.column("spacing")) == set(of_volume.column("spacing")) == {"4.6875x4.6875"}
