"""What the machine offers and what will be used of it: what a report of a fault should hold."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vaecodec.cores import available_cores
from vaecodec.errors import ModelError
from vaecodec.inference.loading import choose_backend
from vaecodec.network.weight_files import known_weight_files
from vaecodec.network.weights import load_weights
from vaecodec.processor import processor_features, processor_name

PACKAGES = ("torch", "onnxruntime", "pillow", "numpy", "constriction", "safetensors", "click")
# What changes which instructions, threads, GPUs and models are used.
VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "VAECODEC_MODELS",
)


def describe_system(device: str = "auto", backend: str = "auto") -> dict[str, Any]:
    """What there is, by name, ready for JSON; what network, refinement and training would use.

    torch is imported, as nothing else knows the GPUs, the threads and the precision that it will
    use; where that fails these are None. Raises UsageError for what is not available here.
    """
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor_name(),
        "features": list(processor_features()),
        "cores": os.cpu_count(),
        "cores_used": available_cores(),
        "packages": {name: _version_of(name) for name in PACKAGES},
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "backend": choose_backend(backend, device),
        **dict.fromkeys(("device", "precision", "torch_threads", "gpus")),
        "models": _known_models(),
    }
    try:
        import vaecodec.inference.torch_backend as on_torch
        from vaecodec.network.precision import choose_precision
    except (ImportError, OSError):  # OSError: libraries of torch that do not load
        return facts
    chosen = on_torch.choose_device("cpu" if facts["backend"] == "onnx" else device)
    return facts | {
        "device": chosen.type,
        "precision": choose_precision(chosen),
        "torch_threads": on_torch.thread_count(),
        "gpus": on_torch.gpu_names(),
    }


def _version_of(package: str) -> str | None:
    """Without importing it; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _known_models() -> list[dict[str, str]]:
    """Identity and name of each weight file that decoding looks at, or why it is none."""
    models = []
    for path in known_weight_files():
        try:
            weights = load_weights(path)
        except ModelError as error:
            models.append({"file": str(path), "fault": str(error)})
            continue
        name = str(weights.card.get("name", ""))
        models.append({"file": str(path), "model": weights.model_id.hex(), "name": name})
    return models
