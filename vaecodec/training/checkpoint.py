"""The state of a training run on disk: one safetensors file, its numbers as JSON in the metadata.

A checkpoint is replaced in one rename, so that whatever ends the program leaves the last one whole.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from vaecodec.atomic_files import write_whole
from vaecodec.errors import VaecodecError


def save_checkpoint(
    path: Path,
    network: nn.Module,
    ema: nn.Module,
    optimiser: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    """Write a checkpoint; a reader sees the old one or the new one. Raises VaecodecError."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in ema.state_dict().items()}
    for number, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{slot}": value for slot, value in slots.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(tensors, {"state": json.dumps(state)})
    write_whole(path, lambda file: file.write(data), overwrite=True)


def load_checkpoint(
    path: Path, network: nn.Module, ema: nn.Module, optimiser: torch.optim.Optimizer | None
) -> dict[str, Any]:
    """Restore a checkpoint into the given objects; returns its state. Raises VaecodecError."""
    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping

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
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise VaecodecError(f"{path}: not a checkpoint of this run ({reason})") from None
    result: dict[str, Any] = state
    return result
