"""One engine on one task, in the engine's own environment: python engines.py ENGINE TASK ARRAYS.npz SECONDS

Prints one line of JSON: how many items were measured and the CPU seconds they took, after a warm-up. Imports nothing of
ganatomy but where ENGINE is ganatomy. Every engine gets the same float32 arrays and the same 32 bins between each
region's minimum and maximum, and is called the way its documentation says; exit code 3: it cannot do the task.
"""

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

BINS = 32
CORE = ("firstorder", "glcm", "glrlm")
REST = ("glszm", "gldm", "ngtdm")


def ganatomy(task: str, images: np.ndarray, mask: np.ndarray | None) -> Callable[[int], object]:
    """In batches, as its users call it."""
    from ganatomy.radiomics import RadiomicsSettings, extract

    volume = images.ndim == 4
    families = CORE if "core" in task else (*CORE, *REST, "shape" if volume else "shape2D")
    filters = ("original", "wavelet") if "wavelet" in task else ("original",)
    settings = RadiomicsSettings(families=families, filters=filters, bin_count=BINS)
    threads = 2 if "threads" in task else 1

    def run(n: int) -> None:
        for start in range(0, n, len(images)):
            extract(images[: n - start], mask, settings=settings, threads=threads)

    return run


def _sitk(images: np.ndarray, mask: np.ndarray | None) -> list[tuple[object, object]]:
    """Images with one voxel around them, since pyradiomics refuses a mask without background."""
    import SimpleITK as sitk

    out = []
    for image in images:
        inside = np.ones(image.shape, np.uint8) if mask is None else mask.astype(np.uint8)
        width = [(1, 1)] * image.ndim
        pair = (np.pad(image, width, "edge"), np.pad(inside, width))
        if image.ndim == 2:
            pair = (pair[0][None], pair[1][None])
        out.append((sitk.GetImageFromArray(pair[0]), sitk.GetImageFromArray(pair[1])))
    return out


def pyradiomics(task: str, images: np.ndarray, mask: np.ndarray | None) -> Callable[[int], object]:
    """Through its RadiomicsFeatureExtractor; "direct" in the engine's name: its feature classes by hand, without it."""
    import logging

    from radiomics.featureextractor import RadiomicsFeatureExtractor

    import radiomics
    from radiomics import firstorder, glcm, gldm, glrlm, glszm, ngtdm, shape, shape2D

    logging.getLogger("radiomics").setLevel(logging.CRITICAL)
    radiomics.setVerbosity(60)
    volume = images.ndim == 4
    families = CORE if "core" in task else (*CORE, *REST, "shape" if volume else "shape2D")
    pairs = _sitk(images, mask)
    if "direct" in sys.argv[1]:
        if "wavelet" in task:
            sys.exit(3)
        modules = {
            "firstorder": firstorder.RadiomicsFirstOrder,
            "glcm": glcm.RadiomicsGLCM,
            "glrlm": glrlm.RadiomicsGLRLM,
        }
        modules |= {"glszm": glszm.RadiomicsGLSZM, "gldm": gldm.RadiomicsGLDM, "ngtdm": ngtdm.RadiomicsNGTDM}
        modules |= {"shape": shape.RadiomicsShape, "shape2D": shape2D.RadiomicsShape2D}

        def direct(n: int) -> None:
            for i in range(n):
                for family in families:
                    one = modules[family](*pairs[i % len(pairs)], binCount=BINS, force2D=not volume)
                    one.enableAllFeatures()
                    one.execute()

        return direct
    extractor = RadiomicsFeatureExtractor(binCount=BINS, force2D=not volume, additionalInfo=False)
    extractor.disableAllFeatures()
    for family in families:
        extractor.enableFeatureClassByName(family)
    if "wavelet" in task:
        extractor.enableImageTypeByName("Wavelet")

    def run(n: int) -> None:
        for i in range(n):
            extractor.execute(*pairs[i % len(pairs)])

    return run


