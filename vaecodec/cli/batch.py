"""What `encode`, `decode` and `verify` share for many files: options, progress and the summary."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, replace
from functools import wraps
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from vaecodec.cli.faults import say_fault
from vaecodec.cli.messages import Voice
from vaecodec.cli.options import LOCAL_PATH
from vaecodec.cli.tally import Interruption, Tally
from vaecodec.errors import UsageError
from vaecodec.places import Place, RemotePath
from vaecodec.signals import STOPPING, handled
from vaecodec.streams import is_pipe

if TYPE_CHECKING:
    from vaecodec.batch.decoding import DecodeTask
    from vaecodec.batch.encoding import EncodeTask
    from vaecodec.batch.engine import Engine
    from vaecodec.batch.jobs import FileJob, FileOutcome
    from vaecodec.batch.planning import ManyFiles
    from vaecodec.batch.verifying import VerifyTask

    AnyTask = EncodeTask | DecodeTask | VerifyTask

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
MANIFEST = click.option(
    "--manifest",
    metavar="FILE",
    type=LOCAL_PATH,
    default=None,
    help="Record each file of many here (.jsonl or .parquet), and pass over what it says is done.",
)
SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    default=None,
    help="Work on the Dask cluster of this scheduler (tcp://HOST:8786), instead of here.",
)
PLANNED_AHEAD = 10_000  # files, of which up to so many their number is known before they are begun


@dataclass(frozen=True)
class BatchOptions:
    """How many files are worked on; fields as the options."""

    recursive: bool
    jobs: int | None
    skip_existing: bool
    on_error: str
    manifest: Path | None
    scheduler: str | None

    @property
    def is_asked_for(self) -> bool:
        """Whether one file is to be treated as many are."""
        return self.manifest is not None or self.scheduler is not None


def many_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command that writes files the options of BatchOptions, which it receives as
    `batch`."""
    return many_files_to_read(SKIP_EXISTING(command))


