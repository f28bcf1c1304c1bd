"""What commands say of the files they work on: a line each, more with --verbose, or JSON."""

import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.faults import fault_text, say_fault
from vaecodec.cli.options import JSON, QUIET, VERBOSE
from vaecodec.cli.streams import is_pipe
from vaecodec.codec.quality import scale_of
from vaecodec.errors import VaecodecError
from vaecodec.format.container import Header, describe, read_header

if TYPE_CHECKING:
    from vaecodec.inference.model import Model


class FileReport:
    """What is known of one file: `facts` for machines, `text` for people."""

    def __init__(self, source: Path, target: Path | None = None):
        self.facts: dict[str, Any] = {"file": str(source), "ok": True}
        if target is not None:
            self.facts["output"] = str(target)
        self.text = ""
        self.notes: list[str] = []
        self.to_stderr = target is not None and is_pipe(target)  # data go to standard output
        self._seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Measures how long a part of the work takes."""
        started = time.monotonic()
        yield
        self._seconds[part] = time.monotonic() - started

    def note(self, path: Path, notes: Iterable[str]) -> None:
        """Add what the user should know of `path` although all went well."""
        self.notes += [f"{path}: {note}" for note in notes]

    def describe_header(
        self, header: Header, model: "Model", bytes_in: int, bytes_out: int
    ) -> None:
        """Add what a .vae file says of itself, and what coded it."""
        self.facts |= {
            "width": header.width,
            "height": header.height,
            "mode": header.mode,
            "quality": round(scale_of(model).quality(header.level), 1),
            "level": header.level,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
        }
        self.describe_model(model)

    def describe_file(self, data: bytes, model: "Model", bytes_in: int, bytes_out: int) -> None:
        """The same with the bytes of each part, of a whole .vae file."""
        self.describe_header(read_header(io.BytesIO(data)), model, bytes_in, bytes_out)
        described = describe(io.BytesIO(data))
        self.facts |= {
            name: described[name] for name in ("bpp", "slices", "lossless_slices", "parts")
        }

    def describe_model(self, model: "Model") -> None:
        transforms = model.transforms
        self.facts |= {"model": model.model_id.hex(), "backend": transforms.backend}
        self.facts["device"] = str(transforms.device)

    def to_json(self) -> str:
        seconds = {part: round(value, 4) for part, value in self._seconds.items()}
        more = {"notes": self.notes, "seconds": seconds}
        return json.dumps(self.facts | {name: value for name, value in more.items() if value})

    def to_text(self, verbose: bool) -> str:
        """The line of a file, and with `verbose` others below it."""
        facts = self.facts
        lines = [f"{facts.get('output', facts['file'])}: {self.text}"]
        if not verbose:
            return lines[0]
        if "level" in facts:
            lines.append(f"  quality {facts['quality']:g}, level {facts['level']}")
        if "model" in facts:
            lines.append(f"  model {facts['model']}, {facts['backend']} on {facts['device']}")
        if "parts" in facts:
            parts = ", ".join(f"{name} {size}" for name, size in facts["parts"].items())
            lines.append(f"  bytes: {parts}")
        seconds = ", ".join(f"{part} {value:.3f}" for part, value in self._seconds.items())
        return "\n".join([*lines, f"  seconds: {seconds}"] if seconds else lines)


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

    def say_fault(self, source: Path, target: Path | None, fault: str) -> None:
        """Say that a file could not be worked on."""
        if self.as_json:
            report = FileReport(source, target)
            report.facts |= {"ok": False, "fault": fault}
            click.echo(report.to_json(), err=report.to_stderr)
        else:
            say_fault(fault)

    def say_skipped(self, source: Path, target: Path) -> None:
        """Say, to machines only, that an output was there already."""
        if self.as_json:
            report = FileReport(source, target)
            report.facts["skipped"] = True
            click.echo(report.to_json())

    def work_on_one(
        self, work: Callable[[Path, Path], FileReport], source: Path, target: Path
    ) -> None:
        """Do the work on a file and say what became of it. Raises as `work` does, unless in
        JSON."""
        try:
            report = work(source, target)
        except VaecodecError as error:
            if not self.as_json:
                raise
            self.say_fault(source, target, fault_text(error))
            sys.exit(error.exit_code)
        self.say(report)


def reporting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options of a Voice, which it receives as `voice`."""

    @wraps(command)
    def with_voice(quiet: bool, verbose: bool, as_json: bool, **others: Any) -> Any:
        return command(voice=Voice(quiet, verbose, as_json), **others)

    return QUIET(VERBOSE(JSON(with_voice)))


def lossless_words(lossless: int, slices: int) -> str:
    """How many of a file's slices are lossless, to be added to a line; nothing where none is."""
    if lossless == slices:
        return ", lossless"
    return f", {lossless} of {slices} slices lossless" if lossless else ""
