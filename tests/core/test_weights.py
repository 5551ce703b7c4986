"""Weights: bits and header come back, and nothing that could run code is opened."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from ganatomy.core import weights
from ganatomy.core.errors import RunError


def test_weights_come_back_bit_for_bit_with_their_header(tmp_path):
    whole = torch.randn(4, 6)
    tensors = {"a": whole, "t": whole.T, "part": whole[:, 2:], "n": torch.arange(3), "h": whole.bfloat16()}
    header = {"kind": "generator", "classes": ["bösartig", "01"], "low": -1024.5}
    read, found = weights.load(weights.save(tmp_path / "w.safetensors", tensors, header))
    assert found == header and read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in read)


def test_equal_weights_are_equal_bytes(tmp_path):
    tensors, header = {"b": torch.ones(2), "a": torch.zeros(3)}, {"y": 1, "x": 2}
    one = weights.save(tmp_path / "1", tensors, header)
    other = weights.save(tmp_path / "2", dict(sorted(tensors.items())), dict(sorted(header.items())))
    assert one.read_bytes() == other.read_bytes()


def test_weights_that_are_damaged_foreign_or_pickled_are_refused_by_name(tmp_path):
    path = weights.save(tmp_path / "w.safetensors", {"a": torch.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RunError, match=r"w\.safetensors cannot be read as weights"):
        weights.load(path)
    save_file({"a": torch.ones(1)}, tmp_path / "foreign")
    with pytest.raises(RunError, match="foreign holds no ganatomy header"):
        weights.load(tmp_path / "foreign")
    with pytest.raises(RunError, match="missing cannot be read"):
        weights.load(tmp_path / "missing")
    with pytest.raises(RunError, match="cannot be read"):
        weights.load(tmp_path)


def test_weights_of_a_newer_format_are_refused_with_both_numbers(tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(weights, "FORMAT", weights.FORMAT + 1)
        path = weights.save(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {})
    told = rf"{path} has format {weights.FORMAT + 1}, and this ganatomy \S+ knows none above {weights.FORMAT}; update"
    with pytest.raises(RunError, match=told):
        weights.load(path)


@pytest.mark.parametrize("marks", ["[]", "3", "{", '{"format": "new"}'])
def test_a_header_that_makes_no_sense_is_foreign(tmp_path, marks):
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", metadata={"ganatomy": marks})
    with pytest.raises(RunError, match="holds no ganatomy header"):
        weights.load(tmp_path / "w.safetensors")


class Trap:
    """Unpickling it leaves a mark."""

    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


def test_no_pickled_code_runs(tmp_path):
    torch.save({"a": Trap()}, tmp_path / "w.pt")
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(Trap()))
    for name in ("w.pt", "w.pkl"):
        with pytest.raises(RunError, match="cannot be read as weights"):
            weights.load(tmp_path / name)
    assert not Trap.sprung
    pickle.loads((tmp_path / "w.pkl").read_bytes())
    assert Trap.sprung  # the trap works
