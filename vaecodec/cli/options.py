"""What the commands share: options, opening inputs, naming files in faults."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.param_types import POSITIVE, LocalPathType, NumberType, PlaceType, SizeType
from vaecodec.codec.effort import DEFAULT_EFFORT, EFFORT_MAX
from vaecodec.errors import UsageError, VaecodecWarning
from vaecodec.format.container import MAX_PIXELS
from vaecodec.network.weight_files import DEFAULT_TUNE, TUNES, shipped_weights_path
from vaecodec.places import Place

if TYPE_CHECKING:
    from vaecodec.inference.loading import ModelReference
    from vaecodec.inference.model import Model

PATH = PlaceType()
LOCAL_PATH = LocalPathType()


INPUTS = click.argument("sources", metavar="IN...", type=PATH, nargs=-1, required=True)
OUTPUT = click.option("-o", "--output", metavar="OUT", type=PATH, help="File to write, or folder.")


def _without_warnings(_: click.Context, __: click.Parameter, chosen: bool) -> bool:
    """Silences what is said of the machine, before anything that would say it is imported."""
    if chosen:
        warnings.simplefilter("ignore", VaecodecWarning)
    return chosen


QUIET = click.option(
    "--quiet", is_flag=True, callback=_without_warnings, help="Say nothing when all goes well."
)
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Say more: model, times, bytes.")
JSON = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_without_warnings,
    help="Print a JSON object, on a line for each file.",
)
PRESERVE = click.option(
    "--preserve", is_flag=True, help="Give outputs the modification time of their inputs."
)
FORCE = click.option("-f", "--force", is_flag=True, help="Overwrite an existing output.")
MODEL = click.option(
    "--model", metavar="PATH", type=PATH, help="Weight file instead of one that ships."
)
TUNE = click.option(
    "--tune",
    type=click.Choice(TUNES),
    default=None,
    help=f"What the model shall preserve: what people see, or PSNR.  [default: {DEFAULT_TUNE}]",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
BACKEND = click.option(
    "--backend",
    type=click.Choice(["auto", "onnx", "torch"]),
    default="auto",
    show_default=True,
    help="What computes the network: onnx on CPUs, torch on GPUs.",
)


@dataclass(frozen=True)
class ModelChoice:
    """The model that the user named, None for the default one, and what it shall run on."""

    path: Place | None
    device: str
    backend: str

    def load(self, model_id: bytes | None = None) -> "Model":
        """As load_model, for one use."""
        from vaecodec.inference.loading import load_model

        return load_model(self.path, self.device, model_id, self.backend)

    def reference(self, is_fixed: bool = False) -> "ModelReference":
        """The same as plain data, as by reference_to."""
        from vaecodec.inference.loading import reference_to

        return reference_to(self.path, self.device, self.backend, is_fixed)


def choosing_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options of a ModelChoice, which it receives as `choice`."""

    @wraps(command)
    def with_choice(model: Place | None, device: str, backend: str, **others: Any) -> Any:
        return command(choice=ModelChoice(model, device, backend), **others)

    return MODEL(DEVICE(BACKEND(with_choice)))


def tuning(command: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a command that makes files choose among the models that ship; put below
    `choosing_model`."""

    @wraps(command)
    def with_tune(choice: ModelChoice, tune: str | None, **others: Any) -> Any:
        if tune is not None and choice.path is not None:
            raise UsageError("--tune chooses a model that ships; leave out --model, or --tune")
        path = choice.path if tune is None else shipped_weights_path(tune)
        return command(choice=replace(choice, path=path), **others)

    return TUNE(with_tune)


LIMIT = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures.",
)

QUALITY = click.option(
    "-q",
    "--quality",
    type=NumberType(0, 100),
    default=None,
    help="0 smallest to 100 best, continuous: the SSIMULACRA 2 score to expect of a photograph."
    "  [default: 75; with --tune psnr 60]",
)

LOSSLESS = click.option(
    "--lossless", is_flag=True, help="Store every sample as it is, of 8 or 16 bits."
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
    type=NumberType(0, 1),
    default=None,
    help="As small as reaches this MS-SSIM.",
)

TARGET_SSIMULACRA2 = click.option(
    "--target-ssimulacra2",
    type=NumberType(0, 100, min_open=True),
    default=None,
    help="As small as reaches this SSIMULACRA 2: 70 is not annoying, 80 invisible side by side.",
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
