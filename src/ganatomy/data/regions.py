"""Masks: regions with labels and names, on the grid of the image they belong to.

Label maps of every image format, 3D Slicer's segmentations, DICOM segmentations (SEG) and structure sets (RTSTRUCT,
whose contours are filled here). Knows where regions lie; does not know what is measured in them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.errors import InputError
from ganatomy.data import dicom, nrrd, volume
from ganatomy.data.volume import SEGMENTATIONS, TOLERANCE, Grid, Volume

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
ON_GRID = 0.05  # of a voxel: how far the pixels of a DICOM segmentation may be from the image's
Bool = NDArray[np.bool_]


class Region(NamedTuple):
    """One region of a mask: what it is called, and the value it has on one of the layers."""

    name: str
    layer: int
    value: int


@dataclass(frozen=True)
class Mask:
    """The regions of an image.

    layers: each of the image's shape, whole numbers, 0 outside; more than one only where regions overlap
    regions: label -> Region; faults: label -> why a region cannot be used, in one sentence
    """

    layers: tuple[NDArray[Any], ...]
    regions: dict[int, Region]
    origin: str
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[int, ...]:
        """Every label, sorted, those with a fault too."""
        return tuple(sorted(self.regions))

    def inside(self, label: int) -> Bool:
        """The voxels of a region. InputError that says which labels there are, or why this one cannot be used."""
        if label not in self.regions:
            raise InputError(f"{self.origin} has no label {label}; {self._listed()}")
        if label in self.faults:
            raise InputError(self.faults[label])
        region = self.regions[label]
        found: Bool = self.layers[region.layer] == region.value
        return found

    def _listed(self) -> str:
        named = [
            f"{label} ({self.regions[label].name})" if self.regions[label].name else f"{label}" for label in self.labels
        ]
        return f"it has {', '.join(named[:12])}{', ...' if len(named) > 12 else ''}"


def read(path: str | Path, image: Volume, *, correct: bool = False, tolerance: float = TOLERANCE) -> Mask:
    """The regions of a mask on its image's grid.

    correct: bring a label map on another grid to the image's by its nearest voxels (pyradiomics' correctMask)
    tolerance: in voxels, how far two grids may be apart and count as one
    Raises InputError that names both files where shape or grid differ, where nothing is marked, where values are not
    whole numbers, and where contours do not lie in the image's slices.
    """
    path = Path(path)
    if path.is_file() and volume.kind(path) == "dicom":
        found = dicom._open(path, header=True)
        with volume.sensible(path):
            if found.get("SOPClassUID") == STRUCTURE_SET or found.get("Modality") == "RTSTRUCT":
                return _contoured(path, found, image)
            if found.get("SOPClassUID") in SEGMENTATIONS:
                return _segmented(path, found, image)
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"the mask {path} is a JPEG, which alters values; save masks as PNG, TIFF, NIfTI or NRRD")
    stored = nrrd.read(path) if path.is_file() and volume.kind(path) == "nrrd" else None
    if stored is not None and (stored.segments or len(stored.values) > 1):
        return _layered(path, stored, image, correct, tolerance)
    labels = fitted(volume.read(path), image, correct, tolerance)
    return Mask((labels,), {value: Region("", 0, value) for value in _values(labels, str(path))}, str(path))


def fitted(mask: Volume, image: Volume, correct: bool = False, tolerance: float = TOLERANCE) -> NDArray[Any]:
    """A label map as whole numbers of the image's shape; InputError as `read`."""
    labels = _whole(mask.values, mask.origin)
    if mask.grid is not None and image.grid is not None:
        if differs := image.grid.difference(mask.grid, tolerance):
            if correct:
                return _brought(labels, mask, image)
            raise InputError(
                f"the mask {mask.origin} is not on the grid of its image {image.origin}: {differs}; resample it, "
                "or choose the mask that was drawn on this image"
            )
    elif _three(labels.shape) != _three(image.values.shape):
        raise InputError(
            f"the mask {mask.origin} is {_times(labels.shape)} and its image {image.origin} "
            f"{_times(image.values.shape)}; bring both to one grid"
        )
    elif mask.spacing and image.spacing and not np.allclose(mask.spacing[-2:], image.spacing[-2:], rtol=1e-3):
        raise InputError(
            f"the mask {mask.origin} has voxels of {_times(mask.spacing)} mm and its image {image.origin} of "
            f"{_times(image.spacing)} mm; bring both to one grid"
        )
    return labels.reshape(image.values.shape)


