"""The state of a training run on disk: tensors as safetensors, numbers as JSON, each replaced
whole."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vaecodec.errors import VaecodecError

_STATE = "state.json"
_TENSORS = "tensors.safetensors"


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    ema: nn.Module,
    optimiser: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    """Write a checkpoint folder; a reader sees the old one or the new one, never a mixture."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in ema.state_dict().items()}
    for number, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{slot}": value for slot, value in slots.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    fresh, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        save_file(tensors, fresh / _TENSORS)
        write_json(fresh / _STATE, state)
        if folder.exists():
            os.rename(folder, old)
        os.rename(fresh, folder)
    except OSError as error:
        raise VaecodecError(
            f"{folder}: cannot save the checkpoint: {error.strerror or error}"
        ) from None
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path, network: nn.Module, ema: nn.Module, optimiser: torch.optim.Optimizer | None
) -> dict[str, Any]:
    """Restore a checkpoint into the given objects; returns its state."""
    state = json.loads((folder / _STATE).read_text())
    tensors = load_file(folder / _TENSORS)

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {
            name[len(prefix) :]: tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }

    network.load_state_dict(part("network."))
    ema.load_state_dict(part("ema."))
    if optimiser is not None:
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in part("optimiser.").items():
            number, slot = name.split(".")
            slots.setdefault(int(number), {})[slot] = tensor
        described = optimiser.state_dict()
        optimiser.load_state_dict({"state": slots, "param_groups": described["param_groups"]})
    return state


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(value, indent=1))
    os.replace(temporary, path)
