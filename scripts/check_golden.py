"""Decodes tests/golden and compares symbols and pixels with what they were when it was made.

    python scripts/check_golden.py

Needs neither torch nor pytest, so it runs on machines where the package does no more than decode
(scripts/check_arm64.sh). Exits 1 if anything differs.
"""

import io
import json
import platform
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from vaecodec.codec import slice_coder
from vaecodec.codec.decoder import DecodeOptions, decode_picture
from vaecodec.format.container import read_header
from vaecodec.inference.loading import load_model
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"


def main() -> None:
    coder = "entropy/ans" if "vaecodec.entropy.ans" in sys.modules else "constriction"
    print(f"{platform.machine()}, numpy {np.__version__}, words by {coder}")
    names = sorted(path.stem for path in GOLDEN.glob("*.vae"))
    wrong = 0
    for name in names:
        symbols, pixels = recorded(name)
        started = time.monotonic()
        seen, picture = decode_and_record((GOLDEN / f"{name}.vae").read_bytes(), name)
        seconds = time.monotonic() - started
        unit = 257 if pixels.dtype == np.uint16 else 1
        off = np.abs(picture.pixels.astype(int) - pixels.astype(int)).max() / unit
        wrong += seen != symbols or off > 1
        equal = "equal" if seen == symbols else "DIFFER"
        print(f"{name}: symbols {equal}, pixels off by at most {off:.3g} of 255, {seconds:.2f} s")
    print(f"{len(names) - wrong} of {len(names)} golden files decode as they always did")
    sys.exit(1 if wrong else 0)


def recorded(name: str) -> tuple[list[int], np.ndarray]:
    """What a file decoded to when it was made: checksums of its slices' symbols, and pixels."""
    if (GOLDEN / f"{name}.npz").exists():
        arrays = np.load(GOLDEN / f"{name}.npz")
        return arrays["symbols"].tolist(), arrays["pixels"]
    symbols = json.loads((GOLDEN / "symbols.json").read_text())
    return symbols[name], np.load(GOLDEN / "pixels.npz")[name]


@cache
def model_of(model_id: bytes) -> Model:
    """The minute model, or one that ships."""
    minute = load_model(GOLDEN / "model.safetensors", "cpu", backend="onnx")
    if minute.model_id == model_id:
        return minute
    return load_model(None, "cpu", model_id, "onnx")


def decode_and_record(data: bytes, name: str) -> tuple[list[int], Picture]:
    """The checksums of the symbols of every slice decoded, and the picture."""
    seen, walk = [], slice_coder._walk_steps

    def recording(*arguments):
        result = walk(*arguments)
        seen.append(result[0].checksum)
        return result

    slice_coder._walk_steps = recording
    try:
        passphrase = b"golden" if name == "sealed" else None
        model = model_of(read_header(io.BytesIO(data)).model_id)
        picture = decode_picture(data, model, DecodeOptions(passphrase=passphrase))
    finally:
        slice_coder._walk_steps = walk
    return seen, picture


if __name__ == "__main__":
    main()
