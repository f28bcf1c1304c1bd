"""A trained network to a weight file: 8- and 16-bit weights, the integer scale network, measured
tables.

The tables hold the frequencies that the finished model really produces on sample pictures, encoded
as by the default effort, mixed with a logistic prior where samples are few; this costs nothing at
run time and codes better than any formula.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaecodec.codec.quality import CARD_ENTRY
from vaecodec.codec.slice_coder import Symbols, quantise_slice
from vaecodec.entropy.integer_scale_network import integer_parameters
from vaecodec.entropy.scales import LEVEL_UNIT, SCALE_COUNT, nearest_anchor, scale_of_index
from vaecodec.entropy.tables import MAX_RADIUS, logistic_frequencies, table_from_frequencies
from vaecodec.format.container import SLICE
from vaecodec.inference.model import Model
from vaecodec.inference.torch_backend import TorchTransforms
from vaecodec.network.config import STRIDE_Y
from vaecodec.network.layers import EightBitConv
from vaecodec.network.scale_network import magnitude_code
from vaecodec.network.vae import _SCALE_PREFIX, VAE
from vaecodec.network.weights import STEP_SUFFIX, Weights, save_weights
from vaecodec.training.quality_scores import measure_quality_scores
from vaecodec.training.reduced_synthesis import fit_reduced_synthesis

PRIOR_SAMPLES = 200.0  # weight of the logistic prior in a table, in samples
Z_RADIUS = 63
WIDE_TAIL = (0.02, 3.0)  # share and width of the prior's second, wider part


def export_model(
    network: VAE,
    pictures: Sequence[np.ndarray],
    card: dict[str, Any],
    path: Path,
    scored: Sequence[np.ndarray] = (),
) -> None:
    """Write `network` as a weight file.

    `pictures`: uint8 `[H, W, 3]` samples for the tables, of at least 16 pixels a side; of larger
    ones a part of the size of a slice counts. `scored`: pictures, not of the training, by whose
    scores the qualities of a model for the eye are told.
    """
    weights = _with_prior_tables(network, card)
    y_counts = _Counts([_y_radius(index) for index in range(SCALE_COUNT)])
    z_counts = _Counts([Z_RADIUS] * (network.config.anchors * network.config.cz))
    model = Model(weights, TorchTransforms(weights))
    for symbols, level in _sample_symbols(model, pictures):
        for residuals, indices in symbols.steps:
            y_counts.add(residuals, indices)
        first = nearest_anchor(level) * network.config.cz
        z_counts.add(symbols.z, first + np.arange(network.config.cz))
    weights = replace(
        weights,
        y_tables=[_y_table(index, counts) for index, counts in enumerate(y_counts.per_table())],
        z_tables=[_z_table(counts) for counts in z_counts.per_table()],
    )
    model = Model(weights, model.transforms)
    if pictures:
        weights = replace(weights, reduced=fit_reduced_synthesis(model, pictures))
    scores = measure_quality_scores(Model(weights, model.transforms), scored)
    if scores is not None:
        weights = replace(weights, card=weights.card | {CARD_ENTRY: scores})
    save_weights(path, weights)


def _with_prior_tables(network: VAE, card: dict[str, Any]) -> Weights:
    net: dict[str, np.ndarray] = {}
    scale: dict[str, np.ndarray] = {}
    for name, tensor in network.state_dict().items():
        array = tensor.float().cpu().numpy()
        layer = network.get_submodule(name.rpartition(".")[0])
        if name.startswith(_SCALE_PREFIX):
            scale[name.removeprefix(_SCALE_PREFIX)] = array
        elif array.ndim < 4:  # front end, gains and biases: small, and not to be rounded
            net[name] = array
        elif isinstance(layer, EightBitConv):
            integers, step = layer.stored_weight()
            net[name] = integers.cpu().numpy().astype(np.int8)
            net[f"{name}{STEP_SUFFIX}"] = step.flatten().cpu().numpy()
        else:
            net[name] = array.astype(np.float16)
    codes = magnitude_code(torch.arange(256.0)) * 16
    return Weights(
        config=network.config.to_dict(),
        card=card,
        net=net,
        scale_parameters=integer_parameters(scale, codes.numpy()),
        y_tables=[_y_table(index, 0.0) for index in range(SCALE_COUNT)],
        z_tables=[_z_table(np.zeros(2 * Z_RADIUS + 2))]
        * (network.config.anchors * network.config.cz),
        model_id=bytes(8),
    )


def _sample_symbols(model: Model, pictures: Iterable[np.ndarray]) -> Iterable[tuple[Symbols, int]]:
    """Symbols of every picture at levels spread over the whole scale."""
    for number, picture in enumerate(pictures):
        height, width = (min(size, SLICE) // STRIDE_Y * STRIDE_Y for size in picture.shape[:2])
        x = picture[:height, :width].astype(np.float32) / 255
        for anchor in range(model.weights.config["anchors"]):
            shift = (number * 37 % 128) - 64  # all levels between the anchors take their turn
            level = min(max(anchor * LEVEL_UNIT + shift, 0), model.level_max)
            y = model.transforms.analyse(x, level)
            yield quantise_slice(model, y, level, with_rdoq=True), level


def _y_radius(index: int) -> int:
    return min(math.ceil(20 * scale_of_index(index)) + 3, MAX_RADIUS)


def _y_table(index: int, counts: np.ndarray | float) -> np.ndarray:
    radius = _y_radius(index)
    share, width = WIDE_TAIL
    narrow, narrow_escape = logistic_frequencies(scale_of_index(index), radius)
    wide, wide_escape = logistic_frequencies(width * scale_of_index(index), radius)
    prior = np.append(
        (1 - share) * narrow + share * wide, (1 - share) * narrow_escape + share * wide_escape
    )
    p = PRIOR_SAMPLES * prior + counts
    symmetric = (p[:-1] + p[-2::-1]) / 2
    return table_from_frequencies(symmetric, p[-1])


def _z_table(counts: np.ndarray) -> np.ndarray:
    prior, escape = logistic_frequencies(1.0, Z_RADIUS)
    p = 10 * np.append(prior, escape) + counts
    return table_from_frequencies(p[:-1], p[-1])


class _Counts:
    """How often each table's entries occur: values -radius..radius, then those beyond."""

    def __init__(self, radii: list[int]):
        self.radii = np.array(radii)
        self.ends = np.cumsum(2 * self.radii + 2)
        self.counts = np.zeros(self.ends[-1])

    def add(self, values: np.ndarray, tables: np.ndarray) -> None:
        """Count `values`, coded with `tables`, integers of shapes that broadcast."""
        radius = self.radii[tables]
        place = np.where(np.abs(values) > radius, 2 * radius + 1, values + radius)
        place = place + (self.ends - 2 * self.radii - 2)[tables]
        self.counts += np.bincount(place.reshape(-1), minlength=len(self.counts))

    def per_table(self) -> list[np.ndarray]:
        return np.split(self.counts, self.ends[:-1])