def _times(numbers: Iterable[float]) -> str:
    return "x".join(f"{float(n):.6g}" for n in numbers)


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (3 - len(shape)) + shape


def _whole(values: NDArray[Any], origin: str) -> NDArray[Any]:
    """Labels in the smallest type that holds them."""
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        odd = values[~(np.isfinite(values) & (values == np.rint(values)))]
        if odd.size:
            raise InputError(
                f"the mask {origin} holds values that are not whole numbers, such as {odd.flat[0]:g}; a mask has 0 "
                "outside and a label inside"
            )
    if low < 0 or high > 2**32 - 1:
        raise InputError(f"the mask {origin} holds values from {low:g} to {high:g}; labels are whole numbers above 0")
    return values.astype(np.min_scalar_type(int(high)) if high else np.uint8)


def _values(labels: NDArray[Any], origin: str) -> list[int]:
    """The labels that are there; InputError where there are none."""
    found: set[int] = set()
    for plane in labels.reshape(-1, *labels.shape[-2:]):
        if plane.max() <= 65535:
            found.update(np.flatnonzero(np.bincount(plane.ravel())).tolist())
        else:
            found.update(np.unique(plane).tolist())
    if not found - {0}:
        raise InputError(f"the mask {origin} marks nothing; remove it and its image, or draw it anew")
    return sorted(found - {0})


def _brought(labels: NDArray[Any], mask: Volume, image: Volume) -> NDArray[Any]:
    """A label map on the image's grid, each voxel with the label of the nearest one of the mask."""
    from scipy.ndimage import affine_transform

    assert mask.grid is not None and image.grid is not None
    marked = np.argwhere(labels.reshape(mask.grid.shape))
    at = image.grid.index(marked @ mask.grid.affine[:3, :3].T + mask.grid.affine[:3, 3])
    if len(at) and (at.min(0) < -0.5).any() | (at.max(0) > np.array(image.grid.shape) - 0.5).any():
        raise InputError(
            f"the mask {mask.origin} marks voxels outside its image {image.origin}; are they of one patient?"
        )
    back = np.linalg.inv(mask.grid.affine) @ image.grid.affine
    moved: NDArray[Any] = affine_transform(
        labels.reshape(mask.grid.shape), back[:3, :3], back[:3, 3], output_shape=image.grid.shape, order=0
    )
    return moved.reshape(image.values.shape)


def _layered(path: Path, stored: nrrd.Nrrd, image: Volume, correct: bool, tolerance: float) -> Mask:
    """Several values in each voxel, or segments with names."""
    grid = None if stored.affine is None else Grid(stored.values.shape[1:], stored.affine)
    layers = tuple(
        fitted(Volume(one, stored.spacing, grid, "", str(path)), image, correct, tolerance) for one in stored.values
    )
    found = [Region(one.name, one.layer, one.value) for one in stored.segments if one.layer < len(layers)]
    found = found or [
        Region(f"layer {k}", k, value) for k, one in enumerate(layers) if one.any() for value in _values(one, str(path))
    ]
    found = [region for region in found if (layers[region.layer] == region.value).any()]
    if not found:
        raise InputError(f"the mask {path} marks nothing; remove it and its image, or draw it anew")
    apart = len({region.value for region in found}) == len(found)
    return Mask(layers, {region.value if apart else k: region for k, region in enumerate(found, 1)}, str(path))


# ------------------------------------------------------------ DICOM


def _packed(regions: Iterable[tuple[int, str, Bool | str]], image: Volume, origin: str) -> Mask:
    """Regions, or why one cannot be used, as a mask: each on the first layer where it overlaps with none."""
    layers: list[NDArray[Any]] = []
    found: dict[int, Region] = {}
    faults: dict[int, str] = {}
    for label, name, inside in regions:
        if isinstance(inside, str):
            found[label], faults[label] = Region(name, 0, 0), inside
            continue
        free = next((k for k, layer in enumerate(layers) if not layer[inside].any()), len(layers))
        if free == len(layers):
            layers.append(np.zeros(inside.shape, np.uint16))
        layers[free][inside] = len(found) + 1
        found[label] = Region(name, free, len(found) + 1)
    if not found:
        raise InputError(f"the mask {origin} marks nothing; remove it and its image, or draw it anew")
    return Mask(tuple(layer.reshape(image.values.shape) for layer in layers), found, origin, faults)


