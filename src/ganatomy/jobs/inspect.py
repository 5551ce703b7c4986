"""inspect DATA: what is in a cohort, and the split into roles that training will use.

Also the first stage of every run, RUN/data. The role test is hashed here, never learned from.
"""

from dataclasses import dataclass
from pathlib import Path

from ganatomy.core.cohort import ROLES, TRAIN, Cohort, write_manifest
from ganatomy.core.errors import InputError
from ganatomy.core.progress import progress, say
from ganatomy.core.run import Outcome, read_json, stage, write_json
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.read import hashed, pixels
from ganatomy.data.scan import Read, read, source_hash
from ganatomy.data.split import Split, duplicates, split, summary


@dataclass(frozen=True)
class Inspect(Settings):
    """What is in a cohort, and how it will be split."""

    data: str = option("", "a folder with a sub-folder per class, a manifest (.csv), an .npz file, or phantom:")
    out: Path | None = option(None, "run folder to write the split to (none: only print)", local=True)
    overwrite: bool = option(False, "make the stage anew even if it was made with other settings", local=True)
    read: Read = Read()
    split: Split = Split()


def run(settings: Inspect, cohort: Cohort | None = None) -> Path | None:
    """Print the facts; with `out`, also write RUN/data."""
    if settings.out is None:
        _, facts = look(split(read(cohort or settings.data, settings.read), settings.split))
        folder = None
    else:
        folder = prepare(settings.out, settings.data, settings.read, settings.split, cohort, settings.overwrite).folder
        facts = read_json(folder / "facts.json")
    print(describe(facts))
    return folder


def look(done: Cohort) -> tuple[Cohort, dict[str, object]]:
    """The cohort with roles and hashes, and the facts about it. done: with roles."""
    with progress("read", len(done)) as advance:
        values = pixels(done, advance)
    if values.ndim != 4:
        raise InputError(
            f"{done.name} holds volumes of {'x'.join(map(str, values.shape[2:]))}; "
            "only single slices can be used so far: save the slices you need as images"
        )
    done = hashed(done, values)
    train = values[[role == TRAIN for role in done.column("role")]]
    twins, warnings = duplicates(done), []
    if not done.patients_known:
        warnings.append(
            "The patients are not known, so leakage of a patient from one role into another could not be excluded."
        )
    if twins["across"]:
        warnings.append(
            f"{twins['across']} images have an exact copy in another role: what looks new may have been learned from."
        )
    constant = int((values.reshape(len(values), -1).min(1) == values.reshape(len(values), -1).max(1)).sum())
    if constant:
        warnings.append(f"{constant} images hold one value only.")
    spacing = done.column("spacing")[0]
    facts: dict[str, object] = {
        "name": done.name,
        "images": len(done),
        "patients": len(set(done.patients)),
        "patients_known": done.patients_known,
        "classes": summary(done),
        "shape": list(values.shape[1:]),
        "dtype": values.dtype.name,
        "unit": done.column("unit")[0],
        "spacing": [float(part) for part in spacing.split("x")] if spacing else [],
        "range": [float(train.min()), float(train.max())],
        "groups": done.groups,
        "duplicates": twins,
        "warnings": warnings,
    }
    return done, facts


def prepare(
    folder: Path, data: str, how: Read, shares: Split, cohort: Cohort | None = None, overwrite: bool = False
) -> Outcome:
    """The stage RUN/data: manifest.csv with a role for every image, and facts.json."""
    found = read(cohort or data, how)
    roles, target = split(found, shares), folder / "data"

    def work() -> list[Path]:
        done, facts = look(roles)
        return [write_manifest(done, target / "manifest.csv"), write_json(target / "facts.json", facts)]

    settings = {"data": data or found.name, "read": record(how), "split": record(shares)}
    outcome = stage(target, "data", settings, {"source": source_hash(found)}, work, overwrite=overwrite)
    say(f"data: {'split into roles' if outcome.made else 'nothing to do, it is done'} ({target})")
    return outcome


def describe(facts: dict[str, object]) -> str:
    """The facts as a short page of text."""
    classes = facts["classes"]
    assert isinstance(classes, dict)
    shape, spacing = facts["shape"], facts["spacing"]
    span = facts["range"]
    assert isinstance(shape, list) and isinstance(spacing, list) and isinstance(span, list)
    most = max(sum(images for images, _ in roles.values()) for roles in classes.values())
    whose = f"{facts['patients']} {'' if facts['patients_known'] else 'unknown '}patients"
    form = f"{'x'.join(map(str, shape[1:]))} pixels, {shape[0]} channel(s), {facts['dtype']}"
    lines = [
        f"{facts['name']}: {facts['images']} images of {whose}",
        f"  {form}, {span[0]:g} to {span[1]:g} {facts['unit']}".rstrip()
        + (f", {'x'.join(f'{v:g}' for v in spacing)} mm" if spacing else ""),
        "",
        f"  {'images (patients)':<24}" + "".join(f"{role:>14}" for role in ROLES) + f"{'to balance':>14}",
    ]
    learn = max(roles[TRAIN][0] for roles in classes.values())
    for label, roles in classes.items():
        cells = "".join(f"{f'{images} ({patients})':>14}" for images, patients in (roles[part] for part in ROLES))
        lines.append(f"  {label[:24]:<24}{cells}{f'+{learn - roles[TRAIN][0]}':>14}")
    rarest = min(sum(images for images, _ in roles.values()) for roles in classes.values())
    lines += ["", f"  the rarest class has 1 image per {most / max(rarest, 1):.1f} of the most frequent one"]
    warnings = facts["warnings"]
    assert isinstance(warnings, list)
    return "\n".join([*lines, *(f"  note: {text}" for text in warnings)])
