"""Kills encode, decode and train at random moments: what they write is absent or complete.

    python scripts/check_kill.py PHOTO [--times 50] [--seed N]

Encode and decode are killed between the start and a little after the usual end; train while it
saves a checkpoint after each step. Files named .NAME.*.part may stay behind; nothing reads them.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from PIL import Image
from safetensors import SafetensorError, safe_open

COMMAND = [sys.executable, "-m", "vaecodec"]
TINY = ["--preset", "tiny", "--set", "batch=2", "--set", "crop=64", "--set", "late_crop=64"]


def kill_after(words: list[str], seconds: float) -> bool:
    """Start a command and kill it; whether it was still running."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() != 0


def kill_codec(name: str, words: list[str], target: Path, times: int, rng: random.Random) -> None:
    """Kill a command that writes `target`; compare what is there with what a whole run writes."""
    started = time.monotonic()
    subprocess.run(words, check=True, capture_output=True)
    usual, whole = time.monotonic() - started, target.read_bytes()
    killed = complete = 0
    for _ in range(times):
        target.unlink(missing_ok=True)
        killed += kill_after(words, usual * rng.uniform(0.3, 1.2))
        if target.exists():
            complete += 1
            if target.read_bytes() != whole:
                sys.exit(f"{name}: {target} is not complete")
    click.echo(f"{name}: {times} runs, {killed} killed, {complete} complete, the others absent")


def kill_when_going(words: list[str], seconds: float) -> None:
    """Kill a training so long after its first step."""
    with subprocess.Popen(
        [*words, "--json-log"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()


def kill_training(photo: Path, folder: Path, times: int, rng: random.Random) -> None:
    """Kill a training that saves after each step, and continue it, again and again."""
    pictures, run = folder / "pictures", folder / "t.run"
    pictures.mkdir()
    image = Image.open(photo).convert("RGB")
    for number in range(4):
        image.rotate(7 * number).resize((200, 160)).save(pictures / f"{number}.png")
    output = str(folder / "t.safetensors")
    words = [*COMMAND, "train", str(pictures), "-o", output, "--steps", "1000000", *TINY]
    kill_when_going(words, 0)
    options = json.loads((run / "options.json").read_text())
    options["checkpoint_minutes"] = 0
    (run / "options.json").write_text(json.dumps(options))
    steps = [0]
    for _ in range(times):
        kill_when_going([*COMMAND, "train", "--resume", str(run)], rng.uniform(0, 2))
        for name in ("latest", "best"):
            path = run / f"{name}.safetensors"
            try:
                with safe_open(path, "np") as file:
                    for tensor in file.keys():  # noqa: SIM118  # no mapping
                        file.get_tensor(tensor)
                    step = json.loads(file.metadata()["state"])["step"]
            except FileNotFoundError:
                step = 0
            except SafetensorError as error:
                sys.exit(f"train: {path}: {error}")
            if name == "latest":
                steps.append(step)
    if steps != sorted(steps) or steps[-1] == 0:
        sys.exit(f"train: steps did not go on: {steps}")
    click.echo(f"train: {times} kills, checkpoints whole each time, steps 0 to {steps[-1]}")


@click.command()
@click.argument("photo", type=Path)
@click.option("--times", default=50, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(photo: Path, times: int, seed: int) -> None:
    """Kill all three."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, picture = folder / "p.vae", folder / "p.png"
        encode = [*COMMAND, "encode", str(photo), "-f", "-o", str(file)]
        kill_codec("encode", encode, file, times, rng)
        subprocess.run(encode, check=True, capture_output=True)
        decode = [*COMMAND, "decode", str(file), "-f", "-o", str(picture)]
        kill_codec("decode", decode, picture, times, rng)
        kill_training(photo, folder, times, rng)


if __name__ == "__main__":
    main()
