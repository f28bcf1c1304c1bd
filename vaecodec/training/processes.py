"""Several processes under torchrun, which share one training run."""

import os

import torch
import torch.distributed as dist


def join_processes() -> tuple[int, int]:
    """Rank and number of processes under torchrun; 0 and 1 without."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()
