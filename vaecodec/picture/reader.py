"""Picture files to arrays, through Pillow (pypng for 16-bit colour PNG, tifffile for deep TIFF).

What matters about a picture comes in: pixels upright as its orientation tag says, alpha, and the
bytes of its metadata. Anything that had to be converted or dropped is said in `Picture.notes`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from vaecodec.errors import MissingFileError, PictureError, UsageError, VaecodecError
from vaecodec.picture import bmp_file, jpeg_file, png_file, unread
from vaecodec.picture.decoder_warnings import collected
from vaecodec.picture.metadata import metadata_of, not_kept, tiff_metadata
from vaecodec.picture.orientation import made_neutral, orientation_of, turned
from vaecodec.picture.picture import Picture, check_size
from vaecodec.picture.samples import Samples, samples_of
from vaecodec.places import Place

# Ghostscript would be run for EPS, and these others are no photographs in themselves.
_REFUSED_FORMATS = ("EPS", "WMF", "HDF5", "GRIB", "BUFR", "FITS", "MPEG")
_PLUGINS = ("pillow_heif", "pillow_jxl")  # register themselves, or by a function, where installed
PLUGIN_SUFFIXES = dict.fromkeys((".heic", ".heif", ".hif"), "pillow-heif")
PLUGIN_SUFFIXES[".jxl"] = "pillow-jxl-plugin"
RAW_SUFFIXES = (
    ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".crw", ".x3f"
)  # fmt: skip
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_picture(path: Place, max_pixels: int, page: int | None = None) -> Picture:
    """Read a picture file, or the page or frame `page` of it, counted from 1 (None: the first).

    Raises UsageError for a path or a page that is not there and PictureError for a file that is not
    a sound picture of at most `max_pixels`.
    """
    with _faults_of(path), path.open("rb") as file:
        return picture_from_file(file, max_pixels, page)


def is_picture_name(path: Place) -> bool:
    """Whether a file's suffix is that of a picture that can be read here."""
    suffix = path.suffix.lower()
    if suffix in ("", ".vae", *RAW_SUFFIXES):
        return False
    Image.preinit()  # as in _identify
    if suffix not in Image.EXTENSION:
        _load_readers()
    return Image.EXTENSION.get(suffix) not in (None, "PDF", *_REFUSED_FORMATS)


def hint_for(suffix: str) -> str:
    """How to get at the pictures in files of a suffix that is not read here, "" where unknown."""
    if suffix.lower() in PLUGIN_SUFFIXES:
        return f"pip install {PLUGIN_SUFFIXES[suffix.lower()]}"
    if suffix.lower() in RAW_SUFFIXES:
        return "develop raw photos to TIFF first"
    return ""


def picture_size(path: Place, max_pixels: int) -> tuple[int, int]:
    """Width and height of a picture as it is shown, from its header. Raises as `read_picture`
    does."""
    with _faults_of(path), path.open("rb") as file, collected(), _open_image(file) as image:
        check_size(image.size, max_pixels)
        orientation = _orientation(image, metadata_of(image))
        if image.format == "TIFF":
            orientation = image.getexif().get(274, 1)
        return image.size[::-1] if orientation in (5, 6, 7, 8) else image.size


def picture_from_file(file: BinaryIO, max_pixels: int, page: int | None = None) -> Picture:
    """The picture in an open, seekable file. Raises PictureError, and UsageError for a missing
    page."""
    suffix = Path(str(getattr(file, "name", ""))).suffix
    if suffix.lower() in RAW_SUFFIXES:  # Pillow would take the small preview for the picture
        raise PictureError(f"is a raw photo ({hint_for(suffix)})")
    with collected() as warned:
        try:
            picture = _read(_Source(file), max_pixels, page)
        except PictureError as error:
            stripped = _without_metadata(file)
            if stripped is None:
                raise _hinted(error, suffix) from None
            try:
                picture = _read(stripped, max_pixels, page)
            except VaecodecError:
                raise error from None
    notes = (*picture.notes, *(f"warning of its reader: {text}" for text in warned))
    file.seek(0, io.SEEK_END)
    return Picture(picture.pixels, picture.alpha, picture.metadata, notes)


@dataclass(frozen=True)
class _Source:
    """A file to read, and what is known of it already."""

    file: BinaryIO
    notes: tuple[str, ...] = ()
    png: png_file.PngFile | None = None


