"""The float parts of a model as ONNX graphs, made from its weight file.

Each graph is a method of interfaces.Transforms: arrays are float32 and channels-last, sizes are
free, and `t`, float32 `[1]`, is the level in 0..anchors-1 where one is needed. `vae.VAE` is the
same network in training; the two are kept equal by tests. `cut`, int64 `[4]`, is 1 at the sides
(top, left, bottom, right) where the input has a halo; the layers leave it out as they go.
"""

from collections.abc import Callable

import numpy as np

from vaecodec.entropy.coding_order import STEPS, groups_around
from vaecodec.inference.onnx_layers import GraphBuilder
from vaecodec.network.config import (
    BLOCK,
    BLOCK_REACH,
    FRONT,
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


def _analysis(b: GraphBuilder, c: dict[str, int]) -> None:
    """g_a: `x` `[16h, 16w, 3]` in 0..1 to `y` `[h, w, m]`."""
    y = _coarse_layers(b, c, _fine_layers(b, c))
    b.graph.output(b.to_channels_last(y), "y", ["rows", "columns", c["m"]])


def _analysis_fine(b: GraphBuilder, c: dict[str, int]) -> None:
    """The first part of g_a, from `x` to `features` `[h, w, m]`."""
    h = b.to_channels_last(_fine_layers(b, c))
    b.graph.output(h, "features", ["rows", "columns", c["m"]])


def _analysis_coarse(b: GraphBuilder, c: dict[str, int]) -> None:
    """The second part of g_a, from these features `h` to `y`."""
    h = b.to_planes(b.graph.input("h", ["rows", "columns", c["m"]]))
    y = b.to_channels_last(_coarse_layers(b, c, h))
    b.graph.output(y, "y", ["rows", "columns", c["m"]])


def _fine_layers(b: GraphBuilder, c: dict[str, int]) -> str:
    g = b.graph
    # Whitening of the 8x8 blocks: subtract the mean, project, divide by the deviations.
    front = (b.parameter("klt") / b.parameter("klt_scale")).T
    shift = -(front.astype(np.float64) @ b.parameter("klt_mean")).astype(np.float32)
    kernel = g.constant(front.reshape(FRONT, 3, BLOCK, BLOCK))
    x = b.to_planes(g.input("x", ["height", "width", 3]))
    h = g.node("Conv", x, kernel, g.constant(shift), strides=[BLOCK] * 2)
    for number in range(c["n1"]):
        h = b.crop(b.residual_block(h, f"a1.{number}"), BLOCK_REACH)
    return b.crop(b.convolve(h, "down", "down.bias", stride=2, pad=1), 1)


def _coarse_layers(b: GraphBuilder, c: dict[str, int], h: str) -> str:
    for number in range(c["n2"]):
        h = b.crop(b.residual_block(h, f"a2.{number}"), BLOCK_REACH)
    return b.convolve(h, "a_out", "a_out.bias")


def _hyper_analysis(b: GraphBuilder, c: dict[str, int]) -> None:
    """h_a: `y` `[4h, 4w, m]` to `z` before rounding `[h, w, cz]`."""
    g = b.graph
    squashed = b.squash(b.to_planes(g.input("y", ["rows", "columns", c["m"]])))
    h = b.activate(b.convolve(squashed, "ha_in", "ha_in.bias", "ha_bias", stride=2, pad=1))
    h = b.to_channels_last(b.convolve(h, "ha_out", "ha_out.bias", stride=2, pad=2))
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
    h = b.activate(b.convolve(h, "hs_in", "hs_in.bias", "hs_bias", pad=1))
    h = b.activate(b.shuffle(b.convolve(h, "hs_mid", "hs_mid.bias"), 2))
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
    return b.interleave(g.node("Conv", h, *parameters, group=STEPS))


def _synthesis(b: GraphBuilder, c: dict[str, int]) -> None:
    """g_s: `y_hat` `[h, w, m]` to a picture `x` `[16h, 16w, 3]`, not clipped."""
    g = b.graph
    h = b.convolve(_latents(b, c), "s_in", "s_in.bias", "s_bias")
    for number in range(c["n2"]):
        h = b.crop(b.residual_block(h, f"s2.{number}"), BLOCK_REACH)
    h = b.crop(b.double(h, "up"), 2)
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
    "analysis_fine": _analysis_fine,
    "analysis_coarse": _analysis_coarse,
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
