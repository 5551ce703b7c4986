"""The built-in cohort: CT patches of lung nodules computed from a seed, in HU, with every truth known.

A row's path (`phantom:size=64,seed=3#17`) is all that its pixels depend on; nothing is stored. Knows anatomy,
the scanner's chain (object, slice average, point spread, pixel, noise) and the defects that can be planted.
Does not know how a cohort is split, nor anything of real patients. Sources of the numbers: docs/phantom.md.
"""

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from ganatomy.core.cohort import Cohort
from ganatomy.core.errors import InputError, nearest
from ganatomy.core.seed import rng

PREFIX = "phantom:"
BENIGN, MALIGNANT = "benign", "malignant"
MARGINS = ("smooth", "lobulated", "spiculated")
TEXTURES = ("homogeneous", "calcified", "necrotic", "subsolid")
KERNELS = ("smooth", "standard", "sharp")
DOSES = (1.0, 0.5, 0.2)  # of a diagnostic chest CT; 0.2 is a screening CT
THICKNESSES = (1.25, 2.5, 5.0)  # mm
SITES = ("A", "B", "C")
SIZES = (32, 64, 128)

FIELD = 38.0  # mm, the width of a patch whatever its pixels
FINE = 128  # cells of the field's supersampled grid; every size is a block mean of it
MARGIN = 16  # cells beyond each edge, so that the point spread does not wrap round into the patch
CELL = FIELD / FINE  # mm
GRID = FINE + 2 * MARGIN
HALF = GRID * CELL / 2

# Hounsfield units of unenhanced tissue
LUNG, EMPHYSEMA, AIR = -850.0, -965.0, -990.0
BLOOD, MUSCLE, FAT, MARROW, CORTEX = 40.0, 50.0, -95.0, 220.0, 750.0

# What a class tends to look like: probabilities in the order of MARGINS and TEXTURES. They overlap by design.
MARGIN_ODDS = {BENIGN: (0.66, 0.28, 0.06), MALIGNANT: (0.10, 0.26, 0.64)}
TEXTURE_ODDS = {BENIGN: (0.70, 0.20, 0.03, 0.07), MALIGNANT: (0.50, 0.03, 0.25, 0.22)}
DIAMETER = {BENIGN: (8.0, 0.34), MALIGNANT: (13.5, 0.36)}  # mm, median and sd of the logarithm
HETEROGENEITY = {BENIGN: 11.0, MALIGNANT: 26.0}  # HU, median of the inner sd

# What a site tends to scan with: odds in the order of KERNELS, DOSES, THICKNESSES
SITE_ODDS = (0.45, 0.35, 0.20)
PROTOCOLS = {
    "A": ((0.10, 0.80, 0.10), (0.65, 0.25, 0.10), (0.30, 0.60, 0.10)),
    "B": ((0.10, 0.25, 0.65), (0.20, 0.40, 0.40), (0.75, 0.20, 0.05)),
    "C": ((0.75, 0.20, 0.05), (0.40, 0.40, 0.20), (0.10, 0.40, 0.50)),
}

# A kernel's transfer function is (1 + boost x^2) exp(-x^2), x = f / cutoff: half at 0.30, 0.43, 0.70 per mm
CUTOFF = {"smooth": (0.36, 0.0), "standard": (0.40, 0.5), "sharp": (0.446, 2.0)}  # 1/mm, boost
NOISE = 24.0  # HU before the pixel's average: standard kernel, dose 1, 1.25 mm


@dataclass(frozen=True)
class Phantom:
    """A phantom cohort: what is drawn, and which defects are planted. The defaults plant none.

    size: pixels across the 38 mm field, 32, 64 or 128
    patients: number of patients, each with one to four images
    ratio: benign images per malignant image
    seed: another seed is another population
    duplicates: share of images that are exact copies of an image of another patient
    near_duplicates: share of images that are another patient's image with other noise
    missing: a margin or texture that is never drawn
    wrong_labels: share of images whose class is the other one than the nodule was drawn as
    hu_shift, hu_scale: an error of calibration, value * hu_scale + hu_shift
    confounded: 0 to 1, the share of patients whose site follows from their class
    """

    size: int = 32
    patients: int = 360
    ratio: float = 8.0
    seed: int = 0
    duplicates: float = 0.0
    near_duplicates: float = 0.0
    missing: str = ""
    wrong_labels: float = 0.0
    hu_shift: float = 0.0
    hu_scale: float = 1.0
    confounded: float = 0.0

    def __post_init__(self) -> None:
        wrong = ""
        if self.size not in SIZES:
            wrong = f"size is one of {', '.join(map(str, SIZES))}, not {self.size}"
        elif not 8 <= self.patients <= 1_000_000:
            wrong = f"patients is between 8 and 1000000, not {self.patients}"
        elif not 0.05 <= self.ratio <= 1000:
            wrong = f"ratio (benign images per malignant one) is between 0.05 and 1000, not {self.ratio:g}"
        elif self.seed < 0:
            wrong = f"seed is 0 or more, not {self.seed}"
        elif self.missing and self.missing not in MARGINS + TEXTURES:
            wrong = f"missing cannot be '{self.missing}'; {nearest(self.missing, MARGINS + TEXTURES)}"
        elif not (0.1 <= self.hu_scale <= 10 and abs(self.hu_shift) <= 2000):
            wrong = "hu_scale is between 0.1 and 10, hu_shift between -2000 and 2000"
        else:
            for name in ("duplicates", "near_duplicates", "wrong_labels", "confounded"):
                if not 0 <= getattr(self, name) <= 1:
                    wrong = f"{name} is a share between 0 and 1, not {getattr(self, name):g}"
            if not wrong and self.duplicates + self.near_duplicates > 0.5:
                wrong = "duplicates and near_duplicates together are at most 0.5, for a copy needs an original"
        if wrong:
            raise InputError(f"the phantom cannot be drawn: {wrong}")


