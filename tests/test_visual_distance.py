"""The loss that follows the eye holds the terms of the metric, and its gradient mends damage."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_photo
from PIL import Image

from vaecodec.metrics import ssimulacra2 as metric
from vaecodec.network.distortion import distortion
from vaecodec.network.visual_distance import weighted_sum

FOLDER = Path(__file__).parent / "ssimulacra2"


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss does not round as the reference tool does."""
    monkeypatch.setattr(metric, "RECURSIVE_FROM", metric.SCALES)


def planes(*pictures: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in pictures]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("?_*.png")), ids=lambda path: path.stem)
def test_the_sum_is_that_of_the_metric(path: Path):
    original = np.asarray(Image.open(FOLDER / f"{path.stem[0]}.png").convert("RGB"))
    distorted = np.asarray(Image.open(path).convert("RGB"))
    expected = metric.weighted_sum(original, distorted)
    assert weighted_sum(*planes(original, distorted)).item() == pytest.approx(expected, rel=1e-3)


def test_odd_sides_too():
    original = make_photo(75, 97)
    noise = np.random.default_rng(0).normal(0, 8, original.shape)
    distorted = np.clip(original + noise, 0, 255).astype(np.uint8)
    expected = metric.weighted_sum(original, distorted)
    assert weighted_sum(*planes(original, distorted)).item() == pytest.approx(expected, rel=2e-3)


def test_equal_pictures_have_no_distance_and_a_finite_gradient():
    (x,) = planes(make_photo(64, 64))
    x_hat = x.clone().requires_grad_()
    distance = distortion(x_hat, x, "visual")
    assert distance.item() == pytest.approx(0, abs=0.01)
    distance.sum().backward()
    assert torch.isfinite(x_hat.grad).all()


def test_descent_lowers_what_is_seen():
    original = make_photo(96, 96)
    noise = np.random.default_rng(0).normal(0, 12, original.shape)
    distorted = np.clip(original + noise, 0, 255).astype(np.uint8)
    x, start = planes(original, distorted)
    x_hat = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([x_hat], lr=0.01)
    for _ in range(20):
        optimiser.zero_grad()
        distortion(x_hat, x, "visual").sum().backward()
        optimiser.step()
    better = (x_hat.detach()[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
    assert metric.ssimulacra2(original, better) > metric.ssimulacra2(original, distorted) + 10
