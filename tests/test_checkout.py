"""Python started in a checkout finds the model there, whatever is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_photo
from PIL import Image

ROOT = Path(__file__).parent.parent
PROGRAM = """
import vaecodec
print(vaecodec.__file__)
vaecodec.encode_file("p.png", "q.vae")
vaecodec.decode("q.vae")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a checkout holds, as a shallow one without an editable install."""
    for name in ("vaecodec", "models"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name, ignore=ignored)
    Image.fromarray(make_photo(40, 60)).save(tmp_path / "checkout" / "p.png")
    return tmp_path / "checkout"


@pytest.mark.parametrize(
    "words", [["-c", PROGRAM], ["-m", "vaecodec", "encode", "p.png"]], ids=["import", "-m"]
)
def test_python_in_a_checkout(checkout: Path, words: list[str]):
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *words],
        check=False,
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert words[0] == "-m" or done.stdout.strip() == str(checkout / "vaecodec" / "__init__.py")
    assert list(checkout.glob("*.vae"))
