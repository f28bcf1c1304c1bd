"""Padding, slices, and the windows around them that make the seams invisible."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaecodec.container import SLICE

STRIDE_Y = 16  # pixels per latent position
LATENT_SLICE = SLICE // STRIDE_Y


@dataclass(frozen=True)
class Window:
    """One axis of a slice, in latent positions.

    The slice is `start:stop`; `outer_start:outer_stop` adds the halo, cut off at the picture's edges,
    where the network pads as it would without tiling.
    """

    start: int
    stop: int
    outer_start: int
    outer_stop: int

    @property
    def inner(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def outer(self) -> slice:
        return slice(self.outer_start, self.outer_stop)

    @property
    def inside(self) -> slice:
        """The slice's place in an array of the outer window."""
        return slice(self.start - self.outer_start, self.stop - self.outer_start)


def pixels(positions: slice) -> slice:
    """Latent positions to pixels."""
    return slice(positions.start * STRIDE_Y, positions.stop * STRIDE_Y)


def latent_size(height: int, width: int) -> tuple[int, int]:
    """Latent positions that cover a picture."""
    return -(-height // STRIDE_Y), -(-width // STRIDE_Y)


def slice_windows(height: int, width: int, halo: int) -> Iterator[tuple[Window, Window]]:
    """The slices of a picture of `height` x `width` pixels in row order, with `halo` latent positions."""
    rows, columns = latent_size(height, width)
    for row in range(0, rows, LATENT_SLICE):
        for column in range(0, columns, LATENT_SLICE):
            yield _window(row, rows, halo), _window(column, columns, halo)


def _window(start: int, size: int, halo: int) -> Window:
    stop = min(start + LATENT_SLICE, size)
    return Window(start, stop, max(start - halo, 0), min(stop + halo, size))


def cut(pixels_array: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Pixels `[rows, columns]` of `[H, W, ...]`; what lies beyond the edge repeats the edge."""
    height, width = pixels_array.shape[:2]
    part = pixels_array[rows.start : min(rows.stop, height), columns.start : min(columns.stop, width)]
    below, right = max(rows.stop - height, 0), max(columns.stop - width, 0)
    return np.pad(part, [(0, below), (0, right)] + [(0, 0)] * (part.ndim - 2), mode="edge")


def pad_to_multiple(array: np.ndarray, multiple: int) -> np.ndarray:
    """`[H, W, C]` extended at bottom and right by repeating the edge."""
    below, right = (-array.shape[0]) % multiple, (-array.shape[1]) % multiple
    return np.pad(array, [(0, below), (0, right), (0, 0)], mode="edge")
