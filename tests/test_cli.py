"""The command as a user meets it: real files, output lines, exit codes, and what is left behind."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import COMMANDS, main
from vaecodec.metrics.distortion import psnr_db
from vaecodec.metrics.ssimulacra2 import ssimulacra2
from vaecodec.network.weight_files import forget_received
from vaecodec.network.weights import load_weights, save_weights


@pytest.fixture
def run(tiny_model_path: Path):
    def command(*arguments: object) -> Result:
        words = [str(argument) for argument in arguments]
        if words[0] in ("encode", "decode", "verify") and "--model" not in words:
            words += ["--model", str(tiny_model_path)]
        return CliRunner().invoke(main, words)

    return command


def assert_fails(result: Result, exit_code: int, *fragments: str) -> None:
    """One line on standard error with all `fragments`, nothing on standard output, no traceback."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("vaecodec: ") and result.stderr.count("\n") == 1
    for fragment in fragments:
        assert fragment in result.stderr


def test_photo_to_file_and_back(run, photo_path: Path, tmp_path: Path):
    encoded = run("encode", photo_path)
    vae = photo_path.with_suffix(".vae")
    assert encoded.exit_code == 0
    size = vae.stat().st_size
    assert (
        encoded.stdout
        == f"{vae}: {size} bytes, {8 * size / (97 * 75):.3f} bpp, {97 * 75 * 3 / size:.1f}:1\n"
    )
    back = tmp_path / "back.png"
    decoded = run("decode", vae, "-o", back)
    assert decoded.exit_code == 0
    assert decoded.stdout.startswith(f"{back}: 97x75 RGB")
    original = np.asarray(Image.open(photo_path))
    assert psnr_db(original, np.asarray(Image.open(back))) > 30
    assert sorted(p.name for p in tmp_path.iterdir()) == ["back.png", "photo.png", "photo.vae"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".ppm", ".avif"])
def test_output_format_follows_the_suffix(run, photo_path: Path, tmp_path: Path, suffix: str):
    run("encode", photo_path)
    target = tmp_path / f"back{suffix}"
    assert run("decode", tmp_path / "photo.vae", "-o", target).exit_code == 0
    with Image.open(target) as image:
        assert image.size == (97, 75)


def test_quality_is_continuous_and_rises(run, photo_path: Path, tmp_path: Path):
    sizes = []
    for quality in (0, 33.3, 66.6, 100):
        assert run("encode", photo_path, "-f", "-q", quality).exit_code == 0
        sizes.append((tmp_path / "photo.vae").stat().st_size)
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("size, most", [("1.4kB", 1400), ("1.2KiB", 1228.8), ("1000", 1000)])
def test_target_size_is_met_and_never_exceeded(
    run, photo_path: Path, tmp_path: Path, size: str, most: int
):
    result = run("encode", photo_path, "--target-size", size)
    assert result.exit_code == 0, result.output
    assert 0.985 * most <= (tmp_path / "photo.vae").stat().st_size <= most


def test_target_bpp_and_qualities(run, photo_path: Path, tmp_path: Path):
    vae, back = tmp_path / "photo.vae", tmp_path / "back.png"
    assert run("encode", photo_path, "--target-bpp", 1.4).exit_code == 0
    assert 0.985 * 1.4 <= 8 * vae.stat().st_size / (97 * 75) <= 1.4
    result = run("encode", photo_path, "-f", "--target-psnr", 30)
    assert result.exit_code == 0 and " dB" in result.stdout
    run("decode", vae, "-o", back)
    assert 30 <= psnr_db(np.asarray(Image.open(photo_path)), np.asarray(Image.open(back))) < 30.3
    result = run("encode", photo_path, "-f", "--target-ms-ssim", 0.96)
    assert result.exit_code == 0 and "0.96" in result.stdout
    result = run("encode", photo_path, "-f", "--target-ssimulacra2", 30)
    assert result.exit_code == 0 and " SSIMULACRA 2" in result.stdout
    run("decode", vae, "-f", "-o", back)
    score = ssimulacra2(np.asarray(Image.open(photo_path)), np.asarray(Image.open(back)))
    assert 30 <= score <= 30.5


