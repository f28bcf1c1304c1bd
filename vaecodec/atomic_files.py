"""Outputs that appear whole or not at all."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vaecodec.errors import (
    FileAccessError,
    MissingFileError,
    OutputExistsError,
    UsageError,
    VaecodecError,
)
from vaecodec.places import Place, RemotePath


def write_whole(path: Place, write: Callable[[BinaryIO], object], overwrite: bool) -> int:
    """Write a file through a temporary one in the same folder, or put it where it is elsewhere;
    returns its size in bytes.

    `write` gets a file that it may read again, too. What is there and no regular file (a device, a
    pipe) is written into, and a link stays a link. Raises UsageError where `path` exists and
    `overwrite` is not set, also if it appeared meanwhile, and FileAccessError where it cannot be
    written; then nothing is left behind.
    """
    if isinstance(path, RemotePath):
        return _put_whole(path, write, overwrite)
    check_writable(path, overwrite)
    if _is_special(path):
        return _write_into(path, write)
    import tempfile  # here alone, for it costs what answers without writing 5 ms

    target = path.resolve()
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent
        )
        temporary = Path(name)
        with os.fdopen(handle, "w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        temporary.chmod(0o666 & ~_umask())
        if overwrite:
            temporary.replace(target)
        else:
            _rename_unless_exists(temporary, target)
        temporary = None
        return size_bytes
    except VaecodecError:
        raise
    except OSError as error:
        raise FileAccessError(f"{path}: cannot write: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all, over what was there. Raises VaecodecError."""
    write_whole(path, lambda file: file.write(text.encode("utf-8")), overwrite=True)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON in the same way."""
    import json

    write_text(path, json.dumps(value, indent=1))


def check_writable(path: Place, overwrite: bool) -> None:
    """Raise UsageError, before any work is done, where `write_whole` would refuse."""
    if isinstance(path, RemotePath):
        if path.is_web:
            raise UsageError(f"{path}: can only be read; name another output")
        if not overwrite and path.exists():
            raise OutputExistsError(f"{path}: exists", "overwrite")
        return
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; name a file")
    if not overwrite and path.exists() and not _is_special(path):
        raise OutputExistsError(f"{path}: exists", "overwrite")
    if not path.parent.is_dir():
        raise MissingFileError(f"{path.parent}: no such directory; create it first")


def _put_whole(path: RemotePath, write: Callable[[BinaryIO], object], overwrite: bool) -> int:
    import tempfile

    try:
        with tempfile.TemporaryFile() as file:
            write(file)
            size_bytes = file.tell()
            file.seek(0)
            path.put(file, size_bytes, overwrite)
            return size_bytes
    except VaecodecError:
        raise
    except FileExistsError:
        raise OutputExistsError(f"{path}: exists", "overwrite") from None
    except OSError as error:
        raise FileAccessError(f"{path}: cannot write: {error.strerror or error}") from None


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _write_into(path: Path, write: Callable[[BinaryIO], object]) -> int:
    buffer = io.BytesIO()  # writers of pictures go back and forth
    write(buffer)
    try:
        with path.open("wb") as file:
            return file.write(buffer.getbuffer())
    except OSError as error:
        raise FileAccessError(f"{path}: cannot write: {error.strerror or error}") from None


def _rename_unless_exists(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise OutputExistsError(f"{path}: exists", "overwrite") from None
    except OSError:  # a file system without hard links
        check_writable(path, overwrite=False)
        temporary.replace(path)
        return
    temporary.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
