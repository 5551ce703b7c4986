"""Reading: values come out as the file holds them, and what cannot be read is named in one sentence."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import png
import pytest
import tifffile
from PIL import Image as Pillow

from ganatomy.core.cohort import Cohort, read_manifest, write_manifest
from ganatomy.core.errors import InputError
from ganatomy.data import read as module
from ganatomy.data.read import Read, hashed, image, images, pixels, read, source_hash

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def some(shape, dtype, seed=0):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)


def pillow(path, values, mode=None):
    made = Pillow.fromarray(values)
    (made.convert(mode) if mode else made).save(path)
    return path


def deep_png(path, values, **options):
    """16-bit PNG of (H, W) or (H, W, planes); planes 2 and 4 hold an alpha."""
    height, width, planes = (*values.shape, 1)[:3]
    writer = png.Writer(width, height, greyscale=planes < 3, alpha=planes in (2, 4), bitdepth=16, **options)
    with path.open("wb") as stream:
        writer.write(stream, values.reshape(height, -1).tolist())
    return path


def folder(root, **classes):
    """A folder by class; classes: name -> number of 8-bit images, all different."""
    for k, (name, n) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for i in range(n):
            pillow(root / name / f"{i}.png", some((8, 9), np.uint8, 100 * k + i))
    return root


def manifest(root, text):
    (root / "m.csv").write_text(text)
    return root / "m.csv"


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


# ------------------------------------------------------------ files

GREY8, GREY16 = some((8, 9), np.uint8), some((8, 9), np.uint16)
RGB8, RGB16 = some((8, 9, 3), np.uint8), some((8, 9, 3), np.uint16)
RGBA8, RGBA16 = some((8, 9, 4), np.uint8), some((8, 9, 4), np.uint16)


@pytest.mark.parametrize(
    ("name", "write", "values"),
    [
        ("grey8.png", pillow, GREY8),
        ("grey16.png", pillow, GREY16),
        ("rgb8.PNG", pillow, RGB8),
        ("rgba8.png", pillow, RGBA8),
        ("greya16.png", deep_png, some((8, 9, 2), np.uint16)),
        ("rgb16.png", deep_png, RGB16),
        ("rgba16.png", deep_png, RGBA16),
        ("rgb16_interlaced.png", lambda path, v: deep_png(path, v, interlace=True), RGB16),
        ("rgb16_by_another_name.jpg", deep_png, RGB16),
        ("grey8.tif", tifffile.imwrite, GREY8),
        ("grey16.tiff", tifffile.imwrite, GREY16),
        ("int16.tif", tifffile.imwrite, some((8, 9), np.int16)),
        ("float32.tif", tifffile.imwrite, np.linspace(-1, 1, 72, dtype=np.float32).reshape(8, 9)),
        ("big_endian.tif", lambda path, v: tifffile.imwrite(path, v, byteorder=">"), GREY16),
        ("rgb8.tif", lambda path, v: tifffile.imwrite(path, v, photometric="rgb"), RGB8),
        ("rgb16.TIF", lambda path, v: tifffile.imwrite(path, v, photometric="rgb"), RGB16),
        ("three_wide.png", pillow, GREY8[:, :3]),
    ],
)
def test_values_are_exactly_those_stored(tmp_path, name, write, values):
    write(tmp_path / name, values)
    got = image(str(tmp_path / name)).values
    if values.ndim == 3:  # (H, W, C) -> (C, H, W), without what is opaque
        values = np.moveaxis(values[..., : {2: 1, 3: 3, 4: 3}[values.shape[-1]]], -1, 0)
    else:
        values = values[None]
    assert got.dtype == values.dtype and got.dtype.isnative
    np.testing.assert_array_equal(got, values)


def test_colours_apart_in_a_tiff_are_brought_together(tmp_path):
    values = np.moveaxis(RGB16, -1, 0)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(image(str(tmp_path / "x.tif")).values, values)


def test_significant_bits_do_not_shift_values(tmp_path):
    deep_png(tmp_path / "x.png", RGB16)
    head, *rest = png.Reader(bytes=(tmp_path / "x.png").read_bytes()).chunks()
    with (tmp_path / "y.png").open("wb") as stream:
        png.write_chunks(stream, [head, (b"sBIT", bytes([12, 12, 12])), *rest])
    np.testing.assert_array_equal(image(str(tmp_path / "y.png")).values, np.moveaxis(RGB16, -1, 0))


def test_a_palette_is_opened_into_its_colours(tmp_path):
    colours = np.array([[10, 20, 30], [200, 100, 50], [0, 255, 1]], np.uint8)
    codes = np.random.default_rng(0).integers(0, 3, (8, 9)).astype(np.uint8)
    made = Pillow.fromarray(codes, "L").copy()
    made = Pillow.frombytes("P", (9, 8), codes.tobytes())
    made.putpalette(colours.tobytes())
    made.save(tmp_path / "x.png")
    np.testing.assert_array_equal(image(str(tmp_path / "x.png")).values, np.moveaxis(colours[codes], -1, 0))


def test_grey_with_alpha_and_one_bit_are_grey(tmp_path):
    pillow(tmp_path / "la.png", GREY8, "LA")
    np.testing.assert_array_equal(image(str(tmp_path / "la.png")).values, GREY8[None])
    bits = GREY8 > 127
    pillow(tmp_path / "bits.png", bits)
    tifffile.imwrite(tmp_path / "bits.tif", bits, photometric="minisblack")
    for name in ("bits.png", "bits.tif"):
        np.testing.assert_array_equal(image(str(tmp_path / name)).values, bits[None] * np.uint8(255))


@pytest.mark.parametrize(("values", "channels"), [(GREY8, 1), (RGB8, 3)])
def test_a_jpeg_gives_what_its_decoder_gives(tmp_path, values, channels):
    smooth = np.asarray(Pillow.fromarray(values).resize((40, 32)))
    Pillow.fromarray(smooth).save(tmp_path / "x.jpeg", quality=95)
    got = image(str(tmp_path / "x.jpeg")).values
    assert got.shape == (channels, 32, 40) and got.dtype == np.uint8
    np.testing.assert_array_equal(
        got, np.asarray(Pillow.open(tmp_path / "x.jpeg")).reshape(32, 40, -1).transpose(2, 0, 1)
    )
    assert np.abs(got.astype(int) - smooth.reshape(32, 40, -1).transpose(2, 0, 1)).mean() < 12


def cut(path, content):
    path.write_bytes(content[: len(content) // 2])


def encoded(values, kind="png"):
    buffer = io.BytesIO()
    Pillow.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("cut.png", lambda p: cut(p, encoded(some((64, 64), np.uint8)))),
        ("cut16.png", lambda p: cut(deep_png(p, some((64, 64, 3), np.uint16)), p.read_bytes())),
        ("cut.jpg", lambda p: p.write_bytes(encoded(some((64, 64), np.uint8), "jpeg")[:600])),
        ("cut.tif", lambda p: (tifffile.imwrite(p, GREY16), cut(p, p.read_bytes()))),
        ("text.png", lambda p: p.write_text("no image")),
        ("text.tif", lambda p: p.write_text("no image")),
        ("empty.png", lambda p: p.write_bytes(b"")),
        ("folder.png", lambda p: p.mkdir()),
        ("missing.png", lambda p: None),
        ("missing.tif", lambda p: None),
        ("stack.tif", lambda p: tifffile.imwrite(p, some((5, 8, 9), np.uint8), photometric="minisblack")),
    ],
)
def test_what_cannot_be_read_is_named_in_one_sentence(tmp_path, name, write):
    write(tmp_path / name)
    with pytest.raises(InputError) as caught:
        image(str(tmp_path / name))
    assert str(caught.value).count(name) >= 1 and "\n" not in str(caught.value)


# ------------------------------------------------------------ folders


def test_a_folder_by_class(tmp_path):
    folder(tmp_path, malignant=2, benign=3)
    (tmp_path / "benign" / "deeper").mkdir()
    pillow(tmp_path / "benign" / "deeper" / "x.tiff", GREY8)
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
        (lambda p: pillow(p / "x.png", GREY8), "put the images of each class into a sub-folder"),
        (lambda p: (folder(p, a=1), (p / "b").mkdir()), "/b holds no .png"),
        (lambda p: ((p / "a").mkdir(), (p / "a" / "x.dcm").write_text("")), "no .png, .jpg"),
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


# ------------------------------------------------------------ manifests


def test_a_manifest_with_groups_relative_paths_slope_and_intercept(tmp_path, monkeypatch):
    folder(tmp_path / "img", a=2)
    pillow(tmp_path / "img" / "deep.png", GREY16)
    text = "path,class,patient,slope,intercept,unit,spacing,sex\n"
    text += "img/a/0.png,benign,7,,,,,F\nimg/a/1.png,malignant,8,1,-1024,HU,0.7x0.8,M\nimg/deep.png,x,8,0.5,0,,1x1,M\n"
    found = read(manifest(tmp_path, text))
    monkeypatch.chdir("/")
    assert (
        found.groups == ["sex"] and found.patients == ["7", "8", "8"] and found.classes == ("benign", "malignant", "x")
    )
    plain, hounsfield, half = images(found)
    np.testing.assert_array_equal(plain.values[0], some((8, 9), np.uint8))
    assert plain.values.dtype == np.uint8 and plain.spacing == ()
    np.testing.assert_array_equal(hounsfield.values[0], some((8, 9), np.uint8, 1).astype(int) - 1024)
    assert (hounsfield.values.dtype, hounsfield.unit, hounsfield.spacing) == (np.int16, "HU", (0.7, 0.8))
    np.testing.assert_array_equal(half.values[0], GREY16 / 2)
    assert half.values.dtype == np.float32


def test_an_intercept_never_wraps_round(tmp_path):
    pillow(tmp_path / "x.png", np.array([[0, 65535]], np.uint16))
    wide = image(str(tmp_path / "x.png"), 1, -1024).values
    assert wide.tolist() == [[[-1024, 64511]]]
    pillow(tmp_path / "y.png", np.array([[0, 2000]], np.uint16))
    table = pd.DataFrame({"path": [str(tmp_path / "y.png"), str(tmp_path / "x.png")], "intercept": "-1024"})
    assert pixels(Cohort(table)).ravel().tolist() == [-1024, 976, -1024, 64511]


def test_fractions_stay_fractions_under_an_intercept(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.array([[0.25, 0.75]], np.float32))
    assert image(str(tmp_path / "x.tif"), 1, 5).values.tolist() == [[[5.25, 5.75]]]


def test_unit_and_spacing_fill_in_what_the_source_does_not_say(tmp_path):
    folder(tmp_path / "f", a=1, b=1)
    assert read(tmp_path / "f", Read(unit="SUV", spacing="4x4")).column("unit") == ["SUV", "SUV"]
    given = manifest(tmp_path, "path,class,unit\nf/a/0.png,x,HU\nf/b/0.png,y,HU\n")
    assert read(given, Read(unit="SUV")).column("unit") == ["HU", "HU"]


@pytest.mark.parametrize("word", ["0.7", "0.7x0.7x2.5", "1x1"])
def test_spacing_is_millimetres_along_each_axis(tmp_path, word):
    pillow(tmp_path / "x.png", GREY8)
    assert image(str(tmp_path / "x.png"), spacing=word).spacing == tuple(map(float, word.split("x")))


@pytest.mark.parametrize("word", ["0.7 mm", "0,7x0,7", "0.7*0.7", "axb", "0x1", "-1x1", "nanx1", "x"])
def test_spacing_in_other_words_is_refused_by_name(tmp_path, word):
    pillow(tmp_path / "x.png", GREY8)
    with pytest.raises(InputError, match=r"x\.png is not millimetres per pixel; write it as 0.7x0.7") as caught:
        image(str(tmp_path / "x.png"), spacing=word)
    assert f"'{word}'" in str(caught.value)


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


def test_a_slope_that_is_no_number_is_refused_by_name(tmp_path):
    pillow(tmp_path / "x.png", GREY8)
    with pytest.raises(InputError, match=r"slope 'one'.*x\.png must be numbers"):
        pixels(read(manifest(tmp_path, "path,class,slope\nx.png,a,one\n")))


def test_classes_that_look_like_numbers_or_nothing_keep_their_names(tmp_path):
    pillow(tmp_path / "x.png", GREY8)
    found = read(manifest(tmp_path, "path,class\nx.png,01\nx.png,NA\nx.png,1.0\nx.png,None\n"))
    assert found.labels == ["01", "NA", "1.0", "None"]
    again = read(write_manifest(found, tmp_path / "again.csv"))
    assert again.labels == found.labels and again.counts["NA"] == 1


# ------------------------------------------------------------ pixels


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (some((8, 10), np.uint8), r"1\.tif is 8x10, 1 channel\(s\), uint8, but .*0\.tif is 8x9"),
        (RGB8, r"1\.tif is 8x9, 3 channel\(s\)"),
        (GREY16, r"1\.tif is 8x9, 1 channel\(s\), uint16"),
    ],
)
def test_images_that_differ_are_named(tmp_path, second, words):
    tifffile.imwrite(tmp_path / "0.tif", GREY8)
    tifffile.imwrite(tmp_path / "1.tif", second)
    with pytest.raises(InputError, match=words):
        pixels(read(manifest(tmp_path, "path,class\n0.tif,a\n1.tif,a\n")))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_named(tmp_path, bad):
    values = np.zeros((8, 9), np.float32)
    tifffile.imwrite(tmp_path / "0.tif", values)
    values[3, 3] = bad
    tifffile.imwrite(tmp_path / "1.tif", values)
    with pytest.raises(InputError, match=r"1\.tif holds values that are not numbers"):
        pixels(read(manifest(tmp_path, "path,class\n0.tif,a\n1.tif,a\n")))


def test_progress_is_told_image_by_image_and_the_first_fault_stops(tmp_path):
    folder(tmp_path, a=3)
    told = []
    pixels(read(tmp_path), told.append)
    assert told == [1, 1, 1]
    cohort = read(tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"1\.png"):
        pixels(cohort, told.append)
    assert told == [1, 1, 1, 1]


def test_a_cohort_of_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no image"):
        pixels(Cohort(pd.DataFrame({"path": []}), "empty"))


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
    ("stored", "shape"),
    [
        ((8, 9), (1, 8, 9)),
        ((8, 9, 1), (1, 8, 9)),
        ((8, 9, 3), (3, 8, 9)),
        ((1, 8, 9), (1, 8, 9)),
        ((3, 8, 9), (3, 8, 9)),
        ((5, 8, 9), (1, 5, 8, 9)),
    ],
)
def test_channels_come_first_wherever_they_were(tmp_path, stored, shape):
    values = some((2, *stored), np.uint8)
    found = pixels(read(npz(tmp_path / "x.npz", images=values, labels=[0, 1])))
    assert found.shape == (2, *shape)
    assert sorted(found[1].ravel()) == sorted(values[1].ravel())
    assert (found[1, 0].ravel()[:2] == (values[1, ..., 0] if stored[-1] in (1, 3) else values[1]).ravel()[:2]).all()


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


def test_bytes_in_the_other_order_are_turned_round(tmp_path):
    values = some((2, 8, 9), np.int16)
    found = read(npz(tmp_path / "x.npz", images=values.astype(">i2"), labels=np.array([0, 1], ">i4")))
    one = image(found.column("path")[1]).values
    assert one.dtype == np.int16 and one.dtype.isnative and found.labels == ["0", "1"]
    np.testing.assert_array_equal(one[0], values[1])


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
        lambda p: cut(npz(p, **arrays(100)), p.read_bytes()),
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


def test_rows_of_an_npz_that_has_changed_or_gone_are_named(tmp_path):
    path = npz(tmp_path / "x.npz", **arrays())
    found = read(path)
    npz(path, **arrays(3))
    with pytest.raises(InputError, match=r"no image images/3; it has changed"):
        pixels(found)
    path.unlink()
    with pytest.raises(InputError, match=r"no file .*x\.npz"):
        pixels(found)


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


def test_an_image_cannot_spoil_the_array_it_comes_from(tmp_path):
    found = read(npz(tmp_path / "x.npz", **arrays()))
    with pytest.raises(ValueError, match="read-only"):
        image(found.column("path")[0]).values[:] = 0
    pixels(found)[:] = 0  # a copy
    assert pixels(found).any()


def test_no_more_than_two_archives_are_held(tmp_path):
    module._arrays.cache_clear()
    for i in range(4):
        pixels(read(npz(tmp_path / f"{i}.npz", **arrays())))
    assert module._arrays.cache_info().currsize == 2 and module._arrays.cache_info().misses == 4


# ------------------------------------------------------------ hashes


def test_equal_hashes_are_equal_images(tmp_path):
    values = np.stack([GREY8[None], GREY8[None], GREY8[None] ^ 1])
    cohort = Cohort(pd.DataFrame({"path": list("abc"), "sex": list("fmf")}), "x")
    one, same, other = hashed(cohort, values).column("sha256")
    assert one == same != other
    assert hashed(cohort, values.astype(np.uint16)).column("sha256")[0] != one
    assert list(hashed(cohort, values).table.columns) == ["path", "sha256", "sex"]


def test_the_hash_of_a_source_sees_files_and_words(tmp_path):
    folder(tmp_path / "f", a=2, b=1)
    pillow(tmp_path / "f" / "a" / "patient#3.png", GREY8)
    cohort = read(tmp_path / "f")
    before = source_hash(cohort)
    assert before == source_hash(read(tmp_path / "f"))
    assert before != source_hash(read(tmp_path / "f", Read(unit="HU")))
    pillow(tmp_path / "f" / "a" / "0.png", GREY8 ^ 1)
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
