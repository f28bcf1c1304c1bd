"""The lossless forms of a picture and of its slices, and those in fewer colours, and which of them
are better than the learned ones."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from vaecodec.codec.alpha import PACKED_WITH_PICTURE
from vaecodec.codec.lossless import (
    QUICK,
    THOROUGH,
    fits_one_stream,
    pack_lossless,
    unpack_lossless,
)
from vaecodec.codec.palette import TOLERANCES, packed, with_fewer_colours
from vaecodec.codec.tiling import SliceGrid, pixels
from vaecodec.format.container import (
    ALPHA_TYPE,
    GAIN_MAP_TYPE,
    LOSSLESS_PICTURE_TYPE,
    LOSSLESS_SLICE_TYPE,
    MAX_PAYLOAD_BYTES,
    PALETTE_PICTURE_TYPE,
    PALETTE_SLICE_TYPE,
    PREVIEW_TYPE,
    Chunk,
    Header,
)
from vaecodec.picture.picture import Picture

# WebP pays more bits than this for a new pixel: 6.5 and more for text, drawings and photographs, 4
# for gradients and gratings.
MIN_BITS = 4
# What a lossless form may take, in bytes of the learned one: where it takes one to two times these
# the learned one scores -7 to 88 (SSIMULACRA 2, drawings and screens of validation; under 70 at the
# lower half of the scale), and no photograph's lossless form comes near.
WORTH = 2.0
QUICK_EXCESS = 1.4  # a quick search finds at most so many times what a thorough one does
FLAT = 0.15  # with fewer new pixels a picture is flat, which takes time to make the most of
# Fewer colours are looked for in what has fewer new pixels than this (drawings and screens of
# validation have up to 0.31, photographs 0.63 and more), and up to a size: 25 bytes a pixel.
PALETTE_FLAT, PALETTE_PIXELS = 0.35, 2**24
# Bytes of the lossless form in theirs: at most, and from what on they are worth it.
LARGEST_SAVING, WORTHWHILE = 3.0, 1.1
EXACT = 0.0  # the tolerance of a lossless form
_PROBES = 1 << 15  # pixels that are looked at
_PAIRS = 4096
_PAIR = 1 << 25  # keeps a pixel and a step of 24 bits apart in one integer
_SUPERFLUOUS = (ALPHA_TYPE, GAIN_MAP_TYPE, PREVIEW_TYPE)  # beside a lossless picture
_FEWER = (PALETTE_SLICE_TYPE, PALETTE_PICTURE_TYPE)

# Applies a function to items, several at a time, as Model.in_parallel does.
Parallel = Callable[[Callable[[int], Chunk], list[int]], Iterable[Chunk]]


@dataclass(frozen=True)
class Asked:
    """The SSIMULACRA 2 `score` that fewer colours must leave, and what the learned form of a slice,
    by its number and chunk, looks like: `decode`, to samples as of the picture."""

    score: float
    decode: Callable[[int, Chunk], np.ndarray]


class LosslessForms:
    """Lossless forms of one picture, and such in fewer colours, each made when first asked for.

    `picture`: as it shall come back; `effort`: as for encoding, from 1 on what is flat is searched
    thoroughly for the smallest form, from 2 on everything that is asked for.
    """

    def __init__(self, picture: Picture, grid: SliceGrid, effort: int):
        self._picture, self._grid, self._effort = picture, grid, effort
        self._height, self._width = picture.pixels.shape[:2]
        self._new_pixels: dict[int, float] = {}
        self._fewer: dict[int | None, tuple[float, np.ndarray]] = {}  # by the latest tolerance
        self._scores: dict[tuple[int | None, float], float] = {}
        self._streams: dict[tuple[int | None, float, tuple[int, int]], bytes] = {}

    def replace_poorer(
        self, others: list[Chunk], slices: list[Chunk], in_parallel: Parallel, asked: Asked | None
    ) -> list[Chunk]:
        """All chunks of a file: `others` and `slices`, or the whole picture or single slices as
        samples, where that is worth its bytes: lossless, or in as few colours as leave them what is
        `asked`; None for never those."""
        if not self._has_8_bits:
            return [*others, *slices]
        if self._effort == 0:  # which looks for nothing
            asked = None
        superfluous = sum(chunk.size_bytes for chunk in others if chunk.type in _SUPERFLUOUS)
        if len(slices) == 1:  # the same stream as the whole picture
            whole = self._better(None, slices[0], superfluous, self._effort, asked)
        else:
            slices = self._replace_slices(slices, in_parallel, asked)
            limit = superfluous + sum(chunk.size_bytes for chunk in slices)
            whole = self._within(None, limit, self._effort, asked)
        return [*others, *slices] if whole is None else [*self._beside_picture(others), whole]

    def _replace_slices(
        self, slices: list[Chunk], in_parallel: Parallel, asked: Asked | None
    ) -> list[Chunk]:
        def better(number: int, effort: int, asked: Asked | None) -> Chunk:
            return self._better(number, slices[number], 0, effort, asked) or slices[number]

        numbers = list(range(len(slices)))
        quick = list(in_parallel(lambda number: better(number, 0, None), numbers))
        # Where all are lossless one stream is smaller, and worth the time of a thorough search.
        if self._effort == 0 or all(chunk.type == LOSSLESS_SLICE_TYPE for chunk in quick):
            return quick
        return list(in_parallel(lambda number: better(number, self._effort, asked), numbers))

    def _better(
        self, number: int | None, learned: Chunk, superfluous: int, effort: int, asked: Asked | None
    ) -> Chunk | None:
        """What is better than the learned form of a slice, or of a picture of one (None), which
        takes so many superfluous bytes with it."""
        size = superfluous + learned.size_bytes
        limit = int(WORTH * size)
        form = self._within(number, limit, effort, asked)
        if form is None or asked is None or form.type not in _FEWER or form.size_bytes <= size:
            return form
        if self._form(number, EXACT, QUICK).size_bytes <= limit:
            return form  # the learned one is poor where a lossless one is so small
        seen = _score(self._samples(number, EXACT), asked.decode(number or 0, learned))
        return form if seen < asked.score else None

    def all_chunks(self, others: list[Chunk], in_parallel: Parallel) -> list[Chunk]:
        """All chunks of a lossless file: of one stream where that is of use, else of slices."""
        numbers = list(range(len(self._grid)))
        is_flat = self._has_8_bits and (
            self._count_new_pixels(None) < FLAT * self._count_pixels(None)
        )
        settings = THOROUGH if self._effort > (0 if is_flat else 1) else QUICK
        if self._fits_one_stream and (is_flat or len(numbers) == 1):
            whole = Chunk(LOSSLESS_PICTURE_TYPE, self._stream(None, EXACT, settings))
            if len(whole.payload) <= MAX_PAYLOAD_BYTES:
                return [*self._beside_picture(others), whole]

        def pack(number: int) -> Chunk:
            return Chunk(LOSSLESS_SLICE_TYPE, self._stream(number, EXACT, settings))

        return [*others, *in_parallel(pack, numbers)]

    @property
    def _fits_one_stream(self) -> bool:
        return self._has_8_bits and fits_one_stream(self._height, self._width)

    @property
    def _has_8_bits(self) -> bool:
        return self._picture.pixels.itemsize == 1

    def _beside_picture(self, others: list[Chunk]) -> list[Chunk]:
        kept = [chunk for chunk in others if chunk.type not in _SUPERFLUOUS]
        if self._picture.alpha is not None:
            kept.append(Chunk(ALPHA_TYPE, PACKED_WITH_PICTURE))
        return kept

    def _within(
        self, number: int | None, limit: int, effort: int, asked: Asked | None
    ) -> Chunk | None:
        """The best form of a slice, or of the whole picture (None), of at most `limit` bytes."""
        if number is None:
            if not self._fits_one_stream:
                return None
            limit -= sum(chunk.size_bytes for chunk in self._beside_picture([]))
        limit = min(limit, MAX_PAYLOAD_BYTES)
        count, new_pixels = self._count_pixels(number), self._count_new_pixels(number)
        if new_pixels >= PALETTE_FLAT * count or count > PALETTE_PIXELS:
            asked = None
        most = limit if asked is None else LARGEST_SAVING * limit
        if MIN_BITS * new_pixels > 8 * most:
            return None
        best, tolerance = self._form(number, EXACT, QUICK), EXACT
        if asked is not None and best.size_bytes <= most:
            largest = self._largest_tolerance(number, asked.score)
            fewer = self._form(number, largest, QUICK)
            if WORTHWHILE * fewer.size_bytes < best.size_bytes:
                best, tolerance = fewer, largest
        is_worth_time = tolerance == EXACT or new_pixels < FLAT * count
        if effort > 0 and is_worth_time and best.size_bytes <= QUICK_EXCESS * limit:
            thorough = self._form(number, tolerance, THOROUGH)
            best = min(best, thorough, key=lambda chunk: chunk.size_bytes)
        self._fewer.pop(number, None)  # a copy of the picture, of no more use
        return best if best.size_bytes <= limit else None

    def _form(self, number: int | None, tolerance: float, settings: tuple[int, int]) -> Chunk:
        if number is None:
            kind = LOSSLESS_PICTURE_TYPE if tolerance == EXACT else PALETTE_PICTURE_TYPE
        else:
            kind = LOSSLESS_SLICE_TYPE if tolerance == EXACT else PALETTE_SLICE_TYPE
        return Chunk(kind, self._stream(number, tolerance, settings))

    def _stream(self, number: int | None, tolerance: float, settings: tuple[int, int]) -> bytes:
        """Of a slice, or of the whole picture with its transparency."""
        key = number, tolerance, settings
        if key not in self._streams:
            samples = self._samples(number, tolerance)
            if number is None and self._picture.alpha is not None:
                samples = np.dstack([samples, self._picture.alpha])
            self._streams[key] = pack_lossless(samples, settings)
        return self._streams[key]

    def _largest_tolerance(self, number: int | None, score: float) -> float:
        """Of those that leave this score everywhere, found by halving; EXACT where none does."""
        place = bisect_left(TOLERANCES, True, key=lambda t: self._score(number, t) < score)
        return TOLERANCES[place - 1] if place else EXACT

    def _score(self, number: int | None, tolerance: float) -> float:
        """SSIMULACRA 2 of the worst slice in the colours that a tolerance leaves."""
        if (number, tolerance) not in self._scores:
            own, fewer = self._samples(number, EXACT), self._samples(number, tolerance)
            slices = [tuple(pixels(axis.inner) for axis in windows) for windows in self._grid]
            places = [np.s_[:, :]] if number is not None else slices
            self._scores[number, tolerance] = min(_score(own[p], fewer[p]) for p in places)
        return self._scores[number, tolerance]

    def _count_pixels(self, number: int | None) -> int:
        return math.prod(self._samples(number, EXACT).shape[:2])

    def _count_new_pixels(self, number: int | None) -> float:
        if number is None:
            return sum(map(self._count_new_pixels, range(len(self._grid))))
        if number not in self._new_pixels:
            self._new_pixels[number] = count_new_pixels(self._samples(number, EXACT))
        return self._new_pixels[number]

    def _samples(self, number: int | None, tolerance: float) -> np.ndarray:
        if number is None:
            samples = self._picture.part(slice(0, self._height), slice(0, self._width))
        else:
            rows, columns = self._grid[number]
            samples = self._picture.part(pixels(rows.inner), pixels(columns.inner))
        if tolerance == EXACT:
            return samples
        if self._fewer.get(number, (EXACT, samples))[0] != tolerance:
            fewer = with_fewer_colours(samples, tolerance)
            self._fewer[number] = tolerance, samples if fewer is None else fewer
        return self._fewer[number][1]


def _score(own: np.ndarray, other: np.ndarray) -> float:
    from vaecodec.metrics.ssimulacra2 import ssimulacra2  # which photographs do not need

    return ssimulacra2(own, other)


def samples_of_picture(
    stream: bytes, header: Header, with_alpha: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha, where the stream holds it, of a lossless picture. Raises FormatError."""
    planes = (1 if header.mode == "grey" else 3) + with_alpha
    shape = (header.height, header.width) + ((planes,) if planes > 1 else ())
    samples = unpack_lossless(stream, shape, _dtype(header))
    if not with_alpha:
        return samples, None
    pixels = samples[:, :, 0] if planes == 2 else samples[:, :, :3]
    return np.ascontiguousarray(pixels), np.ascontiguousarray(samples[:, :, -1])


