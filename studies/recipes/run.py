"""The recipe against a plain DCGAN at equal processor time: python studies/recipes/run.py DATA [OUT] [RECIPE ...]

Budget: 40 minutes of processor time for all, training, speeds and measurements together; each run takes SECONDS on one
thread. The first call measures the speed of every recipe, which fixes the steps (speeds.csv); then every run appends a
row per class to runs.csv and is skipped when it is there. Prints the comparison. `speeds` as the only RECIPE stops
after the speeds; two processes may train different recipes at once, each with an OUT of its own (default runs/recipes),
where the cohorts are written.
"""

import csv
import runpy
import sys
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from dcgan import DCGAN, LATENT, PUBLISHED
from PIL import Image
from threadpoolctl import threadpool_limits

import ganatomy as ga
from ganatomy.core import image
from ganatomy.core.cohort import HOLDOUT, TRAIN
from ganatomy.core.picture import display, grid
from ganatomy.core.seed import derive
from ganatomy.data.augment import Symmetry
from ganatomy.data.batch import balanced
from ganatomy.data.intensity import Intensity, fit
from ganatomy.data.split import split
from ganatomy.generate import sample
from ganatomy.integrity import coverage, frechet, manifold
from ganatomy.integrity.copies import tail
from ganatomy.integrity.features import Features, Prepared, prepare
from ganatomy.integrity.features import sample as resample
from ganatomy.integrity.nearest import mirror_thumbnails, nearest, thumbnails
from ganatomy.radiomics import RadiomicsSettings, extract, table
from ganatomy.tasks.synthesis import Model, Synthesis
from ganatomy.tasks.task import Task
from ganatomy.train import Loop, Nets, train

SETS = ("pneumonia", "mednist", "nodules")
SECONDS = {"pneumonia": 105, "mednist": 285, "nodules": 105}  # of processor time for one run
RECIPES = ("default", "dcgan", "dcgan-light")
# channels at half resolution, at most, and images a step: as published; as the default has them
SHAPES = {"dcgan": (64, 512, PUBLISHED.batch), "dcgan-light": (2 * Model().width, Model().most, Loop().batch)}
SEEDS = {"pneumonia": 2, "mednist": 1, "nodules": 2}  # at 64 pixels one run takes as long as three of the others
TURN = {"nodules"}  # what docs/train.md says of patches; it holds for the default alone, DCGAN has no augmentation
BACKGROUND = {"nodules": 16.0}  # only what is brighter is measured, as in studies/main_job
# the 38 features that the first rows were measured with, so that all rows compare
LEFT_OUT = {"firstorder_TotalEnergy", "firstorder_StandardDeviation", "glcm_Imc1", "glcm_Imc2", "glcm_MCC"}
IMAGES = 500  # synthetic images of a class, at the most
COLUMNS = 10
HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "docs" / "img"
RUNS, SPEEDS = HERE / "runs.csv", HERE / "speeds.csv"


@dataclass(frozen=True)
class Set:
    """One cohort, split; x: (N, C, H, W) scaled training images; of train and holdout the values, labels, patients."""

    name: str
    classes: tuple[str, ...]
    intensity: Intensity
    x: torch.Tensor
    codes: list[int]
    values: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    patients: dict[str, np.ndarray]
    tables: dict[str, pd.DataFrame]


def load(name: str, data: Path, out: Path) -> Set:
    """Read, split by patient and measure the real images of one set."""
    out.mkdir(parents=True, exist_ok=True)
    write = runpy.run_path(str(HERE.parent / "main_job" / "cohorts.py"))["write"]
    cohort = split(ga.read(str(write(name, data, out))))
    parts = {role: cohort.where(role) for role in (TRAIN, HOLDOUT)}
    values = {role: ga.pixels(part) for role, part in parts.items()}
    intensity = fit(values[TRAIN])
    return Set(
        name,
        tuple(cohort.classes),
        intensity,
        torch.from_numpy(intensity.encode(values[TRAIN])),
        parts[TRAIN].codes,
        values,
        {role: np.array(part.labels) for role, part in parts.items()},
        {role: np.array(part.patients) for role, part in parts.items()},
        {role: measured(name, stack, intensity) for role, stack in values.items()},
    )