def parse(text: str) -> Phantom:
    """The phantom that a source names: `phantom:` or `phantom:size=64,patients=200,seed=3`.

    Raises InputError on an unknown name, a name given twice, or a value it cannot have.
    """
    if not text.startswith(PREFIX):
        raise InputError(f"'{text}' is not a phantom; write {PREFIX} or {PREFIX}size=64,seed=3")
    kinds = {field.name: type(getattr(Phantom(), field.name)) for field in fields(Phantom)}
    given: dict[str, int | float | str] = {}
    for part in filter(None, text[len(PREFIX) :].split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in kinds:
            raise InputError(f"'{text}': a phantom has no argument '{name}'; {nearest(name, kinds)}")
        if not equals or not value:
            example = _text(getattr(Phantom(), name)) or MARGINS[2]
            raise InputError(f"'{text}': '{name}' needs a value, as in {name}={example}")
        if name in given:
            raise InputError(f"'{text}': '{name}' is given twice; keep one")
        try:
            given[name] = kinds[name](value)
        except ValueError:
            need = "a whole number" if kinds[name] is int else "a number"
            raise InputError(f"'{text}': '{name}' needs {need}, not '{value}'") from None
    return Phantom(**given)  # type: ignore[arg-type]


def source(phantom: Phantom) -> str:
    """The canonical text of a phantom: the arguments that are not the default; parse(source(p)) == p."""
    given = [
        (field.name, getattr(phantom, field.name))
        for field in fields(Phantom)
        if getattr(phantom, field.name) != field.default
    ]
    return PREFIX + ",".join(f"{name}={_text(value)}" for name, value in given)


def cohort(phantom: Phantom) -> Cohort:
    """The manifest of a phantom; no pixel is computed for it.

    path, class, patient, unit, spacing, then sex, age_band, site, kernel, dose, thickness_mm (of the scan)
    and diameter_mm, margin, texture (of the nodule). The columns of an exact or near copy describe the
    picture that is shown; its patient, sex, age_band and site are those of the patient it was put under.
    """
    rows, text, step = _plan(phantom), source(phantom), f"{FIELD / phantom.size:g}"
    table = [
        {
            "path": f"{text}#{i}",
            "class": row.label,
            "patient": f"p{row.patient:04d}",
            "unit": "HU",
            "spacing": f"{step}x{step}",
            "sex": row.sex,
            "age_band": row.age_band,
            "site": row.site,
            "kernel": row.scene.kernel,
            "dose": f"{row.scene.dose:g}",
            "thickness_mm": f"{row.scene.thickness:g}",
            "diameter_mm": f"{row.scene.diameter:.1f}",
            "margin": row.scene.margin,
            "texture": row.scene.texture,
        }
        for i, row in enumerate(rows)
    ]
    return Cohort(pd.DataFrame(table), text)


def truth(phantom: Phantom) -> pd.DataFrame:
    """What a detector should find, one row per image.

    path; class: the one the nodule was drawn as; copy_of, near_copy_of: the path of the original, "" if none.
    """
    text = source(phantom)
    table = [
        {
            "path": f"{text}#{i}",
            "class": row.scene.label,
            "copy_of": f"{text}#{row.original}" if row.original >= 0 and row.noise == row.original else "",
            "near_copy_of": f"{text}#{row.original}" if row.original >= 0 and row.noise != row.original else "",
        }
        for i, row in enumerate(_plan(phantom))
    ]
    return pd.DataFrame(table)


def values(path: str) -> np.ndarray:
    """The pixels of one row's path, (1, size, size) int16 in HU within [-1024, 3071].

    A pure function of the text. Raises InputError where it names no phantom, or a row that there is not.
    """
    text, mark, number = path.partition("#")
    phantom = parse(text)
    rows = _plan(phantom)
    if not (mark and number.isdecimal() and int(number) < len(rows)):
        raise InputError(f"'{path}' names no image; {text or PREFIX} has the rows #0 to #{len(rows) - 1}")
    row = rows[int(number)]
    scene = row.scene
    clean = blur(_slab(phantom.seed, scene), scene.kernel, phantom.size)  # (S, S)
    grain = noise(
        scene.kernel,
        scene.dose,
        scene.thickness,
        phantom.size,
        rng(phantom.seed, "phantom", "noise", row.noise),
    )
    hounsfield = np.rint((clean + grain) * phantom.hu_scale + phantom.hu_shift)
    return np.asarray(np.clip(hounsfield, -1024, 3071).astype(np.int16)[None])  # (1, S, S)


# ------------------------------------------------------------ the plan of a cohort


@dataclass(frozen=True)
class Scene:
    """All that the pixels of one image follow from, but for the noise."""

    label: str  # the class that the nodule is drawn as
    patient: int
    nodule: int  # of this patient
    level: float  # of the slice through the nodule, -1 to 1 of its radius
    diameter: float  # mm
    margin: str
    texture: str
    kernel: str
    dose: float
    thickness: float  # mm
    lung: float  # HU
    emphysema: float  # 0 to 1


@dataclass(frozen=True)
class _Row:
    label: str
    patient: int
    sex: str
    age_band: str
    site: str
    scene: Scene
    noise: int  # the row whose noise is used
    original: int = -1  # the row this one is a copy of


def _text(value: int | float | str) -> str:
    """A value as short as it can be read back exactly."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _pick(odds: tuple[float, ...], draw: float) -> int:
    """The index that a uniform draw falls on."""
    total, reached = sum(odds), 0.0
    for i, share in enumerate(odds):
        reached += share / total
        if draw < reached:
            return i
    return max(i for i, share in enumerate(odds) if share > 0)


def _choose(names: tuple[str, ...], odds: tuple[float, ...], missing: str, draws: np.ndarray) -> str:
    """A name by its odds; a missing one is drawn again among the others, so that no other nodule changes."""
    name = names[_pick(odds, float(draws[0]))]
    if name == missing:
        rest = tuple(0.0 if other == missing else share for other, share in zip(names, odds, strict=True))
        name = names[_pick(rest, float(draws[1]))]
    return name


@lru_cache(maxsize=16)
def _plan(phantom: Phantom) -> tuple[_Row, ...]:
    """Every row of a cohort. Each purpose has its own stream, so a defect changes what it must, alone."""
    seed = phantom.seed
    images = [_images(seed, patient) for patient in range(phantom.patients)]  # per patient, the nodule of each image
    malignant = _malignant(phantom, images)
    rows: list[_Row] = []
    for patient, nodules in enumerate(images):
        ill = any((patient, nodule) in malignant for nodule in nodules)
        draw = rng(seed, "phantom", "person", patient)
        age = float(np.clip(draw.normal(63.0, 10.0), 40.0, 88.0))
        sex = "female" if draw.random() < 0.47 else "male"
        # older lungs and emphysematous lungs are less dense; women's are a little denser
        emphysema = float(draw.beta(2.0, 2.5)) if draw.random() < 0.08 + 0.007 * (age - 40.0) else 0.0
        lung = LUNG + float(draw.normal(0.0, 18.0)) - 0.5 * (age - 63.0) + (8.0 if sex == "female" else -4.0)
        site, kernel, dose, thickness = _scanner(phantom, patient, ill)
        for number, nodule in enumerate(nodules):
            label = MALIGNANT if (patient, nodule) in malignant else BENIGN
            draw = rng(seed, "phantom", "nodule", patient, nodule, label)
            median, spread = DIAMETER[label]
            diameter = float(np.clip(median * np.exp(spread * draw.standard_normal()), 4.5, 27.0))
            margin = _choose(MARGINS, MARGIN_ODDS[label], phantom.missing, draw.random(2))
            texture = _choose(TEXTURES, TEXTURE_ODDS[label], phantom.missing, draw.random(2))
            again = nodule in nodules[:number]
            height = rng(seed, "phantom", "level", patient, number).uniform(0.0, 0.3)
            level = height - 0.15 if not again else float(np.copysign(0.4 + height, height - 0.15))
            scene = Scene(
                label,
                patient,
                nodule,
                level,
                diameter,
                margin,
                texture,
                kernel,
                dose,
                thickness,
                lung,
                emphysema,
            )
            rows.append(_Row(label, patient, sex, _band(age), site, scene, len(rows)))
    return tuple(_mislabel(phantom, _copy(phantom, rows)))


def _band(age: float) -> str:
    return "40-54" if age < 55 else "55-64" if age < 65 else "65-74" if age < 75 else "75+"


def _images(seed: int, patient: int) -> tuple[int, ...]:
    """One to four images of a patient: the nodule each shows. A nodule is shown in one slice or in two."""
    draw = rng(seed, "phantom", "images", patient)
    nodules = [0]
    for again in draw.random(_pick((0.30, 0.30, 0.25, 0.15), draw.random())):
        repeated = len(nodules) > 1 and nodules[-1] == nodules[-2]
        nodules.append(nodules[-1] + (0 if again < 0.3 and not repeated else 1))
    return tuple(nodules)


def _malignant(phantom: Phantom, images: list[tuple[int, ...]]) -> set[tuple[int, int]]:
    """The malignant nodules: patient by patient, a third with benign ones beside, till the ratio is met."""
    total = sum(map(len, images))
    wanted = min(max(round(total / (1 + phantom.ratio)), 1), total - 1)
    draw = rng(phantom.seed, "phantom", "class")
    chosen: set[tuple[int, int]] = set()
    count = 0
    for patient in draw.permutation(len(images)).tolist():
        nodules = images[patient]
        several = sorted(set(nodules))
        ill = several[:1] if draw.random() < 0.33 else several
        for nodule in ill:
            if count + nodules.count(nodule) <= wanted:
                chosen.add((patient, nodule))
                count += nodules.count(nodule)
        if count == wanted:
            return chosen
    for patient, nodules in enumerate(images):  # few benign images are wanted: no patient keeps them
        for nodule in sorted(set(nodules)):
            if (patient, nodule) not in chosen and count + nodules.count(nodule) <= wanted:
                chosen.add((patient, nodule))
                count += nodules.count(nodule)
    return chosen


def _scanner(phantom: Phantom, patient: int, ill: bool) -> tuple[str, str, float, float]:
    """Site, kernel, dose, thickness of a patient's scan. Confounding draws malignant patients to site B."""
    draw = rng(phantom.seed, "phantom", "scanner", patient).random(5)
    site = SITES[_pick(SITE_ODDS, float(draw[0]))]
    if draw[1] < phantom.confounded:
        site = "B" if ill else ("A", "C")[_pick((SITE_ODDS[0], SITE_ODDS[2]), float(draw[0]))]
    kernel, dose, thickness = (_pick(odds, float(u)) for odds, u in zip(PROTOCOLS[site], draw[2:], strict=True))
    return site, KERNELS[kernel], DOSES[dose], THICKNESSES[thickness]


def _copy(phantom: Phantom, rows: list[_Row]) -> list[_Row]:
    """Plant copies: the scene of another patient's image of the same class, with its noise or with other."""
    exact, near = (round(share * len(rows)) for share in (phantom.duplicates, phantom.near_duplicates))
    if exact + near == 0:
        return rows
    order = rng(phantom.seed, "phantom", "copies").permutation(len(rows)).tolist()
    copies, originals = order[: exact + near], order[exact + near :]
    same = {label: [j for j in originals if rows[j].label == label] for label in (BENIGN, MALIGNANT)}
    out = list(rows)
    for rank, i in enumerate(copies):
        row = rows[i]
        others = [j for j in same[row.label] if rows[j].patient != row.patient]
        if not others:
            raise InputError(f"{source(phantom)}: no other patient has a {row.label} image to copy; draw more patients")
        original = others[int(rng(phantom.seed, "phantom", "original", i).integers(len(others)))]
        out[i] = replace(row, scene=rows[original].scene, noise=original if rank < exact else i, original=original)
    return out


def _mislabel(phantom: Phantom, rows: list[_Row]) -> list[_Row]:
    """Plant wrong classes."""
    order = rng(phantom.seed, "phantom", "labels").permutation(len(rows)).tolist()
    wrong = set(order[: round(phantom.wrong_labels * len(rows))])
    return [
        replace(row, label=BENIGN if row.label == MALIGNANT else MALIGNANT) if i in wrong else row
        for i, row in enumerate(rows)
    ]


# ------------------------------------------------------------ the scanner


def transfer(kernel: str, frequency: np.ndarray) -> np.ndarray:
    """Modulation transfer function of a reconstruction kernel at spatial frequencies in 1/mm."""
    cutoff, boost = CUTOFF[kernel]
    x2 = (frequency / cutoff) ** 2
    return np.asarray((1.0 + boost * x2) * np.exp(-x2))


@lru_cache(maxsize=1)
def _frequency() -> np.ndarray:
    """Radial frequency in 1/mm on the grid of rfft2, (GRID, GRID // 2 + 1)."""
    return np.asarray(np.hypot(np.fft.fftfreq(GRID, CELL)[:, None], np.fft.rfftfreq(GRID, CELL)))


@lru_cache(maxsize=len(KERNELS))
def _transfer(kernel: str) -> np.ndarray:
    return transfer(kernel, _frequency())


def _mean_square(amplitude: np.ndarray) -> float:
    """Variance of white noise of sd 1 after a filter given on the grid of rfft2, half of the plane."""
    square = amplitude**2
    return float((2 * square.sum() - square[:, 0].sum() - square[:, -1].sum()) / GRID**2)


def _shaped(amplitude: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """White noise of sd 1, (GRID, GRID), through a filter given on the grid of rfft2."""
    return np.fft.irfft2(np.fft.rfft2(generator.standard_normal((GRID, GRID))) * amplitude, s=(GRID, GRID))


def _pixels(fine: np.ndarray, size: int) -> np.ndarray:
    """The field without its margin, and the mean over each pixel: (GRID, GRID) -> (size, size)."""
    block = FINE // size
    field = fine[MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(size, block, size, block)
    return np.asarray(field.mean(axis=(1, 3)))


def blur(slab: np.ndarray, kernel: str, size: int) -> np.ndarray:
    """Point spread of the kernel, then the mean over each pixel: (GRID, GRID) -> (size, size)."""
    return _pixels(np.fft.irfft2(np.fft.rfft2(slab) * _transfer(kernel), s=(GRID, GRID)), size)


def noise(kernel: str, dose: float, thickness: float, size: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of one slice, (size, size) in HU.

    White noise shaped to the spectrum of filtered back-projection, NPS(f) ~ f MTF(f)^2 (ramp, apodisation),
    with sd ~ 1 / sqrt(dose * thickness) (Riederer 1978, Kijewski and Judy 1987), then the pixel's mean.
    """
    ramp = np.sqrt(_frequency())
    scale = NOISE / math.sqrt(_mean_square(ramp * _transfer("standard")) * dose * thickness / THICKNESSES[0])
    return _pixels(_shaped(ramp * _transfer(kernel), generator), size) * scale


# ------------------------------------------------------------ the object


@lru_cache(maxsize=1)
def _axes() -> tuple[np.ndarray, np.ndarray]:
    """x along columns (1, GRID) and y along rows (GRID, 1), in mm from the middle of the patch."""
    axis = (np.arange(GRID) + 0.5) * CELL - HALF
    return axis[None, :], axis[:, None]


@lru_cache(maxsize=8)
def _texture(thickness: float, scale: float) -> np.ndarray:
    """Amplitude of a slice through an isotropic random volume of power (1 + (f scale)^2)^-5/2.

    The mean over a thickness T keeps S2(f) = integral of S3(f, g) sinc(g T)^2 over the axial frequency g.
    Scaled so that a thin slice has sd 1: a thick one has less, which is partial volume.
    """
    axial = (np.arange(96) + 0.5) * 0.04  # 1/mm; the half line, beyond which nothing is left
    power = (1.0 + (_frequency()[..., None] ** 2 + axial**2) * scale**2) ** -2.5
    thick = np.sqrt((power * np.sinc(axial * thickness) ** 2).sum(axis=-1))
    return np.asarray(thick / math.sqrt(_mean_square(np.sqrt(power.sum(axis=-1)))))


def _tubes(tubes: np.ndarray, level: float, thickness: float) -> np.ndarray:
    """Share of the slice's thickness filled by tapered tubes, (GRID, GRID).

    tubes: (n, 8) x, y, z, radius of one end, then of the other, in mm. A tube's chord along z and its overlap
    with the slice are analytic; a tube thinner than a cell is drawn a cell wide and paler.
    """
    x, y = _axes()
    cover = np.zeros((GRID, GRID))
    bottom, top = level - thickness / 2, level + thickness / 2
    widest = np.maximum(np.maximum(tubes[:, 3], tubes[:, 7]), CELL)
    starts = np.minimum(tubes[:, :3], tubes[:, 4:7]) - widest[:, None]
    ends = np.maximum(tubes[:, :3], tubes[:, 4:7]) + widest[:, None]
    seen = (starts < [HALF, HALF, top]).all(axis=1) & (ends > [-HALF, -HALF, bottom]).all(axis=1)
    for x0, y0, z0, r0, x1, y1, z1, r1 in tubes[seen].tolist():
        radius = max(r0, r1, CELL)
        left, right = _cells(min(x0, x1) - radius, max(x0, x1) + radius)
        upper, lower = _cells(min(y0, y1) - radius, max(y0, y1) + radius)
        dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
        dx, dz = dx if abs(dx) + abs(dy) > 1e-3 else 1e-3, dz if abs(dz) > 1e-6 else 1e-6  # never quite upright or flat
        run = dx * dx + dy * dy
        square = run + dz * dz
        px, py = x[:, left:right] - x0, y[upper:lower] - y0
        along = px * dx + py * dy
        middle = z0 + along * (dz / run)  # where the line through this cell is nearest to the axis
        t = (along + (np.minimum(np.maximum(middle, bottom), top) - z0) * dz) / square
        wide = r0 + np.minimum(np.maximum(t, 0.0), 1.0) * (r1 - r0)
        chord = np.maximum(np.maximum(wide, CELL) ** 2 - (px * dy - py * dx) ** 2 / run, 0.0)
        chord = np.sqrt(chord * (square / run))
        cap = 0.5 * radius * math.sqrt(square)
        first, last = z0 - (cap + along) / dz, z0 + (square + cap - along) / dz
        first, last = (first, last) if dz > 0 else (last, first)
        share = np.minimum(np.minimum(middle + chord, last), top)
        share -= np.maximum(np.maximum(middle - chord, first), bottom)
        share = np.minimum(np.maximum(share / thickness, 0.0), 1.0) * np.minimum(wide / CELL, 1.0) ** 2
        np.maximum(cover[upper:lower, left:right], share, out=cover[upper:lower, left:right])
    return cover


def _cells(start: float, end: float) -> tuple[int, int]:
    """The cells of the grid that cover start to end, in mm."""
    return max(int((start + HALF) / CELL), 0), min(int((end + HALF) / CELL) + 2, GRID)


def _vessels(generator: np.random.Generator, hilum: float) -> tuple[np.ndarray, np.ndarray]:
    """Branching vessels from the hilum's side, with twigs; and the airways beside two of them: tubes (n, 8).

    Radii follow Murray's law at a fork, r^3 = r1^3 + r2^3, and taper between forks. A bronchus runs along its
    artery and is about as wide. Written in plain floats: numpy is slow at three numbers.
    """
    normal = iter(generator.standard_normal((400, 4)).tolist())
    even = iter(generator.random((400, 4)).tolist())
    cos, sin = -math.cos(hilum), -math.sin(hilum)
    tubes: list[tuple[float, ...]] = []
    airway: list[tuple[float, ...]] = []
    for tree in range(int(generator.integers(5, 10))):
        (aside, high, _, _), (tilt, wide, _, _) = next(even), next(normal)
        aside, high, tilt = 44 * (aside - 0.5), 10 * (high - 0.5), 0.35 * tilt
        start = (-27 * cos - sin * aside, -27 * sin + cos * aside, high)
        tips = [
            (
                start,
                (cos - sin * tilt, sin + cos * tilt, 0.0),
                min(max(0.85 * math.exp(0.4 * wide), 0.45), 2.4),
            )
        ]
        while tips and len(tubes) < 160:
            (x, y, z), way, radius = tips.pop()
            size = math.hypot(*way)
            u, v, w = (part / size for part in way)
            step, fork, share, _ = next(even)
            a, b, c, _ = next(normal)
            reach, thin, share = 2.5 + 3.5 * step, radius * 0.95, 0.5 + 0.45 * share
            end = (x + u * reach, y + v * reach, z + w * reach)
            tubes.append((x, y, z, radius, *end, thin))
            if tree < 2 and radius > 0.8:
                dx, dy, r0, r1 = -2.1 * v * radius, 2.1 * u * radius, 1.05 * radius, 1.05 * thin
                airway.append((x + dx, y + dy, z, r0, end[0] + dx, end[1] + dy, end[2], r1))
            if thin < 0.26 or max(abs(end[0]), abs(end[1])) > 29 or abs(end[2]) > 9:
                continue
            if fork < 0.5:
                along = u * a + v * b + w * c
                a, b, c = a - u * along, b - v * along, c - w * along
                size = math.hypot(a, b, c)
                a, b, c = a / size, b / size, 0.7 * c / size
                large = thin / (1 + share**3) ** (1 / 3)
                tips.append((end, (u + 0.35 * share * a, v + 0.35 * share * b, w + 0.35 * share * c), large))
                tips.append((end, (u - 0.9 * a, v - 0.9 * b, w - 0.9 * c), large * share))
            else:
                tips.append((end, (u + 0.2 * a, v + 0.2 * b, 0.9 * w + 0.12 * c), thin))
    count = int(generator.integers(24, 44))
    place = generator.uniform(-20, 20, (count, 3)) * np.array([1.0, 1.0, 0.25])
    thick = generator.uniform(0.2, 0.5, (count, 1))
    twigs = np.concatenate([place, thick, place + generator.normal(0, 1.6, (count, 3)), thick * 0.7], axis=1)
    return np.concatenate([np.array(tubes), twigs]), np.array(airway).reshape(-1, 8)


def _wall(generator: np.random.Generator, radius: float, thickness: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Chest wall with ribs, in three patches of ten: its HU and its share of each cell, (GRID, GRID) both.

    It lies towards the angle that the generator gives first.
    """
    angle = generator.uniform(0, 2 * np.pi)
    present, gap, bow, bare = generator.random(4).tolist()
    # of a rib, in mm: where along the wall, how deep, its half thickness and half length
    along, depth, thick, long = generator.uniform((-14, 4.5, 2.6, 6), (14, 7.5, 4.0, 13)).tolist()
    bow = 55.0 + 75.0 * bow  # mm, radius of the chest's curve
    if present > 0.3:
        return None
    x, y = _axes()
    distance = max(6.5 + 10.5 * gap, 0.8 * radius + 2.0 * gap)
    u = x * np.cos(angle) + y * np.sin(angle) - distance + bow
    v = -x * np.sin(angle) + y * np.cos(angle)
    outward = np.hypot(u, v) - bow  # mm beyond the pleura, negative in the lung
    tissue = np.full_like(outward, MUSCLE)
    tissue += (FAT - MUSCLE) * np.clip(outward - depth - thick - 1.5, 0, 1) * (outward < depth + thick + 5.5)
    tissue += (FAT - MUSCLE) * 0.7 * np.exp(-(((outward - 1.6) / 0.7) ** 2))
    if bare > 0.25:
        inside = thick - np.hypot(outward - depth, np.maximum(np.abs(v - along) - long, 0.0))
        tissue += (CORTEX - tissue) * np.clip(inside / 0.5, 0, 1)
        tissue += (MARROW - tissue) * np.clip((inside - 1.3) / 0.5, 0, 1)
    oblique = 0.5 + 0.35 * thickness  # mm: the wall is not at a right angle to the slice
    return tissue, np.clip(0.5 + outward / oblique, 0.0, 1.0)


def _lobes(margin: str, radius: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """A nodule's body as balls (n, 4): x, y, z, radius in mm; and how softly they merge, in mm."""
    core, low, high, reach, ball, merge, drawn = {
        "smooth": (0.80, 2, 5, 0.34, (0.55, 0.80), 0.45, 1.03),
        "lobulated": (0.72, 5, 9, 0.62, (0.32, 0.50), 0.12, 1.24),
        "spiculated": (0.68, 6, 11, 0.66, (0.22, 0.48), 0.14, 1.28),
    }[margin]  # the last makes the section through the middle as large as a disc of this radius, on average
    radius = radius * drawn
    number = int(generator.integers(low, high))
    ways = generator.normal(0, 1, (number, 3))
    ways /= np.sqrt((ways * ways).sum(axis=1, keepdims=True))
    places = ways * reach * generator.uniform(0.7, 1.2, (number, 1))
    balls = np.concatenate([places, generator.uniform(*ball, (number, 1))], axis=1)
    return np.concatenate([[[0.0, 0.0, 0.0, core]], balls]) * radius, merge * radius


def _distance(place: tuple[np.ndarray, ...], balls: np.ndarray, merge: float) -> np.ndarray:
    """Signed distance to a smooth union of balls, negative inside (polynomial smooth minimum)."""
    x, y, z = place
    out: np.ndarray | None = None
    for bx, by, bz, br in balls.tolist():
        d = np.sqrt((x - bx) ** 2 + (y - by) ** 2 + (z - bz) ** 2) - br
        if out is None:
            out = d
        else:
            blend = np.maximum(merge - np.abs(out - d), 0.0)
            out = np.minimum(out, d) - blend * blend * (0.25 / merge)
    assert out is not None
    return out


def _inside(distance: np.ndarray, soft: float) -> np.ndarray:
    """Share of tissue across an edge that is `soft` mm wide."""
    return np.clip(0.5 - distance / soft, 0.0, 1.0)


def _spicules(radius: float, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Radial strands that thin outwards, most below 2 mm (fine, Zwirewich 1991): tubes (n, 8)."""
    number = int(6 + 16 * strength)
    ways = generator.normal(0, 1, (number, 3)) * np.array([1.0, 1.0, 0.7])
    ways /= np.sqrt((ways * ways).sum(axis=1, keepdims=True))
    base = ways * radius * 0.85
    length = generator.gamma(2.5, 0.4, (number, 1)) * (1.8 + 0.40 * radius) * (0.4 + strength) + 0.15 * radius
    knee = base + (ways + generator.normal(0, 0.12, (number, 3))) * length * 0.5
    tip = knee + (ways + generator.normal(0, 0.35, (number, 3))) * length * 0.6
    thick = generator.uniform(0.4, 0.9, (number, 1)) * (0.6 + 0.5 * strength)
    near = np.concatenate([base, thick, knee, 0.65 * thick], axis=1)
    far = np.concatenate([knee, 0.65 * thick, tip, 0.3 * thick], axis=1)
    return np.concatenate([near, far])


def _nodule(hu: np.ndarray, scene: Scene, level: float, grain: np.ndarray, generator: np.random.Generator) -> None:
    """Paint the nodule over a slab: its body in sub-slices, what it holds, and its strands.

    grain: (GRID, GRID) correlated texture of sd about 1 that roughens the edge and the inside.
    """
    radius = scene.diameter / 2
    ill = scene.label == MALIGNANT
    balls, merge = _lobes(scene.margin, radius, generator)
    centre = generator.normal(0, 0.8, 2)
    turn, flat = generator.uniform(0, np.pi), generator.uniform(0.78, 1.0)
    strength = float(np.clip(generator.normal(0.68 if ill else 0.32, 0.22), 0.05, 1.0))
    strands = _spicules(radius, strength, generator)
    edge = generator.lognormal(-0.6, 0.35) * (3.0 if scene.texture == "subsolid" else 1.0)
    rough = {"smooth": 0.06, "lobulated": 0.14, "spiculated": 0.20 + 0.35 * strength}[scene.margin]
    base = generator.normal(38.0, 9.0)
    spread = HETEROGENEITY[scene.label] * generator.lognormal(0.0, 0.4)

    # the box that holds the body, in nodule coordinates (turned, and flattened across one axis)
    x, y = _axes()
    reach = radius * 1.9 + 1.5
    columns = (x[0] > centre[0] - reach) & (x[0] < centre[0] + reach)
    lines = (y[:, 0] > centre[1] - reach) & (y[:, 0] < centre[1] + reach)
    box = (slice(*_ends(lines)), slice(*_ends(columns)))
    px, py = x[:, box[1]] - centre[0], y[box[0]] - centre[1]
    qx, qy = px * np.cos(turn) + py * np.sin(turn), py * np.cos(turn) - px * np.sin(turn)
    qx, qy = qx[None] * math.sqrt(flat), qy[None] / math.sqrt(flat)
    count = int(np.ceil(scene.thickness / 0.6))
    z = (level + ((np.arange(count) + 0.5) / count - 0.5) * scene.thickness)[:, None, None]
    place = (qx, qy, z)  # broadcasts to (count, h, w)

    local = grain[box][None]
    distance = _distance(place, balls, merge) + rough * local
    filled = _inside(distance, edge)
    inner = _inner(scene, place, distance, base + spread * local, generator)
    share = filled.mean(axis=0)
    hu[box] = hu[box] * (1.0 - share) + (filled * inner).mean(axis=0)
    if scene.margin == "spiculated":
        strands[:, [0, 4]] += centre[0]
        strands[:, [1, 5]] += centre[1]
        cover = _tubes(strands, level, scene.thickness)
        faint = 0.45 if scene.texture == "subsolid" else 1.0
        np.maximum(hu, hu + (base - 30.0 - hu) * cover * faint, out=hu)


def _ends(mask: np.ndarray) -> tuple[int, int]:
    where = np.flatnonzero(mask)
    return int(where[0]), int(where[-1]) + 1


def _inner(
    scene: Scene,
    place: tuple[np.ndarray, ...],
    distance: np.ndarray,
    solid: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """HU within the body, (count, h, w): solid tissue, or calcified, necrotic, or ground glass."""
    radius = scene.diameter / 2
    kind, size, strong = generator.random(3).tolist()
    off = generator.normal(0, 1, (7, 4))
    off[:, :3] /= np.sqrt((off[:, :3] ** 2).sum(axis=1, keepdims=True))

    def ball(share: float, shift: float = 0.0, row: int = 0, soft: float = 0.8) -> np.ndarray:
        """A sphere of a share of the radius, shifted by a share of the radius."""
        centre = np.array([[*(off[row, :3] * shift * radius), share * radius]])
        return _inside(_distance(place, centre, 1.0), soft)

    full = np.broadcast_to(solid, distance.shape)
    if scene.texture == "calcified":
        calcium = 280.0 + 520.0 * strong
        if scene.label == MALIGNANT:  # eccentric, stippled
            amount = np.maximum(ball(0.14 + 0.08 * size, 0.5), ball(0.10, 0.55, 1))
        elif kind < 0.40:  # central
            amount = ball(0.35 + 0.25 * size, 0.08)
        elif kind < 0.60:  # popcorn
            amount = np.max([ball(0.16 + 0.05 * abs(off[i, 3]), 0.45, i, 0.6) for i in range(7)], axis=0)
        elif kind < 0.80:  # laminated: a centre and a shell
            ring = np.abs(distance + 0.28 * radius) - 0.10 * radius
            amount = np.maximum(ball(0.22), _inside(ring, 0.6))
        else:  # diffuse
            amount, calcium = _inside(distance + 0.08 * radius, 1.0), 190.0 + 260.0 * strong
        return np.asarray(full + (calcium - full) * amount)
    if scene.texture == "necrotic":
        core = ball(0.48 + 0.20 * size, 0.12, soft=1.2)
        rim, dead = full + 14.0, 6.0 - 10.0 * strong + 0.5 * (full - solid.mean())
        out = rim + (dead - rim) * core
        if kind < 0.4 and scene.diameter > 9.0:  # the core has drained into a bronchus: a cavity with air
            out = out + (AIR + 40.0 - out) * ball(0.25 + 0.25 * size, 0.22, 1)
        return np.asarray(out)
    if scene.texture == "subsolid":
        glass = -640.0 + 200.0 * strong + (full - solid.mean()) * 2.0
        if kind < 0.55:  # part-solid
            glass = glass + (full - glass) * ball(0.22 + 0.30 * size, 0.25, soft=1.5)
        return np.asarray(glass)
    return np.asarray(full)


def _slab(seed: int, scene: Scene) -> np.ndarray:
    """The mean of the object over the slice's thickness, (GRID, GRID) in HU, before the scanner.

    Nodule and surroundings are drawn from (patient, nodule), so two slices of one nodule share them.
    """
    where = (scene.patient, scene.nodule)
    level = scene.level * scene.diameter / 2
    fine = rng(seed, "phantom", "texture", *where, f"{scene.level:.6f}")
    coarse, grain = (_shaped(_texture(scene.thickness, scale), fine) for scale in (18.0, 7.0))

    # parenchyma: lobules and interstitium, gravity, and low-attenuation areas where a smooth field is high
    _, y = _axes()
    slope = rng(seed, "phantom", "gravity", *where).uniform(-0.6, 0.9)
    hu = scene.lung + 16.0 * coarse + 12.0 * grain + slope * y
    if scene.emphysema > 0:
        hu -= 14.0 * scene.emphysema
        hollow = np.clip((coarse + 0.4 * grain - 1.7 + 1.5 * scene.emphysema) / 0.5, 0.0, 1.0)
        hu += (EMPHYSEMA - hu) * hollow

    wall = _wall(rng(seed, "phantom", "wall", *where), scene.diameter / 2, scene.thickness)
    hilum = rng(seed, "phantom", "wall", *where).uniform(0, 2 * np.pi) + np.pi  # opposite the wall
    vessels, airway = _vessels(rng(seed, "phantom", "vessels", *where), hilum)
    cover = _tubes(vessels, level, scene.thickness)
    shape = rng(seed, "phantom", "shape", *where, scene.label)
    if len(airway):
        hu += (MUSCLE - hu) * 0.8 * _tubes(airway, level, scene.thickness)
        airway[:, [3, 7]] *= 0.72
        hu += (AIR - hu) * _tubes(airway, level, scene.thickness)
    if scene.texture == "subsolid":  # vessels are seen through ground glass
        _nodule(hu, scene, level, grain, shape)
        hu += (np.maximum(BLOOD, hu) - hu) * cover
    else:
        hu += (np.maximum(BLOOD, hu) - hu) * cover
        _nodule(hu, scene, level, grain, shape)
    if wall is not None:
        hu += (wall[0] - hu) * wall[1]
    return hu
