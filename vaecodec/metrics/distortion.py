"""Measures of a picture's quality, by name, and PSNR."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaecodec.metrics import butteraugli, cvvdp
from vaecodec.metrics.ms_ssim import ms_ssim
from vaecodec.metrics.ssimulacra2 import ssimulacra2

Scale = Callable[[np.ndarray], np.ndarray]


def _as_it_is(values: np.ndarray) -> np.ndarray:
    return np.asarray(values)


def _negative(values: np.ndarray) -> np.ndarray:
    return -np.asarray(values)


@dataclass(frozen=True)
class Metric:
    """A measure of quality between two uint8 pictures `[H, W, 3]`, the original first.

    `span`: the values, worst and best, over which rates are compared (BD-rate). `to_curve`: to what
    curves use, which rises with quality, in `unit`. `digits`: that are told behind the point.
    `missing`: how to get what it needs, None where that is there.
    """

    title: str
    measure: Callable[[np.ndarray, np.ndarray], float]
    span: tuple[float, float]
    digits: int
    unit: str = ""
    to_curve: Scale = _as_it_is
    missing: Callable[[], str | None] = lambda: None

    @property
    def axis(self) -> str:
        """What curves show, with its unit."""
        return f"{self.title} in {self.unit}" if self.unit else self.title

    @property
    def curve_span(self) -> tuple[float, float]:
        """`span` in the unit of curves."""
        worst, best = (float(self.to_curve(np.array(value))) for value in self.span)
        return worst, best

    def is_better(self, one: float, other: float) -> bool:
        """Whether the value `one` means the better picture."""
        return bool(self.to_curve(np.array(one)) > self.to_curve(np.array(other)))

    def said(self, value: float | None) -> str:
        """The value as it is told, empty for None."""
        return "" if value is None else f"{value:.{self.digits}f}"


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB between two uint8 or two uint16 pictures of one shape, over all samples; inf if
    equal."""
    white = np.iinfo(a.dtype).max
    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if mse == 0 else 10 * math.log10(white**2 / mse)


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return min(psnr_db(a, b), 100.0)  # identical pictures are infinitely good, which has no mean


def _ms_ssim_db(values: np.ndarray) -> np.ndarray:
    result: np.ndarray = -10 * np.log10(np.maximum(1 - np.asarray(values), 1e-10))
    return result


# What agrees most with people comes first. The spans are where files are made for use: SSIMULACRA 2
# from "annoying" to "invisible by flicker", the others about there, too.
METRICS = {
    "ssimulacra2": Metric("SSIMULACRA 2", ssimulacra2, (30, 90), 1),
    "ms-ssim": Metric("MS-SSIM", ms_ssim, (0.9, 0.998), 4, "dB", _ms_ssim_db),
    "psnr": Metric("PSNR", _psnr, (26, 44), 2, "dB"),
    "butteraugli": Metric(
        "Butteraugli (3-norm)",
        butteraugli.butteraugli,
        (6, 0.3),
        3,
        "negative distance",
        _negative,
        butteraugli.missing,
    ),
    "cvvdp": Metric(
        "ColorVideoVDP",
        cvvdp.cvvdp,
        (7, 9.95),
        3,
        "just objectionable differences",
        missing=cvvdp.missing,
    ),
}
