"""The trial as forest plots: a row per arm, its score and how far the tested arm lies above it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ganatomy.report import charts, words
from ganatomy.report.read import Protocol, Run
from ganatomy.report.tables import plain

NONE: charts.Triple = (None, None, None)

View = dict[str, Any]


def trials(run: Run) -> list[View]:
    """One forest plot per classifier, metric and arm whose differences were taken; the primary endpoint first."""
    protocol, scores, differences = run.protocol.value, run.scores.value, run.differences.value
    if protocol is None or scores is None or differences is None:
        return []
    primary = (protocol.classifier, protocol.metric)
    out = []
    for pair in sorted(
        dict.fromkeys(zip(scores["classifier"], scores["metric"], strict=True)), key=lambda pair: pair != primary
    ):
        own, gaps = (
            table[(table["classifier"] == pair[0]) & (table["metric"] == pair[1])] for table in (scores, differences)
        )
        for tested in dict.fromkeys(gaps["arm"]) or [""]:
            view = _trial(
                protocol, _by(own, "arm"), _by(gaps[gaps["arm"] == tested], "against"), tested, pair == primary
            )
            out.append({"classifier": pair[0], "metric": pair[1], **view})
    return out


def _trial(
    protocol: Protocol,
    levels: Mapping[str, charts.Triple],
    changes: Mapping[str, charts.Triple],
    tested: str,
    primary: bool,
) -> View:
    """A row per arm: its score, and the tested arm minus it. levels, changes: by arm."""
    marks = {"zero": 0.0, "margin": -protocol.margin} if primary else {"zero": 0.0}
    numbers = [x for triple in changes.values() for x in triple if x is not None]
    level_scale = charts.limits([x for triple in levels.values() for x in triple if x is not None], 0.06)
    change_scale = charts.limits([*marks.values(), *numbers], 0.06)
    rows = [
        {
            "arm": arm,
            "tested": arm == tested,
            "control": primary and arm == protocol.control,
            "definition": " ".join(filter(None, (protocol.definitions.get(arm), protocol.notes.get(arm)))),
            "level": words.interval(*level),
            "level_strip": charts.strip(level, level_scale, {}, f"{arm}, score"),
            "change": words.interval(*changes.get(arm, NONE), sign=True),
            "change_strip": charts.strip(changes.get(arm, NONE), change_scale, marks, f"{tested} minus {arm}"),
        }
        for arm, level in levels.items()
    ]
    return {
        "tested": tested,
        "primary": primary,
        "rows": rows,
        "level_axis": charts.scale_axis(level_scale, {}),
        "change_axis": charts.scale_axis(change_scale, marks, sign=True),
    }


def _by(table: pd.DataFrame, key: str) -> dict[str, charts.Triple]:
    """key -> value, low, high, in the order of the table."""
    return {row[key]: (row["value"], row["low"], row["high"]) for row in plain(table)}
