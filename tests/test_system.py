"""`info --system`: what a report of a fault should hold, true on the machine it runs on."""

import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from vaecodec import processor
from vaecodec.__main__ import main
from vaecodec.network.precision import choose_precision
from vaecodec.network.weight_files import shipped_weights_path
from vaecodec.network.weights import load_weights

X86 = """processor\t: 0
model name\t: Example  Processor 9000
flags\t\t: fpu avx2 avx512f avx512vl avx512_vnni avx512_bf16 amx_tile
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n"


def system(*words: str) -> Result:
    return CliRunner().invoke(main, ["info", "--system", *words])


def cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, machine: str) -> None:
    """Make this a processor of which Linux tells `text`; None where there is no Linux."""
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", "linux")
    for remembered in (processor.processor_name, processor.processor_features):
        monkeypatch.setattr(processor, remembered.__name__, remembered.__wrapped__)
    if text:
        (tmp_path / "cpuinfo").write_text(text)


def test_json_holds_what_is_installed_and_what_will_be_used():
    result = system("--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    for name in ("torch", "onnxruntime", "pillow", "numpy"):
        assert facts["packages"][name] == version(name)
    assert facts["processor"] == processor.processor_name()
    assert facts["python"] == platform.python_version()
    assert 1 <= facts["cores_used"] <= facts["cores"]
    assert facts["device"] == "cpu"
    assert facts["precision"] == choose_precision(torch.device("cpu"))
    assert facts["torch_threads"] == torch.get_num_threads()
    assert len(facts["gpus"]) >= torch.cuda.device_count()


def test_lines_hold_the_same():
    lines = dict(line.split(": ", 1) for line in system("--device", "cpu").stdout.splitlines())
    facts = json.loads(system("--json", "--device", "cpu").stdout)
    assert lines["processor"] == facts["processor"]
    assert lines["features"] == (", ".join(facts["features"]) or "none known")
    assert f"torch {version('torch')}" in lines["packages"]
    assert lines["network"] == f"{facts['backend']} on cpu"
    assert lines["refinement and training"].startswith(facts["precision"])


def test_models_that_are_found_are_listed_and_those_that_are_none(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    monkeypatch.setenv("VAECODEC_MODELS", f"{tiny_model_path.parent}:{broken}")
    models = {model["file"]: model for model in json.loads(system("--json").stdout)["models"]}
    shipped = shipped_weights_path()
    for path in (shipped, tiny_model_path):
        assert models[str(path)]["model"] == load_weights(path).model_id.hex()
    assert "not a vaecodec model" in models[str(broken)]["fault"]
    said = system().stdout.splitlines()
    assert f"model: {load_weights(tiny_model_path).model_id.hex()} tiny, {tiny_model_path}" in said
    assert any(line.startswith(f"model: not usable, {broken}: ") for line in said)


def test_without_torch_the_rest_is_told():
    program = """
import sys
sys.modules["torch"] = None
from vaecodec.__main__ import main
main(["info", "--system", *sys.argv[1:]])
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run([*words, "--json"], capture_output=True, text=True)
    facts = json.loads(done.stdout)
    assert done.returncode == 0 and facts["precision"] is facts["gpus"] is None
    assert facts["processor"] and facts["models"]
    lines = subprocess.run(words, capture_output=True, text=True).stdout
    assert "torch: does not load" in lines


@pytest.mark.parametrize("words", [["info"], ["info", "--system", "x.vae"]])
def test_a_file_or_the_system_is_asked_for(words: list[str]):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and "--system" in result.stderr
    assert result.stderr.count("\n") == 1


def test_info_of_a_file_imports_neither_torch_nor_numpy(tmp_path: Path, tiny_model):
    from vaecodec.codec.encoder import EncodeOptions, encode_picture
    from vaecodec.picture.picture import Picture

    file = tmp_path / "p.vae"
    file.write_bytes(
        encode_picture(Picture(np.zeros((8, 8, 3), np.uint8)), tiny_model, EncodeOptions(0))
    )
    program = """
import sys
from vaecodec.__main__ import main
main(["info", sys.argv[1]], standalone_mode=False)
assert not {"torch", "numpy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_kernel_tells_of_an_x86_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cpuinfo(monkeypatch, tmp_path, X86, "x86_64")
    assert processor.processor_name() == "Example Processor 9000"
    assert processor.processor_features() == ("AVX2", "AVX-512", "VNNI", "BF16", "AMX")
    line = "Example Processor 9000 (AVX2, AVX-512, VNNI, BF16, AMX)"
    assert processor.processor_line() == line


def test_the_kernel_tells_of_an_arm_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cpuinfo(monkeypatch, tmp_path, ARM, "aarch64")
    assert processor.processor_features() == ("BF16", "NEON")


def test_where_no_kernel_tells_numpy_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cpuinfo(monkeypatch, tmp_path, "", "AMD64")
    assert processor.processor_name()
    for found, features in (
        (["SSE42", "AVX2"], ("AVX2",)),  # as numpy 1 and 2 name them
        (["X86_V3", "X86_V4", "AVX512_ICL"], ("AVX2", "AVX-512", "VNNI")),
        (["ASIMDHP"], ("NEON",)),
    ):
        told = {"baseline": ["ASIMD"] if "ASIMDHP" in found else ["SSE"], "found": found}
        monkeypatch.setattr(np, "show_config", lambda mode, t=told: {"SIMD Extensions": t})
        assert processor.processor_features() == features
