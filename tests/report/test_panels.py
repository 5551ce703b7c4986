"""Charts of the gates' tables: where marks lie, what they say, and that many stay few bytes."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ganatomy.core.seed import rng
from ganatomy.report import panels


def paths(chart: str) -> dict[str, str]:
    return {str(path.get("class")): str(path.get("d")) for path in ET.fromstring(chart).iter("path")}


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)", path)]


def test_features_fall_from_the_worst_and_failing_ones_are_crosses():
    far, real = np.array([0.1, 0.4, 0.3, 0.05]), np.array([0.1, 0.1, 0.1, np.nan])
    chart = panels.ranked(far, far + 0.1, real, np.array([False, True, False, False]), 0.15, "a & b")
    drawn = paths(chart)
    dots = points(drawn["dots synthetic"])
    assert len(dots) == 3 and len(points(drawn["dots train"])) == 3 and len(points(drawn["reach"])) == 4
    assert dots == sorted(dots) and [y for _, y in dots] == sorted(y for _, y in dots)  # downwards to the right
    assert drawn["crosses"].count("M") == 1 and points(drawn["crosses"])[0][0] < dots[0][0]
    margin = float(re.findall(r"M\d+ ([\d.]+)", drawn["margin"])[0])
    assert dots[0][1] < margin < dots[1][1]  # 0.3 above, 0.1 below
    label = ET.fromstring(chart).get("aria-label")
    assert label == "a & b: distances of 4 features, from 0.0500 to 0.400; 2 beyond the margin of 0.150"


def test_bounds_may_be_unknown():
    none = np.full(3, np.nan)
    assert "reach" not in paths(panels.ranked(np.ones(3), none, none, np.zeros(3, bool), 0.2, "x"))


def test_a_heat_map_has_a_colour_for_each_sign_and_none_for_nothing():
    values = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, -1.0], [0.0, -1.0, np.nan]])
    root = ET.fromstring(panels.heat(values, ["firstorder", "glcm", "glcm"], 1.0, "x"))
    cells = {(p.get("class"), p.get("fill-opacity")): p.get("d") for p in root.iter("path") if p.get("fill-opacity")}
    assert cells == {
        ("cold", "1"): "M2 1h1v1h-1zM1 2h1v1h-1z",
        ("warm", "0.5"): "M1 0h1v1h-1zM0 1h1v1h-1z",
        ("warm", "1"): "M0 0h1v1h-1zM1 1h1v1h-1z",
    }
    assert [text.text for text in root.iter("text")] == ["intensity", "GLCM"]


def test_cells_of_one_shade_in_a_row_are_one_and_far_values_have_the_full_colour():
    (cells,) = ET.fromstring(panels.heat(np.full((2, 2), 0.9), ["", ""], 0.5, "x")).iter("path")
    assert cells.get("d") == "M0 0h2v1h-2zM0 1h2v1h-2z" and cells.get("fill-opacity") == "1"


def test_a_heat_map_of_forty_features_is_small_and_labels_do_not_overlap():
    values = rng(0, "heat").uniform(-1, 1, (40, 40))
    chart = panels.heat(values, [f"f{k // 2}" for k in range(40)], 1.0, "x")
    assert len(chart) < 40_000
    heights = [float(text.get("y")) for text in ET.fromstring(chart).iter("text")]
    assert min(np.diff(heights)) > 13


def test_a_point_on_the_diagonal_lies_on_the_line():
    chart = panels.scatter(np.array([0.3, 0.8]), np.array([0.3, 0.6]), [1], "x")
    left, bottom, right, top = map(float, re.findall(r"[\d.]+", paths(chart)["margin"]))
    (x, y), (u, v) = points(paths(chart)["dots synthetic"])
    assert (x - left) / (right - left) == pytest.approx((bottom - y) / (bottom - top), abs=1e-2)
    assert (u - left) / (right - left) > (bottom - v) / (bottom - top) + 0.1  # less among synthetic images
    assert [text.text for text in ET.fromstring(chart).iter("text") if text.get("class") == "strong"] == ["1"]


def test_numbers_beside_points_keep_apart():
    near = np.array([0.5, 0.5, 0.501, 0.9])
    chart = ET.fromstring(panels.scatter(near, near, [0, 1, 2], "x"))
    spots = [(float(t.get("x")), float(t.get("y"))) for t in chart.iter("text") if t.get("class") == "strong"]
    gaps = [max(abs(a[0] - b[0]), abs(a[1] - b[1])) for i, a in enumerate(spots) for b in spots[:i]]
    assert len(spots) == 3 and min(gaps) >= 9.9


def test_bars_are_shares_of_the_longest():
    root = ET.fromstring(panels.bar(0.1, 0.4, "a < b"))
    assert next(root.iter("rect")).get("width") == "25.0%" and root.get("aria-label") == "a < b: 0.100"
    assert next(ET.fromstring(panels.bar(0.0, 0.0, "x")).iter("rect")).get("width") == "0.5%"


def test_the_key_of_the_colours_has_them_all():
    kinds = [rect.get("class") for rect in ET.fromstring(panels.shades()).iter("rect")]
    assert kinds.count("warm") == panels.STEPS and kinds.count("cold") == panels.STEPS + 1  # 0 has no colour
