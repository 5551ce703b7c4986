"""Facts about sets of images that no statistic is needed for: duplicates, patients, stored values, sizes, units.

Knows arrays and plain columns (paths, patients, units, spacings) under the names train, holdout and synthetic. Does
not know how a file is read. Nothing here is drawn by chance, and nothing shares the false alarms of the other gates.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.duplicates import ROWS, SYNTHETIC, Images, duplicate_table, searched

Array = NDArray[np.float64]

UNKNOWN = "?"  # before the path of an image of unknown patient, in the place of a patient's name
SLACK = 1.02  # factor by which a spacing may leave that range: rounding
COARSER = 1.75  # ratio of the steps between stored values from which two quantisers are told apart: a bit is 2
VALUES = 2_000_000  # values of each set that are looked at


@dataclass(frozen=True)
class Hygiene(Settings):
    """Bars of the gate hygiene: shares of the synthetic images, above those of the real ones."""

    repeated_images: float = option(0.01, "share of synthetic images that may repeat another one, above the real share")
    near_duplicates: float = option(0.01, "share of images that may look like one of another set, above the real share")
    constant_images: float = option(0.01, "share of synthetic images of a single value, above the real share")
    spacing_outside: float = option(0.05, "share of synthetic images whose spacing no real image has")

    def __post_init__(self) -> None:
        for name in ("repeated_images", "near_duplicates", "constant_images", "spacing_outside"):
            if not 0 <= getattr(self, name) < 1:
                flag = "--" + name.replace("_", "-")
                raise SettingsError(f"{flag} is a share from 0 to below 1, not {getattr(self, name):g}")


def hygiene_findings(
    label: str,
    images: Mapping[str, Images],
    paths: Mapping[str, Sequence[str]],
    patients: Mapping[str, Sequence[str]],
    units: Mapping[str, Sequence[str]],
    spacings: Mapping[str, Sequence[str]],
    *,
    bars: Hygiene = Hygiene(),
) -> list[Finding]:
    """Every fact about sets of images: keys "train", "holdout", "synthetic"; a value or text per image.

    Spacings as in a manifest, "0.7x0.7"; "" where the source does not say. Images of one set share one shape.
    """
    shapes = {name: [stack.shape[1:]] * len(stack) for name, stack in images.items()}
    found = [*size_findings(label, shapes), *value_findings(label, images)]
    found += constant_findings(label, images, bars)
    found += quantiser_findings(label, images)
    if len({stack.shape[1:] for stack in images.values()}) == 1:  # else no two images can be compared
        found += duplicate_findings(label, images, paths, patients, bars)
    found += [*patient_findings(label, patients), *unit_findings(label, units)]
    found += spacing_findings(label, spacings, bars)
    return found


def fact(name: str, label: str, sets: Mapping[str, Sequence[object] | Images]) -> partial[Finding]:
    """A finding of this gate still without a number, on all real rows of the sets."""
    real = sum(len(values) for key, values in sets.items() if key != SYNTHETIC)
    return partial(Finding, "hygiene", name, label, n_images=real)


def counted_against(finding: partial[Finding], wrong: int, of: int, good: str, bad: str, limit: float = 0) -> Finding:
    """A fact as a share of images, which limit or less is fine."""
    value = wrong / max(of, 1)
    state, note = (FAIL, bad) if value > limit else (PASS, good)
    return finding(value, value, value, bar=("<=", limit), state=state, note=note)


def duplicate_findings(
    label: str,
    images: Mapping[str, Images],
    paths: Mapping[str, Sequence[str]],
    patients: Mapping[str, Sequence[str]],
    bars: Hygiene = Hygiene(),
) -> list[Finding]:
    """Equal and near equal images, within synthetic and between each two sets.

    Equal images of real sets fail: the yardstick is spoilt. An image of synthetic that equals a real one fails, unless
    real sets share images too: then nothing follows (inconclusive). Repeats within synthetic: repeated_images above the
    real share.
    Near duplicates: share of the second set's images that show the same picture as one of the first (data/near.py).
    yardstick: of images of other real patients the share that looks like one of the same first set, for different
    people look alike now and then; where the second set is real, the share within the first. bar: near_duplicates above
    it. Beyond it, it is for people to look at (inconclusive), and for the gate copying to judge.
    """
    table = duplicate_table(images, paths, patients)
    found = [_repeats(label, images, table, bars.repeated_images)] if SYNTHETIC in images else []
    real = [name for name in images if name != SYNTHETIC]
    spoilt = any(len(_between(table, "exact", a, b)) for a, b in combinations(real, 2))
    for a, b in combinations(images, 2):
        pairs, n = _between(table, "exact", a, b), len(images[b])
        finding = fact(f"equal images, {a} and {b}", label, images)
        count = int(pairs["other_row"].nunique())
        note = f"{count} of {n} {b} images equal an image of {a}{_example(pairs)}: "
        if count and SYNTHETIC in (a, b) and spoilt:
            share, bar = count / n, ("<=", 0.0)
            note += "real sets share images too; remove those first"
            found.append(finding(share, share, share, bar=bar, state=INCONCLUSIVE, note=note))
        else:
            note += "remove them from one of the two" if SYNTHETIC not in (a, b) else "remove them"
            found.append(counted_against(finding, count, n, "", note))
        found.append(_near(label, images, table, a, b, bars.near_duplicates))
    return found


def _between(table: pd.DataFrame, kind: str, a: str, b: str) -> pd.DataFrame:
    """Pairs of one kind; rows are in the order of the sets."""
    return table[(table["kind"] == kind) & (table["set"] == a) & (table["other_set"] == b)]


def _example(pairs: pd.DataFrame) -> str:
    return f", such as {pairs['path'].iloc[0]} and {pairs['other_path'].iloc[0]}" if len(pairs) else ""


def _alike(images: Mapping[str, Images], table: pd.DataFrame, a: str, b: str) -> float | None:
    """Share of the searched images of b that look like one of a; None where there are none."""
    n = len(searched(len(images[b])))
    rows = [*_between(table, "near", a, b)["other_row"], *_between(table, "near", b, a)["row"]]
    if a == b:
        rows += _between(table, "near", a, a)["row"].tolist()
    return len(set(rows)) / n if n else None


def _near(label: str, images: Mapping[str, Images], table: pd.DataFrame, a: str, b: str, most: float) -> Finding:
    other = next((name for name in images if name not in (a, b, SYNTHETIC)), a) if b == SYNTHETIC else a
    value, yardstick = _alike(images, table, a, b) or 0.0, _alike(images, table, a, other)
    limit, pairs, n = (yardstick or 0.0) + most, _between(table, "near", a, b), len(searched(len(images[b])))
    people = f"of {other} images of other patients {yardstick or 0:.1%} do" if yardstick is not None else ""
    note = f"{round(value * n)} of {n} {b} images show the picture of an image of {a}{_example(pairs)}"
    capped = f"; {ROWS} images of a set at most are searched" if max(map(len, images.values())) > ROWS else ""
    finding = partial(fact(f"near duplicates, {a} and {b}", label, images), value, value, value, yardstick)
    if value > limit:
        why = "; look at these pairs, and remove those that are one picture"
        said = "; ".join(filter(None, [note, people])) + why + capped
        return finding(("<=", limit), state=INCONCLUSIVE, note=said)
    said = "; ".join(filter(None, [note, people])) + capped if value else capped.removeprefix("; ")
    return finding(("<=", limit), state=PASS, note=said)


def _repeats(label: str, images: Mapping[str, Images], table: pd.DataFrame, most: float) -> Finding:
    inside = table[(table["set"] == table["other_set"]) & (table["kind"] == "exact")]
    counts = {name: int(inside.loc[inside["set"] == name, "other_row"].nunique()) for name in images}
    real = sum(len(stack) for name, stack in images.items() if name != SYNTHETIC)
    yardstick = sum(count for name, count in counts.items() if name != SYNTHETIC) / max(real, 1)
    n = len(images[SYNTHETIC])
    note = f"{counts[SYNTHETIC]} of {n} synthetic images repeat another one; of the real ones {yardstick:.1%} do"
    finding = partial(fact("repeated images, synthetic", label, images), yardstick=yardstick)
    return counted_against(finding, counts[SYNTHETIC], n, "", note, yardstick + most)


def patient_findings(label: str, patients: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Patients whose images lie in several real sets: their number must be 0. Not computed where a name is missing.

    A missing name is "" or a text that begins with UNKNOWN, which `Cohort.patients` puts before a path.
    """
    real = {name: people for name, people in patients.items() if name != SYNTHETIC}
    finding = partial(fact("patients in several sets", label, real), n_patients=len(set().union(*real.values())))
    shared = sorted({who for a, b in combinations(real, 2) for who in set(real[a]) & set(real[b]) if who})
    if shared:
        some, count = ", ".join(shared[:3]) + " ..." * (len(shared) > 3), float(len(shared))
        note = (
            f"{counted(len(shared), 'patient')} with images in several of {', '.join(real)} ({some}): keep each in one"
        )
        return [finding(count, count, count, bar=("<=", 0.0), state=FAIL, note=note)]
    unknown = [name for name, people in real.items() if not len(people) or not all(map(_known, people))]
    if unknown or len(real) < 2:
        which = f"the images of {' and '.join(unknown)}" if unknown else "images of a second real set"
        note = f"it is not known whose {which} are: a patient may be in several sets, and leakage cannot be excluded"
        return [finding(note=note)]
    return [finding(0.0, 0.0, 0.0, bar=("<=", 0.0), state=PASS)]


