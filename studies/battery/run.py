"""What does a check cost? python studies/battery/run.py [SIZES]: seconds and memory of `ganatomy check`, by set size.

Three sets of phantom images of 64 x 64 pixels, two classes, 290 features (with the wavelet's four bands), through the
command itself; appends a row for each size to runs.csv. SIZES: images in each set, 200,2000,20000 if not given.
"""

import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ganatomy.data.phantom import cohort, parse
from ganatomy.data.read import pixels

HERE = Path(__file__).resolve().parent
KEPT = Path(os.environ.get("GANATOMY_BATTERY", "runs/battery"))
COLUMNS = ("images", "features", "seconds", "cpu", "gib", "cores")


def drawn(name: str, seed: int, images: int) -> Path:
    """The manifest of a set, with patients; its images lie beside it as .npz, drawn once and kept."""
    manifest = KEPT / f"{name}-{images}.csv"
    if not manifest.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        found = cohort(parse(f"phantom:size=64,patients={max(images // 2, 40)},ratio=1,seed={seed}"))
        part = found.take(np.sort(np.random.default_rng(seed).permutation(len(found))[:images]).tolist())
        np.savez(KEPT / f"{name}-{images}.npz", images=pixels(part)[:, 0])
        table = part.table.assign(path=[f"{name}-{images}.npz#images/{i}" for i in range(len(part))])
        table["patient"] = name + "-" + table["patient"]  # every cohort counts its patients from 0
        table[["path", "class", "patient", "unit", "spacing", "sex", "site"]].to_csv(manifest, index=False)
    return manifest


def run(images: int) -> dict[str, object]:
    """One check of three sets of so many images, nothing measured before."""
    sets = [drawn(name, seed, images) for seed, name in enumerate(("train", "holdout", "synthetic"), start=11)]
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "ganatomy", "check", "-o", f"{folder}/out", "--filters", "original,wavelet"]
        for flag, manifest in zip(("--train", "--holdout", "--synthetic"), sets, strict=True):
            words += [flag, str(manifest)]
        words += ["--cache", "no"]
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        features = len((Path(folder) / "out/check/features.csv").read_text().partition("\n")[0].split(",")) - 4
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "images": images,
        "features": features,
        "seconds": f"{time.monotonic() - begun:.1f}",
        "cpu": f"{cpu:.1f}",
        "gib": f"{after.ru_maxrss / 2**20:.2f}",  # of the largest process so far, so sizes go upwards
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Every size, smallest first."""
    sizes = sorted(int(size) for size in (sys.argv[1] if len(sys.argv) > 1 else "200,2000,20000").split(","))
    file = HERE / "runs.csv"
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        for images in sizes:
            writer.writerow(row := run(images))
            out.flush()
            print(row, flush=True)


if __name__ == "__main__":
    main()
