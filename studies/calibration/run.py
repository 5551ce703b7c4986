"""How often is the battery wrong, and what does it see? python studies/calibration/run.py [run | pool | table] ...

    run [--minutes M] [--processes 1|2] [--only SOURCE] [--sizes 200,500]   what is not in runs.csv yet, in order
    pool        draw the phantom's patients only (run does it too, where they are not there)
    table       the tables of runs.csv, as docs/calibration.md has them

Budget: 3 hours of processor time in all (column `seconds`); what is over it is not begun. Expects the two real sets in
GANATOMY_DATA (../shared/data); where they are not, they are left out.
"""

import argparse
import csv
import hashlib
import importlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from planted import CLEAN, DEFECTS, Array, Material, Part, nobody
from scipy.stats import beta
from sklearn.cluster import KMeans

from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.core.image import Image
from ganatomy.core.seed import derive, rng
from ganatomy.data.phantom import cohort, parse
from ganatomy.data.read import pixels
from ganatomy.radiomics.extraction import extract
from ganatomy.radiomics.settings import RadiomicsSettings

HERE = Path(__file__).resolve().parent
ROWS = HERE / "runs.csv"
KEPT = Path(os.environ.get("GANATOMY_CALIBRATION", "runs/calibration"))  # the pool of phantom patients
DATA = Path(os.environ.get("GANATOMY_DATA", "../shared/data"))

BUDGET = 3 * 3600.0  # seconds of processor time
GATES = ("hygiene", "marginals", "dependence", "labels", "fidelity", "coverage", "copying", "privacy", "fairness")
COLUMNS = ("source", "defect", "n", "seed", "seconds", *GATES, "failed", "error", "code")
PHANTOM, CHEST, NODULES, TABLES, SLICES = "phantom", "pneumoniamnist28", "lidc_nodules", "tables", "tables 30x20"

PARTS = {100: 4, 200: 4, 500: 8, 2000: 16}  # of 1,000 patients each, from which a run of that size draws its own
WINDOW = (-1024.0, 800.0)  # HU; the phantom's middle 99.98 %
STEP, SPACING = 20.0, 1.1875  # HU, mm
FAMILIES = ("firstorder", "glcm", "glrlm")  # as check measures: 58 features, 32 levels over the window
GROUPS = ("sex", "site", "thickness_mm")
MODE, RARE, SITE = ("kernel", "sharp"), ("thickness_mm", "5"), "B"

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
WHOLE = (3, 2)  # seeds whose planted sets the whole battery judges: below 2,000 of each class, and there
Job = tuple[str, str, int, int]  # source, defect, n, seed


# ------------------------------------------------------------ real images


def measured(images: Array, window: tuple[float, float], background: float | None) -> Array:
    """(n, 58) features of images (n, C, H, W)."""
    above = () if background is None else (float(np.nextafter(background, np.inf)),)
    width = (window[1] - window[0]) / 32
    settings = RadiomicsSettings(families=FAMILIES, bin_width=width, resegment=above)
    return extract([Image(one) for one in images], settings=settings).to_numpy(np.float64)


@lru_cache
def columns() -> tuple[str, ...]:
    """Their names."""
    table = extract([Image(np.arange(64, dtype=np.int16).reshape(1, 8, 8))], settings=RadiomicsSettings(FAMILIES))
    return tuple(table.columns)


def pool(number: int) -> Part:
    """A thousand patients of the phantom, drawn once and kept: values, features, groups."""
    file = KEPT / f"pool-{number}.npz"
    if not file.exists():
        found = cohort(parse(f"phantom:patients=1000,ratio=1,seed={1000 + number}"))
        table = found.table.drop(columns="path")
        table["patient"] = [f"{number}-{name}" for name in table["patient"]]
        KEPT.mkdir(parents=True, exist_ok=True)
        part = KEPT / f"part-{number}-{os.getpid()}.npz"
        np.savez(part, values=pixels(found), **{name: table[name].to_numpy().astype(str) for name in table})
        part.replace(file)
    with np.load(file) as stored:
        images = np.clip(stored["values"], *WINDOW).astype(np.int16)
        named = {name: stored[name] for name in (*GROUPS, "kernel")}
        labels, patients = stored["class"], stored["patient"]
    features = KEPT / f"features-{number}.npy"
    if not features.exists():
        part = KEPT / f"part-{number}-{os.getpid()}.npy"
        np.save(part, measured(images, WINDOW, None))
        part.replace(features)
    return Part(labels, patients, images, np.load(features), named, SPACING)


