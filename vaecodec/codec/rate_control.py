"""The level that meets a target: a size that must not be exceeded, or a quality that must be
reached."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from vaecodec.errors import TargetError

TOLERANCE = 0.01  # of a size: how far below the target is near enough
SIZE_SLOPE, QUALITY_SLOPE = 2.2, 0.33  # of sizes and of PSNR on photographs
INTERPOLATIONS = 8  # then halves are tried, which end surely


@dataclass(frozen=True)
class Trial:
    """An encoding at `level`: its file, the value that is compared with the target, and whether it
    decodes to the picture itself."""

    level: int
    value: float
    data: bytes
    lossless: bool = False


@dataclass(frozen=True)
class Target:
    """`target` in bytes ("size") or in units of quality; `near`: how far from it is near enough;
    `slope`: how much its logarithm usually rises over all levels, for the second guess.
    """

    target: float
    is_size: bool
    near: float
    slope: float

    @classmethod
    def size(cls, size_bytes: float) -> "Target":
        """At most this many bytes, and at least 99 % of them."""
        return cls(size_bytes, True, TOLERANCE * size_bytes, SIZE_SLOPE)

    @classmethod
    def quality(cls, value: float, near: float) -> "Target":
        """At least this quality, and not more than `near` above it."""
        return cls(value, False, near, QUALITY_SLOPE)

    @property
    def aim(self) -> float:
        """The middle of what is near enough."""
        return self.target + (-0.5 if self.is_size else 0.5) * self.near

    def met_by(self, trial: Trial) -> bool:
        return trial.value <= self.target if self.is_size else trial.value >= self.target

    def is_near(self, trial: Trial) -> bool:
        """Whether nothing better is worth the time: for a size, no file is better than a lossless
        one."""
        near = abs(trial.value - self.target) <= self.near or (self.is_size and trial.lossless)
        return self.met_by(trial) and near


def search(
    attempt: Callable[[int], Trial], target: Target, level_max: int, start: int
) -> tuple[Trial, int]:
    """The best trial for `target`, and how many were made.

    Size and quality rise with the level 0..`level_max`; a straight line of the logarithm through
    the two trials nearest to the aim, guarded by bisection, takes about three. Where no level meets
    the target, the nearest trial is returned, which `target.met_by` then denies.
    """
    low: Trial | None = None  # value under the target
    high: Trial | None = None
    trials: list[Trial] = []
    level = start
    while True:
        trial = attempt(level)
        trials.append(trial)
        if target.is_near(trial):
            return trial, len(trials)
        if trial.value <= target.target:
            low = trial
        else:
            high = trial
        first, last = (low.level + 1 if low else 0), (high.level - 1 if high else level_max)
        if first > last:
            break
        if len(trials) <= INTERPOLATIONS:
            level = min(max(_interpolate(trials, target, level_max), first), last)
        else:
            level = (first + last) // 2
    inner, outer = (low, high) if target.is_size else (high, low)
    return inner or outer or trials[-1], len(trials)


def _interpolate(trials: list[Trial], target: Target, level_max: int) -> int:
    aim = math.log(target.aim)

    def distance(trial: Trial) -> float:
        return abs(math.log(max(trial.value, 1e-9)) - aim)

    a, *others = sorted(trials, key=distance)
    slope = target.slope / level_max
    if others and a.level != others[0].level:
        b = others[0]
        measured = math.log(max(a.value, 1e-9) / max(b.value, 1e-9)) / (a.level - b.level)
        slope = measured if measured > 0 else slope
    step = (aim - math.log(max(a.value, 1e-9))) / slope
    return round(a.level + max(-level_max, min(level_max, step)))


def require(target: Target, trial: Trial, unit: str) -> None:
    """Raise TargetError, with the nearest that can be had, where the target is not met."""
    if not target.met_by(trial):
        direction = "smallest" if target.is_size else "best"
        raise TargetError(
            f"target of {target.target:g} {unit} cannot be met; the {direction} possible is"
            f" {trial.value:g} {unit}",
            "best_effort",
        )
