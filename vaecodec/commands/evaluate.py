"""The `vaecodec eval` command: options, progress, and the table that it ends with."""

import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaecodec.cli.batch import JOBS
from vaecodec.cli.faults import EPILOG, say_fault
from vaecodec.cli.options import LOCAL_PATH, QUIET
from vaecodec.cli.progress import Progress
from vaecodec.cores import available_cores
from vaecodec.errors import FormatError, UsageError, VaecodecError
from vaecodec.signals import handled

if TYPE_CHECKING:
    from vaecodec.evaluation.own_codec import OwnCodec
    from vaecodec.evaluation.records import EvaluatedPicture, LadderJob, MeasuredCodec
    from vaecodec.evaluation.reference_codecs import AnyReferenceCodec
    from vaecodec.evaluation.results import EvaluationReport

DEFAULT_CODECS = "jpeg,jpegli,webp,avif,avif-420,avif-psnr,jxl"


@click.command("eval", epilog=EPILOG)
@click.argument("folder", type=LOCAL_PATH)
@click.option(
    "--codecs",
    default=DEFAULT_CODECS,
    show_default=True,
    help="Codecs to compare with; also jpeg2000, and cjxl and avifenc, where installed.",
)
@click.option(
    "--metrics",
    default="ssimulacra2,ms-ssim,psnr",
    show_default=True,
    help="Measures of quality, the first leads; also butteraugli and cvvdp, where installed.",
)
@click.option(
    "-o",
    "--output",
    metavar="REPORT",
    type=LOCAL_PATH,
    help="Folder for the report (default: FOLDER's name.report).",
)
@click.option(
    "--published",
    type=click.Choice(["kodak"]),
    help="Add points that others published for these pictures.",
)
@click.option(
    "--pages",
    metavar="CODECS",
    default="",
    help="Also make a page for each picture to compare it with these by eye, as avif,jxl.",
)
@click.option(
    "--model", metavar="PATH", type=LOCAL_PATH, help="Weight file instead of one that ships."
)
@JOBS
@QUIET
def evaluate(
    folder: Path,
    codecs: str,
    metrics: str,
    output: Path | None,
    published: str | None,
    pages: str,
    model: Path | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Measure vaecodec and other codecs on a folder of pictures.

    Real files at all qualities; writes curves, BD-rates and times to REPORT/report.html. Stopped
    with Ctrl-C, the same command continues.
    """
    _check_extra()
    from vaecodec.evaluation.published import read_published
    from vaecodec.evaluation.records import plan_jobs
    from vaecodec.evaluation.report import open_folder, write_report
    from vaecodec.evaluation.results import make_report

    chosen = _codecs(codecs, model, explicit=codecs != DEFAULT_CODECS)
    names, shown = _metrics(metrics), _codecs(pages, model, explicit=True, option="--pages")
    sources, faults = _pictures(folder, published)
    output = output or Path(f"{folder.resolve().name}.report")
    planned = plan_jobs(sources, chosen, names, output)
    open_folder(output)
    workers = min(jobs or available_cores(), len(planned))
    try:
        with handled(signal.default_int_handler, signal.SIGTERM):  # stops as Ctrl-C does
            complete = _measure(planned, chosen, workers, quiet)
            points = read_published(published) if published else None
            report = make_report(folder.resolve().name, complete, chosen, points, workers)
            links = _pages(report.sources, shown, output, quiet) if len(shown) > 1 else {}
            page = write_report(report, output, links)
    except KeyboardInterrupt:
        click.echo("stopped; what was measured is kept, the same command continues", err=True)
        sys.exit(130)
    if not quiet:
        _print_table(report)
        click.echo(f"{page}: written")
    if faults or len(complete) < len(planned):
        sys.exit(1)


def _pictures(folder: Path, published: str | None) -> "tuple[list[EvaluatedPicture], list[str]]":
    """The pictures to measure with; what cannot be used is said, too. Raises UsageError."""
    from vaecodec.evaluation.published import is_of
    from vaecodec.evaluation.records import find_pictures

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder of pictures")
    sources, faults = find_pictures(folder)
    for fault in faults:
        say_fault(fault)
    if not sources:
        raise UsageError(f"{folder}: no picture that can be used")
    if published and not is_of(published, [source.size for source in sources]):
        raise UsageError(f"{folder}: is not the 24 pictures that --published {published} is of")
    return sources, faults


def _check_extra() -> None:
    missing = [name for name in ("matplotlib", "scipy") if find_spec(name) is None]
    if missing:
        raise UsageError(f"eval needs {' and '.join(missing)}; pip install '.[eval]'")


def _codecs(
    text: str, model: Path | None, explicit: bool, option: str = "--codecs"
) -> "list[OwnCodec | AnyReferenceCodec]":
    """vaecodec and those named; of the default ones that are not installed a line is said."""
    from vaecodec.evaluation.own_codec import OwnCodec
    from vaecodec.evaluation.reference_codecs import (
        REFERENCE_CODECS,
        named_in,
        reference_codec,
    )

    chosen: list[OwnCodec | AnyReferenceCodec] = [OwnCodec(model)]
    for name in named_in(text):
        if explicit or REFERENCE_CODECS[name].available():
            chosen.append(reference_codec(name, option))
        else:
            hint = REFERENCE_CODECS[name].hint
            click.echo(f"vaecodec: {name}: not installed, left out; {hint}", err=True)
    return chosen


def _metrics(text: str) -> tuple[str, ...]:
    from vaecodec.evaluation.reference_codecs import named_in
    from vaecodec.metrics.distortion import METRICS

    names = tuple(named_in(text))
    for name in names:
        if name not in METRICS:
            raise UsageError(f"--metrics {name}: unknown; there are {', '.join(METRICS)}")
        if hint := METRICS[name].missing():
            raise UsageError(f"--metrics {name}: not installed; {hint}")
    if not names:
        raise UsageError(f"--metrics: name at least one of {', '.join(METRICS)}")
    return names


def _measure(
    planned: "list[LadderJob]", codecs: "Sequence[MeasuredCodec]", workers: int, quiet: bool
) -> "list[LadderJob]":
    """Do what is missing; returns the jobs of the pictures that all codecs could do."""
    from vaecodec.evaluation.measure import measure

    todo = _unfinished(planned, codecs)
    if len(todo) < len(planned) and not quiet:
        ready = len(planned) - len(todo)
        click.echo(f"{ready} of {len(planned)} ladders are measured already", err=True)
    failed = set()
    if todo:
        outcomes = measure(todo, codecs, min(workers, len(todo)))
        with closing(outcomes), Progress(not quiet, in_logs=True) as progress:
            for number, outcome in enumerate(outcomes, 1):
                if outcome.fault is not None:
                    failed.add(outcome.job.source.name)
                    progress.clear()
                    say_fault(f"{outcome.fault}; the picture is left out")
                share = number / len(todo)
                text = f"{number} of {len(todo)} ladders, {100 * share:.0f} %"
                progress.show(share, f"{text}, {progress.left(share)}")
    complete = [job for job in planned if job.source.name not in failed]
    if not complete:
        raise VaecodecError("no picture was measured with all codecs")
    return complete


def _pages(
    sources: "list[EvaluatedPicture]",
    codecs: "list[OwnCodec | AnyReferenceCodec]",
    output: Path,
    quiet: bool,
) -> dict[str, str]:
    """Comparison pages of all pictures, by name; what is there already stays."""
    from vaecodec.evaluation.own_codec import OwnCodec
    from vaecodec.evaluation.picture_pages import write_pages

    own = next(codec for codec in codecs if isinstance(codec, OwnCodec))
    others = [codec for codec in codecs if not isinstance(codec, OwnCodec)]
    links = {}
    with Progress(not quiet, in_logs=True) as progress:
        for name, address in write_pages(sources, own, others, output):
            links[name] = address
            share = len(links) / len(sources)
            progress.show(share, f"{len(links)} of {len(sources)} pages, {progress.left(share)}")
    return links


def _unfinished(planned: "list[LadderJob]", codecs: "Sequence[MeasuredCodec]") -> "list[LadderJob]":
    from vaecodec.evaluation.records import missing_qualities, read_record

    ladders = {codec.name: codec.ladder for codec in codecs}
    todo = []
    for job in planned:
        try:
            points = read_record(job)
        except FormatError as error:
            say_fault(f"{error}; measured again")
            points = []
        if missing_qualities(job, ladders[job.codec], points):
            todo.append(job)
    return todo


def _print_table(report: "EvaluationReport") -> None:
    from vaecodec.metrics.distortion import METRICS

    click.echo(f"{len(report.sources)} pictures, {report.own.version}")
    click.echo("BD-rate in percent (95 % of bootstrap samples); mean over pictures")
    for metric in report.metrics:
        click.echo(f"{METRICS[metric].title} against")
        for other in report.others:
            c = report.comparisons[other.name, metric]
            spread = (
                "" if c.interval is None else f" ({c.interval[0]:+.1f} to {c.interval[1]:+.1f})"
            )
            mean = f"{_percent(c.of_means)}{spread}"
            click.echo(f"  {other.title:<48} {mean:<26} {_percent(c.mean_of_each)}")
    for codec, rate in report.published_rates.items():
        click.echo(f"  {f'{codec}, PSNR, published':<48} {_percent(rate)}")


def _percent(value: float | None) -> str:
    return "no common range" if value is None else f"{value:+.1f}"
