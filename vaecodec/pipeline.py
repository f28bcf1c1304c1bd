"""The order of work: picture -> windows -> g_a -> slices -> file, and back."""

import io
from typing import BinaryIO

import numpy as np

from vaecodec.container import (
    SLICE_TYPE,
    Header,
    pack_chunk,
    pack_header,
    read_chunks,
    read_header,
)
from vaecodec.errors import ModelError
from vaecodec.imageio import Picture
from vaecodec.latents import decode_slice, encode_slice
from vaecodec.model import Model
from vaecodec.tiling import cut, latent_size, pixels, slice_windows


def encode_picture(picture: Picture, model: Model, level: int) -> bytes:
    """The .vae file of a picture at `level` (0..LEVEL_MAX)."""
    samples = picture.pixels
    height, width = samples.shape[:2]
    parts = [pack_header(Header(width, height, picture.mode, level, model.model_id))]
    for rows, columns in slice_windows(height, width, model.halo):
        window = cut(samples, pixels(rows.outer), pixels(columns.outer))
        x = np.broadcast_to(window.reshape(*window.shape[:2], -1), (*window.shape[:2], 3))
        y = model.transforms.analyse(x.astype(np.float32) / 255, level)
        parts.append(pack_chunk(encode_slice(model, y[rows.inside, columns.inside], level)))
    return b"".join(parts)


def decode_picture(file: BinaryIO | bytes, model: Model, max_pixels: int) -> Picture:
    """The picture of a .vae file. Raises FormatError, and ModelError where another model made it."""
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    header = read_header(file, max_pixels)
    check_model(header, model)
    y_hat = np.zeros((*latent_size(header.height, header.width), model.m), np.float32)
    windows = list(slice_windows(header.height, header.width, model.halo))
    remaining = iter(windows)
    for chunk in read_chunks(file, header):
        if chunk.type == SLICE_TYPE:
            rows, columns = next(remaining)
            size = rows.stop - rows.start, columns.stop - columns.start
            y_hat[rows.inner, columns.inner] = decode_slice(model, chunk, *size, header.level)
    samples = np.empty((header.height, header.width, 3), np.uint8)
    for rows, columns in windows:
        x = model.transforms.synthesise(y_hat[rows.outer, columns.outer], header.level)
        x = np.nan_to_num(x[pixels(rows.inside), pixels(columns.inside)])
        target = samples[pixels(rows.inner), pixels(columns.inner)]
        target[:] = np.rint(np.clip(x, 0, 1) * 255)[: target.shape[0], : target.shape[1]]
    if header.mode == "grey":
        samples = np.rint(samples.astype(np.float32).mean(axis=2)).astype(np.uint8)
    return Picture(samples)


def check_model(header: Header, model: Model) -> None:
    """Raise ModelError unless `model` is the one that the file names."""
    if header.model_id != model.model_id:
        raise ModelError(
            f"was made with model {header.model_id.hex()}, not {model.model_id.hex()};"
            " name that model's file with --model"
        )
