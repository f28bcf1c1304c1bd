"""The order of work of encoding: picture -> windows -> g_a -> slices -> file.

Holds the pixels of the picture and the latents of a few rows of slices, never more.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vaecodec.codec.alpha import fill_transparent, pack_lossless, pack_lossy
from vaecodec.codec.effort import DEFAULT_EFFORT, ITERATIONS, check_effort
from vaecodec.codec.gain_map import GainMap, gain_map_of_mask
from vaecodec.codec.slice_coder import encode_slice, hyper_latents, quantise_slice
from vaecodec.codec.tiling import SliceGrid, cut, pixels
from vaecodec.format.container import (
    ALPHA_TYPE,
    PREVIEW_SIDE,
    PREVIEW_TYPE,
    Chunk,
    Header,
    pack_chunks,
    pack_header,
    pack_metadata,
)
from vaecodec.format.encryption import seal_chunks
from vaecodec.inference.interfaces import SliceToRefine
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

PREVIEW_MIN_PIXELS = 4 * 2**20  # larger pictures carry a preview; it is under 1 % of their bytes

PREVIEW_MAX_LEVEL = 512


Progress = Callable[[float], object]
REFINING = 0.95  # of the time of an encoding that refines, about


@dataclass(frozen=True)
class EncodeOptions:
    """`level`: 0..LEVEL_MAX; `alpha_level`: level of lossy transparency, None for lossless;
    `passphrase`: encrypt with it; `effort`: 0 (fastest) to 9 (smallest); `timeout`: seconds after
    which refinement comes to its end; `progress`: called in the calling thread with the share of
    all that is to do, 0..1; `roi`: mask of what matters, as for gain_map_of_mask.
    """

    level: int
    alpha_level: int | None = None
    passphrase: bytes | None = field(default=None, repr=False)
    effort: int = DEFAULT_EFFORT
    timeout: float = math.inf
    progress: Progress = lambda share: None
    roi: np.ndarray | None = field(default=None, repr=False)


def encode_picture(picture: Picture, model: Model, options: EncodeOptions) -> bytes:
    """The .vae file of a picture."""
    encoder = PictureEncoder(picture, model, options)
    start = 0.0
    if encoder.refines:
        start = REFINING
        encoder.refine(options.level, report=stage(options.progress, 0, start))
    return encoder(options.level, stage(options.progress, start, 1))


def stage(progress: Progress, start: float, stop: float) -> Progress:
    """What reports the shares of a part of the work as those `start`..`stop` of all of it."""
    return lambda share: progress(start + (stop - start) * share)


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

    def __call__(self, level: int, report: Progress = lambda share: None) -> bytes:
        """The file at `level` (0..LEVEL_MAX), of the refined latents once there are any."""

        def encode_one(number: int) -> Chunk:
            rows, columns = self._grid[number]
            if self._refined:
                y, z = self._refined[number]
            else:
                y = self._analyse(number, level)[rows.inside, columns.inside]
                z = None
            with_rdoq = self._options.effort > 0 and z is None  # refined latents are near integers
            offsets = (
                None
                if self._gain_map is None
                else self._gain_map.offsets(rows.inner, columns.inner)
            )
            symbols = quantise_slice(self._model, y, level, offsets, z, with_rdoq)
            return encode_slice(self._model, symbols, level)

        slices = []
        for chunk in self._model.in_parallel(encode_one, list(range(len(self._grid)))):
            slices.append(chunk)
            report(len(slices) / len(self._grid))
        height, width = self._samples.shape[:2]
        header = pack_header(Header(width, height, self._mode, level, self._model.model_id))
        chunks = [*self._chunks, *slices]
        if self._options.passphrase is not None:
            chunks = seal_chunks(chunks, self._options.passphrase, header)
        return header + pack_chunks(chunks)

    def refine(self, level: int, share: float = 1.0, report: Progress = lambda share: None) -> None:
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
            offsets = (
                None
                if self._gain_map is None
                else self._gain_map.offsets(rows.outer, columns.outer)
            )
            given = SliceToRefine(x, y, rows.inside, columns.inside, z, level, offsets)
            seconds = max(self._deadline - time.monotonic(), 0) / (count - number)

            def step(done: int, before: int = number) -> None:
                report((before + done / iterations) / count)

            refined.append(self._model.refiner(given, iterations, seconds, step, alone))
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
        result: np.ndarray = part.reshape(*part.shape[:2], -1) / white
        return result


def _encode_alpha(alpha: np.ndarray, model: Model, options: EncodeOptions) -> bytes:
    if options.alpha_level is None:
        return pack_lossless(alpha)
    return pack_lossy(encode_picture(Picture(alpha), model, EncodeOptions(options.alpha_level)))
