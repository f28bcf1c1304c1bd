"""Layers of the network, as they are put into an ONNX graph."""

import numpy as np

from vaecodec.inference.onnx_writer import INT32, Graph
from vaecodec.network.config import LEAK, is_eight_bit
from vaecodec.network.weights import Weights


class GraphBuilder:
    """Puts layers of a model, one after the other, into the graph `name`."""

    def __init__(self, weights: Weights, name: str):
        self.graph = Graph(name)
        self.parameter = weights.float_parameter
        self._weights = weights
        self._anchors = weights.config["anchors"]
        self._hat: str | None = None
        self._cut: tuple[str, str] | None = None

    def reduced(self, name: str) -> str:
        """Weight or bias of the map for reduced pictures."""
        return self.graph.constant(self._weights.reduced[name].astype(np.float32))

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

    def to_planes(self, value: str) -> str:
        """`[H, W, C]` to `[1, C, H, W]`."""
        planes = self.graph.node("Transpose", value, perm=[2, 0, 1])
        return self.graph.node("Unsqueeze", planes, self.graph.constant(np.zeros(1, np.int64)))

    def to_channels_last(self, value: str) -> str:
        """`[1, C, H, W]` to `[H, W, C]`."""
        planes = self.graph.node("Squeeze", value, self.graph.constant(np.zeros(1, np.int64)))
        return self.graph.node("Transpose", planes, perm=[1, 2, 0])

    def convolve(
        self, value: str, layer: str, bias: str = "", table: str = "", stride: int = 1, pad: int = 0
    ) -> str:
        """A convolution, with a parameter and a level table as its biases.

        That of the level is added behind it: ONNX Runtime computes a convolution in its blocked
        layout only where all parameters are constant, which takes a third less time.
        """
        g = self.graph
        parameters = [self.stored(name) for name in (f"{layer}.weight", bias) if name]
        h = g.node("Conv", value, *parameters, strides=[stride] * 2, pads=[pad] * 4)
        if not table:
            return h
        planes = g.constant(np.array([1, 2], np.int64))
        return g.node("Add", h, g.node("Unsqueeze", self.at_level(table), planes))

    def double(self, value: str, layer: str) -> str:
        """A transposed convolution, 4x4 with stride 2: a convolution of 2x2 for each of the four
        phases of its output, which takes two thirds of the time of ONNX Runtime's own."""
        g = self.graph
        weight, bias = self.parameter(f"{layer}.weight"), self.stored(f"{layer}.bias")
        weight = weight.swapaxes(0, 1)
        phases = []
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            # An even output takes inputs one before and at its place, an odd one at and one after.
            taps = weight[:, :, [3 - row, 1 - row]][:, :, :, [3 - column, 1 - column]]
            pads = [1 - row, 1 - column, row, column]
            phases.append(g.node("Conv", value, g.constant(taps), bias, pads=pads))
        # DCR: channels are phase-major, not pixel_shuffle's channel-major.
        return g.node("DepthToSpace", g.node("Concat", *phases, axis=1), blocksize=2, mode="DCR")

    def activate(self, value: str) -> str:
        return self.graph.node("LeakyRelu", value, alpha=LEAK)

    def crop(self, value: str, positions: int) -> str:
        """Without the outermost `positions` at the sides that `cut` names: what the last layers
        made of a halo whose neighbours they could not see, and which no later one needs."""
        g = self.graph
        if self._cut is None:
            cut = g.optional_input("cut", np.zeros(4, np.int64))
            first, last = (g.constant(np.array(sides, np.int64)) for sides in ([0, 1], [2, 3]))
            self._cut = g.node("Gather", cut, first), g.node("Gather", cut, last)
        count, axes = (g.constant(np.array(n, np.int64)) for n in ([positions], [2, 3]))
        starts, beyond = (g.node("Mul", side, count) for side in self._cut)
        sides = g.node("Gather", g.node("Shape", value), axes)
        return g.node("Slice", value, starts, g.node("Sub", sides, beyond), axes)

    def interleave(self, phases: str) -> str:
        """Four phases of positions, `[1, 4 * C, h, w]`, to `[2h, 2w, C]`: first channels last, then
        whole positions, which is faster than the two at once."""
        g = self.graph
        shape = g.node("Shape", phases)
        height, width = (g.node("Gather", shape, g.constant(np.array([n]))) for n in (2, 3))
        two, rest = (g.constant(np.array(n, np.int64)) for n in ([2], [2, 2, -1]))
        h = g.node("Transpose", phases, perm=[0, 2, 3, 1])
        h = g.node("Reshape", h, g.node("Concat", height, width, rest, axis=0))
        h = g.node("Transpose", h, perm=[0, 2, 1, 3, 4])
        sides = g.node("Mul", height, two), g.node("Mul", width, two)
        last = g.constant(np.array([-1], np.int64))
        return g.node("Reshape", h, g.node("Concat", *sides, last, axis=0))

    def squash(self, value: str) -> str:
        """sign(x) log(1 + |x|)."""
        g = self.graph
        size = g.node(
            "Log", g.node("Add", g.node("Abs", value), g.constant(np.ones(1, np.float32)))
        )
        return g.node("Mul", g.node("Sign", value), size)

    def shuffle(self, value: str, side: int) -> str:
        """Channels to blocks of `side` x `side` pixels, as torch's pixel_shuffle does."""
        return self.graph.node("DepthToSpace", value, blocksize=side, mode="CRD")

    def residual_block(self, value: str, block: str) -> str:
        if is_eight_bit(self._weights.config, block):
            return self.eight_bit_block(value, block)
        h = self.activate(self.convolve(value, f"{block}.enter", table=f"{block}.bias", pad=1))
        h = self.convolve(h, f"{block}.leave", f"{block}.leave.bias", pad=1)
        return self.graph.node("Add", value, h)

    def eight_bit_block(self, value: str, block: str) -> str:
        """network.layers.EightBitBlock, in the same integers."""
        g = self.graph
        inner, hidden, outer = (
            self.parameter(f"{block}.{place}.scale") for place in ("input", "hidden", "output")
        )
        zeros = [
            self.parameter(f"{block}.{place}.zero")[0].astype(np.uint8)
            for place in ("input", "hidden", "output")
        ]
        before, between, after = map(g.constant, zeros)
        one = g.constant(np.ones((), np.float32))
        h = g.node(
            "QuantizeLinear",
            value,
            g.constant(inner),
            g.constant(np.full(len(inner), zeros[0])),
            axis=1,
        )
        step = inner.max() * self._weights.step(f"{block}.enter.weight")
        bias = g.node("Round", g.node("Div", self.at_level(f"{block}.bias"), g.constant(step)))
        bias = g.node("Cast", bias, to=INT32)
        h = self.convolve_bytes(h, f"{block}.enter", before, step / hidden, between, bias)
        h = self.activate(g.node("DequantizeLinear", h, one, between))
        h = g.node("QuantizeLinear", h, one, between)
        step = hidden * self._weights.step(f"{block}.leave.weight")
        bias = g.constant(np.rint(self.parameter(f"{block}.leave.bias") / step).astype(np.int32))
        h = self.convolve_bytes(h, f"{block}.leave", between, step / outer, after, bias)
        # A row for each channel, as otherwise ONNX Runtime dequantises with channels last, where
        # each has a scale of its own, in six times the time, and transposes the floats.
        rows = g.node("Reshape", h, g.constant(np.array([len(outer), -1], np.int64)))
        scales = g.constant(outer), g.constant(np.full(len(outer), zeros[2]))
        h = g.node("DequantizeLinear", rows, *scales, axis=0)
        return g.node("Add", value, g.node("Reshape", h, g.node("Shape", value)))

    def convolve_bytes(
        self, value: str, layer: str, zero: str, factors: np.ndarray, new_zero: str, bias: str
    ) -> str:
        """Bytes to bytes: integer sums times `factors` `[out]`, rounded.

        All scales that the operator multiplies are 1 but one, so that it takes just these factors.
        """
        g = self.graph
        one = g.constant(np.ones((), np.float32))
        weight, no_zero = self._weights.net[f"{layer}.weight"], np.zeros(len(factors), np.int8)
        weights = g.constant(weight), g.constant(factors), g.constant(no_zero)
        return g.node("QLinearConv", value, one, zero, *weights, one, new_zero, bias, pads=[1] * 4)
