"""Measures what the entropy coder in plain Python costs beside constriction's, in one process.

    python scripts/bench_coder.py [PHOTO]

Decodes and encodes the photo (tests/photos/bay.jpg, 768x512) with both in turn, at three qualities,
after a first round of each that does not count. Seconds are medians of processor time, which other
work on the machine changes less.
"""

import statistics
import sys
import time
from functools import partial
from pathlib import Path
from unittest.mock import patch

import constriction
import numpy as np
from PIL import Image

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.quality import scale_of
from vaecodec.entropy import ans, coder
from vaecodec.inference.loading import load_model
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture
from vaecodec.processor import processor_line

ROUNDS = 9
STREAM = constriction.stream
CODERS = {
    "constriction": (STREAM.stack.AnsCoder, partial(STREAM.model.Categorical, perfect=False)),
    "plain Python": (ans.AnsCoder, ans.Categorical),
}


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "tests/photos/bay.jpg"
    picture = Picture(np.asarray(Image.open(path).convert("RGB")))
    # A model each, since a model keeps the tables in the form that its coder takes.
    models = {name: load_model(device="cpu", backend="onnx") for name in CODERS}
    scale = scale_of(models["constriction"])
    print(processor_line())
    for quality in (20, 60, 100):
        options = EncodeOptions(scale.level(quality))
        seconds = {name: ([], []) for name in CODERS}
        written = set()
        for _ in range(1 + ROUNDS):
            for name, model in models.items():
                data, taken = code(name, picture, model, options)
                written.add(data)
                for times, value in zip(seconds[name], taken, strict=True):
                    times.append(value)
        assert len(written) == 1, "the coders write different bytes"
        print(f"quality {quality}, {len(data)} bytes")
        for place, what in enumerate(("encode", "decode")):
            theirs, ours = (statistics.median(seconds[name][place][1:]) for name in CODERS)
            print(
                f"  {what}: {theirs:.2f} s, {ours:.2f} s in plain Python, {ours / theirs:.2f} times"
            )


def code(
    name: str, picture: Picture, model: Model, options: EncodeOptions
) -> tuple[bytes, tuple[float, float]]:
    """The file that a coder writes, and the processor time to encode and to decode it."""
    make_coder, make_model = CODERS[name]
    uniform = make_model(np.full(4096, 4095.0))
    with patch.multiple(coder, _AnsCoder=make_coder, _Categorical=make_model, _UNIFORM=uniform):
        started = time.process_time()
        data = encode_picture(picture, model, options)
        encoded = time.process_time()
        decode_picture(data, model)
        return data, (encoded - started, time.process_time() - encoded)


if __name__ == "__main__":
    main()
