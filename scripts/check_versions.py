"""Every interpreter given encodes; every other one decodes: same symbols, pixels within 1.

    python scripts/check_versions.py PYTHON PYTHON... --photo PHOTO [--photo PHOTO]

Each PYTHON is an interpreter in an environment of its own with vaecodec installed, for instance one
with the oldest torch that setup.cfg allows and one with the newest. Decoding checks the checksum of
all symbols that the file carries, so a file that decodes has the very symbols that were written.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from PIL import Image

QUALITIES = (0, 60, 100)


def run(python: str, *words: str | Path) -> str:
    """Output of a command under an interpreter; ends the script where it fails."""
    done = subprocess.run([python, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{python} {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout.strip()


@click.command()
@click.argument("pythons", nargs=-1, required=True)
@click.option("--photo", "photos", type=Path, multiple=True, required=True)
@click.option("--option", "options", multiple=True, help="Passed to encode and decode.")
def main(pythons: tuple[str, ...], photos: tuple[Path, ...], options: tuple[str, ...]) -> None:
    """Print what was compared and the largest difference of any sample."""
    versions = [run(python, "-c", "import torch; print(torch.__version__)") for python in pythons]
    click.echo("torch " + ", ".join(versions))
    largest, files, decoded = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for photo in photos:
            for quality in QUALITIES:
                for maker, python in enumerate(pythons):
                    file = Path(folder, f"{photo.stem}.{quality}.{maker}.vae")
                    run(python, "-m", "vaecodec", "encode", photo, "-q", str(quality), *options,
                        "-o", file)  # fmt: skip
                    files += 1
                    pictures = []
                    for reader, other in enumerate(pythons):
                        copy = file.with_suffix(f".{reader}.png")
                        run(other, "-m", "vaecodec", "decode", file, *options, "-o", copy)
                        pictures.append(np.asarray(Image.open(copy)).astype(int))
                        decoded += 1
                    spread = np.max(pictures, axis=0) - np.min(pictures, axis=0)
                    largest = max(largest, int(spread.max()))
    click.echo(f"{files} files, {decoded} decodes, largest difference {largest} of 255")
    if largest > 1:
        sys.exit("pixels differ by more than 1")


if __name__ == "__main__":
    main()
