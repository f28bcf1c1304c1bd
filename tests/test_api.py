"""The Python interface and the Pillow plug-in."""

import ast
import inspect
import io
import math
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

import vaecodec
import vaecodec.pillow_plugin
from vaecodec import api, errors
from vaecodec.errors import PictureError, UsageError
from vaecodec.metrics.distortion import psnr_db
from vaecodec.metrics.ms_ssim import ms_ssim
from vaecodec.metrics.ssimulacra2 import ssimulacra2

PHOTO = make_photo(60, 80, seed=1)


@pytest.fixture(autouse=True)
def tiny_default(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> vaecodec.Codec:
    codec = vaecodec.Codec(tiny_model_path, "cpu")
    monkeypatch.setattr(api, "_default", codec)
    return codec


@pytest.mark.parametrize(
    "shape, mode",
    [((60, 80), "L"), ((60, 80, 1), "L"), ((60, 80, 3), "RGB"), ((60, 80, 4), "RGBA")],
)
def test_arrays(shape: tuple[int, ...], mode: str):
    array = np.dstack([PHOTO, np.tile(np.arange(80, dtype=np.uint8), (60, 1))])
    array = array[:, :, 0].reshape(shape) if mode == "L" else array[:, :, : shape[2]]
    decoded = vaecodec.decode(vaecodec.encode(array, quality=90))
    assert decoded.mode == mode and decoded.size == (80, 60)
    assert psnr_db(np.asarray(decoded).reshape(shape), array) > 28


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), int), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_pictures(array: np.ndarray):
    with pytest.raises(PictureError, match=re.escape(str(array.shape))):
        vaecodec.encode(array)


def test_float_arrays_are_what_they_are_in_8_bits():
    floats = PHOTO / 255
    assert vaecodec.encode(floats) == vaecodec.encode(PHOTO)
    assert vaecodec.encode(floats.astype(np.float32)) == vaecodec.encode(PHOTO)
    for wrong, reason in ((PHOTO.astype(float), "0..1"), (floats * np.nan, "not numbers")):
        with pytest.raises(PictureError, match=reason):
            vaecodec.encode(wrong)


def test_images_keep_their_metadata():
    image = Image.fromarray(PHOTO)
    exif = Image.Exif()
    exif[271] = "Camera Works"
    image.info.update(exif=exif.tobytes(), icc_profile=b"profile", xmp=b"<x/>")
    decoded = vaecodec.decode(vaecodec.encode(image))
    assert decoded.getexif()[271] == "Camera Works"
    assert decoded.info["icc_profile"] == b"profile" and decoded.info["xmp"] == b"<x/>"


def test_targets_regions_scales_and_passphrases():
    data = vaecodec.encode(PHOTO, target_size=900, passphrase="secret")
    assert 870 <= len(data) <= 900
    reached = np.asarray(vaecodec.decode(vaecodec.encode(PHOTO, target_ssimulacra2=50)))
    assert 50 <= ssimulacra2(PHOTO, reached) <= 50.5
    part = vaecodec.decode(data, region=(8, 16, 24, 32), passphrase="secret")
    whole = vaecodec.decode(data, passphrase="secret")
    np.testing.assert_array_equal(np.asarray(part), np.asarray(whole)[16:48, 8:32])
    assert vaecodec.decode(data, scale=4, passphrase="secret").size == (20, 15)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"quality": 101}, "0..100"),
        ({"quality": math.nan}, "0..100"),
        ({"effort": 10}, "0..9"),
        ({"effort": 2.5}, "0..9"),
        ({"timeout": math.nan}, "timeout"),
        ({"target_size": 0}, "target size 0"),
        ({"target_size": -5}, "target size -5"),
        ({"target_psnr": math.nan}, "target psnr nan"),
        ({"target_bpp": math.inf}, "target bpp inf"),
        ({"target_ms_ssim": 1.5}, "target ms-ssim 1.5"),
        ({"target_size": 900, "target_bpp": 1}, "one target"),
        ({"target_size": 900, "quality": 60}, "quality or a target"),
        ({"strip": "colour"}, "exif, icc, xmp"),
        ({"passphrase": ""}, "empty"),
    ],
)
def test_values_that_make_no_sense(parameters: dict[str, Any], reason: str):
    with pytest.raises(UsageError, match=re.escape(reason)) as caught:
        vaecodec.encode(PHOTO, **parameters)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("parameters", [{"target_size": 10}, {"target_psnr": 99}])
