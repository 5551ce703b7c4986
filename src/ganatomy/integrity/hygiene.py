"""Facts about sets of images that no statistic is needed for: duplicates, patients, stored values, sizes, units.

Knows arrays and plain columns (paths, patients, units, spacings) under the names train, holdout and synthetic. Does
not know how a file is read. Nothing here is drawn by chance, and nothing shares the false alarms of the other gates.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.data.near import near_duplicates

Images = NDArray[np.generic]  # (N, C, H, W), in the type they were stored in
Array = NDArray[np.float64]

SYNTHETIC = "synthetic"
REPEATS = 0.01  # share of synthetic images that may repeat another one, above the share of real ones that do
CONSTANT = 0.01  # share of constant images, above the share of real ones
OUTSIDE = 0.05  # share of images whose spacing lies outside that of the real ones
SLACK = 1.02  # factor by which a spacing may leave that range: rounding
COARSER = 1.75  # ratio of the steps between stored values from which two quantisers are told apart: a bit is 2
VALUES = 2_000_000  # values of each set that are looked at
ROWS = 5000  # images of each set in the search for near duplicates


def hygiene_findings(
    label: str,
    images: Mapping[str, Images],
    paths: Mapping[str, Sequence[str]],
    patients: Mapping[str, Sequence[str]],
    units: Mapping[str, Sequence[str]],
    spacings: Mapping[str, Sequence[str]],
) -> list[Finding]:
    """Every fact about sets of images: keys "train", "holdout", "synthetic"; a value or text per image.

    Spacings as in a manifest, "0.7x0.7"; "" where the source does not say. Images of one set share one shape.
    """
    shapes = {name: [stack.shape[1:]] * len(stack) for name, stack in images.items()}
    found = [*size_findings(label, shapes), *value_findings(label, images), *constant_findings(label, images)]
    found += quantiser_findings(label, images)
    if len({stack.shape[1:] for stack in images.values()}) == 1:  # else no two images can be compared
        found += duplicate_findings(label, images, paths, patients)
    found += [*patient_findings(label, patients), *unit_findings(label, units), *spacing_findings(label, spacings)]
    return found


def _fact(name: str, label: str, sets: Mapping[str, Sequence[object] | Images]) -> partial[Finding]:
    real = sum(len(values) for key, values in sets.items() if key != SYNTHETIC)
    return partial(Finding, "hygiene", name, label, n_images=real)


def _said(finding: partial[Finding], wrong: int, of: int, good: str, bad: str, limit: float = 0) -> Finding:
    """A fact as a share of images, which limit or less is fine."""
    value = wrong / max(of, 1)
    state, note = (FAIL, bad) if value > limit else (PASS, good)
    return finding(value, value, value, bar=("<=", limit), state=state, note=note)


def duplicate_table(
    images: Mapping[str, Images], paths: Mapping[str, Sequence[str]], patients: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """A row per pair of images that are equal (`kind` exact) or show the same picture (near, data/near.py).

    Columns: kind, set, row, path, other_set, other_row, other_path, correlation. Near ones are of different patients
    and among the first ROWS of each set. Of several equal images each is paired with the first of each set. Constant
    images are nobody's copies. Bytes are compared after conversion to float64, so that a change of type hides nothing.
    """
    names = [(name, row) for name, stack in images.items() for row in range(len(stack))]
    hashes = [_hash(one) for stack in images.values() for one in stack]
    first: dict[tuple[str, str], int] = {}
    found: list[tuple[str, int, int, float]] = []
    for i, ((name, _), code) in enumerate(zip(names, hashes, strict=True)):
        if not code:
            continue
        found += [("exact", first[key], i, 1.0) for key in ((other, code) for other in images) if key in first]
        first.setdefault((name, code), i)
    starts = dict(zip(images, np.cumsum([0, *(len(stack) for stack in images.values())][:-1]), strict=True))
    kept = [(name, row) for name, row in names if row < ROWS and np.ptp(images[name][row]) > 0]
    if kept:
        values = np.concatenate(
            [np.asarray(stack[:ROWS], np.float64)[np.ptp(stack[:ROWS], (1, 2, 3)) > 0] for stack in images.values()]
        )
        at = [int(starts[name]) + row for name, row in kept]
        who = [_owner(patients, name, row) for name, row in kept]
        for i, j, correlation in near_duplicates(values, who, [hashes[k] for k in at]):
            found.append(("near", at[i], at[j], correlation))
    columns = ["kind", "set", "row", "path", "other_set", "other_row", "other_path", "correlation"]

    def told(i: int) -> tuple[str, int, str]:
        name, row = names[i]
        return name, row, paths[name][row] if len(paths.get(name, ())) else str(row)

    return pd.DataFrame([(kind, *told(i), *told(j), value) for kind, i, j, value in found], columns=columns)


def _hash(image: Images) -> str:
    """Of the values, not of their type; "" for a constant image."""
    values = np.asarray(image, np.float64) + 0.0  # + 0: there is one zero
    return "" if values.min() == values.max() else hashlib.sha256(values.tobytes()).hexdigest()


def _owner(patients: Mapping[str, Sequence[str]], name: str, row: int) -> str:
    """The patient; an image of unknown patient is its own. Real sets share their patients' names."""
    own = patients.get(name, ())
    return f"patient {own[row]}" if len(own) and own[row] and name != SYNTHETIC else f"{name} {row}"


