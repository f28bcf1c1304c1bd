"""Regions of interest: more quality where a mask is white, in every way that a file is read."""

import io
import math
import zlib

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.codec import gain_map
from vaecodec.codec.decoder import DecodeOptions, decode_picture, verify_file
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.gain_map import MAX_OFFSET, at_nominal_gain, gain_map_of_mask, unpack_gain_map
from vaecodec.codec.targets import encode_to_target
from vaecodec.codec.tiling import Region
from vaecodec.entropy.scales import STEP
from vaecodec.errors import FormatError, UsageError
from vaecodec.format.container import CHUNK_BYTES, Chunk, Header, read_chunks, read_header
from vaecodec.format.description import describe
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

PHOTO = make_photo(150, 210, seed=4)
INSIDE = (slice(32, 96), slice(64, 160))
MASK = np.zeros((150, 210), np.uint8)
MASK[INSIDE] = 255
HEADER = Header(210, 150, "RGB", 700, bytes(8))


def error(picture: np.ndarray) -> np.ndarray:
    return (picture.astype(np.float64) - PHOTO) ** 2


@pytest.fixture(scope="module")
def data(tiny_model: Model) -> bytes:
    return encode_picture(Picture(PHOTO), tiny_model, EncodeOptions(700, roi=MASK))


@pytest.mark.parametrize("effort", [1, 3])
def test_at_equal_size_the_region_gains_and_the_rest_loses(tiny_model: Model, effort: int):
    plain = encode_picture(Picture(PHOTO), tiny_model, EncodeOptions(600, effort=effort))
    options = EncodeOptions(700, roi=MASK, effort=effort)
    trial, _ = encode_to_target(Picture(PHOTO), tiny_model, options, "size", len(plain))
    assert len(trial.data) <= len(plain)
    before, after = (error(decode_picture(d, tiny_model).pixels) for d in (plain, trial.data))
    assert 10 * math.log10(before[INSIDE].mean() / after[INSIDE].mean()) > 0.7
    assert after.mean() > before.mean()


def test_a_white_mask_changes_nothing_but_the_chunk(tiny_model: Model):
    plain = encode_picture(Picture(PHOTO), tiny_model, EncodeOptions(700))
    white = encode_picture(Picture(PHOTO), tiny_model, EncodeOptions(700, roi=MASK | 255))
    chunk = gain_map_of_mask(MASK | 255, 150, 210).pack()
    assert len(white) == len(plain) + CHUNK_BYTES + len(chunk.payload)
    assert white.endswith(plain[-1000:])


def test_info_verify_regions_and_scales_know_it(data: bytes, tiny_model: Model):
    assert describe(io.BytesIO(data))["parts"]["gain map"] < 60
    verify_file(io.BytesIO(data), tiny_model)
    whole = decode_picture(data, tiny_model).pixels.astype(int)
    part = decode_picture(data, tiny_model, DecodeOptions(region=Region(50, 30, 70, 60))).pixels
    assert np.abs(whole[30:90, 50:120] - part).max() <= 1
    small = decode_picture(data, tiny_model, DecodeOptions(scale=2)).pixels
    assert small.shape == (75, 105, 3)


def test_several_slices_and_encryption(tiny_model: Model):
    pixels = make_photo(40, 1100, seed=2)
    mask = (np.arange(1100)[None, :] > 1000).repeat(40, axis=0).astype(np.uint8) * 255
    options = EncodeOptions(700, roi=mask, passphrase=b"secret")
    sealed = encode_picture(Picture(pixels), tiny_model, options)
    opened = decode_picture(sealed, tiny_model, DecodeOptions(passphrase=b"secret")).pixels
    plain = encode_picture(Picture(pixels), tiny_model, EncodeOptions(700, roi=mask))
    assert np.array_equal(opened, decode_picture(plain, tiny_model).pixels)


