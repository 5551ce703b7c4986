"""What is particular to classification: weights, and augmentation without boxes."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from ganatomy.data.augment import Symmetry
from ganatomy.data.transform import Draw, transform
from ganatomy.tasks.classify import Augmentation, Classify


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {"x": torch.rand(4, 1, 16, 16) * 2 - 1, "y": torch.tensor([0, 1, 0, 1])}


def test_a_weight_of_two_counts_as_showing_the_image_twice() -> None:
    made, own = Classify(2, 1, (16, 16), width=4), batch()
    made.nets.eval()
    twice = {key: torch.cat([value, value[:1]]) for key, value in own.items()}
    weighted = made.losses("S", {**own, "weight": torch.tensor([2.0, 1, 1, 1])}, 0)["cross_entropy"]
    torch.testing.assert_close(weighted, made.losses("S", twice, 0)["cross_entropy"])
    plain = cross_entropy(made.nets["classifier"](own["x"]), own["y"])
    torch.testing.assert_close(made.losses("S", own, 0)["cross_entropy"], plain)
    assert abs((weighted - plain).item()) > 1e-6


def test_augmentation_changes_images_and_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Draw] = []

    def watched(x: torch.Tensor, draw: Draw) -> torch.Tensor:
        seen.append(draw)
        return transform(x, draw)

    monkeypatch.setattr("ganatomy.tasks.classify.transform", watched)
    made = Classify(2, 1, (16, 16), 4, Augmentation(1.0, Symmetry(turn=True)))
    for _ in range(5):
        made.losses("S", batch(), 0)
    assert any(bool(draw.shift.any()) for draw in seen)
    assert any(bool(draw.turn.any()) for draw in seen)
    assert not any(bool(draw.box[:, -1].any()) for draw in seen), "cutout hides lesions"
    Classify(2, 1, (16, 16), 4).losses("S", batch(), 0)
    assert len(seen) == 5
