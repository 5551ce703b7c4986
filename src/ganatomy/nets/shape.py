"""What every network here shares: layers by number of spatial axes, and the ladder of sizes and widths between
an image and a start of about four pixels. Any size goes, also one that is no power of two: the ladder starts at
the size divided by 2^stages, rounded up, and the generator crops what is too much.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
UPSAMPLING = {2: "bilinear", 3: "trilinear"}


def stages(space: Sequence[int]) -> int:
    """How many halvings bring the shortest axis to about four pixels."""
    return max(1, round(math.log2(min(space) / 4)))


def start(space: Sequence[int]) -> tuple[int, ...]:
    """The spatial shape at the bottom of the ladder."""
    return tuple(math.ceil(size / 2 ** stages(space)) for size in space)


def widths(space: Sequence[int], width: int, most: int) -> list[int]:
    """Channels at full resolution first, doubled at each halving, `most` at the most."""
    return [min(width * 2**i, most) for i in range(stages(space) + 1)]


def crop(x: Tensor, space: Sequence[int]) -> Tensor:
    """The middle of x (n, C, *bigger) with the spatial shape asked for."""
    for axis, size in enumerate(space, start=2):
        x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
    return x
