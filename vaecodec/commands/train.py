"""The `vaecodec train` command: options, progress lines and what is said at the end."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.options import LOCAL_PATH, PATH
from vaecodec.cli.param_types import POSITIVE, NumberType
from vaecodec.cli.progress import Progress
from vaecodec.errors import UsageError
from vaecodec.places import Place, RemotePath

if TYPE_CHECKING:
    from vaecodec.network.config import NetworkConfig
    from vaecodec.training.options import Recipe, TrainingProgress, TrainOptions
    from vaecodec.training.trainer import Trainer

OPTIONAL = ("elementwise", "activation_bits", "float_blocks")  # sizes that may be 0
PRESET_NAMES = ("tiny", "small", "base", "large")


@click.command(
    epilog="Exit codes: 0 done or interrupted and saved, 1 training failed, 2 wrong usage."
)
@click.argument("folder", type=PATH, required=False)
@click.option(
    "-o",
    "--output",
    type=LOCAL_PATH,
    help="Weight file to write (default: FOLDER's name.safetensors).",
)
@click.option(
    "--run",
    type=LOCAL_PATH,
    help="Folder for checkpoints and records (default: OUTPUT's name.run).",
)
@click.option(
    "--resume", metavar="RUN", type=LOCAL_PATH, help="Continue the training in this run folder."
)
@click.option(
    "--preset",
    type=click.Choice(PRESET_NAMES),
    default="small",
    show_default=True,
    help="Size of the network.",
)
@click.option("--hours", type=POSITIVE, help="Train for this long (default: 1).")
@click.option("--steps", type=click.IntRange(min=1), help="Train for this many steps instead.")
@click.option(
    "--from",
    "start",
    metavar="WEIGHTS",
    type=LOCAL_PATH,
    help="Fine-tune this model; 'default' is the shipped one.",
)
@click.option(
    "--metric",
    type=click.Choice(["visual", "psnr", "ms-ssim"]),
    default=None,
    help="What to preserve: what people see (visual, the default for new models), or a measure;"
    " with --from by default what that model preserves.",
)
@click.option("--val", type=PATH, help="Validate on this folder instead of a part of FOLDER.")
@click.option(
    "--denoise",
    type=NumberType(0, 50),
    default=0.0,
    help="Train to remove noise of this deviation (of 255).",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a number of network or recipe.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of the convolutions; auto is what the processor computes faster.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--compare/--no-compare",
    default=True,
    show_default=True,
    help="At the end, measure WebP, AVIF and the shipped model on the validation pictures, too.",
)
@click.option("--json-log", is_flag=True, help="Report as JSON, a line for each step.")
def train(
    folder: Place | None, resume: Path | None, compare: bool, json_log: bool, **settings: Any
) -> None:
    """Train a model on a folder of pictures.

    On a CPU, a GPU, or several with torchrun.
    """
    first = os.environ.get("RANK", "0") == "0"
    say = _Reporter(json_log, first)
    if resume is not None:
        options = _resumed(resume)
        if (result := options.result()) is not None:
            say.line(f"{resume}: finished already; --from {options.output} trains on")
            say.result(options, result)
            return
    elif folder is not None:
        options = _fresh(folder, **settings)
    else:
        raise UsageError("name a FOLDER of pictures, or a run to continue with --resume")
    from vaecodec.training.processes import lost_ones_told  # torch takes two seconds to import
    from vaecodec.training.trainer import Trainer

    try:
        trainer = Trainer(options)
    except UsageError:  # the pictures are too few: nothing to resume
        if resume is None and first:
            shutil.rmtree(options.run)
        raise
    say.start(trainer)
    with lost_ones_told(options.run):
        is_at_its_end = trainer.run(say.progress, say.line)
    if not is_at_its_end:
        say.line(f"interrupted and saved; continue with: vaecodec train --resume {options.run}")
        return
    if result := trainer.finish():
        say.result(options, result)
        if compare:
            say.comparison(trainer.compare())


def _fresh(
    folder: Place,
    output: Path | None,
    run: Path | None,
    preset: str,
    hours: float | None,
    steps: int | None,
    start: Path | None,
    metric: str | None,
    val: Place | None,
    denoise: float,
    changes: tuple[str, ...],
    device: str,
    precision: str,
    seed: int,
) -> "TrainOptions":
    from vaecodec.training.options import TrainOptions

    if hours is not None and steps is not None:
        raise UsageError("give --hours or --steps, not both")
    for pictures in (folder, *([val] if val is not None else [])):
        _check_folder(pictures)
    output = output or Path(f"{folder.resolve().name}.safetensors")
    run = run or output.with_suffix(".run")
    start, config, recipe, usual_metric = _beginning(start, preset, changes)
    if os.environ.get("RANK", "0") == "0":
        if run.exists():
            raise UsageError(
                f"{run}: exists; continue it with --resume {run}, or choose another with --run"
            )
        if output.exists():
            raise UsageError(f"{output}: exists; choose another with -o")
    options = TrainOptions(
        folder=folder.resolve(),
        output=output.resolve(),
        run=run.resolve(),
        config=config,
        recipe=recipe,
        hours=None if steps is not None else hours or 1.0,
        steps=steps,
        start=start,
        metric=metric or usual_metric,
        validation_folder=val.resolve() if val is not None else None,
        device=device,
        precision=precision,
        seed=seed,
        denoise=denoise,
    )
    if os.environ.get("RANK", "0") == "0":
        _begin(options)
    return options


def _check_folder(pictures: Place) -> None:
    """Raise UsageError for a folder of pictures that is not there, and for an address with secrets,
    which a run would keep."""
    if isinstance(pictures, RemotePath) and pictures.url != str(pictures):
        told = "leave user, password and query out of the address, which the run keeps"
        raise UsageError(f"{pictures}: {told}")
    if not pictures.is_dir():
        raise UsageError(f"{pictures}: no such folder of pictures")


def _beginning(
    start: Path | None, preset: str, changes: tuple[str, ...]
) -> "tuple[Path | None, NetworkConfig, Recipe, str]":
    """The weight file to start from, if any, and what follows from it: the network, the recipe,
    and what is preserved unless something else is asked for."""
    from vaecodec.network.config import PRESETS
    from vaecodec.network.vae import checked_config
    from vaecodec.network.weight_files import METRICS, metric_of_card, weights_path
    from vaecodec.network.weights import load_weights
    from vaecodec.training.options import FINE_TUNING, Recipe

    if start is None:
        return None, *_apply(changes, PRESETS[preset], Recipe(), given=False), METRICS[0]
    start = weights_path(start)
    learned = load_weights(start)
    network, recipe = _apply(changes, checked_config(learned), FINE_TUNING, given=True)
    return start, network, recipe, metric_of_card(learned.card)


def _begin(options: "TrainOptions") -> None:
    """Make the run's folder, which a later `--resume` finds all in."""
    from vaecodec.atomic_files import write_json

    try:
        options.run.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{options.run}: cannot be a folder: {error.strerror}") from None
    write_json(options.run / "options.json", options.to_json())


