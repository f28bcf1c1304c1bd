"""Starting weights: a 16x16 KLT transform codec computed from the training photos.

A network that starts as a good linear transform only has to learn what is better than linear.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.entropy.coding_order import STEPS
from vaecodec.entropy.scales import LOG_LOW, LOG_STEP, SCALE_COUNT
from vaecodec.network.config import BLOCK
from vaecodec.network.scale_network import INDEX_UNIT
from vaecodec.network.vae import VAE

WHITENING_FLOOR = (
    2 / 255
)  # added to each channel's deviation, so that faint channels are not blown up
LOGISTIC_STD = math.pi / math.sqrt(3)  # deviation of a logistic distribution of scale 1


def start_as_klt(network: VAE, batches: Iterable[Tensor]) -> None:
    """Set `network` to the KLT codec of `batches` (`[B, 3, H, W]` in 0..1, sides multiples of
    16)."""
    inner = [F.pixel_unshuffle(x, BLOCK) for x in batches]
    front = torch.cat([u.permute(0, 2, 3, 1).reshape(-1, u.shape[1]) for u in inner]).double()
    mean = front.mean(0)
    variance, basis = _principal(front - mean)
    scale = variance.sqrt() + WHITENING_FLOOR
    # The four blocks of a 16x16 block, tap-major: index = tap * channels + channel.
    blocks = []
    for u in inner:
        a = torch.einsum("bchw,cd->bhwd", u.double() - mean[:, None, None], basis)
        blocks.append(quads(a))
    y_variance, y_basis = _principal(torch.cat(blocks))
    m, c = network.config.m, basis.shape[0]
    # Groups of channels are coded one after the other; dealing the components out evenly gives
    # every group its share of the strong ones.
    order = torch.arange(m).reshape(m // STEPS, STEPS).t().reshape(-1)
    y_scale = y_variance[order].sqrt() + 1e-6
    y_basis = y_basis[:, order].reshape(2, 2, c, m)
    taps = slice(1, 3)
    with torch.no_grad():
        network.klt.copy_(basis)
        network.klt_mean.copy_(mean)
        network.klt_scale.copy_(scale)
        network.y_scale.copy_(y_scale)
        analysis = (y_basis * scale[:, None] / y_scale).permute(3, 2, 0, 1)
        synthesis = (y_basis / scale[:, None] * y_scale).permute(3, 2, 0, 1)
        for conv, inner_taps in ((network.down, analysis), (network.up, synthesis)):
            conv.weight.zero_()
            conv.weight[:, :, taps, taps] = inner_taps.float()
            assert conv.bias is not None
            conv.bias.zero_()
        deviation = y_scale.log() + network.log_gain.values - math.log(LOGISTIC_STD)
        index = (deviation - LOG_LOW) / LOG_STEP
        network.scale_network.offset.values.copy_(index.clamp(0, SCALE_COUNT - 1) / INDEX_UNIT)


def quads(features: Tensor) -> Tensor:
    """`[B, 2h, 2w, C]` to the four positions of each block in a row, tap-major,
    `[B * h * w, 4 * C]`."""
    b, h, w, c = features.shape
    return features.reshape(b, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(-1, 4 * c)


def _principal(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Variances and eigenvectors (columns) of the covariance of `[N, D]` rows, largest first."""
    covariance = rows.t() @ rows / rows.shape[0]
    values, vectors = torch.linalg.eigh(covariance)
    return values.flip(0).clamp(min=0), vectors.flip(1)
