"""What training minimises: log(bpp + lambda * distortion), averaged over samples.

With the logarithm every photo and every quality counts by its relative gain; in the plain sum,
noisy photos at high quality would drown all others. But the crops of one photo add up, and with the
logarithm one of plain sky counts as much as its busy neighbour: `evenness` times what crops usually
cost at a level may be added before it.
"""

import torch
from torch import Tensor

from vaecodec.network.distortion import distortion
from vaecodec.network.rate_distortion import quality_lambda


def rate_distortion(
    output: dict[str, Tensor], x: Tensor, t: Tensor, metric: str = "psnr", evenness: float = 0.0
) -> dict[str, Tensor]:
    """`cost` (log J), `bpp` and `mse` (of 255-step samples) per sample `[B]`.

    `output`: of VAE.forward; `x`: `[B, 3, H, W]` in 0..1; `t`: `[B]` level; `metric`: one
    of weight_files.METRICS; `evenness`: what of a usual cost is added to J.
    """
    bpp = (output["bits_y"] + output["bits_z"]) / (x.shape[2] * x.shape[3])
    mse = (output["x_hat"] - x).square().mean((1, 2, 3)) * 255**2
    j = bpp + quality_lambda(t) * distortion(output["x_hat"], x, metric) + evenness * usual_cost(t)
    return {"cost": torch.log(j), "bpp": bpp, "mse": mse}


def usual_cost(t: Tensor) -> Tensor:
    """J of a usual crop at level `t`: its logarithm is nearly linear in the level (validation)."""
    return torch.exp(-1.3 + 0.455 * t)
