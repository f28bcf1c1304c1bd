"""The scales that latents are coded with, and the levels of a file: their arithmetic, once.

A scale index 0..SCALE_COUNT-1 stands for a logistic distribution; the scales are log-spaced over
SCALE_RANGE, in quantisation steps. A file's level is an anchor's number with LEVEL_BITS fraction
bits: the network's t times LEVEL_UNIT.
"""

import math

SCALE_RANGE = (0.045, 40.0)
SCALE_COUNT = 64
STEP = (SCALE_RANGE[1] / SCALE_RANGE[0]) ** (1 / (SCALE_COUNT - 1))  # of neighbours: 1.114
LOG_LOW = math.log(SCALE_RANGE[0])
LOG_STEP = (math.log(SCALE_RANGE[1]) - LOG_LOW) / (SCALE_COUNT - 1)
LEVEL_BITS = 8
LEVEL_UNIT = 1 << LEVEL_BITS


def scale_of_index(index: float) -> float:
    """The scale of a logistic distribution, in quantisation steps."""
    return math.exp(LOG_LOW + LOG_STEP * index)


def nearest_anchor(level: int) -> int:
    """The anchor whose tables code z at a file's `level`."""
    return (level + LEVEL_UNIT // 2) // LEVEL_UNIT
