"""The Python interface and the Pillow plug-in."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

import vaecodec
import vaecodec.pillow_plugin
from vaecodec import api
from vaecodec.errors import FormatError, PictureError, UsageError
from vaecodec.metrics.ssimulacra2 import ssimulacra2
from vaecodec.metrics.distortion import psnr_db

PHOTO = make_photo(60, 80, seed=1)


@pytest.fixture(autouse=True)
def tiny_default(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> vaecodec.Codec:
    codec = vaecodec.Codec(tiny_model_path, "cpu")
    monkeypatch.setattr(api, "_default", codec)
    return codec


@pytest.mark.parametrize(
    "shape, mode",
    [((60, 80), "L"), ((60, 80, 1), "L"), ((60, 80, 3), "RGB"), ((60, 80, 4), "RGBA")],
)
def test_arrays(shape: tuple[int, ...], mode: str):
    array = np.dstack([PHOTO, np.tile(np.arange(80, dtype=np.uint8), (60, 1))])
    array = array[:, :, 0].reshape(shape) if mode == "L" else array[:, :, : shape[2]]
    decoded = vaecodec.decode(vaecodec.encode(array, quality=90))
    assert decoded.mode == mode and decoded.size == (80, 60)
    assert psnr_db(np.asarray(decoded).reshape(shape), array) > 28


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_pictures(array: np.ndarray):
    with pytest.raises(PictureError, match=re.escape(str(array.shape))):
        vaecodec.encode(array)


def test_images_keep_their_metadata():
    image = Image.fromarray(PHOTO)
    exif = Image.Exif()
    exif[271] = "Camera Works"
    image.info.update(exif=exif.tobytes(), icc_profile=b"profile", xmp=b"<x/>")
    decoded = vaecodec.decode(vaecodec.encode(image))
    assert decoded.getexif()[271] == "Camera Works"
    assert decoded.info["icc_profile"] == b"profile" and decoded.info["xmp"] == b"<x/>"


def test_targets_regions_scales_and_passphrases():
    data = vaecodec.encode(PHOTO, target_size=900, passphrase="secret")
    assert 870 <= len(data) <= 900
    reached = np.asarray(vaecodec.decode(vaecodec.encode(PHOTO, target_ssimulacra2=50)))
    assert 50 <= ssimulacra2(PHOTO, reached) <= 50.5
    part = vaecodec.decode(data, region=(8, 16, 24, 32), passphrase="secret")
    whole = vaecodec.decode(data, passphrase="secret")
    np.testing.assert_array_equal(np.asarray(part), np.asarray(whole)[16:48, 8:32])
    assert vaecodec.decode(data, scale=4, passphrase="secret").size == (20, 15)


def test_quality_outside_its_scale():
    with pytest.raises(UsageError, match="0..100"):
        vaecodec.encode(PHOTO, quality=101)


def test_files_and_info(tmp_path: Path):
    Image.fromarray(PHOTO).save(tmp_path / "p.png")
    size = vaecodec.encode_file(tmp_path / "p.png", tmp_path / "p.vae", quality=70)
    facts = vaecodec.info(tmp_path / "p.vae")
    assert facts["bytes"] == size and facts["quality"] == 70 and facts["width"] == 80
    vaecodec.decode_file(tmp_path / "p.vae", tmp_path / "back.webp")
    assert Image.open(tmp_path / "back.webp").size == (80, 60)
    with pytest.raises(UsageError, match="exists"):
        vaecodec.encode_file(tmp_path / "p.png", tmp_path / "p.vae")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError):
        vaecodec.nonsense  # noqa: B018


# --- Pillow --------------------------------------------------------------------------------------


def test_pillow_opens_and_saves(tmp_path: Path):
    path = tmp_path / "p.vae"
    image = Image.fromarray(PHOTO)
    image.info["icc_profile"] = b"profile"
    image.save(path, quality=90)
    with Image.open(path) as opened:
        assert (opened.format, opened.size, opened.mode) == ("VAE", (80, 60), "RGB")
        assert psnr_db(np.asarray(opened), PHOTO) > 28
        assert opened.info["icc_profile"] == b"profile"
    assert Image.MIME["VAE"] == "image/x-vaecodec"


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16"])
def test_pillow_knows_the_mode_before_decoding(tmp_path: Path, mode: str):
    source = Image.fromarray(np.dstack([PHOTO, PHOTO[:, :, 0]]))
    if mode == "I;16":
        source = Image.fromarray(PHOTO[:, :, 0].astype(np.uint16) * 256)
    else:
        source = source.convert("RGB").convert("P") if mode == "P" else source.convert(mode)
    source.save(tmp_path / "p.vae")
    with Image.open(tmp_path / "p.vae") as opened:
        announced = opened.mode
        opened.load()
        assert opened.mode == announced == {"P": "RGB"}.get(mode, mode)


def test_pillow_refuses_damaged_files():
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "VAE")
    whole = buffer.getvalue()
    for size in (0, 3, 20, 60, len(whole) - 1):
        with pytest.raises((OSError, SyntaxError, FormatError)):
            Image.open(io.BytesIO(whole[:size])).load()
    with Image.open(io.BytesIO(whole)) as image:
        image.verify()


def test_batches_are_the_same_as_one_by_one(tiny_model_path: Path):
    codec = vaecodec.Codec(tiny_model_path, "cpu")
    photos = [make_photo(40 + number, 50, seed=number) for number in range(5)]
    files = codec.encode_batch(photos, quality=80)
    assert files == [codec.encode(photo, quality=80) for photo in photos]
    images = codec.decode_batch(files, scale=2)
    assert [image.size for image in images] == [(25, 20 + (n + 1) // 2) for n in range(5)]
    for image, data in zip(images, files, strict=True):
        np.testing.assert_array_equal(image, codec.decode(data, scale=2))
