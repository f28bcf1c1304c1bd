"""Training as a user meets it: real runs of seconds on made-up pictures."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from conftest import QUICK, TINY, make_photo
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file

from vaecodec.__main__ import main
from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.entropy import rdoq as rounding
from vaecodec.entropy.scales import SCALE_COUNT
from vaecodec.entropy.tables import logistic_frequencies, table_from_frequencies
from vaecodec.inference.loading import load_model
from vaecodec.metrics.distortion import psnr_db
from vaecodec.network import rate_distortion as rates
from vaecodec.network.config import PRESETS
from vaecodec.network.distortion import ms_ssim
from vaecodec.network.rate_distortion import log_scale_of_index
from vaecodec.network.vae import VAE, network_from_weights
from vaecodec.network.weights import load_weights, save_weights
from vaecodec.picture.picture import Picture
from vaecodec.training.dataset import CropSampler, scan_folder, split_of
from vaecodec.training.export import export_model
from vaecodec.training.losses import rate_distortion
from vaecodec.training.patterns import KINDS
from vaecodec.training.trainer import Trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ordinary pictures, and one each of what such folders hold besides."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "trip").mkdir()
    for number in range(10):
        place = folder / "trip" if number % 2 else folder
        Image.fromarray(make_photo(157, 203, seed=number)).save(place / f"p{number}.png")
    Image.fromarray(make_photo(157, 203, seed=20)).convert("L").save(folder / "grey.png")
    Image.fromarray(make_photo(157, 203, seed=21)).convert("CMYK").save(folder / "print.tif")
    Image.fromarray(make_photo(157, 203, seed=22)[:, :, 0].astype(np.uint16) * 257).save(
        folder / "deep.png"
    )
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(make_photo(157, 203, seed=23)).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(make_photo(20, 20)).save(folder / "tiny.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """What a training said that went to its end, and the weight file that it wrote."""
    out = tmp_path_factory.mktemp("finished") / "mine.safetensors"
    result = train(folder, "-o", out, "--steps", 3, *TINY, "--compare")
    assert result.exit_code == 0, result.output
    return result, out


def test_from_folder_to_model_to_file(finished: tuple[Result, Path], tmp_path: Path):
    result, out = finished
    assert f"{out}: validation" in result.stderr
    run = out.with_suffix(".run")
    listing = json.loads((run / "pictures.json").read_text())
    assert sum(map(len, listing["splits"].values())) == 14
    assert {name for name, _ in listing["skipped"]} == {"tiny.png", "broken.jpg", "notes.txt"}
    assert {s["path"]: (s["width"], s["height"]) for s in listing["splits"]["train"]}.get(
        "turned.jpg", (157, 203)
    ) == (157, 203)
    with (run / "validation.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["step"] == "3"
    assert float(row["training_log_j"]) == pytest.approx(float(row["log_j"]), abs=1)
    assert Image.open(run / "validation.png").size[0] > 300
    photo = tmp_path / "photo.png"
    Image.fromarray(make_photo(70, 90, seed=30)).save(photo)
    runner = CliRunner()
    assert runner.invoke(main, ["encode", str(photo), "--model", str(out)]).exit_code == 0
    back = tmp_path / "back.png"
    decoded = runner.invoke(
        main, ["decode", str(tmp_path / "photo.vae"), "-o", str(back), "--model", str(out)]
    )
    assert decoded.exit_code == 0
    assert psnr_db(np.asarray(Image.open(photo)), np.asarray(Image.open(back))) > 22


def test_pictures_at_an_address_make_the_same_model(folder: Path, tmp_path: Path):
    store = fsspec.filesystem("memory")
    store.put(str(folder), "/photos", recursive=True)
    made = []
    for number, pictures in enumerate((folder, "memory://photos")):
        out = tmp_path / str(number) / "m.safetensors"
        out.parent.mkdir()
        result = train(pictures, "-o", out, "--steps", 2, *TINY)
        assert result.exit_code == 0, result.output
        splits = json.loads((out.with_suffix(".run") / "pictures.json").read_text())["splits"]
        made.append((splits, load_file(out)))
    (splits, tensors), (same_splits, same_tensors) = made
    assert same_splits == splits and set(same_tensors) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(same_tensors[name], tensor, err_msg=name)
    run = tmp_path / "1" / "m.run"
    assert json.loads((run / "options.json").read_text())["folder"] == "memory://photos"
    assert "finished already" in train("--resume", run).stderr
    store.rm("/photos", recursive=True)
    result = train("memory://photos", "-o", tmp_path / "x.safetensors")
    assert result.exit_code == 2 and "memory://photos: no such folder" in result.stderr
    result = train("sftp://me:hidden@host/photos", "-o", tmp_path / "x.safetensors")
    assert result.exit_code == 2 and "sftp://...@host/photos: leave user" in result.stderr
    assert "hidden" not in result.output


def test_others_are_measured_on_the_pictures_of_validation(finished: tuple[Result, Path]):
    """At so few bits as of a tiny photo AVIF, whose file says more about itself, is behind WebP."""
    said = dict(re.findall(r"^  (.+) (-?\d\.\d{4})$", finished[0].stderr, re.MULTILINE))
    assert set(said) == {"WebP", "AVIF", "the shipped model"}
    figures = {name: float(figure) for name, figure in said.items()}
    validation = float(re.search(r"validation (\S+),", finished[0].stderr.splitlines()[-5])[1])
    assert figures["the shipped model"] < validation
    assert all(abs(figure - validation) < 2 for figure in figures.values())


def test_a_finished_run_says_so_at_once(
    finished: tuple[Result, Path], monkeypatch: pytest.MonkeyPatch
):
    _, out = finished
    monkeypatch.setattr(Trainer, "__init__", None)  # which would fail
    result = train("--resume", out.with_suffix(".run"))
    assert result.exit_code == 0
    first, second = result.stderr.splitlines()
    assert first == f"{out.with_suffix('.run')}: finished already; --from {out} trains on"
    assert second in finished[0].stderr


def test_training_lowers_the_cost(folder: Path, tmp_path: Path):
    figures = []
    for steps in (1, 150):
        out = tmp_path / f"{steps}.safetensors"
        recipe = ["batch=8", "late_batch=8", "warmup_steps=5", "lr=0.0003", "ema=0.9"]
        changes = [word for change in recipe for word in ("--set", change)]
        words = ["-o", out, "--steps", steps, "--metric", "psnr", *TINY, *changes]
        assert train(folder, *words).exit_code == 0
        figures.append(
            json.loads((tmp_path / f"{steps}.run" / "result.json").read_text())["validation"]
        )
    assert figures[1] < figures[0] - 0.02


def test_interrupted_and_resumed_equals_uninterrupted(folder: Path, tmp_path: Path):
    arguments = [folder, "--steps", 6, *TINY]
    assert train(*arguments, "-o", tmp_path / "whole.safetensors").exit_code == 0
    # The second run is stopped by a signal from within, after its third step.
    program = (
        "import os, signal, sys\n"
        "from vaecodec.training import trainer\n"
        "step = trainer.Trainer._train_step\n"
        "def stopping(self, *a):\n"
        "    result = step(self, *a)\n"
        "    if self.step == 3: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return result\n"
        "trainer.Trainer._train_step = stopping\n"
        "from vaecodec.__main__ import main\n"
        "main(sys.argv[1:])\n"
    )
    out = tmp_path / "parts.safetensors"
    words = [sys.executable, "-c", program, "train", *map(str, arguments), "-o", str(out)]
    stopped = subprocess.run(words, capture_output=True, text=True)
    assert stopped.returncode == 0, stopped.stderr
    assert (
        f"vaecodec train --resume {tmp_path / 'parts.run'}" in stopped.stderr and not out.exists()
    )
    assert train("--resume", tmp_path / "parts.run").exit_code == 0
    whole, parts = (
        network_from_weights(load_weights(tmp_path / f"{n}.safetensors"))
        for n in ("whole", "parts")
    )
    for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0.02, msg=name)


def test_killed_run_resumes_from_its_last_checkpoint(folder: Path, tmp_path: Path):
    out, run = tmp_path / "k.safetensors", tmp_path / "k.run"
    command = [sys.executable, "-m", "vaecodec", "train", "--json-log"]
    process = subprocess.Popen(
        [*command, str(folder), "-o", str(out), "--steps", "100000", *TINY],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    process.stdout.readline()  # the first step is done
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(60) == 0
    saved = saved_step(run)
    process = subprocess.Popen(
        [*command, "--resume", str(run)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert json.loads(process.stdout.readline())["step"] == saved + 1
    process.kill()
    process.wait()
    assert saved_step(run) == saved


def test_a_full_disk_is_one_line_and_the_run_can_go_on(folder: Path, tmp_path: Path):
    """A limit on the size of files stands for the disk: the checkpoint does not fit."""
    out, run = tmp_path / "d.safetensors", tmp_path / "d.run"
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100000, -1));"
    limited += "from vaecodec.__main__ import main; main(sys.argv[1:], 'vaecodec')"
    words = ["train", folder, "-o", out, "--steps", "1", *TINY]
    done = subprocess.run([sys.executable, "-c", limited, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        f"vaecodec: {run}/best.safetensors: cannot write: File too large;"
        f" make room and continue with: vaecodec train --resume {run}"
    ]
    assert sorted(path.name for path in run.iterdir()) == ["options.json", "pictures.json"]
    result = CliRunner().invoke(main, ["train", "--resume", str(run)])
    assert result.exit_code == 0 and out.exists()


def saved_step(run: Path) -> int:
    with safe_open(run / "latest.safetensors", "np") as file:
        return json.loads(file.metadata()["state"])["step"]


def test_fine_tuning_starts_where_the_model_is(folder: Path, tmp_path: Path, tiny_model_path: Path):
    out = tmp_path / "f.safetensors"
    result = train(
        folder, "--from", tiny_model_path, "-o", out, "--steps", 1, "--set", "lr=1e-7", *QUICK
    )
    assert result.exit_code == 0, result.output
    before, after = (network_from_weights(load_weights(p)) for p in (tiny_model_path, out))
    for a, b in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0.01, rtol=0.02)
    card = load_weights(out).card
    assert card["started from"] == load_weights(tiny_model_path).model_id.hex()
    assert card["recipe"]["late_share"] == 1.0  # large crops from the first step


def test_a_network_gets_levels_above_the_top(folder: Path, tmp_path: Path, tiny_model_path: Path):
    out = tmp_path / "more.safetensors"
    words = ["--from", tiny_model_path, "-o", out, "--steps", 1, "--set", "lr=1e-7", *QUICK]
    result = train(folder, *words, "--set", "anchors=8")
    assert result.exit_code == 0, result.output
    before, model = load_model(tiny_model_path, "cpu"), load_model(out, "cpu")
    assert (before.level_max, model.level_max) == (1280, 1792)
    gains = [model.transforms.gain(level) for level in (1024, 1280, 1536)]
    assert np.allclose(gains[2] / gains[1], gains[1] / gains[0], rtol=1e-3)
    picture = Picture(make_photo(64, 80))
    sizes = [len(encode_picture(picture, model, EncodeOptions(n))) for n in (1280, 1792)]
    assert sizes[1] > 1.2 * sizes[0]
    data = encode_picture(picture, model, EncodeOptions(1792))
    assert decode_picture(data, model).pixels.shape == (64, 80, 3)


def test_a_network_gets_blocks_of_eight_bits(folder: Path, tmp_path: Path, tiny_model_path: Path):
    out = tmp_path / "eight.safetensors"
    change = ["--set", "activation_bits=8"]
    unlearned = train(folder, "-o", out, "--steps", 1, *QUICK, *change)
    grown = train(folder, "--from", tiny_model_path, "-o", out, *change, "--set", "n1=2")
    for refused in (unlearned, grown):
        assert refused.exit_code == 2 and "then go on with --from and this" in refused.stderr
    words = ["--from", tiny_model_path, "-o", out, "--steps", 2, "--set", "lr=1e-5", *QUICK]
    result = train(folder, *words, *change)
    assert result.exit_code == 0, result.output
    weights = load_weights(out)
    assert weights.config["activation_bits"] == 8
    assert {np.abs(weights.net[f"{p}.0.leave.weight"]).max() for p in ("a1", "s1")} == {64}
    photo = make_photo(128, 128, seed=40)
    errors = []
    for model in (load_model(tiny_model_path, "cpu"), load_model(out, "cpu")):
        data = encode_picture(Picture(photo), model, EncodeOptions(1000))
        errors.append(np.square(decode_picture(data, model).pixels - photo.astype(float)).mean())
    assert errors[1] < 1.1 * errors[0]


def test_blocks_next_to_the_picture_can_stay_in_floats(
    folder: Path, tmp_path: Path, tiny_model_path: Path
):
    out = tmp_path / "coarse.safetensors"
    change = ["--set", "activation_bits=8", "--set", "float_blocks=1"]
    result = train(folder, "--from", tiny_model_path, "-o", out, "--steps", 1, *QUICK, *change)
    assert result.exit_code == 0, result.output
    ranges = {name.split(".")[0] for name in load_weights(out).net if name.endswith("hidden.scale")}
    assert ranges == {"a2", "s2"}
    data = encode_picture(Picture(make_photo(64, 80)), load_model(out, "cpu"), EncodeOptions(1000))
    for backend in ("onnx", "torch"):
        pixels = decode_picture(data, load_model(out, "cpu", backend=backend)).pixels
        assert np.abs(pixels.astype(int) - make_photo(64, 80)).mean() < 8
    again = ["--from", out, "-o", tmp_path / "more.safetensors", "--set", "float_blocks=0"]
    refused = train(folder, *again, "--steps", 1, *QUICK)
    assert refused.exit_code == 2 and "can only grow" in refused.stderr


def test_a_network_grows_by_blocks_that_change_nearly_nothing(
    folder: Path, tmp_path: Path, tiny_model_path: Path
):
    out = tmp_path / "g.safetensors"
    common = ["--from", tiny_model_path, "-o", out, "--steps", 1, "--set", "lr=1e-7", *QUICK]
    for name in ("h1=16", "m=128"):
        refused = train(folder, *common, "--set", name)
        assert refused.exit_code == 2
        message = f"--set {name}: the network of --from can only grow, by n1 (now 1), n2 (now 1)"
        assert message in refused.stderr
    result = train(folder, *common, "--set", "n1=2", "--set", "n2=3")
    assert result.exit_code == 0, result.output
    before, after = (network_from_weights(load_weights(p)) for p in (tiny_model_path, out))
    assert (len(after.a1), len(after.s1), len(after.a2), len(after.s2)) == (2, 2, 3, 3)
    x = torch.from_numpy(make_photo(64, 64) / np.float32(255)).permute(2, 0, 1)[None]
    t = torch.tensor([2.5])
    with torch.no_grad():
        a, b = (network.synthesise(network.analyse(x, t), t) for network in (before, after))
    error = (a - x).square().mean()
    assert (a - b).square().mean() < 0.02 * error, ((a - b).square().mean(), error)


@pytest.mark.parametrize("fault", ["a tensor is missing", "sizes of terabytes", "unknown size"])
def test_a_model_whose_weights_do_not_fit_does_not_start_a_training(
    folder: Path, tmp_path: Path, tiny_model_path: Path, fault: str
):
    w = load_weights(tiny_model_path)
    net, config = w.net, w.config
    if fault == "a tensor is missing":
        net = {name: array for name, array in w.net.items() if not name.startswith("a_out.")}
    elif fault == "sizes of terabytes":
        config = {**config, "m": 1 << 20}
    else:
        config = {**config, "width": 8}
    broken, out = tmp_path / "broken.safetensors", tmp_path / "l.safetensors"
    save_weights(broken, replace(w, config=config, net=net))
    result = train(folder, "--from", broken, "-o", out, "--steps", 1, *QUICK)
    assert result.exit_code == 1
    assert "the model's weights do not fit its configuration" in result.stderr
    assert not out.with_suffix(".run").exists()


def test_once_settled_the_encoder_stays_and_the_rest_learns(
    folder: Path, tmp_path: Path, tiny_model_path: Path
):
    out = tmp_path / "s.safetensors"
    changes = ["--set", "settle=1", "--set", "lr=0.02", "--set", "warmup_steps=1", "--set", "ema=0"]
    result = train(folder, "--from", tiny_model_path, "-o", out, "--steps", 3, *changes, *QUICK)
    assert result.exit_code == 0, result.output
    before, after = (network_from_weights(load_weights(p)) for p in (tiny_model_path, out))
    for a, b in zip(before.encoder_parameters(), after.encoder_parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0.01)
    for part in ("up", "s1", "hs_mid", "ctx_out", "scale_network"):
        old, new = (getattr(network, part).parameters() for network in (before, after))
        assert max((a - b).abs().max() for a, b in zip(old, new, strict=True)) > 0.01, part


def test_once_settled_figures_compare_only_with_settled_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Rounding by cost is another measure: a settled model is not left for one of before."""
    monkeypatch.setattr(Trainer, "_validate", lambda self, *_: 0.5 if self.settled else -1.0)
    out, run = tmp_path / "s.safetensors", tmp_path / "s.run"
    arguments = [folder, "-o", out, "--run", run, "--steps", 8, "--set", "settle=0.5", *TINY]
    step = Trainer._train_step

    def stopping(self, model, share):
        if self.step in (1, 5):  # before it settles, and once it has
            self._stopped = True
        return step(self, model, share)

    monkeypatch.setattr(Trainer, "_train_step", stopping)
    assert train(*arguments).exit_code == 0 and not out.exists()
    assert train("--resume", run).exit_code == 0 and not out.exists()
    assert train("--resume", run).exit_code == 0 and out.exists()
    figures = [float(row["log_j"]) for row in csv.DictReader((run / "validation.csv").open())]
    assert figures == [-1.0, 0.5, 0.5, 0.5]
    assert json.loads((run / "result.json").read_text())["validation"] == 0.5


