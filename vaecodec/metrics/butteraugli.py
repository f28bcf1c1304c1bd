"""Butteraugli, how visible a difference is (Alakuijala and others 2017), by libjxl's own tool."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from vaecodec.errors import VaecodecError

TOOL = "butteraugli_main"
NORM = 3  # over the pixels' distances: nearer to what people say than the largest of them
SECONDS = 600.0


def missing() -> str | None:
    """How to get the tool, None where it is there."""
    if shutil.which(TOOL):
        return None
    return f"install libjxl's developer tools (Debian: libjxl-devtools), which hold {TOOL}"


def butteraugli(original: np.ndarray, distorted: np.ndarray) -> float:
    """The 3-norm of Butteraugli's distances between two uint8 pictures `[H, W, 3]`: 0 where both
    are equal, about 1 where the difference is just visible.

    Raises VaecodecError where the tool is missing, fails or says something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("original.png", "distorted.png")]
        for path, pixels in zip(paths, (original, distorted), strict=True):
            Image.fromarray(pixels).save(path, compress_level=0)
        words = [TOOL, *map(str, paths), "--pnorm", str(NORM)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, check=True, timeout=SECONDS
            )
        except FileNotFoundError:
            raise VaecodecError(f"{TOOL}: not installed; {missing()}") from None
        except (OSError, subprocess.SubprocessError) as error:
            raise VaecodecError(f"{TOOL}: failed: {error}") from None
    found = re.search(rf"^{NORM}-norm: ([0-9.eE+-]+)$", done.stdout, re.MULTILINE)
    if found is None:
        raise VaecodecError(f"{TOOL}: says no norm {NORM}")
    return float(found[1])
