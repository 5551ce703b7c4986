"""A small convolutional classifier: the judge of the utility trial, and the embedding of the integrity checks."""

from torch import Tensor, nn

from ganatomy.nets.shape import CONV, NORM, POOL


class Classifier(nn.Module):
    """f(x): (n, channels, *space) images in [-1, 1] -> (n, classes) logits; `embed`: (n, 4 width) features before."""

    def __init__(self, dims: int, channels: int, classes: int, width: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for after in (width, 2 * width, 4 * width):
            layers += [CONV[dims](before, after, 3, padding=1, bias=False), NORM[dims](after), nn.ReLU(), POOL[dims](2)]
            before = after
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(before, classes))

    def embed(self, x: Tensor) -> Tensor:
        """(n, 4 width): the last feature maps, averaged over the image."""
        return self.body(x).float().flatten(2).mean(2)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))  # type: ignore[no-any-return]
