"""Arrays to picture files, with as much of what goes along as the format holds."""

import hashlib
import io
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import png
from PIL import Image, PngImagePlugin

from vaecodec.errors import PictureError, UsageError
from vaecodec.picture import hdr_gain_map
from vaecodec.picture.icc import colour_space, rgb_profile_of_grey
from vaecodec.picture.metadata import (
    dots_per_inch,
    extended_xmp_segments,
    iptc_segments,
    keep_text,
)
from vaecodec.picture.orientation import without_orientation
from vaecodec.picture.picture import Picture
from vaecodec.picture.samples import RANGE_KIND, values_of

# TIFF is not compressed: Pillow's compressed writer loses EXIF. PNG and TIFF keep every bit; the
# lossy formats are written at a quality that adds no visible loss.
OUTPUT_FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    ".png": ("PNG", {"compress_level": 2}),  # 3 % larger than by 4 in 0.6 of the time
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
_COLOUR_ONLY = ("WEBP", "AVIF")  # a grey picture is written as RGB
_EVERYWHERE = ("exif", "icc", "xmp")
# What each format has a place for.
_METADATA_HELD: dict[str, tuple[str, ...]] = {
    "PNG": (*_EVERYWHERE, "comment", "resolution"),
    "JPEG": (*_EVERYWHERE, "xmp-extended", "iptc", "comment", "resolution", hdr_gain_map.KIND),
    "TIFF": (*_EVERYWHERE, "iptc", "resolution", RANGE_KIND),
    "WEBP": _EVERYWHERE,
    "AVIF": _EVERYWHERE,
    "BMP": ("resolution",),
    "PPM": (),
}
_JPEG_EXIF_BYTES = 65533
_JPEG_XMP_BYTES = 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")
_PHOTOSHOP_TAG = 34377
_TIFF_XMP = 700
PILLOW_INFO = {"exif": "exif", "icc": "icc_profile", "xmp": "xmp"}  # names in an image's info
_16_BITS = ("PNG", "TIFF")
_SAMPLES_PER_PIXEL, _EXTRA_SAMPLES = 277, 338


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
    if name == "TIFF" and picture.pixels.dtype == np.uint16:
        file.write(_deep_tiff(picture))
        return tuple(notes)
    if picture.mode == "RGB16" or (picture.mode == "grey16" and picture.alpha is not None):
        _write_16_bit_png(picture, file)
        return tuple(notes)
    samples = picture.pixels
    if picture.alpha is not None:
        samples = np.dstack([samples, picture.alpha])
    options = {**options, **_metadata_options(picture.metadata, name)}
    gain_map = picture.metadata.get(hdr_gain_map.KIND)
    target = file if gain_map is None else io.BytesIO()
    try:
        Image.fromarray(samples).save(target, name, **options)
    except (ValueError, OSError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise PictureError(f"{name} cannot hold this picture ({error}); use .png") from None
    if gain_map is not None and isinstance(target, io.BytesIO):
        file.write(hdr_gain_map.joined(target.getvalue(), gain_map))
    return tuple(notes)


def pillow_image(picture: Picture) -> Image.Image:
    """A PIL image of mode L, RGB, LA, RGBA or I;16, with its metadata in its info.

    What Pillow has no mode for (16-bit colour, 16 bits with transparency) is reduced to 8 bits.
    """
    if picture.mode == "RGB16" or (picture.mode == "grey16" and picture.alpha is not None):
        picture = picture.in_8_bits()
    samples = (
        picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    )
    image = Image.fromarray(samples)
    image.info.update(pillow_info(picture.metadata))
    return image


def pillow_info(metadata: dict[str, bytes]) -> dict[str, object]:
    """Those metadata for which Pillow has a name in an image's info."""
    held = {kind: content for kind, content in metadata.items() if kind in PILLOW_INFO}
    claimed = hdr_gain_map.without_false_claims(held)
    info: dict[str, object] = {PILLOW_INFO[kind]: content for kind, content in claimed.items()}
    if (dpi := dots_per_inch(metadata)) is not None:
        info["dpi"] = dpi
    return info


def _metadata_options(metadata: dict[str, bytes], name: str) -> dict[str, object]:
    """What Pillow's writer of a format wants to be given for `metadata`."""
    options: dict[str, object] = {}
    if "icc" in metadata:
        options["icc_profile"] = metadata["icc"]
    if "exif" in metadata:
        exif = metadata["exif"]
        # Pillow would write all of it anew, text in ASCII, to move the orientation elsewhere.
        options["exif"] = without_orientation(exif) if name == "AVIF" else exif
    if (dpi := dots_per_inch(metadata)) is not None:
        options["dpi"] = dpi
    if name == "PNG":
        options["pnginfo"] = _png_texts(metadata)
    elif name == "TIFF":  # EXIF and XMP are tags like all others
        tags = Image.Exif()
        tags.load(metadata.get("exif", b""))
        keep_text(tags)
        if "xmp" in metadata:
            tags[_TIFF_XMP] = metadata["xmp"]
        if "iptc" in metadata:
            tags[_PHOTOSHOP_TAG] = metadata["iptc"]
        options["exif"] = tags
    elif "xmp" in metadata:
        options["xmp"] = metadata["xmp"]
    if name == "JPEG":
        extra = extended_xmp_segments(metadata.get("xmp-extended", b""))
        options["extra"] = extra + iptc_segments(metadata.get("iptc", b""))
        options["comment"] = metadata.get("comment", b"")
    return options


def _deep_tiff(picture: Picture) -> bytes:
    """16 bits a sample, or the values that they stand for, with alpha in 16 bits beside them."""
    samples = values_of(picture.pixels, picture.metadata)
    if samples is None or picture.alpha is not None:
        samples = picture.pixels
    height, width = samples.shape[:2]
    colours = 3 if samples.ndim == 3 else 1
    options = _metadata_options(picture.metadata, "TIFF")
    tags = options["exif"]
    assert isinstance(tags, Image.Exif)
    if picture.alpha is not None:
        samples = np.dstack([samples, picture.alpha.astype(np.uint16) * 257])
        tags[_EXTRA_SAMPLES] = 2  # alpha that colours are not multiplied by
    planes = tags[_SAMPLES_PER_PIXEL] = samples.size // (height * width)
    buffer = io.BytesIO()
    Image.fromarray(samples.reshape(height, width * planes)).save(buffer, "TIFF", **options)
    if planes == 1:
        return buffer.getvalue()
    from vaecodec.picture.tiff_file import with_planes  # takes longer to import than to run

    return with_planes(buffer, planes, colours)


def _png_texts(metadata: dict[str, bytes]) -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    if "xmp" in metadata:
        texts.add_itxt("XML:com.adobe.xmp", metadata["xmp"].decode("utf-8", "replace"))
    if "comment" in metadata:
        texts.add_itxt("Comment", metadata["comment"].decode("utf-8", "replace"))
    return texts


def _fit_metadata(picture: Picture, name: str) -> tuple[Picture, list[str]]:
    """The picture with the metadata that the format holds, and notes of the rest."""
    notes = []
    metadata = dict(picture.metadata)
    lost = [kind for kind in metadata if kind not in _METADATA_HELD[name]]
    if lost:
        notes.append(f"without {', '.join(lost)}, which {name} does not hold")
    metadata = {kind: content for kind, content in metadata.items() if kind not in lost}
    if hdr_gain_map.is_claimed(metadata) and hdr_gain_map.KIND not in picture.metadata:
        notes.append("its XMP no longer names a gain map, which is not kept")
    metadata = hdr_gain_map.without_false_claims(metadata)
    if name in _COLOUR_ONLY and picture.pixels.ndim == 2 and "icc" in metadata:
        _fit_grey_profile(metadata, name, notes)
    if name == "JPEG":
        _fit_to_segments(metadata, notes)
    return replace(picture, metadata=metadata), notes


def _fit_grey_profile(metadata: dict[str, bytes], name: str, notes: list[str]) -> None:
    """Grey samples are written as equal RGB samples: their profile has to be one of RGB."""
    if colour_space(metadata["icc"]) != "GRAY":
        return
    icc = rgb_profile_of_grey(metadata["icc"])
    if icc is None:
        del metadata["icc"]
        notes.append(f"without its profile of grey, as {name} is written in RGB")
    else:
        metadata["icc"] = icc
        notes.append(f"its profile of grey became one of RGB, as {name} is written in RGB")


def _fit_to_segments(metadata: dict[str, bytes], notes: list[str]) -> None:
    """A JPEG's segments end at 64 kB: XMP goes on in extended segments, EXIF cannot."""
    if len(metadata.get("exif", b"")) > _JPEG_EXIF_BYTES:
        del metadata["exif"]
        notes.append("without exif, which is larger than the 64 kB that JPEG holds")
    if len(metadata.get("xmp", b"")) > _JPEG_XMP_BYTES:
        content = metadata["xmp"]
        guid = hashlib.md5(content, usedforsecurity=False).hexdigest().upper().encode("ascii")
        metadata["xmp-extended"] = guid + content
        metadata["xmp"] = _XMP_STUB % guid
        notes.append("its XMP of more than 64 kB is written as extended XMP")


# XMP specification part 3, 1.1.3.1: the packet that names what the extended segments hold.
_XMP_STUB = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
    b' xmpNote:HasExtendedXMP="%s"/></rdf:RDF></x:xmpmeta>'
)


def _fit_to_format(picture: Picture, name: str) -> tuple[Picture, list[str]]:
    notes = []
    if picture.pixels.dtype == np.uint16 and name not in _16_BITS:
        notes.append(f"reduced to 8 bits, as {name} is written here")
        picture = picture.in_8_bits()
    if picture.alpha is not None and name in _WITHOUT_ALPHA:
        notes.append(f"laid on white, as {name} has no transparency")
        picture = picture.over(255)
    picture, more = _fit_metadata(picture, name)
    return picture, notes + more


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
    wanted = (b"iCCP", b"eXIf", b"iTXt", b"pHYs")
    return [chunk for chunk in png.Reader(bytes=buffer.getvalue()).chunks() if chunk[0] in wanted]
