"""Files and pipes: opening inputs, writing outputs, naming files in faults."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


def open_closed_streams() -> None:
    """Stand in for standard streams that the caller has closed, which Python leaves out.

    Otherwise the next files that are opened take their place. Reading or writing then fails as an
    OSError; what is said on a closed standard error is lost.
    """
    for name, mode in (("stdin", "w"), ("stdout", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123


def drop_standard_output() -> None:
    """Let what could not be written be forgotten, which Python would try again at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


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


def refuse_address(path: Path) -> None:
    """Raise UsageError for what is an address in the web."""
    if re.match("(https?|ftp):/", str(path)):
        raise UsageError(
            f"{path}: is an address; download it first, or let curl write to a pipe, read as -"
        )


def open_input(path: Path) -> BinaryIO:
    """A file opened for reading; all of standard input for `-`. Raises UsageError."""
    refuse_address(path)
    try:
        return io.BytesIO(sys.stdin.buffer.read()) if is_pipe(path) else path.open("rb")
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a .vae file") from None
    except OSError as error:
        name = "standard input" if is_pipe(path) else path
        raise FileAccessError(f"{name}: cannot read: {error.strerror or 'closed'}") from None


def check_output(source: Path, target: Path, force: bool) -> None:
    """Raise UsageError, before any work is done, for an output that cannot be written."""
    if is_pipe(target):
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal; name a file with -o, or use a pipe")
        return
    check_writable(target, force)
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source}: is input and output at once; name another output with -o")
