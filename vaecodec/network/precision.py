"""The numbers that the network is refined and trained with: bfloat16 only where it is quick."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch

from vaecodec.processor import processor_features

PRECISIONS = ("float32", "bfloat16")
# Values of ONEDNN_MAX_CPU_ISA that keep oneDNN from the instructions for bfloat16.
_CAPS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def choose_precision(device: torch.device, wanted: str = "auto") -> str:
    """`wanted`, one of PRECISIONS; for `auto` the one that `device` computes faster.

    On a CPU without instructions for bfloat16 a convolution in it takes 5 to 30 times as long.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and _cpu_has_bfloat16()
    return "bfloat16" if native else "float32"


def autocast(device: torch.device, wanted: str = "auto") -> AbstractContextManager[object]:
    """Within it, convolutions on `device` are computed in the precision chosen for it."""
    if choose_precision(device, wanted) == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _cpu_has_bfloat16() -> bool:
    """Whether oneDNN, which computes torch's convolutions, finds instructions for it and may use
    them."""
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not onednn or "BF16" not in processor_features():
        return False
    if "NEON" in processor_features():  # ARM, which knows neither of the limits below
        return True
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", ""))
    return cap.upper() not in _CAPS and torch.backends.cpu.get_cpu_capability() == "AVX512"
