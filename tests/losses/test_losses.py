"""Objectives against closed forms, and their gradients against finite differences."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ganatomy.losses.adversarial import logistic_discriminator, non_saturating_generator
from ganatomy.losses.penalty import r1


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_logistic_is_the_cross_entropy_of_the_paper() -> None:
    real, fake = [0.3, -1.2, 4.0], [-0.5, 2.0, 0.0]
    expected = -sum(math.log(sigmoid(x)) for x in real) / 3 - sum(math.log(1 - sigmoid(x)) for x in fake) / 3
    assert float(logistic_discriminator(torch.tensor(real), torch.tensor(fake))) == pytest.approx(expected, rel=1e-6)


def test_an_undecided_discriminator_costs_two_log_two() -> None:
    zero = torch.zeros(5)
    assert float(logistic_discriminator(zero, zero)) == pytest.approx(2 * math.log(2), rel=1e-6)
    assert float(non_saturating_generator(zero)) == pytest.approx(math.log(2), rel=1e-6)


def test_non_saturating_is_minus_log_sigmoid() -> None:
    fake = [-3.0, 0.5]
    expected = -sum(math.log(sigmoid(x)) for x in fake) / 2
    assert float(non_saturating_generator(torch.tensor(fake))) == pytest.approx(expected, rel=1e-6)


def test_both_stay_finite_where_exponentials_do_not() -> None:
    far = torch.tensor([1e4, -1e4])
    assert float(logistic_discriminator(far, far)) == pytest.approx(1e4)
    assert float(non_saturating_generator(far)) == pytest.approx(5e3)


def test_the_generators_gradient_does_not_vanish_where_it_loses() -> None:
    fake = torch.tensor([-20.0], requires_grad=True)
    non_saturating_generator(fake).backward()
    assert fake.grad is not None
    assert float(fake.grad) == pytest.approx(-1.0, abs=1e-6)


@pytest.mark.parametrize(
    "loss", [lambda x: logistic_discriminator(x, x.flip(0) + 1), non_saturating_generator], ids=["D", "G"]
)
def test_gradients_are_those_of_finite_differences(loss: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (x,))


@pytest.mark.parametrize("space", [(7, 5), (3, 4, 5)], ids=str)
def test_r1_of_a_linear_discriminator_is_its_squared_length(space: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    w = torch.randn(2, *space)
    x = torch.randn(4, 2, *space, requires_grad=True)
    penalty = r1((x * w).flatten(1).sum(1), x)
    assert penalty.item() == pytest.approx(float(w.square().sum()), rel=1e-5)


def test_r1_is_the_mean_of_numeric_gradients() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Softplus(), nn.Linear(5, 1)).double()
    x = torch.randn(3, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    h, total = 1e-5, 0.0
    with torch.no_grad():
        for pixel in range(12):
            step = torch.zeros(1, 12, dtype=torch.float64).index_fill_(1, torch.tensor([pixel]), h).view(1, 1, 3, 4)
            total += float(((net(x + step) - net(x - step)) / (2 * h)).square().sum()) / 3
    assert r1(net(x).squeeze(1), x).item() == pytest.approx(total, rel=1e-5)


def test_r1_trains_the_discriminator() -> None:
    """Its gradient with respect to w is 2 w, for D(x) = <w, x>."""
    w = torch.randn(1, 4, 4, requires_grad=True)
    x = torch.randn(2, 1, 4, 4, requires_grad=True)
    r1((x * w).flatten(1).sum(1), x).backward()
    assert w.grad is not None
    torch.testing.assert_close(w.grad, 2 * w.detach())


def test_r1_is_taken_in_full_precision() -> None:
    torch.manual_seed(0)
    net = nn.Conv2d(1, 1, 3)
    x = torch.randn(2, 1, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = r1(net(x).flatten(1).sum(1), x)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(r1(net(x).flatten(1).sum(1), x).item(), rel=0.02)
