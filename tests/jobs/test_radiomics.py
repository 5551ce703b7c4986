"""The radiomics job: one row per region, the same bytes whatever ended it before, one sentence for what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganatomy.core.errors import InputError, RunError, SettingsError
from ganatomy.core.settings import from_flat
from ganatomy.jobs import radiomics
from ganatomy.jobs.radiomics import RadiomicsJob, read_settings, run

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
HERE = Path(__file__).parent
FEW = {"families": "firstorder"}
FIRST = ["image", "mask", "label", "name", "version", "settings", "unit", "spacing", "resampled", "bins", "voxels"]


def job(images: Path, out: Path, masks: Path | None = None, **more: Any) -> Path:
    given = {"images": str(images), "masks": str(masks or ""), "out": out, **FEW, **more}
    return run(from_flat(RadiomicsJob(), given))


def volumes(folder: Path, count: int = 6, side: int = 12) -> Path:
    """Noise as NIfTI in images/, with two labels (two and five) in masks/; voxels of 2 x 1 x 0.5 mm."""
    random = np.random.default_rng(0)
    labels = np.zeros((side, side, side), np.uint8)
    labels[2:6, 2:6, 2:6], labels[7:10, 7:10, 7:10] = 2, 5
    for k in range(count):
        values = random.normal(100, 30, (side, side, side)).astype(np.float32)
        for name, array in (("images", values), ("masks", labels)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            nib.Nifti1Image(array, np.diag([0.5, 1, 2, 1])).to_filename(folder / name / f"p{k}.nii")
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volumes(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def table(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort's table, made without any interruption."""
    return job(cohort / "images", tmp_path_factory.mktemp("table") / "t.csv", cohort / "masks")


def test_one_row_for_each_region(cohort: Path, table: Path) -> None:
    rows = pd.read_csv(table, keep_default_na=False)
    assert list(rows.columns[: len(FIRST)]) == FIRST and len(rows) == 12
    assert [Path(path).name for path in rows["image"][:4]] == ["p0.nii", "p0.nii", "p1.nii", "p1.nii"]
    assert list(rows["label"][:4]) == [2, 5, 2, 5] and list(rows["voxels"][:2]) == [64, 27]
    assert set(rows["spacing"]) == set(rows["resampled"]) == {"2x1x0.5"} and set(rows["bins"]) == {"width 25"}
    assert len(set(rows["settings"])) == 1
    values = np.asarray(nib.load(cohort / "images" / "p1.nii").dataobj)
    labels = np.asarray(nib.load(cohort / "masks" / "p1.nii").dataobj)
    assert rows["original_firstorder_Mean"][3] == pytest.approx(values[labels == 5].astype(float).mean(), rel=1e-12)
    done = json.loads((table.parent / "t.done.json").read_text())
    assert done["settings"]["radiomics"]["families"] == ["firstorder"] and done["inputs"]["images"] == 6
    assert done["outputs"]["t.csv"]["rows"] == 12
    assert (table.parent / "t.notes.csv").read_text() == "image,mask,label,column,reason\n"
    assert sorted(path.name for path in table.parent.iterdir()) == ["t.csv", "t.done.json", "t.notes.csv"]


