"""The processor's cores, and which threads have one for themselves."""

import os
import threading


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
