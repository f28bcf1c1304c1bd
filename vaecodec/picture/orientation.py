"""How a picture is to be turned, read from EXIF and XMP bytes and made neutral in them.

The bytes of both stay as they are but for the values that turning changes, so that text in any
encoding and maker notes survive (EXIF 2.32, 4.6.2: the layout is that of TIFF 6.0, section 2).
"""

import re
import struct
from collections.abc import Iterator

import numpy as np

EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION, _EXIF_DIRECTORY, _WIDTH, _HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)([1-8])(?=\s*[\"'<])")

_TURNS = {  # orientation tag -> (transpose, flip rows, flip columns)
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def turned(samples: np.ndarray, orientation: int) -> np.ndarray:
    """`samples` `[H, W, ...]` upright, as an orientation of 1..8 says."""
    transpose, rows, columns = _TURNS[orientation]
    if orientation == 1:
        return samples
    samples = samples.swapaxes(0, 1) if transpose else samples
    return np.ascontiguousarray(samples[:: -1 if rows else 1, :: -1 if columns else 1])


def orientation_of(metadata: dict[str, bytes]) -> int:
    """The orientation, 1..8, that EXIF or else XMP gives; 1 where neither says anything sound."""
    exif = metadata.get("exif", b"")
    for tag, value, _ in _integers(exif, (_ORIENTATION,)):
        if tag == _ORIENTATION and value in _TURNS:
            return value
    found = _XMP_ORIENTATION.search(metadata.get("xmp", b""))
    return int(found[2]) if found else 1


def made_neutral(metadata: dict[str, bytes], orientation: int) -> dict[str, bytes]:
    """`metadata` of a picture that was turned as `orientation` says: both EXIF and XMP call it
    upright, and the pixel dimensions in EXIF follow."""
    kept = dict(metadata)
    if "exif" in kept:
        kept["exif"] = _neutral_exif(kept["exif"], orientation)
    if "xmp" in kept:
        kept["xmp"] = _XMP_ORIENTATION.sub(rb"\g<1>1", kept["xmp"])
    return kept


def without_orientation(exif: bytes) -> bytes:
    """`exif` with its entry of the orientation taken out and no other value moved; the directory
    ends 12 bytes earlier."""
    for tag, _, (code, position) in _integers(exif, (_ORIENTATION,)):
        start = len(EXIF_PREFIX) if exif.startswith(EXIF_PREFIX) else 0
        directory = start + struct.unpack_from(f"{code[0]}I", exif, start + 4)[0]
        count = struct.unpack_from(f"{code[0]}H", exif, directory)[0]
        end = directory + 2 + 12 * count + 4  # after the place of the next directory
        entry = position - 8
        if tag == _ORIENTATION and directory < entry < end <= len(exif):
            shifted = exif[entry + 12 : end] + bytes(12)
            fewer = struct.pack(f"{code[0]}H", count - 1)
            return exif[:directory] + fewer + exif[directory + 2 : entry] + shifted + exif[end:]
    return exif


def _neutral_exif(exif: bytes, orientation: int) -> bytes:
    patched = bytearray(exif)
    places = {}
    for tag, value, place in _integers(exif, (_ORIENTATION, _WIDTH, _HEIGHT)):
        if tag == _ORIENTATION:
            struct.pack_into(place[0], patched, place[1], 1)
        else:
            places[tag] = (place, value)
    if orientation >= 5 and len(places) == 2:
        (width_place, width), (height_place, height) = places[_WIDTH], places[_HEIGHT]
        for (code, position), value in ((width_place, height), (height_place, width)):
            if value < 1 << 8 * struct.calcsize(code):
                struct.pack_into(code, patched, position, value)
    return bytes(patched)


def _integers(exif: bytes, wanted: tuple[int, ...]) -> Iterator[tuple[int, int, tuple[str, int]]]:
    """Tag, value and place (struct code and position) of the single integers among `wanted` in the
    main and the EXIF directory; nothing for what is damaged."""
    start = len(EXIF_PREFIX) if exif.startswith(EXIF_PREFIX) else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    if order is None or len(exif) < start + 8:
        return
    directories = [struct.unpack_from(f"{order}I", exif, start + 4)[0]]
    for number in range(2):
        if number >= len(directories):
            return
        position = start + directories[number]
        if position + 2 > len(exif):
            return
        count = struct.unpack_from(f"{order}H", exif, position)[0]
        for entry in range(position + 2, min(position + 2 + 12 * count, len(exif) - 11), 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", exif, entry)
            if kind not in _INTEGERS or values != 1:
                continue
            code = order + _INTEGERS[kind]
            value = struct.unpack_from(code, exif, entry + 8)[0]
            if tag == _EXIF_DIRECTORY and number == 0:
                directories.append(value)
            elif tag in wanted:
                yield tag, value, (code, entry + 8)
