"""What a training run is told, and what it tells."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vaecodec.network.config import NetworkConfig
from vaecodec.network.weight_files import metric_of_card
from vaecodec.places import Place, place


@dataclass(frozen=True)
class Recipe:
    """How to train; every number can be changed with `--set`.

    Measured on two cores (models/README.md): crops of 128 pixels teach most per second at first,
    larger ones soon teach more; the rate of learning is held, then falls to nothing.
    """

    start_batches: int = 24  # of 64 crops of 128 pixels, whose KLT a new network starts as
    lr: float = 1e-3
    hold: float = 0.4  # share of the training before the learning rate starts to fall
    floor: float = 0.01  # of the learning rate, at the end
    warmup_steps: int = 150
    batch: int = 24  # crops per step, over all processes
    crop: int = 128
    late_share: float = 0.7  # of the training, at its end, with larger crops
    late_batch: int = 6
    late_crop: int = 256
    settle: float = 0.0  # share, at the end, with the encoder fixed and y rounded by cost
    patterns: float = 0.0  # share of crops that are drawn (training/patterns)
    evenness: float = 0.0  # above 0, crops that cost little count less (training/losses)
    fast: float = 10.0  # learning rate of gains and scales, as a multiple
    clip: float = 2.0  # of the gradient's norm
    ema: float = 0.999
    pool_mebibytes: int = 1536  # decoded pictures held at a time


# For a network that has learned already: larger steps would undo more than they teach.
FINE_TUNING = Recipe(lr=3e-4, late_share=1.0, ema=0.998)


@dataclass(frozen=True)
class TrainOptions:
    """What to train on and for how long. Exactly one of `hours` and `steps` is set."""

    folder: Place
    output: Path
    run: Path
    config: NetworkConfig
    recipe: Recipe = field(default_factory=Recipe)
    hours: float | None = None
    steps: int | None = None
    start: Path | None = None
    metric: str = "visual"  # one of weight_files.METRICS
    validation_folder: Place | None = None
    device: str = "auto"
    precision: str = "auto"  # decided anew by every machine that the run comes to
    seed: int = 0
    denoise: float = 0.0  # deviation of noise added to the input, in 255-step samples
    checkpoint_minutes: float = 5.0

    def to_json(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return result

    def result(self) -> dict[str, float] | None:
        """What the run came to if it has had its steps or hours, None where it can go on."""
        unit, wanted = ("hours", self.hours or 0.0) if self.steps is None else ("steps", self.steps)
        try:
            result: dict[str, float] = json.loads((self.run / "result.json").read_text())
            return result if self.output.exists() and result[unit] >= wanted else None
        except (OSError, ValueError, KeyError):
            return None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainOptions":
        paths: dict[str, Place] = {
            n: Path(values[n]) for n in ("output", "run", "start") if values[n]
        }
        paths |= {n: place(values[n]) for n in ("folder", "validation_folder") if values[n]}
        parts = {"config": NetworkConfig(**values["config"]), "recipe": Recipe(**values["recipe"])}
        values = {**values, "metric": metric_of_card(values)}
        return cls(**{**values, **paths, **parts})


@dataclass(frozen=True)
class TrainingProgress:
    """What is known at a moment of training. `figure`: the last validation, mean log J, or None."""

    step: int
    share: float
    cost: float
    pixels_per_second: float
    seconds_left: float
    figure: float | None
    best: bool = False
    validated: bool = False