def test_once_settled_residuals_are_rounded_as_the_default_effort_rounds_them():
    indices = np.arange(16, SCALE_COUNT).repeat(601)
    d = np.tile(np.linspace(-3, 3, 601, dtype=np.float32), SCALE_COUNT - 16)
    scales = log_scale_of_index(torch.arange(SCALE_COUNT)).exp().tolist()
    tables = [table_from_frequencies(*logistic_frequencies(scale, 300)) for scale in scales]
    encoded = rounding.rdoq(d, rounding.rounding_margins(tables), indices)
    trained = rates.rdoq_straight_through(torch.from_numpy(d), torch.from_numpy(indices)).numpy()
    assert (trained != encoded).mean() < 0.002  # ties
    assert (trained != np.rint(d)).mean() > 0.01


def test_training_computes_with_the_weights_that_a_file_will_hold(tmp_path: Path):
    torch.manual_seed(1)
    network = VAE(PRESETS["tiny"])
    for block in [*network.a1, *network.a2, *network.s2, *network.s1]:
        torch.nn.init.normal_(block.leave.weight, std=0.1)
    torch.nn.init.normal_(network.ctx_out.weight)
    export_model(network, [make_photo(64, 64)], {}, tmp_path / "m.safetensors")
    held = network_from_weights(load_weights(tmp_path / "m.safetensors")).eval()
    x, t, z = torch.rand(1, 3, 64, 64), torch.tensor([2.5]), torch.randn(1, 8, 2, 2).round()
    y = 10 * torch.randn(1, 96, 8, 8)

    def outputs(network: VAE) -> list[torch.Tensor]:
        with torch.no_grad():
            mean = network.predict_mean(network.hyper_synthesise(z, t), None)
            return [network.analyse(x, t), network.synthesise(y, t), mean]

    def distances() -> list[float]:
        pairs = zip(outputs(network), outputs(held), strict=True)
        return [((a - b).norm() / b.norm()).item() for a, b in pairs]

    in_training, as_numbers = distances(), (network.eval(), distances())[1]
    assert max(in_training) < 1e-3  # 16 bits of what is not held in 8
    assert all(b > 3 * a for a, b in zip(in_training, as_numbers, strict=True))


