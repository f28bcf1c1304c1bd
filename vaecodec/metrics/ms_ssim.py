"""MS-SSIM, multi-scale structural similarity (Wang, Simoncelli, Bovik 2003)."""

import numpy as np

from vaecodec.errors import UsageError

SIDE = 11  # pixels of its window, and so of the smallest picture
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the five scales, finest first
C1, C2 = 0.01**2, 0.03**2
_OFFSETS = np.arange(SIDE) - SIDE // 2
_WINDOW = np.exp(-(_OFFSETS.astype(np.float32) ** 2) / (2 * 1.5**2))
WINDOW = tuple(float(tap) for tap in _WINDOW / _WINDOW.sum())  # Gaussian, sigma 1.5


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """MS-SSIM between two uint8 or two uint16 pictures of one shape `[H, W]` or `[H, W, C]`, the
    mean over the channels.

    Pictures too small for all five scales use the first ones, their weights scaled to the same
    sum. Raises UsageError below SIDE pixels a side.
    """
    if min(a.shape[:2]) < SIDE:
        raise UsageError(f"MS-SSIM needs a picture of at least {SIDE} pixels a side; use PSNR")
    white = np.float32(np.iinfo(a.dtype).max)
    planes = [np.moveaxis(np.atleast_3d(p), 2, 0).astype(np.float32) / white for p in (a, b)]
    return float(np.mean([_of_planes(x, y) for x, y in zip(*planes, strict=True)]))


def scale_weights(side: int) -> list[float]:
    """The weights of the scales that a picture of that smaller side has."""
    used = [weight for scale, weight in enumerate(WEIGHTS) if side >> scale >= SIDE]
    return [weight / sum(used) for weight in used] if len(used) < len(WEIGHTS) else used


def _of_planes(a: np.ndarray, b: np.ndarray) -> float:
    product = 1.0
    weights = scale_weights(min(a.shape))
    for scale, weight in enumerate(weights):
        luminance, structure = _ssim_maps(a, b)
        last = scale == len(weights) - 1
        part = float((luminance * structure if last else structure).mean(dtype=np.float64))
        product *= max(part, 1e-6) ** weight
        a, b = _halved(a), _halved(b)
    return product


def _ssim_maps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance, (2 * covariance + C2) / (variance_a + variance_b + C2)


def _blur(plane: np.ndarray) -> np.ndarray:
    """`[H, W]` to `[H - 10, W - 10]`."""
    for axis in (0, 1):
        length = plane.shape[axis] - SIDE + 1
        blurred = np.zeros([length if i == axis else n for i, n in enumerate(plane.shape)], "f4")
        for start, tap in enumerate(WINDOW):
            part = plane[start : start + length] if axis == 0 else plane[:, start : start + length]
            blurred += np.float32(tap) * part
        plane = blurred
    return plane


def _halved(plane: np.ndarray) -> np.ndarray:
    """2x2 means; before an odd side comes a row or column of zeros, which counts."""
    rows, columns = (side % 2 for side in plane.shape)
    plane = np.pad(plane, ((rows, 0), (columns, 0)))
    height, width = (side // 2 * 2 for side in plane.shape)
    result: np.ndarray = plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    return result
