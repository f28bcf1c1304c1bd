"""Metadata as chunks of a .vae file: EXIF, ICC profile, XMP and what else goes along."""

import zlib
from collections.abc import Iterable

from vaecodec.errors import FormatError, PictureError
from vaecodec.format.container import METADATA_TYPES, Chunk

MAX_METADATA_BYTES = 64 * 2**20


def pack_metadata(kind: str, content: bytes) -> Chunk:
    """The chunk of metadata of a kind in METADATA_TYPES. Raises PictureError for more than a reader
    takes."""
    if len(content) > MAX_METADATA_BYTES:
        raise PictureError(
            f"its {kind} is larger than {MAX_METADATA_BYTES >> 20} MiB; leave it out"
        )
    return Chunk(METADATA_TYPES[kind], zlib.compress(content, 9))


def unpack_metadata(chunk: Chunk) -> bytes:
    """The content of a metadata chunk. Raises FormatError, also for one that unpacks to too
    much."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(chunk.payload, MAX_METADATA_BYTES)
    except zlib.error as error:
        raise FormatError(f"its metadata are damaged ({error})") from None
    if not unpacker.eof:
        raise FormatError("its metadata do not end or are too large")
    return content


def read_metadata(chunks: Iterable[Chunk]) -> dict[str, bytes]:
    """The metadata in chunks by kind ("exif", "icc", "xmp"). Raises FormatError."""
    kinds = {kind: name for name, kind in METADATA_TYPES.items()}
    return {kinds[c.type]: unpack_metadata(c) for c in chunks if c.type in kinds}
