"""check on three folders that no generator of ours made."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganatomy.cli import main
from ganatomy.core.finding import read_findings

WORDS = ["--pattern", "{class}/{patient}_*.png", "--classifier-steps", "5", "--resamples", "20"]


def save(folder: Path, patients: range, images: int = 2, classes: tuple[str, ...] = ("a", "b"), size: int = 16) -> Path:
    for patient in patients:
        label = classes[patient % len(classes)]
        draw = np.random.default_rng(patient)
        (folder / label).mkdir(parents=True, exist_ok=True)
        for k in range(images):
            noise = draw.normal(100 + 40 * (label == "a"), 20, (size, size)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / label / f"p{patient}_{k}.png")
    return folder


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    parts = {"train": range(24), "holdout": range(24, 48), "synthetic": range(48, 72)}
    return {name: save(tmp_path / name, patients) for name, patients in parts.items()}


def words(sets: dict[str, Path], out: Path) -> list[str]:
    return [
        "check",
        *(word for name, path in sets.items() for word in (f"--{name}", str(path))),
        *WORDS,
        "-o",
        str(out),
    ]


def test_three_folders_become_a_run(sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    sets["reference"] = save(tmp_path / "reference", range(72, 96))
    assert main(words(sets, out)) == 0
    assert f"next: ganatomy report {out}" in capsys.readouterr().err
    findings = read_findings(out / "check" / "findings.json")
    assert {"copying", "fidelity", "marginals", "coverage"} <= {finding.gate for finding in findings}
    facts = json.loads((out / "data" / "facts.json").read_text())
    assert facts["classes"]["a"]["holdout"] == [24, 12]
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").exists()
    capsys.readouterr()
    assert main(words(sets, out)) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_copies_in_a_foreign_set_are_found(sets: dict[str, Path], tmp_path: Path) -> None:
    shutil.rmtree(sets["synthetic"])
    shutil.copytree(sets["train"], sets["synthetic"])
    assert main(words(sets, tmp_path / "out")) == 0
    failed = {f.gate for f in read_findings(tmp_path / "out" / "check" / "findings.json") if f.state == "fail"}
    assert "copying" in failed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda sets: sets.pop("holdout"), "without --holdout .* hold out a fifth"),
        (lambda sets: sets.pop("synthetic"), "--synthetic is missing"),
        (lambda sets: save(sets["synthetic"], range(3), classes=("c",)), "class 'c' and .* has not"),
        (lambda sets: (shutil.rmtree(sets["synthetic"]), save(sets["synthetic"], range(4), size=8)), "are 8 x 8 with"),
        (lambda sets: shutil.rmtree(sets["holdout"]), "no file or folder"),
    ],
)
def test_bad_sets_in_one_sentence(
    sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, sentence: str
) -> None:
    change(sets)  # type: ignore[operator]
    assert main(words(sets, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1

    assert re.search(sentence, said), said


def test_a_run_and_sets_at_once(sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path), *words(sets, tmp_path / "out")[1:]]) == 2
    assert "not both" in capsys.readouterr().err
    assert main(["check"]) == 2
    assert "needs a run folder" in capsys.readouterr().err
