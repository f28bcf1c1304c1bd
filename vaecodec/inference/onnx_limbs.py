"""Layers in bytes: floats in two limbs of 8 bits, which some processors multiply several times
faster.

A float32 x of an array is taken as step * (hi + lo / 254), two integers of a byte. These 16 bits
span a range that photographs stay within, so that the result is what float32 gives but for a
rounding far below one pixel value. Weights of 8 bits are one limb, and others two. The products are
whole numbers, and so are their sums: only the steps that they count are floats. A convolution
multiplies the matrix of what lies under its taps, a row for each window.

Where a layer's output is rounded to 8 bits (network.layers.EightBitBlock), a difference of any
size can grow to a whole step. There the operands stay float32, or are integers all along.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vaecodec.inference.onnx_strips import Reach, StripLayers, Windows
from vaecodec.inference.onnx_writer import FLOAT, INT64
from vaecodec.network.config import BLOCK_REACH, is_eight_bit

_ZERO = np.array(128, np.uint8)  # the byte that stands for 0 in a limb
_LARGEST_LIMB = 127
_FINER = 254  # steps of a limb in one of the limb above it
_LARGEST_LIMBS = 127 * 256 + 127  # that two limbs of a weight hold
# To each side, what hardly a photograph exceeds where these layers take it, in the models that
# ship. It is fixed, so that a pixel does not depend on what lies far from it, and a region is the
# crop of the whole. Only where it does not suffice it is doubled, which moves a few samples by 1.
_RANGES = {
    "a1.enter": 64.0,
    "a1.leave": 16.0,
    "down": 64.0,
    "a2.enter": 128.0,
    "a2.leave": 32.0,
    "context": 8.0,
    "s2.enter": 8.0,
    "s2.leave": 2.0,
    "up": 8.0,
    "s1.enter": 32.0,
    "s1.leave": 16.0,
}
_DOUBLINGS = 32  # at most


class _Limb(NamedTuple):
    """Part of an array: its bytes `[H, W, C]`, and the step that they count."""

    bytes: str
    step: str


class _WeightLimb(NamedTuple):
    """Part of a kernel: integers `[taps * in, out]` and what each column counts."""

    integers: np.ndarray
    step: np.ndarray


class LimbLayers(StripLayers):
    """For processors whose sums of products of bytes do not saturate."""

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
        """A convolution, with a parameter and a level table as its biases. One that sees a single
        position is left in floats: as limbs it would take as long."""
        g = self.graph
        weight, total = self.parameter(f"{layer}.weight"), self._bias(bias, table)
        if weight.shape[2] == 1:
            product = g.node("MatMul", value, g.constant(weight[:, :, 0, 0].T.copy()))
            return self.of_shape(g.node("Add", product, total), self._shapes.get(value))
        reach = Reach(weight.shape[2], stride, pad, crop)
        strips = self.strips(value, reach)
        windows = self.windows(value, strips, reach)
        kernel = self._kernel(layer)

        def strip(rows: str) -> str:
            limbs = self._limbs(rows, layer)
            return self._product(limbs, windows.under[0], kernel, total)

        return self.each_strip(strips, windows, strip, weight.shape[0])

    def double(self, value: str, layer: str, crop: int) -> str:
        """A transposed convolution, 4x4 with stride 2: of 2x2 for each of four phases."""
        weight, bias = self.parameter(f"{layer}.weight"), self.stored(f"{layer}.bias")
        channels = weight.shape[1]
        reach = Reach(3, 1, 1, crop // 2)
        strips = self.strips(value, reach)
        taps, kernels = [], []
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            # An even output takes inputs one before and at its place, an odd one at and one after.
            kernel = weight[:, :, [3 - row, 1 - row]][:, :, :, [3 - column, 1 - column]]
            kernels.append(_two_limbs(kernel.swapaxes(0, 1)))
            taps.append([(row + r, column + c) for r in (0, 1) for c in (0, 1)])
        windows = self.windows(value, strips, reach, taps=taps)

        def strip(rows: str) -> str:
            g, limbs = self.graph, self._limbs(rows, layer)
            phases = zip(windows.under, kernels, strict=True)
            products = [self._product(limbs, *phase, bias) for phase in phases]
            h = g.node("Concat", *products, axis=1)
            columns = g.node("Gather", windows.shape, self.integers(1))
            sides = g.node("Concat", strips.rows, columns, self.integers(2, 2, channels), axis=0)
            h = g.node("Transpose", g.node("Reshape", h, sides), perm=[0, 2, 1, 3, 4])
            return g.node("Reshape", h, self.integers(-1, channels))

        return self.each_strip(strips, windows, strip, channels, scale=2)

    def residual_block(self, value: str, block: str) -> str:
        reach = Reach(3, 1, 1, 1)
        strips = self.strips(value, reach)
        windows = self.windows(value, strips, reach)
        is_bytes = is_eight_bit(self._weights.config, block)
        enter, leave = self._byte_branch(block) if is_bytes else self._branch(block)
        channels, hidden = self.parameter(f"{block}.leave.weight").shape[:2]
        dtype = np.uint8 if is_bytes else np.float32
        h = self.each_strip(strips, windows, lambda rows: enter(rows, windows), hidden, dtype=dtype)
        zero = self.graph.constant(self.eight_bits(block).zeros[1]) if is_bytes else ""
        inner = self.windows(h, strips, reach, zero)
        before, after = self.pads(0, BLOCK_REACH)
        passing = self.rows(value, strips.first, strips.rows, before, after)

        def strip(rows: str) -> str:
            return leave(rows, inner)

        return self.each_strip(strips, inner, strip, channels, passing=passing)

    def multiply_under(
        self,
        values: str,
        under: list[str],
        parameter: str,
        arranged: Callable[[np.ndarray], np.ndarray],
        chosen: str,
    ) -> str:
        """In three limbs, whose 24 bits are those of a float32."""
        if self._weights.net[parameter].dtype != np.int8:
            return super().multiply_under(values, under, parameter, arranged, chosen)
        g, zero = self.graph, self.graph.constant(_ZERO)
        matrices = g.constant(arranged(self._weights.net[parameter]))
        step = g.constant(self._weights.step(parameter))
        limbs = self._limbs(values, "context", 3)
        flat = [self.rows_of(limb.bytes) for limb in limbs]
        sums = []
        for number, positions in enumerate(under):
            matrix = g.node("Gather", matrices, self.element(chosen, number))
            parts = []
            for limb, rows in zip(limbs, flat, strict=True):
                operands = self.columns(rows, positions), matrix, limb.step, step, zero
                parts.append(g.own_node("MatMulIntegerToFloat", *operands))
            sums.append(g.node("Sum", *parts))
        return g.node("Concat", *sums, axis=0)

    def _branch(self, block: str) -> tuple["_Layer", "_Layer"]:
        part, _ = block.split(".")
        level, bias = self.at_level(f"{block}.bias"), self.stored(f"{block}.leave.bias")
        first, second = self._kernel(f"{block}.enter"), self._kernel(f"{block}.leave")

        def enter(rows: str, windows: Windows) -> str:
            limbs = self._limbs(rows, f"{part}.enter")
            return self.activate(self._product(limbs, windows.under[0], first, level))

        def leave(rows: str, windows: Windows) -> str:
            limbs = self._limbs(rows, f"{part}.leave")
            return self._product(limbs, windows.under[0], second, bias)

        return enter, leave

    def _byte_branch(self, block: str) -> tuple["_Layer", "_Layer"]:
        """network.layers.EightBitBlock, in the same integers."""
        bits = self.eight_bits(block)
        level = self.enter_bias(block, bits.enter_step)
        first, second = (
            _matrix(self._weights.net[f"{block}.{name}.weight"]) for name in ("enter", "leave")
        )

        def scaled(columns: str, matrix: np.ndarray, zero: str, bias: str, by: np.ndarray) -> str:
            g = self.graph
            sums = g.node("MatMulInteger", columns, g.constant(matrix), zero)
            sums = g.node("Cast", g.node("Add", sums, bias), to=FLOAT)
            return g.node("Mul", sums, g.constant(by.astype(np.float32)))

        def enter(rows: str, windows: Windows) -> str:
            g = self.graph
            before, between = map(g.constant, bits.zeros[:2])
            one = g.constant(np.ones((), np.float32))
            x = g.node("QuantizeLinear", g.node("Div", rows, g.constant(bits.input)), one, before)
            columns = self.columns(self.rows_of(x), windows.under[0])
            h = scaled(columns, first, before, level, bits.enter)
            h = g.node("DequantizeLinear", g.node("QuantizeLinear", h, one, between), one, between)
            return g.node("QuantizeLinear", self.activate(h), one, between)

        def leave(rows: str, windows: Windows) -> str:
            g = self.graph
            between, after = map(g.constant, bits.zeros[1:])
            one, bias = g.constant(np.ones((), np.float32)), g.constant(bits.leave_bias)
            columns = self.columns(self.rows_of(rows), windows.under[0])
            h = scaled(columns, second, between, bias, bits.leave)
            h = g.node("DequantizeLinear", g.node("QuantizeLinear", h, one, after), one, after)
            return g.node("Mul", h, g.constant(bits.output))

        return enter, leave

    # --- limbs ------------------------------------------------------------------------------

    def _limbs(self, value: str, place: str, count: int = 2) -> list[_Limb]:
        g, zero = self.graph, self.graph.constant(_ZERO)
        low, high = (g.node(f"Reduce{end}", value, keepdims=0) for end in ("Min", "Max"))
        ranges = (_RANGES[place] * 2.0 ** np.arange(_DOUBLINGS)).astype(np.float32)
        largest = g.node("Max", high, g.node("Neg", low))
        exceeded = g.node("Greater", largest, g.constant(ranges[:-1]))
        doublings = g.node("ReduceSum", g.node("Cast", exceeded, to=INT64), keepdims=0)
        step = g.node("Gather", g.constant(ranges / _LARGEST_LIMB), doublings)
        limbs = [_Limb(g.node("QuantizeLinear", value, step, zero), step)]
        part = g.constant(np.array(1 / _FINER, np.float32))
        for _ in range(count - 1):
            counted = g.node("DequantizeLinear", limbs[-1].bytes, step, zero)
            value, step = g.node("Sub", value, counted), g.node("Mul", step, part)
            limbs.append(_Limb(g.node("QuantizeLinear", value, step, zero), step))
        return limbs

    def _product(self, limbs: list[_Limb], under: str, kernel: list[_WeightLimb], bias: str) -> str:
        """`[N, out]`: each limb by each of the kernel's. Most values are small beside the largest,
        so that even the product of the lower ones counts."""
        g, parts, zero = self.graph, list[str](), self.graph.constant(_ZERO)
        weights = [(g.constant(w.integers), g.constant(w.step)) for w in kernel]
        for limb in limbs:
            columns = self.columns(self.rows_of(limb.bytes), under)
            for integers, step in weights:
                operands = [columns, integers, limb.step, step, zero, ""]
                operands += [] if parts else [bias]
                parts.append(g.own_node("MatMulIntegerToFloat", *operands))
        return g.node("Sum", *parts)

    def _kernel(self, layer: str) -> list[_WeightLimb]:
        stored = self._weights.net[f"{layer}.weight"]
        if stored.dtype == np.int8:
            return [_WeightLimb(_matrix(stored), self._weights.step(f"{layer}.weight"))]
        return _two_limbs(stored.astype(np.float32))

    def _bias(self, bias: str, table: str) -> str:
        added = [self.stored(bias)] if bias else []
        added += [self.at_level(table)] if table else []
        return self.graph.node("Add", *added) if len(added) == 2 else added[0]


_Layer = Callable[[str, Windows], str]  # rows of a strip and the windows in it -> `[N, out]`


def _two_limbs(kernel: np.ndarray) -> list[_WeightLimb]:
    """Of real weights `[out, in, h, w]`, in 16 bits for each output channel."""
    step = np.maximum(np.abs(kernel).max((1, 2, 3)), 1e-20) / _LARGEST_LIMBS
    integers = np.rint(kernel / step[:, None, None, None]).astype(np.int16)
    high = (integers + 128) >> 8
    limbs = (high, 256 * step), (integers - (high << 8), step)
    return [
        _WeightLimb(_matrix(values.astype(np.int8)), steps.astype(np.float32))
        for values, steps in limbs
    ]


def _matrix(kernel: np.ndarray) -> np.ndarray:
    """`[out, in, h, w]` to `[h * w * in, out]`."""
    return np.ascontiguousarray(kernel.transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0]))
