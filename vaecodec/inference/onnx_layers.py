"""Layers of the network, as they are put into an ONNX graph, whatever computes them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vaecodec.inference.onnx_writer import INT32, Graph
from vaecodec.network.config import LEAK
from vaecodec.network.weights import Weights


class EightBits(NamedTuple):
    """What a residual block of 8 bits computes with (network.layers.EightBitBlock).

    `input`, `output`: scales of its channels; `zeros`: what stands for 0 in the bytes of its input,
    hidden and output values; `enter`, `leave`: by what the sums of its convolutions are multiplied
    to become such bytes; `enter_step`: what those of the first count; `leave_bias`: added to those
    of the second.
    """

    input: np.ndarray
    output: np.ndarray
    zeros: tuple[np.ndarray, np.ndarray, np.ndarray]
    enter: np.ndarray
    leave: np.ndarray
    enter_step: np.ndarray
    leave_bias: np.ndarray


class Layers(ABC):
    """Puts layers of a model, one after the other, into the graph `name`.

    `sides`: the axes of height and width of the arrays between them.
    """

    sides: tuple[int, int]

    def __init__(self, weights: Weights, name: str):
        self.graph = Graph(name)
        self.parameter = weights.float_parameter
        self._weights = weights
        self._anchors = weights.config["anchors"]
        self._hat: str | None = None
        self._integers: dict[Graph, dict[tuple[int, ...], str]] = {}
        self._cut: tuple[str, str] | None = None

    def reduced(self, name: str) -> str:
        """Weight or bias of the map for reduced pictures."""
        return self.graph.constant(self._weights.reduced[name].astype(np.float32))

    def scale_parameter(self, name: str) -> np.ndarray:
        """Integers of the scale network."""
        return self._weights.scale_parameters[name]

    def stored(self, name: str) -> str:
        """A parameter of the weight file."""
        return self.graph.constant(self.parameter(name))

    def at_level(self, table: str) -> str:
        """The vector `[channels]` of a level table, linear between its anchors."""
        g = self.graph
        if self._hat is None:
            anchors = g.constant(np.arange(self._anchors, dtype=np.float32))
            distance = g.node("Abs", g.node("Sub", g.input("t", [1]), anchors))
            one = g.constant(np.ones(1, np.float32))
            self._hat = g.node("Relu", g.node("Sub", one, distance))  # the weight of each anchor
        return g.node("MatMul", self._hat, self.stored(f"{table}.values"))

    def exp_at_level(self, table: str) -> str:
        return self.graph.node("Exp", self.at_level(table))

    @abstractmethod
    def from_channels_last(self, value: str) -> str:
        """`[H, W, C]` to how the layers want it."""

    @abstractmethod
    def to_channels_last(self, value: str) -> str:
        """Back to `[H, W, C]`."""

    @abstractmethod
    def project_blocks(self, x: str, matrix: np.ndarray, bias: np.ndarray) -> str:
        """Of a picture's blocks, pixels by channel, row and column, what `matrix` `[FRONT, FRONT]`
        makes of them; `x` is `[H, W, 3]`."""

    @abstractmethod
    def restore_blocks(self, h: str, matrix: np.ndarray, bias: np.ndarray) -> str:
        """The inverse: a picture `[H, W, 3]` of blocks that `matrix` makes of features."""

    @abstractmethod
    def convolve(
        self,
        value: str,
        layer: str,
        bias: str = "",
        table: str = "",
        stride: int = 1,
        pad: int = 0,
        crop: int = 0,
    ) -> str:
        """A convolution, with a parameter and a level table as its biases, less `crop` positions at
        the sides that `cut` names."""

    @abstractmethod
    def double(self, value: str, layer: str, crop: int) -> str:
        """A transposed convolution, 4x4 with stride 2, cropped in the same way."""

    @abstractmethod
    def residual_block(self, value: str, block: str) -> str:
        """network.layers.ResidualBlock or EightBitBlock, cropped by what it cannot see."""

    def multiply_under(
        self,
        values: str,
        under: list[str],
        parameter: str,
        arranged: Callable[[np.ndarray], np.ndarray],
        chosen: str,
    ) -> str:
        """What lies `under` the taps of windows, `[N, taps]` for each of several sets of them, in
        `values` `[H, W, C]`, times a matrix for each set: `[sets * N, out]`.

        `arranged` makes matrices `[K, taps * C, out]` of a parameter, and `chosen` `[sets]` numbers
        those that are taken. As exact as float32 is, since what comes of it is rounded later.
        """
        g = self.graph
        matrices = g.constant(arranged(self.parameter(parameter)))
        flat = self.rows_of(values)
        products = []
        for number, positions in enumerate(under):
            matrix = g.node("Gather", matrices, self.element(chosen, number))
            products.append(g.node("MatMul", self.columns(flat, positions), matrix))
        return g.node("Concat", *products, axis=0)

    def activate(self, value: str) -> str:
        return self.graph.node("LeakyRelu", value, alpha=LEAK)

    def squash(self, value: str) -> str:
        """sign(x) log(1 + |x|). The sign is x / |x|, as Sign takes four times as long as Div."""
        g = self.graph
        one, tiny = (g.constant(np.array(n, np.float32)) for n in (1, 1e-30))
        size = g.node("Abs", value)
        sign = g.node("Div", value, g.node("Add", size, tiny))
        return g.node("Mul", sign, g.node("Log", g.node("Add", size, one)))

    def around_phases(self, values: str, zero: str = "") -> tuple[str, list[str]]:
        """`values` `[h, w, C]` padded with `zero`, and for each of the four phases of positions the
        numbers of those that lie in the 3x3 around each, `[N, 9]`."""
        g = self.graph

        one, two = self.integers(1), self.integers(2)
        sides = self.lengths(values, 0, 1)
        half = g.node("Div", g.node("Add", sides, one), two)
        padded = g.node("Add", g.node("Mul", half, two), two)
        beyond = g.node("Sub", g.node("Sub", padded, sides), one)
        pads = g.node("Concat", self.integers(1, 1, 0), beyond, self.integers(0), axis=0)
        values = g.node("Pad", values, pads, *([zero] if zero else []))
        width = g.node("Gather", padded, one)
        rows, columns = (
            g.node("Mul", self.range(g.node("Gather", half, self.integers(axis))), two)
            for axis in (0, 1)
        )
        starts = g.node("Mul", g.node("Unsqueeze", rows, one), width)
        starts = g.node("Reshape", g.node("Add", starts, columns), self.integers(-1, 1))
        under = []
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            down = self.integers(*(row + tap // 3 for tap in range(9)))
            across = self.integers(*(column + tap % 3 for tap in range(9)))
            offsets = g.node("Add", g.node("Mul", down, width), across)
            under.append(g.node("Add", starts, offsets))
        return values, under

    def interleave(self, phases: str) -> str:
        """Four phases of positions, `[4, h, w, C]`, to `[2h, 2w, C]`."""
        g = self.graph
        height, width, channels = (self.lengths(phases, axis) for axis in (1, 2, 3))
        two = self.integers(2)
        sides = g.node("Concat", two, two, height, width, channels, axis=0)
        h = g.node("Transpose", g.node("Reshape", phases, sides), perm=[2, 0, 3, 1, 4])
        whole = [g.node("Mul", side, two) for side in (height, width)]
        return g.node("Reshape", h, g.node("Concat", *whole, channels, axis=0))

    def range(self, stop: str, step: str = "") -> str:
        """0, `step`, .. below `stop`, both `[1]`."""
        g, scalar = self.graph, self.graph.constant(np.zeros(0, np.int64))
        zero, one = (g.constant(np.array(n, np.int64)) for n in (0, 1))
        by = g.node("Reshape", step, scalar) if step else one
        return g.node("Range", zero, g.node("Reshape", stop, scalar), by)

    def integers(self, *values: int) -> str:
        """A constant `[N]`, stored once in a graph."""
        known = self._integers.setdefault(self.graph, {})
        if values not in known:
            known[values] = self.graph.constant(np.array(values, np.int64))
        return known[values]

    def lengths(self, value: str, *axes: int) -> str:
        """Of these axes of an array, `[N]`."""
        return self.graph.node("Gather", self.graph.node("Shape", value), self.integers(*axes))

    def element(self, values: str, number: int) -> str:
        """One of `values` `[N]`, without an axis."""
        return self.graph.node("Gather", values, self.graph.constant(np.array(number, np.int64)))

    def rows_of(self, values: str) -> str:
        """`[H, W, C]` to `[H * W, C]`."""
        g = self.graph
        shape = g.node("Concat", self.integers(-1), self.lengths(values, 2), axis=0)
        return g.node("Reshape", values, shape)

    def columns(self, rows: str, under: str) -> str:
        """Of `rows` `[P, C]` those that lie `under` the taps of each window, `[N, taps]`, one after
        the other: `[N, taps * C]`."""
        g = self.graph
        return g.node("Reshape", g.node("Gather", rows, under, axis=0), self.integers(0, -1))

    def crop(self, value: str, positions: int) -> str:
        """Without the outermost `positions` at the sides that `cut` names: what the last layers
        made of a halo whose neighbours they could not see, and which no later one needs."""
        g = self.graph
        before, after = self.cut_positions(positions)
        stop = g.node("Sub", self.lengths(value, *self.sides), after)
        return g.node("Slice", value, before, stop, self.integers(*self.sides))

    def cut_positions(self, positions: int) -> tuple[str, str]:
        """`positions` at the sides that `cut` names and 0 at others: `[2]` at top and left, `[2]`
        at bottom and right."""
        g = self.graph
        if self._cut is None:
            cut = g.optional_input("cut", np.zeros(4, np.int64))
            first, last = self.integers(0, 1), self.integers(2, 3)
            self._cut = g.node("Gather", cut, first), g.node("Gather", cut, last)
        count = self.integers(positions)
        first, last = (g.node("Mul", side, count) for side in self._cut)
        return first, last

    def eight_bits(self, block: str) -> EightBits:
        places = [f"{block}.{place}" for place in ("input", "hidden", "output")]
        inner, hidden, outer = (self.parameter(f"{place}.scale") for place in places)
        before, between, after = (
            self.parameter(f"{place}.zero").astype(np.uint8)[0, ...] for place in places
        )
        enter_step = inner.max() * self._weights.step(f"{block}.enter.weight")
        leave_step = hidden * self._weights.step(f"{block}.leave.weight")
        bias = np.rint(self.parameter(f"{block}.leave.bias") / leave_step)
        return EightBits(
            input=inner,
            output=outer,
            zeros=(before, between, after),
            enter=enter_step / hidden,
            leave=leave_step / outer,
            enter_step=enter_step,
            leave_bias=bias.astype(np.int32),
        )

    def enter_bias(self, block: str, step: np.ndarray) -> str:
        """The level's bias of a block of 8 bits, as integers that count `step`."""
        g = self.graph
        return g.node(
            "Cast",
            g.node("Round", g.node("Div", self.at_level(f"{block}.bias"), g.constant(step))),
            to=INT32,
        )
