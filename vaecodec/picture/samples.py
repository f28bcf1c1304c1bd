"""Samples of any mode that Pillow knows to those of a Picture: 8 or 16 bits, grey or RGB, alpha.

Values of other types, integers or floating point, are mapped to 16 bits over their range, which is
kept as metadata of the kind RANGE_KIND: the lowest and the highest value as little-endian doubles,
and a byte that is 1 where they are integers.
"""

import io
import struct
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageCms

from vaecodec.errors import PictureError

RANGE_KIND = "sample-range"
_RANGE = struct.Struct("<2dB")
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Samples:
    """`pixels` and `alpha` as in Picture; what was converted; metadata that this made necessary."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    metadata: dict[str, bytes] = field(default_factory=dict)


def samples_of(image: Image.Image, icc: bytes | None) -> Samples:
    """The samples of an upright picture of any mode. Raises PictureError."""
    mode = image.mode
    if "transparency" in image.info and mode in ("1", "L", "RGB", "P"):
        return Samples(*_with_alpha(image))
    if mode in ("L", "RGB"):
        return Samples(np.asarray(image))
    if mode in ("1", "RGBX"):
        return Samples(np.asarray(image.convert("L" if mode == "1" else "RGB")))
    if mode in ("P", "PA", "RGBA", "LA", "RGBa", "La"):
        return Samples(*_with_alpha(image))
    if mode.startswith("I;16") or mode in ("I", "F"):
        return in_16_bits(np.asarray(image))
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        pixels, notes = _to_srgb(image, icc)
        return Samples(pixels, notes=notes)
    raise PictureError(f"mode {mode} is not supported; convert it to RGB or grey")


def _with_alpha(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    grey = image.mode in ("1", "L", "LA", "La")
    if "transparency" not in image.info and image.mode == "P":
        return np.asarray(image.convert("RGB")), None
    if image.mode == "1":
        image = image.convert("L")
    samples = np.asarray(image.convert("LA" if grey else "RGBA"))
    pixels = samples[:, :, 0] if grey else samples[:, :, :3]
    return np.ascontiguousarray(pixels), np.ascontiguousarray(samples[:, :, -1])


def in_16_bits(values: np.ndarray, alpha: np.ndarray | None = None) -> Samples:
    """Values of any type in 16 bits, with a note and their range where they had to be mapped."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return Samples(values.astype(np.uint16), alpha)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not np.isfinite([low, high, high - low]).all():
        raise PictureError("has samples that are not numbers; convert it to 16-bit grey")
    is_integer = values.dtype.kind in "iu"
    if is_integer and 0 <= low and high <= 65535:
        return Samples(values.astype(np.uint16), alpha)
    span = high - low or 1.0
    scaled = np.rint((values.astype(np.float64) - low) / span * 65535).astype(np.uint16)
    note = f"range {low:g}..{high:g} mapped to 16 bits"
    return Samples(scaled, alpha, (note,), {RANGE_KIND: _RANGE.pack(low, high, is_integer)})


def values_of(pixels: np.ndarray, metadata: dict[str, bytes]) -> np.ndarray | None:
    """The values that 16-bit `pixels` stand for, int32 or float32; None without a sound range.

    They are as near to the original ones as the pixels are, and half a 65535th of the range at
    best.
    """
    content = metadata.get(RANGE_KIND, b"")
    if len(content) != _RANGE.size or pixels.dtype != np.uint16:
        return None
    low, high, is_integer = _RANGE.unpack(content)
    if not (np.isfinite([low, high]).all() and abs(low) + abs(high) < np.finfo(np.float32).max):
        return None
    values = low + pixels * ((high - low) / 65535)
    fits = is_integer and _INT32.min <= min(low, high) and max(low, high) <= _INT32.max
    result: np.ndarray = np.rint(values).astype(np.int32) if fits else values.astype(np.float32)
    return result


def _to_srgb(image: Image.Image, icc: bytes | None) -> tuple[np.ndarray, tuple[str, ...]]:
    mode = image.mode
    if mode in ("YCbCr", "HSV"):
        return np.asarray(image.convert("RGB")), (f"converted from {mode} to RGB",)
    notes: tuple[str, ...] = ()
    if icc is not None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            pixels = _through(image, profile)
            return pixels, (f"converted from {mode} to sRGB through its profile",)
        except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
            notes = ("its colour profile does not suit it and was dropped",)
    if mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _through(image, lab), (*notes, "converted from LAB to sRGB")
    plain = f"converted from {mode} to RGB without a colour description"
    return np.asarray(image.convert("RGB")), (*notes, plain)


def _through(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> np.ndarray:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return np.asarray(ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB"))
