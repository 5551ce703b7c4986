"""From a folder of PNGs to a verdict, from Python. The images here are drawn; put your own in their place.

Runs in well under a minute, because it trains far too little: the verdict is real, the images are poor.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import ganatomy as ga


def draw(folder: Path, per_class: dict[str, int]) -> None:
    """Write 8-bit PNGs of lesions from the built-in cohort, one sub-folder per class."""
    cohort = ga.read("phantom:patients=160,ratio=3")
    for label, count in per_class.items():
        (folder / label).mkdir(parents=True)
        own = cohort.where(label=label)
        for number, values in enumerate(ga.pixels(own.take(range(min(count, len(own)))))):  # (1, H, W) in HU
            grey = np.clip((values[0] + 1000) / 1400 * 255, 0, 255).astype(np.uint8)  # lung window
            Image.fromarray(grey).save(folder / label / f"{number:03d}.png")


def main(folder: Path) -> None:
    draw(folder / "lesions", {"benign": 150, "malignant": 60})
    study = ga.augment(
        folder / "lesions",
        out=folder / "run",
        steps=60,
        turn=True,
        seeds=1,
        classifier_steps=40,
        resamples=40,
        threads=1,
    )
    print(study.verdict.sentence)
    print(f"{len(study.synthetic)} synthetic images, {ga.pixels(study.synthetic).shape}, in {study.run / 'synthetic'}")
    print("failed:", *(f"{f.name} ({f.subject})" for f in study.findings if f.state == "fail"), sep="\n  ")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="ganatomy-")))