def duplicate_findings(
    label: str,
    images: Mapping[str, Images],
    paths: Mapping[str, Sequence[str]],
    patients: Mapping[str, Sequence[str]],
) -> list[Finding]:
    """Equal and near equal images, within synthetic and between each two sets.

    Equal images of real sets fail: the yardstick is spoilt. An image of synthetic that equals a real one fails, unless
    real sets share images too: then nothing follows (inconclusive). Near duplicates are told (inconclusive), for people
    to look at and for the gate of copies to judge: sharp contours in one place make different patients look alike.
    Repeats within synthetic: REPEATS above the real share.
    """
    table = duplicate_table(images, paths, patients)
    found = [_repeats(label, images, table)] if SYNTHETIC in images else []
    spoilt = any(
        len(table[(table["kind"] == "exact") & (table["set"] == a) & (table["other_set"] == b)])
        for a, b in combinations([name for name in images if name != SYNTHETIC], 2)
    )
    for a, b in combinations(images, 2):
        for kind, word in (("exact", "equal images"), ("near", "near duplicates")):
            here = (table["set"] == a) & (table["other_set"] == b)  # rows are in the order of the sets
            pairs = table[here & (table["kind"] == kind)]
            count, n = int(pairs["other_row"].nunique()), len(images[b])
            finding = _fact(f"{word}, {a} and {b}", label, images)
            like = "show the picture of" if kind == "near" else "equal"
            note = f"{count} of {n} {b} images {like} an image of {a}"
            if count:
                one = pairs.iloc[0]
                note += f", such as {one['path']} and {one['other_path']}"
            if count and (kind == "near" or (SYNTHETIC in (a, b) and spoilt)):
                why = "look at these pairs, and remove those that are one picture"
                why = "real sets share images too; remove those first" if kind == "exact" else why
                value = count / max(n, 1)
                bar = ("<=", 0.0)
                found.append(finding(value, value, value, bar=bar, state=INCONCLUSIVE, note=f"{note}: {why}"))
            else:
                remedy = "remove them from one of the two" if SYNTHETIC not in (a, b) else "remove them"
                found.append(_said(finding, count, n, "", f"{note}: {remedy}"))
    return found


def _repeats(label: str, images: Mapping[str, Images], table: pd.DataFrame) -> Finding:
    inside = table[(table["set"] == table["other_set"]) & (table["kind"] == "exact")]
    counts = {name: int(inside.loc[inside["set"] == name, "other_row"].nunique()) for name in images}
    real = sum(len(stack) for name, stack in images.items() if name != SYNTHETIC)
    yardstick = sum(count for name, count in counts.items() if name != SYNTHETIC) / max(real, 1)
    n = len(images[SYNTHETIC])
    note = f"{counts[SYNTHETIC]} of {n} synthetic images repeat another one; of the real ones {yardstick:.1%} do"
    finding = partial(_fact("repeated images, synthetic", label, images), yardstick=yardstick)
    return _said(finding, counts[SYNTHETIC], n, "", note, yardstick + REPEATS)


