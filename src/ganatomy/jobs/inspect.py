"""inspect DATA: what is in a cohort, and the split into roles that training will use.

Also the first stage of every run, RUN/data. The role test is hashed here, never learned from.
"""

import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganatomy.core.cohort import ROLES, TRAIN, Cohort, write_manifest
from ganatomy.core.errors import InputError, SettingsError
from ganatomy.core.progress import progress, say
from ganatomy.core.run import ELSEWHERE, STAGES, Outcome, read_json, stage, write_json
from ganatomy.core.settings import Settings, option, record
from ganatomy.data.giveaway import giveaways
from ganatomy.data.near import near_duplicates
from ganatomy.data.read import file_of, hashed, pixels
from ganatomy.data.scan import Read, left_out, read, source_hash
from ganatomy.data.split import Split, duplicates, split, summary


@dataclass(frozen=True)
class Inspect(Settings):
    """What is in a cohort, and how it will be split."""

    data: str = option(
        "", "a folder with a sub-folder per class (see --pattern), a manifest (.csv), an .npz file, or phantom:"
    )
    out: Path | None = option(None, "run folder to write the split to (none: only print)", local=True)
    overwrite: bool = option(False, "make the stage anew even if it was made with other settings", local=True)
    read: Read = Read()
    split: Split = Split()


def run(settings: Inspect, cohort: Cohort | None = None) -> Path | None:
    """Print the facts; with `out`, also write RUN/data."""
    if settings.out is None:
        found = read(cohort or settings.data, settings.read)
        _, facts = look(split(found, settings.split), _stray(settings.data, found, settings.read))
        folder = None
    else:
        folder = prepare(settings.out, settings.data, settings.read, settings.split, cohort, settings.overwrite).folder
        facts = read_json(folder / "facts.json")
    print(describe(facts))
    return folder


# (images of the role train, their values (n, C, H, W)): raises InputError where nothing can be learned from them
Suits = Callable[[Cohort, np.ndarray], object]


def look(
    done: Cohort, stray: dict[str, int] | None = None, suits: Suits | None = None
) -> tuple[Cohort, dict[str, object]]:
    """The cohort with roles and hashes, and the facts about it.

    done: with roles; stray: files that were left out, by suffix; suits: asked whether there is something to learn
    """
    units = _mixed_units(done)
    with progress("read", len(done)) as advance:
        values = pixels(done, advance)
    if values.ndim != 4:
        raise InputError(
            f"{done.name} holds volumes of {'x'.join(map(str, values.shape[2:]))}; "
            "only single slices can be used so far: save the slices you need as images"
        )
    roles = np.array(done.column("role"))
    if suits:
        suits(done.where(TRAIN), values[roles == TRAIN])
    done = hashed(done, values)
    train, twins = values[roles == TRAIN], duplicates(done)
    near = near_duplicates(values, done.patients, done.column("sha256"))
    alike = Counter("within" if roles[i] == roles[j] else "across" for i, j, _ in near)
    told = giveaways(done)
    flat = values.reshape(len(values), -1)
    constant = int((flat.min(1) == flat.max(1)).sum())
    paths = done.column("path")
    pairs = [[paths[i], paths[j], round(float(r), 4)] for i, j, r in sorted(near, key=lambda pair: -pair[2])[:20]]
    unit, spacing = done.column("unit")[0], done.column("spacing")[0]
    facts: dict[str, object] = {
        "name": done.name,
        "images": len(done),
        "patients": len(set(done.patients)),
        "patients_known": done.patients_known,
        "unnamed": done.column("patient").count(""),
        "classes": summary(done),
        "shape": list(values.shape[1:]),
        "dtype": values.dtype.name,
        "unit": unit if len({unit, *done.column("unit")}) == 1 else "",
        "spacing": [float(part) for part in spacing.split("x")] if spacing else [],
        "range": [float(train.min()), float(train.max())],
        "intensities": {role: _intensities(values[roles == role]) for role in ROLES if (roles == role).any()},
        "groups": done.groups,
        "group_values": {name: _values(done.column(name)) for name in done.groups},
        "duplicates": twins,
        "near_duplicates": {"within": alike["within"], "across": alike["across"], "pairs": pairs},
        "giveaways": told,
        "left_out": stray or {},
        "warnings": [
            *_whose(done),
            *_copies(twins, alike, pairs),
            *([f"{constant} images hold one value only."] if constant else []),
            *(
                f"The column '{name}' gives the class away (it is guessed right for {share:.0%} of the patients): what "
                "is learned may be that and not the disease; balance it, or leave those images out."
                for name, share in told.items()
            ),
            *units,
            *_mixed_spacings(done),
        ],
    }
    return done, facts


# training with 32 images of 32 x 32 on one core (studies/recipes/speeds.csv, where 64 x 64 takes 3.5 times as long)
SECONDS_A_STEP = 0.076
PERCENTILES = (1, 25, 50, 75, 99)


