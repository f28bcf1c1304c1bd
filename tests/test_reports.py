"""What commands say: a line, more with --verbose, nothing with --quiet, objects with --json."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main


@pytest.fixture
def run(tiny_model_path: Path):
    def command(*arguments: object, stdin: bytes = b"") -> Result:
        words = [*map(str, arguments), "--model", str(tiny_model_path)]
        return CliRunner().invoke(main, words, input=stdin)

    return command


@pytest.fixture
def vae(run, photo_path: Path) -> Path:
    assert run("encode", photo_path, "--quiet").stdout == ""
    return photo_path.with_suffix(".vae")


def test_json_of_one_file(run, photo_path: Path, vae: Path, tiny_model):
    both = {
        "ok": True,
        "width": 97,
        "height": 75,
        "mode": "RGB",
        "model": tiny_model.model_id.hex(),
        "backend": "onnx",
        "device": "cpu",
    }
    encoded = json.loads(run("encode", photo_path, "-f", "-q", 25, "--json").stdout)
    assert both.items() <= encoded.items()
    assert encoded["quality"] == 25 and encoded["level"] == 320
    assert encoded["bytes_out"] == vae.stat().st_size == sum(encoded["parts"].values())
    assert set(encoded["seconds"]) == {"read", "load", "encode", "write"}
    back = vae.with_name("back.png")
    decoded = json.loads(run("decode", vae, "-o", back, "--json").stdout)
    assert both.items() <= decoded.items()
    assert decoded["bytes_in"] == encoded["bytes_out"]
    assert decoded["bytes_out"] == back.stat().st_size
    verified = json.loads(run("verify", vae, "--json").stdout)
    assert verified["ok"] and verified["parts"] == encoded["parts"]


def test_info_of_many_is_a_table(
    run, photo_path: Path, vae: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VAECODEC_MODELS", str(tiny_model_path))
    exact, none = vae.with_name("exact.vae"), vae.with_name("none.vae")
    run("encode", photo_path, "-o", exact, "--lossless")
    names = [str(vae), str(exact)]
    table = run("info", vae, none, exact)
    assert table.exit_code == 1
    assert table.stderr == f"vaecodec: {none}: no such file\n"
    head, *rows = (line.split() for line in table.stdout.splitlines())
    assert head == ["pixels", "mode", "quality", "bytes", "bpp", "file"]
    sizes = [str(path.stat().st_size) for path in (vae, exact)]
    assert [row[0] for row in rows] == ["97x75", "97x75"]
    assert [row[2:4] for row in rows] == [["60", sizes[0]], ["lossless", sizes[1]]]
    assert [row[5] for row in rows] == names
    read = csv.DictReader(run("info", *names, "--csv").stdout.splitlines())
    assert [(row["file"], row["width"], row["bytes"]) for row in read] == [
        (name, "97", size) for name, size in zip(names, sizes, strict=True)
    ]
    lines = run("info", *names, none, "--json").stdout.splitlines()
    assert [json.loads(line)["file"] for line in lines] == [*names, str(none)]
    assert json.loads(lines[2])["ok"] is False


def test_json_is_never_mixed_with_data(run, photo_path: Path):
    for words in (["encode"], ["encode", "--verbose"], ["encode", "--json"]):
        result = run(*words, "-", "-o", "-", stdin=photo_path.read_bytes())
        assert result.stdout_bytes[:4] == b"\x8fVAE"
        assert run("verify", "-", stdin=result.stdout_bytes).exit_code == 0
    assert json.loads(result.stderr)["bytes_out"] == len(result.stdout_bytes)


def test_json_of_faults(run, photo_path: Path, vae: Path, tmp_path: Path):
    result = run("encode", photo_path, "--json")
    fault = json.loads(result.stdout)
    assert result.exit_code == 2 and not fault["ok"] and "exists; use -f" in fault["fault"]
    vae.write_bytes(vae.read_bytes()[:-9])
    for words in (["decode", "-f"], ["verify"]):
        result = run(*words, vae, "--json")
        assert result.exit_code == 1 and "cut short" in json.loads(result.stdout)["fault"]


def test_json_of_many_files_is_a_line_each(run, tmp_path: Path):
    for name in ("a", "b"):
        Image.fromarray(make_photo(20, 30)).convert("CMYK").save(tmp_path / f"{name}.jpg")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    result = run("encode", tmp_path, "-o", tmp_path / "out", "--json")
    objects = {Path(o["file"]).name: o for o in map(json.loads, result.stdout.splitlines())}
    assert set(objects) == {"a.jpg", "b.jpg", "broken.png"} and result.exit_code == 1
    assert not objects["broken.png"]["ok"]
    assert "converted from CMYK" in objects["a.jpg"]["notes"][0]
    assert result.stderr.startswith("2 done, 1 failed"), "the summary is for people"
    result = run("encode", tmp_path / "*.jpg", "-o", tmp_path / "out", "--json", "--skip-existing")
    assert [json.loads(line)["skipped"] for line in result.stdout.splitlines()] == [True, True]


def test_verbose_names_what_did_the_work(run, photo_path: Path, vae: Path, tiny_model):
    for words in (["encode", photo_path, "-f"], ["decode", vae, "-f"], ["verify", vae]):
        short, long = run(*words).stdout, run(*words, "--verbose").stdout
        assert short.count("\n") == 1 and long.startswith(short)
        assert f"model {tiny_model.model_id.hex()}, onnx on cpu" in long and "seconds: " in long
    assert "level 768" in run("encode", photo_path, "-f", "-v").stdout


def test_quiet_says_faults_only(run, vae: Path):
    assert run("verify", vae, "--quiet").output == ""
    vae.write_bytes(b"junk")
    assert run("verify", vae, "--quiet").stderr.count("\n") == 1


def test_broken_pipe_ends_quietly(vae: Path, tiny_model_path: Path):
    words = [sys.executable, "-m", "vaecodec", "decode", vae, "-o", "-", "--model", tiny_model_path]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 1
