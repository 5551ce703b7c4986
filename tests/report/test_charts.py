"""Charts drawn from tables."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from ganatomy.core.seed import rng
from ganatomy.report import charts


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.11, 0.07), (-1024, 612), (1e-9, 3e-9), (0, 20000), (0.999, 1.0)])
@pytest.mark.parametrize("most", [3, 4])
def test_ticks_are_round_few_and_inside(low, high, most):
    ticks = charts.ticks(low, high, most)
    assert 1 <= len(ticks) <= most
    assert all(low - 1e-9 <= tick <= high * (1 + 1e-9) for tick in ticks)
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0] if len(steps) else 0)


def test_limits_of_nothing_and_of_a_constant_are_a_range():
    for values in ([], [5.0, 5.0], [0.0], [float("nan"), 2.0]):
        low, high = charts.limits(values)
        assert low < high


def test_distance_is_that_of_kolmogorov_and_smirnov():
    from scipy.stats import ks_2samp

    a, b = rng(0, "a").normal(0, 1, 40).round(1), rng(0, "b").normal(0.4, 1, 70).round(1)  # with ties
    assert charts.distance(a, b) == pytest.approx(ks_2samp(a, b).statistic * np.sqrt(40 * 70 / 110))
    assert charts.distance(a, a) == 0
    assert charts.distance(a, b[:0]) == 0


def _table(shift: float = 1.5) -> pd.DataFrame:
    """Four features; only `far` and its double `twin` differ between synthetic and held-out images."""
    draw, rows = rng(0, "table"), []
    for group in ("train", "holdout", "synthetic"):
        for _ in range(60):
            far = draw.normal(shift if group == "synthetic" else 0, 1)
            rows.append(
                {
                    "set": group,
                    "class": "a",
                    "patient": "",
                    "path": "",
                    "near": draw.normal(),
                    "twin": 3 * far + 1,
                    "far": far,
                    "flat": 1.0,
                }
            )
    return pd.DataFrame(rows)


def test_the_feature_that_differs_is_chosen_and_its_double_is_passed_over():
    chosen = charts.differing(_table(), 3)
    assert chosen[0] == "far"
    assert "twin" not in chosen and "flat" not in chosen


def test_a_double_of_a_feature_shown_beside_is_passed_over_too():
    assert "far" in charts.differing(_table(), 3, ["near"])
    assert not {"far", "twin"} & set(charts.differing(_table(), 3, ["twin"]))


def test_without_synthetic_images_no_feature_differs():
    table = _table()
    assert charts.differing(table[table["set"] != "synthetic"], 3) == []


def _points(path: str) -> list[str]:
    return path.replace("H", " H").replace("V", " V").split()


def test_a_distribution_is_drawn_per_set_and_described():
    chart = charts.distribution(_table(), "far", -3, 5, "far <of> a")
    root = ET.fromstring(chart)
    lines = {
        line.get("class"): line.get("d") for line in root.iter("path") if str(line.get("class")).startswith("line")
    }
    assert set(lines) == {"line train", "line holdout", "line synthetic"}
    median = {name: next(float(p[1:]) for p in _points(d)[2:] if p[0] == "H") for name, d in lines.items()}
    assert median["line synthetic"] > median["line holdout"]  # the shifted set starts further right
    assert "far <of> a" in root.get("aria-label") and "of 60" in root.get("aria-label")


def test_a_distribution_ends_at_one_however_many_values():
    for n in (1, 2, 89, 90, 5000):
        rows = pd.DataFrame({"set": "holdout", "x": np.arange(n, dtype=float)})
        path = next(
            p.get("d")
            for p in ET.fromstring(charts.distribution(rows, "x", -1, n, "x")).iter("path")
            if p.get("class") == "line holdout"
        )
        assert [p for p in _points(path) if p[0] == "V"][-1] == "V8"  # the top of the panel
        assert len(_points(path)) < 200


def test_a_strip_places_the_interval_on_its_scale_and_says_it():
    strip = ET.fromstring(charts.strip((0.0, -1.0, 1.0), (-2.0, 2.0), {"zero": 0.0}, "arm & control"))
    assert next(strip.iter("circle")).get("cx") == "50.00%"
    zero, line = list(strip.iter("line"))[:2]
    assert (zero.get("x1"), line.get("x1"), line.get("x2")) == ("50.00%", "26.50%", "73.50%")
    assert strip.get("aria-label").startswith("arm & control: 0 (")


def test_a_strip_without_a_value_is_empty():
    assert not list(ET.fromstring(charts.strip((None, None, None), (0, 1), {}, "arm")).iter("circle"))


def test_a_curve_of_a_long_log_is_shortened_and_gaps_are_left_out():
    steps, values = list(range(0, 100000, 50)), [float(np.sin(k / 90)) for k in range(2000)]
    values[7] = float("nan")
    line = next(ET.fromstring(charts.curve(steps, values, None, "loss")).iter("polyline"))
    assert len(line.get("points").split()) == 240
    assert "nan" not in line.get("points")
    assert "no values" in charts.curve([1, 2], [float("nan")] * 2, None, "loss")
