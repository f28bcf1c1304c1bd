"""A linear map that stands for g_s where a picture is decoded at 1/8 of its size.

g_s is a linear transform with corrections, of which little is left in means of 8x8 pixels: a 3x3
convolution of the latents is 47 to 54 dB from these means (validation photographs, from the lowest
to the highest level), and takes a thousandth of the products of g_s. It is the least squares
solution over sample pictures, found when a model is exported.
"""

from collections.abc import Sequence
from itertools import cycle

import numpy as np

from vaecodec.codec.slice_coder import decode_slice, encode_slice, quantise_slice
from vaecodec.entropy.scales import LEVEL_UNIT
from vaecodec.inference.model import Model
from vaecodec.network.config import BLOCK, STRIDE_Y, reduced_shapes

SIDE = 512  # pixels of a sample that are used, at most
RIDGE = 1e-4  # of the mean square of an input, which keeps the solution finite
ROWS = 4  # positions for each input, at least: pictures come again, at other levels, until then
_SAMPLES = STRIDE_Y // BLOCK  # a side, that a latent position becomes


def fit_reduced_synthesis(model: Model, pictures: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The map's weight and bias for a model, from uint8 pictures `[H, W, 3]`."""
    log_inverse_gains = model.weights.float_parameter("log_inverse_gain.values")  # [anchors, m]
    shape = reduced_shapes(model.m)["weight"]
    inputs = 9 * model.m + 1
    products, right = np.zeros((inputs, inputs)), np.zeros((inputs, shape[0]))
    needed = ROWS * inputs
    for number, picture in enumerate(cycle(pictures)):
        if number >= len(pictures) and needed <= 0:
            break
        # Levels lie evenly over the whole scale, whatever the order of the pictures.
        level = round(LEVEL_UNIT * (number * 0.618 % 1 * (len(log_inverse_gains) - 1)))
        distance = np.abs(level / LEVEL_UNIT - np.arange(len(log_inverse_gains)))
        log_inverse_gain = np.maximum(1 - distance, 0) @ log_inverse_gains  # as LevelTable
        height, width = (min(side, SIDE) // STRIDE_Y * STRIDE_Y for side in picture.shape[:2])
        x = picture[:height, :width].astype(np.float32) / 255
        symbols = quantise_slice(model, model.transforms.analyse(x, level), level, with_rdoq=True)
        size = height // STRIDE_Y, width // STRIDE_Y
        y_hat = decode_slice(model, encode_slice(model, symbols, level), *size, level)
        means = np.clip(model.transforms.synthesise(y_hat, level), 0, 1)
        means = means.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean((1, 3))
        seen = _neighbourhoods(y_hat * np.exp(log_inverse_gain))
        wanted = means.reshape(size[0], _SAMPLES, size[1], _SAMPLES, 3).transpose(0, 2, 4, 1, 3)
        needed -= len(seen)
        products += seen.T @ seen
        right += seen.T @ wanted.reshape(len(seen), -1)
    products[np.diag_indices(inputs)] += RIDGE * np.trace(products) / inputs + 1e-12
    solution = np.linalg.solve(products, right).T
    weight = solution[:, :-1].reshape(shape[0], 3, 3, model.m).transpose(0, 3, 1, 2)
    return {"weight": weight.astype(np.float16), "bias": solution[:, -1].astype(np.float32)}


def _neighbourhoods(latents: np.ndarray) -> np.ndarray:
    """What a 3x3 convolution sees at each position of `[h, w, m]`, and a one: `[h * w, 9m + 1]`."""
    height, width, m = latents.shape
    padded = np.pad(latents, [(1, 1), (1, 1), (0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
    seen = views.transpose(0, 1, 3, 4, 2).reshape(height * width, 9 * m)
    return np.append(seen, np.ones((len(seen), 1)), 1)
