"""The anatomy: a nodule is as large as it says, fades where the slice is thick, and vessels hold blood."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ganatomy.core.seed import rng
from ganatomy.data.anatomy import BENIGN, LUNG, Scene, slab, vessels, wall
from ganatomy.data.ct import CELL, GRID, blur, tube_cover

SCENE = Scene(
    label=BENIGN,
    patient=0,
    nodule=0,
    level=0.0,
    diameter=4.5,
    margin="smooth",
    texture="homogeneous",
    kernel="sharp",
    dose=1.0,
    thickness=1.25,
    lung=LUNG,
    emphysema=0.0,
)


def test_a_small_nodule_fades_in_a_thick_slice_and_its_size_is_the_recorded_one():
    peaks, sizes = [], []
    for patient in range(8):
        small = [replace(SCENE, patient=patient, thickness=t) for t in (1.25, 5.0)]
        peaks.append([blur(slab(0, one), one.kernel, 64)[28:36, 28:36].max() for one in small])
        large = slab(0, replace(SCENE, patient=patient, diameter=16.0))
        labels, _ = ndimage.label(ndimage.binary_opening(large > -400, iterations=4))
        area = (labels == labels[GRID // 2, GRID // 2]).sum() * CELL**2
        sizes.append(2 * np.sqrt(area / np.pi))
    thin, thick = np.median(peaks, axis=0)
    assert thick < thin - 150
    assert np.median(sizes) == pytest.approx(16.0, rel=0.1)


def test_vessels_hold_unenhanced_blood():
    found = []
    for patient in range(20):
        where = ("phantom", "wall", patient, 0)
        if wall(rng(5, *where), 2.0, 1.25) is not None:
            continue
        angle = rng(5, *where).uniform(0, 2 * np.pi) + np.pi
        tubes, _ = vessels(rng(5, "phantom", "vessels", patient, 0), angle)
        full = tube_cover(tubes, 0.0, 1.25) > 0.999
        full[60:100, 60:100] = False  # the nodule
        found.append(slab(5, replace(SCENE, patient=patient, emphysema=0.4 * (patient % 2)))[full])
    blood = np.concatenate(found)
    assert len(blood) > 50 and blood.min() >= 20 and blood.max() <= 60
