"""check on tables of features that somebody measured: which columns count, what is refused, what comes out."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ganatomy.cli import main
from ganatomy.core.errors import InputError, RunError
from ganatomy.core.finding import NOT_COMPUTED, read_findings
from ganatomy.data.scan import Read
from ganatomy.jobs import check
from ganatomy.jobs.tables import is_table, read_tables, unchanged

NAMES = ("round", "size", "texture", "edge")


def features(first: int, patients: int, rows: int = 1) -> pd.DataFrame:
    """Correlated features of two classes, each patient with rows of one class."""
    whose = np.repeat(np.arange(first, first + patients), rows)
    draw = np.random.default_rng(first)
    common = draw.standard_normal((len(whose), 1))
    values = common + draw.standard_normal((len(whose), len(NAMES))) + (whose % 2)[:, None]
    table = pd.DataFrame(values, columns=list(NAMES))
    return table.assign(**{"class": np.where(whose % 2, "ill", "well"), "patient": [f"p{i}" for i in whose]}).assign(
        sex=np.where(whose % 4 < 2, "f", "m"), age=40 + whose % 37, note=[f"words {i}" for i in range(len(whose))]
    )


Frames = dict[str, pd.DataFrame]


@pytest.fixture
def frames() -> Frames:
    made = features(1000, 60).drop(columns=["patient", "sex", "age", "note"])
    return {"train": features(0, 60), "holdout": features(100, 60), "synthetic": made}


def saved(frames: Frames, folder: Path, suffix: str = ".csv") -> dict[str, str]:
    out = {}
    for role, frame in frames.items():
        path = folder / f"{role}{suffix}"
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
        out[role] = str(path)
    return out


def words(sources: dict[str, str], out: Path, *more: str) -> list[str]:
    named = [word for role, path in sources.items() for word in (f"--{role}", path)]
    return ["check", *named, "-o", str(out), "--resamples", "20", *more]


def test_tables_become_a_run_that_report_reads(
    frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames["reference"] = features(200, 20)
    sources, out = saved(frames, tmp_path), tmp_path / "out"
    assert main(words(sources, out, "--groups", "sex,age")) == 0
    said = capsys.readouterr().err
    assert "4 columns are features, groups: sex, age" in said
    facts = json.loads((out / "data" / "facts.json").read_text())
    assert facts["classes"]["ill"] == {"train": [30, 30], "select": [10, 10], "holdout": [30, 30], "test": [0, 0]}
    assert facts["features"] == list(NAMES)
    findings = read_findings(out / "check" / "findings.json")
    judged = {finding.gate for finding in findings if finding.state != NOT_COMPUTED}
    assert {"marginals", "dependence", "fidelity", "coverage"} <= judged
    table = pd.read_csv(out / "check" / "features.csv")
    assert list(table.columns) == ["set", "class", "patient", "path", *NAMES]
    np.testing.assert_allclose(table.loc[table["set"] == "train", NAMES], frames["train"][list(NAMES)], rtol=1e-8)
    assert table["path"].iloc[1] == f"{sources['train']}#1"
    assert json.loads((out / "check" / "pictures.json").read_text()) == []
    assert main(["report", str(out)]) == 0
    assert "round" in (out / "report.html").read_text()
    capsys.readouterr()
    assert main(words(sources, out, "--groups", "sex,age")) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_which_columns_are_features_and_which_are_groups(
    frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for frame in frames.values():
        frame.insert(0, "Unnamed", range(len(frame)))
        frame["diagnostics_Versions_Numpy"] = "2.0"
        frame["fold"], frame["seed"] = "1", 3
    sources = saved(frames, tmp_path)
    for path in sources.values():  # as pandas writes its index
        Path(path).write_text(Path(path).read_text().replace("Unnamed", "", 1))
    found = read_tables(sources, Read(groups=("age",)))
    assert found["synthetic"].names == found["train"].names == NAMES
    assert found["train"].cohort.groups == ["age"]
    assert found["synthetic"].cohort.groups == []
    by_default = {role: path for role, path in sources.items() if role != "synthetic"}
    assert read_tables(by_default, Read())["train"].cohort.groups == ["sex", "note"]
    assert read_tables(by_default, Read())["train"].names == (*NAMES, "age")  # numbers, unless --groups names them


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_csv_and_parquet_hold_the_same(suffix: str, frames: Frames, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    frames["train"]["class"] = frames["train"]["age"] % 2  # whole numbers
    found = read_tables(saved({"train": frames["train"]}, tmp_path, suffix), Read(groups=("sex",)))["train"]
    assert set(found.cohort.labels) == {"0", "1"}
    assert found.cohort.patients[3] == "p3"
    np.testing.assert_array_equal(found.values[:, :4], frames["train"][list(NAMES)])


def test_what_is_no_number_is_undefined(frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = frames["train"].astype({"round": object, "size": object})
    frame.loc[[0, 1, 2, 3], "round"] = ["", "nan", "inf", "-Inf"]
    frame["size"] = ""
    frames["train"] = frame
    found = read_tables(saved(frames, tmp_path), Read(groups=("sex", "age")))
    assert found["synthetic"].names == ("round", "texture", "edge")
    assert np.isnan(found["train"].values[:4, 0]).all()
    assert np.isfinite(found["train"].values[4:]).all()
    assert "no row has a value of size" in capsys.readouterr().err


def test_tables_of_ganatomy_radiomics(frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own columns beside the features are left out, and the folder of an image is its class."""
    for role, frame in frames.items():
        labels = frame.pop("class")
        about = {"label": 1, "name": "", "version": "0.1", "settings": "abc", "unit": "HU", "bins": "width 25"}
        images = [f"{role}/{label}/{i}.png" for i, label in enumerate(labels)]
        frames[role] = frame[list(NAMES)].assign(image=images, mask="", **about, spacing="1x1", voxels=256)
    found = read_tables(saved(frames, tmp_path), Read())
    assert found["holdout"].names == NAMES
    assert found["holdout"].cohort.counts == {"ill": 30, "well": 30}
    assert found["holdout"].cohort.groups == []
    assert "the folder its image lies in" in capsys.readouterr().err


