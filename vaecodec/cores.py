"""The processor's cores, which threads have one for themselves, and how many numpy takes."""

import os
import threading
from contextlib import ContextDecorator
from functools import cache
from typing import Any

from vaecodec.forks import renew_after_fork


def available_cores() -> int:
    """Cores that this process may use; taskset and containers allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CurrentThread(threading.local):
    """What differs by thread: whether it `is_worker`, one of several that share the cores."""

    is_worker = False

    @property
    def cores(self) -> int:
        """Cores that this thread may use."""
        return 1 if self.is_worker else available_cores()


class _SingleBlasThread(ContextDecorator):
    """Meanwhile numpy's products take one thread.

    They are small and stand between those of ONNX Runtime; OpenBLAS's threads wait busily for the
    next one and take the cores from it: a decode takes 1.2 s of processor time with them and 0.8 s
    without. Their number is one for the whole process, so the first thread that enters sets it and
    the last one that leaves puts back what was there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """No thread is inside."""
        self._lock = threading.Lock()
        if self._inside:
            self._limit.restore_original_limits()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                _let_any_thread_set()
                self._limit = _blas().limit(limits=1)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _let_any_thread_set()
                self._limit.restore_original_limits()
                _let_any_thread_set()


single_blas_thread = _SingleBlasThread()


def _let_any_thread_set() -> None:
    """threadpoolctl leaves the number to the first thread that set it; ours take turns instead."""
    for library in _blas().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):  # OpenBLAS, from threadpoolctl 3.8 on
            library.clear_controlling_thread(force=True)


@cache
def _blas() -> Any:
    """Numpy's library of products (and others of the kind), looked for once, in milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
