"""DICOM: what a file's header says of its images, and their values.

Values are rescaled by each slice's own slope and intercept (CT: to HU) or modality table. MONOCHROME1, where low is
white, is inverted unless the values have a unit, so that all radiographs of a cohort look alike. No date, name or free
text leaves this file. Does not know classes, nor which series is wanted (data/slices.py).
"""

import hashlib
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ganatomy.core.errors import InputError

SUFFIXES = (".dcm", ".dicom", ".ima")
EXTRA = "python -m pip install 'ganatomy[dicom]'"
PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class Frame:
    """What a header says of one image.

    row: columns of the cohort: path, patient, unit, spacing, groups
    kind: modality, plane and size, such as `CT axial 512x512`; a cohort must be of one kind
    series: SeriesInstanceUID; words: what --series is looked up in; position: the order within the series
    """

    row: dict[str, str]
    kind: str
    series: str
    words: str
    position: float


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its suffix or by the letters DICM after 128 bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _open(path: Path, header: bool) -> Any:
    """The data set; pydicom's remarks on odd files are not passed on, its errors name the file."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pydicom.dcmread(path, stop_before_pixels=header, force=True)
            if "SOPClassUID" not in found and "Rows" not in found:
                raise ValueError("it holds neither an image nor a DICOM object")
            if "TransferSyntaxUID" not in found.file_meta:  # written without a preamble
                implicit, little = found.original_encoding
                plain = pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
                found.file_meta.TransferSyntaxUID = plain if little else pydicom.uid.ExplicitVRBigEndian
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; the cohort's manifest names it") from None
    except Exception as error:
        raise InputError(f"{path} cannot be read as DICOM ({_line(error)}); remove it or replace it") from None
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _item(found: Any, frame: int, sequence: str, keyword: str) -> Any:
    """A value that a multi-frame file keeps per frame or shared, a plain file at the top; None where it is not said."""
    for groups, index in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = found.get(groups) or []
        inner = items[index].get(sequence) if index < len(items) else None
        if inner and inner[0].get(keyword) is not None:
            return inner[0].get(keyword)
    value = found.get(keyword)
    return None if value in (None, "") else value


def _number(value: Any, default: float) -> float:
    return default if value is None else float(value)


def _unit(found: Any, frame: int) -> str:
    modality = str(found.get("Modality", ""))
    if modality == "CT" and _item(found, frame, "PixelValueTransformationSequence", "RescaleSlope") is not None:
        kind = str(_item(found, frame, "PixelValueTransformationSequence", "RescaleType") or "HU")
        return kind if kind != "US" else ""
    return str(found.get("Units") or "") if modality == "PT" else ""


def frames(path: Path, keep_ids: bool) -> list[Frame]:
    """What a file's header says of each of its images; empty for a file without pixels, such as a structure set.

    keep_ids: give the patient's ID as it stands, and not its hash
    Raises InputError by name where the file is damaged, or compressed in a way that no installed decoder knows.
    """
    found = _open(path, header=True)
    if "Rows" not in found or "BitsAllocated" not in found:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decodable(path, found)
            count = int(found.get("NumberOfFrames") or 1)
            return [_frame(path, found, k, count, keep_ids) for k in range(count)]
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} has a header that makes no sense ({_line(error)}); repair or remove it") from None


def _frame(path: Path, found: Any, frame: int, count: int, keep_ids: bool) -> Frame:
    who = str(found.get("PatientID") or "").strip()
    if who and not keep_ids:
        who = "p" + hashlib.sha256(who.encode()).hexdigest()[:12]
    spacing = _item(found, frame, "PixelMeasuresSequence", "PixelSpacing") or found.get("ImagerPixelSpacing") or ()
    turned = _item(found, frame, "PlaneOrientationSequence", "ImageOrientationPatient")
    place = _item(found, frame, "PlanePositionSequence", "ImagePositionPatient")
    normal = np.cross([float(v) for v in turned[:3]], [float(v) for v in turned[3:]]) if turned else None
    position = _number(found.get("InstanceNumber"), 0) + frame
    if normal is not None and place:
        position = float(normal @ [float(v) for v in place])
    kernel = _item(found, frame, "CTReconstructionSequence", "ConvolutionKernel") or ""
    thickness = _item(found, frame, "PixelMeasuresSequence", "SliceThickness")
    modality = str(found.get("Modality") or "")
    series = str(found.get("SeriesInstanceUID") or "")
    row = {
        "path": f"{path.absolute()}#{frame}" if count > 1 else str(path.absolute()),
        "patient": who,
        "unit": _unit(found, frame),
        "spacing": "x".join(f"{float(v):.9g}" for v in spacing),
        "modality": modality,
        "series": hashlib.sha256(series.encode()).hexdigest()[:8] if series else "",
        "manufacturer": str(found.get("Manufacturer") or "").strip(),
        "kernel": kernel if isinstance(kernel, str) else "/".join(map(str, kernel)),
        "slice_thickness": "" if thickness is None else f"{float(thickness):g}",
    }
    kind = [
        modality or "unnamed modality",
        *([PLANES[int(np.argmax(np.abs(normal)))]] if normal is not None else []),
        f"{found.Rows}x{found.Columns}",
        *(["colour"] if int(found.get("SamplesPerPixel") or 1) > 1 or _photometric(found) == "PALETTE COLOR" else []),
        *(["localizer"] if "LOCALIZER" in (found.get("ImageType") or ()) else []),
    ]
    words = f"{' '.join(kind)} {found.get('SeriesDescription') or ''} {series}".lower()
    return Frame(row, " ".join(kind), series, words, position)


def _photometric(found: Any) -> str:
    return str(found.get("PhotometricInterpretation") or "")


def decodable(path: Path, found: Any) -> None:
    """InputError that names the extra to install where the file's compression needs a decoder that is not there."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = found.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise InputError(
            f"{path} is compressed as {syntax.name}, which cannot be read; export it uncompressed"
        ) from None
    if not decoder.is_available:
        raise InputError(f"{path} is compressed as {syntax.name}; its decoder is not installed: {EXTRA}")


