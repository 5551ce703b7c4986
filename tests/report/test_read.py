"""What is missing, damaged or altered in a run folder becomes a sentence, never an error."""

import json

import pytest

from ganatomy.core.errors import RunError
from ganatomy.core.run import write_text
from ganatomy.report.read import MADE_BY, Part, read_run


def _gaps(run) -> dict[str, str]:
    return {name: part.gap for name, part in vars(read_run(run)).items() if isinstance(part, Part) and part.gap}


def test_a_whole_run_has_no_gap(two, six):
    for run in (two, six):
        found = read_run(run)
        assert _gaps(run) == {} and found.altered == ()
        assert all(stage.done for stage in found.stages.values())


def test_class_names_stay_as_they_were_written(six):
    found = read_run(six)
    labels = set(found.facts.value.classes)
    assert {"NA", "0", "<script>alert(1)</script>"} <= labels
    assert set(found.features.value["class"]) == labels
    assert set(found.made.value) == labels - {"<script>alert(1)</script>"}  # the class that needs none


def test_no_folder_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(RunError, match="ganatomy augment"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("stage", sorted(MADE_BY))
def test_a_stage_that_has_not_finished_names_its_command(copied, stage):
    run = copied
    (run / stage / "done.json").unlink()
    found = read_run(run)
    assert not found.stages[stage].done
    assert MADE_BY[stage] in found.stages[stage].gap
    gaps = _gaps(run)
    assert gaps and all(MADE_BY[stage] in gap for gap in gaps.values())


def test_a_begun_stage_is_said_to_have_begun(copied):
    run = copied
    (run / "prove" / "done.json").rename(run / "prove" / "begun.json")
    assert "begun but not finished" in read_run(run).stages["prove"].gap


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("data/facts.json", "facts"),
        ("synthetic/manifest.csv", "made"),
        ("check/pictures.json", "pictures"),
        ("train/pictures.json", "samples"),
        ("check/features.csv", "features"),
        ("check/suspects.csv", "suspects"),
        ("check/findings.json", "integrity"),
        ("prove/findings.json", "utility"),
        ("prove/protocol.json", "protocol"),
        ("prove/scores.csv", "scores"),
        ("prove/differences.csv", "differences"),
        ("train/log.jsonl", "log"),
    ],
)
@pytest.mark.parametrize("content", [None, "", "{}", "[1]", "\x00\x01", "a,b\n1,2\n"])
def test_a_missing_or_damaged_file_is_a_gap_of_its_own(copied, file, part, content):
    run = copied
    if content is None:
        (run / file).unlink()
    else:
        write_text(run / file, content)
    gaps = _gaps(run)
    assert set(gaps) == {part}
    assert file in gaps[part] and "--overwrite" in gaps[part]


@pytest.mark.parametrize("content", ["[]", "{", '{"format": 1}'])
def test_a_damaged_done_file_is_a_gap(copied, content):
    run = copied
    write_text(run / "check" / "done.json", content)
    assert "check/done.json is damaged" in read_run(run).stages["check"].gap


def test_a_stage_of_a_newer_format_is_not_read(copied):
    run = copied
    done = json.loads((run / "check" / "done.json").read_text())
    write_text(run / "check" / "done.json", json.dumps({**done, "format": 99, "version": "9.0"}))
    assert "9.0" in read_run(run).stages["check"].gap


def test_a_file_changed_after_its_stage_is_named(copied):
    run = copied
    path = run / "prove" / "findings.json"
    write_text(path, path.read_text().replace('"pass"', '"fail"', 1))
    (sentence,) = read_run(run).altered
    assert "prove/findings.json was changed" in sentence


@pytest.mark.parametrize("file", ["../../secret.png", "facts.json"])
def test_only_pictures_within_the_stage_are_embedded(copied, file):
    run = copied
    png = (run / "check" / "grid-0.png").read_bytes()
    (run.parent / "secret.png").write_bytes(png)
    write_text(run / "check" / "facts.json", "{}")
    write_text(run / "check" / "pictures.json", json.dumps([{"file": file, "title": "t", "caption": ""}]))
    assert set(_gaps(run)) == {"pictures"}


def test_an_interrupted_log_that_repeats_steps_keeps_the_last(copied):
    run = copied
    write_text(
        run / "train" / "log.jsonl",
        '{"step": 100, "G": 2.0}\n{"step": 50, "G": 1.0}\n{"step": 100, "G": 3.0}\n',
    )
    log = read_run(run).log.value
    assert log["step"].tolist() == [50, 100] and log["G"].tolist() == [1.0, 3.0]
