"""Several processes under torchrun, which share one training run."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from vaecodec.errors import VaecodecError


def join_processes() -> tuple[int, int]:
    """Rank and number of processes under torchrun; 0 and 1 without."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


@contextmanager
def lost_ones_told(run: Path) -> Iterator[None]:
    """Raises VaecodecError where another process is gone, without which none can go on."""
    try:
        yield
    except RuntimeError as error:
        is_told = isinstance(error, dist.DistError) or re.search("gloo|by peer", str(error))
        if not is_told or not dist.is_initialized():
            raise
        raise VaecodecError(
            "another process of this training ended or cannot be reached; start all of them again,"
            f" with: vaecodec train --resume {run}"
        ) from None
