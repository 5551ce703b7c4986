"""Tables row by row: exact numbers, empty cells, whole or not at all; Parquet the same."""

import builtins
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ganatomy.core.errors import InputError
from ganatomy.data import table

COLUMNS = ("image", "label", "a", "b")
KINDS: dict[str, type] = {"image": str, "label": int}
ROWS: list[dict[str, Any]] = [
    {"image": 'p,"q"\nz', "label": 1, "a": 0.1 + 0.2, "b": None},
    {"image": "é", "label": 2, "b": 1e-300},
    {"image": "", "label": None, "a": -math.pi},
]


def test_csv_is_exact_and_has_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.csv"
    assert table.write(path, COLUMNS, iter(ROWS), KINDS) == 3
    text = path.read_bytes().decode()
    assert text == ('image,label,a,b\n"p,""q""\nz",1,0.30000000000000004,\né,2,,1e-300\n,,-3.141592653589793,\n')
    read = pd.read_csv(path)
    assert read["a"][0] == 0.1 + 0.2 and math.isnan(read["a"][1])
    assert table.write(tmp_path / "none.csv", COLUMNS, []) == 0
    assert (tmp_path / "none.csv").read_text() == "image,label,a,b\n"


def test_parquet_holds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(table, "ROWS", 2)
    path = tmp_path / "t.parquet"
    assert table.write(path, COLUMNS, iter(ROWS), KINDS) == 3
    read = pq.read_table(path)
    full = [{name: row.get(name) for name in COLUMNS} for row in ROWS]
    assert read.to_pylist() == full
    assert [str(kind) for kind in read.schema.types] == ["string", "int64", "double", "double"]
    first = path.read_bytes()
    table.write(path, COLUMNS, iter(ROWS), KINDS)
    assert path.read_bytes() == first


def test_a_table_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    table.write(path, COLUMNS, ROWS)
    old = path.read_bytes()

    def broken() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        table.write(path, COLUMNS, broken())
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match=r"cannot write .*t\.csv/x\.csv: "):
        table.write(path / "x.csv", COLUMNS, ROWS)


def test_names_that_are_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"t\.xlsx is no name of a table; call it t\.csv or \.parquet"):
        table.writable(tmp_path / "t.xlsx")
    table.writable(tmp_path / "t.CSV")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"t\.parquet needs pyarrow: python -m pip install 'ganatomy\[parquet\]'"):
        table.writable(tmp_path / "t.parquet")
