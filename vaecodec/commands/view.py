"""`vaecodec view`."""

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from vaecodec.cli.faults import EPILOG
from vaecodec.cli.options import LIMIT, PATH, ModelChoice, choosing_model
from vaecodec.cli.passphrase import PASSPHRASE_FILE, passphrase_for
from vaecodec.cli.progress import Progress
from vaecodec.places import Place
from vaecodec.streams import is_pipe, naming, open_input

if TYPE_CHECKING:
    from vaecodec.picture.picture import Picture

VIEW_PIXELS = 8 * 2**20  # larger pictures are shown scaled down, so that opening one is quick
TERMINAL_PIXELS = 2**20  # the same in a terminal with graphics

_SCALES = (1, 2, 4, 8)


@click.command(epilog=EPILOG)
@click.argument("source", metavar="FILE", type=PATH)
@PASSPHRASE_FILE
@choosing_model
@LIMIT
def view(
    source: Place,
    passphrase_file: Place | None,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Show a .vae file in the desktop's viewer or in the terminal.

    In the terminal where there is no viewer: as graphics where it has sixels or kitty's protocol
    (pip install '.[view]'), else as blocks. Nothing is left behind: the temporary picture is
    removed when the viewer ends.
    """
    from vaecodec.cli.terminal_picture import terminal_graphics
    from vaecodec.cli.viewer import show_in_viewer, viewer_command
    from vaecodec.format.container import read_header

    command = viewer_command()
    show = None if command else terminal_graphics()
    with open_input(source) as file, naming(source):
        header = read_header(file, max_pixels)
        file.seek(0)
        passphrase = passphrase_for(file, passphrase_file)

        from vaecodec.codec.decoder import DecodeOptions, decode_picture, decode_preview

        loaded = choice.load(header.model_id)
        if command is None and show is None:
            _print_blocks(decode_preview(file, loaded, max_pixels, passphrase))
            return
        pixels = header.width * header.height
        limit = VIEW_PIXELS if command else TERMINAL_PIXELS
        scale = next((s for s in _SCALES if pixels <= limit * s**2), _SCALES[-1])
        with Progress(True) as progress:
            options = DecodeOptions(
                max_pixels, scale=scale, passphrase=passphrase, progress=progress.show_share
            )
            picture = decode_picture(file, loaded, options)

    from vaecodec.picture.writer import pillow_image, write_picture

    if show is not None:
        show(pillow_image(picture.in_8_bits()))
        return
    assert command is not None
    shown = f"{header.width}x{header.height}" + (f" at 1/{scale}" if scale > 1 else "")
    name = f"{'picture' if is_pipe(source) else source.stem}.png"
    show_in_viewer(
        command,
        name,
        lambda file: write_picture(picture, file, ".png"),
        lambda text: click.echo(f"{source}: {shown}, {text}", err=True),
    )


def _print_blocks(picture: "Picture") -> None:
    """The picture as large as the terminal; 80 columns of shades where output is no terminal."""
    import numpy as np

    from vaecodec.cli.terminal_picture import blocks, colours_of

    picture = picture.in_8_bits()
    samples = picture.pixels
    if picture.alpha is not None:
        samples = np.dstack([samples, picture.alpha])
    size = shutil.get_terminal_size()
    colours = colours_of(os.environ, sys.stdout.isatty())
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(blocks(samples, size.columns, size.lines - 1, colours, unicode), color=True)
