"""Ctrl-C and SIGTERM: a command ends with one line and exit code 130, at any moment.

What is on disk may be left at any moment (see core.run), so nothing is unwound: an exception raised inside an import or
a callback of a library can be swallowed, or end as another one. Who can stop at a better moment says so with `waits`.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

CODE = 130
LINE = "ganatomy: interrupted; the same command goes on where it stopped"

_asked: list[bool] = []  # one entry within `waits`: whether a first signal has come


@contextmanager
def signals() -> Iterator[None]:
    """Within, Ctrl-C and SIGTERM end the process as above; who ignores them (nohup) goes on doing so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _stop:  # else somebody has decided otherwise
                signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def waits() -> Iterator[Callable[[], bool]]:
    """Within, a first signal only makes the yielded function true; the second one ends the process."""
    _asked[:] = [False]
    try:
        yield lambda: _asked == [True]
    finally:
        _asked.clear()


def _stop(number: int, frame: FrameType | None) -> None:
    if _asked == [False]:
        _asked[:] = [True]
        return
    # past Python's own streams, which may be in the middle of a line; a progress bar has hidden the cursor
    os.write(2, (("\n\x1b[?25h" if os.isatty(2) else "") + LINE + "\n").encode())
    os._exit(CODE)