def test_targets_that_cannot_be_met(parameters: dict[str, float]):
    with pytest.raises(vaecodec.TargetError, match="possible is") as caught:
        vaecodec.encode(PHOTO, **parameters)
    assert "--" not in str(caught.value) and caught.value.parameter == "best_effort"
    extreme = vaecodec.encode(PHOTO, quality=0 if "target_size" in parameters else 100)
    assert vaecodec.encode(PHOTO, best_effort=True, **parameters) == extreme


def test_targets_of_every_kind():
    bits = 8 * len(vaecodec.encode(PHOTO, target_bpp=1.4))
    assert 0.97 * 1.4 <= bits / (60 * 80) <= 1.4
    for parameters in ({"target_psnr": 30}, {"target_ms_ssim": 0.95}):
        decoded = np.asarray(vaecodec.decode(vaecodec.encode(PHOTO, **parameters)))
        measure = psnr_db if "target_psnr" in parameters else ms_ssim
        assert measure(PHOTO, decoded) >= next(iter(parameters.values()))


def test_metadata_are_stripped():
    image = Image.fromarray(PHOTO)
    image.info.update(icc_profile=b"profile", xmp=b"<x/>")
    for strip, left in (("icc", {"xmp"}), (["icc", "xmp"], set()), ("all", set())):
        assert set(vaecodec.decode(vaecodec.encode(image, strip=strip)).info) == left


@pytest.mark.parametrize(
    "parameters", [{}, {"target_size": 900}, {"effort": 2}, {"effort": 2, "target_size": 900}]
)
def test_progress_rises_to_the_end(parameters: dict[str, float]):
    shares: list[float] = []
    data = vaecodec.encode(PHOTO, progress=shares.append, **parameters)
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == 1
    shares.clear()
    vaecodec.decode(data, progress=shares.append)
    assert shares == [1]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, str, Path, io.BytesIO, "file"])
def test_files_to_decode_come_in_many_ways(kind: Any, tmp_path: Path):
    data = vaecodec.encode(PHOTO)
    path = tmp_path / "p.vae"
    path.write_bytes(data)
    expected = np.asarray(vaecodec.decode(data))
    with path.open("rb") as file:
        source = file if kind == "file" else kind(path if kind in (str, Path) else data)
        np.testing.assert_array_equal(np.asarray(vaecodec.decode(source)), expected)
    assert vaecodec.info(path) == vaecodec.info(data)


