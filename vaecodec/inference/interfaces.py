"""What the codec asks of a network that runs, whatever computes it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class SliceToRefine:
    """What refinement of a slice starts from.

    `x`: pixels `[H, W, 3]` in 0..1, or `[H, W, 1]` for grey, of the slice's window without what
    lies beyond the picture; `y`: latents `[h, w, m]` of the window; `rows`, `columns`: the place
    of the slice in `y`; `z`: hyper-latents of the slice before rounding `[hz, wz, cz]`; `level`: of
    the file; `offsets`: of the window's gains `[h, w, 1]` (codec/gain_map).
    """

    x: np.ndarray
    y: np.ndarray
    rows: slice
    columns: slice
    z: np.ndarray
    level: int
    offsets: np.ndarray | None


class Transforms(Protocol):
    """The float parts of the network. Arrays are float32 and channels-last; `level` is a header's.

    They may differ between machines in their last bits; nothing that must be exact depends on it.
    `workers`: how many threads may usefully call at the same time, each after `start_worker`; one
    in a thread that has called it, as that is one of several already.
    `backend` and `device` (its string, torch's name for it) are for the user to know.
    """

    backend: str

    @property
    def device(self) -> object: ...

    @property
    def workers(self) -> int: ...

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

    def step_scale(self, features: np.ndarray) -> np.ndarray:
        """How much finer each latent is quantised than its channel, `[h, w, m]`, from features; of
        networks with an elementwise step."""

    def synthesise(self, y_hat: np.ndarray, level: int, scale: int = 1) -> np.ndarray:
        """g_s: y_hat `[h, w, m]` to a picture `[16h/scale, 16w/scale, 3]`, not clipped."""

    def gain(self, level: int) -> np.ndarray:
        """Quantisation steps per unit of y, `[m]`."""
