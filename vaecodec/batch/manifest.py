"""A record of a batch that is open: lines are added as files are done, and it says which were."""

import json
import os
from bisect import bisect_left
from pathlib import Path
from typing import BinaryIO

from vaecodec.batch.jobs import FileJob, FileOutcome
from vaecodec.batch.record_lines import LastLines, key_of
from vaecodec.batch.record_table import check_installed, restore_lines, write_table
from vaecodec.errors import FileAccessError
from vaecodec.places import RemotePath


class Manifest:
    """Raises FileAccessError, FormatError for a file that is no such record, and UsageError where
    a package is missing.

    Lines can be added, rows of a Parquet file cannot: where one is named, the lines are in a file
    beside it, of which it is made in the end. Without that the lines are made of it.
    """

    def __init__(self, path: Path):
        self._table = path if path.suffix.lower() == ".parquet" else None
        self.path = path if self._table is None else path.with_suffix(".jsonl")
        if self._table is not None:
            check_installed(self._table)
            if self._table.exists() and not self.path.exists():
                restore_lines(self._table, self.path)
        try:
            # Buffered, a line could be cut in two between the file and a kill.
            self._file: BinaryIO = open(self.path, "ab+", buffering=0)  # noqa: SIM115, PTH123
            last = LastLines(self.path)
            self._file.truncate(last.whole_bytes)
        except OSError as error:
            told = f"{self.path}: cannot be used: {error.strerror or error}"
            raise FileAccessError(told) from None
        self._done = last.done

    def is_done(self, job: FileJob) -> bool:
        """Whether a job was done before; of those that differ in a query alone, which is not
        recorded, that is never known."""
        source = job.source
        if isinstance(source, RemotePath) and source.is_web and "?" in source.url:
            return False
        key = key_of(str(source), None if job.target is None else str(job.target))
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
        if self._table is not None:
            write_table(self.path, self._table)
