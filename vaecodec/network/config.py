"""Sizes of the network: the same in every model, and those that a weight file names."""

from dataclasses import asdict, dataclass

from vaecodec.entropy.coding_order import STEPS
from vaecodec.entropy.scales import LEVEL_UNIT

STRIDE_Y = 16  # pixels per latent position
BLOCK = 8  # side of the pixel blocks of the front end
FRONT = 3 * BLOCK * BLOCK  # values of a block
BLOCK_REACH = 2  # positions that a residual block sees around each, two 3x3 convolutions
LEAK = 0.1  # slope of the activation below zero
LARGEST_WEIGHT = 64  # magnitude of the weights that 8-bit activations are multiplied by
LOG_STEP_SCALE_MAX = 3.0  # of the elementwise quantisation step


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network, stored in the weight file.

    `n1` blocks with `h1` hidden channels work at 1/8 of the resolution, `n2` blocks with `h2` at
    1/16; `m` latent channels (a multiple of 4); `cz` hyper-latent channels; `hyper`, `context` and
    `scale` are the widths of h_a/h_s, of the mean's context network and of the scale network.
    Gains are learned at `anchors` levels, and t is in 0..anchors-1. With `elementwise` 1 h_s also
    predicts a quantisation step for every latent. With `activation_bits` 8 instead of 0 residual
    blocks compute in integers, but the first `float_blocks` at 1/8 on each side, which lose most by
    it. The defaults of these four are the first generation's, whose weight files do not name them.
    """

    n1: int = 1
    h1: int = 128
    n2: int = 2
    h2: int = 128
    m: int = 384
    cz: int = 64
    hyper: int = 128
    context: int = 160
    scale: int = 96
    anchors: int = 6
    elementwise: int = 0
    activation_bits: int = 0
    float_blocks: int = 0

    @property
    def level_max(self) -> int:
        """The highest level of a file."""
        return (self.anchors - 1) * LEVEL_UNIT

    @property
    def halo(self) -> int:
        """Latent positions beyond a window that g_a and g_s can see, at most."""
        return self.fine_halo + self.coarse_halo

    @property
    def fine_halo(self) -> int:
        """Of these, what the layers see at 1/8 of the resolution, and those between it and 1/16."""
        return BLOCK_REACH * self.n1 // 2 + 1

    @property
    def coarse_halo(self) -> int:
        """Of these, what the layers at 1/16 see."""
        return BLOCK_REACH * self.n2

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


PRESETS = {
    "tiny": NetworkConfig(
        n1=1, h1=8, n2=1, h2=8, m=96, cz=8, hyper=8, context=8, scale=8, elementwise=1
    ),
    "small": NetworkConfig(n1=1, h1=64, n2=1, h2=128, m=256, context=128, scale=64, elementwise=1),
    "base": NetworkConfig(elementwise=1),
    "large": NetworkConfig(n1=2, h1=160, n2=3, h2=192, context=256, scale=128, elementwise=1),
}


def parameter_shapes(config: dict[str, int], most: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the float network's parameters by name, of at most `most` blocks of a kind.

    Raises KeyError for a size that is missing.
    """
    c = config
    m, cz, hyper, context, anchors = c["m"], c["cz"], c["hyper"], c["context"], c["anchors"]
    shapes: dict[str, tuple[int, ...]] = {"klt": (FRONT, FRONT), "y_scale": (m,)}
    shapes |= {"klt_mean": (FRONT,), "klt_scale": (FRONT,)}
    convolutions = {
        "down": (m, FRONT, 4, 4),
        "a_out": (m, m, 1, 1),
        "s_in": (m, m, 1, 1),
        "ha_in": (hyper, m, 3, 3),
        "ha_out": (cz, hyper, 5, 5),
        "hs_in": (hyper, cz, 3, 3),
        "hs_mid": (4 * hyper, hyper, 1, 1),
        "hs_out": (4 * context, hyper, 1, 1),
        "ctx_mid": (context, context, 1, 1),
        "ctx_out": (m, context, 1, 1),
    }
    if c["elementwise"]:
        convolutions["q_out"] = (m, context, 1, 1)
    for name, shape in convolutions.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    shapes |= {"up.weight": (m, FRONT, 4, 4), "up.bias": (FRONT,)}
    shapes["ctx_in.weight"] = (context, m + STEPS, 3, 3)
    fine, coarse = (FRONT, c["h1"], c["n1"]), (m, c["h2"], c["n2"])
    for part, (channels, hidden, count) in {
        "a1": fine,
        "s1": fine,
        "a2": coarse,
        "s2": coarse,
    }.items():
        for number in range(min(count, most)):
            block = f"{part}.{number}"
            shapes[f"{block}.enter.weight"] = (hidden, channels, 3, 3)
            shapes[f"{block}.bias.values"] = (anchors, hidden)
            shapes[f"{block}.leave.weight"] = (channels, hidden, 3, 3)
            shapes[f"{block}.leave.bias"] = (channels,)
            if is_eight_bit(c, block):
                for place, scales in (("input", channels), ("hidden", 1), ("output", channels)):
                    shapes[f"{block}.{place}.scale"] = (scales,)
                    shapes[f"{block}.{place}.zero"] = (1,)
    tables = {"s_bias": m, "log_gain": m, "log_inverse_gain": m, "log_z_gain": cz}
    tables |= {"z_log_scale": cz, "ha_bias": hyper, "hs_bias": hyper, "ctx_bias": context}
    return shapes | {f"{name}.values": (anchors, size) for name, size in tables.items()}


def is_eight_bit(config: dict[str, int], block: str) -> bool:
    """Whether a residual block, "a2.0" for one, computes in integers."""
    part, number = block.split(".")
    is_float = part in ("a1", "s1") and int(number) < config["float_blocks"]
    return config["activation_bits"] > 0 and not is_float


def reduced_shapes(m: int) -> dict[str, tuple[int, ...]]:
    """Of the linear map that stands for g_s at a BLOCK-th of the resolution, from `m` channels."""
    samples = 3 * (STRIDE_Y // BLOCK) ** 2
    return {"weight": (samples, m, 3, 3), "bias": (samples,)}