def test_target_that_cannot_be_met(run, photo_path: Path, tmp_path: Path):
    assert_fails(
        run("encode", photo_path, "--target-size", "100"), 1, "cannot be met", "--best-effort"
    )
    best = run("encode", photo_path, "--target-ssimulacra2", 100)
    assert_fails(best, 1, "100 SSIMULACRA 2 cannot be met", "--best-effort")
    assert not (tmp_path / "photo.vae").exists()
    assert run("encode", photo_path, "--target-size", "100", "--best-effort").exit_code == 0
    assert_fails(
        run("encode", photo_path, "-f", "--target-size", 9, "--target-bpp", 1), 2, "one target"
    )


def test_pipes(tmp_path: Path, photo_path: Path, tiny_model_path: Path):
    """Data on standard output, words on standard error, and a reader that leaves early is no
    fault."""
    command = f"{sys.executable} -m vaecodec"
    model = f"--model {tiny_model_path}"
    pipeline = (
        f"cat {photo_path} | {command} encode - -o - {model}"
        f" | {command} decode - -o - {model} > {tmp_path / 'b.png'}"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipeline], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 2 and "bpp" in done.stderr
    decoded = np.asarray(Image.open(tmp_path / "b.png"))
    assert psnr_db(np.asarray(Image.open(photo_path)), decoded) > 28
    early = f"{command} encode {photo_path} -o - --quiet {model} | head -c 10 > /dev/null"
    done = subprocess.run(["bash", "-c", early], capture_output=True, text=True)
    assert done.stderr == ""


def test_quiet(run, photo_path: Path):
    result = run("encode", photo_path, "--quiet")
    assert result.exit_code == 0 and result.output == ""


def test_info(run, photo_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAECODEC_MODELS", str(tiny_model_path))
    run("encode", photo_path, "-q", 40)
    vae = photo_path.with_suffix(".vae")
    facts = json.loads(run("info", vae, "--json").stdout)
    assert (facts["width"], facts["height"], facts["mode"], facts["quality"]) == (
        97,
        75,
        "RGB",
        40.0,
    )
    assert facts["bytes"] == sum(facts["parts"].values()) == vae.stat().st_size
    text = run("info", vae).stdout
    assert "97x75 RGB, quality 40" in text and facts["model"] in text and "1 slice\n" in text


def test_info_without_the_model_tells_the_level(
    run, photo_path: Path, tmp_path: Path, tiny_model_path: Path
):
    """A quality means what the model makes of it."""
    model, vae = tmp_path / "own.safetensors", photo_path.with_suffix(".vae")
    weights = load_weights(tiny_model_path)
    save_weights(model, replace(weights, card={"name": "own"}))
    run("encode", photo_path, "--model", model, "-q", 50)
    forget_received()  # as another process has
    assert json.loads(run("info", vae, "--json").stdout)["quality"] is None
    assert "level 640 of a model that is not here" in run("info", vae).stdout


@pytest.mark.parametrize("size, expected", [((600, 300), (300, 150)), ((4500, 1100), (250, 62))])
def test_preview(
    run, tmp_path: Path, tiny_model_path: Path, size: tuple[int, int], expected: tuple[int, int]
):
    """Of a small picture it is the scaled one, in a large file a small one is stored."""
    photo = make_photo(300, 600, seed=8)
    pixels = np.pad(photo, ((0, size[1] - 300), (0, size[0] - 600), (0, 0)), mode="symmetric")
    Image.fromarray(pixels).save(tmp_path / "p.png")
    run("encode", tmp_path / "p.png", "-q", 90)
    small = tmp_path / "small.png"
    result = run("info", tmp_path / "p.vae", "--preview", small, "--model", tiny_model_path)
    assert result.exit_code == 0, result.output
    assert (", preview " in result.stdout) == (size[0] > 4096)
    decoded = Image.open(small)
    assert decoded.size == expected
    assert psnr_db(np.asarray(decoded), np.asarray(Image.fromarray(pixels).resize(expected))) > 25
    assert_fails(
        run("info", tmp_path / "p.vae", "--preview", small, "--model", tiny_model_path), 2, "-f"
    )


def test_info_of_a_model_prints_its_card(run, tiny_model_path: Path):
    text = run("info", tiny_model_path).stdout
    assert "name: tiny" in text
    assert "network: activation_bits 0, float_blocks 0, anchors 6, context 8, cz 8" in text
    assert json.loads(run("info", tiny_model_path, "--json").stdout)["name"] == "tiny"


def test_info_knows_the_default_model_by_that_name(run):
    assert json.loads(run("info", "default", "--json").stdout)["network"]["m"] > 0


def test_existing_output_is_kept_without_force(run, photo_path: Path, tmp_path: Path):
    vae = tmp_path / "photo.vae"
    vae.write_bytes(b"precious")
    assert_fails(run("encode", photo_path), 2, str(vae), "-f")
    assert vae.read_bytes() == b"precious"
    assert run("encode", photo_path, "-f").exit_code == 0
    assert_fails(run("decode", vae, "-o", photo_path), 2, str(photo_path), "-f")


def test_source_is_never_the_output(run, photo_path: Path):
    before = photo_path.read_bytes()
    assert_fails(run("encode", photo_path, "-o", photo_path, "-f"), 2, "input and output")
    assert photo_path.read_bytes() == before


def spoil_text(path: Path) -> None:
    path.write_text("not a picture at all")


def spoil_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def spoil_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [spoil_text, spoil_truncate, spoil_empty])
def test_bad_pictures(run, photo_path: Path, tmp_path: Path, spoil):
    spoil(photo_path)
    assert_fails(run("encode", photo_path), 1, str(photo_path))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("command", ["encode", "decode", "info"])
