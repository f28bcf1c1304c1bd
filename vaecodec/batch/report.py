"""What is known of a file that was worked on, in words and for machines."""

import io
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vaecodec.codec.quality import scale_of
from vaecodec.format.container import Header, read_header
from vaecodec.format.description import describe
from vaecodec.places import Place
from vaecodec.streams import is_pipe

if TYPE_CHECKING:
    from vaecodec.inference.model import Model


class FileReport:
    """What is known of one file: `facts` for machines, `text` for people."""

    def __init__(self, source: Place, target: Place | None = None):
        self.facts: dict[str, Any] = {"file": str(source), "ok": True}
        if target is not None:
            self.facts["output"] = str(target)
        self.text = ""
        self.notes: list[str] = []
        self.is_whole = True  # what was read; else the notes say what is lost
        self.to_stderr = target is not None and is_pipe(target)  # data go to standard output
        self._seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Measures how long a part of the work takes."""
        started = time.monotonic()
        yield
        self._seconds[part] = time.monotonic() - started

    @property
    def seconds(self) -> float:
        """Of all parts."""
        return sum(self._seconds.values())

    def note(self, path: Place, notes: Iterable[str]) -> None:
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
            name: described[name]
            for name in ("bpp", "slices", "lossless_slices", "palette_slices", "parts")
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


def kinds_words(facts: dict[str, Any]) -> str:
    """How many of a file's slices are lossless or in fewer colours, to be added to a line; nothing
    where none is."""
    slices, words = facts["slices"], ""
    for count, kind in (
        (facts["lossless_slices"], "lossless"),
        (facts["palette_slices"], "in fewer colours"),
    ):
        if count:
            words += f", {kind}" if count == slices else f", {count} of {slices} slices {kind}"
    return words