def test_a_file_whose_map_is_lost_gives_no_wrong_picture(data: bytes, tiny_model: Model):
    damaged = bytearray(data)
    damaged[data.index(b"Gmap") + CHUNK_BYTES + 3] ^= 1
    with pytest.raises(FormatError, match="'Gmap' damaged"):
        decode_picture(bytes(damaged), tiny_model)
    salvaged = decode_picture(bytes(damaged), tiny_model, DecodeOptions(salvage=True))
    assert (salvaged.pixels == 128).all() and salvaged.notes


@pytest.mark.parametrize(
    "payload, fault",
    [
        (b"", "another size"),
        (b"no zlib", "damaged"),
        (zlib.compress(bytes(34)), "another size"),
        (zlib.compress(bytes(36)), "another size"),
        (zlib.compress(bytes(10**7)), "another size"),
        (zlib.compress(bytes(35))[:-1], "another size"),
        (zlib.compress(bytes([MAX_OFFSET + 1] * 35)), "no encoder writes"),
        (zlib.compress(bytes([128] * 35)), "no encoder writes"),
    ],
)
def test_hostile_maps_are_refused(payload: bytes, fault: str):
    with pytest.raises(FormatError, match=fault):
        unpack_gain_map(Chunk(b"Gmap", payload), HEADER)


def test_maps_survive_packing_and_follow_the_mask():
    packed = gain_map_of_mask(MASK, 150, 210)
    assert np.array_equal(unpack_gain_map(packed.pack(), HEADER).cells, packed.cells)
    assert (packed.cells[1:3, 2:5] == 0).all()
    assert packed.cells.min() == -gain_map.ROI_OFFSET and packed.cells[0, 0] == packed.cells.min()
    offsets = packed.offsets(slice(0, 10), slice(0, 14))
    assert offsets.shape == (10, 14, 1) and offsets[2, 4, 0] == 0 and offsets[1, 4, 0] < 0


def test_the_step_is_the_ratio_of_neighbouring_scales():
    from vaecodec.entropy.scales import SCALE_COUNT, SCALE_RANGE

    low, high = SCALE_RANGE
    assert STEP == pytest.approx((high / low) ** (1 / (SCALE_COUNT - 1)))
    assert len(gain_map.INVERSE_STEPS) == 2 * MAX_OFFSET + 1
    assert gain_map.INVERSE_STEPS[MAX_OFFSET] == 1 << 16
    for k, factor in zip(range(-MAX_OFFSET, MAX_OFFSET + 1), gain_map.INVERSE_STEPS, strict=True):
        assert abs(factor - 65536 * STEP**-k) < 1


def test_residuals_at_nominal_gain_round_as_integers():
    residuals = np.array([[[5, -5, 1 << 20]]], np.int32)
    assert at_nominal_gain(residuals, np.zeros((1, 1, 1), np.int32)).tolist() == residuals.tolist()
    finer = at_nominal_gain(residuals, np.full((1, 1, 1), 6, np.int32))
    assert finer[0, 0, :2].tolist() == [3, -3]


def test_the_command_refuses_a_mask_of_another_size(tmp_path, photo_path, tiny_model_path):
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    command = ["encode", str(photo_path), "--model", str(tiny_model_path), "--roi"]
    result = CliRunner().invoke(main, [*command, str(tmp_path / "mask.png")])
    assert isinstance(result.exception, UsageError) or result.exit_code == 2
    with pytest.raises(UsageError, match="mask of 210x150 for a picture of 97x75"):
        gain_map_of_mask(MASK, 75, 97)
    Image.fromarray(MASK[:75, :97]).save(tmp_path / "mask.png")
    result = CliRunner().invoke(main, [*command, str(tmp_path / "mask.png")])
    assert result.exit_code == 0, result.output
    file = io.BytesIO(photo_path.with_suffix(".vae").read_bytes())
    kinds = [chunk.type for _, chunk in read_chunks(file, read_header(file))]
    assert kinds == [b"Gmap", b"Slic"]
