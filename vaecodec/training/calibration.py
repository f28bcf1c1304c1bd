"""Ranges of 8-bit activations, measured on pictures at all levels.

A range ends where the error of the values that it clips and of the steps within it is least. Before
that, channels of one range are scaled to be more alike, and the weights that read or write them
inversely, which changes nothing else: half of the way in the logarithm, as the weights, too, have
few bits (SmoothQuant, Xiao et al., ICML 2023, 2211.10438).
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaecodec.network.config import LEAK
from vaecodec.network.layers import EightBitBlock, EightBitConv, Quantiser
from vaecodec.network.vae import VAE

CLIPS = tuple(0.85**n for n in range(14))  # shares of the largest value where a range may end
BALANCE = 0.5  # of the logarithms of the channels' sizes
SAMPLES = 2**16  # values that an error is measured on
LEAST = 1e-6  # range of what is always zero


@torch.no_grad()
def calibrate(network: VAE, x: Tensor) -> None:
    """Set the ranges of all 8-bit blocks of a network, which has learned in floats, from pictures
    `[B, 3, H, W]` in 0..1, sides multiples of 64.

    Block after block, so that each sees its input as the ones before make it.
    """
    blocks = [module for module in network.modules() if isinstance(module, EightBitBlock)]
    hooks = [block.register_forward_pre_hook(_calibrate_block) for block in blocks]
    levels = torch.linspace(0, network.config.anchors - 1, len(x), device=x.device)
    network(x, levels, noise=False)
    for hook in hooks:
        hook.remove()


def _calibrate_block(module: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
    block, (x, t) = cast(EightBitBlock, module), inputs
    h = _convolve(x, block.enter) + block.bias(t)
    size = _normalised(h.square().mean((0, 2, 3)).sqrt() ** BALANCE)
    block.enter.weight.div_(size[:, None, None, None])
    block.bias.values.div_(size)
    block.leave.weight.mul_(size[:, None, None])
    h /= size[:, None, None]
    _set_hidden_range(block.hidden, _samples(h.flatten()))
    _set_output_ranges(block.output, _convolve(F.leaky_relu(h, LEAK), block.leave))
    _set_input_ranges(block, x)


def _convolve(x: Tensor, layer: EightBitConv) -> Tensor:
    """As with weights that are not rounded."""
    return F.conv2d(x, layer.weight, layer.bias, padding=1)


def _normalised(sizes: Tensor) -> Tensor:
    """`sizes` `[channels]` with a geometric mean of 1."""
    logarithms = sizes.clamp(min=LEAST).log()
    return (logarithms - logarithms.mean()).exp()


def _samples(values: Tensor) -> Tensor:
    """Some of many along the last dimension."""
    return values[..., :: max(1, values.shape[-1] // SAMPLES) | 1]


def _set_hidden_range(quantiser: Quantiser, h: Tensor) -> None:
    """The range of values `[N]` whose error is least after the activation."""
    wanted, low, high = F.leaky_relu(h, LEAK), float(h.min()), float(h.max())
    least = torch.inf
    for bottom in CLIPS:
        for top in CLIPS:
            scale, zero = _scale_and_zero(bottom * low, top * high)
            rounded = (h / scale).round().clamp(-zero, 255 - zero) * scale
            error = float((F.leaky_relu(rounded, LEAK) - wanted).square().mean())
            if error < least:
                least = error
                quantiser.scale.fill_(scale)
                quantiser.zero.fill_(zero)


def _set_output_ranges(quantiser: Quantiser, d: Tensor) -> None:
    """A range about zero for each channel of `[B, channels, H, W]`."""
    values = _samples(d.transpose(0, 1).flatten(1))
    scales = values.abs().amax(1, keepdim=True).clamp(min=LEAST) / 127 * torch.tensor(CLIPS).to(d)
    errors = [
        ((values / scale).round().clamp(-128, 127) * scale - values).square().mean(1)
        for scale in scales.t()[:, :, None]
    ]
    best = torch.stack(errors, 1).argmin(1, keepdim=True)
    quantiser.scale.copy_(scales.gather(1, best)[:, 0])
    quantiser.zero.fill_(128)


def _set_input_ranges(block: EightBitBlock, x: Tensor) -> None:
    """A range of `x` `[B, channels, H, W]` for each channel, the same in all but its scale; that
    with the least error of the convolution that reads it."""
    peak, size = x.abs().amax((0, 2, 3)), x.square().mean((0, 2, 3)).sqrt()
    share = (peak * size).sqrt().clamp(min=LEAST) ** BALANCE
    share = share / share.max()  # as the largest scale is the unit of what the block reads
    alike = x / share[:, None, None]
    low, high = float(alike.min()), float(alike.max())
    few = x[:: max(1, x.numel() // (16 * SAMPLES))]
    wanted = _convolve(few, block.enter)
    block.enter.weight.mul_(share[:, None, None])
    errors = []
    for clip in CLIPS:
        end = clip * max(-low, high)
        scale, zero = _scale_and_zero(max(low, -end), min(high, end))
        block.input.scale.copy_(scale * share)
        block.input.zero.fill_(zero)
        sums, step = block.enter.convolve_integers(block.input(few))
        error = float((sums * (step * scale) - wanted).square().mean())
        errors.append((error, scale, zero))
    _, scale, zero = min(errors)
    block.input.scale.copy_(scale * share)
    block.input.zero.fill_(zero)


def _scale_and_zero(low: float, high: float) -> tuple[float, int]:
    """The step of a byte that reaches from `low` to `high`, and how many are below zero."""
    low, high = min(low, 0.0), max(high, LEAST)
    scale = (high - low) / 255
    return scale, round(-low / scale)