def test_done_is_done_and_what_changed_is_measured(
    cohort: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "t.csv"
    job(cohort / "images", out, cohort / "masks")
    assert out.read_bytes() == table.read_bytes()
    capsys.readouterr()
    monkeypatch.setattr(radiomics, "measure", None)  # nothing is measured again
    job(cohort / "images", out, cohort / "masks", workers=2)
    assert "nothing to do, it is done" in capsys.readouterr().err
    monkeypatch.undo()
    out.write_text("damaged")
    job(cohort / "images", out, cohort / "masks")
    assert out.read_bytes() == table.read_bytes()
    with pytest.raises(RunError, match=r"t\.csv was made with other settings \(bin_width 25\.0 -> 10\.0\)"):
        job(cohort / "images", out, cohort / "masks", bin_width=10)
    job(cohort / "images", out, cohort / "masks", bin_width=10, overwrite=True)
    assert set(pd.read_csv(out)["bins"]) == {"width 10"}
    with pytest.raises(RunError, match=r"new/t\.csv was made with other settings"):  # the notes would be lost
        job(cohort / "images", out.with_name("t.parquet"), cohort / "masks")
    (tmp_path / "mine.csv").write_text("precious")
    with pytest.raises(RunError, match=r"mine\.csv is there already and was not written here"):
        job(cohort / "images", tmp_path / "mine.csv", cohort / "masks")
    assert (tmp_path / "mine.csv").read_text() == "precious"


def test_where_the_command_is_given_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images without masks: what lies in the working folder is none of their business."""
    Image.fromarray(np.arange(36, dtype=np.uint8).reshape(6, 6)).save(tmp_path / "a.png")
    job(tmp_path / "a.png", tmp_path / "t.csv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    job(tmp_path / "a.png", tmp_path / "t.csv")
    assert "nothing to do" in capsys.readouterr().err


def test_an_image_that_changes_is_measured_again(tmp_path: Path) -> None:
    cohort = volumes(tmp_path / "c", 2)
    out = job(cohort / "images", tmp_path / "t.csv", cohort / "masks")
    before = pd.read_csv(out)
    path = cohort / "images" / "p1.nii"
    opened = nib.load(path)
    changed = nib.Nifti1Image(np.asarray(opened.dataobj) + np.float32(100), opened.affine)
    changed.to_filename(path)
    os.utime(path, ns=(1, 1))
    after = pd.read_csv(job(cohort / "images", out, cohort / "masks"))
    mean = "original_firstorder_Mean"
    np.testing.assert_allclose(after[mean] - before[mean], [0, 0, 100, 100], atol=1e-4)


@pytest.mark.slow
def test_processes_and_parquet_give_the_same(cohort: Path, table: Path, tmp_path: Path) -> None:
    out = job(cohort / "images", tmp_path / "t.csv", cohort / "masks", workers=2)
    assert out.read_bytes() == table.read_bytes()
    pq = pytest.importorskip("pyarrow.parquet")
    out = job(cohort / "images", tmp_path / "t.parquet", cohort / "masks")
    assert pq.read_table(out).column_names == list(pd.read_csv(table).columns)
    np.testing.assert_array_equal(
        pq.read_table(out).column("original_firstorder_Mean").to_numpy(),
        pd.read_csv(table)["original_firstorder_Mean"].to_numpy(),
    )


def test_slices_volumes_and_whole_images_stand_in_one_table(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    folder = tmp_path / "mixed"
    folder.mkdir()
    Image.fromarray(random.integers(0, 255, (9, 8), np.uint8)).save(folder / "a.png")
    nrrd.write(str(folder / "b.nrrd"), random.normal(size=(5, 6, 7)), {"spacings": [0.5, 1, 2]})
    rows = pd.read_csv(job(folder, tmp_path / "t.csv", families="firstorder,shape,shape2D"))
    assert list(rows["voxels"]) == [72, 210] and list(rows["label"]) == [1, 1]
    assert rows["spacing"].isna()[0] and rows["spacing"][1] == "2x1x0.5"
    assert rows["original_shape_VoxelVolume"].isna().tolist() == [True, False]
    assert rows["original_shape2D_PixelSurface"].isna().tolist() == [False, True]
    assert rows["original_shape_VoxelVolume"][1] == 210


def test_reasons_stand_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((6, 6), 7, np.uint8)).save(tmp_path / "flat.png")
    out = job(tmp_path / "flat.png", tmp_path / "t.csv")
    assert pd.read_csv(out)["original_firstorder_Skewness"].isna().all()
    notes = pd.read_csv(tmp_path / "t.notes.csv")
    assert f"undefined; {tmp_path / 't.notes.csv'} says why" in capsys.readouterr().err
    assert "original_firstorder_Skewness" in set(notes["column"]) and notes["reason"].str.len().min() > 10
    assert set(notes["label"]) == {1}


def test_labels_and_overlapping_regions_with_names(tmp_path: Path, cohort: Path) -> None:
    rows = pd.read_csv(job(cohort / "images", tmp_path / "five.csv", cohort / "masks", label="5"))
    assert set(rows["label"]) == {5} and len(rows) == 6
    with pytest.raises(InputError, match=r"masks/p0\.nii has no label 3; it has 2, 5 \(0 of 6 images are measured"):
        job(cohort / "images", tmp_path / "three.csv", cohort / "masks", label="3")
    layers = np.zeros((2, 6, 6, 6), np.uint8)
    layers[0, 1:4, 1:4, 1:4] = layers[1, 2:5, 2:5, 2:5] = 1
    header: dict[str, Any] = {"kinds": ["list", *["domain"] * 3], "space": "left-posterior-superior"}
    header["space directions"], header["space origin"] = np.vstack([np.full(3, np.nan), np.eye(3)]), np.zeros(3)
    for k, name in enumerate(("GTV", "oedema, left")):
        header |= {f"Segment{k}_Name": name, f"Segment{k}_LabelValue": "1", f"Segment{k}_Layer": f"{k}"}
    nrrd.write(str(tmp_path / "m.seg.nrrd"), layers, header)
    values = np.arange(216.0).reshape(6, 6, 6)
    nrrd.write(
        str(tmp_path / "i.nrrd"), values, {"space": "LPS", "space directions": np.eye(3), "space origin": [0] * 3}
    )
    rows = pd.read_csv(job(tmp_path / "i.nrrd", tmp_path / "t.csv", tmp_path / "m.seg.nrrd"))
    assert list(rows["name"]) == ["GTV", "oedema, left"] and list(rows["label"]) == [1, 2]
    np.testing.assert_allclose(rows["original_firstorder_Mean"], [values[layer == 1].mean() for layer in layers])


def test_a_table_of_images_and_labels(tmp_path: Path, cohort: Path) -> None:
    lines = [f"{cohort}/images/p{k}.nii,{cohort}/masks/p{k}.nii,{label}" for k, label in ((3, 5), (1, 2), (3, 2))]
    (tmp_path / "batch.csv").write_text("\n".join(["Image,Mask,Label", *lines]))
    rows = pd.read_csv(job(tmp_path / "batch.csv", tmp_path / "t.csv"))
    assert list(rows["label"]) == [5, 2, 2] and Path(rows["image"][1]).name == "p1.nii"


def test_a_manifest_says_what_values_and_pixels_mean(tmp_path: Path) -> None:
    """As of synthetic CT: 16-bit PNG with a slope and an intercept that make Hounsfield units."""
    stored = np.arange(36, dtype=np.uint16).reshape(6, 6) * 100
    Image.fromarray(stored).save(tmp_path / "a.png")
    lines = ["path,class,unit,spacing,slope,intercept", "a.png,x,HU,0.7x0.8,0.5,-1000"]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    rows = pd.read_csv(job(tmp_path / "manifest.csv", tmp_path / "t.csv"))
    assert rows["original_firstorder_Mean"][0] == stored.mean() * 0.5 - 1000
    assert (rows["unit"][0], rows["spacing"][0]) == ("HU", "0.7x0.8")
    (tmp_path / "manifest.csv").write_text("\n".join(lines).replace("0.7x0.8", "1x0.7x0.8"))
    with pytest.raises(InputError, match=r"the table says 1x0\.7x0\.8 mm of .*a\.png, which has 2 axes"):
        job(tmp_path / "manifest.csv", tmp_path / "u.csv")


# ---- what is wrong ----


def test_an_unreadable_file_in_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = volumes(tmp_path / "c", 5)
    whole = job(cohort / "images", tmp_path / "whole.csv", cohort / "masks").read_bytes()
    bad = cohort / "images" / "p2.nii"
    good, stamp = bad.read_bytes(), bad.stat().st_mtime_ns
    bad.write_bytes(good[:500])
    out = tmp_path / "t.csv"
    with pytest.raises(InputError, match=r"p2\.nii cannot be read as NIfTI .* \(4 of 5 images are measured and kept"):
        job(cohort / "images", out, cohort / "masks")
    assert not out.exists()
    capsys.readouterr()
    job(cohort / "images", out, cohort / "masks", keep_going=True)
    said = capsys.readouterr().err
    assert (
        "8 regions of 4 image(s)" in said and f"1 image(s) were left out, see {tmp_path / 't.notes.csv'}: {bad}" in said
    )
    (note,) = pd.read_csv(tmp_path / "t.notes.csv").to_dict("records")
    assert note["image"] == str(bad) and "cannot be read as NIfTI" in note["reason"]
    bad.write_bytes(good)
    os.utime(bad, ns=(stamp, stamp))
    job(cohort / "images", out, cohort / "masks")
    assert out.read_bytes() == whole and not (tmp_path / ".t.csv.rows").exists()


def test_masks_that_do_not_fit(tmp_path: Path, cohort: Path) -> None:
    small = nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
    small.to_filename(tmp_path / "small.nii")
    moved = nib.Nifti1Image(np.ones((12, 12, 12), np.uint8), np.diag([0.5, 1, 2.5, 1]))
    moved.to_filename(tmp_path / "moved.nii")
    for name, words in (("small", "4x4x4 voxels, not 12x12x12"), ("moved", "voxels of 2.5x1x0.5 mm, not 2x1x0.5 mm")):
        with pytest.raises(InputError, match=rf"{name}\.nii is not on the grid of its image .*p0\.nii: {words}"):
            job(cohort / "images" / "p0.nii", tmp_path / "t.csv", tmp_path / f"{name}.nii")
    (tmp_path / "m").mkdir()
    moved.to_filename(tmp_path / "m" / "p3.nii")
    with pytest.raises(
        InputError, match=r"5 image\(s\) have no mask in .*/m: .*p0\.nii, .*p1\.nii, .*p2\.nii and 2 more"
    ):
        job(cohort / "images", tmp_path / "t.csv", tmp_path / "m")
    with pytest.raises(InputError, match=r"no image of .*images could be measured; the first one: the mask"):
        job(cohort / "images", tmp_path / "t.csv", tmp_path / "m", keep_going=True)
    assert not list(tmp_path.glob("*t.csv*")), "nothing holds the corrected words to these"


def test_values_that_are_not_numbers_name_their_image(tmp_path: Path) -> None:
    for k in range(3):
        values = np.ones((5, 5, 5)) * np.arange(5)
        values[2, 2, 2] = np.nan if k == 1 else 1
        nrrd.write(str(tmp_path / f"{k}.nrrd"), values)
    with pytest.raises(InputError, match=r"1\.nrrd.*\(2 of 3 images are measured and kept"):
        job(tmp_path, tmp_path / "t.csv")
    rows = pd.read_csv(job(tmp_path, tmp_path / "t.csv", keep_going=True))
    assert [Path(path).name for path in rows["image"]] == ["0.nrrd", "2.nrrd"]


def test_words_that_are_wrong(tmp_path: Path, cohort: Path) -> None:
    for changes, words in (
        ({"out": None}, "say where to write the table"),
        ({"images": ""}, "say what to measure"),
        ({"workers": 0}, "--workers is a number of processes from 1, not 0"),
        ({"apart": "wavelet"}, "--apart is written as filter:setting=value"),
        ({"apart": "log:bin_width=3"}, "--apart is written as filter:setting=value, for one of --filters"),
        ({"filters": "original,square", "apart": "square:bin_widht=3"}, "there is no setting 'bin_widht'"),
    ):
        with pytest.raises(SettingsError, match=words):
            job(**{"images": cohort / "images", "out": tmp_path / "t.csv", **changes})
    with pytest.raises(InputError, match=r"t\.txt is no name of a table; call it t\.csv or \.parquet"):
        job(cohort / "images", tmp_path / "t.txt")


# ---- settings ----


def test_a_filter_with_settings_of_its_own(tmp_path: Path, cohort: Path) -> None:
    image, mask = cohort / "images" / "p0.nii", cohort / "masks" / "p0.nii"
    both = pd.read_csv(job(image, tmp_path / "a.csv", mask, filters="original,square", apart="square:bin_width=3"))
    fine = pd.read_csv(job(image, tmp_path / "b.csv", mask, filters="original,square", bin_width=3))
    wide = pd.read_csv(job(image, tmp_path / "c.csv", mask, filters="original,square"))
    assert set(both["bins"]) == {"width 25; square: width 3"}
    assert list(both.columns) == list(wide.columns)
    for name in both.columns[len(FIRST) :]:
        np.testing.assert_array_equal(both[name], (fine if name.startswith("square") else wide)[name])
    assert (fine["original_firstorder_Entropy"] != wide["original_firstorder_Entropy"]).all()


def test_a_parameter_file_of_pyradiomics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "imageType: {Original: {}, LoG: {sigma: [2.0, 3.0], binWidth: 5, distances: [1, 2]}, LBP3D: {}}\n"
        "featureClass: {firstorder: [Mean, Entropy]}\nsetting: {binWidth: 10, label: 4, correctMask: true}\n"
    )
    found = read_settings(path)
    assert "note: " in (said := capsys.readouterr().err) and "imageType.LBP3D is left out" in said
    settings = from_flat(RadiomicsJob(), found)
    assert (settings.label, settings.correct_mask, settings.radiomics.bin_width) == ((4,), True, 10.0)
    assert settings.radiomics.filters == ("original", "log")
    assert settings.apart == ("log:bin_width=5.0", "log:distances=1/2")
    base, log = radiomics._plan(settings).passes
    assert (base.filters, log.filters) == (("original",), ("log",))
    assert (log.bin_width, log.distances, log.sigma) == (5.0, (1, 2), (2.0, 3.0))
    assert log.families == ("firstorder",) and base.bin_width == 10.0
    path.write_text("imageType: {Square: {}, Original: {binWidth: 7}}")
    base, square = radiomics._plan(from_flat(RadiomicsJob(), read_settings(path))).passes
    assert (base.filters, base.families, base.bin_width) == (("original",), (), 7.0)
    assert (square.filters, square.bin_width) == (("square",), 25.0) and "shape" not in square.families
    (tmp_path / "ours.yaml").write_text("bin-width: 5\nradiomics: {filters: [original]}\n")
    assert read_settings(tmp_path / "ours.yaml") == {"bin_width": 5, "filters": ["original"]}
    (tmp_path / "ours.json").write_text('{"bin_width": 5}')
    assert read_settings(tmp_path / "ours.json") == {"bin_width": 5}
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(InputError, match=r"list\.yaml holds no names and values"):
        read_settings(tmp_path / "list.yaml")


def test_a_published_signature_runs_unchanged(tmp_path: Path) -> None:
    """Values of pyradiomics 3.0.1 for the parameter file beside, given the same image and mask as SimpleITK images."""
    z, y, x = np.mgrid[:14, :22, :20].astype(np.float64)
    image = 100 + 40 * np.sin(z / 3) + 30 * np.cos(y / 4 + x / 5) + (7 * z + 13 * y + 29 * x) % 31
    mask = 3 * (((z - 6.5) / 5) ** 2 + ((y - 10) / 7) ** 2 + ((x - 9) / 6) ** 2 < 1).astype(np.uint8)
    place = {"space": "LPS", "space directions": np.diag([1.0, 1.25, 2.5]), "space origin": [-10.0, 5.0, 3.0]}
    nrrd.write(str(tmp_path / "i.nrrd"), image.T, place)
    nrrd.write(str(tmp_path / "m.nrrd"), mask.T, place)
    given = {"images": tmp_path / "i.nrrd", "masks": tmp_path / "m.nrrd", "out": tmp_path / "t.csv"}
    rows = pd.read_csv(run(from_flat(RadiomicsJob(), {**read_settings(HERE / "radiomics_pyradiomics.yaml"), **given})))
    expected = json.loads((HERE / "radiomics_pyradiomics.json").read_text())
    assert set(rows.columns[len(FIRST) :]) == set(expected) and list(rows["label"]) == [3]
    assert rows["bins"][0] == "width 12; log: width 4; wavelet: width 9" and rows["resampled"][0] == "2x1.25x1.5"
    for name, value in expected.items():
        assert rows[name][0] == pytest.approx(value, rel=1e-6), name


# ---- whatever ends it ----

# whoever runs the tests in the background ignores Ctrl-C, and a command begun there would ignore it too
CODE = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ganatomy.core.settings import from_flat
from ganatomy.core.stop import signals
from ganatomy.jobs.radiomics import RadiomicsJob, run
if __name__ == "__main__":
    with signals():
        run(from_flat(RadiomicsJob(), json.loads(sys.argv[1])))
"""


# enough to do for a signal to come in the middle, on a machine that is busy with something else too
MANY = 40
LONG = {"filters": "original,wavelet,square,squareroot,logarithm,exponential,gradient"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Images of 1 MB, so that each is a piece of work of its own, and the table they end in."""
    folder = tmp_path_factory.mktemp("many")
    volumes(folder, MANY, side=65)
    return folder, job(folder / "images", folder / "whole.csv", folder / "masks", **LONG).read_bytes()


def start(folder: Path, out: Path, **more: Any) -> subprocess.Popen[str]:
    given = {"images": str(folder / "images"), "masks": str(folder / "masks"), "out": str(out), **FEW, **LONG, **more}
    source = str(Path(radiomics.__file__).parents[2])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": source}
    words = [sys.executable, "-c", CODE, json.dumps(given)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)


def until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 50
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.002)


def measured(out: Path) -> int:
    kept = out.with_name(f".{out.name}.rows")
    return kept.read_bytes().count(b'{"key":') if kept.exists() else 0


def children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_ended_by_a_signal_it_goes_on(
    number: int, many: tuple[Path, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, whole = many
    out = tmp_path / "t.csv"
    process = start(folder, out)
    until(process, lambda: measured(out) >= 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=50)
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert process.returncode == 130 and "interrupted; the same command goes on where it stopped" in err
    had = measured(out)
    assert 3 <= had < MANY and not out.exists()
    seen: list[str] = []
    real = radiomics.measure

    def counted(batch: list[Any], plan: Any) -> Any:
        seen.extend(key for key, _ in batch)
        return real(batch, plan)

    monkeypatch.setattr(radiomics, "measure", counted)
    job(folder / "images", out, folder / "masks", **LONG)
    assert out.read_bytes() == whole and len(seen) == MANY - had


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the processes are looked up in /proc")
def test_a_killed_worker_loses_nothing_and_none_outlives_the_command(many: tuple[Path, bytes], tmp_path: Path) -> None:
    folder, whole = many
    out = tmp_path / "t.csv"
    process = start(folder, out, workers=2)
    until(process, lambda: measured(out) >= 2)
    workers = [pid for pid in children(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert out.read_bytes() == whole and "Traceback" not in err
    process = start(folder, tmp_path / "other.csv", workers=2)
    until(process, lambda: measured(tmp_path / "other.csv") >= 1)
    workers = children(process.pid)
    process.kill()
    process.communicate()
    end = time.monotonic() + 20
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < end, "a worker outlived the command"
        time.sleep(0.05)


def test_one_table_is_written_by_one_command(cohort: Path, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "t.csv"
    with (tmp_path / ".t.csv.rows").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(RunError, match=r"\.t\.csv\.rows is in use by another ganatomy"):
            job(cohort / "images", out, cohort / "masks")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_real_series_with_structure_sets(tmp_path: Path) -> None:
    folder = SHARED / "dicom_samples"
    rows = pd.read_csv(job(folder, tmp_path / "t.csv", folder, keep_going=True))
    assert list(rows["name"]) == ["GTV_Mass_PET", "GTV_Mass_MR_T1"] and list(rows["voxels"]) == [239, 9655]
