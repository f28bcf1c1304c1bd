"""Integer probability tables: made once when a model is released, stored with it, never recomputed.

A table is an int32 array `[2R + 2]`: the weights of the values -R..R and, last, of the escape for
anything beyond. The coder adds 1 to each weight, and weights plus ones sum to 2**24, so that the
coder's fixed-point probabilities are these very integers on every machine.
"""

import numpy as np

PRECISION = 24
MAX_RADIUS = 1023


def table_from_frequencies(frequencies: np.ndarray, escape: float) -> np.ndarray:
    """Table of the values -R..R with `frequencies` `[2R + 1]` (non-negative) and one for the
    escape."""
    p = np.append(np.asarray(frequencies, np.float64), escape)
    free = (1 << PRECISION) - len(p)
    exact = p / p.sum() * free
    weights = np.floor(exact).astype(np.int64)
    # The largest remainders get what rounding down left over.
    order = np.argsort(weights - exact, kind="stable")
    weights[order[: free - weights.sum()]] += 1
    result: np.ndarray = weights.astype(np.int32)
    return result


def logistic_frequencies(scale: float, radius: int) -> tuple[np.ndarray, float]:
    """Probabilities of -radius..radius under a rounded zero-mean logistic, and of all beyond."""
    edges = np.arange(-radius, radius + 2) - 0.5
    cdf = 0.5 * (1 + np.tanh(edges / (2 * scale)))
    upper = 0.5 * (1 + np.tanh(-edges / (2 * scale)))  # 1 - cdf, exact in the upper tail
    inside = np.where(edges[:-1] < 0, np.diff(cdf), -np.diff(upper))
    return inside, 1 - np.tanh((radius + 0.5) / (2 * scale))


def check_table(table: np.ndarray) -> None:
    """Raise ValueError unless `table` is a table as described above."""
    radius, odd = divmod(len(table) - 2, 2)
    if odd or not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f"table of {len(table)} entries")
    if table.min() < 0 or int(table.sum(dtype=np.int64)) + len(table) != 1 << PRECISION:
        raise ValueError("table weights do not sum to the coder's total")


def cost_bits(table: np.ndarray) -> np.ndarray:
    """Ideal code length of each of the table's entries in bits."""
    return PRECISION - np.log2(table.astype(np.float64) + 1)
