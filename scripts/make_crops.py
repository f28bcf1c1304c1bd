"""The README's crops at equal bytes: original, vaecodec, AVIF and JPEG XL, a row for each subject.

    python scripts/make_crops.py KODAK [-o docs/crops.webp] [--bpp 0.3]

Each whole picture is coded at about this rate by each codec, all to the same size; a part of each
decoded picture is shown, enlarged twice without smoothing.
"""

import io
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vaecodec.atomic_files import write_whole
from vaecodec.codec.tiling import Region
from vaecodec.evaluation.comparison import Shown, show_all
from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.format.container import MAX_PIXELS
from vaecodec.inference.loading import load_model
from vaecodec.picture.reader import read_picture

LABEL = 26  # pixels high
ENLARGED, GAP = 2, 4
INK, PAPER = (36, 41, 47), (255, 255, 255)
CODECS = ("avif", "jxl")
# Picture and part: hair and skin, sky with a silhouette, foliage, text.
CROPS = {
    "kodim04.png": Region(130, 150, 160, 120),
    "kodim21.png": Region(250, 60, 160, 120),
    "kodim13.png": Region(200, 140, 160, 120),
    "kodim14.png": Region(500, 350, 160, 120),
}


def panel(pixels: np.ndarray, region: Region, label: str) -> Image.Image:
    """A part of a picture below its label."""
    part = Image.fromarray(np.ascontiguousarray(pixels[region.rows, region.columns]))
    part = part.resize(
        (ENLARGED * region.width, ENLARGED * region.height), Image.Resampling.NEAREST
    )
    image = Image.new("RGB", (part.width, part.height + LABEL), PAPER)
    image.paste(part, (0, LABEL))
    font = ImageFont.load_default(15)
    ImageDraw.Draw(image).text((4, LABEL // 2), label, INK, font, anchor="lm")
    return image


def grid(rows: list[list[Image.Image]]) -> Image.Image:
    width, height = rows[0][0].size
    columns = len(rows[0])
    size = columns * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP
    image = Image.new("RGB", size, PAPER)
    for top, row in enumerate(rows):
        for left, each in enumerate(row):
            image.paste(each, (left * (width + GAP), top * (height + GAP)))
    return image


def label(shown: Shown) -> str:
    return f"{shown.name} {shown.size_bytes:,} B, {shown.figures['ssimulacra2']:.1f}"


@click.command()
@click.argument("folder", type=Path)
@click.option("-o", "--output", type=Path, default=Path("docs/crops.webp"), show_default=True)
@click.option("--bpp", default=0.3, show_default=True, help="Rate of all files.")
@click.option("--model", type=Path, default=None)
def main(folder: Path, output: Path, bpp: float, model: Path | None) -> None:
    """Write the picture."""
    loaded, rows = load_model(model), []
    codecs = [REFERENCE_CODECS[name] for name in CODECS]
    for name, crop in CROPS.items():
        pixels = read_picture(folder / name, MAX_PIXELS).in_8_bits().pixels
        size_bytes = bpp * pixels.shape[0] * pixels.shape[1] / 8
        shown = show_all(pixels, loaded, codecs, 256, size_bytes)
        row = [panel(pixels, crop, f"Original {pixels.nbytes:,} B")]
        rows.append(row + [panel(each.pixels, crop, label(each)) for each in shown])
        click.echo(f"{name}: " + "; ".join(label(each) for each in shown))
    buffer = io.BytesIO()
    # Lossless, as a lossy codec here would add to what is compared.
    grid(rows).save(buffer, "WEBP", lossless=True, method=6)
    output.parent.mkdir(exist_ok=True)
    size = write_whole(output, lambda file: file.write(buffer.getvalue()), overwrite=True)
    click.echo(f"{output}: {size} bytes")


if __name__ == "__main__":
    main()
