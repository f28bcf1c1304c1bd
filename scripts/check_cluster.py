"""Kills a worker, the client and the scheduler of a Dask cluster with SIGKILL in the middle of a
batch: nothing is lost, nothing half written, nothing done twice.

    python scripts/check_cluster.py MODEL [--pictures 60]

A scheduler and two workers of one thread, as processes; MODEL is a small weight file (of `vaecodec
train --preset tiny`), which the workers get from the client. After each kill the same command is
given again where that is needed, and what is there in the end is compared with what one process
makes without a cluster.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
from PIL import Image

PHOTOS = Path(__file__).parent.parent / "tests" / "photos"
COMMAND = [sys.executable, "-m", "vaecodec"]
DASK = [sys.executable, "-m", "dask"]
WAIT_SECONDS = 300


class Cluster:
    """A scheduler on a port that stays the same, and workers, as processes of this machine."""

    def __init__(self, folder: Path, workers: int = 2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self._folder, self._count = folder, workers
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start what does not run, and wait until every worker is known."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            port = self.address.rpartition(":")[2]
            words = ["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
            self.scheduler = self._started(words, "scheduler")
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        for number in range(len(self.workers), self._count):
            words = ["worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            words += ["--death-timeout", "5", "--local-directory", str(self._folder)]
            self.workers.append(self._started(words, f"worker{number}"))
        self._wait_for_workers()

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in (*self.workers, *([self.scheduler] if self.scheduler else [])):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.workers = []

    def _started(self, words: list[str], name: str) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen([*DASK, *words], stdout=log, stderr=log)

    def _wait_for_workers(self) -> None:
        from distributed import Client

        with Client(self.address, timeout=WAIT_SECONDS, set_as_default=False) as client:
            client.wait_for_workers(self._count, timeout=WAIT_SECONDS)


@contextmanager
def cluster_in(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A running cluster."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder, workers)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def make_pictures(folder: Path, count: int, width: int = 384, height: int = 256) -> None:
    """Different small photographs: parts of those of the tests, in folders of twenty."""
    photos = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    for number in range(count):
        photo = photos[number % len(photos)]
        left = 37 * number % (photo.width - width + 1)
        top = 23 * number % (photo.height - height + 1)
        path = folder / f"{number // 20:02}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.crop((left, top, left + width, top + height)).save(path)


class Batch:
    """One command that encodes all pictures on the cluster, given as often as is needed."""

    def __init__(self, folder: Path, name: str, cluster: Cluster, model: Path):
        self.output, self.record = folder / name, folder / f"{name}.jsonl"
        self._words = [*COMMAND, "encode", str(folder / "in"), "-r", "-o", str(self.output)]
        self._words += ["--scheduler", cluster.address, "--model", str(model)]
        self._words += ["--manifest", str(self.record), "--skip-existing"]

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def start_and_wait_for(self, files: int) -> "subprocess.Popen[str]":
        """Start, and return when so many files are there."""
        process = self.start()
        until = time.monotonic() + WAIT_SECONDS
        while len(self.made()) < files:
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"ended or hung before the kill: {process.communicate()[0]}")
            time.sleep(0.01)
        return process

    def made(self) -> dict[str, tuple[int, int]]:
        """What tells whether a file was written again, by name."""
        found = {}
        for path in self.output.rglob("*.vae"):
            status = path.stat()
            found[str(path.relative_to(self.output))] = status.st_ino, status.st_mtime_ns
        return found

    def successes(self) -> list[str]:
        """The sources that the record says are done, once for each time."""
        lines = self.record.read_bytes().splitlines(keepends=True)
        records = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [record["source"] for record in records if record["fault"] is None]

    def compare(self, wanted: dict[str, bytes], before: dict[str, tuple[int, int]]) -> str:
        """What is wrong in the end, else nothing."""
        there = {name: (self.output / name).read_bytes() for name in self.made()}
        lost, other = set(wanted) - set(there), set(there) - set(wanted)
        half = [name for name, data in there.items() if wanted.get(name, data) != data]
        twice = [name for name, stamp in before.items() if self.made().get(name) != stamp]
        done = self.successes()
        told = {
            "lost": lost,
            "not asked for": other,
            "half written": half,
            "written twice": twice,
            "recorded twice": {name for name in done if done.count(name) > 1},
        }
        return ", ".join(f"{what}: {sorted(names)[:5]}" for what, names in told.items() if names)


def ended(process: "subprocess.Popen[str]", exit_code: int) -> str:
    """What a client said, which ends with this code: its own lines and no others."""
    output = process.communicate(timeout=WAIT_SECONDS)[0]
    own = all(re.match(r"vaecodec: |[0-9]+ done, ", line) for line in output.splitlines())
    if process.returncode != exit_code or not own:
        sys.exit(f"exit code {process.returncode}, not {exit_code}: {output}")
    return " / ".join(output.splitlines())


def kill_worker(batch: Batch, cluster: Cluster, count: int) -> None:
    """A lost worker's files are done by the other, without anybody's doing."""
    process = batch.start_and_wait_for(count // 3)
    cluster.kill(cluster.workers[0])
    click.echo(f"  a worker killed with {len(batch.made())} of {count} files made")
    click.echo(f"  the client went on with the other, to its end: {ended(process, 0)}")


def kill_client(batch: Batch, cluster: Cluster, count: int) -> None:
    """What it had given out is finished or forgotten; the same command goes on."""
    process = batch.start_and_wait_for(count // 3)
    process.kill()
    process.wait()
    click.echo(f"  the client killed with {len(batch.made())} of {count} files made")
    click.echo(f"  its record held {len(batch.successes())} of them")
    click.echo(f"  the same command again: {ended(batch.start(), 0)}")


def kill_scheduler(batch: Batch, cluster: Cluster, count: int) -> None:
    """The client says so and ends; another scheduler, and the same command goes on."""
    process = batch.start_and_wait_for(count // 3)
    assert cluster.scheduler is not None
    cluster.kill(cluster.scheduler)
    made, started = len(batch.made()), time.monotonic()
    click.echo(f"  the scheduler killed with {made} of {count} files made")
    said = ended(process, 1)
    click.echo(f"  the client ended after {time.monotonic() - started:.1f} s: {said}")
    for worker in cluster.workers:
        worker.wait(WAIT_SECONDS)
    click.echo(f"  the workers ended by themselves after {time.monotonic() - started:.1f} s")
    cluster.start()
    click.echo(
        f"  scheduler and workers started; the same command again: {ended(batch.start(), 0)}"
    )


DRILLS: dict[str, Callable[[Batch, Cluster, int], None]] = {
    "worker": kill_worker,
    "client": kill_client,
    "scheduler": kill_scheduler,
}


def watch(batch: Batch, drill: Callable[[], None]) -> dict[str, tuple[int, int]]:
    """Do a drill; returns how each file looked when it was first seen."""
    import threading

    seen: dict[str, tuple[int, int]] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for name, stamp in batch.made().items():
                seen.setdefault(name, stamp)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        drill()
    finally:
        over.set()
        watcher.join()
    return seen


@click.command()
@click.argument("model", type=Path)
@click.option("--pictures", default=60, show_default=True)
@click.option("--only", type=click.Choice(list(DRILLS)), help="One drill instead of all.")
def main(model: Path, pictures: int, only: str | None) -> None:
    """Do each drill and say what happened; exit 1 where something is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(folder / "in", pictures)
        alone = [*COMMAND, "encode", str(folder / "in"), "-r", "-o", str(folder / "alone")]
        subprocess.run([*alone, "--model", str(model), "--quiet"], check=True)
        wanted = {
            str(path.relative_to(folder / "alone")): path.read_bytes()
            for path in (folder / "alone").rglob("*.vae")
        }
        for drill, act in DRILLS.items():
            if only not in (None, drill):
                continue
            click.echo(f"{drill}:")
            with cluster_in(folder / f"dask-{drill}") as cluster:
                batch = Batch(folder, drill, cluster, model)
                before = watch(batch, lambda a=act, b=batch, c=cluster: a(b, c, pictures))
                wrong = batch.compare(wanted, before)
                parts = sorted(path.name for path in batch.output.rglob(".*"))
            if wrong:
                sys.exit(f"  {wrong}")
            click.echo(
                f"  all {len(wanted)} files are there with the bytes that one process makes, each"
                f" written once and recorded once; temporary files left behind: {len(parts)}"
            )


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(PHOTOS.parent.parent)  # this vaecodec, in the workers as well
    main()
