"""The chain ends in a verdict, adds nothing to the single commands, goes on where it stopped, keeps the test shut."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

import ganatomy as ga
import ganatomy.train
from ganatomy.cli import main
from ganatomy.core.cohort import ROLES, TEST, TRAIN, read_manifest
from ganatomy.core.errors import RunError, SettingsError
from ganatomy.core.finding import NOT_COMPUTED
from ganatomy.core.settings import flat, record
from ganatomy.core.verdict import WORDS
from ganatomy.data.read import pixels
from ganatomy.data.scan import read
from ganatomy.jobs import augment, check, generate, inspect, prove, seen, train

from .conftest import COMMON, FLAGS, RARE, flags, hashes, in_place_of, noise

pytestmark = pytest.mark.slow


def test_the_whole_chain_ends_in_a_verdict(finished_run: Path) -> None:
    study = augment.Study(finished_run)
    assert study.verdict.word in WORDS
    assert study.verdict.word == "undecided at this size", "three test patients can decide nothing"
    for stage in ("data", "train", "synthetic", "check", "prove", "."):
        assert (finished_run / stage / "done.json").exists(), stage
        assert not (finished_run / stage / "begun.json").exists(), stage
    assert "undecided" in (finished_run / "report.html").read_text().lower()
    assert not list(finished_run.rglob("*.part"))


def test_the_study_balances_the_classes(finished_run: Path) -> None:
    study = augment.Study(finished_run)
    have = study.cohort.where(TRAIN).counts
    assert set(study.synthetic.counts) == {RARE}
    assert have[RARE] + study.synthetic.counts[RARE] == have[COMMON]
    assert set(study.cohort.column("role")) == set(ROLES)
    gates = {finding.gate for finding in study.findings}
    assert {"fidelity", "coverage", "copying", "marginals", "utility"} <= gates
    (none,) = [f for f in study.findings if f.gate == "scope"]
    assert (none.subject, none.state) == (COMMON, NOT_COMPUTED)


def test_a_second_augment_touches_nothing_and_says_so(
    finished_run: Path, lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    assert main(["augment", str(lesions), "-o", str(finished_run), *flags()]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")} == before
    assert capsys.readouterr().err.count("nothing to do, it is done") == 6


def test_python_finds_the_run_of_the_command_line_done(finished_run: Path, lesions: Path) -> None:
    """ga.read and ga.augment give the same settings and the same cohort."""
    before = hashes(finished_run)
    settings = {name: json.loads(value) for name, value in FLAGS.items()}
    for data in (ga.read(lesions), str(lesions), lesions):
        study = ga.augment(data, out=finished_run, **settings)
        assert study.run == finished_run
    assert hashes(finished_run) == before
    assert ga.pixels(study.synthetic).shape[1:] == (1, 16, 16)
    assert ga.pixels(study.synthetic).dtype == np.uint8
    with pytest.raises(RunError, match="steps 12 -> 13"):
        ga.augment(str(lesions), out=finished_run, **{**settings, "steps": 13})
    with pytest.raises(RunError, match="a cohort needs a name"):
        ga.augment(ga.Cohort(ga.read(lesions).table), out=finished_run)


def test_single_commands_give_the_same_bytes(finished_run: Path, lesions: Path) -> None:
    run = str(finished_run)
    torch.manual_seed(3)  # whatever ran before
    with in_place_of(finished_run) as expected:
        assert main(["inspect", str(lesions), "-o", run]) == 0
        assert main(["train", "synthesis", str(lesions), "-o", run, *flags("train")]) == 0
        for verb in ("generate", "check", "prove", "report"):
            assert main([verb, run, *flags(verb)]) == 0
        assert hashes(finished_run) == expected
    assert "report.html" in expected
    assert len(expected) > 30


class Killed(BaseException):
    """What no `except Exception` catches."""


def dies(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, at: int) -> None:
    """The at-th call of a function ends the process, so to speak."""
    original: Callable[..., Any] = getattr(target, name)
    calls = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(target, name, dying)


def test_a_run_that_was_killed_everywhere_ends_in_the_same_bytes(
    finished_run: Path, lesions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["augment", str(lesions), "-o", str(finished_run), *flags()]
    deaths = [
        (inspect, "write_manifest", 1),
        (train, "pixels", 1),
        (ganatomy.train, "_follow", 7),  # in the middle of step 7
        (ganatomy.train, "_save", 3),  # before step 9 is written
        (train, "save_generator", 1),
        (generate, "write_png", 4),
        (seen, "measure", 2),
        (check, "write_findings", 1),
        (prove, "measure", 3),
        (prove, "write_text", 5),  # after four of the trial's fits
        (prove, "compare", 1),
    ]
    with in_place_of(finished_run) as expected:
        for target, name, at in deaths:
            with monkeypatch.context() as patch:
                dies(patch, target, name, at)
                with pytest.raises(Killed):
                    main(words)
                assert not (finished_run / "done.json").exists()
        monkeypatch.setattr(prove, "fit", None)  # every fit was kept: none is made again
        assert main(words) == 0
        assert hashes(finished_run) == expected


def test_the_test_images_are_not_opened_before_the_trial(
    finished_run: Path,
    lesions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are deleted as soon as the data stage has hashed them; all up to check goes on, to the same bytes."""
    shutil.copytree(lesions.parent, tmp_path / "lesions")
    own, run = tmp_path / "lesions" / "cohort.csv", tmp_path / "run"
    prepare = inspect.prepare

    def then_delete(*args: Any, **kwargs: Any) -> Any:
        outcome = prepare(*args, **kwargs)
        for path in read_manifest(outcome.folder / "manifest.csv").where(TEST).column("path"):
            Path(path).unlink()
        return outcome

    monkeypatch.setattr(inspect, "prepare", then_delete)
    assert main(["augment", str(own), "-o", str(run), *flags()]) == 2
    deleted = set(read_manifest(run / "data" / "manifest.csv").where(TEST).column("path"))
    assert len(deleted) > 4
    assert f"there is no file {sorted(deleted)[0].rsplit('/', 1)[0]}" in capsys.readouterr().err, "prove opens them"
    for stage in ("train", "synthetic", "check"):
        assert (run / stage / "done.json").exists()
    features = pd.read_csv(run / "check" / "features.csv", dtype=str, keep_default_na=False)
    assert not deleted & set(features["path"])
    assert set(features["set"]) == {"train", "holdout", "synthetic"}
    here, there = hashes(run), hashes(finished_run)
    for name in ("train/generator.safetensors", "train/log.jsonl", "check/marginals.csv", "check/findings.json"):
        assert here[name] == there[name], name


