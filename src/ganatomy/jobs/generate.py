"""generate RUN: images from trained weights, by default as many as balance the training role's classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import pandas as pd

from ganatomy.core.cohort import TRAIN, Cohort, read_manifest, write_manifest
from ganatomy.core.errors import RunError, SettingsError, nearest
from ganatomy.core.progress import progress, say
from ganatomy.core.run import ANEW, file_hash, finished, gone, read_json, stage, write_bytes, write_text
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.read import hashed, image
from ganatomy.data.write import npz_bytes, storage, write_png
from ganatomy.generate import Trained, load_generator
from ganatomy.jobs.inspect import apart

SUMS = "images.sha256"


@dataclass(frozen=True)
class Generate(Settings):
    """Make synthetic images from the weights of a run."""

    run: Path = option(Path("run"), "run folder that holds trained weights", local=True)
    out: Path | None = option(None, "folder for the images (not given: RUN/synthetic)", local=True)
    overwrite: bool = option(False, "make the images anew even if they were made with other settings", local=True)
    counts: str = option("balance", "images per class: balance, a number for every class, or a=50,b=200")
    first_seed: int = option(0, "seed of the first image of each class; the next has the next seed")
    format: Literal["png", "npz"] = option("png", "png (8 or 16 bit, as the training images) or one npz")


def run(settings: Generate) -> Path:
    """The stage RUN/synthetic, or another folder."""
    weights = finished(settings.run, "train") / "generator.safetensors"
    manifest = finished(settings.run, "data") / "manifest.csv"
    target = settings.out or settings.run / "synthetic"
    if settings.out:
        source = read_json(manifest.with_name("done.json"))["settings"].get("data", "")
        apart(settings.out, source)
    wanted = parse_counts(settings.counts, read_manifest(manifest).where(TRAIN).counts)

    def work() -> list[Path]:
        return make(load_generator(weights), wanted, settings, target)

    inputs = {"weights": weights, "manifest": manifest}
    holds = settings.run if settings.out is None else None
    outcome = stage(
        target, "generate", record(settings), inputs, work, run=holds, overwrite=settings.overwrite, lacks=lacks
    )
    say(f"generate: {'made' if outcome.made else 'nothing to do, it is done'} ({target})")
    if settings.out:
        say(f"note: check and prove look at {settings.run / 'synthetic'} alone, which generate fills without -o")
    return target


def parse_counts(words: str, learned: dict[str, int]) -> dict[str, int]:
    """Images wanted per class, at least one. learned: images of each class in the training role."""
    wanted = dict.fromkeys(learned, 0)
    if words == "balance":
        wanted = {label: max(learned.values()) - count for label, count in learned.items()}
    elif words.isdecimal():
        wanted = dict.fromkeys(learned, int(words))
    else:
        part = unknown = ""
        for piece in words.split(","):
            part = f"{part},{piece}" if part else piece
            label, _, number = part.rpartition("=")
            if label not in learned:  # or the comma is one within the name of a class
                unknown = unknown or label
            elif not number.isdecimal():
                raise SettingsError(f"--counts '{words}': '{number}' is not a number of images; write {label}=50")
            else:
                wanted[label], part, unknown = int(number), "", ""
        if unknown:
            raise SettingsError(f"--counts '{words}': there is no class '{unknown}'; {nearest(unknown, learned)}")
        if part:
            raise SettingsError(f"--counts '{words}' is neither balance, nor a number, nor CLASS=NUMBER,...")
    if not any(wanted.values()):
        why = "the classes are balanced; give" if words == "balance" else "give"
        raise SettingsError(f"--counts '{words}' asks for no image: {why} a number above 0")
    return wanted


def folder_name(label: str) -> str:
    """A class as a folder name: what a path cannot hold is percent-encoded, so that no two classes share one."""
    name = quote(label, safe=" ()+-_,")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def lacks(target: Path, outputs: Mapping[str, str]) -> str:
    """Which image of a finished stage was lost or changed; those that an edited manifest no longer lists may be.

    Raises RunError where images made anew would replace an edited manifest.
    """
    manifest, sums = target / "manifest.csv", target / SUMS
    if lost := gone(target, outputs):
        return lost
    listed = {path.partition("#")[0] for path in pd.read_csv(manifest, dtype=str, keep_default_na=False)["path"]}
    for line in sums.read_text(encoding="utf-8").splitlines() if SUMS in outputs else ():
        sha256, _, name = line.partition("  ")
        if name not in listed:
            continue
        path = target / name
        if path.is_file() and file_hash(path) == sha256:
            continue
        lost = f"{path} {'was changed' if path.exists() else 'is gone'}"
        if file_hash(manifest) != outputs[manifest.name]:
            raise RunError(f"{lost}, and {manifest} was edited; remove its line too, or {ANEW} to make all images anew")
        return lost
    return ""


def make(trained: Trained, wanted: dict[str, int], settings: Generate, target: Path) -> list[Path]:
    """Generate, write every file, then the manifest, and the files' hashes as `sha256sum -c` reads them."""
    labels = [label for label, count in wanted.items() for _ in range(count)]
    seeds = [settings.first_seed + i for count in wanted.values() for i in range(count)]
    low, high = trained.intensity.low, trained.intensity.high
    slope, intercept = storage(trained.intensity.dtype, low, high)
    npz = settings.format == "npz"
    if npz:
        slope, intercept = 1.0, 0.0
    paths = [
        f"images.npz#images/{i}" if npz else f"{folder_name(c)}/{s:06d}.png"
        for i, (c, s) in enumerate(zip(labels, seeds, strict=True))
    ]
    with progress("generate", len(labels)) as advance:
        values = trained.images(labels, seeds, advance)
    if npz:
        write_bytes(
            target / "images.npz", npz_bytes({"images": np.moveaxis(values, 1, -1), "labels": np.asarray(labels)})
        )
    else:
        for path, label, seed, one in zip(paths, labels, seeds, values, strict=True):
            mark = {
                "Synthetic": "YES",
                "Software": "ganatomy",
                "Class": label,
                "Seed": str(seed),
                "Weights": trained.sha256,
            }
            write_png(target / path, one, slope, intercept, mark)
    table = pd.DataFrame(
        {"path": paths, "class": labels, "unit": trained.header["unit"], "spacing": trained.header["spacing"]}
    )
    table = table.assign(slope=repr(float(slope)), intercept=repr(float(intercept)))
    if slope != 1.0:  # 16 bits hold a step of the values, so the images are what their files hold
        kept = [image(str(target / path), slope, intercept).values for path in paths]
        values = np.stack(kept)
    cohort = hashed(Cohort(table, str(target)), values)
    table = cohort.table.assign(seed=seeds, weights=trained.sha256)
    files = dict.fromkeys(path.partition("#")[0] for path in paths)
    sums = "".join(f"{file_hash(target / name)}  {name}\n" for name in files)
    return [write_manifest(Cohort(table), target / "manifest.csv"), write_text(target / SUMS, sums)]
