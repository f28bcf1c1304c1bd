"""A record of a batch, a line of JSON for each file, from which it can be gone on with.

    source, target  as the messages name them; target is null where nothing is written
    bytes, sha256   of the file that was written, or checked where nothing is
    quality         of the .vae file, 0..100
    seconds         of work
    fault           why it failed, else null

Lines are only ever added, and whole: of a file that is done again, the last one counts. A line that
a kill cut short is dropped.
"""

import hashlib
import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vaecodec.batch.jobs import FileJob, FileOutcome
from vaecodec.errors import FileAccessError, FormatError
from vaecodec.places import RemotePath

COLUMNS = ("source", "target", "bytes", "sha256", "quality", "seconds", "fault")
_MAX_LINE_BYTES = 2**16


class Manifest:
    """An open record. Of what is done already it holds 8 bytes a file: a hash of source and target,
    which one of 10^12 files shares with one of ten million others by chance.

    Raises FileAccessError, and FormatError for a file that is no such record.
    """

    def __init__(self, path: Path):
        self.path = path
        self._done = array("Q")
        try:
            # Buffered, a line could be cut in two between the file and a kill.
            self._file: BinaryIO = open(path, "ab+", buffering=0)  # noqa: SIM115, PTH123
            self._read()
        except OSError as error:
            raise FileAccessError(f"{path}: cannot be used: {error.strerror or error}") from None

    def _read(self) -> None:
        keys, failed = array("Q"), bytearray()
        whole = 0
        for line in read_lines(self.path):
            whole += len(line)
            record = record_of(line, self.path)
            keys.append(_key(record["source"], record["target"]))
            failed.append(record["fault"] is not None)
        self._file.truncate(whole)
        # Backwards, for the first of equal ones is found.
        found, where = np.unique(np.frombuffer(keys, np.uint64)[::-1], return_index=True)
        done = found[np.frombuffer(failed, np.bool_)[::-1][where] == 0]
        self._done = array("Q", done.tobytes())

    def is_done(self, job: FileJob) -> bool:
        """Whether a job was done before; of those that differ in a query alone, which is not
        recorded, that is never known."""
        source = job.source
        if isinstance(source, RemotePath) and source.is_web and "?" in source.url:
            return False
        key = _key(str(source), None if job.target is None else str(job.target))
        place = bisect_left(self._done, key)
        return place < len(self._done) and self._done[place] == key

    def add(self, outcome: FileOutcome, fault: str | None) -> None:
        """Record what became of a job; `fault` in the words that are shown. Raises
        FileAccessError."""
        job, facts = outcome.job, {} if outcome.report is None else outcome.report.facts
        record = {
            "source": str(job.source),
            "target": None if job.target is None else str(job.target),
            "bytes": facts.get("bytes_out", facts.get("bytes_in")),
            "sha256": facts.get("sha256"),
            "quality": facts.get("quality"),
            "seconds": None if outcome.report is None else round(outcome.report.seconds, 4),
            "fault": fault,
        }
        try:
            self._file.write(f"{json.dumps(record)}\n".encode())
        except OSError as error:
            raise FileAccessError(f"{self.path}: cannot write: {error.strerror}") from None

    def close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


def read_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a record. Raises FormatError for one that is too long to be one."""
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE_BYTES):
            if not line.endswith(b"\n"):
                if len(line) == _MAX_LINE_BYTES:
                    raise _not_a_record(path)
                return
            yield line


def record_of(line: bytes, path: Path) -> dict[str, Any]:
    """A line's fields. Raises FormatError."""
    try:
        record: dict[str, Any] = json.loads(line)
        if set(record) != set(COLUMNS) or not isinstance(record["source"], str):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise _not_a_record(path) from None
    return record


def _not_a_record(path: Path) -> FormatError:
    return FormatError(f"{path}: is not a record of files that were worked on; name another")


def _key(source: str, target: Any) -> int:
    text = f"{source}\0{target}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
