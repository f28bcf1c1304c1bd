"""Quality targets of pictures with transparency: of what is seen, whatever lies hidden."""

import numpy as np
import pytest
from conftest import make_photo

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions
from vaecodec.codec.targets import encode_to_target
from vaecodec.inference.model import Model
from vaecodec.metrics.distortion import METRICS
from vaecodec.picture.picture import Picture

PHOTO = make_photo(96, 96, seed=9)
NOISE = np.random.default_rng(0).integers(0, 256, PHOTO.shape).astype(np.uint8)
ALPHA = np.zeros((96, 96), np.uint8)
ALPHA[16:80, 16:80], ALPHA[30:50, 30:50] = 255, 100


@pytest.mark.parametrize("kind, target", [("psnr", 34.0), ("ssimulacra2", 60.0)])
def test_hidden_colours_change_no_target(tiny_model: Model, kind: str, target: float):
    files = []
    for hidden in (NOISE, PHOTO):
        pixels = np.where((ALPHA > 0)[:, :, None], PHOTO, hidden)
        picture = Picture(pixels, ALPHA)
        trial, _ = encode_to_target(picture, tiny_model, EncodeOptions(600), kind, target)
        decoded = decode_picture(trial.data, tiny_model)
        seen = [
            METRICS[kind].measure(picture.over(tone).pixels, decoded.over(tone).pixels)
            for tone in (0, 255)
        ]
        assert trial.value == min(seen) >= target
        files.append(trial.data)
    assert files[0] == files[1]


def test_laid_on_a_tone():
    pixels = np.full((1, 3), 60000, np.uint16)
    laid = Picture(pixels, np.array([[0, 51, 255]], np.uint8)).over(10000)
    assert laid.alpha is None and laid.pixels.tolist() == [[10000, 20000, 60000]]
