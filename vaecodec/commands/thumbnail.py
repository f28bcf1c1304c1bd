"""The `vaecodec thumbnail` command, which file managers run."""

import click

from vaecodec.cli.faults import EPILOG
from vaecodec.cli.options import LIMIT, PATH, ModelChoice, choosing_model
from vaecodec.format.container import PREVIEW_SIDE
from vaecodec.places import Place
from vaecodec.streams import naming, open_input, write_output

_SCALES = (8, 4, 2, 1)


@click.command(epilog=EPILOG)
@click.argument("source", metavar="FILE", type=PATH)
@click.argument("target", metavar="OUT", type=PATH)
@click.option(
    "--size",
    type=click.IntRange(1, 4096),
    default=PREVIEW_SIDE,
    show_default=True,
    help="Of the longer side, at most, in pixels.",
)
@choosing_model
@LIMIT
def thumbnail(
    source: Place, target: Place, size: int, choice: ModelChoice, max_pixels: int
) -> None:
    """Write a small PNG of a .vae file, for file managers.

    OUT is written over. Nothing is asked for: of an encrypted file there is no thumbnail.
    """
    from vaecodec.codec.decoder import DecodeOptions, decode_picture, decode_preview
    from vaecodec.format.container import read_header
    from vaecodec.picture.writer import pillow_image

    with open_input(source) as file, naming(source):
        header = read_header(file, max_pixels)
        file.seek(0)
        model = choice.load(header.model_id)
        if size <= PREVIEW_SIDE:
            picture = decode_preview(file, model, max_pixels)
        else:
            side = max(header.width, header.height)
            scale = next(scale for scale in _SCALES if scale == 1 or side >= size * scale)
            picture = decode_picture(file, model, DecodeOptions(max_pixels, scale=scale))
    image = pillow_image(picture.in_8_bits())
    image.thumbnail((size, size))
    write_output(target, lambda out: image.save(out, "PNG"), force=True)
