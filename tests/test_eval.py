"""`vaecodec eval`: what is measured is what the codecs make, kept, continued, and told."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import bjontegaard
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image, ImageChops, ImageStat
from pytorch_msssim import ms_ssim as independent_ms_ssim

from vaecodec.__main__ import main
from vaecodec.evaluation.published import NAMES, is_of, read_published
from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.evaluation.results import Measured, compare
from vaecodec.metrics.bd_rate import bd_rate_percent
from vaecodec.metrics.distortion import METRICS, psnr_db
from vaecodec.metrics.ms_ssim import ms_ssim
from vaecodec.metrics.ssimulacra2 import ssimulacra2

BAY = Path(__file__).parent / "photos" / "bay.jpg"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["eval", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, one of them in a folder below, and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    Image.fromarray(make_photo(75, 97, seed=1)).save(folder / "a.png")
    Image.fromarray(make_photo(64, 64, seed=2)).save(folder / "more" / "b & <b>.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path, tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = tmp_path_factory.mktemp("reports") / "report"
    words = ("--codecs", "jpeg,webp", "--model", tiny_model_path, "-o", report)
    result = run(folder, *words)
    assert result.exit_code == 0, result.output
    assert "JPEG (Pillow, optimised, 4:2:0)" in result.output
    return report


def words_of(folder: Path, model: Path, report: Path) -> tuple[object, ...]:
    return folder, "--codecs", "jpeg,webp", "--model", model, "-o", report


# --- metrics -----------------------------------------------------------------------------------


def distorted_pair() -> tuple[Image.Image, Image.Image]:
    original = Image.open(BAY).convert("RGB").crop((0, 0, 301, 233))
    buffer = io.BytesIO()
    original.save(buffer, "JPEG", quality=20)
    return original, Image.open(buffer).convert("RGB")


def test_psnr_is_that_of_an_independent_implementation():
    a, b = distorted_pair()
    rms = ImageStat.Stat(ImageChops.difference(a, b)).rms
    expected = 10 * np.log10(255**2 / np.mean(np.square(rms)))
    assert psnr_db(np.asarray(a), np.asarray(b)) == pytest.approx(expected, abs=1e-3)


def test_ms_ssim_is_that_of_an_independent_implementation():
    pair = [np.asarray(image) for image in distorted_pair()]
    tensors = [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() for p in pair]
    expected = independent_ms_ssim(*tensors, data_range=255).item()
    assert ms_ssim(*pair) == pytest.approx(expected, abs=1e-3)


def test_bd_rate_is_that_of_the_bjontegaard_package():
    original, _ = distorted_pair()
    curves = []
    for name, ladder in (("JPEG", (10, 30, 50, 70, 85, 95)), ("WEBP", (5, 20, 50, 75, 90, 96))):
        points = []
        for quality in ladder:
            buffer = io.BytesIO()
            original.save(buffer, name, quality=quality)
            decoded = np.asarray(Image.open(buffer).convert("RGB"))
            points.append((buffer.tell(), psnr_db(np.asarray(original), decoded)))
        curves.append(points)
    rates, qualities = zip(*(zip(*points, strict=True) for points in curves), strict=True)
    expected = bjontegaard.bd_rate(
        rates[0],
        qualities[0],
        rates[1],
        qualities[1],
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    assert expected < -10
    assert bd_rate_percent(*curves) == pytest.approx(expected, rel=0.01)


def measured(bpp: np.ndarray, psnr: np.ndarray) -> Measured:
    zeros = np.zeros_like(bpp)
    megapixels = np.ones(bpp.shape[1])
    qualities, times = np.arange(len(bpp)), {"psnr": zeros}
    return Measured("a", "A", "1", qualities, bpp, {"psnr": psnr}, zeros, zeros, times, megapixels)


def test_comparison_of_curves_and_of_pictures():
    psnr = np.array([[30.0, 31], [33, 34], [36, 37]])
    bpp = np.array([[0.25, 0.5], [0.5, 1.0], [1.0, 2.0]])
    half = compare(measured(bpp, psnr), measured(bpp * [0.5, 0.5], psnr), "psnr")
    assert half.of_means == pytest.approx(-50)
    assert half.interval is None, "two pictures say nothing of others"
    uneven = compare(measured(bpp, psnr), measured(bpp * [0.5, 1.0], psnr), "psnr")
    assert uneven.each == pytest.approx([-50, 0])
    assert uneven.mean_of_each == pytest.approx(-25)
    psnr, bpp = np.tile(psnr, 4), np.tile(bpp, 4)
    eight = compare(measured(bpp, psnr), measured(bpp * np.tile([0.5, 1.0], 4), psnr), "psnr")
    assert eight.each_interval is not None and eight.interval is not None
    assert -50 <= eight.each_interval[0] < -25 < eight.each_interval[1] <= 0
    apart = compare(measured(bpp, psnr), measured(bpp, psnr + 20), "psnr")
    assert apart.of_means is None and apart.each == [None] * 8 and apart.interval is None


# --- the report --------------------------------------------------------------------------------


def test_points_are_what_the_codec_makes(folder: Path, report: Path):
    with (report / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (11 + 12 + 10)
    row = next(
        r
        for r in rows
        if r["picture"] == "a.png" and r["codec"] == "jpeg" and float(r["quality"]) == 50
    )
    buffer = io.BytesIO()
    original = Image.open(folder / "a.png")
    original.save(buffer, "JPEG", quality=50, optimize=True, subsampling="4:2:0")
    decoded = np.asarray(Image.open(buffer))
    assert float(row["bpp"]) == pytest.approx(8 * buffer.tell() / (97 * 75), rel=1e-4)
    assert float(row["psnr"]) == pytest.approx(psnr_db(np.asarray(original), decoded), rel=1e-4)
    assert 0 < float(row["ms-ssim"]) < 1
    score = ssimulacra2(np.asarray(original), decoded)
    assert float(row["ssimulacra2"]) == pytest.approx(score, rel=1e-4)
    assert float(row["encode_seconds_per_megapixel"]) > 0


def test_own_files_are_those_of_encode(
    folder: Path, report: Path, tiny_model_path: Path, tmp_path: Path
):
    words = ["encode", folder / "a.png", "-o", tmp_path / "a.vae", "-q", 40]
    CliRunner().invoke(main, [*map(str, words), "--model", str(tiny_model_path)])
    size = (tmp_path / "a.vae").stat().st_size
    with (report / "points.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["codec"] == "vaecodec"]
    row = next(r for r in rows if r["picture"] == "a.png" and float(r["quality"]) == 40)
    assert float(row["bpp"]) == pytest.approx(8 * size / (97 * 75), rel=1e-4)


def test_json_tells_what_was_compared(report: Path):
    told = json.loads((report / "report.json").read_text())
    assert told["complete"] is True
    assert [picture["name"] for picture in told["pictures"]] == ["a.png", "more/b & <b>.png"]
    assert list(told["codecs"]) == ["vaecodec", "jpeg", "webp"]
    assert re.fullmatch(r"libwebp \d.*", told["codecs"]["webp"]["version"])
    assert len(told["bd_rate_percent"]) == 2 * 3


def test_page_needs_nothing_else(report: Path):
    page = (report / "report.html").read_text()
    links = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert links and all(link.startswith("data:image/") for link in links)
    assert "url(" not in page and "<script" not in page
    assert "more/b &amp; &lt;b&gt;.png" in page and "<b>.png" not in page
    assert "prefers-color-scheme: dark" in page and "width=device-width" in page


def test_what_is_measured_is_not_measured_again(folder: Path, report: Path, tiny_model_path: Path):
    before = {path: path.stat().st_mtime_ns for path in (report / "points").iterdir()}
    result = run(*words_of(folder, tiny_model_path, report))
    assert "6 of 6 ladders are measured already" in result.output
    assert {path: path.stat().st_mtime_ns for path in (report / "points").iterdir()} == before


def test_lost_points_and_damaged_records_are_measured_again(
    folder: Path, report: Path, tiny_model_path: Path
):
    damaged, shortened, *kept = sorted((report / "points").iterdir())
    times = {path: path.stat().st_mtime_ns for path in kept}
    damaged.write_text(damaged.read_text()[:-40])
    record = json.loads(shortened.read_text())
    lost = record["points"].pop(3)
    shortened.write_text(json.dumps(record))
    result = run(*words_of(folder, tiny_model_path, report))
    assert result.exit_code == 0
    assert f"{damaged}: damaged, or not a record of these points; measured again" in result.output
    assert "4 of 6 ladders are measured already" in result.output
    again = json.loads(shortened.read_text())["points"]
    assert again[3]["bytes"] == lost["bytes"] and again[2] == record["points"][2]
    assert len(json.loads(damaged.read_text())["points"]) >= 10
    assert {path: path.stat().st_mtime_ns for path in kept} == times


def test_another_metric_is_measured_beside_those_that_are_kept(
    folder: Path, report: Path, tiny_model_path: Path
):
    if METRICS["butteraugli"].missing():
        pytest.skip("butteraugli_main is not installed")
    record = sorted((report / "points").glob("jpeg-*"))[0]
    before = json.loads(record.read_text())["points"]
    words = (*words_of(folder, tiny_model_path, report), "--metrics", "butteraugli")
    assert run(*words).exit_code == 0
    for old, new in zip(before, json.loads(record.read_text())["points"], strict=True):
        assert old.items() <= new.items()
        assert 0 < new["butteraugli"] < 20 and new["butteraugli_seconds"] > 0
    assert before[0]["psnr"] < before[-1]["psnr"]
    scores = [point["butteraugli"] for point in json.loads(record.read_text())["points"]]
    assert scores[0] > scores[-1], "less is better"
    assert "6 of 6" in run(*words_of(folder, tiny_model_path, report)).output


def test_pages_of_each_picture_are_linked(folder: Path, report: Path, tiny_model_path: Path):
    words = (*words_of(folder, tiny_model_path, report), "--pages", "webp")
    assert run(*words).exit_code == 0
    page = (report / "report.html").read_text()
    links = [unquote(link) for link in re.findall(r'<a href="(pages/[^"]+)">', page)]
    assert len(links) == 2
    for link in links:
        assert "<!doctype html>" in (report / link).read_text()
    times = {link: (report / link).stat().st_mtime_ns for link in links}
    assert run(*words).exit_code == 0
    assert {link: (report / link).stat().st_mtime_ns for link in links} == times
    assert run(folder, "--pages", "gif").exit_code == 2


def test_interrupted_and_continued(folder: Path, tiny_model_path: Path, tmp_path: Path):
    report = tmp_path / "report"
    words = [sys.executable, "-m", "vaecodec", "eval", *words_of(folder, tiny_model_path, report)]
    process = subprocess.Popen(
        [*map(str, words), "--jobs", "1"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not any((report / "points").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("stopped; what was measured is kept")
    assert "Traceback" not in said
    assert not list(report.rglob(".*")) and not (report / "report.html").exists()
    result = run(*words_of(folder, tiny_model_path, report))
    assert result.exit_code == 0, result.output
    assert (report / "report.html").exists()


# --- faults ------------------------------------------------------------------------------------


def test_pictures_that_cannot_be_used_are_named_and_left_out(
    folder: Path, tiny_model_path: Path, tmp_path: Path
):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    whole = (folder / "a.png").read_bytes()
    (pictures / "whole.png").write_bytes(whole)
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "text.png").write_text("not a picture")
    Image.new("RGB", (40, 10)).save(pictures / "small.png")
    report = tmp_path / "report"
    result = run(pictures, "--codecs", "jpeg", "--model", tiny_model_path, "-o", report)
    assert result.exit_code == 1
    for name in ("cut.png", "text.png", "small.png"):
        assert len(re.findall(rf"^vaecodec: .*{name}: ", result.output, re.MULTILINE)) in (1, 2)
    told = json.loads((report / "report.json").read_text())
    assert [picture["name"] for picture in told["pictures"]] == ["whole.png"]
    assert told["bd_rate_percent"][0]["interval"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--codecs", "jpeg,gif"], "--codecs gif: unknown; there are jpeg, jpegli, webp"),
        (["--metrics", "ssim"], "--metrics ssim: unknown; there are ssimulacra2, ms-ssim, psnr"),
        (["--metrics", ","], "--metrics: name at least one of ssimulacra2, ms-ssim, psnr"),
        (["--published", "kodak"], "is not the 24 pictures that --published kodak is of"),
        (["--model", "none.safetensors"], "none.safetensors"),
    ],
)
def test_usage_faults(folder: Path, tmp_path: Path, words: list[str], message: str):
    result = run(folder, "-o", tmp_path / "report", *words)
    assert result.exit_code in (1, 2) and result.output.count("\n") == 1
    assert message in result.output
    assert not (tmp_path / "report").exists()


def test_missing_codec_is_named_with_how_to_get_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    absent = replace(REFERENCE_CODECS["cjxl"], encode_words=("no-such-command", "IN", "OUT"))
    monkeypatch.setitem(REFERENCE_CODECS, "cjxl", absent)
    result = run(folder, "--codecs", "cjxl", "-o", tmp_path / "report")
    assert result.exit_code == 2
    assert "--codecs cjxl: not installed; install libjxl's tools" in result.output


def test_a_folder_of_something_else_is_left_alone(folder: Path, tmp_path: Path):
    (tmp_path / "letter.txt").write_text("mine")
    result = run(folder, "--codecs", "jpeg", "-o", tmp_path)
    assert result.exit_code == 2 and "not the folder of a report" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    (tmp_path / "report.json").write_text('{"format": ')
    assert "not the folder of a report" in run(folder, "-o", tmp_path).output


def test_published_points_name_their_source():
    for name in NAMES:
        published = read_published(name)
        assert "not measured by this project" in published.source
        assert len(published.curves) >= 8
        for points in published.curves.values():
            assert len(points) >= 6 and (np.diff(points, axis=0) > 0).all()
    assert is_of("kodak", [(768, 512)] * 18 + [(512, 768)] * 6)
    assert not is_of("kodak", [(768, 512)] * 23)