def test_missing_file_and_directory(run, tmp_path: Path, command: str):
    assert_fails(run(command, tmp_path / "none.png"), 2, "none.png", "no such file")
    folder = tmp_path / "folder.x"
    folder.mkdir()
    assert_fails(run(command, folder), 2, "folder.x", "directory")


@pytest.mark.parametrize("command", ["decode", "info"])
@pytest.mark.parametrize("spoil", [spoil_text, spoil_truncate, spoil_empty])
def test_bad_files(run, photo_path: Path, tmp_path: Path, command: str, spoil):
    run("encode", photo_path)
    vae = tmp_path / "photo.vae"
    spoil(vae)
    photo_path.unlink()
    assert_fails(run(command, vae), 1, str(vae))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.vae"]


def test_every_flipped_bit_of_a_sample_is_noticed(run, photo_path: Path, tmp_path: Path):
    run("encode", photo_path)
    vae = tmp_path / "photo.vae"
    whole = vae.read_bytes()
    target = tmp_path / "back.png"
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), 40).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        vae.write_bytes(bytes(damaged))
        assert_fails(run("decode", vae, "-o", target), 1, str(vae))
        assert not target.exists()


def test_verify(run, photo_path: Path, tmp_path: Path):
    run("encode", photo_path)
    vae = tmp_path / "photo.vae"
    assert run("verify", vae).stdout == f"{vae}: ok\n"
    broken = tmp_path / "broken.vae"
    broken.write_bytes(vae.read_bytes()[:-4])
    result = run("verify", broken, vae, tmp_path / "none.vae")
    assert result.exit_code == 1 and result.stdout == f"{vae}: ok\n"
    assert f"{broken}: cut short" in result.stderr and "none.vae: no such file" in result.stderr
    lines = [
        json.loads(line)
        for line in run("verify", "--quick", "--json", vae, broken).stdout.splitlines()
    ]
    assert [line["ok"] for line in lines] == [True, False]


