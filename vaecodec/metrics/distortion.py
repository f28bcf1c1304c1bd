"""How good and how small: PSNR, MS-SSIM, and BD-rate between two rate-distortion curves."""

import math
from collections.abc import Sequence

import numpy as np

from vaecodec.errors import UsageError

MS_SSIM_SIDE = 11  # pixels of its window, and so of the smallest picture


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB between two uint8 or two uint16 pictures of one shape, over all samples; inf if
    equal."""
    white = np.iinfo(a.dtype).max
    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if mse == 0 else 10 * math.log10(white**2 / mse)


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """MS-SSIM between two uint8 or two uint16 pictures of one shape `[H, W]` or `[H, W, C]`, the
    mean over the channels (see losses.ms_ssim). Raises UsageError below MS_SSIM_SIDE."""
    import torch  # two seconds that PSNR does without

    from vaecodec.training.losses import ms_ssim as ms_ssim_of_tensors

    if min(a.shape[:2]) < MS_SSIM_SIDE:
        raise UsageError(
            f"MS-SSIM needs a picture of at least {MS_SSIM_SIDE} pixels a side; use PSNR"
        )
    white = np.iinfo(a.dtype).max
    tensors = (
        torch.from_numpy(p.reshape(*p.shape[:2], -1).astype(np.float32) / white) for p in (a, b)
    )
    with torch.inference_mode():
        return ms_ssim_of_tensors(*(tensor.permute(2, 0, 1)[None] for tensor in tensors)).item()


def bd_rate_percent(
    anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]
) -> float:
    """Mean difference in rate of `test` against `anchor` at equal quality, in percent.

    Each curve is a sequence of (rate, quality in dB). Bjontegaard (VCEG-M33) with piecewise cubic
    (PCHIP) interpolation of log rate over quality, over the range of quality that both cover.
    Points that are not better than a cheaper one are left out. Raises ValueError without a common
    range.
    """
    curves = [_log_rate_over_quality(curve) for curve in (anchor, test)]
    low = max(curve.x[0] for curve in curves)
    high = min(curve.x[-1] for curve in curves)
    if high <= low:
        raise ValueError("the curves have no range of quality in common")
    areas = [float(curve.integrate(low, high)) for curve in curves]
    return 100 * (math.exp((areas[1] - areas[0]) / (high - low)) - 1)


def _log_rate_over_quality(curve: Sequence[tuple[float, float]]):
    from scipy.interpolate import PchipInterpolator  # only evaluation needs scipy

    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(curve):
        if not kept or quality > kept[-1][1]:
            kept.append((rate, quality))
    if len(kept) < 2:
        raise ValueError("a curve needs at least two points")
    return PchipInterpolator([q for _, q in kept], [math.log(r) for r, _ in kept])
