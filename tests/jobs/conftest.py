"""A tiny cohort of two classes with awkward names, the settings of a tiny run, and one finished run to look at."""

import hashlib
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
