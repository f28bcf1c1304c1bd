"""What is stored in fewer colours: drawings and screens, as far as the score asked for allows."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_photo
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from test_lossless import SIDE, kinds_of, logo, mixed_pixels, small_slices, text

from vaecodec.__main__ import main
from vaecodec.codec import palette
from vaecodec.codec.decoder import DecodeOptions, decode_picture, verify_file
from vaecodec.codec.encoder import EncodeOptions, PictureEncoder, encode_picture
from vaecodec.codec.lossless_forms import Asked
from vaecodec.codec.palette import TOLERANCES, with_fewer_colours
from vaecodec.codec.tiling import Region
from vaecodec.errors import FormatError
from vaecodec.format import container
from vaecodec.format.container import (
    LOSSLESS_PICTURE_TYPE,
    LOSSLESS_SLICE_TYPE,
    PALETTE_PICTURE_TYPE,
    PALETTE_SLICE_TYPE,
    SLICE_TYPE,
)
from vaecodec.format.description import describe
from vaecodec.inference.model import Model
from vaecodec.metrics.ssimulacra2 import ssimulacra2
from vaecodec.picture.picture import Picture

__all__ = ["small_slices"]

WEIGHTS = np.array([0.5, 1.0, 0.375])


def screen() -> np.ndarray:
    """Letters and soft edges in two colours beside a dark page."""
    page = text((300, 200)).convert("RGB")
    page.paste(text((140, 200), ink=225, paper=24), (160, 0))
    page.paste(logo("RGB").resize((80, 60)), (40, 70))
    return np.asarray(page)


def colours_of(samples: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, samples.reshape(samples.shape[0] * samples.shape[1], -1).tolist()))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    """Sets the score that a picture shall have at any level, which untrained models do not know."""

    def ask(score: float) -> None:
        asked = Asked(score, lambda number, chunk: None)
        monkeypatch.setattr(PictureEncoder, "_asked", lambda self, level: asked)

    return ask


@settings(deadline=None, max_examples=100)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))
    | arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))),
    st.sampled_from(TOLERANCES),
)
def test_no_pixel_is_further_from_its_colour_than_the_tolerance(
    samples: np.ndarray, tolerance: int
):
    fewer = with_fewer_colours(samples, tolerance)
    assert fewer is not None and fewer.shape == samples.shape and fewer.dtype == np.uint8
    assert colours_of(fewer) <= colours_of(samples)
    steps = np.square(fewer.astype(float) - samples)
    weights = WEIGHTS if samples.ndim == 3 else WEIGHTS.sum(keepdims=True)
    distance = np.sqrt(steps.reshape(*samples.shape[:2], -1) @ weights)
    assert distance.max() <= tolerance * 1.0001


def test_large_areas_keep_their_colour_where_few_pixels_do_not():
    """A panel six steps off its background stays; a shade of six steps on an edge goes."""
    samples = np.full((200, 300, 3), 240, np.uint8)
    samples[:, 150:] = 246
    samples[50, 50] = 234
    fewer = with_fewer_colours(samples, 9)
    assert colours_of(fewer) == {(240,) * 3, (246,) * 3}
    np.testing.assert_array_equal(fewer[:, 150:], samples[:, 150:])


@pytest.mark.parametrize("limit", ["MAX_SEEN", "MAX_COLOURS"])
def test_photographs_have_too_many_colours(limit: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(palette, limit, 50)
    assert with_fewer_colours(make_photo(64, 64), 4) is None


def encode(run, quality: int, *words: str) -> bytes:
    result = run("encode", "s.png", "-q", str(quality), "-f", *words)
    assert result.exit_code == 0, result.output
    return Path("s.vae").read_bytes()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, list(words))


def test_a_screen_has_the_score_that_is_asked_for_in_fewer_bytes(run):
    """On the command line, with the model that ships."""
    own = screen()
    Image.fromarray(own).save("s.png")
    lossless, before = len(encode(run, 75, "--effort", "0")), (0, 0.0)
    for quality in (40, 75, 85):
        data = encode(run, quality)
        assert kinds_of(data) == [PALETTE_PICTURE_TYPE]
        assert run("verify", "s.vae").exit_code == 0
        assert run("decode", "s.vae", "-o", "back.png", "-f").exit_code == 0
        score = ssimulacra2(own, np.asarray(Image.open("back.png")))
        assert score >= quality - 0.1 and len(data) < 0.9 * lossless
        assert before <= (len(data), score)  # more bytes and better, or the same
        before = len(data), score
    said = run("info", "s.vae").stdout
    assert said.startswith("s.vae: 300x200 RGB, quality 85, in fewer colours\n")
    facts = json.loads(run("info", "s.vae", "--json").stdout)
    assert (facts["slices"], facts["lossless_slices"], facts["palette_slices"]) == (1, 0, 1)
    assert run("encode", "s.png", "-f").stdout.endswith(", in fewer colours\n")


@pytest.mark.parametrize(
    "words", [("--lossless",), ("--effort", "0"), ("--tune", "psnr"), ("--roi", "mask.png")]
)
def test_what_keeps_all_colours(run, words: tuple[str, ...]):
    """Only where a model says which score its quality is, and where that is the same everywhere."""
    Image.fromarray(screen()).save("s.png")
    Image.new("L", (300, 200), 255).save("mask.png")
    assert run("encode", "s.png", *words).exit_code == 0
    assert describe(io.BytesIO(Path("s.vae").read_bytes()))["palette_slices"] == 0


def test_no_slice_is_worse_than_asked_for(tiny_model: Model, asked, small_slices):
    """One slice of a whole picture must not pay for the others."""
    pixels = np.tile(np.asarray(text((128, 128))), (2, 3, 1))
    pixels[:SIDE, :SIDE] = np.asarray(logo("RGB").resize((128, 128)))
    asked(88.0)
    data = encode_picture(Picture(pixels), tiny_model, EncodeOptions(900))
    assert kinds_of(data) == [PALETTE_PICTURE_TYPE]
    decoded = decode_picture(data, tiny_model).pixels
    assert not np.array_equal(decoded, pixels)
    assert ssimulacra2(pixels[:SIDE, :SIDE], decoded[:SIDE, :SIDE]) >= 88


@pytest.fixture
def mixed(tiny_model: Model, asked, small_slices) -> bytes:
    asked(80.0)
    return encode_picture(Picture(mixed_pixels()), tiny_model, EncodeOptions(900))


def test_slices_beside_a_photograph(tiny_model: Model, mixed: bytes):
    """They are read as lossless ones are: whole, in part, verified, and what is sound of a damaged
    file."""
    kinds = kinds_of(mixed)
    assert kinds.count(SLICE_TYPE) == 1 and PALETTE_SLICE_TYPE in kinds
    facts = describe(io.BytesIO(mixed))
    fewer = kinds.count(PALETTE_SLICE_TYPE)
    assert facts["palette_slices"] == fewer == 8 - facts["lossless_slices"]
    verify_file(io.BytesIO(mixed), tiny_model)
    whole = decode_picture(mixed, tiny_model).pixels
    number = kinds.index(PALETTE_SLICE_TYPE)
    row, column = divmod(number, 3)
    place = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
    assert ssimulacra2(mixed_pixels()[place], whole[place]) >= 80
    region = Region(70, 60, 200, 180)
    part = decode_picture(mixed, tiny_model, DecodeOptions(region=region)).pixels
    np.testing.assert_array_equal(part, whole[region.rows, region.columns])

    inside = mixed.index(PALETTE_SLICE_TYPE) + 60
    damaged = mixed[:inside] + bytes([mixed[inside] ^ 8]) + mixed[inside + 1 :]
    with pytest.raises(FormatError, match="checksum"):
        decode_picture(damaged, tiny_model)
    salvaged = decode_picture(damaged, tiny_model, DecodeOptions(salvage=True))
    assert salvaged.notes == ("1 of 9 slices are lost and grey",)
    assert (salvaged.pixels[place] == 128).all()


def test_an_encrypted_whole_picture(tiny_model: Model, asked):
    asked(80.0)
    options = EncodeOptions(900, passphrase=b"key")
    data = encode_picture(Picture(screen()), tiny_model, options)
    assert kinds_of(data)[-1] == PALETTE_PICTURE_TYPE
    decoded = decode_picture(data, tiny_model, DecodeOptions(passphrase=b"key"))
    assert 80 <= ssimulacra2(screen(), decoded.pixels) < 100


def test_transparency_stays_as_it_is(tiny_model: Model, asked):
    asked(60.0)
    samples = np.asarray(logo("RGBA"))
    picture = Picture(samples[:, :, :3].copy(), samples[:, :, 3].copy())
    data = encode_picture(picture, tiny_model, EncodeOptions(900))
    assert kinds_of(data)[-1] == PALETTE_PICTURE_TYPE
    np.testing.assert_array_equal(decode_picture(data, tiny_model).alpha, picture.alpha)


def test_few_colours_are_stored_losslessly_as_ever(tiny_model: Model, asked):
    asked(50.0)
    board = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    data = encode_picture(Picture(board.astype(np.uint8)), tiny_model, EncodeOptions(900))
    assert kinds_of(data) == [LOSSLESS_PICTURE_TYPE]


def test_readers_of_before_refuse_such_files(
    tiny_model: Model, mixed: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(container, "_KNOWN_TYPES", (SLICE_TYPE, LOSSLESS_SLICE_TYPE))
    with pytest.raises(FormatError, match="needs feature 'Pslc', unknown here; a newer vaecodec"):
        decode_picture(mixed, tiny_model)
