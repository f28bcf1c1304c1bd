"""The integer scale network on ONNX Runtime, where a processor has matrix units for bytes.

The same integers as of `entropy.integer_scale_network`. The context's weights of 16 bits are two
limbs, 256 * high + low, of which sums of 32 bits hold the products; its inputs have 7 bits, so that
no pair of products exceeds the 16 bits in which some processors add them, 2 * 127 * 128 < 2**15.
What follows is in float32, where no partial sum leaves the integers that it holds.
"""

from collections.abc import Callable

import numpy as np

from vaecodec.entropy.coding_order import STEPS, groups_of_phases, matrices_around
from vaecodec.entropy.integer_scale_network import (
    ACTIVATION_BITS,
    ACTIVATION_MAX,
    SHIFTS,
    IntegerScaleNetwork,
)
from vaecodec.entropy.scales import SCALE_COUNT
from vaecodec.inference.onnx_layers import Layers
from vaecodec.inference.onnx_writer import FLOAT, UINT8

_LARGEST_LIMBS = 127 * 256 + 127  # that two limbs of a weight hold
_LARGEST_SUM = 2**30  # of the context's products, which join those of z in 32 bits
_EXACT = 2**23  # products of float32 stay below, and with what joins them below 2**24


def fits(parameters: dict[str, np.ndarray]) -> bool:
    """Whether no product of these parameters leaves the integers that are there for it."""
    sizes = {
        name: np.abs(parameters[name].astype(np.int32)).reshape(len(parameters[name]), -1)
        for name in ("z_up", "context", "hidden", "out")
    }
    largest = {
        name: int(size.sum(1, dtype=np.int64).max()) * ACTIVATION_MAX
        for name, size in sizes.items()
    }
    return bool(
        sizes["context"].max() <= _LARGEST_LIMBS
        and max(largest["context"], largest["z_up"]) < _LARGEST_SUM
        and max(largest["hidden"], largest["out"]) < _EXACT
    )


class OnnxScaleNetwork(IntegerScaleNetwork):
    """For parameters that fit. Sums are int32, 2**SHIFTS["context"] times the other's.

    `run(name, **inputs)`: what the graph of that name gives.
    """

    def __init__(self, parameters: dict[str, np.ndarray], run: Callable[..., np.ndarray]):
        super().__init__(parameters)
        self._run = run
        self._bytes = parameters["magnitude_codes"].astype(np.uint8)

    def prepare(self, z: np.ndarray, level: int, size: tuple[int, int]) -> np.ndarray:
        sums = super().prepare(z, level, size) * float(1 << SHIFTS["context"])
        result: np.ndarray = sums.astype(np.int32)
        return result

    def add_context(self, sums: np.ndarray, residuals: np.ndarray, step: int) -> None:
        codes = self._bytes.take(np.abs(residuals), mode="clip")
        sums += self._run("scale_context", codes=codes, groups=np.array(groups_of_phases(step)))

    def indices(
        self,
        sums: np.ndarray,
        size: tuple[int, int],
        step: int,
        level: int,
        offsets: np.ndarray | None = None,
    ) -> np.ndarray:
        groups = np.array(groups_of_phases(step))
        bias = self.bias("offset", level, SHIFTS["out"]).reshape(STEPS, 1, 1, -1)[groups]
        if offsets is not None:
            bias = bias + _by_phase(offsets)
        indices = self._run(
            "scale_indices",
            totals=sums,
            groups=groups,
            hidden_bias=self.bias("hidden_bias", level, SHIFTS["hidden"]),
            bias=bias,
        )
        result: np.ndarray = indices[: size[0], : size[1]]
        return result


