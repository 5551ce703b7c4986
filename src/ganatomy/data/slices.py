"""From files to rows: a TIFF stack, a NIfTI volume, a DICOM file or series is several images of one patient.

Decides which slices are taken and which series; opens headers, and pixels only of the masks that say where to look.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ganatomy.core.errors import InputError
from ganatomy.core.progress import say
from ganatomy.data import dicom, nifti, tiff

PICTURES = (".png", ".jpg", ".jpeg")
Row = dict[str, str]


def container(path: Path) -> str:
    """What kind of file this is, by its name, or else by its first bytes: picture, tiff, nifti, dicom or ''."""
    name = path.name.lower()
    kinds = {"picture": PICTURES, "tiff": tiff.SUFFIXES, "nifti": nifti.SUFFIXES}
    for kind, suffixes in kinds.items():
        if name.endswith(suffixes):
            return kind
    return "dicom" if dicom.is_dicom(path) else ""


def chosen(count: int, which: str) -> list[int]:
    """The slices out of `count` that --slices names: all, middle, or every n-th, from n // 2; at least one."""
    if which == "all":
        return list(range(count))
    if which == "middle":
        return [count // 2]
    if which == "largest":
        raise InputError("--slices largest needs masks, which only NIfTI can have so far; take middle or a number")
    if not which.isdecimal() or int(which) < 1:
        raise InputError(f"--slices is all, middle, largest or a number n for every n-th, not '{which}'")
    return list(range(int(which) // 2, count, int(which))) or [count // 2]


def mask_of(path: str, masks: str) -> str:
    """The file that holds the mask of an image, by --masks `image=mask`: the last `image` in the path replaced."""
    word, equals, other = masks.partition("=")
    if not (word and equals and other):
        raise InputError(f"--masks is written as word=word, for example image=mask or images=labels, not '{masks}'")
    head, found, tail = path.rpartition(word)
    return head + other + tail if found else ""


def opened(
    rows: Sequence[Row], root: Path, axis: str, which: str, masks: str, series: str, keep_ids: bool
) -> list[Row]:
    """Rows that name files as rows that name single images, with what the files say of unit, spacing, patient, groups.

    What a row says itself is kept. root: the folder that patients without a name are called after, file by file
    """
    parts: list[list[Row]] = []
    frames: list[tuple[int, dicom.Frame]] = []  # the part they belong to
    chosen(1, which if which != "largest" else "all")
    without = 0
    stacks = False
    rows = [each for row in rows for each in _below(row)]
    for row in rows:
        path = Path(row["path"])
        kind = container(path) if path.is_file() else ""  # a row with # names an image already
        if kind == "nifti":
            parts.append(_slices(path, row, root, axis, which, masks))
        elif kind == "tiff" and (count := tiff.pages(path)) > 1:
            found = [{"path": f"{path}#{page}", "patient": _name(path, root)} for page in chosen(count, which)]
            parts.append([_merged(row, one) for one in found])
            stacks = True
        elif kind == "dicom":
            of_file = dicom.frames(path, keep_ids)
            frames += [(len(parts), frame) for frame in of_file]
            without += not of_file
            parts.append([])
        else:
            parts.append([row])
    if without:
        say(f"data: {without} DICOM files without an image are left out (structure sets, reports)")
    for part, frame in _of_one_kind(frames, series, which):
        parts[part].append(_merged(rows[part], frame.row))
    if series and not frames:
        raise InputError(f"--series '{series}' chooses among DICOM series, and there are none in {root}")
    out = [row for part in parts for row in part]
    if stacks:  # beside stacks, a file with one page is a patient as well
        out = [_merged(row, {"patient": _name(Path(row["path"]), root)}) for row in out]
    own = {name: 0 for row in rows for name in row}
    names = {name: 0 for row in out for name in row}
    kept = [name for name in names if name in own or any(row.get(name) for row in out)]
    return [{name: row.get(name, "") for name in kept} for row in out]


def _below(row: Row) -> list[Row]:
    """A row that names a folder, as a manifest may, as a row for each image file in it."""
    if not (folder := Path(row["path"])).is_dir():
        return [row]
    found = [{**row, "path": str(path)} for path in files(folder)]
    if not found:
        raise InputError(f"the folder {folder}, which a manifest lists, holds no image; fill it or remove its line")
    return found


def files(folder: Path) -> list[Path]:
    """Every file below a folder that is a container of images; hidden ones are left out."""
    shown = (
        f for f in sorted(folder.rglob("*")) if not any(part.startswith(".") for part in f.relative_to(folder).parts)
    )
    return [path for path in shown if path.is_file() and container(path)]


def _merged(row: Row, found: Row) -> Row:
    """What the file says, under what the row says itself; the path is the file's."""
    said = {name: value for name, value in row.items() if value and name != "path"}
    return {**dict.fromkeys(row, ""), **found, **said, "path": found.get("path", row["path"])}


def _name(path: Path, root: Path) -> str:
    path = Path(row[1]) if (row := tiff.PAGE.fullmatch(str(path))) else path
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _slices(path: Path, row: Row, root: Path, axis: str, which: str, masks: str) -> list[Row]:
    count, spacing, shape = nifti.geometry(path, axis)
    if which == "largest":
        mask = Path(mask_of(str(path), masks)) if masks else None
        if mask is None or not mask.is_file() or mask == path:
            raise InputError(
                f"--slices largest needs a mask for {path}; say where it is with --masks, for example image=mask "
                f"for CT_image.nii.gz and CT_mask.nii.gz{f' (there is no {mask})' if mask else ''}"
            )
        if (of_mask := nifti.geometry(mask, axis)[2]) != shape:
            raise InputError(f"{mask} has {of_mask} voxels, but its image {path} has {shape}; they need one grid")
        sizes = nifti.areas(mask, axis)
        if not sizes.any():
            raise InputError(f"the mask {mask} marks nothing; remove it and its image, or take --slices middle")
        taken = [int(sizes.argmax())]
    else:
        taken = chosen(count, which)
    found = {"patient": _name(path, root), "spacing": spacing}
    return [_merged(row, {**found, "path": f"{path}#{axis}/{index}"}) for index in taken]


def _of_one_kind(frames: list[tuple[int, dicom.Frame]], series: str, which: str) -> list[tuple[int, dicom.Frame]]:
    """The frames of the wanted series, of which --slices takes some. InputError where they are of several kinds."""
    wanted = [one for one in frames if all(word in one[1].words for word in series.lower().split())]
    kinds = Counter(frame.kind for _, frame in (wanted or frames))
    listed = "; ".join(f"{kind} ({n})" for kind, n in kinds.most_common(6)) + ("; ..." if len(kinds) > 6 else "")
    example = min(kinds, key=lambda kind: (-kinds[kind], kind), default="")
    if frames and not wanted:
        raise InputError(f"no DICOM series matches --series '{series}'; there are {listed}")
    if len(kinds) > 1:
        raise InputError(
            f"the DICOM images are of {len(kinds)} kinds: {listed}; choose one with --series, "
            f"for example --series '{example}' (words of the kind or of the series' description)"
        )
    of_patient: dict[str, set[str]] = {}
    by_series: dict[str, list[tuple[int, dicom.Frame]]] = {}
    for one in wanted:
        of_patient.setdefault(one[1].row["patient"], set()).add(one[1].series)
        by_series.setdefault(one[1].series or one[1].row["path"], []).append(one)
    several = sum(who != "" and len(own) > 1 for who, own in of_patient.items())
    if several:
        say(f"data: {several} patients have more than one series of {example}; all are used, or choose with --series")
    taken = set()
    for own in by_series.values():
        own.sort(key=lambda one: one[1].position)
        taken |= {id(own[index][1]) for index in chosen(len(own), which)}
    return [one for one in wanted if id(one[1]) in taken]
