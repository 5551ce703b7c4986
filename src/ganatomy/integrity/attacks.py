"""Attacks on tables (Giomi 2023): singling out, linkability and inference, on train and on people of neither set.

Knows tables of numbers and categories, a row per person. Does not know what is measured, nor findings.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from ganatomy.core.errors import InputError
from ganatomy.core.seed import rng

Index = NDArray[np.int64]

SPLITS, SECRETS = 4, 10  # halves of the columns that are linked, and columns that are inferred, at most
TRIES = 1000  # persons of each set, and predicates, that are tried
TIMES = 10  # divisions drawn per 1 / level: p at the level is then known to a third
AT_ONCE = 1000  # divisions of them at a time: memory


@dataclass(frozen=True)
class Risk:
    """An attack on a table (Giomi 2023). Successes of n tries on train, on control, and of guesses without the table.

    risk: (r_attack - r_control) / (1 - r_control), 0 at least; low, high: 95 %; p: that train is hit no more than
    control; baseline: successes of the naive guesses. An attack that does not beat them says nothing.
    """

    attack: str
    hits: int
    n: int
    control_hits: int
    control_n: int
    baseline: float
    risk: float
    low: float
    high: float
    p: float


def wilson(count: float, n: float, z: float = 1.96) -> tuple[float, float, float]:
    """Centre, low and high of a share (Wilson 1927)."""
    share = count / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return centre, max(centre - half, 0.0), min(centre + half, 1.0)


def risk(
    attack: str, hits: int, n: int, control_hits: int, control_n: int, baseline: float, p: float, weight: float = 1.0
) -> Risk:
    """(r_attack - r_control) / (1 - r_control) of Wilson's centres, interval by propagation of their half-widths.

    weight: how many independent tries a try is worth, where several are of one person.
    """
    (a, a_low, a_high), (c, c_low, c_high) = (
        wilson(weight * count, weight * tries) for count, tries in ((hits, n), (control_hits, control_n))
    )
    value = (a - c) / (1 - c)
    half = math.hypot((a_high - a_low) / 2 / (1 - c), (1 - a) * (c_high - c_low) / 2 / (1 - c) ** 2)
    low, high = (float(np.clip(x, 0, 1)) for x in (value - half, value + half))
    return Risk(attack, hits, n, control_hits, control_n, baseline, float(np.clip(value, 0, 1)), low, high, p)


def linkability(
    train: pd.DataFrame,
    control: pd.DataFrame,
    synthetic: pd.DataFrame,
    splits: list[tuple[list[str], list[str]]],
    *,
    seed: int,
    neighbours: int = 1,
    tries: int = TRIES,
) -> Risk:
    """Two parts of a record, the columns of a split: do they have a nearest synthetic record in common?

    One row per patient; `tries` random ones of train and of control, each for every split. Baseline: parts of
    different records. p and interval as in `_pooled`.
    """
    generator = rng(seed, "linkability")
    kinds = _kinds(train, control, synthetic)
    linked, guessed = [], 0.0
    for table in (train, control):
        rows = table.iloc[generator.permutation(len(table))[:tries]]
        found = []
        for split in splits:
            near = [_neighbours(rows, synthetic, columns, kinds, neighbours) for columns in split]
            found.append(_shared(*near))
            if table is train:
                guessed += float(_shared(near[0], near[1][generator.permutation(len(rows))]).mean()) / len(splits)
        linked.append(np.stack(found, 1))
    return _pooled("linkability", linked[0], linked[1], guessed)


def inference(
    train: pd.DataFrame,
    control: pd.DataFrame,
    synthetic: pd.DataFrame,
    known: list[str],
    secrets: list[str],
    *,
    seed: int,
    tolerance: float = 0.05,
    tries: int = TRIES,
) -> Risk:
    """Who knows the columns `known` of a person, reads each of `secrets` off the nearest synthetic record.

    Right: equal, or for numbers within `tolerance` of their size. p and interval as in `_pooled`. Baseline: the secrets
    of a random synthetic record.
    """
    generator = rng(seed, "inference")
    kinds = _kinds(train, control, synthetic)

    def right(rows: pd.DataFrame, source: Index) -> NDArray[np.bool_]:
        pairs = [(rows[name].to_numpy(), synthetic[name].to_numpy()[source], kinds[name]) for name in secrets]
        return np.stack([_equal(truth, guess, kind, tolerance) for truth, guess, kind in pairs], 1)

    found, guessed = [], 0.0
    for table in (train, control):
        rows = table.iloc[generator.permutation(len(table))[:tries]]
        found.append(right(rows, _neighbours(rows, synthetic, known, kinds, 1)[:, 0]))
        if table is train:
            guessed = float(right(rows, generator.integers(len(synthetic), size=len(rows))).mean())
    return _pooled("inference", found[0], found[1], guessed)


def singling_out(
    train: pd.DataFrame,
    control: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    seed: int,
    columns: int = 3,
    tries: int = TRIES,
    level: float = 0.05,
) -> Risk:
    """Predicates that one synthetic record alone fulfils: do they single out one person of train, more than of control?

    A predicate takes `columns` of a random synthetic record: a category's value, a number and above or below (the
    side of the median it is on). Train and control are cut to one size, for the larger set hides a person better.
    Predicates share records, so p is by permutation of who is in train: TIMES / `level` times, or until it is certain
    that p is above `level`. Baseline: values of unrelated records.
    """
    generator = rng(seed, "singling out")
    kinds = _kinds(train, control, synthetic)
    n = min(len(train), len(control))
    real = pd.concat([t.iloc[generator.permutation(len(t))[:n]] for t in (train, control)], ignore_index=True)
    names = list(kinds)
    people, made = _columns(real, kinds), _columns(synthetic, kinds)
    middle = {c: float(np.nanmedian(made[c])) for c in names if kinds[c] > 0}
    found: list[NDArray[np.bool_]] = []  # (2n,) each
    guessed: list[NDArray[np.bool_]] = []
    for _ in range(20 * tries):
        if len(found) == tries:
            break
        chosen = [names[i] for i in generator.permutation(len(names))[:columns]]
        row = int(generator.integers(len(synthetic)))
        if _fulfil(made, made, dict.fromkeys(chosen, row), middle).sum() != 1:
            continue
        found.append(_fulfil(people, made, dict.fromkeys(chosen, row), middle))
        mixed = {c: int(generator.integers(len(synthetic))) for c in chosen}
        guessed.append(_fulfil(people, made, mixed, middle))
    if not found:
        return Risk("singling out", 0, 0, 0, 0, 0.0, 0.0, 0.0, 1.0, 1.0)
    holds = np.array(found, np.float32)  # (t, 2n)
    total = holds.sum(1, keepdims=True)  # (t, 1)
    counts = holds[:, :n].sum(1, keepdims=True)
    hits, control_hits = (int((x == 1).sum()) for x in (counts, total - counts))
    most, drawn, above = math.ceil(TIMES / level), 0, 1  # the division as it is counts as one
    while drawn < most and above <= level * (most + 1):
        inside = np.zeros((2 * n, min(AT_ONCE, most - drawn)), np.float32)
        for k in range(inside.shape[1]):
            inside[generator.permutation(2 * n)[:n], k] = 1
        counts = holds @ inside  # (t, k)
        gap = (counts == 1).sum(0) - (total - counts == 1).sum(0)
        above += int((gap >= hits - control_hits).sum())
        drawn += inside.shape[1]
    p = above / (drawn + 1)
    base = float((np.array(guessed)[:, :n].sum(1) == 1).mean())
    t = len(found)
    return risk("singling out", hits, t, control_hits, t, base, p)


def attacked(
    train: pd.DataFrame, control: pd.DataFrame, synthetic: pd.DataFrame, *, seed: int, level: float = 0.05
) -> list[Risk]:
    """All three, by someone who knows a random half of the columns: he links it to the others (SPLITS halves), and
    infers SECRETS of them. level: of each, at which p must be certain."""
    tables, names = (train, control, synthetic), list(train.columns)
    generator = rng(seed, "halves of the columns")
    splits = []
    for _ in range(SPLITS):
        order = [names[i] for i in generator.permutation(len(names))]
        splits.append((order[: len(names) // 2], order[len(names) // 2 :]))
    known, other = splits[0]
    return [
        singling_out(*tables, seed=seed, level=level),
        linkability(*tables, splits, seed=seed),
        inference(*tables, known, other[:SECRETS], seed=seed),
    ]


def _pooled(attack: str, hit: NDArray[np.bool_], control: NDArray[np.bool_], baseline: float) -> Risk:
    """The risk of (persons, tries of each) hits on train and on control.

    p: Mann-Whitney's over persons. Interval: Wilson's, of as many independent tries as scatter like persons do.
    """
    ours, theirs = hit.mean(1), control.mean(1)
    differ = np.ptp(np.concatenate([ours, theirs])) > 0
    p = float(mannwhitneyu(ours, theirs, alternative="greater", method="asymptotic").pvalue) if differ else 1.0
    share = float(np.concatenate([hit, control]).mean())
    scatter = float((len(ours) * ours.var() + len(theirs) * theirs.var()) / (len(ours) + len(theirs)))
    each = hit.shape[1]
    weight = min(1.0, max(1.0, share * (1 - share) / scatter) / each) if scatter > 0 else 1 / each
    return risk(attack, int(hit.sum()), hit.size, int(control.sum()), control.size, baseline, p, weight)


def _kinds(*tables: pd.DataFrame) -> dict[str, float]:
    """Column -> the range of a number over all tables, or 0 for a category."""
    first = tables[0]
    for table in tables[1:]:
        if list(table.columns) != list(first.columns):
            raise InputError("train, control and synthetic tables have different columns; give them the same ones")
    out = {}
    for name in first.columns:
        if all(pd.api.types.is_numeric_dtype(t[name]) and not pd.api.types.is_bool_dtype(t[name]) for t in tables):
            values = np.concatenate([t[name].to_numpy(float) for t in tables])
            out[name] = max(float(np.nanmax(values) - np.nanmin(values)), 1e-300)
        else:
            out[name] = 0.0
    return out


def _neighbours(rows: pd.DataFrame, table: pd.DataFrame, columns: list[str], kinds: dict[str, float], k: int) -> Index:
    """(n, k) the rows of `table` nearest to `rows`, by Gower's distance: a missing value is far from all."""
    total = np.zeros((len(rows), len(table)))
    for name in columns:
        a, b = rows[name].to_numpy(), table[name].to_numpy()
        if kinds[name] > 0:
            gap = np.abs(a.astype(float)[:, None] - b.astype(float)[None]) / kinds[name]
            total += np.where(np.isnan(gap), 1, gap)
        else:
            total += a.astype(str)[:, None] != b.astype(str)[None]
    return np.argsort(total, axis=1, kind="stable")[:, :k]


