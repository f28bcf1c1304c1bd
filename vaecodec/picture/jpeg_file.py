"""What a JPEG file holds beside its picture: segments that may be damaged, and what comes after its
end, which is more pictures, among them gain maps, and videos."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from PIL import Image

from vaecodec.picture import hdr_gain_map
from vaecodec.picture.metadata import metadata_of
from vaecodec.picture.orientation import orientation_of
from vaecodec.picture.picture import Picture

START = b"\xff\xd8\xff"
_DAMAGEABLE = (0xE1, 0xE2, *range(0xE3, 0xEE), 0xEF, 0xFE)  # all but JFIF's and Adobe's, a comment
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_SCAN, _END, _FILL = 0xDA, 0xD9, 0xFF
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # that ends coded data
_MAX_PICTURES = 1000
_PADDING = b"\0\r\n "
_VIDEO = re.compile(rb"\A.{4}ftyp", re.DOTALL)
# A motion photo's claim of the video behind it (Motion Photo format 1.0, Android).
_VIDEO_CLAIM = re.compile(rb"(Camera:(?:MotionPhoto|MicroVideo)(?:\s*=\s*[\"']|>))1")
_ITEM = re.compile(rb"<rdf:li\b[^<>]*>\s*<\w*Container:Item\b[^<>]*/>\s*</rdf:li>")


def without_metadata(file: BinaryIO) -> BinaryIO | None:
    """The JPEG file in `file` without the segments that hold metadata; None for another kind."""
    file.seek(0)
    data = file.read()
    if data[:3] != START:
        return None
    kept, position = [data[:2]], 2
    for marker, start, end in _segments(data):
        if marker not in _DAMAGEABLE:
            kept.append(data[start:end])
        position = end
    return io.BytesIO(b"".join(kept) + data[position:])


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment before the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _SCAN:
            return
        if marker == _FILL:
            position += 1
            continue
        has_length = marker not in _WITHOUT_LENGTH
        length = int.from_bytes(data[position + 2 : position + 4], "big") if has_length else 0
        yield marker, position, position + 2 + length
        position += 2 + length


def end_of_picture(data: bytes, start: int = 0) -> int | None:
    """The place after the picture that begins at `start`; None where it has no end."""
    position = start + 2
    while (found := _NEXT_MARKER.search(data, position)) is not None:
        position, marker = found.start(), data[found.start() + 1]
        if marker == _END:
            return found.end()
        has_length = marker not in _WITHOUT_LENGTH
        length = int.from_bytes(data[position + 2 : position + 4], "big") if has_length else 0
        position += 2 + length
    return None


def pictures_after_first(data: bytes) -> tuple[list[bytes], bytes]:
    """The JPEG pictures that follow the first one, and what follows the last of all."""
    pictures: list[bytes] = []
    end = end_of_picture(data)
    while end is not None:
        start = data.find(START, end)
        is_another = start >= 0 and len(pictures) < _MAX_PICTURES
        next_end = end_of_picture(data, start) if is_another else None
        if next_end is None:
            return pictures, data[end:].rstrip(_PADDING)
        pictures.append(data[start:next_end])
        end = next_end
    return pictures, b""


def with_what_follows(
    picture: Picture, file: BinaryIO, image: Image.Image, is_chosen: bool
) -> Picture:
    """`picture` of a JPEG file with the gain map that follows it, saying what else is left out, and
    claiming nothing in XMP that is no longer there.

    `image`: Pillow's; `is_chosen`: whether the user named the page.
    """
    file.seek(0)
    pictures, rest = pictures_after_first(file.read())
    metadata, notes = dict(picture.metadata), list(picture.notes)
    gain_map = next(filter(hdr_gain_map.is_gain_map, pictures), None)
    if gain_map is not None:
        pictures.remove(gain_map)
        upright = hdr_gain_map.turned_gain_map(gain_map, orientation_of(metadata_of(image)))
        if upright is None:
            notes.append("its gain map (Ultra HDR) is damaged and left out")
        else:
            metadata[hdr_gain_map.KIND] = upright
    elif hdr_gain_map.is_claimed(metadata):
        notes.append("claims a gain map (Ultra HDR) that it does not hold")
    if pictures and not is_chosen:
        choose = "; choose one with --page" if getattr(image, "n_frames", 1) > 1 else ""
        notes.append(f"{len(pictures)} more picture(s) in the file left out{choose}")
    if rest:
        what = "the video after it (motion photo)" if _VIDEO.match(rest) else "after its end"
        notes.append(f"{len(rest)} bytes: {what} left out")
    if _VIDEO.match(rest) and "xmp" in metadata:
        xmp = _ITEM.sub(lambda i: b"" if b"MotionPhoto" in i[0] else i[0], metadata["xmp"])
        metadata["xmp"] = _VIDEO_CLAIM.sub(rb"\g<1>0", xmp)
    metadata = hdr_gain_map.without_false_claims(metadata)
    return replace(picture, metadata=metadata, notes=tuple(notes))
