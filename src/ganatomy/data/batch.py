"""Batches as a function of (seed, step): no loader state to save, so a stopped run resumes to the same bits.

Knows how classes are balanced within a batch. Holds the whole training set in memory: cohorts are small.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ganatomy.core.seed import derive

Batch = Mapping[str, Tensor]  # "x": (n, C, *space) float32 in [-1, 1]; "y": (n,) class codes; "weight": (n,) optional


def balanced(x: Tensor, y: Sequence[int], size: int, seed: int) -> Callable[[int], Batch]:
    """batch_at(step): classes drawn with equal chance, then images within the class, both with replacement."""
    codes = torch.as_tensor(y, dtype=torch.long)
    classes = int(codes.max()) + 1
    rows = [torch.nonzero(codes == c).ravel() for c in range(classes)]
    counts = torch.tensor([len(r) for r in rows])
    if not counts.all():
        raise ValueError(f"class {int(counts.argmin())} has no image to draw")
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (classes, most images)

    def batch_at(step: int) -> Batch:
        chance = torch.Generator().manual_seed(derive(seed, "batch", step))
        label = torch.randint(0, classes, (size,), generator=chance)
        within = (torch.rand(size, generator=chance) * counts[label]).long()
        return {"x": x[padded[label, within]], "y": label}

    return batch_at


def shuffled(x: Tensor, y: Sequence[int], weight: Sequence[float], size: int, seed: int) -> Callable[[int], Batch]:
    """batch_at(step): every image once an epoch in an order drawn from (seed, epoch); short sets are repeated."""
    codes, weights = torch.as_tensor(y, dtype=torch.long), torch.as_tensor(weight, dtype=torch.float32)
    n = len(codes)

    def order(epoch: int) -> Tensor:
        return torch.randperm(n, generator=torch.Generator().manual_seed(derive(seed, "epoch", epoch)))

    def batch_at(step: int) -> Batch:
        first, last = step * size, (step + 1) * size
        rows = torch.cat([order(epoch) for epoch in range(first // n, (last - 1) // n + 1)])
        rows = rows[first - first // n * n :][:size]
        return {"x": x[rows], "y": codes[rows], "weight": weights[rows]}

    return batch_at
