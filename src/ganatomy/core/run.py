"""The run folder: stages that finish by writing done.json last, and files that are never half-written.

RUN/data  RUN/train  RUN/synthetic  RUN/check  RUN/prove are stages; RUN itself is the report's.
done.json of a stage records the job, its settings, the hashes of what it read and of what it wrote, and the
version. A stage runs again only if one of the first three changed. Knows files and hashes, not their meaning.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganatomy.core.errors import InputError, RunError
from ganatomy.core.settings import difference

FORMAT = 1  # of the files in a run folder; a run of a newer format is refused, one of an older is made again
STAGES = ("data", "train", "synthetic", "check", "prove")  # and the run folder itself, which is the report's
EVERYTHING = ("*",)


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all; makes its folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another folder with -o") from None
    return path


def write_text(path: Path, content: str) -> Path:
    """`write_bytes` for text."""
    return write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> Path:
    """`write_bytes` for JSON, in a form a person can read."""
    return write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; RunError in words where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise RunError(f"there is no {path}; run the stage that writes it first") from None
    except ValueError:
        raise RunError(f"{path} is damaged; remove its folder and run the stage again") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes; RunError in words where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise RunError(
            f"cannot read {path}: {error.strerror}; restore it, or run the stage that writes it again"
        ) from None


@dataclass(frozen=True)
class Outcome:
    """What became of a stage: made now, or found done; and its folder."""

    folder: Path
    made: bool


def stage(
    folder: Path,
    job: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path | str],
    work: Callable[[], Iterable[Path]],
    *,
    overwrite: bool = False,
    clear: tuple[str, ...] = EVERYTHING,
) -> Outcome:
    """Run `work` in `folder` unless it is done, and write done.json last.

    settings: the record that decides the result; a finished or begun stage with another record is refused
    inputs: name -> file (hashed here) or a text that stands for one; a change makes the stage run anew
    work: does the job and returns the files that are its result; it finds its own half-done files if it can go on
    clear: patterns of what to remove in `folder` before the work starts anew. A stage that clears everything
        refuses a folder with files in it that are not its own
    """
    from ganatomy.core import __version__

    read = {name: file_hash(value) if isinstance(value, Path) else value for name, value in inputs.items()}
    now = {"job": job, "format": FORMAT, "version": __version__, "settings": dict(settings), "inputs": read}
    done, begun = folder / "done.json", folder / "begun.json"
    found = next((path for path in (done, begun) if path.exists()), None)
    if not found and clear == EVERYTHING and folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} holds files that ganatomy did not make; give another folder with -o")
    if found:
        goes_on = False
        if not overwrite:  # with it the old record is not even read: it may be damaged
            old = read_json(found)
            _same_settings(folder, old, now)
            same = old["inputs"] == read and old["format"] == FORMAT
            if found == done and same and all((folder / name).exists() for name in old["outputs"]):
                return Outcome(folder, made=False)
            goes_on = found == begun and same
        if not goes_on:
            write_json(begun, {**now, "inputs": None})  # equals no inputs: killed while clearing, it is cleared again
            done.unlink(missing_ok=True)
            _clear(folder, clear, begun)
    write_json(begun, now)
    try:
        outputs = {path.relative_to(folder).as_posix(): file_hash(path) for path in work()}
    except InputError:
        if list(folder.iterdir()) == [begun]:  # nothing was made, so nothing holds the corrected words to these
            begun.unlink()
            folder.rmdir()
        raise
    write_json(done, {**now, "outputs": dict(sorted(outputs.items()))})
    begun.unlink(missing_ok=True)
    return Outcome(folder, made=True)


def _same_settings(folder: Path, old: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    _not_newer(folder, old)
    changed = difference(old.get("settings", {}), now["settings"])
    if old.get("job") != now["job"]:
        raise RunError(
            f"{folder} holds the result of '{old.get('job')}', not of '{now['job']}'; give another folder with -o"
        )
    if changed:
        raise RunError(
            f"{folder} was made with other settings ({', '.join(changed[:4])}{', ...' if len(changed) > 4 else ''}); "
            "give another folder with -o, or add --overwrite to make it anew"
        )


def _not_newer(folder: Path, old: Mapping[str, Any]) -> None:
    if old.get("format", 0) > FORMAT:
        raise RunError(
            f"{folder} was made by ganatomy {old.get('version')}, which is newer; install that version to go on"
        )


def _clear(folder: Path, patterns: Iterable[str], keep: Path) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != keep:
                path.unlink()


def finished(run: Path, name: str) -> Path:
    """The folder of a finished stage of a run; RunError that says what to run first."""
    folder = run / name
    verb = {"data": "train", "synthetic": "generate", "": "report"}.get(name, name)
    if not run.is_dir():
        raise RunError(f"there is no run folder {run}; make one with: ganatomy augment DATA -o {run}")
    if not (folder / "done.json").exists():
        words = "train synthesis DATA -o" if verb == "train" else verb
        raise RunError(f"{run} has no finished '{name}' stage; run first: ganatomy {words} {run}")
    _not_newer(folder, read_json(folder / "done.json"))
    return folder
