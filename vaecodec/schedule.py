"""Which latents are coded in which of the four steps.

The channels form four equal groups and the positions four phases of 2x2 cells. In every step each
position codes one group, and each group one phase, so that every step knows more of all four
neighbours and of all groups than the one before (Li et al., DCVC-DC, CVPR 2023).
"""

from functools import lru_cache

import numpy as np

STEPS = 4
# PHASE_OF[step][group]: which position of a 2x2 cell (row-major) a group of channels codes.
PHASE_OF = [[(0, 3, 1, 2)[step ^ group] for group in range(STEPS)] for step in range(STEPS)]


@lru_cache(maxsize=64)
def group_mask(height: int, width: int, step: int) -> np.ndarray:
    """Where a step codes each group of channels, `[height, width, 4]` bool. Do not write to it."""
    phase = 2 * (np.arange(height) % 2)[:, None] + (np.arange(width) % 2)[None, :]
    return np.stack([phase == PHASE_OF[step][group] for group in range(STEPS)], axis=2)


@lru_cache(maxsize=64)
def group_of_position(height: int, width: int, step: int) -> np.ndarray:
    """The group that each position codes in a step, `[height, width]`. Do not write to it."""
    return group_mask(height, width, step).argmax(axis=2)


def pick_group(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Of `values`, `[h, w, m]` or `[m]`, those of the group that `group` names: `[h, w, m/4]`."""
    if values.ndim == 1:
        return values.reshape(STEPS, -1)[group]
    rows, columns = np.ogrid[: group.shape[0], : group.shape[1]]
    return values.reshape(*group.shape, STEPS, -1)[rows, columns, group]


def put_group(values: np.ndarray, group: np.ndarray, part: np.ndarray | float) -> None:
    """Inverse of `pick_group`: write `part` into `values` `[h, w, m]`."""
    count = values.shape[2] // STEPS
    for number in range(STEPS):
        chosen = group == number
        place = values[:, :, number * count : (number + 1) * count]
        np.copyto(place, part, where=chosen[:, :, None])
