"""The file format: exact bytes, and one clear error for everything else."""

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaecodec.errors import FormatError
from vaecodec.format.container import (
    CHUNK_BYTES,
    HEADER_BYTES,
    LEVEL_MAX,
    MODES,
    SLICE_TYPE,
    Chunk,
    Header,
    pack_chunks,
    pack_header,
    pack_slice,
    read_chunks,
    read_header,
    salvage_chunks,
    unpack_header,
    unpack_slice,
)

HEADER = Header(width=300, height=200, mode="RGB", level=768, model_id=bytes(range(8)))


def whole_file(*chunks: Chunk, header: Header = HEADER) -> bytes:
    return pack_header(header) + pack_chunks(chunks)


def read_all(data: bytes) -> list[Chunk]:
    file = io.BytesIO(data)
    return [chunk for _, chunk in read_chunks(file, read_header(file))]


def test_header_bytes_are_those_of_the_specification():
    fields = bytes.fromhex("8f564145 01 00 2c010000 c8000000 0003 0001020304050607")
    assert pack_header(HEADER) == fields + zlib.crc32(fields).to_bytes(4, "little")


def test_chunk_bytes_are_those_of_the_specification():
    head = b"Slic" + bytes.fromhex("08000000")
    payload = bytes.fromhex("78563412 01020304")
    expected = b""
    for number in (0, 1):
        checksum = zlib.crc32(bytes([number, 0, 0, 0]) + head + payload)
        expected += head + checksum.to_bytes(4, "little") + payload
    assert pack_chunks([pack_slice(0x12345678, b"\x01\x02\x03\x04")] * 2) == expected


def test_fixed_cost_of_a_plain_photo_is_at_most_48_bytes():
    assert len(whole_file(pack_slice(0, b""))) <= 48


@given(
    st.builds(
        Header,
        width=st.integers(1, 30000),
        height=st.integers(1, 30000),
        mode=st.sampled_from(MODES),
        level=st.integers(0, LEVEL_MAX),
        model_id=st.binary(min_size=8, max_size=8),
    )
)
def test_header_round_trip(header: Header):
    assert unpack_header(pack_header(header)) == header


@given(st.lists(st.binary(max_size=40), max_size=4), st.binary(max_size=40))
def test_optional_chunks_are_kept_and_slices_come_back(extras: list[bytes], words: bytes):
    words = words[: len(words) // 4 * 4]
    chunks = [Chunk(b"note", extra) for extra in extras] + [pack_slice(7, words)]
    assert read_all(whole_file(*chunks)) == chunks
    assert unpack_slice(chunks[-1]) == (7, words)


def test_unknown_required_chunk_is_refused():
    with pytest.raises(FormatError, match="'Newt'"):
        read_all(whole_file(Chunk(b"Newt", b""), pack_slice(0, b"")))


@given(st.data())
def test_any_truncation_is_noticed(data: st.DataObject):
    whole = whole_file(Chunk(b"note", b"hello"), pack_slice(1, b"abcd"))
    with pytest.raises(FormatError):
        read_all(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.data())
def test_any_flipped_bit_is_noticed(data: st.DataObject):
    whole = bytearray(whole_file(Chunk(b"note", b"hello"), pack_slice(1, b"abcd")))
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        read_all(bytes(whole))


def test_bytes_after_the_end_are_noticed():
    with pytest.raises(FormatError, match="after its end"):
        read_all(whole_file(pack_slice(0, b"")) + b"x")


def test_every_slice_must_be_there():
    header = Header(width=1025, height=1024, mode="grey", level=0, model_id=bytes(8))
    assert header.slice_grid == (1, 2)
    with pytest.raises(FormatError, match="1 of 2 slices"):
        read_all(whole_file(pack_slice(0, b""), header=header))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"width": 0}, "values that no encoder writes"),
        ({"level": LEVEL_MAX + 1}, "values that no encoder writes"),
        ({"width": 2**31 - 1, "height": 1}, "over the limit"),
    ],
)
def test_impossible_headers_are_refused(change: dict, message: str):
    with pytest.raises(FormatError, match=message):
        unpack_header(pack_header(Header(**{**vars(HEADER), **change})))


def test_declared_length_beyond_the_limit_is_refused_before_memory_is_taken():
    huge = pack_header(HEADER) + SLICE_TYPE + b"\xff\xff\xff\xff" + bytes(4)
    assert len(huge) == HEADER_BYTES + CHUNK_BYTES
    with pytest.raises(FormatError, match="over the limit"):
        read_all(huge)


def test_slices_cannot_change_places():
    header = Header(width=2048, height=1024, mode="RGB", level=0, model_id=bytes(8))
    first, second = pack_slice(1, b"aaaa"), pack_slice(2, b"bbbb")
    whole = whole_file(first, second, header=header)
    swapped = whole_file(second, first, header=header)
    with pytest.raises(FormatError, match="checksum"):
        read_all(whole[:HEADER_BYTES] + whole[-20:] + whole[HEADER_BYTES:-20])
    assert read_all(swapped) == [second, first]


@given(st.data())
def test_salvage_loses_only_what_is_damaged(data: st.DataObject):
    header = Header(width=4096, height=1024, mode="RGB", level=0, model_id=bytes(8))
    slices = [pack_slice(n, bytes([n] * 8)) for n in range(4)]
    whole = bytearray(whole_file(*slices, header=header))
    size = (len(whole) - HEADER_BYTES) // 4
    bit = data.draw(st.integers(8 * HEADER_BYTES, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    hit = (bit // 8 - HEADER_BYTES) // size
    found = dict(salvage_chunks(bytes(whole), header))
    assert found == {n: slices[n] for n in range(4) if n != hit}


def test_salvage_of_a_file_with_a_missing_piece():
    header = Header(width=4096, height=1024, mode="RGB", level=0, model_id=bytes(8))
    slices = [pack_slice(n, bytes([n] * 8)) for n in range(4)]
    whole = whole_file(*slices, header=header)
    cut = whole[: HEADER_BYTES + 30] + whole[HEADER_BYTES + 40 : -5]
    assert dict(salvage_chunks(cut, header)) == {0: slices[0], 2: slices[2]}


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_file(data: bytes):
    with pytest.raises(FormatError):
        read_all(data)
