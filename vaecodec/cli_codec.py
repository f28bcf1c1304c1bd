"""`vaecodec encode` and `vaecodec decode`."""

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
    read_passphrase,
    say_done,
    say_notes,
    write_output,
)
from vaecodec.cli_wishes import (
    BEST_EFFORT,
    EFFORT,
    QUALITY,
    ROI,
    TARGET_BPP,
    TARGET_MS_SSIM,
    TARGET_PSNR,
    TARGET_SIZE,
    TIMEOUT,
    Progress,
    encode_to_wish,
)
from vaecodec.container import METADATA_TYPES
from vaecodec.errors import UsageError

if TYPE_CHECKING:
    from vaecodec.model import Model

METADATA_KINDS = tuple(METADATA_TYPES)


@click.command(epilog=EPILOG)
@INPUTS
@OUTPUT
@QUALITY
@TARGET_SIZE
@TARGET_BPP
@TARGET_PSNR
@TARGET_MS_SSIM
@BEST_EFFORT
@EFFORT
@TIMEOUT
@ROI
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
    effort: int,
    timeout: float,
    roi: Path | None,
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
        from vaecodec.picture_reader import picture_from_file, read_picture

        check_output(source, target, force)
        with open_input(source) as file, naming(source):
            picture = picture_from_file(file, max_pixels, page)
            bytes_in = file.tell() if is_pipe(source) else source.stat().st_size
        say_notes(source, picture.notes)
        picture = picture.without_metadata(METADATA_KINDS if "all" in strip else strip)

        from vaecodec.pipeline import EncodeOptions, encode_picture, level_of_quality

        alpha_level = None if alpha_quality is None else level_of_quality(alpha_quality)
        level = level_of_quality(quality)
        mask = None if roi is None else read_picture(roi, max_pixels).pixels
        with naming(source), Progress("refining", quiet or single is None) as progress:
            options = EncodeOptions(level, alpha_level, passphrase, effort, timeout, progress, mask)
            if targets:
                data, reached = encode_to_wish(picture, load(), options, targets, best_effort)
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
