"""check RUN, or check --train A --holdout B --synthetic S -o OUT: how near the synthetic images are to real ones they
were not made from, class by class, whoever made them.

Opens the roles train, select (only to be left out) and holdout; the role test stays closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import HOLDOUT, TRAIN, Cohort, read_manifest
from ganatomy.core.errors import RunError, SettingsError
from ganatomy.core.finding import FAIL, NOT_COMPUTED, Finding, write_findings
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
from ganatomy.integrity.copying import (
    Mirror,
    closest,
    copying_findings,
    mirror_thumbnails,
    nearest,
    suspects,
    thumbnails,
)
from ganatomy.integrity.coverage import coverage_findings
from ganatomy.integrity.features import Features, undefined_findings
from ganatomy.integrity.frechet import frechet_findings
from ganatomy.integrity.marginals import marginal_findings, marginal_table
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
    values = {name: unchanged(cohort) for name, cohort in sets.items()}
    # real images pass the window the network saw, so that no gate mistakes clipping for a difference
    for name in (TRAIN, HOLDOUT):
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
    embedded = {name: embedding(net, stack) for name, stack in scaled.items()}
    deviation = values[TRAIN].astype(np.float64).std((0, 2, 3))
    small = {name: thumbnails(stack, np.maximum(deviation, 1e-9)) for name, stack in values.items()}

    findings: list[Finding] = []
    marginals: list[pd.DataFrame] = []
    suspected: list[pd.DataFrame] = []
    pictures: list[Picture] = []
    files = {name: np.array(paths(cohort, target.parent)) for name, cohort in sets.items()}
    with progress("check", len(real.classes)) as advance:
        for label in real.classes:
            rows = {name: [i for i, own in enumerate(cohort.labels) if own == label] for name, cohort in sets.items()}
            if not rows[SYNTHETIC]:
                note = "no synthetic image of this class was made"
                findings.append(Finding("scope", "synthetic images", label, state=NOT_COMPUTED, note=note))
                advance(1)
                continue

            def spaces(
                of: dict[str, np.ndarray], names: list[str], rows: dict[str, list[int]] = rows
            ) -> tuple[Features, Features, Features]:
                people = {name: tuple(np.array(sets[name].patients)[rows[name]]) for name in (TRAIN, HOLDOUT)}

                def part(name: str) -> Features:
                    return Features(of[name][rows[name]], tuple(names), people.get(name, ()))

                return part(TRAIN), part(HOLDOUT), part(SYNTHETIC)

            radiomics = spaces({name: table.to_numpy() for name, table in tables.items()}, list(tables[TRAIN].columns))
            seen = spaces(embedded, [str(i) for i in range(embedded[TRAIN].shape[1])])
            vectors = spaces(small, [str(i) for i in range(small[TRAIN].shape[1])])
            seed, n = settings.check_seed, settings.resamples
            findings += undefined_findings(label, *radiomics)
            findings += frechet_findings("radiomics", label, *radiomics, seed, n)
            findings += frechet_findings("classifier", label, *seen, seed, n)
            findings += coverage_findings("radiomics", label, *radiomics, seed, n)
            named = {name: files[name][own] for name, own in rows.items()}
            compared = {"pixels": (vectors, mirror_thumbnails), "classifier": (seen, None)}
            found, copies = copying(label, compared, named, seed)
            findings += found
            suspected.append(copies)
            findings += marginal_findings("radiomics", label, *radiomics, seed)
            marginals.append(marginal_table(label, *radiomics, seed).assign(**{"class": label}))

            shown = {name: display(values[name][own], intensity.low, intensity.high) for name, own in rows.items()}
            pictures += draw(label, shown, vectors[0], vectors[2], seed, target, len(suspected) - 1)
            pictures += draw_suspects(label, shown, suspected[-1], target, len(suspected) - 1)
            advance(1)
    features = pd.concat(
        [
            pd.DataFrame({"set": name, "class": c.labels, "patient": c.column("patient"), "path": files[name]}).join(
                tables[name]
            )
            for name, c in sets.items()
        ]
    )
    return [
        *(target / picture.file for picture in pictures),
        write_pictures(target, pictures),
        write_text(target / "features.csv", features.to_csv(index=False, float_format="%.9g", lineterminator="\n")),
        write_text(
            target / "marginals.csv", pd.concat(marginals).to_csv(index=False, float_format="%.6g", lineterminator="\n")
        ),
        write_text(
            target / "suspects.csv",
            pd.concat(suspected)[list(SUSPECTS)].to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        ),
        write_findings(target / "findings.json", findings),
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


def copying(
    label: str,
    compared: Mapping[str, tuple[tuple[Features, Features, Features], Mirror | None]],
    named: Mapping[str, np.ndarray],
    seed: int,
) -> tuple[list[Finding], pd.DataFrame]:
    """The findings on copies, and a row for each suspected copy and space that it stands out in, most suspected first.

    compared: space -> train, holdout and synthetic rows of one class, and their mirror images; named: paths per set
    Columns of the table: SUSPECTS; then `image`, `original`, the rows of synthetic and of train.
    """
    findings, tables = [], []
    for space, ((train, holdout, synthetic), mirror) in compared.items():
        image = suspects(train, holdout, synthetic, seed, mirror)
        distance, ratio, original = nearest(train, synthetic.values[image], mirror)
        whose = np.array(train.patients, dtype=object)[original]
        paths = named[SYNTHETIC][image], named[TRAIN][original]
        row = (label, paths[0], paths[1], whose, space, distance, ratio, image, original)
        tables.append(pd.DataFrame(dict(zip((*SUSPECTS, "image", "original"), row, strict=True))))
        for finding in copying_findings(space, label, train, holdout, synthetic, seed, mirror):
            told = ", " if finding.state == FAIL else f"; suspected copies: {len(image)}, "
            note = finding.note + (f"{told}listed in check/suspects.csv" if len(image) else "")
            findings.append(replace(finding, note=note))
    return findings, pd.concat(tables).sort_values("ratio", kind="stable")


def draw_suspects(
    label: str, shown: dict[str, np.ndarray], table: pd.DataFrame, target: Path, number: int
) -> list[Picture]:
    """The first suspected copies above what each is nearest to; nothing where there is none. table: by `ratio`."""
    if table.empty:
        return []
    first = table.drop_duplicates("image")[:PAIRS]
    file = f"suspects-{number}.png"
    two = np.concatenate([shown[SYNTHETIC][first["image"]], shown[TRAIN][first["original"]]])
    write_png(target / file, grid(two, len(first), gap=2))
    caption = (
        f"The {len(first)} most suspected of {table['image'].nunique()}. Above, the synthetic image; below, the "
        "training image it is nearest to. The file check/suspects.csv names them all."
    )
    return [Picture(file, f"{label}: suspected copies", caption)]
