"""The level that meets a target: a size that must not be exceeded, or a quality that must be
reached."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from vaecodec.errors import TargetError

TOLERANCE = 0.01  # of a size: how far below the target is near enough
# How much `Target.straight` rises over all levels, on photographs: of sizes, of PSNR, and of
# qualities that have a best value.
SIZE_SLOPE, QUALITY_SLOPE, BOUNDED_SLOPE = 2.2, 0.33, 1.6
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
    `slope`: how much `straight` of it usually rises over all levels, for the second guess; `best`:
    what a quality can reach at most.
    """

    target: float
    is_size: bool
    near: float
    slope: float
    best: float = math.inf

    @classmethod
    def size(cls, size_bytes: float) -> "Target":
        """At most this many bytes, and at least 99 % of them."""
        return cls(size_bytes, True, TOLERANCE * size_bytes, SIZE_SLOPE)

    @classmethod
    def quality(cls, value: float, near: float, best: float = math.inf) -> "Target":
        """At least this quality, and not more than `near` above it."""
        return cls(value, False, near, BOUNDED_SLOPE if best < math.inf else QUALITY_SLOPE, best)

    @property
    def aim(self) -> float:
        """The middle of what is near enough."""
        return self.target + (-0.5 if self.is_size else 0.5) * self.near

    def straight(self, value: float) -> float:
        """What rises nearly straight with the level: the logarithm of the value, or of how far it
        is from the best one, which falls."""
        if self.best < math.inf:
            return -math.log(max(self.best - value, 1e-9))
        return math.log(max(value, 1e-9))

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

    Size and quality rise with the level 0..`level_max`; a straight line (`Target.straight`) through
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
    aim = target.straight(target.aim)

    def distance(trial: Trial) -> float:
        return abs(target.straight(trial.value) - aim)

    a, *others = sorted(trials, key=distance)
    value = target.straight(a.value)
    slope = target.slope / level_max
    if others and a.level != others[0].level:
        b = others[0]
        measured = (value - target.straight(b.value)) / (a.level - b.level)
        slope = measured if measured > 0 else slope
    step = (aim - value) / slope
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
