"""Sample pictures in 15 formats with their metadata, and how one is read, for check_fuzz.py."""

import io
import random
import zlib
from collections.abc import Callable

import numpy as np
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from vaecodec.picture.hdr_gain_map import joined
from vaecodec.picture.reader import picture_from_file

MAX_PIXELS = 20000
_FORMATS = (
    ("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGBA"), ("AVIF", "RGB"), ("TIFF", "RGB"),
    ("GIF", "P"), ("BMP", "RGB"), ("PPM", "RGB"), ("TGA", "RGBA"), ("JPEG2000", "RGB"),
    ("ICO", "RGBA"), ("PCX", "RGB"), ("SGI", "RGB"), ("DDS", "RGBA"), ("MPO", "RGB"),
)  # fmt: skip


def sample_pictures() -> list[bytes]:
    """Small pictures of all formats, and variants of those that we read ourselves."""
    rng = np.random.default_rng(0)
    pixels = np.cumsum(rng.integers(0, 9, (20, 24, 4)), axis=1).astype(np.uint8)
    exif = Image.Exif()
    exif[274], exif[271], exif[282] = 6, "Maker", 300.0
    exif.get_ifd(34665)[40962] = 24
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    files = []
    for name, mode in _FORMATS:
        image = Image.fromarray(pixels).convert(mode)
        options: dict[str, object] = {}
        if name in ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "MPO"):
            options = {"exif": exif, "icc_profile": icc}
        if name in ("JPEG", "WEBP", "AVIF"):
            options |= {"xmp": xmp, "dpi": (300, 300), "comment": b"a bay"}
        if name == "PNG":
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add(b"gAMA", (100000).to_bytes(4, "big"))
        files.append(_saved(image, name, **options))
        if name in ("GIF", "MPO", "WEBP", "TIFF"):
            more = [image.rotate(90), image.rotate(180)]
            files.append(_saved(image, name, save_all=True, append_images=more))
    deep = pixels[:, :, :3].astype(np.uint16) * 257
    files.append(_tiff(deep, photometric="rgb"))
    files.append(_tiff(deep, photometric="rgb", compression="zlib"))
    files.append(_tiff(deep[:, :, 0], photometric="miniswhite"))
    files.append(_tiff(deep[:, :, 0].astype(np.float64)))
    predictor = [(317, "H", 1, 3, True)]  # of floating point; its samples come out as others
    files.append(_tiff(deep / np.float32(7), compression="zlib", extratags=predictor))
    files.append(_saved(Image.fromarray(deep[:, :, 0]), "TIFF", compression="tiff_lzw"))
    files.append(_ultra_hdr(pixels, exif))
    return files


def _ultra_hdr(pixels: np.ndarray, exif: Image.Exif) -> bytes:
    """A JPEG with a gain map, turned, which is coded anew where it is read."""
    described = b'<r xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    gain_map = _saved(Image.fromarray(pixels[::2, ::2, 0].copy()), "JPEG", xmp=described)
    picture = Image.fromarray(pixels[:, :, :3].copy())
    return joined(_saved(picture, "JPEG", xmp=described, exif=exif), gain_map)


def _saved(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def mutated(
    data: bytes, rng: random.Random, change: Callable[[bytearray, random.Random], None]
) -> bytes:
    """`data` with a few changes, half of them near its start, where headers are; sometimes cut."""
    whole = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        head = bytearray(whole[:200]) if rng.random() < 0.5 else bytearray(whole)
        change(head, rng)
        whole[: len(head)] = head
    if rng.random() < 0.15:
        del whole[rng.randrange(len(whole) + 1) :]
    if whole[:4] == b"\x89PNG" and rng.random() < 0.7:
        _mend_checksums(whole)
    return bytes(whole)


def _mend_checksums(data: bytearray) -> None:
    position = 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[position + 4 : end]).to_bytes(4, "big")
        position = end + 4


def try_picture(data: bytes) -> bool:
    """Read one picture. Raises VaecodecError where it is none."""
    picture_from_file(io.BytesIO(data), MAX_PIXELS)
    return True