def _without_metadata(file: BinaryIO) -> _Source | None:
    """The same pixels in a file without metadata that could disturb; None for other formats."""
    note = ("its metadata are damaged and were dropped",)
    with suppress(PictureError):
        walked = png_file.walk(file, pixels_only=True)
        if walked is not None:
            return _Source(walked.file, note, walked)
        stripped = jpeg_file.without_metadata(file)
        return None if stripped is None else _Source(stripped, note)
    return None


def _read(source: _Source, max_pixels: int, page: int | None) -> Picture:
    if source.png is None:
        walked = png_file.walk(source.file)
        if walked is not None:
            source = _Source(walked.file, walked.notes, walked)
    try:
        with _open_image(source.file) as image:
            return _from_image(image, source, max_pixels, page)
    except _UnknownPictureError:
        source.file.seek(0)
        if source.file.read(4) not in _TIFF_MAGIC:
            raise
        with _decoding():
            return _from_tiff_alone(source.file, max_pixels, page)


@contextmanager
def _faults_of(path: Place) -> Iterator[None]:
    """Names the file in the faults found in it."""
    try:
        yield
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a picture") from None
    except (PictureError, UsageError) as error:
        raise _hinted(error, path.suffix).of(path) from None
    except OSError as error:
        raise PictureError(f"{path}: cannot read: {error.strerror or error}") from None


def _hinted(error: VaecodecError, suffix: str) -> VaecodecError:
    """The fault, with what to do about unknown files of that suffix."""
    known = suffix.lower() in Image.EXTENSION or not isinstance(error, _UnknownPictureError)
    hint = "" if known else hint_for(suffix)
    return PictureError(f"{error} ({hint})") if hint else error


class _UnknownPictureError(PictureError):
    """No reader knows the file."""


@contextmanager
def _decoding() -> Iterator[None]:
    """Whatever a decoder raises is a PictureError: they raise nearly every kind there is."""
    try:
        yield
    except VaecodecError:
        raise
    except UnidentifiedImageError:
        raise _UnknownPictureError("not a picture that can be read here") from None
    except MemoryError:
        raise PictureError("not enough memory for a picture of this size") from None
    except Exception as error:
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise PictureError(
            f"damaged or unusual picture ({what}); convert it to PNG first"
        ) from None


@contextmanager
def _open_image(file: BinaryIO) -> Iterator[Image.Image]:
    """Pillow's image, not yet decoded; whatever it raises then becomes a PictureError."""
    Image.MAX_IMAGE_PIXELS = None  # our limit is checked before pixels are decoded
    with _decoding(), _identify(file) as image:
        yield image


def _identify(file: BinaryIO) -> Image.Image:
    """The image that some reader knows. The common formats are tried first, as importing the
    readers of all others takes longer than most pictures."""
    for load_readers in (Image.preinit, _load_readers):
        load_readers()
        formats = [name for name in Image.ID if name not in _REFUSED_FORMATS]
        try:
            file.seek(0)
            return Image.open(file, formats=formats)
        except UnidentifiedImageError:
            file.seek(0)
    raise UnidentifiedImageError


def _load_readers() -> None:
    """All of Pillow's readers, and the plug-ins for HEIC and JPEG XL where they are installed."""
    Image.init()
    for name in _PLUGINS:
        with suppress(ImportError):
            plugin = __import__(name)
            if name == "pillow_heif" and "HEIF" not in Image.OPEN:
                plugin.register_heif_opener()


def _page_note(pages: int, page: int | None) -> tuple[str, ...]:
    """What is said of a file of several pages. Raises UsageError for a page that is not there."""
    if page is not None and page > pages:
        raise UsageError(f"has {pages} page(s), so there is no page {page}")
    if page is None and pages > 1:
        return (f"only the first of {pages} pages or frames is coded; choose another with --page",)
    return ()


def _from_image(image: Image.Image, source: _Source, max_pixels: int, page: int | None) -> Picture:
    pages = getattr(image, "n_frames", 1)
    notes = (*_page_note(pages, page), *source.notes)
    if image.format == "MPO" and page is None:
        notes = source.notes
    if pages > 1:
        image.seek((page or 1) - 1)
    check_size(image.size, max_pixels)
    if source.png is not None and (page or 1) == 1:
        return _from_png(image, source.png, notes)
    if image.format == "TIFF":
        notes = (*notes, *not_kept(image))
    deep = _deep_tiff(image, source.file, page or 1, max_pixels) if image.format == "TIFF" else None
    if deep is not None:
        return _finished(*deep, metadata_of(image), notes)
    alpha = bmp_file.one_bit_alpha(image, source.file) if image.format == "BMP" else None
    picture = picture_from_image(image, (*notes, *unread.notes_of(image, source.file)))
    if alpha is not None:
        samples = Samples(picture.pixels, alpha)
        return _finished(samples, 1, picture.metadata, picture.notes)
    if image.format in ("JPEG", "MPO") and (page or 1) == 1:
        return jpeg_file.with_what_follows(picture, source.file, image, page is not None)
    return picture


