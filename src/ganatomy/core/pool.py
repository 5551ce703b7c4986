"""Work in several processes, of which any may be killed without loss. Knows no job."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")

TRIES = 2  # of a batch by itself, before one of it is given up
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
QUIET = "PYTHONWARNINGS"


class Lost(NamedTuple, Generic[T]):
    """What a process died of each time it worked on it: killed by the system (memory), or by its own libraries."""

    what: T


def spread(  # noqa: PLR0912
    work: Callable[[list[T]], R], batches: Iterable[list[T]], workers: int
) -> Iterator[R | Lost[T]]:
    """The results of all batches, in the order they come; an exception of `work` is raised here.

    work: is sent to the processes, so it is a function of a module (or a partial of one)
    batches: taken as they are needed. When a process dies, what was under way is done again, batch by batch, until the
        one that kills is found; its parts are done one by one, and what still kills is given up as Lost
    workers: processes of one thread each; 1: this process
    """
    if workers == 1:
        yield from map(work, batches)
        return
    rest = ((batch, 0) for batch in batches)
    suspects: deque[tuple[list[T], int]] = deque()  # batches that were under way when a process died, and their tries
    finished = False
    while not finished:
        under: dict[Future[R], tuple[list[T], int]] = {}
        lone = False  # whether a suspect is under way, by itself
        try:
            with _pool(workers) as pool:
                while True:
                    lone = bool(suspects) if not under else lone
                    while not (lone and under) and len(under) < 2 * workers:
                        one = suspects.popleft() if lone else next(rest, None)
                        if one is None:
                            break
                        try:
                            under[pool.submit(work, one[0])] = one
                        except BrokenProcessPool:
                            suspects.append(one)
                            raise
                    if not under:
                        finished = True
                        break
                    for future in wait(under, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        del under[future]
                        yield result
        except BrokenProcessPool:
            for future, (batch, tries) in under.items():
                if future.done() and future.exception() is None:
                    yield future.result()
                elif not lone or tries + 1 < TRIES:
                    suspects.append((batch, tries + lone))
                elif len(batch) > 1:
                    suspects.extend(([part], 0) for part in batch)
                else:
                    yield Lost(batch[0])


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each. Left by an exception, they are stopped in the middle of their work."""
    before = {name: os.environ.get(name) for name in (*THREADS, QUIET)}
    others = multiprocessing.active_children()
    os.environ.update(dict.fromkeys(THREADS, "1"))  # read when numpy and numba are loaded, in the new process
    # after Ctrl-C, Python's own tracker tidies up and would print a warning about it under our line
    os.environ[QUIET] = ",".join(filter(None, (before[QUIET], "ignore:resource_tracker")))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            if child not in others:
                child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin() -> None:
    """In a new process: Ctrl-C is the first process's affair, and when that one is gone this one goes too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
