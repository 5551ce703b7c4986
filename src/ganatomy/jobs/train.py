"""train TASK DATA -o RUN: split by patient, then train a generator on the role train alone."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
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
from ganatomy.data.intensity import Intensity, fit
from ganatomy.data.read import pixels
from ganatomy.data.scan import Read
from ganatomy.data.split import Split
from ganatomy.generate import sample, save_generator
from ganatomy.jobs import inspect
from ganatomy.tasks.synthesis import Model, Synthesis
from ganatomy.train import Loop, place, train

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

    def suits(learned: Cohort, values: np.ndarray) -> None:
        place(settings.loop)
        trainable(learned, values, settings)

    # a changed run of the data stage is a changed input of this one
    data = inspect.prepare(
        settings.out, settings.data, settings.read, settings.split, cohort, settings.overwrite, suits
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


def trainable(learned: Cohort, values: np.ndarray, settings: Train) -> None:
    """InputError where images (n, C, H, W) cannot be learned from with these settings."""
    space: tuple[int, ...] = values.shape[2:]
    if min(space) < 8:
        raise SettingsError(
            f"{learned.name}: images of {'x'.join(map(str, space))} pixels are too small; 8 is the least"
        )
    if settings.symmetry.turn and space[-1] != space[-2]:
        raise SettingsError(f"--turn needs square images, not {space[-2]}x{space[-1]}; leave it out")
    fit(values, settings.window)


def learn(cohort: Cohort, settings: Train, target: Path) -> list[Path]:
    """Train on the role train of a split cohort and leave weights, log and samples in `target`."""
    learned = cohort.where(TRAIN)
    values = pixels(learned)
    trainable(learned, values, settings)
    labels = [label for label in learned.classes for _ in range(COLUMNS)]
    seeds = list(range(COLUMNS)) * len(learned.classes)

    def draw(net: torch.nn.Module, intensity: Intensity) -> None:
        scaled = sample(net, learned.classes, settings.model.latent, labels, seeds)
        write_png(
            target / "samples.png", grid(display(intensity.decode(scaled), intensity.low, intensity.high), COLUMNS)
        )

    net, header = train_generator(values, learned.codes, learned.classes, settings, target, draw, "train")
    units = learned.column("unit")
    header |= {"unit": units[0] if len({*units}) == 1 else "", "spacing": learned.column("spacing")[0]}
    rows = ", ".join(learned.classes)
    caption = f"Generated images after the last step, seeds 0 to {COLUMNS - 1}, a row per class: {rows}."
    return [
        save_generator(target / "generator.safetensors", net, header),
        write_json(target / "settings.json", record(settings)),
        write_pictures(target, [Picture("samples.png", "Samples of the trained generator", caption)]),
        target / "log.jsonl",
        target / "samples.png",
    ]


def train_generator(
    values: np.ndarray,
    codes: Sequence[int],
    classes: Sequence[str],
    settings: Train,
    folder: Path | None = None,
    draw: Callable[[torch.nn.Module, Intensity], None] | None = None,
    name: str = "",
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Train on images (n, C, H, W) in their unit and return the averaged generator with the header of its weights.

    codes: (n,) indices into classes; folder: for checkpoint and log, and to go on from (None: nowhere)
    draw: shown the averaged generator ten times, the last time at the end; name: of the progress bar, "" for none
    """
    model, loop = settings.model, settings.loop
    intensity = fit(values, settings.window)
    torch.manual_seed(derive(loop.seed, "weights"))
    task = Synthesis(model, settings.symmetry, classes, values.shape[1], values.shape[2:])
    hooks = [(max(1, loop.steps // 10), lambda step, nets: draw(nets["generator"], intensity))] if draw else []
    x = torch.from_numpy(intensity.encode(values))
    net = train(task, balanced(x, codes, loop.batch, loop.seed), loop, folder, hooks, name)["generator"]
    if draw:  # once more: a checkpoint of the last step may have outlived the picture
        draw(net, intensity)
    counts = np.bincount(codes, minlength=len(classes)).tolist()
    header = {
        "classes": list(classes),
        "network": {
            "space": list(values.shape[2:]),
            "channels": values.shape[1],
            "classes": len(classes),
            "latent": model.latent,
            "width": model.width,
            "most": model.most,
        },
        "latent": {
            "length": model.latent,
            "distribution": "standard normal, drawn per image from (class, seed)",
        },
        "intensity": asdict(intensity),
        "unit": "",
        "spacing": "",
        "learned_from": dict(zip(classes, counts, strict=True)),
    }
    return net, header
