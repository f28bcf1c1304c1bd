"""Layers of the network: level tables, residual blocks, and convolutions of few bits."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaecodec.network.config import LARGEST_WEIGHT, LEAK, NetworkConfig, is_eight_bit

SMALLEST_STEP = 1e-6  # of stored weights; a channel of zeros has it, too


class LevelTable(nn.Module):
    """A value per channel at each anchor level, linear in between.

    Gained variational autoencoders (Cui et al., CVPR 2021) interpolate gain vectors in this way.
    """

    def __init__(self, anchors: int, channels: int):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(anchors, channels))

    def forward(self, t: Tensor) -> Tensor:
        """`t`: `[B]` level in 0..anchors-1. Returns `[B, channels, 1, 1]`."""
        low = t.floor().clamp(0, self.values.shape[0] - 2).long()
        part = (t - low).unsqueeze(1)
        return torch.lerp(self.values[low], self.values[low + 1], part)[:, :, None, None]


class EightBitConv(nn.Conv2d):
    """A convolution whose weights a model file holds in 8 bits, with a step per output channel.

    For residual branches and the entropy model, which only correct what passes by them. In training
    mode it computes with the weights that the file would hold, and the gradient passes as if they
    were the real ones; in evaluation mode it takes them as they are, from a file.
    """

    largest = 127  # of the stored integers' magnitudes

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.training:
            integers, step = self.stored_weight()
            weight = weight + (integers * step - weight).detach()
        result: Tensor = self._conv_forward(x, weight, self.bias)
        return result

    def convolve_integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of integers `x` times the stored ones, without the bias, and their step
        `[out, 1, 1]`."""
        integers, step = self.stored_weight()
        steps = self.weight / step
        sums = self._conv_forward(x, steps + (integers - steps).detach(), None)
        return sums.float(), step[:, 0]

    @torch.no_grad()
    def stored_weight(self) -> tuple[Tensor, Tensor]:
        """Integers -largest..largest of the weight's shape, and the step `[out, 1, 1, 1]` they
        count."""
        step = self.weight.abs().amax((1, 2, 3), keepdim=True) / self.largest
        step = step.clamp(min=SMALLEST_STEP)
        return (self.weight / step).round(), step


class ResidualBlock(nn.Module):
    """`x + conv(act(conv(x) + bias(t)))` with two dense 3x3 convolutions, near zero at the start.

    The sum stays in float32 under autocast, so that bfloat16 noise does not grow with depth.
    """

    def __init__(self, channels: int, hidden: int, anchors: int):
        super().__init__()
        self.enter = EightBitConv(channels, hidden, 3, padding=1, bias=False)
        self.bias = LevelTable(anchors, hidden)
        self.leave = EightBitConv(hidden, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.enter.weight, a=LEAK)
        nn.init.normal_(self.leave.weight, std=1e-3)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """`x`: `[B, channels, H, W]`; `t`: `[B]` level. Returns a tensor shaped like `x`."""
        result: Tensor = x + self.leave(F.leaky_relu(self.enter(x) + self.bias(t), LEAK))
        return result


class EightBitBlock(ResidualBlock):
    """The same in integers: unsigned 8-bit activations, weights of 7 bits and a sign.

    Processors without instructions for it add pairs of products in 16 bits, which these weights
    never exceed: 2 * 255 * 64 < 2**15. Every sum is an integer that float32 holds, and it is scaled
    and rounded as ONNX's QLinearConv does, so that all backends compute the same. Gradients pass
    through the rounding as if it were not there, but not where a value is clipped (Jacob et al.,
    CVPR 2018, 1712.05877).
    """

    def __init__(self, channels: int, hidden: int, anchors: int):
        super().__init__(channels, hidden, anchors)
        self.enter.largest = self.leave.largest = LARGEST_WEIGHT
        self.input = Quantiser(channels)
        self.hidden = Quantiser(1)
        self.output = Quantiser(channels)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """`x`: `[B, channels, H, W]`; `t`: `[B]` level. Returns a tensor shaped like `x`."""
        sums, weight_step = self.enter.convolve_integers(self.input(x))
        step = self.input.scale.amax() * weight_step
        sums = sums + straight_through_round(self.bias(t) / step)
        h = self.hidden.requantise(sums, step)
        sums, weight_step = self.leave.convolve_integers(
            straight_through_round(F.leaky_relu(h, LEAK))
        )
        step = self.hidden.step * weight_step
        assert self.leave.bias is not None
        sums = sums + straight_through_round(self.leave.bias[:, None, None] / step)
        return x + self.output.requantise(sums, step) * self.output.step


def residual_blocks(
    part: str, channels: int, hidden: int, count: int, c: NetworkConfig
) -> nn.ModuleList:
    """Those of a1, a2, s1 or s2, in integers where the sizes `c` say so."""
    return nn.ModuleList(
        (EightBitBlock if is_eight_bit(c.to_dict(), f"{part}.{number}") else ResidualBlock)(
            channels, hidden, c.anchors
        )
        for number in range(count)
    )


class Quantiser(nn.Module):
    """Real numbers to the integers -zero..255 - zero that a byte holds, in steps of `scale`."""

    def __init__(self, channels: int):
        super().__init__()
        self.scale: Tensor
        self.zero: Tensor
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("zero", torch.full((1,), 128.0))

    @property
    def step(self) -> Tensor:
        """`[channels, 1, 1]`."""
        return self.scale[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Integers in float32, shaped like `x`, `[B, channels, H, W]` or of any channels if here is
        one."""
        return straight_through_round((x.float() / self.step).clamp(-self.zero, 255 - self.zero))

    def requantise(self, sums: Tensor, step: Tensor) -> Tensor:
        """The same of `sums` in steps of `step`."""
        scaled = sums * (step / self.step)
        return straight_through_round(scaled.clamp(-self.zero, 255 - self.zero))


def squash(y: Tensor) -> Tensor:
    """Odd logarithmic compression, so that latents that span decades enter a convolution evenly."""
    return torch.sign(y) * torch.log1p(y.abs())


def straight_through_round(x: Tensor) -> Tensor:
    """Round to integers, a straight-through estimator: the gradient passes unchanged."""
    return x + (x.round() - x).detach()


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer that all of a picture passes through, which autocast would round to 8 bits: latents
    of hundreds of steps then are off by one, and more so is what is synthesised of them."""
    with torch.autocast(x.device.type, enabled=False):
        result: Tensor = layer(x.float())
        return result
