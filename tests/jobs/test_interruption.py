"""Whatever ends a command - a kill, Ctrl-C, a full disk, a removed folder, a second process - the same one goes on."""

import fcntl
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ganatomy.cli import main
from ganatomy.core import weights
from ganatomy.core.run import file_hash
from ganatomy.generate import load_generator
from ganatomy.jobs import generate

from .conftest import RARE, flags, hashes

STUDY = Path(__file__).parents[2] / "studies" / "kills" / "run.py"
STOPPED = "ganatomy: interrupted; the same command goes on where it stopped\n"


def command(*words: str, **more: Any) -> subprocess.Popen[str]:
    """The command line as a process of its own, with default signals also where the tests run in the background."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    lead = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = f"{lead}from ganatomy.cli import main\nsys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", code, *words], **{**pipes, "env": env, **more})


def until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 50
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.002)


def told(process: subprocess.Popen[str]) -> str:
    """What a process that was stopped by itself or by us said, its progress left out; never a traceback."""
    _, err = process.communicate(timeout=50)
    assert "Traceback" not in err, err
    return "".join(line for line in err.splitlines(keepends=True) if line.startswith("ganatomy: "))


def trains(lesions: Path, run: Path, *more: str) -> list[str]:
    return ["train", "synthesis", str(lesions), "-o", str(run), *flags("train"), *more]


@pytest.fixture
def copied(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "run")


# ---- kill -9 ----


@pytest.mark.slow
@pytest.mark.skipif(not STUDY.exists(), reason="the studies are not part of the source distribution")
def test_killed_in_three_stages_a_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """The study's run, killed as soon as a checkpoint, a check or a fit of the trial is there to go on from.

    A stage may have ended before it is seen to have begun, so all kills are made anew, a bounded number of times.
    """
    study = SimpleNamespace(**runpy.run_path(str(STUDY)))
    run, moments, at_once = tmp_path / "run", ["train on", "check", "prove on"], dict.fromkeys(study.MOMENTS, 0.0)
    study.finish(run)
    expected = study.hashes(run)
    for _ in range(3):
        shutil.rmtree(run)
        rows = [study.kill(run, moment, 0.0, at_once) or {} for moment in moments]
        if [row.get("hit") for row in rows] == moments and rows[0]["left"] != "step 300":
            break
    else:
        pytest.fail(f"three times some of {moments} were not hit, at last {rows}")
    study.finish(run)
    found = study.hashes(run)
    assert [name for name in {*found, *expected} if found.get(name) != expected.get(name)] == []


# ---- Ctrl-C and SIGTERM ----


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_stopped_in_training_it_saves_and_goes_on(number: int, lesions: Path, tmp_path: Path) -> None:
    """No checkpoint is due before the end, so the one that is there was saved because of the signal."""
    run = tmp_path / "run"
    words = trains(lesions, run, "--steps", "1000", "--save-every", "9999")
    process = command(*words)
    until(process, (run / "train" / "samples.png").exists)  # drawn at step 100
    process.send_signal(number)
    assert told(process) == STOPPED
    assert process.returncode == 130
    _, header = weights.load(run / "train" / "checkpoint.safetensors")
    assert 100 <= header["step"] < 1000
    assert not (run / ".lock").exists()
    again = command(*words)
    assert again.stderr is not None
    while "going on at step" not in (line := again.stderr.readline()):
        assert line
    assert line == f"going on at step {header['step']}\n"
    again.kill()
    again.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0])
def test_stopped_while_it_loads(seconds: float, lesions: Path, tmp_path: Path) -> None:
    """The process tells that our first file has been read; from there on no moment shows a traceback."""
    lead = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = f"{lead}from ganatomy.core.stop import signals\nwith signals():\n    print('go', flush=True)\n"
    code += "    from ganatomy.__main__ import main\n    main()"
    words = [sys.executable, "-c", code, *trains(lesions, tmp_path / "run", "--steps", "100000")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    assert told(process) == STOPPED
    assert process.returncode == 130


def test_a_signal_after_the_end_changes_nothing() -> None:
    code = "import os, signal, sys\nfrom ganatomy.__main__ import main\nsys.argv = ['ganatomy', 'nowhere']\n"
    code += "code = main()\nos.kill(os.getpid(), signal.SIGINT)\nos.kill(os.getpid(), signal.SIGTERM)\nsys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_who_ignores_signals_goes_on_doing_so() -> None:
    code = (
        "import os, signal\nfrom ganatomy.core.stop import signals\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nbefore = signal.getsignal(signal.SIGTERM)\n"
        "with signals():\n    os.kill(os.getpid(), signal.SIGINT)\n    print('on', flush=True)\n"
        "assert signal.getsignal(signal.SIGTERM) is before\n"
        "with signals():\n    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (130, "on\n", STOPPED)


# ---- what a disk can do ----


@pytest.mark.slow
def test_a_disk_that_is_full_leaves_the_last_good_state(finished_run: Path, lesions: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the data stage fits, a checkpoint does not."""
    run = tmp_path / "run"
    limit = (finished_run / "train" / "checkpoint.safetensors").stat().st_size - 1000
    process = command(
        *trains(lesions, run), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert f"cannot write {run / 'train' / 'checkpoint.safetensors'}: File too large" in (said := told(process))
    assert (process.returncode, said.count("\n")) == (2, 1)
    assert not list(run.rglob("*.part"))
    assert not (run / ".lock").exists()
    assert main(trains(lesions, run)) == 0
    for name in ("data", "train"):
        assert hashes(run / name) == hashes(finished_run / name)


def test_a_device_that_is_full() -> None:
    with Path("/dev/full").open("w") as full:
        process = command("inspect", "phantom:patients=40", stdout=full)
        assert "cannot use the output: No space left on device" in told(process)
    assert process.returncode == 2


@pytest.mark.slow
def test_a_run_folder_that_is_removed_while_it_is_written_to(lesions: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = command(*trains(lesions, run, "--steps", "100000"))
    until(process, (run / "train" / "checkpoint.safetensors").exists)
    moved = run.rename(tmp_path / "moved")  # as far as the process can see, removed at once
    assert told(process).startswith(f"ganatomy: {run} was removed while it was written to")
    assert process.returncode == 2
    assert not run.exists(), "it does not come back half"
    weights.load(moved / "train" / "checkpoint.safetensors")


def test_a_run_folder_that_cannot_be(lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/run"):
        for words in (["augment", str(lesions)], ["train", "synthesis", str(lesions)], ["inspect", str(lesions)]):
            assert main([*words, "-o", str(tmp_path / out)]) == 2
            err = capsys.readouterr().err
            assert err.startswith("ganatomy: cannot write")
            assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


# ---- a second process ----


@pytest.mark.slow
def test_a_second_process_is_sent_away(lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    first = command(*trains(lesions, run, "--steps", "100000"))
    until(first, (run / "train" / "checkpoint.safetensors").exists)
    for words in (["augment", str(lesions), "-o", str(run)], ["report", str(run)]):
        assert main(words) == 2
        assert f"ganatomy: {run} is in use by another ganatomy, process {first.pid};" in capsys.readouterr().err
    assert main(["inspect", str(lesions), "-o", str(run)]) == 0, "who only looks may"
    assert first.poll() is None
    first.kill()
    first.communicate()
    assert (run / ".lock").exists(), "nobody could remove it"
    assert main(["report", str(run)]) == 0, "but it locks nothing"
    assert not (run / ".lock").exists()


@pytest.mark.slow
def test_a_finished_run_can_be_read_while_another_holds_it(
    copied: Path, lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (copied / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        before = hashes(copied)
        assert main(["report", str(copied)]) == 0
        assert main(["generate", str(copied)]) == 0
        assert main(["augment", str(lesions), "-o", str(copied), *flags()]) == 2
        assert hashes(copied) == before
    assert "is in use by another ganatomy;" in capsys.readouterr().err


# ---- damage ----


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zeroed_page(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-4096] + bytes(4096))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize("file", ["checkpoint.safetensors", "log.jsonl"])
@pytest.mark.parametrize("damage", [cut, zeroed, zeroed_page, emptied, Path.unlink])
def test_a_damaged_checkpoint_is_said_with_the_remedy_which_helps(
    file: str, damage: Callable[[Path], None], copied: Path, capsys: pytest.CaptureFixture[str], lesions: Path
) -> None:
    expected = hashes(copied)
    (copied / "train" / "done.json").rename(copied / "train" / "begun.json")
    damage(copied / "train" / file)
    checkpoint = copied / "train" / "checkpoint.safetensors"
    if (file, damage) != ("checkpoint.safetensors", Path.unlink):
        assert main(trains(lesions, copied)) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ganatomy: ")]
        assert f"remove {checkpoint}, and the same command trains anew" in line
        checkpoint.unlink()
    assert main(trains(lesions, copied)) == 0
    assert hashes(copied) == expected


@pytest.mark.slow
def test_weights_with_other_numbers_are_not_used(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "train" / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"1234")
    assert main(["generate", str(copied)]) == 2
    assert f"{path} is not the file that was written here" in capsys.readouterr().err


@pytest.mark.slow
def test_sound_weights_of_another_training_are_not_used_and_the_remedy_helps(
    copied: Path, lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, path = hashes(copied), copied / "train" / "generator.safetensors"
    own = load_generator(path)
    foreign = {key: value + 0.01 for key, value in own.net.state_dict().items()}
    weights.save(path, foreign, own.header)
    assert load_generator(path).classes == own.classes, "a valid header"
    for words in (["generate", str(copied)], ["check", str(copied), *flags("check")], trains(lesions, copied)):
        assert main(words) == 2
        assert f"{path} is not the file that was written here" in capsys.readouterr().err
    path.unlink()
    assert main(trains(lesions, copied)) == 0
    assert hashes(copied) == expected


@pytest.mark.slow
def test_a_lost_picture_of_training_is_drawn_without_training_again(
    copied: Path, lesions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = hashes(copied)
    (copied / "train" / "samples.png").unlink()
    monkeypatch.setattr("ganatomy.train._turn", None)
    assert main(trains(lesions, copied)) == 0
    assert "samples.png is gone; it is made again" in capsys.readouterr().err
    assert hashes(copied) == expected


@pytest.mark.slow
@pytest.mark.parametrize("damage", [zeroed, emptied])
def test_a_damaged_fit_is_made_again(
    damage: Callable[[Path], None], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = hashes(copied)
    (copied / "prove" / "done.json").rename(copied / "prove" / "begun.json")
    path = copied / "prove" / "fits" / "cnn, real, 0.csv"
    damage(path)
    assert main(["prove", str(copied), *flags("prove")]) == 0
    assert f"{path} is damaged; its fit is made again" in capsys.readouterr().err
    assert hashes(copied) == expected


# ---- the synthetic images ----


def image(run: Path) -> Path:
    return sorted((run / "synthetic").rglob("*.png"))[1]


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "word"), [(Path.unlink, "is gone"), (cut, "was changed"), (zeroed, "was changed")])
def test_a_lost_or_changed_image_is_made_again(
    damage: Callable[[Path], None], word: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, path = hashes(copied), image(copied)
    damage(path)
    assert main(["generate", str(copied)]) == 0
    assert f"note: {path} {word}; it is made again" in capsys.readouterr().err
    assert hashes(copied) == expected


@pytest.mark.slow
def test_images_that_an_edited_manifest_does_not_list_may_go(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, path = copied / "synthetic" / "manifest.csv", image(copied)
    lines = manifest.read_text().splitlines(keepends=True)
    path.unlink()
    manifest.write_text("".join(line for line in lines if path.name not in line))
    edited = file_hash(manifest)
    assert main(["generate", str(copied)]) == 0
    assert file_hash(manifest) == edited
    assert "nothing to do" in capsys.readouterr().err
    image(copied).unlink()
    assert main(["generate", str(copied)]) == 2
    assert "is gone, and" in (err := capsys.readouterr().err)
    assert "was edited; remove its line too" in err
    assert file_hash(manifest) == edited
    monkeypatch.setattr(generate, "make", lambda *_: [manifest])
    assert main(["generate", str(copied), "--overwrite"]) == 2, "everything was cleared, and nothing made here"


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "prove"])
def test_an_image_that_is_not_the_listed_one_is_not_measured(
    verb: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = sorted((copied / "synthetic").rglob("*.png"))[:2]
    shutil.copy(one, other)
    shutil.rmtree(copied / verb)
    assert main([verb, str(copied), *flags(verb)]) == 2
    assert f"{other} is not the image that" in capsys.readouterr().err


@pytest.mark.slow
def test_features_name_synthetic_images_from_the_run_folder(copied: Path) -> None:
    """So a run that was moved, or made elsewhere, has the same bytes."""
    table = pd.read_csv(copied / "check" / "features.csv", dtype=str, keep_default_na=False)
    made = list(table.loc[table["set"] == "synthetic", "path"])
    assert made[0] == f"synthetic/{generate.folder_name(RARE)}/000000.png"
    assert all((copied / path).is_file() for path in made)
    assert all(Path(path).is_absolute() for path in table.loc[table["set"] != "synthetic", "path"])
