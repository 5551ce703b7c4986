"""Findings: what is no number is refused, files give back what was written, and bars are judged on both sides."""

import math

import pytest

from ganatomy.core.errors import InputError
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding, judge, read_findings, write_findings

GOOD = Finding("fidelity", "Fréchet distance", "malignant", 1.5, 1.0, 2.0, 1.1, ("<=", 2.0), 40, 12, PASS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "fine"}, "state is one of"),
        ({"state": INCONCLUSIVE, "value": 1.0}, "gives no reason"),
        ({"state": NOT_COMPUTED}, "gives no reason"),
        ({"state": PASS}, "without a value"),
        ({"state": FAIL}, "without a value"),
        ({"state": INCONCLUSIVE, "note": "small"}, "without a value"),
        ({"state": PASS, "value": 1.0, "bar": ("<", 2.0)}, "a bar is"),
        ({"state": PASS, "value": math.nan}, "value is nan"),
        ({"state": PASS, "value": 1.0, "low": -math.inf}, "low is -inf"),
        ({"state": PASS, "value": 1.0, "high": math.inf}, "high is inf"),
        ({"state": PASS, "value": 1.0, "yardstick": math.nan}, "yardstick is nan"),
    ],
)
def test_a_finding_that_says_nothing_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Finding("fidelity", "x", **changes)


def test_findings_come_back_as_they_were(tmp_path):
    findings = [GOOD, Finding("copying", "nearest", note="too few"), Finding("utility", "gain", value=0.0, state=FAIL)]
    path = write_findings(tmp_path / "f.json", findings)
    assert read_findings(path) == findings
    assert len(path.read_text().splitlines()) == len(findings) + 2  # one a line
    assert read_findings(write_findings(path, [])) == []


def test_a_field_of_a_later_version_is_left_out(tmp_path):
    path = tmp_path / "f.json"
    path.write_text('[{"gate": "g", "name": "n", "note": "why", "novel": 1}]')
    assert read_findings(path) == [Finding("g", "n", note="why")]


@pytest.mark.parametrize("text", ["{", "[1]", '[{"gate": "g"}]', '{"a": 1}', '[{"gate":"g","name":"n","state":"x"}]'])
def test_a_file_that_holds_none_is_refused_by_name(tmp_path, text):
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"f\.json is not a list of findings"):
        read_findings(path)
    with pytest.raises(InputError, match="there is no"):
        read_findings(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("low", "high", "bar", "state"),
    [
        (0.0, 1.9, ("<=", 2.0), PASS),
        (0.0, 2.0, ("<=", 2.0), PASS),
        (1.9, 2.1, ("<=", 2.0), INCONCLUSIVE),
        (2.0, 2.1, ("<=", 2.0), INCONCLUSIVE),
        (2.1, 3.0, ("<=", 2.0), FAIL),
        (0.6, 0.9, (">=", 0.5), PASS),
        (0.5, 0.9, (">=", 0.5), PASS),
        (0.4, 0.6, (">=", 0.5), INCONCLUSIVE),
        (0.4, 0.5, (">=", 0.5), INCONCLUSIVE),
        (0.1, 0.4, (">=", 0.5), FAIL),
        (-0.019, 0.03, (">=", -0.02), PASS),
        (-0.05, -0.03, (">=", -0.02), FAIL),
    ],
)
def test_an_interval_is_judged_on_both_sides_of_its_bar(low, high, bar, state):
    assert judge((low + high) / 2, low, high, bar) == state