def joined(parts: Sequence[Part]) -> Part:
    """Several sets as one."""

    def glue(values: Sequence[Array | None]) -> Array:
        return np.concatenate([value for value in values if value is not None])

    return Part(
        glue([part.labels for part in parts]),
        glue([part.patients for part in parts]),
        glue([part.images for part in parts]),
        glue([part.features for part in parts]),
        {name: glue([part.groups[name] for part in parts]) for name in parts[0].groups},
        parts[0].spacing,
    )


@lru_cache(maxsize=2)
def phantom(parts: int) -> Part:
    """The first parts of the pool."""
    return joined([pool(number) for number in range(parts)])


@lru_cache(maxsize=1)
def chest() -> Part:
    """PneumoniaMNIST, train and val, each image once. Its patients are unknown: each image counts as one."""
    with np.load(DATA / CHEST / "pneumoniamnist.npz") as stored:
        images = np.concatenate([stored["train_images"], stored["val_images"]])[:, None]
        codes = np.concatenate([stored["train_labels"], stored["val_labels"]])[:, 0]
    keep = np.sort(np.unique(images.reshape(len(images), -1), axis=0, return_index=True)[1])
    images, labels = images[keep], np.array(["normal", "pneumonia"])[codes[keep]]
    features = measured(images, (0, 255), None)
    return Part(labels, np.arange(len(labels)).astype(str), images, features, clusters(features))


@lru_cache(maxsize=1)
def nodules() -> Part:
    """LIDC-IDRI: up to three slices of each nodule, the largest and its neighbours; a patient is an examination."""
    with np.load(DATA / NODULES / "lidc_nodule_slices64.npz") as stored:
        slices, offsets, codes, exams = (stored[name] for name in ("slices", "offsets", "labels", "exam_id"))
    rows, labels, patients = [], [], []
    area = (slices > 0).sum((1, 2))
    for i, code in enumerate(codes):
        own = np.arange(offsets[i], offsets[i + 1])
        middle = own[area[own].argmax()]
        for row in range(max(middle - 1, own[0]), min(middle + 2, own[-1] + 1)):
            if area[row] >= 30:
                rows.append(row)
                labels.append(("benign", "malignant")[code])
                patients.append(exams[i])
    images = slices[rows][:, None]
    keep = np.sort(np.unique(images.reshape(len(images), -1), axis=0, return_index=True)[1])
    features = measured(images[keep], (0, 255), 0.0)
    return Part(np.array(labels)[keep], np.array(patients)[keep], images[keep], features, clusters(features))


def clusters(features: Array) -> dict[str, Array]:
    """Modes where none is known: three, and eight, k-means clusters of robustly scaled features."""
    z = np.nan_to_num(features - np.nanmedian(features, 0))
    z = np.clip(z / np.maximum(np.nanpercentile(np.abs(z), 68, axis=0), 1e-9), -5, 5)
    return {f"{k} clusters": KMeans(k, n_init=3, random_state=0).fit_predict(z).astype(str) for k in (3, 8)}


def rarest(values: Array) -> str:
    """The smallest cluster that holds 4 % or more."""
    names, counts = np.unique(values, return_counts=True)
    big = counts >= 0.04 * len(values)
    return str(names[big][counts[big].argmin()])


# ------------------------------------------------------------ sets of one run


