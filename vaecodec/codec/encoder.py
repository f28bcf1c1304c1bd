"""The order of work of encoding: picture -> windows -> g_a -> slices -> file.

Holds the pixels of the picture and the latents of a few rows of slices, never more.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vaecodec.codec.alpha import (
    blacken_transparent,
    fill_transparent,
    pack_lossless,
    pack_lossy,
)
from vaecodec.codec.analysis import SliceAnalysis, analyse
from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.effort import DEFAULT_EFFORT, ITERATIONS, check_effort
from vaecodec.codec.gain_map import GainMap, gain_map_of_mask
from vaecodec.codec.lossless_forms import Asked, LosslessForms
from vaecodec.codec.quality import scale_of
from vaecodec.codec.slice_coder import encode_slice, hyper_latents, quantise_slice
from vaecodec.codec.tiling import SliceGrid, pixels, window_samples
from vaecodec.errors import UsageError
from vaecodec.format.container import (
    ALPHA_TYPE,
    PREVIEW_SIDE,
    PREVIEW_TYPE,
    SAMPLES_PICTURE_TYPES,
    SLICE_TYPE,
    Chunk,
    Header,
    pack_chunks,
    pack_header,
)
from vaecodec.format.encryption import seal_chunks
from vaecodec.format.metadata import pack_metadata
from vaecodec.inference.interfaces import SliceToRefine
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

PREVIEW_MIN_PIXELS = 4 * 2**20  # larger pictures carry a preview; it is under 1 % of their bytes

PREVIEW_MAX_LEVEL = 512


Progress = Callable[[float], object]
REFINING = 0.95  # of the time of an encoding that refines, about


@dataclass(frozen=True)
class EncodeOptions:
    """`level`: 0..the model's level_max; `alpha_level`: level of lossy transparency, None for
    lossless; `passphrase`: encrypt with it; `effort`: 0 (fastest) to 9 (smallest); `timeout`:
    seconds after which refinement comes to its end; `progress`: called in the calling thread with
    the share of all that is to do, 0..1; `roi`: mask of what matters, as for gain_map_of_mask;
    `lossless`: all of the picture, at no level. Raises UsageError for what contradicts that.
    """

    level: int
    alpha_level: int | None = None
    passphrase: bytes | None = field(default=None, repr=False)
    effort: int = DEFAULT_EFFORT
    timeout: float = math.inf
    progress: Progress = lambda share: None
    roi: np.ndarray | None = field(default=None, repr=False)
    lossless: bool = False

    def __post_init__(self) -> None:
        if self.lossless and (self.alpha_level is not None or self.roi is not None):
            raise UsageError("lossless has one quality; leave out that of transparency, and masks")


def encode_picture(picture: Picture, model: Model, options: EncodeOptions) -> bytes:
    """The .vae file of a picture."""
    encoder = PictureEncoder(picture, model, options)
    if options.lossless:
        return encoder.encode_losslessly()
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
        exact = picture if options.lossless else blacken_transparent(picture)
        if picture.alpha is not None:
            self._chunks.append(Chunk(ALPHA_TYPE, _encode_alpha(picture.alpha, model, options)))
            picture = Picture(fill_transparent(picture.pixels, picture.alpha))
        self._samples = picture.pixels
        height, width = self._samples.shape[:2]
        self._grid = SliceGrid(height, width, model.halo)
        self._lossless = LosslessForms(exact, self._grid, options.effort)
        self._gain_map: GainMap | None = None
        if options.roi is not None:
            self._gain_map = gain_map_of_mask(options.roi, height, width)
            self._chunks.append(self._gain_map.pack())
        self._refined: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        if height * width > PREVIEW_MIN_PIXELS:
            small = picture.reduced(-(-max(height, width) // PREVIEW_SIDE))
            preview_options = EncodeOptions(min(options.level, PREVIEW_MAX_LEVEL))
            self._chunks.append(Chunk(PREVIEW_TYPE, encode_picture(small, model, preview_options)))

    @property
    def refines(self) -> bool:
        """Whether the effort asks for `refine`."""
        return ITERATIONS[self._options.effort] > 0

    def __call__(self, level: int, report: Progress = lambda share: None) -> bytes:
        """The file at `level`, of the refined latents once there are any."""
        return self._file(level, self._smallest_chunks(level, report))

    def encode_losslessly(self) -> bytes:
        """The file that decodes to the picture bit for bit."""
        chunks = self._lossless.all_chunks(self._chunks, self._model.in_parallel)
        return self._file(self._model.level_max, chunks)

    def _smallest_chunks(self, level: int, report: Progress = lambda share: None) -> list[Chunk]:
        if self._grid.at_once == 1:  # then this thread computes it
            self._model.transforms.foresee_coding()
        y_of = SliceAnalysis(self._samples, self._model, level)

        def encode_one(number: int) -> Chunk:
            rows, columns = self._grid[number]
            y, z = self._refined[number] if number in self._refined else (y_of(number), None)
            with_rdoq = self._options.effort > 0 and z is None  # refined latents are near integers
            offsets = (
                None
                if self._gain_map is None
                else self._gain_map.offsets(rows.inner, columns.inner)
            )
            symbols = quantise_slice(self._model, y, level, offsets, z, with_rdoq)
            return encode_slice(self._model, symbols, level)

        slices = []
        at_once = self._grid.at_once if len(self._grid) == self._grid.columns else None
        for chunk in self._model.in_parallel(encode_one, list(range(len(self._grid))), at_once):
            slices.append(chunk)
            report(len(slices) / len(self._grid))
        return self._lossless.replace_poorer(
            self._chunks, slices, self._model.in_parallel, self._asked(level)
        )

    def _asked(self, level: int) -> Asked | None:
        """The score that fewer colours must leave: what the model promises of photographs. None of
        a model that promises none, and where quality differs within the picture."""
        scale = scale_of(self._model)
        if not scale.is_score or self._gain_map is not None:
            return None

        def decode(number: int, chunk: Chunk) -> np.ndarray:
            """A slice as if it were the picture."""
            rows, columns = (pixels(axis.inner) for axis in self._grid[number])
            height, width = self._samples[rows, columns].shape[:2]
            header = Header(width, height, self._mode, level, self._model.model_id)
            return decode_picture(pack_header(header) + pack_chunks([chunk]), self._model).pixels

        return Asked(scale.quality(level, self._options.effort), decode)

    def _file(self, level: int, chunks: list[Chunk]) -> bytes:
        height, width = self._samples.shape[:2]
        header = pack_header(Header(width, height, self._mode, level, self._model.model_id))
        if self._options.passphrase is not None:
            chunks = seal_chunks(chunks, self._options.passphrase, header)
        return header + pack_chunks(chunks)

    def refine(self, level: int, share: float = 1.0, report: Progress = lambda share: None) -> None:
        """Refine the latents for `level`; files are then made of these, at levels near it.

        One slice at a time, which bounds the memory; none that is smaller losslessly. `share`: of
        the effort's iterations.
        """
        iterations = math.ceil(share * ITERATIONS[self._options.effort])
        alone = self._model.transforms.workers > 1
        numbers = self._learned_slices(level)
        refined, count = {}, len(numbers)
        for place, number in enumerate(numbers):
            rows, columns = self._grid[number]
            y = self._analyse(number, level)
            z = hyper_latents(self._model, y[rows.inside, columns.inside], level)
            outer = pixels(rows.outer), pixels(columns.outer)
            x = window_samples(self._samples, *outer, pad=False)
            offsets = (
                None
                if self._gain_map is None
                else self._gain_map.offsets(rows.outer, columns.outer)
            )
            given = SliceToRefine(x, y, rows.inside, columns.inside, z, level, offsets)
            seconds = max(self._deadline - time.monotonic(), 0) / (count - place)

            def step(done: int, before: int = place) -> None:
                report((before + done / iterations) / count)

            refined[number] = self._model.refiner(given, iterations, seconds, step, alone)
        self._refined = refined

    def _learned_slices(self, level: int) -> list[int]:
        """The slices that are not better as samples."""
        kinds = [chunk.type for chunk in self._smallest_chunks(level)]
        if kinds[-1] in SAMPLES_PICTURE_TYPES:
            return []
        slices = kinds[-len(self._grid) :]
        return [n for n, kind in enumerate(slices) if kind == SLICE_TYPE]

    def _analyse(self, number: int, level: int) -> np.ndarray:
        """y of a slice's window, with its halo."""
        rows, columns = (pixels(axis.outer) for axis in self._grid[number])
        return analyse(self._model, window_samples(self._samples, rows, columns), level)


def _encode_alpha(alpha: np.ndarray, model: Model, options: EncodeOptions) -> bytes:
    if options.alpha_level is None:
        return pack_lossless(alpha)
    return pack_lossy(encode_picture(Picture(alpha), model, EncodeOptions(options.alpha_level)))
