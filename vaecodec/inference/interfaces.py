"""What the codec asks of a network that runs, whatever computes it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vaecodec.entropy.integer_scale_network import IntegerScaleNetwork

# The sides of a window (top, left, bottom, right), 1 where it has a halo that is of no more use
# once the transform is done, 0 where the picture ends or all is wanted.
Cut = tuple[int, int, int, int]
NO_CUT: Cut = (0, 0, 0, 0)


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


class MeanPredictor(Protocol):
    """h_s and the mean's context network over one slice of `[h, w]` latent positions."""

    def predict(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Mean of the latents that a step codes, `[h, w, m/4]`, and how much finer than its channel
        each of them is quantised; None without an elementwise step."""

    def add(self, y: np.ndarray, step: int) -> None:
        """Learn the latents `[h, w, m/4]` of a step."""


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

    def foresee_synthesis(self, scale: int = 1) -> None:
        """Get ready for `synthesise` in this thread, without waiting for it."""

    def foresee_coding(self) -> None:
        """The same for what codes the latents."""

    def analyse(self, x: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        """g_a: picture `[16h, 16w, 3]` in 0..1 to y `[h, w, m]`, without the halo that `cut`
        names."""

    def analyse_fine(self, x: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        """The first part of `analyse`, which sees little around it and costs most: features
        `[h, w, m]`."""

    def analyse_coarse(self, h: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        """The second part, of these features."""

    def hyper_analyse(self, y: np.ndarray, level: int) -> np.ndarray:
        """h_a: y `[4h, 4w, m]` to z before rounding `[h, w, cz]`."""

    def mean_predictor(self, z: np.ndarray, level: int, size: tuple[int, int]) -> MeanPredictor:
        """Of a slice of `size` (h, w) with the integers z `[ceil(h/4), ceil(w/4), cz]`."""

    def synthesise(
        self, y_hat: np.ndarray, level: int, scale: int = 1, cut: Cut = NO_CUT
    ) -> np.ndarray:
        """g_s: y_hat `[h, w, m]` to a picture `[16h/scale, 16w/scale, 3]`, not clipped; without the
        halo that `cut` names."""

    def scale_network(self) -> IntegerScaleNetwork:
        """Of this model, by whatever is fastest here: it is exact."""

    def gain(self, level: int) -> np.ndarray:
        """Quantisation steps per unit of y, `[m]`."""
