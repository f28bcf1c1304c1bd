"""Bytes of a .vae file: header and chunks, with their checksums and limits.

All integers are little-endian. The file is the header, then chunks up to the end of the file.

    header, 28 bytes
    offset  size  field
         0     4  magic: 8F 56 41 45 (8F "VAE")
         4     1  version of the format: 1
         5     1  mode: 0 RGB, 1 grey
         6     4  width in pixels, at least 1
        10     4  height in pixels, at least 1
        14     2  level, 0..1280: 256 times the level t of the network
        16     8  model: the first 8 bytes of the SHA-256 of the weight file
        24     4  CRC-32 of bytes 0..23

    chunk, 12 bytes and the payload
    offset  size  field
         0     4  type: four ASCII letters; a capital first letter means required to decode
         4     4  length of the payload in bytes
         8     4  CRC-32 of type, length and payload
        12     n  payload

The picture is divided into slices of SLICE x SLICE pixels (smaller at the right and the bottom),
in row order; each is one chunk of type "Slic". The last slice ends the file, so that a file cut
short at any place is noticed; other chunks stand before the first slice. A reader skips a type
that it does not know when it is optional and refuses it when it is required.

    payload of a slice
    offset  size  field
         0     4  CRC-32 of the slice's symbols as little-endian 32-bit integers: z in the order row,
                  column, channel, then each step's residuals as they are coded (see latents.py)
         4   4*k  the entropy coder's words (see entropy.py)
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vaecodec.errors import FormatError

MAGIC = b"\x8fVAE"
VERSION = 1
MODES = ("RGB", "grey")
SLICE = 1024
LEVEL_UNIT = 256
LEVEL_MAX = 5 * LEVEL_UNIT
MODEL_ID_BYTES = 8
MAX_PIXELS = 10**9
MAX_SIDE = 2**31 - 1
# Symbols beyond their table cost up to 4 bytes each; no slice of real symbols comes near this.
MAX_PAYLOAD_BYTES = 64 * 2**20

SLICE_TYPE = b"Slic"

_HEADER = struct.Struct("<4sBBIIH8s")
_CHUNK = struct.Struct("<4sII")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
CHUNK_BYTES = _CHUNK.size
SYMBOL_CHECKSUM_BYTES = _CRC.size


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
        raise FormatError(f"format version {version}, this program reads {VERSION}; a newer vaecodec may")
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        raise FormatError("header damaged (checksum); get another copy")
    if mode >= len(MODES) or level > LEVEL_MAX or not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
        raise FormatError("header holds values that no encoder writes")
    if width * height > max_pixels:
        raise FormatError(
            f"{width}x{height} is over the limit of {max_pixels} pixels; raise it with --max-pixels"
        )
    return Header(width, height, MODES[mode], level, model_id)


def pack_chunk(chunk: Chunk) -> bytes:
    """A chunk's 12 bytes and its payload."""
    length = len(chunk.payload)
    checksum = zlib.crc32(chunk.payload, zlib.crc32(struct.pack("<4sI", chunk.type, length)))
    return _CHUNK.pack(chunk.type, length, checksum) + chunk.payload


def read_header(file: BinaryIO, max_pixels: int = MAX_PIXELS) -> Header:
    """Read the header from the start of `file`."""
    return unpack_header(file.read(HEADER_BYTES), max_pixels)


def read_chunks(file: BinaryIO, header: Header) -> Iterator[Chunk]:
    """The chunks after the header, one at a time, ending with the last slice.

    Raises FormatError for a wrong checksum, an unknown required chunk, a file that is cut short or
    one that goes on after its last slice. No more is allocated than the file holds.
    """
    slices = 0
    while slices < header.slice_count:
        head = file.read(CHUNK_BYTES)
        if len(head) < CHUNK_BYTES:
            raise FormatError(
                f"cut short: {slices} of {header.slice_count} slices are there; get a whole copy"
            )
        kind, length, checksum = _CHUNK.unpack(head)
        if not kind.isalpha():
            raise FormatError("damaged between chunks; get another copy")
        if length > MAX_PAYLOAD_BYTES:
            raise FormatError(f"a chunk of {length} bytes is over the limit of {MAX_PAYLOAD_BYTES}")
        payload = file.read(length)
        if len(payload) < length:
            raise FormatError(
                f"cut short: {slices} of {header.slice_count} slices are there; get a whole copy"
            )
        if zlib.crc32(payload, zlib.crc32(head[:8])) != checksum:
            raise FormatError(f"chunk {kind.decode('ascii', 'replace')!r} damaged (checksum); get another copy")
        chunk = Chunk(kind, payload)
        if kind == SLICE_TYPE:
            slices += 1
        elif chunk.required:
            raise FormatError(f"needs feature {kind.decode('ascii')!r}, unknown here; a newer vaecodec may read it")
        yield chunk
    if file.read(1):
        raise FormatError("has bytes after its end; get another copy")


def pack_slice(symbol_checksum: int, words: bytes) -> Chunk:
    """A slice's chunk from its symbols' CRC-32 and the coder's words."""
    return Chunk(SLICE_TYPE, _CRC.pack(symbol_checksum) + words)


def unpack_slice(chunk: Chunk) -> tuple[int, bytes]:
    """The symbols' CRC-32 and the coder's words."""
    if len(chunk.payload) < _CRC.size or len(chunk.payload) % 4:
        raise FormatError("a slice's length is impossible; get another copy")
    return _CRC.unpack_from(chunk.payload)[0], chunk.payload[_CRC.size :]
