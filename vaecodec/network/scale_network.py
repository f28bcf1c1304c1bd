"""The scale network in training; `entropy.integer_scale_network` runs the same arithmetic."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaecodec.entropy.coding_order import STEPS
from vaecodec.entropy.integer_scale_network import (
    ACTIVATION_BITS,
    ACTIVATION_MAX,
    INDEX_UNIT_BITS,
    WEIGHT_BITS,
)
from vaecodec.network.config import NetworkConfig
from vaecodec.network.layers import LevelTable, straight_through_round

INDEX_UNIT = 1 << INDEX_UNIT_BITS  # scale indices per unit of the scale network's output


class ScaleNetwork(nn.Module):
    """Chooses a scale index per latent from integers only.

    Here the integers are carried as real numbers (value / 2**fraction bits) with straight-through
    rounding, so that what is trained is what is shipped.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        c = config
        self.z_conv = IntegerConv(c.cz, c.scale, 3, padding=1, bias=False)
        self.z_bias = LevelTable(c.anchors, c.scale)
        self.z_up = IntegerConv(c.scale, 16 * c.scale, 1, bias=False)
        self.up_bias = LevelTable(c.anchors, c.scale)
        self.context = IntegerConv(c.m + STEPS, c.scale, 3, padding=1, bias=False)
        self.hidden = IntegerConv(c.scale, c.scale, 1, bias=False)
        self.hidden_bias = LevelTable(c.anchors, c.scale)
        self.out = IntegerConv(c.scale, c.m, 1, bias=False)
        self.offset = LevelTable(c.anchors, c.m)  # scale index / INDEX_UNIT without any context
        for conv in (self.z_conv, self.z_up, self.context, self.hidden):
            nn.init.kaiming_normal_(conv.weight)
        nn.init.normal_(self.out.weight, std=1e-3)

    def prepare(self, z_hat: Tensor, t: Tensor) -> Tensor:
        """Features of the hyper-latents (integers), `[B, scale, 4*hz, 4*wz]`, before activation."""
        h = quantise_activation(self.z_conv(z_hat.clamp(-127, 127)) + self.z_bias(t))
        result: Tensor = F.pixel_shuffle(self.z_up(h), 4) + self.up_bias(t)
        return result

    def forward(self, prepared: Tensor, context: Tensor | None, t: Tensor) -> Tensor:
        """Real-valued scale index `[B, m, h, w]` from `context` `[B, m + 4, h, w]` (None: nothing
        known)."""
        h = prepared if context is None else prepared + self.context(context)
        h = quantise_activation(self.hidden(quantise_activation(h)) + self.hidden_bias(t))
        result: Tensor = INDEX_UNIT * (self.out(h) + self.offset(t))
        return result


def magnitude_code(r: Tensor) -> Tensor:
    """How |r| enters the scale network: log2(1 + |r|) to 4 fraction bits, at most 127/16."""
    return (straight_through_round(torch.log2(1 + r.abs().clamp(max=255)) * 16) / 16).clamp(
        max=127 / 16
    )


def quantise_activation(x: Tensor) -> Tensor:
    """The integer network's activation: rounded to fraction bits, clamped to 0..max."""
    unit = 1 << ACTIVATION_BITS
    return straight_through_round((x * unit).clamp(0, ACTIVATION_MAX)) / unit


class IntegerConv(nn.Conv2d):
    """A convolution whose weights are multiples of `2 ** -WEIGHT_BITS` in forward."""

    def forward(self, x: Tensor) -> Tensor:
        unit = 1 << WEIGHT_BITS
        result: Tensor = self._conv_forward(
            x, straight_through_round(self.weight * unit) / unit, None
        )
        return result
