"""A picture in memory: what is coded, and what goes along with it."""

from collections.abc import Container
from dataclasses import dataclass, field, replace

import numpy as np

from vaecodec.errors import PictureError


@dataclass(frozen=True)
class Picture:
    """A picture, upright.

    `pixels`: uint8 or uint16, `[H, W, 3]` in RGB or `[H, W]` grey; `alpha`: uint8 `[H, W]` or None
    (opaque); `metadata`: bytes by kind (see picture/metadata) where there are any; `notes`: what
    was converted on the way, for the user. Raises PictureError where there is no pixel.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        height, width = self.pixels.shape[:2]  # of an array or a tensor
        check_size((width, height), width * height)

    @property
    def mode(self) -> str:
        """RGB or grey, of 8 or 16 bits, as in container.MODES."""
        name = "grey" if self.pixels.ndim == 2 else "RGB"
        return name if self.pixels.dtype.itemsize == 1 else f"{name}16"

    @property
    def size_bytes(self) -> int:
        """Uncompressed size of pixels and alpha."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    def in_8_bits(self) -> "Picture":
        """The picture with its samples reduced to 8 bits, itself where they are that already."""
        if self.pixels.dtype == np.uint8:
            return self
        return replace(self, pixels=np.rint(self.pixels / 257.0).astype(np.uint8))

    def over(self, background: int) -> "Picture":
        """The picture laid on samples of this value, opaque; itself where it is that already."""
        if self.alpha is None:
            return self
        part = (self.alpha / np.float32(255)).reshape(
            *self.alpha.shape, *[1] * (self.pixels.ndim - 2)
        )
        laid = np.rint(self.pixels * part + background * (1 - part)).astype(self.pixels.dtype)
        return replace(self, pixels=laid, alpha=None)

    def part(self, rows: slice, columns: slice) -> np.ndarray:
        """Pixels of a part as an array."""
        return self.pixels[rows, columns]

    def reduced(self, factor: int) -> "Picture":
        """A small picture of its pixels alone, by box averages."""
        return Picture(box_average(self.pixels, factor))

    def without_metadata(self, kinds: Container[str]) -> "Picture":
        """The picture less the metadata of these kinds."""
        kept = {kind: content for kind, content in self.metadata.items() if kind not in kinds}
        return replace(self, metadata=kept)


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise PictureError for a picture of this width and height, if that is none or too large."""
    width, height = size
    if width < 1 or height < 1:
        raise PictureError(f"{width}x{height} is no picture; it needs at least one pixel")
    if width * height > max_pixels:
        raise PictureError(
            f"{width}x{height} is over the limit of {max_pixels} pixels", "max_pixels"
        )


def box_average(samples: np.ndarray, factor: int) -> np.ndarray:
    """`samples` `[H, W, ...]` reduced to `[ceil(H/factor), ceil(W/factor), ...]` by averaging
    boxes."""
    if factor == 1:
        return samples
    height, width = samples.shape[:2]
    columns = np.arange(0, width, factor)
    widths = np.diff(np.append(columns, width)).reshape(-1, *[1] * (samples.ndim - 2))
    rows = []
    for top in range(0, height, factor):
        mean = samples[top : top + factor].mean(axis=0, dtype=np.float32)
        rows.append(np.rint(np.add.reduceat(mean, columns, axis=0) / widths))
    return np.stack(rows).astype(samples.dtype)
