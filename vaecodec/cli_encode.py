"""The `vaecodec encode` command."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaecodec.cli_batch import (
    JOBS,
    ON_ERROR,
    RECURSIVE,
    SKIP_EXISTING,
    run_many,
    single_target,
)
from vaecodec.cli_options import (
    BACKEND,
    DEVICE,
    EPILOG,
    FORCE,
    INPUTS,
    LIMIT,
    MODEL,
    OUTPUT,
    PASSPHRASE_FILE,
    check_output,
    is_pipe,
    naming,
    open_input,
    quality_of_level,
    read_passphrase,
    write_output,
)
from vaecodec.cli_report import Report, Voice, reporting
from vaecodec.container import METADATA_TYPES
from vaecodec.errors import UsageError

if TYPE_CHECKING:
    from vaecodec.model import Model

DEFAULT_QUALITY = 60.0
METADATA_KINDS = tuple(METADATA_TYPES)
POSITIVE = click.FloatRange(min=0, min_open=True)


class SizeType(click.ParamType):
    """A size in bytes, with the units people write: 200kB, 1.5MiB, 90000."""

    name = "SIZE"
    _UNITS = {"": 1, "b": 1, "kb": 1e3, "k": 1e3, "mb": 1e6, "m": 1e6, "kib": 2**10, "mib": 2**20}

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)", value)
        if match is None or match[2].lower() not in self._UNITS or float(match[1]) == 0:
            self.fail(f"{value!r} is not a size like 200kB or 1.5MiB", param, context)
        return float(match[1]) * self._UNITS[match[2].lower()]


@click.command(epilog=EPILOG)
@INPUTS
@OUTPUT
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=DEFAULT_QUALITY,
    show_default=True,
    help="0 smallest to 100 best, continuous.",
)
@click.option(
    "--target-size",
    type=SizeType(),
    default=None,
    help="As good as fits into this size: 200kB, 1.5MiB.",
)
@click.option(
    "--target-bpp", type=POSITIVE, default=None, help="As good as fits into so many bits per pixel."
)
@click.option(
    "--target-psnr", type=POSITIVE, default=None, help="As small as reaches this PSNR in dB."
)
@click.option(
    "--target-ms-ssim",
    type=click.FloatRange(0, 1),
    default=None,
    help="As small as reaches this MS-SSIM.",
)
@click.option("--best-effort", is_flag=True, help="Take the nearest where a target cannot be met.")
@click.option(
    "--alpha-quality",
    type=click.FloatRange(0, 100),
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
    help="Encrypt with a passphrase: asked for, from a file or VAECODEC_PASSPHRASE.",
)
@PASSPHRASE_FILE
@FORCE
@reporting
@MODEL
@DEVICE
@BACKEND
@LIMIT
@RECURSIVE
@JOBS
@SKIP_EXISTING
@ON_ERROR
def encode(
    sources: tuple[Path, ...],
    output: Path | None,
    quality: float,
    target_size: float | None,
    target_bpp: float | None,
    target_psnr: float | None,
    target_ms_ssim: float | None,
    best_effort: bool,
    alpha_quality: float | None,
    strip: tuple[str, ...],
    page: int | None,
    encrypt: bool,
    passphrase_file: Path | None,
    force: bool,
    voice: Voice,
    model: Path | None,
    device: str,
    backend: str,
    max_pixels: int,
    **many: object,
) -> None:
    """Encode pictures: IN to OUT (IN's name with .vae by default), or many into the folder OUT.

    `-` is standard input or output.
    """
    wishes = {
        "size": target_size,
        "bpp": target_bpp,
        "psnr": target_psnr,
        "ms-ssim": target_ms_ssim,
    }
    targets = {kind: value for kind, value in wishes.items() if value is not None}
    if len(targets) > 1:
        raise UsageError("give one target only")
    single = single_target(sources, output, ".vae")
    passphrase = read_passphrase(passphrase_file, ask=True, confirm=True) if encrypt else None
    if encrypt and passphrase is None:
        raise UsageError("--encrypt needs --passphrase-file FILE or VAECODEC_PASSPHRASE")

    from vaecodec.model import ModelLoader

    loader = ModelLoader(model, device, backend)

    def work(source: Path, target: Path) -> Report:
        from vaecodec.picture_reader import picture_from_file

        check_output(source, target, force)
        report = Report(source, target)
        with open_input(source) as file, naming(source), report.timing("read"):
            picture = picture_from_file(file, max_pixels, page)
            bytes_in = file.tell() if is_pipe(source) else source.stat().st_size
        report.note(source, picture.notes)
        picture = picture.without_metadata(METADATA_KINDS if "all" in strip else strip)

        from vaecodec.pipeline import EncodeOptions, encode_picture, level_of_quality

        alpha_level = None if alpha_quality is None else level_of_quality(alpha_quality)
        options = EncodeOptions(level_of_quality(quality), alpha_level, passphrase)
        with report.timing("load"):
            loaded = loader.load()
        with naming(source), report.timing("encode"):
            if targets:
                data, reached = _encode_to_target(picture, loaded, options, targets, best_effort)
            else:
                data, reached = encode_picture(picture, loaded, options), ""
        with report.timing("write"):
            write_output(target, lambda file: file.write(data), force)
        report.describe_file(data, loaded, bytes_in, len(data))
        height, width = picture.pixels.shape[:2]
        rate = f"{8 * len(data) / (height * width):.3f} bpp, {picture.size_bytes / len(data):.1f}:1"
        report.text = f"{len(data)} bytes, {rate}{reached}"
        return report

    if single is not None:
        voice.work_on_one(work, sources[0], single)
        return

    from vaecodec.picture_reader import is_picture_name

    run_many(sources, output, ".vae", is_picture_name, work, loader, voice, **many)


def _encode_to_target(
    picture, model: "Model", options, targets: dict[str, float], best_effort: bool
):
    """The file nearest to the target, and what is said of it."""
    from vaecodec.ratecontrol import require
    from vaecodec.targets import UNITS, encode_to_target, wish_of

    ((kind, value),) = targets.items()
    if kind == "bpp":
        height, width = picture.pixels.shape[:2]
        kind, value = "size", value * height * width / 8
    trial, _ = encode_to_target(picture, model, options, kind, value)
    if not best_effort:
        require(wish_of(kind, value), trial, UNITS[kind])
    reached = "" if kind == "size" else f", {trial.value:.4g} {UNITS[kind]}"
    return trial.data, f", quality {quality_of_level(trial.level):.1f}{reached}"
