"""Which further columns of a cohort are groups that a check may compare: sex, age, site, scanner. Knows no gate."""

import math
from collections.abc import Sequence

from ganatomy.core.cohort import Cohort
from ganatomy.core.errors import InputError, nearest
from ganatomy.core.progress import say

MOST = 20  # different words of a group; a column of more is an identifier, or free text


def group_columns(cohort: Cohort, chosen: Sequence[str] = ()) -> list[str]:
    """The columns that are groups: the chosen ones, else those of 2 to MOST values, or of numbers such as ages.

    Identifiers are left out, and said. InputError where a chosen column is not there, or has one value alone.
    """
    if unknown := [name for name in chosen if name not in cohort.groups]:
        known = nearest(unknown[0], cohort.groups) if cohort.groups else "there are no further columns"
        raise InputError(f"{cohort.name} has no column '{unknown[0]}' (asked for with --groups); {known}")
    out, identifiers = [], []
    for name in chosen or cohort.groups:
        column = [text.strip() for text in cohort.column(name)]
        values = {*column} - {""}
        if len(values) < 2:
            if chosen:
                raise InputError(
                    f"the column '{name}' of {cohort.name} has {len(values)} value(s), so there are no groups to "
                    "compare; leave it out of --groups"
                )
        elif chosen or len(values) <= MOST or _measured(column):
            out.append(name)
        else:
            identifiers.append(name)
    if identifiers:
        say(f"note: no groups, for nearly all values differ: {', '.join(identifiers)}; --groups takes a column anyway")
    return out


def _measured(column: Sequence[str]) -> bool:
    """Whether a column holds numbers, and not whole ones that number the rows."""
    known = [text for text in column if text]
    try:
        numbers = [float(text) for text in known]
    except ValueError:
        return False
    if not all(map(math.isfinite, numbers)):
        return False
    return len({*numbers}) < len(numbers) or not all(number.is_integer() for number in numbers)


def groups_of(cohort: Cohort, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The value of each row in each column, "" where it is unknown."""
    return {name: tuple(text.strip() for text in cohort.column(name)) for name in names}
