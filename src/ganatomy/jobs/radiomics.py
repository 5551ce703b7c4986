"""radiomics IMAGES: features of every region of a file, a folder or a table of images, one row per region.

Beside features.csv lie features.notes.csv (why values are undefined, what was left out) and features.done.json (all
settings). Rows are kept in a hidden journal as they are measured, so whatever ends the command, the same one goes on.
Knows files and processes; what a feature is, radiomics/ knows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ganatomy.core import __version__
from ganatomy.core.errors import InputError, RunError, SettingsError
from ganatomy.core.journal import Journal, begun_with, journal, other_settings
from ganatomy.core.pool import Lost, spread
from ganatomy.core.progress import progress, say
from ganatomy.core.run import ANEW, ELSEWHERE, file_hash, read_json, write_json
from ganatomy.core.settings import Settings, option, read_file, record
from ganatomy.data import pairs, table
from ganatomy.data.pairs import Pair, listed
from ganatomy.data.volume import TOLERANCE
from ganatomy.radiomics import parameters
from ganatomy.radiomics.files import ABOUT, Measured, Plan, measure
from ganatomy.radiomics.settings import STANDARD, RadiomicsSettings

FORMAT = 1
BATCH = 64, 2**20  # images that go to a process at once, and bytes of their files: small images are many
OTHER = ELSEWHERE.replace("folder", "file")
FILES = ".json, .toml or .yaml file, or a parameter file of pyradiomics"  # what --settings reads
KINDS: dict[str, type] = dict.fromkeys(("image", "mask", *ABOUT), str) | {"label": int, "voxels": int}
NOTES = ("image", "mask", "label", "column", "reason")


@dataclass(frozen=True)
class RadiomicsJob(Settings):
    """Features of every region."""

    images: str = option(
        "", "an image, a folder of them (all below it), an .npz, or a table (.csv) with the columns image, mask, label"
    )
    masks: str = option("", "a mask for all, or a folder of them, paired by name or by place; none: images as a whole")
    label: tuple[int, ...] = option((), "measure only the regions with these labels")
    correct_mask: bool = option(False, "bring masks on another grid to their image's, instead of refusing them")
    tolerance: float = option(TOLERANCE, "how far the grids of image and mask may be apart", unit="voxels")
    apart: tuple[str, ...] = option((), "settings of one filter alone, for example wavelet:bin_width=10")
    out: Path | None = option(None, "table to write, .csv or .parquet", local=True)
    keep_going: bool = option(False, "leave out what cannot be read or measured, and name it", local=True)
    workers: int = option(1, "processes", local=True)
    overwrite: bool = option(False, "measure anew even what was measured with other settings", local=True)
    radiomics: RadiomicsSettings = RadiomicsSettings()


class Failure(NamedTuple):
    """An image that was left out, and why."""

    image: str
    mask: str
    reason: str


def read_settings(path: Path) -> dict[str, Any]:
    """Settings from a .json, .toml or .yaml file, or from a parameter file of pyradiomics, as flat names.

    What a parameter file asks for and does not get is said, one line each.
    """
    suffix = path.suffix.lower()
    content = parameters.load(path) if suffix in (".yaml", ".yml", ".json") else None
    if not parameters.is_parameters(content):
        return read_file(path) if suffix not in (".yaml", ".yml") else _flat(path, content)
    found = parameters.read(path)
    for note in found.notes:
        say(f"note: {path}: {note}")
    first, *others = found.passes
    own = {name: one[name] for one in others for word in one["filters"] for name in parameters.OF_FILTERS.get(word, ())}
    aside = ("filters", "families", "features", *own)
    apart = [
        f"{word}:{name}={'/'.join(map(str, value)) if isinstance(value, tuple) else value}"
        for one in others
        for word in one["filters"]
        for name, value in one.items()
        if name not in aside and value != first[name]
    ]
    filters = tuple(word for one in found.passes for word in one["filters"])
    out: dict[str, Any] = {**first, **own, "filters": filters, "apart": tuple(apart), "correct_mask": found.correct}
    out |= {} if found.label is None else {"label": (found.label,)}
    return out | ({} if found.tolerance is None else {"tolerance": found.tolerance})


def _flat(path: Path, content: Any) -> dict[str, Any]:
    """Plain settings in YAML."""
    if not isinstance(content, Mapping):
        raise InputError(f"the settings file {path} holds no names and values")
    opened = [
        item
        for key, value in content.items()
        for item in (value if isinstance(value, Mapping) else {key: value}).items()
    ]
    return {str(key).replace("-", "_"): value for key, value in opened}


def run(settings: RadiomicsJob) -> Path:
    """Measure every region and write the tables; returns the path of the features."""
    out = _checked(settings)
    plan = _plan(settings)
    head = {"job": "radiomics", "format": FORMAT, "version": __version__, "settings": _record(settings)}
    kept = out.with_name(f".{out.name}.rows")
    if not settings.overwrite:
        _refuse_others(out, kept, head)
    found = pairs.find(settings.images, settings.masks)
    left = _without_mask(found, settings)
    keys = {json.dumps([*pair, _stamp(pair)]): pair for pair in found.pairs}
    if not keys:
        raise InputError(f"no image of {settings.images} has a mask in {settings.masks}; names or places must agree")
    inputs = {"images": len(keys), "sha256": hashlib.sha256("\n".join(keys).encode()).hexdigest()}
    if not settings.overwrite and _is_done(out, head, inputs):
        say(f"radiomics: nothing to do, it is done ({out})")
        return out
    with journal(kept, head) as done, _unless_empty(done):
        failures = _measured(keys, plan, settings, done)
        if not any(key in done for key in keys):
            raise InputError(f"no image of {settings.images} could be measured; the first one: {failures[0].reason}")
        outputs = _write(out, keys, [*left, *failures], done)
        write_json(_beside(out, "done.json"), {**head, "inputs": inputs, "outputs": outputs})
        if not failures:
            kept.unlink()
    say(f"radiomics: {outputs[out.name]['rows']} regions of {len(keys) - len(failures)} image(s) ({out})")
    left_out = len(left) + len(failures)
    if undefined := outputs[_beside(out, "notes.csv").name]["rows"] - left_out:
        say(f"note: {undefined} value(s) are undefined; {_beside(out, 'notes.csv')} says why")
    if named := [failure.image for failure in (*left, *failures)]:
        say(f"note: {len(named)} image(s) were left out, see {_beside(out, 'notes.csv')}: {listed(named)}")
    return out


@contextmanager
def _unless_empty(done: Journal) -> Iterator[None]:
    """Where nothing was measured, nothing holds the corrected words to these settings."""
    try:
        yield
    except InputError:
        if not len(done):
            done.path.unlink()
        raise


def _checked(settings: RadiomicsJob) -> Path:
    """Where to write; SettingsError or InputError where that, or what to measure, is not said."""
    if settings.out is None:
        raise SettingsError("say where to write the table with -o, for example -o features.csv (or .parquet)")
    if not settings.images:
        raise SettingsError("say what to measure: an image, a folder of images, or a table of them")
    if settings.workers < 1:
        raise SettingsError(f"--workers is a number of processes from 1, not {settings.workers}")
    table.writable(settings.out)
    return settings.out


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f"{out.stem}.{what}")


def _record(settings: RadiomicsJob) -> dict[str, Any]:
    """What decides the table; where the images lie is one source under many spellings."""
    said = record(settings)
    paths = [name for name in ("images", "masks") if said[name] and not said[name].startswith("phantom:")]
    return {**said, **{name: str(Path(said[name]).resolve()) for name in paths}}


def _refuse_others(out: Path, kept: Path, head: Mapping[str, Any]) -> None:
    """RunError where a table, or a begun one, of other settings or of another program would be lost."""
    record = _beside(out, "done.json")
    begun = begun_with(kept)
    if not record.exists() and out.exists():
        raise RunError(f"{out} is there already and was not written here; {OTHER}, or {ANEW} to replace it")
    old = read_json(record) if record.exists() else begun
    if old is None:
        return
    if not isinstance(old, dict) or not isinstance(old.get("settings"), dict):
        raise RunError(f"{record} is damaged; {ANEW} and give the command again")
    for other in (old, begun or old):
        if changed := other_settings(other, head):
            made = out.with_name(next(iter(other.get("outputs") or ()), out.name))
            raise RunError(f"{made} was made with other settings ({changed}); {OTHER}, or {ANEW} to make it anew")


def _is_done(out: Path, head: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether the tables stand as they were written, of these images, by this version."""
    record = _beside(out, "done.json")
    old = read_json(record) if record.exists() else {}
    outputs = old.get("outputs") or {}
    if (old.get("inputs"), old.get("version")) != (inputs, head["version"]) or out.name not in outputs:
        return False
    files = {name: out.with_name(name) for name in outputs}
    return all(path.exists() and file_hash(path) == outputs[name]["sha256"] for name, path in files.items())


