"""TIFF layouts, written by tifffile and compared with what it wrote."""

import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.errors import PictureError
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file
from vaecodec.picture.samples import values_of
from vaecodec.picture.writer import write_picture

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


# --- compressed by what tifffile alone does not unpack -------------------------------------------


def packed_by_libtiff(data: bytes, row_bytes: int, compression: str) -> bytes:
    """The bytes as Pillow's libtiff packs them, of one strip."""
    buffer = io.BytesIO()
    rows = np.frombuffer(data, np.uint8).reshape(-1, row_bytes)
    tags = {278: rows.shape[0]}
    Image.fromarray(rows).save(buffer, "TIFF", compression=compression, tiffinfo=tags)
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as file:
        page = file.pages[0]
        assert len(page.dataoffsets) == 1
        return buffer.getvalue()[page.dataoffsets[0] :][: page.databytecounts[0]]


def tiff_of_packed(samples: np.ndarray, stored: np.ndarray, compression: int, predictor: int):
    """A TIFF of one strip that holds `stored`, whose tags say what has been done to `samples`."""
    name = {5: "tiff_lzw", 32946: "tiff_deflate", 32773: "packbits"}[compression]
    strip = packed_by_libtiff(stored.tobytes(), stored[0].nbytes, name)
    planes = samples.shape[2] if samples.ndim == 3 else 1
    kind = 3 if samples.dtype.kind == "f" else 1
    fields = [
        (256, 3, samples.shape[1]), (257, 3, samples.shape[0]),
        (258, 3, [8 * samples.itemsize] * planes), (259, 3, compression),
        (262, 3, 2 if planes == 3 else 1), (273, 4, 8), (277, 3, planes),
        (278, 3, samples.shape[0]), (279, 4, len(strip)), (317, 3, predictor),
        (339, 3, [kind] * planes),
    ]  # fmt: skip
    strip += bytes(len(strip) % 2)
    more, directory = b"", struct.pack("<H", len(fields))
    end = 8 + len(strip) + 2 + 12 * len(fields) + 4
    for tag, code, value in fields:
        values = value if isinstance(value, list) else [value]
        packed = struct.pack(f"<{len(values)}{'H' if code == 3 else 'I'}", *values)
        place = struct.pack("<I", end + len(more)) if len(packed) > 4 else packed.ljust(4, b"\0")
        more += packed if len(packed) > 4 else b""
        directory += struct.pack("<HHI", tag, code, len(values)) + place
    whole = b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory + bytes(4) + more
    return picture_from_file(io.BytesIO(whole), 10**6)


@pytest.mark.parametrize("compression", [5, 32946, 32773])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("samples", [RGB, GREY])
def test_sixteen_bits_of_lzw_and_others_stay(samples, compression: int, predictor: int):
    first = np.zeros_like(samples[:, :1])
    differences = np.diff(samples, axis=1, prepend=first)
    stored = differences if predictor == 2 else samples
    picture = tiff_of_packed(samples, stored, compression, predictor)
    np.testing.assert_array_equal(picture.pixels, samples)
    assert picture.notes == ()


def test_floating_point_predictor():
    values = np.linspace(-2, 7, 1200, dtype=np.float32).reshape(30, 40)
    by_significance = values.astype(">f4").view(np.uint8).reshape(30, 40, 4).swapaxes(1, 2)
    rows = by_significance.reshape(30, 160)
    stored = np.diff(rows, axis=1, prepend=np.zeros((30, 1), np.uint8))
    picture = tiff_of_packed(values, stored, 5, 3)
    np.testing.assert_allclose(values_of(picture.pixels, picture.metadata), values, atol=1e-4)


def test_what_needs_imagecodecs_is_refused_by_name():
    if importlib.util.find_spec("imagecodecs"):
        pytest.skip("imagecodecs is installed and reads it")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, GREY)
    packbits = buffer.getvalue().replace(
        struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 34887)
    )
    with pytest.raises(PictureError, match=r"LERC.*imagecodecs"):
        picture_from_file(io.BytesIO(packbits), 10**6)


def test_tiles_larger_than_the_picture_take_no_memory():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, GREY, tile=(16, 16), compression="zlib")
    buffer.seek(0)
    with tifffile.TiffFile(buffer, mode="r+") as file:
        for name in ("TileWidth", "TileLength"):
            file.pages[0].tags[name].overwrite(65520)
    with pytest.raises(PictureError, match="tiles larger"):
        picture_from_file(io.BytesIO(buffer.getvalue()), 10**6)


# --- out again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [None, (ALPHA >> 8).astype(np.uint8)])
@pytest.mark.parametrize("samples", [RGB, GREY])
def test_sixteen_bits_are_written_to_tiff(samples: np.ndarray, alpha: np.ndarray | None):
    buffer = io.BytesIO()
    metadata = {"icc": b"profile", "resolution": struct.pack("<2d", 300, 300)}
    assert write_picture(Picture(samples, alpha, metadata), buffer, ".tif") == ()
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as file:
        page = file.pages[0]
        stored = page.asarray().reshape(30, 40, -1)
        assert page.tags[34675].value == b"profile" and page.tags[282].value == (300, 1)
    np.testing.assert_array_equal(stored[:, :, : samples[0, 0].size], samples.reshape(30, 40, -1))
    again = picture_from_file(buffer, 10**6)
    np.testing.assert_array_equal(again.pixels, samples)
    np.testing.assert_equal(again.alpha, alpha)


@pytest.mark.parametrize(
    "kind, low, high",
    [
        ("float32", -3.5, 1e6), ("float64", 0.25, 0.5), ("float16", 0, 1), ("int32", -9000, 90000),
        ("int16", -30000, -5), ("uint32", 70000, 90000), ("uint32", 0, 2**32 - 1),
    ],
)  # fmt: skip
def test_values_come_back_from_tiff_to_half_a_step_of_their_range(
    tmp_path: Path, tiny_model_path: Path, kind: str, low: float, high: float
):
    """With --lossless; else as near as the codec is. Other formats say that they hold 16 bits."""
    values = np.linspace(low, high, 1200).astype(kind).reshape(30, 40)
    tifffile.imwrite(tmp_path / "a.tif", values)
    for words in (["encode", "a.tif", "--lossless"], ["decode", "a.vae", "-o", "b.tif"]):
        words = [str(tmp_path / word) if "." in word else word for word in words]
        result = CliRunner().invoke(main, [*words, "--model", str(tiny_model_path)])
        assert result.exit_code == 0, result.output
    back = tifffile.imread(tmp_path / "b.tif")
    assert (back.dtype.kind == "f") == (kind.startswith("float") or high >= 2**31)
    step = (float(values.max()) - float(values.min())) / 65535
    rounding = 0.5 if back.dtype.kind == "i" else np.spacing(np.float32(max(abs(low), abs(high))))
    assert np.abs(back.astype(float) - values).max() <= step / 2 + rounding


def test_colour_of_floats_comes_back(tmp_path: Path):
    values = RGB.astype(np.float32) / 1000
    picture = read(values, photometric="rgb")
    assert picture.mode == "RGB16"
    write_picture(picture, (buffer := io.BytesIO()), ".tif")
    buffer.seek(0)
    np.testing.assert_allclose(tifffile.imread(buffer), values, atol=1e-3)
    assert any("sample-range" in note for note in write_picture(picture, io.BytesIO(), ".png"))
