"""The float parts of a model as ONNX graphs, made from its weight file.

Each graph is a method of interfaces.Transforms: arrays are float32 and channels-last, sizes are
free, and `t`, float32 `[1]`, is the level in 0..anchors-1 where one is needed. `vae.VAE` is the
same network in training; the two are kept equal by tests. `cut`, int64 `[4]`, is 1 at the sides
(top, left, bottom, right) where the input has a halo; the layers leave it out as they go.
"""

from collections.abc import Callable

import numpy as np

from vaecodec.entropy.coding_order import STEPS, matrices_around
from vaecodec.inference.onnx_layers import Layers
from vaecodec.inference.onnx_limbs import LimbLayers
from vaecodec.inference.onnx_planes import PlaneLayers
from vaecodec.inference.onnx_scale_network import SCALE_GRAPHS
from vaecodec.network.config import (
    BLOCK,
    LOG_STEP_SCALE_MAX,
    STRIDE_Y,
    NetworkConfig,
)
from vaecodec.network.weights import Weights


def graph_bytes(weights: Weights, name: str, in_limbs: bool = False) -> bytes:
    """The ONNX model of one of `GRAPHS` or `SCALE_GRAPHS`, for weights that `check_parameters` has
    passed.

    `in_limbs`: what can computes in bytes, where the processor is fast at that (onnx_limbs).
    """
    kind = LimbLayers if in_limbs and name in HAVE_LIMBS else PlaneLayers
    builder = kind(weights, name)
    (GRAPHS | SCALE_GRAPHS)[name](builder, weights.config)
    return builder.graph.to_bytes({"vaecodec.inference.model": weights.model_id.hex()})


def _analysis(b: Layers, c: dict[str, int]) -> None:
    """g_a: `x` `[16h, 16w, 3]` in 0..1 to `y` `[h, w, m]`."""
    y = _coarse_layers(b, c, _fine_layers(b, c))
    b.graph.output(b.to_channels_last(y), "y", ["rows", "columns", c["m"]])


def _analysis_fine(b: Layers, c: dict[str, int]) -> None:
    """The first part of g_a, from `x` to `features` `[h, w, m]`."""
    h = b.to_channels_last(_fine_layers(b, c))
    b.graph.output(h, "features", ["rows", "columns", c["m"]])


def _analysis_coarse(b: Layers, c: dict[str, int]) -> None:
    """The second part of g_a, from these features `h` to `y`."""
    h = b.from_channels_last(b.graph.input("h", ["rows", "columns", c["m"]]))
    y = b.to_channels_last(_coarse_layers(b, c, h))
    b.graph.output(y, "y", ["rows", "columns", c["m"]])


def _fine_layers(b: Layers, c: dict[str, int]) -> str:
    # Whitening of the 8x8 blocks: subtract the mean, project, divide by the deviations.
    front = (b.parameter("klt") / b.parameter("klt_scale")).T
    shift = -(front.astype(np.float64) @ b.parameter("klt_mean")).astype(np.float32)
    h = b.project_blocks(b.graph.input("x", ["height", "width", 3]), front, shift)
    for number in range(c["n1"]):
        h = b.residual_block(h, f"a1.{number}")
    return b.convolve(h, "down", "down.bias", stride=2, pad=1, crop=1)


def _coarse_layers(b: Layers, c: dict[str, int], h: str) -> str:
    for number in range(c["n2"]):
        h = b.residual_block(h, f"a2.{number}")
    return b.convolve(h, "a_out", "a_out.bias")


def _hyper_analysis(b: PlaneLayers, c: dict[str, int]) -> None:
    """h_a: `y` `[4h, 4w, m]` to `z` before rounding `[h, w, cz]`."""
    g = b.graph
    squashed = b.squash(b.from_channels_last(g.input("y", ["rows", "columns", c["m"]])))
    h = b.activate(b.convolve(squashed, "ha_in", "ha_in.bias", "ha_bias", stride=2, pad=1))
    h = b.to_channels_last(b.convolve(h, "ha_out", "ha_out.bias", stride=2, pad=2))
    z = g.node("Mul", h, b.exp_at_level("log_z_gain"))
    g.output(z, "z", ["hyper_rows", "hyper_columns", c["cz"]])


def _hyper_synthesis(b: PlaneLayers, c: dict[str, int]) -> None:
    """h_s: integers `z` `[h, w, cz]` to `sums`, the features of the mean where nothing is known.

    Sums are `[4, 2h, 2w, context]`: all positions of one phase after the other (see
    entropy/coding_order), as each phase codes another group in a step.
    """
    g = b.graph
    z = g.input("z", ["hyper_rows", "hyper_columns", c["cz"]])
    h = b.from_channels_last(g.node("Div", z, b.exp_at_level("log_z_gain")))
    h = b.activate(b.convolve(h, "hs_in", "hs_in.bias", "hs_bias", pad=1))
    h = b.activate(b.shuffle(b.convolve(h, "hs_mid", "hs_mid.bias"), 2))
    by_phase = [b.parameter(f"hs_out.{name}") for name in ("weight", "bias")]
    by_phase = [
        p.reshape(-1, STEPS, *p.shape[1:]).swapaxes(0, 1).reshape(p.shape) for p in by_phase
    ]
    h = g.node("Conv", h, *map(g.constant, by_phase))
    shape = b.lengths(h, 2, 3)
    phases = b.integers(STEPS, c["context"])
    h = g.node("Reshape", h, g.node("Concat", phases, shape, axis=0))
    h = g.node("Transpose", h, perm=[0, 2, 3, 1])
    g.output(g.node("Add", h, b.at_level("ctx_bias")), "sums", _sums(c))


def _sums(c: dict[str, int]) -> list[int | str]:
    return [STEPS, "half_rows", "half_columns", c["context"]]