def _from_png(image: Image.Image, file: png_file.PngFile, notes: tuple[str, ...]) -> Picture:
    image.info.pop("transparency", None) if file.transparent is not None else None
    if file.has_16_bit_colour:
        samples = Samples(*png_file.read_16_bit(file.file))
    else:
        samples = samples_of(image, None)
    if file.transparent is not None:
        samples = replace(samples, alpha=file.transparency(samples.pixels))
    metadata = metadata_of(image)
    icc, said = file.profile()
    if icc is not None and "icc" not in metadata:
        metadata["icc"] = icc
    return _finished(samples, orientation_of(metadata), metadata, (*notes, *not_kept(image), *said))


def picture_from_image(image: Image.Image, notes: tuple[str, ...] = ()) -> Picture:
    """A PIL image of any mode, turned upright, as a picture. Raises PictureError."""
    check_size(image.size, image.size[0] * image.size[1])
    image.load()  # after which some formats have more metadata, and a TIFF is upright
    metadata = metadata_of(image)
    samples = samples_of(image, metadata.get("icc"))
    if any("sRGB" in note or "profile does not suit" in note for note in samples.notes):
        metadata.pop("icc", None)  # it described the colours before
    return _finished(samples, _orientation(image, metadata), metadata, notes)


def _orientation(image: Image.Image, metadata: dict[str, bytes]) -> int:
    """How a loaded image is still to be turned: some readers have done so."""
    is_turned = image.format == "JXL" and not unread.is_jpeg_in_jxl(image)
    return 1 if is_turned or image.format == "TIFF" else orientation_of(metadata)


def _finished(
    samples: Samples, orientation: int, metadata: dict[str, bytes], notes: tuple[str, ...]
) -> Picture:
    """The picture upright, without an alpha that hides nothing."""
    alpha = samples.alpha
    if alpha is not None:
        alpha = None if (alpha == 255).all() else turned(alpha, orientation)
    metadata = {**made_neutral(metadata, orientation), **samples.metadata}
    notes = (*notes, *samples.notes)
    return Picture(turned(samples.pixels, orientation), alpha, metadata, notes)


def _deep_tiff(
    image: Image.Image, file: BinaryIO, page: int, max_pixels: int
) -> tuple[Samples, int] | None:
    """What tifffile reads of a page that Pillow would read wrongly, None for all others.

    Where tifffile knows the layout but not the compression, Pillow's 8 bits of 16-bit colour are
    as good as can be; of other samples nothing is.
    """
    bits = max(image.tag_v2.get(258, (1,)))  # type: ignore[attr-defined]
    kinds = image.tag_v2.get(339, (1,))  # type: ignore[attr-defined]
    if bits <= 8 and 2 not in kinds:
        return None
    from vaecodec.picture import tiff_file  # takes longer to import than most pictures to read

    try:
        return tiff_file.read_deep(file, page, max_pixels)
    except PictureError:
        raise
    except Exception:
        if image.mode not in ("RGB", "RGBA"):
            raise
        return None


def _from_tiff_alone(file: BinaryIO, max_pixels: int, page: int | None) -> Picture:
    """A page of a TIFF file whose samples Pillow has no mode for."""
    from vaecodec.picture import tiff_file

    width, height, pages = tiff_file.size_of(file, page or 1)
    notes = _page_note(pages, page)
    check_size((width, height), max_pixels)
    deep = tiff_file.read_deep(file, page or 1, max_pixels)
    if deep is None:
        raise _UnknownPictureError("not a picture that can be read here")
    file.seek(0)
    metadata = tiff_metadata(file.read()) if (page or 1) == 1 else {}
    return _finished(*deep, metadata, notes)


MAX_PICTURE_PIXELS = 2 * 10**8  # larger sources are skipped


def read_rgb(path: Place) -> np.ndarray:
    """A picture as 8-bit RGB `[H, W, 3]`, upright; grey is repeated, alpha dropped. Raises
    PictureError."""
    pixels = read_picture(path, MAX_PICTURE_PIXELS).in_8_bits().pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
