"""Where decoded windows come together: the samples of a picture, or of a region of it."""

import numpy as np

from vaecodec.container import Header
from vaecodec.picture import box_average
from vaecodec.tiling import Region, Window, crop_to_picture


class Canvas:
    """The decoded samples: the region at the scale asked for, filled window by window."""

    def __init__(self, header: Header, region: Region, scale: int):
        self.region, self.scale = region, scale
        self.white = 65535 if header.mode.endswith("16") else 255
        dtype = np.uint16 if self.white == 65535 else np.uint8
        height, width = -(-region.height // scale), -(-region.width // scale)
        grey = header.mode.startswith("grey")
        self.samples = np.empty((height, width) if grey else (height, width, 3), dtype)

    def put(self, x: np.ndarray, rows: Window, columns: Window) -> None:
        """Place what a window's synthesised picture `[H, W, 3]` covers of the region."""
        to_rows, from_rows = crop_to_picture(rows, self.region.top, self.region.height, self.scale)
        to_columns, from_columns = crop_to_picture(
            columns, self.region.left, self.region.width, self.scale
        )
        part = np.nan_to_num(x[from_rows, from_columns])
        if self.samples.ndim == 2:
            part = part.mean(axis=2)
        self.samples[to_rows, to_columns] = np.rint(np.clip(part, 0, 1) * self.white)

    def reduce(self, alpha: np.ndarray) -> np.ndarray:
        """The region of a full-size plane `[H, W]` at the target's scale, by box averages."""
        part = alpha[self.region.rows, self.region.columns]
        return box_average(part, self.scale)