def _grid_of(image: Volume, path: Path) -> Grid:
    if image.grid is None:
        raise InputError(
            f"{path} says where it lies in the patient, but its image {image.origin} does not; give the image as "
            "DICOM, NIfTI or NRRD"
        )
    return image.grid


def _segmented(path: Path, header: Any, image: Volume) -> Mask:
    """A DICOM segmentation: each frame is one segment in one slice, or in a label map all of them."""
    grid = _grid_of(image, path)
    names = {int(one.SegmentNumber): str(one.get("SegmentLabel", "")) for one in header.get("SegmentSequence") or ()}
    half = int(header.get("MaximumFractionalValue") or 255) / 2
    how = str(header.get("SegmentationType") or "BINARY")
    inside: dict[int, Bool] = {}
    beyond: set[int] = set()
    for frame in range(int(header.get("NumberOfFrames") or 1)):
        pixels = dicom.values(path, frame)
        number = int(dicom._item(header, frame, "SegmentIdentificationSequence", "ReferencedSegmentNumber") or 0)
        for label in [number] if how != "LABELMAP" else np.unique(pixels[pixels > 0]).tolist():
            marked = pixels == label if how == "LABELMAP" else pixels >= half if how == "FRACTIONAL" else pixels > 0
            at = _on_grid(path, header, frame, np.argwhere(marked), grid, image.origin)
            if len(at) and ((at < 0) | (at >= grid.shape)).any():
                beyond.add(label)
            elif len(at):
                inside.setdefault(label, np.zeros(grid.shape, np.bool_))[tuple(at.T)] = True

    def each() -> Iterator[tuple[int, str, Bool | str]]:
        for label in sorted({*inside, *beyond}):
            outside = f"the region {label} ({names.get(label, '')}) of {path} reaches beyond its image {image.origin}"
            fault = f"{outside}; choose the image it was drawn on, or leave the region out with --label"
            yield label, names.get(label, ""), fault if label in beyond else inside[label]

    return _packed(each(), image, str(path))


def _on_grid(path: Path, header: Any, frame: int, marked: NDArray[np.intp], grid: Grid, image: str) -> NDArray[np.intp]:
    """Pixels (N, 2), row and column, of a frame as voxels (N, 3) of the grid; InputError where they lie between."""
    if not len(marked):
        return np.zeros((0, 3), np.intp)
    turned = dicom._item(header, frame, "PlaneOrientationSequence", "ImageOrientationPatient")
    position = dicom._item(header, frame, "PlanePositionSequence", "ImagePositionPatient")
    spacing = dicom._item(header, frame, "PixelMeasuresSequence", "PixelSpacing")
    if not (turned and position and spacing):
        raise InputError(f"{path} does not say where its frame {frame} lies; write it anew")
    columns, rows = np.array([float(v) for v in turned]).reshape(2, 3)
    steps = np.stack([rows * float(spacing[0]), columns * float(spacing[1])])  # mm along a row's and a column's number
    exact = grid.index(marked @ steps + [float(v) for v in position])
    near = np.rint(exact)
    if (off := np.abs(exact - near).max()) > ON_GRID:
        raise InputError(
            f"the segmentation {path} is not on the grid of its image {image}: pixels of frame {frame} lie {off:.2g} "
            "voxels beside the image's; choose the image it was drawn on, or resample it"
        )
    return near.astype(np.intp)


def _contoured(path: Path, header: Any, image: Volume) -> Mask:
    """A structure set: for each region, closed contours in slices, filled."""
    grid = _grid_of(image, path)
    names = {int(one.ROINumber): str(one.get("ROIName", "")) for one in header.get("StructureSetROISequence") or ()}

    def each() -> Iterator[tuple[int, str, Bool | str]]:
        for region in header.get("ROIContourSequence") or ():
            contours = region.get("ContourSequence") or ()
            label = int(region.ReferencedROINumber)
            name = names.get(label, "")
            if contours:
                filled = _filled(contours, grid)
                told = (
                    f"the region {label} ({name}) of {path} {filled} {image.origin}" if isinstance(filled, str) else ""
                )
                yield label, name, f"{told}; leave it out with --label" if isinstance(filled, str) else filled

    return _packed(each(), image, str(path))


