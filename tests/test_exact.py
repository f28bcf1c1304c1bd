"""The integer scale network: exact whatever the arithmetic underneath, and what training sees."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from vaecodec.entropy.coding_order import STEPS, group_mask, pick_step
from vaecodec.entropy.integer_scale_network import (
    ExactProduct,
    IntegerScaleNetwork,
    integer_parameters,
)
from vaecodec.entropy.scales import SCALE_COUNT
from vaecodec.inference.model import Model
from vaecodec.inference.onnx_backend import OnnxTransforms
from vaecodec.inference.onnx_scale_network import OnnxScaleNetwork
from vaecodec.network.config import PRESETS
from vaecodec.network.scale_network import ScaleNetwork as TrainedScaleNetwork
from vaecodec.network.scale_network import magnitude_code

CONFIG = PRESETS["tiny"]
Maker = Callable[[dict[str, np.ndarray]], IntegerScaleNetwork]
CODES = (magnitude_code(torch.arange(256.0)) * 16).numpy()


def trained(seed: int = 0, spread: float = 0.2) -> TrainedScaleNetwork:
    torch.manual_seed(seed)
    network = TrainedScaleNetwork(CONFIG)
    for parameter in network.parameters():
        parameter.data += spread * torch.randn_like(parameter)
    network.offset.values.data += 4
    return network


def integers(network: TrainedScaleNetwork) -> dict[str, np.ndarray]:
    return integer_parameters(
        {name: p.detach().numpy() for name, p in network.named_parameters()}, CODES
    )


def inputs(seed: int, rows: int = 3, columns: int = 2):
    rng = np.random.default_rng(seed)
    z = np.rint(rng.laplace(scale=20, size=(rows, columns, CONFIG.cz))).astype(np.int32)
    shape = (4 * rows - 1, 4 * columns - 1)  # odd, as pictures' edges may be
    residuals = (
        np.rint(rng.standard_cauchy((*shape, CONFIG.m)) * 3).clip(-1e6, 1e6).astype(np.int32)
    )
    return z, residuals


def indices_of_step(
    network: IntegerScaleNetwork, z: np.ndarray, residuals: np.ndarray, step: int, level: int
) -> np.ndarray:
    """As the coder asks for them: `residuals` `[h, w, m]` become known step by step."""
    size = residuals.shape[:2]
    sums = network.prepare(z, level, size)
    for earlier in range(step):
        network.add_context(sums, pick_step(residuals, earlier), earlier)
    return network.indices(sums, size, step, level)


@pytest.fixture(params=[IntegerScaleNetwork, OnnxScaleNetwork])
def made(request: pytest.FixtureRequest, tiny_model: Model) -> Maker:
    """Makes a network of parameters, in numpy or on ONNX Runtime."""

    def on_onnx_runtime(parameters: dict[str, np.ndarray]) -> IntegerScaleNetwork:
        weights = replace(tiny_model.weights, scale_parameters=parameters)
        network = OnnxTransforms(weights, in_limbs=True).scale_network()
        assert type(network) is OnnxScaleNetwork
        return network

    return on_onnx_runtime if request.param is OnnxScaleNetwork else IntegerScaleNetwork


def known_before(residuals: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """What a step knows: the residuals of earlier ones, else 0, and planes `[h, w, 4]` of 0 and
    1."""
    known = np.zeros((*residuals.shape[:2], STEPS), bool)
    for earlier in range(step):
        known |= group_mask(*residuals.shape[:2], earlier)
    return residuals * np.repeat(known, CONFIG.m // STEPS, axis=2), known.astype(np.int32)


def reference_indices(p: dict[str, np.ndarray], z, residuals, known, level: int) -> np.ndarray:
    """The specification with Python-sized integers: int64 sums, no floating point anywhere."""

    def at_level(table):
        low = min(level >> 8, len(table) - 2)
        part = level - (low << 8)
        mixed = table[low].astype(np.int64) * (256 - part) + table[low + 1].astype(np.int64) * part
        return (mixed + 128) >> 8

    def conv(name, x):
        weight = p[name].astype(np.int64)
        margin = weight.shape[2] // 2
        padded = np.pad(x, ((margin, margin), (margin, margin), (0, 0)))
        out = np.zeros((*x.shape[:2], weight.shape[0]), np.int64)
        for row in range(weight.shape[2]):
            for column in range(weight.shape[3]):
                tap = padded[row : row + x.shape[0], column : column + x.shape[1]]
                out += np.einsum("hwi,oi->hwo", tap, weight[:, :, row, column])
        return out

    def activate(sums, bits, top=127):
        return np.clip((sums + (1 << (bits - 1))) >> bits, 0, top)

    h = activate(conv("z_conv", np.clip(z, -127, 127).astype(np.int64)) + at_level(p["z_bias"]), 6)
    up = conv("z_up", h)
    rows, columns, channels = up.shape
    shuffled = np.zeros((4 * rows, 4 * columns, channels // 16), np.int64)
    for row in range(4):
        for column in range(4):
            shuffled[row::4, column::4] = up[:, :, 4 * row + column :: 16]
    height, width = residuals.shape[:2]
    sums = shuffled[:height, :width] + at_level(p["up_bias"])
    codes = p["magnitude_codes"].astype(np.int64)[np.minimum(np.abs(residuals), 255)]
    sums = sums + conv("context", np.concatenate([codes, 16 * known.astype(np.int64)], axis=2))
    h = activate(sums, 10)
    h = activate(conv("hidden", h) + at_level(p["hidden_bias"]), 10)
    return activate(conv("out", h) + at_level(p["offset"]), 11, SCALE_COUNT - 1)


@pytest.mark.parametrize("level", [0, 1, 255, 256, 700, 1279, 1280])
def test_equals_the_specification_in_integers(made: Maker, level: int):
    p = integers(trained())
    network = made(p)
    for step in range(STEPS):
        z, residuals = inputs(step)
        indices = indices_of_step(network, z, residuals, step, level)
        expected = reference_indices(p, z, *known_before(residuals, step), level)
        np.testing.assert_array_equal(indices, pick_step(expected, step))
        assert len(np.unique(indices)) > 10, "the test must reach many tables"


def test_offsets_move_the_indices_alike(made: Maker):
    p = integers(trained())
    z, residuals = inputs(3)
    size = residuals.shape[:2]
    offsets = np.random.default_rng(0).integers(-9, 10, (*size, 1))
    found = []
    for network in (IntegerScaleNetwork(p), made(p)):
        sums = network.prepare(z, 700, size)
        network.add_context(sums, pick_step(residuals, 0), 0)
        found.append(network.indices(sums, size, 1, 700, offsets))
        plain = network.indices(sums, size, 1, 700)
    np.testing.assert_array_equal(*found)
    assert (found[0] != plain).any()


def test_weights_too_large_for_products_of_bytes_are_left_to_numpy(tiny_model: Model):
    p = integers(trained(spread=30.0))
    weights = replace(tiny_model.weights, scale_parameters=p)
    assert type(OnnxTransforms(weights, in_limbs=True).scale_network()) is IntegerScaleNetwork


@pytest.mark.parametrize("spread", [0.1, 30.0])
def test_weights_of_any_size_stay_exact(spread: float):
    """With larger ones float32 holds only the sums of a few products at a time."""
    p = integers(trained(spread=spread))
    network = IntegerScaleNetwork(p)
    z, residuals = inputs(5)
    for step in range(STEPS):
        indices = indices_of_step(network, z, residuals, step, 900)
        expected = reference_indices(p, z, *known_before(residuals, step), 900)
        np.testing.assert_array_equal(indices, pick_step(expected, step))


def test_products_are_split_before_float32_would_round():
    """The largest weights and inputs: a sum of 2**24 and more, odd, where float32 has even numbers
    only."""
    matrix = np.full((97, 2), 32767, np.int16)
    x = np.full((3, 97), 127, np.float32)
    assert (ExactProduct(matrix, 0)(x) == 97 * 127 * 32767).all()


def test_training_sees_the_integers_that_are_shipped():
    """At an anchor level the trained network's rounded index is the integer network's."""
    network = trained()
    exact = IntegerScaleNetwork(integers(network))
    z, residuals = inputs(2)
    level, step = 3, 2
    seen, known = known_before(residuals, step)
    t = torch.tensor([float(level)])
    with torch.no_grad():
        as_tensor = [torch.from_numpy(a).permute(2, 0, 1)[None].float() for a in (z, seen, known)]
        context = torch.cat([magnitude_code(as_tensor[1]), as_tensor[2]], 1)
        prepared = network.prepare(as_tensor[0], t)[..., : seen.shape[0], : seen.shape[1]]
        index = network(prepared, context, t)[0].permute(1, 2, 0).numpy()
    expected = pick_step(np.clip(np.floor(index + 0.5), 0, SCALE_COUNT - 1), step)
    actual = indices_of_step(exact, z, residuals, step, 256 * level)
    # Biases are rounded to the sums' bits, which moves an index at most at the edge of rounding.
    assert np.mean(actual != expected) < 0.01
    assert np.abs(actual - expected).max() <= 1


@pytest.mark.parametrize("name", ["context", "offset", "magnitude_codes"])
def test_shapes_that_do_not_fit_are_refused(name: str):
    p = integers(trained())
    p[name] = p[name][:-1]
    with pytest.raises(ValueError, match="shape"):
        IntegerScaleNetwork(p)
