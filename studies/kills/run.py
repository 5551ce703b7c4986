"""Does a killed run end in the same bytes? python studies/kills/run.py [KILLS] [SEED] [FOLDER]

Makes one small run, then the same run again and again at the same place, each time killed (SIGKILL) at random moments
of every stage and started again with the same command, until KILLS (20) kills were made. Compares every file of every
broken run with the unbroken one, writes kills.csv in FOLDER (runs/kills), and ends with exit code 1 on any difference.
Budget: 5 minutes on one quiet core. The kills.csv beside this file is the table of `run.py 24 7`.
"""

import csv
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = """steps=300 batch=8 latent=4 width=4 most=8 threads=1 save-every=0.1 classifier-steps=10 classifier-batch=8
classifier-width=4 resamples=10 seeds=1 replicates=100"""
STAGES = {"start": "", "data": "data", "train": "train", "generate": "synthetic", "check": "check", "prove": "prove"}
STAGES |= {"report": "."}  # "start": no stage has been begun, the program loads or looks at what is there
WITHIN = {"train": "train/checkpoint.safetensors", "prove": "prove/fits/*.csv"}  # what a stage goes on from
MOMENTS = [word for stage in STAGES for word in (stage, f"{stage} on") if word in STAGES or stage in WITHIN]


def start(run: Path) -> subprocess.Popen[bytes]:
    """The one command of this study."""
    flags = [f"--{word}" for word in SETTINGS.split()]
    words = [sys.executable, "-m", "ganatomy", "augment", "phantom:patients=40", *flags, "-o", str(run)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet)


def now(run: Path) -> str:
    """The stage that has been begun and is not done; "train on" and "prove on" if there is something to go on from."""
    name = next((name for name, at in STAGES.items() if at and (run / at / "begun.json").exists()), "start")
    return f"{name} on" if name in WITHIN and any(run.glob(WITHIN[name])) else name


def finish(run: Path) -> dict[str, float]:
    """The command to its end; how many seconds each stage took."""
    process, seconds, last = start(run), dict.fromkeys(MOMENTS, 0.0), time.monotonic()
    while process.poll() is None:
        time.sleep(0.002)
        seconds[now(run)] += time.monotonic() - last
        last = time.monotonic()
    if process.returncode:
        sys.exit(f"the command ended with exit code {process.returncode}; see: {' '.join(map(str, process.args))}")
    return seconds


def left(run: Path) -> str:
    """What a killed stage left to go on from: the step of the checkpoint, the fits of the trial."""
    checkpoint = run / "train" / "checkpoint.safetensors"
    if now(run) == "train on":
        content = checkpoint.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return f"step {json.loads(header['__metadata__']['ganatomy'])['step']}"
    return f"{len(list(run.glob('prove/fits/*.csv')))} fits" if now(run) == "prove on" else ""


def hashes(run: Path) -> dict[str, str]:
    """Every file of a run, hidden ones too, by its bytes."""
    files = (path for path in run.rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill(run: Path, target: str, share: float, seconds: dict[str, float]) -> dict[str, object] | None:
    """Start the command and kill it at a share of a stage; None if it was too late for that."""
    process, begun, order = start(run), time.monotonic(), MOMENTS
    while process.poll() is None and order.index(now(run)) < order.index(target):
        time.sleep(0.0005)
    time.sleep(share * seconds[target])
    if process.poll() is not None:
        return None
    process.kill()
    process.wait()
    parts = len(list(run.rglob(".*.part")))
    return {
        "seconds": f"{time.monotonic() - begun:.2f}",
        "aimed at": target,
        "hit": now(run),
        "half-written": parts,
        "left": left(run),
    }


def main() -> int:
    """The table on standard output and in FOLDER."""
    given = dict(enumerate(sys.argv))
    wanted, chance = int(given.get(1, 20)), random.Random(int(given.get(2, 0)))
    folder = Path(given.get(3, "runs/kills")).resolve()
    run, whole = folder / "run", folder / "unbroken"
    shutil.rmtree(folder, ignore_errors=True)
    seconds = finish(run)
    expected = hashes(run)
    run.rename(whole)
    print(f"unbroken: {len(expected)} files, {sum(seconds.values()):.1f} s", flush=True)
    rows: list[dict[str, object]] = []
    while len(rows) < wanted:
        aims = chance.sample(MOMENTS, min(wanted - len(rows), len(MOMENTS)))
        kills = [kill(run, aim, chance.random(), seconds) for aim in sorted(aims, key=MOMENTS.index)]
        finish(run)
        found = hashes(run)
        wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        result = f"{len(wrong)} files differ: {', '.join(wrong[:3])}" if wrong else "the same bytes"
        number = len({row["run"] for row in rows}) + 1
        rows += [{"run": number, **row, "result": result} for row in kills if row]
        print(f"run {number}: killed in {', '.join(str(row['hit']) for row in kills if row)}: {result}", flush=True)
        if wrong:
            run.rename(folder / f"differs-{number}")
        else:
            shutil.rmtree(run)
    with (folder / "kills.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print((folder / "kills.csv").read_text(), end="")
    return int(any(row["result"] != "the same bytes" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
