"""The command line: it answers without torch, says what it knows, and refuses in one line with exit code 2."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganatomy.cli import JOBS, main, settings_class
from ganatomy.core.errors import GateError, TrainingError
from ganatomy.core.settings import flat
from ganatomy.jobs import augment

VERBS = [job.verb for job in JOBS]


def python(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", *words], capture_output=True, text=True, timeout=60, **more)


@pytest.mark.parametrize(
    "code",
    [
        "import ganatomy; dir(ganatomy); ganatomy.Cohort, ganatomy.Finding, ganatomy.Verdict, ganatomy.__version__",
        "import runpy, sys; sys.argv = ['ganatomy', '--help']\n"
        "try: runpy.run_module('ganatomy', run_name='__main__')\nexcept SystemExit as end: assert not end.code",
        "from ganatomy.cli import main\ntry: main(['--version'])\nexcept SystemExit as end: assert not end.code",
        "from ganatomy.cli import main; assert main(['agument', 'x']) == 2",
    ],
    ids=["import", "help", "version", "wrong verb"],
)
def test_torch_is_not_loaded_before_it_is_needed(code: str) -> None:
    done = python("-c", f"{code}\nimport sys\nassert 'ganatomy' in sys.modules and 'torch' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_the_check_above_would_see_torch() -> None:
    done = python("-c", "import ganatomy; ganatomy.augment\nimport sys\nassert 'torch' not in sys.modules")
    assert done.returncode == 1
    assert "AssertionError" in done.stderr


def test_python_m_equals_the_console_script() -> None:
    """Both end in cli.main; where the script is installed, its words and exit code are compared too."""
    module = python("-m", "ganatomy", "inspect", "nowhere")
    assert (module.returncode, module.stdout) == (2, "")
    assert module.stderr.startswith("ganatomy: there is no file or folder nowhere")
    script = shutil.which("ganatomy", path=str(Path(sys.executable).parent))
    entry = "import sys; from ganatomy.cli import main; sys.exit(main())"
    words = [script] if script else [sys.executable, "-c", entry]
    other = subprocess.run([*words, "inspect", "nowhere"], capture_output=True, text=True, timeout=60)
    assert (other.returncode, other.stdout, other.stderr) == (module.returncode, module.stdout, module.stderr)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    for job in JOBS:
        assert job.verb in out
        assert job.line.split(",")[0] in out
    assert "exit codes: 0 done" in out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_shows_flags_defaults_and_units(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    joined = " ".join(out.split())
    job = next(job for job in JOBS if job.verb == verb)
    for name, hint, item in flat(settings_class(job)):
        if name in job.positional:
            assert item.metadata["help"] in joined
            continue
        assert f"--{name.replace('_', '-')}" in out
        assert item.metadata["help"], f"{name} explains nothing"
        if hint is int or hint is float:
            assert f"(default: {item.default})" in joined, name
        if item.metadata["unit"]:
            assert f"[{item.metadata['unit']}]" in joined, name
    assert "--settings" in out


def test_a_unit_is_shown_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["augment", "--help"])
    assert "[mm]" in capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: an empty folder, loose images, one class only, and settings files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("loose", "one/lesion"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((16, 16), 40 * i, np.uint8)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "unknown.json").write_text('{"loop": {"stps": 4}}')
    (tmp_path / "unknown.toml").write_text("[loop]\nstps = 4\n")
    (tmp_path / "wrong.toml").write_text('steps = "many"\n')
    (tmp_path / "damaged.json").write_text('{"steps": 4')
    (tmp_path / "list.json").write_text("[4]")
    return tmp_path


WRONG = {
    "augment nowhere": "there is no file or folder nowhere; for the built-in cohort write phantom:",
    "augment empty": "the folder empty holds no images by class",
    "augment loose": "put the images of each class into a sub-folder of its own",
    "augment one": "one holds one class only (lesion)",
    "inspect nowhere": "there is no file or folder nowhere",
    "inspect phantom:size=31": "size is one of 32, 64, 128, not 31",
    "inspect phantom: --fold 9": "--fold 9 is not one of 0 to 4",
    "train synthesis nowhere": "there is no file or folder nowhere",
    "train sythesis phantom:": "needs a TASK first, and 'sythesis' is none; did you mean 'synthesis'?",
    "train ../lesions": "'../lesions' is none; write: ganatomy train synthesis ../lesions",
    "train one -o run": "'one' is none; write: ganatomy train synthesis one -o run",
    "train synthesis": "required: DATA; usage: ganatomy train synthesis DATA [--flag VALUE ...]",
    "train": "required: synthesis, DATA; usage: ganatomy train synthesis DATA [--flag VALUE ...]",
    "generate run": "there is no run folder run; make one with: ganatomy augment DATA -o run",
    "check run": "there is no run folder run",
    "prove run": "there is no run folder run",
    "report run": "there is no run folder run",
    "report empty": "empty has no finished 'data' stage",
    "agument phantom:": "there is no command 'agument'; did you mean 'augment'?",
    "-o run augment phantom:": "there is no command '-o'",
    "--frobnicate": "there is no command '--frobnicate'",
    "": "required: VERB",
    "augment": "required: DATA; usage: ganatomy augment DATA [--flag VALUE ...]",
    "inspect one --bogus 3": "does not know '--bogus'; see ganatomy inspect --help",
    "inspect one --data 3": "does not know '--data'; see ganatomy inspect --help",
    "augment phantom: --setting x.json": "does not know '--setting'; did you mean '--settings'?",
    "augment phantom: --stpes 4": "does not know '--stpes'; did you mean '--steps'?",
    "augment phantom: --stpes=4": "does not know '--stpes'; did you mean '--steps'?",
    "augment phantom: --step 4": "did you mean '--steps'?",
    "augment phantom: more": "does not know 'more'; a path with spaces stands in quotes",
    "augment phantom: --steps": "--steps: expected one argument",
    "augment phantom: --steps many": "--steps needs a whole number, not 'many'",
    "augment phantom: --steps 1.5": "--steps needs a whole number, not '1.5'",
    "augment phantom: --steps 0": "--steps needs 1 or more, not 0",
    "augment phantom: --lr fast": "--lr needs a number, not 'fast'",
    "augment phantom: --flip perhaps": "--flip is yes or no, not 'perhaps'",
    "augment phantom: --precision fp8": "--precision is one of auto, fp32, bf16, not 'fp8'",
    "augment phantom: --preset fulll": "there is no preset 'fulll'; did you mean 'full'?",
    "augment phantom: --fail-on usee": "'usee' is no verdict; did you mean 'use'?",
    "augment phantom: --settings none.json": "cannot read the settings file none.json: No such file or directory",
    "augment phantom: --settings damaged.json": "the settings file damaged.json is neither JSON nor TOML",
    "augment phantom: --settings list.json": "the settings file list.json holds no names and values",
    "augment phantom: --settings unknown.json": "there is no setting 'stps'; did you mean 'steps'?",
    "augment phantom: --settings unknown.toml": "there is no setting 'stps'; did you mean 'steps'?",
    "augment phantom: --settings wrong.toml": "--steps needs a whole number, not 'many'",
    "check run --settings wrong.toml": "there is no setting 'steps'",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_told_in_one_line(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    assert main(line.split()) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("ganatomy: ")
    assert out.err.count("\n") == 1, out.err
    assert WRONG[line] in out.err
    assert sorted(folder.rglob("*")) == before, "nothing was written"


def test_settings_files_and_flags(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[augment.Augment] = []
    monkeypatch.setattr(augment, "run", seen.append)
    (folder / "flat.json").write_text(
        json.dumps({"steps": 7, "fail-on": ["use"], "gamma": None, "window": [-1000, 400]})
    )
    (folder / "nested.toml").write_text("margin = 0.05\n[loop]\nsteps = 7\nlr = 1e-3\n[symmetry]\nturn = true\n")
    for name in ("flat.json", "nested.toml"):
        for more in ([], ["--steps", "9"]):
            assert main(["augment", "phantom:", "--settings", name, *more]) == 0
    assert [one.loop.steps for one in seen] == [7, 9, 7, 9]
    assert seen[0].window == (-1000.0, 400.0)
    assert seen[0].fail_on == ("use",)
    assert (seen[2].margin, seen[2].loop.lr, seen[2].symmetry.turn) == (0.05, 1e-3, True)


def test_the_settings_a_training_wrote_can_be_given_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganatomy.core.settings import record
    from ganatomy.jobs import train

    seen: list[train.Train] = []
    monkeypatch.setattr(train, "run", seen.append)
    first = train.Train().replace(data="phantom:", steps=5, window="-10,20", gamma=0.5, turn="yes")
    (folder / "settings.json").write_text(json.dumps(record(first)))
    assert main(["train", "synthesis", "phantom:", "--settings", "settings.json"]) == 0
    assert record(seen[0]) == record(first)


def test_words_become_values(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[augment.Augment] = []
    monkeypatch.setattr(augment, "run", seen.append)
    main(["augment", "phantom:", "--turn", "--flip", "no", "--gamma", "none", "--window=-1000,400", "-o", "here"])
    assert (seen[0].symmetry.turn, seen[0].symmetry.flip, seen[0].model.gamma) == (True, False, None)
    assert seen[0].window == (-1000.0, 400.0)
    assert seen[0].out == Path("here")


@pytest.mark.parametrize(
    ("raised", "code"),
    [(GateError("stop"), 3), (TrainingError("inf"), 1), (KeyboardInterrupt(), 130)],
    ids=["gate", "training", "interrupt"],
)
def test_exit_codes(
    raised: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(settings: object) -> None:
        raise raised

    monkeypatch.setattr(augment, "run", run)
    assert main(["augment", "phantom:"]) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_a_bug_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(settings: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(augment, "run", run)
    with pytest.raises(ZeroDivisionError):
        main(["augment", "phantom:"])
