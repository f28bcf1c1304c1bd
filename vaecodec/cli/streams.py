"""Files and pipes: opening inputs, writing outputs, naming files in faults."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vaecodec.atomic_files import check_writable, write_whole
from vaecodec.errors import FileAccessError, MissingFileError, UsageError, VaecodecError


def write_output(target: Path, write: Callable[[BinaryIO], object], force: bool) -> int:
    """Write a file whole or not at all, or to standard output for `-`; returns its bytes."""
    if not is_pipe(target):
        return write_whole(target, write, force)
    buffer = io.BytesIO()
    write(buffer)
    sys.stdout.buffer.write(buffer.getbuffer())
    sys.stdout.buffer.flush()
    return buffer.tell()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name before the message of a fault found inside it."""
    try:
        yield
    except VaecodecError as error:
        raise error.of(path) from None


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
        raise MissingFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a .vae file") from None
    except OSError as error:
        raise FileAccessError(f"{path}: cannot read: {error.strerror}") from None


def check_output(source: Path, target: Path, force: bool) -> None:
    """Raise UsageError, before any work is done, for an output that cannot be written."""
    if is_pipe(target):
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal; name a file with -o, or use a pipe")
        return
    check_writable(target, force)
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source}: is input and output at once; name another output with -o")
