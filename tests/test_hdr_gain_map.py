"""Ultra HDR: the gain map of a JPEG is kept, turned along and written back where readers look."""

import io
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.metrics.distortion import psnr_db
from vaecodec.picture.hdr_gain_map import KIND
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file
from vaecodec.picture.writer import pillow_image, write_picture

PHOTO = make_photo(40, 64, seed=3)
GAINS = make_photo(20, 32, seed=4)[:, :, 0]
ISO = b"urn:iso:std:iso:ts:21496:-1\0"
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(1, 60))


def saved(pixels: np.ndarray, *segments: tuple[int, bytes], **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, **options)
    packed = (struct.pack(">BBH", 255, marker, len(d) + 2) + d for marker, d in segments)
    jpeg = buffer.getvalue()
    return jpeg[:2] + b"".join(packed) + jpeg[2:]


def xmp_segment(attributes: bytes, body: bytes = b"") -> tuple[int, bytes]:
    return 0xE1, (
        b"http://ns.adobe.com/xap/1.0/\0"
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        b'syntax-ns#"><rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
        b'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
        b'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" '
        b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
        + attributes
        + b">"
        + body
        + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def gain_map_file() -> bytes:
    described = b'hdrgm:Version="1.0" hdrgm:GainMapMax="3.5" hdrgm:HDRCapacityMax="3.5"'
    return saved(GAINS, xmp_segment(described), (0xE2, ISO + bytes(62)))


def item(semantic: bytes, length: int) -> bytes:
    return (
        b'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="%s"'
        b' Item:Mime="image/jpeg" Item:Length="%d"/></rdf:li>' % (semantic, length)
    )


def ultra_hdr(gain_map: bytes, orientation: int = 1, video: bytes = b"") -> bytes:
    """As a phone writes it: XMP that lists all, MPF, the gain map, and the video of a motion
    photo."""
    items = item(b"Primary", 0) + item(b"GainMap", len(gain_map))
    items += item(b"MotionPhoto", len(video)) if video else b""
    body = b"<Container:Directory><rdf:Seq>" + items + b"</rdf:Seq></Container:Directory>"
    claim = b'hdrgm:Version="1.0" GCamera:MotionPhoto="%d"' % bool(video)
    exif = Image.Exif()
    exif[274] = orientation
    plain = saved(PHOTO, xmp_segment(claim, body), (0xE2, ISO + bytes(4)), exif=exif)
    entries = struct.pack("<3I2H", 0x030000, len(plain) + 90, 0, 0, 0)
    entries += struct.pack("<3I2H", 0, len(gain_map), len(plain) + 90 - 10, 0, 0)
    index = b"II*\0" + struct.pack("<IH", 8, 3) + struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
    index += struct.pack("<HHII", 0xB001, 4, 1, 2) + struct.pack("<HHII4x", 0xB002, 7, 32, 50)
    mpf = struct.pack(">BBH", 255, 0xE2, 88) + b"MPF\0" + index + entries
    assert len(mpf) == 90
    return plain[:2] + mpf + plain[2:] + gain_map + video


def read(content: bytes) -> Picture:
    return picture_from_file(io.BytesIO(content), 10**6)


def written(picture: Picture, suffix: str = ".jpg") -> tuple[bytes, tuple[str, ...]]:
    buffer = io.BytesIO()
    notes = write_picture(picture, buffer, suffix)
    return buffer.getvalue(), notes


def second_picture(jpeg: bytes) -> bytes:
    """What MPF, as Pillow reads it, says that the second picture is."""
    image = Image.open(io.BytesIO(jpeg))
    entry = image._getmp()[0xB002][1]
    start_of_index = jpeg.index(b"MPF\0") + 4
    place = start_of_index + entry["DataOffset"]
    assert image._getmp()[0xB002][0]["Size"] == place and image._getmp()[0xB001] == 2
    return jpeg[place : place + entry["Size"]]


def test_the_gain_map_comes_back_byte_for_byte():
    gain_map = gain_map_file()
    picture = read(ultra_hdr(gain_map))
    assert picture.notes == () and picture.metadata[KIND] == gain_map
    jpeg, notes = written(picture)
    assert notes == () and jpeg.endswith(gain_map) and second_picture(jpeg) == gain_map
    assert jpeg[: -len(gain_map)].count(ISO + bytes(4)) == 1, (
        "ISO 21496-1 wants its version in the first picture"
    )
    again = read(jpeg)
    assert again.metadata[KIND] == gain_map and again.metadata["xmp"] == picture.metadata["xmp"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_gain_map_turns_with_its_picture(orientation: int):
    picture = read(ultra_hdr(gain_map_file(), orientation))
    turned = Image.open(io.BytesIO(picture.metadata[KIND]))
    upright = read(saved(np.dstack([GAINS] * 3), exif=exif_of(orientation)))
    assert turned.size == upright.pixels.shape[1::-1] and turned.mode == "L"
    assert psnr_db(np.asarray(turned), upright.pixels[:, :, 1]) > 30
    assert b"hdrgm:GainMapMax" in turned.info["xmp"] and ISO in picture.metadata[KIND]
    lengths = re.findall(rb'GainMap"[^>]*Length="(\d+)"', written(picture)[0])
    assert [int(n) for n in lengths] == [len(picture.metadata[KIND])]
    assert second_picture(written(picture)[0]) == picture.metadata[KIND]


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def test_exiftool_finds_the_gain_map(tmp_path: Path):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    gain_map = gain_map_file()
    source = ultra_hdr(gain_map)
    warnings = []
    for content in (source, written(read(source))[0]):
        (tmp_path / "a.jpg").write_bytes(content)

        def ask(*words: str) -> bytes:
            words = ("exiftool", *words, str(tmp_path / "a.jpg"))
            return subprocess.run(words, capture_output=True, check=True).stdout

        assert ask("-b", "-MPImage2") == gain_map
        assert ask("-s3", "-a", "-DirectoryItemLength").decode().split()[-1] == str(len(gain_map))
        warnings.append(set(ask("-validate", "-s3", "-a", "-warning").decode().splitlines()[1:]))
    assert warnings[1] <= warnings[0], "what is written has no fault that the source had not"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".tif"])
