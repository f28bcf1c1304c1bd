"""What the commands share: options, opening inputs, naming files in faults."""

import io
import os
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from vaecodec.format.container import MAX_PIXELS, is_encrypted
from vaecodec.errors import UsageError, VaecodecError
from vaecodec.atomic_files import check_writable, write_whole

if TYPE_CHECKING:
    from vaecodec.inference.model import Model, ModelLoader

EPILOG = "Exit codes: 0 done, 1 the data could not be processed, 2 wrong usage."


PATH = click.Path(readable=False, path_type=Path)  # not checked here; Tab completes it


INPUTS = click.argument("sources", metavar="IN...", type=PATH, nargs=-1, required=True)
OUTPUT = click.option("-o", "--output", metavar="OUT", type=PATH, help="File to write, or folder.")
QUIET = click.option("--quiet", is_flag=True, help="Say nothing when all goes well.")
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Say more: model, times, bytes.")
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object, on a line for each file."
)
FORCE = click.option("-f", "--force", is_flag=True, help="Overwrite an existing output.")
MODEL = click.option(
    "--model", metavar="PATH", type=PATH, help="Weight file instead of the default model."
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
BACKEND = click.option(
    "--backend",
    type=click.Choice(["auto", "onnx", "torch"]),
    default="auto",
    show_default=True,
    help="What computes the network: onnx on CPUs, torch on GPUs.",
)


@dataclass(frozen=True)
class ModelChoice:
    """The model that the user named, None for the default one, and what it shall run on."""

    path: Path | None
    device: str
    backend: str

    def load(self, model_id: bytes | None = None) -> "Model":
        """As model.load_model, for one use."""
        from vaecodec.inference.model import load_model

        return load_model(self.path, self.device, model_id, self.backend)

    def loader(self) -> "ModelLoader":
        """For many uses."""
        from vaecodec.inference.model import ModelLoader

        return ModelLoader(self.path, self.device, self.backend)


def choosing_model(command: Callable) -> Callable:
    """Gives a command the options of a ModelChoice, which it receives as `choice`."""

    @wraps(command)
    def with_choice(model: Path | None, device: str, backend: str, **others: Any) -> Any:
        return command(choice=ModelChoice(model, device, backend), **others)

    return MODEL(DEVICE(BACKEND(with_choice)))


LIMIT = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures.",
)


PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=PATH, default=None, help="File whose first line is the passphrase."
)


def read_passphrase(file: Path | None, ask: bool, confirm: bool = False) -> bytes | None:
    """The passphrase from a file, the environment, or (with `ask`, on a terminal) a prompt; else
    None."""
    text = os.environ.get("VAECODEC_PASSPHRASE")
    if file is not None:
        with open_input(file) as opened:
            text = opened.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")
    elif text is None and ask and sys.stdin.isatty():
        text = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    if text is None:
        return None
    if not text:
        raise UsageError("the passphrase is empty")
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape")


def passphrase_for(source: BinaryIO, file: Path | None) -> bytes | None:
    """The passphrase for reading an open .vae file, if it is encrypted."""
    return read_passphrase(file, ask=True) if is_encrypted(source) else None


def write_output(target: Path, write: Callable[[BinaryIO], object], force: bool) -> int:
    """Write a file whole or not at all, or to standard output for `-`; returns its bytes."""
    if not is_pipe(target):
        return write_whole(target, write, force)
    buffer = io.BytesIO()
    write(buffer)
    sys.stdout.buffer.write(buffer.getbuffer())
    sys.stdout.buffer.flush()
    return buffer.tell()


class naming:
    """Puts the file's name before the message of a fault found inside it."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, VaecodecError) and not str(error).startswith(f"{self.path}: "):
            raise type(error)(f"{self.path}: {error}") from None


def say_fault(message: str) -> None:
    """A fault as one line on standard error; its start is red on a terminal, unless NO_COLOR."""
    start = "vaecodec:"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        start = click.style(start, fg="red")
    click.echo(f"{start} {' '.join(message.split())}", err=True)


def is_pipe(path: Path) -> bool:
    """Whether a path stands for standard input or output."""
    return str(path) == "-"


def open_input(path: Path) -> BinaryIO:
    """A file opened for reading; all of standard input for `-`. Raises UsageError."""
    if is_pipe(path):
        return io.BytesIO(sys.stdin.buffer.read())
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a .vae file") from None
    except OSError as error:
        raise VaecodecError(f"{path}: cannot read: {error.strerror}") from None


def check_output(source: Path, target: Path, force: bool) -> None:
    """Raise UsageError, before any work is done, for an output that cannot be written."""
    if is_pipe(target):
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal; name a file with -o, or use a pipe")
        return
    check_writable(target, force)
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source}: is input and output at once; name another output with -o")
