"""TIFF layouts that Pillow reads wrongly, or in 8 bits only, or cannot write, through tifffile.

Pillow ignores that the minimum is white in samples of more than 8 bits, reads unsigned 32-bit
samples as signed ones and 16-bit colour as 8-bit colour, and refuses samples of other sizes.
"""

import io
import struct
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image

from vaecodec.errors import PictureError
from vaecodec.picture.picture import check_size
from vaecodec.picture.samples import Samples, in_16_bits

_MAX_PLANES = 5
_ALPHA_KINDS = (1, 2)  # ExtraSamples: premultiplied, straight
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB = 0, 1, 2
_UNCOMPRESSED, _FLOATING_POINT = 1, 3  # compression; predictor
# Of bytes, whatever they mean: LZW, Deflate by both its numbers, PackBits, LZMA, Zstandard.
_OF_BYTES = (5, 8, 32946, 32773, 34925, 50000)
_SHORT, _LONG = 3, 4


def read_deep(file: BinaryIO, page_number: int, max_pixels: int) -> tuple[Samples, int] | None:
    """Samples in 16 bits and the orientation, of a page counted from 1; None for a layout that is
    left to Pillow. Raises PictureError and whatever tifffile raises."""
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[page_number - 1]
        if not isinstance(page, tifffile.TiffPage) or not _is_deep(page):
            return None
        if page.imagedepth != 1 or page.samplesperpixel > _MAX_PLANES:
            raise PictureError("holds more than a picture; take a plane of it")
        check_size((page.imagewidth, page.imagelength), max_pixels)
        samples = _samples(page, file).reshape(_shape(page))
        if page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, 2)
        colours = 3 if page.photometric == _RGB else 1
        alpha = None
        kind = next((int(kind) for kind in page.extrasamples), 0)
        if page.samplesperpixel > colours and kind in _ALPHA_KINDS:
            samples, alpha = _straight(samples, colours, kind == 1)
        pixels = samples[:, :, :3] if colours == 3 else samples[:, :, 0]
        if page.photometric == _MIN_IS_WHITE:
            pixels = _inverted(pixels)
        orientation = page.tags.valueof(274, 1)
        is_known = isinstance(orientation, int) and 1 <= orientation <= 8
        return in_16_bits(np.ascontiguousarray(pixels), alpha), orientation if is_known else 1


def _is_deep(page: tifffile.TiffPage) -> bool:
    """Whether the samples are those that Pillow reads wrongly or reduces, of grey or RGB."""
    is_plain = page.photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB)
    is_deep = page.bitspersample > 8 or page.sampleformat == 2
    return is_plain and is_deep and page.dtype is not None


def size_of(file: BinaryIO, page_number: int) -> tuple[int, int, int]:
    """Width, height and the number of pages, of a TIFF file that Pillow does not open."""
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        pages = len(tiff.pages)
        if page_number > pages:
            return 0, 0, pages
        page = tiff.pages[page_number - 1]
        return page.imagewidth, page.imagelength, pages


def _shape(page: tifffile.TiffPage) -> tuple[int, int, int]:
    height, width, planes = page.imagelength, page.imagewidth, page.samplesperpixel
    return (planes, height, width) if page.planarconfig == 2 else (height, width, planes)


