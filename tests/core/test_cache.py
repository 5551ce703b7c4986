"""Rows are measured once, and kept only as long as they are whole and there is room."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ganatomy.core import cache


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANATOMY_CACHE", str(tmp_path))
    return tmp_path / "ganatomy" / "measured"


class Measure:
    """Rows that tell of their keys; `asked` holds every key that was measured."""

    def __init__(self, keys: str, names: tuple[str, ...] = ("one", "two")) -> None:
        self.keys, self.names, self.asked = list(keys), names, ""

    def __call__(self, rows: list[int]) -> pd.DataFrame:
        self.asked += "".join(self.keys[i] for i in rows)
        return pd.DataFrame([[ord(self.keys[i]) + 0.1, np.nan] for i in rows], columns=list(self.names))


def values(
    keys: str, kind: str = "kind", names: tuple[str, ...] = ("one", "two")
) -> tuple[list[float], str, list[bool]]:
    measure = Measure(keys, names)
    table, before = cache.measured(kind, keys, measure)
    assert list(table.columns) == list(names)
    assert table.iloc[:, 1].isna().all()
    return list(table.iloc[:, 0] - 0.1), measure.asked, before.tolist()


def test_only_what_is_not_kept_is_measured() -> None:
    assert values("abc") == ([97.0, 98.0, 99.0], "abc", [False] * 3)
    assert values("dcbad") == ([100.0, 99.0, 98.0, 97.0, 100.0], "d", [False, True, True, True, False])
    assert values("abcd") == ([97.0, 98.0, 99.0, 100.0], "", [True] * 4)
    assert values("abc", "another kind")[1] == "abc"


def test_the_same_bits_come_back() -> None:
    numbers = np.random.default_rng(0).standard_normal((50, 7)) * 1e17
    keys = [str(i) for i in range(50)]

    def measure(rows: list[int]) -> pd.DataFrame:
        return pd.DataFrame(numbers[rows])

    cache.measured("kind", keys, measure)
    again, before = cache.measured("kind", keys, lambda rows: pytest.fail(f"{rows} were measured again"))
    assert before.all()
    assert again.to_numpy().tobytes() == numbers.tobytes()


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_what_is_damaged_is_measured_anew(damage: str, own: Path) -> None:
    values("abc")
    (file,) = own.rglob("*.npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"cut": content[:99], "bit": content, "empty": b"", "other": b"no archive"}[damage])
    assert values("abc") == ([97.0, 98.0, 99.0], "abc", [False] * 3)
    assert values("abc")[1] == ""


@pytest.mark.parametrize(
    "other",
    [{"names": np.array(["one", "two"]), "keys": np.array(["a"]), "values": np.zeros((1, 2))}, {"rows": np.zeros(3)}],
)
def test_whole_files_of_another_version_are_measured_anew(other: dict[str, np.ndarray], own: Path) -> None:
    values("a")
    (file,) = own.rglob("*.npz")
    stream = io.BytesIO()
    np.savez(stream, **other)
    (file.parent / f"{hashlib.sha256(stream.getvalue()).hexdigest()[:32]}.npz").write_bytes(stream.getvalue())
    assert values("ab") == ([97.0, 98.0], "b", [True, False])
    assert len(list(own.rglob("*.npz"))) == 2


def test_other_columns_are_another_version_and_all_is_measured() -> None:
    values("ab")
    assert values("abc", names=("uno", "due"))[1] == "cabc"


def test_the_oldest_goes_where_there_is_no_room(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, (kind, keys) in enumerate([("old", "ab"), ("middle", "cd"), ("new", "ef")]):
        values(keys, kind)
        (file,) = (own / kind).glob("*.npz")
        os.utime(file, (1000 + age, 1000 + age))
    values("ab", "old")  # used: it is the newest now
    monkeypatch.setattr(cache, "MOST", 3 * file.stat().st_size)
    values("gh", "newest")
    assert sorted(path.name for path in own.iterdir()) == ["new", "newest", "old"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_costs_time_alone(own: Path) -> None:
    own.mkdir(parents=True)
    own.chmod(0o500)
    assert values("ab") == values("ab") == ([97.0, 98.0], "ab", [False] * 2)


def test_a_place_that_is_no_folder_costs_time_alone(own: Path) -> None:
    own.parent.mkdir(parents=True)
    own.write_text("a file")
    assert values("ab") == values("ab") == ([97.0, 98.0], "ab", [False] * 2)


def test_many_at_once_leave_whole_files(own: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: values("abcdef"[: 1 + i % 6]), range(48)))
    assert all(numbers == [float(ord(key)) for key in "abcdef"[: len(numbers)]] for numbers, _, _ in found)
    assert not list(own.rglob("*.part"))
    assert values("abcdef")[1] == ""
