"""The built-in cohort: CT patches of lung nodules computed from a seed, in HU, with every truth known.

A row's path (`phantom:size=64,seed=3#17`) is all that its pixels depend on; nothing is stored. Knows who the patients
are, what is drawn for each image, and the defects that can be planted; data/anatomy.py draws it, data/ct.py scans it.
Does not know how a cohort is split, nor anything of real patients. Sources of the numbers: docs/phantom.md.
"""

from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from ganatomy.core.cohort import Cohort
from ganatomy.core.errors import InputError, nearest
from ganatomy.core.seed import rng
from ganatomy.data.anatomy import BENIGN, LUNG, MALIGNANT, MARGINS, TEXTURES, Scene, slab
from ganatomy.data.ct import DOSES, FIELD, KERNELS, THICKNESSES, acquire

PREFIX = "phantom:"
SITES = ("A", "B", "C")
SIZES = (32, 64, 128)

# What a class tends to look like: probabilities in the order of MARGINS and TEXTURES. They overlap by design.
MARGIN_ODDS = {BENIGN: (0.66, 0.28, 0.06), MALIGNANT: (0.10, 0.26, 0.64)}
TEXTURE_ODDS = {BENIGN: (0.70, 0.20, 0.03, 0.07), MALIGNANT: (0.50, 0.03, 0.25, 0.22)}
DIAMETER = {BENIGN: (8.0, 0.34), MALIGNANT: (13.5, 0.36)}  # mm, median and sd of the logarithm

# What a site tends to scan with: odds in the order of KERNELS, DOSES, THICKNESSES
SITE_ODDS = (0.45, 0.35, 0.20)
PROTOCOLS = {
    "A": ((0.10, 0.80, 0.10), (0.65, 0.25, 0.10), (0.30, 0.60, 0.10)),
    "B": ((0.10, 0.25, 0.65), (0.20, 0.40, 0.40), (0.75, 0.20, 0.05)),
    "C": ((0.75, 0.20, 0.05), (0.40, 0.40, 0.20), (0.10, 0.40, 0.50)),
}


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
    grain = rng(phantom.seed, "phantom", "noise", row.noise)
    seen = acquire(slab(phantom.seed, scene), scene.kernel, scene.dose, scene.thickness, phantom.size, grain)  # (S, S)
    hounsfield = np.rint(seen * phantom.hu_scale + phantom.hu_shift)
    return np.asarray(np.clip(hounsfield, -1024, 3071).astype(np.int16)[None])  # (1, S, S)


# ------------------------------------------------------------ the plan of a cohort


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
