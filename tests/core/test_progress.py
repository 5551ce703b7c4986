"""Progress: a bar on a terminal, a line now and then in a file."""

import io
import sys

from ganatomy.core import progress


def test_progress_in_a_file_is_a_line_now_and_then(capsys, monkeypatch):
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with progress.progress("train", 100, start=20) as advance:
        for _ in range(8):
            advance(10, "5 images/s")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and 2 <= len(lines) < 8
    assert lines[0].startswith("train: 40/100, 5 images/s, ") and lines[0].endswith(" s left")
    assert "\x1b" not in err and "\r" not in err


def test_quick_work_says_nothing_in_a_file(capsys):
    with progress.progress("train", 3) as advance:
        advance(3)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.progress("train", 4, start=1) as advance:
        advance(2, "fast")
        advance()
    assert "4/4" in sys.stderr.getvalue() and "fast" in sys.stderr.getvalue()
