"""What encoding and decoding share in reading and writing files."""

import hashlib
import tempfile
from collections.abc import Callable
from typing import BinaryIO, Protocol

from vaecodec.batch.jobs import FileJob
from vaecodec.batch.report import FileReport
from vaecodec.errors import OutputExistsError
from vaecodec.places import Place
from vaecodec.streams import copy_times, open_input, write_output

_CHUNK_BYTES = 2**20


class WritingOptions(Protocol):
    """How a task writes."""

    @property
    def force(self) -> bool: ...

    @property
    def preserve(self) -> bool: ...

    @property
    def with_digest(self) -> bool: ...


def bytes_limit(max_pixels: int) -> int:
    """The largest file that a picture of so many pixels is expected in: 16 bits, four samples, and
    64 MiB of anything else."""
    return 8 * max_pixels + 2**26


def write_result(
    job: FileJob,
    write: Callable[[BinaryIO], object],
    options: WritingOptions,
    report: FileReport,
) -> int:
    """Write a job's target whole or not at all; returns its bytes. Raises VaecodecError.

    What has appeared there since its folder was listed is left alone, and is fine where it is the
    same: a worker may be lost after it wrote the file and before it said so.
    """
    assert job.target is not None

    def write_and_digest(file: BinaryIO) -> None:
        write(file)
        if options.with_digest:
            report.facts["sha256"] = digest_of(file)

    with report.timing("write"):
        try:
            size_bytes = write_output(job.target, write_and_digest, options.force)
        except OutputExistsError:
            if job.is_there is not False:
                raise
            with tempfile.TemporaryFile() as file:
                write_and_digest(file)
                size_bytes = file.tell()
                if not _is_same(file, job.target):
                    raise
        if options.preserve:
            copy_times(job.source, job.target)
    return size_bytes


def _is_same(file: BinaryIO, target: Place) -> bool:
    with open_input(target) as there:
        return digest_of(there) == digest_of(file)


def digest_of(file: BinaryIO) -> str:
    """SHA-256 of all of an open file, in hexadecimal, which is at its end afterwards."""
    file.seek(0)
    digest = hashlib.sha256()
    while data := file.read(_CHUNK_BYTES):
        digest.update(data)
    return digest.hexdigest()
