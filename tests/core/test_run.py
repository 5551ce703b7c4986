"""The run folder: a stage is done once, goes on after a kill, and refuses what does not fit."""

import json
import os
import subprocess
import sys
import threading
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
    told = rf"{work.folder} has format {FORMAT + 1}, and this ganatomy \S+ knows none above {FORMAT}; update ganatomy"
    with pytest.raises(RunError, match=told):
        go(work, source)
    with pytest.raises(RunError, match=told):
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


def test_edited_tables_are_kept_and_swapped_weights_are_refused(work, source):
    run = work.folder.parent

    def works():
        return [write_text(work.folder / name, "ours") for name in ("table.csv", "generator.safetensors")]

    def again(**more):
        return stage(work.folder, "train", {}, {"in": source}, works, **more)

    again()
    write_text(work.folder / "table.csv", "edited")
    assert not again().made and finished(run, "train")
    weights = write_text(work.folder / "generator.safetensors", "theirs")
    for look in (again, lambda: finished(run, "train")):
        with pytest.raises(RunError, match=rf"{weights} is not the file that was written here .*or remove this one"):
            look()
    assert weights.read_text() == "theirs", "nothing of theirs is overwritten unasked"
    weights.unlink()
    assert again().made and finished(run, "train") and weights.read_text() == "ours"
    write_text(weights, "theirs")
    assert again(overwrite=True).made


def test_remedies_read_well_in_python_too(work, source):
    go(work, source)
    with pytest.raises(RunError, match=r"-o \(in Python out=\), or add --overwrite \(in Python overwrite=True\)"):
        go(work, source, steps=2)


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
    mine = write_text(run / "benign" / "1.png", "an image")
    with pytest.raises(RunError, match=f"{run} is no run folder; give the one that was made with"):
        finished(run, "train")
    mine.unlink()
    mine.parent.rmdir()
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


# ---- kills at every moment ----

