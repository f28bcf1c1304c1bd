"""How well and how cheaply targets are met: sizes, bits per pixel and qualities over a folder.

    python scripts/check_targets.py FOLDER [--model PATH] [--effort N] [--every N]

Each picture is encoded to three values of each kind. A miss is a size above its target, a quality
under it, or either further off than one percent (of PSNR: 0.05 dB, of SSIMULACRA 2: 0.5). Out of
reach: what lies beyond the picture's own smallest or largest file.
"""

from collections import Counter
from pathlib import Path

import click

from vaecodec.codec import encoder
from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.codec.encoder import EncodeOptions
from vaecodec.codec.targets import encode_to_target, target_of
from vaecodec.format.container import LEVEL_MAX, MAX_PIXELS
from vaecodec.inference.loading import load_model
from vaecodec.picture.reader import read_picture

VALUES = {
    "size": (20e3, 40e3, 80e3),
    "bpp": (0.3, 0.6, 1.2),
    "psnr": (31.0, 34.0, 37.0),
    "ssimulacra2": (50.0, 70.0, 80.0),
}


class Counting:
    """Counts the calls of functions that it is put in front of."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, holder: object, name: str) -> None:
        function = getattr(holder, name)

        def counted(*arguments, **options):
            self.calls[name] += 1
            return function(*arguments, **options)

        setattr(holder, name, counted)


@click.command()
@click.argument("folder", type=Path)
@click.option("--model", type=Path, default=None)
@click.option("--effort", default=DEFAULT_EFFORT, show_default=True)
@click.option("--every", default=1, show_default=True, help="Use every n-th picture only.")
def main(folder: Path, model: Path | None, effort: int, every: int) -> None:
    """Print misses, and the mean numbers of passes for each target."""
    loaded = load_model(model)
    counting = Counting()
    counting(loaded.transforms, "analyse")
    counting(encoder, "encode_slice")
    paths = sorted(folder.glob("*.png"))[::every]
    for kind, values in VALUES.items():
        for value in values:
            counting.calls.clear()
            misses, beyond = [], 0
            for path in paths:
                picture = read_picture(path, MAX_PIXELS)
                pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
                unit, target = ("size", value * pixels / 8) if kind == "bpp" else (kind, value)
                options = EncodeOptions(LEVEL_MAX // 2, effort=effort)
                trial, _ = encode_to_target(picture, loaded, options, unit, target)
                if trial.level in (0, LEVEL_MAX):
                    beyond += 1
                elif not target_of(unit, target).is_near(trial):
                    misses.append(f"{path.stem} {trial.value:.5g} at level {trial.level}")
            passes = [counting.calls[n] / len(paths) for n in ("analyse", "encode_slice")]
            click.echo(
                f"{kind} {value:g}: {len(misses)} misses of {len(paths)}, {beyond} out of reach;"
                f" mean passes: analysis {passes[0]:.2f}, coding {passes[1]:.2f}"
            )
            for miss in misses:
                click.echo(f"  {miss}")


if __name__ == "__main__":
    main()