def _filled(contours: Any, grid: Grid) -> Bool | str:
    """The voxels whose centres lie within an odd number of contours of their slice; or what is wrong with them."""
    edges: dict[int, list[NDArray[np.float64]]] = {}
    kinds = {str(contour.get("ContourGeometricType", "")) for contour in contours}
    for contour in contours:
        if contour.get("ContourGeometricType") not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
            continue
        points = grid.index(np.array(contour.ContourData, np.float64).reshape(-1, 3))
        if np.ptp(points[:, 0]) > 0.5:
            return "is drawn across the slices of"
        where = round(float(points[:, 0].mean()))
        outside = (points[:, 1:] < -0.5 - ON_GRID) | (points[:, 1:] > np.array(grid.shape[1:]) - 0.5 + ON_GRID)
        if not 0 <= where < grid.shape[0] or outside.any():
            return "reaches beyond its image"
        edges.setdefault(where, []).append(points[:, 1:])
    if not edges:
        return f"is drawn as {'/'.join(sorted(kinds))} and encloses nothing in"
    drawn = np.diff(sorted(edges))
    if len(drawn) > 1 and drawn.min() > 1:
        return f"is drawn on every {drawn.min()}. slice only of"
    inside = np.zeros(grid.shape, np.bool_)
    for where, polygons in edges.items():
        inside[where] = fill(polygons, grid.shape[1:])
    return inside if inside.any() else "encloses the centre of no voxel of"


def fill(polygons: list[NDArray[np.float64]], shape: tuple[int, ...]) -> Bool:
    """(H, W): the pixels whose centres lie inside an odd number of closed polygons, (N, 2) rows and columns each.

    A centre on an edge belongs to the side of higher rows and columns, so that neighbours share no pixel.
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), np.int64)
    for polygon in polygons:
        ends = np.roll(polygon, -1, 0)
        low, high = np.minimum(polygon[:, 0], ends[:, 0]), np.maximum(polygon[:, 0], ends[:, 0])
        # an edge crosses the rows with low <= row < high
        first = np.clip(np.ceil(low), 0, height).astype(np.int64)
        last = np.clip(np.ceil(high), 0, height).astype(np.int64)
        count = np.maximum(last - first, 0)
        edge = np.repeat(np.arange(len(polygon)), count)
        row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        share = (row - polygon[edge, 0]) / (ends[edge, 0] - polygon[edge, 0])
        column = polygon[edge, 1] + share * (ends[edge, 1] - polygon[edge, 1])
        np.add.at(crossings, (row, np.clip(np.ceil(column), 0, width).astype(np.int64)), 1)
    return np.asarray(crossings[:, :width].cumsum(1) % 2 == 1)


# ------------------------------------------------------------ all masks of a folder


def find(folder: Path) -> list[str]:
    """Every mask below a folder, sorted: images of any format, and DICOM segmentations and structure sets."""
    drawn = [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        if volume.kind(path) == "dicom" and _is_drawn(path)
    ]
    return sorted({*volume.find(folder), *drawn})


def _is_drawn(path: Path) -> bool:
    header = dicom._open(path, header=True)
    with volume.sensible(path):
        return header.get("SOPClassUID") in (STRUCTURE_SET, *SEGMENTATIONS)


def refers_to(path: Path) -> set[str]:
    """SeriesInstanceUIDs of the images that a DICOM segmentation or structure set was drawn on; empty for others."""
    if not path.is_file() or volume.kind(path) != "dicom":
        return set()
    header = dicom._open(path, header=True)
    with volume.sensible(path):
        series = list(header.get("ReferencedSeriesSequence") or ())
        for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
            for study in frame.get("RTReferencedStudySequence") or ():
                series += study.get("RTReferencedSeriesSequence") or ()
        return {str(one.get("SeriesInstanceUID", "")) for one in series} - {""}
