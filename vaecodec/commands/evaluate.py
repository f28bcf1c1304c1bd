"""The `vaecodec eval` command: options, progress, and the table that it ends with."""

import signal
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaecodec.cli.batch import JOBS
from vaecodec.cli.options import EPILOG, MODEL, PATH, QUIET, say_fault
from vaecodec.cli.messages import StatusLine
from vaecodec.cores import available_cores
from vaecodec.errors import FormatError, UsageError, VaecodecError

if TYPE_CHECKING:
    from vaecodec.evaluation.measure import Codec, Job, Source
    from vaecodec.evaluation.report import Report

DEFAULT_CODECS = "jpeg,webp,avif,avif-psnr,jxl,jpeg2000"


@click.command("eval", epilog=EPILOG)
@click.argument("folder", type=PATH)
@click.option(
    "--codecs",
    default=DEFAULT_CODECS,
    show_default=True,
    help="Codecs to compare with; also cjxl and avifenc, where installed.",
)
@click.option("--metrics", default="psnr,ms-ssim", show_default=True, help="Measures of quality.")
@click.option(
    "-o",
    "--output",
    metavar="REPORT",
    type=PATH,
    help="Folder for the report (default: FOLDER's name.report).",
)
@click.option(
    "--published",
    type=click.Choice(["kodak"]),
    help="Add points that others published for these pictures.",
)
@MODEL
@JOBS
@QUIET
def evaluate(
    folder: Path,
    codecs: str,
    metrics: str,
    output: Path | None,
    published: str | None,
    model: Path | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Compare vaecodec with other codecs on the pictures under FOLDER.

    Real files at all qualities; writes curves, BD-rates and times to REPORT/report.html. Stopped
    with Ctrl-C, the same command continues.
    """
    _check_extra()
    from vaecodec.evaluation.measure import plan_jobs
    from vaecodec.evaluation.published import read_published
    from vaecodec.evaluation.report import make_report, open_folder, write_report

    chosen = _codecs(codecs, model, explicit=codecs != DEFAULT_CODECS)
    names = _metrics(metrics)
    sources, faults = _pictures(folder, published)
    output = output or Path(f"{folder.resolve().name}.report")
    planned = plan_jobs(sources, chosen, names, output)
    open_folder(output)
    workers = min(jobs or available_cores(), len(planned))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as Ctrl-C does
    try:
        complete = _measure(planned, chosen, workers, quiet)
        points = read_published(published) if published else None
        report = make_report(folder.resolve().name, complete, chosen, points, workers)
        page = write_report(report, output)
    except KeyboardInterrupt:
        click.echo("stopped; what was measured is kept, the same command continues", err=True)
        sys.exit(130)
    if not quiet:
        _print_table(report)
        click.echo(f"{page}: written")
    if faults or len(complete) < len(planned):
        sys.exit(1)


def _pictures(folder: Path, published: str | None) -> "tuple[list[Source], list[str]]":
    """The pictures to measure with; what cannot be used is said, too. Raises UsageError."""
    from vaecodec.evaluation.measure import find_pictures
    from vaecodec.evaluation.published import is_of

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
        raise UsageError(f"eval needs {' and '.join(missing)}; pip install 'vaecodec[eval]'")


def _codecs(text: str, model: Path | None, explicit: bool) -> "list[Codec]":
    """vaecodec and those named; of the default ones that are not installed a line is said."""
    from vaecodec.evaluation.measure import OwnCodec
    from vaecodec.evaluation.reference_codecs import PEERS

    chosen: list[Codec] = [OwnCodec(model)]
    for name in dict.fromkeys(part.strip() for part in text.split(",") if part.strip()):
        if name not in PEERS:
            raise UsageError(f"--codecs {name}: unknown; there are {', '.join(PEERS)}")
        if PEERS[name].available():
            chosen.append(PEERS[name])
        elif explicit:
            raise UsageError(f"--codecs {name}: not installed; {PEERS[name].hint}")
        else:
            click.echo(f"vaecodec: {name}: not installed, left out; {PEERS[name].hint}", err=True)
    return chosen


def _metrics(text: str) -> tuple[str, ...]:
    from vaecodec.evaluation.measure import METRICS

    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in METRICS:
            raise UsageError(f"--metrics {name}: unknown; there are {', '.join(METRICS)}")
    if not names:
        raise UsageError(f"--metrics: name at least one of {', '.join(METRICS)}")
    return names


def _measure(planned: "list[Job]", codecs: "list[Codec]", workers: int, quiet: bool) -> "list[Job]":
    """Do what is missing; returns the jobs of the pictures that all codecs could do."""
    from vaecodec.evaluation.measure import measure

    todo = _unfinished(planned, codecs)
    progress = _Progress(len(todo), len(planned), quiet)
    failed = set()
    if todo:
        with closing(measure(todo, codecs, min(workers, len(todo)))) as outcomes:
            try:
                for outcome in outcomes:
                    if outcome.fault is not None:
                        failed.add(outcome.job.source.name)
                    progress.add(outcome.job, outcome.fault)
            finally:
                progress.clear()
    complete = [job for job in planned if job.source.name not in failed]
    if not complete:
        raise VaecodecError("no picture was measured with all codecs")
    return complete


def _unfinished(planned: "list[Job]", codecs: "list[Codec]") -> "list[Job]":
    from vaecodec.evaluation.measure import missing_qualities, read_record

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


class _Progress:
    """One line kept up to date on a terminal, elsewhere one for every twentieth part; faults."""

    def __init__(self, todo: int, planned: int, quiet: bool):
        self.todo, self.quiet, self.done = todo, quiet, 0
        self.status = StatusLine(not quiet)
        self.started = time.monotonic()
        if todo < planned and not quiet:
            click.echo(f"{planned - todo} of {planned} ladders are measured already", err=True)

    def add(self, job: "Job", fault: str | None) -> None:
        self.done += 1
        if fault is not None:
            self.clear()
            say_fault(f"{fault}; the picture is left out")
        share = self.done / self.todo
        left = (time.monotonic() - self.started) * (1 - share) / share
        text = f"{self.done} of {self.todo} ladders, {100 * share:.0f} %, {_duration(left)} left"
        bar = "#" * round(20 * share)
        self.status.show(f"[{bar:<20}] {text}")
        if self.status.shown or self.quiet:
            return
        if self.done * 20 // self.todo > (self.done - 1) * 20 // self.todo:
            click.echo(text, err=True)

    def clear(self) -> None:
        self.status.clear()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _print_table(report: "Report") -> None:
    from vaecodec.evaluation.measure import METRICS

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
