"""Training in two processes with an address each, as torchrun starts them on two machines."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY, make_photo
from PIL import Image

WAIT_SECONDS = 600


@pytest.fixture
def nodes(tmp_path: Path):
    """Starts two processes of a training with these words; ends them in the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object) -> tuple["subprocess.Popen[str]", "subprocess.Popen[str]"]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        pair = []
        for rank in (0, 1):
            settings = {"RANK": rank, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "OMP_NUM_THREADS": 1}
            settings |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            command = [sys.executable, "-m", "vaecodec", "train", *map(str, words), "--json-log"]
            pair.append(
                subprocess.Popen(
                    command,
                    env=os.environ | {name: str(value) for name, value in settings.items()},
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        started.extend(pair)
        return pair[0], pair[1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_lost_node_is_one_line_and_the_run_goes_on(nodes, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    for number in range(8):
        Image.fromarray(make_photo(100, 120, number)).save(tmp_path / "photos" / f"{number}.png")
    first, second = nodes("photos", "-o", "m.safetensors", "--steps", 10**6, *TINY)
    first.stdout.readline()  # a step is done
    second.kill()
    _, told = first.communicate(timeout=WAIT_SECONDS)
    assert first.returncode == 1 and "Traceback" not in told
    last = told.splitlines()[-1]
    run = tmp_path / "m.run"
    assert last == (
        "vaecodec: another process of this training ended or cannot be reached; start all of them"
        f" again, with: vaecodec train --resume {run}"
    )
    options = json.loads((run / "options.json").read_text())
    (run / "options.json").write_text(json.dumps(options | {"steps": 3}))
    first, second = nodes("--resume", run)
    for process in (first, second):
        output, faults = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0, faults
        if process is second:
            assert output == "", "the first one speaks for all"
    assert json.loads((run / "result.json").read_text())["steps"] == 3
    assert (tmp_path / "m.safetensors").exists()
