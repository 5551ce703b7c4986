"""Tables, CSV and Parquet: written row by row, whole or not at all, and read. Knows types of columns, not meanings."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganatomy.core.errors import InputError

SUFFIXES = (".csv", ".parquet")
EXTRA = "python -m pip install 'ganatomy[parquet]'"
ROWS = 1000  # in memory at once, of a Parquet file
UNDEFINED = ("", "na", "n/a", "nan", "none", "null", "inf", "-inf", "+inf", "infinity", "-infinity")  # no numbers


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


def load(path: Path) -> pd.DataFrame:
    """A table as texts, "" where a cell is empty; names of columns without blanks around them.

    InputError where there is none, it is no table, it has no row, or a column has no name or that of another.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no table; save it as {' or '.join(SUFFIXES)}")
    try:
        if path.suffix.lower() == ".parquet":
            raw = pd.read_parquet(path)
            table = pd.DataFrame({i: _texts(raw.iloc[:, i]) for i in range(raw.shape[1])})
            names = [str(name).strip() for name in raw.columns]
        else:
            # without a header, for pandas gives a second column of one name another
            table = pd.read_csv(path, dtype=str, keep_default_na=False, header=None, skipinitialspace=True)
            names = [str(name).strip() for name in table.iloc[0]]
            table = table.iloc[1:].reset_index(drop=True)
    except ImportError:
        raise InputError(f"{path} needs pyarrow: {EXTRA}, or save it as .csv") from None
    except OSError as error:
        raise InputError(f"cannot read the table {path}: {error.strerror or error}; give one that is there") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table ({str(error).strip()}); save it as CSV in UTF-8") from None
    if not len(table):
        raise InputError(f"the table {path} has no row below its header; fill it")
    table.columns = pd.Index(names)
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise InputError(f"the table {path} has {names.count(twice[0])} columns '{twice[0]}'; rename or remove one")
    return table.loc[:, [name != "" for name in names]]  # a column without a name numbers the rows


def _texts(column: "pd.Series[Any]") -> list[str]:
    """Values as texts: whole numbers without a point, as CSV files have them."""
    whole = pd.api.types.is_integer_dtype(column) or pd.api.types.is_bool_dtype(column)
    return ["" if empty else str(int(x) if whole else x) for x, empty in zip(column, column.isna(), strict=True)]


def numbers(column: Sequence[str]) -> tuple[NDArray[np.float64], list[int]]:
    """Texts as numbers, NaN where one is empty or infinite; and the rows that hold words instead."""
    values, words = np.full(len(column), np.nan), []
    for row, text in enumerate(column):
        if (told := text.strip().lower()) in UNDEFINED:
            continue
        try:
            number = float(told)
        except ValueError:
            words.append(row)
            continue
        if np.isfinite(number):
            values[row] = number
    return values, words


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
