"""Two Dask workers against one, and against this machine without a cluster.

    python scripts/bench_cluster.py [--pictures 200] [--size 384x256] [--runs 1]
        [--model FILE]

Encodes so many photographs of a size with whole commands, in turn: with `--jobs 2`, on a
cluster of one worker of one thread, and on one of two. Files a second by the clock, which on a
machine with other work or fewer than two free cores says little, and processor time a file of all
processes of a setting, which says what the cluster itself costs: client, scheduler and workers.
First, what giving out a file costs client, scheduler and worker where nothing is done with it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click
import psutil
from check_cluster import COMMAND, Cluster, cluster_in, make_pictures

from vaecodec.batch.executors import dask_cluster
from vaecodec.batch.jobs import FileJob
from vaecodec.batch.report import FileReport
from vaecodec.places import place
from vaecodec.processor import processor_line


def processor_seconds(cluster: Cluster | None) -> float:
    """Of a cluster's processes until now."""
    if cluster is None or cluster.scheduler is None:
        return 0.0
    spent = [psutil.Process(p.pid).cpu_times() for p in (cluster.scheduler, *cluster.workers)]
    return sum(times.user + times.system for times in spent)


def measure(words: list[str], cluster: Cluster | None) -> tuple[float, float]:
    """Seconds by the clock and of the processor that a command takes, its cluster's with them."""
    before, started = processor_seconds(cluster), time.monotonic()
    process = os.posix_spawn(
        words[0],
        words,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"failed: {' '.join(words)}")
    own = usage.ru_utime + usage.ru_stime
    return time.monotonic() - started, own + processor_seconds(cluster) - before


def nothing(job: FileJob) -> FileReport:
    """A task that costs nothing."""
    return FileReport(job.source, job.target)


def give_out(address: str, count: int) -> None:
    """Give out so many jobs of which nothing is done."""
    source = place("s3://bucket/photos")
    jobs = (FileJob(source / f"{n:07}.jpg", source / f"{n:07}.vae") for n in range(count))
    with dask_cluster(address) as engine:
        done = sum(outcome.fault is None for outcome in engine.run(jobs, nothing))
    if done != count:
        sys.exit(f"{count - done} jobs were lost")


def say_what_giving_out_costs(cluster: Cluster, count: int) -> None:
    """A line with the milliseconds of each process."""
    assert cluster.scheduler is not None
    processes = {
        "client": psutil.Process(),
        "scheduler": psutil.Process(cluster.scheduler.pid),
        "worker": psutil.Process(cluster.workers[0].pid),
    }
    give_out(cluster.address, 50)  # what is imported and connected once
    before = {name: sum(p.cpu_times()[:2]) for name, p in processes.items()}
    give_out(cluster.address, count)
    told = [
        f"{name} {1000 * (sum(p.cpu_times()[:2]) - before[name]) / count:.2f} ms"
        for name, p in processes.items()
    ]
    click.echo(f"given out and taken back, of the processor a file: {', '.join(told)}")


@click.command()
@click.option("--pictures", default=200, show_default=True)
@click.option("--size", default="384x256", show_default=True, help="Width and height.")
@click.option("--tasks", default=5000, show_default=True, help="That do nothing.")
@click.option("--runs", default=1, show_default=True)
@click.option("--model", type=Path, help="Weight file instead of the shipped one.")
def main(pictures: int, size: str, tasks: int, runs: int, model: Path | None) -> None:
    """Print a line for each setting, and the ratios."""
    cores, load = sorted(os.sched_getaffinity(0)), os.getloadavg()[0]
    click.echo(f"{processor_line()}; cores {cores}, load {load:.1f} before the first run")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        make_pictures(folder / "in", pictures, *map(int, size.split("x")))
        words = [*COMMAND, "encode", "-f", str(folder / "in"), "-r", "-o", str(folder / "out")]
        words += ["--model", str(model)] if model is not None else []
        settings: dict[str, tuple[list[str], Cluster | None]] = {
            "no cluster": (["--jobs", "2"], None)
        }
        for count, told in ((1, "one worker"), (2, "two workers")):
            cluster = stack.enter_context(cluster_in(folder / f"dask{count}", count))
            settings[told] = ["--scheduler", cluster.address], cluster
        few = [
            *words[: words.index("-r") - 1],
            str(folder / "in" / "00"),
            *words[words.index("-r") :],
        ]
        for more, _ in settings.values():  # models are loaded, and sent where they are missing
            subprocess.run([*few, *more], check=True, stdout=subprocess.DEVNULL)
        taken: dict[str, list[tuple[float, float]]] = {told: [] for told in settings}
        for _ in range(runs):
            for told, (more, cluster) in settings.items():
                taken[told].append(measure([*words, *more], cluster))
        one = settings["one worker"][1]
        assert one is not None
        say_what_giving_out_costs(one, tasks)
    rates = {}
    for told, found in taken.items():
        wall, processor = (statistics.median(values) for values in zip(*found, strict=True))
        rates[told] = pictures / wall
        click.echo(
            f"{told:11}: {pictures / wall:.2f} files/s by the clock,"
            f" {1000 * processor / pictures:.0f} ms of the processor a file"
        )
    click.echo(
        f"two workers against one: {rates['two workers'] / rates['one worker']:.2f} times;"
        f" against no cluster: {rates['two workers'] / rates['no cluster']:.2f} times"
    )


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    main()