def _intensities(values: np.ndarray) -> dict[str, float]:
    """Least, percentiles and largest of all values of a role; of at most some 10 million of them, evenly taken."""
    flat = values.reshape(-1)
    cuts = np.percentile(flat[:: max(1, flat.size // 10_000_000)], PERCENTILES)
    return {
        "min": float(flat.min()),
        **{f"p{at}": float(cut) for at, cut in zip(PERCENTILES, cuts, strict=True)},
        "max": float(flat.max()),
    }


def _values(column: list[str]) -> dict[str, int]:
    """The most frequent values of a column and how many images have them; empty where nearly all differ."""
    counts = Counter(column)
    return dict(counts.most_common(8)) if len(counts) <= max(8, len(column) // 10) else {}


def _whose(done: Cohort) -> list[str]:
    if any(named := done.column("patient")) and not all(named):
        return [
            f"{named.count('')} images name no patient, such as {done.column('path')[named.index('')]}, and count as "
            "patients of their own: name them in a manifest, or leakage from one role into another is not excluded."
        ]
    if not done.patients_known:
        return ["The patients are not known, so leakage of a patient from one role into another could not be excluded."]
    files = [file_of(path) for path in done.column("path")]
    if all(Path(file).as_posix().endswith(who) for file, who in zip(files, done.column("patient"), strict=True)):
        return [
            "Each file counts as a patient of its own: if a patient has several files, name the patients with "
            "--pattern or in a manifest, or one may leak from one role into another."
        ]
    return []


def _copies(twins: dict[str, int], alike: Counter[str], pairs: list[list[object]]) -> list[str]:
    out = []
    if twins["across"]:
        out.append(
            f"{twins['across']} images have an exact copy in another role: what looks new may have been learned from."
        )
    if twins["within"]:
        out.append(f"{twins['within']} images are exact copies of another in their role: they count more than others.")
    if alike:
        out.append(
            f"{alike.total()} pair(s) of images that are not said to be of one patient show nearly the same picture, "
            f"{alike['across']} across roles, such as {pairs[0][0]} and {pairs[0][1]}: is it one patient?"
        )
    return out


def _mixed_units(done: Cohort) -> list[str]:
    """A note where some images name no unit; InputError where they name several."""
    units, paths = done.column("unit"), done.column("path")
    shown = "; ".join(
        f"{unit or 'none'} ({n} images, such as {paths[units.index(unit)]})" for unit, n in Counter(units).most_common()
    )
    if len({*units} - {""}) > 1:
        raise InputError(
            f"{done.name} mixes units: {shown}; one grey value would mean several things: keep the images of one unit"
        )
    return [f"The units differ: {shown}; if it is one unit, say so for all."] if "" in units and any(units) else []


def _mixed_spacings(done: Cohort) -> list[str]:
    """Pixel sizes that are missing, or differ by more than a tenth."""
    out, sizes, paths = [], done.column("spacing"), done.column("path")
    if "" in sizes and any(sizes):
        out.append(
            f"{sizes.count('')} images do not say how large a pixel is, such as {paths[sizes.index('')]}; others do."
        )
    known = {size: [float(part) for part in size.split("x")[-2:]] for size in sizes if size}
    table = np.array(list(known.values()))
    if known and (table.max(0) > 1.1 * table.min(0)).any():
        least, most = min(known, key=lambda size: min(known[size])), max(known, key=lambda size: max(known[size]))
        out.append(
            f"Pixels are from {table.min():g} to {table.max():g} mm, such as {paths[sizes.index(least)]} and "
            f"{paths[sizes.index(most)]}: sizes in the images do not compare, and radiomics depends on them; resample "
            "to one spacing."
        )
    return out


def _stray(data: str, found: Cohort, how: Read) -> dict[str, int]:
    folder = Path(data or found.name)
    if not folder.is_dir():
        return {}
    for table in sorted(folder.glob("*.csv")):
        with table.open(encoding="utf-8", errors="replace") as lines:
            if "path" in lines.readline().strip().split(","):
                say(f"note: {table} lists images; give it in the folder's place to use its columns")
    return left_out(folder, found, how)


def apart(out: Path, data: str) -> None:
    """SettingsError where results would be written among the images, or the images lie where results belong."""
    source, target = Path(data).resolve(), out.resolve()
    if not data or not source.is_dir():
        return
    free = os.path.normpath(Path(data, "..", f"{source.name}-run"))
    if target.is_relative_to(source):
        where = "is the folder of the images itself" if target == source else f"lies inside the images' folder {data}"
        raise SettingsError(f"{out} {where}, where results would be taken for images; {ELSEWHERE}, for example {free}")
    if any(source.is_relative_to(target / name) for name in STAGES):
        raise SettingsError(
            f"the images' folder {data} lies inside {out}, where results belong; {ELSEWHERE}, for example {free}"
        )


def prepare(
    folder: Path,
    data: str,
    how: Read,
    shares: Split,
    cohort: Cohort | None = None,
    overwrite: bool = False,
    suits: Suits | None = None,
) -> Outcome:
    """The stage RUN/data: manifest.csv with a role for every image, and facts.json.

    suits: raises InputError where the images are not what the next stage needs; then nothing is written
    """
    apart(folder, data or (cohort.name if cohort else ""))
    found = read(cohort or data, how)
    roles, target = split(found, shares), folder / "data"

    def work() -> list[Path]:
        done, facts = look(roles, _stray(data, found, how), suits)
        return [write_manifest(done, target / "manifest.csv"), write_json(target / "facts.json", facts)]

    named = data or found.name
    settings = {
        # lesions, lesions/ and ./lesions are one source
        "data": named if named.startswith("phantom:") else str(Path(named).resolve()),
        "read": record(how),
        "split": record(shares),
    }
    outcome = stage(target, "data", settings, {"source": source_hash(found)}, work, run=folder, overwrite=overwrite)
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
    unnamed = facts.get("unnamed", 0 if facts["patients_known"] else facts["images"])
    whose = f"{facts['patients']} {'unknown ' if unnamed == facts['images'] else ''}patients"
    whose += f" ({unnamed} images name none)" if 0 < unnamed < facts["images"] else ""  # type: ignore[operator]
    form = f"{'x'.join(map(str, shape[1:]))} pixels, {shape[0]} channel(s), {facts['dtype']}"
    stray = facts.get("left_out", {})
    assert isinstance(stray, dict)
    lines = [
        f"{facts['name']}: {facts['images']} images of {whose}",
        f"  {form}, values {span[0]:g} to {span[1]:g} in the role train ({facts['unit'] or 'no unit'})"
        + (f", {'x'.join(f'{v:g}' for v in spacing)} mm a pixel" if spacing else ""),
        *(
            [f"  left out, no images of a class: {', '.join(f'{n} {kind}' for kind, n in stray.items())}"]
            if stray
            else []
        ),
        "",
        f"  {'images (patients)':<24}" + "".join(f"{role:>14}" for role in ROLES) + f"{'to balance':>14}",
    ]
    learn = max(roles[TRAIN][0] for roles in classes.values())
    for label, roles in classes.items():
        cells = "".join(f"{f'{images} ({patients})':>14}" for images, patients in (roles[part] for part in ROLES))
        lines.append(f"  {label[:24]:<24}{cells}{f'+{learn - roles[TRAIN][0]}':>14}")
    rarest = min(sum(images for images, _ in roles.values()) for roles in classes.values())
    lines += ["", f"  the rarest class has 1 image per {most / max(rarest, 1):.1f} of the most frequent one"]
    made = {label: learn - roles[TRAIN][0] for label, roles in classes.items() if learn > roles[TRAIN][0]}
    if made:
        each = ", ".join(f"{n} {label}" for label, n in made.items())
        lines.append(f"  augment will make {sum(made.values())} images to balance the role train: {each}")
    lines += [*_plan(classes, shape), *_tables(facts)]
    warnings = facts["warnings"]
    assert isinstance(warnings, list)
    return "\n".join([*lines, *(f"  note: {text}" for text in warnings)])


def _plan(classes: dict[str, dict[str, list[int]]], shape: list[int]) -> list[str]:
    """What training will do by default: steps, how often each image is seen, and about how long it takes."""
    from ganatomy.train import Loop

    loop = Loop()
    seen = loop.steps * loop.batch / len(classes)
    often = ", ".join(f"of {label} {seen / roles[TRAIN][0]:,.0f} times" for label, roles in classes.items())
    minutes = loop.steps * SECONDS_A_STEP * (math.prod(shape[1:]) / 1024) ** 0.9 * loop.batch / 32 / 60
    return [
        f"  the plan: {loop.steps:,} steps of {loop.batch} images, {seen:,.0f} of each class: each image {often}",
        f"  training takes about {max(1, minutes):.0f} minutes on one CPU core (an estimate); --steps changes it",
    ]


def _tables(facts: dict[str, object]) -> list[str]:
    """Intensities by role, duplicates, and what the groups hold; nothing for facts of versions that wrote none."""
    intensities, near, groups = (facts.get(name) for name in ("intensities", "near_duplicates", "group_values"))
    twins = facts["duplicates"]
    if not (isinstance(intensities, dict) and isinstance(near, dict) and isinstance(groups, dict)):
        return []
    assert isinstance(twins, dict)
    names = list(intensities[TRAIN])
    lines = ["", f"  {'values':<24}" + "".join(f"{name:>10}" for name in names)]
    lines += [f"  {role:<24}" + "".join(f"{cuts[name]:>10.4g}" for name in names) for role, cuts in intensities.items()]
    lines += [
        "",
        f"  copies within a role, across roles: exact {twins['within']}, {twins['across']}; "
        f"near {near['within']}, {near['across']}",
    ]
    for name, values in groups.items():
        shown = ", ".join(f"{value or 'not given'} {n}" for value, n in values.items())
        lines.append(f"  {name}: {shown or 'nearly all different'}")
    return lines
