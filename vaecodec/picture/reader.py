"""Picture files to arrays, through Pillow (and pypng for 16-bit colour).

What matters about a picture comes in: pixels upright as its orientation tag says, alpha, EXIF, ICC
profile and XMP. Anything that had to be converted is said in `Picture.notes`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import png
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from vaecodec.errors import MissingFileError, PictureError, UsageError, VaecodecError
from vaecodec.picture.picture import Picture

# Ghostscript would be run for EPS, and these others are no photographs in themselves.
_REFUSED_FORMATS = ("EPS", "WMF", "HDF5", "GRIB", "BUFR", "FITS", "MPEG")
# Tags of a TIFF file that describe the picture; the others describe its storage.
_SUB_DIRECTORIES = (34665, 34853)  # EXIF and GPS
_TIFF_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, *_SUB_DIRECTORIES)


def read_picture(path: Path, max_pixels: int, page: int | None = None) -> Picture:
    """Read a picture file, or the page or frame `page` of it, counted from 1 (None: the first).

    Raises UsageError for a path or a page that is not there and PictureError for a file that is not
    a sound picture of at most `max_pixels`.
    """
    with _faults_of(path), path.open("rb") as file:
        return picture_from_file(file, max_pixels, page)


def is_picture_name(path: Path) -> bool:
    """Whether a file's suffix is that of a picture."""
    suffix = path.suffix.lower()
    if not suffix:
        return False
    Image.preinit()  # as in _identify
    if suffix not in Image.EXTENSION:
        Image.init()
    return Image.EXTENSION.get(suffix) not in (None, "VAE", "PDF", *_REFUSED_FORMATS)


def picture_size(path: Path, max_pixels: int) -> tuple[int, int]:
    """Width and height of a picture as it is shown, from its header. Raises as `read_picture`
    does."""
    with _faults_of(path), path.open("rb") as file, _open_image(file) as image:
        _check_size(image.size, max_pixels)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return image.size[::-1] if turned else image.size


def picture_from_file(file: BinaryIO, max_pixels: int, page: int | None = None) -> Picture:
    """The picture in an open, seekable file. Raises PictureError, and UsageError for a missing
    page."""
    with _open_image(file) as image:
        return _from_image(image, file, max_pixels, page)


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Names the file in the faults found in it."""
    try:
        yield
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a picture") from None
    except (PictureError, UsageError) as error:
        raise error.of(path) from None
    except OSError as error:
        raise PictureError(f"{path}: cannot read: {error.strerror or error}") from None


@contextmanager
def _open_image(file: BinaryIO) -> Iterator[Image.Image]:
    """Pillow's image, not yet decoded; whatever it raises then becomes a PictureError."""
    Image.MAX_IMAGE_PIXELS = None  # our limit is checked before pixels are decoded
    try:
        with _identify(file) as image:
            yield image
    except VaecodecError:
        raise
    except UnidentifiedImageError:
        raise PictureError("not a picture that can be read here") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        KeyError,
        png.Error,
        ImageCms.PyCMSError,
    ) as error:
        raise PictureError(
            f"damaged or unusual picture ({error}); convert it to PNG first"
        ) from None


def _identify(file: BinaryIO) -> Image.Image:
    """The image that some reader knows. The common formats are tried first, as importing the
    readers of all others takes longer than most pictures."""
    for load_readers in (Image.preinit, Image.init):
        load_readers()
        formats = [name for name in Image.ID if name not in _REFUSED_FORMATS]
        try:
            return Image.open(file, formats=formats)
        except UnidentifiedImageError:
            file.seek(0)
    raise UnidentifiedImageError


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PictureError(
            f"{width}x{height} is over the limit of {max_pixels} pixels", "max_pixels"
        )


def _from_image(image: Image.Image, file: BinaryIO, max_pixels: int, page: int | None) -> Picture:
    pages = getattr(image, "n_frames", 1)
    notes = []
    if page is not None and page > pages:
        raise UsageError(f"has {pages} page(s), so there is no page {page}")
    if page is None and pages > 1:
        notes.append(
            f"only the first of {pages} pages or frames is coded; choose another with --page"
        )
    if pages > 1:
        image.seek((page or 1) - 1)
    _check_size(image.size, max_pixels)
    if _is_16_bit_colour_png(file):
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        picture = Picture(*_read_16_bit_png(file), _metadata(image, _exif(image)), tuple(notes))
        return _upright(picture, orientation)
    return picture_from_image(image, tuple(notes))


def picture_from_image(image: Image.Image, notes: tuple[str, ...] = ()) -> Picture:
    """A PIL image of any mode, turned upright, as a picture. Raises PictureError."""
    exif = _exif(image)
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    metadata = _metadata(image, exif)
    pixels, alpha, converted = _samples(image, metadata.get("icc"))
    if converted:
        notes = (*notes, converted)
        if "sRGB" in converted:  # the profile described the colours before
            metadata.pop("icc", None)
    return Picture(pixels, alpha, metadata, notes)