@lru_cache(maxsize=2)
def _file(path: str, _stamp: tuple[int, int]) -> Any:
    return _open(Path(path), header=False)


def values(path: Path, frame: int = 0) -> np.ndarray:
    """One image (H, W) or (H, W, 3): rescaled values of grey images, RGB of colour ones.

    8-bit images stay 8-bit; whole values are int16 or int32, others float32. Raises InputError by name.
    """
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    if not path.exists():
        raise InputError(f"there is no file {path}; the cohort's manifest names it")
    stat = path.stat()
    found = _file(str(path), (stat.st_mtime_ns, stat.st_size))
    decodable(path, found)
    if frame >= int(found.get("NumberOfFrames") or 1):
        raise InputError(f"{path} has no frame {frame}; it has changed since the manifest was written")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = pixel_array(found, index=frame)
            if _photometric(found) == "PALETTE COLOR":
                stored = np.asarray(apply_color_lut(stored, found))
            elif stored.ndim == 2:
                stored = _rescaled(stored, found, frame)
    except Exception as error:
        packed = found.file_meta.TransferSyntaxUID.is_compressed
        hint = f"; if it is sound, a better decoder may help: {EXTRA}" if packed else ""
        raise InputError(
            f"{path} cannot be read as DICOM ({_line(error)}); is it damaged or cut short?{hint}"
        ) from None
    return stored


def _rescaled(stored: np.ndarray, found: Any, frame: int) -> np.ndarray:
    """Grey values as the header says they are meant."""
    from pydicom.pixels.processing import apply_modality_lut

    if _photometric(found) == "MONOCHROME1" and not _unit(found, frame):
        stored = (2 ** int(found.BitsStored) - 1 if stored.dtype.kind == "u" else -1) - stored
    slope = _item(found, frame, "PixelValueTransformationSequence", "RescaleSlope")
    intercept = _item(found, frame, "PixelValueTransformationSequence", "RescaleIntercept")
    if slope is None and found.get("ModalityLUTSequence"):
        return _whole(np.asarray(apply_modality_lut(stored, found), np.float64))
    slope, intercept = _number(slope, 1), _number(intercept, 0)
    if stored.dtype == np.uint8 and (slope, intercept) == (1, 0):
        return stored
    exact = stored.astype(np.float64) * slope + intercept
    fractions = stored.dtype.kind == "f" or slope % 1 or intercept % 1
    return exact.astype(np.float32) if fractions else _whole(exact)


def _whole(array: np.ndarray) -> np.ndarray:
    fits = array.min() >= -32768 and array.max() <= 32767
    return array.astype(np.int16 if fits else np.int32)
