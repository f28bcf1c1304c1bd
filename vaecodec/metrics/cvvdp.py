"""ColorVideoVDP, a model of human vision (Mantiuk, Hanji, Ashraf and others 2024), by its authors'
package."""

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from vaecodec.errors import VaecodecError

DISPLAY = "standard_4k"  # 30 inches, seen from 0.75 m: a pixel is 1/75 of a degree


def missing() -> str | None:
    """How to get the package, None where it is there."""
    return None if find_spec("pycvvdp") else "pip install 'vaecodec[cvvdp]'"


def cvvdp(original: np.ndarray, distorted: np.ndarray) -> float:
    """ColorVideoVDP of two uint8 pictures `[H, W, 3]` in just objectionable differences: 10 where
    both are equal, one less where half of the people choose the other, about.

    Raises VaecodecError where the package is missing.
    """
    if missing():
        raise VaecodecError(f"ColorVideoVDP: not installed; {missing()}")
    value, _ = _model().predict(distorted, original, dim_order="HWC")
    return float(value)


@cache
def _model() -> Any:
    import pycvvdp

    return pycvvdp.cvvdp(display_name=DISPLAY, quiet=True)