def sides(everything: Part, n: int, draw: np.random.Generator) -> tuple[Part, Part, Part]:
    """Train and holdout of n images of each class, all images of a patient together, then the fresh: one a patient.

    The first of the fresh are images drawn at random (not patients), as a generator that learned from images would.
    """
    names, owner = np.unique(everything.patients, return_inverse=True)
    rank = draw.permutation(len(names))[owner]  # the place of each image's patient
    order = np.lexsort((draw.permutation(len(owner)), rank))
    parts, begin = [], 0
    for _ in range(2):
        left = order[rank[order] >= begin]
        counted = np.zeros(len(left), np.int64)
        for label in np.unique(everything.labels):
            own = everything.labels[left] == label
            counted[own] = np.arange(own.sum())
        rows = left[counted < n]
        parts.append(everything.take(rows))
        begin = rank[rows].max() + 1
    left = draw.permutation(order[rank[order] >= begin])
    fresh = left[np.sort(np.unique(owner[left], return_index=True)[1])]
    return parts[0], parts[1], everything.take(fresh)


def made(source: str, n: int, seed: int) -> tuple[Part, Part, Material]:
    """train, holdout and what defects are made of."""
    draw = rng(seed, "calibration", source, n)
    if source == PHANTOM:
        everything, window, background = phantom(PARTS[n]), WINDOW, None
    else:
        everything, window, background = (
            (chest(), (0.0, 255.0), None) if source == CHEST else (nodules(), (0.0, 255.0), 0.0)
        )
    train, holdout, fresh = sides(everything, n, draw)
    groups = fresh.groups
    mode = groups[MODE[0]] == MODE[1] if source == PHANTOM else groups["3 clusters"] == draw.choice(list("012"))
    rare = groups[RARE[0]] == RARE[1] if source == PHANTOM else groups["8 clusters"] == rarest(groups["8 clusters"])
    site = groups["site"] == SITE if source == PHANTOM else None
    step = STEP if source == PHANTOM else 2.55
    known = GROUPS if source == PHANTOM else ("8 clusters",)
    train, holdout = (replace(part, groups={name: part.groups[name] for name in known}) for part in (train, holdout))
    return train, holdout, Material(train, fresh, n, mode, rare, step, window, site, background)


