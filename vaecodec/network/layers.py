"""Layers of the network: level tables, residual blocks, and convolutions of few bits."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaecodec.network.config import LEAK


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

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.training:
            integers, step = self.stored_weight()
            weight = weight + (integers * step - weight).detach()
        result: Tensor = self._conv_forward(x, weight, self.bias)
        return result

    @torch.no_grad()
    def stored_weight(self) -> tuple[Tensor, Tensor]:
        """Integers -127..127 of the weight's shape, and the step `[out, 1, 1, 1]` they count."""
        step = self.weight.abs().amax((1, 2, 3), keepdim=True) / 127
        return (self.weight / step.clamp(min=1e-12)).round(), step


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


def squash(y: Tensor) -> Tensor:
    """Odd logarithmic compression, so that latents that span decades enter a convolution evenly."""
    return torch.sign(y) * torch.log1p(y.abs())


def straight_through_round(x: Tensor) -> Tensor:
    """Round to integers, a straight-through estimator: the gradient passes unchanged."""
    return x + (x.round() - x).detach()
