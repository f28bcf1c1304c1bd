"""The latents of one slice to coded bytes and back: what is coded, in which order, with which
tables."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaecodec.codec.gain_map import at_nominal_gain, gain_factors
from vaecodec.codec.tiling import pad_to_multiple
from vaecodec.entropy.coder import Decoder, Encoder, TableSet
from vaecodec.entropy.coding_order import STEPS, pick_step, put_step
from vaecodec.entropy.rdoq import rdoq
from vaecodec.errors import CorruptSymbolsError
from vaecodec.format.container import Chunk, pack_slice, unpack_slice
from vaecodec.inference.model import Model

Z_STRIDE = 4  # latent positions per hyper-latent position
_LIMIT = 1 << 20  # symbols are clipped here; a real one never comes near

# (step, mean of y, gain, table indices, all [h, w, m/4]) -> residuals [h, w, m/4]
ResidualsOfStep = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
# (tables, table indices [N]) -> symbols [N], int32
Pop = Callable[[TableSet, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Symbols:
    """The integers that a slice is coded as.

    `z`: `[h/4, w/4, cz]`; `steps`: for each step the residuals `[N]`, in the order row, column,
    channel, and the numbers of the tables `[N]` that they are coded with.
    """

    z: np.ndarray
    steps: list[tuple[np.ndarray, np.ndarray]]

    @property
    def checksum(self) -> int:
        """CRC-32 of z and all residuals as little-endian 32-bit integers, in the order of
        coding."""
        checksum = zlib.crc32(self.z.astype("<i4").tobytes())
        for residuals, _ in self.steps:
            checksum = zlib.crc32(residuals.astype("<i4").tobytes(), checksum)
        return checksum


def quantise_slice(
    model: Model,
    y: np.ndarray,
    level: int,
    offsets: np.ndarray | None = None,
    z: np.ndarray | None = None,
    with_rdoq: bool = False,
) -> Symbols:
    """The symbols of y `[h, w, m]` (float32) of one slice.

    `offsets`: of the gain (codec/gain_map); `z`: hyper-latents before rounding in place of those
    that h_a gives; `with_rdoq`: round residuals by rate and distortion (entropy/rdoq) and not to
    the nearest integer.
    """
    z = _to_symbols(hyper_latents(model, y, level) if z is None else z)

    def residuals(step: int, mean: np.ndarray, gain: np.ndarray, indices: np.ndarray) -> np.ndarray:
        d = (pick_step(y, step) - mean) * gain
        return _to_symbols(rdoq(d, model.rounding_margins, indices) if with_rdoq else d)

    symbols, _ = _walk_steps(model, z, y.shape[:2], level, offsets, residuals)
    return symbols


def hyper_latents(model: Model, y: np.ndarray, level: int) -> np.ndarray:
    """z before rounding of y `[h, w, m]` of one slice."""
    return model.transforms.hyper_analyse(pad_to_multiple(y, Z_STRIDE), level)


def encode_slice(model: Model, symbols: Symbols, level: int) -> Chunk:
    """Code the symbols of one slice."""
    encoder = Encoder()
    rows, columns = symbols.z.shape[:2]
    z_indices = model.z_indices(rows, columns, level)
    encoder.push(model.z_tables, symbols.z.reshape(-1), z_indices.reshape(-1))
    for residuals, indices in symbols.steps:
        encoder.push(model.y_tables, residuals, indices)
    return pack_slice(symbols.checksum, encoder.finish())


def decode_slice(
    model: Model,
    chunk: Chunk,
    height: int,
    width: int,
    level: int,
    offsets: np.ndarray | None = None,
) -> np.ndarray:
    """y_hat `[height, width, m]` of a slice of that many latent positions. Raises FormatError."""
    checksum, words = unpack_slice(chunk)
    decoder = Decoder(words)
    z = decode_z(model, decoder.pop, (height, width), level)
    symbols, y_hat = decode_steps(model, decoder.pop, z, (height, width), level, offsets)
    if symbols.checksum != checksum:
        raise CorruptSymbolsError("decoded symbols do not match their checksum; get another copy")
    decoder.finish()
    return y_hat


def decode_z(model: Model, pop: Pop, size: tuple[int, int], level: int) -> np.ndarray:
    """z `[h/4, w/4, cz]` of a slice of `size` (h, w), which its symbols begin with."""
    rows, columns = (-(-side // Z_STRIDE) for side in size)
    z_indices = model.z_indices(rows, columns, level)
    return pop(model.z_tables, z_indices.reshape(-1)).reshape(z_indices.shape)


def decode_steps(
    model: Model,
    pop: Pop,
    z: np.ndarray,
    size: tuple[int, int],
    level: int,
    offsets: np.ndarray | None = None,
) -> tuple[Symbols, np.ndarray]:
    """All symbols of a slice after its z, and its y_hat `[h, w, m]`."""

    def residuals(
        _step: int, _mean: np.ndarray, _gain: np.ndarray, indices: np.ndarray
    ) -> np.ndarray:
        return pop(model.y_tables, indices.reshape(-1)).reshape(indices.shape)

    return _walk_steps(model, z, size, level, offsets, residuals)


def _walk_steps(
    model: Model,
    z: np.ndarray,
    size: tuple[int, int],
    level: int,
    offsets: np.ndarray | None,
    residuals_of_step: ResidualsOfStep,
) -> tuple[Symbols, np.ndarray]:
    """The four steps that encoder and decoder share; returns all symbols and y_hat `[h, w, m]`."""
    means = model.transforms.mean_predictor(z, level, size)
    scales = model.scale_network
    sums = scales.prepare(z, level, size)
    y_hat = np.empty((*size, model.m), np.float32)
    gains = np.broadcast_to(_gain(model, level, offsets), y_hat.shape)
    steps = []
    for step in range(STEPS):
        mean, finer = means.predict(step)
        gain = pick_step(gains, step)
        if finer is not None:
            gain *= finer
        indices = scales.indices(sums, size, step, level, offsets)
        residuals = residuals_of_step(step, mean, gain, indices)
        steps.append((residuals.reshape(-1), indices.reshape(-1)))
        y = mean + residuals.astype(np.float32) / gain
        put_step(y_hat, step, y)
        if step < STEPS - 1:
            means.add(y, step)
            seen = residuals if offsets is None else at_nominal_gain(residuals, offsets)
            scales.add_context(sums, seen, step)
    return Symbols(z, steps), y_hat


def _gain(model: Model, level: int, offsets: np.ndarray | None) -> np.ndarray:
    """Quantisation steps per unit of y, `[m]`, or `[h, w, m]` with offsets."""
    gain = model.transforms.gain(level)
    return gain if offsets is None else gain * gain_factors(offsets)


def _to_symbols(values: np.ndarray) -> np.ndarray:
    symbols: np.ndarray = np.clip(np.rint(values), -_LIMIT, _LIMIT)
    symbols[np.isnan(symbols)] = 0
    return symbols.astype(np.int32)
