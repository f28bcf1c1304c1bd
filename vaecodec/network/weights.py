"""Weight files: safetensors with the float network, the integer network and the tables.

Tensors:  net.*    parameters of vae.VAE: float16, float32 (front end, biases), or int8 with the
                   step of each output channel in net.*.step (float32); of residual blocks with
                   8-bit activations the ranges in net.*.scale and net.*.zero (float32)
          scale.*  integers of IntegerScaleNetwork
          reduced.weight, reduced.bias    the linear map that stands for g_s at 1/8 of the size
                   (training/reduced_synthesis), float16 and float32; models that were released
                   without have it in a file of their own beside theirs, NAME.reduced
          tables.y, tables.z              int32 tables (see entropy/tables), one after the other
          tables.y_sizes, tables.z_sizes  int32 lengths of the tables
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from vaecodec.atomic_files import write_whole
from vaecodec.entropy.scales import SCALE_COUNT
from vaecodec.entropy.tables import check_table
from vaecodec.errors import MissingModelError, ModelError
from vaecodec.network.config import (
    LARGEST_WEIGHT,
    is_eight_bit,
    parameter_shapes,
    reduced_shapes,
)
from vaecodec.network.weight_files import (
    FORMATS,
    METADATA_ENTRY,
    describe_weights,
    find_weight_file,
    identity,
    read_weight_file,
    reduced_file,
)
from vaecodec.places import Place

STEP_SUFFIX = ".step"


@dataclass(frozen=True)
class Weights:
    """The contents of a weight file, as arrays."""

    config: dict[str, int]
    card: dict[str, Any]
    net: dict[str, np.ndarray]  # as stored
    scale_parameters: dict[str, np.ndarray]
    y_tables: list[np.ndarray]
    z_tables: list[np.ndarray]
    model_id: bytes
    reduced: dict[str, np.ndarray] = field(default_factory=dict)  # weight and bias, or nothing

    def float_parameters(self) -> dict[str, np.ndarray]:
        """The float network's parameters and fixed tensors as float32, by name."""
        names = [name for name in self.net if not name.endswith(STEP_SUFFIX)]
        return {name: self.float_parameter(name) for name in names}

    def float_parameter(self, name: str) -> np.ndarray:
        """One of them."""
        return _as_float(self.net[name], self.net.get(f"{name}{STEP_SUFFIX}"))

    def step(self, name: str) -> np.ndarray:
        """What the integers of a parameter that is stored in 8 bits count, `[out]`."""
        return self.net[f"{name}{STEP_SUFFIX}"]


def _as_float(tensor: np.ndarray, step: np.ndarray | None) -> np.ndarray:
    if step is None:
        return tensor.astype(np.float32)
    result: np.ndarray = tensor.astype(np.float32) * step.reshape(-1, *[1] * (tensor.ndim - 1))
    return result


def find_weights(model_id: bytes) -> Weights:
    """The weights of a model, received, or from one of `known_weight_files`. Raises
    MissingModelError and ModelError."""
    found = find_weight_file(model_id)
    if found is not None:
        return _unpack(*found, model_id)
    missing = MissingModelError(
        f"was made with model {model_id.hex()}, which is not here; list its folder in"
        " VAECODEC_MODELS",
        "model",
    )
    missing.model_id = model_id
    raise missing


def load_weights(path: Place) -> Weights:
    """Read and check a weight file. Raises ModelError; nothing in the file is ever executed."""
    data = read_weight_file(path)
    return _unpack(path, data, identity(data))


def _unpack(path: Place, data: bytes, model_id: bytes) -> Weights:
    try:
        weights = _weights_of(data, model_id)
        return weights if weights.reduced else replace(weights, reduced=_reduced_beside(model_id))
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelError(f"{path}: not a vaecodec model, or a damaged one ({error})") from None


def _reduced_beside(model_id: bytes) -> dict[str, np.ndarray]:
    """The map of a model that ships with one in a file of its own; nothing where there is none."""
    path = reduced_file(model_id)
    return load_tensors(path.read_bytes()) if path is not None and path.exists() else {}