def _resumed(run: Path) -> "TrainOptions":
    from vaecodec.training.options import TrainOptions

    try:
        return TrainOptions.from_json(json.loads((run / "options.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{run}: not the folder of a training run") from None


def _apply(
    changes: tuple[str, ...], config: "NetworkConfig", recipe: "Recipe", given: bool
) -> "tuple[NetworkConfig, Recipe]":
    """Network and recipe with `NAME=VALUE` changes made. Raises UsageError.

    A `given` network has learned already and can only grow.
    """
    from vaecodec.training.growth import BLOCKS, GROWING, can_grow

    names = {field.name: group for group in (config, recipe) for field in fields(group)}
    updates: dict[type, dict[str, Any]] = {type(config): {}, type(recipe): {}}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in names:
            raise UsageError(
                f"--set {change}: no number of that name; there are {', '.join(sorted(names))}"
            )
        kind = type(getattr(names[name], name))
        try:
            value = kind(text)
        except ValueError:
            raise UsageError(
                f"--set {change}: {text!r} is not a number of type {kind.__name__}"
            ) from None
        may_be_0 = names[name] is recipe or name in OPTIONAL
        if not math.isfinite(value) or value < 0 or (value == 0 and not may_be_0):
            raise UsageError(f"--set {change}: must be positive and finite")
        if given and names[name] is config and not can_grow(config, name, value):
            raise UsageError(
                f"--set {change}: the network of --from can only grow, by"
                f" {', '.join(f'{n} (now {getattr(config, n)})' for n in GROWING)}"
            )
        updates[type(names[name])][name] = value
    config = replace(config, **updates[type(config)])
    if config.m % 4:
        raise UsageError(f"--set m={config.m}: must be a multiple of 4")
    if config.activation_bits and not (given and updates[type(config)].keys().isdisjoint(BLOCKS)):
        raise UsageError(
            f"--set activation_bits={config.activation_bits}: blocks that have not learned have no"
            " ranges; train without it, then go on with --from and this"
        )
    return config, replace(recipe, **updates[type(recipe)])


class _Reporter:
    """One line that is kept up to date on a terminal, and a plain line for every validation."""

    def __init__(self, as_json: bool, active: bool):
        self.as_json, self.active = as_json, active
        self._line = Progress(active)

    def start(self, trainer: "Trainer") -> None:
        from vaecodec.network.vae import cost_per_pixel

        counts = ", ".join(f"{len(found)} {split}" for split, found in trainer.sources.items())
        parameters = sum(p.numel() for p in trainer.network.parameters()) / 1e6
        kmac = cost_per_pixel(trainer.network.config) / 1e3
        self.line(
            f"{counts} pictures; {parameters:.1f} million parameters,"
            f" {kmac:.0f} thousand MAC per pixel; {trainer.precision} on {trainer.device.type}"
        )

    def progress(self, progress: "TrainingProgress") -> None:
        if not self.active:
            return
        if self.as_json:
            click.echo(json.dumps(vars(progress)))
            return
        figure = "" if progress.figure is None else f", validation {progress.figure:.4f}"
        left = f"{progress.seconds_left / 60:.0f} min left"
        speed = (
            f"{progress.pixels_per_second / 1e6:.2f} Mpx/s, " if progress.pixels_per_second else ""
        )
        text = f"step {progress.step}, {100 * progress.share:.1f} %, {speed}"
        text += f"cost {progress.cost:.4f}{figure}, {left}"
        if progress.validated:
            self.line(text)
        else:
            self._line.show(progress.share, text)

    def result(self, options: "TrainOptions", result: dict[str, float]) -> None:
        parts = [f"{part} {result[part]:.4f}" for part in ("validation", "test") if part in result]
        self.line(f"{options.output}: {', '.join(parts)} (mean log J: 0.1 lower is 10 % less)")

    def comparison(self, figures: Iterator[tuple[str, float]]) -> None:
        """What the validation's figure is for others; Ctrl-C leaves out the rest."""
        self.line("on the same pictures, which takes a moment (Ctrl-C leaves it out):")
        try:
            for title, figure in figures:
                self.line(f"  {title} {figure:.4f}")
        except KeyboardInterrupt:
            self.line("  left out")

    def line(self, text: str) -> None:
        if self.active:
            self._line.clear()
            click.echo(text, err=True)
