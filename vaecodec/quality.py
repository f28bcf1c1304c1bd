"""The one quality scale, 0 (smallest) to 100 (best), and the levels that files hold."""

from vaecodec.container import LEVEL_MAX
from vaecodec.errors import UsageError

DEFAULT_QUALITY = 60.0


def level_of_quality(quality: float) -> int:
    """A file's level (0..LEVEL_MAX) of a quality in 0..100. Raises UsageError outside."""
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is not in 0..100")
    return round(quality / 100 * LEVEL_MAX)


def quality_of_level(level: int) -> float:
    """The quality 0..100 of a file's level."""
    return 100 * level / LEVEL_MAX
