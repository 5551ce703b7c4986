"""check RUN, or check --train A --holdout B --synthetic S -o OUT: how near the synthetic images are to real ones they
were not made from, class by class, whoever made them.

Opens the roles train, select (only to be left out) and holdout; the role test stays closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import HOLDOUT, SELECT, TRAIN, Cohort, read_manifest
from ganatomy.core.errors import RunError, SettingsError
from ganatomy.core.finding import write_findings
from ganatomy.core.image import Image
from ganatomy.core.picture import Picture, beside, display, grid, write_pictures, write_png
from ganatomy.core.progress import progress, say
from ganatomy.core.run import finished, read_json, stage, write_text
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, convert, option, record
from ganatomy.data.augment import Symmetry
from ganatomy.data.intensity import Intensity
from ganatomy.data.intensity import fit as fit_intensity
from ganatomy.data.read import hashed, pixels
from ganatomy.generate import load_generator
from ganatomy.integrity.battery import Side, battery
from ganatomy.integrity.copying import (
    closest,
    mirror_thumbnails,
    thumbnails,
)
from ganatomy.integrity.features import Features
from ganatomy.jobs.sets import Sets, gather
from ganatomy.radiomics.extraction import extract
from ganatomy.radiomics.settings import RadiomicsSettings
from ganatomy.utility.classifiers import Network, embedding, fit

SHOWN = 40  # images a side in a grid
PAIRS = 8  # closest pairs drawn
SYNTHETIC = "synthetic"
FAMILIES = ("firstorder", "glcm", "glrlm")
SUSPECTS = ("class", "path", "nearest", "nearest_patient", "compared_by", "distance", "ratio")  # of suspects.csv


@dataclass(frozen=True)
class Measures(Settings):
    """What is measured on an image, in check and prove alike."""

    bin_width: float | None = option(
        None, "width of a grey level for texture features, in the images' units; not given: 1/32 of the window"
    )
    background: float | None = option(None, "only pixels above this value are measured (not given: the whole image)")
    filters: tuple[str, ...] = option(("original",), "images that are measured: original, wavelet, gradient, ...")

    def __post_init__(self) -> None:
        if self.bin_width is not None and self.bin_width <= 0:
            raise SettingsError(f"--bin-width needs a number above 0, not {self.bin_width:g}")


@dataclass(frozen=True)
class Check(Settings):
    """Compare the synthetic images of a run with real ones."""

    run: Path | None = option(None, "run folder with trained weights and synthetic images", local=True)
    overwrite: bool = option(False, "make the stage anew even if it was made with other settings", local=True)
    check_seed: int = option(0, "seed of resampling, and of the embedding")
    resamples: int = option(200, "resamples behind each interval")
    measures: Measures = Measures()
    network: Network = Network()
    sets: Sets = Sets()

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise SettingsError(f"--resamples needs 1 or more, not {self.resamples}")

    @property
    def then(self) -> str:
        """The next command."""
        return f"report {self.sets.out}" if self.run is None else "prove {run}"


def run(settings: Check) -> Path:
    """The stage RUN/check."""
    if (settings.run is None) != settings.sets.given:
        raise SettingsError("check needs a run folder, or the sets --train, --holdout and --synthetic and -o, not both")
    folder = settings.run or gather(settings.sets, settings.overwrite)
    inputs = {"manifest": finished(folder, "data") / "manifest.csv"}
    if settings.run:
        inputs["weights"] = finished(folder, "train") / "generator.safetensors"
    inputs["synthetic"] = finished(folder, "synthetic") / "manifest.csv"
    target = folder / "check"

    def work() -> list[Path]:
        real, made = read_manifest(inputs["manifest"]), read_manifest(inputs["synthetic"])
        trained = "weights" in inputs
        intensity = load_generator(inputs["weights"]).intensity if trained else fit_intensity(pixels(real.where(TRAIN)))
        symmetry = trained_symmetry(folder) if trained else Symmetry()
        return compare(real, made, intensity, symmetry, settings, target)

    outcome = stage(target, "check", record(settings), inputs, work, run=folder, overwrite=settings.overwrite)
    say(f"check: {'compared' if outcome.made else 'nothing to do, it is done'} ({target})")
    return target


def trained_symmetry(run: Path) -> Symmetry:
    """The symmetries that the run's training was told of: they hold for classifiers too."""
    values = read_json(run / "train" / "settings.json")["symmetry"]
    return Symmetry(**{key: convert(key, bool, value) for key, value in values.items()})


