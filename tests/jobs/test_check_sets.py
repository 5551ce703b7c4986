"""What check hands to the battery and writes of its answer: groups, caches, embeddings, scores, suspects, exit codes.

The battery is one that remembers what it was given; tests/jobs/test_sets.py asks the real one.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

import ganatomy as ga
from ganatomy.cli import main
from ganatomy.core import weights
from ganatomy.core.cohort import HOLDOUT, TRAIN, Cohort, read_manifest
from ganatomy.core.errors import InputError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.data.augment import Symmetry
from ganatomy.data.read import hashed, pixels
from ganatomy.integrity.battery import Result, Side
from ganatomy.jobs import check, measures, scores
from ganatomy.jobs.groups import group_columns
from ganatomy.tasks.synthesis import Model, Synthesis
from ganatomy.train import Loop, State

from .conftest import flags

FLAGS = ["--classifier-steps", "1", "--classifier-width", "4"]
SUSPECTS = ["class", "image", "original", "compared_by", "distance", "ratio"]


class Battery:
    """Remembers what it was given, and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.findings = [Finding("copying", "copies", "a", 0.1, state=PASS)]
        self.tables: dict[str, pd.DataFrame] = {"suspects": pd.DataFrame(columns=SUSPECTS)}

    def __call__(self, train: Side, holdout: Side, synthetic: Side, reference: Side | None, **more: Any) -> Result:
        self.asked.append({"train": train, "holdout": holdout, "synthetic": synthetic, "reference": reference, **more})
        return Result(self.findings, self.tables)

    def suspect(self, *rows: tuple[str, int, int]) -> None:
        """(class, row of synthetic, row of train)"""
        self.tables["suspects"] = pd.DataFrame([(*row, "pixels", 0.1, 0.2) for row in rows], columns=SUSPECTS)


@pytest.fixture(autouse=True)
def battery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Battery:
    made = Battery()
    monkeypatch.setattr(check, "battery", made)
    monkeypatch.setenv("GANATOMY_CACHE", str(tmp_path / "cache"))
    return made


