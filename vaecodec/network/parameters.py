"""Which parameters a network of given sizes has, to check a weight file before any use of it."""

from vaecodec.network.config import ANCHORS, FRONT
from vaecodec.errors import ModelError
from vaecodec.entropy.coding_order import STEPS
from vaecodec.network.weights import STEP_SUFFIX, Weights


def check_parameters(weights: Weights) -> None:
    """Raise ModelError unless a weight file holds the parameters of its configuration and no
    others.

    What passes needs memory in proportion to the file, whatever its configuration says.
    """
    try:
        expected = parameter_shapes(weights.config, len(weights.net))
        c, scale = weights.config, weights.scale_parameters
        expected |= {
            "scale.z_conv": (c["scale"], c["cz"], 3, 3),
            "scale.out": (c["m"], c["scale"], 1, 1),
        }
    except KeyError as error:
        raise ModelError(f"the model's configuration has no size {error}") from None
    stored = {n: array.shape for n, array in weights.net.items() if not n.endswith(STEP_SUFFIX)}
    stored |= {f"scale.{n}": scale[n].shape for n in ("z_conv", "out") if n in scale}
    wrong = sorted(n for n in {*expected, *stored} if expected.get(n) != stored.get(n))
    if wrong:
        raise misfit(f"{len(wrong)} tensors, {wrong[0]} among them")


def misfit(reason: str) -> ModelError:
    return ModelError(f"the model's weights do not fit its configuration ({reason})")


def parameter_shapes(config: dict[str, int], most: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the float network's parameters by name, of at most `most` blocks of a kind.

    Raises KeyError for a size that is missing.
    """
    c = config
    m, cz, hyper, context = c["m"], c["cz"], c["hyper"], c["context"]
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
            shapes[f"{block}.bias.values"] = (ANCHORS, hidden)
            shapes[f"{block}.leave.weight"] = (channels, hidden, 3, 3)
            shapes[f"{block}.leave.bias"] = (channels,)
    tables = {"s_bias": m, "log_gain": m, "log_inverse_gain": m, "log_z_gain": cz}
    tables |= {"z_log_scale": cz, "ha_bias": hyper, "hs_bias": hyper, "ctx_bias": context}
    return shapes | {f"{name}.values": (ANCHORS, size) for name, size in tables.items()}