def simulated(source: str, n: int, draw: np.random.Generator) -> tuple[Part, Part, Part]:
    """A population of tables: 30 features of 6 factors, two classes, some features skewed.

    A patient's images are alike: two thirds of the factors' variance is the patient's. 30 patients of n / 30 images of
    each class, or one to four images each. The synthetic set are independent draws.
    """
    mix = rng(0, "calibration", "population").normal(size=(6, 30)) / np.sqrt(6)
    shift = rng(1, "calibration", "population").normal(size=6) * 0.5

    def rows(counts: Array, code: int, alike: float) -> tuple[Array, Array]:
        owner = np.repeat(np.arange(len(counts)), counts)
        own = draw.normal(size=(len(counts), 6))[owner]
        factors = np.sqrt(alike) * own + np.sqrt(1 - alike) * draw.normal(size=own.shape) + code * shift
        values = factors @ mix + 0.4 * draw.normal(size=(len(owner), 30))
        values[:, ::3] = np.exp(values[:, ::3])
        return values, owner

    def part(alike: float, name: str = "") -> Part:
        values, labels, patients = [], [], []
        for code, label in enumerate("ab"):
            if not alike:
                counts = np.ones(n, np.int64)
            elif source == SLICES:
                counts = np.full(30, n // 30)
            else:
                counts = draw.integers(1, 5, n)
                counts = counts[: np.searchsorted(counts.cumsum(), n) + 1]
            found, owner = rows(counts, code, alike)
            values.append(found[:n])
            labels += [label] * n
            patients += [f"{name}{label}{i}" for i in owner[:n]]
        return Part(np.array(labels), np.array(patients), None, np.concatenate(values))

    return part(2 / 3, "train "), part(2 / 3, "holdout "), nobody(part(0.0))


# ------------------------------------------------------------ one run


def judged(
    train: Part, holdout: Part, synthetic: Part, names: tuple[str, ...], seed: int, gates: tuple[str, ...]
) -> list[Finding]:
    """The battery's findings; of some gates alone where it can be asked for them."""
    from ganatomy.integrity.battery import GATES as EVERY
    from ganatomy.integrity.battery import Side, battery

    def side(part: Part) -> Side:
        assert part.features is not None
        spacing = f"{part.spacing:g}x{part.spacing:g}" if part.spacing else ""
        shown = synthetic.images is not None
        return Side(
            tuple(map(str, part.labels)),
            tuple(map(str, part.patients)),
            {"radiomics": (names, part.features)},
            images=part.images if shown else None,
            spacings=(spacing,) * len(part) if shown else (),
            groups={name: tuple(map(str, values)) for name, values in part.groups.items()},
        )

    return battery(side(train), side(holdout), side(synthetic), seed=seed, gates=gates or EVERY).findings


def one(job: Job) -> dict[str, object]:
    """A row of runs.csv."""
    source, defect, n, seed = job
    begun, error, findings = time.process_time(), "", []
    try:
        if source in (TABLES, SLICES):
            train, holdout, synthetic = simulated(source, n, rng(seed, "calibration", source, n))
            names = tuple(f"feature {i}" for i in range(30))
        else:
            train, holdout, material = made(source, n, seed)
            synthetic = DEFECTS[defect].plant(material, rng(seed, "calibration", source, n, defect))
            if synthetic.features is None:
                assert synthetic.images is not None
                new = measured(synthetic.images, material.window, material.background)
                synthetic = replace(synthetic, features=new)
            names = columns()
        findings = judged(train, holdout, synthetic, names, derive(seed, "battery"), asked(job))
    except Exception as problem:  # a gate that breaks is a result; the study goes on
        error = f"{type(problem).__name__}: {problem}"[:300]
    row: dict[str, object] = {"source": source, "defect": defect, "n": n, "seed": seed}
    row["seconds"] = f"{time.process_time() - begun:.2f}"
    for gate in GATES:
        row[gate] = cell([f.state for f in findings if f.gate == gate])
    row["failed"] = "; ".join(f"{f.gate}: {f.name} [{f.subject}]" for f in findings if f.state == FAIL)
    return row | {"error": error, "code": version()}


def asked(job: Job) -> tuple[str, ...]:
    """The gates that judge a run: all (named by none), or from WHOLE seeds on those alone that are meant to name it."""
    _, defect, n, seed = job
    return () if seed < WHOLE[n == 2000] else DEFECTS[defect].gates


def cell(states: list[str]) -> str:
    """The worst state, and how many findings failed / are inconclusive / passed / were not computed."""
    if not states:
        return ""
    order = (FAIL, INCONCLUSIVE, PASS, NOT_COMPUTED)
    return f"{next(s for s in order if s in states)} {'/'.join(str(states.count(s)) for s in order)}"


@lru_cache
def version() -> str:
    """The gates as they are: a hash of the source of the battery and of all it loads."""
    battery = "ganatomy.integrity."
    importlib.import_module(f"{battery}battery")
    files = sorted(Path(str(module.__file__)) for name, module in sys.modules.items() if name.startswith(battery))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


# ------------------------------------------------------------ the plan


def plan() -> Iterator[Job]:
    """Every run, the most telling first: some of each, then more seeds."""
    for first, last in ((0, 2), (2, 5), (5, 10), (10, 20), (20, 40)):
        for n in (500, 200, 100):
            for seed in range(first, last):
                yield from ((PHANTOM, defect, n, seed) for defect in DEFECTS)
            if n == 200:
                for seed in range(10 * first, 10 * last):
                    if seed < 400:
                        yield tabled(seed)
        if last <= 10:
            for seed in range(first, last):
                for source, n in ((CHEST, 400), (NODULES, 150)):
                    if (DATA / source).exists():
                        whole = [defect for defect in DEFECTS if defect != "8-bit quantisation"]
                        yield from ((source, defect, n, seed) for defect in whole)
        if last <= 10:
            for seed in range(first, last):
                yield from ((PHANTOM, defect, 2000, seed) for defect in DEFECTS)


def tabled(seed: int) -> Job:
    """Half of the runs on tables have few patients of many images, the others 200 or 500 images a class."""
    return (TABLES, CLEAN, 500 if seed % 4 == 1 else 200, seed) if seed % 2 else (SLICES, CLEAN, 600, seed)


def read() -> pd.DataFrame:
    """runs.csv; rows of runs that broke do not count as made."""
    if not ROWS.exists():
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    return pd.read_csv(ROWS, dtype={"code": str}, keep_default_na=False)


def run(minutes: float, processes: int, only: str, sizes: str) -> None:
    """What is missing, until the time or the budget is over."""
    table = read()
    good = table[table["error"] == ""]
    done = set(zip(good["source"], good["defect"], good["n"], good["seed"], strict=True))
    wanted = {int(size) for size in sizes.split(",")} if sizes else None
    jobs = [
        job
        for job in plan()
        if job not in done and only in ("", job[0]) and (wanted is None or job[2] in wanted or job[0] != PHANTOM)
    ]
    spent, end = float(table["seconds"].astype(float).sum()), time.monotonic() + 60 * minutes
    print(f"{len(done)} runs are made, {len(jobs)} to do; {spent:.0f} of {BUDGET:.0f} s spent", flush=True)
    if not ROWS.exists():
        ROWS.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    os.environ |= dict.fromkeys(THREADS, "1")  # of the workers, which load numpy anew
    with (
        ROWS.open("a", encoding="utf-8", newline="") as file,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as workers,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        waiting, queue = set(), iter(jobs)
        while True:
            while len(waiting) < processes and time.monotonic() < end and spent < BUDGET:
                if (job := next(queue, None)) is None:
                    break
                waiting.add(workers.submit(one, job))
            if not waiting:
                return
            ready = next(as_completed(waiting))
            waiting.remove(ready)
            row = ready.result()
            spent += float(str(row["seconds"]))
            writer.writerow(row)
            file.flush()


# ------------------------------------------------------------ the tables


def clopper_pearson(count: int, n: int) -> tuple[float, float]:
    """Exact 95 % limits of a share."""
    low = 0.0 if count == 0 else float(beta.ppf(0.025, count, n - count + 1))
    return low, 1.0 if count == n else float(beta.ppf(0.975, count + 1, n - count))


def state(cells: "pd.Series[str]") -> "pd.Series[str]":
    """The worst state of each cell, "" where the gate said nothing."""
    return cells.str.replace(r" \d.*$", "", regex=True)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)])