def test_two_processes_train_as_one(folder: Path, tmp_path: Path):
    """Same global batch, same curve, within noise: the crops differ, what is learned does not."""
    common = [
        str(folder),
        "--steps",
        "40",
        "--json-log",
        *TINY,
        "--set",
        "batch=8",
        "--set",
        "warmup_steps=5",
        "--set",
        "settle=0.1",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    last = []
    for prefix, name in (
        ([sys.executable, "-m", "vaecodec"], "one"),
        (
            [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nproc-per-node",
                "2",
                "-m",
                "vaecodec",
            ],
            "two",
        ),
    ):
        words = [
            *prefix,
            "train",
            *common,
            "-o",
            str(tmp_path / f"{name}.safetensors"),
            "--device",
            "cpu",
        ]
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines[-1]["step"] == 40
        last.append(lines[-1]["figure"])
    assert abs(last[0] - last[1]) < 0.1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--set", "nonsense=1"], "no number of that name"),
        (["--set", "n1=x"], "is not a number"),
        (["--set", "m=30"], "multiple of 4"),
        (["--hours", "1", "--steps", "1"], "not both"),
    ],
)
def test_usage_errors(folder: Path, tmp_path: Path, arguments: list[str], message: str):
    result = train(folder, "-o", tmp_path / "x.safetensors", *arguments)
    assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_empty_and_missing_folders(tmp_path: Path):
    assert "no such folder" in train(tmp_path / "none").stderr
    (tmp_path / "empty").mkdir()
    result = train(tmp_path / "empty", "-o", tmp_path / "x.safetensors", "--steps", 1)
    assert result.exit_code == 2 and "training needs at least 3" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"], "it can be tried again"


