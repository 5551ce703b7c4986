"""The wheel in an environment of its own does what the checkout does: the same texts, the same bytes of a whole run.

With GANATOMY_FRESH=1, as .ci/run has it, that environment is a new one with everything freshly installed under
constraints.txt. Without, only ganatomy is installed there, and the libraries are those of the environment of the tests.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganatomy
from ganatomy.cli import JOBS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FRESH = os.environ.get("GANATOMY_FRESH") == "1"
COHORT = "phantom:patients=160,ratio=2"
TINY = {
    "steps": 12,
    "batch": 8,
    "latent": 4,
    "width": 4,
    "most": 8,
    "threads": 1,
    "classifier-steps": 10,
    "classifier-batch": 8,
    "classifier-width": 4,
    "resamples": 20,
    "seeds": 1,
    "replicates": 200,
}
EVERY_MODULE = """
import importlib, pkgutil, ganatomy
for module in pkgutil.walk_packages(ganatomy.__path__, "ganatomy."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""

EVERY_HELP = """
from contextlib import suppress
from ganatomy.cli import JOBS, main
for job in JOBS:
    with suppress(SystemExit):
        main([job.verb, "--help"])
"""

pytestmark = pytest.mark.slow


def go(*words: str | Path, cwd: Path, checkout: bool = False) -> subprocess.CompletedProcess[str]:
    """A command in a folder that is no checkout; `checkout` says whether Python finds our sources."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COLUMNS"))}
    more = {"PYTHONPATH": str(SOURCE)} if checkout else {}
    env = {**clean, **more, "PYTHONNOUSERSITE": "1", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    return subprocess.run([str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True)


def must(*words: str | Path, cwd: Path, checkout: bool = False) -> str:
    """What a command prints that has to succeed."""
    done = go(*words, cwd=cwd, checkout=checkout)
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def environment(folder: Path) -> Path:
    """The Python of a new virtual environment with nothing in it, pip included."""
    must(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install into an environment; a test that only lacks a network is skipped, but not by .ci/run."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet")
    done = go(*pip, *what, cwd=python.parent)
    if done.returncode and "No matching distribution" in done.stderr and not FRESH:
        pytest.skip(f"{what[-1]} is needed and not to be had here")
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout, and in `again` the wheel that the sdist builds."""
    folder = tmp_path_factory.mktemp("dist")
    builder = environment(folder / "builder")
    install(builder, "-c", ROOT / "constraints.txt", "hatchling")
    must(builder, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    must(builder, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "again", cwd=unpacked)
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of an environment outside the checkout, where ganatomy is what the wheel holds."""
    python = environment(tmp_path_factory.mktemp("wheel") / "environment")
    (wheel,) = dist.glob("*.whl")
    if FRESH:
        install(python, "-c", ROOT / "constraints.txt", wheel)
    else:
        install(python, "--no-deps", wheel)
        (library,) = (python.parents[1] / "lib").glob("python*/site-packages")
        # a folder named in a .pth file is searched, but .pth files in it, as of an editable ganatomy, are not read
        (library / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    yield python
    shutil.rmtree(python.parents[1])  # a gigabyte where it is fresh


def package() -> dict[str, bytes]:
    """Every file of the package in the checkout, by its place in a wheel."""
    files = (path for path in (SOURCE / "ganatomy").rglob("*") if path.is_file())
    return {
        path.relative_to(SOURCE).as_posix(): path.read_bytes()
        for path in files
        if "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def differs(wheel: Path) -> list[str]:
    """The files that a wheel lacks, has too many, or has otherwise than the checkout; its own record aside."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    held = {name: content for name, content in held.items() if ".dist-info/" not in name}
    ours = package()
    return sorted(name for name in {*held, *ours} if held.get(name) != ours.get(name))


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert differs(wheel) == []
    names = zipfile.ZipFile(wheel).namelist()
    templates = {f"ganatomy/report/{name}.html.j2" for name in ("report", "gate", "macros")}
    assert templates | {"ganatomy/report/style.css", "ganatomy/py.typed"} <= {*names}
    record = f"ganatomy-{ganatomy.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"ganatomy", record}
    assert f"{record}/licenses/LICENSE" in names


@pytest.mark.parametrize("lost", ["ganatomy/report/style.css", "ganatomy/jobs/prove.py"])
def test_a_wheel_that_lacks_a_file_is_noticed(dist: Path, tmp_path: Path, lost: str) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / wheel.name, "w") as part:
        for name in whole.namelist():
            if name != lost:
                part.writestr(name, whole.read(name))
        part.writestr("tests/test_wheel.py", "")
    assert differs(tmp_path / wheel.name) == [lost, "tests/test_wheel.py"]


def test_the_sdist_builds_the_same_wheel(dist: Path) -> None:
    (wheel,), (again,) = dist.glob("*.whl"), (dist / "again").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in package()} <= names
    assert {"README.md", "LICENSE", "pyproject.toml", "constraints.txt", "tests/test_wheel.py"} <= names
    outside = ("runs/", "studies/", ".venv/", ".git/", "dist/")
    assert [name for name in names if name.startswith(outside)] == []


