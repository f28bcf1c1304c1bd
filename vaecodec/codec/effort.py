"""What each effort does: how residuals are rounded, and how long latents are refined."""

from vaecodec.errors import UsageError

# Steps of gradient descent (inference/refine) at each effort. Without any, residuals are rounded by
# RDOQ (entropy/rdoq) from effort 1 on, which is worth more than the first four steps.
ITERATIONS = (0, 0, 8, 15, 22, 30, 60, 100, 160, 250)
EFFORT_MAX = len(ITERATIONS) - 1
DEFAULT_EFFORT = 1
# By what a model preserves: how much lower than by the default effort a file's level is for the
# same PSNR, or SSIMULACRA 2. The dead zone of that effort's rounding costs quality as well as bits;
# plain rounding and refinement have none.
LEVELS_BELOW = {
    "psnr": (60, 0, 37, 45, 45, 45, 45, 45, 45, 45),
    "visual": (55, 0, 95, 100, 102, 105, 105, 105, 105, 105),
}


def check_effort(effort: int) -> None:
    """Raise UsageError outside 0..EFFORT_MAX."""
    if effort not in range(EFFORT_MAX + 1):
        raise UsageError(f"effort {effort} is not in 0..{EFFORT_MAX}")
