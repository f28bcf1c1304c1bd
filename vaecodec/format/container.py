"""Bytes of a .vae file: header and chunks, with their checksums and limits.

All integers are little-endian. The file is the header, then chunks up to the end of the file.

    header, 28 bytes
    offset  size  field
         0     4  magic: 8F 56 41 45 (8F "VAE")
         4     1  version of the format: 1
         5     1  mode: 0 RGB, 1 grey, of 8 bits; 2 RGB, 3 grey, of 16 bits
         6     4  width in pixels, at least 1
        10     4  height in pixels, at least 1
        14     2  level: 256 times the level t of the network, which ends at 1280 or, in models
                  with more anchors, at 1792
        16     8  model: the first 8 bytes of the SHA-256 of the weight file
        24     4  CRC-32 of bytes 0..23

    chunk, 12 bytes and the payload
    offset  size  field
         0     4  type: four ASCII letters; a capital first letter means required to decode
         4     4  length of the payload in bytes
         8     4  CRC-32 of: the number of slices before this chunk as four bytes, then type, length
                  and payload
        12     n  payload

Because the checksum covers the number of slices before it, no slice can take another's place, and
the place of a slice can be told even when what stood before it is damaged.

The picture is divided into slices of SLICE x SLICE pixels (smaller at the right and the bottom),
in row order; each is one chunk of type "Slic", of type "Lslc" where it is stored losslessly, or of
type "Pslc" where it is stored likewise but in fewer colours than it had. One chunk of type "Lpic"
(lossless) or "Ppic" (in fewer colours) may stand in the place of all slices. The last slice ends
the file, so that a file cut short at any place is noticed; other chunks stand before the first
slice. A reader skips a type that it does not know when it is optional and refuses it when it is
required.

    other chunks
    type   payload
    Alph   transparency (see codec/alpha), at most one
    Cryp   how all the others are encrypted (see format/encryption); the first where there is one
    Gmap   where quality differs from the level (see codec/gain_map), at most one
    prvw   a small version of the picture, as a whole .vae file
    exif   EXIF, as in a PNG's eXIf chunk, compressed with zlib
    iccp   ICC profile, compressed with zlib
    xmpp   XMP packet in UTF-8, compressed with zlib
    xmpx   extended XMP of JPEG: its GUID of 32 bytes and its content, compressed with zlib
    iptc   Photoshop's block of JPEG, which holds IPTC, compressed with zlib
    comm   comment of JPEG, compressed with zlib
    dpis   dots per inch across and down: two 64-bit floats, compressed with zlib
    rang   the values that the samples stand for (see picture/samples), compressed with zlib
    hdrg   gain map of JPEG (Ultra HDR), a JPEG file as it stood behind the picture but turned as
           that was, compressed with zlib

    payload of a slice
    offset  size  field
         0     4  CRC-32 of the slice's symbols as little-endian 32-bit integers: z in the order
                  row, column, channel, then each step's residuals as coded (see codec/slice_coder)
         4   4*k  the entropy coder's words (see entropy/coder)

Payloads of slices and pictures that are stored as samples are described in codec/lossless. Where a
slice is synthesised, latents of such a one beside it are those that g_a gives, not rounded, of its
samples, extended to whole latent positions by repeating the edge.
"""

import io
import re
import struct
import zlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vaecodec.errors import FormatError

MAGIC = b"\x8fVAE"
VERSION = 1
MODES = ("RGB", "grey", "RGB16", "grey16")
SLICE = 1024
LEVEL_MAX = 1792  # of any model; 256 for each interval of the anchors that a network learned
MODEL_ID_BYTES = 8
MAX_PIXELS = 10**9
MAX_SIDE = 2**31 - 1
# Symbols beyond their table cost up to 4 bytes each; no slice of real symbols comes near this.
MAX_PAYLOAD_BYTES = 64 * 2**20