def _context(b: Layers, c: dict[str, int]) -> None:
    """`sums` with what the latents of a step tell of their neighbours: `y` `[h, w, m/4]`.

    A convolution is a sum over what is known, so each step adds its own part: for each phase of
    positions a convolution with stride 2. `groups` `[4]`: what each phase codes in the step.
    """
    g = b.graph
    sums, groups = g.input("sums", _sums(c)), g.input("groups", [STEPS], np.int64)
    count = c["m"] // STEPS
    y = b.squash(g.input("y", ["rows", "columns", count]))
    # The channel that says what is known is all ones, and zero beyond the edge as all others.
    one_more = b.integers(0, 0, 0, 0, 0, 1)
    y = g.node("Pad", y, one_more, g.constant(np.ones((), np.float32)))
    y, under = b.around_phases(y)
    told = b.multiply_under(y, under, "ctx_in.weight", matrices_around, groups)
    told = g.node("Reshape", told, g.node("Shape", sums))
    g.output(g.node("Add", sums, told), "new_sums", _sums(c))


def _mean(b: Layers, c: dict[str, int]) -> None:
    """Mean of the latents of a step, `[h, w, m/4]`, from `sums` and the `groups` of its phases."""
    g = b.graph
    h = b.activate(g.input("sums", _sums(c)))
    weight = b.parameter("ctx_mid.weight")[:, :, 0, 0].T.copy()
    h = g.node("Add", g.node("MatMul", h, g.constant(weight)), b.stored("ctx_mid.bias"))
    g.output(_head(b, b.activate(h), "ctx_out"), "mean", ["rows", "columns", c["m"] // STEPS])


def _step_scale(b: Layers, c: dict[str, int]) -> None:
    """How much finer each of them is quantised than its channel, from the first `sums`."""
    g = b.graph
    log_q = _head(b, b.activate(g.input("sums", _sums(c))), "q_out")
    low, high = (g.constant(np.full(1, sign * LOG_STEP_SCALE_MAX, np.float32)) for sign in (-1, 1))
    q = g.node("Exp", g.node("Max", g.node("Min", log_q, high), low))
    g.output(q, "q", ["rows", "columns", c["m"] // STEPS])


def _head(b: Layers, h: str, layer: str) -> str:
    """A 1x1 convolution of all phases, each to its channels of `groups`; `[h, w, m/4]`."""
    g = b.graph
    groups = g.input("groups", [STEPS], np.int64)
    weight = b.parameter(f"{layer}.weight")[:, :, 0, 0]
    by_group = weight.reshape(STEPS, -1, weight.shape[1]).swapaxes(1, 2)
    bias = b.parameter(f"{layer}.bias").reshape(STEPS, 1, 1, -1)
    channels = b.integers(weight.shape[1])
    phases, positions = b.integers(STEPS), b.integers(-1)
    rows = g.node("Reshape", h, g.node("Concat", phases, positions, channels, axis=0))
    chosen = g.node("Gather", g.constant(np.ascontiguousarray(by_group)), groups)
    product = g.node("MatMul", rows, chosen)
    half = b.lengths(h, 1, 2)
    values = b.integers(bias.shape[-1])
    product = g.node("Reshape", product, g.node("Concat", phases, half, values, axis=0))
    return b.interleave(g.node("Add", product, g.node("Gather", g.constant(bias), groups)))


def _synthesis(b: Layers, c: dict[str, int]) -> None:
    """g_s: `y_hat` `[h, w, m]` to a picture `x` `[16h, 16w, 3]`, not clipped."""
    h = b.convolve(_latents(b, c), "s_in", "s_in.bias", "s_bias")
    for number in range(c["n2"]):
        h = b.residual_block(h, f"s2.{number}")
    h = b.double(h, "up", crop=2)
    for number in range(c["n1"]):
        h = b.residual_block(h, f"s1.{number}")
    inverse = b.parameter("klt") * b.parameter("klt_scale")
    x = b.restore_blocks(h, inverse, b.parameter("klt_mean"))
    b.graph.output(x, "x", ["height", "width", 3])


def _reduced_synthesis(b: PlaneLayers, c: dict[str, int]) -> None:
    """g_s at 1/8 of the resolution, nearly: `y_hat` `[h, w, m]` to `x` `[2h, 2w, 3]`."""
    g = b.graph
    halo = NetworkConfig(**c).halo
    h = g.node("Conv", _latents(b, c), b.reduced("weight"), b.reduced("bias"), pads=[1] * 4)
    x = b.to_channels_last(b.shuffle(b.crop(h, halo), STRIDE_Y // BLOCK))
    g.output(x, "x", ["height", "width", 3])


def _latents(b: Layers, c: dict[str, int]) -> str:
    """`y_hat`, in the scale that g_s was trained with, as planes."""
    y_hat = b.graph.input("y_hat", ["rows", "columns", c["m"]])
    return b.from_channels_last(b.graph.node("Mul", y_hat, b.exp_at_level("log_inverse_gain")))


def _gain(b: PlaneLayers, c: dict[str, int]) -> None:
    """Quantisation steps per unit of y, `[m]`."""
    g = b.graph
    gain = g.node("Mul", b.exp_at_level("log_gain"), b.stored("y_scale"))
    g.output(gain, "gain", [c["m"]])


GRAPHS: dict[str, Callable[..., None]] = {
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
HAVE_LIMBS = {"analysis", "analysis_fine", "analysis_coarse", "context", "synthesis"}


def graph_names(weights: Weights) -> list[str]:
    """Those of `GRAPHS` that a model has."""
    missing = {"step_scale"} if not weights.config["elementwise"] else set()
    missing |= {"reduced_synthesis"} if not weights.reduced else set()
    return [name for name in GRAPHS if name not in missing]
