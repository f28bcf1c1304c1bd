"""Drawings, screens and text in fewer colours, which a lossless stream holds in fewer bytes.

What antialiasing and shading add to a few plain colours takes most of such a stream, and little of
it is seen.
"""

import numpy as np

# How far from its own the colour of a few pixels may be, in steps of green.
TOLERANCES = (4, 6, 9, 13, 18, 26, 40, 60, 90, 130)
# No drawing has more colours, or keeps more of them; to find so many takes a second or two.
MAX_SEEN, MAX_COLOURS = 2**16, 2048
_WEIGHTS = np.array([0.5, 1.0, 0.375], np.float32)  # of squared steps of red, green and blue
_GREY_WEIGHTS = _WEIGHTS.sum(keepdims=True)
# A colour of more than this share of the pixels has less tolerance, as large areas show it.
_FEW = 1e-4
_FALL = 0.25  # power of the share by which it has less
_AT_ONCE = 1 << 20  # pixels


def with_fewer_colours(samples: np.ndarray, tolerance: float) -> np.ndarray | None:
    """`samples` (uint8 `[H, W]` or `[H, W, 3]`) in some of their own colours; None where these are
    more than MAX_SEEN, or those more than MAX_COLOURS.

    Leader clustering: from the most frequent colour on, each becomes the nearest of those that
    stay, or stays where none is within its tolerance.
    """
    packed = _packed(samples)
    members = np.sort(packed)
    starts = np.flatnonzero(np.diff(members, prepend=members[0] + 1))
    if len(starts) > MAX_SEEN:
        return None
    colours, counts = members[starts], np.diff(starts, append=len(members))
    weights = _GREY_WEIGHTS if samples.ndim == 2 else _WEIGHTS
    values = _planes(colours, len(weights)) * np.sqrt(weights)
    shares = counts / len(members)
    tolerances = (tolerance * np.minimum(1, (_FEW / shares) ** _FALL)) ** 2
    nearest, distance = np.zeros(len(colours), np.intp), np.full(len(colours), np.inf, np.float32)
    frequent_first = np.argsort(-counts, kind="stable")
    kept = 0
    for leader in frequent_first.tolist():
        if distance[leader] <= tolerances[leader]:
            continue
        kept += 1
        if kept > MAX_COLOURS:
            return None
        to_leader = np.square(values - values[leader]).sum(1)
        nearer = to_leader < distance
        distance[nearer], nearest[nearer] = to_leader[nearer], leader
    result = np.empty((len(packed), len(weights)), np.uint8)
    for start in range(0, len(packed), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        own = np.searchsorted(colours, packed[part])
        result[part] = _planes(colours[nearest[own]], len(weights))
    return result.reshape(samples.shape)


def _packed(samples: np.ndarray) -> np.ndarray:
    """Pixels as one integer each, uint32 `[N]`."""
    planes = samples.reshape(-1, 1 if samples.ndim == 2 else samples.shape[2])
    packed = planes[:, 0].astype(np.uint32)
    for plane in range(1, planes.shape[1]):
        packed = packed << np.uint32(8) | planes[:, plane]
    return packed


def _planes(packed: np.ndarray, count: int) -> np.ndarray:
    """Their `count` planes, uint32 `[N, count]`."""
    shifts = np.arange(count - 1, -1, -1, dtype=np.uint32) * np.uint32(8)
    planes: np.ndarray = packed[:, None] >> shifts & np.uint32(0xFF)
    return planes