SLICE_TYPE = b"Slic"
LOSSLESS_SLICE_TYPE = b"Lslc"
PALETTE_SLICE_TYPE = b"Pslc"
LOSSLESS_PICTURE_TYPE = b"Lpic"
PALETTE_PICTURE_TYPE = b"Ppic"
# What holds samples, in streams as of codec/lossless, where others hold symbols.
SAMPLES_SLICE_TYPES = (LOSSLESS_SLICE_TYPE, PALETTE_SLICE_TYPE)
SAMPLES_PICTURE_TYPES = (LOSSLESS_PICTURE_TYPE, PALETTE_PICTURE_TYPE)
SLICE_TYPES = (SLICE_TYPE, *SAMPLES_SLICE_TYPES)
ALPHA_TYPE = b"Alph"
CRYPT_TYPE = b"Cryp"
GAIN_MAP_TYPE = b"Gmap"
PREVIEW_TYPE = b"prvw"
METADATA_TYPES = {
    "exif": b"exif",
    "icc": b"iccp",
    "xmp": b"xmpp",
    "xmp-extended": b"xmpx",
    "iptc": b"iptc",
    "comment": b"comm",
    "resolution": b"dpis",
    "hdr-gain-map": b"hdrg",
    "sample-range": b"rang",
}
PICTURE_TYPES = (*SLICE_TYPES, *SAMPLES_PICTURE_TYPES)
_KNOWN_TYPES = (*PICTURE_TYPES, ALPHA_TYPE, CRYPT_TYPE, GAIN_MAP_TYPE)
_PICTURE_PATTERN = re.compile(b"|".join(PICTURE_TYPES))

_HEADER = struct.Struct("<4sBBIIH8s")
_CHUNK = struct.Struct("<4sII")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
CHUNK_BYTES = _CHUNK.size


