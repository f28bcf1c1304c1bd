"""Gain maps of JPEG: a second picture that tells HDR screens where to brighten the first.

The kinds are those of Ultra HDR (Ultra HDR Image Format 1.1, Android), ISO 21496-1 and Apple. The
gain map is kept as the JPEG file that it is, and described by that file's own segments. Of the
picture's, XMP names it and its length (Ultra HDR), and an index its place (CIPA DC-007, MPF).
"""

import io
import re
import struct

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from vaecodec.picture.metadata import jpeg_segment
from vaecodec.picture.orientation import made_neutral, turned

KIND = "hdr-gain-map"
MAX_PIXELS = 2**26  # of a gain map that has to be turned
_OWN_DESCRIPTION = re.compile(
    rb"ns\.adobe\.com/hdr-gain-map/|urn:iso:std:iso:ts:21496:-1|ns\.apple\.com/HDRGainMap/"
)
_SCAN_START = b"\xff\xda"
_CLAIM = re.compile(
    rb"\shdrgm:Version\s*=\s*(\"[^\"]*\"|'[^']*')|<hdrgm:Version>[^<]*</hdrgm:Version>"
)
_DIRECTORY = re.compile(rb"<(\w*Container:Directory)>")
_ITEM = re.compile(rb"<\w*Container:Item\b[^<>]*>")
_SEMANTIC = re.compile(rb":Semantic\s*=\s*[\"']GainMap[\"']")
_LENGTH = re.compile(rb"(:Length\s*=\s*[\"'])\d+")
_ISO = b"urn:iso:std:iso:ts:21496:-1\0"
_ISO_VERSION = struct.pack(">28s2H", _ISO, 0, 0)  # least version, and that of the writer
_MPF = b"MPF\0"
_FIRST, _OTHER = 0x030000, 0  # MPF's types of pictures


def is_gain_map(jpeg: bytes) -> bool:
    """Whether the segments of a JPEG file say that it is a gain map."""
    return _OWN_DESCRIPTION.search(jpeg, 0, max(jpeg.find(_SCAN_START), 0)) is not None


def is_claimed(metadata: dict[str, bytes]) -> bool:
    """Whether XMP makes readers look for a gain map."""
    return _CLAIM.search(metadata.get("xmp", b"")) is not None


def without_false_claims(metadata: dict[str, bytes]) -> dict[str, bytes]:
    """`metadata` whose XMP names a gain map, with its length, only where there is one."""
    xmp = metadata.get("xmp", b"")
    if KIND in metadata:
        length = rb"\g<1>%d" % len(metadata[KIND])
        xmp = _ITEM.sub(
            lambda item: _LENGTH.sub(length, item[0]) if _SEMANTIC.search(item[0]) else item[0], xmp
        )
    elif is_claimed(metadata):
        xmp = _without_directory(_CLAIM.sub(b"", xmp))
    return {**metadata, "xmp": xmp} if xmp else metadata


def _without_directory(xmp: bytes) -> bytes:
    start = _DIRECTORY.search(xmp)
    closing = b"" if start is None else b"</" + start[1] + b">"
    end = -1 if start is None else xmp.find(closing, start.end())
    return xmp if start is None or end < 0 else xmp[: start.start()] + xmp[end + len(closing) :]


def turned_gain_map(gain_map: bytes, orientation: int) -> bytes | None:
    """The gain map of a picture that was turned as `orientation` says: its samples turned and coded
    anew with the same tables, its segments as they were; None where it cannot be read."""
    try:
        with Image.open(io.BytesIO(gain_map), formats=["JPEG"]) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            return gain_map if orientation == 1 else _turned(image, orientation)
    except Exception:  # of a dozen kinds
        return None


def _turned(image: JpegImageFile, orientation: int) -> bytes:
    extra = b"".join(
        jpeg_segment(0xE0 + int(name[3:]), made_neutral({"exif": content}, orientation)["exif"])
        for name, content in image.applist
        if name in ("APP1", "APP2")
    )
    samples = turned(np.asarray(image), orientation)
    options = {"qtables": image.quantization, "subsampling": 0, "extra": extra}
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def joined(jpeg: bytes, gain_map: bytes) -> bytes:
    """The JPEG file of a picture and its gain map, with the index that MPF wants.

    `jpeg`: as Pillow writes it, its segments of metadata first.
    """
    place = 2
    while 0xE0 <= jpeg[place + 1] <= 0xEF:
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    iso = jpeg_segment(0xE2, _ISO_VERSION) if _ISO in gain_map else b""
    index_bytes = len(jpeg_segment(0xE2, _index(0, 0, 0)))
    size = len(jpeg) + len(iso) + index_bytes
    start_of_index = place + len(iso) + 4 + len(_MPF)
    index = jpeg_segment(0xE2, _index(size, len(gain_map), size - start_of_index))
    return jpeg[:place] + iso + index + jpeg[place:] + gain_map


def _index(size: int, gain_map_size: int, gain_map_place: int) -> bytes:
    """MPF's index of two pictures; `gain_map_place`: counted from the byte after "MPF" and zero."""
    entries = struct.pack(">3I2H", _FIRST, size, 0, 0, 0)
    entries += struct.pack(">3I2H", _OTHER, gain_map_size, gain_map_place, 0, 0)
    directory = struct.pack(">H", 3)
    directory += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    directory += struct.pack(">HHII", 0xB001, 4, 1, 2)
    directory += struct.pack(">HHII", 0xB002, 7, len(entries), 8 + 2 + 3 * 12 + 4)
    return _MPF + b"MM\0*" + struct.pack(">I", 8) + directory + bytes(4) + entries
