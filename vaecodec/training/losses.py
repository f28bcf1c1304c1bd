"""What training minimises: log(bpp + lambda * distortion), averaged over samples.

With the logarithm every photo and every quality counts by its relative gain; in the plain sum,
noisy photos at high quality would drown all others. But the crops of one photo add up, and with the
logarithm one of plain sky counts as much as its busy neighbour: `evenness` times what crops usually
cost at a level may be added before it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.network.vae import quality_lambda

# Brings 1 - MS-SSIM to the size of 255^2 * MSE at the levels' working points.
MS_SSIM_WEIGHT = 2000.0
_MS_SSIM_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def rate_distortion(
    output: dict[str, Tensor], x: Tensor, t: Tensor, metric: str = "mse", evenness: float = 0.0
) -> dict[str, Tensor]:
    """`cost` (log J), `bpp` and `mse` (of 255-step samples) per sample `[B]`.

    `output`: of VAE.forward; `x`: `[B, 3, H, W]` in 0..1; `t`: `[B]` level; `metric`: mse or
    ms-ssim; `evenness`: what of a usual cost is added to J.
    """
    bpp = (output["bits_y"] + output["bits_z"]) / (x.shape[2] * x.shape[3])
    mse = (output["x_hat"] - x).square().mean((1, 2, 3)) * 255**2
    distortion = mse
    if metric == "ms-ssim":
        # A share of MSE keeps colours and flat areas in place, which MS-SSIM hardly sees.
        distortion = MS_SSIM_WEIGHT * (1 - ms_ssim(output["x_hat"], x)) + 0.1 * mse
    j = bpp + quality_lambda(t) * distortion + evenness * usual_cost(t)
    return {"cost": torch.log(j), "bpp": bpp, "mse": mse}


def usual_cost(t: Tensor) -> Tensor:
    """J of a usual crop at level `t`: its logarithm is nearly linear in the level (validation)."""
    return torch.exp(-1.3 + 0.455 * t)


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Multi-scale structural similarity per sample `[B]` of pictures `[B, C, H, W]` in 0..1.

    Wang, Simoncelli, Bovik 2003: Gaussian window of 11 pixels, sigma 1.5. Pictures too small for
    all five scales use the first ones, their weights scaled to the same sum.
    """
    scales = [s for s in range(5) if min(a.shape[2:]) >> s >= 11]
    weights = torch.tensor([_MS_SSIM_SCALES[s] for s in scales], device=a.device)
    weights = weights / weights.sum() if len(scales) < 5 else weights
    product = torch.ones(a.shape[0], a.shape[1], device=a.device)
    for scale in scales:
        luminance, structure = _ssim_parts(a.float(), b.float())
        last = scale == scales[-1]
        part = (luminance * structure if last else structure).mean((2, 3)).clamp(min=1e-6)
        product = product * part ** weights[scale]
        if not last:
            a, b = (F.avg_pool2d(p, 2, padding=[s % 2 for s in p.shape[2:]]) for p in (a, b))
    return product.mean(1)


def _ssim_parts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variance_a + variance_b + c2)


def _blur(x: Tensor) -> Tensor:
    offsets = torch.arange(11, device=x.device) - 5
    window = torch.exp(-offsets.float().square() / (2 * 1.5**2))
    window = (window / window.sum()).expand(x.shape[1], 1, 1, 11)
    x = F.conv2d(x, window, groups=x.shape[1])
    return F.conv2d(x, window.transpose(2, 3), groups=x.shape[1])
