"""Pixels per second of `vaecodec train` against CompressAI's bmshj2018-hyperprior with N = 128.

    python scripts/bench_train.py FOLDER [--runs 3] [--compressai-python PATH]

The loop of `vaecodec train --preset small` is run as it is, on the pictures of FOLDER, and all of a
step is counted: reading, cropping, both passes, optimiser, averaging. CompressAI gets the loop of
its own example (Adam, batches of 8 crops of 256x256, clipping, the second optimiser for its
quantiles) with crops that cost nothing, in float32 and in bfloat16 autocast. All in one run, in
turn; the ratio of the medians is what to quote.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from bench_codecs import WORKER, make_picture

from vaecodec.network.config import PRESETS
from vaecodec.processor import processor_line
from vaecodec.training.options import Recipe, TrainOptions
from vaecodec.training.trainer import Trainer

MODEL = "bmshj2018-hyperprior"
WARM_UP = 3  # steps


def own_speed(folder: Path, steps: int, run: Path) -> float:
    """Pixels per second over all steps but the first ones; a step is as many pixels early and
    late."""
    recipe = Recipe(pool_mebibytes=256)  # less to read before the first step
    output = run / "own.safetensors"
    options = TrainOptions(folder, output, run, PRESETS["small"], recipe, steps=steps)
    times: list[float] = []
    Trainer(options).run(lambda progress: times.append(time.perf_counter()), click.echo)
    times = times[WARM_UP:-1]  # the last tells of the end
    return (len(times) - 1) * recipe.batch * recipe.crop**2 / (times[-1] - times[0])


def their_speeds(python: str, pixels: Path, seconds: float) -> dict[str, float]:
    command = [python, str(WORKER), "train", MODEL, str(pixels), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--steps", default=40, show_default=True, help="Of vaecodec, each time.")
@click.option("--seconds", default=10.0, show_default=True, help="For each kind of CompressAI.")
@click.option("--runs", default=3, show_default=True)
@click.option("--compressai-python", default=sys.executable, help="Python that has CompressAI.")
def main(folder: Path, steps: int, seconds: float, runs: int, compressai_python: str) -> None:
    """Print megapixels per second and their ratio."""
    click.echo(processor_line())
    figures: dict[str, list[float]] = {}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            scratch = Path(name)
            figures.setdefault("vaecodec", []).append(own_speed(folder.resolve(), steps, scratch))
            make_picture("3", scratch / "pixels.npy")
            for kind, speed in their_speeds(
                compressai_python, scratch / "pixels.npy", seconds
            ).items():
                figures.setdefault(f"CompressAI, {kind}", []).append(speed)
    own = statistics.median(figures["vaecodec"])
    for name, speeds in figures.items():
        speed = statistics.median(speeds)
        click.echo(
            f"{name:<24} {speed / 1e6:.3f} Mpx/s ({min(speeds) / 1e6:.3f} to"
            f" {max(speeds) / 1e6:.3f}); vaecodec is {own / speed:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
