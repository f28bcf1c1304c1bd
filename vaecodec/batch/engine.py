"""One loop over futures: jobs given out to an executor, in a bounded number, and outcomes taken
back."""

import queue
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from typing import Any

from vaecodec.batch.jobs import FileJob, FileOutcome, FileTask, attempt
from vaecodec.errors import (
    FileAccessError,
    MissingModelError,
    OutputExistsError,
    VaecodecError,
)
from vaecodec.network.weight_files import find_weight_file
from vaecodec.version import __version__

ATTEMPTS = 2  # at a file that is under work when its worker is lost
_CHECK_SECONDS = 5.0  # without an outcome, before it is asked whether the workers are still there


class WorkerLostError(Exception):
    """What did a job ended meanwhile, for the `times`-th time; another may do it again."""

    def __init__(self, times: int = 1):
        super().__init__(times)
        self.times = times


class ExecutorLostError(VaecodecError):
    """What gives jobs to workers is gone, and with it all that is known of those under work."""


@dataclass(frozen=True)
class Engine:
    """Where the work is done.

    `executor`: any of concurrent.futures, or one with its interface; `window`: how many jobs are
    given out at a time; `share`: makes of a weight file what is sent to workers; `check`: raises
    ExecutorLostError where no outcome can come any more; `renew`: makes another executor in place
    of one that broke; `note`: what the user should know of it.
    """

    executor: Executor
    window: Callable[[], int]
    share: Callable[[bytes], object] = lambda data: data
    check: Callable[[], object] = lambda: None
    renew: Callable[[], Executor] | None = None
    note: str = ""

    def run(
        self,
        jobs: Iterable[FileJob],
        task: FileTask,
        is_done: Callable[[FileJob], bool] = lambda job: False,
        is_to_stop: Callable[[], bool] = lambda: False,
    ) -> "Run":
        """Do all jobs but those that `is_done` names. Once `is_to_stop` says so no job is begun,
        and those that are given out are finished, so that stopping leaves nothing half done."""
        return Run(self, iter(jobs), task, is_done, is_to_stop)


class Run:
    """Outcomes as they come, once.

    A job whose worker is lost is done again; one that loses ATTEMPTS workers is a fault. Raises
    ExecutorLostError. Files whose worker was lost are done again one at a time, so that of several
    the one that ended it is told from those that were only near.
    """

    def __init__(
        self,
        engine: Engine,
        jobs: Iterator[FileJob],
        task: FileTask,
        is_done: Callable[[FileJob], bool],
        is_to_stop: Callable[[], bool],
    ):
        self._engine, self._executor, self._task = engine, engine.executor, task
        self._jobs, self._is_done, self._is_to_stop = jobs, is_done, is_to_stop
        self.is_complete = False
        self._done: queue.SimpleQueue[Future[FileOutcome]] = queue.SimpleQueue()
        self._running: dict[Future[FileOutcome], FileJob] = {}
        self._suspects: deque[FileJob] = deque()
        self._losses: Counter[FileJob] = Counter()
        self._shared: dict[bytes, object] = {}  # by name of the model
        self._helped: set[FileJob] = set()  # given out with a model

    @property
    def running(self) -> int:
        """How many jobs are given out."""
        return len(self._running)

    def __iter__(self) -> Iterator[FileOutcome]:
        while True:
            yield from self._give_out()
            if not self._running:
                return
            try:
                future = self._done.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                self._engine.check()
                continue
            job = self._running.pop(future)
            outcome = self._taken_back(future, job)
            if outcome is not None:
                self._losses.pop(job, None)
                self._helped.discard(job)
                yield outcome

    def _give_out(self) -> Iterator[FileOutcome]:
        """Give out jobs up to the window; yields those that need no work."""
        while len(self._running) < self._engine.window() and not self._is_to_stop():
            if self._suspects and not any(job in self._losses for job in self._running.values()):
                self._submit(self._suspects.popleft())
                continue
            job = next(self._jobs, None)
            if job is None:
                self.is_complete = not self._suspects
                return
            if job.fault is not None:
                yield FileOutcome(job, fault=FileAccessError(job.fault))
            elif self._is_done(job):
                yield FileOutcome(job)
            elif job.is_there:
                fault = OutputExistsError(f"{job.target}: exists", "overwrite")
                yield FileOutcome(job, fault=fault)
            else:
                self._submit(job)

    def _submit(self, job: FileJob, weights: Any = None) -> None:
        try:
            future = self._executor.submit(attempt, self._task, job, weights)
        except BrokenExecutor:
            if self._engine.renew is None:
                raise ExecutorLostError(
                    "a worker was lost, and its pool with it; a function that makes the pool can be"
                    " given in its place"
                ) from None
            self._executor.shutdown(wait=False)
            self._executor = self._engine.renew()
            future = self._executor.submit(attempt, self._task, job, weights)
        except RuntimeError as error:
            raise ExecutorLostError(f"the executor takes no more work ({error})") from None
        self._running[future] = job
        future.add_done_callback(self._done.put)

    def _taken_back(self, future: "Future[FileOutcome]", job: FileJob) -> FileOutcome | None:
        """The outcome of a job, None where it goes on."""
        try:
            outcome = future.result()
        except (WorkerLostError, BrokenExecutor, CancelledError) as error:
            self._losses[job] += error.times if isinstance(error, WorkerLostError) else 1
            if self._losses[job] >= ATTEMPTS:
                return FileOutcome(job, fault=_lost(job))
            self._suspects.append(job)
            self._helped.discard(job)
            self._shared.clear()
            return None
        except VaecodecError:
            raise
        except Exception as error:  # what was sent could not be understood there
            reason = " ".join(str(error).split())[:200]
            raise ExecutorLostError(
                f"workers cannot do this work ({type(error).__name__}: {reason}); is vaecodec"
                f" {__version__} installed there?"
            ) from None
        fault = outcome.fault
        sent = isinstance(fault, MissingModelError) and self._send_model(job, fault.model_id)
        return None if sent else outcome

    def _send_model(self, job: FileJob, model_id: bytes) -> bool:
        """Give a job out again, with the model that its worker lacks, if it is here."""
        if job in self._helped:
            return False
        found = find_weight_file(model_id)
        if found is None:
            return False
        if model_id not in self._shared:
            self._shared[model_id] = self._engine.share(found[1])
        self._helped.add(job)
        self._submit(job, self._shared[model_id])
        return True


def _lost(job: FileJob) -> VaecodecError:
    return FileAccessError(
        f"{job.source}: workers ended while they worked on it, {ATTEMPTS} times; passed over (too"
        " large for their memory?)"
    )
