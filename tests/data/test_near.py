"""Near duplicates: planted ones are found, pictures of the same anatomy in different people are not."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ganatomy.data import phantom
from ganatomy.data.near import near_duplicates, thumbnail
from ganatomy.data.read import hashed, pixels
from ganatomy.data.scan import read

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def anatomy(n, side=48, seed=0):
    """The same body in everyone, of slightly other size and place, with noise of its own: (n, 1, side, side)."""
    random, (y, x) = np.random.default_rng(seed), np.mgrid[:side, :side] / side
    out = []
    for _ in range(n):
        cy, cx, ry, rx = random.normal((0.5, 0.5, 0.35, 0.3), 0.02)
        body = 150 / (1 + np.exp(20 * (np.hypot((y - cy) / ry, (x - cx) / rx) - 1)))
        out.append(body + random.normal(60, 12, (side, side)))
    return np.stack(out)[:, None].clip(0, 255).astype(np.uint8)


def jpeg(one):
    buffer = io.BytesIO()
    Pillow.fromarray(one).save(buffer, "jpeg", quality=60)
    return np.asarray(Pillow.open(buffer))


NOISE = np.random.default_rng(9).normal(0, 3, (48, 48))
CHANGES = {
    "noise": lambda one: (one + NOISE).clip(0, 255),
    "darker": lambda one: one * 0.8 + 7,
    "compressed": jpeg,
    "one pixel": lambda one: np.where(np.arange(one.size).reshape(one.shape) == 5, 0, one),
}


def found(values, patients=None):
    who = patients or [str(i) for i in range(len(values))]
    return near_duplicates(values, who, [one.tobytes().hex() for one in values])


@pytest.mark.parametrize("change", CHANGES)
def test_a_planted_copy_is_found_and_it_alone(change):
    values = anatomy(60)
    values[41] = CHANGES[change](values[7, 0])
    assert [(i, j) for i, j, _ in found(values)] == [(7, 41)]


def test_people_of_one_anatomy_are_not_copies():
    values = anatomy(200)
    flat = np.stack([thumbnail(one, 16).ravel() for one in values])
    alike = np.corrcoef(flat)[np.triu_indices(200, 1)]
    assert (alike > 0.98).sum() > 100, "thumbnails alone would name them"
    assert found(values) == []


def test_images_of_one_patient_exact_copies_and_constant_images_are_left_out():
    values = anatomy(10)
    values[3] = CHANGES["noise"](values[2, 0])
    who = list("abccdefghi")
    assert found(values, who) == []
    values[3] = values[2]
    values[5:8] = np.array([0, 7, 7])[:, None, None, None]
    assert found(values) == []


def test_small_images_colours_and_one_image():
    values = np.random.default_rng(0).integers(0, 255, (20, 3, 9, 11)).astype(np.uint8)
    values[4] = (values[2] * 0.9).astype(np.uint8)
    assert [(i, j) for i, j, _ in found(values)] == [(2, 4)]
    assert found(values[:1]) == []


def test_a_thumbnail_is_the_mean_of_its_blocks():
    values = np.arange(64, dtype=np.int16).reshape(1, 8, 8)
    np.testing.assert_allclose(thumbnail(values, 2), values[0].reshape(2, 4, 2, 4).mean((1, 3)))
    np.testing.assert_allclose(thumbnail(values, 16), values[0])
    assert thumbnail(values, 3).mean() == pytest.approx(31.5, abs=3)


def test_the_phantoms_near_copies_are_found_and_a_plain_phantom_has_none():
    plain, planted = read("phantom:patients=60"), read("phantom:patients=60,near_duplicates=0.1")
    values = pixels(plain)
    assert near_duplicates(values, plain.patients, hashed(plain, values).column("sha256")) == []
    values = pixels(planted)
    paths = planted.column("path")
    facts = phantom.truth(phantom.parse(planted.name))
    truth = {frozenset((a, b)) for a, b in zip(facts["path"], facts["near_copy_of"], strict=True) if b}
    pairs = near_duplicates(values, planted.patients, hashed(planted, values).column("sha256"))
    named = {frozenset((paths[i], paths[j])) for i, j, _ in pairs}
    assert len(truth) > 8 and len(named & truth) >= 0.9 * len(truth)


@pytest.mark.slow
def test_six_thousand_images_take_seconds():
    path = SHARED / "pneumoniamnist28" / "pneumoniamnist.npz"
    if not path.exists():
        pytest.skip("pneumoniamnist28 is not beside the checkout")
    cohort = read(path)
    values = pixels(cohort)
    start = time.process_time()
    pairs = near_duplicates(values, cohort.patients, hashed(cohort, values).column("sha256"))
    assert len(pairs) < 5 and time.process_time() - start < 20