def unchanged(cohort: Cohort) -> np.ndarray:
    """The pixels (n, C, H, W) of a cohort, RunError where they are not those its manifest has the hashes of."""
    values = pixels(cohort)
    pairs = zip(cohort.column("path"), cohort.column("sha256"), hashed(cohort, values).column("sha256"), strict=True)
    for path, listed, found in pairs:
        if listed not in ("", found):
            raise RunError(
                f"{path} is not the image that {cohort.name} lists; restore it, or correct its line in the manifest"
            )
    return values


def paths(cohort: Cohort, run: Path) -> list[str]:
    """The images' paths, relative to the run folder where they lie in it: a run may be moved."""
    here = run.resolve()
    found = [Path(text) for text in cohort.column("path")]
    return [path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path) for path in found]


def measure(values: np.ndarray, intensity: Intensity, measures: Measures) -> pd.DataFrame:
    """Radiomics features of images (n, C, H, W), one row per image."""
    width = measures.bin_width if measures.bin_width is not None else (intensity.high - intensity.low) / 32
    above = () if measures.background is None else (float(np.nextafter(measures.background, np.inf)),)
    settings = RadiomicsSettings(families=FAMILIES, filters=measures.filters, bin_width=width, resegment=above)
    images = [Image(one) for one in (values if len(values) else np.zeros((1, *values.shape[1:])))]  # or columns only
    return extract(images, settings=settings).reset_index(drop=True).iloc[: len(values)]


def compare(
    real: Cohort, synthetic: Cohort, intensity: Intensity, symmetry: Symmetry, settings: Check, target: Path
) -> list[Path]:
    """Every gate for every class that has synthetic images; features, findings and pictures in `target`."""
    sets = {TRAIN: real.where(TRAIN), HOLDOUT: real.where(HOLDOUT), SYNTHETIC: synthetic}
    if SELECT in real.column("role"):  # real images that the generator did not learn from: a reference for attacks
        sets[SELECT] = real.where(SELECT)
    values = {name: unchanged(cohort) for name, cohort in sets.items()}
    # real images pass the window the network saw, so that no gate mistakes clipping for a difference
    for name in sets.keys() - {SYNTHETIC}:
        values[name] = intensity.decode(intensity.encode(values[name]))
    scaled = {name: intensity.encode(stack) for name, stack in values.items()}
    tables = {name: measure(stack, intensity, settings.measures) for name, stack in values.items()}

    learned = sets[TRAIN]
    net = fit(
        scaled[TRAIN],
        learned.codes,
        class_weights(learned),
        len(learned.classes),
        True,
        symmetry,
        settings.network,
        settings.check_seed,
    )
    files = {name: np.array(paths(cohort, target.parent)) for name, cohort in sets.items()}

    def side(name: str) -> Side:
        embedded = embedding(net, scaled[name])
        seen = tuple(str(i) for i in range(embedded.shape[1]))
        spaces = {"radiomics": (tuple(tables[name].columns), tables[name].to_numpy()), "classifier": (seen, embedded)}
        cohort = sets[name]
        whose = () if name == SYNTHETIC else tuple(cohort.patients)
        unit, spacing = tuple(cohort.column("unit")), tuple(cohort.column("spacing"))
        return Side(tuple(cohort.labels), whose, spaces, values[name], tuple(files[name]), unit, spacing)

    with progress("check", len(real.classes)) as advance:
        found = battery(
            side(TRAIN),
            side(HOLDOUT),
            side(SYNTHETIC),
            side(SELECT) if SELECT in sets else None,
            seed=settings.check_seed,
            resamples=settings.resamples,
            advance=advance,
        )
    suspected = found.tables["suspects"]
    pictures: list[Picture] = []
    deviation = np.maximum(values[TRAIN].astype(np.float64).std((0, 2, 3)), 1e-9)
    for number, label in enumerate(label for label in real.classes if label in synthetic.classes):
        rows = {name: np.flatnonzero(np.array(cohort.labels) == label) for name, cohort in sets.items()}
        shown = {name: display(values[name][own], intensity.low, intensity.high) for name, own in rows.items()}
        small = {name: thumbnails(values[name][rows[name]], deviation) for name in (TRAIN, SYNTHETIC)}
        names = tuple(map(str, range(small[TRAIN].shape[1])))
        whose = tuple(np.array(learned.patients)[rows[TRAIN]])
        one, two = Features(small[TRAIN], names, whose), Features(small[SYNTHETIC], names)
        pictures += draw(label, shown, one, two, settings.check_seed, target, number)
        pictures += draw_suspects(label, values, suspected[suspected["class"] == label], intensity, target, number)
    made, original = (suspected[name].to_numpy(np.int64) for name in ("image", "original"))
    suspected = suspected.assign(
        path=files[SYNTHETIC][made],
        nearest=files[TRAIN][original],
        nearest_patient=np.array(learned.patients, dtype=object)[original],
    )
    features = pd.concat(
        [
            pd.DataFrame({"set": name, "class": c.labels, "patient": c.column("patient"), "path": files[name]}).join(
                tables[name]
            )
            for name, c in sets.items()
            if name != SELECT
        ]
    )

    def csv(table: pd.DataFrame, digits: int) -> str:
        return table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")

    return [
        *(target / picture.file for picture in pictures),
        write_pictures(target, pictures),
        write_text(target / "features.csv", csv(features, 9)),
        write_text(target / "marginals.csv", csv(found.tables["marginals"], 6)),
        write_text(target / "suspects.csv", csv(suspected[list(SUSPECTS)], 6)),
        write_findings(target / "findings.json", found.findings),
    ]


