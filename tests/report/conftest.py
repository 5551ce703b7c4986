"""A made-up run folder: every stage, every state of a finding, every verdict; the numbers mean nothing."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganatomy.core.finding import Finding, write_findings
from ganatomy.core.run import file_hash, write_json, write_text
from ganatomy.core.seed import rng

TWO = ("benign", "malignant")
SIX = (
    "<script>alert(1)</script>",
    "adenocarcinoma with lepidic growth, minimally invasive, solid component below five millimetres",
    "Ödem „rechts“ & links",
    "NA",
    "肺結節",
    "0",
)
NAMES = [
    f"original_{family}_{name}"
    for family, names in {
        "firstorder": (
            "Mean",
            "Entropy",
            "Energy",
            "Skewness",
            "Kurtosis",
            "10Percentile",
            "InterquartileRange",
        ),
        "glcm": ("Contrast", "JointEntropy", "Idmn", "Imc1", "MCC", "ClusterShade"),
        "glrlm": ("RunEntropy", "LongRunEmphasis", "GrayLevelNonUniformity", "RunPercentage"),
        "ngtdm": ("Busyness", "Coarseness"),
    }.items()
    for name in names
]
ROLES = {"train": 52, "select": 13, "holdout": 26, "test": 39}
SIDES = "Left: real images that were learned from. Right: synthetic ones, drawn in order of their seeds."
PAIRS = "Above: synthetic. Below: the nearest training image of each."
SUSPECTS = "class,path,nearest,nearest_patient,compared_by,distance,ratio\n"
RATE = 1.6  # images per patient


def blob(seed: int, label: str, size: int = 48) -> np.ndarray:
    """A noisy disc that passes for a lesion from afar. (size, size) uint8"""
    draw = rng(seed, "blob", label)
    y, x = np.mgrid[:size, :size] / size - 0.5
    wide, tilt, off = draw.uniform(0.1, 0.26), draw.uniform(0.6, 1.4), draw.normal(0, 0.05, 2)
    far = np.hypot((x - off[0]) * tilt, (y - off[1]) / tilt)
    noise = draw.normal(0, 1, (size, size))
    for _ in range(3):
        noise = (
            noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, -1, 0) + np.roll(noise, -1, 1)
        ) / 2.6
    value = 55 + 140 / (1 + np.exp((far - wide) * 60)) + 16 * noise
    return value.clip(0, 255).astype(np.uint8)


def grid(path: Path, label: str, rows: int, columns: int, *, gap: int = 0) -> None:
    """Blobs in rows; `gap` columns of white in the middle part the real from the synthetic."""
    tiles = [np.hstack([blob(100 * r + c, label + path.name) for c in range(columns)]) for r in range(rows)]
    picture = np.vstack(tiles)
    if gap:
        half = picture.shape[1] // 2
        picture = np.hstack([picture[:, :half], np.full((len(picture), gap), 255, np.uint8), picture[:, half:]])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def finish(run: Path, stage: str, job: str, settings: dict[str, object]) -> None:
    """done.json as a stage writes it, over all files in the folder."""
    folder = run / stage
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "done.json")
    outputs = {path.relative_to(folder).as_posix(): file_hash(path) for path in files}
    inputs = (
        {"cohort": "0" * 64} if stage == "data" else {"data/manifest.csv": file_hash(run / "data" / "manifest.csv")}
    )
    record = {
        "job": job,
        "format": 1,
        "version": "0.1.0",
        "settings": settings,
        "inputs": inputs,
        "outputs": outputs,
    }
    write_json(folder / "done.json", record)


def write_data(run: Path, classes: Sequence[str], patients_known: bool = True) -> None:
    """RUN/data"""
    table = {}
    for i, label in enumerate(classes):
        scale = 1.0 if i == 0 else 0.42
        table[label] = {role: [round(n * RATE * scale), round(n * scale)] for role, n in ROLES.items()}
    facts = {
        "name": "lung nodules, 48 px",
        "images": sum(n[0] for roles in table.values() for n in roles.values()),
        "patients": sum(n[1] for roles in table.values() for n in roles.values()),
        "patients_known": patients_known,
        "classes": table,
        "shape": [1, 48, 48],
        "dtype": "uint8",
        "unit": "HU",
        "spacing": [0.7, 0.7],
        "range": [-1024.0, 612.0],
        "groups": ["sex", "site"],
        "duplicates": {"within": 2, "across": 0},
        "warnings": [
            "The class malignant has 34 training images; below 100 per class the generator may repeat itself."
        ],
    }
    write_json(run / "data" / "facts.json", facts)
    write_text(run / "data" / "manifest.csv", "path,class,patient,fold,role\n")
    finish(
        run,
        "data",
        "data",
        {"data": "nodules/manifest.csv", "seed": 0, "split": {"folds": 5, "holdout": 0.2}},
    )


def write_train(run: Path, classes: Sequence[str]) -> None:
    """RUN/train"""
    draw, rows = rng(0, "log"), []
    for step in range(50, 20001, 50):
        t = step / 20000
        row = {"step": step, "images": step * 32, "lr": 0.002}
        row |= {
            "D.logistic": 1.35 - 0.5 * t + draw.normal(0, 0.08),
            "D.r1": abs(0.09 * (1 - t) + draw.normal(0, 0.02)),
        }
        row |= {"G.non_saturating": 0.75 + 1.1 * t + draw.normal(0, 0.15)}
        for i, label in enumerate(classes):
            row[f"D.augment.{label}"] = min(0.8, max(0.0, (0.15 + 0.2 * i) * 4 * t + draw.normal(0, 0.01)))
            row[f"D.sign.{label}"] = min(1.0, 0.6 * (1 - np.exp(-9 * t)) + draw.normal(0, 0.04))
        rows.append(json.dumps(row))
    write_text(run / "train" / "log.jsonl", "\n".join(rows) + "\n")
    settings = {
        "task": "synthesis",
        "data": "nodules/manifest.csv",
        "steps": 20000,
        "batch": 32,
        "seed": 0,
        "optimiser": {"lr": 0.002, "betas": [0.0, 0.99], "ema_half_life": 10000},
        "augment": {"target": 0.6, "flip": True, "kinds": ["geometric", "colour"]},
        "precision": "fp32",
    }
    write_json(run / "train" / "settings.json", settings)
    grid(run / "train" / "samples.png", "samples", len(classes), 12)
    caption = "One row a class, in alphabetical order; the same latent values along each column."
    write_json(
        run / "train" / "pictures.json",
        [{"file": "samples.png", "title": "Samples after the last step", "caption": caption}],
    )
    finish(run, "train", "train", settings)


def write_synthetic(run: Path, classes: Sequence[str]) -> None:
    """RUN/synthetic"""
    rows = [
        f"{i:03d}/{seed}.png,{_quote(label)},{seed}"
        for i, label in enumerate(classes)
        for seed in range(48 if i else 0)
    ]
    write_text(run / "synthetic" / "manifest.csv", "path,class,seed\n" + "\n".join(rows) + "\n")
    finish(run, "synthetic", "generate", {"counts": "balance", "seed": 0})


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def write_features(path: Path, classes: Sequence[str]) -> None:
    """check/features.csv; synthetic values are shifted in some features, so that some differ."""
    rows = []
    for i, label in enumerate(classes):
        for group, n in (("train", 83), ("holdout", 42), ("synthetic", 90)):
            draw = rng(0, "features", i, group)
            common = draw.normal(0, 1, n)
            for k in range(n):
                row = {"set": group, "class": label, "patient": f"p{k}", "path": f"{k}.png"}
                for j, name in enumerate(NAMES):
                    shift = (j % 4) * 0.3 if group == "synthetic" else 0.0
                    value = 0.5 * common[k] + draw.normal(0, 0.8) + shift + 0.4 * i
                    row[name] = value * 180 - 320 if j == 0 else np.exp(value) if j % 3 else value
                rows.append(row)
    write_text(path, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.6g"))


def integrity(classes: Sequence[str], copying: str = "pass") -> list[Finding]:
    """Findings of check, in every state."""
    n = {"n_images": 42, "n_patients": 26}
    copied = f"9 of 48 synthetic images of {classes[-1]} lie closer to a training image than chance allows"
    out = []
    for label in classes:
        worst = label == classes[-1]
        state = copying if worst else "pass"
        value = {"pass": 0.012, "fail": 0.188, "inconclusive": 0.03, "not computed": None}[state]
        note = {"pass": "", "fail": copied}.get(state, "12 held-out images are too few; 30 would do")
        edge = {} if value is None else {"low": value * 0.4, "high": value * 1.5}
        out += [
            Finding(
                "copying",
                "share nearer than chance",
                label,
                value,
                yardstick=0.01,
                bar=("<=", 0.05),
                state=state,
                note=note,
                **edge,
                **n,
            ),
            Finding(
                "fidelity",
                "Fréchet radiomics distance over yardstick",
                label,
                2.61 if worst else 1.31,
                1.12 + worst,
                1.74 + worst,
                1.0,
                ("<=", 2.0),
                42,
                26,
                "fail" if worst else "pass",
            ),
            Finding(
                "coverage",
                "coverage",
                label,
                0.842,
                0.791,
                0.884,
                0.951,
                (">=", 0.8),
                42,
                26,
                "inconclusive",
                "the interval reaches below 0.8; about 70 held-out images would settle it",
            ),
        ]
        for name in NAMES[:8]:
            out.append(
                Finding(
                    "marginals",
                    f"KS distance of {name}",
                    label,
                    0.084,
                    0.05,
                    0.127,
                    0.071,
                    ("<=", 0.15),
                    42,
                    26,
                    "pass",
                )
            )
    out.append(
        Finding("coverage", "Vendi score over yardstick", "", 0.71, 0.64, 0.76, 1.0, (">=", 0.8), 84, 52, "fail")
    )
    out.append(
        Finding(
            "fidelity",
            "classifier two-sample test",
            "",
            note="needs 20 patients per class; there are 12",
            n_images=30,
            n_patients=12,
        )
    )
    out.append(Finding("fidelity", "tiny and huge", "", 1.234e-7, 0.0, 123456.7, 0.0, state="pass"))
    return out


def further(classes: Sequence[str]) -> list[Finding]:
    """A finding or more of each gate that `integrity` leaves out, in the words of the battery."""
    n = {"n_images": 42, "n_patients": 26}
    worst = classes[-1]
    why = "the interval reaches over the bar: about 70 holdout patients of this class would decide"
    out = [
        Finding("hygiene", "sizes", "", 0.0, 0.0, 0.0, None, ("<=", 0), 84, 52, "pass"),
        Finding("hygiene", "near duplicates, train and synthetic", "", 0.02, 0.02, 0.02, None, ("<=", 0.0), 84, 52,
                "inconclusive", "1 of 48 synthetic images shows the picture of an image of train: look at the pair"),
        Finding("fidelity", "told apart by gradient boosting, radiomics", worst, 0.81, 0.76, 0.86, 0.5, ("<=", 0.75),
                state="fail", note="AUC 0.81: synthetic images can be told from real ones", **n),
        Finding("dependence", "largest difference of rank correlations, radiomics", worst, 0.61, 0.5, 0.7, 0.2,
                ("<=", 0.4), state="fail", note="Energy with Contrast differs most", **n),
        Finding("dependence", "typical difference of rank correlations, radiomics", classes[0], 0.11, 0.08, 0.14, 0.09,
                ("<=", 0.1), state="inconclusive", note=why, **n),
        Finding("labels", "wrong labels, radiomics", "", 0.02, 0.0, 0.04, 0.01, ("<=", 0.05), state="pass", **n),
        Finding("labels", "caricature (information on the class), radiomics", "", 1.4, 1.25, 1.6, 1.0, ("<=", 1.2),
                state="fail", note="synthetic features tell the classes 1.4 times as well as real ones do", **n),
        Finding("invariance", "accuracy lost", "crop", 0.02, -0.02, 0.06, None, ("<=", 0.05), state="inconclusive",
                note="about 90 holdout patients would settle it; the middle without 5 % of each side", **n),
        Finding("augmentation", "accuracy lost", "softer kernel", 0.09, 0.06, 0.13, None, ("<=", 0.05), state="fail",
                note="balanced accuracy 0.800 before, 0.710 after", **n),
        Finding("privacy", "membership AUC, GAN-Leaks, radiomics", worst, 0.53, 0.48, 0.58, 0.5, ("<=", 0.6),
                state="pass", note="a training patient is told from a new one no better than the bar", **n),
        Finding("privacy", "attacks that were not made", note="not attacked, so nothing is known: reconstruction"),
    ]  # fmt: skip
    for column in ("sex", "site"):
        whom = f"{worst}, {column}"
        low, state = (0.3, "fail") if column == "sex" else (0.9, "pass")
        out.append(
            Finding("fairness", "subgroups present, radiomics", whom, low + 0.1, low, low + 0.2, 1.0, (">=", 0.5),
                    12, 8, state, "told by a classifier of train")
        )  # fmt: skip
    return out


SUBGROUPS = (("sex", "f"), ("sex", "m"), ("site", "north"))


def write_tables(folder: Path, classes: Sequence[str], names: Sequence[str] = NAMES) -> None:
    """check/*.csv that the gates' drawings are made of."""
    draw = rng(0, "tables")
    tables: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("marginals", "dependence", "labels", "separation", "missed", "fairness", "invariance")
    }
    few = names[:40]
    for i, label in enumerate(classes):
        for j, name in enumerate(names):
            far = float(abs(draw.normal(0.05 + (j % 4) * 0.07, 0.03)))
            real = float(abs(draw.normal(0.06, 0.02)))
            tables["marginals"].append(
                {"feature": name, "D": far, "high": far + 0.06, "D_real": real, "W1": far * 3, "W1_real": real * 3,
                 "W1_chance": 0.1, "p": 0.5, "q": 0.001 if far > 0.2 else 0.5, "class": label}
            )  # fmt: skip
            auc = float(np.clip(draw.normal(0.5, 0.15), 0.05, 0.95))
            told = float(np.clip(0.5 + 1.3 * (auc - 0.5) + draw.normal(0, 0.02), 0.02, 0.98))
            tables["labels"].append(
                {
                    "class": label,
                    "feature": name,
                    "AUC": told,
                    "AUC_real": auc,
                    "AUC_train": auc,
                    "I": 0.2,
                    "I_real": 0.1,
                }
            )
            tables["separation"].append(
                {"class": label, "feature": name, "importance": max(0.0, draw.normal(0.02, 0.05))}
            )
        factors = draw.normal(0, 1, (len(few), 3))
        factors[len(few) // 2 :, 0] *= -1
        shared = factors @ factors.T + np.diag(draw.uniform(0.2, 1, len(few)))
        scale = np.sqrt(np.diag(shared))
        rho = shared / scale / scale[:, None]
        for a in range(len(few)):
            for b in range(a + 1, len(few)):
                made = rho[a, b] * (0.2 if (a + b) % 7 == i % 7 else 0.95)
                tables["dependence"].append(
                    {"class": label, "a": few[a], "b": few[b], "rho_holdout": rho[a, b], "rho_synthetic": made,
                     "rho_train": rho[a, b] * 0.98}
                )  # fmt: skip
        tables["missed"] += [{"class": label, "set": "holdout", "image": k} for k in range(5 + i)]
        for k, (column, value) in enumerate(SUBGROUPS):
            tables["fairness"].append(
                {"class": label, "column": column, "value": value, "train_patients": 30, "holdout_patients": 14 - k,
                 "present": 0.9 - 0.25 * k, "present_low": 0.6 - 0.25 * k, "present_high": 1.2 - 0.25 * k,
                 "alone": 0.2, "alone_others": 0.1, "shift": 0.05, "copied": -0.02, "note": ""}
            )  # fmt: skip
    for k, name in enumerate(("softer kernel", "crop", "mirror image")):
        lost = 0.09 / (k + 1) ** 2
        some = {"class": "", "transform": name, "before": 0.8, "after": 0.8 - lost, "concordance": "", "n_patients": 26}
        spread = {"low": -lost - 0.04, "high": 0.04 - lost}
        tables["invariance"] += [
            {**some, "kind": "decisions", "name": "changed decisions", "change": 2 * lost, "associated": False},
            {**some, **spread, "kind": "decisions", "name": "balanced accuracy", "change": -lost, "associated": False},
            *({**some, "kind": "feature", "name": feature, "change": draw.normal(0, lost * 3), "associated": True}
              for feature in few),
        ]  # fmt: skip
    for name, rows in tables.items():
        write_text(
            folder / f"{name}.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n")
        )


def write_check(run: Path, classes: Sequence[str], findings: Sequence[Finding], tables: bool = False) -> None:
    """RUN/check; tables: those of the gates' drawings too, and a picture that names its gate."""
    pictures = []
    for i, label in enumerate(classes):
        grid(run / "check" / f"grid-{i}.png", label, 5, 16, gap=12)
        grid(run / "check" / f"pairs-{i}.png", label, 2, 8)
        pictures += [
            {"file": f"grid-{i}.png", "title": label, "caption": SIDES},
            {"file": f"pairs-{i}.png", "title": f"Closest pairs: {label}", "caption": PAIRS},
        ]
    if tables:
        grid(run / "check" / "missed-0.png", "missed", 1, 6)
        told = "Held-out images farthest from any synthetic one."
        pictures.append({"file": "missed-0.png", "title": f"{classes[0]}: missed", "caption": told, "gate": "coverage"})
        write_tables(run / "check", classes)
    write_json(run / "check" / "pictures.json", pictures)
    write_features(run / "check" / "features.csv", classes)
    write_text(run / "check" / "suspects.csv", SUSPECTS)
    write_findings(run / "check" / "findings.json", findings)
    finish(run, "check", "check", {"bins": 32, "seed": 0, "resamples": 1000})


TESTED = {"cnn": "classical + synthetic", "logistic": "synthetic"}
ARMS = {
    "real": "The real training images as they are.",
    "class weights": "The real training images, each weighted by its class.",
    "duplicates": "The real training images, drawn again until the classes are equal.",
    "SMOTE": "Real images, and interpolations between them within a class.",
    "classical": "The images of the arm 'duplicates', turned, shifted and flipped whenever shown.",
    "classical + synthetic": "The real and the synthetic images, augmented as in 'classical'.",
}


def utility(verdict: str) -> list[Finding]:
    """Findings of prove that lead to a verdict, as far as nothing forbids."""
    n = {"n_images": 85, "n_patients": 55}
    gain, harm = {
        "use": ((0.0312, 0.0084, 0.0561, "pass"), "pass"),
        "no gain shown": ((0.0062, -0.0121, 0.0241, "fail"), "pass"),
        "undecided at this size": ((0.0105, -0.0412, 0.0588, "fail"), "inconclusive"),
        "do not use": ((-0.0514, -0.0893, -0.0231, "fail"), "fail"),
    }[verdict]
    value, low, high, state = gain
    note = (
        f"AUC {0.851 + value:.3f} with synthetic images against 0.851 with classical augmentation, the best other "
        f"arm: {value:+.3f} ({low:+.3f} to {high:+.3f})"
    )
    small = (
        "the interval of -0.041 to +0.059 is too wide on 16 test patients with 'malignant'; about 100 would be "
        "needed to tell a difference of 0.02"
    )
    kept = small if harm == "inconclusive" else note
    told = "described, not judged; the yardstick is the arm 'real'"
    scores = [
        Finding("utility", "AUC, cnn", arm, 0.85 - k / 100, 0.8, 0.9, 0.83, state="pass", note=told, **n)
        for k, arm in enumerate(ARMS)
    ]
    return [
        Finding("utility", "gain", TESTED["cnn"], value, low, high, None, (">=", 0.0), state=state, note=note, **n),
        Finding("utility", "harm", TESTED["cnn"], value, low, high, None, (">=", -0.02), state=harm, note=kept, **n),
        *scores,
    ]


def write_prove(run: Path, findings: Sequence[Finding]) -> None:
    """RUN/prove"""
    arms = {"cnn": list(ARMS), "logistic": [*list(ARMS)[:4], "synthetic"]}
    protocol = {
        "arms": arms["cnn"],
        "arms_of": arms,
        "primary": {"classifier": "cnn", "metric": "auc"},
        "margin": 0.02,
        "seeds": [0, 1, 2],
        "control": "classical",
        "classifiers": ["cnn", "logistic"],
        "metrics": ["auc", "balanced_accuracy", "average_precision"],
        "test": {"images": 85, "patients": 55, "sha256": "a" * 64},
        "definitions": {**ARMS, "synthetic": "The real and the synthetic images."},
        "notes": {"SMOTE": "'malignant' has 4 training images: 3 neighbours, not 5"},
        "smallest_visible_effect": 0.0832,
    }
    write_json(run / "prove" / "protocol.json", protocol)
    scores, differences = [], []
    primary = findings[0]
    for c, classifier in enumerate(arms):
        for m, metric in enumerate(protocol["metrics"]):
            draw = rng(0, "scores", c, m)
            for arm in arms[classifier]:
                value = 0.85 - 0.05 * m - 0.03 * c + float(draw.normal(0, 0.012))
                scores.append([classifier, arm, metric, value, value - 0.05, value + 0.04])
                if arm == TESTED[classifier]:
                    continue
                change = [x + float(draw.normal(0.03, 0.01)) for x in (primary.value, primary.low, primary.high)]
                if (arm, metric) == ("classical", "auc"):
                    change = [primary.value, primary.low, primary.high]
                differences.append([classifier, TESTED[classifier], arm, metric, *change])
    head = ["classifier", "arm", "metric", "value", "low", "high"]
    write_text(run / "prove" / "scores.csv", pd.DataFrame(scores, columns=head).to_csv(index=False))
    head.insert(2, "against")
    write_text(run / "prove" / "differences.csv", pd.DataFrame(differences, columns=head).to_csv(index=False))
    write_findings(run / "prove" / "findings.json", findings)
    finish(run, "prove", "prove", {"margin": 0.02, "seeds": 3, "network": {"width": 16}})


def write_run(
    run: Path,
    *,
    classes: Sequence[str] = TWO,
    verdict: str = "use",
    copying: str = "pass",
    stages: Sequence[str] = ("data", "train", "synthetic", "check", "prove"),
    patients_known: bool = True,
    gates: bool = False,
) -> Path:
    """A run folder with the stages asked for; gates: findings and tables of every gate."""
    run.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Callable[[], None]] = {
        "data": lambda: write_data(run, classes, patients_known),
        "train": lambda: write_train(run, classes),
        "synthetic": lambda: write_synthetic(run, classes),
        "check": lambda: write_check(
            run, classes, integrity(classes, copying) + (further(classes) if gates else []), gates
        ),
        "prove": lambda: write_prove(run, utility(verdict)),
    }
    for stage in ("data", *(name for name in stages if name != "data")):
        writers[stage]()
    if "data" not in stages:
        (run / "data" / "done.json").unlink()
    return run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """write_run below the test's own folder."""
    return lambda name="run", **options: write_run(tmp_path / name, **options)


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of two classes that ends in 'use'; tests leave it as it is."""
    return write_run(tmp_path_factory.mktemp("report") / "two")


@pytest.fixture
def copied(two: Path, tmp_path: Path) -> Path:
    """A copy of `two` that a test may spoil."""
    return shutil.copytree(two, tmp_path / "copied")


@pytest.fixture(scope="session")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of six classes with awkward names, where images were copied; tests leave it as it is."""
    return write_run(tmp_path_factory.mktemp("report") / "six", classes=SIX, copying="fail")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three classes with findings, tables and pictures of every gate; tests leave it as it is."""
    return write_run(tmp_path_factory.mktemp("report") / "whole", classes=(*TWO, "metastasis"), gates=True)
