"""Whole-process time and memory of encoding and decoding one picture, beside `import torch`.

    python scripts/bench_start.py [PICTURE] [--runs 7]

The commands take turns in one run, so that a machine whose speed drifts slows all of them; the
medians and their ratio to `python -c "import torch"` are what to quote. The tools of AVIF and
JPEG XL (Debian: libavif-bin, libjxl-tools) join in where they are installed, with their defaults.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import click

from vaecodec.processor import processor_line

PHOTO = Path(__file__).parent.parent / "tests" / "photos" / "bay.jpg"


# An installed package is compiled, and so shall be the one that is measured.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def measure(words: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of a command, as the operating system counts them."""
    started = time.monotonic()
    process = os.posix_spawn(
        words[0],
        words,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)],
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"failed: {' '.join(words)}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def commands_on(picture: Path, folder: str) -> dict[str, list[str]]:
    """What is measured, in an order in which encoders make what decoders read."""
    vae, png, command = f"{folder}/a.vae", f"{folder}/a.png", [sys.executable, "-m", "vaecodec"]
    encode = [*command, "encode", "-f", str(picture), "-o", vae]
    decode = [*command, "decode", "-f", vae, "-o", png]
    commands = {
        "import torch": [sys.executable, "-c", "import torch"],
        "encode": encode,
        "decode": decode,
        "verify": [*command, "verify", vae],
        "info": [*command, "info", vae],
        "--help": [*command, "--help"],
        "encode, torch": [*encode, "--backend", "torch"],
        "decode, torch": [*decode, "--backend", "torch"],
        "avifenc": ["avifenc", str(picture), f"{folder}/a.avif"],
        "avifdec": ["avifdec", f"{folder}/a.avif", f"{folder}/avif.png"],
        "cjxl": ["cjxl", "--lossless_jpeg=0", str(picture), f"{folder}/a.jxl"],
        "djxl": ["djxl", f"{folder}/a.jxl", f"{folder}/jxl.png"],
    }
    found = {name: shutil.which(words[0]) for name, words in commands.items()}
    return {name: [found[name], *words[1:]] for name, words in commands.items() if found[name]}


@click.command()
@click.argument("picture", type=Path, default=PHOTO)
@click.option("--runs", default=10, show_default=True)
def main(picture: Path, runs: int) -> None:
    """Print a line for each command."""
    click.echo(processor_line())
    with tempfile.TemporaryDirectory() as folder:
        commands = commands_on(picture, folder)
        for words in commands.values():  # warm the file cache; encode makes what decode reads
            measure(words)
        results = {name: [] for name in commands}
        for _ in range(runs):
            for name, words in commands.items():
                results[name].append(measure(words))
    base = statistics.median(seconds for seconds, _ in results["import torch"])
    for name, figures in results.items():
        seconds = statistics.median(s for s, _ in figures)
        memory = max(m for _, m in figures)
        click.echo(
            f"{name:>13}: {seconds:.2f} s, {seconds / base:.2f} x import torch, {memory:.0f} MiB"
        )


if __name__ == "__main__":
    main()
