"""TIFF layouts, written by tifffile and compared with what it wrote."""

import io

import numpy as np
import pytest
import tifffile
from conftest import make_photo

from vaecodec.errors import PictureError
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file

GREY = make_photo(30, 40, seed=1)[:, :, 1].astype(np.uint16) * 257 + 3
RGB = make_photo(30, 40, seed=1).astype(np.uint16) * 257 + 3
ALPHA = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50


def read(samples: np.ndarray, page: int | None = None, **options: object) -> Picture:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return picture_from_file(buffer, 10**6, page)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"rowsperstrip": 7},
    ],
)
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
def test_sixteen_bits_come_in_as_they_are(photometric: str, planar: bool, more: dict):
    samples = RGB if photometric == "rgb" else GREY
    stored = samples
    if planar and photometric == "rgb":
        stored, more = np.moveaxis(RGB, 2, 0).copy(), {**more, "planarconfig": "separate"}
    picture = read(stored, photometric=photometric, **more)
    expected = 65535 - samples if photometric == "miniswhite" else samples
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.pixels.dtype == np.uint16 and picture.notes == ()


def test_eight_bits_where_the_minimum_is_white():
    small = (GREY >> 8).astype(np.uint8)
    picture = read(small, photometric="miniswhite")
    np.testing.assert_array_equal(picture.pixels, 255 - small)


@pytest.mark.parametrize(
    "kind", ["uint32", "int32", "int16", "int8", "uint64", "float32", "float64", "float16"]
)
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_samples_of_other_types_are_mapped_in_their_order(kind: str, photometric: str):
    low, high = (
        (-3.0, 5.0) if kind.startswith("float") else (np.iinfo(kind).min, np.iinfo(kind).max // 2)
    )
    values = np.linspace(low, high, 1200).astype(kind).reshape(30, 40)
    picture = read(values, photometric=photometric)
    order = picture.pixels.astype(int).ravel()
    assert {order[0], order[-1]} == {0, 65535}
    assert (
        (np.diff(order) <= 0).all() if photometric == "miniswhite" else (np.diff(order) >= 0).all()
    )
    assert any("mapped to 16 bits" in note for note in picture.notes)


@pytest.mark.parametrize("samples", [RGB, GREY[:, :, None]])
def test_alpha_of_sixteen_bits_becomes_eight(samples: np.ndarray):
    picture = read(
        np.dstack([samples, ALPHA]),
        photometric="rgb" if samples.shape[2] == 3 else "minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
    )
    np.testing.assert_array_equal(picture.pixels.reshape(samples.shape), samples)
    np.testing.assert_array_equal(picture.alpha, np.rint(ALPHA / 257))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_samples_are_turned_like_others(orientation: int):
    tag = [(274, "H", 1, orientation, True)]
    deep = read(RGB, photometric="rgb", extratags=tag).pixels
    small = read((RGB >> 8).astype(np.uint8), photometric="rgb", extratags=tag).pixels
    np.testing.assert_array_equal(deep >> 8, small)


def test_pages_of_sixteen_bits():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for shift in range(3):
            writer.write(RGB + shift, photometric="rgb")
    np.testing.assert_array_equal(picture_from_file(buffer, 10**6, 3).pixels, RGB + 2)


def test_limit_holds_where_pillow_knows_no_mode():
    with pytest.raises(PictureError, match="over the limit"):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.zeros((300, 300), np.float64))
        picture_from_file(buffer, 1000)
