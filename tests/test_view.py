"""`vaecodec view`: a viewer sees the picture, a terminal gets blocks, and nothing is left."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.cli import terminal_picture
from vaecodec.cli import viewer as view
from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.commands import view as view_command
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses a stand-in for xdg-open")


@pytest.fixture
def vae(tmp_path: Path, tiny_model: Model) -> Path:
    path = tmp_path / "bay.vae"
    data = encode_picture(Picture(make_photo(60, 90)), tiny_model, EncodeOptions(800))
    path.write_bytes(data)
    return path


@pytest.fixture
def run(tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: object) -> Result:
        arguments = ["view", *words, "--model", tiny_model_path]
        return CliRunner().invoke(main, [str(word) for word in arguments])

    return command


def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A desktop whose xdg-open is `script`, in which $1 is the picture."""
    path = tmp_path / "bin" / "xdg-open"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")


def test_viewer_that_ends_saw_the_picture(run, vae, tmp_path, monkeypatch, tiny_model: Model):
    viewer(tmp_path, monkeypatch, f'cp "$1" {tmp_path}/seen.png; echo "$1" > {tmp_path}/path')
    monkeypatch.setattr(view, "WAITED_SECONDS", 0)
    result = run(vae)
    assert result.exit_code == 0 and result.output == ""
    assert (tmp_path / "path").read_text().rstrip().endswith("/bay.png")
    expected = decode_picture(vae.read_bytes(), tiny_model).pixels
    assert (np.asarray(Image.open(tmp_path / "seen.png")) == expected).all()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_viewer_that_goes_on_by_itself_has_time_that_is_said(run, vae, tmp_path, monkeypatch):
    viewer(tmp_path, monkeypatch, f'(sleep 0.3; cp "$1" {tmp_path}/seen.png) >/dev/null 2>&1 &')
    monkeypatch.setattr(view, "KEPT_SECONDS", 1)
    result = run(vae)
    assert result.exit_code == 0
    assert result.stderr == (
        f"{vae}: 90x60, open for 1 s, then the temporary picture goes; Ctrl-C ends it now\n"
    )
    assert Image.open(tmp_path / "seen.png").size == (90, 60)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_viewer_that_fails_is_named(run, vae, tmp_path, monkeypatch):
    viewer(tmp_path, monkeypatch, "exit 3")
    result = run(vae)
    assert result.exit_code == 1 and "xdg-open: ended with exit code 3" in result.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_killed_while_waiting_it_leaves_nothing(tmp_path: Path):
    program = (
        "from vaecodec.cli.viewer import show_in_viewer\n"
        "show_in_viewer(['true'], 'a.png', lambda file: file.write(b'x'),"
        " lambda text: print(text, flush=True))"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    for kind, code in ((subprocess.signal.SIGTERM, 143), (subprocess.signal.SIGINT, 0)):
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
        )
        assert b"open for 60 s" in process.stdout.readline()
        assert len(list(tmp_path.rglob("a.png"))) == 1
        process.send_signal(kind)
        assert process.wait(20) == code
        assert list(tmp_path.iterdir()) == []


def test_large_pictures_are_shown_scaled(run, vae, tmp_path, monkeypatch):
    viewer(tmp_path, monkeypatch, f'cp "$1" {tmp_path}/seen.png')
    monkeypatch.setattr(view, "KEPT_SECONDS", 0)
    monkeypatch.setattr(view_command, "VIEW_PIXELS", 90 * 60 / 4)
    assert "90x60 at 1/2," in run(vae).stderr
    assert Image.open(tmp_path / "seen.png").size == (45, 30)


def test_without_a_display_or_terminal_shades_are_printed(run, vae, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "24")
    result = run(vae)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0 and len(lines) == 14  # 40 * 60 / 90 / 2, rounded up
    assert max(map(len, lines)) == 40 and set("".join(lines)) <= set(" \u2591\u2592\u2593\u2588")
    assert len(set("".join(lines))) > 3


