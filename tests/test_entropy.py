"""Entropy coding: whatever integers go in come out, at the price that the tables promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaecodec.entropy.coder import MAX_SYMBOL, Decoder, Encoder, TableSet
from vaecodec.entropy.tables import (
    PRECISION,
    check_table,
    cost_bits,
    logistic_frequencies,
    table_from_frequencies,
)
from vaecodec.errors import FormatError

SCALES = [0.05, 0.3, 1.0, 5.0, 40.0]
TABLES = [
    table_from_frequencies(*logistic_frequencies(scale, int(20 * scale) + 3)) for scale in SCALES
]
TABLE_SET = TableSet(TABLES)

symbols_with_tables = st.lists(
    st.tuples(
        st.integers(-MAX_SYMBOL, MAX_SYMBOL) | st.integers(-3, 3), st.integers(0, len(SCALES) - 1)
    ),
    max_size=60,
)


@given(st.lists(symbols_with_tables, max_size=4))
def test_round_trip(calls: list[list[tuple[int, int]]]):
    encoder = Encoder()
    arrays = [np.array(call, np.int64).reshape(-1, 2) for call in calls]
    for array in arrays:
        encoder.push(TABLE_SET, array[:, 0], array[:, 1])
    decoder = Decoder(encoder.finish())
    for array in arrays:
        np.testing.assert_array_equal(decoder.pop(TABLE_SET, array[:, 1]), array[:, 0])
    decoder.finish()


def test_length_is_the_cost_of_the_tables():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, len(SCALES), 20000)
    symbols = np.rint(rng.logistic(scale=np.array(SCALES)[indices])).astype(np.int64)
    encoder = Encoder()
    encoder.push(TABLE_SET, symbols, indices)
    bits = sum(
        cost_bits(TABLES[index])[symbols[indices == index] + TABLE_SET.radius[index]].sum()
        for index in range(len(SCALES))
    )
    assert bits / 8 <= len(encoder.finish()) <= bits / 8 * 1.0005 + 8


def test_coded_bytes_are_pinned():
    """The very words must never change: files depend on them."""
    encoder = Encoder()
    encoder.push(TABLE_SET, np.array([0, -1, 2, 300, -5, 0]), np.array([0, 1, 2, 3, 4, 0]))
    assert encoder.finish().hex() == "6e69c62797fdb903"


@given(st.integers(0, 200), st.floats(0.01, 100), st.floats(0, 1))
def test_tables_are_what_the_coder_needs(radius: int, scale: float, escape: float):
    frequencies, _ = logistic_frequencies(scale, radius)
    table = table_from_frequencies(frequencies, escape)
    check_table(table)
    assert table.sum() + len(table) == 1 << PRECISION


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + 1, lambda t: t * np.int32(-1)])
def test_spoilt_tables_are_refused(spoil):
    with pytest.raises(ValueError):
        check_table(spoil(TABLES[2]))


def test_data_that_no_encoder_writes_are_refused():
    with pytest.raises(FormatError):
        Decoder(bytes(8))


def test_leftover_data_are_noticed():
    encoder = Encoder()
    encoder.push(TABLE_SET, np.arange(-50, 50), np.full(100, 3))
    decoder = Decoder(encoder.finish())
    decoder.pop(TABLE_SET, np.full(90, 3))
    with pytest.raises(FormatError, match="go on"):
        decoder.finish()


@given(st.binary(max_size=64), st.integers(0, 100))
def test_arbitrary_data_decode_to_something_or_are_refused(data: bytes, count: int):
    try:
        decoder = Decoder(data[: len(data) // 4 * 4])
    except FormatError:
        return
    symbols = decoder.pop(TABLE_SET, np.arange(count) % len(SCALES))
    assert symbols.shape == (count,) and np.abs(symbols).max(initial=0) < 2**26
