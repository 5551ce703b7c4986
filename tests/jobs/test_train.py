"""Training leaves what its contract names, depends on its own seed alone, and refuses what cannot be learned."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ganatomy.cli import main
from ganatomy.core.cohort import TRAIN, read_manifest
from ganatomy.core.picture import read_pictures
from ganatomy.data.read import pixels
from ganatomy.generate import load_generator

from .conftest import COMMON, RARE, flags, hashes, noise


def trained(data: Path, run: Path, *more: str) -> int:
    return main(["train", "synthesis", str(data), "-o", str(run), *flags("train"), *more])


@pytest.mark.slow
def test_what_a_training_leaves(finished_run: Path) -> None:
    folder = finished_run / "train"
    real = read_manifest(finished_run / "data" / "manifest.csv").where(TRAIN)
    header = load_generator(folder / "generator.safetensors").header
    assert header["classes"] == [COMMON, RARE]
    assert header["learned_from"] == real.counts
    assert header["network"]["space"] == [16, 16]
    (row,) = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert row["step"] == 12
    assert row["images"] == 96
    assert {"D.logistic", "D.r1", "G.non_saturating", f"D.augment.{RARE}", f"D.sign.{COMMON}"} <= set(row)
    (picture,) = read_pictures(folder)
    assert (folder / picture.file).read_bytes().startswith(b"\x89PNG")
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["loop"]["steps"] == 12
    assert "threads" not in settings["loop"], "what changes no result is not recorded"


def test_the_seed_decides_whatever_ran_before(tmp_path: Path) -> None:
    data = noise(tmp_path, (8, 8))
    torch.manual_seed(1)
    assert trained(data, tmp_path / "1") == 0
    torch.rand(1000)
    assert trained(data, tmp_path / "2") == 0
    assert hashes(tmp_path / "1" / "train") == hashes(tmp_path / "2" / "train")


def test_the_seed_reaches_the_first_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After no step at all, so to speak: steps so short that they move nothing."""
    data = noise(tmp_path, (8, 8))
    nets = []
    for seed in ("0", "1"):
        assert trained(data, tmp_path / seed, "--seed", seed, "--lr", "1e-30") == 0
        nets.append(load_generator(tmp_path / seed / "train" / "generator.safetensors").net)
    first = [net.state_dict()["first.weight"] for net in nets]
    assert (first[0] - first[1]).abs().max() > 0.01


@pytest.mark.parametrize(("shape", "dtype"), [((12, 9), np.uint8), ((8, 8, 3), np.uint8), ((16, 16), np.int16)])
def test_any_shape_and_type_comes_out_as_it_went_in(
    shape: tuple[int, ...], dtype: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = noise(tmp_path, shape, dtype, 900 if dtype is np.int16 else 200)
    assert trained(data, tmp_path / "run", "--steps", "2") == 0
    assert main(["generate", str(tmp_path / "run"), "--counts", "2"]) == 0
    made = pixels(read_manifest(tmp_path / "run" / "synthetic" / "manifest.csv"))
    assert made.dtype == dtype
    assert made.shape == (4, shape[2] if len(shape) == 3 else 1, *shape[:2])
    told = capsys.readouterr().err
    assert f"next: ganatomy generate {tmp_path / 'run'}" in told


@pytest.mark.parametrize(
    ("shape", "flag", "told"),
    [
        ((6, 16), [], "6x16 pixels are too small; 8 is the least"),
        ((8, 10), ["--turn"], "--turn needs square images, not 8x10"),
        ((8, 8), ["--window", "5"], "--window needs two values"),
        ((8, 8), ["--window", "9,3"], "--window needs two values, low then high"),
        ((8, 8), ["--window", "500,900"], "--window 500,900 lies beside the training values"),
        ((8, 8), ["--device", "cuda"], "torch sees no GPU on this machine"),
        ((8, 8, 9), [], "only single slices can be used"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_line(
    shape: tuple[int, ...],
    flag: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert trained(noise(tmp_path, shape), tmp_path / "run", *flag) == 2
    last = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ganatomy: ")]
    assert len(last) == 1
    assert told in last[0]
    assert not (tmp_path / "run").exists(), "nothing half-written stays"


def test_constant_images_and_counts_that_ask_for_none_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, varied = tmp_path / "run", noise(tmp_path, (8, 8))
    with np.load(varied) as arrays:
        own = dict(arrays)
    np.savez(tmp_path / "flat.npz", **{**own, "images": np.full_like(own["images"], 7)})
    for verb in (["train", "synthesis"], ["augment"]):
        more = ["--counts", "9"] if verb == ["augment"] else []
        assert main([*verb, str(tmp_path / "flat.npz"), "-o", str(run), *more]) == 2
        assert "all training images hold the one value 7" in capsys.readouterr().err
        assert not run.exists()
    for words, told in (("balance", "the classes are balanced"), ("c=4", "there is no class 'c'")):
        assert main(["augment", str(varied), "-o", str(run), "--counts", words]) == 2
        assert told in capsys.readouterr().err
        assert not run.exists()


def test_a_split_that_stood_before_stays(tmp_path: Path) -> None:
    data, run = noise(tmp_path, (8, 8)), tmp_path / "run"
    assert main(["inspect", str(data), "-o", str(run)]) == 0
    before = hashes(run)
    assert trained(data, run, "--window", "9,3") == 2
    assert hashes(run) == before


@pytest.mark.slow
def test_no_file_of_training_or_check_names_a_test_image(finished_run: Path) -> None:
    table = pd.read_csv(finished_run / "data" / "manifest.csv", dtype=str)
    names = [Path(path).name for path in table.loc[table["role"] == "test", "path"]]
    assert len(names) > 4
    pattern = re.compile("|".join(rf"\b{re.escape(name)}" for name in names).encode())
    for folder in ("train", "synthetic", "check"):
        for path in (finished_run / folder).rglob("*"):
            assert path.is_dir() or not pattern.search(path.read_bytes()), path
    assert pattern.search((finished_run / "prove" / "predictions.csv").read_bytes()), "the pattern would find them"
