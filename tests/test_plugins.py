"""HEIC, JPEG XL and AVIF, through Pillow and its plug-ins; what their readers lose is said."""

import io
import struct
from types import ModuleType

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

from vaecodec.metrics.distortion import psnr_db
from vaecodec.picture.jxl_header import sample_bits
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file

PHOTO = make_photo(40, 64, seed=3)
PLUGINS = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}


def writer_of(name: str) -> ModuleType | None:
    if name not in PLUGINS:
        return None
    plugin = pytest.importorskip(PLUGINS[name], reason=f"{PLUGINS[name]} is not installed")
    if name == "HEIF":
        plugin.register_heif_opener()
    return plugin


def saved(name: str, image: Image.Image | None = None, **options: object) -> bytes:
    writer_of(name)
    buffer = io.BytesIO()
    (image or Image.fromarray(PHOTO)).save(buffer, name, **options)
    return buffer.getvalue()


def read(content: bytes) -> Picture:
    return picture_from_file(io.BytesIO(content), 10**6)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[274] = "Camera Works", orientation
    return exif


@pytest.mark.parametrize("name", ["HEIF", "JXL", "AVIF"])
def test_pixels_and_transparency_come_in(name: str):
    picture = read(saved(name, quality=95))
    assert psnr_db(picture.pixels, PHOTO) > 32 and picture.notes == ()
    alpha = np.tile(np.arange(64, dtype=np.uint8) * 4, (40, 1))
    picture = read(saved(name, Image.fromarray(np.dstack([PHOTO, alpha])), quality=95))
    assert psnr_db(picture.alpha, alpha) > 30


# 2x2 pixels of 16 bits, as libjxl's cjxl writes them; the same without its boxes.
DEEP_JXL = bytes.fromhex(
    "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000096a786c6c0a"
    "000000266a786c63ff0a0810fc00141702080201003c004b188b150a1519c70e3900d9331500"
)


@pytest.mark.parametrize("content", [DEEP_JXL, DEEP_JXL[DEEP_JXL.index(b"\xff\x0a") :]])
def test_bits_that_are_lost_of_a_jpeg_xl_are_said(content: bytes):
    writer_of("JXL")
    assert sample_bits(content) == 16
    assert read(content).notes == ("reduced from 16 to 8 bits, as such JXL is read here",)


def test_a_cut_jpeg_xl_has_no_depth():
    for length in range(len(DEEP_JXL)):
        assert sample_bits(DEEP_JXL[:length]) in (None, 16)


@pytest.mark.parametrize("name", ["HEIF", "AVIF"])
def test_exif_comes_along(name: str):
    assert b"Camera Works" in read(saved(name, exif=exif_of(1).tobytes())).metadata["exif"]


def test_a_naked_codestream_of_jpeg_xl_ignores_the_orientation_in_exif():
    """Which its own orientation, applied by the reader, overrules (ISO/IEC 18181-2, 9.7)."""
    codestream = saved("JXL", quality=95)
    assert codestream[:2] == b"\xff\x0a", "as the plug-in writes it without metadata"
    exif = bytes(4) + exif_of(6).tobytes().removeprefix(b"Exif\0\0")
    boxes = [(b"JXL ", b"\r\n\x87\n"), (b"ftyp", b"jxl \0\0\0\0jxl "), (b"Exif", exif)]
    boxes += [(b"xml ", b"<x/>"), (b"jxlc", codestream)]
    content = b"".join(struct.pack(">I", 8 + len(d)) + name + d for name, d in boxes)
    picture = read(content)
    assert picture.pixels.shape == PHOTO.shape and b"Camera" in picture.metadata["exif"]
    assert picture.notes == ("its boxes xml (metadata) are left out",)


def test_ten_bits_of_heic_are_said_to_become_eight():
    heif = writer_of("HEIF")
    buffer = io.BytesIO()
    deep = (PHOTO.astype(np.uint16) * 257).tobytes()
    heif.from_bytes("RGB;16", (64, 40), deep).save(buffer, quality=95)
    picture = read(buffer.getvalue())
    assert picture.notes == ("reduced from 10 to 8 bits, as such HEIF is read here",)
    assert psnr_db(picture.pixels, PHOTO) > 32


def test_avif_of_more_bits_and_of_other_colours_is_said():
    content = saved("AVIF")
    pixi, colour = content.index(b"pixi") + 9, content.index(b"colrnclx") + 8
    changed = bytearray(content)
    changed[colour : colour + 4] = struct.pack(">2H", 9, 16)
    assert read(bytes(changed)).notes == (
        "its colours are those of H.273 numbers 9 and 16, which are not kept",
    )
    assert content[pixi] == 8


@pytest.mark.parametrize("largest, notes", [(255, 0), (65535, 1), (1023, 1)])
def test_deep_ppm_is_said_to_become_eight_bits(largest: int, notes: int):
    samples = PHOTO.astype(np.float64) / 255 * largest
    stored = np.rint(samples).astype("u1" if largest == 255 else ">u2").tobytes()
    picture = read(b"P6 64 40 %d\n" % largest + stored)
    assert psnr_db(picture.pixels, PHOTO) > 45
    assert len(picture.notes) == notes
