"""Throughput of many files on two cores against one.

    python scripts/bench_jobs.py [--pictures 24] [--runs 3]

Encodes and decodes so many pictures of 768x512 with `--jobs 1` on one core (taskset) and with
`--jobs 2` on two, in turn; medians of whole processes, and how many times faster two cores are.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

from vaecodec.processor import processor_line

PHOTO = Path(__file__).parent.parent / "tests" / "photos" / "bay.jpg"


def make_pictures(folder: Path, count: int) -> None:
    """Different pictures of one size: the photo, shifted and turned."""
    photo = np.asarray(Image.open(PHOTO))
    for number in range(count):
        pixels = np.roll(photo, (37 * number, 91 * number), axis=(0, 1))
        Image.fromarray(pixels[:: 1 - 2 * (number % 2)]).save(folder / f"{number:02}.png")


def seconds_of(words: list[str], cores: str) -> float:
    started = time.monotonic()
    subprocess.run(["taskset", "-c", cores, *words], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


@click.command()
@click.option("--pictures", default=24, show_default=True)
@click.option("--runs", default=3, show_default=True)
def main(pictures: int, runs: int) -> None:
    """Print a line for each direction."""
    click.echo(processor_line())
    cores = sorted(os.sched_getaffinity(0))[:2]
    settings = {1: str(cores[0]), 2: ",".join(map(str, cores))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        make_pictures(folder / "in", pictures)
        command = [sys.executable, "-m", "vaecodec"]
        directions = {
            "encode": [*command, "encode", "-f", str(folder / "in"), "-o", str(folder / "vae")],
            "decode": [*command, "decode", "-f", str(folder / "vae"), "-o", str(folder / "out")],
        }
        for direction, words in directions.items():
            taken: dict[int, list[float]] = {jobs: [] for jobs in settings}
            for _ in range(runs):
                for jobs, where in settings.items():
                    taken[jobs].append(seconds_of([*words, "--jobs", str(jobs)], where))
            one, two = (statistics.median(taken[jobs]) for jobs in settings)
            click.echo(
                f"{direction}: {pictures / one:.2f} files/s on one core,"
                f" {pictures / two:.2f} on two, {one / two:.2f} times"
            )


if __name__ == "__main__":
    main()
