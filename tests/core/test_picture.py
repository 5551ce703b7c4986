"""Pictures: where each pixel of a grid lies, and what a window shows."""

import json

import numpy as np
from PIL import Image as Pillow

from ganatomy.core import picture


def test_a_grid_lies_row_by_row_with_a_gap():
    images = np.stack([np.full((2, 3, 3), i, np.uint8) for i in range(5)])
    drawn = picture.grid(images, columns=2, gap=1)
    assert drawn.shape == (3 * 3 - 1, 2 * 4 - 1, 3)
    for i in range(5):
        y, x = i // 2 * 3, i % 2 * 4
        assert (drawn[y : y + 2, x : x + 3] == i).all()
    assert (drawn[2] == 255).all() and (drawn[:, 3] == 255).all() and (drawn[6:, 4:] == 255).all()


def test_display_uses_the_window_and_keeps_colour():
    values = np.array([-2000, -1000, 0, 1000, 2000], np.int16).reshape(1, 1, 5)
    shown = picture.display(values, -1000, 1000)
    assert shown.shape == (1, 5, 3) and shown[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert (shown[..., 0] == shown[..., 2]).all()
    colour = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    assert (picture.display(colour, 0, 255) == np.moveaxis(colour, 1, -1)).all()
    assert (picture.display(np.zeros((2, 1, 4, 4)), 0, 0) == 0).all()  # an empty window divides by nothing


def test_beside_puts_two_pictures_on_white():
    drawn = picture.beside(np.zeros((2, 3, 3), np.uint8), np.ones((4, 1, 3), np.uint8), gap=2)
    assert drawn.shape == (4, 6, 3)
    assert (drawn[:2, :3] == 0).all() and (drawn[:, 5] == 1).all() and (drawn[2:, :5] == 255).all()


def test_a_small_picture_is_enlarged_by_whole_pixels(tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (3, 10, 3), dtype=np.uint8)
    path = picture.write_png(tmp_path / "p.png", small, least=40)
    assert (np.asarray(Pillow.open(path)) == small.repeat(4, 0).repeat(4, 1)).all()


def test_the_list_of_pictures_comes_back(tmp_path):
    assert picture.read_pictures(tmp_path) == []
    pictures = [
        picture.Picture("a.png", "Title", "Caption, größer"),
        picture.Picture("b.png", "Missed", "", "coverage"),
    ]
    picture.write_pictures(tmp_path, pictures)
    assert picture.read_pictures(tmp_path) == pictures
    assert json.loads((tmp_path / "pictures.json").read_text())[0]["file"] == "a.png"


def test_a_list_written_before_pictures_had_a_gate_is_read(tmp_path):
    (tmp_path / "pictures.json").write_text('[{"file": "a.png", "title": "t", "caption": "c"}]')
    assert picture.read_pictures(tmp_path) == [picture.Picture("a.png", "t", "c", "")]
