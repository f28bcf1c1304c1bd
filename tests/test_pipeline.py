"""Pictures through the codec: sizes, seams, rate and quality."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_TOP_LEVEL as TOP_LEVEL
from conftest import make_photo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vaecodec.codec import slice_coder as latents
from vaecodec.codec import tiling
from vaecodec.codec.analysis import SliceAnalysis, analyse
from vaecodec.codec.decoder import DecodeOptions, decode_picture, verify_file
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.tiling import Region
from vaecodec.entropy.tables import PRECISION
from vaecodec.errors import CorruptSymbolsError, FormatError, ModelError, UsageError
from vaecodec.format import container
from vaecodec.format.container import Header, pack_header, read_chunks, read_header
from vaecodec.inference import onnx_graphs
from vaecodec.inference.interfaces import NO_CUT
from vaecodec.inference.loading import load_model
from vaecodec.inference.model import Model
from vaecodec.metrics.distortion import psnr_db
from vaecodec.network.weight_files import TUNES
from vaecodec.picture.picture import Picture


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 16), (17, 64), (75, 97), (1, 200), (200, 1)])
def test_any_size_comes_back(tiny_model: Model, size: tuple[int, int]):
    pixels = make_photo(*size)
    decoded = decode_picture(
        encode_picture(Picture(pixels), tiny_model, EncodeOptions(1000)), tiny_model
    ).pixels
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8
    assert psnr_db(pixels, decoded) > 25


def test_grey_comes_back_grey(tiny_model: Model):
    grey = make_photo(70, 50)[:, :, 1]
    decoded = decode_picture(
        encode_picture(Picture(grey), tiny_model, EncodeOptions(1000)), tiny_model
    )
    assert decoded.mode == "grey" and decoded.pixels.shape == grey.shape
    assert psnr_db(grey, decoded.pixels) > 28


def test_size_and_quality_rise_with_the_level(tiny_model: Model):
    pixels = make_photo(128, 160, seed=3)
    sizes, qualities = [], []
    for level in range(0, TOP_LEVEL + 1, 256):
        data = encode_picture(Picture(pixels), tiny_model, EncodeOptions(level))
        sizes.append(len(data))
        qualities.append(psnr_db(pixels, decode_picture(data, tiny_model).pixels))
    assert sizes == sorted(sizes) and sizes[-1] > 2 * sizes[0]
    assert qualities == sorted(qualities) and qualities[-1] > qualities[0] + 3


def test_encoding_is_deterministic(tiny_model: Model):
    picture = Picture(make_photo(64, 80))
    assert encode_picture(picture, tiny_model, EncodeOptions(600)) == encode_picture(
        picture, tiny_model, EncodeOptions(600)
    )


def test_file_is_as_long_as_the_symbols_cost(tiny_model: Model):
    y = tiny_model.transforms.analyse(make_photo(256, 256).astype(np.float32) / 255, 800)
    symbols = latents.quantise_slice(tiny_model, y, 800)
    bits = 0.0
    coded = [(symbols.z.reshape(-1), tiny_model.z_indices(*symbols.z.shape[:2], 800).reshape(-1))]
    for tables, calls in (
        (tiny_model.weights.z_tables, coded),
        (tiny_model.weights.y_tables, symbols.steps),
    ):
        for values, indices in calls:
            for value, index in zip(values.tolist(), indices.tolist(), strict=True):
                radius = (len(tables[index]) - 2) // 2
                escaped = abs(value) > radius
                weight = tables[index][-1 if escaped else value + radius]
                bits += PRECISION - np.log2(weight + 1.0) + (24 if escaped else 0)
    payload = len(latents.encode_slice(tiny_model, symbols, 800).payload)
    assert bits / 8 <= payload <= 1.001 * bits / 8 + 12


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_seams_are_invisible(tiny_model_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch):
    """Analysis and synthesis in windows of 64 pixels give what the whole picture gives, with the
    halo still there or left out on the way."""
    x = make_photo(192, 160).astype(np.float32) / 255
    model = load_model(tiny_model_path, "cpu", backend=backend)
    transforms = model.transforms
    monkeypatch.setattr(tiling, "LATENT_SLICE", 4)
    whole_y = transforms.analyse(x, 700)
    whole_x = transforms.synthesise(whole_y, 700)
    for rows, columns in tiling.SliceGrid(192, 160, model.halo):
        window = tiling.cut(x, tiling.pixels(rows.outer), tiling.pixels(columns.outer))
        y_window = whole_y[rows.outer, columns.outer]
        expected = whole_x[tiling.pixels(rows.inner), tiling.pixels(columns.inner)]
        for cut, (down, across) in (
            (NO_CUT, (rows, columns)),
            (tiling.cut_of(rows, columns), (rows.once_cut, columns.once_cut)),
        ):
            y = transforms.analyse(window, 700, cut)
            assert y.shape[0] == down.outer_stop - down.outer_start
            y = y[down.inside, across.inside]
            np.testing.assert_allclose(y, whole_y[rows.inner, columns.inner], atol=1e-4)
            part = transforms.synthesise(y_window, 700, cut=cut)
            part = part[tiling.pixels(down.inside), tiling.pixels(across.inside)]
            np.testing.assert_allclose(part, expected, atol=1e-4)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("size", [(192, 160), (66, 200), (40, 50)])
def test_slices_share_features(
    tiny_model_path: Path, backend: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    """Their y is that of the whole picture, whichever thread asks for which, and nothing stays."""
    photo = make_photo(*size)
    model = load_model(tiny_model_path, "cpu", backend=backend)
    rows, columns = (slice(0, 16 * -(-side // 16)) for side in size)
    whole = analyse(model, tiling.window_samples(photo, rows, columns), 700)
    monkeypatch.setattr(tiling, "LATENT_SLICE", 4)
    grid, y_of = tiling.SliceGrid(*size, model.halo), SliceAnalysis(photo, model, 700)
    with ThreadPoolExecutor(3) as pool:
        for (down, across), y in zip(grid, pool.map(y_of, range(len(grid))), strict=True):
            np.testing.assert_allclose(y, whole[down.inner, across.inner], atol=1e-4)
    assert not y_of._features


def test_a_fault_in_shared_features_reaches_all_who_wait(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tiling, "LATENT_SLICE", 4)
    y_of = SliceAnalysis(make_photo(64, 128), tiny_model, 700)
    monkeypatch.setattr(y_of, "_features_of", lambda number: 1 / 0)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(y_of, number) for number in (0, 1)]
        assert all(isinstance(one.exception(9), ZeroDivisionError) for one in asked)


def test_cores_share_two_slices_where_the_second_is_narrow():
    widths = (1024, 1224, 1632, 1648, 2048, 2100)
    at_once = [tiling.SliceGrid(100, width, 9).at_once for width in widths]
    assert at_once == [1, 1, 1, 2, 2, 3]


def test_pictures_whose_second_slice_is_narrow(tiny_model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiling, "LATENT_SLICE", 8)
    monkeypatch.setattr(container, "SLICE", 128)
    photo = make_photo(150, 160)
    assert tiling.SliceGrid(150, 160, tiny_model.halo).at_once == 1
    data = encode_picture(Picture(photo), tiny_model, EncodeOptions(900))
    verify_file(io.BytesIO(data), tiny_model)
    whole = decode_picture(data, tiny_model).pixels
    assert psnr_db(whole, photo) > 25
    part = decode_picture(data, tiny_model, DecodeOptions(region=Region(90, 100, 70, 50)))
    np.testing.assert_array_equal(part.pixels, whole[100:, 90:])


def test_a_smaller_halo_would_show(tiny_model: Model):
    """The halo is not wider than needed by more than one position."""
    x = make_photo(192, 160).astype(np.float32) / 255
    whole = tiny_model.transforms.analyse(x, 700)
    for halo, equal in ((tiny_model.halo, True), (tiny_model.halo - 2, False)):
        first = 6 - halo
        y = tiny_model.transforms.analyse(x[16 * first :], 700)
        assert np.allclose(y[halo:], whole[6:], atol=1e-4) == equal


def test_many_slices_round_trip(tiny_model: Model, monkeypatch: pytest.MonkeyPatch):
    pixels = make_photo(150, 200)
    plain = decode_picture(
        encode_picture(Picture(pixels), tiny_model, EncodeOptions(1000)), tiny_model
    ).pixels
    monkeypatch.setattr(tiling, "LATENT_SLICE", 4)
    monkeypatch.setattr(container, "SLICE", 64)
    data = encode_picture(Picture(pixels), tiny_model, EncodeOptions(1000))
    decoded = decode_picture(data, tiny_model).pixels
    assert decoded.shape == pixels.shape
    assert abs(psnr_db(pixels, decoded) - psnr_db(pixels, plain)) < 0.5


def test_file_of_another_model_is_refused_with_its_name(tiny_model: Model):
    data = bytearray(encode_picture(Picture(make_photo(16, 16)), tiny_model, EncodeOptions(0)))
    header = read_header(io.BytesIO(data))
    other = Header(**{**vars(header), "model_id": b"\xab" * 8})
    data[: container.HEADER_BYTES] = pack_header(other)
    with pytest.raises(ModelError, match="abababababababab, not"):
        decode_picture(bytes(data), tiny_model)


def test_forged_symbols_are_noticed(tiny_model: Model):
    """Checksums of the bytes made right again after tampering: the symbols' own checksum speaks."""
    data = encode_picture(Picture(make_photo(64, 64)), tiny_model, EncodeOptions(800))
    file = io.BytesIO(data)
    header = read_header(file)
    ((_, chunk),) = read_chunks(file, header)
    checksum, words = container.unpack_slice(chunk)
    forged = bytearray(words)
    forged[len(forged) // 2] ^= 1
    tampered = pack_header(header) + container.pack_chunks(
        [container.pack_slice(checksum, bytes(forged))]
    )
    with pytest.raises(CorruptSymbolsError):
        decode_picture(tampered, tiny_model)


def test_pixel_limit_is_checked_before_anything_else(tiny_model: Model):
    data = encode_picture(Picture(make_photo(20, 20)), tiny_model, EncodeOptions(0))
    with pytest.raises(FormatError, match="over the limit of 399"):
        decode_picture(data, tiny_model, DecodeOptions(399))


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch):
    """Slices of 64 pixels instead of 1024, so that small pictures have many."""
    monkeypatch.setattr(tiling, "LATENT_SLICE", 4 * 2)
    monkeypatch.setattr(container, "SLICE", 64 * 2)


