"""The `vaecodec decode` command."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaecodec.cli.batch import ManyFiles, many_files, run_many, single_target
from vaecodec.cli.faults import EPILOG
from vaecodec.cli.messages import FileReport, Voice, reporting
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
from vaecodec.cli.passphrase import PASSPHRASE_FILE, passphrase_for
from vaecodec.cli.progress import Progress
from vaecodec.cli.streams import check_output, copy_times, is_pipe, naming, open_input, write_output
from vaecodec.errors import UsageError

if TYPE_CHECKING:
    from vaecodec.codec.decoder import DecodeOptions
    from vaecodec.codec.tiling import Region
    from vaecodec.inference.loading import ModelLoader


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
    sources: tuple[Path, ...],
    output: Path | None,
    region: "Region | None",
    scale: str,
    salvage: bool,
    to: str,
    passphrase_file: Path | None,
    preserve: bool,
    force: bool,
    voice: Voice,
    choice: ModelChoice,
    max_pixels: int,
    recursive: bool,
    jobs: int | None,
    skip_existing: bool,
    on_error: str,
) -> None:
    """Decode .vae files to PNG, JPEG, WebP, AVIF, TIFF and others.

    IN becomes OUT (IN's name with .png by default), or many go into the folder OUT. The format
    follows OUT's suffix. `-` is standard input or output, which gets a PNG.
    """
    from vaecodec.codec.decoder import DecodeOptions
    from vaecodec.picture.writer import check_suffix

    suffix = f".{to.removeprefix('.')}"
    check_suffix(suffix)
    single = single_target(sources, output, suffix, is_vae_name)
    loader = choice.loader()
    options = DecodeOptions(max_pixels, region, int(scale.removeprefix("1/")), salvage)
    shown = single is not None and voice.shows_progress
    work = _Decoding(loader, options, suffix, passphrase_file, force, preserve, shown)
    if single is not None:
        voice.work_on_one(work, sources[0], single)
    else:
        many = ManyFiles(sources, output, suffix, is_vae_name, recursive, skip_existing)
        run_many(many, work, loader, voice, jobs, on_error)
    if work.losses:
        sys.exit(1)


@dataclass(frozen=True)
class _Decoding:
    """What is done to each file; fields as the options of `decode`.

    `suffix`: of the format where no output names one; `shown`: whether progress is; `losses`: files
    that were not whole.
    """

    loader: "ModelLoader"
    options: "DecodeOptions"
    suffix: str
    passphrase_file: Path | None
    force: bool
    preserve: bool
    shown: bool
    losses: list[Path] = field(default_factory=list)

    def __call__(self, source: Path, target: Path) -> FileReport:
        from vaecodec.codec.decoder import decode_picture
        from vaecodec.format.container import MAGIC, read_header
        from vaecodec.picture.reader import is_picture_name
        from vaecodec.picture.writer import check_suffix, write_picture

        suffix = self.suffix if is_pipe(target) else target.suffix
        check_output(source, target, self.force)
        report = FileReport(source, target)
        with open_input(source) as file, naming(source):
            check_suffix(suffix)
            if is_picture_name(source) and file.read(len(MAGIC)) != MAGIC:
                raise UsageError("is no .vae file; vaecodec encode makes one of a picture")
            file.seek(0)
            header = read_header(file, self.options.max_pixels)  # before the model is loaded
            file.seek(0)
            passphrase = passphrase_for(file, self.passphrase_file)
            with report.timing("load"):
                model = self.loader.load(header.model_id)
            with Progress(self.shown) as progress, report.timing("decode"):
                options = replace(self.options, passphrase=passphrase, progress=progress.show_share)
                picture = decode_picture(file, model, options)
            bytes_in = file.tell()
        notes: list[str] = []
        with report.timing("write"):
            size_bytes = write_output(
                target, lambda out: notes.extend(write_picture(picture, out, suffix)), self.force
            )
            if self.preserve:
                copy_times(source, target)
        report.note(source, picture.notes)
        report.note(target, notes)
        report.describe_header(header, model, bytes_in, size_bytes)
        height, width = picture.pixels.shape[:2]
        report.facts |= {"width": width, "height": height, "mode": picture.mode}
        report.text = f"{width}x{height} {picture.mode}, {size_bytes} bytes"
        if picture.notes:
            self.losses.append(source)
        return report


def is_vae_name(path: Path) -> bool:
    """Whether a file is taken for a .vae file where a folder is named."""
    return path.suffix.lower() == ".vae"
