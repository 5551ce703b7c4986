"""Settings: flags, file and record are one thing; a wrong word is answered in words."""

import argparse
import importlib
import json
import math
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

import ganatomy.jobs
from ganatomy.core.errors import InputError, SettingsError
from ganatomy.core.settings import Settings, add_flags, difference, flat, from_flat, option, read_file, record


@dataclass(frozen=True)
class Inner(Settings):
    rate: float = option(0.5, "a share of 100 %")
    names: tuple[str, ...] = option((), "words")


@dataclass(frozen=True)
class Outer(Settings):
    data: str = option("", "where from")
    steps: int = option(10, "how many", unit="steps")
    kind: Literal["one", "two"] = option("one", "which")
    turn: bool = option(False, "whether")
    window: tuple[float, ...] = option((), "low,high")
    width: float | None = option(None, "optional")
    out: Path = option(Path("run"), "where to", local=True)
    inner: Inner = Inner()


FULL = Outer("cells", 20, "two", True, (-1000.0, 400.0), 2.5, Path("there"), Inner(0.25, ("a", "b")))


def parsed(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, Outer, ("data",))
    return {name: value for name, value in vars(parser.parse_args(words)).items() if value is not None}


def jobs():
    for module in pkgutil.iter_modules(ganatomy.jobs.__path__):
        for value in vars(importlib.import_module(f"ganatomy.jobs.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Settings) and value.__module__.endswith(module.name):
                yield value


def test_flags_file_and_record_give_the_same_settings(tmp_path):
    words = ["cells", "--steps", "20", "--kind", "two", "--turn", "--window", "-1000,400", "--width", "2.5"]
    words += ["-o", "there", "--rate", ".25", "--names", "a,b"]
    assert from_flat(Outer(), parsed(*words)) == FULL
    for name, values in (("nested", record(FULL, local=True)), ("flat", {**parsed(*words), "turn": "yes"})):
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
        assert from_flat(Outer(), read_file(tmp_path / f"{name}.json")) == FULL
    (tmp_path / "s.toml").write_text(
        'data = "cells"\nsteps = 20\nkind = "two"\nturn = true\nwindow = [-1000, 400]\nwidth = 2.5\nout = "there"\n'
        '[inner]\nrate = 0.25\nnames = ["a", "b"]\n'
    )
    assert from_flat(Outer(), read_file(tmp_path / "s.toml")) == FULL


def test_a_flag_that_is_not_given_changes_nothing():
    assert parsed("cells") == {"data": "cells"}
    assert from_flat(FULL, parsed("cells")) == FULL


def test_the_record_is_nested_json_without_local_options():
    values = record(FULL)
    assert "out" not in values and values["inner"] == {"rate": 0.25, "names": ["a", "b"]}
    assert json.loads(json.dumps(values)) == values
    assert record(FULL, local=True)["out"] == "there"


def test_names_with_dashes_and_utf8_are_read(tmp_path):
    (tmp_path / "s.json").write_bytes('{"inner": {"names": ["Größe"]}, "data": "x"}'.encode())
    assert from_flat(Outer(), read_file(tmp_path / "s.json")).inner.names == ("Größe",)
    (tmp_path / "d.json").write_text('{"bin-width": 3}')
    assert read_file(tmp_path / "d.json") == {"bin_width": 3}


@pytest.mark.parametrize("window", ["-1000,400", "-1e3,400", "-.5,-.25", "0,1"])
def test_a_window_that_starts_below_zero_is_a_value_and_not_a_flag(window):
    assert parsed("cells", "--window", window)["window"] == window


def test_replace_reaches_into_groups_and_leaves_the_rest():
    changed = FULL.replace(rate="0.75", steps=7)
    assert (changed.inner.rate, changed.inner.names, changed.steps) == (0.75, ("a", "b"), 7)
    assert FULL.inner.rate == 0.25


@pytest.mark.parametrize(("name", "hint"), [("step", "'steps'"), ("ratte", "'rate'"), ("zzzz", "known are: data")])
def test_an_unknown_setting_is_refused_with_the_nearest_known_one(name, hint):
    with pytest.raises(SettingsError, match=f"no setting '{name}'.*{hint}"):
        Outer().replace(**{name: 1})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("steps", "many", "--steps needs a whole number, not 'many'"),
        ("steps", 2.5, "--steps needs a whole number, not '2.5'"),
        ("steps", True, "--steps needs a number, not 'True'"),
        ("steps", None, "--steps needs a whole number, not 'None'"),
        ("rate", "fast", "--rate needs a number, not 'fast'"),
        ("rate", "nan", "--rate needs a number, not 'nan'"),
        ("rate", math.inf, "--rate needs a number, not 'inf'"),
        ("window", "a,b", "--window needs a number, not 'a'"),
        ("window", {"low": 1}, "--window needs a number, not '{'low': 1}'"),
        ("kind", "three", "--kind is one of one, two, not 'three'"),
        ("turn", "perhaps", "--turn is yes or no, not 'perhaps'"),
        ("width", "wide", "--width needs a number, not 'wide'"),
        ("data", ["a"], "--data needs a word, not '['a']'"),
        ("data", None, "--data needs a word, not 'None'"),
        ("out", ["a"], "--out needs a path, not '['a']'"),
    ],
)
def test_a_wrong_type_is_refused_in_words(name, value, words):
    with pytest.raises(SettingsError) as caught:
        Outer().replace(**{name: value})
    assert str(caught.value) == words


def test_values_are_converted():
    changed = Outer().replace(width="none", turn="no", steps=3.0, window=5, names="", data=7)
    assert changed == Outer(data="7", steps=3, window=(5.0,))


@pytest.mark.parametrize(
    ("text", "words"), [("{", "neither JSON nor TOML"), ("[1]", "holds no names"), (b"\xff\xfe", "neither JSON")]
)
def test_a_settings_file_that_is_none_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "s.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=words) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match="cannot read the settings file"):
        read_file(tmp_path / "missing.json")


def test_difference_is_said_in_words():
    assert difference(record(FULL), record(FULL.replace(steps=30, rate=1))) == ["rate 0.25 -> 1.0", "steps 20 -> 30"]
    assert difference(record(FULL), record(FULL.replace(out="elsewhere"))) == []


def test_help_shows_defaults_units_and_percent_signs():
    parser = argparse.ArgumentParser()
    add_flags(parser, Outer)
    text = " ".join(parser.format_help().split())
    for part in (
        "how many [steps] (default: 10)",
        "a share of 100 % (default: 0.5)",
        "(default: no)",
        "--kind one|two",
    ):
        assert part in text
    assert "optional (default" not in text


def opened(values):
    """Flat names of a record, groups within groups too."""
    flattened = {}
    for key, value in values.items():
        flattened.update(opened(value) if isinstance(value, dict) else {key: value})
    return flattened


def test_every_job_names_each_setting_once_and_can_be_parsed():
    found = list(jobs())
    assert {cls.__name__ for cls in found} >= {"Augment", "Train", "Generate", "Check", "Prove", "Report", "Inspect"}
    for cls in found:
        names = [name for name, _, _ in flat(cls)]
        assert len(names) == len(set(names)), (cls, sorted(n for n in names if names.count(n) > 1))
        add_flags(argparse.ArgumentParser(), cls)  # argparse refuses a flag that is there twice
        values = json.loads(json.dumps(record(cls(), local=True)))
        assert from_flat(cls(), opened(values)) == cls()
