"""A journal: what was added is there after any end, of one head, for one process; a torn line is dropped."""

import json
from pathlib import Path

import pytest

from ganatomy.core.errors import InputError, RunError
from ganatomy.core.journal import begun_with, journal, other_settings

HEAD = {"version": "1", "settings": {"width": 25, "names": ["a"]}}


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / ".x.rows"
    with journal(path, HEAD) as done:
        assert len(done) == 0
        number = done.number(["p", "q"])
        done.add("one", {"values": [0.1, None]})
        assert done.number(("p", "q")) == number == 0 and done.number(["r"]) == 1
        assert done.content("one") == {"values": [0.1, None]}
        done.add("two", [2])
    assert begun_with(path) == HEAD
    with journal(path, HEAD) as done:
        assert "one" in done and "two" in done and "three" not in done and len(done) == 2
        assert done.lists == [("p", "q"), ("r",)] and done.number(["p", "q"]) == 0
        assert done.content("two") == [2] and done.content("one") == {"values": [0.1, None]}


@pytest.mark.parametrize("torn", [b'{"key":"three","cont', b'{"key":"three","content":3}', b"\0\0\0\n", b"17\n"])
def test_a_torn_line_is_dropped_and_the_rest_goes_on(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "rows"
    with journal(path, HEAD) as done:
        done.add("one", 1)
        done.add("two", 2)
    with path.open("ab") as stream:
        stream.write(torn)
    with journal(path, HEAD) as done:
        assert len(done) == 2 and "three" not in done
        done.add("four", 4)
    with journal(path, HEAD) as done:
        assert [done.content(key) for key in ("one", "two", "four")] == [1, 2, 4]
    for line in path.read_bytes().splitlines():
        json.loads(line)


@pytest.mark.parametrize("length", range(0, 150, 7))
def test_cut_anywhere_it_can_be_opened(tmp_path: Path, length: int) -> None:
    path = tmp_path / "rows"
    with journal(path, HEAD) as done:
        done.number(["p"])
        done.add("one", 1)
        done.add("two", 2)
    path.write_bytes(path.read_bytes()[:length])
    with journal(path, HEAD) as done:
        had = len(done)
        done.add("three", [done.number(["p"])])
    with journal(path, HEAD) as done:
        assert len(done) == had + 1 and done.lists[done.content("three")[0]] == ("p",)


def test_another_head_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with journal(path, HEAD) as done:
        done.add("one", 1)
    other = {**HEAD, "settings": {"width": 10, "names": ["a"]}}
    assert other_settings(begun_with(path) or {}, other) == "width 25 -> 10" and other_settings(HEAD, HEAD) == ""
    with journal(path, other) as done:
        assert len(done) == 0
    assert begun_with(path) == other and begun_with(tmp_path / "none") is None


def test_a_full_disk_is_said_once_and_what_was_added_stays(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / ".x.rows"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with (
            pytest.raises(InputError, match=r"cannot write .*\.x\.rows: .*; make room and give the same command again"),
            journal(path, HEAD) as done,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
            for number in range(100):
                done.add(str(number), "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with journal(path, HEAD) as done:
        assert 20 < len(done) < 40 and done.content("20") == "x" * 100
        done.add("more", 1)


def test_two_at_once_and_places_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        journal(tmp_path / "rows", HEAD),
        pytest.raises(RunError, match="rows is in use by another ganatomy"),
        journal(tmp_path / "rows", HEAD),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*rows: "), journal(tmp_path / "file" / "rows", HEAD):
        pass
