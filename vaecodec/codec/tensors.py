"""Pictures that are tensors: those on the network's device stay there, in both directions.

Only latents leave the device, as the entropy coder needs them, a large picture's preview, and in
encoding a copy of the pixels, in which flat graphics are looked for.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.codec.canvas import Canvas
from vaecodec.codec.tiling import Region
from vaecodec.errors import PictureError
from vaecodec.format.container import Header
from vaecodec.inference.interfaces import Cut
from vaecodec.inference.torch_backend import TorchTransforms
from vaecodec.picture.picture import Picture


@dataclass(frozen=True)
class TensorPicture(Picture):
    """A picture whose `pixels` are a tensor, uint8, `[H, W, 3]` or `[H, W]`, on any device."""

    pixels: Tensor  # type: ignore[assignment]

    def part(self, rows: slice, columns: slice) -> np.ndarray:
        return self.pixels[rows, columns].cpu().numpy()

    def reduced(self, factor: int) -> Picture:
        planes = _with_channels(self.pixels).permute(2, 0, 1)[None].float()
        small = F.avg_pool2d(planes, factor, ceil_mode=True, count_include_pad=False)[0]
        pixels = small.round().byte().permute(1, 2, 0).cpu().numpy()
        return Picture(pixels[:, :, 0] if self.pixels.ndim == 2 else pixels)


class TensorCanvas(Canvas):
    """A canvas on a device, for TorchTransforms."""

    samples: Tensor  # type: ignore[assignment]

    def __init__(self, header: Header, region: Region, scale: int, device: torch.device | str):
        self._device = device
        super().__init__(header, region, scale)

    def _blank(self, shape: tuple[int, ...]) -> Tensor:  # type: ignore[override]
        dtype = torch.uint16 if self.white == 65535 else torch.uint8
        return torch.empty(shape, dtype=dtype, device=self._device)

    def _synthesise(  # type: ignore[override]
        self, transforms: TorchTransforms, y_hat: np.ndarray, level: int, cut: Cut
    ) -> Tensor:
        return transforms.synthesise_tensor(y_hat, level, self.scale, cut)

    def _exact_samples(self, part: np.ndarray) -> Tensor:  # type: ignore[override]
        return torch.as_tensor(part, device=self._device)

    def _to_samples(self, part: Tensor) -> Tensor:  # type: ignore[override]
        return (part.nan_to_num().clamp(0, 1) * self.white).round().to(self.samples.dtype)


def picture_of_tensor(tensor: Tensor, device: torch.device | str) -> TensorPicture:
    """A tensor `[3, H, W]` or `[1, H, W]`, uint8 or a float type in 0..1, as a picture on
    `device`.

    Raises PictureError for any other tensor.
    """
    fits = tensor.dtype == torch.uint8 or tensor.dtype.is_floating_point
    if not fits or tensor.ndim != 3 or tensor.shape[0] not in (1, 3) or 0 in tensor.shape:
        raise PictureError(
            f"tensor {tensor.dtype} of shape {list(tensor.shape)} is not uint8, or float in 0..1,"
            " of [1 or 3, H, W]"
        )
    tensor = tensor.detach().to(device)
    if tensor.dtype != torch.uint8:
        tensor = (tensor.float().nan_to_num().clamp(0, 1) * 255).round().byte()
    return TensorPicture(tensor[0] if tensor.shape[0] == 1 else tensor.permute(1, 2, 0))


def tensor_of_picture(picture: Picture) -> Tensor:
    """`[C, H, W]` of a decoded picture on the device of its pixels, if tensors; alpha is the last
    plane."""
    planes = [_with_channels(torch.as_tensor(picture.pixels)).permute(2, 0, 1)]
    if picture.alpha is not None:
        alpha = torch.tensor(picture.alpha, device=planes[0].device)[None]
        if planes[0].dtype != torch.uint8:
            alpha = (alpha.int() * 257).to(planes[0].dtype)
        planes.append(alpha)
    return torch.cat(planes)


def _with_channels(pixels: Tensor) -> Tensor:
    """`[H, W]` or `[H, W, C]` to `[H, W, C]`."""
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