def _samples(page: tifffile.TiffPage, file: BinaryIO) -> np.ndarray:
    """The samples of all segments (strips or tiles).

    Those compressed as bytes are unpacked by Pillow's libtiff, as bytes, since tifffile leaves most
    of them to imagecodecs, which is as large as all else that reads pictures here together.
    """
    compression, bit_order, predictor = page.compression, page.fillorder, page.predictor
    area = page.tilewidth * page.tilelength if page.is_tiled else 0
    if area > max(4 * page.imagewidth * page.imagelength, 2**20):
        raise PictureError("has tiles larger than itself; convert it to PNG first")
    is_packed = compression in _OF_BYTES
    if not is_packed and not (compression == _UNCOMPRESSED and predictor == _FLOATING_POINT):
        return page.asarray()
    page.compression, page.fillorder = tifffile.COMPRESSION.NONE, tifffile.FILLORDER.MSB2LSB
    if predictor == _FLOATING_POINT:
        page.predictor = tifffile.PREDICTOR.NONE
    assert page.dtype is not None
    result = np.zeros(page.shaped, page.dtype)
    for index, (place, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False)):
        rows, columns, planes = _segment_shape(page, index)
        file.seek(place)
        data = file.read(size)
        if is_packed:
            row_bytes = -(-columns * planes * page.bitspersample // 8)
            data = _unpacked(data, compression, bit_order, rows, row_bytes)
        if predictor == _FLOATING_POINT:
            data = _without_float_predictor(data, (rows, columns, planes), page)
        part, (s, d, h, w, _), shape = page.decode(data, index)
        if part is not None:
            bottom, right = h + shape[1], w + shape[2]
            whole = result[s, d : d + shape[0], h:bottom, w:right]
            whole[...] = part[:, : whole.shape[1], : whole.shape[2]]
    return result


def _segment_shape(page: tifffile.TiffPage, index: int) -> tuple[int, int, int]:
    """Rows, columns and samples a pixel of a strip or a tile."""
    planes = 1 if page.planarconfig == 2 else page.samplesperpixel
    if page.is_tiled:
        return page.tilelength, page.tilewidth, planes
    rows = min(page.rowsperstrip, page.imagelength)
    top = rows * (index % -(-page.imagelength // rows))
    return min(rows, page.imagelength - top), page.imagewidth, planes


def _unpacked(data: bytes, compression: int, bit_order: int, rows: int, row_bytes: int) -> bytes:
    """The bytes of a segment, which libtiff unpacks as those of a grey picture of 8 bits."""
    fields = [
        (256, _LONG, row_bytes), (257, _LONG, rows), (258, _SHORT, 8), (259, _SHORT, compression),
        (262, _SHORT, _MIN_IS_BLACK), (266, _SHORT, bit_order), (273, _LONG, 8 + 2 + 10 * 12 + 4),
        (277, _SHORT, 1), (278, _LONG, rows), (279, _LONG, len(data)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(fields))
    for tag, kind, value in fields:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    head = struct.pack("<2sHI", b"II", 42, 8) + directory + bytes(4)
    with Image.open(io.BytesIO(head + data), formats=["TIFF"]) as image:
        unpacked: bytes = image.tobytes()
    return unpacked


def _without_float_predictor(
    data: bytes, shape: tuple[int, int, int], page: tifffile.TiffPage
) -> bytes:
    """Floating-point samples `shape` in the file's byte order, of differences between bytes that
    are sorted by significance (Adobe Photoshop TIFF Technical Note 3)."""
    assert page.dtype is not None
    rows, columns, planes = shape
    size = page.dtype.itemsize
    differences = np.frombuffer(data, np.uint8).reshape(rows, columns * size, planes)
    by_significance = differences.cumsum(axis=1, dtype=np.uint8).reshape(rows, size, -1)
    samples = by_significance.swapaxes(1, 2)
    in_order: bytes = (samples[:, :, ::-1] if page.parent.byteorder == "<" else samples).tobytes()
    return in_order


def _straight(
    samples: np.ndarray, colours: int, is_premultiplied: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Colours that are not multiplied by alpha, and alpha in 8 bits."""
    full = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
    part = np.clip(samples[:, :, colours].astype(np.float64) / full, 0, 1)
    pixels = samples[:, :, :colours]
    if is_premultiplied:
        divided = pixels / np.maximum(part, 1 / full)[:, :, None]
        pixels = np.clip(np.rint(divided) if samples.dtype.kind != "f" else divided, 0, full)
    return pixels.astype(samples.dtype), np.rint(part * 255).astype(np.uint8)


def _inverted(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.kind == "u":
        return np.iinfo(pixels.dtype).max - pixels
    return -pixels if pixels.dtype.kind == "f" else ~pixels


def with_planes(tiff: io.BytesIO, planes: int, colours: int) -> bytes:
    """The TIFF file of `planes` samples a pixel, of which `colours` are 1 or 3, from that of the
    same samples side by side as one grey picture, which Pillow writes in any depth. Its tag of
    samples a pixel is right already."""
    tiff.seek(0)
    with tifffile.TiffFile(tiff, mode="r+") as file:
        tags = file.pages.first.tags
        tags["ImageWidth"].overwrite(tags["ImageWidth"].value // planes)
        tags["PhotometricInterpretation"].overwrite(_RGB if colours == 3 else _MIN_IS_BLACK)
        for name in ("BitsPerSample", "SampleFormat"):
            if name in tags:
                tags[name].overwrite((tags[name].value,) * planes)
    return tiff.getvalue()
