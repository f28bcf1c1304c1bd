"""The backends agree: the same symbols, pixels within 1, and no torch where it is not needed."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from conftest import make_photo

from vaecodec.__main__ import main
from vaecodec.codec.decoder import DecodeOptions, decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.errors import ModelError, UsageError
from vaecodec.format.container import read_header
from vaecodec.inference import loading
from vaecodec.inference.interfaces import NO_CUT
from vaecodec.inference.loading import choose_backend, load_model
from vaecodec.inference.model import Model
from vaecodec.inference.onnx_backend import OnnxTransforms
from vaecodec.inference.onnx_limbs import LimbLayers
from vaecodec.inference.onnx_planes import PlaneLayers
from vaecodec.network.vae import VAE, network_from_weights
from vaecodec.network.weight_files import SHIPPED
from vaecodec.network.weights import load_weights, save_weights
from vaecodec.picture.picture import Picture
from vaecodec.processor import processor_features
from vaecodec.training.calibration import calibrate
from vaecodec.training.export import export_model
from vaecodec.training.growth import grow

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def models() -> dict:
    path = GOLDEN / "model.safetensors"
    return {backend: load_model(path, "cpu", backend=backend) for backend in ("onnx", "torch")}


# Without VNNI or its like, sums of products of bytes saturate.
in_bytes = pytest.param(
    True, marks=pytest.mark.skipif("VNNI" not in processor_features(), reason="needs VNNI")
)


@pytest.mark.parametrize("in_limbs", [False, in_bytes])
def test_every_transform_is_the_same_function(models, in_limbs: bool):
    """As float32 computes it, and in limbs to 16 bits where nothing is rounded to 8 later."""
    rng = np.random.default_rng(0)
    a, b = OnnxTransforms(models["onnx"].weights, in_limbs), models["torch"].transforms
    config = models["onnx"].weights.config
    x = rng.random((96, 128, 3), np.float32)
    z = np.rint(3 * rng.standard_normal((2, 2, config["cz"]))).astype(np.float32)
    steps = rng.standard_normal((3, 7, 5, config["m"] // 4)).astype(np.float32)  # of an odd size
    for level in (0, 300, 1279, 1280):
        y = b.analyse(x, level)
        features = b.analyse_fine(x, level)
        pairs = {
            "analyse": (a.analyse(x, level), y),
            "analyse_fine": (a.analyse_fine(x, level), features),
            "analyse_coarse": (a.analyse_coarse(features, level), y),
            "hyper_analyse": (a.hyper_analyse(y[:4], level), b.hyper_analyse(y[:4], level)),
            "gain": (a.gain(level), b.gain(level)),
        }
        means = [transforms.mean_predictor(z, level, (7, 5)) for transforms in (a, b)]
        for step, known in enumerate(steps):
            pairs[f"mean {step}"] = tuple(one.predict(step)[0] for one in means)
            for one in means:
                one.add(known, step)
        pairs["mean 3"] = tuple(one.predict(3)[0] for one in means)
        for scale in (1, 2, 4, 8):
            pairs[f"synthesise 1/{scale}"] = tuple(t.synthesise(y, level, scale) for t in (a, b))
        for name, (ours, theirs) in pairs.items():
            assert ours.shape == theirs.shape and ours.dtype == np.float32, name
            is_rough = in_limbs and name.startswith(("analyse", "synthesise"))
            near = (2e-3 if is_rough else 1e-4) * max(1.0, float(np.abs(theirs).max()))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=near, err_msg=name)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vae")), ids=lambda path: path.stem)
def test_files_decode_alike(models, path: Path):
    """The checksum of the symbols is part of the file, so both have decoded the same ones."""
    options = DecodeOptions(passphrase=b"golden" if path.stem == "sealed" else None)
    model_id = read_header(io.BytesIO(path.read_bytes())).model_id
    if model_id.hex() in SHIPPED:
        models = {b: load_model(None, "cpu", model_id, b) for b in models}
    decoded = [decode_picture(path.read_bytes(), m, options).pixels for m in models.values()]
    unit = 257 if decoded[0].dtype == np.uint16 else 1
    assert np.abs(decoded[0].astype(int) - decoded[1].astype(int)).max() <= unit


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_each_reads_what_the_other_writes(models, scale: int):
    picture = Picture(make_photo(75, 97))
    for writer in models.values():
        data = encode_picture(picture, writer, EncodeOptions(900))
        decoded = [
            decode_picture(data, reader, DecodeOptions(scale=scale)).pixels.astype(int)
            for reader in models.values()
        ]
        assert np.abs(decoded[0] - decoded[1]).max() <= 1


def test_the_shipped_model_agrees_on_a_photo():
    """Within the first and last level, where the numbers are smallest and largest."""
    photo = Picture(make_photo(64, 80, seed=3))
    first, second = (load_model(None, "cpu", backend=backend) for backend in ("onnx", "torch"))
    for level in (0, 1280):
        data = encode_picture(photo, first, EncodeOptions(level))
        pixels = [decode_picture(data, m).pixels.astype(int) for m in (first, second)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1


def test_commands_and_api_work_without_torch(photo_path: Path, tiny_model_path: Path):
    """Neither torch nor scipy can be imported here at all."""
    program = """
