"""Layers that work strip by strip, on arrays `[H, W, C]`.

A strip is a few rows, which a core's cache holds: a fifth less time than whole arrays take. All
strips of an array are equally high, so that it may have more rows than are wanted, which the next
layer leaves out.
"""

from abc import ABC
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vaecodec.inference.onnx_layers import Layers
from vaecodec.inference.onnx_writer import Graph
from vaecodec.network.config import BLOCK, FRONT
from vaecodec.network.weights import Weights

_WINDOWS = 640  # of a strip, at most; what lies under them fits into 2 MiB

Taps = list[tuple[int, int]]  # rows and columns in a window


class Reach(NamedTuple):
    """Windows of `side` positions a side, `stride` apart, over an array with `pad` positions of 0
    around it, less `crop` windows at the sides that `cut` names."""

    side: int
    stride: int
    pad: int
    crop: int


class Strips(NamedTuple):
    """Where the rows of an output are cut: the first row of each strip `[S, 1]`, how many it has
    `[1]`, and the sum `[1]`."""

    first: str
    rows: str
    all_rows: str


class Rows(NamedTuple):
    """What strips take of an array: from row `start` `[S, 1]` to before `stop` `[S, 1]`, with
    `pads` `[S, 6]` of `zero`."""

    value: str
    start: str
    stop: str
    pads: str
    zero: str


class Windows(NamedTuple):
    """What a layer sees of `rows`. `under`: for each set of taps the numbers of the positions
    in a strip that lie under them `[N, taps]`; `shape`: the rows and columns of windows `[2]` that
    are wanted."""

    rows: Rows
    under: list[str]
    shape: str


