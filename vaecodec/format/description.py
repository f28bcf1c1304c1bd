"""What a .vae file says of itself, for people and for programs."""

from typing import Any, BinaryIO

from vaecodec.format.container import (
    ALPHA_TYPE,
    CRYPT_TYPE,
    GAIN_MAP_TYPE,
    HEADER_BYTES,
    LOSSLESS_PICTURE_TYPE,
    LOSSLESS_SLICE_TYPE,
    MAX_PIXELS,
    METADATA_TYPES,
    PALETTE_PICTURE_TYPE,
    PALETTE_SLICE_TYPE,
    PICTURE_TYPES,
    PREVIEW_TYPE,
    SAMPLES_PICTURE_TYPES,
    SLICE_TYPE,
    read_chunks,
    read_header,
)

_PART_NAMES = {
    SLICE_TYPE: "slices",
    LOSSLESS_SLICE_TYPE: "lossless slices",
    LOSSLESS_PICTURE_TYPE: "lossless picture",
    PALETTE_SLICE_TYPE: "palette slices",
    PALETTE_PICTURE_TYPE: "palette picture",
    ALPHA_TYPE: "alpha",
    PREVIEW_TYPE: "preview",
    CRYPT_TYPE: "encryption",
    GAIN_MAP_TYPE: "gain map",
}
_PART_NAMES |= {kind: name for name, kind in METADATA_TYPES.items()}


def describe(file: BinaryIO, max_pixels: int = MAX_PIXELS) -> dict[str, Any]:
    """What a file says of itself and the bytes of its parts, after checking all its checksums."""
    header = read_header(file, max_pixels)
    parts = {"header": HEADER_BYTES}
    slices = dict.fromkeys(PICTURE_TYPES, 0)
    for _, chunk in read_chunks(file, header):
        if chunk.type in PICTURE_TYPES:
            slices[chunk.type] += header.slice_count if chunk.type in SAMPLES_PICTURE_TYPES else 1
        name = _PART_NAMES[chunk.type] if chunk.type in _PART_NAMES else chunk.type.decode("ascii")
        parts[name] = parts.get(name, 0) + chunk.size_bytes
    size_bytes = sum(parts.values())
    return {
        "width": header.width,
        "height": header.height,
        "mode": header.mode,
        "level": header.level,
        "model": header.model_id.hex(),
        "slices": header.slice_count,
        "lossless_slices": slices[LOSSLESS_SLICE_TYPE] + slices[LOSSLESS_PICTURE_TYPE],
        "palette_slices": slices[PALETTE_SLICE_TYPE] + slices[PALETTE_PICTURE_TYPE],
        "encrypted": "encryption" in parts,
        "bytes": size_bytes,
        "bpp": round(8 * size_bytes / (header.width * header.height), 4),
        "parts": parts,
    }
