"""Tables written row by row, whole or not at all: CSV and Parquet. Knows types of columns, not what they mean."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ganatomy.core.errors import InputError

SUFFIXES = (".csv", ".parquet")
EXTRA = "python -m pip install 'ganatomy[parquet]'"
ROWS = 1000  # in memory at once, of a Parquet file


def writable(path: Path) -> None:
    """InputError where a table of this name cannot be written: another suffix, or pyarrow is missing."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no name of a table; call it {path.stem or 'table'}.csv or .parquet")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise InputError(f"{path} needs pyarrow: {EXTRA}, or write a .csv") from None


def write(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, type] | None = None
) -> int:
    """Write rows as they come, in constant memory; returns how many. None and what a row lacks is empty.

    columns: names in their order; kinds: str or int for those that are not float
    CSV holds numbers in the shortest form that is exact.
    """
    with _whole(path) as part:
        if path.suffix.lower() == ".parquet":
            return _parquet(part, columns, rows, kinds or {})
        count = 0
        with part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            for count, row in enumerate(rows, 1):  # noqa: B007
                writer.writerow(["" if (value := row.get(name)) is None else value for name in columns])
        return count


def _parquet(part: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, type]) -> int:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[kinds.get(name, float)]) for name in columns])
    count = 0
    some: list[dict[str, Any]] = []
    with ParquetWriter(part, schema) as writer:
        for count, row in enumerate(rows, 1):  # noqa: B007
            some.append({name: row.get(name) for name in columns})
            if len(some) == ROWS:
                writer.write_table(pa.Table.from_pylist(some, schema))
                some = []
        if some:
            writer.write_table(pa.Table.from_pylist(some, schema))
    return count


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A place to write a file that then stands whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; make it possible and give the same command again"
        ) from None
    finally:
        with suppress(OSError):
            part.unlink()