class StripLayers(Layers, ABC):
    """Where strips and windows lie."""

    sides = (0, 1)

    def __init__(self, weights: Weights, name: str):
        super().__init__(weights, name)
        self._pads: dict[tuple[int, int], tuple[str, str]] = {}
        self._shapes: dict[str, str] = {}  # `[2]`, of arrays that have rows more than are wanted

    def from_channels_last(self, value: str) -> str:
        return value

    def to_channels_last(self, value: str) -> str:
        """Without the rows that nobody wants."""
        if value not in self._shapes:
            return value
        none = self.integers(0)
        rows = self.graph.node("Gather", self._shapes[value], none)
        return self.graph.node("Slice", value, none, rows, none)

    def project_blocks(self, x: str, matrix: np.ndarray, bias: np.ndarray) -> str:
        g = self.graph
        block = self.integers(BLOCK)
        rows_columns = g.node("Div", self.lengths(x, 0, 1), block)
        rows, columns = g.nodes(2, "Split", rows_columns)
        sides = g.node("Concat", rows, block, columns, self.integers(BLOCK, 3), axis=0)
        # Rows of a block, 24 samples each, one after the other.
        x = g.node("Transpose", g.node("Reshape", x, sides), perm=[0, 2, 1, 3, 4])
        x = g.node("Reshape", x, self._joined(rows_columns, FRONT))
        h = g.node("MatMul", x, g.constant(_channels_last(matrix.T, 0)))
        return g.node("Add", h, g.constant(bias))

    def restore_blocks(self, h: str, matrix: np.ndarray, bias: np.ndarray) -> str:
        g = self.graph
        h = self.to_channels_last(h)
        shape = g.node("Mul", self.lengths(h, 0, 1), self.integers(BLOCK))
        product = g.node("MatMul", h, g.constant(_channels_last(matrix, 0).T.copy()))
        x = g.node("Add", product, g.constant(_channels_last(bias, 0)))
        x = g.node("Reshape", x, self.integers(0, 0, BLOCK, BLOCK, 3))
        x = g.node("Transpose", x, perm=[0, 2, 1, 3, 4])
        return g.node("Reshape", x, self._joined(shape, 3))

    def strips(self, value: str, reach: Reach) -> Strips:
        """Of a layer's output: as few as may be, and as even."""
        g, one = self.graph, self.integers(1)
        rows, columns = g.nodes(2, "Split", self._windows_shape(value, reach))
        most = g.node("Max", one, g.node("Div", self.integers(_WINDOWS), columns))
        count = self._divided_up(rows, most)
        each = self._divided_up(rows, count)
        all_rows = g.node("Mul", count, each)
        first = g.node("Unsqueeze", self.range(all_rows, each), one)
        return Strips(first, each, all_rows)

    def windows(
        self,
        value: str,
        strips: Strips,
        reach: Reach,
        zero: str = "",
        taps: list[Taps] | None = None,
    ) -> Windows:
        """`zero`: what stands for 0 where the array is of bytes; `taps`: all, if not named."""
        g, one, side, stride = self.graph, self.integers(1), reach.side, reach.stride
        shape, step = self._windows_shape(value, reach), self.integers(stride)
        before, after = self.pads(reach.pad, reach.crop * stride)
        strip_step = self._times(strips.rows, stride)
        height = g.node("Add", strip_step, self.integers(side - stride))
        first = self._times(strips.first, stride)
        rows = self.rows(value, first, height, before, after, zero)
        padding = g.node("Gather", g.node("Add", before, after), one)
        width = g.node("Add", g.node("Gather", self.wanted_shape(value), one), padding)
        columns = self._times(g.node("Gather", shape, one), stride)
        down = g.node("Mul", self.range(strip_step, step), width)
        starts = g.node("Add", g.node("Unsqueeze", down, one), self.range(columns, step))
        starts = g.node("Reshape", starts, self.integers(-1, 1))
        under = []
        for places in taps or [[(row, column) for row in range(side) for column in range(side)]]:
            down, across = (self.integers(*numbers) for numbers in zip(*places, strict=True))
            offsets = g.node("Add", g.node("Mul", down, width), across)
            under.append(g.node("Add", starts, offsets))
        return Windows(rows, under, shape)

    def rows(
        self, value: str, first: str, height: str, before: str, after: str, zero: str = ""
    ) -> Rows:
        """`height` rows for each strip, from row `first` of the array after its padding, of
        `before` and `after` `[2]` positions. What is not there, or not wanted, is 0."""
        g, none, one = self.graph, self.integers(0), self.integers(1)
        top, left = g.nodes(2, "Split", before)
        start = g.node("Sub", first, top)
        stop = g.node("Add", start, height)
        from_row = g.node("Max", start, none)
        to_row = g.node("Min", stop, g.node("Gather", self.wanted_shape(value), none))
        nothing = g.node("Sub", first, first)
        pads = [
            g.node("Sub", from_row, start),
            g.node("Add", nothing, left),
            nothing,
            g.node("Sub", stop, to_row),
            g.node("Add", nothing, g.node("Gather", after, one)),
            nothing,
        ]
        return Rows(value, from_row, to_row, g.node("Concat", *pads, axis=1), zero)

    def each_strip(
        self,
        strips: Strips,
        windows: Windows,
        layer: Callable[[str], str],
        channels: int,
        scale: int = 1,
        dtype: type[np.generic] = np.float32,
        passing: Rows | None = None,
    ) -> str:
        """`[H, W, channels]` of what `layer` makes, `[N, channels]`, of the rows of each strip,
        with those of `passing` added; `scale`: how much larger it makes them."""
        outer = self.graph
        taken = [windows.rows, passing] if passing else [windows.rows]

        def strip(inner: Graph, places: list[str]) -> str:
            self.graph, axis = inner, inner.constant(np.zeros(1, np.int64))
            parts = []
            for rows, (start, stop, pads) in zip(taken, _triples(places), strict=True):
                x = inner.node("Slice", rows.value, start, stop, axis)
                parts.append(inner.node("Pad", x, pads, *([rows.zero] if rows.zero else [])))
            result = layer(parts[0])
            for part in parts[1:]:
                flat = inner.node("Reshape", part, self.integers(-1, channels))
                result = inner.node("Add", flat, result)
            self.graph = outer
            return result

        places = [place for rows in taken for place in (rows.start, rows.stop, rows.pads)]
        widths = [1, 1, 6] * len(taken)
        h = outer.each(places, widths, strip, ["windows", channels], dtype)
        columns = outer.node("Gather", windows.shape, self.integers(1))
        computed = outer.node("Concat", strips.all_rows, columns, axis=0)
        h = outer.node("Reshape", h, self._joined(self._times(computed, scale), channels))
        return self.of_shape(h, self._times(windows.shape, scale))

    def pads(self, pad: int, crop: int) -> tuple[str, str]:
        """Positions that are added at top and left `[2]`, and at bottom and right: `pad`, less
        `crop` at the sides that `cut` names."""
        if (pad, crop) not in self._pads:
            before, after = (
                self.graph.node("Sub", self.integers(pad), cut) for cut in self.cut_positions(crop)
            )
            self._pads[pad, crop] = before, after
        return self._pads[pad, crop]

    def _windows_shape(self, value: str, reach: Reach) -> str:
        """Rows and columns of windows `[2]`."""
        g = self.graph
        before, after = self.pads(reach.pad, reach.crop * reach.stride)
        padded = g.node("Add", self.wanted_shape(value), g.node("Add", before, after))
        windows = g.node("Sub", padded, self.integers(reach.side - reach.stride))
        return windows if reach.stride == 1 else g.node("Div", windows, self.integers(reach.stride))

    def wanted_shape(self, value: str) -> str:
        """Its rows and columns `[2]`, of those that are wanted."""
        return self._shapes.get(value) or self.lengths(value, 0, 1)

    def of_shape(self, value: str, shape: str | None) -> str:
        if shape is not None:
            self._shapes[value] = shape
        return value

    def _joined(self, shape: str, channels: int) -> str:
        return self.graph.node("Concat", shape, self.integers(channels), axis=0)

    def _times(self, value: str, factor: int) -> str:
        return value if factor == 1 else self.graph.node("Mul", value, self.integers(factor))

    def _divided_up(self, value: str, by: str) -> str:
        g = self.graph
        less_one = g.node("Sub", g.node("Add", value, by), self.integers(1))
        return g.node("Div", less_one, by)


def _triples(values: list[str]) -> list[list[str]]:
    return [values[start : start + 3] for start in range(0, len(values), 3)]


def _channels_last(values: np.ndarray, axis: int) -> np.ndarray:
    """The samples of a block along `axis` from the order channel, row, column to row, column,
    channel."""
    order = np.arange(FRONT).reshape(3, BLOCK * BLOCK).T.reshape(-1)
    return np.ascontiguousarray(values.take(order, axis))
