"""How good or how small: the options of `encode` that say so, and what is done to meet them."""

import math
import re
from typing import TYPE_CHECKING

import click

from vaecodec.cli.options import PATH
from vaecodec.cli.messages import StatusLine
from vaecodec.codec.effort import DEFAULT_EFFORT, EFFORT_MAX
from vaecodec.codec.quality import DEFAULT_QUALITY, quality_of_level

if TYPE_CHECKING:
    from vaecodec.inference.model import Model
    from vaecodec.picture.picture import Picture
    from vaecodec.codec.decoder import EncodeOptions

POSITIVE = click.FloatRange(min=0, min_open=True)


class SizeType(click.ParamType):
    """A size in bytes, with the units people write: 200kB, 1.5MiB, 90000."""

    name = "SIZE"
    _UNITS = {"": 1, "b": 1, "kb": 1e3, "k": 1e3, "mb": 1e6, "m": 1e6, "kib": 2**10, "mib": 2**20}

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)", value)
        if match is None or match[2].lower() not in self._UNITS or float(match[1]) == 0:
            self.fail(f"{value!r} is not a size like 200kB or 1.5MiB", param, context)
        return float(match[1]) * self._UNITS[match[2].lower()]


QUALITY = click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=DEFAULT_QUALITY,
    show_default=True,
    help="0 smallest to 100 best, continuous.",
)
TARGET_SIZE = click.option(
    "--target-size",
    type=SizeType(),
    default=None,
    help="As good as fits into this size: 200kB, 1.5MiB.",
)
TARGET_BPP = click.option(
    "--target-bpp", type=POSITIVE, default=None, help="As good as fits into so many bits per pixel."
)
TARGET_PSNR = click.option(
    "--target-psnr", type=POSITIVE, default=None, help="As small as reaches this PSNR in dB."
)
TARGET_MS_SSIM = click.option(
    "--target-ms-ssim",
    type=click.FloatRange(0, 1),
    default=None,
    help="As small as reaches this MS-SSIM.",
)
BEST_EFFORT = click.option(
    "--best-effort", is_flag=True, help="Take the nearest where a target cannot be met."
)
EFFORT = click.option(
    "--effort",
    type=click.IntRange(0, EFFORT_MAX),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="0 fastest to 9 smallest; from 2 on the picture's latents are refined, which needs torch.",
)
TIMEOUT = click.option(
    "--timeout",
    metavar="SECONDS",
    type=POSITIVE,
    default=math.inf,
    help="Time for refining a picture; what it has become by then is written.",
)
ROI = click.option(
    "--roi",
    metavar="MASK",
    type=PATH,
    default=None,
    help="Picture of the same size: white parts keep the quality, black ones get less of it.",
)


class Progress:
    """A line on a terminal that says how much of something is done; gone at the end."""

    def __init__(self, what: str, shown: bool):
        self.what, self.status = what, StatusLine(shown)

    def __call__(self, part: float) -> None:
        """`part`: 0..1."""
        bar = "#" * round(40 * part)
        self.status.show(f"{self.what} [{bar:<40}] {100 * part:3.0f} %")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.status.clear()


def encode_to_wish(
    picture: "Picture",
    model: "Model",
    options: "EncodeOptions",
    targets: dict[str, float],
    best_effort: bool,
) -> tuple[bytes, str]:
    """The file nearest to the target, and what is said of it."""
    from vaecodec.codec.rate_control import require
    from vaecodec.codec.targets import UNITS, encode_to_target, wish_of

    ((kind, value),) = targets.items()
    if kind == "bpp":
        height, width = picture.pixels.shape[:2]
        kind, value = "size", value * height * width / 8
    trial, _ = encode_to_target(picture, model, options, kind, value)
    if not best_effort:
        require(wish_of(kind, value), trial, UNITS[kind])
    reached = "" if kind == "size" else f", {trial.value:.4g} {UNITS[kind]}"
    return trial.data, f", quality {quality_of_level(trial.level):.1f}{reached}"