def test_salvage(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A flipped bit costs its slice: grey there, the rest as it was; without the flag nothing is
    written."""
    from vaecodec.codec import tiling
    from vaecodec.format import container

    monkeypatch.setattr(tiling, "LATENT_SLICE", 8)
    monkeypatch.setattr(container, "SLICE", 128)
    Image.fromarray(make_photo(384, 384, seed=3)).save(tmp_path / "p.png")
    vae, whole, rest = (tmp_path / name for name in ("p.vae", "whole.png", "rest.png"))
    run("encode", tmp_path / "p.png")
    run("decode", vae, "-o", whole)
    data = bytearray(vae.read_bytes())
    data[-20] ^= 16  # in the last slice, at the bottom right
    vae.write_bytes(bytes(data))
    assert_fails(run("decode", vae, "-o", rest), 1, "checksum")
    assert not rest.exists()
    result = run("decode", vae, "-o", rest, "--salvage")
    assert result.exit_code == 1 and "1 of 9 slices are lost" in result.stderr
    expected, salvaged = (np.asarray(Image.open(path)).astype(int) for path in (whole, rest))
    assert (np.abs(salvaged[256:, 256:] - 128) <= 1).all()
    np.testing.assert_array_equal(salvaged[:150, :150], expected[:150, :150])


def test_file_of_another_model(run, photo_path: Path, tmp_path: Path, tiny_model_path: Path):
    run("encode", photo_path)
    other = tmp_path / "other.safetensors"
    other.write_bytes(tiny_model_path.read_bytes())
    w = load_weights(other)
    save_weights(other, replace(w, card={"name": "other"}))
    vae = tmp_path / "photo.vae"
    back = tmp_path / "back.png"
    assert_fails(
        run("decode", vae, "-o", back, "--model", other), 1, str(vae), w.model_id.hex(), "--model"
    )
    assert not back.exists()


def test_model_is_found_by_its_hash(photo_path: Path, tmp_path: Path, tiny_model_path: Path):
    vae, back = tmp_path / "photo.vae", tmp_path / "back.png"
    CliRunner().invoke(main, ["encode", str(photo_path), "--model", str(tiny_model_path)])
    forget_received()  # as another process has
    missing = CliRunner().invoke(main, ["decode", str(vae), "-o", str(back)])
    assert_fails(missing, 1, str(vae), "--model", "VAECODEC_MODELS")
    for place in (tiny_model_path, tiny_model_path.parent):
        places = os.pathsep.join(["/nonexistent", str(place)])
        for words in (["decode", str(vae), "-f", "-o", str(back)], ["verify", str(vae)]):
            assert CliRunner().invoke(main, words, env={"VAECODEC_MODELS": places}).exit_code == 0


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xff" * 8 + b"{}"])
def test_bad_model(run, photo_path: Path, tmp_path: Path, content: bytes):
    model = tmp_path / "bad.safetensors"
    model.write_bytes(content)
    assert_fails(run("encode", photo_path, "--model", model), 1, str(model), "not a vaecodec model")
    assert_fails(
        run("encode", photo_path, "--model", tmp_path / "none"), 1, "cannot read the model"
    )
    assert not (tmp_path / "photo.vae").exists()


def test_unwritable_outputs(run, photo_path: Path, tmp_path: Path):
    assert_fails(
        run("encode", photo_path, "-o", tmp_path / "none" / "x.vae"), 2, "no such directory"
    )
    run("encode", photo_path)
    assert_fails(run("decode", tmp_path / "photo.vae", "-o", tmp_path / "x.doc"), 2, ".doc", ".png")


@pytest.mark.parametrize(
    "arguments",
    [["encode"], ["encode", "x", "-q", "101"], ["nonsense"], ["decode", "x", "--device", "abacus"]],
)
def test_usage_errors_exit_2(run, arguments: list[str]):
    result = run(*arguments)
    assert result.exit_code == 2 and "Traceback" not in result.output


def test_pixel_limit(run, photo_path: Path, tmp_path: Path):
    assert_fails(
        run("encode", photo_path, "--max-pixels", 7000), 1, "97x75", "7000", "--max-pixels"
    )
    run("encode", photo_path)
    vae = tmp_path / "photo.vae"
    assert_fails(run("decode", vae, "-f", "--max-pixels", 7000), 1, "97x75", "7000", "--max-pixels")


def test_installed_command_with_the_default_model(tmp_path: Path):
    """A whole process as a user starts it, with the model that ships."""
    pixels = make_photo(64, 96, seed=9)
    Image.fromarray(pixels).save(tmp_path / "p.png")

    def vaecodec(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "vaecodec", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert vaecodec("encode", "p.png", "-q", "80").startswith("p.vae: ")
    vaecodec("decode", "p.vae", "-o", "back.png")
    assert psnr_db(pixels, np.asarray(Image.open(tmp_path / "back.png"))) > 32
    assert vaecodec("--version").startswith("vaecodec, version ")


STREAMS = ["> /dev/full", ">&-", "2>&-", "<&-", "| true"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "help quality",
        "info p.vae",
        "verify p.vae",
        "encode p.png -f",
        "decode p.vae -f",
        "encode p.png -o -",
        "encode - -o q.vae -f",
        "decode p.vae -o -",
        "view p.vae",
        "encode p.png p.png -f --json",
    ],
)
def test_streams_that_are_full_or_closed_are_no_traceback(
    tmp_path: Path, tiny_model_path: Path, words: str
):
    Image.fromarray(make_photo(40, 50)).save(tmp_path / "p.png")
    model = "" if words.split()[0] in ("--help", "help", "info") else f"--model {tiny_model_path}"
    command = f"{sys.executable} -m vaecodec"
    environment = {name: v for name, v in os.environ.items() if "DISPLAY" not in name}

    def shell(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            check=False,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert shell(f"{command} encode p.png {model or f'--model {tiny_model_path}'}").returncode == 0
    for stream in STREAMS:
        done = shell(f"{command} {words} {model} {stream}")
        assert done.returncode in (0, 1, 2), (stream, done.stderr)
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, stream
        said_on_stdout = words != "encode - -o q.vae -f"
        if stream in ("> /dev/full", ">&-") and said_on_stdout:
            assert done.returncode == 1, (stream, done.stderr)
            assert done.stderr.startswith("vaecodec: standard output: cannot write: "), stream
            assert done.stderr.count("\n") == 1


def test_what_is_no_regular_file_is_written_into(run, photo_path: Path, tmp_path: Path):
    """A device or a pipe stays what it is, and a link leads where it led."""
    assert run("encode", photo_path, "-o", "/dev/null", "-f").exit_code == 0
    assert not Path("/dev/null").is_file()
    pipe, link = tmp_path / "pipe", tmp_path / "link.vae"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert run("encode", photo_path, "-o", pipe).exit_code == 0
        data, _ = reader.communicate(timeout=10)
    assert pipe.is_fifo()
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere" / "real.vae")
    assert run("encode", photo_path, "-o", link).exit_code == 0
    assert link.is_symlink() and link.read_bytes() == data
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["real.vae"]


@pytest.mark.parametrize(
    "words", ["encode", "encode x -q 101", "nonsense", "encode x --frob", "encode none.png"]
)
def test_usage_faults_are_one_line_or_one_object(run, words: str):
    plain = run(*words.split())
    assert_fails(plain, 2, "")
    if words != "nonsense":
        machine = run(*words.split(), "--json")
        assert machine.exit_code == 2 and machine.stderr == ""
        said = json.loads(machine.stdout)
        assert said["ok"] is False
        assert said["fault"].split(";")[0] in plain.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_nan_is_no_number_for_any_option(run, name: str):
    command = main.get_command(click.Context(main), name)
    for option in (p for p in command.params if isinstance(p.type, click.types.FloatParamType)):
        assert_fails(run(name, option.opts[-1], "nan"), 2, option.opts[-1], "not a number")


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("a.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pip install pillow-heif"),
        ("a.cr2", b"II*\0\x10\0\0\0CR\x02\0", "develop raw photos to TIFF first"),
    ],
)
def test_pictures_that_are_not_read_say_what_to_do(
    run, tmp_path: Path, name: str, content: bytes, hint: str
):
    if find_spec("pillow_heif") and name.endswith("HEIC"):
        pytest.skip("HEIC is read here")
    (tmp_path / name).write_bytes(content)
    assert_fails(run("encode", tmp_path / name), 1, name, hint)


def test_without_a_command_there_is_help():
    assert "Usage:" in CliRunner().invoke(main, []).output
