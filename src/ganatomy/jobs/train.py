"""train TASK DATA -o RUN: split by patient, then train a generator on the role train alone."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from ganatomy.core.cohort import TRAIN, Cohort, read_manifest
from ganatomy.core.errors import SettingsError
from ganatomy.core.picture import Picture, display, grid, write_pictures, write_png
from ganatomy.core.progress import say
from ganatomy.core.run import stage, write_json
from ganatomy.core.seed import derive
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.augment import Symmetry
from ganatomy.data.batch import balanced
from ganatomy.data.intensity import fit
from ganatomy.data.read import pixels
from ganatomy.data.scan import Read
from ganatomy.data.split import Split
from ganatomy.generate import sample, save_generator
from ganatomy.jobs import inspect
from ganatomy.tasks.synthesis import Model, Synthesis
from ganatomy.train import Loop, Nets, train

COLUMNS = 10  # images per class in the sample grid


@dataclass(frozen=True)
class Train(Settings):
    """Train a generator on a cohort's training role."""

    task: Literal["synthesis"] = option("synthesis", "what to train: synthesis (images by class)")
    data: str = option("", "a folder with a sub-folder per class, a manifest (.csv), an .npz file, or phantom:")
    out: Path = option(Path("run"), "run folder", local=True)
    overwrite: bool = option(False, "make the stages anew even if they were made with other settings", local=True)
    window: tuple[float, ...] = option(
        (), "values low,high that the network sees; not given: 8-bit as it is, else 99.98 % of the values"
    )
    read: Read = Read()
    split: Split = Split()
    symmetry: Symmetry = Symmetry()
    model: Model = Model()
    loop: Loop = Loop()


def run(settings: Train, cohort: Cohort | None = None) -> Path:
    """RUN/data and RUN/train; goes on from the last checkpoint of a stopped run."""
    # a changed run of the data stage is a changed input of this one
    data = inspect.prepare(
        settings.out, settings.data, settings.read, settings.split, cohort, settings.overwrite
    ).folder
    manifest, target = data / "manifest.csv", settings.out / "train"
    decides = {key: value for key, value in record(settings).items() if key not in ("data", "read", "split")}

    def work() -> list[Path]:
        return learn(read_manifest(manifest), settings, target)

    outcome = stage(
        target, "train", decides, {"manifest": manifest}, work, run=settings.out, overwrite=settings.overwrite
    )
    say(f"train: {'trained' if outcome.made else 'nothing to do, it is done'} ({target})")
    return target


def learn(cohort: Cohort, settings: Train, target: Path) -> list[Path]:
    """Train on the role train of a split cohort and leave weights, log and samples in `target`."""
    learned = cohort.where(TRAIN)
    values = pixels(learned)
    space: tuple[int, ...] = values.shape[2:]
    if min(space) < 8:
        raise SettingsError(
            f"{cohort.name}: images of {'x'.join(map(str, space))} pixels are too small; 8 is the least"
        )
    if settings.symmetry.turn and space[-1] != space[-2]:
        raise SettingsError(f"--turn needs square images, not {space[-2]}x{space[-1]}; leave it out")
    intensity = fit(values, settings.window)
    torch.manual_seed(derive(settings.loop.seed, "weights"))
    task = Synthesis(settings.model, settings.symmetry, learned.classes, values.shape[1], space)
    x = torch.from_numpy(intensity.encode(values))
    labels = [label for label in learned.classes for _ in range(COLUMNS)]
    seeds = list(range(COLUMNS)) * len(learned.classes)

    def draw(step: int, nets: Nets) -> None:
        scaled = sample(nets["generator"], learned.classes, settings.model.latent, labels, seeds)
        shown = display(intensity.decode(scaled), intensity.low, intensity.high)
        write_png(target / "samples.png", grid(shown, COLUMNS))

    every = max(1, settings.loop.steps // 10)
    nets = train(
        task,
        balanced(x, learned.codes, settings.loop.batch, settings.loop.seed),
        settings.loop,
        target,
        [(every, draw)],
        "train",
    )
    if not (target / "samples.png").exists():  # a checkpoint of the last step outlived it
        draw(settings.loop.steps, nets)
    header = {
        "classes": list(learned.classes),
        "network": {
            "space": list(space),
            "channels": values.shape[1],
            "classes": len(learned.classes),
            "latent": settings.model.latent,
            "width": settings.model.width,
            "most": settings.model.most,
        },
        "latent": {
            "length": settings.model.latent,
            "distribution": "standard normal, drawn per image from (class, seed)",
        },
        "intensity": asdict(intensity),
        "unit": learned.column("unit")[0],
        "spacing": learned.column("spacing")[0],
        "learned_from": learned.counts,
    }
    rows = ", ".join(learned.classes)
    caption = f"Generated images after the last step, seeds 0 to {COLUMNS - 1}, a row per class: {rows}."
    return [
        save_generator(target / "generator.safetensors", nets["generator"], header),
        write_json(target / "settings.json", record(settings)),
        write_pictures(target, [Picture("samples.png", "Samples of the trained generator", caption)]),
        target / "log.jsonl",
        target / "samples.png",
    ]
