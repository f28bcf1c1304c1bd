"""Samples to a lossless stream and back, bit for bit: WebP where they have 8 bits, PNG of 16.

Payload of the chunks "Lslc" and "Pslc" (a slice), "Lpic" and "Ppic" (the whole picture):

    offset  size  field
         0     1  coder: 0 PNG, 1 WebP
         1     4  CRC-32 of the samples in the order row, column, channel, of 16 bits as
                  little-endian integers
         5     n  the coder's data

WebP: the VP8L bitstream of the WebP lossless specification without the RIFF header around it. Grey
is stored as equal red, green and blue; transparency, of whole pictures alone, as its alpha.
PNG: grey of 16 bits; of RGB the planes green, red - green and blue - green, modulo 2^16, one below
the other, since a PNG of one channel is what every reader has kept all bits of.
"""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from vaecodec.errors import FormatError

PNG, WEBP = range(2)
WEBP_MAX_SIDE = 16383
MAX_STREAM_PIXELS = 2**26  # of one stream, which is decoded as a whole
QUICK, THOROUGH = (80, 4), (100, 6)  # quality and method of WebP: Pillow's choice, and all it can
_HEAD = struct.Struct("<BI")
_RIFF = struct.Struct("<4sI4s4sI")
_VP8L = struct.Struct("<BI")
_VP8L_SIGNATURE = 0x2F
_WEBP_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def fits_one_stream(height: int, width: int) -> bool:
    """Whether WebP and the limit on streams allow a picture of this size."""
    return max(height, width) <= WEBP_MAX_SIDE and height * width <= MAX_STREAM_PIXELS


def pack_lossless(samples: np.ndarray, settings: tuple[int, int]) -> bytes:
    """The stream of `samples`: uint8 `[H, W]` or `[H, W, 2..4]` (alpha last where there are 2 or
    4), uint16 `[H, W]` or `[H, W, 3]`; `settings`: QUICK or THOROUGH, how WebP is searched.
    """
    coder, data = (
        (WEBP, _webp(samples, settings)) if samples.itemsize == 1 else (PNG, _png(samples))
    )
    return _HEAD.pack(coder, _checksum(samples)) + data


def unpack_lossless(stream: bytes, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """The samples `shape` (as `pack_lossless` takes them, uint8 or uint16) of a stream.

    Raises FormatError for whatever else is in it, before memory is taken for another size.
    """
    if len(stream) < _HEAD.size or shape[0] * shape[1] > MAX_STREAM_PIXELS:
        raise FormatError("a lossless stream has an impossible size; get another copy")
    coder, checksum = _HEAD.unpack_from(stream)
    if coder != (WEBP if dtype is np.uint8 else PNG):
        raise FormatError(
            "a lossless stream is coded in a way unknown here; a newer vaecodec may read it"
        )
    unpack = _samples_of_webp if coder == WEBP else _samples_of_png
    samples = guarded(lambda: unpack(stream[_HEAD.size :], shape), "a lossless stream")
    if _checksum(samples) != checksum:
        raise FormatError("a lossless stream does not match its checksum; get another copy")
    return samples


def guarded(decode: Callable[[], np.ndarray], what: str) -> np.ndarray:
    """What `decode` returns; whatever a picture library raises in it becomes a FormatError."""
    try:
        return decode()
    except (FormatError, MemoryError):
        raise
    except Exception as error:  # their decoders raise a dozen kinds
        raise FormatError(f"{what} is damaged ({error}); get another copy") from None


def check_webp_size(bitstream: bytes, height: int, width: int) -> None:
    """Raise FormatError unless a VP8L bitstream says that it is of this size.

    Pillow takes memory for a picture as soon as it opens one.
    """
    if len(bitstream) < _VP8L.size:
        raise FormatError("a WebP stream is cut short; get another copy")
    signature, fields = _VP8L.unpack_from(bitstream)
    size = (fields >> 14 & 0x3FFF) + 1, (fields & 0x3FFF) + 1
    if signature != _VP8L_SIGNATURE or size != (height, width):
        raise FormatError("a WebP stream has another size than its picture; get another copy")


def _checksum(samples: np.ndarray) -> int:
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(little.tobytes())


def _webp(samples: np.ndarray, settings: tuple[int, int]) -> bytes:
    quality, method = settings
    buffer = io.BytesIO()
    image = Image.fromarray(samples)
    image.convert("RGBA" if image.mode.endswith("A") else "RGB").save(
        buffer, "WEBP", lossless=True, exact=True, quality=quality, method=method
    )
    data = buffer.getvalue()
    riff, _, webp, kind, size = _RIFF.unpack_from(data)
    assert (riff, webp, kind) == (b"RIFF", b"WEBP", b"VP8L")  # as of every plain lossless WebP
    return data[_RIFF.size : _RIFF.size + size]


def _samples_of_webp(bitstream: bytes, shape: tuple[int, ...]) -> np.ndarray:
    height, width, *planes = shape
    check_webp_size(bitstream, height, width)
    padded = bitstream + bytes(len(bitstream) % 2)
    riff = _RIFF.pack(b"RIFF", 12 + len(padded), b"WEBP", b"VP8L", len(bitstream))
    with Image.open(io.BytesIO(riff + padded), formats=["WEBP"]) as image:
        return np.asarray(image.convert(_WEBP_MODES[planes[0] if planes else 1]))


def _png(samples: np.ndarray) -> bytes:
    if samples.ndim == 3:
        red, green, blue = np.moveaxis(samples, 2, 0)
        samples = np.concatenate([green, red - green, blue - green])
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _samples_of_png(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    height, width = shape[0] * (3 if len(shape) == 3 else 1), shape[1]
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.size != (width, height) or image.mode != "I;16":
            raise FormatError("a PNG stream has another size than its picture; get another copy")
        samples = np.asarray(image).astype(np.uint16)
    if len(shape) == 2:
        return samples
    green, red, blue = np.split(samples, 3)
    return np.stack([red + green, green, blue + green], axis=2)
