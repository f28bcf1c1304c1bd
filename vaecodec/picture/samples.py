"""Samples of any mode that Pillow knows to those of a Picture: 8 or 16 bits, grey or RGB, alpha."""

import io

import numpy as np
from PIL import Image, ImageCms

from vaecodec.errors import PictureError


def samples_of(
    image: Image.Image, icc: bytes | None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Pixels, alpha and notes of any conversion, of an upright picture of any mode."""
    mode = image.mode
    if "transparency" in image.info and mode in ("1", "L", "RGB", "P"):
        return (*_with_alpha(image), ())
    if mode in ("L", "RGB"):
        return np.asarray(image), None, ()
    if mode in ("1", "RGBX"):
        return np.asarray(image.convert("L" if mode == "1" else "RGB")), None, ()
    if mode in ("P", "PA", "RGBA", "LA", "RGBa", "La"):
        return (*_with_alpha(image), ())
    if mode.startswith("I;16") or mode in ("I", "F"):
        return in_16_bits(np.asarray(image))
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        pixels, notes = _to_srgb(image, icc)
        return pixels, None, notes
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


def in_16_bits(values: np.ndarray) -> tuple[np.ndarray, None, tuple[str, ...]]:
    """Samples of any type in 16 bits, with a note where they had to be mapped onto them."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return values.astype(np.uint16), None, ()
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not np.isfinite([low, high]).all():
        raise PictureError("has samples that are not numbers; convert it to 16-bit grey")
    if values.dtype.kind in "iu" and 0 <= low and high <= 65535:
        return values.astype(np.uint16), None, ()
    span = high - low or 1.0
    scaled = np.rint((values.astype(np.float64) - low) / span * 65535).astype(np.uint16)
    return scaled, None, (f"range {low:g}..{high:g} mapped to 16 bits",)


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
