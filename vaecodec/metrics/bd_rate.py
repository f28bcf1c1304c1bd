"""BD-rate: the mean difference in rate between two rate-distortion curves."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

EVERYWHERE = (-math.inf, math.inf)


def bd_rate_percent(
    anchor: Sequence[tuple[float, float]],
    test: Sequence[tuple[float, float]],
    span: tuple[float, float] = EVERYWHERE,
) -> float:
    """Mean difference in rate of `test` against `anchor` at equal quality, in percent.

    Each curve is a sequence of (rate, quality, which rises). Bjontegaard (VCEG-M33) with piecewise
    cubic (PCHIP) interpolation of log rate over quality, over the part of `span` that both curves
    reach. Points that are not better than a cheaper one are left out. Raises ValueError without a
    common range.
    """
    curves = [_log_rate_over_quality(curve) for curve in (anchor, test)]
    low = max(span[0], *(curve.x[0] for curve in curves))
    high = min(span[1], *(curve.x[-1] for curve in curves))
    if high <= low:
        raise ValueError("the curves have no range of quality in common")
    areas = [float(curve.integrate(low, high)) for curve in curves]
    return 100 * (math.exp((areas[1] - areas[0]) / (high - low)) - 1)


def _log_rate_over_quality(curve: Sequence[tuple[float, float]]) -> "PchipInterpolator":
    from scipy.interpolate import PchipInterpolator  # only evaluation needs scipy

    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(curve):
        if not kept or quality > kept[-1][1]:
            kept.append((rate, quality))
    if len(kept) < 2:
        raise ValueError("a curve needs at least two points")
    return PchipInterpolator([q for _, q in kept], [math.log(r) for r, _ in kept])
