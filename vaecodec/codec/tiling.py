"""Padding, slices, and the windows around them that make the seams invisible."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vaecodec.format.container import SLICE
from vaecodec.inference.interfaces import Cut
from vaecodec.network.config import STRIDE_Y

LATENT_SLICE = SLICE // STRIDE_Y
NARROW = 0.6  # of a slice: two cores at one slice do 1.7 times what one does


@dataclass(frozen=True)
class Window:
    """One axis of a slice, in latent positions.

    The slice is `start:stop`; `outer_start:outer_stop` adds the halo, which ends at the picture's
    edges, where the network pads as it would without tiling. `cut`: 1 at the ends (first, last)
    that are none of these, where transforms leave the halo out as they go.
    """

    start: int
    stop: int
    outer_start: int
    outer_stop: int
    cut: tuple[int, int] = (0, 0)

    @classmethod
    def whole(cls, side: int) -> "Window":
        """All of an axis of `side` pixels."""
        stop = -(-side // STRIDE_Y)
        return cls(0, stop, 0, stop)

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

    @property
    def once_cut(self) -> "Window":
        """What is left of the window once its halo is left out."""
        first, last = self.cut
        return Window(
            self.start,
            self.stop,
            self.start if first else self.outer_start,
            self.stop if last else self.outer_stop,
        )

    @property
    def without_halo(self) -> "Window":
        """The slice alone."""
        return Window(self.start, self.stop, self.start, self.stop)


@dataclass(frozen=True)
class Region:
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.width},{self.height}"

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)

    def fits(self, width: int, height: int) -> bool:
        """Whether it is not empty and lies inside a picture of that size."""
        return (
            min(self.left, self.top) >= 0
            and min(self.width, self.height) > 0
            and self.left + self.width <= width
            and self.top + self.height <= height
        )

    def grown(self, margin: int) -> "Region":
        """The region and `margin` pixels around it, which may lie outside the picture."""
        return Region(
            self.left - margin,
            self.top - margin,
            self.width + 2 * margin,
            self.height + 2 * margin,
        )

    def touches(self, rows: Window, columns: Window) -> bool:
        """Whether the slice of these windows holds any of its pixels."""
        return all(
            STRIDE_Y * axis.start < part.stop and part.start < STRIDE_Y * axis.stop
            for axis, part in ((rows, self.rows), (columns, self.columns))
        )


class SliceGrid:
    """The slices of a picture of `height` x `width` pixels, numbered in row order.

    `halo`: latent positions that a slice's window reaches beyond it, less than a slice.
    """

    def __init__(self, height: int, width: int, halo: int):
        self._row_windows = _windows(-(-height // STRIDE_Y), halo)
        self._column_windows = _windows(-(-width // STRIDE_Y), halo)
        self.columns = len(self._column_windows)

    @property
    def at_once(self) -> int:
        """How many slices of a row are best computed at the same time, a core each: all, but of
        two one after the other, with all cores, where the second is so narrow that its core would
        mostly wait."""
        widths = [window.stop - window.start for window in self._column_windows]
        return 1 if len(widths) == 2 and widths[1] < NARROW * widths[0] else self.columns

    def __len__(self) -> int:
        return len(self._row_windows) * self.columns

    def __getitem__(self, number: int) -> tuple[Window, Window]:
        row, column = divmod(number, self.columns)
        return self._row_windows[row], self._column_windows[column]

    def __iter__(self) -> Iterator[tuple[Window, Window]]:
        return (self[number] for number in range(len(self)))

    def around(self, number: int) -> set[int]:
        """The slices that the window of a slice reaches into, itself left out."""
        row, column = divmod(number, self.columns)
        rows = range(max(row - 1, 0), min(row + 2, len(self._row_windows)))
        columns = range(max(column - 1, 0), min(column + 2, self.columns))
        return {r * self.columns + c for r in rows for c in columns} - {number}

    def size(self, number: int) -> tuple[int, int]:
        """Rows and columns of a slice, in latent positions."""
        rows, columns = self[number]
        return rows.stop - rows.start, columns.stop - columns.start

    def assemble(self, slices: Mapping[int, np.ndarray], rows: slice, columns: slice) -> np.ndarray:
        """Latents `[rows, columns, m]` put together from `slices` by number; zero where one is
        not there."""
        first = next(iter(slices.values()))
        size = rows.stop - rows.start, columns.stop - columns.start
        result = np.zeros((*size, first.shape[2]), first.dtype)
        for row in range(rows.start // LATENT_SLICE, -(-rows.stop // LATENT_SLICE)):
            for column in range(columns.start // LATENT_SLICE, -(-columns.stop // LATENT_SLICE)):
                top, left = row * LATENT_SLICE, column * LATENT_SLICE
                to_rows, from_rows = _overlap(rows, top)
                to_columns, from_columns = _overlap(columns, left)
                part = slices.get(row * self.columns + column)
                if part is not None:
                    result[to_rows, to_columns] = part[from_rows, from_columns]
        return result


def cut_of(rows: Window, columns: Window) -> Cut:
    """The sides of a window where transforms leave its halo out."""
    return rows.cut[0], columns.cut[0], rows.cut[1], columns.cut[1]


def pixels(positions: slice) -> slice:
    """Latent positions to pixels."""
    return slice(positions.start * STRIDE_Y, positions.stop * STRIDE_Y)


def cut(samples: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Pixels `[rows, columns]` of `[H, W, ...]`, an array or a tensor; what lies beyond the edge
    repeats the edge."""
    height, width = samples.shape[:2]
    part = samples[rows.start : min(rows.stop, height), columns.start : min(columns.stop, width)]
    if rows.stop > height:
        part = part[np.minimum(np.arange(rows.stop - rows.start), part.shape[0] - 1)]
    if columns.stop > width:
        part = part[:, np.minimum(np.arange(columns.stop - columns.start), part.shape[1] - 1)]
    return part


