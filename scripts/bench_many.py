"""What a million files cost the process that gives them out: memory, and time a file.

    python scripts/bench_many.py [--files 1000000]

The real planning, engine, records and summary, with an executor that only counts instead of
working and a made-up file system that lists folders of 1000 pictures without holding them (fsspec's
memory:// would hold a million objects, and looks through all of them for every listing). Each row
is a process of its own: peak memory of all it does, Python and libraries included. It exits with 1
where one takes over 300 MiB or 1 ms a file.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import click
import fsspec
from fsspec.spec import AbstractFileSystem

import vaecodec
from vaecodec.batch.engine import Engine
from vaecodec.batch.jobs import FileJob, FileOutcome
from vaecodec.batch.report import FileReport
from vaecodec.places import place
from vaecodec.processor import processor_line

FOLDER_FILES = 1000
WINDOW = 300  # jobs given out at a time: as for 100 threads of a cluster
MAX_MEGABYTES, MAX_MILLISECONDS = 300, 1.0


class Counting(Executor):
    """Says at once that a job is done."""

    def __init__(self) -> None:
        self.count, self._max_workers = 0, WINDOW // 2

    def submit(self, work: Any, task: Any, job: FileJob, weights: Any) -> "Future[FileOutcome]":
        self.count += 1
        report = FileReport(job.source, job.target)
        report.facts |= {"bytes_in": 3_000_000, "bytes_out": 200_000, "quality": 50.0}
        report.facts["sha256"] = f"{self.count:064x}"
        future: Future[FileOutcome] = Future()
        future.set_result(FileOutcome(job, report))
        return future


class MadeUp(AbstractFileSystem):
    """Lists made://in with folders of pictures; made://out with what was made of every tenth."""

    protocol = "made"
    cachable = False
    folders = 0

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
        head, _, below = path.strip("/").partition("/")
        if not below:
            names = [(f"{n:06}", "directory") for n in range(self.folders)] * (head == "in")
        elif head == "in":
            names = [(f"{n:06}.jpg", "file") for n in range(FOLDER_FILES)]
        else:
            names = [(f"{n:06}.vae", "file") for n in range(0, FOLDER_FILES, 10)]
        return [{"name": f"{path}/{name}", "type": kind, "size": 1} for name, kind in names]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        is_file = path.endswith((".jpg", ".vae"))
        return {"name": path, "type": "file" if is_file else "directory", "size": 1}


def given_out(files: int, folder: Path) -> int:
    """Jobs that are there already: the engine alone."""
    executor = Counting()
    source, target = place("s3://bucket/photos"), place("s3://bucket/small")
    jobs: Iterator[FileJob] = (
        FileJob(source / f"{n:07}.jpg", target / f"{n:07}.vae", False) for n in range(files)
    )
    for _ in Engine(executor, lambda: WINDOW).run(jobs, lambda job: None):  # type: ignore[arg-type]
        pass
    return executor.count


def listed(files: int, folder: Path, manifest: Path | None = None) -> int:
    """Found by listing their folders, of which every tenth is passed over as done."""
    fsspec.register_implementation("made", MadeUp)
    MadeUp.folders = files // FOLDER_FILES
    executor = Counting()
    summary = vaecodec.encode_many(
        "made://in",
        "made://out",
        executor=executor,
        recursive=True,
        skip_existing=True,
        manifest=manifest,
    )
    assert summary.done == executor.count and not summary.failed
    assert summary.done + summary.skipped == files
    return summary.done


def recorded(files: int, folder: Path) -> int:
    """The same, with a line in a record for each."""
    return listed(files, folder, folder / "run.jsonl")


ROWS: dict[str, tuple[str, Callable[[int, Path], int]]] = {
    "engine": ("given out and taken back", given_out),
    "listing": ("and listed, with --skip-existing", listed),
    "manifest": ("and recorded, with --manifest", recorded),
    "continued": ("gone on with from that record", recorded),
}


@click.command()
@click.option("--files", default=1_000_000, show_default=True)
@click.option("--row", type=click.Choice(list(ROWS)), hidden=True)
@click.option("--folder", type=Path, hidden=True)
def main(files: int, row: str | None, folder: Path | None) -> None:
    """Print a line for each row; exit 1 where a bar is missed."""
    if row is not None and folder is not None:
        started = time.process_time(), time.monotonic()
        count = ROWS[row][1](files, folder)
        taken = time.process_time() - started[0], time.monotonic() - started[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"count": count, "cpu": taken[0], "wall": taken[1], "peak": peak}))
        return
    click.echo(f"{processor_line()}; {files} files")
    missed = False
    with tempfile.TemporaryDirectory() as name:
        for row, (told, _) in ROWS.items():
            words = [sys.executable, __file__, "--files", str(files), "--row", row]
            output = subprocess.run([*words, "--folder", name], check=True, capture_output=True)
            found = json.loads(output.stdout)
            each = 1000 * found["cpu"] / files
            missed |= found["peak"] > MAX_MEGABYTES or each > MAX_MILLISECONDS
            click.echo(
                f"{told:35} {found['count']:8} given out, {each:.3f} ms a file of processor time"
                f" ({1000 * found['wall'] / files:.3f} of the clock), peak {found['peak']:.0f} MiB"
            )
    sys.exit(missed)


if __name__ == "__main__":
    main()
