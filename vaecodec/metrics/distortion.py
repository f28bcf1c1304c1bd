"""Measures of a picture's quality, by name, and PSNR."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaecodec.metrics.ms_ssim import ms_ssim


@dataclass(frozen=True)
class Metric:
    """A measure of quality between two uint8 pictures. `to_db`: to decibels, which curves use."""

    title: str
    measure: Callable[[np.ndarray, np.ndarray], float]
    to_db: Callable[[np.ndarray], np.ndarray]


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB between two uint8 or two uint16 pictures of one shape, over all samples; inf if
    equal."""
    white = np.iinfo(a.dtype).max
    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if mse == 0 else 10 * math.log10(white**2 / mse)


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return min(psnr_db(a, b), 100.0)  # identical pictures are infinitely good, which has no mean


def _ms_ssim_db(value: np.ndarray) -> np.ndarray:
    result: np.ndarray = -10 * np.log10(np.maximum(1 - np.asarray(value), 1e-10))
    return result


METRICS = {
    "psnr": Metric("PSNR", _psnr, np.asarray),
    "ms-ssim": Metric("MS-SSIM", ms_ssim, _ms_ssim_db),
}
