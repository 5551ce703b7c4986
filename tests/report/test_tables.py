"""Tables of check as a page needs them: text stays text, what is no number is left out."""

from pathlib import Path

import pytest

from ganatomy.core.run import write_text
from ganatomy.report import tables


def test_a_class_may_be_called_na_and_a_row_without_its_number_is_left_out(tmp_path):
    path = write_text(tmp_path / "x.csv", "class,feature,importance,auc\nNA,1,0.5,\nNA,2,,0.6\nNA,3,inf,0.6\n")
    table = tables.drawn("separation", path)
    assert table[["class", "feature"]].values.tolist() == [["NA", "1"]]
    assert table["importance"].tolist() == [0.5] and table["auc"].isna().all()


@pytest.mark.parametrize(("name", "needed"), sorted(tables.NEEDED.items()))
def test_a_missing_column_is_an_error_of_its_name(tmp_path, name, needed):
    columns = [*needed[0], *needed[1]]
    for lost in columns:
        rest = [column for column in columns if column != lost] + ["other"]
        path = write_text(tmp_path / "x.csv", ",".join(rest) + "\n" + ",".join("1" * len(rest)) + "\n")
        with pytest.raises(KeyError, match=lost):
            tables.drawn(name, path)


def test_plain_rows_have_none_where_there_is_no_number(tmp_path):
    path = write_text(tmp_path / "x.csv", "class,feature,importance,auc\na,f,0.5,\n")
    assert tables.plain(tables.drawn("separation", path)) == [
        {"class": "a", "feature": "f", "importance": 0.5, "auc": None}
    ]


def test_suspects_of_two_classes_may_have_one_name(tmp_path: Path) -> None:
    file = tmp_path / "suspects.csv"
    head = "class,path,nearest,nearest_patient,compared_by,distance,ratio\n"
    rows = [f"{label},/far/{label}/000.png,/far/t/{label}/0.png,p,{by},0,0\n" for label in "ab" for by in ("x", "y")]
    file.write_text(head + "".join(rows))
    found = tables.suspects(file, lambda path: Path(path).name)
    assert set(found["path"]) == {"000.png"} and found["image"].tolist() == [0, 0, 1, 1]
