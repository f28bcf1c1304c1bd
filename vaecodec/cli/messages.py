"""What commands say of the files they work on: a line each, more with --verbose, or JSON."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from vaecodec.batch.report import FileReport
from vaecodec.cli.faults import fault_text, say_fault
from vaecodec.cli.options import JSON, QUIET, VERBOSE
from vaecodec.errors import VaecodecError
from vaecodec.places import Place


@dataclass(frozen=True)
class Voice:
    """How much is said, and to whom."""

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False

    @property
    def shows_progress(self) -> bool:
        return not (self.quiet or self.as_json)

    def say(self, report: FileReport) -> None:
        """Say that all went well."""
        if self.as_json:
            click.echo(report.to_json(), err=report.to_stderr)
            return
        self.say_notes(report)
        if not self.quiet:
            click.echo(report.to_text(self.verbose), err=report.to_stderr)

    def say_notes(self, report: FileReport) -> None:
        for note in () if self.quiet else report.notes:
            click.echo(note, err=True)

    def say_fault(self, source: Place, target: Place | None, fault: str) -> None:
        """Say that a file could not be worked on."""
        if self.as_json:
            report = FileReport(source, target)
            report.facts |= {"ok": False, "fault": fault}
            click.echo(report.to_json(), err=report.to_stderr)
        else:
            say_fault(fault)

    def say_skipped(self, source: Place, target: Place | None) -> None:
        """Say, to machines only, that an output was there already."""
        if self.as_json:
            report = FileReport(source, target)
            report.facts["skipped"] = True
            click.echo(report.to_json())

    def work_on_one(
        self, work: Callable[[], FileReport], source: Place, target: Place | None
    ) -> FileReport:
        """Do the work on a file and say what became of it. Raises as `work` does, unless in
        JSON."""
        try:
            report = work()
        except VaecodecError as error:
            if not self.as_json:
                raise
            self.say_fault(source, target, fault_text(error))
            sys.exit(error.exit_code)
        self.say(report)
        return report


def reporting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options of a Voice, which it receives as `voice`."""

    @wraps(command)
    def with_voice(quiet: bool, verbose: bool, as_json: bool, **others: Any) -> Any:
        return command(voice=Voice(quiet, verbose, as_json), **others)

    return QUIET(VERBOSE(JSON(with_voice)))
