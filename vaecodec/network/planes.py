"""Arrays to tensors and back."""

import numpy as np
import torch
from torch import Tensor


def to_planes(array: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """`[H, W, C]` to `[1, C, H, W]` on a device, in channels-last memory, which is the same
    bytes."""
    if isinstance(array, np.ndarray):
        array = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    return array.permute(2, 0, 1)[None].to(device)


def to_array(tensor: Tensor) -> np.ndarray:
    """`[1, C, H, W]` on any device to float32 `[H, W, C]`."""
    return tensor[0].permute(1, 2, 0).contiguous().float().cpu().numpy()
