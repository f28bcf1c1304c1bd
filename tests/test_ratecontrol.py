"""Meeting a target: never over a size, never under a quality, near it, in few trials."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaecodec.codec.rate_control import Target, Trial, require, search
from vaecodec.errors import VaecodecError

LEVEL_MAX = 1280
curves = st.tuples(st.floats(1.2, 4.5), st.floats(-0.5, 0.5), st.floats(100, 1e6))


def sizes(curve: tuple[float, float, float]):
    """Bytes over level as codecs have them: nearly exponential, strictly rising."""
    slope, bend, scale = curve

    def attempt(level: int) -> Trial:
        share = level / LEVEL_MAX
        return Trial(level, math.floor(scale * math.exp(slope * share + bend * share**2)), b"")

    return attempt


@given(curves, st.floats(0, 1), st.integers(0, LEVEL_MAX))
def test_sizes_are_met_within_one_percent_and_never_exceeded(curve, share: float, start: int):
    attempt = sizes(curve)
    smallest, largest = attempt(0).value, attempt(LEVEL_MAX).value
    target = Target.size(smallest + share * (largest - smallest))
    trial, count = search(attempt, target, LEVEL_MAX, start)
    assert trial.value <= target.target
    assert trial.value >= 0.99 * target.target or attempt(trial.level + 1).value > target.target
    assert count <= 20


@given(st.floats(25, 45), st.integers(0, LEVEL_MAX))
def test_quality_is_reached_and_hardly_exceeded(target: float, start: int):
    def attempt(level: int) -> Trial:
        return Trial(level, 24 + 22 * (level / LEVEL_MAX) ** 0.9, b"")

    trial, count = search(attempt, Target.quality(target, 0.05), LEVEL_MAX, start)
    assert target <= trial.value <= target + 0.05
    assert count <= 20


@given(st.floats(-40, 40), st.floats(80, 95), st.floats(0, 1), st.integers(0, LEVEL_MAX))
def test_qualities_that_begin_below_zero_and_end_at_100_are_reached_in_few_trials(
    worst: float, best: float, share: float, start: int
):
    """SSIMULACRA 2: what is missing to 100 falls with the level, nearly exponentially."""

    def attempt(level: int) -> Trial:
        fall = (level / LEVEL_MAX) ** 0.9 * math.log((100 - worst) / (100 - best))
        return Trial(level, 100 - (100 - worst) * math.exp(-fall), b"")

    target = worst + share * (best - worst)
    trial, count = search(attempt, Target.quality(target, 0.5, 100), LEVEL_MAX, start)
    assert target <= trial.value
    # Within 0.5, or the lowest level that reaches it where neighbouring levels are further apart.
    assert trial.value <= target + 0.5 or attempt(trial.level - 1).value < target
    assert count <= 8


@pytest.mark.parametrize("target, level", [(10, 0), (1e9, LEVEL_MAX)])
def test_beyond_the_scale_the_nearest_end_is_taken(target: float, level: int):
    attempt = sizes((3.0, 0.0, 1000.0))
    trial, _ = search(attempt, Target.size(target), LEVEL_MAX, 640)
    assert trial.level == level


def test_a_wish_that_cannot_be_met_names_the_nearest():
    attempt = sizes((3.0, 0.0, 1000.0))
    trial, _ = search(attempt, Target.size(10), LEVEL_MAX, 640)
    with pytest.raises(VaecodecError, match="10 bytes cannot be met.*1000 bytes"):
        require(Target.size(10), trial, "bytes")
    require(Target.size(1e9), search(attempt, Target.size(1e9), LEVEL_MAX, 640)[0], "bytes")
