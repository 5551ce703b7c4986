"""A section for each gate: its four answers, its findings, its drawings, and nothing where there is nothing."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ganatomy.core.finding import Finding
from ganatomy.core.run import write_json, write_text
from ganatomy.report import words
from ganatomy.report.drawings import drawings
from ganatomy.report.gates import came, gates
from ganatomy.report.html import render
from ganatomy.report.read import read_run
from ganatomy.report.tables import NEEDED

from .conftest import NAMES, SIX, TWO, write_run, write_tables

GATES = ("copying", "privacy", "fidelity", "coverage", "marginals", "dependence", "labels", "fairness", "hygiene")
DRAWN = {
    "marginals": ("marginals", "ranked"),
    "dependence": ("dependence", "heat"),
    "labels": ("labels", "scatter"),
    "separation": ("fidelity", "bars"),
    "missed": ("coverage", "missed"),
    "fairness": ("fairness", "groups"),
    "invariance": ("labels", "transforms"),
}  # table -> gate, drawing


@pytest.fixture(scope="module")
def page(whole: Path) -> str:
    return render(whole)[0]


@pytest.fixture
def spoilt(whole: Path, tmp_path: Path) -> Path:
    """A copy of `whole` that a test may spoil."""
    return shutil.copytree(whole, tmp_path / "spoilt")


def section(html: str, gate: str) -> str:
    """The part of a page that is a gate's."""
    start = html.index(f'<section class="gate" aria-labelledby="gate-{gate}">')
    return html[start : html.index("</section>", start)]


def text(html: str) -> str:
    return " ".join(re.sub(r"<wbr>", "", re.sub(r"<[^>w][^>]*>", " ", html)).split())


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_says_what_was_asked_what_came_out_what_it_means_and_what_to_do(page, gate):
    own = section(page, gate)
    places = [own.index(f"<h3>{head}</h3>") for head in ("What was asked", "What came out", "What it means")]
    places.append(own.index("<h3>What to do</h3>"))
    assert places == sorted(places)
    for i, place in enumerate(places):
        assert len(text(own[place : [*places, place + 2000][i + 1]])) > 40
    assert page.count(f'href="#gate-{gate}"') == 2  # from the table of questions, and from the contents


def test_the_findings_of_a_gate_stand_in_its_section_and_nowhere_else(page, whole):
    for view in gates(read_run(whole)):
        if view["key"] == "utility":
            continue
        own = section(page, view["key"])
        for one in [*view["shown"], *view["folded"]]:
            name = str(words.breakable(one["finding"].name))
            assert name in own and one["finding"].note.split(":")[0][:30] in own
    assert "Vendi score over yardstick" not in section(page, "fidelity")


def test_changes_that_training_made_count_among_the_labels_and_those_it_did_not_make_do_not(page, whole):
    (labels,) = [view for view in gates(read_run(whole)) if view["key"] == "labels"]
    assert labels["counts"] == [("fail", 1), ("inconclusive", 1), ("pass", 1)]
    assert [one["finding"].subject for one in labels["aside"]] == ["softer kernel"]
    assert "Changes that this cohort would bear" in section(page, "labels")
    assert "Invariance" not in [view["name"] for view in gates(read_run(whole))]


@pytest.mark.parametrize("table", DRAWN)
def test_a_table_that_is_missing_or_another_is_not_drawn(spoilt, table):
    gate, name = DRAWN[table]
    run = read_run(spoilt)
    assert drawings(gate, run, run.findings)[name]
    file = spoilt / "check" / f"{table}.csv"
    columns = {*NEEDED[table][0], *NEEDED[table][1]}
    few = pd.read_csv(file)[:5]
    assert columns <= {*few.columns}
    for content in [None, "", "\n", "a,b\n1,2\n", *(few.drop(columns=lost).to_csv(index=False) for lost in columns)]:
        if content is None:
            file.unlink()
        else:
            write_text(file, content)
        run = read_run(spoilt)
        assert not drawings(gate, run, run.findings)[name], content


def test_a_run_whose_tables_are_all_lost_has_a_page_and_no_gap(spoilt):
    for table in DRAWN:
        (spoilt / "check" / f"{table}.csv").unlink()
    html, record = render(spoilt)
    for gate in GATES:
        assert "<h3>What it means</h3>" in section(html, gate)
    assert record["gaps"] == {}  # older versions left no such tables, and that is no fault
    assert 'class="dots' not in html[html.index("</style>") :]


