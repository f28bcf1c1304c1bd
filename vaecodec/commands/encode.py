"""The `vaecodec encode` command."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.batch import ManyFiles, many_files, run_many, single_target
from vaecodec.cli.messages import FileReport, Voice, reporting
from vaecodec.cli.options import (
    BEST_EFFORT,
    EFFORT,
    EPILOG,
    FORCE,
    INPUTS,
    LIMIT,
    OUTPUT,
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
)
from vaecodec.cli.passphrase import PASSPHRASE_FILE, read_passphrase
from vaecodec.cli.progress import Progress
from vaecodec.cli.streams import check_output, is_pipe, naming, open_input, write_output
from vaecodec.codec.quality import level_of_quality
from vaecodec.errors import UsageError
from vaecodec.format.container import METADATA_TYPES

if TYPE_CHECKING:
    from vaecodec.inference.loading import ModelLoader
    from vaecodec.inference.model import Model
    from vaecodec.picture.picture import Picture

METADATA_KINDS = tuple(METADATA_TYPES)


@click.command(epilog=EPILOG)
@INPUTS
@OUTPUT
@QUALITY
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
    **settings: Any,
) -> None:
    """Encode pictures: IN to OUT (IN's name with .vae by default), or many into the folder OUT.

    `-` is standard input or output.
    """
    kinds = {"size": target_size, "bpp": target_bpp, "psnr": target_psnr, "ms-ssim": target_ms_ssim}
    kinds["ssimulacra2"] = target_ssimulacra2
    targets = {kind: value for kind, value in kinds.items() if value is not None}
    if len(targets) > 1:
        raise UsageError("give one target only")
    single = single_target(sources, output, ".vae")
    passphrase = read_passphrase(passphrase_file, ask=True, confirm=True) if encrypt else None
    if encrypt and passphrase is None:
        raise UsageError("--encrypt needs --passphrase-file FILE or VAECODEC_PASSPHRASE")

    loader = choice.loader()
    shown = single is not None and not (voice.quiet or voice.as_json)
    work = _Encoding(loader, targets, passphrase, shown, **settings)
    if single is not None:
        voice.work_on_one(work, sources[0], single)
        return

    from vaecodec.picture.reader import is_picture_name

    many = ManyFiles(sources, output, ".vae", is_picture_name, recursive, skip_existing)
    run_many(many, work, loader, voice, jobs, on_error)


@dataclass(frozen=True)
class _Encoding:
    """What is done to each picture; fields as the options of `encode`.

    `targets`: at most one, by kind; `shown`: whether progress is.
    """

    loader: "ModelLoader"
    targets: dict[str, float]
    passphrase: bytes | None
    shown: bool
    quality: float
    best_effort: bool
    effort: int
    timeout: float
    roi: Path | None
    alpha_quality: float | None
    strip: tuple[str, ...]
    page: int | None
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
        report.describe_file(data, model, bytes_in, len(data))
        height, width = picture.pixels.shape[:2]
        rate = f"{8 * len(data) / (height * width):.3f} bpp, {picture.size_bytes / len(data):.1f}:1"
        report.text = f"{len(data)} bytes, {rate}{reached}"
        return report

    def _read(self, source: Path, report: FileReport) -> "tuple[Picture, int]":
        """The picture without what is stripped, and the bytes of its file."""
        from vaecodec.picture.reader import picture_from_file

        with open_input(source) as file, naming(source), report.timing("read"):
            picture = picture_from_file(file, self.max_pixels, self.page)
            bytes_in = file.tell() if is_pipe(source) else source.stat().st_size
        report.note(source, picture.notes)
        kinds = METADATA_KINDS if "all" in self.strip else self.strip
        return picture.without_metadata(kinds), bytes_in

    def _encode(self, picture: "Picture", model: "Model") -> tuple[bytes, str]:
        """The file, and what is said of the target that it meets."""
        from vaecodec.codec.encoder import EncodeOptions, encode_picture
        from vaecodec.codec.targets import encode_to_targets
        from vaecodec.picture.reader import read_picture

        alpha_level = None if self.alpha_quality is None else level_of_quality(self.alpha_quality)
        level = level_of_quality(self.quality, self.effort)
        mask = None if self.roi is None else read_picture(self.roi, self.max_pixels).pixels
        with Progress(self.shown) as progress:

            def refined(share: float) -> None:
                progress.show(share, f"{100 * share:.0f} % refined, {progress.left(share)}")

            options = EncodeOptions(
                level, alpha_level, self.passphrase, self.effort, self.timeout, refined, mask
            )
            if self.targets:
                return encode_to_targets(picture, model, options, self.targets, self.best_effort)
            return encode_picture(picture, model, options), ""
