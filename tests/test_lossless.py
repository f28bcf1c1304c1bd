"""What is stored losslessly: flat graphics where that is no larger, whole pictures on demand."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import png
import pytest
from click.testing import CliRunner, Result
from conftest import TINY_TOP_LEVEL as TOP_LEVEL
from conftest import make_photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from test_sample import z_of

from vaecodec.__main__ import main
from vaecodec.codec import lossless, lossless_forms, tiling
from vaecodec.codec.decoder import DecodeOptions, decode_picture, decode_preview, verify_file
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.lossless import QUICK, THOROUGH, pack_lossless, unpack_lossless
from vaecodec.codec.lossless_forms import MIN_BITS, count_new_pixels
from vaecodec.codec.sampling import redraw_file
from vaecodec.codec.targets import encode_to_target
from vaecodec.codec.tiling import Region
from vaecodec.errors import FormatError, PassphraseError, UsageError, VaecodecError
from vaecodec.format import container
from vaecodec.format.container import (
    HEADER_BYTES,
    LOSSLESS_PICTURE_TYPE,
    LOSSLESS_SLICE_TYPE,
    SLICE_TYPE,
    Chunk,
    pack_chunks,
    read_chunks,
    read_header,
)
from vaecodec.format.description import describe
from vaecodec.inference.model import Model
from vaecodec.metrics.distortion import psnr_db
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_image

SIDE = 128  # of a slice, in the tests that have several


def text(size: tuple[int, int] = (300, 200), ink: int = 0, paper: int = 255) -> Image.Image:
    image = Image.new("RGB", size, (paper, paper, paper))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for line, top in enumerate(range(4, size[1], 16)):
        words = [chr(97 + (7 * line + k * k) % 26) * (1 + (line + k) % 7) for k in range(12)]
        draw.text((5, top), " ".join(words), (ink, ink, ink), font)
    return image


def lines() -> Image.Image:
    image = Image.new("L", (300, 200), 255)
    draw = ImageDraw.Draw(image)
    for number in range(30):
        draw.line((number * 10, 0, 300 - number * 7, 199), 0, 1 + number % 3)
    return image


def logo(mode: str) -> Image.Image:
    """Drawn four times as large and reduced, for soft edges."""
    image = Image.new("RGBA", (640, 480), (255, 255, 255, 0 if mode == "RGBA" else 255))
    draw = ImageDraw.Draw(image)
    draw.ellipse((40, 40, 400, 400), (200, 30, 40, 255))
    draw.polygon([(300, 20), (620, 460), (200, 460)], (20, 80, 200, 255))
    return image.resize((160, 120), Image.Resampling.LANCZOS).convert(mode)


def board() -> Image.Image:
    squares = np.indices((8, 8)).sum(0) % 2
    colours = np.array([(240, 217, 181), (181, 136, 99)], np.uint8)
    return Image.fromarray(colours[squares].repeat(30, 0).repeat(30, 1))


def halftone() -> Image.Image:
    rows, columns = np.mgrid[:200, :300]
    dots = (np.sin(columns) * np.sin(rows) + 1) / 2
    return Image.fromarray(((columns / 300 > dots) * 255).astype(np.uint8))


GRAPHICS: dict[str, Callable[[], Image.Image]] = {
    "text": text,
    "text on dark": lambda: text(ink=225, paper=24),
    "lines": lines,
    "logo": lambda: logo("RGB"),
    "transparent logo": lambda: logo("RGBA"),
    "board": board,
    "halftone": halftone,
    "one colour": lambda: Image.new("RGB", (90, 70), (1, 200, 3)),
}


def webp_bytes(image: Image.Image) -> int:
    """The smallest lossless WebP that Pillow writes."""
    sizes = []
    for options in ({}, {"method": 6}, {"quality": 100, "method": 6}):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", lossless=True, **options)
        sizes.append(len(buffer.getvalue()))
    return min(sizes)


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiling, "LATENT_SLICE", SIDE // 16)
    monkeypatch.setattr(container, "SLICE", SIDE)


def mixed_pixels() -> np.ndarray:
    """3 rows of 3 slices of text; a photograph covers the middle and hangs over into the right
    column."""
    pixels = np.asarray(text((380, 300))).copy()
    pixels[SIDE : 2 * SIDE, SIDE:300] = make_photo(200, 200, seed=5)[:SIDE, : 300 - SIDE]
    return pixels


@pytest.fixture
def mixed(tiny_model: Model, small_slices) -> bytes:
    return encode_picture(Picture(mixed_pixels()), tiny_model, EncodeOptions(900))


def kinds_of(data: bytes) -> list[bytes]:
    file = io.BytesIO(data)
    return [chunk.type for _, chunk in read_chunks(file, read_header(file))]


@pytest.mark.parametrize("name", GRAPHICS)
@pytest.mark.parametrize("level", [0, 700, TOP_LEVEL])
def test_flat_graphics_are_never_larger_than_lossless_webp(
    tiny_model: Model, name: str, level: int
):
    image = GRAPHICS[name]()
    data = encode_picture(picture_from_image(image), tiny_model, EncodeOptions(level))
    assert len(data) <= webp_bytes(image) + 100


def test_many_slices_of_text_are_never_larger_than_lossless_webp(tiny_model: Model, small_slices):
    """Slices alone would be: what is repeated in another one is not seen."""
    image = text((600, 400))
    data = encode_picture(Picture(np.asarray(image)), tiny_model, EncodeOptions(TOP_LEVEL))
    assert kinds_of(data) == [LOSSLESS_PICTURE_TYPE]
    assert len(data) <= webp_bytes(image) + 100
    np.testing.assert_array_equal(decode_picture(data, tiny_model).pixels, np.asarray(image))


def test_photographs_are_coded_as_ever_and_no_lossless_form_is_tried(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch
):
    photo = make_photo(200, 300, seed=2)
    assert MIN_BITS * count_new_pixels(photo) > 2.5 * 200 * 300
    monkeypatch.setattr(lossless_forms, "pack_lossless", None)
    data = encode_picture(Picture(photo), tiny_model, EncodeOptions(TOP_LEVEL))
    assert kinds_of(data) == [SLICE_TYPE]


def test_a_lossless_form_is_taken_up_to_twice_the_bytes(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch
):
    """Letters are poor in the learned form long before it is as large."""
    page, seen = Picture(np.asarray(text())), set()
    exact = encode_picture(page, tiny_model, EncodeOptions(0, lossless=True))
    for worth in (2.0, 1.0, 0.02, 0.0):
        monkeypatch.setattr(lossless_forms, "WORTH", worth)
        for level in (0, 700, TOP_LEVEL):
            data = encode_picture(page, tiny_model, EncodeOptions(level))
            is_exact = kinds_of(data) == [LOSSLESS_PICTURE_TYPE]
            assert len(data) == len(exact) if is_exact else worth * len(data) < len(exact) + 50
            seen.add((worth, is_exact))
    assert {(2.0, True), (0.0, False)} <= seen


def photo_with(dtype: type, colour: bool, alpha: bool) -> Picture:
    pixels = make_photo(37, 53, seed=3).astype(dtype) * (257 if dtype is np.uint16 else 1)
    pixels[5:9] ^= 3  # 16 bits that are no multiples of 257
    transparency = np.tile(np.arange(53, dtype=np.uint8) * 4, (37, 1)) if alpha else None
    return Picture(pixels if colour else pixels[:, :, 1].copy(), transparency)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("slices", ["one", "several"])
def test_lossless_comes_back_bit_for_bit(
    tiny_model: Model, dtype: type, colour: bool, alpha: bool, slices: str, request, monkeypatch
):
    """The colours of what is fully transparent, too."""
    if slices == "several":
        monkeypatch.setattr(tiling, "LATENT_SLICE", 2)
        monkeypatch.setattr(container, "SLICE", 32)
    picture = photo_with(dtype, colour, alpha)
    data = encode_picture(picture, tiny_model, EncodeOptions(0, lossless=True))
    decoded = decode_picture(data, tiny_model)
    assert decoded.pixels.dtype == dtype
    np.testing.assert_array_equal(decoded.pixels, picture.pixels)
    assert (decoded.alpha is None) == (not alpha)
    if alpha:
        np.testing.assert_array_equal(decoded.alpha, picture.alpha)
    verify_file(io.BytesIO(data), tiny_model)
    facts = describe(io.BytesIO(data))
    assert facts["lossless_slices"] == facts["slices"] == (4 if slices == "several" else 1)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_streams_hold_any_samples(data: st.DataObject):
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    planes = data.draw(st.sampled_from([0, 2, 3, 4] if dtype is np.uint8 else [0, 3]))
    shape = (data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20)))
    shape += (planes,) if planes else ()
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    samples = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    settings_ = data.draw(st.sampled_from([QUICK, THOROUGH]))
    np.testing.assert_array_equal(
        unpack_lossless(pack_lossless(samples, settings_), shape, dtype), samples
    )


def test_mixed_pictures_say_what_they_hold(mixed: bytes, tiny_model: Model):
    kinds = kinds_of(mixed)
    assert kinds.count(SLICE_TYPE) == 1 and kinds.count(LOSSLESS_SLICE_TYPE) == 8
    facts = describe(io.BytesIO(mixed))
    assert (facts["slices"], facts["lossless_slices"]) == (9, 8)
    decoded, pixels = decode_picture(mixed, tiny_model).pixels, mixed_pixels()
    np.testing.assert_array_equal(decoded[:SIDE], pixels[:SIDE])
    np.testing.assert_array_equal(decoded[:, :SIDE], pixels[:, :SIDE])
    photo = np.s_[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    assert 20 < psnr_db(pixels[photo], decoded[photo]) < 40  # learned


def test_the_seam_beside_a_lossless_slice_does_not_show(
    tiny_model: Model, mixed: bytes, monkeypatch: pytest.MonkeyPatch
):
    """A learned slice is as good at its edges as it is where all others are learned, too."""
    decoded = decode_picture(mixed, tiny_model).pixels
    monkeypatch.setattr(
        lossless_forms.LosslessForms, "replace_poorer", lambda _, others, slices, *__: slices
    )
    learned = encode_picture(Picture(mixed_pixels()), tiny_model, EncodeOptions(900))
    assert set(kinds_of(learned)) == {SLICE_TYPE}
    everywhere = decode_picture(learned, tiny_model).pixels
    edges = np.zeros(decoded.shape[:2], bool)
    edges[SIDE : 2 * SIDE, SIDE:380] = True
    edges[SIDE + 8 : 2 * SIDE - 8, SIDE + 8 : 380] = False
    original = mixed_pixels()[edges]
    assert psnr_db(original, decoded[edges]) > psnr_db(original, everywhere[edges]) - 0.5


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_region_of_a_mixed_picture_is_the_crop(tiny_model: Model, data: st.DataObject):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "LATENT_SLICE", SIDE // 16)
        patch.setattr(container, "SLICE", SIDE)
        file = encode_once(tiny_model)
        whole = decode_picture(file, tiny_model).pixels
        left, top = data.draw(st.integers(0, 379)), data.draw(st.integers(0, 299))
        region = Region(
            left, top, data.draw(st.integers(1, 380 - left)), data.draw(st.integers(1, 300 - top))
        )
        part = decode_picture(file, tiny_model, DecodeOptions(region=region)).pixels
        np.testing.assert_array_equal(part, whole[region.rows, region.columns])


_encoded: list[bytes] = []


def encode_once(model: Model) -> bytes:
    if not _encoded:
        _encoded.append(encode_picture(Picture(mixed_pixels()), model, EncodeOptions(900)))
    return _encoded[0]


@pytest.mark.parametrize("lossless_option", [False, True])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_reduced_decoding_is_the_box_average(
    tiny_model: Model, small_slices, scale: int, lossless_option: bool
):
    pixels = mixed_pixels()[:296, :376]
    options = EncodeOptions(900, lossless=lossless_option)
    data = encode_picture(Picture(pixels), tiny_model, options)
    small = decode_picture(data, tiny_model, DecodeOptions(scale=scale)).pixels
    boxes = pixels.reshape(296 // scale, scale, 376 // scale, scale, 3).mean((1, 3))
    exact = np.s_[:, : SIDE // scale] if not lossless_option else np.s_[:]
    assert np.abs(small[exact] - boxes[exact]).max() <= 0.51
    part = decode_picture(
        data, tiny_model, DecodeOptions(region=Region(8, 16, 99, 80), scale=scale)
    )
    rows, columns = slice(16 // scale, 96 // scale), slice(8 // scale, -(-107 // scale))
    np.testing.assert_array_equal(part.pixels, small[rows, columns])


def test_a_damaged_lossless_slice_costs_that_slice_alone(tiny_model: Model, mixed: bytes):
    place = mixed.index(LOSSLESS_SLICE_TYPE) + 60  # in the first slice
    damaged = mixed[:place] + bytes([mixed[place] ^ 8]) + mixed[place + 1 :]
    with pytest.raises(FormatError, match="checksum"):
        decode_picture(damaged, tiny_model)
    salvaged = decode_picture(damaged, tiny_model, DecodeOptions(salvage=True))
    assert salvaged.notes == ("1 of 9 slices are lost and grey",)
    assert (salvaged.pixels[:SIDE, :SIDE] == 128).all()
    pixels = mixed_pixels()
    np.testing.assert_array_equal(salvaged.pixels[:SIDE, SIDE:], pixels[:SIDE, SIDE:])
    np.testing.assert_array_equal(salvaged.pixels[2 * SIDE :], pixels[2 * SIDE :])


def test_a_damaged_stream_of_a_whole_picture_costs_all_of_it(tiny_model: Model, small_slices):
    data = encode_picture(Picture(np.asarray(text((300, 200)))), tiny_model, EncodeOptions(900))
    assert kinds_of(data) == [LOSSLESS_PICTURE_TYPE]
    damaged = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    salvaged = decode_picture(damaged, tiny_model, DecodeOptions(salvage=True))
    assert salvaged.notes == ("6 of 6 slices are lost and grey",)
    assert (salvaged.pixels == 128).all()


@pytest.mark.parametrize("whole", [False, True])
def test_encrypted(tiny_model: Model, small_slices, whole: bool):
    pixels = mixed_pixels()
    pixels = pixels[:SIDE] if whole else pixels
    picture = Picture(pixels, metadata={"xmp": b"<x/>"})
    data = encode_picture(picture, tiny_model, EncodeOptions(900, passphrase=b"key"))
    assert (LOSSLESS_PICTURE_TYPE in kinds_of(data)) == whole
    with pytest.raises(PassphraseError):
        decode_picture(data, tiny_model)
    decoded = decode_picture(data, tiny_model, DecodeOptions(passphrase=b"key"))
    np.testing.assert_array_equal(decoded.pixels[:SIDE], pixels[:SIDE])
    assert decoded.metadata == picture.metadata
    verify_file(io.BytesIO(data), tiny_model, passphrase=b"key")
    file = io.BytesIO(data)
    header = read_header(file)
    without = [chunk for _, chunk in read_chunks(file, header) if chunk.type != b"xmpp"]
    with pytest.raises(PassphraseError, match="taken out"):
        tampered = data[:HEADER_BYTES] + pack_chunks(without)
        decode_picture(tampered, tiny_model, DecodeOptions(passphrase=b"key"))


def test_previews_and_samples_of_lossless_slices(tiny_model: Model, mixed: bytes):
    exact = encode_picture(Picture(mixed_pixels()), tiny_model, EncodeOptions(0, lossless=True))
    for data in (mixed, exact):
        assert decode_preview(io.BytesIO(data), tiny_model).pixels.shape == (300, 380, 3)
        first, second = (redraw_file(io.BytesIO(data), tiny_model, seed) for seed in (4, 5))
        assert first != second and set(kinds_of(first)) == {SLICE_TYPE}
        for one, other in zip(z_of(first, tiny_model), z_of(second, tiny_model), strict=True):
            np.testing.assert_array_equal(one, other)


def test_targets(tiny_model: Model):
    picture = Picture(np.asarray(text()))
    exact = encode_picture(picture, tiny_model, EncodeOptions(0, lossless=True))
    options = EncodeOptions(600)
    roomy, count = encode_to_target(picture, tiny_model, options, "size", len(exact) + 5000)
    assert roomy.lossless and roomy.value <= len(exact) and count == 1
    best, _ = encode_to_target(picture, tiny_model, options, "psnr", 60)
    np.testing.assert_array_equal(decode_picture(best.data, tiny_model).pixels, picture.pixels)


def test_what_is_lossless_is_not_refined(tiny_model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(tiny_model.__dict__, "refiner", None)
    data = encode_picture(Picture(np.asarray(text())), tiny_model, EncodeOptions(900, effort=2))
    assert kinds_of(data) == [LOSSLESS_PICTURE_TYPE]


def test_tensors_are_stored_as_arrays_are(tiny_model: Model):
    torch = pytest.importorskip("torch")
    from vaecodec.codec.tensors import picture_of_tensor

    pixels = np.asarray(text())
    picture = picture_of_tensor(torch.tensor(pixels).permute(2, 0, 1), "cpu")
    options = EncodeOptions(900, lossless=True)
    assert encode_picture(picture, tiny_model, options) == encode_picture(
        Picture(pixels), tiny_model, options
    )


def test_readers_of_before_refuse_such_files(
    tiny_model: Model, mixed: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(container, "_KNOWN_TYPES", (SLICE_TYPE, b"Alph", b"Cryp", b"Gmap"))
    with pytest.raises(FormatError, match="needs feature 'Lslc', unknown here; a newer vaecodec"):
        decode_picture(mixed, tiny_model)


@pytest.mark.parametrize("depth", [8, 16])
def test_streams_of_another_size_are_refused_before_they_are_opened(
    depth: int, monkeypatch: pytest.MonkeyPatch
):
    """WebP's reader takes memory when it opens, PNG's when it loads."""
    dtype = np.uint8 if depth == 8 else np.uint16
    stream = pack_lossless(np.zeros((600, 700), dtype), QUICK)
    monkeypatch.setattr(Image.Image, "load", None)
    if depth == 8:
        monkeypatch.setattr(lossless.Image, "open", None)
    with pytest.raises(FormatError, match="another size"):
        unpack_lossless(stream, (60, 70), dtype)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_hostile_streams_give_one_kind_of_fault(data: st.DataObject):
    """All of them have right checksums of their bytes; none is taken for the picture."""
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    samples = make_photo(24, 31, seed=1).astype(dtype)
    stream = bytearray(pack_lossless(samples, QUICK))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    del stream[data.draw(st.integers(0, 2 * len(stream))) :]
    try:
        unpacked = unpack_lossless(bytes(stream), samples.shape, dtype)
    except FormatError:
        return
    np.testing.assert_array_equal(unpacked, samples)


def test_a_file_with_a_forged_stream_is_refused(tiny_model: Model, mixed: bytes):
    file = io.BytesIO(mixed)
    header = read_header(file)
    chunks = [chunk for _, chunk in read_chunks(file, header)]
    forged = bytearray(chunks[0].payload)
    forged[3] ^= 1  # of the checksum of the samples
    chunks[0] = Chunk(LOSSLESS_SLICE_TYPE, bytes(forged))
    data = mixed[:HEADER_BYTES] + pack_chunks(chunks)
    for read in (decode_picture, lambda d, m: verify_file(io.BytesIO(d), m)):
        with pytest.raises(FormatError, match="does not match its checksum"):
            read(data, tiny_model)
    late = pack_chunks([chunks[1], Chunk(LOSSLESS_PICTURE_TYPE, b"")])
    with pytest.raises(FormatError):
        decode_picture(mixed[:HEADER_BYTES] + late, tiny_model)


def test_transparency_that_is_nowhere_is_refused(tiny_model: Model):
    data = encode_picture(Picture(make_photo(20, 20)), tiny_model, EncodeOptions(500))
    lying = data[:HEADER_BYTES] + pack_chunks([Chunk(b"Alph", b"\3")]) + data[HEADER_BYTES:]
    with pytest.raises(FormatError, match="where it is not"):
        decode_picture(lying, tiny_model)


@pytest.fixture
def run(tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def command(name: str, *words: object) -> Result:
        return CliRunner().invoke(main, [name, *map(str, words), "--model", str(tiny_model_path)])

    return command


def test_lossless_on_the_command_line_keeps_16_bits(run, tmp_path: Path):
    samples = photo_with(np.uint16, True, False).pixels
    with Path("deep.png").open("wb") as file:
        png.Writer(53, 37, greyscale=False, bitdepth=16).write(file, samples.reshape(37, -1))
    result = run("encode", "deep.png", "--lossless")
    assert result.exit_code == 0 and result.stdout.endswith("lossless\n")
    assert run("info", "deep.vae").stdout.startswith("deep.vae: 53x37 RGB16, lossless\n")
    assert run("verify", "deep.vae").exit_code == 0
    assert run("decode", "deep.vae", "-o", "back.png").exit_code == 0
    width, height, rows, _ = png.Reader(filename="back.png").read()
    np.testing.assert_array_equal(np.vstack(list(rows)).reshape(height, width, 3), samples)


@pytest.mark.parametrize(
    "option", [("-q", "60"), ("--target-size", "1kB"), ("--alpha-quality", "5"), ("--roi", "p.png")]
)
def test_lossless_leaves_no_choice(run, option: tuple[str, str]):
    text().save("p.png")
    result = run("encode", "p.png", "--lossless", *option)
    assert result.exit_code == 2 and "leave out" in result.stderr
    assert not Path("p.vae").exists()


def test_info_counts_lossless_slices(run, mixed: bytes):
    Path("m.vae").write_bytes(mixed)
    assert "8 of 9 slices lossless" in run("info", "m.vae").stdout
    assert '"lossless_slices": 8' in run("info", "m.vae", "--json").stdout


def test_lossless_in_python(tiny_model_path: Path):
    import vaecodec

    codec = vaecodec.Codec(tiny_model_path, device="cpu")
    photo = make_photo(40, 50)
    np.testing.assert_array_equal(
        np.asarray(codec.decode(codec.encode(photo, lossless=True))), photo
    )
    for others in ({"target_size": 99}, {"alpha_quality": 5}):
        with pytest.raises(UsageError, match="leave out"):
            codec.encode(photo, lossless=True, **others)
    assert issubclass(FormatError, VaecodecError)
