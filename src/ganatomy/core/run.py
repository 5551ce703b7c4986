"""The run folder: stages that finish by writing done.json last, and files that are never half-written.

RUN/data  RUN/train  RUN/synthetic  RUN/check  RUN/prove are stages; RUN itself is the report's.
done.json of a stage records the job, its settings, the hashes of what it read and of what it wrote, and the
version. A stage runs again only if one of the first three changed. Between any two operations on files the process may
be killed: what is on disk then is what the same command goes on from. Knows files and hashes, not their meaning.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganatomy.core.errors import InputError, RunError
from ganatomy.core.progress import say
from ganatomy.core.settings import difference

try:
    import fcntl
except ImportError:  # Windows: two processes on one run folder are not noticed there
    fcntl = None  # type: ignore[assignment]

FORMAT = 1  # of the files in a run folder; a run of a newer format is refused, one of an older is made again
STAGES = ("data", "train", "synthetic", "check", "prove")  # and the run folder itself, which is the report's
EVERYTHING = ("*",)
LOCK = ".lock"

# remedies, in the words of the command line and of Python
ELSEWHERE = "give another folder with -o (in Python out=)"
ANEW = "add --overwrite (in Python overwrite=True)"

_held: dict[tuple[int, Path], int | None] = {}  # (thread, run folder) -> descriptor of its lock, None without one


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all; makes its folder."""
    for (thread, run), descriptor in list(_held.items()):
        if thread == threading.get_ident() and descriptor is not None and not _is_at(descriptor, run / LOCK):
            raise RunError(f"{run} was removed while it was written to; the same command begins it anew")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(content)
            if path.suffix != ".png":  # pictures are many and can be made again; a checkpoint must outlive a power cut
                _to_disk(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from None
    return path


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot write {path}: {error.strerror}; make it possible and give the same command again, or {ELSEWHERE}"
    )


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


@contextmanager
def hold(run: Path) -> Iterator[None]:
    """Keep a run folder for this process, RunError where another has it; the lock of a killed process is none.

    May be nested. A folder that stays empty is removed again. Where no lock can be had (a read-only folder, a
    filesystem or system without) the work goes on without one.
    """
    key = (threading.get_ident(), run.resolve())
    if key in _held:
        yield
        return
    new = [path for path in (run, *run.parents) if not path.exists()]
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(run, error) from None
    _held[key] = descriptor = _lock(run)
    try:
        yield
    finally:
        del _held[key]
        if descriptor is not None:
            if _is_at(descriptor, run / LOCK):
                (run / LOCK).unlink()
            os.close(descriptor)
        with suppress(OSError):  # until one is not empty
            for path in new:
                path.rmdir()


def _lock(run: Path) -> int | None:
    while fcntl is not None:
        try:
            descriptor = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # where this cannot be written nothing can, and the first to try says so
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 20).decode()
            os.close(descriptor)
            raise RunError(
                f"{run} is in use by another ganatomy{f', process {pid}' if pid else ''}; "
                f"wait until it ends or stop it, or {ELSEWHERE}"
            ) from None
        except OSError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, run / LOCK):  # else its last holder has just removed it
            with suppress(OSError):  # a full disk: then without the number
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
            return descriptor
        os.close(descriptor)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


@dataclass(frozen=True)
class Outcome:
    """What became of a stage: made now, or found done; and its folder."""

    folder: Path
    made: bool


def gone(folder: Path, outputs: Mapping[str, str]) -> str:
    """Which output of a finished stage is missing, in words; "" where none is."""
    return next((f"{folder / name} is gone" for name in outputs if not (folder / name).exists()), "")