def test_files_that_cannot_be_decoded(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        vaecodec.decode(tmp_path / "none.vae")
    with pytest.raises(OSError):
        vaecodec.decode(tmp_path)
    with pytest.raises(UsageError, match="int"):
        vaecodec.decode(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="binary"):
        vaecodec.decode(io.StringIO("text"))  # type: ignore[arg-type]
    data = vaecodec.encode(PHOTO)
    for parameters in ({"scale": 3}, {"region": (0, 0, 5)}, {"region": (0, 0, 999, 5)}):
        with pytest.raises(UsageError):
            vaecodec.decode(data, **parameters)


@pytest.mark.parametrize("parameters", [{"device": "tpu"}, {"device": "cuda:3"}, {"backend": "x"}])
def test_unknown_devices_and_backends_are_refused(parameters: dict[str, str]):
    with pytest.raises(UsageError, match="auto"):
        vaecodec.Codec(**parameters)


def test_faults_are_what_python_users_expect():
    kinds = {name: getattr(vaecodec, name) for name in vaecodec.__all__ if name.endswith("Error")}
    assert set(kinds) == {name for name in vars(errors) if name.endswith("Error")}, (
        "all of them are exported"
    )
    for kind in kinds.values():
        assert issubclass(kind, (ValueError, OSError)) or kind is vaecodec.VaecodecError
        again = pickle.loads(pickle.dumps(kind("text", "quality")))
        assert (str(again), again.parameter) == ("text", "quality")
    assert issubclass(vaecodec.OutputExistsError, FileExistsError)


def test_no_message_names_an_option():
    """Options are the command's; the commands and cli alone may name them."""
    package = Path(vaecodec.__file__).parent
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] in ("cli", "commands", "training"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise):
                for text in (n.value for n in ast.walk(node) if isinstance(n, ast.Constant)):
                    assert not re.search(r"(^|\s)--?[a-z]", str(text)), f"{path}: {text}"


def test_what_the_module_offers():
    """Every name is there, is listed, and costs nothing before it is used."""
    assert set(vaecodec.__all__) <= set(dir(vaecodec))
    for name in vaecodec.__all__:
        assert getattr(vaecodec, name) is not None
    heavy = ("torch", "PIL", "onnxruntime", "numpy")
    program = (
        f"import sys, vaecodec; dir(vaecodec); sys.exit(any(n in sys.modules for n in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_parameters_are_named_wherever_they_are_taken():
    for function, typed in (("encode", api.EncodeParameters), ("decode", api.DecodeParameters)):
        parameters = dict(inspect.signature(getattr(vaecodec, function)).parameters)
        parameters.pop("image" if function == "encode" else "source")
        assert set(parameters) == set(typed.__annotations__)
        method = inspect.signature(getattr(vaecodec.Codec, function)).parameters
        assert all(typed.__annotations__[name] == method[name].annotation for name in parameters)


def test_files_and_info(tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAECODEC_MODELS", str(tiny_model_path))
    Image.fromarray(PHOTO).save(tmp_path / "p.png")
    size = vaecodec.encode_file(tmp_path / "p.png", tmp_path / "p.vae", quality=70)
    facts = vaecodec.info(tmp_path / "p.vae")
    assert facts["bytes"] == size and facts["quality"] == 70 and facts["width"] == 80
    vaecodec.decode_file(tmp_path / "p.vae", tmp_path / "back.webp")
    assert Image.open(tmp_path / "back.webp").size == (80, 60)
    with pytest.raises(UsageError, match="exists"):
        vaecodec.encode_file(tmp_path / "p.png", tmp_path / "p.vae")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError):
        vaecodec.nonsense  # noqa: B018


# --- Pillow --------------------------------------------------------------------------------------


def test_pillow_opens_and_saves(tmp_path: Path):
    path = tmp_path / "p.vae"
    image = Image.fromarray(PHOTO)
    image.info["icc_profile"] = b"profile"
    image.save(path, quality=90)
    with Image.open(path) as opened:
        assert (opened.format, opened.size, opened.mode) == ("VAE", (80, 60), "RGB")
        assert psnr_db(np.asarray(opened), PHOTO) > 28
        assert opened.info["icc_profile"] == b"profile"
    assert Image.MIME["VAE"] == "image/x-vaecodec"


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16"])
def test_pillow_knows_the_mode_before_decoding(tmp_path: Path, mode: str):
    source = Image.fromarray(np.dstack([PHOTO, PHOTO[:, :, 0]]))
    if mode == "I;16":
        source = Image.fromarray(PHOTO[:, :, 0].astype(np.uint16) * 256)
    else:
        source = source.convert("RGB").convert("P") if mode == "P" else source.convert(mode)
    source.save(tmp_path / "p.vae")
    with Image.open(tmp_path / "p.vae") as opened:
        announced = opened.mode
        opened.load()
        assert opened.mode == announced == {"P": "RGB"}.get(mode, mode)


def test_pillow_knows_the_metadata_before_decoding(tmp_path: Path):
    image = Image.fromarray(PHOTO)
    exif = Image.Exif()
    exif[271] = "Camera Works"
    image.save(tmp_path / "p.vae", exif=exif, icc_profile=b"profile", xmp=b"<x/>")
    with Image.open(tmp_path / "p.vae") as opened:
        assert opened.info["icc_profile"] == b"profile" and opened.info["xmp"] == b"<x/>"
        assert opened.getexif()[271] == "Camera Works"
        opened.load()
        assert opened.getexif()[271] == "Camera Works"


def test_pillow_saves_with_what_encode_takes(tmp_path: Path):
    image, path = Image.fromarray(PHOTO), tmp_path / "p.vae"
    mask = Image.fromarray(np.arange(4800).reshape(60, 80) > 2400)
    for parameters in (
        {"quality": 20, "effort": 0},
        {"effort": 2, "timeout": 60},
        {"target_bpp": 2.0},
        {"roi": mask},
    ):
        image.save(path, **parameters)
        assert path.read_bytes() == vaecodec.encode(image, **parameters)
    with pytest.raises(ValueError, match="0..9"):
        image.save(path, effort=11)


def test_pillow_knows_vae_once_registered(tmp_path: Path, tiny_model_path: Path):
    vaecodec.encode_file(Path(__file__).parent / "photos" / "bay.jpg", tmp_path / "p.vae")
    program = (
        "import sys, vaecodec; from PIL import Image; vaecodec.register(); vaecodec.register()"
    )
    program += "; print(Image.open(sys.argv[1]).size)"
    words = [sys.executable, "-c", program, str(tmp_path / "p.vae")]
    assert subprocess.run(words, check=True, capture_output=True).stdout == b"(768, 512)\n"


def test_pillow_says_why_a_file_is_damaged():
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "VAE")
    whole = buffer.getvalue()
    for size in (4, 20, 60, len(whole) - 1):
        with pytest.raises(OSError, match="damaged .vae file: cut short"):
            Image.open(io.BytesIO(whole[:size]))
    flipped = bytearray(whole)
    flipped[-9] ^= 1
    with pytest.raises(OSError, match="checksum"):
        Image.open(io.BytesIO(flipped))
    with Image.open(io.BytesIO(whole)) as image:
        image.verify()