@pytest.fixture
def three_by_four(tiny_model: Model, small_slices) -> tuple[bytes, np.ndarray]:
    """A file of 3 rows of 4 slices, and its decoded pixels."""
    data = encode_picture(Picture(make_photo(300, 500, seed=6)), tiny_model, EncodeOptions(1000))
    return data, decode_picture(data, tiny_model).pixels


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_region_is_the_crop_of_the_whole(tiny_model: Model, three_by_four, data: st.DataObject):
    file, whole = three_by_four
    left, top = data.draw(st.integers(0, 499)), data.draw(st.integers(0, 299))
    width, height = data.draw(st.integers(1, 500 - left)), data.draw(st.integers(1, 300 - top))
    region = Region(left, top, width, height)
    decoded = decode_picture(file, tiny_model, DecodeOptions(region=region)).pixels
    np.testing.assert_array_equal(decoded, whole[region.rows, region.columns])


def test_a_region_of_one_slice_is_synthesised_as_in_the_whole(tiny_model: Model, three_by_four):
    """On as many cores: sums of floats differ between one and two of them, in rare samples by 1."""
    file, whole = three_by_four
    region = Region(0, 0, 98, 280)
    decoded = decode_picture(file, tiny_model, DecodeOptions(region=region)).pixels
    np.testing.assert_array_equal(decoded, whole[region.rows, region.columns])