def samples_of_slice(stream: bytes, header: Header, grid: SliceGrid, number: int) -> np.ndarray:
    """Samples `[H, W, ...]` of a lossless slice. Raises FormatError."""
    rows, columns = (pixels(axis.inner) for axis in grid[number])
    height = min(rows.stop, header.height) - rows.start
    width = min(columns.stop, header.width) - columns.start
    shape = (height, width) if header.mode.startswith("grey") else (height, width, 3)
    return unpack_lossless(stream, shape, _dtype(header))


def _dtype(header: Header) -> type:
    return np.uint16 if header.mode.endswith("16") else np.uint8


def count_new_pixels(samples: np.ndarray) -> float:
    """About how many pixels of `[H, W, ...]` are unlike their left neighbour, differ from it in
    another way than those above do, and make a pair with it that was not seen before.

    They are what a lossless coder pays for. Some rows are looked at, spread by the golden ratio so
    that no regular pattern hides between them.
    """
    height, width = samples.shape[:2]
    if min(height, width) < 2:
        return 0.0
    count = min(height - 1, -(-_PROBES // width))
    looked_at = {int(number * 0.6180339887498949 % 1 * (height - 1)) for number in range(count)}
    rows = 1 + np.array(sorted(looked_at))
    values, above = (packed(samples[rows - n]).astype(np.int64) for n in (0, 1))
    steps = np.diff(values)
    changes = np.flatnonzero((steps != 0) & (steps != np.diff(above)))
    if not changes.size:
        return 0.0
    places = changes[:: -(-changes.size // _PAIRS)]
    # A set, as np.unique imports numpy.ma, which takes longer than all else here.
    pairs = {*(values[:, :-1].reshape(-1)[places] * _PAIR + steps.reshape(-1)[places]).tolist()}
    result: float = changes.size / steps.size * len(pairs) / places.size * height * width
    return result
