"""Rate-distortion optimised rounding: towards zero where the bits saved outweigh the error.

A residual is not rounded to the nearest integer k but to the next one towards zero where the tables
say that this saves more bits than the larger squared error is worth. With one price for all, that
is a dead zone around each half-integer that depends only on the table and on k.
"""

import numpy as np

from vaecodec.entropy.tables import cost_bits

# Bits that a squared error of one quantisation step is worth. More than the 6 / ln 2 = 8.7 of
# theory: residuals also tell the decoder what to expect of those after them. 32 is best for a model
# that has never seen such rounding in training, 20 for one that has (`settle`).
STEP_COST = 20.0
_MARGINS = 32  # margins are tabulated for residuals up to here and constant beyond


def rounding_margins(tables: list[np.ndarray]) -> np.ndarray:
    """How far beyond k - 1/2 a residual must lie to become k: `[len(tables), 33]`, k from 0."""
    margins = np.zeros((len(tables), _MARGINS + 1), np.float32)
    for row, table in zip(margins, tables, strict=True):
        radius = (len(table) - 2) // 2
        costs = cost_bits(table)[radius:-1]  # of 0, 1, .. radius; tables are symmetric
        steps = np.diff(costs)[:_MARGINS]
        row[1 : 1 + len(steps)] = np.maximum(steps, 0) / (2 * STEP_COST)
        row[1 + len(steps) :] = row[len(steps)]
    return margins


def rdoq(d: np.ndarray, margins: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Integers for the residuals `d` `[N]`, each coded with the table that `indices` names."""
    size = np.abs(d)
    k = np.rint(size)
    margin = margins[indices, np.fmin(k, _MARGINS).astype(np.intp)]
    result: np.ndarray = np.copysign(k - (size < k - 0.5 + margin), d)
    return result
