"""Chance as a value: every draw is a function of a root seed and the names of what is drawn.

Knows how names become a number. Does not know what is drawn with it.
"""

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed from a root seed and names, the same on every machine and in every version.

    >>> derive(0, "step", 7) == derive(0, "step", 7) != derive(0, "step", 8)
    True
    """
    text = "\x1f".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for one named purpose (Philox: the stream is fixed by numpy's policy)."""
    return np.random.Generator(np.random.Philox(derive(seed, *names)))
