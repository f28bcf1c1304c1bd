"""What `encode` and `decode` share for many files: options, progress and the summary."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.jobs import FileOutcome, plan, run, with_suffix
from vaecodec.cli.messages import FileReport, Voice
from vaecodec.cli.progress import Progress
from vaecodec.cli.streams import is_pipe, refuse_address
from vaecodec.errors import UsageError
from vaecodec.signals import STOPPING, handled

if TYPE_CHECKING:
    from vaecodec.inference.loading import ModelLoader

RECURSIVE = click.option(
    "-r", "--recursive", is_flag=True, help="Take folders with all below them."
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="Files at a time (default: one a core).",
)
SKIP_EXISTING = click.option(
    "--skip-existing", is_flag=True, help="Pass over files whose output is already there."
)
ON_ERROR = click.option(
    "--on-error",
    type=click.Choice(["continue", "stop"]),
    default="continue",
    show_default=True,
    help="What to do after a file that failed, of many.",
)


def many_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options of `ManyFiles` and `run_many`."""
    return RECURSIVE(JOBS(SKIP_EXISTING(ON_ERROR(command))))


def single_target(
    sources: tuple[Path, ...], output: Path | None, suffix: str, wanted: Callable[[Path], bool]
) -> Path | None:
    """The output where one file is asked for, None where many are; `suffix` and `wanted` as in
    `ManyFiles`. Raises UsageError."""
    for source in sources:
        refuse_address(source)
    several = len(sources) > 1 or sources[0].is_dir()
    if several and output is not None and output.suffix == suffix and not output.is_dir():
        raise UsageError(f"{output}: is the name of one file; many go into a folder")
    if output is not None and output not in sources and not output.is_dir() and wanted(output):
        raise UsageError(f"{output}: has the suffix of an input; this writes {suffix} files")
    if len(sources) > 1 or sources[0].is_dir() or (output is not None and output.is_dir()):
        if any(map(is_pipe, (*sources, *([output] if output else [])))):
            raise UsageError("standard input and output are for single files")
        return None
    if not is_pipe(sources[0]) and not sources[0].exists() and set("*?[") & set(str(sources[0])):
        return None
    if output is not None:
        return output
    return sources[0] if is_pipe(sources[0]) else with_suffix(sources[0], suffix, wanted)


@dataclass(frozen=True)
class ManyFiles:
    """Which files to work on, and where the results go.

    `sources`: files, folders and patterns; `output`: folder, None for beside the sources; `suffix`:
    of the results; `wanted`: whether a name is that of an input.
    """

    sources: tuple[Path, ...]
    output: Path | None
    suffix: str
    wanted: Callable[[Path], bool]
    recursive: bool
    skip_existing: bool


def run_many(
    many: ManyFiles,
    work: Callable[[Path, Path], FileReport],
    loader: "ModelLoader",
    voice: Voice,
    jobs: int | None,
    on_error: str,
) -> None:
    """Do `work` (source, target) for all files, `jobs` at a time; exits 1 if any failed."""
    planned = plan(many.sources, many.output, many.suffix, many.recursive, many.wanted)
    if not planned:
        named = ", ".join(map(str, many.sources))
        raise UsageError(f"{named}: directory without such files; -r takes all below it")
    workers = min(jobs or loader.workers, len(planned))
    loader.is_shared = workers > 1  # the files share the cores, so the slices of one do not
    tally = _Tally(len(planned), voice)
    interruption = _Interruption()
    with handled(interruption.note, *STOPPING):
        for outcome in run(
            planned,
            lambda job: work(job.source, job.target),
            workers,
            many.skip_existing,
            on_error == "stop",
            lambda: interruption.signal != 0,
        ):
            tally.add(outcome)
    if interruption.signal and tally.seen < len(planned):
        tally.summarise("interrupted; --skip-existing continues")
        sys.exit(128 + interruption.signal)
    tally.summarise("")
    sys.exit(1 if tally.failed or tally.seen < len(planned) else 0)


class _Interruption:
    """Takes Ctrl-C and a polite kill as a target to stop after the files being worked on.

    A second one ends the process at once.
    """

    def __init__(self) -> None:
        self.signal = 0

    def note(self, number: int, _: object) -> None:
        self.signal = number
        for every in STOPPING:
            signal.signal(every, signal.SIG_DFL)


class _Tally:
    """Counts outcomes; one line kept up to date on a terminal, faults and a summary everywhere."""

    def __init__(self, total: int, voice: Voice):
        self.total, self.voice = total, voice
        self.done = self.skipped = self.failed = self.bytes_in = self.bytes_out = 0
        self.progress = Progress(not voice.quiet)

    @property
    def seen(self) -> int:
        return self.done + self.skipped + self.failed

    def add(self, outcome: FileOutcome) -> None:
        if outcome.skipped:
            self.skipped += 1
            self.voice.say_skipped(outcome.job.source, outcome.job.target)
        else:
            self.progress.clear()
            self._add_worked(outcome)
        share = self.seen / self.total
        text = f"{self.seen} of {self.total} files, {self._sizes()}, {self.progress.left(share)}"
        self.progress.show(share, text)

    def _add_worked(self, outcome: FileOutcome) -> None:
        if outcome.fault is not None:
            self.failed += 1
            self.voice.say_fault(outcome.job.source, outcome.job.target, outcome.fault)
            return
        self.done += 1
        self.bytes_in += outcome.result.facts["bytes_in"]
        self.bytes_out += outcome.result.facts["bytes_out"]
        if self.voice.verbose or self.voice.as_json:
            self.voice.say(outcome.result)
        else:
            self.voice.say_notes(outcome.result)

    def summarise(self, remark: str) -> None:
        self.progress.clear()
        if self.voice.quiet:
            return
        parts = [f"{self.done} done", f"{self.failed} failed"]
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        parts += [self._sizes()] if self.done else []
        parts += [remark] if remark else []
        click.echo(", ".join(parts), err=self.voice.as_json)

    def _sizes(self) -> str:
        ratio = self.bytes_in / self.bytes_out if self.bytes_out else 0
        return f"{self.bytes_in / 1e6:.1f} MB in, {self.bytes_out / 1e6:.1f} MB out ({ratio:.1f}:1)"