def test_batches_are_the_same_as_one_by_one(tiny_model_path: Path):
    codec = vaecodec.Codec(tiny_model_path, "cpu")
    photos = [make_photo(40 + number, 50, seed=number) for number in range(5)]
    files = codec.encode_batch(photos, quality=80)
    assert files == [codec.encode(photo, quality=80) for photo in photos]
    images = codec.decode_batch(files, scale=2)
    assert [image.size for image in images] == [(25, 20 + (n + 1) // 2) for n in range(5)]
    for image, data in zip(images, files, strict=True):
        np.testing.assert_array_equal(image, codec.decode(data, scale=2))


@pytest.mark.parametrize(("asked", "scale"), [(40, 8), (42, 8), (43, 4), (168, 2), (999, 1)])
def test_pillow_decodes_no_more_than_is_asked_for(asked: int, scale: int):
    """And `thumbnail` asks for twice what it makes."""
    data = vaecodec.encode(make_photo(240, 320))
    image = Image.open(io.BytesIO(data))
    image.draft(None, (asked, asked * 3 // 4))
    assert image.size == (320 // scale, 240 // scale) and image.mode == "RGB"
    assert image.draft(None, (9, 9)) is None or scale == 1, "once"
    expected = vaecodec.decode(data, scale=scale)
    if scale > 1:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    small = Image.open(io.BytesIO(data))
    small.thumbnail((asked // 2, asked // 2))
    assert max(small.size) == min(asked // 2, 320)