def stage(
    folder: Path,
    job: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path | str],
    work: Callable[[], Iterable[Path]],
    *,
    run: Path | None = None,
    overwrite: bool = False,
    clear: tuple[str, ...] = EVERYTHING,
    lacks: Callable[[Path, Mapping[str, str]], str] = gone,
) -> Outcome:
    """Run `work` in `folder` unless it is done, and write done.json last.

    settings: the record that decides the result; a finished or begun stage with another record is refused
    inputs: name -> file (hashed here) or a text that stands for one; a change makes the stage run anew
    work: does the job and returns the files that are its result; it finds its own half-done files if it can go on
    run: the run folder to hold meanwhile; not given: `folder` itself
    clear: patterns of what to remove in `folder` before the work starts anew. A stage that clears everything
        refuses a folder with files in it that are not its own
    lacks: (folder, hashes of the outputs) -> what a finished result has lost, in words; it is then said and made again
    """
    from ganatomy.core import __version__

    read = {name: file_hash(value) if isinstance(value, Path) else value for name, value in inputs.items()}
    now = {"job": job, "format": FORMAT, "version": __version__, "settings": dict(settings), "inputs": read}
    done, begun = folder / "done.json", folder / "begun.json"

    def found() -> tuple[str, str]:
        """What the work finds: "done", "half" (to go on from) or "old" (to be cleared); and what there is to say."""
        record = next((path for path in (done, begun) if path.exists()), None)
        if overwrite:  # the old record is not even read: it may be damaged
            return "old", ""
        if record is None:
            if clear == EVERYTHING and _foreign(folder):
                raise RunError(f"{folder} holds files that ganatomy did not make; {ELSEWHERE}")
            return "old", ""
        old = _read_record(record, clear == EVERYTHING)
        _same_settings(folder, old, now)
        if old["inputs"] != read or old["format"] != FORMAT:
            return "old", ""
        if record == begun:
            version = old["version"]
            other = f"{folder} was begun by ganatomy {version} and goes on with {__version__}; the last bits may differ"
            return "half", f"note: {other}" if version != __version__ else ""
        _own_weights(folder, old["outputs"])
        lost = lacks(folder, old["outputs"])
        return ("half", f"note: {lost}; it is made again") if lost else ("done", "")

    if found()[0] == "done" and not begun.exists():  # who only looks needs no lock
        return Outcome(folder, made=False)
    with hold(run or folder):
        try:
            state, told = found()
            if told:
                say(told)
            if state == "done":
                begun.unlink(missing_ok=True)
                return Outcome(folder, made=False)
            # an old one equals no inputs: killed while clearing, it is cleared again
            write_json(begun, {**now, "inputs": None} if state == "old" else now)
            done.unlink(missing_ok=True)
            if state == "old":
                _clear(folder, clear, begun)
                write_json(begun, now)
            for part in folder.rglob(".*.part"):  # of a killed process
                part.unlink()
            outputs = {path.relative_to(folder).as_posix(): file_hash(path) for path in work()}
            write_json(done, {**now, "outputs": dict(sorted(outputs.items()))})
            begun.unlink()
        except InputError:
            if not _foreign(folder, begun.name):  # nothing was made, so nothing holds the corrected words to these
                begun.unlink(missing_ok=True)
                with suppress(OSError):
                    folder.rmdir()
            raise
    return Outcome(folder, made=True)


def _foreign(folder: Path, *own: str) -> bool:
    """Whether a folder holds anything but a lock, half-written files, and what is named."""
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else iter(())
    return any(name not in (LOCK, *own) and not (name[0] == "." and name.endswith(".part")) for name in names)


def _read_record(path: Path, whole_folder: bool) -> dict[str, Any]:
    """done.json or begun.json; RunError in words where it is damaged."""
    kinds: dict[str, Any] = {"job": str, "version": str, "format": int, "settings": dict, "inputs": (dict, type(None))}
    if path.name == "done.json":
        kinds["outputs"] = dict
    with suppress(RunError):
        old = read_json(path)
        if isinstance(old, dict) and all(isinstance(old.get(name), kind) for name, kind in kinds.items()):
            return old
    remedy = f"{ANEW}, or remove the folder {path.parent}," if whole_folder else "remove this file"
    raise RunError(f"{path} is damaged; {remedy} and give the command again")


def _same_settings(folder: Path, old: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    not_newer(folder, old["format"])
    changed = difference(old.get("settings", {}), now["settings"])
    if old.get("job") != now["job"]:
        raise RunError(f"{folder} holds the result of '{old.get('job')}', not of '{now['job']}'; {ELSEWHERE}")
    if changed:
        raise RunError(
            f"{folder} was made with other settings ({', '.join(changed[:4])}{', ...' if len(changed) > 4 else ''}); "
            f"{ELSEWHERE}, or {ANEW} to make it anew"
        )


def not_newer(path: Path, written: int) -> None:
    """RunError where a run folder or weights were written in a format of a later ganatomy."""
    from ganatomy.core import __version__

    if written > FORMAT:
        raise RunError(
            f"{path} has format {written}, and this ganatomy {__version__} knows none above {FORMAT}; "
            "update ganatomy to go on, or make it anew in another folder"
        )


def _own_weights(folder: Path, outputs: Mapping[str, str]) -> None:
    """RunError where weights are not those that the stage wrote: a table is edited, weights are swapped or damaged."""
    for name, sha256 in outputs.items():
        path = folder / name
        if path.suffix == ".safetensors" and path.exists() and file_hash(path) != sha256:
            raise RunError(
                f"{path} is not the file that was written here (see {folder / 'done.json'}); put that one back, or "
                "remove this one and give the command that trains again: it goes on from its checkpoint"
            )


def _clear(folder: Path, patterns: Iterable[str], keep: Path) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != keep and path.name != LOCK:
                path.unlink()


def finished(run: Path, name: str) -> Path:
    """The folder of a finished stage of a run; RunError that says what to run first."""
    folder = run / name
    verb = {"data": "train", "synthetic": "generate", "": "report"}.get(name, name)
    if not run.is_dir():
        raise RunError(f"there is no run folder {run}; make one with: ganatomy augment DATA -o {run}")
    if not any((run / part).is_dir() for part in STAGES) and any(run.iterdir()):
        raise RunError(f"{run} is no run folder; give the one that was made with: ganatomy augment DATA -o RUN")
    if not (folder / "done.json").exists():
        words = "train synthesis DATA -o" if verb == "train" else verb
        raise RunError(f"{run} has no finished '{name}' stage; run first: ganatomy {words} {run}")
    record = _read_record(folder / "done.json", name in STAGES)
    not_newer(folder, record["format"])
    _own_weights(folder, record["outputs"])
    return folder
