"""What goes along with a picture as bytes: EXIF, ICC profile, XMP, IPTC, comment, resolution.

A JPEG's gain map is one more kind, which hdr_gain_map finds and writes.
"""

import contextlib
import struct

from PIL import Image, TiffTags

from vaecodec.picture.orientation import EXIF_PREFIX

# Tags of a TIFF file that describe the picture; the others describe its storage.
_SUB_DIRECTORIES = (34665, 34853)  # EXIF and GPS
_TIFF_TAGS = (
    269, 270, 271, 272, 282, 283, 285, 296, 305, 306, 315, 316, 18246, 33432,
    40091, 40092, 40093, 40094, 40095, *_SUB_DIRECTORIES
)  # fmt: skip
_TIFF_KEPT_ELSEWHERE = (700, 33723, 34377, 34675)  # XMP, IPTC alone, Photoshop's block, ICC
_TIFF_STORAGE = frozenset((*range(254, 267), 273, 274, *range(277, 282), 284, *range(288, 293),
    297, 301, *range(317, 326), *range(330, 348), *range(512, 522), *range(529, 533)))  # fmt: skip
_PNG_TEXT_KEPT = ("Comment", "XML:com.adobe.xmp", "Raw profile type exif")
_PNG_TEXT_OF_PROGRAMS = ("Software", "date:create", "date:modify", "date:timestamp")
_ASCII = 2
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\x00"
_XMP_EXTENSION_HEAD = len(_XMP_EXTENSION) + 40  # with its GUID, whole length and offset
_PHOTOSHOP = b"Photoshop 3.0\x00"
_RESOLUTION = struct.Struct("<2d")


def metadata_of(image: Image.Image) -> dict[str, bytes]:
    """The metadata of a picture that was opened, byte for byte where its format holds them so.

    "exif" begins as in JPEG's segment; "resolution": two little-endian doubles, dots per inch
    across and down.
    """
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    comment = image.info.get("comment") or image.info.get("Comment") or b""
    found = {
        "exif": tiff_exif(image.getexif()) if image.format == "TIFF" else _exif(image),
        "icc": image.info.get("icc_profile") or b"",
        "xmp": xmp.encode("utf-8", "surrogateescape") if isinstance(xmp, str) else xmp,
        "comment": comment.encode("utf-8") if isinstance(comment, str) else comment,
        "resolution": _resolution(image),
        **_segments(getattr(image, "applist", [])),
        **(_tiff_iptc(image.getexif()) if image.format == "TIFF" else {}),
    }
    return {kind: bytes(content) for kind, content in found.items() if content}


def not_kept(image: Image.Image) -> tuple[str, ...]:
    """What the user is to be told of the metadata that `metadata_of` leaves out."""
    if image.format == "TIFF":
        known = _TIFF_STORAGE.union(_TIFF_TAGS, _TIFF_KEPT_ELSEWHERE)
        tags = sorted(set(image.tag_v2) - known)  # type: ignore[attr-defined]
        words = [f"{tag} {TiffTags.lookup(tag).name}".removesuffix(" unknown") for tag in tags]
        return (f"without its TIFF tags {', '.join(words)}",) if words else ()
    if image.format != "PNG":
        return ()
    texts = {str(name) for name, value in image.info.items() if isinstance(value, str)}
    words = sorted(texts - {*_PNG_TEXT_KEPT, *_PNG_TEXT_OF_PROGRAMS})
    return (f"without its texts {', '.join(words)}",) if words else ()


