"""Time, throughput and peak memory of vaecodec beside CompressAI and other codecs.

    python scripts/bench_codecs.py [--sizes 0.4,3,24] [--runs 3] [--keep FIGURES.json]
        [--compressai-python PATH] [--plot docs/speed.svg]

Every encoding and decoding is a process of its own, on all cores, codecs in turn. Seconds are those
of the work alone, by the clock and of the processor, models loaded and warm; memory is the peak of
the whole process. Pictures are the photograph of the tests, mirrored until the size is reached.
`--keep` collects the figures of several runs in a file, for a machine free for minutes only;
`--plot` draws how vaecodec's grow with the size. CompressAI's weights are untrained.
"""

import json
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
from PIL import Image

from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.processor import processor_line

PHOTO = Path(__file__).parent.parent / "tests" / "photos" / "bay.jpg"
WORKER = Path(__file__).parent / "bench_compressai_worker.py"
SIDES = {
    "0.4": (768, 512),
    "1": (1224, 816),
    "3": (2048, 1536),
    "12": (4000, 3000),
    "24": (6000, 4000),
    "108": (12000, 9000),
}
COMPRESSAI = ("bmshj2018-hyperprior", "mbt2018-mean")
CODECS = ("vaecodec", "avif", "jxl", "webp", "jpeg", *COMPRESSAI)
# About 1 bit per pixel of the photograph.
QUALITY = {"vaecodec": 79, "avif": 57, "jxl": 77, "webp": 63, "jpeg": 60}
RESERVE = 1.5 * 2**30  # bytes of memory left to others


def make_picture(size: str, path: Path) -> None:
    width, height = SIDES[size]
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    extra = [max(0, n - have) for n, have in zip((height, width), photo.shape, strict=False)]
    pixels = np.pad(photo, ((0, extra[0]), (0, extra[1]), (0, 0)), mode="symmetric")
    np.save(path, pixels[:height, :width])


def work(codec: str, action: str, source: Path, target: Path) -> dict[str, float]:
    """One encoding or decoding in this process."""
    encode, decode = functions_of(codec)
    small = Image.new("RGB", (64, 64))
    decode(encode(small))  # warms up
    if action == "encode":
        image = Image.fromarray(np.load(source))
        started, spent = time.perf_counter(), time.process_time()
        data = encode(image)
        figures = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent}
        target.write_bytes(data)
        return figures | {"bytes": len(data)}
    data = source.read_bytes()
    started, spent = time.perf_counter(), time.process_time()
    decode(data).load()
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent}


def functions_of(codec: str):
    quality = QUALITY[codec]
    if codec == "vaecodec":
        import vaecodec

        return lambda image: vaecodec.encode(image, quality=quality), vaecodec.decode
    peer = REFERENCE_CODECS[codec]
    threads = {"avif": {"max_threads": os.cpu_count()}, "jxl": {"num_threads": -1}}
    if codec in threads:  # as many as the others here may use
        options = peer.options(quality) | threads[codec]
        peer = replace(peer, options=lambda _: options)
    return lambda image: peer.encode(image, quality), peer.decode


def run_apart(words: list[str]) -> dict[str, float] | None:
    """Figures of a command with its peak memory in MiB; None where the memory does not suffice."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as errors:
        actions = [(os.POSIX_SPAWN_DUP2, f.fileno(), n) for n, f in ((1, said), (2, errors))]
        process = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
        _, status, usage = os.wait4(process, 0)
        said.seek(0)
        errors.seek(0)
        if status == 0:
            return {**json.loads(said.read()), "mebibytes": usage.ru_maxrss / 1024}
        fault = errors.read().decode(errors="replace")
    if "memory" not in fault.lower() and "MemoryError" not in fault:
        sys.exit(f"failed: {' '.join(words)}\n{fault}")
    return None


def limit_memory() -> int:
    """Children fail rather than make the machine kill something; returns their bytes."""
    with Path("/proc/meminfo").open() as file:
        free = next(int(line.split()[1]) * 1024 for line in file if "MemAvailable" in line)
    limit = int(max(free - RESERVE, RESERVE))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return limit


def measure(codec: str, size: str, folder: Path, python: str) -> dict[str, dict | None]:
    picture, file = folder / f"{size}.npy", folder / f"{codec}-{size}"
    out = folder / "out.npy"
    if codec in COMPRESSAI:
        start = [python, str(WORKER)]
        commands = {
            "encode": [*start, "encode", codec, str(picture), str(file)],
            "decode": [*start, "decode", codec, str(file), str(out)],
        }
    else:
        start = [sys.executable, __file__, "--worker", codec]
        commands = {
            "encode": [*start, "encode", str(picture), str(file)],
            "decode": [*start, "decode", str(file), str(out)],
        }
    figures = {}
    for action, words in commands.items():
        figures[action] = run_apart(words)
        if figures[action] is None:
            break
    return figures


def print_table(kept: dict[str, list]) -> None:
    """Medians, and how many times vaecodec's. `kept`: figures by "size codec"."""
    for size in dict.fromkeys(key.split()[0] for key in kept):
        pixels = math.prod(SIDES[size]) / 1e6
        click.echo(f"{size} megapixels: seconds, of the processor and MiB (times vaecodec's)")
        base = medians(kept.get(f"{size} vaecodec", []))
        for codec in CODECS:
            runs = kept.get(f"{size} {codec}")
            if not runs:
                continue
            sizes = [run["encode"]["bytes"] for run in runs if run["encode"]]
            parts = [f"{8e-6 * statistics.median(sizes) / pixels:.2f} bpp"] if sizes else []
            for action, values in medians(runs).items():
                if values is None:
                    parts.append(f"{action} fails for lack of memory")
                    continue
                ratio = [v / b for v, b in zip(values, base.get(action) or values, strict=True)]
                seconds, cpu, mebibytes = map("{:.4g} ({:.2f})".format, values, ratio)
                speed = pixels / values[0]
                parts.append(f"{action} {seconds}, {cpu}, {mebibytes}, {speed:.2f} Mpx/s")
            click.echo(f"  {codec:<22} {'; '.join(parts)}")


