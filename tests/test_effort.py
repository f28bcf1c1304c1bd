"""Effort: any decoder reads it, more of it costs less in bits and squared error, time is kept."""

import dataclasses
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.effort import EFFORT_MAX, ITERATIONS
from vaecodec.codec.encoder import REFINING, EncodeOptions, encode_picture
from vaecodec.codec.quality import QualityScale
from vaecodec.codec.targets import encode_to_target
from vaecodec.entropy.rdoq import rdoq, rounding_margins
from vaecodec.entropy.scales import LEVEL_UNIT
from vaecodec.entropy.tables import cost_bits, logistic_frequencies, table_from_frequencies
from vaecodec.errors import UsageError
from vaecodec.format.container import LEVEL_MAX
from vaecodec.inference.loading import load_model
from vaecodec.metrics.distortion import psnr_db
from vaecodec.metrics.ssimulacra2 import ssimulacra2
from vaecodec.picture.picture import Picture

LEVEL = 512
TABLES = [table_from_frequencies(*logistic_frequencies(s, 40)) for s in (0.1, 0.5, 1.0, 4.0)]
MARGINS = rounding_margins(TABLES)
PLAIN = QualityScale.of({"anchors": 6}, {})


def cost_of(pixels: np.ndarray, data: bytes, model) -> float:
    """What training minimises: bits plus lambda times squared error, over all pixels."""
    from vaecodec.network.rate_distortion import LAMBDA_RANGE

    low, high = LAMBDA_RANGE
    weight = low * (high / low) ** (LEVEL / LEVEL_UNIT / 5)
    error = decode_picture(data, model).pixels.astype(np.float64) - pixels
    return 8 * len(data) + weight * (error**2).mean() * pixels.shape[0] * pixels.shape[1]


def encode(pixels: np.ndarray, model, effort: int, **options) -> bytes:
    return encode_picture(Picture(pixels), model, EncodeOptions(LEVEL, effort=effort, **options))


@pytest.mark.parametrize("shape", [(96, 128), (75, 97, 3)])
def test_more_effort_costs_less(shape: tuple[int, ...], tiny_model):
    pixels = make_photo(*shape[:2], seed=3)
    pixels = pixels if len(shape) == 3 else pixels[:, :, 0]
    costs = [cost_of(pixels, encode(pixels, tiny_model, e), tiny_model) for e in (0, 3, 6)]
    assert costs[2] < costs[1] < costs[0]


def test_refinement_is_repeatable_and_reports_its_progress(tiny_model):
    pixels, parts = make_photo(40, 56), []
    data = encode(pixels, tiny_model, 2, progress=parts.append)
    assert data == encode(pixels, tiny_model, 2)
    steps = [REFINING * (k + 1) / ITERATIONS[2] for k in range(ITERATIONS[2])]
    assert parts == pytest.approx([*steps, 1.0])


def test_several_slices_are_refined_across_their_seams(tiny_model):
    pixels = make_photo(48, 1100, seed=5)
    plain, refined = (encode(pixels, tiny_model, effort) for effort in (0, 4))
    assert cost_of(pixels, refined, tiny_model) < cost_of(pixels, plain, tiny_model)


class SecondsByLooks:
    """Stands for the module `time`: a second passes whenever it is looked at."""

    def __init__(self) -> None:
        self.monotonic = itertools.count().__next__


