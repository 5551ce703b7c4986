"""The page and the record: complete, self-contained, escaped, the same every time."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ganatomy.core.run import file_hash, write_json, write_text
from ganatomy.core.verdict import WORDS, decide
from ganatomy.report import words
from ganatomy.report.html import cautions, render
from ganatomy.report.read import MADE_BY, read_run
from ganatomy.report.training import USUAL
from ganatomy.train import Loop

from .conftest import SUSPECTS

LINES = ("made", "train", "warm", "cold")  # colours of marks, not of letters
VOID = {"meta", "link", "img", "br", "wbr"}


class Page(HTMLParser):
    """What a page holds: its text, its tags with attributes, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.problems: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1:]} at {self.getpos()}")
        else:
            self.open.pop()

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        for tag in set(self.open):
            self.inside[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def squeeze(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def pages(two, six, whole):
    """(page, record) of three whole runs; `whole` has tables for the drawings of every gate."""
    return {run.name: render(run) for run in (two, six, whole)}


@pytest.mark.parametrize("name", ["two", "six", "whole"])
def test_every_tag_is_closed_and_every_id_is_one(pages, name):
    page = Page(pages[name][0])
    assert page.problems == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in (*page.all("a"), *page.all("use")):
        assert attributes["href"].removeprefix("#") in ids
    for _, attributes in page.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids


def test_the_parser_of_this_test_sees_what_is_wrong():
    assert Page("<p><b>x</p></b>").problems and Page("<div>").problems and not Page("<p>a<br>b</p>").problems


@pytest.mark.parametrize("name", ["two", "six", "whole"])
def test_nothing_is_fetched_and_no_script_runs(pages, name):
    html, _ = pages[name]
    page = Page(html)
    assert not page.all("script") and not page.all("iframe") and not page.all("object")
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")], tag
        for key in ("src", "href", "srcset", "xlink:href", "action", "data", "poster"):
            assert (attributes.get(key) or "#")[0] == "#" or attributes[key].startswith("data:"), (tag, key)
    assert not re.search(r"url\(|@import|https?:|file:", html)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["two", "six", "whole"])
def test_figures_have_texts_and_tables_have_heads(pages, name):
    page = Page(pages[name][0])
    assert all(attributes["alt"] and attributes["width"] and attributes["height"] for attributes in page.all("img"))
    assert all(
        attributes.get("aria-label") or attributes.get("aria-hidden") == "true" for attributes in page.all("svg")
    )
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    assert len(page.all("h1")) == 1 and page.all("html")[0]["lang"] == "en-GB"


@pytest.mark.parametrize("verdict", WORDS)
def test_the_verdict_is_the_first_thing_said(make_run, verdict):
    run = make_run(verdict=verdict)
    html, record = render(run)
    page, expected = Page(html), decide(read_run(run).findings)
    assert expected.word == verdict == record["verdict"]["word"]
    assert record["verdict"]["sentence"] == expected.sentence
    assert squeeze(page.inside["h1"][0]) == expected.sentence
    body = page.text[len(squeeze(page.inside["title"][0])) :].strip()
    assert body.startswith(expected.sentence)
    assert words.FOLLOWS[verdict] in body[: len(expected.sentence) + 200]
    assert "For research use only" in page.text
    assert all(limit in page.text for limit in expected.limits) and expected.limits


def test_copying_outweighs_a_gain(pages):
    html, record = pages["six"]
    assert record["verdict"]["word"] == "do not use"
    assert '<body class="do">' in html


@pytest.mark.parametrize("name", ["two", "six", "whole"])
def test_every_finding_is_on_the_page_and_in_the_record(pages, name, request):
    run = request.getfixturevalue(name)
    html, record = pages[name]
    rows = [squeeze(text) for text in Page(html).inside["tbody"]]
    findings = read_run(run).findings
    assert len(record["findings"]) == len(findings) > 20
    for finding, written in zip(findings, record["findings"], strict=True):
        value = squeeze(words.interval(finding.value, finding.low, finding.high))
        parts = [
            finding.name,
            finding.subject,
            squeeze(finding.note),
            value,
            words.bar(finding.bar),
            "not shown"
            if (finding.name, finding.state) == ("gain", "fail")
            else "described"
            if finding.state == "pass" and not finding.bar
            else finding.state,
        ]
        parts += [words.number(finding.yardstick), words.size(finding.n_images, finding.n_patients)]
        assert any(all(part in row for part in parts) for row in rows), finding
        assert (written["name"], written["value"], written["state"]) == (
            finding.name,
            finding.value,
            finding.state,
        )


def test_a_state_has_a_word_and_a_sign(pages):
    html, _ = pages["two"]
    for state, sign in (
        ("pass", "tick"),
        ("fail", "cross"),
        ("inconclusive", "query"),
        ("not computed", "dash"),
    ):
        css = state.replace(" ", "-")
        icon = f'<svg class="icon" aria-hidden="true"><use href="#{sign}"/></svg>'
        shown = f'<span class="state {css}">{icon}{state}'
        assert shown + "</span>" in html


def test_class_names_are_escaped_everywhere(pages):
    html, record = pages["six"]
    assert "<script" not in html.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    text = Page(html).text
    for label in record["cohort"]["classes"]:
        assert squeeze(label) in text, label


def test_what_jobs_wrote_is_escaped_too(copied):
    evil = '"><img src=x onerror=alert(2)>'
    for file in (
        "check/findings.json",
        "prove/findings.json",
        "check/pictures.json",
        "data/facts.json",
        "prove/protocol.json",
    ):
        path = copied / file
        text = path.read_text()
        for key in ("name", "note", "title", "caption", "dtype", "control"):
            text = re.sub(rf'"{key}": "[^"]*"', f'"{key}": {json.dumps(evil)}', text)
        write_text(path, text)
    done = json.loads((copied / "train" / "done.json").read_text())
    write_json(copied / "train" / "done.json", {**done, "settings": {evil: evil}, "job": evil})
    page = Page(render(copied)[0])
    assert page.problems == []
    assert not [tag for tag, attributes in page.tags if "onerror" in attributes or attributes.get("src") == "x"]
    assert evil in "".join(page.words)


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(two, copied, pages):
    again = render(copied)
    assert again[0] == pages["two"][0]
    assert json.dumps(again[1]) == json.dumps(pages["two"][1])
    assert str(two.parent) not in again[0] + json.dumps(again[1])


def test_the_record_is_strict_json_and_holds_the_tables(pages):
    for _, record in pages.values():
        again = json.loads(json.dumps(record, allow_nan=False))
        assert len(again["scores"]) == 33 and len(again["differences"]) == 27
        assert again["gaps"] == {} and set(again["stages"]) == set(MADE_BY)


def test_pictures_and_charts_are_all_there(pages, two):
    html, record = pages["two"]
    page = Page(html)
    assert len(page.all("img")) == 5  # two grids, two rows of pairs, the samples
    assert 6 <= len(record["features"]) <= 10
    assert record["features"][:2] == ["original_firstorder_Mean", "original_firstorder_Entropy"]
    charts = [a["aria-label"] for a in page.all("svg") if a.get("class") == "chart"]
    assert len([label for label in charts if label.startswith("Distribution")]) == 2 * len(record["features"])
    assert len([label for label in charts if "at step 20,000" in label]) == 7  # three losses, two p, two signs
    strips = [a["aria-label"] for a in page.all("svg") if a.get("class") == "strip" and "aria-label" in a]
    assert len(strips) == 3 * (6 + 5) + 3 * (5 + 4)  # metrics x (arms + differences) of both classifiers


def test_more_classes_mean_fewer_features(pages):
    assert len(pages["six"][1]["features"]) < len(pages["two"][1]["features"])


def test_the_commands_make_the_run_again(pages):
    text = next(text for text in Page(pages["two"][0]).inside["pre"] if text.startswith("ganatomy train"))
    lines = text.replace(" \\\n", " ").splitlines()
    assert [" ".join(line.split()[:2]) for line in lines] == [
        f"ganatomy {verb}" for verb in ("train", "generate", "check", "prove", "report")
    ]
    assert (
        lines[0].startswith("ganatomy train synthesis nodules/manifest.csv -o RUN")
        and "--ema-half-life=10000" in lines[0]
    )


@pytest.mark.parametrize("stages", [(), ("train",), ("train", "check"), ("data", "prove"), ("check",)])
def test_a_part_of_a_run_can_be_reported(make_run, stages):
    run = make_run(stages=stages)
    html, record = render(run)
    page = Page(html)
    assert page.problems == []
    for stage, command in MADE_BY.items():
        assert record["stages"][stage]["done"] == (stage in stages)
        assert (f"The stage '{stage}' has not been run: {command}" in page.text) == (stage not in stages)
    if "prove" not in stages:
        assert record["verdict"]["word"] == "undecided at this size"
    if "check" not in stages:
        assert any("copied has not been tested" in text for text in record["cautions"])


def test_an_empty_folder_is_a_page_of_gaps(tmp_path):
    html, record = render(tmp_path)
    assert Page(html).problems == [] and record["findings"] == []


@pytest.mark.parametrize(
    ("options", "caution"),
    [
        ({"patients_known": False}, "leakage of a patient from training into the test could not be excluded"),
        ({"stages": ("data", "train", "prove")}, "Whether images were copied has not been tested"),
    ],
)
def test_what_a_reader_must_know_stands_beside_the_verdict(make_run, options, caution):
    html, record = render(make_run(**options))
    page = Page(html)
    assert any(caution in text for text in record["cautions"])
    assert caution in page.text[: page.text.index("What was in the data")]


def test_a_question_of_copying_left_open_is_a_limit_with_its_reason(make_run):
    page = Page(render(make_run(copying="not computed"))[0])
    assert "not excluded: share nearer than chance (malignant): 12 held-out images are too few" in page.text


def test_the_same_reason_is_not_given_twice(copied):
    path = copied / "check" / "findings.json"
    rows = json.loads(path.read_text())
    note = "9 holdout patients of this class are too few"
    changes = {"subject": "malignant", "state": "inconclusive", "note": note, "low": 0, "high": 1}
    rows += [{**rows[0], **changes, "name": name} for name in ("copies, pixels", "copies, classifier")]
    write_json(path, rows)
    text = Page(render(copied)[0]).text
    text = text[: text.index("What was asked")]
    assert f"not excluded: copies, pixels (malignant): {note}" in text
    assert "not excluded: copies, classifier (malignant): for the same reason" in text
    assert text.count(note) == 1


def test_a_class_without_synthetic_images_is_explained(pages, copied):
    told = "No synthetic images of the class benign were made, so there is"
    path = copied / "check" / "features.csv"
    write_text(path, re.sub("(?m)^synthetic,benign,.*\n", "", path.read_text()))
    page = Page(render(copied)[0])
    assert page.text.count(f"{told} nothing to compare in this class.") == 1
    assert page.text.count(f"{told} no synthetic line.") == 1
    panels = [squeeze(text) for text in page.inside["figcaption"]]
    assert panels.count("benign (real only)") == len(pages["two"][1]["features"])
    assert "malignant (real only)" not in panels
    assert "(real only)" not in Page(pages["two"][0]).text  # there every class has a line to show


def suspect(run, *rows):
    write_text(run / "check" / "suspects.csv", SUSPECTS + "".join(f"{row}\n" for row in rows))


def test_suspected_copies_are_listed_and_said_beside_the_verdict(copied):
    assert "No single image is suspected to be a copy." in Page(render(copied)[0]).text
    suspect(
        copied,
        "malignant,synthetic/malignant/000007.png,images/p4.png,p4,classifier,0.5,0.25",
        "malignant,synthetic/malignant/000003.png,images/p1.png,p1,pixels,0,0",
        "malignant,synthetic/malignant/000007.png,images/p4.png,p4,pixels,0.4,0.125",
    )
    html, record = render(copied)
    rows = [squeeze(text) for text in Page(html).inside["tr"] if "synthetic/malignant/" in text]
    assert rows == [
        "synthetic/malignant/000003.pngmalignantimages/p1.pngpixels0",
        "synthetic/malignant/000007.pngmalignantimages/p4.pngpixels, classifier0.125",
    ]
    assert "2 synthetic images may be copies of training images: see 'Copying'." in record["cautions"]
    assert [(row["path"][-5:], row["ratio"]) for row in record["suspects"]] == [
        ("7.png", 0.25),
        ("3.png", 0),
        ("7.png", 0.125),
    ]
    suspect(copied, *(f"malignant,synthetic/{k}.png,images/p1.png,p1,pixels,{k},0.{k:03d}" for k in range(1, 101)))
    text = Page(render(copied)[0]).text
    assert "100 synthetic images, the first 20 of them" in text and "synthetic/20.png" in text
    assert "synthetic/21.png" not in text


@pytest.mark.parametrize(
    ("source", "image", "shown"),
    [
        ("/home/anna/lung study/lesions", "/home/anna/lung study/lesions/benign/1.png", "lesions/benign/1.png"),
        ("/home/anna/lung study/cohort.csv", "/home/anna/lung study/images/1.png", "images/1.png"),
        ("/home/anna/lung study/cohort.csv", "/mnt/pacs of anna/Meyer 1970/1.png", "1.png"),
        ("/home/anna/lesions.npz", "/home/anna/lesions.npz#images/17", "lesions.npz#images/17"),
        (r"C:\Users\anna\lesions", r"C:\Users\anna\lesions\benign\1.png", r"lesions\benign\1.png"),
        ("phantom:size=32", "phantom:size=32#17", "phantom:size=32#17"),
        ("lesions/cohort.csv", "lesions/images/1.png", "lesions/images/1.png"),
    ],
)
def test_a_report_that_is_passed_on_tells_nothing_of_the_folders_of_the_machine(copied, source, image, shown):
    for stage in ("data", "train"):
        done = json.loads((copied / stage / "done.json").read_text())
        done["settings"] |= {"data": source, "read": {"masks": image, "pattern": "{class}/{patient}_*.png"}}
        write_json(copied / stage / "done.json", done)
    facts = json.loads((copied / "data" / "facts.json").read_text())
    facts |= {"name": source, "near_duplicates": {"within": 1, "across": 0, "pairs": [[image, image, 0.9]]}}
    facts["warnings"] = [f"1 pair of images, such as {image} and {image}: is it one patient?", "1/2 and/or a / b."]
    write_json(copied / "data" / "facts.json", facts)
    suspect(copied, f"malignant,synthetic/malignant/000007.png,{image},p4,pixels,0.5,0.25")
    html, record = render(copied)
    written = html + json.dumps(record, ensure_ascii=False).replace("\\\\", "\\")
    for private in ("anna", "home", "pacs", "Meyer", "Users"):
        assert private not in written
    assert list(record["cohort"]["warnings"]) == [
        f"1 pair of images, such as {shown} and {shown}: is it one patient?",
        "1/2 and/or a / b.",
    ]
    assert record["stages"]["data"]["settings"]["read"] == {"masks": shown, "pattern": "{class}/{patient}_*.png"}
    assert any(shown in row for row in Page(html).inside["tr"])


def test_a_short_training_is_said(copied):
    rows = (copied / "train" / "log.jsonl").read_text().splitlines()
    write_text(copied / "train" / "log.jsonl", "\n".join(rows[:32]) + "\n")
    html, record = render(copied)
    (told,) = [text for text in record["cautions"] if "Training was short" in text]
    assert "51,200 images were shown, 96,000 are usual" in told
    assert "trained for 1,600 steps, which showed it 51,200 images in all" in Page(html).text


def test_what_is_usual_is_the_default():
    assert Loop().steps * Loop().batch == USUAL


def test_a_training_that_went_on_for_too_long_is_said_of_its_class(copied):
    path = copied / "train" / "log.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[-20:]:
        row |= {"D.augment.malignant": 0.8, "D.sign.malignant": 0.7, "D.augment.benign": 0.8, "D.sign.benign": 0.5}
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    told = [text for text in render(copied)[1]["cautions"] if "too long" in text]
    assert len(told) == 1 and "for the class malignant" in told[0]


def test_a_clean_run_has_no_caution(two):
    assert cautions(read_run(two)) == []


def test_a_table_changed_by_hand_is_said_beside_the_verdict(copied):
    path = copied / "check" / "findings.json"
    before = file_hash(path)
    write_text(path, path.read_text().replace('"fail"', '"pass"'))
    assert file_hash(path) != before
    html, _ = render(copied)
    text = Page(html).text
    assert "check/findings.json was changed after" in text[: text.index("What was in the data")]


def test_a_picture_that_is_small_is_enlarged_by_a_whole_factor(copied):
    from PIL import Image

    Image.new("L", (100, 40)).save(copied / "train" / "samples.png")
    images = {a["alt"]: a for a in Page(render(copied)[0]).all("img")}
    assert (
        images["Samples after the last step"]["width"],
        images["Samples after the last step"]["height"],
    ) == ("400", "160")
    assert images["benign"]["width"] == "780"


def test_the_style_sheet_has_enough_contrast():
    css = (Path(render.__code__.co_filename).parent / "style.css").read_text()
    light, dark, *_ = re.findall(r":root \{(.*?)\}", css, flags=re.S)
    paper = re.findall(r":root \{[^}]*--paper[^}]*\}", css)[-1]

    def luminance(colour: str) -> float:
        colour = colour.lstrip("#")
        colour = "".join(c * 2 for c in colour) if len(colour) == 3 else colour
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for scheme in (light, dark, paper):
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        for ground in ("paper", "tint"):
            for name in ("ink", "quiet", "link", "fail", "pass", "unsure", "none", *LINES):
                a, b = sorted((luminance(colours[name]), luminance(colours[ground])))
                enough = 3.0 if name in LINES else 4.5  # WCAG 2.2: 1.4.11 for lines, 1.4.3 for text
                assert (b + 0.05) / (a + 0.05) >= enough, (name, ground, scheme[:40])
