"""What is said while many files are worked on, and at the end."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from vaecodec.cli.faults import fault_text
from vaecodec.cli.messages import Voice
from vaecodec.cli.progress import Progress
from vaecodec.signals import STOPPING

if TYPE_CHECKING:
    from vaecodec.batch.jobs import FileOutcome
    from vaecodec.batch.manifest import Manifest


class Interruption:
    """Takes Ctrl-C and a polite kill as a target to stop after the files being worked on.

    A second one ends the process at once. `running`: how many files are; `quiet`: say nothing.
    """

    def __init__(self, running: Callable[[], int], quiet: bool) -> None:
        self.signal = 0
        self._running, self._quiet = running, quiet

    def note(self, number: int, _: object) -> None:
        self.signal = number
        for every in STOPPING:
            signal.signal(every, signal.SIG_DFL)
        if not self._quiet:
            count = self._running()
            text = f"finishing {count} file{'s' * (count != 1)}; again to stop now"
            with suppress(OSError):  # past Python's buffers, which may be in use just now
                os.write(2, f"\r{text:<99}\n".encode())


class Tally:
    """Counts outcomes; one line kept up to date on a terminal, faults and a summary everywhere.

    `total`: None where it is not known yet; `says_each`: a line for every file that went well.
    """

    def __init__(
        self, total: int | None, voice: Voice, manifest: "Manifest | None", says_each: bool
    ):
        self.total, self.voice, self.manifest = total, voice, manifest
        self.says_each = says_each or voice.verbose or voice.as_json
        self._is_apart = says_each or voice.as_json  # the summary, from a line for each file
        self.done = self.skipped = self.failed = self.damaged = self.bytes_in = self.bytes_out = 0
        self.signal, self.is_complete, self.lost_executor = 0, False, False
        self.progress = Progress(not voice.quiet)

    @property
    def seen(self) -> int:
        return self.done + self.skipped + self.failed

    def add(self, outcome: "FileOutcome") -> None:
        if outcome.is_skipped:
            self.skipped += 1
            self.voice.say_skipped(outcome.job.source, outcome.job.target)
        else:
            self.progress.clear()
            self._add_worked(outcome)
        share = self.seen / self.total if self.total else 0
        of = f"{self.seen} of {self.total}" if self.total else f"{self.seen}"
        left = f", {self.progress.left(share)}" if self.total else ""
        self.progress.show(share, f"{of} files, {self._sizes()}{left}")

    def _add_worked(self, outcome: "FileOutcome") -> None:
        fault = None if outcome.fault is None else fault_text(outcome.fault)
        if self.manifest is not None:
            self.manifest.add(outcome, fault)
        if fault is not None:
            self.failed += 1
            self.voice.say_fault(outcome.job.source, outcome.job.target, fault)
            return
        report = outcome.report
        assert report is not None
        self.done += 1
        self.damaged += not report.is_whole
        self.bytes_in += report.facts["bytes_in"]
        self.bytes_out += report.facts.get("bytes_out", 0)
        if self.says_each:
            self.voice.say(report)
        else:
            self.voice.say_notes(report)

    def end(self, remark: str) -> NoReturn:
        """Sum up, and exit."""
        if self.signal and not self.is_complete:
            self._summarise("interrupted; --skip-existing continues")
            sys.exit(128 + self.signal)
        self._summarise(remark)
        sys.exit(bool(self.failed or self.damaged or self.lost_executor or not self.is_complete))

    def _summarise(self, remark: str) -> None:
        self.progress.clear()
        if self.voice.quiet:
            return
        parts = [f"{self.done} done", f"{self.failed} failed"]
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        parts += [self._sizes()] if self.done else []
        parts += [remark] if remark else []
        click.echo(", ".join(parts), err=self._is_apart)

    def _sizes(self) -> str:
        read = f"{self.bytes_in / 1e6:.1f} MB in"
        if not self.bytes_out:
            return read
        written = f"{self.bytes_out / 1e6:.1f} MB out"
        return f"{read}, {written} ({self.bytes_in / self.bytes_out:.1f}:1)"
