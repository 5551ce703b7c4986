"""Work in processes: every result once, an exception as it is, and a killed process loses nothing but its killer."""

import functools
import importlib
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganatomy.core.pool import THREADS, Lost, spread

WORK = """
import os, pathlib

def work(batch, folder):
    done = []
    for one in batch:
        at = pathlib.Path(folder) / f"{one}"
        if one == "bad" or (one == "once" and not at.exists()):
            at.write_text("")
            os._exit(9)
        if one == "wrong":
            raise ValueError("wrong")
        at.write_text("")
        done.append((one, os.getpid(), os.environ["OMP_NUM_THREADS"]))
    return done
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Any]:
    """A function that new processes can import: it dies of "bad", and of "once" the first time."""
    (tmp_path / "deadly.py").write_text(WORK)
    (tmp_path / "seen").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return functools.partial(importlib.import_module("deadly").work, folder=str(tmp_path / "seen"))


def names(results: list[Any]) -> list[str]:
    return sorted(one for result in results for one, *_ in ([result] if isinstance(result, Lost) else result))


def test_one_process_is_this_one(work: Callable[[list[str]], Any]) -> None:
    results = list(spread(work, iter([["a", "b"], ["c"]]), 1))
    assert [one for result in results for one, *_ in result] == ["a", "b", "c"]
    assert {pid for result in results for _, pid, _ in result} == {os.getpid()}


def test_processes_have_one_thread_and_end(work: Callable[[list[str]], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    results = list(spread(work, [[f"{k}"] for k in range(6)], 2))
    assert names(results) == [f"{k}" for k in range(6)]
    assert {threads for result in results for _, _, threads in result} == {"1"}
    assert os.getpid() not in {pid for result in results for _, pid, _ in result}
    assert os.environ["OMP_NUM_THREADS"] == "7" and "NUMBA_NUM_THREADS" not in os.environ and len(THREADS) == 4
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_killed_once_loses_nothing(work: Callable[[list[str]], Any]) -> None:
    results = list(spread(work, [["a", "b"], ["once", "c"], ["d"], ["e"]], 2))
    assert names(results) == ["a", "b", "c", "d", "e", "once"]
    assert not any(isinstance(result, Lost) for result in results)


@pytest.mark.slow
def test_what_kills_every_time_is_found_and_named(work: Callable[[list[str]], Any]) -> None:
    results = list(spread(work, [["a"], ["b", "bad"], ["c"], ["d"]], 2))
    assert [result.what for result in results if isinstance(result, Lost)] == ["bad"]
    assert names(results) == ["a", "b", "bad", "c", "d"]


def test_an_exception_comes_through_and_stops_the_rest(work: Callable[[list[str]], Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"):
        list(spread(work, [["a"], ["wrong"], *([f"later{k}"] for k in range(50))], 2))
    assert not multiprocessing.active_children()
    assert len(list((tmp_path / "seen").iterdir())) < 40
