"""What Pillow's readers reduce or leave out without a word: bits, colours, more pictures."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from vaecodec.picture.jxl_header import sample_bits

_HEAD_BYTES = 2**16
_WITH_8_BITS = ("L", "LA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "P", "YCbCr", "LAB", "HSV")
_JPEG2000_SIZE = b"\xff\x4f\xff\x51"  # start of the codestream and of its segment SIZ
_JPEG2000_DEPTH = 42  # from there to the depth of the first component
# Code points of ITU-T H.273 that mean sRGB, what is near enough to it, or nothing.
_PLAIN_PRIMARIES, _PLAIN_TRANSFERS = (1, 2, 5, 6, 7), (1, 2, 6, 13, 14, 15)
_JXL_BOXES = ("xml", "brob", "jumb")
_GAIN_MAP_BOXES = (b"tmap", b"jhgm")  # of AVIF and HEIF, and of JPEG XL


def notes_of(image: Image.Image, file: BinaryIO) -> tuple[str, ...]:
    """What the user is to be told of `image`, which is open and that of `file`."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    notes = []
    bits = _bits(image, head)
    if bits > 8 and image.mode in _WITH_8_BITS:
        notes.append(f"reduced from {bits} to 8 bits, as such {image.format} is read here")
    primaries, transfer = _code_points(image, head)
    is_plain = primaries in _PLAIN_PRIMARIES and transfer in _PLAIN_TRANSFERS
    if not is_plain and "icc_profile" not in image.info:
        notes.append(
            f"its colours are those of H.273 numbers {primaries} and {transfer}, which are not kept"
        )
    if _has_auxiliary_pictures(image, head):
        notes.append("its gain map or other auxiliary pictures are left out")
    if image.format == "JXL" and not is_jpeg_in_jxl(image):
        left = sorted(set(_boxes(file)) & set(_JXL_BOXES))
        notes += [f"its boxes {', '.join(left)} (metadata) are left out"] if left else []
    return tuple(notes)


def is_jpeg_in_jxl(image: Image.Image) -> bool:
    """Whether a JPEG XL file holds a JPEG file, whose metadata and orientation then count; of all
    others the reader has turned the picture as the file says, whatever EXIF does."""
    return bool(getattr(image, "jpeg", False))


def _boxes(file: BinaryIO) -> Iterator[str]:
    """The names of the boxes of a file that consists of them (ISO/IEC 14496-12, 4.2)."""
    position = size = 0
    while True:
        file.seek(position)
        head = file.read(16)
        if len(head) < 16 or not head[4:8].isascii():
            return
        yield head[4:8].decode("ascii").strip()
        size, _, large = struct.unpack(">I4sQ", head)
        if size == 1:
            size = large
        if size < 8:
            return
        position += size


def _bits(image: Image.Image, head: bytes) -> int:
    """Of a sample in the file, as far as it can be told; 8 elsewhere."""
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(258, (1,))))  # type: ignore[attr-defined]
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format == "AVIF":  # the box pixi: version and flags, channels, bits of each
        place = head.find(b"pixi")
        return head[place + 9] if 0 <= place < len(head) - 9 else 8
    if image.format == "JXL":
        return sample_bits(head) or 8
    if image.format == "JPEG2000":
        place = head.find(_JPEG2000_SIZE)
        end = place + _JPEG2000_DEPTH
        return (head[end] & 0x7F) + 1 if 0 <= place and end < len(head) else 8
    if image.format in ("PPM", "SGI") and image.tile:  # type: ignore[attr-defined]
        name, _, _, arguments = image.tile[0]  # type: ignore[attr-defined]
        largest = arguments[-1] if isinstance(arguments, tuple) else 0
        if name in ("SGI16", "sgi_rle"):
            return 16 if name == "SGI16" or largest == 2 else 8
        return int(largest).bit_length() if name.startswith("ppm") else 8
    return 8


def _code_points(image: Image.Image, head: bytes) -> tuple[int, int]:
    """Primaries and transfer as H.273 numbers them, 2 where nothing is said."""
    if image.format == "HEIF":
        named = image.info.get("nclx_profile") or {}
        return int(named.get("color_primaries", 2)), int(named.get("transfer_characteristics", 2))
    place = head.find(b"colrnclx") if image.format == "AVIF" else -1
    if place < 0 or place + 12 > len(head):
        return 2, 2
    primaries, transfer = struct.unpack_from(">2H", head, place + 8)
    return primaries, transfer


def _has_auxiliary_pictures(image: Image.Image, head: bytes) -> bool:
    if image.format not in ("AVIF", "HEIF", "JXL"):
        return False
    named = image.info.get("aux") or image.info.get("depth_images")
    return bool(named) or any(box in head for box in _GAIN_MAP_BOXES)