def test_encrypted_files_are_shown_with_their_passphrase(
    run, tmp_path, tiny_model: Model, monkeypatch
):
    pytest.importorskip("cryptography")
    path = tmp_path / "secret.vae"
    options = EncodeOptions(800, passphrase=b"open")
    path.write_bytes(encode_picture(Picture(make_photo(60, 90)), tiny_model, options))
    assert run(path).exit_code == 1
    monkeypatch.setenv("VAECODEC_PASSPHRASE", "open")
    assert run(path).exit_code == 0


def test_blocks_show_two_pixels_a_cell_in_their_own_colours():
    samples = np.uint8([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]])
    text = terminal_picture.blocks(samples, 2, 1, 2**24)
    assert text == (
        "\x1b[38;2;255;0;0;48;2;0;0;255m\u2580\x1b[38;2;0;255;0;48;2;10;20;30m\u2580\x1b[0m"
    )
    text = terminal_picture.blocks(samples, 2, 1, 256)
    assert re.findall(r"5;(\d+)", text) == ["196", "21", "46", "233"]


def test_256_colours_keep_the_colour_of_skin():
    """A flat tone between the colours of the cube, whose nearest is a grey."""
    skin = np.array([166, 124, 107])
    text = terminal_picture.blocks(np.tile(np.uint8(skin), (40, 40, 1)), 40, 20, 256)
    numbers = np.array(re.findall(r"5;(\d+);48;5;(\d+)m((?:\u2580)+)", text))
    palette = np.array(terminal_picture._PALETTE).reshape(-1, 3)
    counts = np.char.str_len(numbers[:, 2])[:, None]
    shown = (palette[numbers[:, :2].astype(int) - 16].mean(1) * counts).sum(0) / counts.sum()
    assert np.abs(shown - skin).max() < 6


def test_a_terminal_with_graphics_shows_the_picture_itself(vae: Path, tiny_model_path: Path):
    """A terminal that says, when it is asked, that it has sixels."""
    pytest.importorskip("textual_image")
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    words = [sys.executable, "-m", "vaecodec", "view", vae, "--model", tiny_model_path]
    environment = {name: v for name, v in os.environ.items() if "DISPLAY" not in name}
    process = subprocess.Popen(
        words,
        stdin=terminal,
        stdout=terminal,
        env=environment | {"TERM": "xterm"},
    )
    os.close(terminal)
    said = b""
    with suppress(OSError):  # the other side is closed
        while part := os.read(controller, 65536):
            said += part
            if part.endswith(b"\x1b[c"):
                os.write(controller, b"\x1b[?62;4c")
            elif part.endswith(b"\x1b[16t"):
                os.write(controller, b"\x1b[6;20;10t")
    assert process.wait() == 0
    (sixels,) = re.findall(rb"\x1bP[0-9;]*q(.*?)\x1b\\", said, re.DOTALL)
    assert b"\xe2\x96\x80" not in said
    width, height = map(int, re.search(rb'"1;1;(\d+);(\d+)', sixels).groups())
    assert width / height == pytest.approx(90 / 60, rel=0.05)


@pytest.mark.parametrize(
    "environment, terminal, colours",
    [
        ({"COLORTERM": "truecolor"}, True, 2**24),
        ({"TERM": "xterm-256color"}, True, 256),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, True, 0),
        ({"TERM": "dumb"}, True, 0),
        ({"COLORTERM": "truecolor"}, False, 0),
    ],
)
def test_colours_are_those_of_the_terminal(environment: dict, terminal: bool, colours: int):
    assert terminal_picture.colours_of(environment, terminal) == colours


def test_blocks_fit_and_transparency_is_grey():
    clear = np.zeros((100, 300, 4), np.uint8)
    rows = terminal_picture.blocks(clear, 60, 50, 2**24).split("\n")
    assert len(rows) == 10 and all(row.count("\u2580") == 60 for row in rows)
    assert set(re.findall(r"2;(\d+;\d+;\d+)", "".join(rows))) == {"128;128;128"}
    assert len(terminal_picture.blocks(clear[:, :10], 60, 5, 0, unicode=False).split("\n")) == 5
