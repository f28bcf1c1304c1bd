"""BMP files come in with their transparency."""

import io
import struct

import numpy as np
import pytest

from vaecodec.errors import PictureError
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file

WIDTH, HEIGHT = 5, 3  # an odd width, so that rows end in padding
OPAQUE = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.5


def bmp(
    header: int, alpha_mask: int, *, top_down: bool = False, opaque: np.ndarray = OPAQUE
) -> bytes:
    """A red BMP of 16 bits whose top bit is set where `opaque`."""
    words = np.zeros((HEIGHT, WIDTH + 1), "<u2")
    words[:, :WIDTH] = 0x7C00 | np.where(opaque, 0x8000, 0)
    pixels = (words if top_down else words[::-1]).tobytes()
    height = -HEIGHT if top_down else HEIGHT
    start = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    start = (start + struct.pack("<4I", 0x7C00, 0x03E0, 0x001F, alpha_mask)).ljust(header, b"\0")
    offset = 14 + len(start)
    return struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset) + start + pixels


def read(content: bytes) -> Picture:
    return picture_from_file(io.BytesIO(content), 10**6)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("header", [56, 108, 124])
def test_alpha_of_one_bit_is_kept(header: int, top_down: bool):
    picture = read(bmp(header, 0x8000, top_down=top_down))
    np.testing.assert_array_equal(picture.pixels, np.full((HEIGHT, WIDTH, 3), (255, 0, 0)))
    np.testing.assert_array_equal(picture.alpha, np.where(OPAQUE, 255, 0))


def test_the_top_bit_is_no_alpha_where_no_mask_says_so():
    assert read(bmp(108, 0)).alpha is None


def test_alpha_that_hides_nothing_is_dropped():
    assert read(bmp(108, 0x8000, opaque=np.ones_like(OPAQUE))).alpha is None


def test_a_file_that_ends_too_early_is_refused():
    with pytest.raises(PictureError):
        read(bmp(108, 0x8000)[:-4])
