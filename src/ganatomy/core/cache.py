"""Rows of numbers that cost time to measure, kept in the user's cache folder between commands.

A row belongs to a key (the hash of what was measured) and a kind (what was measured on it, with which settings and by
which version). GANATOMY_CACHE names another place than the user's cache folder. Knows files, not what the numbers mean.
"""

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST = 2**29  # bytes of all rows that are kept; the files that were longest not used are removed first


def place() -> Path:
    """The folder of all kinds."""
    base = os.environ.get("GANATOMY_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ganatomy" / "measured"


def measured(
    kind: str, keys: Sequence[str], measure: Callable[[list[int]], pd.DataFrame]
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """A row of numbers for each key, in their order, and which of them were kept before.

    measure: indices into keys -> their rows; asked once, for the first of each key that is not kept
    A place that cannot be read or written costs time, never a result: what is damaged or cannot be kept is measured.
    """
    folder = place() / kind
    names: tuple[str, ...] = ()
    rows: dict[str, NDArray[np.float64]] = {}
    wanted = set(keys)
    for path, columns, known, values in _files(folder):
        if (here := [i for i, key in enumerate(known) if key in wanted]) and (not names or names == columns):
            names = columns
            rows |= {known[i]: values[i] for i in here}
            with suppress(OSError):
                os.utime(path)
    before = np.array([key in rows for key in keys], dtype=bool)
    missing = {key: i for i, key in reversed(list(enumerate(keys))) if key not in rows}
    if missing:
        order = sorted(missing.values())
        table = measure(order)
        if names and names != tuple(map(str, table.columns)):  # of another version, whatever its kind says
            order, before = list(range(len(keys))), np.zeros(len(keys), dtype=bool)
            table = measure(order)
        names, new = tuple(map(str, table.columns)), table.to_numpy(np.float64)
        rows |= {keys[i]: row for i, row in zip(order, new, strict=True)}
        with suppress(OSError):  # a full disk, or no folder to write to
            _write(folder, names, [keys[i] for i in order], new)
            _shrink(place())
    values = np.stack([rows[key] for key in keys]) if len(keys) else np.empty((0, len(names)))
    return pd.DataFrame(values, columns=list(names)), before


Kept = tuple[Path, tuple[str, ...], list[str], NDArray[np.float64]]


def _files(folder: Path) -> Iterator[Kept]:
    """What is kept of one kind; a file that is not what its name says is removed."""
    for path in sorted(folder.glob("*.npz")):
        try:
            content = path.read_bytes()
            if _name(content) != path.name:
                raise ValueError("damaged")
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                names, keys, values = stored["names"], stored["keys"], stored["values"]
            kinds = names.dtype.kind, keys.dtype.kind, values.dtype
            if values.shape != (len(keys), len(names)) or kinds != ("U", "S", np.dtype(np.float64)):
                raise ValueError("of another version")
            yield path, tuple(names.tolist()), [key.decode() for key in keys.tolist()], values
        except FileNotFoundError:  # another process made room
            continue
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile):
            with suppress(OSError):
                path.unlink()


def _name(content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()[:32]}.npz"


def _write(folder: Path, names: Sequence[str], keys: list[str], values: NDArray[np.float64]) -> None:
    """A file named after its content: two processes that write the same one write it twice, and never half."""
    stream = io.BytesIO()
    np.savez(stream, names=np.array(names), keys=np.array([key.encode() for key in keys]), values=values)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(stream.getvalue())
        Path(part).replace(folder / _name(stream.getvalue()))
    finally:
        Path(part).unlink(missing_ok=True)


def _shrink(base: Path) -> None:
    """Remove what was longest not used, until no more than MOST bytes are kept; folders that become empty go too."""
    found = []
    for path in (*base.glob("*/*.npz"), *base.glob("*/.*.part")):  # a part of a killed process goes as it grows old
        with suppress(FileNotFoundError):
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= MOST:
            break
        path.unlink(missing_ok=True)
        total -= size
        with suppress(OSError):
            path.parent.rmdir()
