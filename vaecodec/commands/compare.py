"""The `vaecodec compare` command."""

from typing import TYPE_CHECKING

import click

from vaecodec.batch.report import FileReport
from vaecodec.cli.faults import EPILOG
from vaecodec.cli.messages import Voice, reporting
from vaecodec.cli.options import (
    FORCE,
    LIMIT,
    OUTPUT,
    PATH,
    ModelChoice,
    choosing_model,
    tuning,
)
from vaecodec.cli.param_types import NumberType, RegionType, SizeType
from vaecodec.cli.progress import Progress
from vaecodec.codec.quality import scale_of
from vaecodec.errors import UsageError
from vaecodec.places import Place
from vaecodec.streams import check_output, is_pipe, naming, open_input, write_output

if TYPE_CHECKING:
    from vaecodec.codec.tiling import Region
    from vaecodec.evaluation.comparison_page import Original
    from vaecodec.evaluation.reference_codecs import AnyReferenceCodec


@click.command(epilog=EPILOG)
@click.argument("source", metavar="PHOTO", type=PATH)
@click.option(
    "--against",
    metavar="CODECS",
    default="avif",
    show_default=True,
    help="One or several, as avif,jxl: what eval knows (jpeg, webp, avif, jxl, jpeg2000, ...).",
)
@click.option(
    "-q",
    "--quality",
    type=NumberType(0, 100),
    default=None,
    help="Of vaecodec, as of encode; adjusted where the other codec cannot come to that size.",
)
@click.option(
    "--target-size",
    type=SizeType(),
    default=None,
    help="Size of the files, as near as the other codecs come: 50kB, 90000.",
)
@click.option(
    "--crop",
    type=RegionType(),
    default=None,
    help="Compare only this part of the photo, in pixels.",
)
@OUTPUT
@FORCE
@reporting
@choosing_model
@tuning
@LIMIT
def compare(
    source: Place,
    against: str,
    quality: float | None,
    target_size: float | None,
    crop: "Region | None",
    output: Place | None,
    force: bool,
    voice: Voice,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Write a page that shows a photo by vaecodec and other codecs.

    All at the same file size. The page is one HTML file with all in it (PHOTO's name with
    .compare.html by default). Of photos over 2 megapixels the middle is compared, or what --crop
    names.
    """
    if is_pipe(source) and (output is None or output.is_dir()):
        raise UsageError("a photo from standard input needs -o FILE")
    target = output or source.with_suffix(".compare.html")
    if target.is_dir():
        target /= source.with_suffix(".compare.html").name
    check_output(source, target, force)

    from vaecodec.evaluation.comparison import show_all
    from vaecodec.evaluation.comparison_page import render

    codecs = _codecs(against)

    def work() -> FileReport:
        report = FileReport(source, target)
        with naming(source):
            original = _read_part(source, crop, max_pixels, report)
            loaded = choice.load()
            level = scale_of(loaded).level(quality)
            with Progress(voice.shows_progress) as progress, report.timing("compare"):
                shown = show_all(
                    original.pixels, loaded, codecs, level, target_size, progress.show_share
                )
        page = render(original, shown).encode("utf-8")
        write_output(target, lambda file: file.write(page), force)
        report.describe_model(loaded)
        for key, one in zip(["vaecodec", *(codec.name for codec in codecs)], shown, strict=True):
            figures = {name.replace("-", "_"): value for name, value in one.figures.items()}
            report.facts[key] = {"bytes": one.size_bytes, "quality": one.quality, **figures}
        report.text = ", ".join(
            f"{one.name} {one.size_bytes} bytes, SSIMULACRA 2 {one.figures['ssimulacra2']:.1f}"
            for one in shown
        )
        return report

    voice.work_on_one(work, source, target)


def _codecs(text: str) -> "list[AnyReferenceCodec]":
    """The codecs of a list of names. Raises UsageError."""
    from vaecodec.evaluation.reference_codecs import (
        REFERENCE_CODECS,
        named_in,
        reference_codec,
    )

    codecs = [reference_codec(name, "--against") for name in named_in(text)]
    if not codecs:
        raise UsageError(f"--against: name at least one of {', '.join(REFERENCE_CODECS)}")
    return codecs


def _read_part(
    source: Place, crop: "Region | None", max_pixels: int, report: FileReport
) -> "Original":
    """The photo and the part of it to compare; notes what was left out."""
    from vaecodec.evaluation.comparison_page import Original
    from vaecodec.picture.reader import picture_from_file

    with open_input(source) as file:
        picture = picture_from_file(file, max_pixels)
        file_bytes = file.tell()
    name = "picture" if is_pipe(source) else source.name
    original = Original.of(picture, name, file_bytes, crop)
    notes = list(picture.notes)
    if picture.alpha is not None:
        notes.append("transparency is left out")
    if original.part and crop is None:
        middle = original.part[original.part.index("(") + 1 : original.part.index(")")]
        notes.append(f"compared in its middle, {middle}; --crop chooses another part")
    report.note(source, notes)
    return original