def test_splits_do_not_move_when_pictures_are_added(folder: Path):
    found, _ = scan_folder(folder, 64)
    assert all(source.split == split_of(source.path) for source in found)
    names = [split_of(f"picture{n}.jpg") for n in range(4000)]
    assert 0.87 < names.count("train") / 4000 < 0.93


def test_crops_are_the_same_for_the_same_step(folder: Path):
    found, _ = scan_folder(folder, 64)
    for pool_bytes in (10**9, 250_000):  # all pictures at once, and two or three at a time
        first, second = (
            CropSampler(folder, found, 7, pool_bytes, 3 * 4 * 64 * 64) for _ in range(2)
        )
        for step in (0, 1, 45, 90):
            crops = first.batch(step, 4, 64)
        np.testing.assert_array_equal(second.batch(90, 4, 64), crops)
        assert (crops != second.batch(90, 4, 64, rank=1)).any()
        first.close()
        second.close()


def test_cost_of_rounding_and_of_noise_are_close():
    torch.manual_seed(0)
    network = VAE(PRESETS["tiny"])
    x = torch.from_numpy(make_photo(64, 64)).permute(2, 0, 1)[None] / 255
    t = torch.tensor([2.5])
    costs = [rate_distortion(network(x, t, noise), x, t)["cost"].item() for noise in (True, False)]
    assert abs(costs[0] - costs[1]) < 0.3


