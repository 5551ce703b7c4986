"""augment DATA -o RUN: train, generate, check, prove, report. The chain adds nothing to the single commands.

Each stage is given its own settings and writes the same bytes when its command is run alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ganatomy.core.cohort import TRAIN, Cohort, read_manifest
from ganatomy.core.errors import GateError, RunError, SettingsError, nearest
from ganatomy.core.finding import Finding, read_findings
from ganatomy.core.progress import say
from ganatomy.core.run import finished, hold
from ganatomy.core.settings import Settings, option
from ganatomy.core.verdict import WORDS, Verdict, decide
from ganatomy.data.augment import Symmetry
from ganatomy.data.scan import Read, read
from ganatomy.data.split import Split, split
from ganatomy.integrity.battery import Bars
from ganatomy.integrity.invariance import Invariance
from ganatomy.jobs import check, generate, prove, report, train
from ganatomy.jobs.measures import Measures
from ganatomy.tasks.synthesis import Model
from ganatomy.train import Loop
from ganatomy.utility.classifiers import Network

# settings that differ from the defaults, and how many seconds a stage may take on two cores
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "steps": 1600,
        "turn": True,
        "window": (-1000, 400),
        "seeds": 2,
        "classifier_steps": 250,
        "resamples": 100,
    },
    "full": {},
}
BUDGETS = {"demo": {"train": 150, "generate": 10, "check": 60, "prove": 120, "report": 10}}


def changes_of(name: str) -> dict[str, Any]:
    """The settings that a preset stands for."""
    if name not in PRESETS:
        raise SettingsError(f"there is no preset '{name}'; {nearest(name, PRESETS)}")
    return {**PRESETS[name], "preset": name}


@dataclass(frozen=True)
class Augment(Settings):
    """The whole job, from a cohort to a verdict."""

    data: str = option("", "a folder with a sub-folder per class, a manifest (.csv), an .npz file, or phantom:")
    out: Path = option(Path("run"), "run folder", local=True)
    overwrite: bool = option(False, "make every stage anew even if it was made with other settings", local=True)
    preset: str = option("full", f"named settings, which single flags win over: {', '.join(PRESETS)}", local=True)
    fail_on: tuple[str, ...] = option(
        (), f"end with exit code 3 at these verdicts, comma-separated: {', '.join(WORDS)}", local=True
    )
    window: tuple[float, ...] = option(
        (), "values low,high that the network sees; not given: 8-bit as it is, else 99.98 % of the values"
    )
    read: Read = Read()
    split: Split = Split()
    symmetry: Symmetry = Symmetry()
    model: Model = Model()
    loop: Loop = Loop()
    counts: str = option("balance", "synthetic images per class: balance, a number for every class, or a=50,b=200")
    measures: Measures = Measures()
    network: Network = Network()
    check_seed: int = option(0, "seed of resampling in check, and of its embedding")
    resamples: int = option(200, "resamples behind each interval of check")
    seeds: int = option(3, "classifiers trained per arm")
    gates: tuple[str, ...] = option((), f"only these gates of check, out of {', '.join(check.EVERY)}; not given: all")
    bars: Bars = Bars()
    invariance: Invariance = Invariance()
    margin: float = option(0.02, "a loss of AUC smaller than this counts as no harm")
    replicates: int = option(2000, "bootstrap replicates over patients")


@dataclass(frozen=True)
class Study:
    """A finished run: its folder, its verdict, its findings, its synthetic cohort."""

    run: Path

    @property
    def findings(self) -> list[Finding]:
        """Of check and prove, in this order."""
        return [f for name in ("check", "prove") for f in read_findings(finished(self.run, name) / "findings.json")]

    @property
    def verdict(self) -> Verdict:
        """do not use | use | no gain shown | undecided at this size, with its sentence and its limits."""
        return decide(self.findings)

    @property
    def synthetic(self) -> Cohort:
        """The synthetic images as a cohort."""
        return read(finished(self.run, "synthetic") / "manifest.csv")

    @property
    def cohort(self) -> Cohort:
        """The real images with their roles."""
        return read_manifest(finished(self.run, "data") / "manifest.csv")


def run(settings: Augment, cohort: Cohort | None = None) -> Path:
    """Every stage that is not done, then the verdict. Raises GateError at a verdict named in `fail_on`."""
    if wrong := [word for word in settings.fail_on if word not in WORDS]:
        raise SettingsError(f"--fail-on: '{wrong[0]}' is no verdict; {nearest(wrong[0], WORDS)}")
    s, folder, again = settings, settings.out, settings.overwrite
    if not (folder / "data" / "done.json").exists():  # what generate would refuse is refused before minutes of training
        generate.parse_counts(s.counts, split(cohort or read(s.data, s.read), s.split).where(TRAIN).counts)
    stages: dict[str, Callable[[], Path]] = {
        "train": partial(
            train.run,
            train.Train("synthesis", s.data, folder, again, s.window, s.read, s.split, s.symmetry, s.model, s.loop),
            cohort,
        ),
        "generate": partial(generate.run, generate.Generate(folder, overwrite=again, counts=s.counts)),
        "check": partial(
            check.run,
            check.Check(
                folder,
                again,
                s.check_seed,
                s.resamples,
                s.measures,
                s.network,
                gates=s.gates,
                bars=s.bars,
                invariance=s.invariance,
            ),
        ),
        "prove": partial(prove.run, prove.Prove(folder, again, s.seeds, s.margin, s.replicates, s.measures, s.network)),
        "report": partial(report.run, report.Report(folder)),
    }
    seconds = {}
    with hold(folder):
        for name, work in stages.items():
            begun = time.monotonic()
            work()
            seconds[name] = time.monotonic() - begun
    for name, limit in BUDGETS.get(settings.preset, {}).items():
        over = ", over its budget" if seconds[name] > limit else ""
        say(f"{name}: {seconds[name]:.0f} s of {limit} s{over}")
    verdict = Study(folder).verdict
    print(verdict.sentence)
    print(f"report: {folder / 'report.html'}")
    if verdict.word in settings.fail_on:
        raise GateError(f"the verdict of {folder} is '{verdict.word}', which --fail-on names")
    return folder


def augment(data: str | Path | Cohort, out: str | Path, preset: str = "full", **changes: Any) -> Study:
    """The whole job from Python. changes: any setting of `Augment` by its flat name, for example steps=500."""
    if isinstance(data, Cohort) and not data.name:
        raise RunError("a cohort needs a name, so that the run can be recognised; make it with ganatomy.read")
    name = data.name if isinstance(data, Cohort) else str(data)
    settings = Augment().replace(**{**changes_of(preset), "data": name, "out": str(out), **changes})
    run(settings, data if isinstance(data, Cohort) else None)
    return Study(Path(out))
