"""The `vaecodec decode` command."""

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from vaecodec.cli.batch import BatchOptions, many_files, run_many, single_target
from vaecodec.cli.faults import EPILOG
from vaecodec.cli.messages import Voice, reporting
from vaecodec.cli.options import (
    FORCE,
    INPUTS,
    LIMIT,
    OUTPUT,
    PRESERVE,
    ModelChoice,
    choosing_model,
)
from vaecodec.cli.param_types import RegionType
from vaecodec.cli.passphrase import PASSPHRASE_FILE, read_passphrase
from vaecodec.cli.progress import Progress
from vaecodec.places import Place

if TYPE_CHECKING:
    from vaecodec.codec.tiling import Region


@click.command(epilog=EPILOG)
@INPUTS
@OUTPUT
@click.option("--region", type=RegionType(), default=None, help="Decode only this part, in pixels.")
@click.option(
    "--scale",
    type=click.Choice(["1", "1/2", "1/4", "1/8"]),
    default="1",
    show_default=True,
    help="Decode at a fraction of the size.",
)
@click.option(
    "--to",
    default="png",
    show_default=True,
    metavar="FORMAT",
    help="Format where no output names one: png, jpg, webp, avif, tiff, ...",
)
@click.option(
    "--salvage",
    is_flag=True,
    help="Decode what is left of a damaged file, grey where it is lost; exits 1.",
)
@PASSPHRASE_FILE
@PRESERVE
@FORCE
@reporting
@choosing_model
@LIMIT
@many_files
def decode(
    sources: tuple[Place, ...],
    output: Place | None,
    region: "Region | None",
    scale: str,
    salvage: bool,
    to: str,
    passphrase_file: Place | None,
    preserve: bool,
    force: bool,
    voice: Voice,
    choice: ModelChoice,
    max_pixels: int,
    batch: BatchOptions,
) -> None:
    """Decode .vae files to PNG, JPEG, WebP, AVIF, TIFF and others.

    IN becomes OUT (IN's name with .png by default), or many go into the folder OUT. The format
    follows OUT's suffix. `-` is standard input or output, which gets a PNG.
    """
    from vaecodec.batch.decoding import DecodeTask
    from vaecodec.batch.jobs import FileJob
    from vaecodec.batch.planning import ManyFiles, is_vae_name
    from vaecodec.batch.report import FileReport
    from vaecodec.picture.writer import check_suffix

    suffix = f".{to.removeprefix('.')}"
    check_suffix(suffix)
    single = single_target(sources, output, suffix, is_vae_name, batch)
    passphrase = read_passphrase(passphrase_file, ask=False)
    divisor = int(scale.removeprefix("1/"))
    options = (region, divisor, salvage, passphrase, preserve, force, max_pixels)
    task = DecodeTask(choice.reference(), suffix, *options)
    if single is None:
        many = ManyFiles(sources, output, suffix, is_vae_name, batch.recursive)
        run_many(many, task, batch, voice)
    job = FileJob(sources[0], single)

    def work() -> FileReport:
        with Progress(voice.shows_progress) as progress:
            return task(job, progress.show_share, partial(read_passphrase, None, ask=True))

    if not voice.work_on_one(work, job.source, single).is_whole:
        sys.exit(1)
