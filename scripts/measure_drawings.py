"""Bytes of drawings and screens at equal SSIMULACRA 2, as multiples of AVIF's (4:4:4, tune=iq).

    python scripts/measure_drawings.py FOLDER

Of each picture the centre, 768x512 at most, is coded along both scales of quality. A curve ends
where the picture is stored losslessly; between two points bytes are interpolated by their
logarithm, but not towards a lossless one. Prints a row for each picture, the geometric means and
how often more quality did not look better.
"""

import itertools
import math
from pathlib import Path

import click
import numpy as np
from PIL import Image

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.quality import scale_of
from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.inference.loading import load_model
from vaecodec.inference.model import Model
from vaecodec.metrics.ssimulacra2 import ssimulacra2
from vaecodec.picture.picture import Picture
from vaecodec.processor import processor_line

SCORES = (50, 60, 70, 80, 90)
QUALITIES = (30, 40, 50, 60, 70, 80, 90)
AVIF_QUALITIES = (15, 30, 45, 60, 75, 88, 96)
WIDTH, HEIGHT = 768, 512
LOSSLESS = 100.0  # score

Curve = list[tuple[int, float]]  # bytes and score


def centre_of(path: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    top, left = (
        max(0, (n - most) // 2) for n, most in zip(pixels.shape[:2], (HEIGHT, WIDTH), strict=True)
    )
    return np.ascontiguousarray(pixels[top : top + HEIGHT, left : left + WIDTH])


def own_curve(pixels: np.ndarray, model: Model) -> Curve:
    curve: Curve = []
    for quality in QUALITIES:
        options = EncodeOptions(scale_of(model).level(quality))
        data = encode_picture(Picture(pixels), model, options)
        decoded = decode_picture(data, model).pixels
        is_exact = np.array_equal(decoded, pixels)
        curve.append((len(data), LOSSLESS if is_exact else ssimulacra2(pixels, decoded)))
        if is_exact:
            break
    return curve


def avif_curve(pixels: np.ndarray) -> Curve:
    codec, curve = REFERENCE_CODECS["avif"], []
    for quality in AVIF_QUALITIES:
        data = codec.encode(Image.fromarray(pixels), quality)
        curve.append((len(data), ssimulacra2(pixels, np.asarray(codec.decode(data)))))
    return curve


def bytes_at(curve: Curve, score: float) -> float:
    """The fewest bytes with that score; NaN where none has it."""
    rising: Curve = []
    for point in sorted(curve):
        if not rising or point[1] > rising[-1][1]:
            rising.append(point)
    if score <= rising[0][1]:
        return rising[0][0]
    for (before, low), (after, high) in itertools.pairwise(rising):
        if low < score <= high:
            if high == LOSSLESS:
                return after
            part = (score - low) / (high - low)
            return math.exp(math.log(before) * (1 - part) + math.log(after) * part)
    return math.nan


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Measure the pictures of FOLDER."""
    click.echo(processor_line())
    model, ratios, worse, files = load_model(None), [], 0, 0
    for path in sorted(folder.glob("*.png")):
        pixels = centre_of(path)
        own, avif = own_curve(pixels, model), avif_curve(pixels)
        ratios.append([bytes_at(own, score) / bytes_at(avif, score) for score in SCORES])
        worse += sum(after[1] < before[1] for before, after in itertools.pairwise(own))
        files += len(own)
        click.echo(f"{path.name:24} {' '.join(f'{ratio:6.2f}' for ratio in ratios[-1])}")
    logs = np.log(ratios)
    means = np.exp(np.nanmean(logs, axis=0))
    click.echo(f"{'geometric mean':24} {' '.join(f'{mean:6.2f}' for mean in means)}")
    click.echo(f"of all {math.exp(np.nanmean(logs)):.3f}, at scores of {SCORES}")
    click.echo(f"{worse} of {files} files look worse than at the quality before")


if __name__ == "__main__":
    main()
