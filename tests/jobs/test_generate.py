"""How many images are asked for, what they are called, and that files hold what the network made."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganatomy.cli import main
from ganatomy.core.cohort import Cohort
from ganatomy.core.errors import SettingsError
from ganatomy.core.run import file_hash
from ganatomy.data.read import pixels
from ganatomy.data.scan import read
from ganatomy.generate import load_generator
from ganatomy.jobs.generate import folder_name, parse_counts

from .conftest import COMMON, RARE

LEARNED = {"a": 30, "b=c": 10, "d e": 20}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("balance", {"a": 0, "b=c": 20, "d e": 10}),
        ("7", {"a": 7, "b=c": 7, "d e": 7}),
        ("a=5", {"a": 5, "b=c": 0, "d e": 0}),
        ("b=c=2,d e=3", {"a": 0, "b=c": 2, "d e": 3}),
    ],
)
def test_counts(words: str, wanted: dict[str, int]) -> None:
    assert parse_counts(words, LEARNED) == wanted


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (".benign, old=3", [3, 0, 0]),
        ("1=2,b=5,.benign, old=3", [3, 5, 0]),
        ("c=x, d=4,1=2,b=1", [0, 1, 4]),
    ],
)
def test_commas_and_equals_signs_may_be_in_the_names_of_classes(words: str, wanted: list[int]) -> None:
    names = [".benign, old", "1=2,b", "c=x, d"]
    assert parse_counts(words, dict.fromkeys(names, 9)) == dict(zip(names, wanted, strict=True))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("f=3", "there is no class 'f'"),
        ("a=1,f=3,a=5", "there is no class 'f'"),
        ("a=3,5", "is neither balance"),
        ("0", "asks for no image: give a number above 0"),
        ("d_e=3", "did you mean 'd e'"),
        ("a=-3", "'-3' is not a number of images; write a=50"),
        ("a=", "'' is not a number"),
        ("a=²", "'²' is not a number"),
        ("balanced", "is neither balance, nor a number"),
        ("-5", "is neither balance, nor a number"),
        ("2.5", "is neither balance, nor a number"),
    ],
)
def test_wrong_counts_are_refused_in_words(words: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"--counts '{words}'".replace("²", ".")) as caught:
        parse_counts(words, LEARNED)
    assert told in str(caught.value)


def test_no_two_classes_share_a_folder_and_none_leaves_it() -> None:
    names = ["a/b", "a%2Fb", "a b", "..", ".", ".hidden", "a:b", "a#b", "x=1", "ä", "a\\b", "a?b", "A b"]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert not set(folder) & set('/\\:#?*"<>|'), folder
        assert not folder.startswith(".")
    assert folder_name("in situ (grade 1.5)") == "in situ (grade 1.5)", "what can be read stays as it is"


@pytest.mark.slow
def test_files_hold_what_the_network_made(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """png and npz, asked for elsewhere and in other numbers: the same images for the same class and seed."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    weights = run / "train" / "generator.safetensors"
    labels, seeds = [COMMON] * 3 + [RARE] * 3, [5, 6, 7] * 2
    made = load_generator(weights).images(labels, seeds)
    cohorts: dict[str, Cohort] = {}
    for form in ("png", "npz"):
        out = tmp_path / form
        words = ["generate", str(run), "-o", str(out), "--counts", "3", "--first-seed", "5", "--format", form]
        assert main(words) == 0
        told = capsys.readouterr().err
        assert f"note: check and prove look at {run / 'synthetic'} alone" in told and "next:" not in told
        cohorts[form] = read(out / "manifest.csv")
        assert cohorts[form].labels == labels
        assert cohorts[form].column("seed") == [str(seed) for seed in seeds]
        assert set(cohorts[form].column("weights")) == {file_hash(weights)}
        assert np.array_equal(pixels(cohorts[form]), made)
    assert cohorts["png"].column("sha256") == cohorts["npz"].column("sha256")
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before, "the run is left alone"
    assert {path.parent.name for path in (tmp_path / "png").rglob("*.png")} == {"%2Ebenign, old", "in situ%2Fgrade 1.5"}
    with np.load(tmp_path / "npz" / "images.npz") as arrays:
        assert arrays["images"].shape == (6, 16, 16, 1)
        assert arrays["labels"].tolist() == labels
    balanced = read(run / "synthetic" / "manifest.csv")
    shared = balanced.column("seed").index("6")
    assert np.array_equal(pixels(balanced)[shared], made[4]), "balancing or not, an image is the same"


@pytest.mark.slow
def test_every_file_says_that_it_is_synthetic(finished_run: Path) -> None:
    files = sorted((finished_run / "synthetic").rglob("*.png"))
    assert files
    for seed, path in enumerate(files):
        with Image.open(path) as opened:
            assert opened.info["Synthetic"] == "YES"
            assert (opened.info["Class"], opened.info["Seed"]) == (RARE, str(seed))


@pytest.mark.slow
def test_wrong_counts_leave_nothing_behind(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for words, told in (("benign=4", "did you mean '.benign, old'"), ("0", "asks for no image")):
        assert main(["generate", str(finished_run), "-o", str(out), "--counts", words]) == 2
        assert told in capsys.readouterr().err
    assert not out.exists()
