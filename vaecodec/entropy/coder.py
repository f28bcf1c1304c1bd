"""Integers and table numbers to bytes and back, with an ANS coder.

The coder is constriction's where it can be imported and else `entropy.ans`, which reads and writes
the same words and specifies them.

Symbols are coded in groups that share a table, one library call per group: all symbols of table 0
in their order, then all of table 1 and so on. An ANS coder is a stack, so the encoder runs through
everything backwards and the decoder reads forwards.

A value beyond its table's radius R is coded as the table's escape; after the groups of a call come
the escaped values in the same order, each as zigzag(value -+ R) in two uniform 12-bit halves,
low half first.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from vaecodec.errors import FormatError, VaecodecWarning


def _choose_coder() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """AnsCoder, and Categorical of weights that sum to the coder's total (see entropy/tables)."""
    try:
        import constriction
    except ImportError:
        from vaecodec.entropy import ans

        slow = "coding is slower without the package constriction, which is not installed here"
        warnings.warn(slow, VaecodecWarning, stacklevel=2)
        return ans.AnsCoder, ans.Categorical
    stream = constriction.stream
    return stream.stack.AnsCoder, partial(stream.model.Categorical, perfect=False)


_AnsCoder, _Categorical = _choose_coder()
_HALF_BITS = 12
_UNIFORM = _Categorical(np.full(1 << _HALF_BITS, (1 << _HALF_BITS) - 1, np.float64))
MAX_SYMBOL = 1 << 22


class TableSet:
    """Coder models made from integer tables (see entropy/tables)."""

    def __init__(self, tables: list[np.ndarray]):
        self.radius = np.array([(len(table) - 2) // 2 for table in tables], np.int32)
        self.tables = tables
        self._models: list[object | None] = [None] * len(tables)

    def model(self, number: int) -> object:
        """The coder's model of a table, made when first used."""
        if self._models[number] is None:
            self._models[number] = _Categorical(self.tables[number].astype(np.float64))
        return self._models[number]


def _groups(indices: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Stable order by table, and (table, start, stop) of each table in that order."""
    # numpy sorts integers of at most 16 bits by their digits, four times as fast as larger ones.
    small = indices if indices.dtype == np.uint8 else indices.astype(np.uint16)
    order = np.argsort(small, kind="stable")
    counts = np.bincount(indices)
    used = np.flatnonzero(counts)
    stops = np.cumsum(counts[used])
    starts = stops - counts[used]
    return order, list(zip(used.tolist(), starts.tolist(), stops.tolist(), strict=True))


class Encoder:
    """Collects calls of `push` and codes them all in `finish`."""

    def __init__(self) -> None:
        self._calls: list[tuple[TableSet, np.ndarray, np.ndarray]] = []

    def push(self, tables: TableSet, symbols: np.ndarray, indices: np.ndarray) -> None:
        """Append `symbols` (`[N]` integers), each coded with the table that `indices` (`[N]`)
        names."""
        if len(symbols) and np.abs(symbols).max() > MAX_SYMBOL:
            raise ValueError("symbol out of the coder's range")
        self._calls.append((tables, symbols.astype(np.int32), indices))

    def finish(self) -> bytes:
        """The coded bytes, a multiple of 4."""
        coder = _AnsCoder()
        for tables, symbols, indices in reversed(self._calls):
            order, groups = _groups(indices)
            entries, escaped = symbols[order], []
            for table, start, stop in groups:
                radius = int(tables.radius[table])
                part = entries[start:stop]
                beyond = np.abs(part) > radius
                if beyond.any():
                    escaped.append(_split(part[beyond], radius))
                    part[beyond] = radius + 1
                part += radius
            if escaped:
                coder.encode_reverse(np.concatenate(escaped), _UNIFORM)
            for table, start, stop in reversed(groups):
                coder.encode_reverse(entries[start:stop], tables.model(table))
        result: bytes = coder.get_compressed().astype("<u4").tobytes()
        return result


class Decoder:
    """Mirror of Encoder: `pop` returns what was pushed, in the same order of calls."""

    def __init__(self, data: bytes):
        words = np.frombuffer(data, "<u4").astype(np.uint32)
        if len(words) and words[-1] == 0:
            raise FormatError("entropy-coded data end in a zero word, which no encoder writes")
        self._coder = _AnsCoder(words)

    def pop(self, tables: TableSet, indices: np.ndarray) -> np.ndarray:
        """The next `[N]` int32 symbols, coded with the tables that `indices` (`[N]`) names."""
        order, groups = _groups(indices)
        ordered = np.empty(len(indices), np.int32)
        for table, start, stop in groups:
            entries = self._coder.decode(tables.model(table), stop - start)
            np.subtract(entries, tables.radius[table], out=ordered[start:stop])
        for table, start, stop in groups:
            part, radius = ordered[start:stop], int(tables.radius[table])
            beyond = part > radius
            if beyond.any():
                halves = self._coder.decode(_UNIFORM, 2 * int(beyond.sum()))
                part[beyond] = _join(halves, radius)
        symbols = np.empty_like(ordered)
        symbols[order] = ordered
        return symbols

    def finish(self) -> None:
        """Raise FormatError unless everything was read."""
        if not self._coder.is_empty():
            raise FormatError("entropy-coded data go on after the last symbol; get another copy")


def _split(symbols: np.ndarray, radius: int) -> np.ndarray:
    excess = (np.abs(symbols) - radius - 1) * 2 + (symbols < 0)
    halves = np.stack([excess & ((1 << _HALF_BITS) - 1), excess >> _HALF_BITS], axis=1)
    return halves.reshape(-1).astype(np.int32)


def _join(halves: np.ndarray, radius: int) -> np.ndarray:
    low, high = halves.reshape(-1, 2).T
    excess = low + (high << _HALF_BITS)
    magnitude = (excess >> 1) + radius + 1
    result: np.ndarray = np.where(excess & 1, -magnitude, magnitude).astype(np.int32)
    return result
