"""Adversarial objectives: pure functions of logits (n,) -> scalar, to be minimised. sigma is the logistic function."""

from torch import Tensor
from torch.nn.functional import softplus


def logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(D(x)) - E log(1 - sigma(D(G(z)))) (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1)."""
    return softplus(-real).mean() + softplus(fake).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E log sigma(D(G(z))): strong gradients where the discriminator is sure (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean()
