"""The cohort: columns, classes, patients, rows; a manifest comes back as it was written, whatever its words."""

import numpy as np
import pandas as pd
import pytest

from ganatomy.core.cohort import Cohort, read_manifest, write_manifest
from ganatomy.core.errors import InputError


def cohort(**columns):
    return Cohort(pd.DataFrame(columns), "lesions")


def test_columns_are_texts_and_absent_values_are_empty():
    some = cohort(path=["a", "b", "c"], **{"class": ["x", "y", "x"]}, patient=["p", None, np.nan], fold=[0, 1, 1])
    assert some.column("fold") == ["0", "1", "1"]
    assert some.column("patient") == ["p", "", ""]
    assert some.column("unit") == ["", "", ""]
    assert (some.labels, some.classes, some.codes) == (["x", "y", "x"], ("x", "y"), [0, 1, 0])
    assert some.counts == {"x": 2, "y": 1} and len(some) == 3


def test_an_unknown_patient_is_a_patient_of_its_own():
    some = cohort(path=["a", "b", "c"], patient=["p", "", ""])
    assert some.patients == ["p", "?b", "?c"] and not some.patients_known
    assert cohort(path=["a"], patient=["p"]).patients_known
    assert not cohort(path=["a"]).patients_known


def test_groups_are_the_columns_without_a_meaning_of_their_own():
    assert cohort(path=["a"], sex=["F"], role=["train"], site=["A"]).groups == ["sex", "site"]


def test_where_and_take_keep_the_order():
    some = cohort(path=list("abcd"), **{"class": list("xyxy")}, role=["train", "test", "test", "train"])
    assert some.where("train").column("path") == ["a", "d"]
    assert some.where("test", "x").column("path") == ["c"]
    assert some.where(label="y").column("path") == ["b", "d"]
    assert some.take([3, 0]).column("path") == ["d", "a"]
    assert list(some.take([3, 0]).table.index) == [0, 1]
    assert len(some.where("holdout")) == 0


def test_where_refuses_what_is_not_there():
    some = cohort(path=["a"], **{"class": ["malignant"]})
    with pytest.raises(InputError, match="lesions has not been split"):
        some.where("train")
    with pytest.raises(InputError, match="no class 'malignat'; did you mean 'malignant'"):
        some.where(label="malignat")


AWKWARD = ["01", "1.0", "NA", "None", "nan", "", "a,b", 'say "x"', "zwölf", "#", " lead", "True", "1e3", "two\nlines"]


def test_a_manifest_comes_back_word_for_word(tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(len(AWKWARD))]
    table = pd.DataFrame({"path": paths, "class": AWKWARD, "patient": AWKWARD[::-1], "site": AWKWARD}, dtype=str)
    path = write_manifest(Cohort(table), tmp_path / "m.csv")
    again = read_manifest(path)
    for name in table.columns:
        assert again.column(name) == list(table[name]), name
    assert write_manifest(again, tmp_path / "n.csv").read_bytes() == path.read_bytes()


def test_relative_paths_can_be_opened_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    kept = ["phantom:size=64,seed=3#17", "phantom:#0", "/abs/x.png"]
    (tmp_path / "sub" / "m.csv").write_text(
        "path\nx/1.png\n../y.png\ndata.npz#images/3\n12:30/z.png\npatient#3.png\n" + "".join(f'"{p}"\n' for p in kept)
    )
    monkeypatch.chdir(tmp_path)
    for where in (tmp_path / "sub" / "m.csv", tmp_path.__class__("sub/m.csv")):
        found = read_manifest(where).column("path")
        assert found[-3:] == kept
        names = ["x/1.png", "../y.png", "data.npz#images/3", "12:30/z.png", "patient#3.png"]
        assert found[:-3] == [str(tmp_path / "sub" / name) for name in names]


def test_a_byte_order_mark_and_spaced_names_of_columns_are_no_hindrance(tmp_path):
    (tmp_path / "m.csv").write_bytes("\ufeffpath, class ,patient\r\n/a.png,x,7\r\n".encode())
    found = read_manifest(tmp_path / "m.csv")
    assert (found.column("path"), found.labels, found.patients) == (["/a.png"], ["x"], ["7"])


def test_a_short_line_has_no_patient_rather_than_one_called_nan(tmp_path):
    (tmp_path / "m.csv").write_text("path,class,patient\na.png,x\nb.png,x,p\n")
    found = read_manifest(tmp_path / "m.csv")
    assert found.column("patient") == list(found.table["patient"]) == ["", "p"] and not found.patients_known


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a CSV table"),
        (b"file,class\na,b\n", "no column 'path'.*file, class"),
        (b"path;class\na;b\n", "no column 'path'.*split at commas.*path;class"),
        (b"path,class\na.png,x,\nb.png,y,\n", "more values than its header"),
        (b"path,class\na.png,x\nb.png,y,z,z\n", "is not a CSV table"),
        (b"path,class\n\xff\xfe.png,x\n", "is not a CSV table"),
    ],
)
def test_a_manifest_that_is_none_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the manifest .*none\.csv: No such file"):
        read_manifest(tmp_path / "none.csv")
