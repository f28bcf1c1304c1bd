"""The `vaecodec decode` command."""

import sys
from pathlib import Path

import click

from vaecodec.cli.batch import many_files, run_many, single_target
from vaecodec.cli.options import (
    EPILOG,
    FORCE,
    INPUTS,
    LIMIT,
    OUTPUT,
    PASSPHRASE_FILE,
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


class RegionType(click.ParamType):
    """A part of a picture: left, top, width and height in pixels."""

    name = "X,Y,W,H"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None):
        from vaecodec.codec.tiling import Region

        try:
            left, top, width, height = map(int, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not four whole numbers X,Y,W,H", param, context)
        return Region(left, top, width, height)


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
@FORCE
@reporting
@choosing_model
@LIMIT
@many_files
def decode(
    sources: tuple[Path, ...],
    output: Path | None,
    region,
    scale: str,
    salvage: bool,
    to: str,
    passphrase_file: Path | None,
    force: bool,
    voice: Voice,
    choice: ModelChoice,
    max_pixels: int,
    **many: object,
) -> None:
    """Decode .vae files: IN to OUT (IN's name with .png by default), or many into the folder OUT.

    The format follows OUT's suffix. `-` is standard input or output, which gets a PNG.
    """
    from vaecodec.picture.writer import check_suffix, write_picture

    default_suffix = f".{to.removeprefix('.')}"
    check_suffix(default_suffix)
    single = single_target(sources, output, default_suffix)
    losses: list[Path] = []

    loader = choice.loader()

    def work(source: Path, target: Path) -> Report:
        from vaecodec.format.container import read_header

        suffix = default_suffix if is_pipe(target) else target.suffix
        check_output(source, target, force)
        report = Report(source, target)
        with open_input(source) as file, naming(source):
            check_suffix(suffix)
            header = read_header(file, max_pixels)  # before the model is loaded
            file.seek(0)
            passphrase = passphrase_for(file, passphrase_file)

            from vaecodec.codec.decoder import DecodeOptions, decode_picture

            divisor = int(scale.removeprefix("1/"))
            options = DecodeOptions(max_pixels, region, divisor, salvage, passphrase)
            with report.timing("load"):
                loaded = loader.load(header.model_id)
            with report.timing("decode"):
                picture = decode_picture(file, loaded, options)
            bytes_in = file.tell()
        notes: list[str] = []
        with report.timing("write"):
            size_bytes = write_output(
                target, lambda out: notes.extend(write_picture(picture, out, suffix)), force
            )
        report.note(source, picture.notes)
        report.note(target, notes)
        report.describe_header(header, loaded, bytes_in, size_bytes)
        height, width = picture.pixels.shape[:2]
        report.facts |= {"width": width, "height": height, "mode": picture.mode}
        report.text = f"{width}x{height} {picture.mode}, {size_bytes} bytes"
        if picture.notes:
            losses.append(source)
        return report

    if single is not None:
        voice.work_on_one(work, sources[0], single)
    else:
        run_many(sources, output, default_suffix, is_vae_name, work, loader, voice, **many)
    if losses:
        sys.exit(1)


def is_vae_name(path: Path) -> bool:
    return path.suffix.lower() == ".vae"