def class_weights(cohort: Cohort) -> list[float]:
    """n / (K n_c) for each image: every class weighs the same."""
    counts = cohort.counts
    return [len(cohort) / (len(counts) * counts[label]) for label in cohort.labels]


def draw(
    label: str,
    shown: dict[str, np.ndarray],
    learned: Features,
    made: Features,
    seed: int,
    target: Path,
    number: int,
) -> list[Picture]:
    """Real and synthetic side by side, and the closest pairs. number: for file names.

    shown: (n, H, W, 3) per set; learned, made: thumbnails of train and of the synthetic images, in the same order
    """
    real = np.concatenate([shown[TRAIN], shown[HOLDOUT]])
    most = min(SHOWN, len(real), len(shown[SYNTHETIC]))

    def some(name: str, images: np.ndarray) -> np.ndarray:
        return grid(images[rng(seed, "shown", name, label).permutation(len(images))[:most]], 8)

    sides, pairs = f"grid-{number}.png", f"pairs-{number}.png"
    write_png(target / sides, beside(some("real", real), some(SYNTHETIC, shown[SYNTHETIC])), 1000)
    above, below, distance = closest(learned, made, PAIRS, mirror_thumbnails)
    two = np.concatenate([shown[SYNTHETIC][above], shown[TRAIN][below]])
    write_png(target / pairs, grid(two, len(above), gap=2))
    return [
        Picture(
            sides,
            f"{label}: real (left), synthetic (right)",
            f"{most} real images of train and holdout, {most} synthetic ones, drawn at random.",
        ),
        Picture(
            pairs,
            f"{label}: closest pairs",
            "Above, the synthetic images nearest to a training image; below, that training image (a mirror image "
            "counts as near). How far they differ, where 0 is the same image and 1 the spread of the training "
            f"images' values, on thumbnails of 16 x 16 pixels: {', '.join(f'{d:.2f}' for d in distance)}.",
        ),
    ]


def draw_suspects(
    label: str, values: Mapping[str, np.ndarray], table: pd.DataFrame, intensity: Intensity, target: Path, number: int
) -> list[Picture]:
    """The first suspected copies above what each is nearest to; nothing where there is none. table: by `ratio`."""
    if table.empty:
        return []
    first = table.drop_duplicates("image")[:PAIRS]
    file = f"suspects-{number}.png"
    two = np.concatenate([values[SYNTHETIC][first["image"]], values[TRAIN][first["original"]]])
    write_png(target / file, grid(display(two, intensity.low, intensity.high), len(first), gap=2))
    caption = (
        f"The {len(first)} most suspected of {table['image'].nunique()}. Above, the synthetic image; below, the "
        "training image it is nearest to. The file check/suspects.csv names them all."
    )
    return [Picture(file, f"{label}: suspected copies", caption)]
