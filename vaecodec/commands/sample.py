"""`vaecodec view` and `vaecodec sample`: pictures to look at."""

import io
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaecodec.batch.report import FileReport
from vaecodec.cli.faults import EPILOG
from vaecodec.cli.messages import Voice, reporting
from vaecodec.cli.options import (
    FORCE,
    LIMIT,
    OUTPUT,
    PATH,
    ModelChoice,
    choosing_model,
    tuning,
)
from vaecodec.cli.param_types import DimensionsType, NumberType
from vaecodec.cli.passphrase import PASSPHRASE_FILE, passphrase_for
from vaecodec.codec.quality import scale_of
from vaecodec.errors import UsageError
from vaecodec.places import Place
from vaecodec.streams import check_output, is_pipe, naming, open_input, write_output

if TYPE_CHECKING:
    from vaecodec.inference.model import Model


@click.command(epilog=EPILOG)
@click.option("--size", type=DimensionsType(), default=None, help="In pixels.  [default: 768x512]")
@click.option(
    "-q",
    "--quality",
    type=NumberType(0, 100),
    default=None,
    help="As of encode.",
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
@tuning
@LIMIT
def sample(
    size: tuple[int, int] | None,
    quality: float | None,
    like: Place | None,
    seed: int | None,
    count: int,
    output: Place | None,
    passphrase_file: Place | None,
    force: bool,
    voice: Voice,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Draw new pictures from the model.

    They show what it has learned to expect. One is written to OUT, or to sample-SEED.png here or
    in the folder OUT. A seed always draws the same file; OUT may be a .vae file, too.
    """
    if like is not None and (size is not None or quality is not None):
        raise UsageError("--like takes size and quality from its file; leave out --size and -q")
    if output is not None and count > 1 and not output.is_dir():
        raise UsageError(f"{output}: is no folder; {count} pictures need one")
    first = secrets.randbelow(10**6) if seed is None else seed
    seeds = range(first, first + count)
    targets = [_target(output, number) for number in seeds]

    from vaecodec.picture.writer import check_suffix

    for target in targets:
        if target.suffix != ".vae" and not is_pipe(target):
            check_suffix(target.suffix)
        check_output(like or Path(), target, force)
    draw = _drawing(size, quality, like, passphrase_file, choice, max_pixels)
    for number, target in zip(seeds, targets, strict=True):
        report = FileReport(target, target)
        with report.timing("draw"):
            data, loaded = draw(number)
        written = _write_drawn(data, loaded, target, force)
        report.describe_file(data, loaded, len(data), written)
        report.facts["seed"] = number
        report.text = f"seed {number}, {len(data)} bytes as .vae"
        voice.say(report)


def _target(output: Place | None, seed: int) -> Place:
    if output is None or output.is_dir():
        return (output or Path()) / f"sample-{seed}.png"
    return output


def _drawing(
    size: tuple[int, int] | None,
    quality: float | None,
    like: Place | None,
    passphrase_file: Place | None,
    choice: ModelChoice,
    max_pixels: int,
) -> "Callable[[int], tuple[bytes, Model]]":
    """A function from a seed to a .vae file's bytes and the model that decodes it."""
    from vaecodec.codec.sampling import draw_file, redraw_file

    if like is None:
        loaded = choice.load()
        level = scale_of(loaded).level(quality)
        wanted = size or (768, 512)
        return lambda seed: (draw_file(loaded, wanted, level, seed, max_pixels), loaded)

    from vaecodec.format.container import read_header

    with open_input(like) as file, naming(like):
        model_id = read_header(file, max_pixels).model_id
        file.seek(0)
        passphrase = passphrase_for(file, passphrase_file)
        data = file.read()
    loaded = choice.load(model_id)

    def redraw(seed: int) -> "tuple[bytes, Model]":
        with naming(like):
            return redraw_file(io.BytesIO(data), loaded, seed, max_pixels, passphrase), loaded

    return redraw


def _write_drawn(data: bytes, model: "Model", target: Place, force: bool) -> int:
    """Write the drawn file itself, or the picture it holds; returns the bytes written."""
    if target.suffix == ".vae":
        return write_output(target, lambda file: file.write(data), force)

    from vaecodec.codec.decoder import decode_picture
    from vaecodec.picture.writer import write_picture

    picture = decode_picture(data, model)
    suffix = ".png" if is_pipe(target) else target.suffix
    return write_output(target, lambda file: write_picture(picture, file, suffix), force)
