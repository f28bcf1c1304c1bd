"""`vaecodec verify`."""

import sys
from pathlib import Path

import click

from vaecodec.cli.faults import EPILOG, fault_text
from vaecodec.cli.messages import FileReport, Voice, reporting
from vaecodec.cli.options import LIMIT, PATH, ModelChoice, choosing_model
from vaecodec.cli.passphrase import PASSPHRASE_FILE, passphrase_for
from vaecodec.cli.streams import naming, open_input
from vaecodec.errors import VaecodecError


@click.command(epilog=EPILOG)
@click.argument("sources", metavar="FILE...", type=PATH, nargs=-1, required=True)
@reporting
@click.option("--quick", is_flag=True, help="Check the bytes only, not the symbols they decode to.")
@PASSPHRASE_FILE
@choosing_model
@LIMIT
def verify(
    sources: tuple[Path, ...],
    voice: Voice,
    quick: bool,
    passphrase_file: Path | None,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Check .vae files down to every decoded symbol.

    That is structure, checksums and symbols; nothing is written.
    """
    from vaecodec.codec.decoder import verify_file
    from vaecodec.format.container import describe

    loader = choice.loader()

    def check(source: Path) -> FileReport:
        report = FileReport(source)
        report.text = "ok"
        with open_input(source) as file, naming(source):
            facts = describe(file, max_pixels)
            if not quick:
                with report.timing("load"):
                    loaded = loader.load(bytes.fromhex(facts["model"]))
                file.seek(0)
                passphrase = passphrase_for(file, passphrase_file)
                with report.timing("verify"):
                    verify_file(file, loaded, max_pixels, passphrase)
                report.describe_model(loaded)
        report.facts["parts"] = facts["parts"]
        return report

    failed = False
    for source in sources:
        try:
            voice.say(check(source))
        except VaecodecError as error:
            voice.say_fault(source, None, fault_text(error))
            failed = True
    sys.exit(failed)