def _by_phase(offsets: np.ndarray) -> np.ndarray:
    """`[h, w, 1]` to `[4, ceil(h/2), ceil(w/2), 1]`."""
    height, width = offsets.shape[:2]
    even = np.pad(offsets, ((0, height % 2), (0, width % 2), (0, 0)))
    phases = even.reshape(len(even) // 2, 2, -1, 2, 1).transpose(1, 3, 0, 2, 4)
    result: np.ndarray = phases.reshape(STEPS, *phases.shape[2:])
    return result


def _scale_context(b: Layers, c: dict[str, int]) -> None:
    """What a step's `codes` `[h, w, m/4]` (bytes) tell of their neighbours: sums
    `[4, ceil(h/2), ceil(w/2), scale]`. `groups` `[4]`: what each phase codes in the step."""
    g = b.graph
    codes = g.input("codes", ["rows", "columns", c["m"] // STEPS], np.uint8)
    groups = g.input("groups", [STEPS], np.int64)
    one_more = b.integers(0, 0, 0, 0, 0, 1)
    known = g.constant(np.array(1 << ACTIVATION_BITS, np.uint8))
    codes, under = b.around_phases(g.node("Pad", codes, one_more, known))
    weights = matrices_around(b.scale_parameter("context").astype(np.int32))
    high = (weights + 128) >> 8
    limbs = [g.constant(limb.astype(np.int8)) for limb in (high, weights - 256 * high)]
    upper = g.constant(np.array(256, np.int32))
    rows, told = b.rows_of(codes), []
    for phase, positions in enumerate(under):
        columns, group = b.columns(rows, positions), b.element(groups, phase)
        products = [
            g.node("MatMulInteger", columns, g.node("Gather", limb, group)) for limb in limbs
        ]
        told.append(g.node("Add", g.node("Mul", products[0], upper), products[1]))
    half = g.node("Div", b.lengths(codes, 0, 1), b.integers(2))  # of the padded codes
    half = g.node("Sub", half, b.integers(1))
    shape = g.node("Concat", b.integers(STEPS), half, b.integers(c["scale"]), axis=0)
    told_by_phase = g.node("Reshape", g.node("Concat", *told, axis=0), shape)
    g.output(told_by_phase, "told", [STEPS, "half_rows", "half_columns", c["scale"]], np.int32)


def _scale_indices(b: Layers, c: dict[str, int]) -> None:
    """Scale indices `[2h, 2w, m/4]` of a step from `totals` `[4, h, w, scale]`, and from biases of
    the level, which are added before rounding down."""
    g, scale, count = b.graph, c["scale"], c["m"] // STEPS
    totals = g.input("totals", [STEPS, "half_rows", "half_columns", scale], np.int32)
    groups = g.input("groups", [STEPS], np.int64)
    hidden_bias = g.input("hidden_bias", [scale])
    bias = g.input("bias", [STEPS, "bias_rows", "bias_columns", count])
    zero = g.constant(np.zeros((), np.float32))

    def clipped(value: str, top: int) -> str:
        return g.node("Clip", value, zero, g.constant(np.array(top, np.float32)))

    def matrix(name: str) -> np.ndarray:
        weight = b.scale_parameter(name)[:, :, 0, 0].T * 2.0 ** -SHIFTS[name]
        return np.ascontiguousarray(weight, np.float32)

    # Beyond 2**24 a float is not the integer any more, but still beyond what is clipped.
    h = g.node("Cast", totals, to=FLOAT)
    h = g.node("Mul", h, g.constant(np.array(2.0 ** -SHIFTS["context"], np.float32)))
    h = g.node("Floor", clipped(h, ACTIVATION_MAX))
    h = g.node("Add", g.node("MatMul", h, g.constant(matrix("hidden"))), hidden_bias)
    h = g.node("Floor", clipped(h, ACTIVATION_MAX))
    by_group = np.stack(np.split(matrix("out"), STEPS, axis=1))
    rows = g.node("Reshape", h, b.integers(STEPS, -1, scale))
    product = g.node("MatMul", rows, g.node("Gather", g.constant(by_group), groups))
    shape = g.node("Concat", b.lengths(h, 0, 1, 2), b.integers(count), axis=0)
    values = g.node("Add", g.node("Reshape", product, shape), bias)
    indices = b.interleave(g.node("Cast", clipped(values, SCALE_COUNT - 1), to=UINT8))
    g.output(indices, "indices", ["rows", "columns", count], np.uint8)


SCALE_GRAPHS: dict[str, Callable[[Layers, dict[str, int]], None]] = {
    "scale_context": _scale_context,
    "scale_indices": _scale_indices,
}
