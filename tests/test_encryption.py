"""Encrypted files: readable with the passphrase, silent without, and intact or refused."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.codec.decoder import DecodeOptions, decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.errors import PassphraseError, VaecodecError
from vaecodec.format.container import (
    HEADER_BYTES,
    Chunk,
    Header,
    pack_chunks,
    pack_header,
    read_chunks,
    read_header,
)
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

SECRET = b"correct horse"
PHOTO = make_photo(60, 80, seed=1)
ALPHA = np.tile(np.arange(80, dtype=np.uint8) * 3, (60, 1))
PICTURE = Picture(PHOTO, ALPHA, {"exif": b"Exif\0\0private place", "xmp": b"<private/>"})


@pytest.fixture(scope="module")
def sealed(tiny_model: Model) -> bytes:
    return encode_picture(PICTURE, tiny_model, EncodeOptions(900, passphrase=SECRET))


def decode(data: bytes, model: Model, passphrase: bytes | None = SECRET) -> Picture:
    return decode_picture(data, model, DecodeOptions(passphrase=passphrase))


def chunks_of(data: bytes) -> list[Chunk]:
    file = io.BytesIO(data)
    return [chunk for _, chunk in read_chunks(file, read_header(file))]


def test_decodes_to_what_the_plain_file_decodes_to(tiny_model: Model, sealed: bytes):
    plain = decode(encode_picture(PICTURE, tiny_model, EncodeOptions(900)), tiny_model, None)
    opened = decode(sealed, tiny_model)
    np.testing.assert_array_equal(opened.pixels, plain.pixels)
    np.testing.assert_array_equal(opened.alpha, ALPHA)
    assert opened.metadata == PICTURE.metadata


def test_nothing_private_is_readable(sealed: bytes):
    import zlib

    for chunk in chunks_of(sealed):
        assert b"private" not in chunk.payload
        with pytest.raises(zlib.error):
            zlib.decompress(chunk.payload)


def test_two_encryptions_share_nothing(tiny_model: Model, sealed: bytes):
    again = encode_picture(PICTURE, tiny_model, EncodeOptions(900, passphrase=SECRET))
    for a, b in zip(chunks_of(sealed), chunks_of(again), strict=True):
        assert a.payload[18:30] != b.payload[18:30]


@pytest.mark.parametrize(
    "passphrase, message", [(b"wrong horse", "wrong passphrase"), (None, "is encrypted")]
)
def test_without_the_passphrase_there_is_no_picture(
    tiny_model: Model, sealed: bytes, passphrase, message: str
):
    with pytest.raises(PassphraseError, match=message):
        decode(sealed, tiny_model, passphrase)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_tampering_is_noticed_even_with_right_checksums(
    tiny_model: Model, sealed: bytes, data: st.DataObject
):
    chunks = chunks_of(sealed)
    header = bytearray(sealed[:HEADER_BYTES])
    kind = data.draw(st.sampled_from(["bit", "drop", "swap", "header"]))
    place = data.draw(st.integers(0, len(chunks) - 1))
    if kind == "bit":
        payload = bytearray(chunks[place].payload)
        bit = data.draw(st.integers(0, 8 * len(payload) - 1))
        payload[bit // 8] ^= 1 << bit % 8
        chunks[place] = Chunk(chunks[place].type, bytes(payload))
    elif kind == "drop":
        del chunks[place]
    elif kind == "swap":
        other = (place + 1) % len(chunks)
        a, b = chunks[place], chunks[other]
        chunks[place], chunks[other] = Chunk(a.type, b.payload), Chunk(b.type, a.payload)
    else:
        described = read_header(io.BytesIO(sealed))
        header = pack_header(Header(**{**vars(described), "level": described.level + 1}))
    with pytest.raises(VaecodecError):
        decode(bytes(header) + pack_chunks(chunks), tiny_model)


def test_hostile_cost_of_the_key_is_refused(tiny_model: Model, sealed: bytes):
    chunks = chunks_of(sealed)
    chunks[0] = Chunk(chunks[0].type, b"\x01\x1e" + chunks[0].payload[2:])
    with pytest.raises(VaecodecError, match="unknown here"):
        decode(sealed[:HEADER_BYTES] + pack_chunks(chunks), tiny_model)


# --- the command ---------------------------------------------------------------------------------


def run(*arguments: object, model: Path, secret: str | None = None) -> Result:
    words = [*map(str, arguments), "--model", str(model)]
    return CliRunner().invoke(main, words, env={"VAECODEC_PASSPHRASE": secret})


def test_command(tmp_path: Path, tiny_model_path: Path):
    photo, vae, back, key = (tmp_path / n for n in ("p.png", "p.vae", "back.png", "key.txt"))
    Image.fromarray(PHOTO).save(photo)
    key.write_text("pässword\nsecond line\n", encoding="utf-8")
    none = run("encode", photo, "--encrypt", model=tiny_model_path)
    assert none.exit_code == 2 and "--passphrase-file" in none.stderr and not vae.exists()
    done = run("encode", photo, "--encrypt", "--passphrase-file", key, model=tiny_model_path)
    assert done.exit_code == 0, done.output
    facts = json.loads(run("info", vae, "--json", model=tiny_model_path).stdout)
    assert facts["encrypted"] and facts["width"] == 80
    missing = run("decode", vae, "-o", back, model=tiny_model_path)
    assert missing.exit_code == 1 and "is encrypted" in missing.stderr and not back.exists()
    wrong = run("decode", vae, "-o", back, model=tiny_model_path, secret="password")
    assert wrong.exit_code == 1 and "wrong passphrase" in wrong.stderr and not back.exists()
    # The same letters composed otherwise are the same passphrase.
    assert (
        run("decode", vae, "-o", back, model=tiny_model_path, secret="pa\u0308ssword").exit_code
        == 0
    )
    assert run("verify", vae, model=tiny_model_path, secret="pässword").exit_code == 0
    assert run("verify", vae, "--quick", model=tiny_model_path).exit_code == 0


def test_missing_package_is_named(tiny_model: Model, monkeypatch: pytest.MonkeyPatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(VaecodecError, match=r"pip install '\.\[crypto\]'"):
        encode_picture(PICTURE, tiny_model, EncodeOptions(900, passphrase=SECRET))
