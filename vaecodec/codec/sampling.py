"""New pictures drawn from the model, as files that an encoder could have written.

A file is a sequence of symbols, and the model says how probable each is given those before it.
Drawing them with just these probabilities, z from its tables, then y step by step from the
distributions that the scale network picks, shows what the model has learned to expect. All of it is
integers: a seed draws the same file on every machine.
"""

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from vaecodec.codec.alpha import PACKED_WITH_PICTURE
from vaecodec.codec.analysis import analyse
from vaecodec.codec.decoder import check_model
from vaecodec.codec.gain_map import GainMap, unpack_gain_map
from vaecodec.codec.lossless_forms import samples_of_picture, samples_of_slice
from vaecodec.codec.slice_coder import decode_steps, decode_z, encode_slice, hyper_latents
from vaecodec.codec.tiling import SliceGrid, pixels, window_samples
from vaecodec.entropy.coder import MAX_SYMBOL, Decoder, TableSet
from vaecodec.errors import UsageError
from vaecodec.format.container import (
    MAX_PIXELS,
    SLICE_TYPE,
    Chunk,
    Header,
    pack_chunks,
    pack_header,
    read_header,
    unpack_slice,
)
from vaecodec.format.slice_reader import SliceSource
from vaecodec.inference.model import Model
from vaecodec.network.config import STRIDE_Y


def draw_file(
    model: Model, size: tuple[int, int], level: int, seed: int, max_pixels: int = MAX_PIXELS
) -> bytes:
    """A .vae file of a picture that never was.

    `size`: width and height in pixels; `level`: 0..the model's level_max; `seed`: 0 or more. Raises
    UsageError for a size of more than `max_pixels`.
    """
    width, height = size
    if width * height > max_pixels:
        raise UsageError(f"{width}x{height} is over the limit of {max_pixels} pixels", "max_pixels")
    header = Header(width, height, "RGB", level, model.model_id)
    return _draw(model, header, seed, [None] * header.slice_count)


def redraw_file(
    file: BinaryIO,
    model: Model,
    seed: int,
    max_pixels: int = MAX_PIXELS,
    passphrase: bytes | None = None,
) -> bytes:
    """A .vae file with another's size, quality, gain map and z, its y drawn anew.

    Raises FormatError, PassphraseError, and ModelError where another model made `file`.
    """
    header = read_header(file, max_pixels)
    check_model(header, model)
    numbers = list(range(header.slice_count))
    source = SliceSource(file, header, numbers, passphrase)
    grid = SliceGrid(header.height, header.width, model.halo)
    stream = source.take_picture()
    likes: list[np.ndarray] = []
    if stream is not None:
        samples, _ = samples_of_picture(stream, header, source.alpha == PACKED_WITH_PICTURE)
        for windows in grid:
            rows, columns = (pixels(axis.inner) for axis in windows)
            likes.append(_z_of_samples(model, window_samples(samples, rows, columns), header.level))
    else:
        likes = [_z_of_slice(model, chunk, header, grid, n) for n, chunk in source.take(numbers)]
    source.finish()
    gain_map = None if source.gain_map is None else unpack_gain_map(source.gain_map, header)
    return _draw(model, header, seed, likes, gain_map)


def _z_of_slice(
    model: Model, chunk: Chunk, header: Header, grid: SliceGrid, number: int
) -> np.ndarray:
    """z that a slice holds, or that the samples of a lossless one have."""
    size = grid.size(number)
    if chunk.type == SLICE_TYPE:
        return decode_z(model, Decoder(unpack_slice(chunk)[1]).pop, size, header.level)
    samples = samples_of_slice(chunk.payload, header, grid, number)
    rows, columns = (slice(0, STRIDE_Y * side) for side in size)
    return _z_of_samples(model, window_samples(samples, rows, columns), header.level)


def _z_of_samples(model: Model, x: np.ndarray, level: int) -> np.ndarray:
    z: np.ndarray = np.rint(hyper_latents(model, analyse(model, x, level), level))
    return z.astype(np.int32)


def _draw(
    model: Model,
    header: Header,
    seed: int,
    likes: Sequence[np.ndarray | None],
    gain_map: GainMap | None = None,
) -> bytes:
    """The file of `header`; z of a slice is that in `likes`, drawn where that is None."""
    chunks = [] if gain_map is None else [gain_map.pack()]
    grid = SliceGrid(header.height, header.width, model.halo)
    for number, like in enumerate(likes):
        size = grid.size(number)
        dice = _Dice(seed, number)
        z = decode_z(model, dice.pop, size, header.level) if like is None else like
        z = np.clip(z, -MAX_SYMBOL, MAX_SYMBOL)  # a hostile file may hold more than is coded
        rows, columns = (axis.inner for axis in grid[number])
        offsets = None if gain_map is None else gain_map.offsets(rows, columns)
        symbols, _ = decode_steps(model, dice.pop, z, size, header.level, offsets)
        chunks.append(encode_slice(model, symbols, header.level))
    return pack_header(header) + pack_chunks(chunks)


class _Dice:
    """Draws where a Decoder reads. PCG64's raw words of 64 bits are the same in every numpy."""

    def __init__(self, seed: int, slice_number: int):
        self._bits = np.random.PCG64([seed, slice_number])

    def pop(self, tables: TableSet, indices: np.ndarray) -> np.ndarray:
        """`[N]` int32 symbols, each drawn from the table that `indices` (`[N]`) names.

        Escapes are left out: after one all values beyond the table are equally likely, which codes
        what was never expected and draws nothing that was.
        """
        symbols = np.empty(len(indices), np.int32)
        for number in np.unique(indices):
            edges = np.cumsum(tables.tables[number][:-1].astype(np.uint64) + 1)
            places = np.flatnonzero(indices == number)
            drawn = self._bits.random_raw(len(places)) % edges[-1]
            symbols[places] = np.searchsorted(edges, drawn, "right") - tables.radius[number]
        return symbols