def test_a_manifest_is_no_table(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("class,path,size\na,b.png,3\n")
    assert not is_table(str(manifest))
    assert not is_table(str(tmp_path))
    manifest.write_text("\ufeffclass,image,size\na,b.png,3\n")
    assert is_table(str(manifest))


def put(role: str, column: str, value: object, row: int | None = None) -> Callable[[Frames], None]:
    def change(frames: Frames) -> None:
        frame = frames[role]
        frame[column] = frame[column].astype(object) if column in frame else ""
        frame.loc[slice(None) if row is None else row, column] = value

    return change


BAD: dict[str, tuple[Callable[[Frames], None], str]] = {
    "columns": (
        lambda f: f.update(synthetic=f["synthetic"].drop(columns=["size", "edge"])),
        r"synthetic.csv \(synthetic\) has no column size, edge, which .*train.csv has",
    ),
    "no class": (
        lambda f: f.update(holdout=f["holdout"].rename(columns={"class": "Class"})),
        r"holdout.csv has no column 'class' \(did you mean 'Class'\?\); name .* --labels",
    ),
    "class unnamed": (put("train", "class", "", 4), "names no class in row 5"),
    "class alone": (put("synthetic", "class", "odd", 4), r"synthetic.csv \(synthetic\) has the class 'odd'"),
    "some patients": (put("holdout", "patient", "", 2), "names no patient in row 3"),
    "words": (put("train", "edge", "1,5", 2), "'edge' of .*train.csv holds '1,5' in row 3, which is no number"),
    "words in another": (put("synthetic", "edge", "big"), "'edge' of .*synthetic.csv holds 'big' in row 1"),
    "nothing": (put("synthetic", "edge", ""), r"'edge' of .*synthetic.csv \(synthetic\) has no value in any row"),
    "one row": (lambda f: f.update(synthetic=f["synthetic"][:1]), "holds one image only"),
    "empty": (lambda f: f.update(synthetic=f["synthetic"][:0]), "synthetic.csv has no row below its header"),
    "no features": (
        lambda f: f.update(train=f["train"][["class", "note"]]),
        "no column 'path' that names images and no column of numbers",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_in_one_sentence(
    name: str, frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, sentence = BAD[name]
    for role in ("train", "holdout"):
        frames[role] = frames[role].drop(columns="age")
    change(frames)
    sources = saved(frames, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(words(sources, tmp_path / "out")) == 2
    said = capsys.readouterr().err.splitlines()
    assert re.search(sentence, said[-1]), said
    assert sum(line.startswith("ganatomy:") for line in said) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_more_bad_tables(
    frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "battery", None)
    sources, out = saved(frames, tmp_path), tmp_path / "out"

    def refused(sentence: str, sources: dict[str, str], *more: str) -> None:
        assert main(words(sources, out, *more)) == 2
        said = capsys.readouterr().err
        assert re.search(sentence, said), said
        assert not out.exists()

    refused("no column age, which", sources)  # numbers that the synthetic table has not
    refused("no column 'sexe' .*--groups.*did you mean 'sex'", sources, "--groups", "sexe")
    refused("no column 'whom' .*--patients", sources, "--groups", "age", "--patients", "whom")
    (tmp_path / "images" / "ill").mkdir(parents=True)
    refused("is a table of features, and .*images is a set of images", {**sources, "holdout": str(tmp_path / "images")})
    refused("no file or folder .*none.csv", {**sources, "holdout": str(tmp_path / "none.csv")})
    twice = Path(sources["holdout"])
    twice.write_text(twice.read_text().replace("size", "round", 1))
    refused("has 2 columns 'round'", sources)


def test_a_row_that_changed_is_refused(frames: Frames, tmp_path: Path) -> None:
    sources = saved(frames, tmp_path)
    found = read_tables(sources, Read(groups=("sex", "age")))["synthetic"]
    np.testing.assert_array_equal(unchanged(found.cohort.take([3, 1]), NAMES), found.values[[3, 1]])
    frames["synthetic"].loc[1, "round"] += 1
    saved(frames, tmp_path)
    with pytest.raises(RunError, match=r"synthetic\.csv#1 is not the row"):
        unchanged(found.cohort, NAMES)
    frames["synthetic"] = frames["synthetic"][:10]
    saved(frames, tmp_path)
    with pytest.raises(InputError, match=r"synthetic\.csv has no row 11 any more"):
        unchanged(found.cohort, NAMES)
