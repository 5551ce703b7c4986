"""What is drawn on each gate's page, from the tables and pictures that check left. What is missing is not drawn.

Knows which table becomes which chart. Does not know what a drawing means, nor where it stands.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ganatomy.core.finding import FAIL, Finding
from ganatomy.report import charts, panels, words
from ganatomy.report.read import Picture, Run
from ganatomy.report.tables import plain

PANELS = 24  # distributions drawn, about; more classes means fewer features
LISTED = 20  # suspected copies on the page
MARGIN = 0.15  # of marginals, where the settings of check do not name it
SHIFT = 0.2  # of invariance, likewise: of a feature, in spreads
SCREEN = 0.05  # false discoveries among features that are marked, where check did not say which fail
WORST = 12  # features named in a class
BARS = 6  # features with a bar in a class
UNFOLDED = 2  # classes whose heat maps are shown at once
PAIRS = 6  # of features, named beside a heat map
NAMED = 5  # features with a number in a scatter
ROWS = 16  # subgroups shown unfolded

View = dict[str, Any]
NONE: charts.Triple = (None, None, None)


def drawings(gate: str, run: Run, findings: Sequence[Finding]) -> View:
    """What there is to draw for a gate, by the name of the drawing; None for each that there is nothing for."""
    makers: dict[str, dict[str, Callable[[], Any]]] = {
        "marginals": {"ranked": lambda: ranked(run), "features": lambda: distributions(run)},
        "dependence": {"heat": lambda: heat(run, _worst(findings))},
        "labels": {"scatter": lambda: scatter(run), "transforms": lambda: transforms(run, findings)},
        "fidelity": {"bars": lambda: separation(run)},
        "coverage": {"missed": lambda: missed(run)},
        "copying": {"suspects": lambda: suspects(run)},
        "fairness": {"groups": lambda: groups(run, findings)},
    }
    pictures = [picture(one) for one in run.pictures.value or () if one.gate == gate]
    names = (name for others in makers.values() for name in others)
    found = {name: make() or None for name, make in makers.get(gate, {}).items()}
    return {**dict.fromkeys(names), **found, "pictures": pictures}


def picture(one: Picture) -> View:
    """A picture as a data URI; small ones are enlarged by a whole factor, pixels kept."""
    times = max(1, min(4, 480 // one.width))
    return {
        "title": one.title,
        "caption": one.caption,
        "width": one.width * times,
        "height": one.height * times,
        "enlarged": times > 1,
        "wide": one.width * times > 520,
        "uri": "data:image/png;base64," + base64.b64encode(one.data).decode("ascii"),
    }


def _worst(findings: Sequence[Finding]) -> set[str]:
    """Classes that a finding failed for."""
    return {finding.subject for finding in findings if finding.state == FAIL}


def _classes(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(label), rows) for label, rows in table.groupby("class", sort=True)]


# --- marginals ---


def chosen(run: Run) -> list[str]:
    """The features whose distributions are drawn: the plain ones, then those that differ most."""
    table = run.features.value
    if table is None:
        return []
    basic = charts.basic(table)
    most = min(8, max(4, PANELS // max(1, table["class"].nunique()) - len(basic)))
    return [*basic, *charts.differing(table, most, basic)]


def distributions(run: Run) -> list[View]:
    """A view for each chosen feature, with a panel for each class."""
    table = run.features.value
    out = []
    for name in chosen(run):
        assert table is not None
        low, high = charts.limits(table[name].quantile([0.01, 0.99], interpolation="nearest"))
        text, family = words.feature(name)
        drawn = []
        for label in sorted(set(table["class"])):
            rows = table[table["class"] == label]
            made = bool((rows["set"] == "synthetic").any())
            drawn.append((label, charts.distribution(rows, name, low, high, f"{text}, {label}"), made))
        unit = run.facts.value.unit if run.facts.value and words.has_unit(name) else ""
        out.append({"name": name, "words": text, "family": ", ".join(filter(None, (family, unit))), "panels": drawn})
    return out


def _setting(run: Run, name: str, default: float) -> float:
    """A setting of check as the run had it."""
    value = words.flat(run.stages["check"].settings).get(name, default)
    return float(value) if isinstance(value, int | float) else default


def ranked(run: Run) -> View:
    """For each class a chart of all features from worst to best, and the worst by name."""
    table = run.drawn.get("marginals")
    if table is None or table.empty:
        return {}
    limit, judged, views = _setting(run, "ks_margin", MARGIN), "state" in table, []
    for label, part in _classes(table):
        rows = part.sort_values("D", ascending=False, kind="stable").reset_index(drop=True)
        far, real = rows["D"].to_numpy(float), rows["D_real"].to_numpy(float)
        bound = rows["high"].to_numpy(float) if "high" in rows else np.full(len(rows), np.nan)
        if judged:
            marked = (rows["state"] == FAIL).to_numpy()
        else:
            marked = (far > limit) & ((rows["q"] <= SCREEN).to_numpy() if "q" in rows else np.zeros(len(rows), bool))
        chart = panels.ranked(far, bound, real, marked, limit, label)
        named = [{**row, "marked": bool(marked[i])} for i, row in enumerate(plain(rows[:WORST]))]
        for row in named:
            row["words"], row["family"] = words.feature(row["feature"])
            row["bounded"] = words.number(row["D"]) + (
                f" (at most {words.number(row['high'])})" if row.get("high") else ""
            )
        failing = [words.brief(name) for name in rows["feature"][marked]]
        views.append({"label": label, "chart": chart, "rows": named, "failing": failing, "count": len(rows)})
    return {"classes": views, "margin": limit, "judged": judged, "spread": "W1" in table}


# --- dependence ---


def heat(run: Run, worst: set[str]) -> View:
    """For each class the rank correlations among real and among synthetic images, their difference, the worst pairs."""
    table = run.drawn.get("dependence")
    if table is None or table.empty:
        return {}
    views = []
    for label, rows in sorted(_classes(table), key=lambda item: (item[0] not in worst, item[0])):
        order = list(dict.fromkeys([*rows["a"], *rows["b"]]))
        families = {name: _family(name) for name in order}
        ranks = {family: i for i, family in enumerate(dict.fromkeys(families.values()))}
        order.sort(key=lambda name: ranks[families[name]])
        blocks = [families[name] for name in order]
        real, made = (_square(rows, order, f"rho_{name}") for name in ("holdout", "synthetic"))
        gap = made - real
        about = f"{label}: rank correlations of {len(order)} features"
        views.append(
            {
                "label": label,
                "panels": [
                    ("real (holdout)", panels.heat(real, blocks, 1.0, f"{about} among real images")),
                    ("synthetic", panels.heat(made, blocks, 1.0, f"{about} among synthetic images")),
                    ("synthetic minus real", panels.heat(gap, blocks, panels.FULL, f"{about}, synthetic minus real")),
                ],
                "pairs": _pairs(rows),
            }
        )
    return {"shown": views[:UNFOLDED], "folded": views[UNFOLDED:], "shades": panels.shades(), "full": panels.FULL}


def _family(name: str) -> str:
    parts = name.split("_")
    return parts[1] if len(parts) > 2 else ""


def _square(rows: pd.DataFrame, order: Sequence[str], column: str) -> np.ndarray:
    """Pairs of features as a symmetric matrix (d, d) with ones on the diagonal, NaN for a pair that is not listed."""
    at = {name: i for i, name in enumerate(order)}
    out = np.full((len(order), len(order)), np.nan)
    a, b = (rows[name].map(at).to_numpy(int) for name in ("a", "b"))
    out[a, b] = out[b, a] = rows[column].to_numpy(float)
    np.fill_diagonal(out, 1.0)
    return out


def _pairs(rows: pd.DataFrame) -> list[View]:
    """The pairs of features whose correlations differ most, each pair once."""
    rows = rows[rows["a"] != rows["b"]].copy()
    rows["gap"] = (rows["rho_synthetic"] - rows["rho_holdout"]).abs()
    out: dict[frozenset[str], View] = {}
    for row in plain(rows.sort_values("gap", ascending=False, kind="stable")[: 3 * PAIRS]):
        if row["gap"]:
            a, b = (words.feature(row[name]) for name in ("a", "b"))
            out.setdefault(frozenset((row["a"], row["b"])), {**row, "a": a, "b": b})
    return list(out.values())[:PAIRS]


# --- labels ---


def scatter(run: Run) -> list[View]:
    """For each class how well each feature tells it from the others, synthetic against real; the farthest by name."""
    table = run.drawn.get("labels")
    views = []
    for label, part in _classes(table) if table is not None and not table.empty else ():
        rows = part.reset_index(drop=True)
        real, made = rows["AUC_real"].to_numpy(float), rows["AUC"].to_numpy(float)
        far = np.argsort(-np.abs(made - real), kind="stable")[:NAMED]
        named = plain(rows.loc[far])
        for row in named:
            row["words"], row["family"] = words.feature(row["feature"])
        chart = panels.scatter(real, made, far.tolist(), f"{label} against the rest")
        views.append({"label": label, "chart": chart, "rows": named})
    return views


def transforms(run: Run, findings: Iterable[Finding]) -> View:
    """A row for each change of the real images: what it does to a classifier's answers and to features."""
    table = run.drawn.get("invariance")
    if table is None or table.empty:
        return {}
    limit = _setting(run, "feature_shift", SHIFT)
    bars = {one.name: one.bar[1] for one in findings if one.bar is not None}
    marks = {"zero": 0.0} | ({"margin": -bars["accuracy lost"]} if "accuracy lost" in bars else {})
    rows: list[View] = []
    for name, part in table.groupby("transform", sort=False):
        answers = {str(row["name"]): row for row in plain(part[part["kind"] == "decisions"])}
        features = part[part["kind"] == "feature"]
        told = features[features["associated"].str.lower() == "true"]
        counted = told if len(told) else features
        moved = counted[counted["change"].abs() > limit].sort_values("change", key=abs, ascending=False, kind="stable")
        worst = [f"{words.brief(row['name'])} {words.number(row['change'], True)}" for row in plain(moved[:3])]
        accuracy, flipped = answers.get("balanced accuracy", {}), answers.get("changed decisions", {})
        triple = (accuracy.get("change"), accuracy.get("low"), accuracy.get("high"))
        rows.append(
            {
                "name": str(name),
                "triple": triple,
                "accuracy": words.interval(*triple, sign=True),
                "flipped": flipped.get("change"),
                "moved": f"{len(moved)} of {len(counted)}" if len(counted) else "–",
                "worst": ", ".join(worst) + (", ..." if len(moved) > len(worst) else ""),
            }
        )
    scale = charts.limits([*(x for row in rows for x in row["triple"] if x is not None), *marks.values()], 0.06)
    for row in rows:
        row["strip"] = charts.strip(row["triple"], scale, marks, f"{row['name']}: change of balanced accuracy")
    return {"rows": rows, "limit": limit, "axis": charts.scale_axis(scale, marks, sign=True)}


