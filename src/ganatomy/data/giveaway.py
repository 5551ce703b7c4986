"""Columns that give the class away: a site, a scanner or a file type that goes with the class and not with the disease.

A classifier, and a generator, learns such a column in place of what the eye sees. Knows tables; opens no pixel.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ganatomy.core.cohort import Cohort
from ganatomy.data.read import file_of

SURE = 0.9  # share of (chance to certainty) from which a column is named
ENOUGH = 5
BINS = 5  # of a column of numbers with many values


def giveaways(cohort: Cohort) -> dict[str, float]:
    """Each column that tells the class, with how well: balanced accuracy of guessing the class from its value.

    The guess for a patient is what the others with the same value are, classes counted equally (leave one out, so a
    column of names tells nothing). A column is named from chance + SURE * (1 - chance), if every class has at least
    ENOUGH patients.
    """
    columns = {name: cohort.column(name) for name in (*cohort.groups, "unit", "spacing")}
    columns["file type"] = [Path(file_of(path)).suffix.lower() for path in cohort.column("path")]
    found = {}
    for name, values in columns.items():
        if len(set(values)) > 1:
            told, enough = _told(_binned(values), cohort.labels, cohort.patients)
            chance = 1 / len(cohort.classes)
            if enough and told >= chance + SURE * (1 - chance):
                found[name] = told
    return found


def _binned(values: Sequence[str]) -> list[str]:
    """A column of many different numbers by fifths; any other as it is."""
    try:
        numbers = np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        return list(values)
    if len(set(values)) <= 2 * BINS or not np.isfinite(numbers).any():
        return list(values)
    edges = np.nanquantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])
    return ["" if np.isnan(number) else str(int(np.searchsorted(edges, number))) for number in numbers]


def _told(values: Sequence[str], labels: Sequence[str], patients: Sequence[str]) -> tuple[float, bool]:
    """Balanced accuracy of the leave-one-out guess, and whether every class has enough patients to say so."""
    each = sorted(set(zip(patients, labels, values, strict=True)))  # a patient's images count once per value
    classes = Counter(label for _, label, _ in each)
    table: Mapping[str, Counter[str]] = {value: Counter() for value in values}
    for _, label, value in each:
        table[value][label] += 1
    right = dict.fromkeys(classes, 0.0)
    for _, label, value in each:
        share = {
            other: (table[value][other] - (other == label)) / max(classes[other] - (other == label), 1)
            for other in classes
        }
        best = [other for other in classes if share[other] == max(share.values()) > 0]
        right[label] += label in best and 1 / len(best)
    return float(np.mean([right[label] / n for label, n in classes.items()])), min(classes.values()) >= ENOUGH
