"""Writes tests/golden: a minute model, files made with it, and what they must decode to for ever.

    python scripts/make_golden.py

Makes what is missing; a file that is there is never made again while this version of the format
lives. Pixels and symbols of the first nine lie in pixels.npz and symbols.json, of those that came
later in NAME.npz.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from check_golden import GOLDEN, decode_and_record

from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.inference.loading import load_model
from vaecodec.network.config import NetworkConfig
from vaecodec.network.vae import VAE
from vaecodec.network.weight_files import SHIPPED, shipped_file
from vaecodec.picture.picture import Picture
from vaecodec.training.export import export_model
from vaecodec.training.klt_start import start_as_klt

sys.path.insert(0, str(GOLDEN.parent))
from conftest import make_photo

CONFIG = NetworkConfig(n1=1, h1=8, n2=1, h2=8, m=32, cz=8, hyper=8, context=8, scale=8)

MODELS = {"palette": "visual-2"}  # of files that are not named after theirs


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    if not (GOLDEN / "model.safetensors").exists():
        make_model(GOLDEN / "model.safetensors")
    minute = load_model(GOLDEN / "model.safetensors", "cpu")
    for name, (picture, options) in pictures().items():
        if (GOLDEN / f"{name}.vae").exists():
            continue
        shipped = MODELS.get(name, name)
        model = load_model(shipped_file(shipped), "cpu") if shipped in SHIPPED.values() else minute
        data = encode_picture(picture, model, options)
        symbols, decoded = decode_and_record(data, name)
        (GOLDEN / f"{name}.vae").write_bytes(data)
        arrays = {"pixels": decoded.pixels, "symbols": np.array(symbols, np.uint32)}
        if decoded.alpha is not None:
            arrays["alpha"] = decoded.alpha
        np.savez_compressed(GOLDEN / f"{name}.npz", **arrays)
        print(f"{name}.vae: {len(data)} bytes")


def make_model(path: Path) -> None:
    """A minute model, untrained, with something in every part of it."""
    torch.manual_seed(1)
    photos = [make_photo(128, 128, seed) for seed in range(8)]
    network = VAE(CONFIG)
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    start_as_klt(network, [torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2) / 255])
    export_model(network, photos, {"name": "golden"}, path)


def pictures() -> dict[str, tuple[Picture, EncodeOptions]]:
    """What the files hold, by their names, and how it was encoded."""
    photo = make_photo(75, 110, seed=40)
    alpha = np.tile(np.arange(110, dtype=np.uint8), (75, 1))
    page = np.where(make_photo(30, 1100, seed=41) > 120, 255, 20).astype(np.uint8)
    page[:, 1024:] = make_photo(30, 76, seed=42)  # its second slice
    shaded = page.copy()  # its first slice in shades that nobody sees
    shaded[::3, :1024] ^= make_photo(10, 1024, seed=44) % 4
    rich = {"exif": b"Exif\0\0..", "xmp": b"<x/>"}
    shipped = make_photo(90, 130, seed=43)
    flat = Picture(page[:, :110, 0], np.where(page[:, :110, 1] > 99, 255, 0).astype(np.uint8))
    return {
        "low": (Picture(photo), EncodeOptions(0)),
        "high": (Picture(photo), EncodeOptions(1280)),
        "between": (Picture(photo), EncodeOptions(700)),
        "grey": (Picture(photo[:, :, 0]), EncodeOptions(900)),
        "deep": (Picture(photo.astype(np.uint16) * 257), EncodeOptions(1100)),
        "rich": (Picture(photo, alpha, rich), EncodeOptions(600)),
        "soft": (Picture(photo, alpha), EncodeOptions(600, alpha_level=700)),
        "dot": (Picture(photo[:1, :1]), EncodeOptions(640)),
        "sealed": (Picture(photo), EncodeOptions(500, passphrase=b"golden")),
        "mixed": (Picture(page), EncodeOptions(800)),
        "flat": (flat, EncodeOptions(0, lossless=True)),
        "exact": (
            Picture(photo[:24, :40].astype(np.uint16) * 201),
            EncodeOptions(0, lossless=True),
        ),
        # Of the models that ship:
        "psnr": (Picture(shipped), EncodeOptions(700)),
        "visual": (Picture(shipped), EncodeOptions(700)),
        "visual-2": (Picture(shipped), EncodeOptions(700)),
        "palette": (Picture(shaded), EncodeOptions(600)),
    }


if __name__ == "__main__":
    main()