def test_where_it_is_not_kept_no_xmp_names_it(suffix: str):
    content, notes = written(read(ultra_hdr(gain_map_file())), suffix)
    assert any(KIND in note for note in notes)
    assert b"hdrgm:Version" not in content and b"Container:Directory" not in content


def test_python_users_get_xmp_without_the_claim():
    xmp = pillow_image(read(ultra_hdr(gain_map_file()))).info["xmp"]
    assert b"hdrgm:Version" not in xmp and b"rdf:Description" in xmp


def test_through_the_command(tmp_path: Path, tiny_model_path: Path):
    """In the file as a chunk, out of it with a part of the picture or on demand."""
    source, vae, back = tmp_path / "a.jpg", tmp_path / "a.vae", tmp_path / "b.jpg"
    gain_map = gain_map_file()
    source.write_bytes(ultra_hdr(gain_map))
    for more_encode, more_decode, kept in (
        ([], [], True),
        ([], ["--scale", "1/2"], True),
        ([], ["--region", "0,0,16,16"], False),
        (["--strip", KIND], [], False),
    ):
        said = ""
        for words in (["encode", source, "-o", vae, *more_encode], ["decode", vae, *more_decode]):
            words += ["-o", back] if words[0] == "decode" else []
            result = CliRunner().invoke(main, [*map(str, words), "-f", "--model", tiny_model_path])
            assert result.exit_code == 0, result.output
            said += result.stderr
        assert back.read_bytes().endswith(gain_map) == kept
        assert ("names a gain map" in said) != kept
        assert (b"hdrgm:Version" in back.read_bytes()) == kept


def test_a_claim_without_a_gain_map_is_dropped_and_said():
    whole = ultra_hdr(gain_map_file())
    picture = read(whole[: whole.rindex(b"\xff\xd8\xff")])
    assert any("gain map" in note for note in picture.notes) and KIND not in picture.metadata
    assert b"hdrgm:Version" not in picture.metadata["xmp"]


def test_a_damaged_gain_map_does_not_cost_the_picture():
    gain_map = bytearray(gain_map_file())
    size = gain_map.index(b"\xff\xc0") + 5
    gain_map[size : size + 4] = bytes(4)
    picture = read(ultra_hdr(bytes(gain_map), orientation=6))
    assert any("damaged" in note for note in picture.notes) and KIND not in picture.metadata


def test_the_video_of_a_motion_photo_is_named_and_no_longer_claimed():
    gain_map = gain_map_file()
    picture = read(ultra_hdr(gain_map, video=VIDEO))
    assert picture.notes == (f"{len(VIDEO)} bytes: the video after it (motion photo) left out",)
    assert b'MotionPhoto="0"' in picture.metadata["xmp"]
    assert b'Semantic="MotionPhoto"' not in picture.metadata["xmp"]
    assert picture.metadata[KIND] == gain_map


def test_bytes_after_the_end_are_named_and_padding_is_not():
    assert read(saved(PHOTO) + b"\0\0\n").notes == ()
    assert read(saved(PHOTO) + b"more").notes == ("4 bytes: after its end left out",)
