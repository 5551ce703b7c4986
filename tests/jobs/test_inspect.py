"""What inspect prints and what the data stage leaves."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from ganatomy.cli import main
from ganatomy.core.cohort import read_manifest
from ganatomy.data.read import pixels
from ganatomy.data.scan import read
from ganatomy.data.split import split
from ganatomy.jobs import inspect

from .conftest import COMMON, RARE, draw, noise


def test_inspect_prints_and_writes_nothing(
    lesions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(lesions)]) == 0
    out = capsys.readouterr()
    assert "42 images of 32 patients" in out.out
    assert re.search(r"16x16 pixels, 1 channel\(s\), uint8, values \d+ to \d+ in the role train \(no unit\)", out.out)
    assert "the rarest class has 1 image per 2.5" in out.out
    assert f"next: ganatomy augment {lesions} -o RUN" in out.err
    assert not list(tmp_path.iterdir())


def test_the_data_stage_holds_roles_hashes_and_facts(lesions: Path, tmp_path: Path) -> None:
    folder = inspect.prepare(tmp_path, str(lesions), inspect.Read(), inspect.Split()).folder
    cohort = read_manifest(folder / "manifest.csv")
    facts = json.loads((folder / "facts.json").read_text())
    assert len(cohort) == facts["images"] == 42
    assert facts["patients"] == 32
    assert facts["patients_known"] is True
    assert facts["groups"] == ["site"]
    assert facts["shape"] == [1, 16, 16]
    assert all(len(sha) == 64 for sha in cohort.column("sha256"))
    roles: dict[str, set[str]] = {}
    for who, role in zip(cohort.patients, cohort.column("role"), strict=True):
        roles.setdefault(who, set()).add(role)
    assert all(len(own) == 1 for own in roles.values()), "a patient has one role"
    for label in (RARE, COMMON):
        for role, (images, patients) in facts["classes"][label].items():
            rows = cohort.where(role, label)
            assert (len(rows), len(set(rows.patients))) == (images, patients)


def test_what_is_odd_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 200, (24, 8, 8), dtype=np.uint8)
    images[3] = 7
    images[5] = images[4]  # of another role
    np.savez(
        tmp_path / "c.npz",
        images=images,
        labels=np.repeat([0, 1], 12),
        split=["train", "select", "holdout", "test"] * 6,
    )
    assert main(["inspect", str(tmp_path / "c.npz")]) == 0
    out = capsys.readouterr().out
    assert "24 images of 24 unknown patients" in out
    assert "leakage of a patient from one role into another could not be excluded" in out
    assert "1 images have an exact copy in another role" in out or "2 images have an exact copy in another role" in out
    assert "1 images hold one value only" in out


def test_a_clean_cohort_has_no_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(draw(tmp_path))]) == 0
    assert "note:" not in capsys.readouterr().out


def facts_of(source: Path) -> dict[str, Any]:
    inspect.prepare(source.parent / "run", str(source), inspect.Read(), inspect.Split())
    facts: dict[str, Any] = json.loads((source.parent / "run/data/facts.json").read_text())
    return facts


def test_intensities_are_told_for_each_role(tmp_path: Path) -> None:
    source = noise(tmp_path, (8, 8), np.int16, 100)
    facts, table = facts_of(source), read_manifest(tmp_path / "run/data/manifest.csv")
    for role, cuts in facts["intensities"].items():
        values = pixels(table.where(role))
        assert (cuts["min"], cuts["max"]) == (values.min(), values.max())
        np.testing.assert_allclose([cuts["p1"], cuts["p50"], cuts["p99"]], np.percentile(values, [1, 50, 99]))
        assert all(type(cut) is float for cut in cuts.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"unit": lambda k: "HU" if k % 5 else ""},
            r"units differ: HU \(\d+ images, such as .*\); none \(\d+ .*/0-0\.png",
        ),
        (
            {"spacing": lambda k: "0.5x0.5" if k % 5 else "0.9x0.9"},
            r"Pixels are from 0.5 to 0.9 mm, such as .*/1-0.png and .*/0-0.png",
        ),
        (
            {"spacing": lambda k: "0.5x0.5" if k % 5 else ""},
            r"images do not say how large a pixel is, such as .*/0-0\.png",
        ),
    ],
)
def test_mixed_units_and_spacings_are_said(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    source = draw(tmp_path)
    table = pd.read_csv(source)
    table.assign(unit="HU", spacing="0.5x0.8").to_csv(source, index=False)
    assert facts_of(source)["warnings"] == []
    for name, value in change.items():
        table[name] = [value(k) for k in range(len(table))]
    table.to_csv(source, index=False)
    shutil.rmtree(tmp_path / "run")
    warnings = facts_of(source)["warnings"]
    assert len(warnings) == 1 and re.search(words, warnings[0])


def test_several_units_are_refused_with_an_image_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = draw(tmp_path)
    table = pd.read_csv(source)
    table.assign(unit=["HU" if k else "SUV" for k in range(len(table))]).to_csv(source, index=False)
    assert main(["train", "synthesis", str(source), "-o", str(tmp_path / "run")]) == 2
    told = r"mixes units: HU \(41 images, such as .*/1-0\.png\); SUV \(1 images, such as .*/0-0\.png\)"
    assert re.search(told, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_some_images_without_a_patient_are_counted_and_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = noise(tmp_path, (8, 8))
    with np.load(source) as arrays:
        own = dict(arrays)
    np.savez(
        source, **{key: own[key] for key in ("images", "labels")}, patient=["", *"abcdefghijklmnopqrstuvwxyz12345"]
    )
    assert main(["inspect", str(source)]) == 0
    out = capsys.readouterr().out
    assert "32 images of 32 patients (1 images name none)" in out
    assert f"1 images name no patient, such as {source}#images/0, and count as patients of their own" in out


def test_files_that_are_left_out_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv(draw(tmp_path))
    for name, label in zip(table["path"], table["class"] == RARE, strict=True):
        path = tmp_path / "lesions" / str(label) / Path(name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / name, path)
    for words, told in (([], False), (["notes.txt", "list.csv", "more.txt"], True)):
        for word in words:
            (tmp_path / "lesions" / "True" / word).write_text("no image")
        assert main(["inspect", str(tmp_path / "lesions")]) == 0
        assert ("left out, no images of a class: 1 .csv, 2 .txt" in capsys.readouterr().out) is told


def test_the_plan_says_how_often_an_image_is_seen_and_how_long_it_takes(
    lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = facts_of(noise(lesions.parent / "plan", (32, 32), each=40))
    learn = facts["classes"]["0" if "0" in facts["classes"] else "a"]["train"][0]
    page = inspect.describe(facts)
    assert f"3,000 steps of 32 images, 48,000 of each class: each image of a {48_000 / learn:,.0f} times" in page
    assert "training takes about 4 minutes on one CPU core (an estimate)" in page


def test_a_run_folder_among_the_images_is_refused_with_one_that_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in "ab":
        (tmp_path / "lesions" / label).mkdir(parents=True)
        for k in range(8 if label == "a" else 6):
            pixel = np.random.default_rng(k).integers(0, 255, (8, 8)).astype(np.uint8)
            Image.fromarray(pixel).save(tmp_path / "lesions" / label / f"{k}.png")
    (tmp_path / "run").mkdir()
    shutil.copytree("lesions", "run/train/lesions")
    before = sorted(tmp_path.rglob("*"))
    for verb in (["inspect"], ["train", "synthesis"], ["augment"]):
        for data, out, told in (
            ("lesions", "lesions/run", "lesions/run lies inside the images' folder lesions, where results would be"),
            ("lesions/", "lesions", "lesions is the folder of the images itself"),
            (
                "run/train/lesions",
                "run",
                "the images' folder run/train/lesions lies inside run, where results belong",
            ),
        ):
            assert main([*verb, data, "-o", out]) == 2
            err = capsys.readouterr().err
            assert told in err and f"for example {Path(data).parent / 'lesions-run'}" in err
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["inspect", "lesions", "-o", "lesions-run"]) == 0


def test_near_copies_and_giveaways_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = draw(tmp_path)
    table = pd.read_csv(source)
    assert facts_of(source)["near_duplicates"] == {"within": 0, "across": 0, "pairs": []}
    shutil.rmtree(tmp_path / "run")
    one = np.asarray(Image.open(tmp_path / table["path"][0]))
    Image.fromarray((one * 0.9).astype(np.uint8)).save(tmp_path / table["path"][41])
    table["scanner"] = np.where(table["class"] == RARE, "new", "old")
    table.to_csv(source, index=False)
    facts = facts_of(source)
    near = facts["near_duplicates"]
    assert near["within"] + near["across"] == 1 and facts["giveaways"] == {"scanner": 1.0}
    assert [Path(path).name for path in near["pairs"][0][:2]] == ["0-0.png", "31-0.png"]
    assert any("1 pair(s) of images that are not said to be of one patient" in text for text in facts["warnings"])
    assert any("'scanner' gives the class away" in text for text in facts["warnings"])
    assert facts["group_values"]["site"] == {"A": 16, "B": 26}
    capsys.readouterr()
    assert main(["inspect", str(source)]) == 0
    out = capsys.readouterr().out
    assert "scanner: old 30, new 12" in out and "augment will make" in out


def test_files_of_volumes_count_as_patients_and_that_is_said(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "d" / label).mkdir(parents=True)
        for k in range(6):
            stack = random.integers(0, 255, (2, 8, 8)).astype(np.uint8)
            tifffile.imwrite(tmp_path / "d" / label / f"{k}.tif", stack, photometric="minisblack")
    facts = facts_of(tmp_path / "d")
    assert facts["patients"] == 12 and facts["images"] == 24
    assert [text for text in facts["warnings"] if "Each file counts as a patient" in text] == facts["warnings"]


def test_duplicates_of_a_real_set_are_counted() -> None:
    path = Path(__file__).parents[2].parent / "shared/data/pneumoniamnist28/pneumoniamnist.npz"
    if not path.exists():
        pytest.skip("pneumoniamnist28 is not beside the checkout")
    _, facts = inspect.look(split(read(path)))
    assert facts["duplicates"] == {"within": 21, "across": 8}


def test_a_manifest_among_the_images_is_pointed_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for k in range(8):
            pixel = np.random.default_rng(k).integers(0, 255, (8, 8)).astype(np.uint8)
            Image.fromarray(pixel).save(tmp_path / label / f"{k}.png")
    (tmp_path / "notes.csv").write_text("patient,age\n1,2\n")
    assert main(["inspect", str(tmp_path)]) == 0
    assert "lists images" not in capsys.readouterr().err
    (tmp_path / "manifest.csv").write_text("path,class,patient\n")
    assert main(["inspect", str(tmp_path)]) == 0
    assert f"{tmp_path / 'manifest.csv'} lists images; give it in the folder's place" in capsys.readouterr().err
