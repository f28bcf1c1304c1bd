"""vaecodec as one of the codecs that are measured."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.codec.quality import QualityScale
from vaecodec.network.weight_files import shipped_weights_path, weights_path
from vaecodec.network.weights import Weights, load_weights
from vaecodec.picture.picture import Picture
from vaecodec.version import __version__

if TYPE_CHECKING:
    from vaecodec.inference.model import Model

STEPS = 10  # of the ladder


class OwnCodec:
    """vaecodec with a model, as the other codecs; on one thread, the model loaded at first use."""

    name, title = "vaecodec", "vaecodec"

    def __init__(self, model_path: Path | None):
        self.path = shipped_weights_path() if model_path is None else weights_path(model_path)

    def version(self) -> str:
        model_id = self._weights.model_id.hex()
        return f"vaecodec {__version__}, effort {DEFAULT_EFFORT}, model {model_id}"

    @property
    def ladder(self) -> tuple[float, ...]:
        """Qualities at evenly spaced levels, from the lowest to the highest."""
        first, last = self._scale.levels[0], self._scale.levels[-1]
        levels = (first + (last - first) * step / STEPS for step in range(STEPS + 1))
        return tuple(round(self._scale.quality(round(level)), 2) for level in levels)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        from vaecodec.codec.encoder import EncodeOptions, encode_picture

        options = EncodeOptions(self._scale.level(quality))
        return encode_picture(Picture(np.asarray(image)), self._model, options)

    def decode(self, data: bytes) -> Image.Image:
        from vaecodec.codec.decoder import decode_picture

        return Image.fromarray(decode_picture(data, self._model).pixels)

    @cached_property
    def _weights(self) -> Weights:
        return load_weights(self.path)

    @cached_property
    def _scale(self) -> QualityScale:
        return QualityScale.of(self._weights.config, self._weights.card)

    @cached_property
    def _model(self) -> "Model":
        from vaecodec.inference.loading import load_model

        model = load_model(self.path, "cpu")
        model.transforms.start_worker()
        return model
