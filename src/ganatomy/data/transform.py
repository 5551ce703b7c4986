"""Deterministic geometry on a batch: what a Draw says, no more. No intensity is changed, so units survive.

Knows flips, quarter turns, shifts and boxes. Does not draw them (data.augment does).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """What happens to each image of a batch of n with `dims` spatial axes.

    shift: (n, dims) pixels by which the view moves, filled by reflection; flip: (n,) mirror the last axis; turn: (n,)
    quarter turns in the plane of the last two axes, before the flip, before the shift; box: (n, dims + 1) centre and
    half-width in pixels of a region set to `fill`, half-width 0 for none
    """

    shift: Tensor
    flip: Tensor
    turn: Tensor
    box: Tensor
    fill: float = -1.0


def transform(x: Tensor, draw: Draw) -> Tensor:
    """Apply a Draw to x (n, C, *space); differentiable, twice. Turned images must be square in the last two axes."""
    n, channels, *space = x.shape
    dims = len(space)
    grid = torch.meshgrid(*(torch.arange(size, device=x.device) for size in space), indexing="ij")

    def wide(v: Tensor) -> Tensor:
        return v.view(n, *[1] * dims)

    # where each output pixel is read from; dims tensors of (n, *space)
    at = [axis + wide(draw.shift[:, i]) for i, axis in enumerate(grid)]
    for i, size in enumerate(space):  # reflect into the image without repeating the edge
        period = max(2 * (size - 1), 1)
        folded = at[i].abs() % period
        at[i] = torch.minimum(folded, period - folded)
    at[-1] = torch.where(wide(draw.flip), space[-1] - 1 - at[-1], at[-1])
    if bool(draw.turn.any()):
        if space[-1] != space[-2]:
            raise ValueError(f"quarter turns need square images, not {space[-2]} x {space[-1]}")
        turn, last = wide(draw.turn), space[-1] - 1
        row, column = at[-2], at[-1]
        at[-2] = torch.where(
            turn == 1, column, torch.where(turn == 2, last - row, torch.where(turn == 3, last - column, row))
        )
        at[-1] = torch.where(
            turn == 1, last - row, torch.where(turn == 2, last - column, torch.where(turn == 3, row, column))
        )
    index = at[0]
    for i in range(1, dims):
        index = index * space[i] + at[i]
    moved = x.flatten(2).gather(2, index.view(n, 1, -1).expand(n, channels, -1)).view(x.shape)
    if not bool(draw.box[:, -1].any()):
        return moved
    inside = torch.ones(n, *space, dtype=torch.bool, device=x.device)
    for i, axis in enumerate(grid):
        inside &= (axis - wide(draw.box[:, i])).abs() < wide(draw.box[:, -1])
    return moved.masked_fill(inside[:, None], draw.fill)
