"""The float parts of a model as ONNX graphs, made from its weight file.

Each graph is a method of interfaces.Transforms: arrays are float32 and channels-last, sizes are
free, and `t`, float32 `[1]`, is the level in 0..anchors-1 where one is needed. `vae.VAE` is the
same network in training; the two are kept equal by tests. `cut`, int64 `[4]`, is 1 at the sides
(top, left, bottom, right) where the input has a halo; the layers leave it out as they go.
"""

from collections.abc import Callable

import numpy as np

from vaecodec.entropy.coding_order import STEPS, groups_around
from vaecodec.inference.onnx_writer import INT32, Graph
from vaecodec.network.config import (
    BLOCK,
    BLOCK_REACH,
    FRONT,
    LEAK,
    LOG_STEP_SCALE_MAX,
    STRIDE_Y,
    NetworkConfig,
)
from vaecodec.network.weights import Weights


def graph_bytes(weights: Weights, name: str) -> bytes:
    """The ONNX model of one of `GRAPHS`, for weights that `check_parameters` has passed."""
    builder = GraphBuilder(weights, name)
    GRAPHS[name](builder, weights.config)
    return builder.graph.to_bytes({"vaecodec.inference.model": weights.model_id.hex()})


class GraphBuilder:
    """Layers of the network, as they are put into a graph."""

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

    def convolve(self, value: str, layer: str, *biases: str, stride: int = 1, pad: int = 0) -> str:
        """A convolution with the sum of some vectors `[channels]` as its bias."""
        weight = self.stored(f"{layer}.weight")
        bias = [self.graph.node("Add", *biases)] if len(biases) == 2 else biases
        return self.graph.node("Conv", value, weight, *bias, strides=[stride] * 2, pads=[pad] * 4)

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
        if self._weights.config["activation_bits"]:
            return self.eight_bit_block(value, block)
        bias = self.at_level(f"{block}.bias")
        h = self.activate(self.convolve(value, f"{block}.enter", bias, pad=1))
        h = self.convolve(h, f"{block}.leave", self.stored(f"{block}.leave.bias"), pad=1)
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
        h = g.node(
            "DequantizeLinear",
            h,
            g.constant(outer),
            g.constant(np.full(len(outer), zeros[2])),
            axis=1,
        )
        return g.node("Add", value, h)

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


def _analysis(b: GraphBuilder, c: dict[str, int]) -> None:
    """g_a: `x` `[16h, 16w, 3]` in 0..1 to `y` `[h, w, m]`."""
    g = b.graph
    # Whitening of the 8x8 blocks: subtract the mean, project, divide by the deviations.
    front = (b.parameter("klt") / b.parameter("klt_scale")).T
    shift = -(front.astype(np.float64) @ b.parameter("klt_mean")).astype(np.float32)
    kernel = g.constant(front.reshape(FRONT, 3, BLOCK, BLOCK))
    x = b.to_planes(g.input("x", ["height", "width", 3]))
    h = g.node("Conv", x, kernel, g.constant(shift), strides=[BLOCK] * 2)
    for number in range(c["n1"]):
        h = b.crop(b.residual_block(h, f"a1.{number}"), BLOCK_REACH)
    h = b.crop(b.convolve(h, "down", b.stored("down.bias"), stride=2, pad=1), 1)
    for number in range(c["n2"]):
        h = b.crop(b.residual_block(h, f"a2.{number}"), BLOCK_REACH)
    y = b.to_channels_last(b.convolve(h, "a_out", b.stored("a_out.bias")))
    g.output(y, "y", ["rows", "columns", c["m"]])


def _hyper_analysis(b: GraphBuilder, c: dict[str, int]) -> None:
    """h_a: `y` `[4h, 4w, m]` to `z` before rounding `[h, w, cz]`."""
    g = b.graph
    squashed = b.squash(b.to_planes(g.input("y", ["rows", "columns", c["m"]])))
    biases = b.stored("ha_in.bias"), b.at_level("ha_bias")
    h = b.activate(b.convolve(squashed, "ha_in", *biases, stride=2, pad=1))
    h = b.to_channels_last(b.convolve(h, "ha_out", b.stored("ha_out.bias"), stride=2, pad=2))
    z = g.node("Mul", h, b.exp_at_level("log_z_gain"))
    g.output(z, "z", ["hyper_rows", "hyper_columns", c["cz"]])


