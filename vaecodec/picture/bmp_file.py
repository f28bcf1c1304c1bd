"""The transparency of 16-bit BMP, which Pillow reads as colours alone."""

import struct
from typing import BinaryIO

import numpy as np
from PIL import Image

_MASKS_5551 = (0x7C00, 0x03E0, 0x001F, 0x8000)  # red, green, blue, alpha
_BITFIELDS = 3
_SMALLEST_WITH_ALPHA = 56  # bytes of the first header (BITMAPV3INFOHEADER) that has a mask of alpha


def one_bit_alpha(image: Image.Image, file: BinaryIO) -> np.ndarray | None:
    """Alpha `[H, W]`, 0 or 255, of a BMP of 5, 5, 5 and 1 bits; None for all others.

    `image` is Pillow's image of `file`, its size checked and not yet loaded. Raises ValueError
    for a file that ends too early.
    """
    file.seek(14)
    header = file.read(_SMALLEST_WITH_ALPHA)
    if len(header) < _SMALLEST_WITH_ALPHA:
        return None
    size, _, _, _, bits, compression = struct.unpack("<IiiHHI", header[:20])
    masks = struct.unpack("<4I", header[40:56])
    if size < _SMALLEST_WITH_ALPHA or (bits, compression) != (16, _BITFIELDS):
        return None
    if masks != _MASKS_5551:
        return None
    _, _, offset, arguments = image.tile[0]  # type: ignore[attr-defined]
    _, stride, direction = arguments  # -1 where the file's first row is the lowest
    file.seek(offset)
    words = np.frombuffer(file.read(stride * image.height), "<u2")
    rows = words.reshape(image.height, stride // 2)[::direction, : image.width]
    alpha: np.ndarray = np.where(rows >> 15, np.uint8(255), np.uint8(0))
    return alpha