def clean_table(table: pd.DataFrame) -> str:
    """Other patients: runs with a failure; per gate the runs it failed, its findings inconclusive, and not computed;
    of all findings that were judged, and of all gates, how many are inconclusive (a gate: most of what it judged).
    """
    rows = []
    for (source, n), own in table[table["defect"] == CLEAN].groupby(["source", "n"], sort=True):
        failed = int((own["failed"] != "").sum())
        low, high = clopper_pearson(failed, len(own))
        shares, judged, undecided = [], np.zeros(2), []
        for gate in GATES:
            said = own[gate][own[gate] != ""]
            each = [tuple(map(int, text.split(" ")[-1].split("/"))) for text in said]
            judged += [sum(one[1] for one in each), sum(sum(one[:3]) for one in each)]
            undecided += [2 * one[1] > sum(one[:3]) for one in each if sum(one[:3])]
            counts = said.str.split(" ").str[-1].str.split("/", expand=True).astype(int).sum() if len(said) else []
            if not len(said):
                shares.append("-")
                continue
            shares.append(
                f"{(state(said) == FAIL).sum()} / {counts[1] / counts.sum():.0%} / {counts[3] / counts.sum():.0%}"
            )
        open_ = f"{judged[0] / max(judged[1], 1):.0%} / {np.mean(undecided):.0%}"
        rows.append([source, str(n), str(len(own)), f"{failed} ({low:.0%} to {high:.0%})", open_, *shares])
    every = table[table["defect"] == CLEAN]
    tables = every["source"].str.startswith(TABLES)
    for name, own in (("*all tables*", every[tables]), ("*all images*", every[~tables])):
        failed = int((own["failed"] != "").sum())
        low, high = clopper_pearson(failed, max(len(own), 1))
        rows.append([name, "", str(len(own)), f"{failed} ({low:.1%} to {high:.1%})", "", *[""] * len(GATES)])
    head = ["source", "images a class", "runs", "runs with a failure (95 %)", "findings / gates inconclusive", *GATES]
    return markdown(head, rows)


