"""Listing: every image of a source is found with its class, and what cannot be listed is told in one sentence."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from ganatomy.core.cohort import read_manifest, write_manifest
from ganatomy.core.errors import InputError
from ganatomy.data.read import image, pixels
from ganatomy.data.scan import Read, left_out, read, source_hash

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
GREY8 = np.arange(72, dtype=np.uint8).reshape(8, 9)


def some(shape, dtype, seed=0):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)


def picture(path, values):
    Pillow.fromarray(values).save(path)


def folder(root, **classes):
    """A folder by class; classes: name -> number of 8-bit images, all different."""
    for k, (name, n) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for i in range(n):
            picture(root / name / f"{i}.png", some((8, 9), np.uint8, 100 * k + i))
    return root


def manifest(root, text):
    (root / "m.csv").write_text(text)
    return root / "m.csv"


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


# ------------------------------------------------------------ folders


def test_a_folder_by_class(tmp_path):
    folder(tmp_path, malignant=2, benign=3)
    (tmp_path / "benign" / "deeper").mkdir()
    picture(tmp_path / "benign" / "deeper" / "x.tiff", GREY8)
    for junk in ("Thumbs.db", "._0.png", ".ipynb_checkpoints/0-checkpoint.png", "deeper/.hidden/1.png"):
        (tmp_path / "benign" / junk).parent.mkdir(exist_ok=True)
        (tmp_path / "benign" / junk).write_bytes(b"junk")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    found = read(tmp_path)
    assert found.counts == {"benign": 4, "malignant": 2} and not found.patients_known
    assert found.name == str(tmp_path) and "role" not in found.table
    assert pixels(found).shape == (6, 1, 8, 9) and pixels(found).dtype == np.uint8


def test_folders_of_a_split_are_roles_and_not_classes(tmp_path):
    for part in ("train", "Validation", "test"):
        folder(tmp_path / part, NORMAL=2, PNEUMONIA=1)
    found = read(tmp_path)
    assert found.classes == ("NORMAL", "PNEUMONIA")
    assert found.column("role") == ["val"] * 3 + ["test"] * 3 + ["train"] * 3


def test_classes_may_be_called_train_and_test(tmp_path):
    assert read(folder(tmp_path, train=1, test=1)).counts == {"test": 1, "train": 1}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda p: None, "holds no images by class"),
        (lambda p: picture(p / "x.png", GREY8), "put the images of each class into a sub-folder"),
        (lambda p: (folder(p, a=1), (p / "b").mkdir()), "/b holds no .png"),
        (lambda p: ((p / "a").mkdir(), (p / "a" / "x.doc").write_text("")), "no .png, .jpg"),
        (lambda p: picture(p / "x.png", GREY8), r"--pattern '\{class\}_\{patient\}_\*.png'"),
    ],
)
def test_a_folder_without_images_by_class_says_what_to_do(tmp_path, build, words):
    build(tmp_path)
    with pytest.raises(InputError, match=words):
        read(tmp_path)


def test_a_source_that_is_none_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"no file or folder nowhere/x"):
        read("nowhere/x")
    (tmp_path / "x.zip").write_text("")
    with pytest.raises(InputError, match=r"x\.zip is neither"):
        read(tmp_path / "x.zip")


def test_a_cohort_is_returned_as_it_is_and_a_phantom_is_listed():
    some = read("phantom:patients=40")
    assert read(some) is some and some.column("unit")[0] == "HU"
    assert pixels(some.take([0, 1])).dtype == np.int16


# ------------------------------------------------------------ names that say class and patient


def flat(root, *names):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(root / name, some((8, 9), np.uint8, i))
    return root


def test_class_patient_and_groups_stand_in_the_names_of_files(tmp_path):
    flat(tmp_path, "benign_p1_0.png", "benign_p1_1.png", "malignant_p2_x_y.png")
    (tmp_path / "README.txt").write_text("no image")
    found = read(tmp_path, Read(pattern="{class}_{patient}_*.png"))
    assert found.labels == ["benign", "benign", "malignant"] and found.patients == ["p1", "p1", "p2"]
    flat(tmp_path / "deep", "A/7/scans/benign/1.png", "B/8/benign/2.png")
    found = read(tmp_path / "deep", Read(pattern="{site}/{patient}/**/{class}/*.png"))
    assert found.column("site") == ["A", "B"] and found.groups == ["site"] and found.patients == ["7", "8"]
    found = read(tmp_path / "deep", Read(pattern="**/{class}/*"))
    assert found.labels == ["benign", "benign"] and not found.patients_known


def test_a_role_may_stand_there_too_and_dots_are_dots(tmp_path):
    flat(tmp_path, "train/1.5-a.png", "test/2.5-b.png")
    found = read(tmp_path, Read(pattern="{role}/{patient}-{class}.png"))
    assert found.column("role") == ["test", "train"] and found.patients == ["2.5", "1.5"]
    with pytest.raises(InputError, match="does not fit"):
        read(tmp_path, Read(pattern="{role}/{patient}-{class}.p.g"))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{class}_{patient}_*.png", r"odd\.png does not fit --pattern '.*' \(1 of 2 files\)"),
        ("{patient}_*", r"it has no \{class\}; it needs"),
        ("{class}_{class}_*", r"\{class\} stands there 2 times"),
        ("{class}_{my group}_*", r"\{my group\} at character 9 cannot be a name"),
        ("{class}_{sha256}_*", r"\{sha256\} at character 9 cannot be a name"),
        ("{class}_{}_*", r"\{\} at character 9 cannot be a name"),
        ("{class}_{patient_*.png", r"the \{ at character 9 is not closed; .* may have \{patient\}, \{role\}"),
        ("{class_{patient}_*.png", "the { at character 1 is not closed"),
        ("{class}_patient}_*.png", "the } at character 16 is not opened"),
        ("{class}_{pateint}_*.png", r"\{pateint\} at character 9 would be a group \(did you mean \{patient\}\?\)"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused_by_name(tmp_path, pattern, words):
    flat(tmp_path, "a_1_2.png", "odd.png")
    with pytest.raises(InputError, match=words):
        read(tmp_path, Read(pattern=pattern))


# ------------------------------------------------------------ TIFF stacks


def test_the_pages_of_a_stack_are_images_of_one_patient(tmp_path):
    stack, colours = some((5, 8, 9), np.uint16), some((3, 8, 9, 3), np.uint8)
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    tifffile.imwrite(tmp_path / "a" / "deep" / "#1.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b" / "one.TIFF", stack[0])
    found = read(tmp_path)
    assert found.column("path")[3].endswith("/#1.tif#3") and found.counts == {"a": 5, "b": 1}
    assert found.patients == ["a/deep/#1.tif"] * 5 + ["b/one.TIFF"]
    np.testing.assert_array_equal(pixels(found.take(range(5)))[:, 0], stack)
    again = read_manifest(write_manifest(found, tmp_path / "m.csv"))
    assert source_hash(again) == source_hash(found)
    assert read(tmp_path / "m.csv").column("path") == found.column("path")
    assert [path[-2:] for path in read(tmp_path, Read(slices="2")).column("path")] == ["#1", "#3", "FF"]
    tifffile.imwrite(tmp_path / "c.tif", colours, photometric="rgb")
    (tmp_path / "c.csv").write_text("path,class,patient\nc.tif,x,7\n")
    found = read(tmp_path / "c.csv")
    assert found.patients == ["7"] * 3
    np.testing.assert_array_equal(pixels(found), np.moveaxis(colours, -1, 1))
    with pytest.raises(InputError, match=r"c\.tif has fewer pages"):
        image(f"{tmp_path / 'c.tif'}#3")


def test_single_pages_are_not_said_to_be_patients(tmp_path):
    (tmp_path / "a").mkdir()
    tifffile.imwrite(tmp_path / "a" / "x.tif", GREY8)
    assert not read(tmp_path).patients_known


def test_series_of_what_has_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="there are none in"):
        read(folder(tmp_path, a=1), Read(series="CT"))


# ------------------------------------------------------------ manifests


def test_unit_and_spacing_fill_in_what_the_source_does_not_say(tmp_path):
    folder(tmp_path / "f", a=1, b=1)
    assert read(tmp_path / "f", Read(unit="SUV", spacing="4x4")).column("unit") == ["SUV", "SUV"]
    given = manifest(tmp_path, "path,class,unit\nf/a/0.png,x,HU\nf/b/0.png,y,HU\n")
    assert read(given, Read(unit="SUV")).column("unit") == ["HU", "HU"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,class\n", "lists no image"),
        ("path,Class\na.png,x\n", "no column 'class'.*did you mean 'Class'"),
        ("path,class\na.png,x\nb.png,\n", "names no class in line 3"),
    ],
)
def test_a_manifest_without_classes_is_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read(manifest(tmp_path, text))


def test_a_blank_patient_is_named_by_its_line(tmp_path):
    folder(tmp_path, f=3)
    told = r"names no patient in line 3 \(1\.png\), though other lines do; fill it in, or remove the column 'patient'"
    for blank in ("", " "):
        with pytest.raises(InputError, match=told):
            read(manifest(tmp_path, f"path,class,patient\nf/0.png,x,p1\nf/1.png,y,{blank}\nf/2.png,y,p2\n"))
    assert not read(manifest(tmp_path, "path,class,patient\nf/0.png,x,\nf/1.png,y,\n")).patients_known


def test_spaces_after_commas_are_no_part_of_a_name(tmp_path):
    folder(tmp_path, f=2)
    found = read(manifest(tmp_path, "path, class, patient\nf/0.png, x, p1\nf/1.png,x,p1\n"))
    assert (found.labels, found.patients) == (["x", "x"], ["p1", "p1"])


def test_what_is_left_out_of_a_folder_is_counted_by_kind(tmp_path):
    folder(tmp_path, a=2, b=2)
    assert left_out(tmp_path, read(tmp_path), Read()) == {}
    for junk in (
        "a/notes.txt",
        "a/Thumbs.db",
        "b/old.TXT",
        "README",
        "list.csv",
        ".hidden",
        ".git/x.txt",
        "b/.x/y.txt",
    ):
        (tmp_path / junk).parent.mkdir(exist_ok=True)
        (tmp_path / junk).write_text("no image")
    picture(tmp_path / "overview.png", GREY8)
    kinds = {".csv": 1, ".db": 1, ".png": 1, ".txt": 2, "readme": 1}
    found = left_out(tmp_path, read(tmp_path), Read())
    assert {kind.lower(): n for kind, n in found.items()} == kinds


def test_classes_that_look_like_numbers_or_nothing_keep_their_names(tmp_path):
    picture(tmp_path / "x.png", GREY8)
    found = read(manifest(tmp_path, "path,class\nx.png,01\nx.png,NA\nx.png,1.0\nx.png,None\n"))
    assert found.labels == ["01", "NA", "1.0", "None"]
    again = read(write_manifest(found, tmp_path / "again.csv"))
    assert again.labels == found.labels and again.counts["NA"] == 1


# ------------------------------------------------------------ npz


def arrays(n=6, **more):
    return {"images": some((n, 8, 9), np.uint8), "labels": np.arange(n) % 2, **more}


def test_an_npz_under_its_own_names(tmp_path):
    path = npz(
        tmp_path / "x.npz",
        scans=some((4, 8, 9, 3), np.uint8),
        grade=np.array([0, 1, 1, 0]),
        who=list("aabb"),
        site=[1, 2, 3, 4],
    )
    found = read(path, Read(images="scans", labels="grade", patients="who", groups=("site",), unit="HU"))
    assert (found.labels, found.patients, found.column("site")) == (list("0110"), list("aabb"), list("1234"))
    assert found.groups == ["site"] and found.column("path")[2] == f"{path}#scans/2"
    np.testing.assert_array_equal(pixels(found), np.moveaxis(some((4, 8, 9, 3), np.uint8), -1, 1))


def test_an_npz_under_the_usual_names(tmp_path):
    path = npz(
        tmp_path / "x.NPZ.npz",
        **arrays(patient=[7, 7, 8, 8, 9, 9], split=["train"] * 4 + ["test"] * 2, class_names=["b", "m"]),
    )
    found = read(path)
    assert found.labels == ["b", "m"] * 3 and found.patients == list("778899")
    assert found.column("role") == ["train"] * 4 + ["test"] * 2
    np.testing.assert_array_equal(pixels(found)[:, 0], arrays()["images"])


def test_the_keys_of_medmnist(tmp_path):
    parts = {f"{s}_images": some((n, 8, 8), np.uint8, n) for s, n in (("train", 3), ("val", 2), ("test", 1))}
    parts |= {f"{s}_labels": np.zeros((n, 1), np.uint8) + (n > 2) for s, n in (("train", 3), ("val", 2), ("test", 1))}
    found = read(npz(tmp_path / "x.npz", **parts))
    assert found.column("role") == ["train"] * 3 + ["val"] * 2 + ["test"] and found.labels == list("111000")
    np.testing.assert_array_equal(pixels(found.where("val"))[:, 0], parts["val_images"])
    parts["train_labels"] = np.zeros((3, 14), np.uint8)
    with pytest.raises(InputError, match=r"'train_labels' has shape \(3, 14\).*one value per image"):
        read(npz(tmp_path / "many.npz", **parts))


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ([0.0, 1.0, 2.0], None, ["0", "1", "2"]),
        ([0.5, 1.0, 2.0], None, ["0.5", "1", "2"]),
        (np.array([b"a", b"b", b"a"]), None, ["a", "b", "a"]),
        ([True, False, True], None, ["1", "0", "1"]),
        ([2.0, 0.0, 1.0], ["x", "y", "z"], ["z", "x", "y"]),
        ([True, False, True], ["no", "yes"], ["yes", "no", "yes"]),
        (["NA", "01", "x"], None, ["NA", "01", "x"]),
        (["y", "x", "y"], ["x", "y"], ["y", "x", "y"]),
    ],
)
def test_labels_of_any_type_are_words(tmp_path, labels, names, expected):
    more = {"class_names": np.array(names)} if names else {}
    path = npz(tmp_path / "x.npz", images=some((3, 8, 9), np.uint8), labels=np.asarray(labels), **more)
    assert read(path).labels == expected


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        (arrays(labels=[0, 1]), {}, r"'labels' has shape \(2,\), but 'images' holds 6 images"),
        (arrays(patient=np.zeros((6, 2))), {}, r"'patient' has shape \(6, 2\)"),
        (arrays(), {"patients": "patiens"}, "no array 'patiens'.*--patients"),
        (arrays(), {"images": "imges"}, "no array 'imges'.*did you mean 'images'"),
        (arrays(), {"groups": ("label",)}, "did you mean 'labels'"),
        ({"v": np.zeros((2, 8, 8))}, {}, r"no array 'images'; say which one with --images; it holds v \(2, 8, 8\)"),
        ({"images": np.zeros((2, 8, 8))}, {}, "no array 'labels'; say which one with --labels"),
        (arrays(class_names=["only one"]), {}, "'labels' holds '1', which 'class_names' has no name for"),
        (arrays(labels=[0, 1, -1, 0, 1, 0], class_names=["a", "b"]), {}, "'labels' holds '-1'"),
        (arrays(labels=[0, 1, np.nan, 0, 1, 0]), {}, "names no class for image 2"),
        ({"images": np.zeros((5, 64)), "labels": np.zeros(5)}, {}, r"has shape \(5, 64\); images are \(N, H, W\)"),
        ({"images": np.zeros(()), "labels": np.zeros(5)}, {}, r"'images' has shape \(\)"),
        ({"images": np.zeros((0, 8, 8)), "labels": np.zeros(0)}, {}, "holds no image"),
        (arrays(extra=np.array([{"a": 1}], dtype=object)), {}, "holds Python objects, which are not opened"),
    ],
)  # fmt: skip
def test_an_npz_that_does_not_fit_is_refused_in_words(tmp_path, content, settings, words):
    path = npz(tmp_path / "x.npz", **content)
    with pytest.raises(InputError, match=words) as caught:
        read(path, Read(**settings))
    assert str(path) in str(caught.value)


def test_patients_that_are_missing_are_unknown(tmp_path):
    found = read(npz(tmp_path / "x.npz", **arrays(patient=[1, 1, np.nan, 2, 2, 3])))
    assert found.column("patient") == ["1", "1", "", "2", "2", "3"] and not found.patients_known


def damaged(path, save=np.savez):
    save(path, **arrays(100, images=some((100, 8, 9), np.uint8) // 64))
    content = bytearray(path.read_bytes())
    content[1000:1100] = b"\xff" * 100
    path.write_bytes(content)


@pytest.mark.parametrize(
    "write",
    [
        lambda p: p.write_text("no archive"),
        lambda p: p.write_bytes(b""),
        lambda p: cut(npz(p, **arrays(100))),
        damaged,
        lambda p: damaged(p, np.savez_compressed),
        lambda p: (np.save(p.with_suffix(".npy"), np.zeros(3)), p.with_suffix(".npy").rename(p)),
    ],
    ids=["text", "empty", "cut", "damaged", "damaged inside", "npy"],
)
def test_an_npz_that_is_damaged_is_refused_by_name(tmp_path, write):
    write(tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"x\.npz cannot be read as npz"):
        read(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["set#1/x.npz", "a.npz#b/x.npz", "x y.NPZ", r"C:\data\x.npz"])
def test_rows_are_found_below_odd_paths(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    with path.open("wb") as stream:
        np.savez(stream, **{**arrays(), "a/b": some((6, 8, 9), np.uint8, 5)})
    found = read(path, Read(images="a/b"))
    again = read_manifest(write_manifest(found, tmp_path / "m.csv"))
    np.testing.assert_array_equal(pixels(again)[:, 0], some((6, 8, 9), np.uint8, 5))
    assert source_hash(again) == source_hash(found)


# ------------------------------------------------------------ hashes


def test_the_hash_of_a_source_sees_files_and_words(tmp_path):
    folder(tmp_path / "f", a=2, b=1)
    picture(tmp_path / "f" / "a" / "patient#3.png", GREY8)
    cohort = read(tmp_path / "f")
    before = source_hash(cohort)
    assert before == source_hash(read(tmp_path / "f"))
    assert before != source_hash(read(tmp_path / "f", Read(unit="HU")))
    picture(tmp_path / "f" / "a" / "0.png", GREY8 ^ 1)
    assert before != source_hash(cohort)
    (tmp_path / "f" / "b" / "0.png").unlink()
    with pytest.raises(InputError, match=r"no file .*b/0\.png"):
        source_hash(cohort)


# ------------------------------------------------------------ real data, where it lies beside the checkout


def real(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the checkout")
    return path


OWN = {"images": "volumes", "labels": "texture"}
BODY = {"AbdomenCT": 500, "BreastMRI": 50, "CXR": 400, "ChestCT": 100, "Hand": 150, "HeadCT": 300}
CELLS = {"Platelets": 330, "RBC": 1200, "WBC": 260}


@pytest.mark.parametrize(
    ("name", "settings", "counts", "shape"),
    [
        ("pneumoniamnist28/pneumoniamnist", {}, {"0": 1583, "1": 4273}, (1, 28, 28)),
        ("mednist64_subset/mednist64", {}, BODY, (1, 64, 64)),
        ("bccd_cells32/bccd_cells32", {"patients": "image_id"}, CELLS, (3, 32, 32)),
        ("lidc_cubes40/lidc_cubes40", OWN, {"1": 22, "2": 10, "3": 11, "4": 24, "5": 67}, (1, 40, 40, 40)),
    ],
)
def test_real_sets_are_read_through_settings_alone(name, settings, counts, shape):
    found = read(real(f"{name}.npz"), Read(**settings))
    assert found.counts == counts
    assert found.patients_known == ("bccd" in name or "lidc" in name)
    assert pixels(found.take([0, len(found) - 1])).shape == (2, *shape)
