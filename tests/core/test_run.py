"""The run folder: a stage is done once, goes on after a kill, and refuses what does not fit."""

import json
from pathlib import Path

import pytest

from ganatomy.core import run as module
from ganatomy.core.errors import InputError, RunError
from ganatomy.core.run import FORMAT, file_hash, finished, read_json, stage, write_bytes, write_json, write_text


class Work:
    """Counts its runs and writes one output; `dies` lets it stop half-way, leaving a half-done file."""

    def __init__(self, folder):
        self.folder, self.runs, self.dies = folder, 0, False

    def __call__(self):
        self.runs += 1
        assert (self.folder / "begun.json").exists()
        assert not (self.folder / "done.json").exists()  # it comes last
        if self.dies:
            write_text(self.folder / "half", "half")
            raise KeyboardInterrupt
        return [write_text(self.folder / "sub" / "out.txt", "result")]


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "run" / "train")


@pytest.fixture
def source(tmp_path):
    return write_text(tmp_path / "in.txt", "one")


def go(work, source, steps=1, **more):
    return stage(work.folder, "train", {"steps": steps, "loop": {"lr": 0.1}}, {"in": source, "text": "t"}, work, **more)


def test_a_stage_runs_once_and_records_what_it_read_and_wrote(work, source):
    assert go(work, source).made
    done = read_json(work.folder / "done.json")
    assert done["job"] == "train" and done["format"] == FORMAT and done["settings"]["steps"] == 1
    assert done["inputs"] == {"in": file_hash(source), "text": "t"}
    assert done["outputs"] == {"sub/out.txt": file_hash(work.folder / "sub" / "out.txt")}
    assert not (work.folder / "begun.json").exists()
    assert not go(work, source).made and work.runs == 1


def test_it_runs_again_when_an_input_changes_and_clears_what_was_there(work, source):
    go(work, source)
    write_text(work.folder / "stale", "old")
    write_text(source, "two")
    assert go(work, source).made and work.runs == 2
    assert not (work.folder / "stale").exists()
    assert not go(work, source).made


def test_it_runs_again_when_an_output_is_gone(work, source):
    go(work, source)
    (work.folder / "sub" / "out.txt").unlink()
    assert go(work, source).made and work.runs == 2


def test_clear_removes_only_what_it_names(work, source):
    go(work, source)
    write_text(work.folder / "mine", "keep")
    write_text(source, "two")
    go(work, source, clear=("sub",))
    assert (work.folder / "mine").exists()


def test_a_linked_folder_is_unlinked_and_not_emptied(work, source, tmp_path):
    go(work, source)
    kept = write_text(tmp_path / "elsewhere" / "precious", "x")
    (work.folder / "link").symlink_to(kept.parent)
    go(work, source, overwrite=True)
    assert kept.exists() and not (work.folder / "link").exists()


def test_other_settings_are_refused_in_words_unless_overwritten(work, source):
    go(work, source)
    with pytest.raises(RunError, match=r"other settings \(steps 1 -> 2\).*--overwrite"):
        go(work, source, steps=2)
    assert work.runs == 1
    assert go(work, source, steps=2, overwrite=True).made
    assert not go(work, source, steps=2).made


def test_a_killed_stage_goes_on_from_its_half_done_files(work, source):
    work.dies = True
    with pytest.raises(KeyboardInterrupt):
        go(work, source)
    assert (work.folder / "begun.json").exists() and not (work.folder / "done.json").exists()
    work.dies = False
    assert go(work, source).made
    assert (work.folder / "half").exists() and not (work.folder / "begun.json").exists()


@pytest.mark.parametrize("change", ["input", "overwrite"])
def test_a_killed_stage_starts_anew_if_its_input_changed_or_it_is_told_to(work, source, change):
    work.dies = True
    with pytest.raises(KeyboardInterrupt):
        go(work, source)
    work.dies = False
    if change == "input":
        write_text(source, "two")
    go(work, source, overwrite=change == "overwrite")
    assert not (work.folder / "half").exists()


def test_killed_while_clearing_it_clears_again(work, source, monkeypatch):
    go(work, source)
    write_text(work.folder / "stale", "old")
    write_text(source, "two")
    with monkeypatch.context() as patch:

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(module, "_clear", killed)
        with pytest.raises(KeyboardInterrupt):
            go(work, source)
    assert go(work, source).made
    assert not (work.folder / "stale").exists()


def test_a_killed_stage_refuses_other_settings_too(work, source):
    work.dies = True
    with pytest.raises(KeyboardInterrupt):
        go(work, source)
    with pytest.raises(RunError, match="other settings"):
        go(work, source, steps=2)


def changed_record(folder, **changes):
    write_json(folder / "done.json", {**read_json(folder / "done.json"), **changes})


def test_a_newer_format_is_refused_and_an_older_one_made_again(work, source):
    go(work, source)
    changed_record(work.folder, format=FORMAT + 1, version="9.9")
    with pytest.raises(RunError, match=r"ganatomy 9\.9, which is newer"):
        go(work, source)
    with pytest.raises(RunError, match=r"ganatomy 9\.9, which is newer"):
        finished(work.folder.parent, "train")
    changed_record(work.folder, format=FORMAT - 1)
    assert go(work, source).made and work.runs == 2


def test_another_job_is_refused(work, source):
    go(work, source)
    changed_record(work.folder, job="check")
    with pytest.raises(RunError, match="holds the result of 'check', not of 'train'"):
        go(work, source)


def test_a_damaged_record_is_said_and_can_be_overwritten(work, source):
    go(work, source)
    (work.folder / "done.json").write_text("{")
    with pytest.raises(RunError, match=r"done\.json is damaged"):
        go(work, source)
    assert go(work, source, overwrite=True).made


def test_a_missing_input_is_named(work, source):
    source.unlink()
    with pytest.raises(RunError, match=r"cannot read .*in\.txt"):
        go(work, source)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = write_bytes(tmp_path / "a" / "b", b"old")

    def full(part, content):
        with part.open("wb") as stream:
            stream.write(content[:1])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match=r"cannot write .*b: No space left on device"):
            write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in path.parent.iterdir()] == ["b"]
    assert write_bytes(path, b"new").read_bytes() == b"new"


def test_a_path_below_a_file_gives_one_sentence(tmp_path, work, source):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "deep" / "x"):
        with pytest.raises(InputError, match=r"cannot write .*give another folder with -o"):
            write_text(path, "x")
    work.folder = tmp_path / "file" / "train"
    for overwrite in (False, True):
        with pytest.raises(InputError, match="cannot write"):
            go(work, source, overwrite=overwrite)
    with pytest.raises(InputError, match="cannot write"):
        write_text(tmp_path, "a folder is no file")


def test_finished_says_what_to_run_first(tmp_path, work, source):
    run = work.folder.parent
    with pytest.raises(RunError, match=f"no run folder {run}"):
        finished(run, "train")
    run.mkdir()
    with pytest.raises(RunError, match=f"run first: ganatomy train synthesis DATA -o {run}"):
        finished(run, "train")
    with pytest.raises(RunError, match=f"run first: ganatomy generate {run}"):
        finished(run, "synthetic")
    go(work, source)
    assert finished(run, "train") == work.folder


def test_json_is_utf8_and_damage_is_said(tmp_path):
    path = write_json(tmp_path / "x.json", {"name": "Größe"})
    assert read_json(path) == {"name": "Größe"}
    path.write_bytes(json.dumps({"name": "Größe"}, ensure_ascii=False).encode())
    assert read_json(path) == {"name": "Größe"}
    with pytest.raises(RunError, match="there is no"):
        read_json(tmp_path / "y.json")
