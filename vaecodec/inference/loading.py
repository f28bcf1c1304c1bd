"""Finding a model and the backend that computes it."""

import os
import platform
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from vaecodec.cores import available_cores
from vaecodec.errors import UsageError
from vaecodec.forks import renew_after_fork
from vaecodec.inference.model import Model
from vaecodec.network.weight_files import (
    read_weight_file,
    receive_weights,
    shipped_weights_path,
    weights_path,
)
from vaecodec.network.weights import find_weights, load_weights
from vaecodec.places import Place, place

DEVICES = ("auto", "cpu", "cuda", "mps")
BACKENDS = ("auto", "onnx", "torch")


def load_model(
    path: Place | str | None = None,
    device: str = "auto",
    model_id: bytes | None = None,
    backend: str = "auto",
) -> Model:
    """Load a weight file for a `device` (auto, cpu, cuda or mps) and a `backend` (auto, onnx or
    torch).

    `path`: of a weight file, or "visual" or "psnr", which ship. None: the model named `model_id`,
    wherever it is found; without a name, the default one. Raises ModelError, and UsageError for
    what is not available here.
    """
    backend = choose_backend(backend, device)
    if path is not None or model_id is None:
        weights = load_weights(
            shipped_weights_path() if path is None else weights_path(place(path))
        )
    else:
        weights = find_weights(model_id)
    if backend == "onnx":
        from vaecodec.inference.onnx_backend import OnnxTransforms

        return Model(weights, OnnxTransforms(weights))
    from vaecodec.inference.torch_backend import (
        TorchTransforms,  # torch takes two seconds to import
    )

    return Model(weights, TorchTransforms(weights, device))


class ModelLoader:
    """Loads each model once, for all threads; `is_shared`: they work at the same time.

    With a `path` or a `model_id` that model is taken whatever a file asks for; decoding then checks
    its name.
    """

    def __init__(
        self,
        path: Place | str | None,
        device: str,
        backend: str,
        model_id: bytes | None = None,
        is_shared: bool = False,
    ):
        self._path, self._device, self._backend = path, device, backend
        self._model_id, self._is_shared = model_id, is_shared
        self._models: dict[bytes | None, Model] = {}
        self._lock = threading.Lock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A lock that nobody holds."""
        self._lock = threading.Lock()

    def load(self, model_id: bytes | None = None) -> Model:
        """The model, as by `load_model`, ready for the calling thread."""
        model_id = self._model_id or (model_id if self._path is None else None)
        with self._lock:
            if model_id not in self._models:
                model = load_model(self._path, self._device, model_id, self._backend)
                self._models |= {model_id: model, model.model_id: model}
            model = self._models[model_id]
        if self._is_shared:
            model.transforms.start_worker()
        return model


@dataclass(frozen=True)
class ModelReference:
    """Which model to use, as plain data: `model_id` whatever a file asks for, None for the one that
    it asks for (to encode with, the default one); `device` and `backend` as for `load_model`;
    `is_shared` as for ModelLoader.
    """

    model_id: bytes | None = None
    device: str = "auto"
    backend: str = "auto"
    is_shared: bool = False

    def load(self, model_id: bytes | None = None) -> Model:
        """The model that a file asks for, loaded once in this process. Raises as `load_model`."""
        loader = loader_of(self.model_id, self.device, self.backend, self.is_shared)
        return loader.load(model_id)

    @property
    def workers(self) -> int:
        """How many files at a time use the machine well."""
        backend = choose_backend(self.backend, self.device)
        return available_cores() if backend == "onnx" or self.device == "cpu" else 2


def reference_to(
    path: Place | None, device: str, backend: str, is_fixed: bool = False
) -> ModelReference:
    """The model of a weight file, as `load_model` names it, for any process; `is_fixed`: name the
    default model, too, of which others may have another. Raises ModelError."""
    model_id = None
    if path is not None or is_fixed:
        path = shipped_weights_path() if path is None else weights_path(path)
        model_id = receive_weights(read_weight_file(path), path)
    return ModelReference(model_id, device, backend)


@lru_cache(maxsize=4)
def loader_of(model_id: bytes | None, device: str, backend: str, is_shared: bool) -> ModelLoader:
    """The loader that all of this process share."""
    return ModelLoader(None, device, backend, model_id, is_shared)


def choose_backend(backend: str, device: str) -> str:
    """`auto`: torch for a GPU, named or there, and where ONNX Runtime is not installed; else
    onnx.

    Raises UsageError for a name that is none of BACKENDS or DEVICES, and for onnx where it cannot
    be used.
    """
    for name, value, known in (("device", device, DEVICES), ("backend", backend, BACKENDS)):
        if value not in known:
            raise UsageError(f"{name} {value!r} is unknown; there are {', '.join(known)}")
    on_gpu = device in ("cuda", "mps")
    installed = find_spec("onnxruntime") is not None
    if backend == "onnx":
        if on_gpu:
            raise UsageError(f"backend onnx runs on the CPU; use backend torch for {device}")
        if not installed:
            raise UsageError(
                "backend onnx needs the package onnxruntime; install it, or use backend torch"
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
        from ctypes.util import find_library

        return find_library("nvcuda") is not None
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