def many_files_to_read(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that writes none."""

    @wraps(command)
    def with_options(
        recursive: bool,
        jobs: int | None,
        on_error: str,
        manifest: Path | None,
        scheduler: str | None,
        skip_existing: bool = False,
        **others: Any,
    ) -> Any:
        batch = BatchOptions(recursive, jobs, skip_existing, on_error, manifest, scheduler)
        return command(batch=batch, **others)

    return RECURSIVE(JOBS(ON_ERROR(MANIFEST(SCHEDULER(with_options)))))


def is_single(sources: tuple[Place, ...], batch: BatchOptions) -> bool:
    """Whether one file is asked for, and not to be treated as many are."""
    several = len(sources) > 1 or batch.is_asked_for or sources[0].is_dir()
    return not several and not _may_be_pattern(sources[0])


def single_target(
    sources: tuple[Place, ...],
    output: Place | None,
    suffix: str,
    wanted: Callable[[Place], bool],
    batch: BatchOptions,
) -> Place | None:
    """The output where one file is asked for, None where many are; `suffix` and `wanted` as in
    ManyFiles. Raises UsageError."""
    source = sources[0]
    several = len(sources) > 1 or source.is_dir()
    into_folder = output is not None and output.is_dir()
    if output is not None and not into_folder:
        if several and output.suffix == suffix:
            raise UsageError(f"{output}: is the name of one file; many go into a folder")
        if output not in sources and wanted(output):
            raise UsageError(f"{output}: has the suffix of an input; this writes {suffix} files")
    if several or batch.is_asked_for or into_folder:
        if any(map(is_pipe, (*sources, *([output] if output else [])))):
            raise UsageError("standard input and output are for single files")
        return None
    if _may_be_pattern(source):
        return None
    if output is not None:
        return output
    if is_pipe(source):
        return source
    from vaecodec.batch.planning import folder_beside, result_name

    return folder_beside(source) / result_name(source, suffix, wanted)


def _may_be_pattern(source: Place) -> bool:
    if is_pipe(source) or (isinstance(source, RemotePath) and source.is_web):
        return False
    return bool(set("*?[") & set(str(source))) and not source.exists()


def run_many(
    many: "ManyFiles",
    task: "AnyTask",
    batch: BatchOptions,
    voice: Voice,
    hint_for: Callable[[str], str] | None = None,
) -> NoReturn:
    """Do `task` for all files, and exit: 1 if any failed or was not whole.

    `hint_for`: what to do about a suffix that is not that of an input, where those are to be named.
    """
    from vaecodec.batch.manifest import Manifest

    passed_over = _PassedOver(many.suffix, hint_for)
    if batch.scheduler is not None:
        many = _seen_by_workers(many)
    is_looked_up = many.suffix is not None and not getattr(task, "force", False)
    many = replace(many, pass_over=passed_over.add, is_looked_up=is_looked_up)
    jobs = many.jobs()
    ahead = list(islice(jobs, PLANNED_AHEAD))
    if not ahead:
        named, said = ", ".join(map(str, many.sources)), passed_over.said()
        more = f"; {said}" if said else ""
        raise UsageError(f"{named}: directory without such files; -r takes all below it{more}")
    total = len(ahead) if len(ahead) < PLANNED_AHEAD else None
    workers = min(batch.jobs or task.model.workers, len(ahead))
    # The files share the cores, so the slices of one do not.
    shared = replace(task.model, is_shared=workers > 1 or batch.scheduler is not None)
    task = replace(task, model=shared, with_digest=batch.manifest is not None)
    with ExitStack() as open_ones:
        manifest = None
        if batch.manifest is not None:
            manifest = open_ones.enter_context(closing(Manifest(batch.manifest)))
        tally = Tally(total, voice, manifest, says_each=many.suffix is None)
        engine = open_ones.enter_context(_engine(batch.scheduler, workers))
        if engine.note and not voice.quiet:
            click.echo(engine.note, err=True)
        _work_off(engine, chain(ahead, jobs), ahead, task, batch, tally)
    tally.end(passed_over.said())


def _engine(scheduler: str | None, workers: int) -> "AbstractContextManager[Engine]":
    from vaecodec.batch.executors import dask_cluster, threads

    return threads(workers) if scheduler is None else dask_cluster(scheduler)


def _work_off(
    engine: "Engine",
    jobs: "Iterator[FileJob]",
    ahead: "list[FileJob]",
    task: "AnyTask",
    batch: BatchOptions,
    tally: "Tally",
) -> None:
    """Do all jobs, until a signal or, where that is wished, a fault."""
    from vaecodec.batch.engine import ExecutorLostError

    def is_done(job: "FileJob") -> bool:
        if batch.skip_existing and job.is_there:
            return True
        return tally.manifest is not None and tally.manifest.is_done(job)

    def is_to_stop() -> bool:
        return interruption.signal != 0 or (batch.on_error == "stop" and tally.failed > 0)

    run = engine.run(jobs, task, is_done, is_to_stop)
    interruption = Interruption(lambda: run.running, tally.voice.quiet)
    # Where each has a line of its own, they come in the order of the files.
    in_order = tally.says_each and tally.total is not None
    try:
        with handled(interruption.note, *STOPPING):
            for outcome in _ordered(ahead, run) if in_order else run:
                tally.add(outcome)
    except ExecutorLostError as error:
        tally.progress.clear()
        say_fault(str(error))
        tally.lost_executor = True
    tally.signal = interruption.signal
    tally.is_complete = tally.seen == tally.total if tally.total is not None else run.is_complete


def _ordered(jobs: "list[FileJob]", outcomes: "Iterable[FileOutcome]") -> "Iterator[FileOutcome]":
    """Outcomes in the order of `jobs`; those that wait for one that never comes, at the end."""
    waiting: dict[FileJob, FileOutcome] = {}
    place = 0
    for outcome in outcomes:
        waiting[outcome.job] = outcome
        while place < len(jobs) and (known := waiting.pop(jobs[place], None)) is not None:
            yield known
            place += 1
    yield from waiting.values()


def _seen_by_workers(many: "ManyFiles") -> "ManyFiles":
    """The same files by names that mean the same to other processes. Raises UsageError."""
    for one in (*many.sources, *([many.output] if many.output is not None else [])):
        if isinstance(one, RemotePath) and one.scheme == "memory":
            raise UsageError(f"{one}: is in the memory of this process, where no worker sees it")
    return replace(
        many,
        sources=tuple(source.absolute() for source in many.sources),
        output=None if many.output is None else many.output.absolute(),
    )


class _PassedOver:
    """Counts the files of folders that are no inputs, by suffix."""

    def __init__(self, suffix: str | None, hint_for: Callable[[str], str] | None):
        self._suffix, self._hint_for = suffix, hint_for
        self._counts: Counter[str] = Counter()

    def add(self, path: Place) -> None:
        self._counts[path.suffix.lower() or path.name] += 1

    def said(self) -> str:
        """How many there are, with what would help; our own outputs are none that anyone
        misses."""
        if self._hint_for is None:
            return ""
        parts = []
        for suffix, count in sorted(self._counts.items()):
            if suffix != self._suffix:
                hint = self._hint_for(suffix)
                parts.append(f"{count} {suffix}" + (f" ({hint})" if hint else ""))
        return f"not taken: {', '.join(parts)}" if parts else ""
