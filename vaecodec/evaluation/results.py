"""Curves of rate and quality over a set of pictures, and how much smaller one codec's files are.

A curve's point is the mean over the pictures of bits per pixel and of the metric at one quality
setting, as in published tables; the BD-rate between two such curves is what is quoted. The mean of
the BD-rates of single pictures is given beside it. Intervals hold 95 % of 1000 bootstrap samples
of the pictures.
"""

from dataclasses import dataclass

import numpy as np

from vaecodec.evaluation.measure import METRICS
from vaecodec.metrics.distortion import bd_rate_percent

SAMPLES = 1000


@dataclass(frozen=True)
class Measured:
    """All points of a codec. `qualities` `[Q]`; the arrays `[Q, pictures]`.

    `metrics`: by name, in their own units; `encode` and `decode`: seconds per megapixel.
    """

    name: str
    title: str
    version: str
    qualities: np.ndarray
    bpp: np.ndarray
    metrics: dict[str, np.ndarray]
    encode: np.ndarray
    decode: np.ndarray

    def mean_curve(self, metric: str, pictures: np.ndarray | None = None) -> np.ndarray:
        """Points (bpp, decibels) `[Q, 2]` of the means over `pictures` (None: all)."""
        chosen = slice(None) if pictures is None else pictures
        quality = METRICS[metric].to_db(self.metrics[metric][:, chosen].mean(1))
        return np.stack([self.bpp[:, chosen].mean(1), quality], axis=1)

    def curve_of(self, metric: str, picture: int) -> np.ndarray:
        """Points (bpp, decibels) `[Q, 2]` of one picture."""
        return self.mean_curve(metric, np.array([picture]))


@dataclass(frozen=True)
class Comparison:
    """BD-rates in percent of one codec against another; None where the curves do not meet.

    `interval` and `each_interval`: of `of_means` and `mean_of_each`, None below two pictures.
    """

    against: str
    metric: str
    of_means: float | None
    interval: tuple[float, float] | None
    each: list[float | None]
    mean_of_each: float | None
    each_interval: tuple[float, float] | None


def compare(anchor: Measured, test: Measured, metric: str) -> Comparison:
    """How much larger (or, negative, smaller) the files of `test` are than those of `anchor`."""
    pictures = anchor.bpp.shape[1]
    each = [bd_rate(anchor.curve_of(metric, i), test.curve_of(metric, i)) for i in range(pictures)]
    found = np.array([value for value in each if value is not None])
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(SAMPLES if pictures > 1 else 0):
        drawn = rng.integers(0, pictures, pictures)
        curves = (codec.mean_curve(metric, drawn) for codec in (anchor, test))
        samples.append(bd_rate(*curves))
    rng = np.random.default_rng(0)
    means = found[rng.integers(0, len(found), (SAMPLES, len(found)))].mean(1) if len(found) else []
    return Comparison(
        against=anchor.name,
        metric=metric,
        of_means=bd_rate(anchor.mean_curve(metric), test.mean_curve(metric)),
        interval=_interval([s for s in samples if s is not None]),
        each=each,
        mean_of_each=float(found.mean()) if len(found) else None,
        each_interval=_interval(means) if len(found) > 1 else None,
    )


def bd_rate(anchor: np.ndarray, test: np.ndarray) -> float | None:
    """BD-rate in percent between curves of points (bpp, decibels), None where they do not meet."""
    try:
        return bd_rate_percent([tuple(p) for p in anchor], [tuple(p) for p in test])
    except ValueError:
        return None


def _interval(values) -> tuple[float, float] | None:
    if len(values) == 0:
        return None
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
