"""How far a decoded picture is from the original, differentiable, by what a model preserves.

All distances are in the units of 255^2 * MSE at the levels' working points, so that one Lagrangian
weight (rate_distortion.quality_lambda) serves each of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.metrics.ms_ssim import C1, C2, SIDE, WINDOW, scale_weights
from vaecodec.metrics.ssimulacra2 import SMALLEST_SIDE
from vaecodec.network.visual_distance import blur_matrix, visual_distance

# Brings 1 - MS-SSIM to the size of 255^2 * MSE at the levels' working points.
MS_SSIM_WEIGHT = 2000.0
MSE_SHARE = 0.1  # beside MS-SSIM
LUMA = (0.299, 0.587, 0.114)


def distortion(x_hat: Tensor, x: Tensor, metric: str) -> Tensor:
    """Per sample `[B]`, of pictures `[B, 3, H, W]` in 0..1; `metric`: one of weight_files.METRICS.

    Sides under SMALLEST_SIDE, where the other metrics see nothing, are compared by MSE. In float32
    whatever the network computes in: variances are small differences.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _distortion(x_hat.float(), x.float(), metric)


def _distortion(x_hat: Tensor, x: Tensor, metric: str) -> Tensor:
    mse = (x_hat - x).square().mean((1, 2, 3)) * 255**2
    if metric == "psnr" or min(x.shape[2:]) < SMALLEST_SIDE:
        return mse
    if metric == "ms-ssim":
        # A share of MSE keeps colours and flat areas in place, which MS-SSIM hardly sees.
        return MS_SSIM_WEIGHT * (1 - ms_ssim(x_hat, x)) + MSE_SHARE * mse
    luma = torch.tensor(LUMA, device=x.device).view(1, 3, 1, 1)
    grey_hat, grey = ((p * luma).sum(1, keepdim=True) for p in (x_hat, x))
    return visual_distance(x_hat, x, mse, 1 - ms_ssim(grey_hat, grey))


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Multi-scale structural similarity per sample `[B]` of pictures `[B, C, H, W]` in 0..1.

    The same as metrics.ms_ssim, differentiable.
    """
    product = torch.ones(a.shape[0], a.shape[1], device=a.device)
    weights = scale_weights(min(a.shape[2:]))
    for scale, weight in enumerate(weights):
        luminance, structure = _ssim_parts(a.float(), b.float())
        last = scale == len(weights) - 1
        part = (luminance * structure if last else structure).mean((2, 3)).clamp(min=1e-6)
        product = product * part**weight
        if not last:
            a, b = (F.avg_pool2d(p, 2, padding=[s % 2 for s in p.shape[2:]]) for p in (a, b))
    return product.mean(1)


def _ssim_parts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance, (2 * covariance + C2) / (variance_a + variance_b + C2)


def _blur(x: Tensor) -> Tensor:
    """`[..., H, W]` to `[..., H - 10, W - 10]`: where the window lies inside."""
    margin = SIDE // 2
    down, across = (
        blur_matrix(side, WINDOW[margin:], x.device)[margin : side - margin]
        for side in x.shape[-2:]
    )
    return down @ x @ across.t()
