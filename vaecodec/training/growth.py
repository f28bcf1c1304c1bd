"""A network that has learned already, larger: what is new changes nearly nothing at the start."""

import torch

from vaecodec.network.config import NetworkConfig
from vaecodec.network.vae import VAE

BLOCKS = ("n1", "n2")
GROWING = (*BLOCKS, "anchors", "elementwise", "activation_bits", "float_blocks")


def can_grow(config: NetworkConfig, name: str, value: int) -> bool:
    """Whether a size of a learned network can become `value`."""
    if name == "activation_bits":
        return value in (config.activation_bits, 8)
    if name == "float_blocks":  # blocks that compute in integers have learned that
        return config.activation_bits == 0 or value == config.float_blocks
    return name in GROWING and value >= getattr(config, name)


def grow(network: VAE, learned: VAE) -> None:
    """Give `network` what `learned` knows.

    Further blocks and the elementwise step start near zero. Level tables of more anchors go on at
    the top as between the last two, so that a level of before keeps its meaning.
    """
    state = learned.state_dict()
    for name, values in state.items():
        missing = network.config.anchors - learned.config.anchors
        if missing and name.endswith(".values"):
            steps = torch.arange(1, missing + 1, device=values.device)[:, None]
            state[name] = torch.cat([values, values[-1:] + steps * (values[-1:] - values[-2:-1])])
    network.load_state_dict(state, strict=False)
