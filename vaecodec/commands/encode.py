"""The `vaecodec encode` command."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.batch import ManyFiles, many_files, run_many, single_target
from vaecodec.cli.faults import EPILOG
from vaecodec.cli.messages import FileReport, Voice, lossless_words, reporting
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
from vaecodec.cli.streams import check_output, copy_times, is_pipe, naming, open_input, write_output
from vaecodec.codec.quality import scale_of
from vaecodec.errors import UsageError
from vaecodec.format.container import MAGIC, METADATA_TYPES

if TYPE_CHECKING:
    from vaecodec.inference.loading import ModelLoader
    from vaecodec.inference.model import Model
    from vaecodec.picture.picture import Picture

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
    sources: tuple[Path, ...],
    output: Path | None,
    encrypt: bool,
    passphrase_file: Path | None,
    voice: Voice,
    choice: ModelChoice,
    recursive: bool,
    jobs: int | None,
    skip_existing: bool,
    on_error: str,
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
    from vaecodec.codec.targets import one_target
    from vaecodec.picture.reader import hint_for, is_picture_name

    target = one_target(target_size, target_bpp, target_psnr, target_ms_ssim, target_ssimulacra2)
    if target is not None and quality is not None:
        raise UsageError("give -q or a target, not both")
    if settings["lossless"] and (target is not None or quality is not None):
        raise UsageError("--lossless has one quality; leave out -q and targets")
    single = single_target(sources, output, ".vae", is_picture_name)
    encrypt = encrypt or passphrase_file is not None  # who names a passphrase wants it used
    passphrase = read_passphrase(passphrase_file, ask=True, confirm=True) if encrypt else None
    if encrypt and passphrase is None:
        raise UsageError("--encrypt needs --passphrase-file FILE or VAECODEC_PASSPHRASE")

    loader = choice.loader()
    shown = single is not None and voice.shows_progress
    work = _Encoding(loader, target, passphrase, shown, quality, **settings)
    if single is not None:
        voice.work_on_one(work, sources[0], single)
        return
    many = ManyFiles(sources, output, ".vae", is_picture_name, recursive, skip_existing, hint_for)
    run_many(many, work, loader, voice, jobs, on_error)


@dataclass(frozen=True)
class _Encoding:
    """What is done to each picture; fields as the options of `encode`.

    `target`: kind and value, if there is one; `shown`: whether progress is.
    """

    loader: "ModelLoader"
    target: tuple[str, float] | None
    passphrase: bytes | None
    shown: bool
    quality: float | None
    lossless: bool
    best_effort: bool
    effort: int
    timeout: float
    roi: Path | None
    alpha_quality: float | None
    strip: tuple[str, ...]
    page: int | None
    preserve: bool
    force: bool
    max_pixels: int

    def __call__(self, source: Path, target: Path) -> FileReport:
        check_output(source, target, self.force)
        report = FileReport(source, target)
        picture, bytes_in = self._read(source, report)
        with report.timing("load"):
            model = self.loader.load()
        with naming(source), report.timing("encode"):
            data, reached = self._encode(picture, model)
        with report.timing("write"):
            write_output(target, lambda file: file.write(data), self.force)
            if self.preserve:
                copy_times(source, target)
        report.describe_file(data, model, bytes_in, len(data))
        height, width = picture.pixels.shape[:2]
        rate = f"{8 * len(data) / (height * width):.3f} bpp, {picture.size_bytes / len(data):.1f}:1"
        kinds = lossless_words(report.facts["lossless_slices"], report.facts["slices"])
        report.text = f"{len(data)} bytes, {rate}{reached}{kinds}"
        return report

    def _read(self, source: Path, report: FileReport) -> "tuple[Picture, int]":
        """The picture without what is stripped, and the bytes of its file."""
        from vaecodec.picture.reader import picture_from_file

        with open_input(source) as file, naming(source), report.timing("read"):
            if file.read(len(MAGIC)) == MAGIC:
                raise UsageError("is a .vae file already; vaecodec decode makes a picture of it")
            file.seek(0)
            picture = picture_from_file(file, self.max_pixels, self.page)
            bytes_in = file.tell() if is_pipe(source) else source.stat().st_size
        report.note(source, picture.notes)
        kinds = METADATA_KINDS if "all" in self.strip else self.strip
        return picture.without_metadata(kinds), bytes_in

    def _encode(self, picture: "Picture", model: "Model") -> tuple[bytes, str]:
        """The file, and what is said of the target that it meets."""
        from vaecodec.codec.encoder import EncodeOptions, encode_picture
        from vaecodec.codec.targets import meet_target
        from vaecodec.picture.reader import read_picture

        scale = scale_of(model)
        alpha_level = None if self.alpha_quality is None else scale.level(self.alpha_quality)
        quality = scale.default if self.quality is None else self.quality
        level = scale.level(quality, self.effort)
        mask = None if self.roi is None else read_picture(self.roi, self.max_pixels).pixels
        with Progress(self.shown) as progress:
            options = EncodeOptions(
                level,
                alpha_level,
                self.passphrase,
                self.effort,
                self.timeout,
                progress.show_share,
                mask,
                self.lossless,
            )
            if self.target is not None:
                return meet_target(picture, model, options, self.target, self.best_effort)
            return encode_picture(picture, model, options), ""
