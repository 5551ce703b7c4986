"""The public names, pinned: a change here is a change of the major version."""

import dataclasses
import importlib
import inspect

import pytest

import ganatomy
from ganatomy.cli import JOBS

PUBLIC = ["Cohort", "Finding", "GanatomyError", "Study", "Verdict", "__version__", "augment", "pixels", "read"]
VERBS = ["inspect", "augment", "train", "generate", "check", "prove", "report"]


def test_public_names() -> None:
    assert ganatomy.__all__ == PUBLIC
    assert dir(ganatomy) == PUBLIC
    for name in PUBLIC:
        assert getattr(ganatomy, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'agument'"):
        _ = ganatomy.agument


def test_every_public_name_is_the_one_its_home_has_and_is_described() -> None:
    for name in set(PUBLIC) - {"__version__"}:
        home = importlib.import_module(f"ganatomy.{ganatomy._HOME[name]}")
        assert getattr(ganatomy, name) is getattr(home, name)
        assert inspect.getdoc(getattr(ganatomy, name))


def test_signatures() -> None:
    assert list(inspect.signature(ganatomy.augment).parameters) == ["data", "out", "preset", "changes"]
    assert list(inspect.signature(ganatomy.read).parameters)[:1] == ["source"]
    assert list(inspect.signature(ganatomy.pixels).parameters)[:1] == ["cohort"]
    members = {name for name in vars(ganatomy.Study) if not name.startswith("_")}
    assert {field.name for field in dataclasses.fields(ganatomy.Study)} == {"run"}
    assert members == {"findings", "verdict", "synthetic", "cohort"}


def test_verbs() -> None:
    assert [job.verb for job in JOBS] == VERBS