def patient_findings(label: str, patients: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Patients whose images lie in several real sets: their number must be 0. Not computed where a name is missing."""
    real = {name: people for name, people in patients.items() if name != SYNTHETIC}
    finding = partial(_fact("patients in several sets", label, real), n_patients=len(set().union(*real.values())))
    unknown = [name for name, people in real.items() if not len(people) or not all(people)]
    if unknown or len(real) < 2:
        which = f"the images of {' and '.join(unknown)}" if unknown else "images of a second real set"
        return [finding(note=f"it is not known whose {which} are: a patient may be in several sets")]
    shared = sorted({who for a, b in combinations(real, 2) for who in set(real[a]) & set(real[b])})
    some = ", ".join(shared[:3]) + " ..." * (len(shared) > 3)
    note = f"{len(shared)} patients have images in several of {', '.join(real)} ({some}): keep each in one"
    count = float(len(shared))
    state = FAIL if shared else PASS
    return [finding(count, count, count, bar=("<=", 0.0), state=state, note=note if shared else "")]


def size_findings(label: str, shapes: Mapping[str, Sequence[tuple[int, ...]]]) -> list[Finding]:
    """Channels, height and width of each image: synthetic ones must have a size that real ones have."""
    return [_among("sizes", label, {k: [" x ".join(map(str, s)) for s in v] for k, v in shapes.items()}, "size")]


def unit_findings(label: str, units: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Units of the values: synthetic ones must be among the real ones. Not computed where one is not known."""
    return [_among("units", label, units, "unit")]


def _among(name: str, label: str, columns: Mapping[str, Sequence[str]], word: str) -> Finding:
    """Share of synthetic images with a text that no real image has; of holdout images that no train image has."""
    finding = _fact(name, label, columns)
    silent = [key for key, values in columns.items() if not len(values) or not all(values)]
    if silent:
        return finding(note=f"the {word} of images in {', '.join(silent)} is not known")
    real = Counter(v for key, values in columns.items() if key != SYNTHETIC for v in values)
    if len(real) > 1 and word == "unit":
        listed = ", ".join(f"{key} ({n})" for key, n in real.most_common(4))
        return _said(finding, 1, 1, "", f"real images have several units, {listed}: convert them to one")
    new = Counter(v for v in columns.get(SYNTHETIC, ()) if v not in real)
    listed = ", ".join(f"{key} ({n} images)" for key, n in new.most_common(3))
    note = f"synthetic images have a {word} no real image has, {listed}; real ones have {', '.join(sorted(real)[:3])}"
    return _said(finding, sum(new.values()), len(columns.get(SYNTHETIC, ())), "", note)


def spacing_findings(label: str, spacings: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Millimetres per pixel, as "0.7x0.7": share of synthetic images outside the range of real ones, along any axis.

    Bar OUTSIDE. The range is that of train and holdout together, widened by SLACK. Where real images vary and
    synthetic ones do not, a wrong spacing inside the range is not seen here, but by the gates of texture.
    """
    finding = _fact("spacing", label, spacings)
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
    return [_said(finding, wrong, len(made), "", note, OUTSIDE)]


def constant_findings(label: str, images: Mapping[str, Images]) -> list[Finding]:
    """Share of synthetic images of a single value, against the share of real ones + CONSTANT."""
    counts = {name: int((np.ptp(stack, (1, 2, 3)) == 0).sum()) for name, stack in images.items() if len(stack)}
    finding = _fact("constant images", label, images)
    if SYNTHETIC not in counts:
        return [finding(note="there are no synthetic images")]
    real = sum(len(stack) for name, stack in images.items() if name != SYNTHETIC)
    yardstick = sum(n for name, n in counts.items() if name != SYNTHETIC) / max(real, 1)
    n = len(images[SYNTHETIC])
    note = f"{counts[SYNTHETIC]} of {n} synthetic images have a single value; of the real ones {yardstick:.1%} do"
    return [_said(partial(finding, yardstick=yardstick), counts[SYNTHETIC], n, "", note, yardstick + CONSTANT)]


def value_findings(label: str, images: Mapping[str, Images]) -> list[Finding]:
    """Values that are no numbers, and values of another unit: whose middle half lies outside all real values."""
    finite = {name: np.isfinite(stack).all((1, 2, 3)) for name, stack in images.items()}
    wrong = sum(int((~each).sum()) for each in finite.values())
    where = ", ".join(f"{int((~each).sum())} in {name}" for name, each in finite.items() if not each.all())
    of = sum(map(len, images.values()))
    note = f"{wrong} images have values that are not numbers ({where}): leave them out"
    found = [_said(_fact("values that are not numbers", label, images), wrong, of, "", note)]
    finding = _fact("range of values", label, images)
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
    note = f"half of the synthetic values lie in {spans[0][0]:.4g} to {spans[0][1]:.4g}, half of the real ones in "
    note += f"{spans[1][0]:.4g} to {spans[1][1]:.4g}: they seem to be in different units"
    return [*found, _said(finding, int(other), 1, "", note)]


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
    finding = [_fact(name, label, images) for name in names]
    if len(table) < 2 or not real:
        return [f(note="there are no two sets with values to compare") for f in finding]
    reference = real[0]
    others = [name for name in table.index if name != reference]
    kinds = [name for name in others if bool(table.loc[name, "whole"]) != bool(table.loc[reference, "whole"])]
    word = {True: "whole numbers", False: "fractions"}
    note = f"{reference} stores {word[bool(table.loc[reference, 'whole'])]}, {', '.join(kinds)} the other: bring all "
    note += "sets to one type and step before they are compared"
    found = [_said(finding[0], len(kinds), len(others), "", note)]
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
