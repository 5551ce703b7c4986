"""Settings: one frozen dataclass per job is its flags, its file and its record.

A field is declared with `option(default, help)`. A field that is itself a settings class is a group: its
fields are flags of the job too, and a nested object in the file and the record. Knows types and names; does
not know any job.
"""

import argparse
import dataclasses
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ganatomy.core.errors import InputError, SettingsError, nearest


def option(default: Any = dataclasses.MISSING, help: str = "", unit: str = "", local: bool = False) -> Any:
    """A settings field: its default, a sentence for --help, and its unit.

    local=True marks what does not change a result (where to write, how many workers): it stays out of the record.
    """
    return field(default=default, metadata={"help": help, "unit": unit, "local": local})


S = TypeVar("S", bound="Settings")

LONG = 60  # letters of a value in a sentence


@dataclass(frozen=True)
class Settings:
    """Base of all settings classes."""

    def replace(self, **changes: Any) -> typing.Self:
        """A copy with flat changes, also inside groups; SettingsError on an unknown name or a wrong value."""
        return from_flat(self, changes)


def _hints(cls: type[Settings]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def is_group(hint: Any) -> bool:
    """Whether a field's type is itself a settings class."""
    return isinstance(hint, type) and issubclass(hint, Settings)


def flat(cls: type[Settings]) -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    """Every (name, type, field) of a settings class, groups opened. Names are unique within a job."""
    hints = _hints(cls)
    for item in dataclasses.fields(cls):
        if is_group(hints[item.name]):
            yield from flat(hints[item.name])
        else:
            yield item.name, hints[item.name], item


def from_flat(base: S, changes: Mapping[str, Any]) -> S:
    """`base` with values replaced by flat names, each converted to its field's type."""
    known = {name: hint for name, hint, _ in flat(type(base))}
    for name in changes:
        if name not in known:
            raise SettingsError(f"there is no setting '{name}'; {nearest(name, known)}")

    def rebuild(settings: Settings) -> Any:
        hints, values = _hints(type(settings)), {}
        for item in dataclasses.fields(settings):
            old = getattr(settings, item.name)
            if is_group(hints[item.name]):
                values[item.name] = rebuild(old)
            elif item.name in changes:
                values[item.name] = convert(item.name, hints[item.name], changes[item.name])
            else:
                values[item.name] = old
        return type(settings)(**values)

    return typing.cast(S, rebuild(base))


def convert(name: str, hint: Any, value: Any) -> Any:  # noqa: PLR0911, PLR0912
    """`value` (a string from a flag, or a JSON value) as the field's type; SettingsError in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        return convert(name, next(arg for arg in inner if arg is not type(None)), value)
    if origin is typing.Literal:
        if value not in inner:
            raise SettingsError(f"{_flag(name)} is one of {', '.join(map(str, inner))}, not '{value}'")
        return value
    if origin is tuple:
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
        return tuple(
            convert(name, inner[0], part.strip() if isinstance(part, str) else part) for part in parts if part != ""
        )
    if hint is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() in words:
            return words[str(value).lower()]
        raise SettingsError(f"{_flag(name)} is yes or no, not '{value}'")
    if hint in (int, float) and isinstance(value, bool):
        raise SettingsError(f"{_flag(name)} needs a number, not '{value}'")
    try:
        if hint is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        if hint is float and not math.isfinite(float(value)):
            raise ValueError
        if hint in (str, Path) and not isinstance(value, (str, Path, int, float)):
            raise TypeError
        return hint(value)
    except (TypeError, ValueError):
        kind = {int: "a whole number", float: "a number", str: "a word", Path: "a path"}.get(hint, str(hint))
        raise SettingsError(f"{_flag(name)} needs {kind}, not '{value}'") from None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def record(settings: Settings, local: bool = False) -> dict[str, Any]:
    """The settings as JSON-ready nested values; what does not change a result only with local=True."""
    out: dict[str, Any] = {}
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if isinstance(value, Settings):
            out[item.name] = record(value, local)
        elif local or not item.metadata.get("local"):
            out[item.name] = (
                str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            )
    return out


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two records, in words: `steps 300 -> 400`."""
    out = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            out += difference(a, b)
        elif a != b:
            shown = (text if len(text) <= LONG else text[:LONG] + "..." for text in map(json.dumps, (a, b)))
            out.append(f"{key} {' -> '.join(shown)}")
    return out


def read_file(path: Path) -> dict[str, Any]:
    """Settings from a .json or .toml file, nested or flat, as flat names."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise InputError(f"cannot read the settings file {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"the settings file {path} is neither JSON nor TOML: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"the settings file {path} holds no names and values")

    def open_groups(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for key, value in values.items():
            if isinstance(value, Mapping):
                yield from open_groups(value)
            else:
                yield key.replace("-", "_"), value

    return dict(open_groups(values))


def placeholder(name: str, hint: Any) -> str:
    """What stands for a value in --help: the words it may be, or the name in capitals."""
    return "|".join(map(str, typing.get_args(hint))) if typing.get_origin(hint) is typing.Literal else name.upper()


def add_flags(parser: argparse.ArgumentParser, cls: type[Settings], positional: tuple[str, ...] = ()) -> None:
    """Give a parser one flag per field (positional ones by name), values left as the words the user wrote."""
    parser._negative_number_matcher = re.compile(r"-\.?\d[\d.,eE+-]*$")  # --window -1000,400 is a value, not a flag
    for name, hint, item in flat(cls):
        meta, default = item.metadata, item.default
        text = meta.get("help", "") + (f" [{meta['unit']}]" if meta.get("unit") else "")
        if default is not dataclasses.MISSING and default not in (None, "", ()):
            shown = {True: "yes", False: "no"}.get(default, default) if isinstance(default, bool) else default
            text += f" (default: {','.join(map(str, shown)) if isinstance(shown, tuple) else shown})"
        text = text.replace("%", "%%")
        metavar = placeholder(name, hint)
        if name in positional:
            parser.add_argument(name, metavar=metavar, help=text, nargs="?" if default is None else None)
        elif hint is bool:
            parser.add_argument(_flag(name), nargs="?", const=True, default=None, metavar="yes|no", help=text)
        else:
            short = ["-o"] if name == "out" else []
            parser.add_argument(*short, _flag(name), default=None, metavar=metavar, help=text)
