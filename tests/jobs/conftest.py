"""A tiny cohort of two classes with awkward names, the settings of a tiny run, and one finished run to look at."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganatomy.cli import main

RARE, COMMON = "in situ/grade 1.5", ".benign, old"
FLAGS = {
    "steps": "12",
    "batch": "8",
    "latent": "4",
    "width": "4",
    "most": "8",
    "threads": "1",
    "save_every": "-1",
    "classifier_steps": "10",
    "classifier_batch": "8",
    "classifier_width": "4",
    "resamples": "20",
    "seeds": "1",
    "replicates": "200",
}
OF = {
    "train": ("steps", "batch", "latent", "width", "most", "threads", "save_every"),
    "generate": (),
    "check": ("classifier_steps", "classifier_batch", "classifier_width", "resamples"),
    "prove": ("classifier_steps", "classifier_batch", "classifier_width", "seeds", "replicates"),
    "report": (),
}


def flags(verb: str = "") -> list[str]:
    """The flags of one verb, or of the whole chain."""
    return [word for name in OF.get(verb, tuple(FLAGS)) for word in ("--" + name.replace("_", "-"), FLAGS[name])]


def draw(folder: Path) -> Path:
    """16 x 16 blobs as PNG: 20 patients with one class, half of them with two images, and 12 with the other."""
    random, rows = np.random.default_rng(0), []
    y, x = np.mgrid[:16, :16]
    for patient in range(32):
        label = COMMON if patient < 20 else RARE
        for image in range(2 if patient < 20 and patient % 2 else 1):
            cy, cx, size = random.uniform(5, 11), random.uniform(5, 11), 3.0 if label == RARE else 2.0
            blob = 180 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2)) + random.normal(30, 8, (16, 16))
            name = f"images/{patient}-{image}.png"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(blob.clip(0, 255).astype(np.uint8)).save(folder / name)
            rows.append({"path": name, "class": label, "patient": f"p{patient}", "site": "AB"[patient % 2]})
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def hashes(run: Path) -> dict[str, str]:
    """Every file of a run folder, by its bytes."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file())
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def in_place_of(run: Path) -> Iterator[dict[str, str]]:
    """Move a finished run aside to make it again at its place, for tables name files by their full path; its hashes."""
    aside = run.rename(run.with_name("aside"))
    try:
        yield hashes(aside)
    finally:
        if run.exists():
            run.rename(run.with_name(f"again-{len(list(run.parent.iterdir()))}"))
        aside.rename(run)


def noise(folder: Path, shape: tuple[int, ...], dtype: type = np.uint8, high: int = 200, each: int = 16) -> Path:
    """An npz of noise, `each` images in each of two classes, whose roles are given in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    images = random.integers(-high if dtype is np.int16 else 0, high, (2 * each, *shape)).astype(dtype)
    roles = ["train", "select", "holdout", "test"] * (each // 2)
    np.savez(folder / "c.npz", images=images, labels=np.repeat(["a", "b"], each), split=roles)
    return folder / "c.npz"


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of the tiny cohort."""
    return draw(tmp_path_factory.mktemp("lesions"))


@pytest.fixture(scope="session")
def finished_run(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole chain, made by the command line. Look, do not touch: copy it to change it."""
    run = tmp_path_factory.mktemp("chain") / "run"
    assert main(["augment", str(lesions), "-o", str(run), *flags()]) == 0
    return run