def planted_table(table: pd.DataFrame) -> str:
    """Of each defect and size: named by its gate; how many of the others failed elsewhere (the rest: missed)."""
    planted = table[table["defect"] != CLEAN]
    sizes = sorted(set(zip(planted["source"], planted["n"], strict=True)), key=lambda at: (at[0] != PHANTOM, at))
    rows: list[list[str]] = []
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for defect, how in DEFECTS.items():
        if defect == CLEAN:
            continue
        row = [defect, " or ".join(how.gates)]
        for source, n in sizes:
            own = planted[(planted["defect"] == defect) & (planted["source"] == source) & (planted["n"] == n)]
            if own.empty:
                row.append("-")
                continue
            named = np.any([state(own[gate]) == FAIL for gate in how.gates], axis=0)
            rest = own[~named & (own[list(GATES)] != "").sum(axis=1).gt(3).to_numpy()]  # judged by the whole battery
            other = (rest["failed"] != "").sum()
            row.append(f"**{named.sum()}** of {len(own)}" + (f"; {other} of {len(rest)}" if len(rest) else ""))
            found.setdefault((source, n), []).append((int(named.sum()), len(own)))
        rows.append(row)
    count = ["*named in 95 % of 10 runs or more*", ""]
    for at in sizes:
        enough = [hits / runs >= 0.95 for hits, runs in found.get(at, []) if runs >= 10]
        count.append(f"{sum(enough)} of {len(enough)}" if enough else "too few runs")
    head = ["defect", "gate meant to name it", *(f"{source} {n}" for source, n in sizes)]
    return markdown(head, [*rows, count])


def gates_table(table: pd.DataFrame, n: int = 500) -> str:
    """Which gates fail on which defect, phantom: number of runs, of those that the whole battery judged."""
    own = table[(table["source"] == PHANTOM) & (table["n"] == n)]
    own = own[(own[list(GATES)] != "").sum(axis=1) > 3]
    rows = []
    for defect in DEFECTS:
        some = own[own["defect"] == defect]
        if len(some):
            counts = [int((state(some[gate]) == FAIL).sum()) for gate in GATES]
            rows.append([defect, str(len(some)), *(str(count or "") for count in counts)])
    return markdown([f"{n} a class", "runs", *GATES], rows)


def table(_: object = None) -> None:
    """All tables, as Markdown."""
    found = read()
    broken, found = found[found["error"] != ""], found[found["error"] == ""]
    if found.empty:
        sys.exit("there is no run in runs.csv yet")
    print(clean_table(found), planted_table(found), sep="\n\n")
    for n in (100, 200, 500, 2000):
        if ((found["source"] == PHANTOM) & (found["n"] == n)).any():
            print("\n" + gates_table(found, n))
    alarms = found[(found["defect"] == CLEAN) & (found["failed"] != "")]["failed"].str.split("; ").explode()
    if len(alarms):
        print("\nfailures on clean sets:")
        print(*(f"- {name}: {count}" for name, count in alarms.value_counts().items()), sep="\n")
    seconds = found["seconds"].astype(float).groupby([found["source"], found["n"]]).median()
    print("\nseconds a run:", ", ".join(f"{source} {n}: {value:.1f}" for (source, n), value in seconds.items()))
    print(f"runs: {len(found)}, broken: {len(broken)}; versions of the gates: {', '.join(sorted(set(found['code'])))}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", nargs="?", choices=("run", "pool", "table"), default="run")
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no run after so many minutes")
    parser.add_argument("--processes", type=int, choices=(1, 2), default=1)
    parser.add_argument("--only", default="", help="runs of this source only")
    parser.add_argument("--sizes", default="", help="of the phantom, images of each class, as 200,500")
    given = parser.parse_args()
    if given.do == "table":
        table()
    elif given.do == "pool":
        for number in range(max(PARTS.values())):
            pool(number)
    else:
        run(given.minutes, given.processes, given.only, given.sizes)


if __name__ == "__main__":
    main()