def measured(name: str, values: np.ndarray, intensity: Intensity) -> pd.DataFrame:
    """Radiomics features, with check's bin width."""
    known = table()
    chosen = known[known["family"].isin(("firstorder", "glcm")) & (known["name"] != "")]
    names = tuple(name for name in chosen["family"] + "_" + chosen["name"] if name not in LEFT_OUT)
    above = () if name not in BACKGROUND else (float(np.nextafter(BACKGROUND[name], np.inf)),)
    width = (intensity.high - intensity.low) / 32
    settings = RadiomicsSettings(families=("firstorder", "glcm"), features=names, bin_width=width, resegment=above)
    return extract([image.Image(one) for one in values], settings=settings).reset_index(drop=True)


def build(recipe: str, of: Set, seed: int) -> tuple[Task, Loop, int]:
    """The task, its loop (all but the steps) and the length of its noise."""
    torch.manual_seed(derive(seed, "weights"))
    channels, space = of.x.shape[1], tuple(of.x.shape[2:])
    if recipe == "default":
        task: Task = Synthesis(Model(), Symmetry(turn=of.name in TURN), of.classes, channels, space)
        return task, Loop(seed=seed, threads=1), Model().latent
    width, most, batch = SHAPES[recipe]
    return (
        DCGAN(len(of.classes), channels, space, width, most),
        replace(PUBLISHED, batch=batch, seed=seed, threads=1),
        LATENT,
    )


def speed(recipe: str, of: Set, groups: int = 5) -> float:
    """Processor seconds a step: the median over groups of four steps (the default's penalty comes every fourth).

    The default's augmentation, which is off at the start, is on here: it shall not get more than its time.
    """
    task, loop, _ = build(recipe, of, 0)
    for key, buffer in task.nets.named_buffers():
        if key == "chance.p":
            buffer.fill_(0.4)
    clock: list[float] = []
    batches = balanced(of.x, of.codes, loop.batch, 0)
    train(task, batches, replace(loop, steps=4 * groups), hooks=[(4, lambda step, nets: clock.append(cpu()))])
    return float(np.median(np.diff(clock))) / 4


def cpu() -> float:
    """Processor seconds of this process so far."""
    return time.process_time()


def runs() -> list[tuple[str, str, int]]:
    """Every run of the study, seed 0 of every set first."""
    return [(name, recipe, k) for k, name, recipe in product(range(2), SETS, RECIPES) if k < SEEDS[name]]


def rows(path: Path) -> list[dict[str, str]]:
    """What a table holds so far."""
    return list(csv.DictReader(path.open())) if path.exists() else []


def append(path: Path, new: list[dict[str, Any]]) -> None:
    """Append rows, all with the columns of the first."""
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, list(new[0]), lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerows(new)


def steps_for(of: Set, recipe: str) -> int:
    """Steps that take SECONDS, by the table of speeds; where it has none they are measured, the recipes in turn."""
    if not any(row["set"] == of.name for row in rows(SPEEDS)):
        begun = cpu()
        turns = [[speed(name, of) for name in RECIPES] for _ in range(2)]
        new = [{"set": of.name, "recipe": name} for name in RECIPES]
        for row, seconds in zip(new, np.mean(turns, axis=0), strict=True):
            row |= {"seconds_a_step": f"{seconds:.5f}", "cpu_of_set": str(round(cpu() - begun))}
        append(SPEEDS, new)
    found = {(row["set"], row["recipe"]): float(row["seconds_a_step"]) for row in rows(SPEEDS)}
    return round(SECONDS[of.name] / found[of.name, recipe])


