"""The `vaecodec encode` command."""

from typing import Any

import click

from vaecodec.cli.batch import BatchOptions, many_files, run_many, single_target
from vaecodec.cli.faults import EPILOG
from vaecodec.cli.messages import Voice, reporting
from vaecodec.cli.options import (
    BEST_EFFORT,
    EFFORT,
    FORCE,
    INPUTS,
    LIMIT,
    LOSSLESS,
    OUTPUT,
    PRESERVE,
    QUALITY,
    ROI,
    TARGET_BPP,
    TARGET_MS_SSIM,
    TARGET_PSNR,
    TARGET_SIZE,
    TARGET_SSIMULACRA2,
    TIMEOUT,
    ModelChoice,
    choosing_model,
    tuning,
)
from vaecodec.cli.param_types import NumberType
from vaecodec.cli.passphrase import PASSPHRASE_FILE, read_passphrase
from vaecodec.cli.progress import Progress
from vaecodec.errors import UsageError
from vaecodec.format.container import METADATA_TYPES
from vaecodec.places import Place

METADATA_KINDS = tuple(METADATA_TYPES)


@click.command(epilog=EPILOG)
@INPUTS
@OUTPUT
@QUALITY
@LOSSLESS
@TARGET_SIZE
@TARGET_BPP
@TARGET_PSNR
@TARGET_MS_SSIM
@TARGET_SSIMULACRA2
@BEST_EFFORT
@EFFORT
@TIMEOUT
@ROI
@click.option(
    "--alpha-quality",
    type=NumberType(0, 100),
    default=None,
    help="Code transparency with loss at this quality; without the option it is lossless.",
)
@click.option(
    "--strip",
    multiple=True,
    type=click.Choice(["all", *METADATA_KINDS]),
    help="Leave out metadata of a kind; may be given several times.",
)
@click.option(
    "--page",
    type=click.IntRange(min=1),
    default=None,
    help="Page or frame to take, counted from 1.",
)
@click.option(
    "--encrypt",
    is_flag=True,
    help="Encrypt with a passphrase: asked for, from a file (which is enough to say), or"
    " VAECODEC_PASSPHRASE.",
)
@PASSPHRASE_FILE
@PRESERVE
@FORCE
@reporting
@choosing_model
@tuning
@LIMIT
@many_files
def encode(
    sources: tuple[Place, ...],
    output: Place | None,
    encrypt: bool,
    passphrase_file: Place | None,
    voice: Voice,
    choice: ModelChoice,
    batch: BatchOptions,
    target_size: float | None,
    target_bpp: float | None,
    target_psnr: float | None,
    target_ms_ssim: float | None,
    target_ssimulacra2: float | None,
    quality: float | None,
    **settings: Any,
) -> None:
    """Encode pictures as .vae files, a folder of them as well.

    IN becomes OUT (IN's name with .vae by default), or many go into the folder OUT. `-` is standard
    input or output.
    """
    from vaecodec.batch.encoding import EncodeTask
    from vaecodec.batch.jobs import FileJob
    from vaecodec.batch.planning import ManyFiles
    from vaecodec.batch.report import FileReport
    from vaecodec.codec.targets import one_target
    from vaecodec.picture.reader import hint_for, is_picture_name

    target = one_target(target_size, target_bpp, target_psnr, target_ms_ssim, target_ssimulacra2)
    if target is not None and quality is not None:
        raise UsageError("give -q or a target, not both")
    if settings["lossless"] and (target is not None or quality is not None):
        raise UsageError("--lossless has one quality; leave out -q and targets")
    single = single_target(sources, output, ".vae", is_picture_name, batch)
    encrypt = encrypt or passphrase_file is not None  # who names a passphrase wants it used
    passphrase = read_passphrase(passphrase_file, ask=True, confirm=True) if encrypt else None
    if encrypt and passphrase is None:
        raise UsageError("--encrypt needs --passphrase-file FILE or VAECODEC_PASSPHRASE")

    model = choice.reference(is_fixed=batch.scheduler is not None)
    task = EncodeTask(model, target, passphrase, quality, **settings)
    if single is None:
        many = ManyFiles(sources, output, ".vae", is_picture_name, batch.recursive)
        run_many(many, task, batch, voice, hint_for)
    job = FileJob(sources[0], single)

    def work() -> FileReport:
        with Progress(voice.shows_progress) as progress:
            return task(job, progress.show_share)

    voice.work_on_one(work, job.source, single)
