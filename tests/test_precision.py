"""Precision: bfloat16 where the processor has instructions for it, and float32 elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from conftest import TINY, make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.network import precision
from vaecodec.network.config import PRESETS
from vaecodec.network.precision import choose_precision
from vaecodec.network.vae import VAE
from vaecodec.network.weights import load_weights

CPU = torch.device("cpu")
# Runs the command on all arguments and prints the types that its convolutions were computed in.
PROGRAM = """
import sys
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from vaecodec.__main__ import main

class Convolutions(TorchDispatchMode):
    types = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "convolution" in str(function):
            self.types.add(str(args[0].dtype))
        return function(*args, **(kwargs or {}))

with Convolutions():
    try:
        main(sys.argv[1:])
    except SystemExit as end:
        assert not end.code
print(*sorted(Convolutions.types))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        Image.fromarray(make_photo(80, 96, seed=number)).save(folder / f"{number}.png")
    return folder


def train(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["train", *map(str, arguments), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return result


def pretend(monkeypatch: pytest.MonkeyPatch, *features: str, kernels: str = "AVX512") -> None:
    """Make this a processor with these features, of which torch uses `kernels`."""
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(precision, "processor_features", lambda: features)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: kernels)


@pytest.mark.parametrize(
    "command",
    [
        ["encode", "{photo}", "-o", "{out}.vae", "--model", "{model}", "--effort", "2"],
        ["train", "{folder}", "-o", "{out}.safetensors", "--steps", "2", "--device", "cpu", *TINY],
    ],
    ids=["refinement", "training"],
)
def test_a_processor_with_avx2_alone_computes_in_float32(
    command: list[str], folder: Path, photo_path: Path, tiny_model_path: Path, tmp_path: Path
):
    """Any x86 processor is held to AVX2 here; one without more is only what it is."""
    places = {"photo": photo_path, "out": tmp_path / "out", "model": tiny_model_path}
    words = [word.format(folder=folder, **places) for word in command]
    held = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, env=held
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "torch.float32"
    if command[0] == "train":
        assert done.stderr.splitlines()[0].endswith("; float32 on cpu")


@pytest.mark.parametrize("name, kind", [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_precision_asked_for_is_computed_in(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: torch.dtype
):
    for features in ((), ("AVX2", "AVX-512", "BF16")):
        pretend(monkeypatch, *features)
        with precision.autocast(CPU, name):
            output = torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
        assert output.dtype == kind


def test_instructions_for_bfloat16_are_used(monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, "AVX2", "AVX-512", "VNNI", "BF16")
    assert choose_precision(CPU) == "bfloat16"
    pretend(monkeypatch, "BF16", "NEON", kernels="DEFAULT")
    assert choose_precision(CPU) == "bfloat16"
    assert choose_precision(CPU, "float32") == "float32"


@pytest.mark.parametrize("features", [("AVX2",), ("AVX2", "AVX-512", "VNNI"), ("NEON",), ()])
def test_processors_without_them_take_float32(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...]
):
    pretend(monkeypatch, *features)
    assert choose_precision(CPU) == "float32"
    assert choose_precision(CPU, "bfloat16") == "bfloat16"


@pytest.mark.parametrize("cap", ["AVX2", "avx512_core", "AVX512_CORE_VNNI"])
def test_a_cap_on_the_instructions_of_a_library_is_heeded(
    monkeypatch: pytest.MonkeyPatch, cap: str
):
    features = ("AVX2", "AVX-512", "VNNI", "BF16", "AMX")
    pretend(monkeypatch, *features)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
    assert choose_precision(CPU) == "float32"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert choose_precision(CPU) == "bfloat16"
    pretend(monkeypatch, *features, kernels="AVX2")
    assert choose_precision(CPU) == "float32"


def test_gpus_are_asked(monkeypatch: pytest.MonkeyPatch):
    for native, chosen in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native
        )
        assert choose_precision(torch.device("cuda")) == chosen
    assert choose_precision(torch.device("mps")) == "float32"


def one_more_step(run: Path) -> None:
    options = json.loads((run / "options.json").read_text())
    (run / "options.json").write_text(json.dumps({**options, "steps": options["steps"] + 1}))


def test_a_run_goes_on_where_the_processor_is_of_the_other_kind(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
):
    out, run = tmp_path / "m.safetensors", tmp_path / "m.run"
    pretend(monkeypatch, "AVX2", "AVX-512", "BF16")
    said = train(folder, "-o", out, "--steps", 1, *TINY).stderr
    assert said.splitlines()[0].endswith("; bfloat16 on cpu")
    assert load_weights(out).card["precision"] == "bfloat16"
    pretend(monkeypatch, "AVX2", kernels="AVX2")
    one_more_step(run)
    assert train("--resume", run).stderr.splitlines()[0].endswith("; float32 on cpu")
    one_more_step(run)
    train("--resume", run)
    card = load_weights(out).card
    assert (card["steps"], card["precision"]) == (3, "bfloat16, then float32")


def test_a_precision_asked_for_stays_when_a_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
):
    out, run = tmp_path / "m.safetensors", tmp_path / "m.run"
    train(folder, "-o", out, "--steps", 1, "--precision", "float32", *TINY)
    pretend(monkeypatch, "AVX2", "AVX-512", "BF16")
    one_more_step(run)
    assert train("--resume", run).stderr.splitlines()[0].endswith("; float32 on cpu")
    assert load_weights(out).card["precision"] == "float32"


def test_what_all_of_a_picture_passes_through_is_never_rounded_to_bfloat16():
    """Without residual blocks g_a and g_s are the same functions under autocast."""
    torch.manual_seed(0)
    network = VAE(PRESETS["tiny"])
    for block in [*network.a1, *network.a2, *network.s2, *network.s1]:
        torch.nn.init.zeros_(block.leave.weight)
    x, t = torch.rand(1, 3, 64, 64), torch.full((1,), 2.5)
    with torch.no_grad():
        y = network.analyse(x, t)
        x_hat = network.synthesise(y, t)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network.analyse(x, t), y)
            assert torch.equal(network.synthesise(y, t), x_hat)
