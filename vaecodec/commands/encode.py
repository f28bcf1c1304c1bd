"""The `vaecodec encode` command."""

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
    read_passphrase,
    write_output,
)
from vaecodec.cli.messages import Report, Voice, reporting
from vaecodec.cli.wishes import (
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
from vaecodec.format.container import METADATA_TYPES
from vaecodec.errors import UsageError
from vaecodec.codec.quality import level_of_quality

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
@reporting
@choosing_model
@LIMIT
@many_files
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
    voice: Voice,
    choice: ModelChoice,
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

    loader = choice.loader()

    def work(source: Path, target: Path) -> Report:
        from vaecodec.picture.reader import picture_from_file, read_picture

        check_output(source, target, force)
        report = Report(source, target)
        with open_input(source) as file, naming(source), report.timing("read"):
            picture = picture_from_file(file, max_pixels, page)
            bytes_in = file.tell() if is_pipe(source) else source.stat().st_size
        mask = None if roi is None else read_picture(roi, max_pixels).pixels
        report.note(source, picture.notes)
        picture = picture.without_metadata(METADATA_KINDS if "all" in strip else strip)

        from vaecodec.codec.decoder import EncodeOptions, encode_picture

        alpha_level = None if alpha_quality is None else level_of_quality(alpha_quality)
        level = level_of_quality(quality, effort)
        with report.timing("load"):
            loaded = loader.load()
        shown = single is not None and not (voice.quiet or voice.as_json)
        with naming(source), report.timing("encode"), Progress("refining", shown) as progress:
            options = EncodeOptions(level, alpha_level, passphrase, effort, timeout, progress, mask)
            if targets:
                data, reached = encode_to_wish(picture, loaded, options, targets, best_effort)
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

    from vaecodec.picture.reader import is_picture_name

    run_many(sources, output, ".vae", is_picture_name, work, loader, voice, **many)
