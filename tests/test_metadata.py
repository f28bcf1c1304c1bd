"""Metadata byte for byte: compared with exiftool's reading where it is installed."""

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import make_photo
from PIL import Image, ImageCms, PngImagePlugin

from vaecodec.__main__ import main
from vaecodec.errors import PictureError
from vaecodec.format.metadata import pack_metadata
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_file
from vaecodec.picture.writer import write_picture

PHOTO = make_photo(20, 32, seed=6)
NAME = "Jörg".encode()
XMP_6 = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'


def exif_block(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """EXIF with an artist in UTF-8, pixel dimensions and a maker note whose offset matters."""
    note = b"MAKER" + bytes(range(40))
    name = NAME + b"\0"
    name_at = 8 + 2 + 3 * 12 + 4
    exif_at = name_at + len(name) + len(name) % 2
    note_at = exif_at + 2 + 3 * 12 + 4

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        packed = struct.pack(f"{order}HHI", tag, kind, count)
        return packed + struct.pack(f"{order}H2x" if kind == 3 else f"{order}I", value)

    main_directory = struct.pack(f"{order}H", 3) + entry(0x0112, kind, 1, orientation)
    main_directory += entry(0x013B, 2, len(name), name_at) + entry(0x8769, 4, 1, exif_at)
    main_directory += bytes(4) + name + bytes(len(name) % 2)
    sub = struct.pack(f"{order}H", 3) + entry(0x927C, 7, len(note), note_at)
    sub += entry(0xA002, 4, 1, 32) + entry(0xA003, 3, 1, 20) + bytes(4) + note
    head = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + head + struct.pack(f"{order}I", 8) + main_directory + sub


def saved(name: str = "JPEG", pixels: np.ndarray = PHOTO, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()


def read(content: bytes) -> Picture:
    return picture_from_file(io.BytesIO(content), 10**6)


def written(picture: Picture, suffix: str) -> tuple[bytes, tuple[str, ...]]:
    buffer = io.BytesIO()
    notes = write_picture(picture, buffer, suffix)
    return buffer.getvalue(), notes


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    packed = (struct.pack(">BBH", 255, marker, len(d) + 2) + d for marker, d in segments)
    return jpeg[:2] + b"".join(packed) + jpeg[2:]


def exiftool(content: bytes, suffix: str, tmp_path: Path) -> dict[str, object]:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    result = subprocess.run(["exiftool", "-j", "-n", "-a", path], capture_output=True, check=True)
    return json.loads(result.stdout)[0]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_exif_of_an_upright_picture_is_kept_byte_for_byte(name: str, order: str):
    block = exif_block(1, order)
    assert read(saved(name, exif=block)).metadata["exif"] == block


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
def test_turning_changes_orientation_and_dimensions_and_nothing_else(order: str, kind: int):
    picture = read(saved(exif=exif_block(6, order, kind)))
    assert picture.pixels.shape == (32, 20, 3)
    expected = exif_block(1, order, kind)
    wide, high = struct.pack(f"{order}I", 32), struct.pack(f"{order}I", 20)
    start = expected.index(struct.pack(f"{order}HHI", 0xA002, 4, 1)) + 8
    expected = expected[:start] + high + expected[start + 4 :]
    start = expected.index(struct.pack(f"{order}HHI", 0xA003, 3, 1)) + 8
    expected = expected[:start] + struct.pack(f"{order}H2x", 32) + expected[start + 4 :]
    assert wide and picture.metadata["exif"] == expected


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_exiftool_reads_the_same_text_after_a_round(suffix: str, tmp_path: Path):
    content, _ = written(read(saved(exif=exif_block(6))), suffix)
    tags = exiftool(content, suffix, tmp_path)
    assert tags["Artist"] == "Jörg" and tags.get("Orientation", 1) == 1
    assert (tags["ExifImageWidth"], tags["ExifImageHeight"]) == (20, 32)


@pytest.mark.parametrize(
    "in_exif, in_xmp, applied", [(1, 6, 1), (6, 1, 6), (6, 6, 6), (None, 6, 6)]
)
def test_two_orientations_turn_a_picture_once(in_exif: int | None, in_xmp: int, applied: int):
    options = {} if in_exif is None else {"exif": exif_block(in_exif)}
    xmp = XMP_6.replace(b"6", str(in_xmp).encode())
    picture = read(saved(xmp=xmp, **options))
    shape = (32, 20, 3) if applied == 6 else (20, 32, 3)
    assert picture.pixels.shape == shape
    assert read(written(picture, ".jpg")[0]).pixels.shape == shape
    assert picture.metadata["xmp"] == XMP_6.replace(b"6", b"1")


@pytest.mark.parametrize(
    "kind, count, value",
    [(2, 4, b"top\0"), (5, 1, b"\xff\xff\xff\xff"), (3, 9, b"\6\0\0\0"), (3, 1, b"\xff\0\0\0")],
)
def test_an_orientation_of_another_type_is_none(kind: int, count: int, value: bytes):
    block = exif_block(1)
    place = block.index(struct.pack("<HHI", 0x0112, 3, 1))
    odd = block[:place] + struct.pack("<HHI", 0x0112, kind, count) + value + block[place + 12 :]
    picture = read(saved(exif=odd))
    assert picture.pixels.shape == (20, 32, 3)


def extended_xmp_jpeg(content: bytes) -> bytes:
    guid = b"0123456789ABCDEF0123456789ABCDEF"
    parts = [(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x xmpNote:HasExtendedXMP='" + guid + b"'/>")]
    for start in range(0, len(content), 60000):
        head = b"http://ns.adobe.com/xmp/extension/\0" + guid
        head += struct.pack(">II", len(content), start)
        parts.append((0xE1, head + content[start : start + 60000]))
    return with_segments(saved(), *parts)


def test_extended_xmp_comes_back_in_jpeg_and_is_named_elsewhere():
    content = b"<y>" + b"bay " * 40000 + b"</y>"
    picture = read(extended_xmp_jpeg(content))
    assert picture.metadata["xmp-extended"][32:] == content
    again = read(written(picture, ".jpg")[0])
    assert again.metadata["xmp-extended"] == picture.metadata["xmp-extended"]
    assert again.metadata["xmp"] == picture.metadata["xmp"]
    assert any("xmp-extended" in note for note in written(picture, ".png")[1])


def test_metadata_larger_than_a_segment_do_not_cost_a_jpeg(tmp_path: Path):
    body = b"<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:source>"
    xmp = (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
        b"'http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        + body
        + b"bay" * 30000
        + b"</dc:source></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    large = Picture(PHOTO, metadata={"xmp": xmp, "exif": exif_block(1) + bytes(70000)})
    content, notes = written(large, ".jpg")
    assert any("exif" in note and "64 kB" in note for note in notes)
    assert read(content).metadata["xmp-extended"][32:] == xmp
    assert exiftool(content, ".jpg", tmp_path)["Source"] == "bay" * 30000


def test_iptc_comment_and_resolution_come_back(tmp_path: Path):
    iptc = b"\x1c\x02\x69\x00\x07Harbour"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc
    content = with_segments(
        saved(dpi=(300, 200), comment=b"a bay"), (0xED, b"Photoshop 3.0\0" + block)
    )
    picture = read(content)
    back = written(picture, ".jpg")[0]
    image = Image.open(io.BytesIO(back))
    assert image.info["dpi"] == (300, 200) and image.info["comment"] == b"a bay"
    assert exiftool(back, ".jpg", tmp_path)["Headline"] == "Harbour"
    for suffix in (".png", ".tif"):
        dpi = Image.open(io.BytesIO(written(picture, suffix)[0])).info["dpi"]
        np.testing.assert_allclose(np.array(dpi, float), (300, 200), atol=0.02)
    assert any("iptc" in note for note in written(picture, ".png")[1])


def test_text_of_png_is_kept_or_named():
    texts = PngImagePlugin.PngInfo()
    for name in ("Comment", "Title", "Software"):
        texts.add_text(name, "a bay")
    picture = read(saved("PNG", pnginfo=texts))
    assert picture.metadata["comment"] == b"a bay"
    assert picture.notes == ("without its texts Title",)
    assert read(written(picture, ".png")[0]).metadata["comment"] == b"a bay"


@pytest.mark.parametrize("deep", [False, True])
def test_tags_of_tiff_are_kept_or_named(deep: bool):
    """IPTC in both its places and names of documents; places on Earth are named."""
    iptc = b"\x1c\x02\x69\x00\x07Harbour"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc
    for tag, content in ((33723, iptc), (34377, block)):
        tags = [(tag, "B", len(content), content, True), (269, "s", 0, "a bay", True)]
        tags += [(33550, "d", 3, (1.0, 1.0, 0.0), True), (65000, "H", 1, 7, True)]
        buffer = io.BytesIO()
        pixels = PHOTO.astype(np.uint16) * 257 if deep else PHOTO
        tifffile.imwrite(buffer, pixels, extratags=tags, metadata=None, photometric="rgb")
        picture = read(buffer.getvalue())
        assert picture.metadata["iptc"].rstrip(b"\0") == block
        assert b"a bay" in picture.metadata["exif"]
        (note,) = picture.notes
        assert note.startswith("without its TIFF tags 33550") and note.endswith("65000")


def test_more_metadata_than_a_reader_takes_are_refused():
    with pytest.raises(PictureError, match="its xmp is larger than 64 MiB"):
        pack_metadata("xmp", bytes(2**26 + 1))


def test_several_pictures_in_a_jpeg_are_named():
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(
        buffer, "MPO", save_all=True, append_images=[Image.fromarray(PHOTO)]
    )
    assert any("1 more picture" in note for note in read(buffer.getvalue()).notes)


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_a_profile_that_does_not_suit_is_dropped_with_a_note(mode: str):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, "TIFF", icc_profile=srgb)
    picture = read(buffer.getvalue())
    assert any("does not suit" in note for note in picture.notes)
    assert "icc" not in picture.metadata and picture.mode == "RGB"


def test_new_kinds_of_metadata_live_in_the_file_and_are_stripped(
    tmp_path: Path, tiny_model_path: Path
):
    source, vae = tmp_path / "a.jpg", tmp_path / "a.vae"
    source.write_bytes(saved(dpi=(300, 300), comment=b"a bay"))
    for options, left in (([], True), (["--strip", "comment", "--strip", "resolution"], False)):
        words = ["encode", str(source), "-o", str(vae), "-f", "--model", str(tiny_model_path)]
        assert CliRunner().invoke(main, [*words, *options]).exit_code == 0
        words = ["decode", str(vae), "-o", str(tmp_path / "b.jpg"), "-f"]
        assert CliRunner().invoke(main, [*words, "--model", str(tiny_model_path)]).exit_code == 0
        info = Image.open(tmp_path / "b.jpg").info
        assert (info.get("comment") == b"a bay") == left
        assert (info.get("dpi") == (300, 300)) == left