def medians(runs: list[dict]) -> dict[str, tuple[float, ...] | None]:
    """Of each direction the seconds by the clock and of the processor, and the MiB."""
    result: dict[str, tuple[float, ...] | None] = {}
    for action in ("encode", "decode"):
        found = [run[action] for run in runs if action in run]
        if any(figures is None for figures in found):
            result[action] = None
        elif found:
            result[action] = tuple(
                statistics.median(f.get(name, math.nan) for f in found)
                for name in ("seconds", "cpu", "mebibytes")
            )
    return result


def draw_growth(kept: dict[str, list], path: Path) -> None:
    """An SVG: seconds a megapixel, by the clock and of the processor, over megapixels."""
    import matplotlib
    from matplotlib.figure import Figure

    found = {
        size: medians(kept[f"{size} vaecodec"]) for size in SIDES if f"{size} vaecodec" in kept
    }
    with matplotlib.rc_context({"svg.hashsalt": "vaecodec"}):
        figure = Figure(figsize=(5.6, 3.2), layout="constrained")
        axes = figure.subplots()
        for action, colour in (("encode", "#0072b2"), ("decode", "#d1242f")):
            sizes = [size for size in found if found[size].get(action)]
            x = [math.prod(SIDES[size]) / 1e6 for size in sizes]
            for column, title, style in ((0, "clock", "o-"), (1, "processor", "o:")):
                y = [found[size][action][column] / n for size, n in zip(sizes, x, strict=True)]
                axes.plot(x, y, style, color=colour, markersize=4, label=f"{action}, {title}")
        axes.set_xscale("log")
        axes.set_xticks([1, 3, 12, 24, 108], ["1", "3", "12", "24", "108"])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("megapixels")
        axes.set_ylabel("seconds a megapixel")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


@click.command()
@click.option("--sizes", default="0.4,3,24", show_default=True, help="Megapixels.")
@click.option("--codecs", default=",".join(CODECS), show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--keep", type=Path, default=None, help="Add the figures to those of this file.")
@click.option("--plot", type=Path, default=None, help="Where to draw the growth with the size.")
@click.option("--compressai-python", default=sys.executable, help="Python that has CompressAI.")
def main(
    sizes: str,
    codecs: str,
    runs: int,
    keep: Path | None,
    plot: Path | None,
    compressai_python: str,
) -> None:
    """Print medians for each size and codec."""
    chosen = codecs.split(",")
    if compressai_python == sys.executable and find_spec("compressai") is None:
        left_out = [codec for codec in chosen if codec in COMPRESSAI]
        chosen = [codec for codec in chosen if codec not in COMPRESSAI]
        if left_out:
            click.echo(f"without {', '.join(left_out)}: --compressai-python names none", err=True)
    kept = json.loads(keep.read_text()) if keep is not None and keep.exists() else {}
    click.echo(processor_line())
    click.echo(f"processes may take {limit_memory() / 2**30:.1f} GiB", err=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in filter(None, sizes.split(",")):
            make_picture(size, folder / f"{size}.npy")
            for _ in range(runs):
                for codec in chosen:
                    figures = measure(codec, size, folder, compressai_python)
                    kept.setdefault(f"{size} {codec}", []).append(figures)
    if keep is not None:
        keep.write_text(json.dumps(kept))
    print_table(kept)
    if plot is not None:
        draw_growth(kept, plot)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        _, _, codec_name, action_name, *paths = sys.argv
        print(json.dumps(work(codec_name, action_name, *map(Path, paths))))
    else:
        main()