def _hyper_synthesis(b: GraphBuilder, c: dict[str, int]) -> None:
    """h_s: integers `z` `[h, w, cz]` to `sums`, the features of the mean where nothing is known.

    Sums are `[1, 4 * context, 2h, 2w]`: all positions of one phase after the other (see
    entropy/coding_order), as each phase codes another group in a step.
    """
    g = b.graph
    z = g.input("z", ["hyper_rows", "hyper_columns", c["cz"]])
    h = b.to_planes(g.node("Div", z, b.exp_at_level("log_z_gain")))
    h = b.activate(b.convolve(h, "hs_in", b.stored("hs_in.bias"), b.at_level("hs_bias"), pad=1))
    h = b.activate(b.shuffle(b.convolve(h, "hs_mid", b.stored("hs_mid.bias")), 2))
    by_phase = [b.parameter(f"hs_out.{name}") for name in ("weight", "bias")]
    by_phase = [
        p.reshape(-1, STEPS, *p.shape[1:]).swapaxes(0, 1).reshape(p.shape) for p in by_phase
    ]
    h = g.node("Conv", h, *map(g.constant, by_phase))
    bias = g.node("Concat", *[b.at_level("ctx_bias")] * STEPS, axis=0)
    bias = g.node("Unsqueeze", bias, g.constant(np.array([1, 2], np.int64)))
    g.output(g.node("Add", h, bias), "sums", _sums(c))


def _sums(c: dict[str, int]) -> list[int | str]:
    return [1, STEPS * c["context"], "half_rows", "half_columns"]


def _context(b: GraphBuilder, c: dict[str, int]) -> None:
    """`sums` with what the latents of a step tell of their neighbours: `y` `[h, w, m/4]`.

    A convolution is a sum over what is known, so each step adds its own part: for each phase of
    positions a convolution with stride 2. `groups` `[4]`: what each phase codes in the step.
    """
    g = b.graph
    sums, groups = g.input("sums", _sums(c)), g.input("groups", [STEPS], integer=True)
    count = c["m"] // STEPS
    y = b.squash(b.to_planes(g.input("y", ["rows", "columns", count])))
    # The plane that says what is known is all ones, and zero beyond the edge as all others.
    one_more = g.constant(np.array([0, 0, 0, 0, 0, 1, 0, 0], np.int64))
    y = g.node("Pad", y, one_more, g.constant(np.ones(1, np.float32)))
    taps = b.parameter("ctx_in.weight").reshape(c["context"], -1, 9)
    weight = np.empty((STEPS, c["context"], count + 1, 9), np.float32)
    for group in range(STEPS):
        for tap, known in enumerate(groups_around(group)):
            channels = [*range(known * count, (known + 1) * count), c["m"] + known]
            weight[group, :, :, tap] = taps[:, channels, tap]
    stored = g.constant(weight.reshape(STEPS, c["context"], count + 1, 3, 3))
    told = []
    for phase in range(STEPS):
        row, column = divmod(phase, 2)
        kernel = g.node("Gather", stored, g.node("Gather", groups, g.constant(np.array(phase))))
        pads = [1 - row, 1 - column, 1 + row, 1 + column]
        told.append(g.node("Conv", y, kernel, strides=[2, 2], pads=pads))
    g.output(g.node("Add", sums, g.node("Concat", *told, axis=1)), "new_sums", _sums(c))


