"""check RUN, or check --train A --holdout B --synthetic S -o OUT: how near the synthetic images are to real ones they
were not made from, class by class, whoever made them.

Opens the roles train, select (only to be left out) and holdout; the role test stays closed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ganatomy.core.cohort import HOLDOUT, SELECT, TRAIN, Cohort, read_manifest
from ganatomy.core.errors import GateError, SettingsError, nearest
from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, STATES, Finding, read_findings, write_findings
from ganatomy.core.picture import Picture, write_pictures
from ganatomy.core.progress import progress, say
from ganatomy.core.run import finished, read_json, stage, write_text
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.acquisition import MIRROR, MOVE, TURN
from ganatomy.integrity.battery import GATES, SHARE, Bars, Side, battery
from ganatomy.integrity.embedding import load
from ganatomy.integrity.invariance import TRIED, Invariance, invariances
from ganatomy.jobs.drawings import SYNTHETIC, Shown, drawn
from ganatomy.jobs.groups import group_columns, groups_of
from ganatomy.jobs.kept import KEPT, paths, with_paths, write_kept
from ganatomy.jobs.measures import Measures, measure
from ganatomy.jobs.seen import Seen, classifier, embedded, fitting, images_of, rows_of, vectors
from ganatomy.jobs.sets import Sets, gather, own
from ganatomy.utility.classifiers import Network, probabilities

INVARIANCE = "invariance"  # asks nothing of the synthetic set, so it is no part of the battery
EVERY = (*GATES, INVARIANCE)
SUSPECTS = ("class", "path", "nearest", "nearest_patient", "compared_by", "distance", "ratio")  # of suspects.csv
ORDER = (FAIL, INCONCLUSIVE, PASS, NOT_COMPUTED)
WORDS = tuple(state for state in STATES if state != PASS)  # of --fail-on


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
    gates: tuple[str, ...] = option((), f"only these gates, out of {', '.join(EVERY)}; not given: all")
    bars: Bars = Bars()
    invariance: Invariance = Invariance()
    embedding: Path | None = option(
        None,
        "for FID and KID: an ONNX file of a network, images -> vectors, which scales and resizes by itself; or a "
        "safetensors file of its vectors, tensors train, holdout and synthetic",
        local=True,
    )
    drop_suspects: bool = option(False, f"also write check/{KEPT}, the set without suspected copies", local=True)
    fail_on: tuple[str, ...] = option(
        (), f"end with exit code 3 where a finding is one of these, comma-separated: {', '.join(WORDS)}", local=True
    )

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise SettingsError(f"--resamples needs 1 or more, not {self.resamples}")
        if unknown := [name for name in self.gates if name not in EVERY]:
            raise SettingsError(f"--gates: there is no gate '{unknown[0]}'; {nearest(unknown[0], EVERY)}")
        if self.drop_suspects and self.gates and "copying" not in self.gates:
            raise SettingsError("--drop-suspects needs the gate copying, which looks for them; add it to --gates")
        if wrong := [word for word in self.fail_on if word not in WORDS]:
            raise SettingsError(f"--fail-on: '{wrong[0]}' is no state to stop at; {nearest(wrong[0], WORDS)}")

    @property
    def then(self) -> str:
        """The next command."""
        return f"report {self.sets.out}" if self.run is None else "prove {run}"


def run(settings: Check) -> Path:
    """The stage RUN/check; then the set without suspects, and GateError at a state named in `fail_on`."""
    if (settings.run is None) != settings.sets.given:
        raise SettingsError("check needs a run folder, or the sets --train, --holdout and --synthetic and -o, not both")
    file = settings.embedding
    given = file is not None and file.suffix == ".safetensors"
    brought = vectors(file) if file is not None and given else None
    embed = None if file is None or given else partial(embedded, embed=load(file), file=file)

    def suits(values: np.ndarray) -> None:
        if embed is not None:
            embed(values[:1])

    def counts(sizes: dict[str, int]) -> None:
        if brought is not None:
            fitting(brought, sizes)

    if settings.run:
        own(settings.run, "check RUN")
    folder = settings.run or gather(settings.sets, settings.overwrite, suits, counts)
    inputs = {"manifest": finished(folder, "data") / "manifest.csv"}
    if settings.run:
        inputs["weights"] = finished(folder, "train") / "generator.safetensors"
    inputs["synthetic"] = finished(folder, "synthetic") / "manifest.csv"
    if settings.embedding is not None:
        inputs["embedding"] = settings.embedding
    target = folder / "check"

    def work() -> list[Path]:
        real, made = read_manifest(inputs["manifest"]), read_manifest(inputs["synthetic"])
        names = read_json(folder / "data" / "facts.json").get("features")
        if names:
            return compare(rows_of(real, made, names), settings, target)
        seen = images_of(
            folder,
            real,
            made,
            trained=settings.run is not None,
            measures=settings.measures,
            network=settings.network,
            seed=settings.check_seed,
            embed=embed,
            brought=brought,
        )
        return compare(seen, settings, target)

    outcome = stage(target, "check", record(settings), inputs, work, run=folder, overwrite=settings.overwrite)
    say(f"check: {'compared' if outcome.made else 'nothing to do, it is done'} ({target})")
    say(f"check: {told(read_findings(target / 'findings.json'))}")
    if settings.drop_suspects:
        write_kept(folder)
    stop_at(target, settings.fail_on)
    return target


def told(findings: Sequence[Finding]) -> str:
    """What came out, in a line: how many findings of each state, and the gates of those that failed."""
    asked = [f for f in findings if f.gate != TRIED]
    counts = Counter(finding.state for finding in asked)
    gates = ", ".join(dict.fromkeys(f.gate for f in asked if f.state == FAIL))
    parts = [f"{counts[state]} {state}" + (f" ({gates})" if state == FAIL else "") for state in ORDER if counts[state]]
    return ", ".join(parts) or "no finding"


def stop_at(target: Path, states: tuple[str, ...]) -> None:
    """GateError where a finding is in one of these states; it names the gates, and how many of their findings.

    What was only tried on real images says nothing of the synthetic ones, and stops nobody.
    """
    found = [f for f in read_findings(target / "findings.json") if f.gate != TRIED] if states else []
    counts = {state: Counter(finding.gate for finding in found if finding.state == state) for state in states}
    shown = {state: ", ".join(f"{gate} ({n})" for gate, n in gates.items()) for state, gates in counts.items()}
    told = [f"{state}: {gates}" for state, gates in shown.items() if gates]
    if told:
        raise GateError(f"--fail-on {','.join(states)}: {target} has findings that are {'; '.join(told)}")


def compare(seen: Seen, settings: Check, target: Path) -> list[Path]:
    """Every gate for every class that has synthetic images; features, findings, tables and pictures in `target`."""
    sets = seen.sets
    files = {name: np.array(paths(cohort, target.parent), dtype=object) for name, cohort in sets.items()}
    real = Cohort(pd.concat([sets[name].table for name in (TRAIN, HOLDOUT)], ignore_index=True), sets[TRAIN].name)
    groups = group_columns(real, settings.sets.read.groups)

    def side(name: str) -> Side:
        cohort, table = sets[name], seen.tables[name]
        spaces = {"radiomics": (tuple(map(str, table.columns)), table.to_numpy(np.float64))}
        for space, values in seen.spaces[name].items():
            spaces[space] = (tuple(map(str, range(values.shape[1]))), values)
        return Side(
            tuple(cohort.labels),
            () if name == SYNTHETIC else tuple(cohort.patients),
            spaces,
            seen.values.get(name),
            tuple(files[name]),
            tuple(cohort.column("unit")),
            tuple(cohort.column("spacing")),
            groups={} if name == SYNTHETIC else groups_of(cohort, groups),
        )

    # one thread: on a busy machine the threads of OpenMP wait for each other and take many times as long, and so the
    # last digits do not depend on how many there are
    with threadpool_limits(1), progress("check", len(real.classes)) as advance:
        found = battery(
            side(TRAIN),
            side(HOLDOUT),
            side(SYNTHETIC),
            side(SELECT) if SELECT in sets else None,
            seed=settings.check_seed,
            resamples=settings.resamples,
            advance=advance,
            discriminator=seen.scores,
            gates=settings.gates or GATES,
            bars=settings.bars,
        )
    if INVARIANCE in (settings.gates or EVERY) and seen.intensity is not None:
        some, table = changes(seen, settings)
        found.take(some, invariance=table)
    columns = ["class", "image", "original", *SUSPECTS[-3:]]
    if "suspects" in found.tables:
        found.tables["suspects"] = found.tables["suspects"].reindex(columns=columns)
    suspected = found.tables.get("suspects", pd.DataFrame(columns=columns))
    pictures: list[Picture] = []
    if seen.intensity is not None:
        shown = Shown(sets, seen.values, seen.intensity, settings.check_seed, target)
        pictures = drawn(shown, suspected, found.tables.get("missed", pd.DataFrame()))
    named = with_paths(files, np.array(sets[TRAIN].patients, dtype=object))
    features = pd.concat(
        [
            pd.DataFrame({"set": name, "class": c.labels, "patient": c.column("patient"), "path": files[name]}).join(
                seen.tables[name]
            )
            for name, c in sets.items()
            if name != SELECT
        ]
    )
    written = {name: named(table) for name, table in found.tables.items()}
    return [
        *(target / picture.file for picture in pictures),
        write_pictures(target, pictures),
        _write(target / "features.csv", features, 9),
        *(_write(target / f"{name}.csv", table, 6) for name, table in written.items()),
        write_findings(target / "findings.json", found.findings),
    ]


def changes(seen: Seen, settings: Check) -> tuple[list[Finding], pd.DataFrame]:
    """What changes of the holdout's images do to features, and to decisions of a classifier that knows none of them."""
    held, learned, intensity = seen.sets[HOLDOUT], seen.sets[TRAIN], seen.intensity
    assert intensity is not None
    plain = None
    if len(learned.classes) > 1:
        scaled = intensity.encode(seen.values[TRAIN])
        plain = classifier(learned, scaled, None, settings.network, settings.check_seed)
    once = replace(settings.measures, cache=False)  # a changed image is not met again
    used = () if seen.symmetry is None else (MOVE, *[MIRROR] * seen.symmetry.flip, *[TURN] * seen.symmetry.turn)

    def decide(values: np.ndarray) -> np.ndarray:
        assert plain is not None
        return probabilities(plain, intensity.encode(values))

    return invariances(
        "",
        seen.values[HOLDOUT],
        held.labels,
        held.patients,
        classes=learned.classes,
        measure=lambda values: measure(intensity.decode(intensity.encode(values)), intensity, once),
        classify=decide if plain is not None else None,
        unit=common(held.column("unit")),
        spacing=pixel(held.column("spacing")),
        background=settings.measures.background,
        used=used,
        seed=settings.check_seed,
        level=SHARE,
        bars=settings.invariance,
    )


def common(texts: Sequence[str]) -> str:
    """The one text that all are, "" where they differ."""
    return texts[0] if len({*texts}) == 1 else ""


def pixel(spacings: Sequence[str]) -> float:
    """mm from pixel to pixel in the plane, where all images say the same; 0 where they do not."""
    try:
        return float(common(spacings).split("x")[-1])
    except ValueError:
        return 0.0


def _write(path: Path, table: pd.DataFrame, digits: int) -> Path:
    return write_text(path, table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n"))
