"""Other codecs: real files of the pixels alone, and back; more quality is more bytes."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from vaecodec.errors import VaecodecError
from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.metrics.distortion import psnr_db

BAY = Path(__file__).parent / "photos" / "bay.jpg"
MAGIC = {
    "jpeg": b"\xff\xd8\xff",
    "jpegli": b"\xff\xd8\xff",
    "webp": b"RIFF",
    "avif": b"\x00\x00\x00",
    "avif-420": b"\x00\x00\x00",
    "avif-psnr": b"\x00\x00\x00",
    "jxl": b"\xff\x0a",
    "jpeg2000": b"\xff\x4f\xff\x51",
    "cjxl": b"\xff\x0a",
    "avifenc": b"\x00\x00\x00",
}


def peer_of(name: str):
    peer = REFERENCE_CODECS[name]
    if not peer.available():
        pytest.skip(f"{name}: {peer.hint}")
    return peer


@pytest.mark.parametrize("name", REFERENCE_CODECS)
def test_more_quality_is_more_bytes_and_a_nearer_picture(name: str):
    peer = peer_of(name)
    image = Image.open(BAY).convert("RGB").crop((200, 100, 361, 230))
    ladder = peer.ladder
    files = [peer.encode(image, q) for q in (ladder[0], ladder[len(ladder) // 2], ladder[-1])]
    decoded = [peer.decode(data) for data in files]
    assert all(data.startswith(MAGIC[name]) for data in files)
    assert all(d.size == image.size and d.mode == "RGB" for d in decoded)
    assert len(files[0]) < len(files[1]) < len(files[2])
    figures = [psnr_db(np.asarray(image), np.asarray(d)) for d in decoded]
    assert 18 < figures[0] < figures[1] < figures[2] and figures[2] > 38
    assert list(ladder) == sorted(ladder)


@pytest.mark.parametrize("name", REFERENCE_CODECS)
def test_files_hold_pixels_alone(name: str):
    peer = peer_of(name)
    pixels = Image.open(BAY).convert("RGB").crop((0, 0, 64, 48))
    buffer = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels.save(buffer, "PNG", icc_profile=profile, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08")
    with_profile = Image.open(buffer)
    with_profile.load()
    assert peer.encode(with_profile, 50) == peer.encode(pixels, 50)


def test_jpeg_xl_codes_the_pixels_of_a_jpeg_file(tmp_path: Path):
    peer = peer_of("jxl")
    image = Image.open(BAY)
    assert len(peer.encode(image, 30)) < BAY.stat().st_size / 2


def test_a_tool_that_is_not_there_is_not_available():
    absent = replace(REFERENCE_CODECS["cjxl"], decode_words=("no-such-command", "IN", "OUT"))
    assert not absent.available()


def test_a_tool_that_fails_is_named():
    failing = replace(REFERENCE_CODECS["cjxl"], encode_words=("false", "IN", "OUT"))
    with pytest.raises(VaecodecError, match="false: failed"):
        failing.encode(Image.new("RGB", (8, 8)), 50)
