"""Where decoded windows come together: the samples of a picture, or of a region of it."""

from typing import TYPE_CHECKING

import numpy as np

from vaecodec.codec.tiling import Region, Window, crop_to_picture, cut_of
from vaecodec.format.container import Header
from vaecodec.picture.picture import box_average

if TYPE_CHECKING:
    from vaecodec.inference.interfaces import Cut, Transforms


class Canvas:
    """The decoded samples: the region at the scale asked for, filled window by window."""

    def __init__(self, header: Header, region: Region, scale: int):
        self.region, self.scale = region, scale
        self.white = 65535 if header.mode.endswith("16") else 255
        size = -(-region.height // scale), -(-region.width // scale)
        self.samples = self._blank(size if header.mode.startswith("grey") else (*size, 3))

    def put(
        self, transforms: "Transforms", y_hat: np.ndarray, level: int, rows: Window, columns: Window
    ) -> None:
        """Synthesise a window from its latents and place what it covers of the region."""
        x = self._synthesise(transforms, y_hat, level, cut_of(rows, columns))
        (to_rows, from_rows), (to_columns, from_columns) = self._places(rows, columns)
        part = x[from_rows, from_columns]
        if self.samples.ndim == 2:
            part = part.mean(2)
        self.samples[to_rows, to_columns] = self._to_samples(part)

    def put_exact(self, pixels: np.ndarray, rows: Window, columns: Window) -> None:
        """Place samples `[H, W, ...]` that are known, of a window without a halo, by box
        averages."""
        (to_rows, from_rows), (to_columns, from_columns) = self._places(rows, columns)
        part = box_average(pixels, self.scale)[from_rows, from_columns]
        self.samples[to_rows, to_columns] = self._exact_samples(part)

    def put_grey(self, rows: Window, columns: Window) -> None:
        """Make what a window covers of the region a middle grey."""
        (to_rows, _), (to_columns, _) = self._places(rows, columns)
        self.samples[to_rows, to_columns] = (self.white + 1) // 2

    def reduce(self, alpha: np.ndarray) -> np.ndarray:
        """The region of a full-size plane `[H, W]` at the target's scale, by box averages."""
        part = alpha[self.region.rows, self.region.columns]
        return box_average(part, self.scale)

    def _places(self, rows: Window, columns: Window) -> tuple[tuple[slice, slice], ...]:
        """Along either axis, a window's places in the samples and in its own pixels."""
        return (
            crop_to_picture(rows, self.region.top, self.region.height, self.scale),
            crop_to_picture(columns, self.region.left, self.region.width, self.scale),
        )

    def _blank(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.empty(shape, np.uint16 if self.white == 65535 else np.uint8)

    def _synthesise(
        self, transforms: "Transforms", y_hat: np.ndarray, level: int, cut: "Cut"
    ) -> np.ndarray:
        return transforms.synthesise(y_hat, level, self.scale, cut)

    def _exact_samples(self, part: np.ndarray) -> np.ndarray:
        return part

    def _to_samples(self, part: np.ndarray) -> np.ndarray:
        samples: np.ndarray = np.fmin(np.fmax(part, 0), 1)  # which take 0 for what is no number
        samples *= self.white
        np.rint(samples, out=samples)
        return samples