def _shared(a: Index, b: Index) -> NDArray[np.bool_]:
    return np.asarray((a[:, :, None] == b[:, None]).any((1, 2)))


def _equal(truth: NDArray[np.generic], guess: NDArray[np.generic], kind: float, tolerance: float) -> NDArray[np.bool_]:
    if kind > 0:
        x, y = truth.astype(float), guess.astype(float)
        return np.asarray(np.abs(x - y) <= tolerance * np.abs(x))
    return np.asarray(truth.astype(str) == guess.astype(str))


def _columns(table: pd.DataFrame, kinds: dict[str, float]) -> dict[str, NDArray[Any]]:
    """Numbers as they are, categories as text."""
    return {name: table[name].to_numpy(float if kind > 0 else str) for name, kind in kinds.items()}


def _fulfil(
    table: dict[str, NDArray[Any]],
    source: dict[str, NDArray[Any]],
    rows: dict[str, int],
    middle: dict[str, float],
) -> NDArray[np.bool_]:
    """Which rows of `table` are like the source's row in every column of `rows` (column -> row of source)."""
    holds = np.ones(len(next(iter(table.values()))), bool)
    for name, row in rows.items():
        column, value = table[name], source[name][row]
        if name not in middle:
            holds &= column == value
        else:
            holds &= column >= value if value >= middle[name] else column <= value
    return holds
