"""The lines of a record of a batch: JSON, one for each file that was worked on.

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
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vaecodec.errors import FormatError

COLUMNS = ("source", "target", "bytes", "sha256", "quality", "seconds", "fault")
_MAX_LINE_BYTES = 2**16


class LastLines:
    """Which line counts of each file. Finding out takes 55 bytes a line at most, what is done 8 a
    file afterwards.

    A file is known by a hash of source and target, which one of 10^12 files shares with one of ten
    million others by chance.
    """

    def __init__(self, path: Path):
        keys, failed, self.whole_bytes = array("Q"), bytearray(), 0
        for line in read_lines(path):
            self.whole_bytes += len(line)
            record = record_of(line, path)
            keys.append(key_of(record["source"], record["target"]))
            failed.append(record["fault"] is not None)
        # Backwards, for the first of equal ones is found.
        found, where = np.unique(np.frombuffer(keys, np.uint64)[::-1], return_index=True)
        self.numbers = np.sort(len(keys) - 1 - where)
        done = found[np.frombuffer(failed, np.bool_)[::-1][where] == 0]
        self.done = array("Q", done.tobytes())


def read_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a record. Raises FormatError for one that is too long to be one."""
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE_BYTES):
            if not line.endswith(b"\n"):
                if len(line) == _MAX_LINE_BYTES:
                    raise not_a_record(path)
                return
            yield line


def record_of(line: bytes, path: Path) -> dict[str, Any]:
    """A line's fields. Raises FormatError."""
    try:
        record: dict[str, Any] = json.loads(line)
        if set(record) != set(COLUMNS) or not isinstance(record["source"], str):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise not_a_record(path) from None
    return record


def not_a_record(path: Path) -> FormatError:
    return FormatError(f"{path}: is not a record of files that were worked on; name another")


def key_of(source: str, target: Any) -> int:
    text = f"{source}\0{target}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
