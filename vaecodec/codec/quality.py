"""The one quality scale, 0 (smallest) to 100 (best), and the levels that files hold."""

from vaecodec.codec.effort import DEFAULT_EFFORT, LEVELS_BELOW, check_effort
from vaecodec.errors import UsageError

DEFAULT_QUALITY = 60.0
LEVEL_OF_100 = 1280  # the top of the first generation; targets reach beyond where a model goes on


def level_of_quality(quality: float, effort: int = DEFAULT_EFFORT) -> int:
    """A file's level of a quality in 0..100, encoded with `effort`.

    A quality is what the default effort makes of it. The others lose less of a picture at the same
    level, so they take a lower one for the same PSNR; at the bottom of the scale, where there is
    none, they come nearer to the same level. Raises UsageError outside 0..100 and for an effort
    that there is not.
    """
    check_effort(effort)
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is not in 0..100")
    level = quality / 100 * LEVEL_OF_100
    return round(level - min(LEVELS_BELOW[effort], level / 4))


def quality_of_level(level: int) -> float:
    """The quality 0..100 of a file's level, as if by the default effort."""
    return 100 * level / LEVEL_OF_100
