"""Training: a folder of pictures to a weight file, resumable at every checkpoint."""

import copy
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from vaecodec.atomic_files import write_json
from vaecodec.errors import VaecodecError
from vaecodec.inference.torch_backend import choose_device
from vaecodec.network.precision import autocast, choose_precision
from vaecodec.network.vae import VAE, network_from_weights, on_device
from vaecodec.network.weights import load_weights
from vaecodec.picture.reader import read_rgb
from vaecodec.signals import STOPPING, handled
from vaecodec.training.calibration import calibrate
from vaecodec.training.checkpoint import load_checkpoint, save_checkpoint
from vaecodec.training.dataset import (
    CropSampler,
    find_sources,
    validation_crop,
)
from vaecodec.training.export import export_model
from vaecodec.training.growth import grow
from vaecodec.training.klt_start import start_as_klt
from vaecodec.training.learning_curve import draw_learning_curve, record
from vaecodec.training.losses import rate_distortion
from vaecodec.training.options import TrainingProgress, TrainOptions
from vaecodec.training.processes import join_processes
from vaecodec.training.reference_costs import reference_costs

VALIDATION_LEVELS = (0.0, 2.0, 4.0)
VALIDATION_SIDE = 256
TABLE_PICTURES = 40  # how many training pictures the probability tables are counted on
FAST_PARAMETERS = ("log_gain", "log_inverse_gain", "log_z_gain", "z_log_scale", "offset")

ReportProgress = Callable[[TrainingProgress], None]