def test_fail_on_stops_at_the_named_verdict(
    finished_run: Path, lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["augment", str(lesions), "-o", str(finished_run), *flags(), "--fail-on"]
    assert main([*words, "use,no gain shown"]) == 0
    capsys.readouterr()
    assert main([*words, "do not use, undecided at this size"]) == 3
    assert "is 'undecided at this size', which --fail-on names" in capsys.readouterr().err
    assert main([*words, "no gain"]) == 2
    assert "did you mean 'no gain shown'?" in capsys.readouterr().err


def test_other_settings_are_refused_and_overwrite_makes_anew(
    finished_run: Path, lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    assert main(["check", str(run), *flags("check"), "--check-seed", "5"]) == 2
    assert "check_seed 0 -> 5" in capsys.readouterr().err
    (run / "check" / "stray.txt").write_text("left over")
    assert main(["check", str(run), *flags("check"), "--check-seed", "5", "--overwrite"]) == 0
    assert not (run / "check" / "stray.txt").exists()
    assert hashes(run)["check/findings.json"] != hashes(finished_run)["check/findings.json"]
    settings = json.loads((run / "check" / "done.json").read_text())["settings"]
    assert settings["check_seed"] == 5


def test_a_touched_file_is_not_a_changed_one(
    finished_run: Path, lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stage read decides, not when it was written."""
    shutil.copytree(finished_run, tmp_path / "run")
    for path in lesions.parent.rglob("*.png"):
        os.utime(path)
    made: list[str] = []
    for module, name in ((train, "learn"), (generate, "make"), (check, "compare"), (prove, "prove")):
        monkeypatch.setattr(module, name, lambda *args, name=name: (made.append(name), [])[1])
    assert main(["augment", str(lesions), "-o", str(tmp_path / "run"), *flags()]) == 0
    assert made == []


# ---- presets ----


def test_presets_are_settings_that_flags_win_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[augment.Augment] = []
    monkeypatch.setattr(augment, "run", seen.append)
    file = tmp_path / "s.toml"
    file.write_text('preset = "demo"\nsteps = 7\n')
    for words in ([], ["--preset", "demo"], ["--preset", "demo", "--steps", "5"], ["--settings", str(file)]):
        main(["augment", "phantom:", *words])
    main(["augment", "phantom:", "--settings", str(file), "--steps", "9", "--preset", "full"])
    known = augment.PRESETS["demo"]
    assert [one.loop.steps for one in seen] == [3000, known["steps"], 5, 7, 9]
    assert [one.seeds for one in seen] == [3, known["seeds"], known["seeds"], known["seeds"], 3]
    assert [one.preset for one in seen] == ["full", "demo", "demo", "demo", "full"]
    assert "preset" not in record(seen[1]), "what a preset stands for is recorded, not its name"


def test_presets_hold_known_names_and_have_budgets() -> None:
    names = {name for name, _, _ in flat(augment.Augment)}
    for preset, values in augment.PRESETS.items():
        assert set(values) <= names, preset
    assert set(augment.BUDGETS) <= set(augment.PRESETS)
    with pytest.raises(SettingsError, match="did you mean 'demo'"):
        augment.changes_of("demmo")


def test_a_wrong_value_of_a_late_stage_is_told_before_the_first(lesions: Path, tmp_path: Path) -> None:
    for name in ("resamples", "seeds", "replicates", "classifier_steps", "bin_width"):
        words = ["augment", str(lesions), "-o", str(tmp_path / "run"), f"--{name.replace('_', '-')}", "0"]
        assert main(words) == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("high", [1e-3, 5e5])
def test_floating_point_values_come_through(tmp_path: Path, high: float) -> None:
    """PNG holds them through a slope; what check reads back must be what the manifest has the hash of."""
    random = np.random.default_rng(0)
    for label, count in (("a", 40), ("b", 20)):
        (tmp_path / "in" / label).mkdir(parents=True)
        for i in range(count):
            tifffile.imwrite(tmp_path / "in" / label / f"{i}.tif", (random.random((16, 16)) * high).astype(np.float32))
    assert main(["augment", str(tmp_path / "in"), "-o", str(tmp_path / "run"), *flags()]) == 0
    images = pixels(read(tmp_path / "run" / "synthetic" / "manifest.csv"))
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= high


def test_one_folder_spelt_in_two_ways_is_one_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = noise(tmp_path / "in", (16, 16))
    for spelt in (f"{cohort}", f"{cohort.parent}/./{cohort.name}"):
        assert main(["inspect", spelt, "-o", str(tmp_path / "run")]) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_the_next_command_repeats_how_the_data_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = noise(tmp_path / "in", (16, 16))
    main(["inspect", str(cohort), "--unit", "a u", "-o", str(tmp_path / "run")])
    assert f"next: ganatomy augment {cohort} --unit 'a u' -o {tmp_path / 'run'}\n" in capsys.readouterr().err
