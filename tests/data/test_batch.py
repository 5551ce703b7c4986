"""Batches: a function of (seed, step), classes in balance, each epoch once through."""

import pytest
import torch

from ganatomy.data.batch import balanced, shuffled

Y = [0] * 90 + [1] * 9 + [2]
X = torch.arange(100.0).view(100, 1, 1, 1).expand(100, 1, 2, 2)


def test_a_balanced_batch_is_a_function_of_seed_and_step_only():
    forward, backward = balanced(X, Y, 16, 3), balanced(X, Y, 16, 3)
    torch.manual_seed(0)
    first = [forward(step) for step in range(5)]
    torch.manual_seed(1)
    again = [backward(step) for step in reversed(range(5))][::-1]
    assert all(torch.equal(a["x"], b["x"]) and torch.equal(a["y"], b["y"]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0]["x"], first[1]["x"])
    assert not torch.equal(first[0]["x"], balanced(X, Y, 16, 4)(0)["x"])


def test_balanced_classes_are_equally_frequent_and_images_within_them_too():
    batch = balanced(X, Y, 30_000, 0)(0)
    assert torch.bincount(batch["y"]).div(30_000).sub(1 / 3).abs().max() < 0.01
    row = batch["x"][:, 0, 0, 0].long()
    assert torch.equal(torch.tensor(Y)[row], batch["y"])  # an image keeps its own class
    within = torch.bincount(row, minlength=100)
    assert within.min() > 0 and within[90:99].max() / within[90:99].min() < 1.3


def test_a_class_without_an_image_is_refused():
    with pytest.raises(ValueError, match="class 1 has no image"):
        balanced(X[:3], [0, 2, 2], 4, 0)


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 10), (10, 4), (5, 12), (7, 21), (3, 1)])
def test_shuffled_covers_every_epoch_exactly_once(n, size):
    batch_at = shuffled(X[:n], list(range(n)), [float(i) for i in range(n)], size, 0)
    batches = [batch_at(step) for step in range(4 * n)]
    assert all(len(batch["y"]) == size for batch in batches)
    flat = torch.cat([batch["y"] for batch in batches])
    epochs = [flat[i : i + n].tolist() for i in range(0, len(flat), n)]
    assert len(epochs) == 4 * size
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    for batch in batches:
        assert torch.equal(batch["x"][:, 0, 0, 0].long(), batch["y"]) and torch.equal(
            batch["weight"], batch["y"].float()
        )


def test_a_shuffled_batch_is_a_function_of_seed_and_step_only():
    one, other = shuffled(X, Y, [1.0] * 100, 7, 0), shuffled(X, Y, [1.0] * 100, 7, 0)
    late = one(40)
    torch.manual_seed(5)
    assert torch.equal(other(40)["x"], late["x"])
    assert not torch.equal(shuffled(X, Y, [1.0] * 100, 7, 1)(40)["x"], late["x"])