def test_nothing_of_the_checkout_is_seen(installed: Path, tmp_path: Path) -> None:
    code = "import sys, ganatomy; print(ganatomy.__file__, *sys.path, sep='\\n')"
    found, *searched = must(installed, "-c", code, cwd=tmp_path).splitlines()
    assert Path(found).is_relative_to(installed.parents[1])
    libraries = [] if FRESH else [sysconfig.get_path("purelib")]
    assert [path for path in searched if Path(path).is_relative_to(ROOT) and path not in libraries] == []
    if FRESH:
        must(sys.executable, "-m", "pip", "--python", installed, "check", cwd=tmp_path)


def test_every_module_can_be_imported(installed: Path, tmp_path: Path) -> None:
    must(installed, "-c", EVERY_MODULE, cwd=tmp_path)


@pytest.mark.parametrize(("words", "code"), [("--version", 0), ("--help", 0), ("report --help", 0), ("agument", 2)])
def test_the_same_words_are_said(installed: Path, tmp_path: Path, words: str, code: int) -> None:
    expected = go(sys.executable, "-m", "ganatomy", *words.split(), cwd=tmp_path, checkout=True)
    assert expected.returncode == code
    assert expected.stdout or expected.stderr
    for command in ((installed, "-m", "ganatomy"), (installed.with_name("ganatomy"),)):
        said = go(*command, *words.split(), cwd=tmp_path)
        assert (said.returncode, said.stdout, said.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_every_verb_has_the_same_help(installed: Path, tmp_path: Path) -> None:
    expected = must(sys.executable, "-c", EVERY_HELP, cwd=tmp_path, checkout=True)
    assert all(f"usage: ganatomy {job.verb} " in expected for job in JOBS)
    assert must(installed, "-c", EVERY_HELP, cwd=tmp_path) == expected


def hashes(run: Path) -> dict[str, str]:
    files = (path for path in run.rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_whole_run_ends_in_the_same_bytes(installed: Path, tmp_path: Path) -> None:
    """No file of a run holds a time; some name files by their full path, so both runs lie at one place."""
    run, made = tmp_path / "run", {}
    flags = [f"--{name}={value}" for name, value in TINY.items()]
    for name, command, checkout in (
        ("wheel", (installed, "-m", "ganatomy"), False),
        ("checkout", (sys.executable, "-m", "ganatomy"), True),
    ):
        out = must(*command, "augment", COHORT, "-o", run, *flags, cwd=tmp_path, checkout=checkout)
        made[name] = {"what was printed": out, **hashes(run)}
        shutil.move(run, tmp_path / name)
    assert made["wheel"] == made["checkout"]
    stages = {"data", "train", "synthetic", "check", "prove", "report.html", "report.json", "done.json"}
    assert {name.split("/")[0] for name in made["wheel"]} == {"what was printed", *stages}
    page = (tmp_path / "wheel" / "report.html").read_text()
    assert package()["ganatomy/report/style.css"].decode().strip() in page
