"""What the process does on signals while a part of the work runs."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | int | None
STOPPING = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and a polite kill


@contextmanager
def handled(handler: Handler, *kinds: int) -> Iterator[None]:
    """Signals of `kinds` (signal.SIGINT, ...) go to `handler` meanwhile. For the main thread only,
    as signals are."""
    before = {kind: signal.signal(kind, handler) for kind in kinds}
    try:
        yield
    finally:
        for kind, previous in before.items():
            signal.signal(kind, previous)
