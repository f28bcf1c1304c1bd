"""What a forked process does first: it has the memory of the one it came from, not its threads."""

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """Holds locks, or what has threads of its own."""

    def after_fork(self) -> None:
        """Start afresh, as the threads that held locks or did the work are not here."""


_all: WeakSet[Forked] = WeakSet()


def renew_after_fork(one: Forked) -> None:
    """Call `one.after_fork` in every process that is forked off while it lives."""
    _all.add(one)


def _renew() -> None:
    for one in _all:
        one.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew)
