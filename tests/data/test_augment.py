"""Augmentation: geometry by hand, no value that was not there, chances that are met, gradients through it all."""

import numpy as np
import pytest
import torch

from ganatomy.data.augment import Symmetry, draw
from ganatomy.data.transform import Draw, transform

BOTH = Symmetry(flip=True, turn=True)


def still(n, dims=2, **changes):
    """A draw that changes nothing but what is said."""
    values = {
        "shift": torch.zeros(n, dims, dtype=torch.long),
        "flip": torch.zeros(n, dtype=torch.bool),
        "turn": torch.zeros(n, dtype=torch.long),
        "box": torch.zeros(n, dims + 1, dtype=torch.long),
    }
    return Draw(**{**values, **changes})


def some(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# ------------------------------------------------------------ transform


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 8, 6), (2, 1, 4, 5, 6)])
def test_the_identity_changes_no_bit(shape):
    x = some(*shape)
    assert torch.equal(transform(x, still(shape[0], len(shape) - 2)), x)


def test_a_flip_mirrors_the_last_axis_of_the_images_it_happens_to():
    x = some(2, 3, 4, 5)
    moved = transform(x, still(2, flip=torch.tensor([True, False])))
    assert torch.equal(moved[0], x[0].flip(-1)) and torch.equal(moved[1], x[1])


def test_turns_are_those_of_numpy():
    x = some(4, 2, 5, 5)
    moved = transform(x, still(4, turn=torch.arange(4)))
    for k in range(4):
        np.testing.assert_array_equal(moved[k].numpy(), np.rot90(x[k].numpy(), k, (1, 2)))


def test_a_shift_reflects_without_repeating_the_edge():
    x = torch.arange(5.0).expand(1, 1, 3, 5)
    assert transform(x, still(1, shift=torch.tensor([[0, 2]])))[0, 0, 0].tolist() == [2, 3, 4, 3, 2]
    assert transform(x, still(1, shift=torch.tensor([[0, -2]])))[0, 0, 0].tolist() == [2, 1, 0, 1, 2]
    rows = x.transpose(2, 3)
    assert transform(rows, still(1, shift=torch.tensor([[1, 0]])))[0, 0, :, 0].tolist() == [1, 2, 3, 4, 3]


def test_the_order_is_turn_then_flip_then_shift():
    x = some(1, 1, 6, 6)
    change = still(1, shift=torch.tensor([[1, -2]]), flip=torch.tensor([True]), turn=torch.tensor([1]))
    expected = torch.rot90(x, 1, (2, 3)).flip(3)
    expected = torch.nn.functional.pad(expected, (2, 2, 2, 2), mode="reflect")[:, :, 3:9, 0:6]
    assert torch.equal(transform(x, change), expected)


def test_a_box_is_filled_and_nothing_else():
    x = some(2, 2, 8, 8)
    moved = transform(x, still(2, box=torch.tensor([[3, 6, 2], [0, 0, 0]])))
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:5, 5:8] = True
    assert (moved[0][:, inside] == -1).all() and torch.equal(moved[0][:, ~inside], x[0][:, ~inside])
    assert torch.equal(moved[1], x[1])


def test_volumes_move_alike():
    x = some(3, 1, 4, 6, 6)
    shift = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    box = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0], [2, 2, 2, 1]])
    moved = transform(x, still(3, 3, shift=shift, turn=torch.tensor([0, 1, 0]), box=box))
    assert torch.equal(moved[0, 0], x[0, 0][[1, 2, 3, 2]])
    assert torch.equal(moved[1], torch.rot90(x[1], 1, (2, 3)))
    assert moved[2, 0, 2, 2, 2] == -1 and int((moved[2] != x[2]).sum()) == 1


def test_a_single_slice_does_not_divide_by_nothing():
    x = some(1, 1, 1, 6, 6)
    assert torch.equal(transform(x, still(1, 3, shift=torch.tensor([[1, 0, 0]]))), x)


def test_only_square_images_turn():
    with pytest.raises(ValueError, match="square images, not 4 x 5"):
        transform(some(1, 1, 4, 5), still(1, turn=torch.tensor([1])))


def test_gradients_flow_twice():
    torch.manual_seed(0)
    x = some(4, 1, 8, 8).double().requires_grad_()
    change = draw(torch.ones(4), (8, 8), BOTH)
    assert torch.autograd.gradcheck(lambda v: transform(v, change), x)
    assert torch.autograd.gradgradcheck(lambda v: transform(v, change) ** 2, x)
    (gradient,) = torch.autograd.grad(transform(x, change).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert second.abs().sum() > 0


# ------------------------------------------------------------ draws


@pytest.mark.parametrize("space", [(16, 16), (9, 16, 16)])
def test_chance_none_never_changes_a_bit(space):
    torch.manual_seed(0)
    x = some(200, 1, *space)
    assert torch.equal(transform(x, draw(torch.zeros(200), space, BOTH)), x)


@pytest.mark.parametrize("space", [(16, 16), (24, 17), (9, 16, 16)])
def test_every_value_is_a_value_of_the_image_or_the_fill(space):
    torch.manual_seed(0)
    x = some(50, 2, *space) + 10  # far from the fill
    symmetry = Symmetry(turn=space[-1] == space[-2])
    moved = transform(x, draw(torch.ones(50), space, symmetry))
    for before, after in zip(x.flatten(0, 1), moved.flatten(0, 1), strict=True):
        assert torch.isin(after[after != -1], before).all()
    assert (moved == -1).any()
    assert not (transform(x, draw(torch.ones(50), space, symmetry, boxes=False)) == -1).any()


def test_chances_are_met_image_by_image():
    torch.manual_seed(0)
    n = 40_000
    chance = torch.cat([torch.zeros(n), torch.full((n,), 0.4), torch.ones(n)])
    change = draw(chance, (32, 32), BOTH)
    for part, p in enumerate((0.0, 0.4, 1.0)):
        rows = slice(part * n, (part + 1) * n)
        share = {
            "flip": (change.flip[rows].float().mean(), p / 2),
            "turn": ((change.turn[rows] != 0).float().mean(), p * 3 / 4),
            "box": ((change.box[rows, -1] > 0).float().mean(), p),
            "shift": ((change.shift[rows] != 0).any(1).float().mean(), p * (1 - 1 / 81)),
        }
        for name, (got, wanted) in share.items():
            assert float(got) == pytest.approx(wanted, abs=0.01), (name, p)
    last = slice(2 * n, 3 * n)
    assert change.shift.abs().max() == 4 and torch.bincount((change.shift[last] + 4).ravel()).min() > 0.95 * 2 * n / 9
    assert torch.bincount(change.turn[last]).min() > 0.95 * n / 4
    assert change.box[last, :2].min() == 0 and change.box[last, :2].max() == 31 and (change.box[last, 2] == 8).all()


def test_a_symmetry_that_is_off_never_happens():
    torch.manual_seed(0)
    change = draw(torch.ones(1000), (32, 24), Symmetry(flip=False, turn=False))
    assert not change.flip.any() and not change.turn.any() and change.shift.any()
    assert Symmetry() == Symmetry(flip=True, turn=False)


def test_a_draw_follows_the_generator_of_torch():
    torch.manual_seed(7)
    one = draw(torch.full((20,), 0.5), (16, 16), BOTH)
    torch.manual_seed(7)
    again = draw(torch.full((20,), 0.5), (16, 16), BOTH)
    assert all(torch.equal(getattr(one, name), getattr(again, name)) for name in ("shift", "flip", "turn", "box"))