def _mean(b: GraphBuilder, c: dict[str, int]) -> None:
    """Mean of the latents of a step, `[h, w, m/4]`, from `sums` and the `groups` of its phases."""
    g = b.graph
    h = b.activate(g.input("sums", _sums(c)))
    each = (
        np.tile(b.parameter(f"ctx_mid.{name}"), n)
        for name, n in (("weight", (STEPS, 1, 1, 1)), ("bias", STEPS))
    )
    h = b.activate(g.node("Conv", h, *map(g.constant, each), group=STEPS))
    g.output(_head(b, h, "ctx_out"), "mean", ["rows", "columns", c["m"] // STEPS])


def _step_scale(b: GraphBuilder, c: dict[str, int]) -> None:
    """How much finer each of them is quantised than its channel, from the first `sums`."""
    g = b.graph
    log_q = _head(b, b.activate(g.input("sums", _sums(c))), "q_out")
    low, high = (g.constant(np.full(1, sign * LOG_STEP_SCALE_MAX, np.float32)) for sign in (-1, 1))
    q = g.node("Exp", g.node("Max", g.node("Min", log_q, high), low))
    g.output(q, "q", ["rows", "columns", c["m"] // STEPS])


def _head(b: GraphBuilder, h: str, layer: str) -> str:
    """A 1x1 convolution of all phases, each to its channels of `groups`; `[h, w, m/4]`."""
    g = b.graph
    groups = g.input("groups", [STEPS], integer=True)
    parameters = []
    for name in ("weight", "bias"):
        stored = b.parameter(f"{layer}.{name}")
        by_group = g.constant(stored.reshape(STEPS, -1, *stored.shape[1:]))
        chosen = g.node("Gather", by_group, groups)
        shape = g.constant(np.array([-1, *stored.shape[1:]], np.int64))
        parameters.append(g.node("Reshape", chosen, shape))
    values = g.node("Conv", h, *parameters, group=STEPS)
    # DCR: channels are phase-major, not pixel_shuffle's channel-major.
    return b.to_channels_last(g.node("DepthToSpace", values, blocksize=2, mode="DCR"))


def _synthesis(b: GraphBuilder, c: dict[str, int]) -> None:
    """g_s: `y_hat` `[h, w, m]` to a picture `x` `[16h, 16w, 3]`, not clipped."""
    g = b.graph
    h = b.convolve(_latents(b, c), "s_in", b.stored("s_in.bias"), b.at_level("s_bias"))
    for number in range(c["n2"]):
        h = b.crop(b.residual_block(h, f"s2.{number}"), BLOCK_REACH)
    weight, bias = b.stored("up.weight"), b.stored("up.bias")
    h = b.crop(g.node("ConvTranspose", h, weight, bias, strides=[2, 2], pads=[1] * 4), 2)
    for number in range(c["n1"]):
        h = b.crop(b.residual_block(h, f"s1.{number}"), BLOCK_REACH)
    inverse = b.parameter("klt") * b.parameter("klt_scale")
    blocks = g.node("Conv", h, g.constant(inverse[:, :, None, None]), b.stored("klt_mean"))
    g.output(b.to_channels_last(b.shuffle(blocks, BLOCK)), "x", ["height", "width", 3])


def _reduced_synthesis(b: GraphBuilder, c: dict[str, int]) -> None:
    """g_s at 1/8 of the resolution, nearly: `y_hat` `[h, w, m]` to `x` `[2h, 2w, 3]`."""
    g = b.graph
    halo = NetworkConfig(**c).halo
    h = g.node("Conv", _latents(b, c), b.reduced("weight"), b.reduced("bias"), pads=[1] * 4)
    x = b.to_channels_last(b.shuffle(b.crop(h, halo), STRIDE_Y // BLOCK))
    g.output(x, "x", ["height", "width", 3])


def _latents(b: GraphBuilder, c: dict[str, int]) -> str:
    """`y_hat`, in the scale that g_s was trained with, as planes."""
    y_hat = b.graph.input("y_hat", ["rows", "columns", c["m"]])
    return b.to_planes(b.graph.node("Mul", y_hat, b.exp_at_level("log_inverse_gain")))


def _gain(b: GraphBuilder, c: dict[str, int]) -> None:
    """Quantisation steps per unit of y, `[m]`."""
    g = b.graph
    gain = g.node("Mul", b.exp_at_level("log_gain"), b.stored("y_scale"))
    g.output(gain, "gain", [c["m"]])


GRAPHS: dict[str, Callable[[GraphBuilder, dict[str, int]], None]] = {
    "analysis": _analysis,
    "hyper_analysis": _hyper_analysis,
    "hyper_synthesis": _hyper_synthesis,
    "context": _context,
    "mean": _mean,
    "step_scale": _step_scale,
    "synthesis": _synthesis,
    "reduced_synthesis": _reduced_synthesis,
    "gain": _gain,
}


def graph_names(weights: Weights) -> list[str]:
    """Those of `GRAPHS` that a model has."""
    missing = {"step_scale"} if not weights.config["elementwise"] else set()
    missing |= {"reduced_synthesis"} if not weights.reduced else set()
    return [name for name in GRAPHS if name not in missing]
