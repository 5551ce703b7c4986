"""The map between stored values in physical units and the network's [-1, 1], fitted once and kept with the weights.

Knows low, high and type. Does not know networks or files.
"""

from dataclasses import dataclass

import numpy as np

from ganatomy.core.errors import InputError


@dataclass(frozen=True)
class Intensity:
    """low, high: values that become -1 and +1; what lies outside is clipped. dtype: what `decode` gives back."""

    low: float
    high: float
    dtype: str

    def encode(self, values: np.ndarray) -> np.ndarray:
        """(...) stored values -> (...) float32 in [-1, 1]."""
        scaled: np.ndarray = (values.astype(np.float32) - np.float32(self.low)) * np.float32(
            2 / (self.high - self.low)
        ) - 1
        return np.clip(scaled, -1, 1, out=scaled)

    def decode(self, scaled: np.ndarray) -> np.ndarray:
        """(...) float32 in about [-1, 1] -> (...) values in the stored type: the same quantiser as the real images'."""
        clipped = np.clip(scaled.astype(np.float64), -1, 1)
        values = self.low + (clipped + 1) / 2 * (self.high - self.low)
        if np.dtype(self.dtype).kind == "f":
            return values.astype(self.dtype)
        span = np.iinfo(self.dtype)  # a window may reach beyond it
        return np.clip(np.rint(values), span.min, span.max).astype(self.dtype)


def fit(values: np.ndarray, window: tuple[float, ...] = ()) -> Intensity:
    """The map for training values (N, C, H, W): the window; else 0..255 for 8 bit, or the middle 99.98 % of the values.

    Raises InputError where the window is none, or all values are one.
    """
    least, most = float(values.min()), float(values.max())
    if least == most:
        raise InputError(
            f"all training images hold the one value {least:g}; there is nothing to learn from constant images"
        )
    if window:
        if len(window) != 2 or window[0] >= window[1]:
            raise InputError(f"--window needs two values, low then high, not '{','.join(f'{v:g}' for v in window)}'")
        low, high = window
        if low >= most or high <= least:
            raise InputError(
                f"--window {low:g},{high:g} lies beside the training values, which reach from {least:g} to {most:g}"
            )
    elif values.dtype == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = (float(v) for v in np.percentile(values, (0.01, 99.99)))
        if values.dtype.kind in "iu":
            low, high = float(np.floor(low)), float(np.ceil(high))
        if low == high:  # hardly any pixel differs from the ground
            low, high = least, most
    return Intensity(low, high, values.dtype.name)
