"""PNG as a correct reader shows it: transparent colours, gamma, chromaticities, checksums."""

import io
import struct
import zlib

import numpy as np
import png
import pytest
from conftest import make_photo
from PIL import Image, ImageCms

from vaecodec.errors import PictureError
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file, picture_from_image
from vaecodec.picture.writer import write_picture

LIMIT = 10**6
PHOTO = make_photo(20, 24, seed=4)


def read(content: bytes) -> Picture:
    return picture_from_file(io.BytesIO(content), LIMIT)


def with_chunks(content: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """`content` with `chunks` after its header."""
    old = list(png.Reader(bytes=content).chunks())
    buffer = io.BytesIO()
    png.write_chunks(buffer, [old[0], *chunks, *old[1:]])
    return buffer.getvalue()


def damaged(content: bytes, kind: bytes) -> bytes:
    """`content` with a wrong checksum of its first chunk of a type."""
    start = content.index(kind)
    end = start + 4 + int.from_bytes(content[start - 4 : start], "big")
    wrong = bytes(byte ^ 1 for byte in content[end : end + 4])
    return content[:end] + wrong + content[end + 4 :]


@pytest.mark.parametrize(
    "is_grey, depth", [(True, d) for d in (1, 2, 4, 8, 16)] + [(False, 8), (False, 16)]
)
def test_a_transparent_colour_is_transparent_exactly_where_all_samples_equal_it(is_grey, depth):
    rng = np.random.default_rng(depth)
    planes = 1 if is_grey else 3
    samples = rng.integers(0, 2**depth, (20, 24, planes))
    colour = tuple(int(value) for value in samples[3, 5])
    samples[10, 10] = colour
    if depth > 8:  # equal in its upper bytes only
        samples[11, 11] = [value ^ 1 for value in colour]
    buffer = io.BytesIO()
    writer = png.Writer(
        24, 20, greyscale=is_grey, bitdepth=depth, transparent=colour[0] if is_grey else colour
    )
    writer.write(buffer, samples.reshape(20, -1).tolist())
    picture = read(buffer.getvalue())
    hidden = (samples == np.array(colour)).all(axis=2)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, np.where(hidden, 0, 255))
    scale = 255 // (2**depth - 1) if depth < 8 else 1
    np.testing.assert_array_equal(picture.pixels.reshape(20, 24, planes), samples * scale)
    assert picture.pixels.dtype == (np.uint16 if depth == 16 else np.uint8)


def shown_in_srgb(picture: Picture) -> np.ndarray:
    image = Image.fromarray(picture.pixels)
    if "icc" not in picture.metadata:
        return picture.pixels
    profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.metadata["icc"]))
    srgb = ImageCms.createProfile("sRGB")
    mode = "RGB" if picture.pixels.ndim == 3 else "L"
    target = srgb if mode == "RGB" else profile
    return np.asarray(ImageCms.profileToProfile(image, profile, target, outputMode=mode))


def saved(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_linear_picture_is_shown_as_light_as_it_is():
    content = with_chunks(saved(PHOTO), (b"gAMA", (100000).to_bytes(4, "big")))
    picture = read(content)
    assert any("gamma" in note for note in picture.notes)
    linear = PHOTO / 255
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(shown_in_srgb(picture) - 255 * srgb).max() < 2
    np.testing.assert_array_equal(picture.pixels, PHOTO)


def test_chromaticities_give_the_colours_of_the_primaries():
    """Adobe RGB's red, seen in sRGB, has clipped red; white stays white."""
    values = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    chunk = struct.pack(">8I", *(round(v * 100000) for v in values))
    pixels = np.array([[[255, 255, 255], [200, 100, 60], [128, 128, 128]]], np.uint8)
    content = with_chunks(saved(pixels), (b"gAMA", (45455).to_bytes(4, "big")), (b"cHRM", chunk))
    shown = shown_in_srgb(read(content)).astype(int)[0]
    assert np.abs(shown[0] - 255).max() <= 1 and np.ptp(shown[2]) <= 1
    assert shown[1][0] > 220 and abs(shown[1][1] - 100) < 4  # 226, 99, 51 by colour arithmetic


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", (45455).to_bytes(4, "big"))],
        [(b"gAMA", (100000).to_bytes(4, "big")), (b"sRGB", b"\0")],
    ],
)
def test_what_is_srgb_gets_no_profile(chunks):
    picture = read(with_chunks(saved(PHOTO), *chunks))
    assert "icc" not in picture.metadata and picture.notes == ()


@pytest.mark.parametrize("gamma, chunk", [(0, b""), (2**32 - 1, bytes(32)), (1, b"\xff" * 32)])
def test_gamma_that_makes_no_sense_does_not_cost_the_picture(gamma, chunk):
    chunks = [(b"gAMA", gamma.to_bytes(4, "big"))] + ([(b"cHRM", chunk)] if chunk else [])
    np.testing.assert_array_equal(read(with_chunks(saved(PHOTO), *chunks)).pixels, PHOTO)


def test_grey_of_a_gamma_shows_alike_in_webp_that_has_no_grey():
    grey = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (4, 1))
    picture = read(with_chunks(saved(grey), (b"gAMA", (100000).to_bytes(4, "big"))))
    buffer = io.BytesIO()
    notes = write_picture(picture, buffer, ".webp")
    assert any("profile of grey" in note for note in notes)
    image = Image.open(buffer)
    assert image.info["icc_profile"][16:20] == b"RGB "
    shown = shown_in_srgb(Picture(np.asarray(image), metadata={"icc": image.info["icc_profile"]}))
    linear = grey / 255
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(shown - 255 * srgb[:, :, None]).max() < 2


def test_damaged_pixels_are_refused_and_damage_beside_them_is_not():
    content = with_chunks(saved(PHOTO), (b"tEXt", b"Title\0bay"), (b"eXIf", b"II*\0damage"))
    with pytest.raises(PictureError, match="checksum of its IDAT"):
        read(damaged(content, b"IDAT"))
    picture = read(damaged(content, b"tEXt"))
    np.testing.assert_array_equal(picture.pixels, PHOTO)
    assert any("tEXt" in note for note in picture.notes)


def test_a_text_larger_than_pillow_allows_does_not_cost_the_picture():
    bomb = b"Title\0\0" + zlib.compress(bytes(70 * 2**20))
    picture = read(with_chunks(saved(PHOTO), (b"zTXt", bomb)))
    np.testing.assert_array_equal(picture.pixels, PHOTO)


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_picture_of_no_pixels_is_refused(size):
    with pytest.raises(PictureError, match=f"{size[0]}x{size[1]} is no picture"):
        picture_from_image(Image.new("RGB", size))
    with pytest.raises(PictureError, match="is no picture"):
        Picture(np.zeros((*size, 3), np.uint8))