def mirp(task: str, images: np.ndarray, mask: np.ndarray | None) -> Callable[[int], object]:
    """Its extract_features on arrays, one call per image."""
    from mirp import extract_features

    volume = images.ndim == 4
    if "wavelet" in task:
        sys.exit(3)
    families = ["statistics", "intensity_histogram", "cm", "rlm"]
    families += ["szm", "ngtdm", "ngldm", *(["morphology"] if volume else [])] if "all" in task else []
    keywords = {
        "base_discretisation_method": "fixed_bin_number",
        "base_discretisation_n_bins": BINS,
        "write_features": False,
    }
    keywords |= {"base_feature_families": families, "export_features": True, "by_slice": not volume, "num_cpus": 1}
    inside = np.ones(images.shape[1:], bool) if mask is None else mask

    def run(n: int) -> None:
        for i in range(n):
            image = images[i % len(images)]
            extract_features(
                image=image if volume else image[None], mask=inside if volume else inside[None], **keywords
            )

    return run


def nyxus(task: str, images: np.ndarray, mask: np.ndarray | None) -> Callable[[int], object]:
    """Montages of images in memory (two dimensions only), already in 32 bins, its GLCM offset repaired."""
    import nyxus as package

    if images.ndim == 4 or "wavelet" in task:
        sys.exit(3)
    names = ["*ALL_INTENSITY*", "*ALL_GLCM*", "*ALL_GLRLM*"]
    names += ["*ALL_GLSZM*", "*ALL_GLDM*", "*ALL_NGTDM*"] if "all" in task else []
    engine = package.Nyxus(names, n_feature_calc_threads=1, ibsi=True)
    engine.set_metaparam("glcm/offset=1")
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    binned = np.minimum((images - low) / (high - low) * BINS, BINS - 1).astype(np.uint32) + 1
    labels = np.ones_like(binned)

    def run(n: int) -> None:
        order = np.arange(n) % len(binned)
        engine.featurize(binned[order], labels[order], [f"i{k}" for k in order], [f"m{k}" for k in order])

    return run


def flash(task: str, images: np.ndarray, mask: np.ndarray | None) -> Callable[[int], object]:
    """Its CPU backend on one thread, as shipped: every extraction also writes an HDF5 file."""
    from flash_radiomics import RadiomicsFeatureExtractor

    volume = images.ndim == 4
    families = CORE if "core" in task else (*CORE, *REST, "shape" if volume else "shape2D")
    folder = tempfile.mkdtemp()
    settings = {"binCount": BINS, "force2D": not volume, "additionalInfo": False, "hdf5OutputDirectory": folder}
    types = {"Original": {}} | ({"Wavelet": {}} if "wavelet" in task else {})
    given = {"setting": settings, "imageType": types, "scalarFeatureClass": {name: [] for name in families}}
    extractor = RadiomicsFeatureExtractor(given, backend="cpu", num_threads=1)
    pairs = _sitk(images, mask)

    def run(n: int) -> None:
        for i in range(n):
            extractor.execute(*pairs[i % len(pairs)])
        for file in Path(folder).iterdir():
            file.unlink()

    return run


def main() -> None:
    """Doubles the number of items until they take SECONDS / 2, then measures SECONDS' worth once."""
    engine, task, arrays, seconds = sys.argv[1], sys.argv[2], np.load(sys.argv[3]), float(sys.argv[4])
    warnings.simplefilter("ignore")
    volume = "3d" in task
    images = arrays["volumes" if volume else "slices"]
    mask = arrays["sphere"].astype(bool) if volume else None
    measure = globals()[engine.split("-")[0]](task, images, mask)
    measure(1)  # imports, compilation, caches
    n = 1
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        measure(n)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if cpu > seconds / 2:
            break
        n = max(n + 1, min(n * 8, int(n * seconds / max(cpu, 1e-3))))
    print(json.dumps({"engine": engine, "task": task, "items": n, "cpu": cpu, "wall": wall}))


if __name__ == "__main__":
    main()