def _known(patient: str) -> bool:
    return bool(patient) and not patient.startswith(UNKNOWN)


def counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def size_findings(label: str, shapes: Mapping[str, Sequence[tuple[int, ...]]]) -> list[Finding]:
    """Channels, height and width of each image: synthetic ones must have a size that real ones have."""
    return [_among("sizes", label, {k: [" x ".join(map(str, s)) for s in v] for k, v in shapes.items()}, "size")]


def unit_findings(label: str, units: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Units of the values: synthetic ones must be among the real ones. Not computed where one is not known."""
    return [_among("units", label, units, "unit")]


def _among(name: str, label: str, columns: Mapping[str, Sequence[str]], word: str) -> Finding:
    """Share of synthetic images with a text that no real image has; of holdout images that no train image has."""
    finding = fact(name, label, columns)
    silent = [key for key, values in columns.items() if not len(values) or not all(values)]
    if silent:
        return finding(note=f"the {word} of images in {', '.join(silent)} is not known")
    real = Counter(v for key, values in columns.items() if key != SYNTHETIC for v in values)
    if len(real) > 1 and word == "unit":
        listed = ", ".join(f"{key} ({n})" for key, n in real.most_common(4))
        return counted_against(finding, 1, 1, "", f"real images have several units, {listed}: convert them to one")
    new = Counter(v for v in columns.get(SYNTHETIC, ()) if v not in real)
    listed = ", ".join(f"{key} ({n} images)" for key, n in new.most_common(3))
    note = f"synthetic images have a {word} no real image has, {listed}; real ones have {', '.join(sorted(real)[:3])}"
    return counted_against(finding, sum(new.values()), len(columns.get(SYNTHETIC, ())), "", note)


def spacing_findings(label: str, spacings: Mapping[str, Sequence[str]], bars: Hygiene = Hygiene()) -> list[Finding]:
    """Millimetres per pixel, as "0.7x0.7": share of synthetic images outside the range of real ones, along any axis.

    Bar: spacing_outside. The range is that of train and holdout together, widened by SLACK. Where real images vary and
    synthetic ones do not, a wrong spacing inside the range is not seen here, but by the gates of texture.
    """
    finding = fact("spacing", label, spacings)
    silent = [key for key, values in spacings.items() if not len(values) or not all(values)]
    if silent:
        return [finding(note=f"the spacing of images in {', '.join(silent)} is not known")]
    try:
        numbers = {key: [tuple(map(float, v.split("x"))) for v in values] for key, values in spacings.items()}
    except ValueError:
        return [finding(note="a spacing is not millimetres per pixel, such as 0.7x0.7")]
    real = [v for key, values in numbers.items() if key != SYNTHETIC for v in values]
    if len({len(v) for values in numbers.values() for v in values}) > 1:
        return [finding(note="some spacings have another number of axes than others")]
    low, high = np.min(real, 0) / SLACK, np.max(real, 0) * SLACK
    made = np.array(numbers.get(SYNTHETIC, np.empty((0, len(low)))))
    wrong = int(((made < low) | (made > high)).any(1).sum())
    odd = next(
        (v for v, m in zip(spacings.get(SYNTHETIC, ()), made, strict=True) if (m < low).any() or (m > high).any()), ""
    )
    span = f"{'x'.join(f'{v:g}' for v in np.min(real, 0))} to {'x'.join(f'{v:g}' for v in np.max(real, 0))} mm"
    note = (
        f"{wrong} of {len(made)} synthetic images have a spacing, such as {odd} mm, outside that of real ones, {span}"
    )
    return [counted_against(finding, wrong, len(made), "", note, bars.spacing_outside)]


def constant_findings(label: str, images: Mapping[str, Images], bars: Hygiene = Hygiene()) -> list[Finding]:
    """Share of synthetic images of a single value, against the share of real ones + constant_images."""
    counts = {name: int((np.ptp(stack, (1, 2, 3)) == 0).sum()) for name, stack in images.items() if len(stack)}
    finding = fact("constant images", label, images)
    if SYNTHETIC not in counts:
        return [finding(note="there are no synthetic images")]
    real = sum(len(stack) for name, stack in images.items() if name != SYNTHETIC)
    yardstick = sum(n for name, n in counts.items() if name != SYNTHETIC) / max(real, 1)
    n = len(images[SYNTHETIC])
    note = f"{counts[SYNTHETIC]} of {n} synthetic images have a single value; of the real ones {yardstick:.1%} do"
    return [
        counted_against(
            partial(finding, yardstick=yardstick), counts[SYNTHETIC], n, "", note, yardstick + bars.constant_images
        )
    ]


def value_findings(label: str, images: Mapping[str, Images]) -> list[Finding]:
    """Values that are no numbers, and values of another unit: whose middle half lies outside all real values."""
    finite = {name: np.isfinite(stack).all((1, 2, 3)) for name, stack in images.items()}
    wrong = sum(int((~each).sum()) for each in finite.values())
    where = ", ".join(f"{int((~each).sum())} in {name}" for name, each in finite.items() if not each.all())
    of = sum(map(len, images.values()))
    note = f"values that are not numbers in {counted(wrong, 'image')} ({where}): leave them out"
    found = [counted_against(fact("values that are not numbers", label, images), wrong, of, "", note)]
    finding = fact("range of values", label, images)
    real = [stack[finite[name]] for name, stack in images.items() if name != SYNTHETIC and finite[name].any()]
    made = images.get(SYNTHETIC, np.empty((0, 1, 1, 1)))
    made = made[finite[SYNTHETIC]] if len(made) else made
    if not len(made) or not real:
        return [*found, finding(note="there are no synthetic or no real images whose values are numbers")]
    low, high = min(float(x.min()) for x in real), max(float(x.max()) for x in real)
    spans = [_quartiles(x) for x in (made, *real)]
    outside = spans[0][0] > high or spans[0][1] < low
    ours, widest = spans[0][1] - spans[0][0], max(b - a for a, b in spans[1:])
    other = outside or (widest > 0 and not 0.02 * widest <= ours <= 50 * widest)
    middle = f"half of the real values lie in {spans[1][0]:.4g} to {spans[1][1]:.4g}"
    if ours == 0:
        note = f"half or more of the synthetic values are {spans[0][0]:.4g}, where {middle}: the synthetic images are "
        note += "of one value for the most part" + (", which no real image has" if outside else "")
    else:
        note = f"half of the synthetic values lie in {spans[0][0]:.4g} to {spans[0][1]:.4g}, and {middle}: "
        note += "they seem to be in different units"
        if not outside and ours < widest:
            note += ", or the synthetic images show next to no contrast"
    return [*found, counted_against(finding, int(other), 1, "", note)]


def _quartiles(stack: Images) -> tuple[float, float]:
    low, high = np.quantile(_some(stack, VALUES), [0.25, 0.75])
    return float(low), float(high)


def _some(stack: Images, most: int) -> Array:
    """At most `most` values, spread evenly over the images."""
    flat = stack.reshape(-1)
    step = math.ceil(flat.size / most) if flat.size > most else 1
    if step > 1:  # a step that shares no factor with a row of pixels walks over all columns
        step += next(k for k in range(1000) if math.gcd(step + k, stack.shape[-1]) == 1)
    values = flat[::step].astype(np.float64)
    return np.asarray(values[np.isfinite(values)])


def quantiser_table(images: Mapping[str, Images]) -> pd.DataFrame:
    """A row per set: its type, whether all values are whole, how many distinct ones, smallest and usual step, bits.

    `distinct` and `usual_step` are of equally many values of each set, without the most common value (a background):
    the usual step is the median gap between neighbouring distinct values in their middle nine tenths. `bits` is the
    logarithm of the range over the usual step.
    """
    most = min([VALUES, *(stack.size for stack in images.values() if stack.size)])
    rows = []
    for name, stack in images.items():
        values = _some(stack, most)
        if not values.size:
            continue
        distinct, counts = np.unique(values, return_counts=True)
        background = distinct[counts.argmax()]
        rest = values[values != background]
        smallest = usual = bits = math.nan
        if len(distinct) > 1:
            smallest = float(np.diff(distinct).min())
        if rest.size:
            low, high = np.quantile(rest, [0.05, 0.95])
            middle = distinct[(distinct >= low) & (distinct <= high)]
            if len(middle) > 2:
                usual = float(np.median(np.diff(middle)))
                bits = math.log2(1 + float(np.ptp(distinct)) / usual)
        whole = bool((values == np.rint(values)).all())
        rows.append((name, str(stack.dtype), whole, len(distinct), smallest, usual, bits))
    columns = ["set", "dtype", "whole", "distinct", "smallest_step", "usual_step", "bits"]
    return pd.DataFrame(rows, columns=columns)


def quantiser_findings(label: str, images: Mapping[str, Images]) -> list[Finding]:
    """Whole numbers against fractions, and the step between stored values, of each set beside train (or holdout).

    value: log2 of the largest ratio between the usual step of a set and that of the reference; yardstick: of holdout
    and train; bar: log2 COARSER: one bit of depth is 1. An 8-bit image among 12-bit ones has 4. A classifier, and
    every test that compares single values, tells such sets apart whatever they show.
    """
    names = ("whole numbers and fractions", "step between stored values")
    table = quantiser_table(images).set_index("set")
    real = [name for name in table.index if name != SYNTHETIC]
    finding = [fact(name, label, images) for name in names]
    if len(table) < 2 or not real:
        return [f(note="there are no two sets with values to compare") for f in finding]
    reference = real[0]
    others = [name for name in table.index if name != reference]
    kinds = [name for name in others if bool(table.loc[name, "whole"]) != bool(table.loc[reference, "whole"])]
    word = {True: "whole numbers", False: "fractions"}
    note = f"{reference} stores {word[bool(table.loc[reference, 'whole'])]}, {', '.join(kinds)} the other: bring all "
    note += "sets to one type and step before they are compared"
    found = [counted_against(finding[0], len(kinds), len(others), "", note)]
    steps = table["usual_step"].astype(float)
    if steps.isna().any():
        flat = ", ".join(str(name) for name in steps.index[steps.isna()])
        return [*found, finding[1](note=f"{flat} has too few distinct values to see a step")]
    ratios = {name: abs(math.log2(steps[name] / steps[reference])) for name in others}
    worst = max(ratios, key=lambda name: ratios[name])
    yardstick = max((ratios[name] for name in others if name != SYNTHETIC), default=None)
    coarse = f"{worst} has {int(table.loc[worst, 'distinct'])} distinct values in steps of {steps[worst]:.3g}, "
    coarse += (
        f"{reference} {int(table.loc[reference, 'distinct'])} in steps of {steps[reference]:.3g}: store both alike"
    )
    value, bar = ratios[worst], ("<=", math.log2(COARSER))
    state = FAIL if value > bar[1] else PASS
    note = coarse if state == FAIL else ""
    return [*found, finding[1](value, value, value, yardstick, bar, state=state, note=note)]
