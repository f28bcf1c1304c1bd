"""Files made long ago: they decode to the stored symbols and pixels for ever
(scripts/make_golden.py)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from vaecodec.inference.loading import load_model
from vaecodec.network.weight_files import CURRENT, SHIPPED, identity, shipped_file

GOLDEN = Path(__file__).parent / "golden"
SYMBOLS = json.loads((GOLDEN / "symbols.json").read_text())
LATER = sorted(path.stem for path in GOLDEN.glob("*.npz") if path.stem != "pixels")

sys.path.insert(0, str(GOLDEN.parent.parent / "scripts"))
from check_golden import decode_and_record  # noqa: E402


def test_models_that_ship_are_known_by_their_identities():
    shipped = {identity(shipped_file(name).read_bytes()).hex(): name for name in SHIPPED.values()}
    assert shipped == SHIPPED
    assert set(CURRENT.values()) <= set(SHIPPED.values()) <= {*SYMBOLS, *LATER}


@pytest.fixture(scope="module")
def model():
    return load_model(GOLDEN / "model.safetensors", "cpu")


@pytest.mark.parametrize("name", sorted(SYMBOLS))
def test_decodes_as_it_always_did(name: str):
    symbols, picture = decode_and_record((GOLDEN / f"{name}.vae").read_bytes(), name)
    assert symbols == SYMBOLS[name]
    expected = np.load(GOLDEN / "pixels.npz")[name]
    assert picture.pixels.dtype == expected.dtype
    unit = 257 if expected.dtype == np.uint16 else 1
    assert np.abs(picture.pixels.astype(int) - expected.astype(int)).max() <= unit


@pytest.mark.parametrize("name", LATER)
def test_later_files_decode_as_they_always_did(name: str):
    symbols, picture = decode_and_record((GOLDEN / f"{name}.vae").read_bytes(), name)
    expected = np.load(GOLDEN / f"{name}.npz")
    assert symbols == expected["symbols"].tolist()
    assert picture.pixels.dtype == expected["pixels"].dtype
    assert (picture.alpha is None) == ("alpha" not in expected)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, expected["alpha"])
    exact = picture.pixels.shape[1] if not symbols else 1024 * (picture.pixels.shape[1] > 1024)
    difference = np.abs(picture.pixels.astype(int) - expected["pixels"].astype(int))
    assert difference.max() <= 1 and not difference[:, :exact].any()


def test_every_golden_file_is_tested():
    assert {path.stem for path in GOLDEN.glob("*.vae")} == {*SYMBOLS, *LATER}


def test_one_unit_in_one_weight_of_the_exact_network_is_an_error_not_a_picture(model, monkeypatch):
    """What a machine that computed the tables differently would meet."""
    from vaecodec.codec.decoder import decode_picture
    from vaecodec.entropy.integer_scale_network import IntegerScaleNetwork
    from vaecodec.errors import FormatError

    data = (GOLDEN / "high.vae").read_bytes()
    weights = model.weights.scale_parameters["out"]
    place = np.unravel_index(np.abs(weights.astype(int)).argmax(), weights.shape)
    noticed = 0
    for step in (1, 16, 256):
        changed = weights.copy()
        changed[place] += step
        other = IntegerScaleNetwork({**model.weights.scale_parameters, "out": changed})
        with monkeypatch.context() as patch:
            patch.setitem(vars(model), "scale_network", other)
            try:
                decode_picture(data, model)
            except FormatError:
                noticed += 1
    assert noticed >= 1
    decode_picture(data, model)
