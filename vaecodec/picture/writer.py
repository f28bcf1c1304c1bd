"""Arrays to picture files, with as much of what goes along as the format holds."""

import io
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import png
from PIL import Image, PngImagePlugin

from vaecodec.errors import PictureError, UsageError
from vaecodec.picture.picture import Picture

# TIFF is not compressed: Pillow's compressed writer loses EXIF. PNG and TIFF keep every bit; the
# lossy formats are written at a quality that adds no visible loss.
OUTPUT_FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    ".png": ("PNG", {"compress_level": 4}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".webp": ("WEBP", {"lossless": True}),
    ".avif": ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
}
_WITHOUT_ALPHA = ("JPEG", "BMP", "PPM")
_WITHOUT_METADATA = ("BMP", "PPM")
_TIFF_XMP = 700
PILLOW_INFO = {"exif": "exif", "icc": "icc_profile", "xmp": "xmp"}  # names in an image's info
_16_BIT_GREY = ("PNG", "TIFF")


def check_suffix(suffix: str) -> None:
    """Raise UsageError unless pictures can be written in a file of this suffix."""
    if suffix.lower() not in OUTPUT_FORMATS:
        known = ", ".join(sorted(OUTPUT_FORMATS))
        raise UsageError(f"cannot write pictures of type {suffix!r}; use one of {known}")


def write_picture(picture: Picture, file: BinaryIO, suffix: str) -> tuple[str, ...]:
    """Write `picture` to an open file in the format that `suffix` names.

    Returns what the format could not hold, for the user. Raises PictureError where it cannot hold
    the picture at all.
    """
    check_suffix(suffix)
    name, options = OUTPUT_FORMATS[suffix.lower()]
    picture, notes = _fit_to_format(picture, name)
    if picture.mode == "RGB16" or (picture.mode == "grey16" and picture.alpha is not None):
        _write_16_bit_png(picture, file)
        return tuple(notes)
    samples = picture.pixels
    if picture.alpha is not None:
        samples = np.dstack([samples, picture.alpha])
    options = {**options, **_metadata_options(picture.metadata, name)}
    try:
        Image.fromarray(samples).save(file, name, **options)
    except (ValueError, OSError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise PictureError(f"{name} cannot hold this picture ({error}); use .png") from None
    return tuple(notes)


def pillow_image(picture: Picture) -> Image.Image:
    """A PIL image of mode L, RGB, LA, RGBA or I;16, with EXIF, ICC and XMP in its info.

    What Pillow has no mode for (16-bit colour, 16 bits with transparency) is reduced to 8 bits.
    """
    if picture.mode == "RGB16" or (picture.mode == "grey16" and picture.alpha is not None):
        picture = picture.in_8_bits()
    samples = (
        picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    )
    image = Image.fromarray(samples)
    image.info.update({PILLOW_INFO[kind]: content for kind, content in picture.metadata.items()})
    return image


def _metadata_options(metadata: dict[str, bytes], name: str) -> dict[str, object]:
    """What Pillow's writer of a format wants to be given for `metadata`."""
    options: dict[str, object] = {}
    if "icc" in metadata:
        options["icc_profile"] = metadata["icc"]
    if "exif" in metadata:
        options["exif"] = metadata["exif"]
    if "xmp" in metadata:
        if name == "PNG":
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt(
                "XML:com.adobe.xmp", metadata["xmp"].decode("utf-8", "replace")
            )
        elif name != "TIFF":
            options["xmp"] = metadata["xmp"]
    if name == "TIFF":  # EXIF and XMP are tags like all others
        tags = Image.Exif()
        tags.load(metadata.get("exif", b""))
        if "xmp" in metadata:
            tags[_TIFF_XMP] = metadata["xmp"]
        options["exif"] = tags
    return options


def _fit_to_format(picture: Picture, name: str) -> tuple[Picture, list[str]]:
    notes = []
    if picture.pixels.dtype == np.uint16:
        keeps = name == "PNG" or (
            name in _16_BIT_GREY and picture.mode == "grey16" and picture.alpha is None
        )
        if not keeps:
            notes.append(f"reduced to 8 bits, as {name} is written here")
            picture = picture.in_8_bits()
    if picture.alpha is not None and name in _WITHOUT_ALPHA:
        notes.append(f"laid on white, as {name} has no transparency")
        part = (picture.alpha / np.float32(255)).reshape(
            *picture.alpha.shape, *[1] * (picture.pixels.ndim - 2)
        )
        flat = np.rint(picture.pixels * part + 255 * (1 - part)).astype(np.uint8)
        picture = replace(picture, pixels=flat, alpha=None)
    if picture.metadata and name in _WITHOUT_METADATA:
        notes.append(f"without {', '.join(picture.metadata)}, which {name} does not hold")
        picture = replace(picture, metadata={})
    return picture, notes


def _write_16_bit_png(picture: Picture, file: BinaryIO) -> None:
    """16-bit colour or grey with alpha, which Pillow cannot write; metadata go in as chunks of
    their own."""
    height, width = picture.pixels.shape[:2]
    grey = picture.pixels.ndim == 2
    planes = [picture.pixels]
    if picture.alpha is not None:
        planes.append(picture.alpha.astype(np.uint16) * 257)
    samples = np.dstack(planes)
    writer = png.Writer(
        width, height, greyscale=grey, alpha=picture.alpha is not None, bitdepth=16, compression=4
    )
    plain = io.BytesIO()
    writer.write(plain, samples.reshape(height, -1))
    chunks = list(png.Reader(bytes=plain.getvalue()).chunks())
    png.write_chunks(file, chunks[:1] + _png_metadata(picture.metadata) + chunks[1:])


def _png_metadata(metadata: dict[str, bytes]) -> list[tuple[bytes, bytes]]:
    """The chunks that Pillow would write for this metadata, taken from a picture that it writes."""
    if not metadata:
        return []
    buffer = io.BytesIO()
    write_picture(Picture(np.zeros((1, 1), np.uint8), metadata=metadata), buffer, ".png")
    wanted = (b"iCCP", b"eXIf", b"iTXt")
    return [chunk for chunk in png.Reader(bytes=buffer.getvalue()).chunks() if chunk[0] in wanted]
