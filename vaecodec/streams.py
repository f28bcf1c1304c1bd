"""Files and pipes: opening inputs, writing outputs, naming files in faults."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from vaecodec.atomic_files import check_writable, write_whole
from vaecodec.errors import FileAccessError, MissingFileError, UsageError, VaecodecError
from vaecodec.places import MAX_FILE_BYTES, Place, RemotePath


def write_output(target: Place, write: Callable[[BinaryIO], object], force: bool) -> int:
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


def copy_times(source: Place, target: Place) -> None:
    """Give `target` the times of `source`, where both are files of this machine."""
    if isinstance(source, RemotePath) or isinstance(target, RemotePath):
        return
    if source.is_file() and target.is_file() and not is_pipe(source) and not is_pipe(target):
        times = source.stat()
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


@contextmanager
def naming(path: Place) -> Iterator[None]:
    """Puts the file's name before the message of a fault found inside it."""
    try:
        yield
    except VaecodecError as error:
        raise error.of(path) from None


def is_pipe(path: Place) -> bool:
    """Whether a path stands for standard input or output."""
    return str(path) == "-"


def open_input(path: Place, max_bytes: int = MAX_FILE_BYTES) -> BinaryIO:
    """A file opened for reading, of at most `max_bytes` where it comes from elsewhere; all of
    standard input for `-`. Raises UsageError and FileAccessError."""
    try:
        if is_pipe(path):
            return io.BytesIO(sys.stdin.buffer.read())
        return path.open("rb", max_bytes) if isinstance(path, RemotePath) else path.open("rb")
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a .vae file") from None
    except OSError as error:
        name = "standard input" if is_pipe(path) else path
        raise FileAccessError(f"{name}: cannot read: {error.strerror or 'closed'}") from None


def check_output(source: Place, target: Place, force: bool) -> None:
    """Raise UsageError, before any work is done, for an output that cannot be written."""
    if is_pipe(target):
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal, not a pipe", "output")
        return
    check_writable(target, force)
    if isinstance(source, RemotePath) or isinstance(target, RemotePath):
        same = source == target
    else:
        same = target.exists() and source.exists() and target.samefile(source)
    if same:
        raise UsageError(f"{source}: is input and output at once", "output")
