"""The order of work: picture -> windows -> g_a -> slices -> file, and back.

Both directions hold the pixels of the picture and the latents of a few rows of slices, never more.
"""

import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from vaecodec.codec.alpha import fill_transparent, pack_lossless, pack_lossy, unpack_lossless
from vaecodec.codec.canvas import Canvas
from vaecodec.format.container import (
    ALPHA_TYPE,
    MAX_PIXELS,
    PREVIEW_TYPE,
    Chunk,
    Header,
    pack_chunks,
    pack_header,
    pack_metadata,
    read_chunks,
    read_header,
)
from vaecodec.codec.effort import DEFAULT_EFFORT, ITERATIONS, SliceToRefine, check_effort
from vaecodec.format.encryption import seal_chunks
from vaecodec.errors import FormatError, ModelError, UsageError
from vaecodec.codec.gain_map import GainMap, gain_map_of_mask
from vaecodec.codec.slice_coder import decode_slice, encode_slice, hyper_latents, quantise_slice
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture
from vaecodec.format.slice_reader import SalvagedSliceSource, SliceSource
from vaecodec.codec.tiling import STRIDE_Y, Region, SliceGrid, cut, pixels

PREVIEW_SIDE = 256  # the longer side of a preview, at most, in pixels
PREVIEW_MIN_PIXELS = 4 * 2**20  # larger pictures carry a preview; it is under 1 % of their bytes
PREVIEW_MAX_LEVEL = 512


@dataclass(frozen=True)
class EncodeOptions:
    """`level`: 0..LEVEL_MAX; `alpha_level`: level of lossy transparency, None for lossless;
    `passphrase`: encrypt with it; `effort`: 0 (fastest) to 9 (smallest); `timeout`: seconds after
    which refinement comes to its end; `progress`: called with how much of it is done, 0..1; `roi`:
    mask of what matters, as for gain_map_of_mask.
    """

    level: int
    alpha_level: int | None = None
    passphrase: bytes | None = field(default=None, repr=False)
    effort: int = DEFAULT_EFFORT
    timeout: float = math.inf
    progress: Callable[[float], object] = lambda part: None
    roi: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DecodeOptions:
    """`region`: part of the picture to decode; `scale`: 1, 2, 4 or 8, the divisor of both sides;
    `salvage`: decode what is sound of a damaged file, grey elsewhere, and say so in the notes.
    """

    max_pixels: int = MAX_PIXELS
    region: Region | None = None
    scale: int = 1
    salvage: bool = False
    passphrase: bytes | None = field(default=None, repr=False)


def encode_picture(picture: Picture, model: Model, options: EncodeOptions) -> bytes:
    """The .vae file of a picture."""
    encoder = PictureEncoder(picture, model, options)
    if encoder.refines:
        encoder.refine(options.level)
    return encoder(options.level)


