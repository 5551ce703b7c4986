"""Gradient penalties: pure functions -> scalar."""

import torch
from torch import Tensor


def r1(logits: Tensor, real: Tensor) -> Tensor:
    """E |grad_x D(x)|^2 on real images, summed over pixels (Mescheder et al. 2018, arXiv 1801.04406, eq. 9, times 2).

    logits: (n,) from `real` (n, C, *space), which requires grad. The gradient is taken in full precision.
    """
    with torch.autocast(real.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return gradient.float().square().flatten(1).sum(1).mean()
