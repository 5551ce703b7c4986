"""Charts as inline SVG, drawn from tables. Knows scales and marks; reads no file and judges nothing.

Written by hand, not by a plotting library: text stays text (it can be read aloud, found and copied), colours
follow the page's style, also in the dark and on paper, and the same numbers give the same bytes. No panel is
wider than a phone, so letters keep their size; wider screens hold more panels in a row.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from ganatomy.report.tables import IDENTITY, SETS
from ganatomy.report.words import interval, number, tick

Triple = tuple[float | None, float | None, float | None]  # value, low, high

BASIC = ("firstorder_Mean", "firstorder_Entropy")  # shown whatever they say
WORDS = {"train": "real, learned from", "holdout": "real, held out", "synthetic": "synthetic"}


def figure(width: int, height: int, label: str, body: Iterable[str]) -> Markup:
    """An SVG of a fixed shape with a text that stands for it."""
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}">{"".join(body)}</svg>'
    )


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Round numbers within [low, high], at most `most`."""
    span = high - low
    base = 10.0 ** math.floor(math.log10(span / most))
    step = next(base * k for k in (1, 2, 2.5, 5, 10, 20) if span / (base * k) < most - 1e-9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.10g}") for k in range(first, last + 1)]


def limits(values: Iterable[float], pad: float = 0.04) -> tuple[float, float]:
    """The range of values, a little widened; a range of its own around a constant."""
    numbers = [float(value) for value in values if math.isfinite(value)]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    spare = (high - low) * pad or abs(low) * 0.1 or 1.0
    return low - spare, high + spare


def px(value: float) -> str:
    """A coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


# --- distributions ---


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov and Smirnov's D times sqrt(nm/(n+m)): comparable between classes of different size.

    a: (n,), b: (m,), finite
    """
    if not len(a) or not len(b):
        return 0.0
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    gap = np.abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max()
    return float(gap * math.sqrt(len(a) * len(b) / (len(a) + len(b))))


def differing(table: pd.DataFrame, count: int, beside: Sequence[str] = ()) -> list[str]:
    """The features in which synthetic and held-out images of some class differ most, worst first.

    A feature that ranks the real images as one before it does (|Spearman| > 0.9), or as one of `beside`, would
    show the same picture twice, and is passed over.
    """
    names = [name for name in table.columns if name not in IDENTITY]
    far = dict.fromkeys(names, 0.0)
    for label in sorted(set(table["class"])):
        rows = table[table["class"] == label]
        real, made = rows[rows["set"] == "holdout"], rows[rows["set"] == "synthetic"]
        for name in names:
            far[name] = max(far[name], distance(real[name].dropna().to_numpy(), made[name].dropna().to_numpy()))
    ranks = table[table["set"] != "synthetic"][names].rank()
    chosen: list[str] = []
    for name in sorted((name for name in names if far[name] > 0), key=lambda name: (-far[name], name)):
        if len(chosen) == count:
            break
        twins = (ranks[name].corr(ranks[other]) for other in (*beside, *chosen))
        if not any(abs(twin) > 0.9 for twin in twins):
            chosen.append(name)
    return chosen


def basic(table: pd.DataFrame) -> list[str]:
    """The plain features a reader knows, where the table has them."""
    return [name for end in BASIC for name in table.columns if name == f"original_{end}"]


def distribution(rows: pd.DataFrame, name: str, low: float, high: float, about: str) -> Markup:
    """Empirical distribution functions of one feature in one class, one line per set."""
    width, height, left, right, top, bottom = 236, 132, 38, 8, 8, 22
    across, down = width - left - right, height - top - bottom

    def x(value: float) -> float:
        return left + across * min(max((value - low) / (high - low), 0.0), 1.0)

    def y(share: float) -> float:
        return top + down * (1 - share)

    body = [f'<path class="rule" d="M{left} {px(y(k))}H{width - right}"/>' for k in (0.5, 1)]
    body.append(f'<path class="axis" d="M{left} {px(y(0))}H{width - right}"/>')
    body += [
        f'<text x="{left - 5}" y="{px(y(k) + 3.5)}" text-anchor="end">{text}</text>'
        for k, text in ((0, "0"), (0.5, "50"), (1, "100%"))
    ]
    for mark in ticks(low, high, 3):
        body.append(f'<path class="axis" d="M{px(x(mark))} {px(y(0))}v3"/>')
        body.append(f'<text x="{px(x(mark))}" y="{height - 6}" text-anchor="middle">{tick(mark)}</text>')
    said = []
    for group in SETS:
        values = np.sort(rows.loc[rows["set"] == group, name].dropna().to_numpy(dtype=float))  # (n,)
        if not len(values):
            continue
        said.append(f"{WORDS[group]} median {number(float(np.median(values)))} of {len(values)}")
        body.append(f'<path class="line {group}" d="{_steps(values, x, y)}"/>')
    return figure(width, height, f"Distribution of {about}: " + ("; ".join(said) or "no values"), body)


