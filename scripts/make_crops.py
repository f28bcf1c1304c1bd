"""The README's crop at equal bytes: original, vaecodec, AVIF and JPEG side by side, labelled.

    python scripts/make_crops.py PHOTO [-o docs/crops.webp] [--bpp 0.6] [--crop X,Y,W,H]

The whole photo is coded at about this rate by each codec, all to the same size; a part of each
decoded picture is shown, enlarged twice without smoothing. The defaults are those of the README's
picture, of a photo of a coast, 768x512.
"""

import io
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vaecodec.atomic_files import write_whole
from vaecodec.cli.param_types import RegionType
from vaecodec.codec.tiling import Region
from vaecodec.evaluation.comparison import Shown, show_all, show_reference
from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.format.container import MAX_PIXELS
from vaecodec.inference.loading import load_model
from vaecodec.picture.reader import read_picture

LABEL = 34  # pixels high
ENLARGED = 2
INK, PAPER = (36, 41, 47), (255, 255, 255)


def panel(pixels: np.ndarray, region: Region, label: str) -> Image.Image:
    """A part of a picture below its label."""
    part = Image.fromarray(np.ascontiguousarray(pixels[region.rows, region.columns]))
    part = part.resize(
        (ENLARGED * region.width, ENLARGED * region.height), Image.Resampling.NEAREST
    )
    image = Image.new("RGB", (part.width, part.height + LABEL), PAPER)
    image.paste(part, (0, LABEL))
    font = ImageFont.load_default(19)
    ImageDraw.Draw(image).text((4, LABEL // 2), label, INK, font, anchor="lm")
    return image


def side_by_side(panels: list[Image.Image], gap: int = 6) -> Image.Image:
    """Two panels a row."""
    width, height = panels[0].size
    image = Image.new("RGB", (2 * width + gap, 2 * height), PAPER)
    for number, each in enumerate(panels):
        image.paste(each, (number % 2 * (width + gap), number // 2 * height))
    return image


def label(shown: Shown) -> str:
    return f"{shown.name}: {shown.size_bytes:,} bytes, {shown.psnr_db:.1f} dB"


@click.command()
@click.argument("photo", type=Path)
@click.option("-o", "--output", type=Path, default=Path("docs/crops.webp"), show_default=True)
@click.option("--bpp", default=0.6, show_default=True, help="Rate of all files.")
@click.option("--crop", type=RegionType(), default="300,70,216,144", show_default=True)
@click.option("--model", type=Path, default=None)
def main(photo: Path, output: Path, bpp: float, crop: Region, model: Path | None) -> None:
    """Write the picture."""
    pixels = read_picture(photo, MAX_PIXELS).in_8_bits().pixels
    height, width = pixels.shape[:2]
    if not crop.fits(width, height):
        raise click.UsageError(f"--crop {crop} is not inside {width}x{height}")
    size_bytes = bpp * width * height / 8
    own, avif = show_all(pixels, load_model(model), [REFERENCE_CODECS["avif"]], 256, size_bytes)
    shown = [own, avif, show_reference(pixels, REFERENCE_CODECS["jpeg"], own.size_bytes)]
    panels = [panel(pixels, crop, f"Original: {pixels.nbytes:,} bytes")]
    panels += [panel(each.pixels, crop, label(each)) for each in shown]
    buffer = io.BytesIO()
    # Lossless, as a lossy codec here would add to what is compared.
    side_by_side(panels).save(buffer, "WEBP", lossless=True, method=6)
    output.parent.mkdir(exist_ok=True)
    size = write_whole(output, lambda file: file.write(buffer.getvalue()), overwrite=True)
    click.echo(f"{output}: {size} bytes; " + "; ".join(label(each) for each in shown))


if __name__ == "__main__":
    main()
