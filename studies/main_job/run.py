"""The main job on three real cohorts: python studies/main_job/run.py DATA [OUT] [COHORT ...]

Budget: 15 minutes of wall clock on two cores for each cohort. Appends a row per cohort to runs.csv, skips what has one
with the same settings, and leaves the run folders under OUT (default runs/studies).
"""

import csv
import json
import sys
import time
from pathlib import Path

import cohorts

import ganatomy as ga

BUDGET = 15 * 60
SETTINGS = {
    "pneumonia": {"steps": 5000},
    "mednist": {"steps": 1600, "seeds": 2},
    "nodules": {"steps": 5000, "turn": True, "background": 16.0},
}
TABLE = Path(__file__).with_name("runs.csv")


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/studies")
    have = list(csv.DictReader(TABLE.open())) if TABLE.exists() else []
    for name in sys.argv[3:] or cohorts.NAMES:
        settings = json.dumps(SETTINGS[name])
        if any((row["cohort"], row["settings"]) == (name, settings) for row in have):
            print(f"{name}: already in {TABLE.name}")
            continue
        out.mkdir(parents=True, exist_ok=True)
        source = cohorts.write(name, data, out)
        begun = time.monotonic()
        study = ga.augment(str(source), out / name, **SETTINGS[name])
        row = {"cohort": name, "version": ga.__version__, "seconds": round(time.monotonic() - begun), "budget": BUDGET}
        row |= {
            "settings": settings,
            "verdict": study.verdict.word,
            "sentence": study.verdict.sentence,
        }
        row |= {"limits": "; ".join(study.verdict.limits)}
        row |= {
            state: sum(f.state == state for f in study.findings if f.bar) for state in ("pass", "fail", "inconclusive")
        }
        with TABLE.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(row), lineterminator="\n")
            if not stream.tell():
                writer.writeheader()
            writer.writerow(row)
        have.append(row)
        print(row)


if __name__ == "__main__":
    main()