EVERY_MOMENT = """
import os, shutil, sys
from pathlib import Path
from ganatomy.core.run import hold, stage, write_text

top = Path(sys.argv[1])
run = top / "run"
os.fsync = lambda descriptor: None  # hundreds of them would wait for the disk
TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")

def job(overwrite):
    def work():
        # three files in a sub-folder; what is there already is not made again
        files = [run / "train" / "parts" / f"{i}.txt" for i in range(3)]
        return [path if path.exists() else write_text(path, "part") for path in files]
    def last():
        return [write_text(run / "report.json", "report")]
    with hold(run):
        stage(run / "train", "train", {"steps": 1}, {"in": top / "in.txt"}, work, run=run, overwrite=overwrite)
        inputs = {"train": run / "train" / "done.json"}
        stage(run, "report", {}, inputs, last, run=run, overwrite=overwrite, clear=("report.json",))

def dies_at(moment, overwrite):
    seen = 0
    def count(event, args):
        nonlocal seen
        if event in TOUCHES and str(top) in str(args[0]):
            seen += 1
            if seen == moment:
                os._exit(9)  # nothing is unwound, as after kill -9
    sys.addaudithook(count)
    job(overwrite)
    os._exit(0)

def files():
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}

def after(moment, again, overwrite):
    \"\"\"Whether it was killed: a first run, or one over a finished run of another input.\"\"\"
    shutil.rmtree(run, ignore_errors=True)
    if again:
        (top / "in.txt").write_text("old")
        job(False)
        (run / "train" / "parts" / "stale.txt").write_text("stale")
    (top / "in.txt").write_text("new")
    child = os.fork()
    if not child:
        try:
            dies_at(moment, overwrite)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), code
    job(False)
    return code == 9

moments = []
for again, overwrite in ((False, False), (True, False), (True, True)):
    after(0, False, False)
    expected, moment = files(), 1
    while after(moment, again, overwrite):
        assert files() == expected, (again, overwrite, moment, sorted({*files()} ^ {*expected}))
        moment += 1
    moments.append(moment - 1)
print(moments)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process that was forked")
def test_killed_before_any_operation_on_files_it_goes_on_to_the_same_files(tmp_path):
    words = [sys.executable, "-W", "error", "-c", EVERY_MOMENT, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert min(json.loads(done.stdout)) > 30, "operations were not counted"


# ---- two at once, and what else can be in the way ----


def test_a_folder_in_use_is_refused_by_its_name_and_the_number_of_the_process(work, source):
    run = work.folder.parent
    code = "import sys, pathlib\nfrom ganatomy.core.run import hold\n"
    code += "with hold(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    words = [sys.executable, "-c", code, str(run)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"{run} is in use by another ganatomy, process {other.pid};"):
            go(work, source, run=run)
        assert work.runs == 0 and not work.folder.exists()
        other.kill()
        other.wait()
        assert (run / module.LOCK).exists()
        assert go(work, source, run=run).made
    assert not (run / module.LOCK).exists()


def test_a_thread_is_another_and_nesting_is_not(tmp_path):
    failed = []

    def other():
        try:
            with module.hold(tmp_path):
                pass
        except RunError as error:
            failed.append(str(error))

    with module.hold(tmp_path):
        with module.hold(tmp_path / "x" / ".."):
            pass
        assert (tmp_path / module.LOCK).exists(), "the outer one holds on"
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(failed) == 1 and f"process {os.getpid()}" in failed[0]
    other()
    assert len(failed) == 1


def test_holding_leaves_no_folder_behind(tmp_path):
    (tmp_path / "mine").mkdir()
    with module.hold(tmp_path / "mine" / "a" / "b"):
        assert (tmp_path / "mine" / "a" / "b").is_dir()
    assert not list((tmp_path / "mine").iterdir()) and (tmp_path / "mine").is_dir()


def test_without_locks_it_works_as_well(work, source, monkeypatch):
    def refused(*_):
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch:
        patch.setattr(module, "fcntl", None)
        assert go(work, source).made
    with monkeypatch.context() as patch:
        patch.setattr(module.fcntl, "flock", refused)
        assert go(work, source, overwrite=True).made
    assert not go(work, source).made


def test_a_lock_that_was_just_removed_is_not_taken(tmp_path, monkeypatch):
    flock, calls = module.fcntl.flock, []

    def slow(descriptor, how):
        if not calls:  # its holder removed it between our opening and our locking
            (tmp_path / module.LOCK).unlink()
        calls.append(how)
        flock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", slow)
    with module.hold(tmp_path):
        assert (tmp_path / module.LOCK).read_text() == str(os.getpid())
    assert len(calls) == 2


def test_a_removed_folder_is_not_brought_back(work, source, tmp_path):
    def removes():
        (tmp_path / "run").rename(tmp_path / "moved")
        write_text(work.folder / "out.txt", "x")

    with pytest.raises(RunError, match=f"{tmp_path / 'run'} was removed while it was written to"):
        stage(work.folder, "train", {}, {}, removes, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_stage_is_looked_at_without_a_lock(work, source, monkeypatch):
    go(work, source)
    monkeypatch.setattr(module, "_lock", None)
    assert not go(work, source).made


DAMAGED = [
    "",
    "{",
    "[]",
    "null",
    "3",
    "{}",
    '{"job": "train", "format": "new", "version": "1", "settings": {}}',
    "\0" * 9,
]


@pytest.mark.parametrize("name", ["done.json", "begun.json"])
@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_is_one_sentence_whose_remedy_helps(name, content, work, source):
    go(work, source)
    (work.folder / "done.json").rename(work.folder / name)
    (work.folder / name).write_text(content)
    with pytest.raises(RunError, match=rf"{name} is damaged; add --overwrite .*, or remove the folder {work.folder},"):
        go(work, source)
    if name == "done.json":
        with pytest.raises(RunError, match=r"done\.json is damaged"):
            finished(work.folder.parent, "train")
    assert go(work, source, overwrite=True).made


def test_the_remedy_for_the_report_is_not_to_remove_the_run(tmp_path):
    run = write_text(tmp_path / "run" / "done.json", "{").parent

    def report():
        return stage(run, "report", {}, {}, lambda: [write_text(run / "report.json", "x")], clear=("report.json",))

    with pytest.raises(RunError, match=r"done\.json is damaged; remove this file and give the command again"):
        report()
    (run / "done.json").unlink()
    assert report().made


def test_half_written_files_of_a_killed_process_are_swept(work, source):
    work.dies = True
    with pytest.raises(KeyboardInterrupt):
        go(work, source)
    work.dies = False
    part = write_text(work.folder / "sub" / ".once.csv.part", "ha")
    go(work, source)
    assert not part.exists() and (work.folder / "half").exists()


def test_what_is_made_again_is_said(work, source, capsys):
    go(work, source)
    (work.folder / "sub" / "out.txt").unlink()
    go(work, source)
    assert capsys.readouterr().err == f"note: {work.folder / 'sub' / 'out.txt'} is gone; it is made again\n"


def test_another_version_that_goes_on_is_said(work, source, capsys):
    work.dies = True
    with pytest.raises(KeyboardInterrupt):
        go(work, source)
    work.dies = False
    write_json(work.folder / "begun.json", {**read_json(work.folder / "begun.json"), "version": "0.0.1"})
    go(work, source)
    assert "was begun by ganatomy 0.0.1 and goes on with" in capsys.readouterr().err


def test_what_must_outlive_a_power_cut_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    seen, fsync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append("fsync"), fsync(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda path, to: (seen.append("replace"), replace(path, to))[1])
    write_text(tmp_path / "checkpoint", "x")
    assert seen == ["fsync", "replace"]
