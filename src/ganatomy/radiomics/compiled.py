"""How kernels are compiled, and where the machine code is kept.

numba's own cache notices a change of the file that holds a function, not of one that this function calls. So the code
lies in a folder named after the content of all these files and the versions: a change of any of them compiles anew.
GANATOMY_CACHE names another place than the user's cache folder. Knows no kernel.
"""

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba

from ganatomy.core.progress import say

# x / 0 is infinite or NaN, as in numpy; without wrappers a function cannot be called from Python, and compiles faster
USUAL: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
INSIDE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@cache
def folder() -> Path:
    """Where compiled code is kept; a temporary folder where none can be written. Older versions of it are removed."""
    here = Path(__file__).parent
    content = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for file in sorted(here.glob("*.py")):
        content.update(file.name.encode() + b"\0" + file.read_bytes())
    base = os.environ.get("GANATOMY_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(base) / "ganatomy" / f"compiled-{hashlib.sha256(str(here).encode()).hexdigest()[:12]}"
    mine = place / content.hexdigest()[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # it is there, or another process was quicker
            mine.mkdir()
            say("note: the feature engine is compiled for this machine, once; it takes about half a minute")
            for other in place.iterdir():
                if other != mine:
                    shutil.rmtree(other, ignore_errors=True)
        with tempfile.TemporaryFile(dir=mine):
            return mine
    except OSError:
        return Path(tempfile.mkdtemp(prefix="ganatomy-"))


def _njit(**options: Any) -> Any:
    """A decorator as numba.njit, its cache in `folder`; numba reads that setting while it decorates."""

    def decorate(function: Any) -> Any:
        config: Any = numba.config
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder())
        try:
            return numba.njit(**options)(function)
        finally:
            config.CACHE_DIR = before

    return decorate


# Typed as Any: what is decorated is called from compiled code, which mypy does not follow.
compiled: Any = _njit(**USUAL)
inner: Any = _njit(**USUAL, **INSIDE)  # called by compiled code only
reassociated: Any = _njit(**USUAL, **INSIDE, fastmath=True)  # sums in any order; finite numbers only
contracted: Any = _njit(**USUAL, fastmath={"contract"})  # a * b + c may be rounded once