class Trainer:
    """One training run. Several processes under torchrun share one run; rank 0 writes."""

    def __init__(self, options: TrainOptions):
        self.options, self.recipe = options, options.recipe
        self.rank, self.world = join_processes()
        self.device = choose_device(options.device)
        if self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        self.precision = self.precisions = choose_precision(self.device, options.precision)
        self.sources = find_sources(options, write=self.rank == 0)
        pool_bytes = self.recipe.pool_mebibytes << 20
        step_bytes = 3 * self.recipe.batch * self.recipe.crop**2
        self.sampler = CropSampler(
            options.folder,
            self.sources["train"],
            options.seed,
            pool_bytes,
            step_bytes,
            self.recipe.patterns,
        )
        self.validation = self._crops_of("validation")
        torch.manual_seed(options.seed)
        self.network = on_device(self._starting_network(), self.device)
        self.ema = copy.deepcopy(self.network)
        self.optimiser = torch.optim.Adam(self._parameter_groups(), betas=(0.9, 0.99), fused=True)
        self.step, self.elapsed, self.best = 0, 0.0, math.inf
        self.figure: float | None = None
        self.settled = self._stopped = False
        if self._file("latest").exists():
            state = load_checkpoint(self._file("latest"), self.network, self.ema, self.optimiser)
            self.step, self.best = state["step"], state["best"]
            self.elapsed = state["elapsed_seconds"]
            before = state.get("precision", self.precision)
            if not before.endswith(self.precision):  # another machine, and the card tells of both
                before = f"{before}, then {self.precision}"
            self.precisions = before
            if state.get("settled"):
                self._settle()

    def run(self, report: ReportProgress, warn: Callable[[str], None]) -> bool:
        """Train to the end (True) or until asked to stop by SIGINT or SIGTERM (False), then
        saved.

        A checkpoint that cannot be written on the way is told to `warn`; the last one raises
        VaecodecError.
        """
        with handled(self._stop, *STOPPING), closing(self.sampler):
            share, cost = self._train_on(report, warn)
            try:
                best = self._checkpoint(cost)
            except VaecodecError as error:
                hint = f"make room and continue with: vaecodec train --resume {self.options.run}"
                raise VaecodecError(f"{error}; {hint}") from None
            report(self._progress(min(share, 1.0), cost, 0.0, best, True))
            return share >= 1

    def _train_on(self, report: ReportProgress, warn: Callable[[str], None]) -> tuple[float, float]:
        """Step after step until the end or a stop; returns the share that is done, and the cost."""
        model = self._parallel()
        checkpoint_due = time.monotonic() + 60 * self.options.checkpoint_minutes
        started, cost, speed = time.monotonic() - self.elapsed, math.nan, math.nan
        while True:
            now = time.monotonic()
            self.elapsed = now - started
            share, stop, due = self._agree(self._share(), self._stopped, now >= checkpoint_due)
            if not self.settled and 0 < self.recipe.settle >= 1 - share:
                self._settle()
                model = self._parallel()  # which knows the parameters to average by now
                self.best, due = math.inf, True  # figures until now are of another rounding
            if share >= 1 or stop:
                return share, cost
            value, seen = self._train_step(model, share)
            cost = _smoothed(cost, value)
            speed = _smoothed(speed, seen / max(time.monotonic() - now, 1e-9))
            validated = best = False
            if due:
                try:
                    best, validated = self._checkpoint(cost), True
                except VaecodecError as error:  # a full disk may be cleared in time
                    warn(f"{error}; training goes on and tries again")
                checkpoint_due = time.monotonic() + 60 * self.options.checkpoint_minutes
            report(self._progress(share, cost, speed, best, validated))

    def finish(self) -> dict[str, float]:
        """Export the averaged weights of the best checkpoint and evaluate them once on the test
        part.

        Rank 0 does this; the others have nothing more to do and return nothing.
        """
        if self.rank != 0:
            return {}
        load_checkpoint(self._file("best"), self.network, self.ema, None)
        network = self.ema.cpu().float()
        samples = self.sampler.first_pictures(TABLE_PICTURES)
        scored = self._pictures_of("validation") if self.options.metric == "visual" else ()
        export_model(network, samples, self._card(), self.options.output, list(scored))
        crops = self._crops_of("test")
        result = {"validation": self.best, "steps": self.step, "hours": self.elapsed / 3600}
        if crops:
            result["test"] = self._validate(network, crops, torch.device("cpu"))
        write_json(self.options.run / "result.json", result)
        return result

    def compare(self) -> Iterator[tuple[str, float]]:
        """The figure of validation that other codecs and the shipped model have, by title, as they
        come; in the end the learning curve shows them, too."""
        cpu = torch.device("cpu")
        found = {}
        for title, figure in reference_costs(
            self.validation,
            VALIDATION_LEVELS,
            self.options.metric,
            lambda network, crops: self._validate(network, crops, cpu),
        ):
            found[title] = figure
            yield title, figure
        draw_learning_curve(self.options.run, found)

    # --- parts -----------------------------------------------------------------------------------

    def _parallel(self) -> nn.Module:
        if self.world == 1:
            result: nn.Module = self.network
            return result
        return nn.parallel.DistributedDataParallel(self.network)

    def _settle(self) -> None:
        """Leave the encoder as it is; residuals are rounded by cost from here on."""
        self.settled = True
        for parameter in self.network.encoder_parameters():
            parameter.requires_grad_(False)

    def _train_step(self, model: nn.Module, share: float) -> tuple[float, int]:
        r = self.recipe
        late = share >= 1 - r.late_share
        batch, side = (r.late_batch, r.late_crop) if late else (r.batch, r.crop)
        count = max(1, batch // self.world)
        crops = torch.from_numpy(self.sampler.batch(self.step, count, side, self.rank))
        if self.device.type == "cuda":
            crops = crops.pin_memory()
        x = crops.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        torch.manual_seed(hash((self.options.seed, self.step, self.rank)) % 2**31)
        t = torch.rand(count, device=self.device) * (self.options.config.anchors - 1)
        noisy = x + torch.randn_like(x) * self.options.denoise / 255 if self.options.denoise else x
        rate = (
            r.lr
            * min(1, (self.step + 1) / r.warmup_steps)
            * max(r.floor, min(1, (1 - share) / (1 - r.hold)))
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        with autocast(self.device, self.options.precision):
            output = model(noisy, t, settled=self.settled)
        costs = rate_distortion(output, x, t, self.options.metric, r.evenness)
        cost = costs["cost"].mean()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(cost)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), r.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        decay = min(r.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.ema.parameters()), list(self.network.parameters()), 1 - decay
            )
        return cost.item(), count * side * side * self.world

    def _checkpoint(self, cost: float) -> bool:
        """Validate, save the latest state and, if it is the best so far, that too. Returns whether
        it is. `cost`: that of the latest steps, for the record."""
        figure = self._validate(self.ema, self.validation, self.device)
        self.figure = figure
        best = figure < self.best
        self.best = min(self.best, figure)
        if self.rank == 0:
            state = {
                "step": self.step,
                "elapsed_seconds": self.elapsed,
                "best": self.best,
                "figure": figure,
                "settled": self.settled,
                "precision": self.precisions,
            }
            for name in ["best", "latest"] if best else ["latest"]:
                file = self._file(name)
                save_checkpoint(file, self.network, self.ema, self.optimiser, state)
            self._record(figure, cost)
        return best

    @torch.no_grad()
    def _validate(self, network: VAE, crops: Sequence[Tensor], device: torch.device) -> float:
        """Mean log J over crops and levels, with real rounding; once settled, that by cost."""
        costs = []
        for crop in crops:
            x = crop.to(device).permute(2, 0, 1)[None].float() / 255
            for level in VALIDATION_LEVELS:
                t = torch.full((1,), level, device=device)
                with autocast(device, self.options.precision):
                    output = network(x, t, noise=False, settled=self.settled)
                costs.append(rate_distortion(output, x, t, self.options.metric)["cost"].item())
        return float(np.mean(costs))

    def _record(self, figure: float, cost: float) -> None:
        row = {
            "step": f"{self.step}",
            "hours": f"{self.elapsed / 3600:.4f}",
            "log_j": f"{figure:.5f}",
            "training_log_j": "" if math.isnan(cost) else f"{cost:.5f}",
        }
        record(self.options.run, row)

    def _file(self, name: str) -> Path:
        """Where the checkpoint `name`, latest or best, is kept."""
        return self.options.run / f"{name}.safetensors"

    def _progress(
        self, share: float, cost: float, rate: float, best: bool, validated: bool
    ) -> TrainingProgress:
        left = self.elapsed * (1 - share) / max(share, 1e-6)
        return TrainingProgress(self.step, share, cost, rate, left, self.figure, best, validated)

    def _share(self) -> float:
        if self.options.steps is not None:
            return self.step / self.options.steps
        return self.elapsed / (3600 * (self.options.hours or math.inf))

    def _agree(self, share: float, stop: bool, due: bool) -> tuple[float, bool, bool]:
        """The same decision in all processes: that of rank 0, but any of them may ask to stop."""
        if self.world == 1:
            return share, stop, due
        first = self.rank == 0
        values = [share if first else 0.0, float(stop), float(due and first)]
        decision = torch.tensor(values, device=self.device)
        dist.all_reduce(decision)
        return decision[0].item(), decision[1].item() > 0, decision[2].item() > 0

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def _starting_network(self) -> VAE:
        if self._file("latest").exists():  # which holds all
            return VAE(self.options.config)
        if self.options.start is not None:
            learned = network_from_weights(load_weights(self.options.start))
            network = VAE(self.options.config)
            grow(network, learned)
            if network.config.activation_bits > learned.config.activation_bits:
                calibrate(network, *self._start_batches(1))
            return network
        network = VAE(self.options.config)
        start_as_klt(network, self._start_batches(self.recipe.start_batches))
        return network

    def _start_batches(self, count: int) -> list[Tensor]:
        crops = self.sampler.start_batches(count, 64, 128)
        return [torch.from_numpy(c).permute(0, 3, 1, 2).float() / 255 for c in crops]

    def _parameter_groups(self) -> list[dict[str, Any]]:
        named = list(self.network.named_parameters())
        fast = [p for name, p in named if any(part in name for part in FAST_PARAMETERS)]
        rest = [p for name, p in named if not any(part in name for part in FAST_PARAMETERS)]
        return [{"params": rest, "scale": 1.0}, {"params": fast, "scale": self.recipe.fast}]

    def _crops_of(self, split: str) -> list[Tensor]:
        return [
            torch.from_numpy(validation_crop(pixels, VALIDATION_SIDE).copy())
            for pixels in self._pictures_of(split)
        ]

    def _pictures_of(self, split: str) -> Iterator[np.ndarray]:
        folder = self.options.validation_folder if split == "validation" else None
        for source in self.sources[split][:64]:
            yield read_rgb((folder or self.options.folder) / source.path)

    def _card(self) -> dict[str, Any]:
        options = self.options.to_json()
        return {
            "name": self.options.output.stem,
            "pictures": {split: len(found) for split, found in self.sources.items()},
            "steps": self.step,
            "hours": round(self.elapsed / 3600, 3),
            "validation log J": round(self.best, 4),
            "metric": self.options.metric,
            "precision": self.precisions,
            "recipe": options["recipe"],
            "started from": load_weights(self.options.start).model_id.hex()
            if self.options.start
            else "KLT",
        }


def _smoothed(before: float, value: float) -> float:
    """A running mean over about 50 values; the first one where there is none before."""
    return value if math.isnan(before) else 0.98 * before + 0.02 * value
