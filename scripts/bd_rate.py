"""Rate and quality of vaecodec against JPEG, WebP and AVIF on a folder of pictures.

    python scripts/bd_rate.py FOLDER [--model PATH] [--json OUT.json] [--peers PEERS.json]

Real bytes of whole files and RGB PSNR of the 8-bit decoded picture; every codec at its own quality
ladder. A point of a curve is the mean bpp and the mean PSNR over all pictures at one setting, as in
the published tables. BD-rate: vaecodec.metrics.bd_rate_percent. `--peers` keeps the other codecs'
figures in a file and uses them when it exists, since they do not change with the model.
"""

import io
import json
from pathlib import Path

import click
import numpy as np
from PIL import Image

from vaecodec.container import LEVEL_MAX, MAX_PIXELS
from vaecodec.metrics import bd_rate_percent, psnr_db
from vaecodec.model import Model, load_model
from vaecodec.picture import Picture
from vaecodec.picture_reader import read_picture
from vaecodec.pipeline import EncodeOptions, decode_picture, encode_picture

LEVELS = [round(LEVEL_MAX * step / 10) for step in range(11)]
PEERS = {
    "JPEG": (
        "JPEG",
        {"optimize": True, "subsampling": "4:2:0"},
        [5, 10, 20, 30, 40, 50, 60, 70, 80, 87, 93, 97],
    ),
    "WebP": ("WEBP", {"method": 6}, [1, 10, 25, 40, 55, 70, 80, 88, 94, 99]),
    "AVIF": (
        "AVIF",
        {"subsampling": "4:4:4", "speed": 4},
        [10, 22, 34, 45, 56, 66, 75, 83, 90, 95],
    ),
}

Point = tuple[float, float]  # bpp, PSNR in dB


def peer_point(pixels: np.ndarray, file_format: str, options: dict, quality: int) -> Point:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, quality=quality, **options)
    decoded = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))
    return 8 * buffer.tell() / (pixels.size / 3), psnr_db(pixels, decoded)


def own_point(pixels: np.ndarray, model: Model, level: int) -> Point:
    data = encode_picture(Picture(pixels), model, EncodeOptions(level))
    decoded = decode_picture(data, model).pixels
    return 8 * len(data) / (pixels.size / 3), psnr_db(pixels, decoded)


def measure_peers(pictures: list[np.ndarray]) -> dict[str, list[list[Point]]]:
    """Points `[setting][picture]` of every other codec."""
    return {
        name: [[peer_point(p, file_format, options, q) for p in pictures] for q in ladder]
        for name, (file_format, options, ladder) in PEERS.items()
    }


def mean_curve(points: list[list[Point]]) -> list[Point]:
    return [tuple(np.mean(setting, axis=0)) for setting in points]


@click.command()
@click.argument("folder", type=Path)
@click.option("--model", type=Path, default=None)
@click.option("--json", "json_path", type=Path, default=None, help="Write every point here.")
@click.option(
    "--peers", "peers_path", type=Path, default=None, help="Keep the other codecs' points here."
)
@click.option("--every", default=1, show_default=True, help="Use every n-th picture only.")
def main(
    folder: Path, model: Path | None, json_path: Path | None, peers_path: Path | None, every: int
) -> None:
    """Print the curves and the BD-rates."""
    paths = sorted(folder.glob("*.png"))[::every]
    pictures = [read_picture(path, MAX_PIXELS).pixels for path in paths]
    if peers_path is not None and peers_path.exists():
        points = json.loads(peers_path.read_text())
        if len(points["JPEG"][0]) != len(pictures):
            raise click.UsageError(f"{peers_path} is of another set of pictures")
    else:
        points = measure_peers(pictures)
        if peers_path is not None:
            peers_path.write_text(json.dumps(points))
    loaded = load_model(model)
    points["vaecodec"] = [[own_point(p, loaded, level) for p in pictures] for level in LEVELS]
    if json_path is not None:
        json_path.write_text(json.dumps({"pictures": [p.name for p in paths], "points": points}))
    click.echo(f"{len(pictures)} pictures, model {loaded.model_id.hex()}")
    for level, (bpp, psnr) in zip(LEVELS, mean_curve(points["vaecodec"]), strict=True):
        click.echo(f"  quality {100 * level / LEVEL_MAX:5.1f}: {bpp:.4f} bpp {psnr:.3f} dB")
    for name in PEERS:
        of_means = bd_rate_percent(mean_curve(points[name]), mean_curve(points["vaecodec"]))
        each = [
            bd_rate_percent([s[i] for s in points[name]], [s[i] for s in points["vaecodec"]])
            for i in range(len(pictures))
        ]
        click.echo(
            f"BD-rate against {name}: {of_means:+.1f} % (mean curves),"
            f" {np.mean(each):+.1f} % (mean over pictures)"
        )


if __name__ == "__main__":
    main()