def test_a_timeout_ends_refinement_in_good_order(tiny_model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vaecodec.inference.refine.time", SecondsByLooks())
    pixels, parts = make_photo(96, 128, seed=3), []
    data = encode(pixels, tiny_model, 9, timeout=60, progress=parts.append)
    *refined, end = parts
    assert 0 < len(refined) < 60 < ITERATIONS[9] and end == 1
    plain = encode(pixels, tiny_model, 0)
    assert cost_of(pixels, data, tiny_model) < cost_of(pixels, plain, tiny_model)


def test_a_timeout_that_is_over_before_refinement_begins_leaves_a_file_without(tiny_model):
    pixels, parts = make_photo(40, 56), []
    data = encode(pixels, tiny_model, 2, timeout=1e-9, progress=parts.append)
    assert parts == [1]
    assert decode_picture(data, tiny_model).pixels.shape == pixels.shape


def test_a_target_size_holds_after_refinement(tiny_model):
    pixels = make_photo(128, 160, seed=3)
    target = len(encode(pixels, tiny_model, 0))
    options = EncodeOptions(LEVEL, effort=4)
    trial, _ = encode_to_target(Picture(pixels), tiny_model, options, "size", target)
    assert 0.98 * target <= len(trial.data) <= target
    plain, _ = encode_to_target(
        Picture(pixels), tiny_model, EncodeOptions(LEVEL, effort=0), "size", target
    )
    errors = [
        (decode_picture(data, tiny_model).pixels.astype(float) - pixels).std()
        for data in (trial.data, plain.data)
    ]
    assert errors[0] < errors[1]


@given(st.floats(-30, 30), st.integers(0, len(TABLES) - 1))
def test_rounding_by_cost_takes_the_cheaper_of_two_neighbours(d: float, table: int):
    from vaecodec.entropy.rdoq import STEP_COST

    (k,) = rdoq(np.array([d]), MARGINS, np.array([table]))
    nearest = np.sign(d) * np.rint(abs(d))
    lower = nearest - np.sign(nearest)
    assert k in (nearest, lower)
    bits = cost_bits(TABLES[table])

    def cost(value: float) -> float:  # of the positive side: in counts, the other differs by one
        return bits[int(abs(value)) + 40] + STEP_COST * (d - value) ** 2

    assert cost(k) <= min(cost(nearest), cost(lower)) + 1e-3


def test_rounding_by_cost_survives_what_is_no_number():
    symbols = rdoq(np.array([np.nan, np.inf, -np.inf]), MARGINS, np.zeros(3, int))
    assert symbols.shape == (3,)


@pytest.mark.parametrize(
    "tune, measure, near", [("psnr", psnr_db, 0.25), ("visual", ssimulacra2, 2.5)]
)
def test_a_quality_is_the_same_at_every_effort_and_the_files_are_smaller(
    tmp_path: Path, tune: str, measure: Callable[[np.ndarray, np.ndarray], float], near: float
):
    """With the models that ship, which the efforts are tuned for."""
    photo = Image.open(Path(__file__).parent / "photos" / "bay.jpg").crop((200, 100, 392, 292))
    photo.save(tmp_path / "bay.png")
    sizes, figures = [], []
    for effort in (0, 1, 3):
        out = tmp_path / f"{effort}.vae"
        choices = ["--tune", tune, "--effort", str(effort)]
        result = CliRunner().invoke(
            main, ["encode", str(tmp_path / "bay.png"), "-o", str(out), *choices]
        )
        assert result.exit_code == 0, result.output
        decoded = decode_picture(out.read_bytes(), load_model(tune, "cpu")).pixels
        sizes.append(out.stat().st_size)
        figures.append(measure(np.asarray(photo), decoded))
    assert sizes[2] < 0.99 * sizes[1] < 0.98 * sizes[0]
    assert max(figures) - min(figures) < near


@given(st.integers(0, EFFORT_MAX), st.integers(0, 199))
def test_every_quality_has_its_level_at_every_effort(effort: int, twice: int):
    low, high = (PLAIN.level(quality, effort) for quality in (twice / 2, (twice + 1) / 2))
    assert 0 <= low < high <= LEVEL_MAX
    assert low <= PLAIN.level(twice / 2)


def test_efforts_out_of_range_are_refused(tiny_model, photo_path):
    with pytest.raises(UsageError, match=f"effort 10 is not in 0..{EFFORT_MAX}"):
        encode(make_photo(16, 16), tiny_model, 10)
    with pytest.raises(UsageError, match="effort -1 is not in"):
        PLAIN.level(60, -1)
    assert CliRunner().invoke(main, ["encode", str(photo_path), "--effort", "10"]).exit_code == 2


def test_the_command_takes_effort_and_timeout(photo_path, tiny_model_path):
    arguments = ["encode", str(photo_path), "--model", str(tiny_model_path), "--effort", "3"]
    result = CliRunner().invoke(main, [*arguments, "--timeout", "20"])
    assert result.exit_code == 0, result.output
    assert photo_path.with_suffix(".vae").exists()


def test_without_torch_the_effort_that_needs_none_is_named(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "vaecodec.inference.refine", raising=False)
    with pytest.raises(UsageError, match="needs the package torch.*effort 1"):
        encode(make_photo(16, 16), dataclasses.replace(tiny_model), 2)
    encode(make_photo(16, 16), tiny_model, 1)
