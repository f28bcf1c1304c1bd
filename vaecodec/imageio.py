"""Pictures in files to arrays and back, through Pillow."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from vaecodec.errors import PictureError, UsageError

OUTPUT_SUFFIXES = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".avif": ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
}


@dataclass(frozen=True)
class Picture:
    """`pixels`: uint8, `[H, W, 3]` in sRGB or `[H, W]` grey."""

    pixels: np.ndarray

    @property
    def mode(self) -> str:
        return "grey" if self.pixels.ndim == 2 else "RGB"


def read_picture(path: Path, max_pixels: int) -> Picture:
    """Read an 8-bit RGB or grey picture. Raises PictureError for anything else."""
    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked before pixels are decoded
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise PictureError(
                    f"{path}: {width}x{height} is over the limit of {max_pixels} pixels;"
                    " raise it with --max-pixels"
                )
            if image.mode not in ("RGB", "L"):
                raise PictureError(
                    f"{path}: mode {image.mode} is not supported yet; convert it to 8-bit RGB or grey"
                )
            return Picture(np.asarray(image))
    except UnidentifiedImageError:
        raise PictureError(f"{path}: not a picture that Pillow can read") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a picture") from None
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise PictureError(f"{path}: cannot be read as a picture: {error}") from None


def check_suffix(suffix: str) -> None:
    """Raise UsageError unless pictures can be written in a file of this suffix."""
    if suffix.lower() not in OUTPUT_SUFFIXES:
        known = ", ".join(sorted(OUTPUT_SUFFIXES))
        raise UsageError(f"cannot write pictures of type {suffix!r}; use one of {known}")


def write_picture(picture: Picture, file: BinaryIO, suffix: str) -> None:
    """Write `picture` to an open file in the format that `suffix` names."""
    check_suffix(suffix)
    name, options = OUTPUT_SUFFIXES[suffix.lower()]
    Image.fromarray(picture.pixels).save(file, name, **options)