def _samples(image: Image.Image, icc: bytes | None) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Pixels, alpha and a note of any conversion, of an upright picture of any mode."""
    mode = image.mode
    if mode in ("L", "RGB"):
        return np.asarray(image), None, ""
    if mode in ("1", "RGBX"):
        return np.asarray(image.convert("L" if mode == "1" else "RGB")), None, ""
    if mode in ("P", "PA", "RGBA", "LA", "RGBa", "La") or "transparency" in image.info:
        return (*_with_alpha(image), "")
    if mode.startswith("I;16") or mode in ("I", "F"):
        return _high_range_grey(np.asarray(image), mode)
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        return _to_srgb(image, icc)
    raise PictureError(f"mode {mode} is not supported; convert it to RGB or grey")


def _with_alpha(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    grey = image.mode in ("L", "LA", "La")
    if "transparency" not in image.info and image.mode == "P":
        return np.asarray(image.convert("RGB")), None
    samples = np.asarray(image.convert("LA" if grey else "RGBA"))
    alpha = samples[:, :, -1]
    pixels = samples[:, :, 0] if grey else samples[:, :, :3]
    return np.ascontiguousarray(pixels), None if (alpha == 255).all() else np.ascontiguousarray(
        alpha
    )


def _high_range_grey(values: np.ndarray, mode: str) -> tuple[np.ndarray, None, str]:
    if mode.startswith("I;16"):
        return values.astype(np.uint16), None, ""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not np.isfinite([low, high]).all():
        raise PictureError("has samples that are not numbers; convert it to 16-bit grey")
    if mode == "I" and 0 <= low and high <= 65535:
        return values.astype(np.uint16), None, ""
    span = high - low or 1.0
    scaled = np.rint((values.astype(np.float64) - low) / span * 65535).astype(np.uint16)
    return scaled, None, f"range {low:g}..{high:g} mapped to 16 bits"


def _to_srgb(image: Image.Image, icc: bytes | None) -> tuple[np.ndarray, None, str]:
    mode = image.mode
    if mode in ("YCbCr", "HSV"):
        return np.asarray(image.convert("RGB")), None, f"converted from {mode} to RGB"
    srgb = ImageCms.createProfile("sRGB")
    if icc is not None:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        how = f"converted from {mode} to sRGB through its profile"
    elif mode == "LAB":
        profile = ImageCms.createProfile("LAB")
        how = "converted from LAB to sRGB"
    else:
        return (
            np.asarray(image.convert("RGB")),
            None,
            f"converted from {mode} to RGB without a colour description",
        )
    return np.asarray(ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")), None, how


def _exif(image: Image.Image) -> bytes:
    """EXIF without the orientation, which is applied to the pixels; of a TIFF, what describes the
    picture."""
    source = image.getexif()
    kept = Image.Exif()
    if image.format == "TIFF":
        for tag in set(_TIFF_TAGS) & set(source):
            kept[tag] = source.get_ifd(tag) if tag in _SUB_DIRECTORIES else source[tag]
    else:
        kept.load(source.tobytes())
        kept.pop(ExifTags.Base.Orientation, None)
    return kept.tobytes() if len(kept) else b""


def _metadata(image: Image.Image, exif: bytes) -> dict[str, bytes]:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    found = {
        "exif": exif,
        "icc": image.info.get("icc_profile") or b"",
        "xmp": xmp.encode("utf-8") if isinstance(xmp, str) else xmp,
    }
    return {kind: bytes(content) for kind, content in found.items() if content}


def _is_16_bit_colour_png(file: BinaryIO) -> bool:
    """Bit depth 16 with colour or alpha in the header: Pillow would keep 8 bits of it."""
    position = file.tell()
    file.seek(0)
    data = file.read(26)
    file.seek(position)
    return data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:26] in (
        b"\x10\x02",
        b"\x10\x04",
        b"\x10\x06",
    )


def _read_16_bit_png(file: BinaryIO) -> tuple[np.ndarray, np.ndarray | None]:
    file.seek(0)
    width, height, rows, info = png.Reader(file=file).read()
    planes = info["planes"]
    samples = np.empty((height, width, planes), np.uint16)
    for row, values in enumerate(rows):
        samples[row] = np.frombuffer(values, np.uint16).reshape(width, planes)
    colours = planes - 1 if info["alpha"] else planes
    pixels = samples[:, :, 0] if colours == 1 else samples[:, :, :3]
    alpha = (samples[:, :, -1] >> 8).astype(np.uint8) if info["alpha"] else None
    if alpha is not None and (alpha == 255).all():
        alpha = None
    return np.ascontiguousarray(pixels), alpha


_TURNS = {  # orientation tag -> (transpose, flip rows, flip columns)
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def _upright(picture: Picture, orientation: int) -> Picture:
    transpose, rows, columns = _TURNS.get(orientation, _TURNS[1])

    def turn(array: np.ndarray) -> np.ndarray:
        array = array.swapaxes(0, 1) if transpose else array
        return np.ascontiguousarray(array[:: -1 if rows else 1, :: -1 if columns else 1])

    alpha = None if picture.alpha is None else turn(picture.alpha)
    return replace(picture, pixels=turn(picture.pixels), alpha=alpha)


MAX_PICTURE_PIXELS = 2 * 10**8  # larger sources are skipped


def read_rgb(path: Path) -> np.ndarray:
    """A picture as 8-bit RGB `[H, W, 3]`, upright; grey is repeated, alpha dropped. Raises
    PictureError."""
    pixels = read_picture(path, MAX_PICTURE_PIXELS).in_8_bits().pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
