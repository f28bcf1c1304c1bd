"""The processor's name and the instructions of it that decide how fast a network is computed.

Told without torch, which takes seconds to import: by the kernel on Linux, elsewhere by numpy.
"""

import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np

CPUINFO = Path("/proc/cpuinfo")
# Features by their common names, and what Linux (lower case) and numpy (upper case) call that, or
# what has it. numpy knows nothing of AMX, and BF16 only of processors that have FP16 besides.
FEATURES = {
    "AVX2": {"avx2", "AVX2", "X86_V3"},
    "AVX-512": {"avx512vl", "AVX512_SKX", "X86_V4"},
    "VNNI": {"avx512_vnni", "avx_vnni", "AVX512_CLX", "AVX512_ICL", "AVX512_SPR"},
    "BF16": {"avx512_bf16", "bf16", "AVX512_SPR"},
    "AMX": {"amx_tile"},
    "NEON": {"asimd", "ASIMD", "NEON"},
}


@cache
def processor_name() -> str:
    """The name that its maker gave it; that of its architecture where it does not tell."""
    if sys.platform == "darwin":
        words = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        said = subprocess.run(words, capture_output=True, text=True).stdout.strip()
    else:
        said = _cpuinfo("model name") or platform.processor()
    return " ".join(said.split()) or platform.machine()


@cache
def processor_features() -> tuple[str, ...]:
    """Those of FEATURES that this processor has, in their order."""
    # The kernel of a host that emulates this processor lists the flags of its own.
    is_arm = platform.machine().lower() in ("aarch64", "arm64")
    here = set(_cpuinfo("Features" if is_arm else "flags").split())
    if not here:
        extensions = np.show_config(mode="dicts")["SIMD Extensions"]
        here = {*extensions["baseline"], *extensions["found"]}
    return tuple(name for name, others in FEATURES.items() if here & others)


def processor_line() -> str:
    """Name and features, as benchmarks print them above their figures."""
    return f"{processor_name()} ({', '.join(processor_features()) or 'no known features'})"


def _cpuinfo(key: str) -> str:
    """The first value of `key` in what Linux tells of its processors; empty where it does not."""
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")
