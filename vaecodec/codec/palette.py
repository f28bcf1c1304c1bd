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
_ROWS = 1 << 12  # colours that are compared with all that stay, at a time


def with_fewer_colours(samples: np.ndarray, tolerance: float) -> np.ndarray | None:
    """`samples` (uint8 `[H, W]` or `[H, W, 3]`) in some of their own colours; None where these are
    more than MAX_SEEN, or those more than MAX_COLOURS.

    Leader clustering: from the most frequent colour on, each becomes the nearest of those that
    stay, or stays where none is within its tolerance.
    """
    pixels = packed(samples).reshape(-1)
    members = np.sort(pixels)
    starts = np.flatnonzero(np.diff(members, prepend=members[0] + 1))
    if len(starts) > MAX_SEEN:
        return None
    colours, counts = members[starts], np.diff(starts, append=len(members))
    weights = _GREY_WEIGHTS if samples.ndim == 2 else _WEIGHTS
    values = _planes(colours, len(weights)) * np.sqrt(weights, dtype=np.float64)
    shares = counts / len(members)
    tolerances = (tolerance * np.minimum(1, (_FEW / shares) ** _FALL)) ** 2
    left = np.argsort(-counts, kind="stable")
    leaders: list[int] = []
    while len(left):
        leaders.append(left[0])
        if len(leaders) > MAX_COLOURS:
            return None
        left = left[np.square(values[left] - values[left[0]]).sum(1) > tolerances[left]]
    nearest = _nearest(values, values[leaders])
    kept = colours[leaders]
    result = np.empty((len(pixels), len(weights)), np.uint8)
    for start in range(0, len(pixels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        own = np.searchsorted(colours, pixels[part])
        result[part] = _planes(kept[nearest[own]], len(weights))
    return result.reshape(samples.shape)


def _nearest(values: np.ndarray, leaders: np.ndarray) -> np.ndarray:
    """Which of the leaders `[K, planes]` each of the values `[N, planes]` is nearest to, `[N]`."""
    # The square of the distance, less that of the value itself.
    sizes = np.square(leaders).sum(1)
    parts = (values[start : start + _ROWS] for start in range(0, len(values), _ROWS))
    return np.concatenate([np.argmin(sizes - 2 * part @ leaders.T, axis=1) for part in parts])


def packed(samples: np.ndarray) -> np.ndarray:
    """Pixels `[H, W, ...]` of 8 bits as one integer each, uint32 `[H, W]`."""
    planes = samples.reshape(*samples.shape[:2], -1)
    values = planes[:, :, 0].astype(np.uint32)
    for plane in range(1, planes.shape[2]):
        values = values << np.uint32(8) | planes[:, :, plane]
    return values


def _planes(values: np.ndarray, count: int) -> np.ndarray:
    """Their `count` planes, uint32 `[N, count]`."""
    shifts = np.arange(count - 1, -1, -1, dtype=np.uint32) * np.uint32(8)
    planes: np.ndarray = values[:, None] >> shifts & np.uint32(0xFF)
    return planes
