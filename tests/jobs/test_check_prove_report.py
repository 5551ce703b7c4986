"""Check, prove and report on a finished tiny run: what they leave, and what they refuse."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ganatomy.cli import main
from ganatomy.core.cohort import TEST, read_manifest, write_manifest
from ganatomy.core.finding import FAIL, read_findings
from ganatomy.core.picture import read_pictures
from ganatomy.data.read import pixels
from ganatomy.jobs.check import SUSPECTS
from ganatomy.utility.arms import ARMS

from .conftest import RARE, flags, hashes, noise

pytestmark = pytest.mark.slow


def test_check_leaves_features_findings_and_pictures(finished_run: Path) -> None:
    folder = finished_run / "check"
    table = pd.read_csv(folder / "features.csv", keep_default_na=False)
    assert list(table.columns[:4]) == ["set", "class", "patient", "path"]
    assert len(table.columns) > 30
    assert set(table.loc[table["set"] == "synthetic", "class"]) == {RARE}
    pictures = read_pictures(folder)
    assert [picture.file for picture in pictures] == ["grid-0.png", "pairs-0.png"]
    assert all((folder / picture.file).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert "NaN" not in (folder / "findings.json").read_text()
    assert (folder / "suspects.csv").read_text() == ",".join(SUSPECTS) + "\n"


def test_planted_copies_are_found(tmp_path: Path) -> None:
    """Synthetic images that are training images fail, generated ones do not: the gate has the right cohorts."""
    run = tmp_path / "run"
    data = str(noise(tmp_path, (8, 8), each=48))
    assert main(["train", "synthesis", data, "-o", str(run), *flags("train")]) == 0
    assert main(["generate", str(run), "--counts", "12"]) == 0

    def copying() -> set[str]:
        assert main(["check", str(run), *flags("check")]) == 0
        findings = read_findings(run / "check" / "findings.json")
        return {f.state for f in findings if f.gate == "copying" and f.name.endswith("pixels")}

    assert FAIL not in copying()
    made = read_manifest(run / "synthetic" / "manifest.csv")
    real = read_manifest(run / "data" / "manifest.csv")
    for name in ("path", "sha256"):
        made.table[name] = [value for label in "ab" for value in real.where("train", label).column(name)]
    write_manifest(made, run / "synthetic" / "manifest.csv")
    assert copying() == {FAIL}
    table = pd.read_csv(run / "check" / "suspects.csv", keep_default_na=False)
    pixel = table[table["compared_by"] == "pixels"]
    assert sorted(pixel["path"]) == sorted(made.column("path"))
    assert list(pixel["path"]) == list(pixel["nearest"]) and set(pixel["ratio"]) == {0.0}
    assert list(pixel["class"]) == sorted(pixel["class"])
    whose = dict(zip(real.column("path"), real.patients, strict=True))
    assert [whose[path] for path in pixel["nearest"]] == list(pixel["nearest_patient"])
    findings = read_findings(run / "check" / "findings.json")
    notes = [f.note for f in findings if f.name == "copies of training images, pixels"]
    assert [note.endswith("suspected copies: 12, listed in check/suspects.csv") for note in notes] == [True, True]
    drawn = [picture.file for picture in read_pictures(run / "check") if not picture.file.startswith("missed")]
    assert drawn == [f"{what}-{k}.png" for k in (0, 1) for what in ("grid", "pairs", "suspects")]
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "a: suspected copies" in page and "may be copies of training images" in page


def test_prove_writes_its_protocol_and_pairs_every_fit(finished_run: Path) -> None:
    folder = finished_run / "prove"
    protocol = json.loads((folder / "protocol.json").read_text())
    test = read_manifest(finished_run / "data" / "manifest.csv").where(TEST)
    assert protocol["test"]["images"] == len(test)
    assert protocol["test"]["sha256"] == hashlib.sha256("".join(test.column("sha256")).encode()).hexdigest()
    assert protocol["seeds"] == [0]
    predictions = pd.read_csv(folder / "predictions.csv", dtype=str, keep_default_na=False)
    for (classifier, arm, _), rows in predictions.groupby(["classifier", "arm", "seed"]):
        assert arm in ARMS[classifier]
        assert list(rows["path"]) == test.column("path")
        assert list(rows["class"]) == test.labels
    assert predictions.groupby(["classifier", "arm"]).ngroups == sum(map(len, ARMS.values()))
    names = [f.name for f in read_findings(folder / "findings.json")[:2]]
    assert names == ["gain", "harm"]


def test_prove_refuses_a_class_it_does_not_know(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    manifest = run / "synthetic" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(f",{RARE},", ",unheard of,"))
    assert main(["prove", str(run), *flags("prove")]) == 2
    assert "the class 'unheard of', which the real images do not have" in capsys.readouterr().err


def test_stages_say_what_must_run_first(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run / "data", run / "data")
    for verb, first in (("generate", "train"), ("check", "train"), ("prove", "train")):
        assert main([verb, str(run)]) == 2
        assert f"ganatomy {first} synthesis DATA -o {run}" in capsys.readouterr().err
    shutil.copytree(finished_run / "train", run / "train")
    for verb in ("check", "prove"):
        assert main([verb, str(run)]) == 2
        assert f"run first: ganatomy generate {run}" in capsys.readouterr().err


def test_a_report_of_half_a_run_is_written_anew_when_more_is_there(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for stage in ("data", "train"):
        shutil.copytree(finished_run / stage, run / stage)
    assert main(["report", str(run)]) == 0
    half = hashes(run)["report.html"]
    for stage in ("synthetic", "check", "prove"):
        shutil.copytree(finished_run / stage, run / stage)
    assert main(["report", str(run)]) == 0
    assert hashes(run)["report.html"] != half
    assert hashes(run) == hashes(finished_run)


@pytest.mark.parametrize("verb", ["generate", "check", "prove", "report"])
def test_no_run_folder_is_made_by_asking_for_one(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        assert main([verb, str(folder)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert str(folder) in err
    assert not list(tmp_path.iterdir())


def test_the_report_names_no_folder_of_the_machine(finished_run: Path, lesions: Path) -> None:
    """It is passed on; only what lies beside the cohort is named."""
    for name in ("report.html", "report.json"):
        text = (finished_run / name).read_text()
        assert lesions.name in text
        assert str(lesions.parent) not in text
        assert str(finished_run.parent) not in text
    assert str(lesions.parent) in (finished_run / "data" / "manifest.csv").read_text()  # where it has to be


def test_the_synthetic_images_are_read_as_the_real_ones(finished_run: Path) -> None:
    """The same type and the same range: a difference the checks find is not one of reading."""
    real = pixels(read_manifest(finished_run / "data" / "manifest.csv"))
    made = pixels(read_manifest(finished_run / "synthetic" / "manifest.csv"))
    assert real.dtype == made.dtype == np.uint8
    assert real.shape[1:] == made.shape[1:]