def window_samples(
    samples: np.ndarray, rows: slice, columns: slice, pad: bool = True
) -> np.ndarray:
    """Pixels `[H, W, 3 or 1]` in 0..1 of a window in pixels; `pad`: with what g_a sees beyond the
    picture."""
    part = cut(samples, rows, columns) if pad else samples[rows, columns]
    white = np.float32((1 << 8 * part.dtype.itemsize) - 1)
    result: np.ndarray = part.reshape(*part.shape[:2], -1) / white
    return result


def crop_to_picture(window: Window, start: int, size: int, scale: int) -> tuple[slice, slice]:
    """Where a window that is synthesised and cut goes, along one axis, in a target of the pixels
    start:start + size.

    Returns the places in the target and in the window's pixels, both reduced by `scale`, which
    divides `start`.
    """
    stride = STRIDE_Y // scale
    first, last = start // scale, start // scale + -(-size // scale)
    low = max(window.start * stride, first)
    high = min(window.stop * stride, last)
    origin = window.once_cut.outer_start * stride
    return slice(low - first, high - first), slice(low - origin, high - origin)


def pad_to_multiple(array: np.ndarray, multiple: int) -> np.ndarray:
    """`[H, W, C]` extended at bottom and right by repeating the edge."""
    below, right = (-array.shape[0]) % multiple, (-array.shape[1]) % multiple
    return np.pad(array, [(0, below), (0, right), (0, 0)], mode="edge")


def _windows(positions: int, halo: int) -> list[Window]:
    windows = []
    for start in range(0, positions, LATENT_SLICE):
        stop = min(start + LATENT_SLICE, positions)
        outer_start, outer_stop = max(start - halo, 0), min(stop + halo, positions)
        cut = int(outer_start > 0), int(outer_stop < positions)
        windows.append(Window(start, stop, outer_start, outer_stop, cut))
    return windows


def _overlap(wanted: slice, origin: int) -> tuple[slice, slice]:
    """What `wanted` and the slice from `origin` share: places relative to each."""
    low, high = max(wanted.start, origin), min(wanted.stop, origin + LATENT_SLICE)
    return slice(low - wanted.start, high - wanted.start), slice(low - origin, high - origin)
