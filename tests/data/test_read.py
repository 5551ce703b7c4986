"""Reading: values come out as the file holds them, and what cannot be read is named in one sentence."""

import io
from importlib.util import find_spec

import numpy as np
import pandas as pd
import png
import pytest
import tifffile
from PIL import Image as Pillow

from ganatomy.core.cohort import Cohort
from ganatomy.core.errors import InputError
from ganatomy.data import read as module
from ganatomy.data.read import hashed, image, images, pixels
from ganatomy.data.scan import read


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


@pytest.mark.parametrize(("low", "high"), [(-1, 5), (0, 65536)])
def test_values_that_do_not_fit_sixteen_bits_are_refused(tmp_path, low, high):
    Pillow.fromarray(np.array([[low, high]], np.int32)).save(tmp_path / "x.png", format="tiff")
    with pytest.raises(InputError, match=rf"x\.png holds values from {low} to {high}, which do not fit 16 bits; save"):
        image(str(tmp_path / "x.png"))
    Pillow.fromarray(np.array([[0, 65535]], np.int32)).save(tmp_path / "x.png", format="tiff")
    assert image(str(tmp_path / "x.png")).values.tolist() == [[[0, 65535]]]


def test_colours_apart_in_a_tiff_are_brought_together(tmp_path):
    values = np.moveaxis(RGB16, -1, 0)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(image(str(tmp_path / "x.tif")).values, values)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="the decoder is installed")
@pytest.mark.parametrize(("how", "name"), [("tiff_lzw", "LZW"), ("jpeg", "JPEG")])
def test_a_tiff_that_needs_a_decoder_says_what_to_install(tmp_path, how, name):
    Pillow.fromarray(GREY8).save(tmp_path / "x.tif", compression=how)
    with pytest.raises(InputError, match=rf"x\.tif is compressed as {name}; .* python -m pip install imagecodecs"):
        image(str(tmp_path / "x.tif"))
    Pillow.fromarray(GREY8).save(tmp_path / "y.tif", compression="tiff_deflate")
    np.testing.assert_array_equal(image(str(tmp_path / "y.tif")).values, GREY8[None])


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


# ------------------------------------------------------------ slope, intercept, unit, spacing


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


def test_a_slope_that_is_no_number_is_refused_by_name(tmp_path):
    pillow(tmp_path / "x.png", GREY8)
    with pytest.raises(InputError, match=r"slope 'one'.*x\.png must be numbers"):
        pixels(read(manifest(tmp_path, "path,class,slope\nx.png,a,one\n")))


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


def test_bytes_in_the_other_order_are_turned_round(tmp_path):
    values = some((2, 8, 9), np.int16)
    found = read(npz(tmp_path / "x.npz", images=values.astype(">i2"), labels=np.array([0, 1], ">i4")))
    one = image(found.column("path")[1]).values
    assert one.dtype == np.int16 and one.dtype.isnative and found.labels == ["0", "1"]
    np.testing.assert_array_equal(one[0], values[1])


def test_rows_of_an_npz_that_has_changed_or_gone_are_named(tmp_path):
    path = npz(tmp_path / "x.npz", **arrays())
    found = read(path)
    npz(path, **arrays(3))
    with pytest.raises(InputError, match=r"no image images/3; it has changed"):
        pixels(found)
    path.unlink()
    with pytest.raises(InputError, match=r"no file .*x\.npz"):
        pixels(found)


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
