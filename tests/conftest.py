"""Made-up pictures and a tiny model, so that no test needs anything from outside the repository."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from vaecodec.inference.loading import loader_of
from vaecodec.network.weight_files import forget_received

# How long an example takes is the machine's affair and no fault.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

TINY_TOP_LEVEL = 1280  # of the tiny model


# Words of `train` for a recipe, and a network with it, that take little time.
QUICK = [
    word
    for change in ("start_batches=1", "batch=4", "crop=64", "late_batch=2", "late_crop=64")
    for word in ("--set", change)
]
QUICK.append("--no-compare")
TINY = ["--preset", "tiny", *QUICK]


def make_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with a photograph's spectrum, edges and a little noise: uint8 `[height, width,
    3]`."""
    rng = np.random.default_rng(seed)
    side = max(height, width, 32)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    amplitude = 1 / np.maximum(frequency, 1 / side) ** 1.6
    luma, red, blue = (
        np.fft.ifft2(amplitude * np.exp(2j * np.pi * rng.random((side, side)))).real
        for _ in range(3)
    )
    luma, red, blue = (a / a.std() for a in (luma, red, blue))
    rows, columns = np.mgrid[:side, :side]
    luma[(rows - side / 2) ** 2 + (columns - side / 3) ** 2 < (side / 5) ** 2] += 1.0
    rgb = np.stack([luma + 0.3 * red, luma - 0.1 * red - 0.1 * blue, luma + 0.3 * blue], axis=2)
    rgb = 120 + 40 * rgb + 1.5 * rng.standard_normal(rgb.shape)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)[:height, :width]


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weight file of an untrained tiny network: the KLT codec of made-up pictures."""
    import torch

    from vaecodec.network.config import PRESETS
    from vaecodec.network.vae import VAE
    from vaecodec.training.export import export_model
    from vaecodec.training.klt_start import start_as_klt

    torch.manual_seed(0)
    photos = [make_photo(128, 128, seed) for seed in range(8)]
    network = VAE(PRESETS["tiny"])
    # Start from a network with something in every part of it, not from the zeros of a fresh one.
    for parameter in network.scale_network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    for block in [*network.a1, *network.a2, *network.s2, *network.s1]:
        block.leave.weight.data *= 10
    start_as_klt(network, [torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2) / 255])
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    export_model(network, photos[:4], {"name": "tiny"}, path)
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_model_path: Path):
    from vaecodec.inference.loading import load_model

    return load_model(tiny_model_path, "cpu")


@pytest.fixture(autouse=True)
def as_a_new_process():
    """A command's process knows no model from another one."""
    yield
    forget_received()
    loader_of.cache_clear()


@pytest.fixture
def photo_path(tmp_path: Path) -> Path:
    """A PNG of 97 x 75 pixels (width, height)."""
    path = tmp_path / "photo.png"
    Image.fromarray(make_photo(75, 97)).save(path)
    return path
