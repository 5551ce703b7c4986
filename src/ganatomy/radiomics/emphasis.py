"""The formulas that the matrices of (grey level, size) have in common: emphases, non-uniformities, variances, entropy.

Knows counts of cells, not where they come from: zones and their sizes (GLSZM) or distances (GLDZM), voxels and their
dependents (GLDM); runs and their lengths (GLRLM) obey the same formulas.
Source: Zwanenburg et al. 2020, Radiology 295(2), and the standard's reference manual.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ganatomy.radiomics.compiled import compiled

Float = NDArray[np.float64]
Int = NDArray[np.int32]

# What `emphases` writes, in this order; "size" stands for the matrix's second quantity.
QUANTITIES = (
    "small size emphasis",
    "large size emphasis",
    "low grey level emphasis",
    "high grey level emphasis",
    "small size low grey level emphasis",
    "small size high grey level emphasis",
    "large size low grey level emphasis",
    "large size high grey level emphasis",
    "grey level non-uniformity",
    "normalised grey level non-uniformity",
    "size non-uniformity",
    "normalised size non-uniformity",
    "percentage",
    "grey level variance",
    "size variance",
    "entropy",
    "energy",
)


@lru_cache(maxsize=1)
def logarithms() -> Float:
    """c log2 c for the counts c = 0..4095, so that small counts need no logarithm: (4096,)."""
    c = np.arange(4096, dtype=np.float64)
    table: Float = c * np.log2(np.maximum(c, 1))
    table.setflags(write=False)
    return table


@compiled
def emphases(levels: Int, sizes: Int, counts: Int, m: int, voxels: float, table: Float, tally: Int, out: Float) -> None:
    """Write the 17 QUANTITIES of a matrix of (grey level, size) to `out`; all NaN where the matrix is empty.

    levels, sizes, counts: (>= m,) the m cells above 0, each once, those of one level next to each other; sizes >= 1
    voxels: what the percentage refers to
    table: `logarithms()`
    tally: zeros (> largest size,), scratch; zeros again afterwards
    """
    if m == 0:
        for f in range(out.size):
            out[f] = np.nan
        return
    total, first_i, first_j, squares = np.int64(0), np.int64(0), np.int64(0), 0.0
    row, short, long = 0.0, 0.0, 0.0  # of one level: sum of c, c / j^2, c j^2
    low, high, sl, sh, ll, lh, gn, ss, ls, logs = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(m):
        c = np.int64(counts[k])
        i, j = np.int64(levels[k]), np.int64(sizes[k])
        tally[j] += counts[k]
        total += c
        first_i += c * i
        first_j += c * j
        x, jj = np.float64(c), np.float64(j) * np.float64(j)
        squares += x * x
        logs += table[c] if c < table.size else x * math.log2(x)
        row += x
        short += x / jj
        long += x * jj
        if k == m - 1 or levels[k + 1] != levels[k]:
            ii = np.float64(i) * np.float64(i)
            inverse = 1.0 / ii
            low += row * inverse
            high += row * ii
            sl += short * inverse
            sh += short * ii
            ll += long * inverse
            lh += long * ii
            gn += row * row
            ss += short
            ls += long
            row, short, long = 0.0, 0.0, 0.0
    n = np.float64(total)
    mean_i, mean_j = first_i / n, first_j / n
    var_i, var_j, sn = 0.0, 0.0, 0.0
    for k in range(m):
        x, j = np.float64(counts[k]), sizes[k]
        var_i += x * (levels[k] - mean_i) ** 2
        var_j += x * (j - mean_j) ** 2
        s = np.float64(tally[j])
        sn += s * s  # 0 where another cell of this size came first
        tally[j] = 0
    out[0], out[1], out[2], out[3] = ss / n, ls / n, low / n, high / n
    out[4], out[5], out[6], out[7] = sl / n, sh / n, ll / n, lh / n
    out[8], out[9], out[10], out[11] = gn / n, gn / (n * n), sn / n, sn / (n * n)
    out[12], out[13], out[14] = n / voxels, var_i / n, var_j / n
    out[15] = 0.0 if m == 1 else math.log2(n) - logs / n
    out[16] = squares / (n * n)
