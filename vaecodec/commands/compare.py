"""The `vaecodec compare` command."""

import math
from pathlib import Path

import click

from vaecodec.cli.messages import FileReport, Voice, reporting
from vaecodec.cli.options import EPILOG, FORCE, LIMIT, OUTPUT, PATH, ModelChoice, choosing_model
from vaecodec.cli.param_types import RegionType, SizeType
from vaecodec.cli.streams import check_output, is_pipe, naming, open_input, write_output
from vaecodec.codec.quality import DEFAULT_QUALITY, level_of_quality
from vaecodec.errors import UsageError


@click.command(epilog=EPILOG)
@click.argument("source", metavar="PHOTO", type=PATH)
@click.option(
    "--against",
    metavar="CODEC",
    default="avif",
    show_default=True,
    help="jpeg, webp, avif, avif-psnr, jxl, jpeg2000, or cjxl or avifenc where installed.",
)
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=DEFAULT_QUALITY,
    show_default=True,
    help="Of vaecodec, about; adjusted where the other codec cannot come to that size.",
)
@click.option(
    "--target-size",
    type=SizeType(),
    default=None,
    help="Size of both files, as near as the other codec comes: 50kB, 90000.",
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
@LIMIT
def compare(
    source: Path,
    against: str,
    quality: float,
    target_size: float | None,
    crop,
    output: Path | None,
    force: bool,
    voice: Voice,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Write a page that shows PHOTO by vaecodec and by another codec at the same file size.

    The page is one HTML file with all in it (PHOTO's name with .compare.html by default). Of photos
    over 2 megapixels the middle is compared, or what --crop names.
    """
    if is_pipe(source) and (output is None or output.is_dir()):
        raise UsageError("a photo from standard input needs -o FILE")
    target = output or source.with_suffix(".compare.html")
    if target.is_dir():
        target /= source.with_suffix(".compare.html").name
    check_output(source, target, force)

    from vaecodec.evaluation.comparison import show_both
    from vaecodec.evaluation.comparison_page import render
    from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS

    codec = REFERENCE_CODECS.get(against)
    if codec is None:
        raise UsageError(f"--against {against}: unknown; there are {', '.join(REFERENCE_CODECS)}")
    if not codec.available():
        raise UsageError(f"--against {against}: not installed; {codec.hint}")

    def work(source: Path, target: Path) -> FileReport:
        report = FileReport(source, target)
        with naming(source):
            pixels, part, icc = _read_part(source, crop, max_pixels, report)
            loaded = choice.load()
            level = level_of_quality(quality)
            with report.timing("compare"):
                own, other = show_both(pixels, loaded, codec, level, target_size)
        name = "picture" if is_pipe(source) else source.name
        page = render(name, pixels, (own, other), part, icc).encode("utf-8")
        write_output(target, lambda file: file.write(page), force)
        report.describe_model(loaded)
        for key, one in (("vaecodec", own), (codec.name, other)):
            psnr = one.psnr_db if math.isfinite(one.psnr_db) else None
            measured = {"psnr": psnr, "ms_ssim": one.ms_ssim}
            report.facts[key] = {"bytes": one.size_bytes, "quality": one.quality, **measured}
        facts = (f"{one.name} {one.size_bytes} bytes {one.psnr_db:.2f} dB" for one in (own, other))
        report.text = ", ".join(facts)
        return report

    voice.work_on_one(work, source, target)


def _read_part(source: Path, crop, max_pixels: int, report: FileReport):
    """The part to compare as uint8 `[H, W, 3]`, words for it, and the ICC profile; notes what was
    left out."""
    import numpy as np

    from vaecodec.evaluation.comparison import MAX_SHOWN_PIXELS, central_region
    from vaecodec.picture.reader import picture_from_file

    with open_input(source) as file:
        picture = picture_from_file(file, max_pixels)
    notes = list(picture.notes)
    if picture.alpha is not None:
        notes.append("transparency is left out")
    pixels, icc = picture.in_8_bits().pixels, picture.metadata.get("icc")
    if pixels.ndim == 2:
        pixels, icc = np.repeat(pixels[:, :, None], 3, axis=2), None  # its profile is one of grey
    height, width = pixels.shape[:2]
    region = crop or central_region(width, height)
    if not region.fits(width, height):
        raise UsageError(f"--crop {region} is not inside {width}x{height}")
    if region.width * region.height > MAX_SHOWN_PIXELS:
        raise UsageError(f"--crop {region} is over the {MAX_SHOWN_PIXELS} pixels of a page")
    part = ""
    if (region.width, region.height) != (width, height):
        part = f" ({region}) of {width} \u00d7 {height}"
        if crop is None:
            notes.append(f"compared in its middle, {region}; --crop chooses another part")
    report.note(source, notes)
    return np.ascontiguousarray(pixels[region.rows, region.columns]), part, icc
