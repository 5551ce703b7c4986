"""What is particular to synthesis: the lazy penalty, and the augmentation chance that follows overfitting by class."""

import pytest
import torch

from ganatomy.core.errors import SettingsError
from ganatomy.data.augment import Symmetry
from ganatomy.tasks.synthesis import Chance, Model, Synthesis

SMALL = {"latent": 4, "width": 2, "most": 4}


def task(**changes: object) -> Synthesis:
    torch.manual_seed(0)
    return Synthesis(Model().replace(**SMALL, **changes), Symmetry(), ("a", "b"), 1, (16, 16))


def batch() -> dict[str, torch.Tensor]:
    return {"x": torch.rand(6, 1, 16, 16) * 2 - 1, "y": torch.tensor([0, 0, 0, 1, 1, 1])}


def test_the_penalty_is_taken_every_few_steps() -> None:
    made = task(lazy=3)
    assert [step for step in range(7) if "r1" in made.losses("D", batch(), step)] == [0, 3, 6]


def test_the_penalty_weighs_gamma_over_two_on_average() -> None:
    """Taken every `lazy` steps it counts `lazy` times: the same pull, whatever `lazy` is."""
    x = batch()

    def penalty(**changes: object) -> float:
        made = task(overfit=0.0, **changes)
        torch.manual_seed(1)
        return made.losses("D", x, 0)["r1"].item()

    assert penalty(gamma=2.0, lazy=1) > 0
    assert penalty(gamma=2.0, lazy=5) == pytest.approx(5 * penalty(gamma=2.0, lazy=1), rel=1e-5)
    assert penalty(gamma=6.0, lazy=1) == pytest.approx(3 * penalty(gamma=2.0, lazy=1), rel=1e-5)


def test_gamma_follows_the_size_unless_given() -> None:
    sizes = {space: Synthesis(Model(), Symmetry(), ("a", "b"), 1, space).gamma for space in ((32, 40), (64, 64))}
    assert sizes == {(32, 40): 1.0, (64, 64): 4.0}
    assert task(gamma=0.5).gamma == 0.5


def test_the_chance_rises_for_the_overfitted_class_alone() -> None:
    chance, model = Chance(2), Model(ramp=1.0)
    y = torch.tensor([0] * 100 + [1] * 100)
    logits = torch.cat([torch.ones(100), torch.tensor([1.0, -1.0]).repeat(50)])  # sure of class 0, lost on class 1
    for _ in range(10):
        chance.update(logits, y, model)
    assert chance.sign[0] > 0.9
    assert abs(float(chance.sign[1])) < 1e-6
    assert float(chance.p[0]) == pytest.approx(model.most_chance)
    assert float(chance.p[1]) == 0


def test_one_update_by_hand() -> None:
    """sign <- lerp(sign, mean sign, n / 250); p moves n * classes / (ramp * 1000) towards the side of the bar."""
    chance, model = Chance(2), Model(ramp=2.0, overfit=0.01)
    chance.update(torch.tensor([3.0, -1.0, 0.5, 2.0, 9.0]), torch.tensor([0, 0, 0, 0, 1]), model)
    assert chance.sign.tolist() == pytest.approx([0.5 * 4 / 250, 1 * 1 / 250])
    assert chance.p.tolist() == [0.0, 0.0]  # both are below the bar
    chance.update(torch.ones(4), torch.zeros(4, dtype=torch.long), model)
    assert chance.p.tolist() == pytest.approx([4 * 2 / 2000, 0.0])
    assert float(chance.sign[1]) == pytest.approx(1 / 250), "a class that was not seen keeps its sign"


def test_the_chance_follows_real_images_and_moves_in_the_discriminators_turn_only() -> None:
    made = task()
    made.losses("G", batch(), 0)
    assert made.nets["chance"].sign.abs().sum() == 0
    made.losses("D", batch(), 0)
    assert made.nets["chance"].sign.abs().sum() > 0
    off = task(overfit=0.0)
    off.losses("D", batch(), 0)
    assert off.nets["chance"].sign.abs().sum() == 0


def test_real_and_generated_images_are_augmented_in_both_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = task(), []
    made.nets["chance"].p.fill_(1.0)  # type: ignore[operator, union-attr]
    monkeypatch.setattr("ganatomy.tasks.synthesis.transform", lambda x, draw: (seen.append(x.requires_grad), x)[1])
    made.losses("D", batch(), 1)
    assert len(seen) == 2
    made.losses("G", batch(), 1)
    assert seen[2:] == [True], "the generator learns through the augmentation"


@pytest.mark.parametrize(("name", "value"), [("latent", 0), ("width", 0), ("most", -1), ("lazy", 0), ("ramp", 0)])
def test_impossible_values_are_refused(name: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"--{name} needs"):
        Model().replace(**{name: value})
