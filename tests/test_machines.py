"""The promise: a file made under any arithmetic decodes under every other.

Each configuration runs in a process of its own, since libraries choose their kernels once. All
encode the same picture; each then decodes the files of all. Libraries do not check the kernels that
they are told to use, so a configuration whose kernels torch itself would not use here is skipped:
it would end in an illegal instruction. Kernels for less than the processor can do run everywhere.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_photo

from vaecodec.cores import available_cores
from vaecodec.processor import processor_features

TORCH = {"TEST_BACKEND": "torch"}
CONFIGURATIONS = {
    "default": {},
    "no limbs": {"TEST_IN_LIMBS": ""},
    "limbs": {"TEST_IN_LIMBS": "1"},
    "rough means": {"TEST_MEAN_NOISE": "1e-4"},
    "bfloat16 means": {"TEST_MEAN_NOISE": "4e-3"},  # that format keeps 8 bits
    "plain BLAS": {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"},
    "one thread": {**TORCH, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "two threads": {**TORCH, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "plain kernels": {**TORCH, "ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Prescott"},
    "avx2 kernels": {**TORCH, "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"},
    "avx512 kernels": {**TORCH, "ATEN_CPU_CAPABILITY": "avx512", "OPENBLAS_CORETYPE": "SkylakeX"},
    "oneDNN SSE4.1": {**TORCH, "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "oneDNN AVX2": {**TORCH, "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "no oneDNN": {**TORCH, "TEST_NO_MKLDNN": "1"},
}

WORKER = """
import hashlib, io, json, os, sys
from pathlib import Path
import numpy as np
from vaecodec.codec import slice_coder
from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.inference.loading import load_model
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

backend = os.environ.get("TEST_BACKEND", "onnx")
if "TEST_IN_LIMBS" in os.environ:
    from vaecodec.inference.onnx_backend import OnnxTransforms
if backend == "torch":
    import torch

    torch.backends.mkldnn.enabled = "TEST_NO_MKLDNN" not in os.environ
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
task, folder, name = sys.argv[1:4]
folder = Path(folder)
model = load_model(device="cpu", backend=backend)
if "TEST_IN_LIMBS" in os.environ:
    transforms = OnnxTransforms(model.weights, bool(os.environ["TEST_IN_LIMBS"]))
    model = Model(model.weights, transforms)
noise = float(os.environ.get("TEST_MEAN_NOISE", 0))
if noise:
    blank = np.zeros((1, 1, model.weights.config["cz"]))
    predictor = type(model.transforms.mean_predictor(blank, 0, (1, 1)))
    rng = np.random.default_rng(1)
    exact_mean = predictor.predict

    def rough_mean(self, step):
        mean, finer = exact_mean(self, step)
        return (mean * (1 + noise * rng.standard_normal(mean.shape))).astype(np.float32), finer

    predictor.predict = rough_mean
if task == "encode":
    pixels = np.load(folder / "photo.npy")
    for level in (0, 1000):
        (folder / f"{name}.{level}.vae").write_bytes(encode_picture(Picture(pixels), model,
        EncodeOptions(level)))
else:
    symbols = []
    walk = slice_coder._walk_steps

    def recording(*arguments):
        result = walk(*arguments)
        symbols.append(result[0].checksum)
        return result

    slice_coder._walk_steps = recording
    for path in sorted(folder.glob("*.vae")):
        decoded = decode_picture(path.read_bytes(), model).pixels
        np.save(folder / f"{path.stem}.by.{name}.npy", decoded)
    print(json.dumps(symbols))
"""


# Kernels of the processor that a configuration asks for, in torch's names; each has those before.
KERNELS = ["DEFAULT", "AVX2", "AVX512"]


def kernels_of(name: str) -> str:
    return CONFIGURATIONS[name].get("ATEN_CPU_CAPABILITY", "default").upper()


def can_run(name: str) -> bool:
    """Whether torch finds the kernels fit for this processor; on others than x86 it finds none.

    Limbs need sums of products of bytes that do not saturate; where they are the default, only
    being without is another configuration.
    """
    here = processor_features()
    if name in ("limbs", "no limbs"):
        return "VNNI" in here and ("AMX" in here) == (name == "no limbs")
    here = torch.backends.cpu.get_cpu_capability()
    return kernels_of(name) in KERNELS[: KERNELS.index(here) + 1 if here in KERNELS else 1]


def run(task: str, folder: Path, name: str) -> list[int]:
    environment = {**os.environ, **CONFIGURATIONS[name]}
    arguments = [sys.executable, folder / "worker.py", task, folder, name.replace(" ", "_")]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{name}: {done.stderr}"
    return json.loads(done.stdout) if task == "decode" else []


def run_all(task: str, folder: Path) -> dict[str, list[int]]:
    """Those that this processor can run, as many at a time as it has cores."""
    (folder / "worker.py").write_text(WORKER)
    names = list(filter(can_run, CONFIGURATIONS))
    with ThreadPoolExecutor(available_cores()) as pool:
        return dict(zip(names, pool.map(partial(run, task, folder), names), strict=True))


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of every configuration that this processor can run."""
    folder = tmp_path_factory.mktemp("machines")
    np.save(folder / "photo.npy", make_photo(64, 80, seed=4))
    run_all("encode", folder)
    return folder


@pytest.fixture(scope="module")
def symbols(encoded: Path) -> dict[str, list[int]]:
    """Checksums of the symbols of all files, by the configuration that decoded them."""
    return run_all("decode", encoded)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_decodes_the_files_of_every_other(name: str, symbols: dict):
    if not can_run(name):
        pytest.skip(f"no kernels for {name} on this processor")
    assert len(symbols[name]) == 2 * len(symbols)
    assert symbols[name] == symbols["default"]


def test_all_configurations_decode_the_same_picture(encoded: Path, symbols: dict):
    files = sorted(encoded.glob("*.vae"))
    assert len(files) == 2 * len(symbols)
    for file in files:
        pictures = {
            path.name.split(".by.")[1]: np.load(path).astype(int)
            for path in encoded.glob(f"{file.stem}.by.*.npy")
        }
        assert len(pictures) == len(symbols)
        coarse = pictures.pop("bfloat16_means.npy")
        decoded = list(pictures.values())
        spread = np.max(decoded, axis=0) - np.min(decoded, axis=0)
        assert spread.max() <= 1
        assert np.abs(coarse - decoded[0]).max() <= 8  # a visible drift, but never another picture
