"""vaecodec as one of the codecs that are measured."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.codec.quality import level_of_quality
from vaecodec.network.weights import default_weights_path, load_weights
from vaecodec.picture.picture import Picture
from vaecodec.version import __version__

if TYPE_CHECKING:
    from vaecodec.inference.model import Model


class OwnCodec:
    """vaecodec with a model, as the other codecs; on one thread, the model loaded at first use."""

    name, title = "vaecodec", "vaecodec"
    ladder = tuple(float(quality) for quality in range(0, 101, 10))

    def __init__(self, model_path: Path | None):
        self.path = model_path or default_weights_path()

    def version(self) -> str:
        model_id = load_weights(self.path).model_id.hex()
        return f"vaecodec {__version__}, effort {DEFAULT_EFFORT}, model {model_id}"

    def encode(self, image: Image.Image, quality: float) -> bytes:
        from vaecodec.codec.encoder import EncodeOptions, encode_picture

        options = EncodeOptions(level_of_quality(quality))
        return encode_picture(Picture(np.asarray(image)), self._model, options)

    def decode(self, data: bytes) -> Image.Image:
        from vaecodec.codec.decoder import decode_picture

        return Image.fromarray(decode_picture(data, self._model).pixels)

    @cached_property
    def _model(self) -> "Model":
        from vaecodec.inference.loading import load_model

        model = load_model(self.path, "cpu")
        model.transforms.start_worker()
        return model