# --- fidelity, coverage, copying ---


def separation(run: Run) -> list[View]:
    """For each class the features that tell synthetic from real images, and whether they are higher in those."""
    table = run.drawn.get("separation")
    views = []
    for label, part in _classes(table) if table is not None and not table.empty else ():
        rows = plain(part[part["importance"] > 0].sort_values("importance", ascending=False, kind="stable")[:BARS])
        for row in rows:
            row["words"], row["family"] = words.feature(row["feature"])
            row["bar"] = panels.bar(row["importance"], rows[0]["importance"], row["words"])
            side = row.get("coefficient")
            row["side"] = "" if not side else f"{'higher' if side > 0 else 'lower'} in synthetic"
        if rows:
            views.append({"label": label, "rows": rows})
    return views


def missed(run: Run) -> list[tuple[str, int]]:
    """How many real images of each class nothing synthetic is near."""
    table = run.drawn.get("missed")
    return [] if table is None else [(label, len(rows)) for label, rows in _classes(table)]


def suspected(run: Run) -> int:
    """How many synthetic images are suspected to be copies."""
    return 0 if run.suspects.value is None else int(run.suspects.value["image"].nunique())


def suspects(run: Run) -> View:
    """The first suspected copies, each image once, and how many there are."""
    table = run.suspects.value
    if table is None:
        return {}
    rows: dict[int, View] = {}
    for row in plain(table.sort_values("ratio", kind="stable")):
        if row["image"] in rows:
            rows[row["image"]]["by"] += f", {row['compared_by']}"
        else:
            rows[row["image"]] = {**row, "by": row["compared_by"]}
    return {"rows": list(rows.values())[:LISTED], "count": len(rows)}


