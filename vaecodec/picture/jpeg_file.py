"""What a JPEG file holds beside its picture: segments that may be damaged, and gain maps."""

import io
import re
from dataclasses import replace
from typing import BinaryIO

from PIL import Image

from vaecodec.picture.picture import Picture

_DAMAGEABLE = (0xE1, 0xE2, *range(0xE3, 0xEE), 0xEF, 0xFE)  # all but JFIF's and Adobe's, a comment
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_SCAN = 0xDA
# Ultra HDR (Android, Ultra HDR Image Format 1.1): what makes readers look for a gain map.
_GAIN_MAP_CLAIM = re.compile(
    rb"\s+hdrgm:Version\s*=\s*(\"[^\"]*\"|'[^']*')|<hdrgm:Version>[^<]*</hdrgm:Version>"
)
_CONTAINER = re.compile(rb"<(\w*Container):Directory>.*?</\1:Directory>", re.DOTALL)


def without_metadata(file: BinaryIO) -> BinaryIO | None:
    """The JPEG file in `file` without the segments that hold metadata; None for another kind."""
    file.seek(0)
    data = file.read()
    if data[:3] != b"\xff\xd8\xff":
        return None
    kept, position = [data[:2]], 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _SCAN:
            break
        if marker in (*_WITHOUT_LENGTH, 0xFF):
            kept.append(data[position : position + 1 + (marker != 0xFF)])
            position += 1 + (marker != 0xFF)
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker not in _DAMAGEABLE:
            kept.append(data[position:end])
        position = end
    return io.BytesIO(b"".join(kept) + data[position:])


def without_gain_map(picture: Picture, image: Image.Image, page: int | None) -> Picture:
    """`picture`, saying what of a JPEG of several pictures was left out, and claiming no gain map
    that is no longer there."""
    xmp = picture.metadata.get("xmp", b"")
    claims = _GAIN_MAP_CLAIM.search(xmp) is not None
    more = getattr(image, "n_frames", 1) - 1
    if image.format not in ("MPO", "JPEG") or not (claims or (more > 0 and page is None)):
        return picture
    if not claims:
        note = f"{more} more picture(s) in the file left out; choose one with --page"
        return replace(picture, notes=(*picture.notes, note))
    cleaned = _CONTAINER.sub(b"", _GAIN_MAP_CLAIM.sub(b"", xmp))
    note = "its gain map (Ultra HDR) is left out; the picture is kept as it shows without one"
    return replace(
        picture,
        metadata={**picture.metadata, "xmp": cleaned},
        notes=(*picture.notes, note),
    )