def test_evenness_lets_crops_that_cost_little_count_less():
    """What one percent less of everything is worth, in a plain crop and in a busy one."""
    t = torch.tensor([2.0, 2.0])
    x = torch.zeros(2, 3, 16, 16)

    def costs(factor: float, evenness: float) -> torch.Tensor:
        bits = torch.tensor([0.02, 4.0]) * 256 * factor
        output = {"bits_y": bits, "bits_z": torch.zeros(2), "x_hat": x}
        return rate_distortion(output, x, t, "psnr", evenness)["cost"]

    plain, busy = (costs(1.0, 0.0) - costs(0.99, 0.0)).tolist()
    assert plain == pytest.approx(busy, rel=1e-3)
    plain, busy = (costs(1.0, 0.5) - costs(0.99, 0.5)).tolist()
    assert plain < 0.1 * busy


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_noise():
    x = torch.from_numpy(make_photo(192, 192)).permute(2, 0, 1)[None] / 255
    noisy = [x + s * torch.randn_like(x) for s in (0.0, 0.05, 0.2)]
    values = [ms_ssim(x, y).item() for y in noisy]
    assert values[0] == pytest.approx(1, abs=1e-5) and values[0] > values[1] > values[2]


def test_patterns_are_drawn_at_their_share_and_the_same_again(folder: Path, tmp_path: Path):
    sources, _ = scan_folder(folder, 64)

    def batches(patterns: float) -> np.ndarray:
        with closing(CropSampler(folder, sources, 3, 1 << 20, 1 << 20, patterns)) as sampler:
            return np.concatenate([sampler.batch(step, 4, 64) for step in range(10)])

    photographs, half = batches(0.0), batches(0.5)
    drawn = (photographs != half).any((1, 2, 3))
    assert 10 <= drawn.sum() <= 30
    np.testing.assert_array_equal(half, batches(0.5))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_pattern_fills_its_crop(kind: Callable[[int, np.random.Generator], np.ndarray]):
    for seed in range(20):
        crop = kind(64, np.random.default_rng(seed))
        assert crop.shape == (64, 64, 3) and crop.dtype == np.uint8
        assert (crop != crop[0, 0]).any()