def _weights_of(data: bytes, model_id: bytes) -> Weights:
    tensors = load_tensors(data)
    description = describe_weights(data)
    config = description.config
    net, scale, reduced = (
        {name.removeprefix(part): t for name, t in tensors.items() if name.startswith(part)}
        for part in ("net.", "scale.", "reduced.")
    )
    for name, tensor in (net | reduced).items():
        step = net.get(f"{name}{STEP_SUFFIX}")
        sound = (
            tensor.dtype in (np.float16, np.float32) if step is None else tensor.dtype == np.int8
        )
        if not sound or not np.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are not numbers")
        if step is not None and step.shape != tensor.shape[:1]:
            raise ValueError(f"{name} does not have one step per output channel")
    y_tables = _split(tensors["tables.y"], tensors["tables.y_sizes"])
    z_tables = _split(tensors["tables.z"], tensors["tables.z_sizes"])
    if len(y_tables) != SCALE_COUNT or not z_tables or len(z_tables) % config["cz"]:
        raise ValueError("wrong number of tables")
    return Weights(
        config=config,
        card=description.card,
        net=net,
        scale_parameters=scale,
        y_tables=y_tables,
        z_tables=z_tables,
        model_id=model_id,
        reduced=reduced,
    )


def _split(flat: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    if (
        flat.ndim != 1
        or sizes.ndim != 1
        or (sizes < 2).any()
        or sizes.sum(dtype=np.int64) != len(flat)
    ):
        raise ValueError("tables do not have the lengths stated")
    tables = np.split(flat, np.cumsum(sizes)[:-1])
    for table in tables:
        check_table(table)
    return tables


def save_weights(path: Path, weights: Weights) -> None:
    """Write a weight file whole or not at all; its identity follows from what is written."""
    tensors = {f"net.{name}": tensor for name, tensor in weights.net.items()}
    tensors |= {f"scale.{name}": tensor for name, tensor in weights.scale_parameters.items()}
    tensors |= {f"reduced.{name}": tensor for name, tensor in weights.reduced.items()}
    for letter, tables in (("y", weights.y_tables), ("z", weights.z_tables)):
        tensors[f"tables.{letter}"] = np.concatenate(tables).astype(np.int32)
        tensors[f"tables.{letter}_sizes"] = np.array([len(table) for table in tables], np.int32)
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in sorted(tensors.items())}
    description = json.dumps(
        {"format": FORMATS[-1], "config": weights.config, "card": weights.card}, sort_keys=True
    )
    data = save_tensors(tensors, metadata={METADATA_ENTRY: description})
    write_whole(path, lambda file: file.write(data), overwrite=True)


def check_parameters(weights: Weights) -> None:
    """Raise ModelError unless a weight file holds the parameters of its configuration and no
    others.

    What passes needs memory in proportion to the file, whatever its configuration says.
    """
    try:
        expected = parameter_shapes(weights.config, len(weights.net))
        c, scale = weights.config, weights.scale_parameters
        expected |= {
            "scale.z_conv": (c["scale"], c["cz"], 3, 3),
            "scale.offset": (c["anchors"], c["m"]),
            "scale.out": (c["m"], c["scale"], 1, 1),
        }
        if weights.reduced:
            expected |= {f"reduced.{n}": shape for n, shape in reduced_shapes(c["m"]).items()}
    except KeyError as error:
        raise ModelError(f"the model's configuration has no size {error}") from None
    stored = {n: array.shape for n, array in weights.net.items() if not n.endswith(STEP_SUFFIX)}
    stored |= {f"scale.{n}": scale[n].shape for n in ("z_conv", "offset", "out") if n in scale}
    stored |= {f"reduced.{n}": array.shape for n, array in weights.reduced.items()}
    wrong = sorted(n for n in {*expected, *stored} if expected.get(n) != stored.get(n))
    if wrong:
        raise misfit(f"{len(wrong)} tensors, {wrong[0]} among them")
    if len(weights.z_tables) != c["anchors"] * c["cz"]:
        raise misfit(f"{len(weights.z_tables)} tables of z")
    if c["activation_bits"]:
        _check_eight_bits(weights)


def _check_eight_bits(weights: Weights) -> None:
    """Raise ModelError unless blocks can compute in integers: with ranges, and weights whose
    products with bytes fit in 16 bits two at a time."""
    if weights.config["activation_bits"] != 8:
        raise misfit("activations have 8 bits or are floats")
    for name, tensor in weights.net.items():
        if name.endswith((".enter.weight", ".leave.weight")):
            if not is_eight_bit(weights.config, name.rsplit(".", 2)[0]):
                continue
            step = weights.net.get(f"{name}{STEP_SUFFIX}")
            largest = np.abs(tensor.astype(np.int16)).max(initial=0)
            sound = step is not None and step.min() > 0 and largest <= LARGEST_WEIGHT
        elif name.endswith(".scale"):
            sound = tensor.min() > 0
        else:
            sound = not name.endswith(".zero") or float(tensor[0]) in range(256)
        if not sound:
            raise misfit(f"{name} is nothing to compute with in 8 bits")


def misfit(reason: str) -> ModelError:
    return ModelError(f"the model's weights do not fit its configuration ({reason})")
