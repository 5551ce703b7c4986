"""prove RUN: a small trial. Does a classifier recognise untouched real patients better with the synthetic images?

The only job that opens the role test. The protocol is written before anything is trained.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganatomy.core.cohort import SELECT, TEST, TRAIN, Cohort, read_manifest
from ganatomy.core.errors import RunError, SettingsError
from ganatomy.core.finding import write_findings
from ganatomy.core.progress import progress, say
from ganatomy.core.run import finished, stage, write_json, write_text
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.augment import Symmetry
from ganatomy.data.intensity import Intensity
from ganatomy.generate import load_generator
from ganatomy.jobs.measures import Measures, measure
from ganatomy.jobs.seen import trained_symmetry, unchanged
from ganatomy.jobs.sets import own
from ganatomy.utility.arms import ARMS, CONTROL, DEFINITIONS, Fit, Predict, Training, notes, training
from ganatomy.utility.classifiers import Network, fit, probabilities
from ganatomy.utility.metrics import METRICS
from ganatomy.utility.statistics import compare, findings, smallest_visible_effect
from ganatomy.utility.trial import Unseen, logistic, plan, run_trial


@dataclass(frozen=True)
class Prove(Settings):
    """Try the synthetic images of a run on classifiers, against real patients that nothing has seen."""

    run: Path = option(Path("run"), "run folder with synthetic images", local=True)
    overwrite: bool = option(False, "make the trial anew even if it was made with other settings", local=True)
    seeds: int = option(3, "classifiers trained per arm, with seeds 0, 1, ...")
    margin: float = option(0.02, "a loss of AUC smaller than this counts as no harm")
    replicates: int = option(2000, "bootstrap replicates over patients")
    measures: Measures = Measures()
    network: Network = Network()

    def __post_init__(self) -> None:
        for name in ("seeds", "replicates"):
            if getattr(self, name) < 1:
                raise SettingsError(f"--{name} needs 1 or more, not {getattr(self, name)}")


def run(settings: Prove) -> Path:
    """The stage RUN/prove; goes on after the last finished fit of a stopped trial."""
    own(settings.run, "prove")
    manifest = finished(settings.run, "data") / "manifest.csv"
    weights = finished(settings.run, "train") / "generator.safetensors"
    made = finished(settings.run, "synthetic") / "manifest.csv"
    target = settings.run / "prove"

    def work() -> list[Path]:
        intensity, symmetry = load_generator(weights).intensity, trained_symmetry(settings.run)
        return prove(read_manifest(manifest), read_manifest(made), intensity, symmetry, settings, target)

    inputs = {"manifest": manifest, "weights": weights, "synthetic": made}
    outcome = stage(target, "prove", record(settings), inputs, work, run=settings.run, overwrite=settings.overwrite)
    say(f"prove: {'tried' if outcome.made else 'nothing to do, it is done'} ({target})")
    return target


def prove(
    real: Cohort, synthetic: Cohort, intensity: Intensity, symmetry: Symmetry, settings: Prove, target: Path
) -> list[Path]:
    """Protocol, fits, scores, findings."""
    classes = real.classes
    if unknown := set(synthetic.classes) - set(classes):
        raise RunError(f"{synthetic.name} holds the class '{min(unknown)}', which the real images do not have")
    roles = {role: real.where(role) for role in (TRAIN, SELECT, TEST)}
    have = roles[TRAIN].counts
    counts = [have[label] + synthetic.counts.get(label, 0) for label in classes]
    patients = {label: len(set(roles[TEST].where(label=label).patients)) for label in classes}
    seeds = list(range(settings.seeds))
    plan_file = write_json(
        target / "protocol.json",
        {
            "primary": {"classifier": "cnn", "metric": "auc"},
            "arms": list(ARMS["cnn"]),
            "arms_of": {name: list(arms) for name, arms in ARMS.items()},
            "control": CONTROL["cnn"],
            "classifiers": list(ARMS),
            "metrics": list(METRICS),
            "margin": settings.margin,
            "seeds": seeds,
            "definitions": DEFINITIONS,
            "notes": notes([have[label] for label in classes], counts, classes),
            "learned_from": {"real": have, "synthetic": synthetic.counts},
            "test": {
                "images": len(roles[TEST]),
                "patients": len(set(roles[TEST].patients)),
                "patients_per_class": patients,
                "sha256": hashlib.sha256("".join(roles[TEST].column("sha256")).encode()).hexdigest(),
            },
            "smallest_visible_effect": smallest_visible_effect(list(patients.values())),
        },
    )

    def opened(cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
        values = unchanged(cohort)
        scaled = intensity.encode(values)
        return scaled, measure(intensity.decode(scaled), intensity, settings.measures).to_numpy()

    index = {label: code for code, label in enumerate(classes)}

    def unseen(cohort: Cohort) -> Unseen:
        codes = np.array([index[label] for label in cohort.labels], dtype=np.int64)
        return Unseen(*opened(cohort), codes, cohort.column("path"), cohort.patients)

    def learned(cohort: Cohort) -> Training:
        return training(*opened(cohort), [index[label] for label in cohort.labels])

    def cnn(data: Training, seed: int) -> Predict:
        net = fit(
            data.images,
            data.codes.tolist(),
            data.weights.tolist(),
            len(classes),
            data.augment,
            symmetry,
            settings.network,
            seed,
        )
        return lambda images, features: probabilities(net, images)

    fits: dict[str, Fit] = {"cnn": cnn, "logistic": logistic}
    folder = target / "fits"
    done = {}
    for path in sorted(folder.glob("*.csv")):
        # all as text: a class may be called 0 or NA, and pandas' own floats may miss the last bit
        try:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
            frame["seed"] = frame["seed"].map(int)
            for name in (f"p.{label}" for label in classes):
                frame[name] = frame[name].map(float)
            done[(str(frame["classifier"][0]), str(frame["arm"][0]), int(frame["seed"][0]))] = frame
        except (ValueError, LookupError):
            say(f"note: {path} is damaged; its fit is made again")

    def keep(classifier: str, arm: str, seed: int, frame: pd.DataFrame) -> None:
        write_text(
            folder / f"{classifier}, {arm}, {seed}.csv",
            frame.to_csv(index=False, float_format="%.17g", lineterminator="\n"),
        )

    total = len(plan(list(fits), seeds))
    with progress("prove", total, len(done)) as advance:
        predictions = run_trial(
            classes,
            learned(roles[TRAIN]),
            learned(synthetic),
            unseen(roles[SELECT]),
            unseen(roles[TEST]),
            fits=fits,
            seeds=seeds,
            done=done,
            on_done=keep,
            bar=advance,
        )
    scores, differences = compare(predictions, rarest(have), settings.replicates)
    csv = {"predictions": predictions, "scores": scores, "differences": differences}
    return [
        plan_file,
        *(
            write_text(target / f"{name}.csv", table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
            for name, table in csv.items()
        ),
        write_findings(target / "findings.json", findings(predictions, scores, differences, margin=settings.margin)),
    ]


def rarest(counts: dict[str, int]) -> str:
    """The class with the fewest training images, which is the positive one of two."""
    return min(counts, key=lambda label: (counts[label], label))
