"""The order of work of decoding: file -> slices -> windows -> g_s -> picture.

Holds the pixels of the picture and the latents of a few rows of slices, never more.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from vaecodec.codec.alpha import PACKED_WITH_PICTURE, unpack_lossless
from vaecodec.codec.analysis import analyse
from vaecodec.codec.canvas import Canvas
from vaecodec.codec.gain_map import GainMap, unpack_gain_map
from vaecodec.codec.lossless_forms import samples_of_picture, samples_of_slice
from vaecodec.codec.slice_coder import decode_slice
from vaecodec.codec.tiling import Region, SliceGrid, Window, window_samples
from vaecodec.errors import FormatError, ModelError, UsageError
from vaecodec.format.container import (
    ALPHA_TYPE,
    MAX_PIXELS,
    PREVIEW_SIDE,
    SAMPLES_SLICE_TYPES,
    Chunk,
    Header,
    read_chunks,
    read_header,
)
from vaecodec.format.slice_reader import SalvagedSliceSource, SliceSource
from vaecodec.inference.model import Model
from vaecodec.network.config import STRIDE_Y
from vaecodec.picture import hdr_gain_map
from vaecodec.picture.picture import Picture

SCALES = (1, 2, 4, 8)


@dataclass(frozen=True)
class DecodeOptions:
    """`region`: part of the picture to decode; `scale`: 1, 2, 4 or 8, the divisor of both sides;
    `salvage`: decode what is sound of a damaged file, grey elsewhere, and say so in the notes;
    `progress`: called in the calling thread with the share of the slices that are done, 0..1.
    """

    max_pixels: int = MAX_PIXELS
    region: Region | None = None
    scale: int = 1
    salvage: bool = False
    passphrase: bytes | None = field(default=None, repr=False)
    progress: Callable[[float], object] = lambda share: None


def decode_picture(
    file: BinaryIO | bytes,
    model: Model,
    options: DecodeOptions | None = None,
    make_canvas: Callable[[Header, Region, int], Canvas] = Canvas,
) -> Picture:
    """The picture of a .vae file, or the part that `options` name.

    `make_canvas`: of the file's header, the region and the scale, where the pixels are put. Raises
    FormatError, ModelError where another model made the file, and UsageError for a region outside
    the picture.
    """
    options = options or DecodeOptions()
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    header = read_header(file, options.max_pixels)
    check_model(header, model)
    grid = SliceGrid(header.height, header.width, model.halo)
    region = options.region or Region(0, 0, header.width, header.height)
    if options.scale not in SCALES:
        raise UsageError(f"scale 1/{options.scale} is not one of 1, 1/2, 1/4 and 1/8")
    if not region.fits(header.width, header.height):
        raise UsageError(f"region {region} is not inside {header.width}x{header.height}")
    if region.left % options.scale or region.top % options.scale:
        raise UsageError(
            f"region {region} at scale 1/{options.scale} must start at multiples of {options.scale}"
        )
    shown = [number for number, windows in enumerate(grid) if region.touches(*windows)]
    target = make_canvas(header, region, options.scale)
    # What lies further away than a halo cannot reach the region: such latents stay zero.
    reach = region.grown(STRIDE_Y * model.halo)
    needed = [number for number, windows in enumerate(grid) if reach.touches(*windows)]
    source = (SalvagedSliceSource if options.salvage else SliceSource)(
        file, header, needed, options.passphrase
    )
    alpha: np.ndarray | None = None
    notes: list[str] = []
    stream = source.take_picture()
    if stream is None:
        if grid.at_once == 1:  # then this thread computes it
            model.transforms.foresee_synthesis(options.scale)
        _put_slices(target, source, header, model, grid, shown, needed, options.progress)
    else:
        alpha = _put_lossless_picture(target, stream, source, header, grid, shown, needed)
    if alpha is None:
        alpha, notes = _read_alpha(source, header, model)
    if source.lost:
        notes.append(f"{len(source.lost)} of {len(needed)} slices are lost and grey")
    alpha = None if alpha is None else target.reduce(alpha)
    whole = Picture(target.samples, alpha, source.metadata, tuple(notes))
    is_part = (region.width, region.height) != (header.width, header.height)
    return whole.without_metadata((hdr_gain_map.KIND,)) if is_part else whole


def verify_file(
    file: BinaryIO, model: Model, max_pixels: int = MAX_PIXELS, passphrase: bytes | None = None
) -> None:
    """Check all of a file but its pixels: structure, checksums of the bytes and of every symbol.

    Raises FormatError, and ModelError where another model made the file.
    """
    header = read_header(file, max_pixels)
    check_model(header, model)
    grid = SliceGrid(header.height, header.width, model.halo)
    numbers = list(range(len(grid)))
    source = SliceSource(file, header, numbers, passphrase)
    stream = source.take_picture()
    with_alpha = stream is not None and source.alpha == PACKED_WITH_PICTURE
    if stream is not None:
        samples_of_picture(stream, header, with_alpha)
    for row in range(0, len(grid) if stream is None else 0, grid.columns):
        chunks = source.take(numbers[row : row + grid.columns])
        list(model.in_parallel(lambda pair: _decode_one(pair, source, header, model, grid), chunks))
    source.finish()
    if not with_alpha:
        _read_alpha(source, header, model)


def decode_preview(
    file: BinaryIO, model: Model, max_pixels: int = MAX_PIXELS, passphrase: bytes | None = None
) -> Picture:
    """A small picture of what a file holds: the one stored in a large file, else the picture
    scaled."""
    start = file.tell()
    header = read_header(file, max_pixels)
    check_model(header, model)
    source = SliceSource(file, header, [0], passphrase)
    source.take_picture()
    if source.preview is not None:
        return decode_picture(source.preview, model, DecodeOptions(PREVIEW_SIDE**2))
    file.seek(start)
    side = max(header.width, header.height)
    scale = next(scale for scale in (8, 4, 2, 1) if scale == 1 or side >= PREVIEW_SIDE * scale)
    return decode_picture(
        file, model, DecodeOptions(max_pixels, scale=scale, passphrase=passphrase)
    )


def check_model(header: Header, model: Model) -> None:
    """Raise ModelError unless `model` is the one that the file names, FormatError for a level that
    it does not have."""
    if header.model_id != model.model_id:
        raise ModelError(
            f"was made with model {header.model_id.hex()}, not {model.model_id.hex()}",
            "model",
        )
    if header.level > model.level_max:
        raise FormatError(f"its level {header.level} is beyond its model's {model.level_max}")


def _put_lossless_picture(
    target: Canvas,
    stream: bytes,
    source: SliceSource,
    header: Header,
    grid: SliceGrid,
    shown: list[int],
    needed: list[int],
) -> np.ndarray | None:
    """Place a picture of one stream, or grey where it is lost; returns its alpha if that is in
    it."""
    source.finish()
    try:
        samples, alpha = samples_of_picture(stream, header, source.alpha == PACKED_WITH_PICTURE)
    except FormatError as error:
        for number in needed:
            source.fault(number, error)
        for number in shown:
            target.put_grey(*grid[number])
        return None
    target.put_exact(samples, *(Window.whole(side) for side in samples.shape[:2]))
    return alpha


def _put_slices(
    target: Canvas,
    source: SliceSource,
    header: Header,
    model: Model,
    grid: SliceGrid,
    shown: list[int],
    needed: list[int],
    progress: Callable[[float], object],
) -> None:
    done = 0
    for store, exact, numbers in _decode_bands(source, header, model, grid, shown, needed):

        def put_one(
            number: int,
            store: dict[int, np.ndarray] = store,
            exact: dict[int, np.ndarray] = exact,
        ) -> None:
            rows, columns = grid[number]
            if number in source.lost:
                target.put_grey(rows, columns)
            elif number in exact:
                target.put_exact(exact[number], rows.without_halo, columns.without_halo)
            else:
                y_hat = grid.assemble(store, rows.outer, columns.outer)
                target.put(model.transforms, y_hat, header.level, rows, columns)

        for _ in model.in_parallel(put_one, numbers, grid.at_once):
            done += 1
            progress(done / len(shown))


_ByNumber = dict[int, np.ndarray]


def _decode_bands(
    source: SliceSource,
    header: Header,
    model: Model,
    grid: SliceGrid,
    shown: list[int],
    needed: list[int],
) -> Iterator[tuple[_ByNumber, _ByNumber, list[int]]]:
    """Per row of slices that is shown: latents by slice number, enough for its windows; samples of
    lossless slices; and its numbers."""
    store: _ByNumber = {}
    exact: _ByNumber = {}
    for row in sorted({number // grid.columns for number in shown}):
        first, last = (row - 1) * grid.columns, (row + 2) * grid.columns
        due = [n for n in needed if first <= n < last and n not in store and n not in exact]
        store |= {
            n: np.zeros((*grid.size(n), model.m), np.float32) for n in due if n in source.lost
        }

        def decode_one(pair: tuple[int, Chunk]) -> np.ndarray:
            try:
                return _decode_one(pair, source, header, model, grid)
            except FormatError as error:
                source.fault(pair[0], error)
                return np.zeros((*grid.size(pair[0]), model.m), np.float32)

        chunks = source.take(due)
        decoded = model.in_parallel(decode_one, chunks, grid.at_once)
        for (number, chunk), content in zip(chunks, decoded, strict=True):
            of_samples = chunk.type in SAMPLES_SLICE_TYPES and number not in source.lost
            (exact if of_samples else store)[number] = content
        numbers = [number for number in shown if number // grid.columns == row]
        reached = {n for learned in numbers if learned not in exact for n in grid.around(learned)}
        missing = sorted(n for n in reached if n in exact and n not in store)

        def latents_of(number: int, exact: _ByNumber = exact) -> np.ndarray:
            return _latents_of_samples(model, exact[number], grid.size(number), header.level)

        store |= zip(missing, model.in_parallel(latents_of, missing, grid.at_once), strict=True)
        yield store, exact, numbers
        first_kept = row * grid.columns
        store = {n: y_hat for n, y_hat in store.items() if n >= first_kept}
        exact = {n: samples for n, samples in exact.items() if n >= first_kept}
    source.finish()


def _latents_of_samples(
    model: Model, samples: np.ndarray, size: tuple[int, int], level: int
) -> np.ndarray:
    """What stands for y_hat of a lossless slice in the windows of those around it."""
    rows, columns = (slice(0, STRIDE_Y * side) for side in size)
    return analyse(model, window_samples(samples, rows, columns), level)


def _decode_one(
    pair: tuple[int, Chunk], source: SliceSource, header: Header, model: Model, grid: SliceGrid
) -> np.ndarray:
    """y_hat of a slice, or the samples of one that is lossless."""
    number, chunk = pair
    if chunk.type in SAMPLES_SLICE_TYPES:
        return samples_of_slice(chunk.payload, header, grid, number)
    rows, columns = (axis.inner for axis in grid[number])
    gain_map = _gain_map(source, header)
    offsets = None if gain_map is None else gain_map.offsets(rows, columns)
    return decode_slice(model, chunk, *grid.size(number), header.level, offsets)


def _gain_map(source: SliceSource, header: Header) -> GainMap | None:
    if source.gain_map is None:
        return None
    try:
        return unpack_gain_map(source.gain_map, header)
    except FormatError:
        if not source.salvages:
            raise
        return None


def _read_alpha(
    source: SliceSource, header: Header, model: Model
) -> tuple[np.ndarray | None, list[str]]:
    """Alpha, if any, and notes of what could not be had of it."""
    if source.alpha is None:
        return None, []
    try:
        return _decode_alpha(source.alpha, header, model), []
    except FormatError:
        if not source.salvages:
            raise
        return None, ["transparency is lost"]


def _decode_alpha(payload: bytes, header: Header, model: Model) -> np.ndarray:
    alpha = unpack_lossless(payload, header.height, header.width)
    if alpha is not None:
        return alpha
    inner = io.BytesIO(payload[1:])
    described = read_header(inner)
    if (described.width, described.height, described.mode) != (header.width, header.height, "grey"):
        raise FormatError("its transparency has another size than the picture")
    if any(chunk.type == ALPHA_TYPE for _, chunk in read_chunks(inner, described)):
        raise FormatError("its transparency holds transparency")
    return decode_picture(payload[1:], model, DecodeOptions(header.width * header.height)).pixels