def save(folder: Path, first: int, patients: int = 6, size: int = 16) -> Path:
    """Two images of each patient in a folder by class, and a manifest with groups beside it."""
    rows = []
    for patient in range(first, first + patients):
        draw, label = np.random.default_rng(patient), "ab"[patient % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        for k in range(2):
            name = f"{label}/p{patient}_{k}.png"
            noise = draw.normal(100 + 40 * (label == "a"), 20, (size, size)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / name)
            about = {"sex": "fm"[patient % 2], "age": 40 + 0.5 * patient, "study": f"s{patient}", "hospital": "one"}
            rows.append({"path": f"{folder}/{name}", "class": label, "patient": f"p{patient}", **about})
    pd.DataFrame(rows).to_csv(folder.with_suffix(".csv"), index=False)
    return folder


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    return {name: save(tmp_path / name, 100 * i) for i, name in enumerate(("train", "holdout", "synthetic"))}


def words(sets: dict[str, Path], out: Path, *more: str, pattern: bool = True) -> list[str]:
    named = [word for name, path in sets.items() for word in (f"--{name}", str(path))]
    how = ["--pattern", "{class}/{patient}_*.png"] if pattern else []
    return ["check", *named, *how, *FLAGS, "-o", str(out), *more]


# ---- groups ----


def test_groups_of_a_manifest_reach_the_battery(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, first in (("train", 0), ("holdout", 100)):
        save(sets[name], first, 24)
    manifests = {name: path.with_suffix(".csv") for name, path in sets.items()}
    out = tmp_path / "out"
    assert main(words(manifests, out, pattern=False)) == 0
    assert "no groups, for nearly all values differ: study" in capsys.readouterr().err
    train, synthetic = battery.asked[0]["train"], battery.asked[0]["synthetic"]
    assert set(train.groups) == {"sex", "age"}
    assert train.groups["sex"][:4] == ("f", "f", "m", "m")
    assert train.groups["age"][:3] == ("40.0", "40.0", "40.5")
    assert synthetic.groups == {}
    assert main(words(manifests, out, "--groups", "study", pattern=False)) == 2
    assert "other settings (groups" in capsys.readouterr().err  # of check; the sets were read alike
    assert main(words(manifests, out, "--groups", "study", "--overwrite", pattern=False)) == 0
    assert set(battery.asked[1]["holdout"].groups) == {"study"}
    capsys.readouterr()
    assert main(words(manifests, tmp_path / "other", "--groups", "hospital", pattern=False)) == 2
    assert "the column 'hospital' of" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_which_columns_are_groups(capsys: pytest.CaptureFixture[str]) -> None:
    n = 50
    columns = {
        "path": [f"{i}.png" for i in range(n)],
        "sex": ["f", "m"] * 25,
        "site": [f"s{i % 20}" for i in range(n)],
        "age": [str(20 + i % 40) for i in range(n)],
        "dose": [f"{i / 7:.3f}" for i in range(n)],
        "number": [str(i) for i in range(n)],
        "study": [f"{i}/x" for i in range(n)],
        "scanner": ["one"] * 49 + [""],
    }
    cohort = Cohort(pd.DataFrame(columns), "c.csv")
    assert group_columns(cohort) == ["sex", "site", "age", "dose"]
    assert "number, study" in capsys.readouterr().err
    assert group_columns(cohort, ["number", "sex"]) == ["number", "sex"]
    with pytest.raises(InputError, match=r"no column 'sexx' .* did you mean 'sex'"):
        group_columns(cohort, ["sexx"])
    with pytest.raises(InputError, match=r"the column 'scanner' of c\.csv has 1 value"):
        group_columns(cohort, ["scanner"])


# ---- the cache ----


def test_a_second_synthetic_set_measures_the_real_one_only_once(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counted: list[int] = []
    extract = measures.extract

    def counting(images: Any, **more: Any) -> pd.DataFrame:
        counted.append(len(images))
        return extract(images, **more)

    monkeypatch.setattr(measures, "extract", counting)

    def images_measured(out: str, *more: str) -> int:
        counted.clear()
        assert main(words(sets, tmp_path / out, *more)) == 0
        return sum(counted)

    def table(out: str) -> pd.DataFrame:
        return pd.read_csv(tmp_path / out / "check" / "features.csv", dtype=str)

    assert images_measured("one") == 36
    assert "measured before" not in capsys.readouterr().err
    sets["synthetic"] = save(tmp_path / "other", 300)
    assert images_measured("two") == 12
    said = capsys.readouterr().err
    assert said.count("24 of 36 images were measured before; --cache no measures them again") == 1
    assert images_measured("three", "--cache", "no") == 36
    assert "measured before" not in capsys.readouterr().err
    assert images_measured("four", "--bin-width", "9") == 36
    pd.testing.assert_frame_equal(table("two"), table("three"))
    assert not table("two").equals(table("four"))
    real = table("one")["set"] != "synthetic"
    pd.testing.assert_frame_equal(table("one")[real], table("two")[real])


# ---- the user's embedding ----


def test_an_embedding_is_a_space_and_another_one_is_asked_anew(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "net.onnx", tmp_path / "out"

    def mean(values: np.ndarray) -> np.ndarray:
        assert values.dtype == np.uint8
        return np.stack([values.mean((1, 2, 3)), values.std((1, 2, 3))], axis=1)

    monkeypatch.setattr(check, "load", lambda path: mean)
    for content in ("one", "one", "two"):
        file.write_text(content)
        assert main(words(sets, out, "--embedding", str(file))) == 0
    assert len(battery.asked) == 2
    side = battery.asked[0]["holdout"]
    names, vectors = side.spaces["embedding"]
    assert names == ("0", "1")
    np.testing.assert_allclose(vectors, mean(side.images))
    assert main(words(sets, out)) == 0  # without one
    assert "embedding" not in battery.asked[2]["holdout"].spaces


@pytest.mark.parametrize(
    ("embed", "sentence"),
    [
        (lambda values: np.zeros((len(values) + 1, 3)), "net.onnx gives no vector of numbers for each image"),
        (lambda values: np.full((len(values), 3), np.nan), "net.onnx gives no vector of numbers for each image"),
        ("refuse", "takes no images of 1 x 16 x 16; export it so that it resizes"),
    ],
)
def test_an_embedding_that_does_not_fit(
    embed: Any,
    sentence: str,
    sets: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(values: np.ndarray) -> np.ndarray:
        raise InputError("the embedding net.onnx takes no images of 1 x 16 x 16")

    monkeypatch.setattr(check, "load", lambda path: refuse if embed == "refuse" else embed)
    (tmp_path / "net.onnx").write_text("")
    assert main(words(sets, tmp_path / "out", "--embedding", str(tmp_path / "net.onnx"))) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert sentence in said
    assert not (tmp_path / "out").exists()


def test_vectors_that_were_brought_are_the_embedding(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "vectors.safetensors", tmp_path / "out"
    chance = np.random.default_rng(0)
    brought = {name: chance.normal(size=(12, 5)) for name in ("train", "holdout", "synthetic")}
    save_file(brought, file)
    assert main(words(sets, out, "--embedding", str(file))) == 0
    for name, vectors in brought.items():
        np.testing.assert_array_equal(battery.asked[0][name].spaces["embedding"][1], vectors)
    capsys.readouterr()
    for changed, sentence in (
        ({"holdout": brought["holdout"][:7]}, "has 7 rows for the 12 images of the set 'holdout'"),
        ({"train": np.full((12, 5), np.nan)}, "the tensor 'train' of vectors.safetensors is not"),
    ):
        save_file(brought | changed, file)
        assert main(words(sets, tmp_path / "other", "--embedding", str(file))) == 2
        said = capsys.readouterr().err
        assert sentence in said and "Traceback" not in said
        assert not (tmp_path / "other").exists()
    file.write_text("no")
    assert main(words(sets, tmp_path / "other", "--embedding", str(file))) == 2
    assert "vectors.safetensors is not a safetensors file of numbers" in capsys.readouterr().err


def test_no_embedding_where_there_is_no_file(
    sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(sets, tmp_path / "out", "--embedding", str(tmp_path / "none.onnx"))) == 2
    assert re.search(r"there is no embedding .*none\.onnx; give", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


# ---- what is written of the answer ----


def test_rows_become_paths_in_every_table(sets: dict[str, Path], tmp_path: Path, battery: Battery) -> None:
    battery.suspect(("a", 2, 5))
    battery.tables["missed"] = pd.DataFrame({"class": ["a", "b"], "set": ["holdout", "train"], "image": [1, 3]})
    battery.tables["labels"] = pd.DataFrame({"class": ["a"], "AUC": [0.123456789]})
    out = tmp_path / "out"
    assert main(words(sets, out)) == 0
    real = read_manifest(out / "data" / "manifest.csv")
    made = read_manifest(out / "synthetic" / "manifest.csv")
    roles = {role: real.where(role).column("path") for role in (TRAIN, HOLDOUT)}
    missed = pd.read_csv(out / "check" / "missed.csv")
    assert list(missed.columns) == ["class", "set", "path"]
    assert list(missed["path"]) == [roles[HOLDOUT][1], roles[TRAIN][3]]
    assert (out / "check" / "labels.csv").read_text() == "class,AUC\na,0.123457\n"
    suspects = pd.read_csv(out / "check" / "suspects.csv")
    assert list(suspects.columns) == list(check.SUSPECTS)
    assert suspects["path"][0] == made.column("path")[2]
    assert (suspects["nearest"][0], suspects["nearest_patient"][0]) == (
        roles[TRAIN][5],
        real.where(TRAIN).patients[5],
    )
    outputs = json.loads((out / "check" / "done.json").read_text())["outputs"]
    assert {"missed.csv", "labels.csv", "suspects.csv", "suspects-0.png"} <= {*outputs}


def test_a_comparison_is_no_run_and_another_set_is_another_comparison(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(words(sets, out)) == 0
    assert main(["report", str(out)]) == 0
    page, done = (out / "report.html").read_bytes(), (out / "check" / "done.json").read_bytes()
    assert b"made elsewhere" in page and b"How training went" not in page
    for verb in ("check", "prove"):
        capsys.readouterr()
        assert main([verb, str(out)]) == 2
        assert "holds a comparison of sets that were made elsewhere" in capsys.readouterr().err
    sets["synthetic"] = save(tmp_path / "other", 300)
    assert main(words(sets, out)) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert (out / "check" / "done.json").read_bytes() == done
    assert main(words(sets, out, "--overwrite")) == 0


def test_results_do_not_go_among_the_images(sets: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for at in (sets["synthetic"], sets["train"] / "inner"):
        assert main(words(sets, at)) == 2
        assert "where results would be taken for images" in capsys.readouterr().err


def test_suspects_are_named_by_the_gate_that_looks_for_them(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    battery.findings, battery.tables = [Finding("marginals", "largest", "a", 0.1, state=PASS)], {}
    assert main(words(sets, out, "--gates", "marginals", "--drop-suspects")) == 2
    assert "--drop-suspects needs the gate copying" in capsys.readouterr().err
    assert main(words(sets, out, "--gates", "marginals")) == 0
    assert not (out / "check" / "suspects.csv").exists()
    assert main(["report", str(out)]) == 0
    assert "Copies were not looked for" in (out / "report.html").read_text()


def test_exit_code_3_at_a_state_that_was_named(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    battery.findings = [
        Finding("copying", "copies", "a", 0.1, state=FAIL),
        Finding("copying", "copies", "b", 0.1, state=FAIL),
        Finding("marginals", "features", "a", 0.1, state=FAIL),
        Finding("coverage", "coverage", "a", 0.1, state=INCONCLUSIVE, note="few"),
    ]
    out = tmp_path / "out"
    assert main(words(sets, out)) == 0
    shutil.rmtree(out)
    capsys.readouterr()
    for _ in range(2):  # when it is made, and when it is done
        assert main(words(sets, out, "--fail-on", "fail")) == 3
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == (
            f"ganatomy: --fail-on fail: {out / 'check'} has findings that are fail: copying (2), marginals (1)"
        )
        assert (out / "check" / "done.json").exists()
    assert main(words(sets, out, "--fail-on", "fail,inconclusive")) == 3
    assert "fail: copying (2), marginals (1); inconclusive: coverage (1)" in capsys.readouterr().err
    assert main(words(sets, out, "--fail-on", "not computed")) == 0
    for word in ("fial", "pass"):
        assert main(words(sets, out, "--fail-on", word)) == 2
    assert "--fail-on: 'pass' is no state to stop at" in capsys.readouterr().err
    assert len(battery.asked) == 2


def test_gates_and_bars_reach_the_battery(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(words(sets, out, "--gates", "marginals,hygiene", "--ks-margin", "0.3")) == 0
    assert battery.asked[0]["gates"] == ("marginals", "hygiene")
    assert battery.asked[0]["bars"].marginals.ks_margin == 0.3
    assert main(words(sets, out)) == 2
    assert "other settings" in capsys.readouterr().err
    assert main(words(sets, out, "--gates", "marginal")) == 2
    assert "there is no gate 'marginal'; did you mean 'marginals'?" in capsys.readouterr().err


# ---- the set without suspects ----


def hashes_of(cohort: Cohort) -> list[str]:
    return hashed(cohort, pixels(cohort)).column("sha256")


@pytest.mark.parametrize("kind", ["folder", "manifest", "npz"])
def test_the_set_without_suspects_can_be_read(
    kind: str, sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "npz":
        random = np.random.default_rng(0)
        sets = {name: tmp_path / f"{name}.npz" for name in sets}
        for path in sets.values():
            images = random.integers(0, 255, (12, 16, 16)).astype(np.uint8)
            np.savez(path, images=images, labels=np.repeat(["a", "b"], 6))
    elif kind == "manifest":
        sets = {name: path.with_suffix(".csv") for name, path in sets.items()}
    battery.suspect(("a", 0, 1), ("a", 0, 2), ("b", 9, 1))
    out = tmp_path / "out"
    assert main(words(sets, out, pattern=kind == "folder")) == 0
    kept = out / "check" / "kept.csv"
    assert not kept.exists()
    assert main(words(sets, out, "--drop-suspects", pattern=kind == "folder")) == 0
    assert len(battery.asked) == 1  # nothing is compared again
    assert "2 of 12 synthetic images are suspected copies; the others are in" in capsys.readouterr().err
    made = read_manifest(out / "synthetic" / "manifest.csv")
    rest = ga.read(kept)
    assert list(rest.table.columns) == list(made.table.columns)
    assert hashes_of(rest) == [sha for i, sha in enumerate(hashes_of(made)) if i not in (0, 9)]
    assert main(["check", *words({**sets, "synthetic": kept}, tmp_path / "again", pattern=False)[1:]]) == 0


def test_the_table_without_suspects_is_one(tmp_path: Path, battery: Battery) -> None:
    draw = np.random.default_rng(0)
    sets = {name: tmp_path / f"{name}.csv" for name in ("train", "holdout", "synthetic")}
    for path in sets.values():
        table = pd.DataFrame(draw.standard_normal((6, 2)), columns=["x", "y"])
        table.assign(**{"class": ["a", "b"] * 3}).to_csv(path, index=False)
    battery.suspect(("a", 2, 1))
    out = tmp_path / "out"
    assert main(words(sets, out, "--drop-suspects", pattern=False)) == 0
    assert battery.asked[0]["train"].images is None
    rest = pd.read_csv(out / "check" / "kept.csv")
    pd.testing.assert_frame_equal(rest, pd.read_csv(sets["synthetic"]).drop(index=2).reset_index(drop=True))
    sets["synthetic"] = out / "check" / "kept.csv"
    assert main(words(sets, tmp_path / "again", pattern=False)) == 0


def test_where_all_are_suspected_nothing_is_left(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    battery.suspect(*(("a", row, 0) for row in range(6)))
    assert main(words(sets, tmp_path / "out", "--drop-suspects")) == 2
    assert "all 6 synthetic images of the class 'a'" in capsys.readouterr().err
    assert not (tmp_path / "out" / "check" / "kept.csv").exists()
    assert (tmp_path / "out" / "check" / "suspects.csv").exists()


# ---- a run of ours ----


@pytest.fixture
def trained(lesions: Path, tmp_path: Path) -> Path:
    run = tmp_path / "run"
    assert main(["train", "synthesis", str(lesions), "-o", str(run), *flags("train")]) == 0
    assert main(["generate", str(run), "--counts", "6"]) == 0
    return run


def test_scores_of_the_discriminator_and_the_set_without_suspects_of_a_run(
    trained: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    real = read_manifest(trained / "data" / "manifest.csv")
    battery.suspect((real.classes[0], 1, 0))
    assert main(["check", str(trained), *FLAGS, "--drop-suspects"]) == 0
    asked = battery.asked[0]
    of_train, of_holdout = asked["discriminator"]
    assert len(of_train) == len(asked["train"]) and len(of_holdout) == len(asked["holdout"])
    # the same from the training's own state
    tensors, _ = weights.load(trained / "train" / "checkpoint.safetensors")
    task = Synthesis(Model(latent=4, width=4, most=8), Symmetry(), real.classes, 1, (16, 16))
    State(task, Loop(), torch.device("cpu")).load(tensors, 12)
    held = real.where(HOLDOUT)
    x = torch.from_numpy(pixels(held).astype(np.float32) / 127.5 - 1)
    y = torch.tensor([real.classes.index(label) for label in held.labels])
    with torch.no_grad():
        logits = task.nets["discriminator"](x, y).numpy()
    np.testing.assert_allclose(of_holdout, logits, atol=1e-4)
    assert np.ptp(of_holdout) > 1e-3  # it tells images apart at all
    rest = ga.read(trained / "check" / "kept.csv")
    made = hashes_of(ga.read(trained / "synthetic" / "manifest.csv"))
    assert hashes_of(rest) == [made[0], *made[2:]]
    assert ".." in (trained / "check" / "kept.csv").read_text()  # the run may be moved
    moved = trained.rename(trained.with_name("moved"))
    assert hashes_of(ga.read(moved / "check" / "kept.csv")) == [made[0], *made[2:]]
    assert str(trained) not in (moved / "check" / "kept.csv").read_text()
    images = np.zeros((3, 1, 16, 16), np.float32)
    checkpoint = moved / "train" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    capsys.readouterr()
    assert scores.discriminator_scores(moved, images, [0, 0, 0]) is None
    assert "cannot be used" in capsys.readouterr().err
    checkpoint.unlink()
    assert scores.discriminator_scores(moved, images, [0, 0, 0]) is None
    assert capsys.readouterr().err == ""


# ---- what is refused, and what is only said ----


def flat(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        Image.fromarray(np.full((16, 16), 7, np.uint8)).save(file)


def one(folder: Path) -> None:
    for file in sorted(folder.rglob("*.png"))[1:]:
        file.unlink()
    shutil.rmtree(folder / "b")


def coloured(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        Image.open(file).convert("RGB").save(file)


BAD: dict[str, tuple[Callable[[dict[str, Path]], object], str]] = {
    "constant": (lambda sets: flat(sets["train"]), "all training images hold the one value 7"),
    "one image": (lambda sets: one(sets["synthetic"]), r"synthetic \(synthetic\) holds one image only"),
    "one real image": (lambda sets: one(sets["holdout"]), r"holdout \(holdout\) holds one image only"),
    "channels": (lambda sets: coloured(sets["synthetic"]), "with 3 channels of uint8 .* with 1 channels .* bring"),
    "other channels": (lambda sets: coloured(sets["holdout"]), "bring all images to one size, channel count and type"),
    "class": (lambda sets: shutil.rmtree(sets["holdout"] / "b"), r"the class 'b' and .*holdout \(holdout\) has not"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_in_one_sentence_and_nothing_is_written(
    name: str, sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, sentence = BAD[name]
    change(sets)
    assert main(words(sets, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(sentence, said), said
    assert not (tmp_path / "out").exists()


def test_unknown_patients_are_said(
    sets: dict[str, Path], tmp_path: Path, battery: Battery, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(sets, tmp_path / "out", pattern=False)) == 0
    said = capsys.readouterr().err
    assert "holdout name no patient for each image" in said and "the tests are too sure" in said
    assert len(set(battery.asked[0]["holdout"].patients)) == 12
    assert main(words(sets, tmp_path / "known")) == 0
    assert "name no patient" not in capsys.readouterr().err


def test_constant_synthetic_images_are_compared(sets: dict[str, Path], tmp_path: Path, battery: Battery) -> None:
    """A generator that makes one grey value is a finding, not a wrong input."""
    flat(sets["synthetic"])
    assert main(words(sets, tmp_path / "out")) == 0
    _, values = battery.asked[0]["synthetic"].spaces["radiomics"]
    assert np.isnan(values).any()
    assert os.listdir(tmp_path / "cache" / "ganatomy" / "measured")  # noqa: PTH208
