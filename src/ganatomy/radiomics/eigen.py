"""The spectral radius of four symmetric matrices at once, one in each lane. Knows nothing of radiomics.

Householder's reduction to tridiagonal form, then Laguerre's iteration on det(x - T) det(x + T), whose largest root it
is. Laguerre's iteration descends to it monotonically from any bound above, and cubically where it is simple.
"""

import numpy as np

from ganatomy.radiomics.compiled import compiled, inner
from ganatomy.radiomics.lanes import load, root, splat, store, where_positive

WIDTH = 4
ITERATIONS = 100  # a root of multiplicity five still converges to the last digit


@inner
def tridiagonalise(triangle, m, scratch):  # type: ignore[no-untyped-def]
    """Diagonal d and squared subdiagonal s, lanes 0..m-1 each, of T = Q^T A Q.

    triangle: lower triangles of A, row by row, a lane for each matrix (4 m (m + 1) / 2,); destroyed
    scratch: (24 m,), holds the result too
    s[i] couples i - 1 and i. Rows are reduced from the last to the first, so rows of zeros at the end stay out of it.
    The update of one step, A - v q^T - q v^T, and the product A w that the next step needs are one pass over A.
    """
    size = WIDTH * m
    d, s = scratch[:size], scratch[size : 2 * size]
    v, q = scratch[2 * size : 3 * size], scratch[3 * size : 4 * size]
    w, p = scratch[4 * size : 5 * size], scratch[5 * size : 6 * size]
    scratch[: 6 * size] = 0.0
    zero, tiny = splat(0.0), splat(1e-200)
    for i in range(m - 1, -1, -1):
        row = i * (i + 1) // 2
        vi, qi = load(v, i), load(q, i)
        store(d, i, load(triangle, row + i) - (vi * qi + vi * qi))
        if i == 0:
            break
        h = zero  # squared length of the row left of the diagonal
        for k in range(i):
            a = load(triangle, row + k) - (vi * load(q, k) + qi * load(v, k))
            store(w, k, a)
            store(p, k, zero)
            h = h + a * a
        store(s, i, h)
        if i == 1:
            last = load(triangle, 0) - (load(v, 0) * load(q, 0) + load(v, 0) * load(q, 0))
            store(d, 0, last)
            break
        f, length = load(w, i - 1), root(h)
        g = where_positive(f, length, zero - length)
        store(w, i - 1, f + g)
        half = h + f * g  # w^T w / 2
        inverse = where_positive(half - tiny, splat(1.0) / half, zero)
        _update_and_multiply(triangle, i, v, q, w, p)
        product = zero
        for k in range(i):
            product = product + load(w, k) * load(p, k)
        product = product * inverse * inverse * splat(0.5)
        for k in range(i):
            store(p, k, load(p, k) * inverse - product * load(w, k))
        v, w = w, v
        q, p = p, q
    return d, s


@inner
def _update_and_multiply(triangle, m, v, q, w, p):  # type: ignore[no-untyped-def]
    """A <- A - v q^T - q v^T and p <- p + A w, for the first m rows; two at a time, to read v, q, w half as often."""
    r = 0
    if m % 2:
        store(triangle, 0, load(triangle, 0) - (load(v, 0) * load(q, 0) + load(v, 0) * load(q, 0)))
        store(p, 0, load(p, 0) + load(triangle, 0) * load(w, 0))
        r = 1
    while r < m:
        upper, lower = r * (r + 1) // 2, (r + 1) * (r + 2) // 2
        va, qa, wa, vb, qb, wb = load(v, r), load(q, r), load(w, r), load(v, r + 1), load(q, r + 1), load(w, r + 1)
        pa, pb = load(p, r), load(p, r + 1)
        for c in range(r):
            vc, qc, wc = load(v, c), load(q, c), load(w, c)
            a = load(triangle, upper + c) - va * qc - qa * vc
            b = load(triangle, lower + c) - vb * qc - qb * vc
            store(triangle, upper + c, a)
            store(triangle, lower + c, b)
            pa, pb = pa + a * wc, pb + b * wc
            store(p, c, load(p, c) + a * wa + b * wb)
        a = load(triangle, upper + r) - (va * qa + va * qa)
        c = load(triangle, lower + r) - (va * qb + qa * vb)
        b = load(triangle, lower + r + 1) - (vb * qb + vb * qb)
        store(triangle, upper + r, a)
        store(triangle, lower + r, c)
        store(triangle, lower + r + 1, b)
        store(p, r, pa + a * wa + c * wb)
        store(p, r + 1, pb + c * wa + b * wb)
        r += 2


@inner
def largest_root(d, s, m, radius):  # type: ignore[no-untyped-def]
    """Largest |eigenvalue| of the tridiagonal matrices (d, s) of `tridiagonalise` -> radius (4,)."""
    one, two = splat(1.0), splat(2.0)
    degree = 2.0 * m
    norm, slope, bend = splat(0.0), np.empty(WIDTH), np.empty(WIDTH)
    for i in range(m):
        norm = norm + load(d, i) * load(d, i) + two * load(s, i)
    store(radius, 0, root(norm) * splat(1 + 1e-9))  # strictly above the root
    moving = np.ones(WIDTH)
    for lane in range(WIDTH):
        moving[lane] = 1.0 if radius[lane] > 0 else 0.0
    for _ in range(ITERATIONS):
        x = load(radius, 0)
        # pivots u of x - T and of x + T with their first two derivatives: w = 1/u, t = u'/u, z = u''/u
        wa, wb = one / (x - load(d, 0)), one / (x + load(d, 0))
        ta, tb, za, zb = wa, wb, splat(0.0), splat(0.0)
        first, second = ta + tb, ta * ta + tb * tb  # (log f)' and -(log f)''
        for i in range(1, m):
            di, si = load(d, i), load(s, i)
            ca, cb = si * wa, si * wb
            wa, wb = one / (x - di - ca), one / (x + di - cb)
            za, zb = ca * (za - two * ta * ta) * wa, cb * (zb - two * tb * tb) * wb
            ta, tb = (one + ca * ta) * wa, (one + cb * tb) * wb
            first = first + (ta + tb)
            second = second + (ta * ta - za) + (tb * tb - zb)
        store(slope, 0, first)
        store(bend, 0, second)
        going = 0.0
        for lane in range(WIDTH):
            g, h = slope[lane], bend[lane]
            step = degree / (g + np.sqrt(max((degree - 1) * (degree * h - g * g), 0.0)))
            # below the root by rounding, g < 0; exactly on it, a pivot is 0 and the step is NaN
            if moving[lane] > 0 and g > 0 and step > 1e-16 * radius[lane]:
                radius[lane] -= step
            else:
                moving[lane] = 0.0
            going += moving[lane]
        if going == 0.0:
            break


@compiled
def spectral_radius(triangle, m, scratch, radius):  # type: ignore[no-untyped-def]
    """Largest |eigenvalue| of the matrices of four lanes -> radius (4,). Arguments as in `tridiagonalise`."""
    d, s = tridiagonalise(triangle, m, scratch)
    largest_root(d, s, m, radius)