def one(of: Set, recipe: str, seed: int) -> list[dict[str, Any]]:
    """Train one recipe, sample it, and measure every class."""
    task, loop, latent = build(recipe, of, seed)
    loop = replace(loop, steps=steps_for(of, recipe))
    begun = cpu()
    nets: Nets = train(task, balanced(of.x, of.codes, loop.batch, seed), loop)
    trained = cpu()
    labels = [label for label in of.classes for _ in range(min(int((of.labels[TRAIN] == label).sum()), IMAGES))]
    seeds = [i for label in of.classes for i in range(labels.count(label))]
    made = of.intensity.decode(sample(nets["generator"], of.classes, latent, labels, seeds))
    if seed == 0:
        draw(of, made, np.array(labels), recipe)
    row = {"set": of.name, "recipe": recipe, "seed": seed, "version": ga.__version__}
    size = {net: sum(p.numel() for p in nets[net].parameters()) for net in ("generator", "discriminator")}
    row |= {"steps": loop.steps, "images_seen": loop.steps * loop.batch, "cpu": round(trained - begun, 1), **size}
    table = measured(of.name, made, of.intensity)
    found = [row | {"class": label, **compare(of, label, made, np.array(labels), table)} for label in of.classes]
    for each in found:
        each["cpu_measuring"] = round(cpu() - trained, 1)
    return found


def compare(of: Set, label: str, made: np.ndarray, labels: np.ndarray, table: pd.DataFrame) -> dict[str, Any]:
    """One class: distances to train at `n_train` images; distances and yardsticks at `n`, the smallest of the sets."""
    own = {role: of.labels[role] == label for role in (TRAIN, HOLDOUT)}
    names = tuple(table.columns)
    real = {r: Features(of.tables[r].to_numpy()[own[r]], names, tuple(of.patients[r][own[r]])) for r in own}
    synthetic = Features(table.to_numpy()[labels == label], names)
    data = prepare(real[TRAIN], real[HOLDOUT], synthetic)

    def to_train(t: Features, _: Features, s: Features) -> np.ndarray:
        density, covered = manifold.density_coverage(t, s.values)
        return np.array([frechet.frechet(t.values, s.values), covered, density])

    def to_holdout(t: Features, h: Features, s: Features) -> np.ndarray:
        pairs = (manifold.density_coverage(t, s.values), manifold.density_coverage(t, h.values))
        distances = (frechet.frechet(h.values, s.values), frechet.frechet(h.values, t.values))
        return np.array([*distances, pairs[0][1], pairs[1][1], pairs[0][0], pairs[1][0]])

    def mean(measure: Any, three: Prepared) -> np.ndarray:
        return np.asarray(resample(measure, three, 0, f"recipes {label}", 0, IMAGES)[0]).mean(0)

    n = min(len(data.train), len(data.holdout), len(data.synthetic), IMAGES)
    first = mean(to_train, replace(data, holdout=data.train))
    second = mean(to_holdout, data)
    if n < coverage.IMAGES:
        second[2:] = np.nan
    if n < frechet.IMAGES:
        second[:2] = np.nan
    keys = ("frechet_train", "coverage", "density")
    more = ("frechet_holdout", "frechet_real", "coverage_n", "coverage_real", "density_n", "density_real")
    out: dict[str, Any] = {"n_train": min(len(data.train), len(data.synthetic), IMAGES)}
    out |= {key: f"{value:.4f}" for key, value in zip(keys, first, strict=True)} | {"n": n}
    out |= {key: "" if np.isnan(value) else f"{value:.4f}" for key, value in zip(more, second, strict=True)}
    out["undefined"] = round(1 - len(data.synthetic) / len(synthetic), 4)
    return out | copies(of, label, made[labels == label], own)


def copies(of: Set, label: str, made: np.ndarray, own: dict[str, np.ndarray]) -> dict[str, Any]:
    """check's test on d1 / d2 in pixels (share, expected share, p), and median d1 of synthetic / of holdout images."""
    scale = np.maximum(of.values[TRAIN].astype(np.float64).std((0, 2, 3)), 1e-9)

    def vectors(images: np.ndarray, patients: np.ndarray) -> Features:
        small = thumbnails(images, scale)
        return Features(small, tuple(map(str, range(small.shape[1]))), tuple(patients))

    learned, new = (vectors(of.values[r][own[r]], of.patients[r][own[r]]) for r in (TRAIN, HOLDOUT))
    first = new.take(np.unique(new.owners, return_index=True)[1])  # one image a patient
    d1, g, _ = nearest(learned, thumbnails(made, scale), mirror_thumbnails)
    real_d1, h, _ = nearest(learned, first.values, mirror_thumbnails)
    count, _, p = tail(g, h)
    ratio = float(np.median(d1) / np.median(real_d1))
    return {"copies": round(count / len(g), 4), "copies_p": f"{p:.2g}", "nearest": round(ratio, 3)}


