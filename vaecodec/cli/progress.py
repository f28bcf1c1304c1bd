"""Progress on a terminal: one line that is replaced, and gone at the end."""

import sys
import time

import click

BAR = 20  # characters
DELAY = 2.0  # seconds


class Progress:
    """How much of a piece of work is done, as one line on a terminal that the next one replaces.

    It appears after DELAY seconds, as short work needs none. Where standard error is no terminal,
    nothing is said, or with `in_logs` a line for every twentieth part. With `wanted` False nothing
    is ever said.
    """

    def __init__(self, wanted: bool, in_logs: bool = False):
        self._shown = wanted and sys.stderr.isatty()
        self._logged = wanted and in_logs and not self._shown
        self._parts = 0
        self._drawn = False
        self._started = time.monotonic()

    def show(self, share: float, text: str) -> None:
        """`share` of the work, 0..1, is done; `text` says it in the work's own units."""
        if self._shown:
            if time.monotonic() - self._started < DELAY:
                return
            self._drawn = True
            bar = f"[{'#' * round(BAR * share):<{BAR}}] {text}"
            click.echo(f"\r{bar:<99}", nl=False, err=True)
        elif self._logged and int(20 * share) > self._parts:
            self._parts = int(20 * share)
            click.echo(text, err=True)

    def clear(self) -> None:
        """Take the line away, so that something else can be said."""
        if self._drawn:
            self._drawn = False
            click.echo(f"\r{'':<99}\r", nl=False, err=True)

    def show_share(self, share: float) -> None:
        """The same for work whose units mean nothing to the user."""
        self.show(share, f"{100 * share:.0f} %, {self.left(share)}")

    def left(self, share: float) -> str:
        """Time that the rest will take if it goes on like this."""
        seconds = (time.monotonic() - self._started) * (1 - share) / max(share, 1e-6)
        return f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()
