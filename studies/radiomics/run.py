"""How fast is the feature engine beside others? python studies/radiomics/run.py [PEERS] [ROUNDS] [SECONDS] [TASKS]

PEERS is a folder of virtual environments called pyradiomics, mirp, nyxus, flash (README.md says how each is made); what
is not there is left out. Every engine measures the same arrays, one thread, SECONDS (4) of CPU time each, in ROUNDS (3)
turns one after the other, so that a noisy machine is noisy for all; the best round counts. Prints items per CPU second
and the ratio of ganatomy to each, and appends the rounds to runs.csv. TASKS, separated by commas: only
these. Budget: 15 minutes of CPU time with all peers.
"""

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

HERE = Path(__file__).resolve().parent
TASKS = ("2d core", "2d core wavelet", "2d all", "2d all wavelet", "3d core", "3d all", "3d core wavelet")
ENGINES = ("ganatomy", "pyradiomics", "pyradiomics-direct", "mirp", "nyxus", "flash")


def arrays(folder: Path) -> Path:
    """Textures: 256 slices of 64 x 64 and 2 volumes of 64^3 with a sphere of about 92,000 voxels."""
    draw = np.random.default_rng(0)
    widths = (0.0, 0.7, 1.5, 3.0)  # from white noise to smooth

    def texture(shape: tuple[int, ...], width: float) -> np.ndarray:
        noise = draw.normal(size=shape)
        return (100 * (gaussian_filter(noise, width) if width else noise)).astype(np.float32)

    grid = np.indices((64, 64, 64)) - 31.5
    path = folder / "arrays.npz"
    np.savez(
        path,
        slices=np.stack([texture((64, 64), widths[i % 4]) for i in range(256)]),
        volumes=np.stack([texture((64, 64, 64), 1.0) for _ in range(2)]),
        sphere=((grid**2).sum(0) <= 28**2).astype(np.uint8),
    )
    return path


def measure(python: str, engine: str, task: str, data: Path, seconds: float) -> dict[str, float] | None:
    """One engine on one task in a process of its own; None where it cannot do the task."""
    threads = "2" if "threads" in task else "1"
    quiet = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
    quiet |= {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": threads}
    words = [python, str(HERE / "engines.py"), engine, task, str(data), str(seconds)]
    done = subprocess.run(words, env={**os.environ, **quiet}, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        return None
    if done.returncode:
        sys.exit(f"{engine} failed on {task}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Rounds of all engines on all tasks, and the table."""
    peers = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("peers")
    rounds, seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3, float(sys.argv[3]) if len(sys.argv) > 3 else 4.0
    pythons = {"ganatomy": sys.executable}
    pythons |= {name: str(peers / name.split("-")[0] / "bin" / "python") for name in ENGINES[1:]}
    tasks = sys.argv[4].split(",") if len(sys.argv) > 4 else TASKS
    there = [name for name in ENGINES if Path(pythons[name]).exists()]
    print("engines:", ", ".join(there), "| machine:", platform.processor() or platform.machine(), flush=True)
    rates: dict[tuple[str, str], float] = {}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = arrays(Path(folder))
        for task in tasks:
            for turn in range(rounds):
                for engine in there:
                    found = measure(pythons[engine], engine, task, data, seconds)
                    if found:
                        rate = found["items"] / found["cpu"]
                        rates[task, engine] = max(rate, rates.get((task, engine), 0.0))
                        rows.append([task, engine, turn, found["items"], f"{found['cpu']:.3f}", f"{rate:.2f}"])
            own = rates[task, "ganatomy"]
            words = [
                f"{name} {rates[task, name]:.2f}/s (x {own / rates[task, name]:.1f})"
                for name in there[1:]
                if (task, name) in rates
            ]
            print(f"{task:16s} ganatomy {own:.1f}/s  " + "  ".join(words), flush=True)
        one, two = (
            max(
                found["items"] / found["wall"]
                for found in (measure(sys.executable, "ganatomy", task, data, seconds) for _ in range(rounds))
                if found
            )
            for task in ("2d core", "2d core threads")
        )
        print(f"two threads: {two / one:.2f} times one, by the clock (on an idle machine of two cores)")
    table = HERE / "runs.csv"
    new = not table.exists()
    with table.open("a", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerows([["task", "engine", "round", "items", "cpu_s", "items_per_cpu_s"], *rows] if new else rows)


if __name__ == "__main__":
    main()
