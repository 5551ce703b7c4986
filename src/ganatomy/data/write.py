"""Write images so that `data.read` gives the same values back, each file marked as synthetic.

Knows PNG (8 and 16 bit, grey and RGB) and npz. What a 16-bit PNG cannot hold, signed or fractional values, goes
through a slope and an intercept that the manifest carries.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ganatomy.core.errors import InputError
from ganatomy.core.run import write_bytes


def storage(dtype: str, low: float, high: float) -> tuple[float, float]:
    """slope, intercept with which values between low and high fit a PNG: value = stored * slope + intercept."""
    kind = np.dtype(dtype)
    if kind in (np.uint8, np.uint16):
        return 1.0, 0.0
    if kind.kind in "iu":
        intercept = float(np.floor(low)) or -1.0  # without an intercept they would be read as unsigned
        if high - intercept > 65535:
            raise InputError(f"values from {low:g} to {high:g} do not fit 16 bits; set --window low,high")
        return 1.0, intercept
    return (high - low) / 65535, low


def png_bytes(values: np.ndarray, slope: float, intercept: float, text: Mapping[str, str]) -> bytes:
    """One image (C, H, W) as PNG with text entries. Raises InputError unless C is 1 or 3."""
    if values.shape[0] not in (1, 3):
        raise InputError(f"a PNG holds 1 or 3 channels, not {values.shape[0]}; write npz instead (--format npz)")
    stored = values
    if values.dtype not in (np.uint8, np.uint16) or (slope, intercept) != (1.0, 0.0):
        stored = np.clip(np.rint((values.astype(np.float64) - intercept) / slope), 0, 65535).astype(np.uint16)
    buffer = io.BytesIO()
    if stored.shape[0] == 3 and stored.dtype == np.uint16:
        import png

        rows = np.moveaxis(stored, 0, -1).reshape(stored.shape[1], -1)
        png.Writer(stored.shape[2], stored.shape[1], greyscale=False, bitdepth=16).write(buffer, rows.tolist())
        head, *rest = png.Reader(bytes=buffer.getvalue()).chunks()
        # iTXt: keyword, then no compression, no language, no translated keyword, then UTF-8
        marks = [(b"iTXt", key.encode("latin-1") + bytes(5) + value.encode()) for key, value in text.items()]
        buffer = io.BytesIO()
        png.write_chunks(buffer, [head, *marks, *rest])
        return buffer.getvalue()
    from PIL import Image as Pillow
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    array = stored[0] if stored.shape[0] == 1 else np.moveaxis(stored, 0, -1)
    Pillow.fromarray(np.ascontiguousarray(array)).save(buffer, format="png", pnginfo=info)
    return buffer.getvalue()


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as npz; numpy stamps every member with one fixed date, so equal arrays are equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def write_png(path: Path, values: np.ndarray, slope: float, intercept: float, text: Mapping[str, str]) -> Path:
    """Write one image, whole or not at all."""
    return write_bytes(path, png_bytes(values, slope, intercept, text))
