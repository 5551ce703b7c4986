"""A progress bar with the time left on a terminal; a line now and then where output goes to a file.

Knows how to show progress on standard error. Does not know what progresses.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """What the worker sees: advance by a count, with a note such as '512 images/s'."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


def say(text: str) -> None:
    """One line for the user, on standard error; results go to files and standard output."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(name: str, total: int, start: int = 0) -> Iterator[Bar]:
    """A bar for `total` units of work of which `start` are done already."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(name, total=total, completed=start, note="")

            def advance(count: int = 1, note: str = "") -> None:
                if note:
                    bars.update(task, advance=count, note=note)
                else:
                    bars.update(task, advance=count)

            yield advance
        return

    begin = last = time.monotonic()
    done = start

    def line(count: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= 15:
            last = time.monotonic()
            left = (last - begin) / max(done - start, 1) * (total - done)
            say(f"{name}: {done}/{total}{', ' + note if note else ''}, {left:.0f} s left")

    yield line
