"""The level that meets a wish: a size that must not be exceeded, or a quality that must be
reached."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from vaecodec.errors import VaecodecError

TOLERANCE = 0.01  # of a size: how far below the wish is near enough


@dataclass(frozen=True)
class Trial:
    """An encoding at `level`: its file, and the value that is compared with the wish."""

    level: int
    value: float
    data: bytes


@dataclass(frozen=True)
class Wish:
    """`target` in bytes ("size") or in units of quality; `near`: how far from it is near enough."""

    target: float
    is_size: bool
    near: float

    @classmethod
    def size(cls, size_bytes: float) -> "Wish":
        """At most this many bytes, and at least 99 % of them."""
        return cls(size_bytes, True, TOLERANCE * size_bytes)

    @classmethod
    def quality(cls, value: float, near: float) -> "Wish":
        """At least this quality, and not more than `near` above it."""
        return cls(value, False, near)

    def met_by(self, trial: Trial) -> bool:
        return trial.value <= self.target if self.is_size else trial.value >= self.target

    def is_near(self, trial: Trial) -> bool:
        return self.met_by(trial) and abs(trial.value - self.target) <= self.near


def search(
    attempt: Callable[[int], Trial], wish: Wish, level_max: int, start: int
) -> tuple[Trial, int]:
    """The best trial for `wish`, and how many were made.

    Size and quality rise with the level 0..`level_max`; interpolation between the nearest trials on
    both sides, guarded by bisection, takes three or four of them. Where no level meets the wish,
    the nearest trial is returned, which `wish.met_by` then denies.
    """
    low: Trial | None = None  # value under the target
    high: Trial | None = None
    level, count = start, 0
    while True:
        trial = attempt(level)
        count += 1
        if wish.is_near(trial):
            return trial, count
        if trial.value <= wish.target:
            low = trial
        else:
            high = trial
        if low is not None and high is not None and high.level - low.level <= 1:
            break
        if (low is None and high.level == 0) or (high is None and low.level == level_max):
            break
        level = _next_level(low, high, wish.target, level_max, count)
    inner, outer = (low, high) if wish.is_size else (high, low)
    return (inner or outer), count


def _next_level(
    low: Trial | None, high: Trial | None, target: float, level_max: int, count: int
) -> int:
    if low is None:
        return max(0, high.level - (64 << count))
    if high is None:
        return min(level_max, low.level + (64 << count))
    part = 0.5
    if count < 8:
        values = [math.log(max(v, 1e-9)) for v in (low.value, target, high.value)]
        part = (values[1] - values[0]) / max(values[2] - values[0], 1e-12)
    level = round(low.level + part * (high.level - low.level))
    return min(max(level, low.level + 1), high.level - 1)


def require(wish: Wish, trial: Trial, unit: str) -> None:
    """Raise VaecodecError, with the nearest that can be had, where the wish is not met."""
    if not wish.met_by(trial):
        direction = "smallest" if wish.is_size else "best"
        raise VaecodecError(
            f"target of {wish.target:g} {unit} cannot be met; the {direction} possible is"
            f" {trial.value:g} {unit}; --best-effort takes it"
        )
