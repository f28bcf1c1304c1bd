"""The README is true: its Python runs as written, its commands exist with the options it shows."""

import glob
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from vaecodec.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert Image.open(tmp_path / "bay.vae").size == (768, 512)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README's commands are about, without a desktop."""
    monkeypatch.setenv("VAECODEC_PASSPHRASE", "open sesame")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    here = tmp_path / "here"
    (here / "photos" / "below").mkdir(parents=True)
    monkeypatch.chdir(here)
    photo = Image.open(ROOT / "tests" / "photos" / "bay.jpg").crop((0, 200, 432, 500))
    for name in ("photo.png", "photo.jpg", "scan.png", "photos/a.png", "photos/below/b.jpg"):
        photo.save(here / name)
    Image.new("L", photo.size, 255).save(here / "mask.png")
    result = CliRunner().invoke(main, ["encode", "photo.png", "-o", "damaged.vae"])
    assert result.exit_code == 0, result.output
    data = bytearray((here / "damaged.vae").read_bytes())
    data[-1] ^= 1
    (here / "damaged.vae").write_bytes(data)
    return here


def test_commands_run_in_their_order_in_one_folder(folder: Path):
    """All that end by themselves within seconds; test_training and test_eval hold the others."""
    for line in "\n".join(blocks("")).splitlines():
        if not re.match(r"vaecodec (?!train|export|eval)", line) or re.search("PHOTOS|&&", line):
            continue
        command, _, remark = line.partition("#")
        words = shlex.split(command)
        names = [name for word in words[1:] for name in glob.glob(word) or [word]]
        result = CliRunner().invoke(main, names)
        assert result.exit_code == ("exits 1" in remark), f"{line}: {result.output}"
        if match := re.search(r"writes ([\w.]+\w)", remark):
            assert (folder / match[1]).exists() or match[1] == "nothing", line
        if "-o" in words:
            assert (folder / words[words.index("-o") + 1]).exists(), line


def test_every_option_shown_exists():
    for line in "\n".join(blocks("")).splitlines():
        words = line.split("#")[0].split()
        if words[:1] != ["vaecodec"] or "&&" in words:
            continue
        help_text = CliRunner().invoke(main, [words[1], "--help"])
        assert help_text.exit_code == 0, line
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(^|\s){re.escape(option)}\b", help_text.output), (
                f"{option} in: {line}"
            )


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