import sys
sys.modules.update({"torch": None, "scipy": None})
import numpy as np, vaecodec, vaecodec.pillow_plugin
from PIL import Image
from click.testing import CliRunner
from vaecodec.__main__ import main
photo, model = sys.argv[1:]
folder = photo.removesuffix("photo.png")
for words in (
    ["encode", photo, "--model", model],
    ["encode", photo, "-f", "--target-psnr", "20", "--model", model],
    ["decode", folder + "photo.vae", "-o", folder + "back.png", "--model", model],
    ["decode", folder + "photo.vae", "-o", folder + "s.png", "--scale", "1/4", "--model", model],
    ["verify", folder + "photo.vae", "--model", model],
    ["info", folder + "photo.vae", "--preview", folder + "small.png", "--model", model],
):
    result = CliRunner().invoke(main, words + ["--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
pixels = np.asarray(Image.open(photo))
assert np.asarray(vaecodec.Codec(model, "cpu").decode(
    vaecodec.Codec(model, "cpu").encode(pixels))).shape == pixels.shape
assert "torch" not in {name for name, module in sys.modules.items() if module is not None}
"""
    done = subprocess.run(
        [sys.executable, "-c", program, photo_path, tiny_model_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_choice_of_backend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "_gpu_is_there", lambda: False)
    assert choose_backend("auto", "auto") == choose_backend("auto", "cpu") == "onnx"
    assert choose_backend("auto", "cuda") == choose_backend("torch", "cpu") == "torch"
    with pytest.raises(UsageError, match="use backend torch"):
        choose_backend("onnx", "cuda")
    monkeypatch.setattr(loading, "_gpu_is_there", lambda: True)
    assert choose_backend("auto", "auto") == "torch"
    assert choose_backend("auto", "cpu") == choose_backend("onnx", "auto") == "onnx"


def test_without_onnx_runtime(
    monkeypatch: pytest.MonkeyPatch, photo_path: Path, tiny_model_path: Path
):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    words = ["encode", str(photo_path), "--model", str(tiny_model_path)]
    assert CliRunner().invoke(main, words).exit_code == 0
    result = CliRunner().invoke(main, [*words, "-f", "--backend", "onnx"])
    assert result.exit_code == 2 and "onnxruntime" in result.stderr


@pytest.mark.parametrize("change", [{"h2": 10**6}, {"n1": 10**9}, {"m": 4}, {"scale": 10**6}])
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_sizes_that_no_tensor_backs_are_refused(tmp_path: Path, change: dict, backend: str):
    """A small file cannot ask for a network of terabytes."""
    w = load_weights(GOLDEN / "model.safetensors")
    hostile = tmp_path / "hostile.safetensors"
    tables = [*w.z_tables] * 4  # a number that any of the changed sizes divides
    config = {**w.config, **change}
    save_weights(hostile, replace(w, config=config, z_tables=tables))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(hostile, "cpu", backend=backend)


def test_export_writes_graphs_for_other_programs(tmp_path: Path, models):
    import onnx

    folder, source = tmp_path / "graphs", str(GOLDEN / "model.safetensors")
    words = ["export", source, "-o", str(folder)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and models["onnx"].model_id.hex() in result.stdout
    assert CliRunner().invoke(main, words).exit_code == 2, "nothing is overwritten without -f"
    assert CliRunner().invoke(main, [*words, "-f", "--quiet"]).stdout == ""
    for path in folder.iterdir():
        graph = onnx.load(path)
        onnx.checker.check_model(graph, full_check=True)
        metadata = {entry.key: entry.value for entry in graph.metadata_props}
        assert metadata == {"vaecodec.inference.model": models["onnx"].model_id.hex()}
    y_hat = np.random.default_rng(0).standard_normal((3, 5, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession(folder / "synthesis.onnx")
    (x,) = session.run(["x"], {"y_hat": y_hat, "t": np.array([2.5], np.float32)})
    np.testing.assert_allclose(x, models["torch"].transforms.synthesise(y_hat, 640), atol=1e-3)
    assert {path.stem for path in folder.iterdir()} == {
        *("analysis", "analysis_fine", "analysis_coarse", "hyper_analysis", "hyper_synthesis"),
        *("context", "mean", "synthesis", "gain"),
    }


def test_both_backends_reduce_alike(tiny_model_path: Path):
    """At 1/8, by the linear map, with and without a halo to leave out."""
    ours, theirs = (load_model(tiny_model_path, "cpu", backend=b) for b in ("onnx", "torch"))
    halo, m = ours.halo, ours.m
    y_hat = np.random.default_rng(0).standard_normal((2 * halo + 3, halo + 5, m), np.float32)
    whole = ours.transforms.synthesise(y_hat, 700, 8)
    assert whole.shape == (2 * (2 * halo + 3), 2 * (halo + 5), 3)
    for cut, part in ((NO_CUT, whole), ((1, 0, 1, 1), whole[2 * halo : -2 * halo, : -2 * halo])):
        for model in (ours, theirs):
            x = model.transforms.synthesise(y_hat, 700, 8, cut)
            np.testing.assert_allclose(x, part, atol=1e-4)


@pytest.mark.parametrize("change", [{"bias": np.zeros(9, np.float32)}, {"more": np.zeros(1, "f4")}])
def test_a_map_that_does_not_fit_is_refused(tmp_path: Path, tiny_model_path: Path, change: dict):
    w = load_weights(tiny_model_path)
    hostile = tmp_path / "hostile.safetensors"
    save_weights(hostile, replace(w, reduced=w.reduced | change))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(hostile, "cpu")


def test_both_backends_take_the_same_elementwise_steps(tiny_model_path: Path, tmp_path: Path):
    network = network_from_weights(load_weights(tiny_model_path))
    torch.manual_seed(0)
    network.q_out.weight.data += 0.3 * torch.randn_like(network.q_out.weight)
    path = tmp_path / "steps.safetensors"
    export_model(network, [make_photo(128, 128)], {"name": "steps"}, path)
    models = [load_model(path, "cpu", backend=backend) for backend in ("onnx", "torch")]
    z = np.rint(np.random.default_rng(0).normal(0, 4, (2, 3, 8))).astype(np.int32)
    steps = [model.transforms.mean_predictor(z, 900, (7, 12)).predict(1)[1] for model in models]
    assert np.abs(np.log(steps[0])).max() > 0.5 and np.allclose(*steps, rtol=1e-4)
    picture = Picture(make_photo(96, 80))
    data = encode_picture(picture, models[0], EncodeOptions(900))
    pixels = [decode_picture(data, model).pixels.astype(int) for model in models]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1


@pytest.fixture(scope="module")
def eight_bit_model_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its residual blocks in 8 bits."""
    learned = network_from_weights(load_weights(tiny_model_path))
    network = VAE(replace(learned.config, activation_bits=8))
    grow(network, learned)
    photos = [make_photo(64, 64, seed) for seed in range(4)]
    calibrate(network, torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2) / 255)
    path = tmp_path_factory.mktemp("eight") / "eight.safetensors"
    export_model(network, photos[:2], {"name": "eight"}, path)
    return path


@pytest.mark.parametrize("in_limbs", [False, in_bytes])
def test_blocks_of_eight_bits_are_the_same_integers(eight_bit_model_path: Path, in_limbs: bool):
    """From equal inputs to equal outputs, at levels between the anchors, too."""
    weights = load_weights(eight_bit_model_path)
    network = network_from_weights(weights).eval()
    rng = np.random.default_rng(0)
    for name, block in (("a1.0", network.a1[0]), ("s2.0", network.s2[0])):
        spread = 30 * block.input.scale.numpy()[:, None, None]  # beyond the range, now and then
        x = (spread * rng.normal(0, 2, (1, len(spread), 12, 20))).astype(np.float32)
        builder = LimbLayers(weights, "block") if in_limbs else PlaneLayers(weights, "block")
        rows = np.ascontiguousarray(x[0].transpose(1, 2, 0))
        value = builder.from_channels_last(builder.graph.input("x", rows.shape))
        y = builder.to_channels_last(builder.residual_block(value, name))
        builder.graph.output(y, "y", rows.shape)
        session = onnxruntime.InferenceSession(builder.graph.to_bytes({}))
        for t in (0.0, 1.75, 5.0):
            (ours,) = session.run(None, {"x": rows, "t": np.array([t], np.float32)})
            ours = ours.transpose(2, 0, 1)[None]
            with torch.no_grad():
                theirs = block(torch.from_numpy(x), torch.tensor([t])).numpy()
            steps = (ours - theirs) / block.output.scale.numpy()[:, None, None]
            # A bias that falls between two integers can be rounded either way, and moves a few.
            assert np.abs(steps).max() < 1.5 and (np.abs(steps) > 0.5).mean() < 1e-3
            assert np.abs(theirs - x).max() > 0


def test_a_model_of_eight_bits_decodes_alike_and_as_well(
    eight_bit_model_path: Path, tiny_model: Model
):
    photo = make_photo(96, 128, seed=5)
    models = [load_model(eight_bit_model_path, "cpu", backend=b) for b in ("onnx", "torch")]
    for level in (0, 1000):
        usual = encode_picture(Picture(photo), tiny_model, EncodeOptions(level))
        error = np.square(decode_picture(usual, tiny_model).pixels - photo.astype(float)).mean()
        for writer in models:
            data = encode_picture(Picture(photo), writer, EncodeOptions(level))
            pixels = [decode_picture(data, reader).pixels.astype(int) for reader in models]
            assert np.abs(pixels[0] - pixels[1]).max() <= 1
            assert np.square(pixels[0] - photo).mean() < 1.1 * error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a1.0.enter.weight", np.int8(127)),
        ("a1.0.enter.weight.step", np.float32(0)),
        ("s1.0.input.scale", np.float32(-1)),
        ("s2.0.hidden.zero", np.float32(0.5)),
        ("s2.0.output.zero", np.float32(300)),
    ],
)
def test_ranges_and_weights_that_eight_bits_cannot_have_are_refused(
    eight_bit_model_path: Path, tmp_path: Path, name: str, value: np.generic
):
    w = load_weights(eight_bit_model_path)
    hostile = tmp_path / "hostile.safetensors"
    save_weights(hostile, replace(w, net={**w.net, name: np.full_like(w.net[name], value)}))
    with pytest.raises(ModelError, match="in 8 bits"):
        load_model(hostile, "cpu", backend="onnx")
