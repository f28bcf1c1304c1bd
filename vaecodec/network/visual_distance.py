"""A distance that follows the eye: MSE, SSIMULACRA 2's weighted sum, and MS-SSIM of luma, mixed.

The terms of SSIMULACRA 2 are those of `metrics.ssimulacra2`, differentiable. Its weighted sum s is
proportional to the squared error at every level of quality, 255^2 MSE = 6.1 s within 5 % with a
model trained for PSNR, and so is 1 - MS-SSIM; so a mixture keeps every level's rate. Each part
alone goes wrong somewhere: SSIM-like ones drift in the colour and brightness of flat areas, which
MSE holds in place.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.metrics import ssimulacra2 as s2

SSIMULACRA2_SHARE, MS_SSIM_SHARE = 0.35, 0.35  # of the distance, the rest is MSE
MSE_PER_SUM = 6.1  # squared error of 255-step samples that a weighted sum of 1 comes with
MSE_PER_MS_SSIM = 1100.0  # the same for 1 - MS-SSIM of luma
_TINY = 1e-12  # keeps the gradient of a 4-norm finite where there is no error


def visual_distance(x_hat: Tensor, x: Tensor, mse: Tensor, unlikeness: Tensor) -> Tensor:
    """The distance of pictures `[B, 3, H, W]` in 0..1, per sample `[B]`, in units of `mse`.

    `mse`: squared error of 255-step samples `[B]`; `unlikeness`: 1 - MS-SSIM of luma `[B]`.
    """
    return (
        (1 - SSIMULACRA2_SHARE - MS_SSIM_SHARE) * mse
        + SSIMULACRA2_SHARE * MSE_PER_SUM * weighted_sum(x, x_hat)
        + MS_SSIM_SHARE * MSE_PER_MS_SSIM * unlikeness
    )


def weighted_sum(original: Tensor, distorted: Tensor) -> Tensor:
    """SSIMULACRA 2's weighted sum of pictures `[B, 3, H, W]` in 0..1, per sample `[B]`.

    Sides are at least `ssimulacra2.SMALLEST_SIDE`. What is beyond 0..1 counts as at the bound.
    """
    linear = [_linear(p.float().clamp(0, 1)) for p in (original, distorted)]
    total = torch.zeros(original.shape[0], device=original.device)
    for halvings in range(s2.SCALES):
        wanted = {plane: maps for (h, plane), maps in s2.WEIGHTS.items() if h == halvings}
        first, second = (_xyb(p, list(wanted)) for p in linear)
        for number, maps in enumerate(wanted.values()):
            found = _maps(first[:, number], second[:, number], list(maps))
            for name, (mean_weight, norm_weight) in maps.items():
                values = found[name]
                if mean_weight:
                    total = total + mean_weight * values.mean((1, 2))
                if norm_weight:
                    fourth = values.square().square().mean((1, 2))
                    total = total + norm_weight * ((fourth + _TINY**2).pow(0.25) - _TINY**0.5)
        linear = [_halved(p) for p in linear]
    return s2.SUM_SCALE * total


def _linear(x: Tensor) -> Tensor:
    """sRGB to linear light."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04) + 0.055) / 1.055).pow(2.4))


def _xyb(linear: Tensor, planes: list[str]) -> Tensor:
    """The named planes of XYB, scaled to about 0..1: `[B, planes, H, W]`."""
    matrix = torch.tensor(s2.OPSIN_MATRIX, device=linear.device)
    mixed = F.conv2d(linear, matrix[:, :, None, None]) + s2.OPSIN_BIAS
    cones = mixed.clamp(min=1e-9).pow(1 / 3) - s2.OPSIN_BIAS ** (1 / 3)
    long, middle, short = cones.unbind(1)
    y = (long + middle) / 2
    scaled = {
        "X": s2.X_GAIN * (long - middle) / 2 + s2.X_OFFSET,
        "Y": y + s2.Y_OFFSET,
        "B": short - y + s2.B_OFFSET,
    }
    return torch.stack([scaled[plane] for plane in planes], 1)


def _maps(a: Tensor, b: Tensor, names: list[str]) -> dict[str, Tensor]:
    """The error maps `[B, H, W]` of a plane; `a` is the original's."""
    down, across = (blur_matrix(side, s2.BLUR_TAPS, a.device) for side in a.shape[1:])

    def blur(plane: Tensor) -> Tensor:
        return down @ plane @ across

    mean_a, mean_b = blur(a), blur(b)
    maps = {}
    if "structure" in names:
        product, squares = mean_a * mean_b, (mean_a.square(), mean_b.square())
        likeness = 1 - (mean_a - mean_b).square()
        covariance = 2 * (blur(a * b) - product) + s2.STABILITY
        variances = blur(a * a) + blur(b * b) - squares[0] - squares[1] + s2.STABILITY
        maps["structure"] = (1 - likeness * covariance / variances).clamp(min=0)
    if "ringing" in names or "blur" in names:
        edges = (1 + (b - mean_b).abs()) / (1 + (a - mean_a).abs()) - 1
        maps |= {"ringing": edges.clamp(min=0), "blur": (-edges).clamp(min=0)}
    return maps


@lru_cache(maxsize=32)
def blur_matrix(side: int, taps: tuple[float, ...], device: torch.device) -> Tensor:
    """`[side, side]`: a symmetric blur as a product with a banded matrix, its own transpose.

    On CPUs several times faster than a convolution by channel, forward and backward. Zeros outside.
    `taps`: from the centre outwards.
    """
    matrix = torch.zeros(side, side)
    for offset, tap in enumerate(taps):
        for place in {offset, -offset}:
            matrix += torch.diag(torch.full((side - offset,), tap), place) if offset < side else 0
    return matrix.to(device)


def _halved(linear: Tensor) -> Tensor:
    """2x2 means; the edge is repeated where a side is odd."""
    height, width = linear.shape[2:]
    padded = F.pad(linear, (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(padded, 2)
