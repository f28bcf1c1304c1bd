"""Any picture in, what matters about it out: each line of the README's table is a test here."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import png
import pytest
from click.testing import CliRunner
from conftest import make_photo
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from vaecodec.__main__ import main
from vaecodec.errors import PictureError, UsageError
from vaecodec.metrics.distortion import psnr_db
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file, read_picture
from vaecodec.picture.writer import write_picture

LIMIT = 10**6
PHOTO = make_photo(60, 80, seed=2)
ALPHA = np.where(np.hypot(*np.mgrid[-30:30, -40:40]) < 25, 255, 0).astype(np.uint8)
ALPHA[25:35, 35:45] = 128
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><note>a bay</note></x:xmpmeta>'


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def picture_from_bytes(content: bytes, page: int | None = None) -> Picture:
    return picture_from_file(io.BytesIO(content), LIMIT, page)


def exif_with(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Camera Works"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 200
    return exif.tobytes()


@cache
def icc() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def round_trip(tmp_path: Path, tiny_model_path: Path):
    """Encodes a picture file with the command and decodes it again to a file of `suffix`."""

    def go(content: bytes, *options: str, suffix: str = ".png") -> tuple[Image.Image, str]:
        source, vae, back = tmp_path / "in.img", tmp_path / "p.vae", tmp_path / f"out{suffix}"
        source.write_bytes(content)
        said = ""
        for words in (
            ["encode", source, "-o", vae, "-q", "100", *options],
            ["decode", vae, "-o", back],
        ):
            words = [*map(str, words), "-f", "--model", str(tiny_model_path)]
            result = CliRunner().invoke(main, words)
            assert result.exit_code == 0, result.output
            said += result.stderr
        image = Image.open(back)
        image.load()
        return image, said

    return go


# --- modes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode, decoded_mode",
    [
        ("RGB", "RGB"),
        ("L", "L"),
        ("1", "L"),
        ("P", "RGB"),
        ("RGBA", "RGBA"),
        ("LA", "LA"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("I;16", "I;16"),
        ("I", "I;16"),
        ("F", "I;16"),
    ],
)
def test_modes(round_trip, mode: str, decoded_mode: str):
    image = Image.fromarray(PHOTO)
    if mode in ("I;16", "I", "F"):
        values = PHOTO[:, :, 1].astype(np.uint16) * 257
        image = Image.fromarray(
            values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        )
    elif mode in ("RGBA", "LA"):
        image = Image.fromarray(np.dstack([PHOTO, ALPHA])).convert(mode)
    else:
        image = image.convert(mode)
    decoded, _ = round_trip(saved(image, "TIFF" if mode != "P" else "PNG"))
    assert decoded.mode == decoded_mode and decoded.size == (80, 60)
    if mode in ("RGB", "L"):
        assert psnr_db(np.asarray(image), np.asarray(decoded)) > 30


def test_conversions_are_said(round_trip):
    _, said = round_trip(saved(Image.fromarray(PHOTO).convert("CMYK"), "TIFF"))
    assert "CMYK" in said
    with_profile = saved(Image.fromarray(PHOTO).convert("YCbCr"), "TIFF", icc_profile=icc())
    _, said = round_trip(with_profile)
    assert "YCbCr" in said


def test_other_colour_spaces_go_through_their_profile_and_lose_it():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(PHOTO), srgb, lab, outputMode="LAB")
    for kept, note in (
        (True, "converted from LAB to sRGB through its profile"),
        (False, "converted from LAB to sRGB"),
    ):
        if not kept:
            del image.info["icc_profile"]
        picture = picture_from_bytes(saved(image, "TIFF"))
        assert psnr_db(PHOTO, picture.pixels) > 30
        assert picture.notes == (note,) and "icc" not in picture.metadata


def test_sixteen_bits_are_coded_from_the_full_precision(round_trip):
    """A ramp within one 8-bit step is still a ramp after decoding."""
    ramp = np.linspace(30000, 30250, 80).astype(np.uint16)
    grey = np.broadcast_to(ramp, (60, 80))
    decoded, _ = round_trip(saved(Image.fromarray(np.ascontiguousarray(grey)), "PNG"))
    assert decoded.mode == "I;16"
    columns = np.asarray(decoded).astype(float).mean(axis=0)
    assert np.corrcoef(columns, ramp)[0, 1] > 0.5


@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bit_colour_png_both_ways(round_trip, alpha: bool):
    samples = PHOTO.astype(np.uint16) * 257 + 100
    planes = np.dstack([samples, ALPHA.astype(np.uint16) * 257]) if alpha else samples
    buffer = io.BytesIO()
    png.Writer(80, 60, greyscale=False, alpha=alpha, bitdepth=16).write(
        buffer, planes.reshape(60, -1)
    )
    picture = picture_from_bytes(buffer.getvalue())
    assert picture.mode == "RGB16"
    np.testing.assert_array_equal(picture.pixels, samples)
    round_trip(buffer.getvalue())
    written = io.BytesIO()
    write_picture(
        Picture(samples, picture.alpha, {"icc": icc(), "exif": exif_with()}), written, ".png"
    )
    again = picture_from_bytes(written.getvalue())
    np.testing.assert_array_equal(again.pixels, samples)
    assert again.metadata["icc"] == icc() and "exif" in again.metadata
    if alpha:
        np.testing.assert_array_equal(again.alpha, ALPHA)


# --- transparency --------------------------------------------------------------------------------


def test_alpha_is_lossless(round_trip):
    decoded, _ = round_trip(saved(Image.fromarray(np.dstack([PHOTO, ALPHA])), "PNG"))
    np.testing.assert_array_equal(np.asarray(decoded)[:, :, 3], ALPHA)


def test_palette_transparency_becomes_alpha(round_trip):
    palette = Image.fromarray(PHOTO).quantize(16)
    index = int(np.asarray(palette)[0, 0])
    decoded, _ = round_trip(saved(palette, "PNG", transparency=index))
    assert decoded.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(decoded)[:, :, 3] == 0, np.asarray(palette) == index)


def test_lossy_alpha_is_smaller_and_close(round_trip, tmp_path: Path):
    soft = np.clip(make_photo(60, 80, seed=5)[:, :, 0].astype(int), 1, 254).astype(np.uint8)
    content = saved(Image.fromarray(np.dstack([PHOTO, soft])), "PNG")
    round_trip(content)
    lossless = (tmp_path / "p.vae").stat().st_size
    decoded, _ = round_trip(content, "--alpha-quality", "60")
    assert (tmp_path / "p.vae").stat().st_size < lossless
    assert psnr_db(np.asarray(decoded)[:, :, 3], soft) > 25


def test_hidden_pixels_cost_next_to_nothing(round_trip, tmp_path: Path):
    """Noise under full transparency makes the file no larger than flat colour there would."""
    sizes = []
    for hidden in (make_photo(60, 80, seed=7), np.full((60, 80, 3), 99, np.uint8)):
        pixels = np.where((ALPHA == 0)[:, :, None], hidden, PHOTO)
        round_trip(saved(Image.fromarray(np.dstack([pixels, ALPHA])), "PNG"))
        sizes.append((tmp_path / "p.vae").stat().st_size)
    assert sizes[0] == sizes[1]


def test_wholly_transparent_and_wholly_opaque(round_trip):
    gone, _ = round_trip(saved(Image.fromarray(np.dstack([PHOTO, np.zeros_like(ALPHA)])), "PNG"))
    assert (np.asarray(gone)[:, :, 3] == 0).all()
    opaque, _ = round_trip(
        saved(Image.fromarray(np.dstack([PHOTO, np.full_like(ALPHA, 255)])), "PNG")
    )
    assert opaque.mode == "RGB"


def test_jpeg_output_lays_transparency_on_white_and_says_so(round_trip):
    decoded, said = round_trip(
        saved(Image.fromarray(np.dstack([PHOTO, ALPHA])), "PNG"), suffix=".jpg"
    )
    assert decoded.mode == "RGB" and "white" in said
    assert np.asarray(decoded)[2, 2].min() > 240


# --- metadata ------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_metadata_round_trip(round_trip, source: str, suffix: str):
    options: dict[str, object] = {"exif": exif_with(), "icc_profile": icc()}
    if source == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    elif source == "TIFF":
        options["exif"] = Image.Exif()
        options["exif"].load(exif_with())
        options["exif"][700] = XMP
    else:
        options["xmp"] = XMP
    decoded, _ = round_trip(saved(Image.fromarray(PHOTO), source, **options), suffix=suffix)
    exif = decoded.getexif()
    assert exif[ExifTags.Base.Make] == "Camera Works"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200
    assert decoded.info["icc_profile"] == icc()
    xmp = decoded.info.get("xmp") or decoded.info.get("XML:com.adobe.xmp") or decoded.tag_v2[700]
    assert (xmp.encode() if isinstance(xmp, str) else xmp) == XMP


@pytest.mark.parametrize(
    "kind, key", [("exif", "exif"), ("icc", "icc_profile"), ("xmp", "xmp"), ("all", None)]
)
def test_strip(round_trip, kind: str, key: str | None):
    content = saved(Image.fromarray(PHOTO), "JPEG", exif=exif_with(), icc_profile=icc(), xmp=XMP)
    decoded, _ = round_trip(content, "--strip", kind, suffix=".jpg")
    left = {name for name in ("exif", "icc_profile", "xmp") if name in decoded.info}
    assert left == (set() if key is None else {"exif", "icc_profile", "xmp"} - {key})


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(round_trip, orientation: int):
    """Viewers turn by the tag: whatever the tag says, the decoded picture shows upright without
    one."""
    upright = np.full((48, 64, 3), 90, np.uint8)
    upright[:24, :32], upright[:24, 32:], upright[24:, :32] = (
        (190, 90, 90),
        (90, 190, 90),
        (90, 90, 190),
    )
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(upright)
    if orientation in turns:
        stored = stored.transpose(turns[orientation])
    for source in ("JPEG", "PNG", "TIFF"):
        exif = Image.Exif()
        exif.load(exif_with(orientation))
        decoded, _ = round_trip(saved(stored, source, exif=exif))
        assert decoded.size == (64, 48)
        assert decoded.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert psnr_db(np.asarray(decoded), upright) > 20


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_sixteen_bit_colour(orientation: int):
    values = np.arange(6 * 4 * 3).reshape(4, 6, 3)
    stored = {bits: values.astype(f"uint{bits}") for bits in (8, 16)}
    buffer = io.BytesIO()
    write_picture(Picture(stored[16], metadata={"exif": exif_with(orientation)}), buffer, ".png")
    small = saved(Image.fromarray(stored[8]), "PNG", exif=exif_with(orientation))
    turned = picture_from_bytes(buffer.getvalue()).pixels
    np.testing.assert_array_equal(turned, picture_from_bytes(small).pixels)


# --- pages, limits, faults -----------------------------------------------------------------------


def test_pages(round_trip):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    content = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    decoded, said = round_trip(content)
    assert "first of 3" in said and np.asarray(decoded)[16, 16].argmax() == 0
    decoded, said = round_trip(content, "--page", "3")
    assert said == "" and np.asarray(decoded)[16, 16].argmax() == 2
    with pytest.raises(UsageError, match="no page 4"):
        picture_from_bytes(content, page=4)


def test_limit_is_checked_before_pixels_are_decoded():
    header_only = saved(Image.new("RGB", (3000, 3000)), "PNG")[:100]
    with pytest.raises(PictureError, match="3000x3000 is over the limit"):
        picture_from_bytes(header_only)


def test_postscript_is_never_run(tmp_path: Path):
    path = tmp_path / "a.eps"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(PictureError, match="not a picture"):
        read_picture(path, LIMIT)


def test_samples_that_are_not_numbers_are_refused():
    content = saved(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF")
    with pytest.raises(PictureError, match="not numbers"):
        picture_from_bytes(content)