def _tiff_iptc(tags: Image.Exif) -> dict[str, bytes]:
    """Photoshop's block, or IPTC alone as such a block."""
    block, iptc = tags.get(34377), tags.get(33723)
    if isinstance(iptc, bytes) and not isinstance(block, bytes):
        block = struct.pack(">4sHHI", b"8BIM", 0x0404, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    return {"iptc": block} if isinstance(block, bytes) else {}


def _exif(image: Image.Image) -> bytes:
    exif = image.info.get("exif") or b""
    if not exif and "Raw profile type exif" in image.info:  # ImageMagick, before PNG had eXIf
        lines = image.info["Raw profile type exif"].split("\n")[3:]
        with contextlib.suppress(ValueError):
            exif = bytes.fromhex("".join(lines))
    if exif and not exif.startswith(EXIF_PREFIX):
        exif = EXIF_PREFIX + exif
    return bytes(exif)


def tiff_exif(source: Image.Exif) -> bytes:
    """Those of a TIFF file's tags that describe the picture, as EXIF."""
    kept = Image.Exif()
    for tag in set(_TIFF_TAGS) & set(source):
        kept[tag] = source.get_ifd(tag) if tag in _SUB_DIRECTORIES else source[tag]
    return packed_exif(kept) if len(kept) else b""


def tiff_metadata(data: bytes) -> dict[str, bytes]:
    """The metadata of the first page of a TIFF file that Pillow does not open; `data`: all of
    it."""
    tags = Image.Exif()
    tags.load(data)
    found = {"exif": tiff_exif(tags), "icc": tags.get(34675), "xmp": tags.get(700)}
    return {kind: content for kind, content in found.items() if isinstance(content, bytes)}


def packed_exif(exif: Image.Exif) -> bytes:
    """The bytes of `exif`, text in them as it was read: Pillow would write ASCII only."""
    keep_text(exif)
    return exif.tobytes()


def keep_text(exif: Image.Exif) -> None:
    """Turn text in the main directory back into the bytes that Pillow read it from."""
    for tag, value in list(exif.items()):
        if isinstance(value, str) and TiffTags.lookup(tag).type == _ASCII:
            exif[tag] = value.encode("latin-1", "replace")


def _resolution(image: Image.Image) -> bytes:
    """Dots per inch, unless they are the 72 that programs write for want of any."""
    if image.format == "TIFF":
        return b""  # among its tags
    try:
        across, down = map(float, image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return b""
    is_known = 1 <= across < 1e6 and 1 <= down < 1e6 and round(across) != 72
    return _RESOLUTION.pack(across, down) if is_known else b""


def dots_per_inch(metadata: dict[str, bytes]) -> tuple[float, float] | None:
    """The resolution in `metadata`, None where there is none or it is not sound."""
    content = metadata.get("resolution", b"")
    if len(content) != _RESOLUTION.size:
        return None
    across, down = _RESOLUTION.unpack(content)
    return (across, down) if 1 <= across < 1e6 and 1 <= down < 1e6 else None


def _segments(segments: list[tuple[str, bytes]]) -> dict[str, bytes]:
    """IPTC (with all of its Photoshop block) and extended XMP in a JPEG's segments."""
    iptc = b"".join(
        data[len(_PHOTOSHOP) :]
        for name, data in segments
        if name == "APP13" and data.startswith(_PHOTOSHOP)
    )
    return {"iptc": iptc, "xmp-extended": _extended_xmp(segments)}


def _extended_xmp(segments: list[tuple[str, bytes]]) -> bytes:
    """The GUID of extended XMP and its content (XMP specification part 3, 1.1.3.1)."""
    parts: dict[int, bytes] = {}
    guid, length = b"", 0
    for name, data in segments:
        if name == "APP1" and data.startswith(_XMP_EXTENSION) and len(data) >= _XMP_EXTENSION_HEAD:
            found, length, offset = struct.unpack_from(">32sII", data, len(_XMP_EXTENSION))
            guid = guid or found
            if found == guid:
                parts[offset] = data[_XMP_EXTENSION_HEAD:]
    content = b"".join(parts[offset] for offset in sorted(parts))
    return guid + content if content and len(content) == length else b""


def extended_xmp_segments(guid_and_content: bytes) -> bytes:
    """The JPEG segments of extended XMP."""
    guid, content = guid_and_content[:32], guid_and_content[32:]
    room = 65533 - _XMP_EXTENSION_HEAD
    segments = []
    for offset in range(0, len(content), room):
        head = _XMP_EXTENSION + struct.pack(">32sII", guid, len(content), offset)
        segments.append(jpeg_segment(0xE1, head + content[offset : offset + room]))
    return b"".join(segments)


def iptc_segments(iptc: bytes) -> bytes:
    """The JPEG segments of a Photoshop block."""
    room = 65533 - len(_PHOTOSHOP)
    parts = (iptc[start : start + room] for start in range(0, len(iptc), room))
    return b"".join(jpeg_segment(0xED, _PHOTOSHOP + part) for part in parts)


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """A segment of JPEG; `data`: at most 65533 bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
