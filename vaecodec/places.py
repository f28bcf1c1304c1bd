"""Where files are: paths of this machine, and what fsspec reaches by an address (s3://, https://).

A RemotePath offers what we use of a Path, under the same names and with the same OSErrors, so that
the code that opens, names and lists files need not ask which of the two it has. fsspec is imported
when the first address is used.
"""

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from vaecodec.errors import UsageError
from vaecodec.remote_faults import WITH_BUCKETS, check_keys, told_as_os_errors, without_secrets

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
# What brings the file system of a scheme, where fsspec does not: an extra of ours, or a package.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "'vaecodec[s3]'"),
    **dict.fromkeys(("gs", "gcs"), "'vaecodec[gs]'"),
    **dict.fromkeys(("az", "abfs", "abfss"), "'vaecodec[azure]'"),
    **dict.fromkeys(("sftp", "ssh"), "'vaecodec[sftp]'"),
    **dict.fromkeys(("http", "https"), "'vaecodec[http]'"),
    "smb": "smbprotocol",
}
# Stores that put an object whole or not at all; elsewhere a file is written beside and renamed.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "memory"}
_WEB = {"http", "https"}  # read only, and names are quoted
MAX_FILE_BYTES = 8 * 10**9 + 2**26  # a picture of the usual limit, 16 bits with alpha, and metadata
_HELD_BYTES = 2**26  # of a file from elsewhere, in memory; a larger one is kept on disk meanwhile
_CHUNK_BYTES = 2**20


class RemotePath:
    """A file or folder at an address that fsspec knows; `url`: the address as it was given.

    As text it is the address without what may be secret: user, password and query. Methods raise
    OSErrors with a reason in `strerror`, and UsageError where a package is missing.
    """

    __slots__ = ("url",)

    def __init__(self, url: str):
        self.url = url if urlsplit(url).scheme in _WEB else url.rstrip("/")
        if self.url.endswith(":"):  # a scheme's root, as in memory://
            self.url = url

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (self.url,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __str__(self) -> str:
        return without_secrets(self.url)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0].lower()

    @property
    def is_web(self) -> bool:
        """Whether it can only be read."""
        return self.scheme in _WEB

    @property
    def name(self) -> str:
        rest = self.url.partition("://")[2]
        if self.is_web:
            rest = unquote(urlsplit(self.url).path)
        return rest.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> "RemotePath":
        url = re.split("[?#]", self.url, maxsplit=1)[0] if self.is_web else self.url
        head, _, rest = url.partition("://")
        above = rest.rstrip("/").rpartition("/")[0]
        return RemotePath(f"{head}://{above}") if above else self

    def __truediv__(self, name: str | os.PathLike[str]) -> "RemotePath":
        base = self.url if self.url.endswith("/") else f"{self.url}/"
        below = PurePosixPath(name).as_posix()
        return RemotePath(f"{base}{quote(below) if self.is_web else below}")

    def with_name(self, name: str) -> "RemotePath":
        return self.parent / name

    def with_suffix(self, suffix: str) -> "RemotePath":
        return self.with_name(f"{self.stem}{suffix}")

    def resolve(self) -> "RemotePath":
        return self

    def absolute(self) -> "RemotePath":
        return self

    def exists(self) -> bool:
        try:
            self._info()
        except OSError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether it is a folder; in the web, whether it is written as one."""
        if self.is_web:
            return urlsplit(self.url).path.endswith("/")
        try:
            return bool(self._info()["type"] == "directory")
        except OSError:
            return False

    def is_file(self) -> bool:
        return not self.is_dir() and self.exists()

    def open(self, mode: str = "rb", max_bytes: int = MAX_FILE_BYTES) -> BinaryIO:
        """All of the file, fetched to be read from its start, of at most `max_bytes`.

        The size is checked before where it is told, and while bytes come in any case.
        """
        if mode != "rb":
            raise ValueError("write_whole writes")
        file: BinaryIO | None = None
        system, path = self._system()
        with self._faults(system, path):
            if self.scheme in WITH_BUCKETS and "/" not in path.strip("/"):
                system.info(path)  # which says whether the bucket can be used at all
                raise IsADirectoryError(errno.EISDIR, "is a bucket")
            with system.open(path, "rb") as source:
                size = getattr(source, "size", None)
                if not isinstance(size, int):
                    size = system.info(path).get("size")
                if size is not None and size > max_bytes:
                    raise OSError(errno.EFBIG, f"is over the limit of {max_bytes} bytes")
                held = size is not None and size <= _HELD_BYTES
                file = io.BytesIO() if held else _temporary_file()
                left = max_bytes if size is None else size
                while data := source.read(_CHUNK_BYTES):
                    left -= len(data)
                    if left < 0:
                        file.close()
                        told = "what it said" if size is not None else "the limit"
                        raise OSError(errno.EFBIG, f"is over {told} of {size or max_bytes} bytes")
                    file.write(data)
            file.seek(0)
        return file

    def children(self) -> list[tuple["RemotePath", bool]]:
        """What a folder holds, and whether each is a folder; names that lead elsewhere are left
        out."""
        system, path = self._system()
        with self._faults(system, path):
            entries = system.ls(path, detail=True)
            system.invalidate_cache(path)  # fsspec would keep every listing
        base = self.url.partition("?")[0].rstrip("/") + "/"
        found = []
        for entry in entries:
            text = str(entry["name"])
            own = text.rstrip("/") == path.rstrip("/")  # stores may have an object for a folder
            if self.is_web:  # whose pages link to anything
                child = RemotePath(text)
                own |= not text.startswith(base) or "/" in text[len(base) :].rstrip("/")
            else:
                child = self / text.rstrip("/").rpartition("/")[2]
            if not own and _is_plain(child.name):
                found.append((child, entry["type"] == "directory"))
        return found

    def glob(self) -> list["RemotePath"]:
        """What the address matches, read as a pattern, in order."""
        system, path = self._system()
        with self._faults(system, path):
            names = sorted(system.glob(path))
            system.invalidate_cache()
        start = self.url[: -len(path)]  # scheme, and host where paths have none
        return [RemotePath(f"{start}{name}") for name in names]

    def make_folder(self) -> None:
        """Make the folder with all above it; object stores have none."""
        if self.scheme not in _OBJECT_STORES and not self.is_web:
            system, path = self._system()
            with self._faults(system, path):
                system.makedirs(path, exist_ok=True)

    def put(self, file: BinaryIO, size_bytes: int, overwrite: bool) -> None:
        """Write all of `file`, whole or not at all. Raises FileExistsError where something is there
        and `overwrite` is not set."""
        if self.is_web:
            raise PermissionError(errno.EROFS, "can only be read; name another output")
        system, path = self._system()
        with self._faults(system, path):
            if not overwrite and system.exists(path):
                raise FileExistsError(errno.EEXIST, "exists")
            if self.scheme in _OBJECT_STORES:
                _put_object(system, path, file, size_bytes, overwrite)
                return
            part = f"{path.rpartition('/')[0]}/.{self.name[:100]}.{os.urandom(8).hex()}.part"
            try:
                with system.open(part, "wb") as target:
                    _copy(file, target.write)
                system.mv(part, path)
            except BaseException:
                with suppress(Exception):
                    system.rm_file(part)
                raise

    def _info(self) -> dict[str, Any]:
        system, path = self._system()
        with self._faults(system, path, asks_bucket=False):
            info: dict[str, Any] = system.info(path)
            return info

    def _system(self) -> tuple[Any, str]:
        """fsspec's file system, and the path in it. Raises UsageError."""
        check_keys(self.url)
        try:
            from fsspec.core import url_to_fs

            system, path = url_to_fs(self.url)
        except ImportError:
            package = _PACKAGES.get(self.scheme, f"that fsspec names for {self.scheme}")
            raise UsageError(f"{self}: needs another package: pip install {package}") from None
        except Exception as error:
            raise UsageError(f"{self}: cannot be used: {without_secrets(str(error))}") from None
        return system, str(path)

    def _faults(
        self, system: Any, path: str, asks_bucket: bool = True
    ) -> AbstractContextManager[None]:
        return told_as_os_errors(system, path, self.url, asks_bucket)


