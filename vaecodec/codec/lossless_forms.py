"""The lossless forms of a picture and of its slices, and which of them are better than the learned
ones."""

from collections.abc import Callable, Iterable

import numpy as np

from vaecodec.codec.alpha import PACKED_WITH_PICTURE
from vaecodec.codec.lossless import (
    QUICK,
    THOROUGH,
    fits_one_stream,
    pack_lossless,
    unpack_lossless,
)
from vaecodec.codec.tiling import SliceGrid, pixels
from vaecodec.format.container import (
    ALPHA_TYPE,
    GAIN_MAP_TYPE,
    LOSSLESS_PICTURE_TYPE,
    LOSSLESS_SLICE_TYPE,
    MAX_PAYLOAD_BYTES,
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
FLAT = 0.15  # pictures with fewer new pixels are searched thoroughly
_PROBES = 1 << 15  # pixels that are looked at
_PAIRS = 4096
_PAIR = 1 << 25  # keeps a pixel and a step of 24 bits apart in one integer
_SUPERFLUOUS = (ALPHA_TYPE, GAIN_MAP_TYPE, PREVIEW_TYPE)  # beside a lossless picture

# Applies a function to items, several at a time, as Model.in_parallel does.
Parallel = Callable[[Callable[[int], Chunk], list[int]], Iterable[Chunk]]


class LosslessForms:
    """Lossless forms of one picture, each made when first asked for.

    `picture`: as it shall come back; `effort`: as for encoding, from 1 on what is flat is searched
    thoroughly for the smallest form, from 2 on everything that is asked for.
    """

    def __init__(self, picture: Picture, grid: SliceGrid, effort: int):
        self._picture, self._grid, self._effort = picture, grid, effort
        self._height, self._width = picture.pixels.shape[:2]
        self._new_pixels: dict[int, float] = {}
        self._streams: dict[tuple[int | None, tuple[int, int]], bytes] = {}

    def replace_poorer(
        self, others: list[Chunk], slices: list[Chunk], in_parallel: Parallel
    ) -> list[Chunk]:
        """All chunks of a file: `others` and `slices`, or the whole picture or single slices
        lossless, where that is worth its bytes."""
        if not self._has_8_bits:
            return [*others, *slices]
        superfluous = sum(chunk.size_bytes for chunk in others if chunk.type in _SUPERFLUOUS)
        if len(slices) == 1:  # the same stream as the whole picture
            limit = int(WORTH * (superfluous + slices[0].size_bytes))
        else:
            slices = self._replace_slices(slices, in_parallel)
            limit = superfluous + sum(chunk.size_bytes for chunk in slices)
        return self._picture_within(others, limit) or [*others, *slices]

    def _replace_slices(self, slices: list[Chunk], in_parallel: Parallel) -> list[Chunk]:
        def better(number: int, effort: int) -> Chunk:
            within = self._slice_within(number, int(WORTH * slices[number].size_bytes), effort)
            return slices[number] if within is None else within

        numbers = list(range(len(slices)))
        quick = list(in_parallel(lambda number: better(number, 0), numbers))
        # Where all are lossless one stream is smaller, and worth the time of a thorough search.
        if self._effort == 0 or all(chunk.type == LOSSLESS_SLICE_TYPE for chunk in quick):
            return quick
        return list(in_parallel(lambda number: better(number, self._effort), numbers))

    def all_chunks(self, others: list[Chunk], in_parallel: Parallel) -> list[Chunk]:
        """All chunks of a lossless file: of one stream where that is of use, else of slices."""
        numbers = list(range(len(self._grid)))
        is_flat = self._has_8_bits and self._all_new_pixels < FLAT * self._height * self._width
        settings = THOROUGH if self._effort > (0 if is_flat else 1) else QUICK
        if self._fits_one_stream and (is_flat or len(numbers) == 1):
            chunks = self._picture_chunks(others, settings)
            if len(chunks[-1].payload) <= MAX_PAYLOAD_BYTES:
                return chunks

        def pack(number: int) -> Chunk:
            return Chunk(LOSSLESS_SLICE_TYPE, self._stream(number, settings))

        return [*others, *in_parallel(pack, numbers)]

    @property
    def _all_new_pixels(self) -> float:
        return sum(self._count_new_pixels(number) for number in range(len(self._grid)))

    @property
    def _fits_one_stream(self) -> bool:
        return self._has_8_bits and fits_one_stream(self._height, self._width)

    @property
    def _has_8_bits(self) -> bool:
        return self._picture.pixels.itemsize == 1

    def _picture_within(self, others: list[Chunk], limit: int) -> list[Chunk] | None:
        if not self._fits_one_stream or MIN_BITS * self._all_new_pixels > 8 * limit:
            return None

        def size(chunks: list[Chunk]) -> int:
            """Less the bytes of what stays in either form."""
            kept = sum(chunk.size_bytes for chunk in others if chunk.type not in _SUPERFLUOUS)
            return sum(chunk.size_bytes for chunk in chunks) - kept

        best = self._picture_chunks(others, QUICK)
        if self._effort > 0 and size(best) <= QUICK_EXCESS * limit:
            best = min(best, self._picture_chunks(others, THOROUGH), key=size)
        return best if size(best) <= min(limit, MAX_PAYLOAD_BYTES) else None

    def _picture_chunks(self, others: list[Chunk], settings: tuple[int, int]) -> list[Chunk]:
        kept = [chunk for chunk in others if chunk.type not in _SUPERFLUOUS]
        if self._picture.alpha is not None:
            kept.append(Chunk(ALPHA_TYPE, PACKED_WITH_PICTURE))
        return [*kept, Chunk(LOSSLESS_PICTURE_TYPE, self._stream(None, settings))]

    def _slice_within(self, number: int, limit: int, effort: int) -> Chunk | None:
        if MIN_BITS * self._count_new_pixels(number) > 8 * limit:
            return None
        best = Chunk(LOSSLESS_SLICE_TYPE, self._stream(number, QUICK))
        if effort > 0 and best.size_bytes <= QUICK_EXCESS * limit:
            thorough = Chunk(LOSSLESS_SLICE_TYPE, self._stream(number, THOROUGH))
            best = min(best, thorough, key=lambda chunk: chunk.size_bytes)
        return best if best.size_bytes <= limit else None

    def _stream(self, number: int | None, settings: tuple[int, int]) -> bytes:
        """Of a slice, or of the whole picture with its transparency."""
        if (number, settings) not in self._streams:
            if number is None:
                samples = self._picture.part(slice(0, self._height), slice(0, self._width))
                if self._picture.alpha is not None:
                    samples = np.dstack([samples, self._picture.alpha])
            else:
                samples = self._samples(number)
            self._streams[number, settings] = pack_lossless(samples, settings)
        return self._streams[number, settings]

    def _count_new_pixels(self, number: int) -> float:
        if number not in self._new_pixels:
            self._new_pixels[number] = count_new_pixels(self._samples(number))
        return self._new_pixels[number]

    def _samples(self, number: int) -> np.ndarray:
        rows, columns = self._grid[number]
        return self._picture.part(pixels(rows.inner), pixels(columns.inner))


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
    values, above = _packed(samples[rows]), _packed(samples[rows - 1])
    steps = np.diff(values)
    changes = np.flatnonzero((steps != 0) & (steps != np.diff(above)))
    if not changes.size:
        return 0.0
    places = changes[:: -(-changes.size // _PAIRS)]
    # A set, as np.unique imports numpy.ma, which takes longer than all else here.
    pairs = {*(values[:, :-1].reshape(-1)[places] * _PAIR + steps.reshape(-1)[places]).tolist()}
    result: float = changes.size / steps.size * len(pairs) / places.size * height * width
    return result


def _packed(samples: np.ndarray) -> np.ndarray:
    """Pixels `[h, w, ...]` of 8 bits as one integer each, int64 `[h, w]`."""
    planes = samples.reshape(*samples.shape[:2], -1)
    values = planes[:, :, 0].astype(np.int64)
    for plane in range(1, planes.shape[2]):
        values = 256 * values + planes[:, :, plane]
    return values
