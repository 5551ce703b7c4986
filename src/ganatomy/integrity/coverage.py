"""The gate coverage: has the synthetic set the variety of the real one, and does it lie where real images lie?

Knows bars and what is said of them. Does not know how neighbourhoods, variety or gaps are measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding, judge
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, option
from ganatomy.integrity.features import LOST, UNEVEN, Features, Prepared, draw, one_per_patient, prepare, too_small
from ganatomy.integrity.manifold import (
    MEASURES,
    NEAREST,
    NEIGHBOURS,
    Scan,
    Space,
    alike,
    coverage_gap,
    first,
    fisher,
    halves,
    missed,
    permuted,
    relabelled,
)
from ganatomy.integrity.paired import WINDOW, Range, similarity, unit_range

Array = NDArray[np.float64]
Index = NDArray[np.int64]

IMAGES, PATIENTS = 20, 20  # the least of each set: one image of each patient is compared
MOST = 500  # images of each set that are compared at a time, to bound the time
DRAWS = 10
REACH = 2  # times its bar: a missing group of this size must have been in sight for a pass
DOUBT = 0.05  # p of a second question at which the first may not pass alone
ALIKE = 0.02  # MS-SSIM by which pairs of synthetic images may be more alike than pairs of patients
SHARES = {"coverage": 0.2, "missing group": 0.4, "precision": 0.2, "Vendi score": 0.1, "similarity": 0.1}  # of `level`
PIXELS = 64  # longest side at which pairs of images are compared
COMPARED, PARTNERS = 1000, 8  # images of each set of which pairs are compared, and pairs for each
ALL = 100  # images of each set of which all pairs are compared, where a difference is to be tested


@dataclass(frozen=True)
class Coverage(Settings):
    """Bars of the gate coverage."""

    least_coverage: float = option(0.85, "coverage that synthetic images need, in that of new patients")
    least_precision: float = option(0.85, "precision that synthetic images need, in that of new patients")
    least_variety: float = option(0.8, "Vendi score that synthetic images need, in that of new patients")
    missing_group: float = option(0.05, "share of the patients that may lack synthetic images as a group")

    def __post_init__(self) -> None:
        for name in ("least_coverage", "least_precision", "least_variety", "missing_group"):
            if not 0 < getattr(self, name) < 1:
                flag = "--" + name.replace("_", "-")
                raise SettingsError(f"{flag} needs a number between 0 and 1, not {getattr(self, name):g}")


@dataclass(frozen=True)
class Seen:
    """A measure and its doubts.

    numbers: value, low, high, yardstick; p of the value, asked for only where it is past the bar; share of the level
    """

    numbers: tuple[float, float, float, float]
    bar: tuple[str, float]
    p: float
    share: float
    failure: str
    companions: str = ""
    blind: str = ""  # why a set without a defect here cannot pass

    @property
    def past(self) -> bool:
        return self.numbers[0] < self.bar[1] if self.bar[0] == ">=" else self.numbers[0] > self.bar[1]


def coverage(
    space: str,
    label: str,
    train: Features,
    holdout: Features,
    synthetic: Features,
    *,
    seed: int,
    level: float,
    resamples: int = 200,
    bars: Coverage = Coverage(),
    images: tuple[NDArray[np.generic], NDArray[np.generic]] | None = None,
    data_range: Range | None = None,
) -> tuple[list[Finding], pd.DataFrame]:
    """Coverage, precision and Vendi score of synthetic about train against those of holdout about train.

    All at n = the smallest of train's images, holdout's patients, synthetic images (at most MOST), one image of each
    holdout patient; value and yardstick are means over DRAWS draws. images: holdout's and synthetic's, (N, C, H, W) in
    the rows of their tables, for the similarity of pairs; data_range: lowest and highest value of train's.

    coverage (Naeem 2020), and the missing group: the gap of the scan for neighbourhoods of patients that hold hardly
    any synthetic image (`Scan`, Kulldorff 1997), which names a rare subgroup, as coverage, a mean, cannot. The note has
    recall (Kynkäänniemi 2019) and the smallest group that the scan could have shown.
    precision (Kynkäänniemi 2019): the share that lies on the data. The note has density (Naeem 2020).
    Vendi score (Friedman & Dieng 2023): the effective number of different images; and the similarity of pairs of images
    (mean MS-SSIM, Odena 2017), which may exceed that of pairs of patients by ALIKE.

    Null: given train, one image each of the holdout's patients and of the synthetic images are exchangeable; for the
    scan those of train's patients too. FAIL: past the bar (bars x yardstick; for the scan missing_group) and p <= its
    SHARES of `level`; p is exact, over relabellings of one draw (Fisher's test for precision). PASS: the 95 % interval
    of value - bar, over halves by patient, lies on the good side, and no second measure of the finding is past its bar
    with p <= DOUBT. low and high are the value plus that spread.
    The table lists real images that nothing synthetic is near: set (train, holdout) and image (its row).
    """
    data = prepare(train, holdout, synthetic)
    finding = partial(Finding, "coverage", n_images=len(data.holdout), n_patients=data.holdout.n_patients)
    names = {name: f"{name}, {space}" for name in ("coverage", "precision", "Vendi score")}
    lonely = missed(train, holdout, synthetic)
    table = pd.DataFrame(
        {"set": np.repeat(["train", "holdout"], [len(rows) for rows in lonely]), "image": np.concatenate(lonely)}
    )
    if reason := too_small(data, IMAGES, PATIENTS):
        return [finding(name, label, note=reason) for name in names.values()], table
    generator = rng(seed, f"coverage {space} {label}", "draws")
    world = Space(data, generator)
    n = min(MOST, len(world.sets[0]), *(s.n_patients for s in world.sets[1:]))
    if n < IMAGES:
        reason = f"{n} images of different patients are left, this measure needs {IMAGES}"
        return [finding(name, label, note=reason) for name in names.values()], table
    drawn = [world.chosen(n, generator) for _ in range(DRAWS)]
    whole = np.mean([world.measure(t, s, h) for t, h, s in drawn], axis=0)  # (synthetic | holdout, 5)
    spread = halves(world, n, resamples, rng(seed, f"coverage {space} {label}", "halves"))
    if not len(spread):
        return [finding(name, label, note=UNEVEN) for name in names.values()], table
    if n < min(len(world.sets[0]), len(data.synthetic), data.holdout.n_patients):
        capped = f"compared at {n} images of each set at a time"
        data = replace(data, note="; ".join(filter(None, [data.note, capped])))

    chance = rng(seed, f"coverage {space} {label}", "relabelled")
    seen = _measured(world, drawn[0], whole, spread, level, bars, chance)
    second = {
        "coverage": [_missing_group(world, level * SHARES["missing group"], bars.missing_group, chance)],
        "precision": [],
        "Vendi score": [],
    }
    if images is not None and data_range is not None:
        pairs = similarity_of_pairs(*images, holdout.patients, data_range, seed, level * SHARES["similarity"])
        second["Vendi score"] = [pairs] if isinstance(pairs, Seen) else []
        if isinstance(pairs, str):
            seen["Vendi score"] = replace(seen["Vendi score"], companions=pairs)
    found = []
    for name, each in seen.items():
        state, note = _settle(each, second[name], n, data)
        found.append(finding(names[name], label, *each.numbers, each.bar, state=state, note=note))
    return found, table


def _measured(
    world: Space,
    rows: Sequence[Index],
    whole: Array,
    spread: Array,
    level: float,
    bars: Coverage,
    chance: np.random.Generator,
) -> dict[str, Seen]:
    """Coverage, precision and Vendi score, each with its p where it is past its bar."""
    t, h, s = rows
    n, pool = len(s), np.concatenate([s, h])
    between, (five, three) = world.part(t, pool), world.balls(t, NEIGHBOURS, NEAREST)
    shares = {name: level * SHARES[name] for name in ("coverage", "precision", "Vendi score")}

    def of_coverage() -> float:
        share = shares["coverage"]
        return permuted(coverage_gap(between < five[:, None]), n, math.ceil(2 / share), share, chance)

    def of_variety() -> float:
        share = shares["Vendi score"]
        squared = (world.kernel(world.part(pool, pool)) ** 2).astype(np.float32)
        return permuted(alike(squared), n, math.ceil(2 / share), share, chance)

    tests = {
        "coverage": of_coverage,
        "precision": lambda: fisher((between <= three[:, None]).any(0), n),
        "Vendi score": of_variety,
    }
    factors = {
        "coverage": bars.least_coverage,
        "precision": bars.least_precision,
        "Vendi score": bars.least_variety,
    }
    failures = {
        "coverage": "parts of the real variety have no synthetic image near them",
        "precision": "synthetic images lie where no real ones are",
        "Vendi score": "synthetic images differ less among themselves than patients do",
    }
    beside = {"coverage": "recall", "precision": "density"}
    out = {}
    for name, test in tests.items():
        column, factor = MEASURES.index(name), factors[name]
        value, yardstick = (float(x) for x in whole[:, column])
        low, high = _interval(spread[:, :, column], value, factor, name == "Vendi score")
        high = high if name == "Vendi score" else max(min(high, 1.0), value)
        bar = (">=", factor * yardstick)
        companions = ""
        if name in beside:
            one, two = (float(x) for x in whole[:, MEASURES.index(beside[name])])
            companions = f"{beside[name]} {one:.2f}, of new patients {two:.2f}"
        p = test() if value < bar[1] else 1.0
        out[name] = Seen((value, low, high, yardstick), bar, p, shares[name], failures[name], companions)
    return out


def _interval(halves: Array, value: float, factor: float, grows: bool) -> tuple[float, float]:
    """The 95 % spread of value - bar over halves (m, synthetic | holdout), about the value.

    grows: with the number of images, as a Vendi score does; then it is the spread of the logarithm of their ratio.
    """
    if grows:
        spread = np.log(halves[:, 0] / halves[:, 1])
        low, high = value * np.exp(np.quantile(spread - np.median(spread), [0.025, 0.975]))
    else:
        spread = halves[:, 0] - factor * halves[:, 1]
        low, high = value + np.quantile(spread - np.median(spread), [0.025, 0.975])
    return max(float(low), 0.0), float(high)


def _settle(main: Seen, second: Sequence[Seen], n: int, data: Prepared) -> tuple[str, str]:
    """FAIL where any is past its bar with p <= its share; PASS where the main one's interval is inside its bar and no
    other is in doubt; else inconclusive, with what would settle it."""
    value, low, high, yardstick = main.numbers
    companions = [each.companions for each in (main, *second)]
    failed = [f"{each.failure} (p = {each.p:.1g})" for each in (main, *second) if each.past and each.p <= each.share]
    doubts = [each for each in second if each.past and each.p <= DOUBT]
    if failed:
        return FAIL, "; ".join(filter(None, [*failed, *companions, data.note]))
    blind = next((each.blind for each in second if each.blind), "")
    inside = not main.past and judge(value, low, high, main.bar) == PASS
    if inside and not doubts and not blind:
        if data.lost <= LOST:
            return PASS, "; ".join(filter(None, [*companions, data.note]))
        return INCONCLUSIVE, f"too many synthetic images have undefined features for a pass; {data.note}"
    if main.past:
        error = max(high - low, 1e-9) / 3.92
        factor = max((norm.isf(main.share) * error / max(abs(value - yardstick), 1e-9)) ** 2, 1.2)
        note = f"past the bar, but no more than chance explains (p = {main.p:.2g}, {main.share:.1g} is asked for)"
    elif not inside:
        factor = max(((value - low) / max(abs(value - main.bar[1]), 1e-9)) ** 2, 1.1)
        note = "the interval reaches over the bar"
    elif blind:
        note, factor = blind, 2.0
    else:
        each = doubts[0]
        factor = max(norm.isf(each.share) / norm.isf(each.p), 1.1) ** 2
        note = f"it may be that {each.failure} (p = {each.p:.2g}, {each.share:.1g} is asked for)"
    return INCONCLUSIVE, "; ".join(filter(None, [note, _remedy(n, factor), *companions, data.note]))


def _remedy(n: int, factor: float) -> str:
    """Who is missing: n times factor, of each set."""
    need = math.ceil(n * min(factor, 20) / 10) * 10
    about = f"more than {need}" if factor > 20 else f"about {need}"
    return f"{about} holdout patients, and as many training and synthetic images, would settle it (now {n})"


def _missing_group(world: Space, share: float, bar: float, generator: np.random.Generator) -> Seen:
    """The largest group of patients of train and holdout, one image each, that has hardly a synthetic image."""
    learned, held, made = world.independent(2 * MOST, generator)
    real = np.concatenate([learned, held])
    scan = Scan(world, np.concatenate([made, real]), len(made), generator)
    n, of = len(made), len(made) + len(real)
    times = math.ceil(2 / share)
    null = np.concatenate([scan.evidence(relabelled(n, of, 250, generator)) for _ in range(math.ceil(times / 250))])
    found = first(n, of)
    observed = float(scan.evidence(found)[0])
    p = (1 + int((null >= observed * (1 - 1e-6)).sum())) / (1 + len(null))
    gap = float(scan.gaps(found)[0])
    by_chance = float(scan.gaps(relabelled(n, of, 50, generator)).mean())
    least = scan.visible(float(np.quantile(null, 1 - share, method="higher")))
    failure = (
        f"about {round(gap * len(real))} of {len(real)} real patients lie together where hardly any synthetic image "
    )
    failure += "lies: a group may be missing"
    companions = (
        f"the largest gap holds {gap:.0%} of the patients, by chance {by_chance:.0%}; a missing group that lies "
    )
    companions += f"together would have been shown from {least:.0%} of the patients on"
    blind = f"a group of {REACH * bar:.0%} of the patients could be missing unseen" if least > REACH * bar else ""
    return Seen((gap, gap, gap, by_chance), ("<=", bar), p, share, failure, companions, blind)


def similarity_of_pairs(
    holdout: NDArray[np.generic],
    synthetic: NDArray[np.generic],
    patients: Sequence[str],
    data_range: Range,
    seed: int,
    share: float,
) -> Seen | str:
    """Mean MS-SSIM of pairs of synthetic images, against that of pairs of different holdout patients; or why not.

    Images are (N, C, H, W), at most PIXELS on a side after means over blocks of pixels. value and yardstick: PARTNERS
    random pairs for each of equally many images of each set (one of each patient, at most COMPARED). p is exact, over
    relabellings of ALL images of each set and all pairs of them, one-sided. Interval: of the difference, from the
    spread of each image's mean similarity to its partners (a U-statistic's). High: collapse. Odena 2017; Wang 2003.
    """
    people = Features(np.arange(float(len(holdout)))[:, None], ("row",), tuple(patients))
    n = min(COMPARED, people.n_patients, len(synthetic))
    if n < IMAGES:
        return f"the similarity of pairs of images needs {IMAGES} patients and images"
    generator = rng(seed, "similarity of pairs")
    real = draw(one_per_patient(people, generator), n, generator).values[:, 0].astype(np.int64)
    made = generator.permutation(len(synthetic))[:n]
    sets = [_smaller(unit_range(images, data_range)) for images in (synthetic[made], holdout[real])]
    height, width = sets[0].shape[2:]
    if min(height, width) < WINDOW:
        return f"images of {height} x {width} pixels are too small for MS-SSIM, which needs {WINDOW}"
    i = np.tile(np.arange(n), PARTNERS)  # rows are in random order: neighbours are random partners
    j = (i + np.repeat(np.arange(PARTNERS) + 1, n)) % n
    each = []  # (n,) mean similarity of an image to its 2 PARTNERS
    for images in sets:
        pairs = similarity(images, i, j)
        each.append((np.bincount(i, pairs) + np.bincount(j, pairs)) / (2 * PARTNERS))
    value, yardstick = float(each[0].mean()), float(each[1].mean())
    error = 2 * math.sqrt((each[0].var(ddof=1) + each[1].var(ddof=1)) / n)
    numbers, bar, p = (value, value - 1.96 * error, value + 1.96 * error, yardstick), ("<=", yardstick + ALIKE), 1.0
    if value > bar[1]:
        m = min(n, ALL)
        i, j = np.triu_indices(2 * m, 1)
        close = np.zeros((2 * m, 2 * m), np.float32)
        close[i, j] = close[j, i] = similarity(np.concatenate([images[:m] for images in sets]), i, j)
        p = permuted(alike(close), m, math.ceil(2 / share), share, generator)
    companions = f"similarity of two images (MS-SSIM) {value:.2f}, of two patients' {yardstick:.2f}"
    return Seen(numbers, bar, p, share, "two synthetic images are more alike than two patients' are", companions)


def _smaller(stack: Array) -> Array:
    """Means over blocks of pixels, so that the longest side is PIXELS or less; what is left at the rim is cut off."""
    step = math.ceil(max(stack.shape[2:]) / PIXELS)
    n, c, height, width = stack.shape
    height, width = height // step, width // step
    cut = stack[:, :, : height * step, : width * step]
    return np.asarray(cut.reshape(n, c, height, step, width, step).mean((3, 5)))
