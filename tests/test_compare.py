"""`vaecodec compare`: both files equally large, pictures on the page as decoded, and its limits."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.evaluation.comparison import central_region, show_all, show_reference
from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.inference.model import Model
from vaecodec.metrics.distortion import psnr_db
from vaecodec.metrics.ssimulacra2 import error_map, ssimulacra2


@pytest.fixture
def run(tiny_model_path: Path):
    def command(*words: object) -> Result:
        arguments = ["compare", *words, "--model", tiny_model_path]
        return CliRunner().invoke(main, [str(word) for word in arguments])

    return command


def pictures_of(page: Path) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', page.read_text("utf-8"))
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "jpeg2000"])
def test_other_codecs_come_to_the_size(name: str):
    if not REFERENCE_CODECS[name].available():
        pytest.skip(f"{name} is not in this Pillow")
    pixels = make_photo(128, 192)
    shown = show_reference(pixels, REFERENCE_CODECS[name], 4000)
    assert shown.size_bytes == pytest.approx(4000, rel=0.06)
    again = REFERENCE_CODECS[name].encode(Image.fromarray(pixels), shown.quality)
    assert len(again) == shown.size_bytes
    assert psnr_db(pixels, shown.pixels) == shown.figures["psnr"] > 20
    assert ssimulacra2(pixels, shown.pixels) == shown.figures["ssimulacra2"]


def test_progress_is_the_share_of_the_pictures_that_are_made(tiny_model: Model):
    shares: list[float] = []
    codecs = [REFERENCE_CODECS[name] for name in ("jpeg", "jpeg2000")]
    shown = show_all(make_photo(64, 64), tiny_model, codecs, 640, progress=shares.append)
    assert len(shown) == 3 and shares == [1 / 3, 2 / 3]


def test_page_holds_the_pictures_without_loss(run, photo_path: Path, tmp_path: Path):
    result = run(photo_path, "--against", "jpeg", "-q", 50, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    page = tmp_path / "photo.compare.html"
    assert facts["output"] == str(page)
    original, own, own_errors, peer, peer_errors = pictures_of(page)
    assert (original == np.asarray(Image.open(photo_path))).all()
    for key, pixels in (("vaecodec", own), ("jpeg", peer)):
        assert psnr_db(original, pixels) == pytest.approx(facts[key]["psnr"])
        assert ssimulacra2(original, pixels) == pytest.approx(facts[key]["ssimulacra2"])
        assert f">{facts[key]['ssimulacra2']:.1f}<" in page.read_text("utf-8")
        assert f"<td>{facts[key]['bytes']:,}</td>" in page.read_text("utf-8")
    for pixels, errors in ((own, own_errors), (peer, peer_errors)):
        assert errors.shape == original.shape
        brightness = errors.astype(int).sum(2).ravel()
        order = np.corrcoef(brightness, np.minimum(error_map(original, pixels), 12).ravel())
        assert order[0, 1] > 0.95, "brighter where more is seen"
    assert f"<td>{photo_path.stat().st_size:,}</td>" in page.read_text("utf-8")
    decoded = REFERENCE_CODECS["jpeg"].encode(Image.fromarray(original), facts["jpeg"]["quality"])
    assert (np.asarray(Image.open(io.BytesIO(decoded))) == peer).all()


def test_several_codecs_on_one_page(run, photo_path: Path):
    result = run(photo_path, "--against", "jpeg,webp,jpegli", "--json")
    assert result.exit_code == 0, result.output
    facts, page = json.loads(result.stdout), photo_path.with_suffix(".compare.html")
    assert len(pictures_of(page)) == 1 + 2 * 4
    text = page.read_text("utf-8")
    for key in ("vaecodec", "jpeg", "webp", "jpegli"):
        assert f"<td>{facts[key]['bytes']:,}</td>" in text
    assert 'data-name="JPEG (jpeg)"' in text and 'data-name="JPEG (jpegli)"' in text


def test_size_can_be_named(run, photo_path: Path):
    result = run(photo_path, "--against", "webp", "--target-size", "1.2kB", "--json")
    facts = json.loads(result.stdout)
    assert 1150 <= facts["vaecodec"]["bytes"] <= 1200
    assert facts["webp"]["bytes"] == pytest.approx(1200, rel=0.1)


def test_crop_of_grey_into_a_folder(run, tmp_path: Path):
    photo = make_photo(80, 120)[:, :, 1]
    path = tmp_path / "grey.png"
    Image.fromarray(photo).save(path)
    (tmp_path / "pages").mkdir()
    out = tmp_path / "pages" / "grey.compare.html"
    result = run(path, "--against", "jpeg", "--crop", "10,20,64,48", "-o", out.parent)
    assert result.exit_code == 0, result.output
    original = pictures_of(out)[0]
    assert (original == photo[20:68, 10:74, None]).all() and original.shape == (48, 64, 3)
    assert "64 \u00d7 48 (10,20,64,48) of 120 \u00d7 80 pixels" in out.read_text("utf-8")


def test_of_a_large_photo_the_middle_is_compared(run, photo_path: Path, monkeypatch):
    monkeypatch.setattr(
        "vaecodec.evaluation.comparison_page.central_region",
        lambda w, h: central_region(w, h, 1000),
    )
    result = run(photo_path, "--against", "jpeg")
    assert result.exit_code == 0
    assert "compared in its middle" in result.stderr
    assert pictures_of(photo_path.with_suffix(".compare.html"))[0].shape == (27, 34, 3)


@pytest.mark.parametrize("size", [(97, 75), (5000, 4000), (10**5, 3), (10**8, 1), (1, 10**8)])
def test_middle_is_inside_and_bounded(size: tuple[int, int]):
    region = central_region(*size)
    assert region.fits(*size) and region.width * region.height <= 2 * 2**20
    assert min(region.width, region.height) >= min(*size, 1000)


def test_what_cannot_be_meant_the_same_size_is_not_called_so(run, tmp_path: Path):
    flat = tmp_path / "flat.png"
    Image.new("RGB", (16, 16), (9, 9, 9)).save(flat)
    page = tmp_path / "flat.compare.html"
    result = run(flat, "--against", "jpeg", "-q", 0)
    assert result.exit_code == 0, result.output
    assert "at the nearest possible file size" in " ".join(page.read_text("utf-8").split())


@pytest.mark.parametrize(
    "words, fault",
    [
        (["--against", "jpeg,gif"], "--against gif: unknown; there are jpeg, jpegli, webp"),
        (["--against", ","], "name at least one of jpeg"),
        (["--crop", "90,0,20,20"], "is not inside 97x75"),
        (["--target-size", "2"], "cannot be met"),
    ],
)
def test_wrong_usage_writes_nothing(run, photo_path: Path, words: list[str], fault: str):
    result = run(photo_path, *words)
    assert result.exit_code in (1, 2) and fault in result.stderr
    assert list(photo_path.parent.iterdir()) == [photo_path]


def test_page_is_not_overwritten(run, photo_path: Path):
    page = photo_path.with_suffix(".compare.html")
    page.write_text("mine")
    result = run(photo_path)
    assert result.exit_code == 2 and "use -f" in result.stderr and page.read_text() == "mine"
