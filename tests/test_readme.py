"""The README is true: its Python runs as written, its commands exist with the options it shows."""

import re
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