Place: TypeAlias = Path | RemotePath


def place(name: "str | os.PathLike[str] | RemotePath") -> Place:
    """The place that a text or path stands for; file:// is this machine."""
    if isinstance(name, RemotePath):
        return name
    text = os.fspath(name)
    match = _ADDRESS.match(text)
    if match is None:
        return Path(text)
    return Path(match[2]) if match[1].lower() in ("file", "local") else RemotePath(text)


def children(folder: Place) -> Iterator[tuple[Place, bool]]:
    """What a folder holds, and whether each is a folder; links to folders and what is no file are
    left out. Raises OSError."""
    if isinstance(folder, RemotePath):
        yield from folder.children()
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path), True
            elif _may_be_file(entry):
                yield Path(entry.path), False


def _is_plain(name: str) -> bool:
    """Whether a listed name can be that of a file here, inside the folder that it is copied to."""
    return name not in ("", ".", "..") and not set(name) & {"/", os.sep, "\0"}


def _may_be_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except PermissionError:
        return True
    except OSError:  # a link that leads nowhere
        return False


def _temporary_file() -> BinaryIO:
    import tempfile

    return tempfile.TemporaryFile()


def _copy(file: BinaryIO, write: Callable[[bytes], object]) -> None:
    while data := file.read(_CHUNK_BYTES):
        write(data)


def _put_object(system: Any, path: str, file: BinaryIO, size_bytes: int, overwrite: bool) -> None:
    """Put an object; unless `overwrite`, the store refuses one that has appeared meanwhile, where
    it can."""
    data = file.read(size_bytes)
    if overwrite:
        system.pipe_file(path, data)
        return
    try:
        system.pipe_file(path, data, mode="create")
    except (NotImplementedError, TypeError):  # the file system knows no conditions
        system.pipe_file(path, data)
