"""Facts about tables, where there are no images: equal rows within and between sets, patients in several sets.

Knows numbers and whose they are; what images hold besides is hygiene.py's. Nothing here is drawn by chance.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ganatomy.core.finding import FAIL, INCONCLUSIVE, PASS, Finding
from ganatomy.integrity.duplicates import SYNTHETIC
from ganatomy.integrity.hygiene import UNKNOWN, Hygiene, counted_against, fact, patient_findings

Array = NDArray[np.float64]

TELLING = 0.9  # share of real rows that have a value of their own in a column that tells people apart


def table_findings(
    label: str,
    values: Mapping[str, Array],
    patients: Mapping[str, Sequence[str]],
    *,
    bars: Hygiene = Hygiene(),  # noqa: B008
) -> list[Finding]:
    """Facts about tables, where there are no images: equal rows, patients in several sets, and what is not seen.

    values: set -> (n, d) numbers, in one order of columns. Rows are equal where all columns are, and what is not finite
    equals what is not finite; rows without any number are nobody's. Bars are those of images (`duplicate_findings`).
    People may have equal rows by chance, where columns take few values. So nothing fails unless one column tells
    TELLING of the real rows apart, nor below the yardstick, the largest share of rows of a real set that equal one of
    another patient there (+ repeated_images where that is not 0): else it is inconclusive.
    """
    keys = {name: _row_keys(np.asarray(table, np.float64)) for name, table in values.items()}
    real = [name for name in keys if name != SYNTHETIC]
    by_chance = _few_values([np.asarray(values[name], np.float64) for name in real])
    yardstick = max((_others_rows(keys[name], patients.get(name, ())) for name in real), default=0.0)
    limit = yardstick + bars.repeated_images if yardstick else 0.0
    found = [_repeated_rows(label, keys, bars.repeated_images, by_chance)] if SYNTHETIC in keys else []
    spoilt = any(set(keys[a]) & set(keys[b]) - {b""} for a, b in combinations(real, 2))
    for a, b in combinations(keys, 2):
        finding = fact(f"equal rows, {a} and {b}", label, keys)
        if not keys[a] or not keys[b]:
            found.append(finding(note=f"there are no rows in {b if keys[a] else a}"))
            continue
        known = set(keys[a]) - {b""}
        count, n = sum(key in known for key in keys[b]), len(keys[b])
        share, note = count / n, f"{count} of {n} {b} rows equal a row of {a}"
        why = "real sets share rows too; remove those first" if SYNTHETIC in (a, b) and spoilt else by_chance
        if not why and yardstick:
            note += f", and {yardstick:.1%} of the rows of a real set one of another patient there"
        state = PASS if not count else INCONCLUSIVE if why or share <= limit else FAIL
        remedy = why or ("remove them" if SYNTHETIC in (a, b) else "remove them from one of the two")
        note = f"{note}: {remedy}" if count else ""
        found.append(finding(share, share, share, yardstick, ("<=", limit), state=state, note=note))
    found += patient_findings(label, patients)
    unseen = fact("what only pixels show (sizes, steps between values, near duplicates)", label, keys)
    why = "the sets are tables: without the images, their sizes, the steps between their values and pictures that are "
    return [*found, unseen(note=why + "nearly equal cannot be compared")]


def _row_keys(table: Array) -> list[bytes]:
    """A text of each row (n, d) that equal rows share; b"" where nothing in it is finite."""
    plain = np.where(np.isfinite(table), table + 0.0, np.nan)  # + 0: there is one zero
    return [row.tobytes() if np.isfinite(row).any() else b"" for row in plain]


def _few_values(real: Sequence[Array]) -> str:
    """Why equal rows of real sets may be of different people, or "" where a column tells them apart."""
    tables = [table for table in real if len(table)]
    rows = np.unique(np.concatenate(tables), axis=0) if tables else np.empty((0, 0))  # a doubled row counts once
    distinct = [len(np.unique(column[np.isfinite(column)])) for column in rows.T]
    few = max(distinct, default=0) < TELLING * len(rows)
    return "all columns take few values, so that people may be equal by chance" if few else ""


def _others_rows(keys: Sequence[bytes], patients: Sequence[str]) -> float:
    """Share of rows of a set that equal a row of another patient; rows of unknown patients are of one each."""
    people = patients if len(patients) else [str(row) for row in range(len(keys))]
    own = [(key, who or f"{UNKNOWN}{row}") for row, (key, who) in enumerate(zip(keys, people, strict=True))]
    owners = Counter(key for key, _ in set(own))
    return sum(owners[key] > 1 for key in keys if key) / max(len(keys), 1)


def _repeated_rows(label: str, keys: Mapping[str, list[bytes]], most: float, by_chance: str) -> Finding:
    counts = {name: sum(n - 1 for key, n in Counter(own).items() if key) for name, own in keys.items()}
    real, n = sum(len(own) for name, own in keys.items() if name != SYNTHETIC), len(keys[SYNTHETIC])
    finding = fact("repeated rows, synthetic", label, keys)
    if not n:
        return finding(note="there are no rows in synthetic")
    yardstick = sum(count for name, count in counts.items() if name != SYNTHETIC) / max(real, 1)
    note = f"{counts[SYNTHETIC]} of {n} synthetic rows repeat another one; of the real ones {yardstick:.1%} do"
    said = counted_against(partial(finding, yardstick=yardstick), counts[SYNTHETIC], n, "", note, yardstick + most)
    return replace(said, state=INCONCLUSIVE, note=f"{note}; {by_chance}") if said.state == FAIL and by_chance else said
