"""The scores that a model tuned for the eye reaches: what its qualities 0 to 100 mean."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.inference.model import Model
from vaecodec.metrics.ssimulacra2 import SMALLEST_SIDE, ssimulacra2
from vaecodec.picture.picture import Picture

PICTURES = 16  # measured, at most
LEVELS_PER_ANCHOR = 2


def measure_quality_scores(model: Model, pictures: Sequence[np.ndarray]) -> list[float] | None:
    """Mean SSIMULACRA 2 of pictures uint8 `[H, W, 3]`, at evenly spaced levels from 0 to the
    highest, coded as by the default effort.

    None where there is no picture large enough for the metric, and for a model that has not learned
    to make a better picture of a higher level.
    """
    large = [p for p in pictures if min(p.shape[:2]) >= SMALLEST_SIDE]
    if not large:
        return None
    chosen = large[:: -(-len(large) // PICTURES)]
    steps = LEVELS_PER_ANCHOR * (model.weights.config["anchors"] - 1)
    scores = []
    for step in range(steps + 1):
        level = round(model.level_max * step / steps)
        scores.append(np.mean([_score(model, pixels, level) for pixels in chosen]))
    if any(high <= low for low, high in pairwise(scores)):
        return None
    return [round(float(score), 2) for score in scores]


def _score(model: Model, pixels: np.ndarray, level: int) -> float:
    data = encode_picture(Picture(pixels), model, EncodeOptions(level))
    return ssimulacra2(pixels, decode_picture(data, model).pixels)
