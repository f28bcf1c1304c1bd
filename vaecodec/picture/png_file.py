"""What a PNG file says beside the samples that Pillow reads: checksums, 16-bit colour, a
transparent colour, gamma and chromaticities (PNG, third edition, 5 and 11)."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import png

from vaecodec.errors import PictureError
from vaecodec.picture.icc import SRGB_WHITE_AND_PRIMARIES, gamma_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP")
_SRGB_GAMMA = (44000, 46500)  # 1/2.2 in 1/100000, which programs write for sRGB
_GREY, _RGB = 0, 2


@dataclass(frozen=True)
class PngFile:
    """A PNG file that was walked through.

    `file`: with what was damaged beside the pixels left out; `depth`: bits a sample; `colour`: the
    colour type; `transparent`: the samples of the transparent colour in the file's own depth, or
    None; `chunks`: what describes colours; `notes`: what was left out.
    """

    file: BinaryIO
    depth: int
    colour: int
    transparent: tuple[int, ...] | None = None
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def has_16_bit_colour(self) -> bool:
        """Whether Pillow would keep 8 bits of 16."""
        return self.depth == 16 and self.colour != _GREY

    def profile(self) -> tuple[bytes | None, tuple[str, ...]]:
        """The colours that gamma and chromaticities describe as an ICC profile, with a note; None
        where a profile or sRGB is given as well, or nothing that differs from it."""
        if b"iCCP" in self.chunks or b"sRGB" in self.chunks:
            return None, ()
        if b"cICP" in self.chunks:
            return None, ("its colours are described by a cICP chunk, which is not kept",)
        gamma_bytes, colours = self.chunks.get(b"gAMA", b""), self.chunks.get(b"cHRM", b"")
        gamma = int.from_bytes(gamma_bytes, "big") if len(gamma_bytes) == 4 else 45455
        values = struct.unpack(">8I", colours) if len(colours) == 32 else ()
        chromaticities = tuple(v / 100000 for v in values) or SRGB_WHITE_AND_PRIMARIES
        is_plain = max(np.abs(np.subtract(chromaticities, SRGB_WHITE_AND_PRIMARIES))) < 0.002
        if _SRGB_GAMMA[0] <= gamma <= _SRGB_GAMMA[1] and (is_plain or self.colour in (0, 4)):
            return None, ()
        try:
            icc = gamma_profile(100000 / gamma, chromaticities, self.colour in (0, 4))
        except (ValueError, ZeroDivisionError):
            return None, ("its gamma or chromaticities are not sound and were dropped",)
        return icc, (f"gamma 1/{100000 / gamma:.3g} and chromaticities kept as an ICC profile",)

    def transparency(self, samples: np.ndarray) -> np.ndarray | None:
        """Alpha `[H, W]`: 0 exactly where `samples` (8 or 16 bits, grey or RGB) are the transparent
        colour; None where there is none."""
        if self.transparent is None:
            return None
        scale = 255 // (2**self.depth - 1) if self.depth < 8 else 1
        colour = [value % 2**self.depth * scale for value in self.transparent]
        planes = samples if samples.ndim == 3 else samples[:, :, None]
        equal = (planes == np.array(colour, samples.dtype)).all(axis=2)
        return np.where(equal, 0, 255).astype(np.uint8)


def walk(file: BinaryIO, pixels_only: bool = False) -> PngFile | None:
    """The PNG file in `file`, None for a file of another kind.

    `pixels_only` leaves out all that is not needed for pixels. Raises PictureError where pixels are
    damaged as their checksum tells.
    """
    file.seek(0)
    data = file.read(26)
    if data[:8] != SIGNATURE or len(data) < 26:
        file.seek(0)
        return None
    kept: list[tuple[bytes, bytes]] = []
    described: dict[bytes, bytes] = {}
    dropped: list[str] = []
    notes: tuple[str, ...] = ()
    file.seek(0)
    whole = file.read()
    for kind, payload, is_sound in _chunks(whole):
        is_needed = kind in _PIXEL_CHUNKS
        if not is_sound and is_needed:
            name = kind.decode("latin-1")
            raise PictureError(f"damaged: the checksum of its {name} is wrong; get another copy")
        if is_sound and (is_needed or not pixels_only):
            kept.append((kind, payload))
            if kind in (*_COLOUR_CHUNKS, b"tRNS"):
                described[kind] = payload
        elif not is_sound:
            dropped.append(kind.decode("latin-1"))
    if dropped:
        notes = (f"damaged chunks were dropped: {', '.join(sorted(set(dropped)))}",)
    if dropped or pixels_only:
        buffer = io.BytesIO()
        png.write_chunks(buffer, kept)
        file = buffer
    file.seek(0)
    depth, colour = data[24:26]
    transparent: tuple[int, ...] | None = None
    trns = described.pop(b"tRNS", b"")
    if colour in (_GREY, _RGB) and len(trns) == (2 if colour == _GREY else 6):
        transparent = struct.unpack(f">{len(trns) // 2}H", trns)
    return PngFile(file, depth, colour, transparent, described, notes)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Type, payload and whether its checksum is right, of each chunk up to the last whole one."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return
        checksum = int.from_bytes(data[end : end + 4], "big")
        yield kind, data[position + 8 : end], zlib.crc32(data[position + 4 : end]) == checksum
        position = end + 4
        if kind == b"IEND":
            return


def read_16_bit(file: BinaryIO) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha of a PNG of 16 bits a sample, in all of them."""
    file.seek(0)
    width, height, rows, info = png.Reader(file=file).read()
    planes = info["planes"]
    samples = np.empty((height, width, planes), np.uint16)
    for row, values in enumerate(rows):
        samples[row] = np.frombuffer(values, np.uint16).reshape(width, planes)
    colours = planes - 1 if info["alpha"] else planes
    pixels = samples[:, :, 0] if colours == 1 else samples[:, :, :3]
    alpha = (samples[:, :, -1] >> 8).astype(np.uint8) if info["alpha"] else None
    return np.ascontiguousarray(pixels), alpha
