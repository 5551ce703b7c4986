"""A file with a line for each piece of work that is done, so that a long table can be stopped and gone on with.

A killed process leaves at most a last line that is cut short, which is dropped. Holds places of lines, not their
content, so memory does not grow with it. Knows no job.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ganatomy.core.errors import InputError, RunError
from ganatomy.core.settings import difference

try:
    import fcntl
except ImportError:  # Windows: two processes on one journal are not noticed there
    fcntl = None  # type: ignore[assignment]


class Journal:
    """What has been done, by key.

    head: what it was begun with, `settings` among it; lists: names that many entries share, written once
    """

    def __init__(self, path: Path, stream: IO[bytes], head: Mapping[str, Any]) -> None:
        self.path = path
        self.lists: list[tuple[str, ...]] = []
        self._stream = stream
        self._places: dict[str, int] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
        head = json.loads(json.dumps(head))
        if not self._read(head):
            self._places, self._numbers, self.lists = {}, {}, []
            self._append(head)

    def _read(self, head: Mapping[str, Any]) -> bool:
        """Take in what an earlier process has left; False where it was begun with another head."""
        self._stream.seek(0)
        good = 0
        for number, line in enumerate(self._stream):
            try:
                entry: Any = json.loads(line) if line.endswith(b"\n") else None
                if number == 0 and entry != head:
                    break
                if number and "list" in entry:
                    self.number(entry["list"], write=False)
                elif number:
                    self._places[entry["key"]] = good
            except (ValueError, KeyError, TypeError):
                break
            good += len(line)
        self._stream.seek(good)
        self._stream.truncate()
        return good > 0

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def number(self, names: Sequence[str], write: bool = True) -> int:
        """The number of a list of names in `lists`."""
        names = tuple(names)
        if names not in self._numbers:
            if write:
                self._append({"list": names})
            self._numbers[names] = len(self.lists)
            self.lists.append(names)
        return self._numbers[names]

    def add(self, key: str, content: Any) -> None:
        """One more piece of work, as JSON."""
        self._places[key] = self._append({"key": key, "content": content})

    def _append(self, entry: Any) -> int:
        try:
            place = self._stream.seek(0, os.SEEK_END)
            self._stream.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            self._stream.flush()  # from here on it outlives this process
        except OSError as error:
            raise InputError(
                f"cannot write {self.path}: {error.strerror}; make room and give the same command again"
            ) from None
        return place

    def content(self, key: str) -> Any:
        """What was written for a key."""
        self._stream.seek(self._places[key])
        return json.loads(self._stream.readline())["content"]


def begun_with(path: Path) -> Mapping[str, Any] | None:
    """The head of a journal that was left behind; None where there is none, or none that can be read."""
    try:
        with path.open("rb") as stream:
            head = json.loads(stream.readline())
    except (OSError, ValueError):
        return None
    return head if isinstance(head, dict) else None


def other_settings(head: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two heads' settings, in words; "" where nothing does."""
    changed = difference(head.get("settings") or {}, now["settings"])
    return ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")


@contextmanager
def journal(path: Path, head: Mapping[str, Any]) -> Iterator[Journal]:
    """Open a journal for this process alone, begun anew where it has another head. RunError where it is in use."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+b")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; make it possible, or write elsewhere") from None
    try:
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{path} is in use by another ganatomy; wait until it ends or stop it") from None
            except OSError:  # a filesystem without locks: without one
                pass
        yield Journal(path, stream, head)
    finally:
        with suppress(OSError):  # what a full disk did not take was said when it was added
            stream.close()
