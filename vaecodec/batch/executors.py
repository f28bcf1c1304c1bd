"""Who does the work: threads of this process, an executor that was given, or a Dask cluster."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any

from vaecodec.batch.engine import ATTEMPTS, Engine, ExecutorLostError, WorkerLostError
from vaecodec.errors import UsageError

WINDOW = 64  # jobs given out at a time, where the number of workers is not known
_WINDOW_SECONDS = 10.0  # after which a cluster is asked for its size again
_CONNECT_SECONDS = 10.0
_FETCH_SECONDS = 60.0  # in which what a job came to has to arrive, once Dask knows that it ended


@contextmanager
def threads(count: int) -> Iterator[Engine]:
    """So many threads of this process; no more is given out than they work on."""
    with ThreadPoolExecutor(count) as pool:
        yield Engine(pool, lambda: count)


@contextmanager
def given(executor: Executor | Callable[[], Executor]) -> Iterator[Engine]:
    """An executor of the caller's, which is left as it is; or one that a function makes, which is
    made again where it breaks, and shut down in the end."""
    if isinstance(executor, Executor):
        yield Engine(executor, partial(_window_of, executor))
        return
    made: list[Executor] = []

    def make() -> Executor:
        made.append(executor())
        return made[-1]

    try:
        first = make()
        yield Engine(first, partial(_window_of, first), renew=make)
    finally:
        made[-1].shutdown()


def _window_of(executor: Executor) -> int:
    """Twice its workers, so that none waits for the next job."""
    workers = getattr(executor, "_max_workers", None)  # of both pools of the standard library
    return 2 * workers if isinstance(workers, int) else WINDOW


@contextmanager
def dask_cluster(scheduler: str) -> Iterator[Engine]:
    """The workers of a Dask scheduler, by its address (tcp://HOST:8786) or the file that names it.
    Raises UsageError where there is none, or no `distributed`."""
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "a scheduler needs the package distributed: pip install 'vaecodec[cluster]'"
        ) from None
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said in our words
    where = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": scheduler}
    try:
        client = Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UsageError(f"{scheduler}: no scheduler answers there ({reason})") from None
    cluster = _Cluster(client)
    try:
        cluster.check()
        note = "" if cluster.threads else f"{scheduler} has no workers yet; waiting for them"
        yield Engine(cluster, cluster.window, client.scatter, cluster.check, note=note)
    finally:
        client.close(timeout=2)


class _Cluster(Executor):
    """Dask's own executor, and who is lost with which worker.

    The scheduler gives the jobs of a lost worker to others by itself, as often as it is configured
    to, and counts what had not begun among them. Here each job says when it begins; one during
    which ATTEMPTS workers are lost is taken back.
    """

    def __init__(self, client: Any):
        self._client, self._executor = client, client.get_executor(pure=False)
        self._topic = f"vaecodec-{os.urandom(8).hex()}"
        self._lock = Lock()
        self._jobs: dict[str, tuple[Future[Any], Future[Any]]] = {}  # ours, Dask's
        self._begun: dict[str, str] = {}  # worker by job
        self._losses: Counter[str] = Counter()
        self._ended: dict[str, float] = {}  # when that was seen, of jobs that ended for Dask
        self.threads, self._asked = 0, -_WINDOW_SECONDS
        client.subscribe_topic(self._topic, self._note_begun)
        client.subscribe_topic("all", self._note_event)

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> "Future[Any]":
        key = f"vaecodec-{os.urandom(16).hex()}"
        ours: Future[Any] = Future()
        theirs = self._executor.submit(_begin, self._topic, key, work, *args, key=key, **named)
        with self._lock:
            self._jobs[key] = ours, theirs
        theirs.add_done_callback(partial(self._finish, key))
        return ours

    def window(self) -> int:
        """Thrice the threads of the workers, of which more may come."""
        if time.monotonic() - self._asked > _WINDOW_SECONDS:
            self.check()
        return max(16, 3 * self.threads)

    def check(self) -> None:
        """Ask for the number of threads. Raises ExecutorLostError."""
        try:
            self.threads = sum(self._client.nthreads().values())
        except Exception:  # of many kinds, and CommClosedError is an OSError only mostly
            raise _scheduler_lost() from None
        self._asked = time.monotonic()
        self._take_back_orphans()

    def _take_back_orphans(self) -> None:
        """Jobs that ended but of which nothing arrives, as where a connection broke meanwhile."""
        now, known = time.monotonic(), self._client.futures
        with self._lock:
            for key in self._jobs:
                if getattr(known.get(key), "status", "lost") == "pending":
                    self._ended.pop(key, None)
                else:
                    self._ended.setdefault(key, now)
            late = [key for key, seen in self._ended.items() if now - seen >= _FETCH_SECONDS]
            for key in late:
                del self._ended[key]
            orphans = [self._jobs.pop(key) for key in late if key in self._jobs]
        for ours, theirs in orphans:
            theirs.cancel()
            ours.set_exception(WorkerLostError())

    def _finish(self, key: str, theirs: "Future[Any]") -> None:
        with self._lock:
            ours, _ = self._jobs.pop(key, (None, None))
            self._begun.pop(key, None)
            self._losses.pop(key, None)
            self._ended.pop(key, None)
        if ours is None:  # taken back
            return
        try:
            ours.set_result(theirs.result())
        except CancelledError:
            gone = self._client.status != "running"
            ours.set_exception(_scheduler_lost() if gone else WorkerLostError())
        except Exception as error:
            killed = type(error).__name__ == "KilledWorker"
            ours.set_exception(WorkerLostError() if killed else error)

    def _note_begun(self, event: tuple[float, dict[str, Any]]) -> None:
        with self._lock:
            if event[1]["key"] in self._jobs:
                self._begun[event[1]["key"]] = event[1]["worker"]

    def _note_event(self, event: tuple[float, Any]) -> None:
        told = event[1]
        if not isinstance(told, dict) or told.get("action") != "remove-worker":
            return
        if told["expected"]:
            return
        with self._lock:
            near = [key for key in told["processing-tasks"] if key in self._jobs]
            begun = [key for key in near if self._begun.get(key) == told["worker"]]
            self._losses.update(begun or near)
            lost = [key for key in near if self._losses[key] >= ATTEMPTS]
            taken = [(key, *self._jobs.pop(key)) for key in lost]
        for key, ours, theirs in taken:
            theirs.cancel()
            ours.set_exception(WorkerLostError(self._losses.pop(key)))


def _begin(topic: str, key: str, work: Callable[..., Any], *args: Any) -> Any:
    """Do a job on a Dask worker, which is said first."""
    from distributed import get_worker

    get_worker().log_event(topic, {"key": key})
    return work(*args)


def _scheduler_lost() -> ExecutorLostError:
    return ExecutorLostError(
        "the scheduler is gone; start it again, and go on with the same command"
    )
