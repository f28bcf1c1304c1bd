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


def groups_of_phases(step: int) -> list[int]:
    """For each phase, the group of channels that it codes in a step."""
    return [PHASE_OF[step].index(phase) for phase in range(STEPS)]


def groups_around(group: int) -> list[int]:
    """For each position of the 3x3 around one that codes `group`, the group that it codes.

    It is the same in every step, as PHASE_OF is linear over bits.
    """
    centre, groups = PHASE_OF[0][group], groups_of_phases(0)
    return [
        groups[centre ^ (2 * (row % 2) + column % 2)] for row in (1, 0, 1) for column in (1, 0, 1)
    ]


def matrices_around(weight: np.ndarray) -> np.ndarray:
    """A context's kernel `[out, m + 4, 3, 3]` for positions that code each group:
    `[4, 9 * (m/4 + 1), out]`, taps outermost, of what is known at each tap, its plane last.

    Around all positions of a phase the same groups are known, which are the only ones multiplied.
    """
    out, channels = weight.shape[:2]
    m = channels - STEPS
    count = m // STEPS
    taps = weight.reshape(out, channels, 9)
    matrices = np.empty((STEPS, 9, count + 1, out), weight.dtype)
    for group in range(STEPS):
        for tap, known in enumerate(groups_around(group)):
            of_group = [*range(known * count, (known + 1) * count), m + known]
            matrices[group, tap] = taps[:, of_group, tap].T
    return matrices.reshape(STEPS, 9 * (count + 1), out)


@lru_cache(maxsize=64)
def group_mask(height: int, width: int, step: int) -> np.ndarray:
    """Where a step codes each group of channels, `[height, width, 4]` bool. Do not write to it."""
    phase = 2 * (np.arange(height) % 2)[:, None] + (np.arange(width) % 2)[None, :]
    return np.stack([phase == PHASE_OF[step][group] for group in range(STEPS)], axis=2)


def phases(step: int) -> list[tuple[slice, slice]]:
    """For each group, the rows and columns of the positions that code it in a step."""
    return [(slice(phase // 2, None, 2), slice(phase % 2, None, 2)) for phase in PHASE_OF[step]]


def pick_step(values: np.ndarray, step: int) -> np.ndarray:
    """Of `values` `[h, w, m]` those that a step codes: `[h, w, m/4]`, one group a position."""
    count = values.shape[2] // STEPS
    part = np.empty((*values.shape[:2], count), values.dtype)
    for group, (rows, columns) in enumerate(phases(step)):
        part[rows, columns] = values[rows, columns, group * count : (group + 1) * count]
    return part


def put_step(values: np.ndarray, step: int, part: np.ndarray) -> None:
    """Inverse of `pick_step`: write `part` `[h, w, m/4]` into `values` `[h, w, m]`."""
    count = values.shape[2] // STEPS
    for group, (rows, columns) in enumerate(phases(step)):
        values[rows, columns, group * count : (group + 1) * count] = part[rows, columns]
