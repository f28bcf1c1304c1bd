"""Layers in floating point, on planes `[1, C, H, W]`: what ONNX knows in every program."""

import numpy as np

from vaecodec.inference.onnx_layers import Layers
from vaecodec.network.config import BLOCK, BLOCK_REACH, FRONT, is_eight_bit


class PlaneLayers(Layers):
    """Convolutions are ONNX's own, in floats but for residual blocks of 8 bits."""

    sides = (2, 3)

    def from_channels_last(self, value: str) -> str:
        """`[H, W, C]` to `[1, C, H, W]`."""
        planes = self.graph.node("Transpose", value, perm=[2, 0, 1])
        return self.graph.node("Unsqueeze", planes, self.integers(0))

    def to_channels_last(self, value: str) -> str:
        """`[1, C, H, W]` to `[H, W, C]`."""
        planes = self.graph.node("Squeeze", value, self.integers(0))
        return self.graph.node("Transpose", planes, perm=[1, 2, 0])

    def project_blocks(self, x: str, matrix: np.ndarray, bias: np.ndarray) -> str:
        """Of a picture's blocks, pixels by channel, row and column, what `matrix` `[FRONT, FRONT]`
        makes of them."""
        g = self.graph
        kernel = g.constant(matrix.reshape(FRONT, 3, BLOCK, BLOCK))
        planes = self.from_channels_last(x)
        return g.node("Conv", planes, kernel, g.constant(bias), strides=[BLOCK] * 2)

    def restore_blocks(self, h: str, matrix: np.ndarray, bias: np.ndarray) -> str:
        """The inverse: a picture of blocks that `matrix` makes of features."""
        g = self.graph
        blocks = g.node("Conv", h, g.constant(matrix[:, :, None, None]), g.constant(bias))
        return self.to_channels_last(self.shuffle(blocks, BLOCK))

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
        """A convolution, with a parameter and a level table as its biases.

        That of the level is added behind it: ONNX Runtime computes a convolution in its blocked
        layout only where all parameters are constant, which takes a third less time.
        """
        g = self.graph
        parameters = [self.stored(name) for name in (f"{layer}.weight", bias) if name]
        h = g.node("Conv", value, *parameters, strides=[stride] * 2, pads=[pad] * 4)
        if table:
            planes = self.integers(1, 2)
            h = g.node("Add", h, g.node("Unsqueeze", self.at_level(table), planes))
        return self.crop(h, crop) if crop else h

    def double(self, value: str, layer: str, crop: int) -> str:
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
        h = g.node("DepthToSpace", g.node("Concat", *phases, axis=1), blocksize=2, mode="DCR")
        return self.crop(h, crop)

    def shuffle(self, value: str, side: int) -> str:
        """Channels to blocks of `side` x `side` pixels, as torch's pixel_shuffle does."""
        return self.graph.node("DepthToSpace", value, blocksize=side, mode="CRD")

    def residual_block(self, value: str, block: str) -> str:
        if is_eight_bit(self._weights.config, block):
            h = self.eight_bit_block(value, block)
        else:
            h = self.activate(self.convolve(value, f"{block}.enter", table=f"{block}.bias", pad=1))
            h = self.convolve(h, f"{block}.leave", f"{block}.leave.bias", pad=1)
            h = self.graph.node("Add", value, h)
        return self.crop(h, BLOCK_REACH)

    def eight_bit_block(self, value: str, block: str) -> str:
        """network.layers.EightBitBlock, in the same integers."""
        g, bits = self.graph, self.eight_bits(block)
        before, between, _ = map(g.constant, bits.zeros)
        one, channels = g.constant(np.ones((), np.float32)), len(bits.input)
        scales = g.constant(bits.input), g.constant(np.full(channels, bits.zeros[0]))
        h = g.node("QuantizeLinear", value, *scales, axis=1)
        bias = self.enter_bias(block, bits.enter_step)
        h = self.convolve_bytes(h, f"{block}.enter", before, bits.enter, bits.zeros[1], bias)
        h = self.activate(g.node("DequantizeLinear", h, one, between))
        h = g.node("QuantizeLinear", h, one, between)
        bias = g.constant(bits.leave_bias)
        h = self.convolve_bytes(h, f"{block}.leave", between, bits.leave, bits.zeros[2], bias)
        # A row for each channel, as otherwise ONNX Runtime dequantises with channels last, where
        # each has a scale of its own, in six times the time, and transposes the floats.
        rows = g.node("Reshape", h, self.integers(channels, -1))
        scales = g.constant(bits.output), g.constant(np.full(channels, bits.zeros[2]))
        h = g.node("DequantizeLinear", rows, *scales, axis=0)
        return g.node("Add", value, g.node("Reshape", h, g.node("Shape", value)))

    def convolve_bytes(
        self,
        value: str,
        layer: str,
        zero: str,
        factors: np.ndarray,
        new_zero: np.ndarray,
        bias: str,
    ) -> str:
        """Bytes to bytes: integer sums times `factors` `[out]`, rounded.

        All scales that the operator multiplies are 1 but one, so that it takes just these factors.
        """
        g = self.graph
        one, new = g.constant(np.ones((), np.float32)), g.constant(new_zero)
        weight, no_zero = self._weights.net[f"{layer}.weight"], np.zeros(len(factors), np.int8)
        weights = g.constant(weight), g.constant(factors), g.constant(no_zero)
        return g.node("QLinearConv", value, one, zero, *weights, one, new, bias, pads=[1] * 4)
