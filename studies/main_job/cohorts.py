"""The three real cohorts of the study, from files beside the checkout. What is cut or cropped is said here.

pneumonia  chest X-rays 28x28; the training role's class 0 (normal) is cut to one per eight of class 1
mednist    six kinds of scan 64x64, as they are
nodules    centre slice of each LIDC nodule, cut to 32x32 around the nodule; grouped by exam; outside the contour is 0
"""

from pathlib import Path

import numpy as np

NAMES = ("pneumonia", "mednist", "nodules")
SIDE = 32


def write(name: str, data: Path, out: Path) -> Path:
    """Write the cohort as npz under `out` (or return the file it already is). data: the folder with the data sets."""
    return {"pneumonia": _pneumonia, "mednist": _mednist, "nodules": _nodules}[name](data, out)


def _pneumonia(data: Path, out: Path) -> Path:
    stored = dict(np.load(data / "pneumoniamnist28" / "pneumoniamnist.npz"))
    labels = stored["train_labels"].ravel()
    keep = np.ones(len(labels), bool)
    normal = np.flatnonzero(labels == 0)
    keep[normal[(labels == 1).sum() // 8 :]] = False  # the file's order is already shuffled
    for key in ("train_images", "train_labels"):
        stored[key] = stored[key][keep]
    path = out / "pneumonia.npz"
    np.savez_compressed(path, **stored, class_names=np.array(["normal", "pneumonia"]))
    return path


def _mednist(data: Path, out: Path) -> Path:
    return data / "mednist64_subset" / "mednist64.npz"


def _nodules(data: Path, out: Path) -> Path:
    stored = np.load(data / "lidc_nodules" / "lidc_nodule_slices64.npz")
    offsets = stored["offsets"]
    centre = stored["slices"][(offsets[:-1] + offsets[1:] - 1) // 2]
    images = np.stack([_cut(one) for one in centre])
    path = out / "nodules.npz"
    np.savez_compressed(
        path,
        images=images,
        labels=stored["labels"],
        patient=stored["exam_id"],
        split=stored["split"],
        class_names=np.array(["benign", "malignant"]),
    )
    return path


def _cut(image: np.ndarray) -> np.ndarray:
    """The 32x32 around the middle of the nodule; nodules wider than that (3 %) lose their rim."""
    rows, columns = np.nonzero(image)
    start = [int(np.clip((axis.min() + axis.max() + 1) // 2 - SIDE // 2, 0, 64 - SIDE)) for axis in (rows, columns)]
    return image[start[0] : start[0] + SIDE, start[1] : start[1] + SIDE]