def _without_mask(found: pairs.Found, settings: RadiomicsJob) -> list[Failure]:
    """Images without a mask stop the command, or are left out; masks without an image are said."""
    if found.masks:
        say(f"note: {len(found.masks)} mask(s) belong to no image: {listed(found.masks)}")
    if found.images and not settings.keep_going:
        raise InputError(
            f"{len(found.images)} image(s) have no mask in {settings.masks}: {listed(found.images)}; give them names "
            "or places that agree, write a table of image and mask, or leave these images out with --keep-going"
        )
    return [Failure(image, "", f"there is no mask for it in {settings.masks}") for image in found.images]


def _stamp(pair: Pair) -> str:
    """What tells that an image or its mask has changed: names, sizes and times of all their files."""
    parts = []
    for path in filter(None, (pair.image, pair.mask)):
        at = Path(path)
        at = at if at.exists() or "#" not in path else Path(path.rpartition("#")[0])
        files = sorted(at.iterdir()) if at.is_dir() else [at] if at.exists() else []
        parts += [(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files if one.is_file()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _measured(keys: Mapping[str, Pair], plan: Plan, settings: RadiomicsJob, done: Journal) -> list[Failure]:
    """Measure into the journal what it lacks; what could not be measured, by name."""
    failures: dict[str, str] = {}
    todo = [(key, pair) for key, pair in keys.items() if key not in done]
    with progress("radiomics", len(keys), len(keys) - len(todo)) as advance:
        for results in spread(partial(measure, plan=plan), _batches(todo), settings.workers):
            for result in _killed(results) if isinstance(results, Lost) else results:
                if isinstance(result, Measured):
                    rows = [(about, done.number(names), values) for about, names, values in result.rows]
                    done.add(result.key, {"rows": rows, "notes": result.notes})
                else:
                    failures[result[0]] = result[1]
                advance(1)
            if failures and not settings.keep_going:
                others = (
                    f" ({len(done)} of {len(keys)} images are measured and kept: mend this one and give the same "
                    "command again, or leave it out with --keep-going)"
                )
                raise InputError(next(iter(failures.values())) + (others if len(keys) > 1 else ""))
    return [Failure(pair.image, pair.mask, failures[key]) for key, pair in keys.items() if key in failures]


def _killed(lost: Lost[tuple[str, Pair]]) -> list[tuple[str, str]]:
    key, pair = lost.what
    died = f"the process that measured {pair.image} was killed"
    return [(key, f"{died} (out of memory?); take fewer --workers, or crop the image")]


def _batches(todo: list[tuple[str, Pair]]) -> Iterator[list[tuple[str, Pair]]]:
    """Images that are measured together: one large one, or many small ones."""
    batch: list[tuple[str, Pair]] = []
    size = 0
    for key, pair in todo:
        path = Path(pair.image)
        series = path.is_dir() or Path(pair.image.rpartition("#")[0] or "#").is_dir()
        own = BATCH[1] if series else path.stat().st_size if path.is_file() else 0  # of a part of a file
        if batch and (len(batch) == BATCH[0] or size + own > BATCH[1]):
            yield batch
            batch, size = [], 0
        batch.append((key, pair))
        size += own
    if batch:
        yield batch


def _write(out: Path, keys: Mapping[str, Pair], failures: list[Failure], done: Journal) -> dict[str, Any]:
    """Both tables, row by row, in the order of the images; the names, lengths and hashes of their files."""
    ready = [(pair, key) for key, pair in keys.items() if key in done]
    lists = dict.fromkeys(number for _, key in ready for _, number, _ in done.content(key)["rows"])
    columns = dict.fromkeys(name for number in lists for name in done.lists[number])

    def rows() -> Iterator[dict[str, Any]]:
        for pair, key in ready:
            for about, number, values in done.content(key)["rows"]:
                of_names = dict(zip(done.lists[number], values, strict=True))
                yield {"image": pair.image, "mask": pair.mask, **about, **of_names}

    def notes() -> Iterator[dict[str, Any]]:
        for pair, key in ready:
            for note in done.content(key)["notes"]:
                yield dict(zip(NOTES, (pair.image, pair.mask, *note), strict=True))
        for failure in failures:
            yield dict(zip(NOTES, (failure.image, failure.mask, None, "", failure.reason), strict=True))

    beside = _beside(out, "notes.csv")
    lengths = {
        out: table.write(out, (*KINDS, *columns), rows(), KINDS),
        beside: table.write(beside, NOTES, notes()),
    }
    return {path.name: {"rows": count, "sha256": file_hash(path)} for path, count in lengths.items()}


def _plan(settings: RadiomicsJob) -> Plan:
    base, own = settings.radiomics, _apart(settings)
    groups: dict[str, list[str]] = {}
    for word in base.filters:
        groups.setdefault(json.dumps(own.get(word, {})), []).append(word)
    passes: list[RadiomicsSettings] = []
    bins = [_bins(base)]
    # shape is measured beside the original image
    for changes, words in sorted(groups.items(), key=lambda group: "original" not in group[1]):
        one = replace(base.replace(**json.loads(changes)), filters=tuple(words))
        if passes:
            kept = [name for name in base.families or STANDARD if not name.startswith("shape")]
            if not kept:
                continue
            one = replace(
                one, families=tuple(kept), features=tuple(f for f in base.features if not f.startswith("shape"))
            )
            bins += [f"{'+'.join(words)}: {_bins(one)}"] if _bins(one) != bins[0] else []
        passes.append(one)
    digest = hashlib.sha256(json.dumps(_measuring(settings), sort_keys=True).encode()).hexdigest()[:12]
    keep = settings.keep_going
    return Plan(tuple(passes), settings.label, settings.correct_mask, settings.tolerance, keep, digest, "; ".join(bins))


def _measuring(settings: RadiomicsJob) -> dict[str, Any]:
    """The part of the record that is not where the images lie."""
    return {name: value for name, value in record(settings).items() if name not in ("images", "masks")}


def _bins(one: RadiomicsSettings) -> str:
    if one.levels_as_given:
        return "as given"
    return f"count {one.bin_count}" if one.bin_count else f"width {one.bin_width:g}"


def _apart(settings: RadiomicsJob) -> dict[str, dict[str, str]]:
    """--apart as changes by filter."""
    found: dict[str, dict[str, str]] = {}
    for text in settings.apart:
        word, colon, rest = text.partition(":")
        name, equals, value = rest.partition("=")
        if not (colon and equals and name and word in settings.radiomics.filters):
            raise SettingsError(f"--apart is written as filter:setting=value, for one of --filters, not '{text}'")
        found.setdefault(word, {})[name.replace("-", "_")] = value.replace("/", ",")
    return found