def _steps(values: np.ndarray, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """An SVG path of the empirical distribution function; at most 90 steps, more cannot be seen."""
    at = np.unique(np.linspace(0, len(values) - 1, min(len(values), 90)).round().astype(int))
    path = f"M{px(x(float('-inf')))} {px(y(0))}"
    for i in at:
        path += f"H{px(x(float(values[i])))}V{px(y((i + 1) / len(values)))}"
    return path + f"H{px(x(float('inf')))}"


# --- forest plot ---


def _percent(value: float, scale: tuple[float, float]) -> str:
    return f"{3 + 94 * (value - scale[0]) / (scale[1] - scale[0]):.2f}%"


def strip(
    triple: Triple,
    scale: tuple[float, float],
    marks: Mapping[str, float],
    about: str,
) -> Markup:
    """One row of a forest plot: a point with its interval. Positions are shares of the width, so rows align.

    triple: value, low, high
    marks: class of a vertical line -> where it stands ("zero", "margin")
    """
    value, low, high = triple
    body = [
        f'<line class="{kind}" x1="{_percent(at, scale)}" x2="{_percent(at, scale)}" y1="0" y2="100%"/>'
        for kind, at in marks.items()
    ]
    if value is not None:
        if low is not None and high is not None:
            a, b = _percent(low, scale), _percent(high, scale)
            body.append(f'<line class="interval" x1="{a}" x2="{b}" y1="50%" y2="50%"/>')
            body += [f'<line class="interval" x1="{at}" x2="{at}" y1="35%" y2="65%"/>' for at in (a, b)]
        body.append(f'<circle class="point" cx="{_percent(value, scale)}" cy="50%" r="4.5"/>')
    label = escape(f"{about}: {interval(value, low, high)}")
    return Markup(f'<svg class="strip" width="100%" height="30" role="img" aria-label="{label}">{"".join(body)}</svg>')


def scale_axis(scale: tuple[float, float], marks: Mapping[str, float], sign: bool = False) -> Markup:
    """The axis below a column of strips."""
    body = [
        f'<line class="{kind}" x1="{_percent(at, scale)}" x2="{_percent(at, scale)}" y1="0" y2="6"/>'
        for kind, at in marks.items()
    ]
    body.append('<line class="axis" x1="3%" x2="97%" y1="1" y2="1"/>')
    for mark in ticks(*scale, most=3):
        at, text = _percent(mark, scale), ("+" if sign and mark > 0 else "") + tick(mark)
        body.append(
            f'<line class="axis" x1="{at}" x2="{at}" y1="1" y2="5"/>'
            f'<text x="{at}" y="18" text-anchor="middle">{text}</text>'
        )
    return Markup(f'<svg class="strip" width="100%" height="22" aria-hidden="true">{"".join(body)}</svg>')


# --- curves ---


def curve(steps: Sequence[float], values: Sequence[float], bounds: tuple[float, float] | None, about: str) -> Markup:
    """One logged number over the steps of training; long logs are shown as means of equal runs of lines."""
    width, height, left, right, top, bottom = 320, 116, 44, 12, 8, 22
    across, down = width - left - right, height - top - bottom
    at, value = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)  # (n,), (n,)
    keep = np.isfinite(value)
    at, value = at[keep], value[keep]
    if not len(at):
        return figure(width, height, f"{about}: no values", [])
    runs = np.array_split(np.arange(len(at)), min(len(at), 240))
    xs, ys = [float(at[run].mean()) for run in runs], [float(value[run].mean()) for run in runs]
    low, high = bounds or limits(ys, 0.08)
    end = float(at[-1]) or 1.0

    def height_of(y: float) -> float:
        return top + down * (1 - (min(max(y, low), high) - low) / (high - low))

    points = " ".join(f"{px(left + across * x / end)},{px(height_of(y))}" for x, y in zip(xs, ys, strict=True))
    body = []
    for mark in ticks(low, high):
        y = height_of(mark)
        body.append(f'<path class="rule" d="M{left} {px(y)}H{width - right}"/>')
        body.append(f'<text x="{left - 6}" y="{px(y + 3.5)}" text-anchor="end">{tick(mark)}</text>')
    body.append(f'<path class="axis" d="M{left} {top + down}H{width - right}"/>')
    for mark in ticks(0, end, 4):
        x = left + across * mark / end
        body.append(f'<path class="axis" d="M{px(x)} {top + down}v3"/>')
        anchor = "end" if x > width - 24 else "middle"
        body.append(f'<text x="{px(min(x, width - 1))}" y="{height - 6}" text-anchor="{anchor}">{tick(mark)}</text>')
    body.append(f'<polyline class="line curve" points="{points}"/>')
    return figure(width, height, f"{about}, from {number(ys[0])} to {number(ys[-1])} at step {int(end):,}", body)
