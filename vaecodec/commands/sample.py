"""`vaecodec view` and `vaecodec sample`: pictures to look at."""

import io
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

import click

from vaecodec.cli.options import (
    EPILOG,
    FORCE,
    LIMIT,
    OUTPUT,
    PASSPHRASE_FILE,
    PATH,
    ModelChoice,
    check_output,
    choosing_model,
    is_pipe,
    naming,
    open_input,
    passphrase_for,
    write_output,
)
from vaecodec.cli.messages import Report, Voice, reporting
from vaecodec.errors import UsageError
from vaecodec.codec.quality import DEFAULT_QUALITY, level_of_quality

VIEW_PIXELS = 8 * 2**20  # larger pictures are shown scaled down, so that opening one is quick
_SCALES = (1, 2, 4, 8)


@click.command(epilog=EPILOG)
@click.argument("source", metavar="FILE", type=PATH)
@PASSPHRASE_FILE
@choosing_model
@LIMIT
def view(
    source: Path,
    passphrase_file: Path | None,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Show a .vae FILE in the viewer of the desktop, or in the terminal where there is none.

    Nothing is left behind: the temporary picture is removed when the viewer ends.
    """
    from vaecodec.format.container import read_header
    from vaecodec.cli.viewer import show_in_viewer, viewer_command

    command = viewer_command()
    with open_input(source) as file, naming(source):
        header = read_header(file, max_pixels)
        file.seek(0)
        passphrase = passphrase_for(file, passphrase_file)

        from vaecodec.codec.decoder import DecodeOptions, decode_picture, decode_preview

        loaded = choice.load(header.model_id)
        if command is None:
            _print_blocks(decode_preview(file, loaded, max_pixels, passphrase))
            return
        pixels = header.width * header.height
        scale = next((s for s in _SCALES if pixels <= VIEW_PIXELS * s**2), _SCALES[-1])
        options = DecodeOptions(max_pixels, scale=scale, passphrase=passphrase)
        picture = decode_picture(file, loaded, options)

    from vaecodec.picture.writer import write_picture

    shown = f"{header.width}x{header.height}" + (f" at 1/{scale}" if scale > 1 else "")
    name = f"{'picture' if is_pipe(source) else source.stem}.png"
    show_in_viewer(
        command,
        name,
        lambda file: write_picture(picture, file, ".png"),
        lambda text: click.echo(f"{source}: {shown}, {text}", err=True),
    )


def _print_blocks(picture) -> None:
    """The picture as large as the terminal; 80 columns of shades where output is no terminal."""
    import numpy as np

    from vaecodec.cli.viewer import blocks, colours_of

    picture = picture.in_8_bits()
    samples = picture.pixels
    if picture.alpha is not None:
        samples = np.dstack([samples, picture.alpha])
    size = shutil.get_terminal_size()
    colours = colours_of(os.environ, sys.stdout.isatty())
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(blocks(samples, size.columns, size.lines - 1, colours, unicode), color=True)


class _SizeType(click.ParamType):
    name = "WxH"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None):
        match = re.fullmatch(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", value)
        if match is None:
            self.fail(f"{value!r} is not a width and a height like 768x512", param, context)
        return int(match[1]), int(match[2])


@click.command(epilog=EPILOG)
@click.option("--size", type=_SizeType(), default=None, help="In pixels.  [default: 768x512]")
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=None,
    help=f"As of encode.  [default: {DEFAULT_QUALITY:g}]",
)
@click.option(
    "--like",
    metavar="FILE",
    type=PATH,
    default=None,
    help="Keep size, quality and z of this .vae file and draw only y anew.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=None,
    help="Of the first picture; the next has the next.  [default: a new one each time]",
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many pictures.",
)
@OUTPUT
@PASSPHRASE_FILE
@FORCE
@reporting
@choosing_model
@LIMIT
def sample(
    size: tuple[int, int] | None,
    quality: float | None,
    like: Path | None,
    seed: int | None,
    count: int,
    output: Path | None,
    passphrase_file: Path | None,
    force: bool,
    voice: Voice,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Draw new pictures from the model, which show what it has learned to expect.

    A picture is written to OUT, or to sample-SEED.png here or in the folder OUT. A seed always
    draws the same file; OUT may be a .vae file, too.
    """
    if like is not None and (size is not None or quality is not None):
        raise UsageError("--like takes size and quality from its file; leave out --size and -q")
    if output is not None and count > 1 and not output.is_dir():
        raise UsageError(f"{output}: is no folder; {count} pictures need one")
    first = secrets.randbelow(10**6) if seed is None else seed
    seeds = range(first, first + count)
    in_folder = output is None or output.is_dir()
    targets = [
        (output or Path()) / f"sample-{number}.png" if in_folder else output for number in seeds
    ]

    from vaecodec.picture.writer import check_suffix

    for target in targets:
        if target.suffix != ".vae" and not is_pipe(target):
            check_suffix(target.suffix)
        check_output(like or Path(), target, force)
    draw = _drawing(size, quality, like, passphrase_file, choice, max_pixels)
    for number, target in zip(seeds, targets, strict=True):
        report = Report(target, target)
        with report.timing("draw"):
            data, loaded = draw(number)
        written = _write_drawn(data, loaded, target, force)
        report.describe_file(data, loaded, len(data), written)
        report.facts["seed"] = number
        report.text = f"seed {number}, {len(data)} bytes as .vae"
        voice.say(report)


def _drawing(
    size: tuple[int, int] | None,
    quality: float | None,
    like: Path | None,
    passphrase_file: Path | None,
    choice: ModelChoice,
    max_pixels: int,
):
    """A function from a seed to a .vae file's bytes and the model that decodes it."""
    from vaecodec.codec.sampling import draw_file, redraw_file

    if like is None:
        loaded = choice.load()
        level = level_of_quality(DEFAULT_QUALITY if quality is None else quality)
        wanted = size or (768, 512)
        return lambda seed: (draw_file(loaded, wanted, level, seed, max_pixels), loaded)

    from vaecodec.format.container import read_header

    with open_input(like) as file, naming(like):
        model_id = read_header(file, max_pixels).model_id
        file.seek(0)
        passphrase = passphrase_for(file, passphrase_file)
        data = file.read()
    loaded = choice.load(model_id)

    def redraw(seed: int):
        with naming(like):
            return redraw_file(io.BytesIO(data), loaded, seed, max_pixels, passphrase), loaded

    return redraw


def _write_drawn(data: bytes, model, target: Path, force: bool) -> int:
    """Write the drawn file itself, or the picture it holds; returns the bytes written."""
    if target.suffix == ".vae":
        return write_output(target, lambda file: file.write(data), force)

    from vaecodec.picture.writer import write_picture
    from vaecodec.codec.decoder import decode_picture

    picture = decode_picture(data, model)
    suffix = ".png" if is_pipe(target) else target.suffix
    return write_output(target, lambda file: write_picture(picture, file, suffix), force)