# --- fairness ---


def groups(run: Run, findings: Sequence[Finding]) -> View:
    """A row for each subgroup: its patients, its share of what it should have, and what is left alone of it; `small`
    are those of which nothing could be measured.

    Intervals are drawn where the table has columns such as present_low and present_high.
    """
    table = run.drawn.get("fairness")
    if table is None or table.empty:
        return {}
    marks = [_mark(findings, start, zero) for start, zero in (("subgroup", 1.0), ("real images", 0.0))]
    rows = [
        {
            **row,
            "name": f"{row['column']} {row['value']}".strip(),
            "triples": [_triple(row, "present"), _beyond(row)],
            "more": _more(row),
        }
        for row in plain(table)
    ]
    small = [row for row in rows if row["triples"][0][0] is None and row["triples"][1][0] is None]
    rows = [row for row in rows if row not in small]
    scales = [
        charts.limits([*(x for row in rows for x in row["triples"][i] if x is not None), *mark.values()], 0.06)
        for i, mark in enumerate(marks)
    ]
    for row in rows:
        about = f"{row['class']}, {row['name']}"
        row["strips"] = [
            charts.strip(triple, scale, mark, about)
            for triple, scale, mark in zip(row["triples"], scales, marks, strict=True)
        ]
        row["present_words"] = words.interval(*row["triples"][0])
    axes = [charts.scale_axis(scale, mark) for scale, mark in zip(scales, marks, strict=True)]
    return {"shown": rows[:ROWS], "folded": rows[ROWS:], "axes": axes, "small": small}


def _triple(row: View, name: str) -> charts.Triple:
    return row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")


def _beyond(row: View) -> charts.Triple:
    """How many more of a subgroup's real images are left alone than of the others'."""
    alone, others = row.get("alone"), row.get("alone_others")
    return (None if alone is None or others is None else alone - others), row.get("alone_low"), row.get("alone_high")


def _more(row: View) -> str:
    """What else was measured of a subgroup, and why something was not."""
    out = []
    if row.get("shift") is not None:
        out.append(f"features {row['shift']:+.2f} sd off".replace("-", words.MINUS))
    if row.get("copied") is not None:
        out.append(f"near-copies {words.signed_percent(row['copied'])}")
    return "; ".join([*out, *filter(None, [row.get("note")])])


def _mark(findings: Iterable[Finding], start: str, zero: float) -> dict[str, float]:
    """Where nothing differs, and the bar of the findings whose names begin so."""
    bar = next((one.bar[1] for one in findings if one.bar is not None and one.name.startswith(start)), None)
    return {"zero": zero} if bar is None else {"zero": zero, "margin": bar}
