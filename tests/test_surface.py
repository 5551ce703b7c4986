"""The public names, pinned: a change here is a change of the major version."""

import dataclasses
import importlib
import inspect
import subprocess
import sys

import pytest

import ganatomy
from ganatomy.cli import JOBS

PUBLIC = [
    "Cohort",
    "Finding",
    "GanatomyError",
    "Study",
    "Verdict",
    "__version__",
    "augment",
    "pixels",
    "radiomics",
    "read",
    "sampler",
]
SAMPLER = ["sampling_strategy", "image_shape", "random_state", "steps", "batch", "lr", "gamma", "latent", "width"]
SAMPLER += ["flip", "turn", "window", "device", "threads", "verbose"]
VERBS = ["inspect", "augment", "train", "generate", "check", "prove", "report", "radiomics"]


def test_public_names() -> None:
    assert ganatomy.__all__ == PUBLIC
    assert dir(ganatomy) == PUBLIC
    for name in PUBLIC:
        assert getattr(ganatomy, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'agument'"):
        _ = ganatomy.agument


def test_every_public_name_is_the_one_its_home_has_and_is_described() -> None:
    assert set(PUBLIC) - set(ganatomy._HOME) == {"__version__", "radiomics", "sampler"}
    for name in ganatomy._HOME:
        home = importlib.import_module(f"ganatomy.{ganatomy._HOME[name]}")
        assert getattr(ganatomy, name) is getattr(home, name)
        assert inspect.getdoc(getattr(ganatomy, name))


def test_signatures() -> None:
    assert dir(ganatomy.radiomics) == ["RadiomicsExtractor", "RadiomicsSettings", "extract", "table"]
    extract = inspect.signature(ganatomy.radiomics.extract).parameters
    assert list(extract) == ["images", "masks", "settings", "spacing", "label", "notes", "threads"]
    assert list(inspect.signature(ganatomy.augment).parameters) == ["data", "out", "preset", "changes"]
    assert list(inspect.signature(ganatomy.read).parameters)[:1] == ["source"]
    assert list(inspect.signature(ganatomy.pixels).parameters)[:1] == ["cohort"]
    members = {name for name in vars(ganatomy.Study) if not name.startswith("_")}
    assert {field.name for field in dataclasses.fields(ganatomy.Study)} == {"run"}
    assert members == {"findings", "verdict", "synthetic", "cohort"}


def test_the_sampler_is_found_when_asked_for_and_costs_nothing_before() -> None:
    code = (
        "import sys, ganatomy as ga; assert not {'torch', 'imblearn'} & set(sys.modules), 'import ganatomy is heavy'; "
        "ga.sampler.GANSampler(steps=3); assert 'torch' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_sampler_has_what_imbalanced_learn_asks_for_and_takes_names_only() -> None:
    assert list(inspect.signature(ganatomy.sampler.GANSampler.fit_resample).parameters) == ["self", "X", "y", "params"]
    parameters = inspect.signature(ganatomy.sampler.GANSampler).parameters
    assert list(parameters) == SAMPLER
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_verbs() -> None:
    assert [job.verb for job in JOBS] == VERBS
