"""TIFF layouts that Pillow reads wrongly, or in 8 bits only, read by tifffile.

Pillow ignores that the minimum is white in samples of more than 8 bits, reads unsigned 32-bit
samples as signed ones and 16-bit colour as 8-bit colour, and refuses samples of other sizes.
"""

from typing import BinaryIO

import numpy as np
import tifffile

from vaecodec.errors import PictureError

_MAX_PLANES = 5
_ALPHA_KINDS = (1, 2)  # ExtraSamples: premultiplied, straight
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB = 0, 1, 2


def read_deep(file: BinaryIO, page_number: int) -> tuple[np.ndarray, np.ndarray | None, int] | None:
    """Samples `[H, W]` or `[H, W, 3]` in the file's own type, alpha (8 bits, or None) and the
    orientation, of a page counted from 1; None for a layout that is left to Pillow.

    The caller has checked the size of the page. Raises whatever tifffile raises.
    """
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[page_number - 1]
        if not isinstance(page, tifffile.TiffPage) or not _is_deep(page):
            return None
        if page.imagedepth != 1 or page.samplesperpixel > _MAX_PLANES:
            raise PictureError("holds more than a picture; take a plane of it")
        samples = page.asarray()
        samples = samples.reshape(_shape(page))
        if page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, 2)
        colours = 3 if page.photometric == _RGB else 1
        alpha = None
        if (
            samples.shape[2] > colours
            and tuple(page.extrasamples)[:1]
            and (page.extrasamples[0] in _ALPHA_KINDS)
        ):
            samples, alpha = _straight(samples, colours, page.extrasamples[0] == 1)
        pixels = samples[:, :, :3] if colours == 3 else samples[:, :, 0]
        if page.photometric == _MIN_IS_WHITE:
            pixels = _inverted(pixels)
        orientation = page.tags.valueof(274, 1)
        is_known = isinstance(orientation, int) and 1 <= orientation <= 8
        return np.ascontiguousarray(pixels), alpha, int(orientation) if is_known else 1


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
