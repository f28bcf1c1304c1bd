"""`vaecodec encode` and `vaecodec decode`."""

import re
import sys
from functools import cache
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
    QUIET,
    check_output,
    is_pipe,
    naming,
    open_input,
    passphrase_for,
    quality_of_level,
    read_passphrase,
    say_done,
    say_notes,
    write_output,
)
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
@QUIET
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
    quiet: bool,
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

    @cache
    def load() -> "Model":
        from vaecodec.model import load_model

        return load_model(model, device, backend=backend)

    def work(source: Path, target: Path) -> tuple[int, int]:
        from vaecodec.picture_reader import picture_from_file

        check_output(source, target, force)
        with open_input(source) as file, naming(source):
            picture = picture_from_file(file, max_pixels, page)
            bytes_in = file.tell() if is_pipe(source) else source.stat().st_size
        say_notes(source, picture.notes)
        picture = picture.without_metadata(METADATA_KINDS if "all" in strip else strip)

        from vaecodec.pipeline import EncodeOptions, encode_picture, level_of_quality

        alpha_level = None if alpha_quality is None else level_of_quality(alpha_quality)
        options = EncodeOptions(level_of_quality(quality), alpha_level, passphrase)
        if targets:
            with naming(source):
                data, reached = _encode_to_target(picture, load(), options, targets, best_effort)
        else:
            data, reached = encode_picture(picture, load(), options), ""
        write_output(target, lambda file: file.write(data), force)
        height, width = picture.pixels.shape[:2]
        rate = f"{8 * len(data) / (height * width):.3f} bpp, {picture.size_bytes / len(data):.1f}:1"
        say_done(target, f"{len(data)} bytes, {rate}{reached}", quiet or single is None)
        return bytes_in, len(data)

    if single is not None:
        work(sources[0], single)
        return

    from vaecodec.picture_reader import is_picture_name

    run_many(sources, output, ".vae", is_picture_name, work, load, quiet=quiet, **many)


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


class _RegionType(click.ParamType):
    name = "X,Y,W,H"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None):
        from vaecodec.tiling import Region

        try:
            left, top, width, height = map(int, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not four whole numbers X,Y,W,H", param, context)
        return Region(left, top, width, height)


@click.command(epilog=EPILOG)
@INPUTS
@OUTPUT
@click.option(
    "--region", type=_RegionType(), default=None, help="Decode only this part, in pixels."
)
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
@QUIET
@MODEL
@DEVICE
@BACKEND
@LIMIT
@RECURSIVE
@JOBS
@SKIP_EXISTING
@ON_ERROR
def decode(
    sources: tuple[Path, ...],
    output: Path | None,
    region,
    scale: str,
    salvage: bool,
    to: str,
    passphrase_file: Path | None,
    force: bool,
    quiet: bool,
    model: Path | None,
    device: str,
    backend: str,
    max_pixels: int,
    **many: object,
) -> None:
    """Decode .vae files: IN to OUT (IN's name with .png by default), or many into the folder OUT.

    The format follows OUT's suffix. `-` is standard input or output, which gets a PNG.
    """
    from vaecodec.picture_writer import check_suffix, write_picture

    default_suffix = f".{to.removeprefix('.')}"
    check_suffix(default_suffix)
    single = single_target(sources, output, default_suffix)
    losses: list[Path] = []

    @cache
    def load(model_id: bytes | None = None) -> "Model":
        from vaecodec.model import load_model

        return load_model(model, device, model_id, backend)

    def work(source: Path, target: Path) -> tuple[int, int]:
        from vaecodec.container import read_header

        suffix = default_suffix if is_pipe(target) else target.suffix
        check_output(source, target, force)
        with open_input(source) as file, naming(source):
            check_suffix(suffix)
            header = read_header(file, max_pixels)  # before the seconds that loading takes
            file.seek(0)
            passphrase = passphrase_for(file, passphrase_file)

            from vaecodec.pipeline import DecodeOptions, decode_picture

            divisor = int(scale.removeprefix("1/"))
            options = DecodeOptions(max_pixels, region, divisor, salvage, passphrase)
            picture = decode_picture(file, load(header.model_id), options)
            bytes_in = file.tell()
        notes: list[str] = []
        size_bytes = write_output(
            target, lambda out: notes.extend(write_picture(picture, out, suffix)), force
        )
        say_notes(source, picture.notes)
        say_notes(target, notes)
        height, width = picture.pixels.shape[:2]
        text = f"{width}x{height} {picture.mode}, {size_bytes} bytes"
        say_done(target, text, quiet or single is None)
        if picture.notes:
            losses.append(source)
        return bytes_in, size_bytes

    if single is not None:
        work(sources[0], single)
    else:
        run_many(sources, output, default_suffix, is_vae_name, work, load, quiet=quiet, **many)
    if losses:
        sys.exit(1)


def is_vae_name(path: Path) -> bool:
    return path.suffix.lower() == ".vae"
