"""What training minimises: log(bpp + lambda * distortion), averaged over samples.

With the logarithm every photo and every quality counts by its relative gain; in the plain sum,
noisy photos at high quality would drown all others. But the crops of one photo add up, and with the
logarithm one of plain sky counts as much as its busy neighbour: `evenness` times what crops usually
cost at a level may be added before it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.metrics.ms_ssim import C1, C2, WINDOW, scale_weights
from vaecodec.network.rate_distortion import quality_lambda
from vaecodec.training.visual_loss import visual_distortion

# Brings 1 - MS-SSIM to the size of 255^2 * MSE at the levels' working points.
MS_SSIM_WEIGHT = 2000.0


def rate_distortion(
    output: dict[str, Tensor], x: Tensor, t: Tensor, metric: str = "psnr", evenness: float = 0.0
) -> dict[str, Tensor]:
    """`cost` (log J), `bpp` and `mse` (of 255-step samples) per sample `[B]`.

    `output`: of VAE.forward; `x`: `[B, 3, H, W]` in 0..1; `t`: `[B]` level; `metric`: one
    of options.METRICS; `evenness`: what of a usual cost is added to J.
    """
    bpp = (output["bits_y"] + output["bits_z"]) / (x.shape[2] * x.shape[3])
    mse = (output["x_hat"] - x).square().mean((1, 2, 3)) * 255**2
    distortion = mse
    if metric == "visual":
        distortion = visual_distortion(output["x_hat"], x, mse, ms_ssim)
    elif metric == "ms-ssim":
        # A share of MSE keeps colours and flat areas in place, which MS-SSIM hardly sees.
        distortion = MS_SSIM_WEIGHT * (1 - ms_ssim(output["x_hat"], x)) + 0.1 * mse
    j = bpp + quality_lambda(t) * distortion + evenness * usual_cost(t)
    return {"cost": torch.log(j), "bpp": bpp, "mse": mse}


def usual_cost(t: Tensor) -> Tensor:
    """J of a usual crop at level `t`: its logarithm is nearly linear in the level (validation)."""
    return torch.exp(-1.3 + 0.455 * t)


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
    window = torch.tensor(WINDOW, device=x.device).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(x, window, groups=x.shape[1])
    return F.conv2d(x, window.transpose(2, 3), groups=x.shape[1])
