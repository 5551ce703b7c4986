"""What inspect prints and what the data stage leaves."""

import json
from pathlib import Path

import numpy as np
import pytest

from ganatomy.cli import main
from ganatomy.core.cohort import read_manifest
from ganatomy.jobs import inspect

from .conftest import COMMON, RARE, draw


def test_inspect_prints_and_writes_nothing(
    lesions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(lesions)]) == 0
    out = capsys.readouterr()
    assert "42 images of 32 patients" in out.out
    assert "16x16 pixels, 1 channel(s), uint8" in out.out
    assert "the rarest class has 1 image per 2.5" in out.out
    assert f"next: ganatomy augment {lesions} -o RUN" in out.err
    assert not list(tmp_path.iterdir())


def test_the_data_stage_holds_roles_hashes_and_facts(lesions: Path, tmp_path: Path) -> None:
    folder = inspect.prepare(tmp_path, str(lesions), inspect.Read(), inspect.Split()).folder
    cohort = read_manifest(folder / "manifest.csv")
    facts = json.loads((folder / "facts.json").read_text())
    assert len(cohort) == facts["images"] == 42
    assert facts["patients"] == 32
    assert facts["patients_known"] is True
    assert facts["groups"] == ["site"]
    assert facts["shape"] == [1, 16, 16]
    assert all(len(sha) == 64 for sha in cohort.column("sha256"))
    roles: dict[str, set[str]] = {}
    for who, role in zip(cohort.patients, cohort.column("role"), strict=True):
        roles.setdefault(who, set()).add(role)
    assert all(len(own) == 1 for own in roles.values()), "a patient has one role"
    for label in (RARE, COMMON):
        for role, (images, patients) in facts["classes"][label].items():
            rows = cohort.where(role, label)
            assert (len(rows), len(set(rows.patients))) == (images, patients)


def test_what_is_odd_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 200, (24, 8, 8), dtype=np.uint8)
    images[3] = 7
    images[5] = images[4]  # of another role
    np.savez(
        tmp_path / "c.npz",
        images=images,
        labels=np.repeat([0, 1], 12),
        split=["train", "select", "holdout", "test"] * 6,
    )
    assert main(["inspect", str(tmp_path / "c.npz")]) == 0
    out = capsys.readouterr().out
    assert "24 images of 24 unknown patients" in out
    assert "leakage of a patient from one role into another could not be excluded" in out
    assert "1 images have an exact copy in another role" in out or "2 images have an exact copy in another role" in out
    assert "1 images hold one value only" in out


def test_a_clean_cohort_has_no_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(draw(tmp_path))]) == 0
    assert "note:" not in capsys.readouterr().out