class PictureEncoder:
    """Encodes one picture at any level; what does not depend on the level is done once."""

    def __init__(self, picture: Picture, model: Model, options: EncodeOptions):
        check_effort(options.effort)
        self._model, self._mode, self._options = model, picture.mode, options
        self._deadline = time.monotonic() + options.timeout
        self._chunks = [pack_metadata(kind, content) for kind, content in picture.metadata.items()]
        if picture.alpha is not None:
            self._chunks.append(Chunk(ALPHA_TYPE, _encode_alpha(picture.alpha, model, options)))
            picture = Picture(fill_transparent(picture.pixels, picture.alpha))
        self._samples = picture.pixels
        height, width = self._samples.shape[:2]
        self._grid = SliceGrid(height, width, model.halo)
        self._gain_map: GainMap | None = None
        if options.roi is not None:
            self._gain_map = gain_map_of_mask(options.roi, height, width)
            self._chunks.append(self._gain_map.pack())
        self._refined: list[tuple[np.ndarray, np.ndarray]] = []
        if height * width > PREVIEW_MIN_PIXELS:
            small = picture.reduced(-(-max(height, width) // PREVIEW_SIDE))
            preview_options = EncodeOptions(min(options.level, PREVIEW_MAX_LEVEL))
            self._chunks.append(Chunk(PREVIEW_TYPE, encode_picture(small, model, preview_options)))

    @property
    def refines(self) -> bool:
        """Whether the effort asks for `refine`."""
        return ITERATIONS[self._options.effort] > 0

    def __call__(self, level: int) -> bytes:
        """The file at `level` (0..LEVEL_MAX), of the refined latents once there are any."""

        def encode_one(number: int) -> Chunk:
            rows, columns = self._grid[number]
            if self._refined:
                y, z = self._refined[number]
            else:
                y = self._analyse(number, level)[rows.inside, columns.inside]
                z = None
            by_cost = self._options.effort > 0 and z is None  # refined latents are near integers
            offsets = self._gain_map and self._gain_map.offsets(rows.inner, columns.inner)
            symbols = quantise_slice(self._model, y, level, offsets, z, by_cost)
            return encode_slice(self._model, symbols, level)

        slices = self._model.in_parallel(encode_one, list(range(len(self._grid))))
        height, width = self._samples.shape[:2]
        header = pack_header(Header(width, height, self._mode, level, self._model.model_id))
        chunks = [*self._chunks, *slices]
        if self._options.passphrase is not None:
            chunks = seal_chunks(chunks, self._options.passphrase, header)
        return header + pack_chunks(chunks)

    def refine(self, level: int, share: float = 1.0) -> None:
        """Refine the latents for `level`; files are then made of these, at levels near it.

        One slice at a time, which bounds the memory. `share`: of the effort's iterations.
        """
        iterations = math.ceil(share * ITERATIONS[self._options.effort])
        alone = self._model.transforms.workers > 1
        refined, count = [], len(self._grid)
        for number in range(count):
            rows, columns = self._grid[number]
            y = self._analyse(number, level)
            z = hyper_latents(self._model, y[rows.inside, columns.inside], level)
            x = self._window(number, pad=False)
            offsets = self._gain_map and self._gain_map.offsets(rows.outer, columns.outer)
            given = SliceToRefine(x, y, rows.inside, columns.inside, z, level, offsets)
            seconds = max(self._deadline - time.monotonic(), 0) / (count - number)

            def report(done: int, before: int = number) -> None:
                self._options.progress((before + done / iterations) / count)

            refined.append(self._model.refiner(given, iterations, seconds, report, alone))
        self._refined = refined

    def _analyse(self, number: int, level: int) -> np.ndarray:
        x = self._window(number)
        colour = x if x.shape[2] == 3 else x[:, :, [0, 0, 0]]
        return self._model.transforms.analyse(colour, level)

    def _window(self, number: int, pad: bool = True) -> np.ndarray:
        """Pixels `[H, W, 3 or 1]` in 0..1 of a slice's window; `pad`: with what g_a sees beyond the
        picture."""
        rows, columns = (pixels(axis.outer) for axis in self._grid[number])
        part = cut(self._samples, rows, columns) if pad else self._samples[rows, columns]
        white = np.float32((1 << 8 * part.dtype.itemsize) - 1)
        return part.reshape(*part.shape[:2], -1) / white


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
    for store, numbers in _decode_bands(source, header, model, grid, shown, needed):

        def synthesise_one(number: int) -> None:
            rows, columns = grid[number]
            if number in source.lost:
                target.put_grey(rows, columns)
            else:
                y_hat = grid.assemble(store, rows.outer, columns.outer)
                target.put(model.transforms, y_hat, header.level, rows, columns)

        list(model.in_parallel(synthesise_one, numbers, grid.columns))
    alpha, notes = _read_alpha(source, header, model)
    if source.lost:
        notes.append(f"{len(source.lost)} of {len(needed)} slices are lost and grey")
    alpha = None if alpha is None else target.reduce(alpha)
    return Picture(target.samples, alpha, source.metadata, tuple(notes))


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
    for row in range(0, len(grid), grid.columns):
        chunks = source.take(numbers[row : row + grid.columns])
        list(model.in_parallel(lambda pair: _decode_one(pair, source, header, model, grid), chunks))
    source.finish()
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
    source.take([0])
    if source.preview is not None:
        return decode_picture(source.preview, model, DecodeOptions(PREVIEW_SIDE**2))
    file.seek(start)
    side = max(header.width, header.height)
    scale = next(scale for scale in (8, 4, 2, 1) if scale == 1 or side >= PREVIEW_SIDE * scale)
    return decode_picture(
        file, model, DecodeOptions(max_pixels, scale=scale, passphrase=passphrase)
    )


def check_model(header: Header, model: Model) -> None:
    """Raise ModelError unless `model` is the one that the file names."""
    if header.model_id != model.model_id:
        raise ModelError(
            f"was made with model {header.model_id.hex()}, not {model.model_id.hex()};"
            " name that model's file with --model"
        )


def _decode_bands(
    source: SliceSource,
    header: Header,
    model: Model,
    grid: SliceGrid,
    shown: list[int],
    needed: list[int],
) -> Iterator[tuple[dict[int, np.ndarray], list[int]]]:
    """Per row of slices that is shown: latents by slice number, enough for its windows, and its
    numbers."""
    store: dict[int, np.ndarray] = {}
    for row in sorted({number // grid.columns for number in shown}):
        last = (row + 2) * grid.columns
        due = [n for n in needed if n < last and n not in store and n >= (row - 1) * grid.columns]
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
        decoded = model.in_parallel(decode_one, chunks, grid.columns)
        store |= zip((n for n, _ in chunks), decoded, strict=True)
        yield store, [number for number in shown if number // grid.columns == row]
        store = {n: y_hat for n, y_hat in store.items() if n >= row * grid.columns}
    source.finish()


def _decode_one(
    pair: tuple[int, Chunk], source: SliceSource, header: Header, model: Model, grid: SliceGrid
) -> np.ndarray:
    number, chunk = pair
    rows, columns = (axis.inner for axis in grid[number])
    offsets = source.gain_map and source.gain_map.offsets(rows, columns)
    return decode_slice(model, chunk, *grid.size(number), header.level, offsets)


def _read_alpha(
    source: SliceSource, header: Header, model: Model
) -> tuple[np.ndarray | None, list[str]]:
    """Alpha, if any, and notes of what could not be had of it."""
    if source.alpha is None:
        return None, []
    try:
        return _decode_alpha(source.alpha, header, model), []
    except FormatError:
        if not isinstance(source, SalvagedSliceSource):
            raise
        return None, ["transparency is lost"]


def _encode_alpha(alpha: np.ndarray, model: Model, options: EncodeOptions) -> bytes:
    if options.alpha_level is None:
        return pack_lossless(alpha)
    return pack_lossy(encode_picture(Picture(alpha), model, EncodeOptions(options.alpha_level)))


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
