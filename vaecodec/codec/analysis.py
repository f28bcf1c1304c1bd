"""y of a picture's slices, where what neighbours share of g_a is computed once.

The layers at 1/8 of the resolution cost most of g_a and see little around them, those at 1/16 see
far. A window with all of that halo makes the first compute half as much again as they need to, so
they have windows of their own, and the second put theirs together from these.
"""

import threading
from collections.abc import Iterable
from concurrent.futures import Future

import numpy as np

from vaecodec.codec.tiling import SliceGrid, cut_of, pixels, window_samples
from vaecodec.inference.interfaces import NO_CUT, Cut
from vaecodec.inference.model import Model


def analyse(model: Model, x: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
    """y `[h, w, m]` of pixels `[16h, 16w, 3 or 1]` in 0..1, without the halo that `cut` names."""
    return model.transforms.analyse(_in_colour(x), level, cut)


class SliceAnalysis:
    """y of the slices of one picture at one level, by their numbers; from several threads at a
    time.

    Features that the layers at 1/8 made of a slice are held until those around it, and itself, were
    asked for; in row order these are of two rows of slices and a few.
    """

    def __init__(self, samples: np.ndarray, model: Model, level: int):
        self._samples, self._model, self._level = samples, model, level
        height, width = samples.shape[:2]
        self._fine = SliceGrid(height, width, model.fine_halo)
        self._coarse = SliceGrid(height, width, model.coarse_halo)
        self._features: dict[int, Future[np.ndarray]] = {}
        self._uses_left = {n: len(self._fine.around(n)) + 1 for n in range(len(self._fine))}
        self._lock = threading.Lock()

    def __call__(self, number: int) -> np.ndarray:
        """`[h, w, m]` of a slice; each may be asked for once."""
        if len(self._fine) == 1:
            down, across = (pixels(axis.inner) for axis in self._fine[number])
            return analyse(self._model, window_samples(self._samples, down, across), self._level)
        needed = [number, *sorted(self._coarse.around(number))]
        self._compute(needed)
        features = {n: self._features[n].result() for n in needed}
        rows, columns = self._coarse[number]
        h = self._coarse.assemble(features, rows.outer, columns.outer)
        y = self._model.transforms.analyse_coarse(h, self._level, cut_of(rows, columns))
        self._release(needed)
        return y[rows.once_cut.inside, columns.once_cut.inside]

    def _compute(self, numbers: Iterable[int]) -> None:
        """Features of those that no other thread has begun with."""
        for number in numbers:
            with self._lock:
                if number in self._features:
                    continue
                future = self._features[number] = Future()
            try:
                future.set_result(self._features_of(number))
            except BaseException as error:  # for all who wait
                future.set_exception(error)
                raise

    def _features_of(self, number: int) -> np.ndarray:
        rows, columns = self._fine[number]
        x = window_samples(self._samples, pixels(rows.outer), pixels(columns.outer))
        h = self._model.transforms.analyse_fine(_in_colour(x), self._level, cut_of(rows, columns))
        return h[rows.once_cut.inside, columns.once_cut.inside]

    def _release(self, numbers: Iterable[int]) -> None:
        with self._lock:
            for number in numbers:
                self._uses_left[number] -= 1
                if not self._uses_left[number]:
                    del self._features[number]


def _in_colour(x: np.ndarray) -> np.ndarray:
    return x if x.shape[2] == 3 else x[:, :, [0, 0, 0]]
