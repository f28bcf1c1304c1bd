"""`vaecodec verify`."""

from functools import partial

import click

from vaecodec.cli.batch import BatchOptions, is_single, many_files_to_read, run_many
from vaecodec.cli.faults import EPILOG
from vaecodec.cli.messages import Voice, reporting
from vaecodec.cli.options import LIMIT, PATH, ModelChoice, choosing_model
from vaecodec.cli.passphrase import PASSPHRASE_FILE, read_passphrase
from vaecodec.places import Place


@click.command(epilog=EPILOG)
@click.argument("sources", metavar="FILE...", type=PATH, nargs=-1, required=True)
@reporting
@click.option("--quick", is_flag=True, help="Check the bytes only, not the symbols they decode to.")
@PASSPHRASE_FILE
@choosing_model
@LIMIT
@many_files_to_read
def verify(
    sources: tuple[Place, ...],
    voice: Voice,
    quick: bool,
    passphrase_file: Place | None,
    choice: ModelChoice,
    max_pixels: int,
    batch: BatchOptions,
) -> None:
    """Check .vae files down to every decoded symbol.

    That is structure, checksums and symbols; nothing is written.
    """
    from vaecodec.batch.jobs import FileJob
    from vaecodec.batch.planning import ManyFiles, is_vae_name
    from vaecodec.batch.verifying import VerifyTask

    passphrase = read_passphrase(passphrase_file, ask=False)
    task = VerifyTask(choice.reference(), quick, passphrase, max_pixels)
    if is_single(sources, batch):
        ask = partial(read_passphrase, None, ask=True)
        voice.work_on_one(lambda: task(FileJob(sources[0]), ask), sources[0], None)
        return
    many = ManyFiles(sources, None, None, is_vae_name, batch.recursive)
    run_many(many, task, batch, voice)