def test_a_region_of_a_model_that_ships_is_the_crop(small_slices):
    """Where a processor multiplies bytes, but for a few samples (onnx_limbs)."""
    photo = np.asarray(Image.open(Path(__file__).parent / "photos" / "bay.jpg"))[100:356, 50:434]
    model = load_model(None, "cpu", backend="onnx")
    file = encode_picture(Picture(photo), model, EncodeOptions(900))
    whole = decode_picture(file, model).pixels
    for region in (Region(0, 0, 60, 70), Region(100, 90, 200, 100), Region(300, 200, 84, 56)):
        part = decode_picture(file, model, DecodeOptions(region=region)).pixels
        difference = np.abs(part.astype(int) - whole[region.rows, region.columns])
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_a_region_reads_only_the_slices_it_needs(tiny_model: Model, three_by_four):
    """All slices but the first are damaged: only what lies a halo away from them can be had."""
    file, whole = three_by_four
    damaged = bytearray(file)
    stream = io.BytesIO(file)
    for number, _ in read_chunks(stream, read_header(stream)):
        if number:
            damaged[stream.tell() - 10] ^= 1
    reach = 128 - 16 * tiny_model.halo
    region = Region(0, 0, reach, reach)
    decoded = decode_picture(bytes(damaged), tiny_model, DecodeOptions(region=region)).pixels
    np.testing.assert_array_equal(decoded, whole[region.rows, region.columns])
    with pytest.raises(FormatError, match="checksum"):
        decode_picture(
            bytes(damaged), tiny_model, DecodeOptions(region=Region(0, 0, reach + 1, reach))
        )


