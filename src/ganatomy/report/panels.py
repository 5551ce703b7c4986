"""Charts of the gates' tables as inline SVG: ranked features, heat maps, a scatter, bars.

Knows marks and scales, as charts.py does; reads no file and judges nothing. Many marks of one kind are one path, so
that hundreds of features stay small.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup, escape

from ganatomy.report.charts import figure, limits, px, ticks
from ganatomy.report.words import number, tick

WIDE, SQUARE = 320, 236  # widths that a phone holds one or two of
MANY = 80  # marks in a panel from which they are drawn smaller
STEPS = 10  # shades of a heat map on each side of 0
FULL = 0.5  # a difference of correlations that has the full colour
BESIDE = ((9, 4), (-9, 4), (0, -6), (0, 15), (19, 4), (-19, 4))  # where a number may stand, from its point
ABBREVIATED = {
    "firstorder": "intensity",
    "shape": "shape",
    "shape2D": "shape",
}  # families beside a heat map; others as GLCM


def _dots(points: Sequence[tuple[float, float]], kind: str, of: int) -> str:
    """Round marks as one path: lines of no length with round ends; smaller ones where there are many in all."""
    path = "".join(f"M{px(x)} {px(y)}h0" for x, y in points)
    return f'<path class="dots {kind}{" fine" if of > MANY else ""}" d="{path}"/>' if path else ""


def ranked(
    far: np.ndarray, bound: np.ndarray, real: np.ndarray, stands_out: np.ndarray, margin: float, about: str
) -> Markup:
    """Distances of features from the largest to the smallest, beside those of real images and the margin.

    far, bound, real: (d,) distance, its upper bound (NaN where there is none), the same real against real;
    stands_out: (d,) bool, drawn as crosses
    """
    order = np.argsort(-far, kind="stable")
    far, bound, real, stands_out = far[order], bound[order], real[order], stands_out[order]
    width, height, left, right, top, bottom = WIDE, 168, 34, 8, 10, 24
    across, down = width - left - right, height - top - bottom
    finite = [value for value in (*far, *bound, *real, margin) if np.isfinite(value)]
    high = min(1.0, float(max(finite)) * 1.06)

    def x(i: float) -> float:
        return left + across * (i + 0.5) / len(far)

    def y(value: float) -> float:
        return top + down * (1 - min(float(value), high) / high)

    body = []
    for mark in ticks(0, high):
        body.append(f'<path class="rule" d="M{left} {px(y(mark))}H{width - right}"/>')
        body.append(f'<text x="{left - 5}" y="{px(y(mark) + 3.5)}" text-anchor="end">{tick(mark)}</text>')
    reach = "".join(f"M{px(x(i))} {px(y(far[i]))}V{px(y(bound[i]))}" for i in range(len(far)) if np.isfinite(bound[i]))
    body.append(f'<path class="reach" d="{reach}"/>' if reach else "")
    body.append(_dots([(x(i), y(real[i])) for i in range(len(far)) if np.isfinite(real[i])], "train", len(far)))
    body.append(_dots([(x(i), y(far[i])) for i in range(len(far)) if not stands_out[i]], "synthetic", len(far)))
    arm = 2.0 if len(far) > MANY else 3.5
    cross = f"l{2 * arm:g} {2 * arm:g}m0 -{2 * arm:g}l-{2 * arm:g} {2 * arm:g}"
    crosses = "".join(f"M{px(x(i) - arm)} {px(y(far[i]) - arm)}{cross}" for i in range(len(far)) if stands_out[i])
    body.append(f'<path class="crosses{" fine" if len(far) > MANY else ""}" d="{crosses}"/>' if crosses else "")
    body.append(f'<path class="margin" d="M{left} {px(y(margin))}H{width - right}"/>')
    body.append(f'<path class="axis" d="M{left} {px(y(0))}H{width - right}"/>')
    body.append(f'<text x="{left}" y="{height - 8}">worst</text>')
    body.append(f'<text x="{width - right}" y="{height - 8}" text-anchor="end">best of {len(far)} features</text>')
    beyond = int((far > margin).sum())
    label = f"{about}: distances of {len(far)} features, from {number(float(far[-1]))} to {number(float(far[0]))}; "
    return figure(width, height, f"{label}{beyond} beyond the margin of {number(margin)}", body)


def heat(values: np.ndarray, families: Sequence[str], full: float, about: str) -> Markup:
    """A square matrix as shades of two colours that part at 0, where the paper shows.

    values: (d, d), NaN where unknown; families: of each row, in blocks; full: the value that has the full colour
    """
    n, left, side = len(values), 62, SQUARE - 64
    cell = side / n
    shade = np.rint(np.clip(np.nan_to_num(values) / full, -1, 1) * STEPS).astype(int)  # (d, d)
    paths: dict[int, list[str]] = {}
    for i in range(n):
        edges = [0, *(np.flatnonzero(np.diff(shade[i])) + 1).tolist(), n]
        for start, end in pairwise(edges):  # a run of cells of one shade
            if shade[i, start]:
                paths.setdefault(int(shade[i, start]), []).append(f"M{start} {i}h{end - start}v1h-{end - start}z")
    body = [
        f'<path class="{"warm" if level > 0 else "cold"}" fill-opacity="{abs(level) / STEPS:g}" d="{"".join(cells)}"/>'
        for level, cells in sorted(paths.items())
    ]
    frame = f'<g transform="translate({left} 1) scale({cell:.5g})" shape-rendering="crispEdges">{"".join(body)}</g>'
    marks, last = [], -20.0
    starts = [i for i in range(n) if i == 0 or families[i] != families[i - 1]]
    for start, end in zip(starts, [*starts[1:], n], strict=True):
        at = 1 + (start + end) / 2 * cell
        if start:
            edge = px(1 + start * cell)
            across = px(left + start * cell)
            marks.append(f'<path class="rule" d="M{left - 4} {edge}H{left + side}M{across} 1V{side + 1}"/>')
        if families[start] and at - last > 13:
            text = ABBREVIATED.get(families[start], families[start].upper())
            marks.append(f'<text x="{left - 6}" y="{px(at + 3.5)}" text-anchor="end">{escape(text)}</text>')
            last = at
    box = f'<rect class="rule" x="{left}" y="1" width="{side}" height="{side}"/>'
    return figure(SQUARE, side + 3, about, [frame, *marks, box])


def shades() -> Markup:
    """The colours of a heat map from -1 to 1."""
    body = []
    for level in range(-STEPS, STEPS + 1):
        kind = "warm" if level > 0 else "cold"
        at = 26 + (level + STEPS) * 8
        body.append(
            f'<rect class="{kind}" fill-opacity="{abs(level) / STEPS:g}" x="{at}" y="2" width="8" height="12"/>'
        )
    body.append(f'<rect class="rule" x="26" y="2" width="{(2 * STEPS + 1) * 8}" height="12"/>')
    middle, end = 26 + (STEPS + 0.5) * 8, 26 + (2 * STEPS + 1) * 8
    body.append('<text x="20" y="12" text-anchor="end">−1</text>')
    body.append(f'<text x="{end + 6}" y="12">+1</text><text x="{px(middle)}" y="26" text-anchor="middle">0</text>')
    return Markup(
        f'<svg class="shades" viewBox="0 0 224 28" width="224" height="28" aria-hidden="true">{"".join(body)}</svg>'
    )


def scatter(real: np.ndarray, made: np.ndarray, named: Sequence[int], about: str) -> Markup:
    """A point per feature: real across, synthetic upwards, the diagonal where both agree. named: rows with a number.

    real, made: (d,) areas under the curve
    """
    width, left, right, top, bottom = SQUARE, 42, 8, 8, 38
    side = width - left - right
    height = top + side + bottom
    low, high = limits([*real, *made, 0.5], 0.06)
    low, high = max(0.0, low), min(1.0, high)

    def x(value: float) -> float:
        return left + side * (min(max(value, low), high) - low) / (high - low)

    def y(value: float) -> float:
        return top + side * (1 - (min(max(value, low), high) - low) / (high - low))

    body = []
    for mark in ticks(low, high, 4):
        body.append(f'<path class="rule" d="M{left} {px(y(mark))}H{left + side}M{px(x(mark))} {top}V{top + side}"/>')
        body.append(f'<text x="{left - 5}" y="{px(y(mark) + 3.5)}" text-anchor="end">{tick(mark)}</text>')
        body.append(f'<text x="{px(x(mark))}" y="{top + side + 14}" text-anchor="middle">{tick(mark)}</text>')
    body.append(f'<path class="margin" d="M{left} {top + side}L{left + side} {top}"/>')
    body.append(_dots([(x(a), y(b)) for a, b in zip(real, made, strict=True)], "synthetic", len(real)))
    taken: list[tuple[float, float]] = []
    for place, row in enumerate(named, start=1):
        across, up = x(real[row]), y(made[row])
        spots = [(across + right, up + below) for right, below in BESIDE if left < across + right < width]
        free = (s for s in spots if all(max(abs(s[0] - t[0]), abs(s[1] - t[1])) >= 10 for t in taken))
        taken.append(next(free, spots[0]))
        at = f'x="{px(taken[-1][0])}" y="{px(taken[-1][1])}"'
        body.append(f'<text class="strong" {at} text-anchor="middle">{place}</text>')
    body.append(f'<text x="{left + side / 2:g}" y="{height - 6}" text-anchor="middle">real (holdout)</text>')
    body.append(f'<text transform="translate(9 {top + side / 2:g}) rotate(-90)" text-anchor="middle">synthetic</text>')
    off = float(np.abs(real - made).mean())
    return figure(width, height, f"{about}: {len(real)} features, {number(off)} off the diagonal on average", body)


def bar(value: float, most: float, about: str) -> Markup:
    """One bar of a column of them, as wide as its share of the longest."""
    share = 100 * max(value, 0.0) / most if most > 0 else 0.0
    return Markup(
        f'<svg class="strip" width="100%" height="9" role="img" aria-label="{escape(about)}: {number(value)}">'
        f'<rect class="bar" width="{max(share, 0.5):.1f}%" height="9"/></svg>'
    )
