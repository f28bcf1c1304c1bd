"""The `vaecodec` command: options, messages and exit codes; the work is done elsewhere.

torch and Pillow are imported inside the commands that need them, so that `--help`, `info` and
mistakes in the command line answer at once.
"""

import json
import sys
from pathlib import Path

import click

from vaecodec import __version__
from vaecodec.container import LEVEL_MAX, MAX_PIXELS
from vaecodec.errors import UsageError, VaecodecError

DEFAULT_QUALITY = 60.0

_EPILOG = "Exit codes: 0 done, 1 the data could not be processed, 2 wrong usage."


class _Group(click.Group):
    """Turns faults into one line on standard error and an exit code."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except VaecodecError as error:
            _fail(str(error), error.exit_code)
        except MemoryError:
            _fail("not enough memory for a picture of this size", 1)
        except BrokenPipeError:
            sys.exit(1)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"vaecodec: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)


def _path(text: str) -> Path:
    return Path(text)


_INPUT = click.argument("source", metavar="IN", type=_path)
_OUTPUT = click.option("-o", "--output", metavar="OUT", type=_path, help="File to write.")
_FORCE = click.option("-f", "--force", is_flag=True, help="Overwrite an existing output.")
_MODEL = click.option("--model", metavar="PATH", type=_path, help="Weight file instead of the default model.")
_DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
_LIMIT = click.option(
    "--max-pixels", type=click.IntRange(min=1), default=MAX_PIXELS, show_default=True, help="Refuse larger pictures."
)


@click.group(cls=_Group, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vaecodec")
def main() -> None:
    """Learned image codec: photographs into small .vae files and back."""


@main.command(epilog=_EPILOG)
@_INPUT
@_OUTPUT
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=DEFAULT_QUALITY,
    show_default=True,
    help="0 smallest to 100 best, continuous.",
)
@_FORCE
@_MODEL
@_DEVICE
@_LIMIT
def encode(
    source: Path,
    output: Path | None,
    quality: float,
    force: bool,
    model: Path | None,
    device: str,
    max_pixels: int,
) -> None:
    """Encode the picture IN (to IN's name with .vae by default)."""
    from vaecodec.files import check_writable, write_whole
    from vaecodec.imageio import read_picture

    target = output or source.with_suffix(".vae")
    check_writable(target, force)
    _refuse_same(source, target)
    picture = read_picture(source, max_pixels)

    from vaecodec.model import load_model
    from vaecodec.pipeline import encode_picture

    data = encode_picture(picture, load_model(model, device), level_of_quality(quality))
    write_whole(target, lambda file: file.write(data), force)
    height, width = picture.pixels.shape[:2]
    bpp = 8 * len(data) / (height * width)
    ratio = picture.pixels.size / len(data)
    click.echo(f"{target}: {len(data)} bytes, {bpp:.3f} bpp, {ratio:.1f}:1")


@main.command(epilog=_EPILOG)
@_INPUT
@_OUTPUT
@_FORCE
@_MODEL
@_DEVICE
@_LIMIT
def decode(
    source: Path, output: Path | None, force: bool, model: Path | None, device: str, max_pixels: int
) -> None:
    """Decode the .vae file IN (to IN's name with .png by default; the format follows OUT's suffix)."""
    from vaecodec.files import check_writable, write_whole

    target = output or source.with_suffix(".png")
    check_writable(target, force)
    _refuse_same(source, target)
    file = _open(source)
    with file, _naming(source):
        from vaecodec.container import read_header
        from vaecodec.imageio import check_suffix, write_picture

        check_suffix(target.suffix)
        read_header(file, max_pixels)  # before the seconds that loading the network takes
        file.seek(0)

        from vaecodec.model import load_model
        from vaecodec.pipeline import decode_picture

        picture = decode_picture(file, load_model(model, device), max_pixels)
    size_bytes = write_whole(target, lambda out: write_picture(picture, out, target.suffix), force)
    height, width = picture.pixels.shape[:2]
    click.echo(f"{target}: {width}x{height} {picture.mode}, {size_bytes} bytes")


@main.command(epilog=_EPILOG)
@click.argument("source", metavar="FILE", type=_path)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_LIMIT
def info(source: Path, as_json: bool, max_pixels: int) -> None:
    """Say what a .vae FILE holds, after checking its checksums, without decoding it."""
    from vaecodec.container import HEADER_BYTES, SLICE_TYPE, read_chunks, read_header

    file = _open(source)
    with file, _naming(source):
        header = read_header(file, max_pixels)
        sizes: dict[str, int] = {}
        for chunk in read_chunks(file, header):
            name = "slices" if chunk.type == SLICE_TYPE else chunk.type.decode("ascii")
            sizes[name] = sizes.get(name, 0) + chunk.size_bytes
    total = HEADER_BYTES + sum(sizes.values())
    facts = {
        "file": str(source),
        "width": header.width,
        "height": header.height,
        "mode": header.mode,
        "quality": round(quality_of_level(header.level), 2),
        "model": header.model_id.hex(),
        "slices": header.slice_count,
        "bytes": total,
        "bpp": round(8 * total / (header.width * header.height), 4),
        "parts": {"header": HEADER_BYTES, **sizes},
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    parts = ", ".join(f"{name} {size}" for name, size in facts["parts"].items())
    click.echo(f"{source}: {header.width}x{header.height} {header.mode}, quality {facts['quality']:g}")
    click.echo(f"  {total} bytes, {facts['bpp']} bpp ({parts}), {header.slice_count} slices")
    click.echo(f"  model {facts['model']}")


def level_of_quality(quality: float) -> int:
    """A file's level (0..LEVEL_MAX) of a quality in 0..100."""
    return round(quality / 100 * LEVEL_MAX)


def quality_of_level(level: int) -> float:
    """Inverse of `level_of_quality`."""
    return 100 * level / LEVEL_MAX


class _naming:
    """Puts the file's name before the message of a fault found inside it."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, VaecodecError) and not str(error).startswith(f"{self.path}: "):
            raise type(error)(f"{self.path}: {error}") from None


def _open(path: Path):
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a .vae file") from None
    except OSError as error:
        raise VaecodecError(f"{path}: cannot read: {error.strerror}") from None


def _refuse_same(source: Path, target: Path) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source}: is input and output at once; name another output with -o")