@dataclass(frozen=True)
class Header:
    """What a file says of itself. `width` and `height` in pixels, `level` in 0..LEVEL_MAX."""

    width: int
    height: int
    mode: str
    level: int
    model_id: bytes

    @property
    def slice_grid(self) -> tuple[int, int]:
        """Rows and columns of slices."""
        return -(-self.height // SLICE), -(-self.width // SLICE)

    @property
    def slice_count(self) -> int:
        rows, columns = self.slice_grid
        return rows * columns


@dataclass(frozen=True)
class Chunk:
    """One chunk whose checksum was right."""

    type: bytes
    payload: bytes

    @property
    def required(self) -> bool:
        return self.type[:1].isupper()

    @property
    def size_bytes(self) -> int:
        return CHUNK_BYTES + len(self.payload)


def pack_header(header: Header) -> bytes:
    """The 28 bytes of a header."""
    fields = _HEADER.pack(
        MAGIC,
        VERSION,
        MODES.index(header.mode),
        header.width,
        header.height,
        header.level,
        header.model_id,
    )
    return fields + _CRC.pack(zlib.crc32(fields))


def unpack_header(data: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """The header in the first 28 bytes of a file.

    Raises FormatError for anything but a sound header of this version within `max_pixels`.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise FormatError("not a vaecodec file")
    if len(data) < HEADER_BYTES:
        raise FormatError("cut short inside its header; get a whole copy")
    _, version, mode, width, height, level, model_id = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FormatError(
            f"format version {version}, this program reads {VERSION}; a newer vaecodec may"
        )
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        raise FormatError("header damaged (checksum); get another copy")
    if (
        mode >= len(MODES)
        or level > LEVEL_MAX
        or not 0 < width <= MAX_SIDE
        or not 0 < height <= MAX_SIDE
    ):
        raise FormatError("header holds values that no encoder writes")
    if width * height > max_pixels:
        raise FormatError(
            f"{width}x{height} is over the limit of {max_pixels} pixels", "max_pixels"
        )
    return Header(width, height, MODES[mode], level, model_id)


def pack_chunks(chunks: Iterable[Chunk]) -> bytes:
    """All chunks of a file: for each its 12 bytes and its payload."""
    parts, slices = [], 0
    for chunk in chunks:
        checksum = _chunk_checksum(slices, chunk.type, chunk.payload)
        parts += [_CHUNK.pack(chunk.type, len(chunk.payload), checksum), chunk.payload]
        slices += chunk.type in SLICE_TYPES
    return b"".join(parts)


def _chunk_checksum(slices_before: int, kind: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<I4sI", slices_before, kind, len(payload))))


def read_header(file: BinaryIO, max_pixels: int = MAX_PIXELS) -> Header:
    """Read the header from the start of `file`."""
    return unpack_header(file.read(HEADER_BYTES), max_pixels)


def read_chunks(
    file: BinaryIO, header: Header, wanted_slices: Container[int] | None = None
) -> Iterator[tuple[int, Chunk]]:
    """The chunks after the header, one at a time, ending with the last slice, numbered.

    The number is how many slices came before. With `wanted_slices` other slices are passed over
    unread. Raises FormatError for a wrong checksum, an unknown required chunk, a file that is cut
    short or one that goes on after its last slice. No more is allocated than the file holds.
    """
    slices = 0
    while slices < header.slice_count:
        head = file.read(CHUNK_BYTES)
        if len(head) < CHUNK_BYTES:
            raise _cut_short(slices, header)
        kind, length, checksum = _CHUNK.unpack(head)
        if not kind.isalpha():
            raise FormatError("damaged between chunks; get another copy")
        if length > MAX_PAYLOAD_BYTES:
            raise FormatError(f"a chunk of {length} bytes is over the limit of {MAX_PAYLOAD_BYTES}")
        is_slice = kind in SLICE_TYPES
        if is_slice and wanted_slices is not None and slices not in wanted_slices:
            file.seek(length, io.SEEK_CUR)
            slices += 1
            continue
        payload = file.read(length)
        if len(payload) < length:
            raise _cut_short(slices, header)
        if _chunk_checksum(slices, kind, payload) != checksum:
            raise FormatError(
                f"chunk {kind.decode('ascii')!r} damaged (checksum); get another copy"
            )
        chunk = Chunk(kind, payload)
        if chunk.required and kind not in _KNOWN_TYPES:
            raise FormatError(
                f"needs feature {kind.decode('ascii')!r}, unknown here;"
                " a newer vaecodec may read it"
            )
        is_picture = kind in SAMPLES_PICTURE_TYPES
        if is_picture and slices > 0:
            raise FormatError("holds slices and a whole picture; get another copy")
        yield slices, chunk
        slices += header.slice_count if is_picture else is_slice
    if file.read(1):
        raise FormatError("has bytes after its end; get another copy")


def salvage_chunks(data: bytes, header: Header) -> Iterator[tuple[int, Chunk]]:
    """Every sound chunk of a damaged file, numbered as by `read_chunks`, wherever it lies.

    `data`: the whole file. After a fault the next sound slice is searched for; its checksum tells
    which one it is.
    """
    position, slices = HEADER_BYTES, 0
    while position + CHUNK_BYTES <= len(data) and slices < header.slice_count:
        kind, length, checksum = _CHUNK.unpack_from(data, position)
        end = position + CHUNK_BYTES + length
        if kind.isalpha() and end <= len(data):
            payload = data[position + CHUNK_BYTES : end]
            numbers = range(slices, header.slice_count if kind in SLICE_TYPES else slices + 1)
            found = next(
                (n for n in numbers if _chunk_checksum(n, kind, payload) == checksum), None
            )
            if found is not None:
                yield found, Chunk(kind, payload)
                slices = found + (kind in SLICE_TYPES)
                position = end
                continue
        match = _PICTURE_PATTERN.search(data, position + 1)
        if match is None:
            return
        position = match.start()


def is_encrypted(file: BinaryIO) -> bool:
    """Whether the chunk at the start of `file`'s chunks says so; `file` stays where it is."""
    position = file.tell()
    file.seek(HEADER_BYTES, io.SEEK_CUR)
    kind = file.read(4)
    file.seek(position)
    return kind == CRYPT_TYPE


def _cut_short(slices: int, header: Header) -> FormatError:
    return FormatError(
        f"cut short: {slices} of {header.slice_count} slices are there; get a whole copy"
    )


def pack_slice(symbol_checksum: int, words: bytes) -> Chunk:
    """A slice's chunk from its symbols' CRC-32 and the coder's words."""
    return Chunk(SLICE_TYPE, _CRC.pack(symbol_checksum) + words)


def unpack_slice(chunk: Chunk) -> tuple[int, bytes]:
    """The symbols' CRC-32 and the coder's words."""
    if len(chunk.payload) < _CRC.size or len(chunk.payload) % 4:
        raise FormatError("a slice's length is impossible; get another copy")
    return _CRC.unpack_from(chunk.payload)[0], chunk.payload[_CRC.size :]


PREVIEW_SIDE = 256  # the longer side of a preview, at most, in pixels