def test_a_picture_stands_on_the_page_of_its_gate(page):
    assert 'alt="benign: missed"' in section(page, "coverage")
    assert 'alt="Closest pairs: benign"' in section(page, "copying")  # named by its title, as older lists are
    assert page.count('alt="benign: missed"') == 1
    assert page.index('alt="benign"') < page.index('id="gate-copying"')


def test_features_that_failed_are_named_as_check_says_or_else_as_the_screen_does(spoilt):
    file = spoilt / "check" / "marginals.csv"
    table = pd.read_csv(file)
    own = table["class"] == "benign"
    screened = table[own & (table["q"] <= 0.05) & (table["D"] > 0.15)]
    assert 0 < len(screened) < own.sum()
    told = text(section(render(spoilt)[0], "marginals"))
    assert f"benign : {words.count(len(screened), 'feature')} of {own.sum()} stand" in told
    table["state"] = "pass"
    row = table.index[own][3]
    table.loc[row, "state"] = "fail"
    table.to_csv(file, index=False)
    told = text(section(render(spoilt)[0], "marginals")).replace(" :", ":")
    assert f"benign: 1 feature of {own.sum()} failed: {words.brief(table.loc[row, 'feature'])}." in told
    assert f"malignant: none of {own.sum()} features failed." in told


def test_the_margin_drawn_is_the_one_that_check_was_given(spoilt):
    path = spoilt / "check" / "done.json"
    done = json.loads(path.read_text())
    write_json(path, {**done, "settings": {"bars": {"marginals": {"ks_margin": 0.23}}}})
    own = section(render(spoilt)[0], "marginals")
    assert "The dashed line is the margin, 0.23:" in own and "beyond the margin of 0.230" in own


def test_the_pairs_that_differ_most_are_named_once_each(spoilt):
    rows = [("a", "b", 0.9, 0.1), ("b", "a", 0.9, 0.1), ("a", "c", 0.2, 0.25), ("a", "a", 1, 0)]
    table = pd.DataFrame(rows, columns=["a", "b", "rho_holdout", "rho_synthetic"]).assign(**{"class": "x"})
    table.to_csv(spoilt / "check" / "dependence.csv", index=False)
    run = read_run(spoilt)
    (view,) = drawings("dependence", run, [])["heat"]["shown"]
    assert [(row["a"][0], row["b"][0]) for row in view["pairs"]] == [("a", "b"), ("a", "c")]


def test_the_class_that_failed_is_drawn_first_and_many_are_folded(whole):
    run = read_run(whole)
    heat = drawings("dependence", run, [Finding("dependence", "x", "metastasis", 1.0, state="fail")])["heat"]
    assert [view["label"] for view in heat["shown"] + heat["folded"]] == ["metastasis", "benign", "malignant"]
    assert len(heat["folded"]) == 1


def test_a_change_of_the_images_has_its_loss_and_the_features_it_shifts(whole):
    run = read_run(whole)
    table = pd.read_csv(whole / "check" / "invariance.csv")
    own = table[(table["transform"] == "softer kernel") & (table["kind"] == "feature")]
    rows = drawings("labels", run, run.findings)["transforms"]["rows"]
    assert [row["name"] for row in rows] == ["softer kernel", "crop", "mirror image"]
    assert rows[0]["triple"] == pytest.approx((-0.09, -0.13, -0.05))
    assert rows[0]["moved"] == f"{(own['change'].abs() > 0.2).sum()} of {len(own)}"


def test_a_subgroup_that_is_too_small_has_its_reason_and_no_row_of_the_chart(spoilt):
    file = spoilt / "check" / "fairness.csv"
    table = pd.read_csv(file)
    table.loc[0, ["present", "present_low", "present_high", "alone", "alone_others", "shift", "copied"]] = None
    table["note"] = ["2 holdout patients, 10 are needed"] + [""] * (len(table) - 1)
    table.to_csv(file, index=False)
    run = read_run(spoilt)
    view = drawings("fairness", run, run.findings)["groups"]
    assert [row["name"] for row in view["small"]] == ["sex f"] and len(view["shown"]) == len(table) - 1
    assert "sex f , benign : 2 holdout patients, 10 are needed" in text(section(render(spoilt)[0], "fairness"))
    assert view["shown"][0]["triples"][0] == pytest.approx((0.65, 0.35, 0.95))
    assert view["shown"][0]["triples"][1][0] == pytest.approx(0.1)


