"""A file to work on as plain data, which any executor can send to any process, and what came of
it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vaecodec.batch.report import FileReport
from vaecodec.errors import FileAccessError, PictureError, VaecodecError
from vaecodec.network.weight_files import receive_weights
from vaecodec.places import Place, RemotePath

Progress = Callable[[float], object]  # called with the share of the work that is done, 0..1


@dataclass(frozen=True)
class FileJob:
    """One file to make from another, or to check where there is no `target`.

    `is_there`: whether the target was, when its folder was listed; None where that was not asked.
    `fault`: why there is nothing to do, as of a folder that cannot be listed.
    """

    source: Place
    target: Place | None = None
    is_there: bool | None = None
    fault: str | None = None


@dataclass(frozen=True)
class FileOutcome:
    """What became of a job: a report, or a fault; neither where it was passed over as done."""

    job: FileJob
    report: FileReport | None = None
    fault: VaecodecError | None = None

    @property
    def is_skipped(self) -> bool:
        return self.report is None and self.fault is None


class FileTask(Protocol):
    """What is done to each file: options as plain data, which pickle."""

    def __call__(self, job: FileJob) -> FileReport:
        """Do it. Raises VaecodecError."""


def attempt(task: FileTask, job: FileJob, weights: bytes | None = None) -> FileOutcome:
    """Do a task where this runs, with the model in `weights`, a weight file, if it is given.

    No fault of a file ends what runs it.
    """
    try:
        if weights is not None:
            receive_weights(weights)
        if job.target is not None:
            _make_folder(job.target.parent)
        return FileOutcome(job, task(job))
    except VaecodecError as error:
        return FileOutcome(job, fault=error)
    except OSError as error:
        named = job.source if job.target is None else job.target
        return FileOutcome(job, fault=FileAccessError(f"{named}: {error.strerror or error}"))
    except MemoryError:
        fault = PictureError(f"{job.source}: not enough memory for a picture of this size")
        return FileOutcome(job, fault=fault)


def _make_folder(folder: Place) -> None:
    if isinstance(folder, RemotePath):
        folder.make_folder()
    else:
        folder.mkdir(parents=True, exist_ok=True)
