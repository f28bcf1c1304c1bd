"""Many files: which output each input gets, and the work on several at a time."""

import glob
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaecodec.cli.faults import fault_text
from vaecodec.errors import UsageError, VaecodecError


@dataclass(frozen=True)
class FileJob:
    """One file to make from another."""

    source: Path
    target: Path


@dataclass(frozen=True)
class FileOutcome:
    """What became of a job: what the work returned, or why it failed; neither where skipped."""

    job: FileJob
    result: Any = None
    fault: str | None = None
    skipped: bool = False


def with_suffix(path: Path, suffix: str, known: Callable[[Path], bool]) -> Path:
    """The name with `suffix` in place of its own, where that is `known` as one: what follows a dot
    in photo.2021.05 belongs to the name."""
    return path.with_suffix(suffix) if known(path) else path.with_name(f"{path.name}{suffix}")


def plan(
    inputs: Iterable[Path],
    folder: Path | None,
    suffix: str,
    recursive: bool,
    wanted: Callable[[Path], bool],
) -> list[FileJob]:
    """The jobs for files, folders and patterns, with outputs of `suffix` under `folder`.

    A folder's tree is kept; of its files those whose names are `wanted` are taken. Without `folder`
    each output stands beside its source. Inputs that would share an output (a.png and a.jpg) keep
    their whole names before the suffix. Raises UsageError for an input that is not there, and where
    two outputs would be the same all the same.
    """
    found: dict[Path, Path] = {}  # source -> path of the output without its suffix changed
    for source, relative in _expand(inputs, recursive, wanted):
        found[source] = relative if folder is not None else source
    base = folder or Path()
    short = {
        source: base / with_suffix(relative, suffix, wanted) for source, relative in found.items()
    }
    shared = {target for target, count in Counter(short.values()).items() if count > 1}
    jobs = [
        FileJob(source, base / f"{relative}{suffix}" if short[source] in shared else short[source])
        for source, relative in found.items()
    ]
    for target, count in Counter(job.target for job in jobs).items():
        if count > 1:
            names = ", ".join(str(job.source) for job in jobs if job.target == target)
            raise UsageError(f"{names}: would all become {target}; encode their folders one by one")
    return jobs


def _expand(
    inputs: Iterable[Path], recursive: bool, wanted: Callable[[Path], bool]
) -> Iterator[tuple[Path, Path]]:
    for path in inputs:
        if path.is_dir():
            for source in sorted(_found_in(path, recursive, wanted)):
                yield source, source.relative_to(path)
        elif path.exists() or not glob.has_magic(str(path)):
            yield path, Path(path.name)
        else:
            matches = sorted(glob.glob(str(path), recursive=recursive))
            if not matches:
                raise UsageError(f"{path}: matches no file")
            yield from _expand(map(Path, matches), recursive, wanted)


def _found_in(folder: Path, recursive: bool, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """Wanted files in a folder, and folders that cannot be read, which then fail like files."""
    unreadable: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=lambda e: unreadable.append(e.filename)):
        if not recursive:
            folders.clear()
        for path in (Path(parent, name) for name in names):
            with suppress(FileNotFoundError):  # a link that leads nowhere
                if wanted(path) and _may_be_file(path):
                    yield path
    yield from map(Path, unreadable)


def _may_be_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True


def run(
    jobs: list[FileJob],
    work: Callable[[FileJob], Any],
    workers: int,
    skip_existing: bool,
    stop_on_error: bool,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[FileOutcome]:
    """Outcomes as they come. `work` raises VaecodecError.

    No more jobs are begun than are being worked on. Once `stopped` says so none is begun, and
    those that are being worked on are finished, so that stopping leaves nothing half done.
    """

    def attempt(job: FileJob) -> FileOutcome:
        if skip_existing and job.target.exists():
            return FileOutcome(job, skipped=True)
        if job.source.is_dir():
            return FileOutcome(job, fault=f"{job.source}: cannot read this folder")
        try:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            return FileOutcome(job, work(job))
        except VaecodecError as error:
            return FileOutcome(job, fault=fault_text(error))
        except OSError as error:
            return FileOutcome(job, fault=f"{job.target}: {error.strerror or error}")
        except MemoryError:
            return FileOutcome(
                job, fault=f"{job.source}: not enough memory for a picture of this size"
            )

    remaining = iter(jobs)
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[FileOutcome]] = set()
        while True:
            if stopped():
                remaining = iter(())
            while len(running) < workers and (job := next(remaining, None)) is not None:
                running.add(pool.submit(attempt, job))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                yield outcome
                if stop_on_error and outcome.fault is not None:
                    remaining = iter(())
