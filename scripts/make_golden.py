"""Writes tests/golden: a minute model, files made with it, and what they must decode to for ever.

    python scripts/make_golden.py

Run once for a version of the format; the files are never made again while that version lives.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from vaecodec.codec import slice_coder as latents
from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.inference.loading import load_model
from vaecodec.network.config import NetworkConfig
from vaecodec.network.vae import VAE
from vaecodec.picture.picture import Picture
from vaecodec.training.export import export_model
from vaecodec.training.klt_start import start_as_klt

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
sys.path.insert(0, str(GOLDEN.parent))
from conftest import make_photo  # noqa: E402

CONFIG = NetworkConfig(n1=1, h1=8, n2=1, h2=8, m=32, cz=8, hyper=8, context=8, scale=8)


def main() -> None:
    if GOLDEN.exists():
        sys.exit(f"{GOLDEN} exists; golden files are not made again")
    GOLDEN.mkdir()
    torch.manual_seed(1)
    photos = [make_photo(128, 128, seed) for seed in range(8)]
    network = VAE(CONFIG)
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    start_as_klt(network, [torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2) / 255])
    export_model(network, photos, {"name": "golden"}, GOLDEN / "model.safetensors")
    model = load_model(GOLDEN / "model.safetensors", "cpu")
    photo = make_photo(75, 110, seed=40)
    alpha = np.tile(np.arange(110, dtype=np.uint8), (75, 1))
    pictures = {
        "low": (Picture(photo), EncodeOptions(0)),
        "high": (Picture(photo), EncodeOptions(1280)),
        "between": (Picture(photo), EncodeOptions(700)),
        "grey": (Picture(photo[:, :, 0]), EncodeOptions(900)),
        "deep": (Picture(photo.astype(np.uint16) * 257), EncodeOptions(1100)),
        "rich": (
            Picture(photo, alpha, {"exif": b"Exif\0\0..", "xmp": b"<x/>"}),
            EncodeOptions(600),
        ),
        "soft": (Picture(photo, alpha), EncodeOptions(600, alpha_level=700)),
        "dot": (Picture(photo[:1, :1]), EncodeOptions(640)),
        "sealed": (Picture(photo), EncodeOptions(500, passphrase=b"golden")),
    }
    expected = {}
    arrays = {}
    for name, (picture, options) in pictures.items():
        data = encode_picture(picture, model, options)
        (GOLDEN / f"{name}.vae").write_bytes(data)
        expected[name], decoded = decode_and_record(data, model, name)
        arrays[name] = decoded.pixels
    (GOLDEN / "symbols.json").write_text(json.dumps(expected, indent=1) + "\n")
    np.savez_compressed(GOLDEN / "pixels.npz", **arrays)


def decode_and_record(data: bytes, model, name: str) -> tuple[list[int], Picture]:
    """The checksums of the symbols of every slice decoded, and the picture."""
    from vaecodec.codec.decoder import DecodeOptions

    seen, walk = [], latents._walk_steps

    def recording(*arguments):
        result = walk(*arguments)
        seen.append(result[0].checksum)
        return result

    latents._walk_steps = recording
    try:
        passphrase = b"golden" if name == "sealed" else None
        picture = decode_picture(data, model, DecodeOptions(passphrase=passphrase))
    finally:
        latents._walk_steps = walk
    return seen, picture


if __name__ == "__main__":
    main()