@pytest.mark.parametrize("region", [(0, 0, 501, 1), (-1, 0, 5, 5), (0, 0, 0, 5), (499, 299, 2, 1)])
def test_regions_outside_are_refused(tiny_model: Model, three_by_four, region):
    with pytest.raises(UsageError, match="not inside 500x300"):
        decode_picture(three_by_four[0], tiny_model, DecodeOptions(region=Region(*region)))


@pytest.mark.parametrize(("scale", "near"), [(2, 0.6), (4, 0.6), (8, 2.0)])
def test_scaled_decoding_is_the_box_average(
    tiny_model: Model, three_by_four, scale: int, near: float
):
    """At 1/8 nearly, by a linear map alone."""
    file, whole = three_by_four
    small = decode_picture(file, tiny_model, DecodeOptions(scale=scale)).pixels
    height, width = -(-300 // scale), -(-500 // scale)
    assert small.shape == (height, width, 3)
    inner = whole[: 300 // scale * scale, : 500 // scale * scale].astype(float)
    boxes = inner.reshape(300 // scale, scale, 500 // scale, scale, 3).mean((1, 3))
    # The full picture was clipped and rounded before averaging, the small one after.
    assert np.abs(small[: 300 // scale, : 500 // scale] - boxes).mean() < near


@pytest.mark.parametrize("tune", TUNES)
def test_models_that_ship_reduce_without_g_s(tune: str, monkeypatch: pytest.MonkeyPatch):
    """At 1/8 they come within a level of the averages, and never run the network for it."""
    photo = np.asarray(Image.open(Path(__file__).parent / "photos" / "bay.jpg"))[:192, :256]
    model = load_model(tune, "cpu", backend="onnx")
    file = encode_picture(Picture(photo), model, EncodeOptions(700))
    whole = decode_picture(file, model).pixels.astype(float)
    monkeypatch.setitem(onnx_graphs.GRAPHS, "synthesis", None)
    fresh = load_model(tune, "cpu", backend="onnx")
    small = decode_picture(file, fresh, DecodeOptions(scale=8)).pixels
    boxes = whole.reshape(24, 8, 32, 8, 3).mean((1, 3))
    assert np.abs(small - boxes).mean() < 1


def test_scaled_region(tiny_model: Model, three_by_four):
    file, _ = three_by_four
    small = decode_picture(file, tiny_model, DecodeOptions(scale=4)).pixels
    part = decode_picture(
        file, tiny_model, DecodeOptions(scale=4, region=Region(8, 40, 203, 101))
    ).pixels
    np.testing.assert_array_equal(part, small[10:36, 2:53])
    with pytest.raises(UsageError, match="multiple"):
        decode_picture(file, tiny_model, DecodeOptions(scale=4, region=Region(9, 40, 20, 20)))


@pytest.mark.parametrize("size", [(1, 700), (700, 1)])
def test_very_long_pictures(tiny_model: Model, small_slices, size: tuple[int, int]):
    pixels = make_photo(*size)
    decoded = decode_picture(
        encode_picture(Picture(pixels), tiny_model, EncodeOptions(1000)), tiny_model
    )
    assert decoded.pixels.shape == pixels.shape and psnr_db(pixels, decoded.pixels) > 25
