"""Seconds against BD-rate of every effort, as a table and a plot.

    python scripts/make_effort_curve.py FOLDER [--model PATH] [--plot docs/effort.svg]

BD-rate against effort 0, with real files: the centre of every fifth picture of FOLDER (256 pixels a
side) at four qualities; the mean over the pictures, and in brackets that of the mean curves.
Seconds: the first picture of 768x512 at quality 60 with the model loaded. About 15 minutes on two
idle cores.
"""

import time
from pathlib import Path

import click
import numpy as np

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.effort import DEFAULT_EFFORT, EFFORT_MAX
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.quality import scale_of
from vaecodec.format.container import MAX_PIXELS
from vaecodec.inference.loading import load_model
from vaecodec.inference.model import Model
from vaecodec.metrics.bd_rate import bd_rate_percent
from vaecodec.metrics.distortion import psnr_db
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import read_picture
from vaecodec.processor import processor_line

QUALITIES = (5, 35, 65, 95)
TIMED_SHAPE = (512, 768, 3)


def centre(pixels: np.ndarray, side: int) -> np.ndarray:
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def curve(pixels: np.ndarray, model: Model, effort: int) -> list[tuple[float, float]]:
    """bpp and PSNR in dB at each quality."""
    points = []
    for quality in QUALITIES:
        options = EncodeOptions(scale_of(model).level(quality, effort), effort=effort)
        data = encode_picture(Picture(pixels), model, options)
        psnr = psnr_db(pixels, decode_picture(data, model).pixels)
        points.append((8 * len(data) / (pixels.size / 3), psnr))
    return points


def seconds(pixels: np.ndarray, model: Model, effort: int) -> float:
    """Of one encoding; the best of several where it is short."""
    options = EncodeOptions(scale_of(model).level(60, effort), effort=effort)
    times: list[float] = []
    while sum(times) < 3:
        started = time.perf_counter()
        encode_picture(Picture(pixels), model, options)
        times.append(time.perf_counter() - started)
    return min(times)


def draw(rows: list[tuple[int, float, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "effort"  # the same figures give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    axes.plot([row[1] for row in rows], [row[2] for row in rows], marker="o", markersize=4)
    for effort, x, y in rows:
        label = f"{effort} (default)" if effort == DEFAULT_EFFORT else str(effort)
        axes.annotate(label, (x, y), xytext=(4, 5), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xlabel("seconds to encode 768x512, two cores")
    axes.set_ylabel("BD-rate against effort 0, %")
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


@click.command()
@click.argument("folder", type=Path)
@click.option("--model", type=Path, default=None)
@click.option("--plot", type=Path, default=None, help="Draw the curve here (.svg or .png).")
@click.option("--every", default=5, show_default=True, help="Use every n-th picture only.")
@click.option("--side", default=256, show_default=True, help="Of the centres that are coded.")
@click.option("--efforts", default=f"0-{EFFORT_MAX}", show_default=True, help="First and last.")
def main(
    folder: Path, model: Path | None, plot: Path | None, every: int, side: int, efforts: str
) -> None:
    """Print effort, seconds and BD-rate; draw them."""
    pictures = [read_picture(p, MAX_PIXELS).pixels for p in sorted(folder.glob("*.png"))]
    crops = [centre(pixels, side) for pixels in pictures[::every]]
    timed = next(pixels for pixels in pictures if pixels.shape == TIMED_SHAPE)
    loaded = load_model(model, "cpu")
    first, last = map(int, efforts.split("-"))
    click.echo(processor_line())
    click.echo(f"{len(crops)} pictures, model {loaded.model_id.hex()}")
    anchors = [curve(pixels, loaded, 0) for pixels in crops]
    rows = []
    for effort in range(first, last + 1):
        curves = [curve(pixels, loaded, effort) for pixels in crops] if effort else anchors
        rates = [bd_rate_percent(a, b) for a, b in zip(anchors, curves, strict=True)]
        rows.append((effort, seconds(timed, loaded, effort), float(np.mean(rates))))
        of_means = bd_rate_percent(
            np.mean(anchors, axis=0).tolist(), np.mean(curves, axis=0).tolist()
        )
        click.echo("effort {}: {:6.2f} s {:+6.2f} %".format(*rows[-1]) + f" ({of_means:+.2f} %)")
    if plot is not None:
        draw(rows, plot)


if __name__ == "__main__":
    main()