def find(state: str, name: str = "a", subject: str = "", note: str = "n", gate: str = "coverage") -> Finding:
    value = None if state == "not computed" else 1.0
    return Finding(gate, name, subject, value, bar=("<=", 2.0), state=state, note=note)


@pytest.mark.parametrize(
    ("findings", "sentences"),
    [
        ([find("pass")], ["The one check passed."]),
        ([find("pass"), find("pass", "b")], ["Both checks passed."]),
        ([find("pass", str(k)) for k in range(3)], ["All 3 checks passed."]),
        ([find("fail", "a", "x"), find("fail", "b", "x"), find("pass")],
         ["2 of 3 checks failed for x: a; b.", "1 passed."]),
        ([find("fail", "a", "x"), find("fail", "b", "y")], ["2 of 2 checks failed: a (x); b (y)."]),
        ([find("fail", "a", "x"), find("fail", "a", "y")], ["2 of 2 checks failed for x, y: a."]),
        ([find("fail", str(k), "x") for k in range(6)], ["6 of 6 checks failed for x: 0; 1; 2; 3; and 2 more."]),
        ([find("inconclusive", note="too wide; 70 holdout patients would decide; p = 0.1"), find("pass", "b")],
         ["1 of 2 checks could not be decided: a.", "70 holdout patients would decide.", "1 passed."]),
        ([find("not computed", note="there are 3, 20 are needed"), find("not computed", "b", note="none are given")],
         ["None of the 2 checks gave a number.", "There are 3, 20 are needed.", "None are given."]),
        ([find("not computed", "a", "x", "none are given")],
         ["The one check gave no number for x: a.", "None are given."]),
        ([Finding("coverage", "a", value=1.0, state="pass")], ["1 value described; nothing was judged."]),
        ([], []),
    ],
)  # fmt: skip
def test_what_came_out_is_said_in_sentences(findings, sentences):
    assert came(findings) == sentences


def test_a_gate_that_nobody_knows_has_a_section_too(spoilt):
    path = spoilt / "check" / "findings.json"
    rows = json.loads(path.read_text())
    write_json(path, [*rows, {**rows[0], "gate": "Brand new!", "name": "novelty"}])
    own = section(render(spoilt)[0], "brand-new-")
    assert "novelty" in own and "What it means" not in own


def test_tables_alone_have_no_pictures_and_no_complaint_of_it(spoilt):
    facts = json.loads((spoilt / "data" / "facts.json").read_text())
    for key in ("shape", "dtype", "unit", "spacing", "range"):
        del facts[key]
    write_json(spoilt / "data" / "facts.json", {**facts, "features": NAMES})
    write_json(spoilt / "check" / "pictures.json", [])
    html, record = render(spoilt)
    assert record["cohort"]["features"] == len(NAMES)
    assert f"each row stands for an image, of which {len(NAMES)} features are known" in html
    assert html.count("There are no images to show: the sets are tables of features.") == 2
    assert "drew no" not in html


def test_names_from_tables_are_escaped(tmp_path):
    run = write_run(tmp_path / "six", classes=SIX, gates=True)
    evil = '"><img src=x onerror=alert(3)>'
    write_tables(run / "check", SIX, [evil, "a & b", "original_glcm_<script>"])
    html, _ = render(run)
    assert "<img src=x" not in html and "<script" not in html.lower() and "&lt;img src=x" in html


def test_eight_classes_and_many_features_stay_small(tmp_path: Path, make_run: Callable[..., Path]):
    classes = [f"class {k}" for k in range(8)]
    run = make_run(classes=classes, gates=True)
    write_tables(run / "check", classes, [f"wavelet-{k}_{name[9:]}" for k in range(16) for name in NAMES][:290])
    html, _ = render(run)
    assert len(html) < 5_000_000
    assert html == render(run)[0]


def test_a_run_of_an_older_version_has_its_sections_without_drawings(two):
    html, _ = render(two)
    assert TWO[0] in section(html, "marginals") and "Distribution of" in section(html, "marginals")
    assert "All features, from the worst" not in html and "How features go together" not in html