def draw(of: Set, made: np.ndarray, labels: np.ndarray, recipe: str) -> None:
    """A row per class of the first synthetic images, and once of the first real ones, as grey PNG of few levels."""
    for name, values, whose in ((recipe, made, labels), ("real", of.values[TRAIN], of.labels[TRAIN])):
        first = np.concatenate([values[whose == label][:COLUMNS] for label in of.classes])
        picture = grid(display(first, of.intensity.low, of.intensity.high), COLUMNS)[..., 0]
        factor = max(1, round(640 / picture.shape[1]))
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"recipes-{of.name}-{name}.png"
        for levels in (256, 64, 32, 16, 8):
            few = Image.fromarray(picture.repeat(factor, 0).repeat(factor, 1)).quantize(
                levels, dither=Image.Dither.NONE
            )
            few.save(path, optimize=True)
            if path.stat().st_size < 60_000:
                break


MEASURES = {
    "frechet_train": -1,
    "coverage": 1,
    "density": 1,
    "frechet_holdout": -1,
    "coverage_n": 1,
}  # 1: more is better
YARDSTICKS = ["frechet_real", "coverage_real", "density_real", "copies", "nearest", "cpu", "images_seen"]


def summary() -> str:
    """Means over the seeds that all recipes have, by class and over classes; the default against each other recipe."""
    table = pd.DataFrame(rows(RUNS))
    values = [*MEASURES, *YARDSTICKS]
    table[values] = table[values].apply(pd.to_numeric)
    told = table.groupby(["set", "seed"])["recipe"].transform("nunique") == table["recipe"].nunique()
    by_class = table[told].groupby(["set", "class", "recipe"], sort=False)[values].mean()
    by_set = by_class.groupby(["set", "recipe"], sort=False).mean()
    out = [by_set.round(3).to_string(), by_class.round(3).to_string()]
    for other in SHAPES:
        for name in by_set.index.unique("set"):
            if {"default", other} <= set(by_set.loc[name].index):
                out.append(f"{name}: default against {other}")
                out += [f"  {line}" for line in duel(by_set.loc[name], by_class.loc[name], other)]
    return "\n\n".join(out[:2]) + "\n\n" + "\n".join(out[2:])


def duel(of_set: pd.DataFrame, of_class: pd.DataFrame, other: str) -> list[str]:
    """A line per measure: the ratio of the means over classes, and in how many classes the default is better."""
    lines = []
    for measure, side in MEASURES.items():
        ours, theirs = (of_class[measure].xs(recipe, level="recipe") for recipe in ("default", other))
        ratio = of_set[measure]["default"] / of_set[measure][other]
        won = f"{int((side * (ours - theirs) > 0).sum())} of {int(ours.notna().sum())} classes"
        lines.append(f"{measure:16} ratio {ratio:6.3f}, better in {won}")
    return lines


def main() -> None:
    torch.set_num_threads(1)
    data, out = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/recipes")
    chosen = sys.argv[3:] or RECIPES
    loaded: dict[str, Set] = {}
    with threadpool_limits(1):
        if list(chosen) == ["speeds"]:
            for name in SETS:
                steps_for(load(name, data, out), "default")
        for name, recipe, seed in runs():
            have = {(row["set"], row["recipe"], row["seed"]) for row in rows(RUNS)}
            if recipe not in chosen or (name, recipe, str(seed)) in have:
                continue
            loaded[name] = loaded.get(name) or load(name, data, out)
            append(RUNS, one(loaded[name], recipe, seed))
            print(f"{name} {recipe} seed {seed}: done, {cpu():.0f} s of processor time so far", flush=True)
    if RUNS.exists():
        print(summary())


if __name__ == "__main__":
    main()
