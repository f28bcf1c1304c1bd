"""What Python users give: pictures as images, arrays and tensors, files as bytes, paths and open
files."""

import io
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeGuard

import numpy as np
from PIL import Image

from vaecodec.codec.tiling import Region
from vaecodec.errors import FileAccessError, MissingFileError, PictureError, UsageError
from vaecodec.format.container import METADATA_TYPES
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_image
from vaecodec.places import place

if TYPE_CHECKING:
    from torch import Tensor

FilePath: TypeAlias = str | os.PathLike[str]
# What holds a .vae file: its bytes, its path, or a file that is open for reading.
VaeSource: TypeAlias = bytes | bytearray | memoryview | FilePath | BinaryIO
PictureLike: TypeAlias = "Image.Image | np.ndarray | Tensor | Picture"

_FLOAT_LIMIT = 2.0  # samples that reach it were not meant for 0..1


@contextmanager
def opened(source: VaeSource) -> Iterator[BinaryIO]:
    """A seekable file of what was given, at its start. Raises MissingFileError, FileAccessError and
    UsageError."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        path = place(source)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise MissingFileError(f"{path}: no such file") from None
        except OSError as error:
            raise FileAccessError(f"{path}: cannot read: {error.strerror}") from None
        with file:
            yield file
    elif hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise UsageError("the file is open for text; open it in binary mode")
        yield io.BytesIO(data)
    else:
        raise UsageError(
            f"{type(source).__name__} is not bytes, a path or an open file of a .vae file"
        )


def as_picture(image: PictureLike) -> Picture:
    """A picture of an image or of an array, as `Codec.encode` takes them. Raises PictureError."""
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return picture_from_image(image)
    array = np.asarray(image)
    if array.dtype.kind == "f":
        array = _in_8_bits(array)
    planes = array.shape[2] if array.ndim == 3 else 1
    if (
        array.dtype not in (np.uint8, np.uint16)
        or array.ndim not in (2, 3)
        or planes not in (1, 3, 4)
        or 0 in array.shape
    ):
        raise PictureError(
            f"array {np.asarray(image).dtype} of shape {array.shape} is not uint8, uint16, or float"
            " in 0..1, of [H, W] or [H, W, 1, 3 or 4]"
        )
    if planes == 4:
        if array.dtype != np.uint8:
            raise PictureError("arrays with transparency must be uint8 or float")
        return Picture(np.ascontiguousarray(array[:, :, :3]), np.ascontiguousarray(array[:, :, 3]))
    return Picture(array.reshape(array.shape[:2]) if planes == 1 else array)


def _in_8_bits(array: np.ndarray) -> np.ndarray:
    """Floats in 0..1 as uint8, clipped as those of tensors are."""
    if not np.isfinite(array).all():
        raise PictureError("the array has samples that are not numbers")
    if array.size and array.max() >= _FLOAT_LIMIT:
        raise PictureError(f"float samples run to {array.max():g}; they must lie in 0..1")
    samples: np.ndarray = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return samples


def is_tensor(image: object) -> "TypeGuard[Tensor]":
    """Whether it is a torch tensor, told without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def as_region(region: tuple[int, int, int, int] | None) -> Region | None:
    """Left, top, width and height in pixels. Raises UsageError."""
    if region is None:
        return None
    try:
        left, top, width, height = (int(side) for side in region)
    except (TypeError, ValueError):
        raise UsageError(f"region {region!r} is not left, top, width and height") from None
    return Region(left, top, width, height)


def kinds_to_strip(strip: str | Iterable[str]) -> frozenset[str]:
    """The kinds of metadata that are meant: "exif", "icc", "xmp", or "all". Raises UsageError."""
    kinds = {strip} if isinstance(strip, str) else set(strip)
    if unknown := kinds - {"all", *METADATA_TYPES}:
        known = ", ".join(["all", *METADATA_TYPES])
        raise UsageError(f"no metadata of kind {', '.join(sorted(unknown))}; there are {known}")
    return frozenset(METADATA_TYPES if "all" in kinds else kinds)


def as_passphrase(passphrase: str | bytes | None) -> bytes | None:
    """As the command makes of what is typed, so that both open the same files. Raises
    UsageError."""
    if passphrase is not None and not passphrase:
        raise UsageError("the passphrase is empty")
    if isinstance(passphrase, str):
        return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    return passphrase
