"""What nobody asked for does not happen: nothing is reported, nothing left in the home folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_photo
from PIL import Image

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "vaecodec"]
API = """
import vaecodec
from PIL import Image
vaecodec.decode(vaecodec.encode(Image.open("p.png")))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder beside a picture p.png."""
    Image.fromarray(make_photo(64, 96)).save(tmp_path / "p.png")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def at_home(home: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    kept |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    kept.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        words, check=False, cwd=home.parent, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_fresh_home_stays_empty(home: Path):
    for words in (["encode", "p.png"], ["verify", "p.vae"], ["decode", "p.vae", "-o", "b.png"]):
        assert at_home(home, [*COMMAND, *words]).stderr == ""
    assert at_home(home, [sys.executable, "-c", API]).stderr == ""
    assert list(home.iterdir()) == []


def test_a_home_that_cannot_be_written_is_no_matter(home: Path):
    home.rmdir()
    home.write_text("no folder, so that root cannot write there, either")
    assert at_home(home, [*COMMAND, "encode", "p.png", "--quiet"]).stderr == ""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_host_is_looked_up(home: Path):
    trace = home.parent / "trace"
    tracer = ["strace", "-f", "-e", "trace=socket,connect,sendto", "-o", str(trace)]
    at_home(home, [*tracer, *COMMAND, "encode", "p.png"])
    assert "exited with 0" in trace.read_text()
    assert "AF_INET" not in trace.read_text() and "resolve" not in trace.read_text()
