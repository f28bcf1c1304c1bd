"""A loaded model: the integer scale network, the tables, and the float transforms behind them."""

import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vaecodec.format.container import LEVEL_UNIT
from vaecodec.cores import available_cores
from vaecodec.entropy.coder import TableSet
from vaecodec.errors import UsageError
from vaecodec.entropy.integer_scale_network import ScaleNetwork
from vaecodec.entropy.rdoq import rounding_margins
from vaecodec.network.weights import Weights, default_weights_path, find_weights, load_weights

if TYPE_CHECKING:
    from vaecodec.inference.refine import Refiner


class Transforms(Protocol):
    """The float parts of the network. Arrays are float32 and channels-last; `level` is a header's.

    They may differ between machines in their last bits; nothing that must be exact depends on it.
    `workers`: how many threads may usefully call at the same time, each after `start_worker`; one
    in a thread that has called it, as that is one of several already.
    `backend` and `device` (its string, torch's name for it) are for the user to know.
    """

    backend: str
    device: object
    workers: int

    def start_worker(self) -> None:
        """Prepare the calling thread."""

    def analyse(self, x: np.ndarray, level: int) -> np.ndarray:
        """g_a: picture `[16h, 16w, 3]` in 0..1 to y `[h, w, m]`."""

    def hyper_analyse(self, y: np.ndarray, level: int) -> np.ndarray:
        """h_a: y `[4h, 4w, m]` to z before rounding `[h, w, cz]`."""

    def hyper_synthesise(self, z: np.ndarray, level: int) -> np.ndarray:
        """h_s: integers z `[h, w, cz]` to features of the mean `[4h, 4w, context]`."""

    def predict_mean(self, features: np.ndarray, context: np.ndarray | None) -> np.ndarray:
        """Mean of y `[h, w, m]` from features and the known latents `[h, w, m + 4]`."""

    def synthesise(self, y_hat: np.ndarray, level: int, scale: int = 1) -> np.ndarray:
        """g_s: y_hat `[h, w, m]` to a picture `[16h/scale, 16w/scale, 3]`, not clipped."""

    def gain(self, level: int) -> np.ndarray:
        """Quantisation steps per unit of y, `[m]`."""


@dataclass(frozen=True)
class Model:
    """Everything that encoding and decoding need from a weight file."""

    weights: Weights
    transforms: Transforms

    @property
    def model_id(self) -> bytes:
        return self.weights.model_id

    @property
    def m(self) -> int:
        """Number of latent channels."""
        return self.weights.config["m"]

    @property
    def halo(self) -> int:
        """Latent positions beyond a slice that g_a and g_s can see, at most.

        Two 3x3 convolutions a block, at 1/16 and at 1/8 of the resolution, and one position for the
        convolutions between them.
        """
        return 2 * self.weights.config["n2"] + self.weights.config["n1"] + 1

    @cached_property
    def scale_network(self) -> ScaleNetwork:
        return ScaleNetwork(self.weights.scale_parameters)

    @cached_property
    def y_tables(self) -> TableSet:
        return TableSet(self.weights.y_tables)

    @cached_property
    def z_tables(self) -> TableSet:
        return TableSet(self.weights.z_tables)

    @cached_property
    def rounding_margins(self) -> np.ndarray:
        """For rounding.round_by_cost."""
        return rounding_margins(self.weights.y_tables)

    @cached_property
    def refiner(self) -> "Refiner":
        """Made when first used, since it needs torch. Raises UsageError where that is not there."""
        try:
            from vaecodec.inference.refine import Refiner
        except ModuleNotFoundError as error:
            raise UsageError(
                f"this effort needs the package {error.name}; install it, or use --effort 1"
            ) from None
        return Refiner(self.weights, str(self.transforms.device))

    def in_parallel(
        self, work: Callable[[Any], Any], items: list, at_once: int | None = None
    ) -> Iterator:
        """Results of `work` over `items` in order; several at a time, a core each, where that
        helps.

        `at_once`: how many there usually are, where these may be fewer. A thread with one core and
        one with all differ in the last bits, so that decides, and a part comes out as in the whole.
        """
        workers = min(self.transforms.workers, at_once or len(items))
        if workers < 2:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(workers, initializer=self.transforms.start_worker) as pool:
            yield from pool.map(work, items)

    def z_indices(self, rows: int, columns: int, level: int) -> np.ndarray:
        """Table of every hyper-latent, `[rows, columns, cz]`: that of its channel at the nearest
        anchor."""
        cz = self.weights.config["cz"]
        anchor = (level + LEVEL_UNIT // 2) // LEVEL_UNIT
        return np.broadcast_to(anchor * cz + np.arange(cz), (rows, columns, cz))


def load_model(
    path: Path | str | None = None,
    device: str = "auto",
    model_id: bytes | None = None,
    backend: str = "auto",
) -> Model:
    """Load a weight file for a `device` (auto, cpu, cuda or mps) and a `backend` (auto, onnx or
    torch).

    `path` None: the model named `model_id`, wherever it is found; without a name, the one that
    ships. Raises ModelError, and UsageError for what is not available here.
    """
    backend = choose_backend(backend, device)
    if path is not None or model_id is None:
        weights = load_weights(default_weights_path() if path is None else Path(path))
    else:
        weights = find_weights(model_id)
    if backend == "onnx":
        from vaecodec.inference.onnx_backend import OnnxTransforms

        return Model(weights, OnnxTransforms(weights))
    from vaecodec.inference.torch_backend import TorchTransforms  # torch takes two seconds to import

    return Model(weights, TorchTransforms(weights, device))


class ModelLoader:
    """Loads each model once, for all threads; `is_shared`: they work at the same time.

    With a `path` that model is taken whatever a file asks for; decoding then checks its name.
    """

    def __init__(self, path: Path | str | None, device: str, backend: str):
        self._path, self._device, self._backend = path, device, backend
        self._models: dict[bytes | None, Model] = {}
        self._lock = threading.Lock()
        self.is_shared = False

    @property
    def workers(self) -> int:
        """How many files at a time use the machine well."""
        backend = choose_backend(self._backend, self._device)
        return available_cores() if backend == "onnx" or self._device == "cpu" else 2

    def load(self, model_id: bytes | None = None) -> Model:
        """The model, as by `load_model`, ready for the calling thread."""
        model_id = model_id if self._path is None else None
        with self._lock:
            if model_id not in self._models:
                model = load_model(self._path, self._device, model_id, self._backend)
                self._models |= {model_id: model, model.model_id: model}
            model = self._models[model_id]
        if self.is_shared:
            model.transforms.start_worker()
        return model


def choose_backend(backend: str, device: str) -> str:
    """`auto`: torch for a GPU, named or there, and where ONNX Runtime is not installed; else
    onnx.

    Raises UsageError for onnx where it cannot be used.
    """
    on_gpu = device in ("cuda", "mps")
    installed = find_spec("onnxruntime") is not None
    if backend == "onnx":
        if on_gpu:
            raise UsageError(f"backend onnx runs on the CPU; use --backend torch for {device}")
        if not installed:
            raise UsageError(
                "backend onnx needs the package onnxruntime; install it, or use --backend torch"
            )
        return "onnx"
    if backend == "torch" or on_gpu or not installed or (device == "auto" and _gpu_is_there()):
        return "torch"
    return "onnx"


def _gpu_is_there() -> bool:
    """Whether torch may find a GPU, told without importing it."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return find_library("nvcuda") is not None
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
